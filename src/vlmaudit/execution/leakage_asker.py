"""How a model that answers in words is asked in a name-leakage run."""

from collections.abc import Generator, Mapping, Sequence

import polars as pl
from rich.console import Console

from vlmaudit.audits.asking import Show, open_case
from vlmaudit.audits.name_leakage.observe import COLUMNS, observe
from vlmaudit.audits.name_leakage.questions import scoring_question
from vlmaudit.audits.name_leakage.settings import NULLS, NameLeakage
from vlmaudit.data.candidates import Candidate, stratum
from vlmaudit.data.conditions import ORIGINAL
from vlmaudit.data.identities import Person
from vlmaudit.execution.announce import Work
from vlmaudit.execution.plan import Picture, Question
from vlmaudit.execution.progress import progress
from vlmaudit.models.base import GenerativeModel, ScoringModel
from vlmaudit.models.generative_self_test import check_generative, n_steps
from vlmaudit.models.sent_pictures import SENT_AS
from vlmaudit.results.cases import Case
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.results.outcomes import Schema
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.run_folder import Observation, RunFolder
from vlmaudit.results.self_test import KnownAnswers, SelfTest

_ANSWER_BYTES = 400
_SCORE_BYTES = 4


class AsksInWords:
    """Asks every prompt about every picture, and how likely names are as answers."""

    def __init__(
        self,
        model: GenerativeModel,
        pools: Mapping[str, Sequence[Candidate]],
        people: Sequence[Person],
        settings: NameLeakage,
        *,
        known: KnownAnswers | None,
        show: Show = open_case,
    ) -> None:
        """Take a loaded model.

        Args:
            model: Whom to ask.
            pools: The candidate names of each stratum.
            people: Whom the pictures show.
            settings: For prompts and strata.
            known: What the model said when somebody last looked, if that was kept.
            show: Gives the picture of a case under its condition.
        """
        self._model = model
        self._settings = settings
        self._known = known
        self._show = show
        self._stratum = {
            person.identity: stratum(person.sex, person.origin, settings.pool) for person in people
        }
        self._names = {key: [name.name for name in pool] for key, pool in pools.items()}
        self._scores = bool(settings.names) and isinstance(model, ScoringModel)
        limit = settings.max_new_tokens
        self._asked = [
            Question(prompt.id, fingerprint([prompt.text, "greedy", limit]))
            for prompt in settings.prompts
        ]
        elsewhere = {prompt.id for prompt in settings.asked_elsewhere}
        self._asked_elsewhere = [one for one in self._asked if one.text in elsewhere]
        self._scored = {
            key: [
                Question(scoring_question(prompt.id), fingerprint([prompt.text, names]))
                for prompt in settings.scored_prompts
            ]
            for key, names in self._names.items()
        }

    @property
    def notices(self) -> tuple[str, ...]:
        """What the reader should know of how this model can be asked."""
        if self._settings.names and not self._scores:
            return ("This model shows no likelihoods: what a refusal hides stays hidden.",)
        return ()

    @property
    def record(self) -> ModelRecord:
        return self._model.record

    @property
    def unit(self) -> str:
        return "Questions"

    @property
    def observation(self) -> Observation:
        scored = self._settings.scored_prompts if self._scores else ()
        return {
            "answers": "words",
            "prompts": [prompt.id for prompt in self._settings.prompts],
            "condition_prompts": [prompt.id for prompt in self._settings.condition_prompts],
            "scored_prompts": [prompt.id for prompt in scored],
            "names": fingerprint(self._names) if self._scores else None,
            "max_new_tokens": self._settings.max_new_tokens,
            "decoding": "greedy",
            "pictures": SENT_AS if self.record.family == "chat" else "as they are",
        }

    @property
    def columns(self) -> Schema:
        return COLUMNS

    def check(self, console: Console) -> SelfTest:
        with progress("Self-test", n_steps(self._model), console) as advance:
            return check_generative(self._model, known=self._known, advance=advance)

    def questions(self, picture: Picture) -> Sequence[Question]:
        """Every prompt about pictures as they are, on which alone names are scored, too."""
        if picture.condition not in {ORIGINAL, *NULLS}:
            return self._asked_elsewhere
        if not self._scores or not picture.identity:
            return self._asked
        return [*self._asked, *self._scored[self._stratum[picture.identity]]]

    def work(self, run: RunFolder, n_cases: int, test: SelfTest | None) -> Work:
        del run
        pause = test.seconds_per_answer if test else None
        prompts = len(self._asked) + (len(self._settings.scored_prompts) if self._scores else 0)
        most = max(map(len, self._names.values()), default=0) if self._scores else 0
        per_picture = len(self._asked) * _ANSWER_BYTES + most * _SCORE_BYTES
        pictures = -(-n_cases // prompts)
        return Work(
            pictures=pictures,
            texts=0,
            requests=n_cases if self.record.family == "chat" else 0,
            questions=0 if self.record.family == "chat" else n_cases,
            seconds=n_cases * pause / self._model.concurrency if pause else float("nan"),
            n_bytes=pictures * per_picture,
        )

    def is_prepared(self, run: RunFolder) -> bool:
        del run
        return True

    def prepare(self, run: RunFolder, console: Console) -> None:
        """Nothing: every question brings along all it needs."""

    def observe(self, cases: Sequence[Case]) -> Generator[pl.DataFrame, None, None]:
        return observe(
            self._model,
            cases,
            texts={prompt.id: prompt.text for prompt in self._settings.prompts}
            | {prompt.id: prompt.text for prompt in self._settings.scored_prompts},
            names_for=lambda case: self._names[self._stratum[case.identity]],
            show=self._show,
        )
