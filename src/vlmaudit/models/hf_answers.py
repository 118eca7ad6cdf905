"""Answers of a generative model of transformers: greedy, with as much shared as holds."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from jaxtyping import Float
from PIL.Image import Image

from vlmaudit.errors import OutOfMemoryError
from vlmaudit.models.answer_scoring import Scoring
from vlmaudit.models.asked import Asker
from vlmaudit.models.base import Answer, Failed
from vlmaudit.models.generative_families import Family
from vlmaudit.models.greedy import Inputs, Said, ends_of
from vlmaudit.models.hf_files import Model, Processor
from vlmaudit.models.memory import BatchSize, is_out_of_memory
from vlmaudit.models.sharing import (
    MOST_MASS_MOVED,
    OneByOne,
    Sharing,
    choose,
    first_probabilities,
    fits,
    picture_token,
)
from vlmaudit.models.weights import one_line
from vlmaudit.results.records import ModelRecord

ONLY_WITH_PICTURE: Final = Failed("asks only with a picture", is_transient=False)
NOT_NUMBERS: Final = Failed(
    "the model answered with values that are not numbers", is_transient=False
)
NO_MEMORY: Final = Failed("out of memory", is_transient=True)

# What the library raises over a picture or words that a model does not take.
_UNFIT: Final = (ValueError, RuntimeError, TypeError, IndexError, KeyError, MemoryError)


class HfGenerative:
    """Answers greedily; what prompts about one picture begin with is computed once."""

    def __init__(
        self,
        model: Model,
        processor: Processor,
        family: Family,
        *,
        record: ModelRecord,
        batch_size: int,
        candidates_a_pack: int,
        max_new_tokens: int,
    ) -> None:
        """Wrap a loaded model, and see on a drawn picture what prompts may share.

        Raises:
            Exception: Whatever the library raises where the model cannot be asked at all.
        """
        self._model = model
        self._family = family
        self._record = record
        self._max_new_tokens = max_new_tokens
        self._tokenizer = processor.tokenizer
        self._asker = Asker(processor, family, model.device)
        self._ends = frozenset(ends_of(model))
        self._alone = OneByOne(model)
        batch = BatchSize(batch_size, what="prompt", model=record.name)
        # 8-bit layers round by what is largest in a batch: no closer than the narrowest arithmetic.
        rounds_as = "bfloat16" if record.quantization == "8bit" else record.dtype
        most_moved = MOST_MASS_MOVED[rounds_as]
        self._way = choose(model, family, self._asker, batch, most_moved=most_moved)
        pack = BatchSize(candidates_a_pack, what="candidate", model=record.name)
        self._scoring = Scoring(model, family, pack)

    @property
    def record(self) -> ModelRecord:
        """Which weights answer, and in which arithmetic."""
        return self._record

    @property
    def concurrency(self) -> int:
        """One picture at a time: its prompts fill the processor."""
        return 1

    @property
    def max_new_tokens(self) -> int:
        """Where an answer is cut off."""
        return self._max_new_tokens

    @property
    def sharing(self) -> Sharing:
        """What the prompts of one picture share: all they begin with, its features, or nothing."""
        return self._way.sharing

    @property
    def sharing_notice(self) -> str:
        """Why they do not share more, in one sentence; empty where they share all they can."""
        return self._way.notice

    def as_read(self, image: Image | None, prompt: str) -> str:
        """A prompt as the model reads it, marks and all; of picture tokens in a row the first."""
        (asked,) = self._asker.inputs(image, [prompt], self._model.dtype)
        ids, token = asked["input_ids"][0].tolist(), picture_token(self._model)
        kept = [
            each
            for place, each in enumerate(ids)
            if each != token or place == 0 or ids[place - 1] != token
        ]
        return self._tokenizer.decode(kept)

    def answer(self, image: Image | None, prompts: Sequence[str]) -> Iterator[Answer | Failed]:
        """One outcome a prompt, in order; blanks around an answer are taken off.

        A picture that the model does not take, or that does not fit into memory, fails alone.
        """
        waiting: dict[int, Answer | Failed] = {}
        given = 0
        for place, outcome in self._outcomes(image, prompts):
            waiting[place] = outcome
            while given in waiting:
                yield waiting.pop(given)
                given += 1

    def answer_alone(self, image: Image | None, prompt: str) -> Answer | Failed:
        """The answer by the model library's own means, with nothing shared or padded."""
        ((_, outcome),) = self._outcomes(image, [prompt], is_alone=True)
        return outcome

    def first_token_log_probabilities(
        self, image: Image | None, prompts: Sequence[str], *, shared: bool
    ) -> Float[np.ndarray, "prompts vocabulary"]:
        """Natural log-probabilities of an answer's first token, shared as usual or each alone."""
        asked = self._asker.inputs(image, prompts, self._model.dtype)
        engine = self._way.engine if shared and self._fits(asked) else self._alone
        return first_probabilities(engine, asked).cpu().numpy()

    def log_likelihood(
        self, image: Image | None, prompt: str, answers: Sequence[str]
    ) -> Float[np.ndarray, " answers"]:
        """Natural log-probability of each answer and its end, summed over its tokens.

        An answer is tokenised as the tokenizer writes it behind the prompt, with the blank that
        the chat template puts there; the token that ends a turn belongs to it.
        """
        (asked,) = self._asker.inputs(image, [prompt], self._model.dtype)
        return self._scoring.score(asked, self._candidates(image, prompt, answers))

    def answer_tokens(self, image: Image | None, prompt: str, answers: Sequence[str]) -> list[int]:
        """Over how many tokens `log_likelihood` sums for each answer, its end included."""
        return [len(candidate) for candidate in self._candidates(image, prompt, answers)]

    def log_likelihood_alone(self, image: Image | None, prompt: str, answer: str) -> float:
        """The same number as `log_likelihood`, with picture, prompt and answer in one pass."""
        (asked,) = self._asker.inputs(image, [prompt], self._model.dtype)
        (candidate,) = self._candidates(image, prompt, [answer])
        return self._scoring.score_alone(asked, candidate)

    def close(self) -> None:
        """Nothing is held open."""

    def _candidates(
        self, image: Image | None, prompt: str, answers: Sequence[str]
    ) -> list[list[int]]:
        has_picture = image is not None
        tokens = self._asker.continuations(prompt, answers, has_picture=has_picture)
        end = ends_of(self._model)[0]
        return [[*candidate, end] for candidate in tokens]

    def _fits(self, asked: Sequence[Inputs]) -> bool:
        return fits(self._way, asked, picture_token(self._model))

    def _outcomes(
        self, image: Image | None, prompts: Sequence[str], *, is_alone: bool = False
    ) -> Iterator[tuple[int, Answer | Failed]]:
        """The outcome of each prompt with its place; those without an answer fail at the end."""
        if image is None and not self._family.asks_without_picture:
            yield from ((place, ONLY_WITH_PICTURE) for place in range(len(prompts)))
            return
        missing = set(range(len(prompts)))
        failed = None
        try:
            asked = self._asker.inputs(image, prompts, self._model.dtype)
            is_shared = not is_alone and prompts and self._fits(asked)
            engine = self._way.engine if is_shared else self._alone
            for place, said in engine.said(asked, self._max_new_tokens):
                missing.discard(place)
                yield place, self._outcome(said, asked[place])
        except OutOfMemoryError:
            failed = NO_MEMORY
        except _UNFIT as problem:
            failed = (
                NO_MEMORY
                if is_out_of_memory(problem)
                else Failed(
                    f"the model does not take this picture or these words ({one_line(problem)})",
                    is_transient=False,
                )
            )
        if failed is not None:
            yield from ((place, failed) for place in sorted(missing))

    def _outcome(self, said: Said, asked: Inputs) -> Answer | Failed:
        if not said.is_finite:
            return NOT_NUMBERS
        return Answer(
            self._tokenizer.decode(said.tokens, skip_special_tokens=True).strip(),
            finish="stop" if said.tokens[-1] in self._ends else "length",
            tokens=len(said.tokens),
            prompt_tokens=asked["input_ids"].shape[1],
        )
