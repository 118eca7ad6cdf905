"""Questions with the answers that a model is taught, as it reads them: batched, with labels."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import torch
from PIL.Image import Image

from vlmaudit.models.asked import TOKENWISE, Asker
from vlmaudit.models.generative_families import Family
from vlmaudit.models.greedy import Inputs, ends_of, padding_of
from vlmaudit.models.hf_files import Model, Processor

Taught: TypeAlias = Mapping[str, torch.Tensor]
"""One question with its answer: what `forward` takes, a batch of one, and ``labels``."""

LABELS: Final = "labels"
UNTAUGHT: Final = -100
"""The label of what is not taught: the prompt, and padding."""

# What stands behind a prompt where an answer is: seen, of no picture, and no part of the prefix.
_BEHIND: Final = {"attention_mask": 1, "mm_token_type_ids": 0, "token_type_ids": 1}


class Conversations:
    """Makes inputs of pictures, questions and answers.

    An answer follows its question as it does where likelihoods are taken, and its end belongs to
    it. A conversation of several turns is taught turn by turn, each as the audit will ask; LLaVA's
    own training has all turns in one sequence.
    """

    def __init__(self, model: Model, processor: Processor, family: Family) -> None:
        """Take over a processor.

        Args:
            model: A decoder that `make_greedy` has seen.
            processor: Its own; an `Asker` takes it over.
            family: How it is asked.
        """
        self._model = model
        self._asker = Asker(processor, family, torch.device("cpu"))
        self._end = ends_of(model)[0]
        self._padding = padding_of(model)

    def asked(self, image: Image | None, prompts: Sequence[str]) -> list[Inputs]:
        """What the model is given for each prompt alone, on the CPU in fp32.

        Raises:
            ValueError: The processor does not take them.
        """
        return self._asker.inputs(image, prompts, torch.float32)

    def taught(
        self,
        image: Image | None,
        turns: Sequence[tuple[str, str]],
        *,
        max_length: int | None = None,
    ) -> list[Taught]:
        """A row a turn, on the CPU in fp32; the picture is prepared once.

        Args:
            image: The picture, or None.
            turns: Questions with their answers.
            max_length: Tokens of a row at most; what is longer loses the end of its answer.

        Raises:
            ValueError: The processor does not take them, or a question alone is too long.
        """
        asked = self.asked(image, [question for question, _ in turns])
        rows = []
        for (question, answer), inputs in zip(turns, asked, strict=True):
            (tokens,) = self._asker.continuations(question, [answer], has_picture=image is not None)
            rows.append(self._row(inputs, [*tokens, self._end], max_length))
        return rows

    def _row(self, inputs: Inputs, answer: list[int], max_length: int | None) -> Taught:
        before = inputs["input_ids"].shape[1]
        if max_length is not None:
            if before >= max_length:
                raise ValueError(f"a question of {before} tokens, with its picture")
            answer = answer[: max_length - before]
        row = dict(inputs)
        ids = torch.tensor([answer])
        row["input_ids"] = torch.cat([inputs["input_ids"], ids], dim=1)
        for name, behind in _BEHIND.items():
            if name in inputs:
                row[name] = torch.cat([inputs[name], torch.full_like(ids, behind)], dim=1)
        untaught = torch.full_like(inputs["input_ids"], UNTAUGHT)
        row[LABELS] = torch.cat([untaught, ids], dim=1)
        return row

    def together(self, rows: Sequence[Inputs]) -> dict[str, torch.Tensor]:
        """Rows in one batch, on the model's device and in its arithmetic.

        Padding stands behind, where a decoder does not see it. Pictures of several sizes are
        filled up with zeros, as transformers' own processors do.
        """
        fill = {"input_ids": self._padding, LABELS: UNTAUGHT}
        batch = {
            name: _padded(
                [row[name] for row in rows], fill.get(name, 0), name in {*fill, *TOKENWISE}
            )
            for name in rows[0]
        }
        device, dtype = self._model.device, self._model.dtype
        return {
            name: value.to(device, dtype if value.is_floating_point() else value.dtype)
            for name, value in batch.items()
        }


def lengths_of(batch: Mapping[str, Any]) -> torch.Tensor:
    """How many tokens of each row of a batch are no padding."""
    return batch["attention_mask"].sum(dim=1)


def _padded(tensors: Sequence[torch.Tensor], fill: int, is_tokenwise: bool) -> torch.Tensor:
    first = tensors[0]
    # Packed patches (Qwen-VL) stand one behind the other, however many a picture has.
    shapes = [tensor.shape[1:] for tensor in tensors]
    if not is_tokenwise and all(shape == shapes[0] for shape in shapes):
        return torch.cat(list(tensors))
    most = [max(sizes) for sizes in zip(*shapes, strict=True)]
    rows = sum(len(tensor) for tensor in tensors)
    padded = first.new_full((rows, *most), fill)
    start = 0
    for tensor in tensors:
        place = (slice(start, start + len(tensor)), *(slice(size) for size in tensor.shape[1:]))
        padded[place] = tensor
        start += len(tensor)
    return padded
