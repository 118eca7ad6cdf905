"""Checkpoints of transformers looked into: states of every layer, gradients of every part."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from PIL.Image import Image

from vlmaudit.models.answer_gradients import AnswerGradients, cosine
from vlmaudit.models.base import Example, TokenChoice
from vlmaudit.models.conversations import Conversations, lengths_of
from vlmaudit.models.generative_families import Family
from vlmaudit.models.greedy import Inputs, speaker_of
from vlmaudit.models.hf_files import Model, Processor
from vlmaudit.models.hf_generative import open_checkpoint
from vlmaudit.models.loading import ModelSpec
from vlmaudit.models.memory import BatchSize
from vlmaudit.models.module_names import in_order, layers_of, modules_of
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.models.sharing import picture_token
from vlmaudit.models.weights import one_line
from vlmaudit.results.records import ModelRecord

ITEMS_A_BATCH: Final = 16


def load(
    spec: ModelSpec, *, device: str, dtype: str, batch_size: int | None = None
) -> "HfWhiteBox":
    """Load a model from a folder or from the hub.

    Raises:
        ModelError: It cannot be found or used, or its layers cannot be named.
        CapabilityError: It does not answer questions about pictures.
    """
    options = GenerativeOptions(device=device, dtype=dtype, batch_size=batch_size)
    opened = open_checkpoint(spec, options)
    if speaker_of(opened.model).config.is_encoder_decoder:
        raise spec.error(
            "its language model is an encoder with a decoder; states and gradients are taken of "
            "decoders, such as LLaVA's."
        )
    return HfWhiteBox(
        spec,
        opened.model,
        opened.processor,
        opened.family,
        record=opened.record,
        batch_size=batch_size or ITEMS_A_BATCH,
    )


class HfWhiteBox:
    """Shows states and gradients of a decoder that sees."""

    def __init__(
        self,
        spec: ModelSpec,
        model: Model,
        processor: Processor,
        family: Family,
        *,
        record: ModelRecord,
        batch_size: int,
    ) -> None:
        """Wrap a loaded model.

        Raises:
            ModelError: Its layers cannot be named.
        """
        self._spec = spec
        self._model = model
        self._record = record
        self._conversations = Conversations(model, processor, family)
        self._batch = BatchSize(batch_size, what="item", model=record.name)
        self._layers = ["embeddings"]
        self._layers += [f"layer {n}" for n in range(1, 1 + len(layers_of(spec, model)))]
        parts = modules_of(spec, model)
        self._modules = in_order(list(parts.values()))
        self._gradients = AnswerGradients(model, self._conversations, parts, batch=self._batch)

    @property
    def record(self) -> ModelRecord:
        """Which weights they are, and in which arithmetic."""
        return self._record

    @property
    def layers(self) -> Sequence[str]:
        """What enters the first layer, and what leaves each; the last after the final norm."""
        return tuple(self._layers)

    @property
    def modules(self) -> Sequence[str]:
        """Vision tower, projector, embeddings, and the language model layer by layer."""
        return tuple(self._modules)

    def capture_states(
        self, images: Sequence[Image], prompts: Sequence[str], token: TokenChoice
    ) -> Float[np.ndarray, "items layers width"]:
        """Hidden states of every layer while prompts are read; see `WhiteBoxModel`."""
        rows = [self._inputs(image, prompt) for image, prompt in zip(images, prompts, strict=True)]
        parts = [
            states
            for _, states in self._batch.batches(
                len(rows), lambda part: self._states(rows[part], token)
            )
        ]
        return np.concatenate(parts)

    def gradient_cosines(
        self,
        clean: Sequence[Example],
        others: Mapping[str, Sequence[Example]],
        modules: Sequence[str],
    ) -> dict[str, dict[str, float]]:
        """Cosine between the gradient of a mini-batch and those of others; see `WhiteBoxModel`.

        Two gradients are held at a time, however many others there are.
        """
        first = self._gradients.of(clean, "the clean mini-batch")
        cosines = {}
        for name, examples in others.items():
            second = self._gradients.of(examples, f"the mini-batch {name}")
            cosines[name] = {part: cosine(first[part], second[part]) for part in modules}
        return cosines

    def gradient(
        self, examples: Sequence[Example], modules: Sequence[str]
    ) -> dict[str, Float[np.ndarray, " parameters"]]:
        """The gradient of a mini-batch by part, in the order of the model's parameters."""
        found = self._gradients.of(examples, "the mini-batch")
        return {part: found[part].cpu().numpy() for part in modules}

    def close(self) -> None:
        """Nothing is held open."""

    def _inputs(self, image: Image, prompt: str) -> Inputs:
        try:
            (asked,) = self._conversations.asked(image, [prompt])
        except (ValueError, RuntimeError, TypeError, IndexError) as problem:
            raise self._spec.error(
                f"it does not take a picture ({one_line(problem)})."
            ) from problem
        return asked

    @torch.inference_mode()
    def _states(
        self, rows: Sequence[Inputs], token: TokenChoice
    ) -> Float[np.ndarray, "items layers width"]:
        batch = self._conversations.together(rows)
        shown = self._model(**batch, use_cache=False, output_hidden_states=True)
        # BLIP-2 keeps the language model's output apart.
        hidden = getattr(shown, "language_model_outputs", shown).hidden_states
        share = self._shares(batch, token).to(hidden[0].device)
        kept = [torch.einsum("it,itw->iw", share, layer.float()) for layer in hidden]
        states = torch.stack(kept, dim=1)
        if not torch.isfinite(states).all():
            raise self._spec.error("a hidden state is not a finite number; try --dtype float32.")
        return states.cpu().numpy()

    def _shares(
        self, batch: Mapping[str, torch.Tensor], token: TokenChoice
    ) -> Float[torch.Tensor, "items tokens"]:
        """How much of each token's state is kept."""
        mask, lengths = batch["attention_mask"], lengths_of(batch)
        if token == "all":
            chosen = mask.float()
        elif token == "image":
            chosen = torch.eq(batch["input_ids"], picture_token(self._model) or -1).float()
        else:
            places = lengths + (-1 if token == "last" else token)
            if int(places.min()) < 0:
                raise self._spec.error(f"a prompt of {int(lengths.min())} tokens has no {token}.")
            chosen = torch.zeros(mask.shape, device=mask.device)
            chosen[torch.arange(len(mask)), places] = 1
        total = chosen.sum(dim=1, keepdim=True)
        if not bool(total.all()):
            raise self._spec.error("a picture has no tokens of its own in the prompt.")
        return chosen / total
