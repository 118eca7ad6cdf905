"""Gradients of a mini-batch's answers, by part of the model, in memory that batches share."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import torch
from torch.nn.functional import cross_entropy

from vlmaudit.errors import ModelError
from vlmaudit.models.base import Example
from vlmaudit.models.conversations import LABELS, UNTAUGHT, Conversations, Taught
from vlmaudit.models.hf_files import Model
from vlmaudit.models.memory import BatchSize

Gradient: TypeAlias = Mapping[str, torch.Tensor]
"""A part's gradient as a vector, by part: of all its parameters, or projected."""

EXACT_UP_TO: Final = 200_000_000
"""Parameters up to which gradients are kept whole: two of them, 1.6 GB."""
_PROJECTED_TO: Final = 1 << 20


class AnswerGradients:
    """Takes gradients of the loss on answers; the model itself stays as it is."""

    def __init__(
        self,
        model: Model,
        conversations: Conversations,
        parts: Mapping[str, str],
        *,
        batch: BatchSize,
        exact_up_to: int = EXACT_UP_TO,
    ) -> None:
        """Lay out where each parameter's gradient goes.

        Args:
            model: In evaluation mode: nothing is dropped at random.
            conversations: Makes its inputs.
            parts: The part of each parameter, by name.
            batch: How many examples go through the model at a time.
            exact_up_to: Parameters above which a part's gradient is projected to 2^20 numbers by
                random signs, which keeps its inner products to about a thousandth of its length.
        """
        self._model = model
        self._conversations = conversations
        self._batch = batch
        self._parameters = [
            (parameter, parts[name], name)
            for name, parameter in model.named_parameters()
            if name in parts
        ]
        total = sum(parameter.numel() for parameter, _, _ in self._parameters)
        self._is_exact = total <= exact_up_to
        self._starts: list[int] = []
        self._sizes: dict[str, int] = {}
        for parameter, part, _ in self._parameters:
            self._starts.append(self._sizes.get(part, 0))
            self._sizes[part] = self._starts[-1] + parameter.numel()

    def of(self, examples: Sequence[Example], what: str) -> Gradient:
        """The gradient of the mean loss over all answer tokens of a mini-batch, by part.

        However few examples fit into memory at once, the gradient is that of all together.

        Args:
            examples: The mini-batch.
            what: How an error calls it.

        Raises:
            ModelError: The loss or the gradient is not a finite number.
            OutOfMemoryError: Not even one example fits.
        """
        rows: list[Taught] = []
        for example in examples:
            rows += self._conversations.taught(example.image, [(example.question, example.answer)])
        tokens = sum(int((row[LABELS] != UNTAUGHT).sum()) for row in rows)
        sums = self._empty()
        with self._recorded():
            for _, some in self._batch.batches(
                len(rows), lambda part: self._backward(rows[part], tokens, what)
            ):
                for part, vector in some.items():
                    sums[part] += vector
        for part, vector in sums.items():
            if not torch.isfinite(vector).all():
                raise ModelError(f"{what}: the gradient of {part} is not a finite number.")
        return sums

    def _empty(self) -> dict[str, torch.Tensor]:
        device = self._model.device
        return {
            part: torch.zeros(size if self._is_exact else min(size, _PROJECTED_TO), device=device)
            for part, size in self._sizes.items()
        }

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        for parameter, _, _ in self._parameters:
            parameter.requires_grad_(True)
        try:
            yield
        finally:
            for parameter, _, _ in self._parameters:
                parameter.requires_grad_(False)
                parameter.grad = None

    def _backward(self, rows: Sequence[Taught], tokens: int, what: str) -> dict[str, torch.Tensor]:
        """What some rows add to the gradient; each parameter's is let go of once it is read."""
        vectors = self._empty()

        def read(place: int) -> Any:  # noqa: ANN401 - a hook
            def hook(parameter: torch.Tensor) -> None:
                assert parameter.grad is not None
                self._add(vectors, place, parameter.grad.detach().flatten().float())
                parameter.grad = None

            return hook

        hooks = [
            parameter.register_post_accumulate_grad_hook(read(place))
            for place, (parameter, _, _) in enumerate(self._parameters)
        ]
        try:
            batch = self._conversations.together(rows)
            loss = summed_loss(self._model, batch) / tokens
            if not torch.isfinite(loss):
                raise ModelError(f"{what}: the loss is not a finite number.")
            loss.backward()
        finally:
            for hook in hooks:
                hook.remove()
        return vectors

    def _add(self, vectors: dict[str, torch.Tensor], place: int, gradient: torch.Tensor) -> None:
        _, part, name = self._parameters[place]
        vector, start = vectors[part], self._starts[place]
        if self._is_exact:
            vector[start : start + len(gradient)] += gradient
            return
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
        signs = torch.Generator(device=gradient.device).manual_seed(seed)
        for piece in gradient.split(len(vector)):
            drawn = torch.randint(2, piece.shape, generator=signs, device=piece.device)
            vector[: len(piece)] += piece * (2 * drawn - 1)


def summed_loss(model: Model, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Cross-entropy of the labels, summed over tokens, in fp32."""
    inputs = {name: value for name, value in batch.items() if name != LABELS}
    logits = model(**inputs, use_cache=False).logits[:, :-1].float()
    labels = batch[LABELS][:, 1:].to(logits.device)
    return cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=UNTAUGHT, reduction="sum"
    )


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    """Of two gradients of a part, summed in fp64; NaN where one of them is 0."""
    first, second = one.double(), other.double()
    return float(first @ second / (first.norm() * second.norm()))
