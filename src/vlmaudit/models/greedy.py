"""Greedy generation: what a model says when nothing is left to chance."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import torch
import transformers
from jaxtyping import Bool, Float, Int

from vlmaudit.models.hf_files import Model

Inputs: TypeAlias = Mapping[str, Any]
"""What `generate` and `forward` are given, by name: tensors, mostly."""

# All that is kept of how a checkpoint wants to generate. Sampling, beams, penalties, suppressed
# tokens and shortest lengths would make an answer another than the most likely one.
_KEPT: Final = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")


@dataclass(frozen=True, slots=True)
class Said:
    """What came out for one prompt.

    Attributes:
        tokens: The new tokens, up to and with the one that ended the answer.
        is_finite: Whether all logits on the way were numbers.
        first: The logits of the first new token.
    """

    tokens: tuple[int, ...]
    is_finite: bool
    first: Float[torch.Tensor, " vocabulary"]


def make_greedy(model: Model, tokenizer: Any) -> None:  # noqa: ANN401
    """Leave a model no way of generating but the greedy one; only its token ids are kept.

    Sub-models that generate, such as BLIP-2's language model, keep their own ids.
    """
    for module in model.modules():
        settings = getattr(module, "generation_config", None)
        if settings is None:
            continue
        kept = {name: getattr(settings, name, None) for name in _KEPT}
        if kept["pad_token_id"] is None:
            kept["pad_token_id"] = tokenizer.pad_token_id
        if kept["eos_token_id"] is None:
            kept["eos_token_id"] = tokenizer.eos_token_id
        if kept["pad_token_id"] is None:
            kept["pad_token_id"] = _as_list(kept["eos_token_id"])[0]
        module.generation_config = transformers.GenerationConfig(**kept)


def speaker_of(model: Model) -> Model:
    """The part of a model that generates: BLIP-2 has it in a language model of its own."""
    inner = getattr(model, "language_model", None)
    return inner if hasattr(inner, "generate") else model


def ends_of(model: Model) -> list[int]:
    """The tokens that end an answer; the first is what ends a turn."""
    return _as_list(speaker_of(model).generation_config.eos_token_id)


def padding_of(model: Model) -> int:
    """The token that fills up a row where nothing is said."""
    return speaker_of(model).generation_config.pad_token_id


@torch.inference_mode()
def generate(model: Model, inputs: Inputs, *, max_new_tokens: int) -> Iterator[Said]:
    """What the model says to each row, in order.

    Args:
        model: A model of transformers that `make_greedy` has seen.
        inputs: Batched by row, padded where no token is new.
        max_new_tokens: Where an answer is cut off.
    """
    watch = _Watch()
    tokens = model.generate(
        **inputs,
        do_sample=False,
        num_beams=1,
        use_cache=True,
        max_new_tokens=max_new_tokens,
        logits_processor=transformers.LogitsProcessorList([watch]),
    )
    # Encoder-decoders return a start token and no prompt, others return the prompt, or do not
    # where they were given embeddings: the new tokens are as many as there were steps.
    ends = set(ends_of(model))
    new = tokens[:, tokens.shape[1] - watch.steps :].tolist()
    assert watch.first is not None
    assert watch.is_finite is not None
    for row, is_finite, first in zip(new, watch.is_finite.tolist(), watch.first, strict=True):
        end = next((place for place, token in enumerate(row) if token in ends), len(row) - 1)
        yield Said(tuple(row[: end + 1]), is_finite, first)


class _Watch(transformers.LogitsProcessor):  # type: ignore[misc]  # of a library without types
    """Changes nothing, and sees all logits that are chosen from."""

    def __init__(self) -> None:
        self.steps = 0
        self.first: Float[torch.Tensor, "rows vocabulary"] | None = None
        self.is_finite: Bool[torch.Tensor, " rows"] | None = None

    def __call__(
        self,
        input_ids: Int[torch.Tensor, "rows tokens"],
        scores: Float[torch.Tensor, "rows vocabulary"],
    ) -> Float[torch.Tensor, "rows vocabulary"]:
        self.steps += 1
        is_finite = ~scores.isnan().any(dim=-1)
        if self.first is None or self.is_finite is None:
            self.first, self.is_finite = scores.clone(), is_finite
        else:
            self.is_finite &= is_finite
        return scores


def _as_list(ids: int | list[int] | None) -> list[int]:
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)
