"""Prompts in batches of whole rows, with what a model sees in the picture computed once.

For models whose key/value cache cannot be shared between prompts: where the prompt is read both
ways (PaliGemma's prefix attention), where it goes through an encoder (BLIP-2 Flan-T5), or
where layers forget (sliding windows). Rows are padded on the left, so that all answers begin in
the same place.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from jaxtyping import Float

from vlmaudit.models.asked import TOKENWISE
from vlmaudit.models.greedy import Inputs, Said, generate
from vlmaudit.models.hf_files import Model
from vlmaudit.models.memory import BatchSize


class Seeing(Protocol):
    """How a picture reaches the part of a model that generates."""

    @property
    def generator(self) -> Model:
        """What `generate` is called on."""
        ...

    def see(self, asked: Inputs) -> Inputs:
        """What is computed once a picture, of any prompt's inputs."""
        ...

    def rows(self, tokens: Inputs, seen: Inputs) -> Inputs:
        """What `generate` is given for some prompts, whose tokens are padded alike."""
        ...


class Pixels:
    """Nothing is shared: the pixels go in with each row."""

    def __init__(self, model: Model) -> None:
        self.generator = model

    def see(self, asked: Inputs) -> Inputs:
        return {name: value for name, value in asked.items() if name not in TOKENWISE}

    def rows(self, tokens: Inputs, seen: Inputs) -> Inputs:
        n = len(tokens["input_ids"])
        return {**tokens, **{name: _times(value, n) for name, value in seen.items()}}


class Features:
    """The vision tower's output is handed to `generate`, which many models of the library take."""

    def __init__(self, model: Model) -> None:
        self.generator = model

    def see(self, asked: Inputs) -> Inputs:
        pictures = {name: value for name, value in asked.items() if name not in TOKENWISE}
        if not pictures:
            return {}
        features = self.generator.base_model.get_image_features(**pictures, return_dict=True)
        return {"pooler_output": features.pooler_output, "kind": type(features)}

    def rows(self, tokens: Inputs, seen: Inputs) -> Inputs:
        if not seen:
            return tokens
        n, features = len(tokens["input_ids"]), seen["pooler_output"]
        repeated = _times(features, n) if isinstance(features, torch.Tensor) else [*features] * n
        return {**tokens, "mm_encoder_outputs": {"image": seen["kind"](pooler_output=repeated)}}


class Queries:
    """BLIP-2: what the Q-Former makes of a picture stands in front of the words."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.generator = model.language_model

    def see(self, asked: Inputs) -> Inputs:
        seen = self._model.get_image_features(asked["pixel_values"], return_dict=True)
        return {"queries": seen.pooler_output}

    def rows(self, tokens: Inputs, seen: Inputs) -> Inputs:
        ids = tokens["input_ids"]
        embeddings = self._model.get_input_embeddings()(ids)
        is_query = (ids == self._model.config.image_token_id)[..., None]
        queries = _times(seen["queries"], len(ids)).to(embeddings.dtype)
        return {
            "inputs_embeds": embeddings.masked_scatter(is_query, queries),
            "attention_mask": tokens["attention_mask"],
        }


class WholeRows:
    """Answers prompts in batches of rows that hold the whole prompt."""

    def __init__(self, seeing: Seeing, batch: BatchSize, *, pad: int) -> None:
        """Answer with a model.

        Args:
            seeing: How pictures reach it.
            batch: Prompts a batch.
            pad: The token that fills up a row.
        """
        self._seeing = seeing
        self._batch = batch
        self._pad = pad

    @torch.inference_mode()
    def said(self, asked: Sequence[Inputs], max_new_tokens: int) -> Iterator[tuple[int, Said]]:
        """What comes out for each prompt, with the prompt's place.

        Args:
            asked: Prompts about one picture.
            max_new_tokens: Where an answer is cut off.

        Raises:
            OutOfMemoryError: Not even one prompt at a time fits.
        """
        seeing = self._seeing
        seen = seeing.see(asked[0])

        def answers(part: slice) -> list[Said]:
            tokens = padded(asked[part], self._pad)
            inputs = seeing.rows(tokens, seen)
            return list(generate(seeing.generator, inputs, max_new_tokens=max_new_tokens))

        for part, found in self._batch.batches(len(asked), answers):
            yield from zip(range(part.start, part.stop), found, strict=True)


def padded(asked: Sequence[Inputs], pad: int) -> dict[str, torch.Tensor]:
    """The tokens of several prompts as rows of one length, filled up on the left."""
    longest = max(each["input_ids"].shape[1] for each in asked)
    return {
        name: torch.cat(
            [_filled(each[name], longest, pad if name == "input_ids" else 0) for each in asked]
        )
        for name in TOKENWISE
        if name in asked[0]
    }


def are_alike(asked: Sequence[Inputs]) -> bool:
    """Whether prompts differ in their tokens alone, so that a picture is seen once for all."""
    first = _but_tokens(asked[0])
    return all(
        first.keys() == other.keys()
        and all(torch.equal(value, other[name]) for name, value in first.items())
        for other in map(_but_tokens, asked[1:])
    )


def _but_tokens(asked: Inputs) -> Mapping[str, Any]:
    return {name: value for name, value in asked.items() if name not in TOKENWISE}


def _filled(row: torch.Tensor, length: int, value: int) -> torch.Tensor:
    return torch.nn.functional.pad(row, (length - row.shape[1], 0), value=value)


def _times(tensor: Float[torch.Tensor, "one ..."], n: int) -> Float[torch.Tensor, "n ..."]:
    return tensor.repeat(n, *[1] * (tensor.ndim - 1))
