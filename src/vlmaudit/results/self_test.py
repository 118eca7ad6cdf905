"""What the self-test of a model found, and what the model said of inputs that never change."""

import math
from typing import Final, Literal

from pydantic import Field

from vlmaudit.results.records import ModelRecord, Record

FILE: Final = "self-test.json"
"""Where a run keeps the self-test of its model."""
KNOWN_ANSWERS: Final = "known_answers.json"
"""Where a checkpoint's folder keeps what its model said before."""


class Check(Record):
    """One thing that an audit rests on, and whether the model keeps it."""

    name: str = Field(description="What is checked.")
    passed: bool | None = Field(description="None: does not apply, or could not be checked.")
    measured: float | None = Field(default=None, description="What was measured, if a number.")
    limit: float | None = Field(default=None, description="What it may be at most.")
    sentence: str = Field(description="What was seen, in plain words.")


class KnownAnswers(Record):
    """What a model says of drawn pictures and texts that never change, in short.

    A row a picture or text. Each number is a sum over the whole embedding with random signs, so
    that a change anywhere in it moves all of them, by about as much as the embedding moves. Of a
    model that answers in words, the square roots of the probabilities of an answer's first token
    take the embedding's place: they have length 1 too.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    dtype: str = Field(description="Arithmetic of the answers, such as float32.")
    tolerance: float = Field(description="How far rounding may move an embedding (distance).")
    pictures: tuple[tuple[float, ...], ...] = Field(description="A row a picture.")
    texts: tuple[tuple[float, ...], ...] = Field(description="A row a text.")
    said: tuple[str, ...] = Field(
        default=(), description="How answers begin, in words; empty where rounding may change them."
    )

    def distance(self, other: "KnownAnswers") -> float:
        """How far the embedding that moved most has moved.

        A root mean square over a row, which is the length of the difference up to a fifth or so.
        Infinity where the two are not about the same inputs.
        """
        return max(
            _farthest(self.pictures, other.pictures),
            _farthest(self.texts, other.texts),
        )

    def says_as(self, other: "KnownAnswers") -> bool:
        """Whether the words are the same, where both have any."""
        return not self.said or not other.said or self.said == other.said

    def agrees(self, other: "KnownAnswers") -> bool:
        """Whether rounding may be all that lies between the two, in the coarser arithmetic."""
        is_near = self.distance(other) <= max(self.tolerance, other.tolerance)
        return is_near and self.says_as(other)


class SelfTest(Record):
    """What came out of a model's self-test."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    model: ModelRecord
    checks: tuple[Check, ...] = Field(description="In the order in which they were made.")
    images_per_second: float | None = Field(default=None, description="Decoded pictures.")
    texts_per_second: float | None = Field(default=None, description="Prompts with names.")
    seconds_per_request: float | None = Field(default=None, description="One after the other.")
    requests_at_once: int | None = Field(default=None, description="How many may be under way.")
    seconds_per_answer: float | None = Field(
        default=None, description="Of several prompts about one picture, its share included."
    )
    names_per_second: float | None = Field(
        default=None, description="Candidate names scored as answers, the picture included."
    )
    dim: int | None = Field(default=None, description="Numbers an embedding.")
    answers: KnownAnswers | None = Field(
        default=None, description="None: there are none, or none that would come again."
    )

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.passed is False)

    def failures(self) -> list[str]:
        """A sentence a failed check, with the check's name before it."""
        return [f"{check.name}: {check.sentence}" for check in self.failed]


def drift(before: SelfTest, now: SelfTest) -> float:
    """How far the known answer that moved most has moved: a distance between unit vectors.

    0 where neither test has known answers, infinity where only one has, or they are no answers to
    the same inputs.
    """
    if before.answers is None or now.answers is None:
        return 0.0 if before.answers is now.answers else math.inf
    return before.answers.distance(now.answers)


def agrees(before: SelfTest, now: SelfTest) -> bool:
    """Whether a model answers as before: rounding may be all that changed."""
    if before.answers is None or now.answers is None:
        return before.answers is now.answers
    return before.answers.agrees(now.answers)


def says_alike(before: SelfTest, now: SelfTest) -> bool:
    """Whether a model says the same words as before, where both tests kept any."""
    if before.answers is None or now.answers is None:
        return True
    return before.answers.says_as(now.answers)


def _farthest(one: tuple[tuple[float, ...], ...], other: tuple[tuple[float, ...], ...]) -> float:
    if [len(row) for row in one] != [len(row) for row in other]:
        return math.inf
    pairs = zip(one, other, strict=True)
    return max((math.dist(a, b) / math.sqrt(len(a)) for a, b in pairs if a), default=0.0)
