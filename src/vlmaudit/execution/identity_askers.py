"""How each kind of model is asked in an identity-inference run: embeddings, or only labels."""

from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from typing import Final

import polars as pl
from rich.console import Console

from vlmaudit.audits.asking import Show, open_case
from vlmaudit.audits.identity_inference.observe import (
    CHOICE_COLUMNS,
    embedding_columns,
    observe_choices,
    observe_names,
    observe_pictures,
)
from vlmaudit.audits.identity_inference.observed import (
    EMBEDDINGS,
    LABELS,
    read_texts,
    write_texts,
)
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.data.candidates import Candidate, stratum
from vlmaudit.data.identities import Person
from vlmaudit.data.names import fold_name
from vlmaudit.data.templates import fill
from vlmaudit.execution.announce import Work
from vlmaudit.execution.plan import Picture, Question
from vlmaudit.execution.progress import progress
from vlmaudit.models.base import ContrastiveModel, LabelOnlyModel
from vlmaudit.models.cached_texts import CachedTexts
from vlmaudit.models.self_test import (
    N_REQUESTS,
    N_STEPS,
    check_contrastive,
    check_label_only,
)
from vlmaudit.results.cases import Case
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.results.outcomes import Schema
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.run_folder import Observation, RunFolder
from vlmaudit.results.self_test import KnownAnswers, SelfTest

_FLOAT: Final = 4  # bytes


class AsksEmbeddings:
    """Embeds every name once and every picture once."""

    def __init__(
        self,
        model: ContrastiveModel,
        names: Sequence[Candidate],
        settings: IdentityInference,
        *,
        known: KnownAnswers | None,
        batch: int,
        pool: Executor,
        show: Show = open_case,
    ) -> None:
        """Take a loaded model.

        Args:
            model: Whom to ask.
            names: All names.
            settings: For the templates.
            known: What the model said when somebody last looked, if that was kept.
            batch: Pictures a batch.
            pool: Decodes pictures side by side.
            show: Gives the picture of a case under its condition.
        """
        self._model = model
        self._known = known
        self._names = names
        self._templates = settings.templates
        self._batch = batch
        self._pool = pool
        self._show = show
        self._texts = CachedTexts(model)
        self._dim = 0

    @property
    def record(self) -> ModelRecord:
        return self._model.record

    @property
    def unit(self) -> str:
        return "Pictures"

    @property
    def observation(self) -> Observation:
        return {
            "answers": EMBEDDINGS,
            "templates": list(self._templates),
        }

    @property
    def columns(self) -> Schema:
        return embedding_columns(self._dim)

    def check(self, console: Console) -> SelfTest:
        with progress("Self-test", N_STEPS, console) as advance:
            return check_contrastive(self._model, known=self._known, advance=advance)

    def questions(self, picture: Picture) -> Sequence[Question]:
        return (Question(),)

    def is_prepared(self, run: RunFolder) -> bool:
        return read_texts(run.private) is not None

    def work(self, run: RunFolder, n_cases: int, test: SelfTest | None) -> Work:
        is_there = self.is_prepared(run)
        n_texts = 0 if is_there else self._texts.count_missing(self._sentences())
        dim = test.dim if test and test.dim else 0
        stored = 0 if is_there else len(self._names) * len(self._templates)
        return Work(
            pictures=n_cases,
            texts=n_texts,
            requests=0,
            seconds=_seconds(n_cases, test.images_per_second if test else None)
            + _seconds(n_texts, test.texts_per_second if test else None),
            n_bytes=dim * _FLOAT * (n_cases + n_texts + stored),
        )

    def prepare(self, run: RunFolder, console: Console) -> None:
        rows = read_texts(run.private)
        if rows is None:
            n_texts = len(self._names) * len(self._templates)
            with progress("Names", n_texts, console) as advance:
                rows = observe_names(self._texts, self._names, self._templates, advance=advance)
            write_texts(run.private, rows)
        self._dim = rows.shape[2]

    def observe(self, cases: Sequence[Case]) -> Generator[pl.DataFrame, None, None]:
        return observe_pictures(
            self._model, cases, dim=self._dim, batch=self._batch, pool=self._pool, show=self._show
        )

    def _sentences(self) -> list[str]:
        return [fill(template, name.name) for name in self._names for template in self._templates]


class AsksLabels:
    """Asks for every picture and template which of the names of its stratum fits best."""

    def __init__(
        self,
        model: LabelOnlyModel,
        persons: Sequence[Person],
        names: Sequence[Candidate],
        settings: IdentityInference,
        *,
        sent_as: str,
        show: Show = open_case,
    ) -> None:
        """Take a model to ask.

        Args:
            model: Whom to ask.
            persons: Everybody whose pictures are shown, control people included.
            names: All names; each picture is offered those of its person's stratum.
            settings: For templates and strata.
            sent_as: How pictures reach the model.
            show: Gives the picture of a case under its condition.
        """
        self._model = model
        self._settings = settings
        self._sent_as = sent_as
        self._show = show
        pools: dict[str, list[str]] = {}
        for name in names:
            key = stratum(name.sex, name.origin, settings.pool)
            pools.setdefault(key, []).append(name.name)
        # In the order of the alphabet: where a name stands says nothing about whose it is.
        self._pools = {key: sorted(pool, key=fold_name) for key, pool in pools.items()}
        self._stratum = {
            person.identity: stratum(person.sex, person.origin, settings.pool) for person in persons
        }
        self._questions = {
            key: [Question(template, fingerprint([template, pool])) for template in self._templates]
            for key, pool in self._pools.items()
        }

    @property
    def _templates(self) -> Sequence[str]:
        return self._settings.templates

    @property
    def record(self) -> ModelRecord:
        return self._model.record

    @property
    def unit(self) -> str:
        return "Requests"

    @property
    def observation(self) -> Observation:
        return {
            "answers": LABELS,
            "templates": list(self._templates),
            "pool": self._settings.pool,
            "names": fingerprint(self._pools),
            "pictures": self._sent_as,
        }

    @property
    def columns(self) -> Schema:
        return CHOICE_COLUMNS

    def check(self, console: Console) -> SelfTest:
        with progress("Self-test, requests", N_REQUESTS, console) as advance:
            return check_label_only(self._model, advance=advance)

    def questions(self, picture: Picture) -> Sequence[Question]:
        # Nobody's names are compared with those of a control person of another kind.
        return self._questions.get(self._stratum[picture.identity], ())

    def work(self, run: RunFolder, n_cases: int, test: SelfTest | None) -> Work:
        del run
        pause = test.seconds_per_request if test else None
        pace = self._model.concurrency / pause if pause else None
        return Work(
            pictures=n_cases // max(1, len(self._templates)),
            texts=0,
            requests=n_cases,
            seconds=_seconds(n_cases, pace),
            n_bytes=200 * n_cases,
        )

    def is_prepared(self, run: RunFolder) -> bool:
        del run
        return True

    def prepare(self, run: RunFolder, console: Console) -> None:
        """Nothing: every request brings its names along."""

    def observe(self, cases: Sequence[Case]) -> Generator[pl.DataFrame, None, None]:
        return observe_choices(self._model, cases, self._names_for, self._show)

    def _names_for(self, case: Case) -> Sequence[str]:
        return self._pools[self._stratum[case.identity]]


def _seconds(number: int, pace: float | None) -> float:
    if not number:
        return 0.0
    return number / pace if pace else float("nan")
