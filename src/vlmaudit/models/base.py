"""What an audit may ask of a model. Everything that passes here is numpy, fp32."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from PIL.Image import Image

from vlmaudit.results.records import ModelRecord


@runtime_checkable
class ContrastiveModel(Protocol):
    """Scores images against texts in one embedding space (CLIP, SigLIP, …).

    Answers must not depend on batch size, order or neighbours: the contract tests check it, and
    the run's resume rests on it.
    """

    @property
    def record(self) -> ModelRecord:
        """Which weights answer, and in which arithmetic."""
        ...

    def encode_images(self, images: Sequence[Image]) -> Float[np.ndarray, "images dim"]:
        """Unit-length image embeddings; any mode and size of picture is accepted."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        """Unit-length text embeddings.

        Stops at the batch's last end token where the text tower is causal, which leaves the
        embeddings as they are and saves most of the work.
        """
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the offered labels a model chose.

    Attributes:
        label: One of the offered labels, word for word.
        score: The model's own score of it; its scale is the model's.
        margin: Score minus the best other label's; None where the model shows no other.
    """

    label: str
    score: float
    margin: float | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A question without an answer.

    Attributes:
        reason: Why, in a few words that are counted in findings; nothing secret, no address.
        is_transient: Asking again later may help (429, 5xx, time-out, out of memory).
    """

    reason: str
    is_transient: bool


@runtime_checkable
class LabelOnlyModel(Protocol):
    """Answers only which label fits best: the black box of the IDIA paper (section 3).

    The labels to choose from are fixed when asking; another pool is another question.
    """

    @property
    def record(self) -> ModelRecord:
        """Who answers, as far as an outsider can know."""
        ...

    @property
    def concurrency(self) -> int:
        """How many pictures may be asked about at the same time, each from its own thread."""
        ...

    def classify(
        self, image: Image, questions: Sequence[Sequence[str]]
    ) -> Iterator[Choice | Failed]:
        """One outcome a question, in order, each as soon as it is there.

        Args:
            image: The picture, which is prepared once for all its questions.
            questions: For each question the labels to choose from.

        Raises:
            ModelError: Asking on makes no sense: the address or the key is wrong.
        """
        ...

    def close(self) -> None:
        """Let go of connections; what is still under way fails."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a generative model said.

    Attributes:
        text: The new tokens alone, decoded without special tokens; never the prompt's echo.
        finish: ``stop`` where the model ended by itself, ``length`` where it was cut off.
        tokens: New tokens; None where a server does not count them.
        prompt_tokens: Tokens of what it was shown; None where a server does not count them.
    """

    text: str
    finish: Literal["stop", "length"]
    tokens: int | None = None
    prompt_tokens: int | None = None


@runtime_checkable
class GenerativeModel(Protocol):
    """Answers questions about a picture in words (LLaVA, BLIP-2, a chat endpoint, …).

    Answers are greedy. In fp32 they must not depend on which other prompts are asked along.
    """

    @property
    def record(self) -> ModelRecord:
        """Which weights answer, and in which arithmetic."""
        ...

    @property
    def concurrency(self) -> int:
        """How many pictures may be asked about at the same time, each from its own thread."""
        ...

    @property
    def max_new_tokens(self) -> int:
        """Where an answer is cut off."""
        ...

    def answer(self, image: Image | None, prompts: Sequence[str]) -> Iterator[Answer | Failed]:
        """One outcome a prompt, in order, each as soon as it is there.

        Args:
            image: The picture, which is prepared once for all prompts; None asks without any.
            prompts: The words of a user, without any chat template.

        Raises:
            ModelError: Asking on makes no sense: the address or the key is wrong.
        """
        ...

    def close(self) -> None:
        """Let go of connections; what is still under way fails."""
        ...


@runtime_checkable
class ScoringModel(Protocol):
    """A generative model that shows how likely it finds an answer."""

    def log_likelihood(
        self, image: Image | None, prompt: str, answers: Sequence[str]
    ) -> Float[np.ndarray, " answers"]:
        """Natural log-probability of each answer, summed over its tokens, teacher-forced.

        The end of the answer belongs to it: of two names of which one begins with the other, the
        shorter does not win by being shorter.

        Raises:
            OutOfMemoryError: Not even one pack of answers fits.
        """
        ...


@dataclass(frozen=True, slots=True)
class Construction:
    """How a model is put together, where its files or a look inside tell; None where they do not.

    Attributes:
        image_activation: What the blocks of the image tower apply, such as "QuickGELU".
        text_activation: The same of the text tower.
        channels: The colours in the order in which the image tower gets them, such as "RGB".
        mean: What is taken off each channel, with pixel values from 0 to 1.
        std: What each channel is then divided by.
        image_size: Height and width of what the image tower gets, in pixels.
    """

    image_activation: str | None = None
    text_activation: str | None = None
    channels: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    image_size: tuple[int, int] | None = None


@runtime_checkable
class Inspectable(Protocol):
    """A contrastive model that shows how it is put together: what the self-test looks into."""

    @property
    def image_batch(self) -> int:
        """Pictures a batch as of now; out of memory makes it smaller."""
        ...

    @property
    def text_batch(self) -> int:
        """Texts a batch as of now."""
        ...

    def said(self) -> Construction:
        """What the checkpoint's own files declare, whatever the library made of it."""
        ...

    def done(self) -> Construction:
        """What is found in the loaded towers, and measured on what they are handed."""
        ...

    def encode_texts_in_full(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"] | None:
        """Text embeddings without stopping early; None where `encode_texts` never does."""
        ...


@runtime_checkable
class ChecksSharing(Protocol):
    """A generative model that can also be asked without sharing anything among prompts.

    What the self-test holds the shared way against.
    """

    @property
    def sharing(self) -> Literal["prefix", "vision", "none"]:
        """What the prompts of one picture share: all they begin with, its features, or nothing."""
        ...

    @property
    def sharing_notice(self) -> str:
        """Why they do not share more, in one sentence; empty where they share all they can."""
        ...

    def answer_alone(self, image: Image | None, prompt: str) -> Answer | Failed:
        """The answer by the model library's own means, with nothing shared or padded."""
        ...

    def first_token_log_probabilities(
        self, image: Image | None, prompts: Sequence[str], *, shared: bool
    ) -> Float[np.ndarray, "prompts vocabulary"]:
        """Natural log-probabilities of an answer's first token, shared as usual or each alone."""
        ...


@runtime_checkable
class ScoresAlone(Protocol):
    """A scoring model that can also score an answer in a pass of its own."""

    def log_likelihood_alone(self, image: Image | None, prompt: str, answer: str) -> float:
        """The same number as `log_likelihood`, with picture, prompt and answer in one pass."""
        ...


@runtime_checkable
class CountsTokens(ScoringModel, Protocol):
    """A scoring model that says how many tokens an answer has."""

    def answer_tokens(self, image: Image | None, prompt: str, answers: Sequence[str]) -> list[int]:
        """Over how many tokens `log_likelihood` sums for each answer, its end included."""
        ...


@dataclass(frozen=True, slots=True)
class Example:
    """A question about a picture with the answer that a model is taught.

    Attributes:
        image: The picture.
        question: The words of a user, without any chat template.
        answer: The answer.
    """

    image: Image
    question: str
    answer: str


TokenChoice = Literal["last", "image", "all"] | int
"""Whose states are kept: one place from the end (−2 in the paper), or a mean over several."""


@runtime_checkable
class WhiteBoxModel(Protocol):
    """A model that shows what happens inside: states of its layers, and gradients."""

    @property
    def record(self) -> ModelRecord:
        """Which weights they are, and in which arithmetic."""
        ...

    @property
    def layers(self) -> Sequence[str]:
        """The layers whose states are kept, first to last."""
        ...

    @property
    def modules(self) -> Sequence[str]:
        """The parts whose gradients are taken, each parameter in one of them."""
        ...

    def capture_states(
        self, images: Sequence[Image], prompts: Sequence[str], token: TokenChoice
    ) -> Float[np.ndarray, "items layers width"]:
        """Hidden states while a prompt is read, of every layer, in fp32.

        Args:
            images: A picture an item.
            prompts: The words of a user about each.
            token: ``last`` is the last token of the prompt, ``image`` and ``all`` the mean over
                the picture's tokens and over all; a negative number is a place from the end.

        Raises:
            ModelError: A state is not a finite number, or there is no such token.
            OutOfMemoryError: Not even one item fits.
        """
        ...

    def gradient_cosines(
        self,
        clean: Sequence[Example],
        others: Mapping[str, Sequence[Example]],
        modules: Sequence[str],
    ) -> dict[str, dict[str, float]]:
        """Cosine between the gradient of a mini-batch and those of others: other, module, cosine.

        The loss is the mean over all answer tokens of the mini-batch, ends of turns included.

        Raises:
            ModelError: A loss or a gradient is not a finite number; the message names the batch.
            OutOfMemoryError: Not even one example fits.
        """
        ...

    def close(self) -> None:
        """Let go of the model."""
        ...
