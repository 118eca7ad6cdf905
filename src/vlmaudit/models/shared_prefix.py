"""The engine: what prompts about a picture begin with is computed once and shared by all.

The picture's tokens stand at the beginning of a prompt, or near it. Their keys and values, and
those of whatever else all prompts begin with, do not depend on what follows in a causal model:
they are computed once a picture, and each batch of prompts continues from there:

    [shared prefix][padding][what is left of the prompt][answer]

The padding lies between prefix and rest, so that all answers begin in the same place; it is masked,
and positions are counted without it. The shared part is the longest common prefix of the *tokens*,
since tokens may cross the seam between template and words.

In fp32 the answers are those of asking each prompt alone, token for token. In narrower arithmetic
sums of another order round to other numbers: there the engine is as exact as batches are.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch
import transformers
from jaxtyping import Float
from transformers.cache_utils import DynamicLayer

from vlmaudit.models.asked import TOKENWISE
from vlmaudit.models.greedy import Inputs, Said, generate
from vlmaudit.models.hf_files import Model
from vlmaudit.models.memory import BatchSize

_SPARE: Final = 1  # a token that a generation loop may write behind the last


class SharedPrefix:
    """Answers prompts in batches of rows that continue from a shared prefix."""

    def __init__(self, model: Model, batch: BatchSize, *, pad: int) -> None:
        """Answer with a model.

        Args:
            model: A causal model whose layers keep all they have seen.
            batch: Prompts a batch.
            pad: The token that fills up a row.
        """
        self._model = model
        self._batch = batch
        self._pad = pad

    @torch.inference_mode()
    def said(self, asked: Sequence[Inputs], max_new_tokens: int) -> Iterator[tuple[int, Said]]:
        """What comes out for each prompt, with the prompt's place; short prompts come first.

        Args:
            asked: Prompts about one picture that share its tokens (`shared_length`).
            max_new_tokens: Where an answer is cut off.

        Raises:
            OutOfMemoryError: Not even one prompt at a time fits.
        """
        prompts = [each["input_ids"][0].tolist() for each in asked]
        length = shared_length(prompts)
        prefix = encode(self._model, asked[0], length)
        rests = [prompt[length:] for prompt in prompts]
        order = sorted(range(len(rests)), key=lambda place: len(rests[place]))
        room = max(map(len, rests)) + max_new_tokens + _SPARE
        rows = _Rows(prefix, room)

        def answers(part: slice) -> list[Said]:
            batch = [rests[place] for place in order[part]]
            longest = max(map(len, batch))
            pads = [longest - len(rest) for rest in batch]
            ids = [
                prompts[0][:length] + [self._pad] * n + rest
                for n, rest in zip(pads, batch, strict=True)
            ]
            mask = [[1] * length + [0] * n + [1] * (longest - n) for n in pads]
            device = prefix.layers[0].keys.device
            inputs = {
                "input_ids": torch.tensor(ids, device=device),
                "attention_mask": torch.tensor(mask, device=device),
                "past_key_values": rows.take(len(batch)),
            }
            try:
                return list(generate(self._model, inputs, max_new_tokens=max_new_tokens))
            except Exception:
                rows.release()  # where memory ran out, the half of a batch must find room
                raise

        for part, found in self._batch.batches(len(order), answers):
            yield from zip(order[part], found, strict=True)


def encode(model: Model, asked: Inputs, length: int) -> transformers.DynamicCache:
    """Keys and values of a prompt's first tokens, batch of one.

    Args:
        model: A causal model.
        asked: A prompt's inputs; all pictures lie within the first tokens.
        length: How many tokens.
    """
    return forward(model, asked, length).past_key_values


@torch.inference_mode()
def forward(model: Model, asked: Inputs, length: int) -> Any:  # noqa: ANN401
    """The model's output behind a prompt's first tokens, with `logits` of the last and a cache."""
    _forget_positions(model)
    inputs = {
        name: value[:, :length] if name in TOKENWISE else value for name, value in asked.items()
    }
    cache = transformers.DynamicCache(config=model.config)
    return model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)


def shared_length(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with; each is left at least one of its own.

    >>> shared_length([[1, 9, 9, 5, 6], [1, 9, 9, 7]])
    3
    >>> shared_length([[1, 2], [1, 2]])
    1
    """
    shortest = min(map(len, prompts))
    for place in range(shortest - 1):
        if len({prompt[place] for prompt in prompts}) > 1:
            return place
    return max(shortest - 1, 0)


def keeps_everything(model: Model) -> bool:
    """Whether each layer keeps the keys and values of all tokens: no window, no running state."""
    layers = transformers.DynamicCache(config=model.config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


class _Rows:
    """Room for some rows that begin with the prefix; a batch overwrites what the last one wrote.

    The library's own cache is copied whole for every token; at 576 image tokens that would take
    longer than thinking.
    """

    def __init__(self, prefix: transformers.DynamicCache, room: int) -> None:
        self._prefix = prefix
        self._room = room
        self._rows: list[_Layer] = []
        self._n = 0

    def take(self, n: int) -> transformers.Cache:
        """A cache of `n` rows that holds the prefix and nothing else."""
        if n > self._n:
            self.release()  # given back before more is asked for
            self._rows = [_Layer(layer, n, self._room) for layer in self._prefix.layers]
            self._n = n
        for layer in self._rows:
            layer.rewind(n)
        return transformers.Cache(layers=self._rows)

    def release(self) -> None:
        """Give the room back."""
        self._rows, self._n = [], 0


class _Layer(DynamicLayer):  # type: ignore[misc]  # of a library without types
    """Keys and values of one layer, written into a buffer that is there from the beginning."""

    def __init__(self, prefix: DynamicLayer, rows: int, room: int) -> None:
        super().__init__()
        self.dtype, self.device = prefix.keys.dtype, prefix.keys.device
        self.is_initialized = True
        self._length = prefix.keys.shape[-2]
        self._all_keys = _buffer(prefix.keys, rows, room)
        self._all_values = _buffer(prefix.values, rows, room)
        self.rewind(rows)

    def rewind(self, rows: int) -> None:
        """Forget all but the prefix, and take on some rows."""
        self._n = rows
        self._show(self._length)

    def update(
        self,
        key_states: Float[torch.Tensor, "rows heads new dim"],
        value_states: Float[torch.Tensor, "rows heads new dim"],
        *args: object,
        **kwargs: object,
    ) -> tuple[
        Float[torch.Tensor, "rows heads all dim"], Float[torch.Tensor, "rows heads all dim"]
    ]:
        """Write new keys and values behind the old ones; all of them."""
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        self._all_keys[: self._n, :, start:end] = key_states
        self._all_values[: self._n, :, start:end] = value_states
        self._show(end)
        return self.keys, self.values

    def _show(self, end: int) -> None:
        self.keys = self._all_keys[: self._n, :, :end]
        self.values = self._all_values[: self._n, :, :end]


def _buffer(
    prefix: Float[torch.Tensor, "one heads tokens dim"], rows: int, room: int
) -> Float[torch.Tensor, "rows heads all dim"]:
    _, heads, tokens, dim = prefix.shape
    buffer = prefix.new_empty(rows, heads, tokens + room, dim)
    buffer[:, :, :tokens] = prefix
    return buffer


def _forget_positions(model: Model) -> None:
    """Qwen's models remember where the last picture's positions ended."""
    for module in model.modules():
        if getattr(module, "rope_deltas", None) is not None:
            module.rope_deltas = None
