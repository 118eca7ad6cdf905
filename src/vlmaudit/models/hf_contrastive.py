"""Contrastive models of the transformers library: CLIP, SigLIP, SigLIP 2, ALIGN and their kin."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
import transformers
from jaxtyping import Float, Int
from PIL.Image import Image, new

from vlmaudit.data.images import as_rgb
from vlmaudit.errors import CapabilityError
from vlmaudit.models.base import Construction
from vlmaudit.models.construction import Pixels, activation_of, preprocessing_of
from vlmaudit.models.devices import pick_device
from vlmaudit.models.hf_declared import declared
from vlmaudit.models.hf_files import Model, Processor, find, identity_of, without_chatter
from vlmaudit.models.loading import ModelSpec
from vlmaudit.models.memory import PICTURES_A_BATCH, TEXTS_A_BATCH, BatchSize, fitting
from vlmaudit.models.text_batches import PROBE_TEXTS, encode_by_length
from vlmaudit.models.vectors import TOLERANCES, unit_rows
from vlmaudit.models.weights import one_line, weights_digest
from vlmaudit.results.records import ModelRecord

_FEATURES: Final = ("get_image_features", "get_text_features")
_ENOUGH: Final = 1024  # tokens; a tokenizer without a limit says 10^30


class HfContrastive:
    """A model with `get_image_features` and `get_text_features`."""

    def __init__(
        self,
        model: Model,
        processor: Processor,
        *,
        record: ModelRecord,
        said: Construction,
        image_batch: int,
        text_batch: int,
    ) -> None:
        """Wrap a loaded model; `load` is the usual way here.

        Raises:
            CapabilityError: Pictures and texts do not come out as vectors of one space.
        """
        self._model = model
        self._tokenizer = processor.tokenizer
        self._image_processor = processor.image_processor
        self._record = record
        self._said = said
        self._image_batch = BatchSize(image_batch, what="picture", model=record.name)
        self._text_batch = BatchSize(text_batch, what="text", model=record.name)
        self._context = _context(model, processor)
        # SigLIP's text towers were trained on lower-case text, padded to the full length, and
        # without a mask over the padding; not every released tokenizer sees to all three.
        self._is_siglip = model.config.model_type.startswith("siglip")
        self._dim = self._common_dim()
        self._pads_in_full = True
        if not self._is_siglip:
            # Behind the end token of a causal tower, or under the mask of another, padding does
            # not count: believed once it has been seen to hold.
            full = self._encode_texts(PROBE_TEXTS, in_full=True)
            alone = [self._encode_texts([text], in_full=False) for text in PROBE_TEXTS]
            short = np.concatenate(alone)
            self._pads_in_full = not np.abs(short - full).max() <= TOLERANCES[record.dtype]

    @property
    def record(self) -> ModelRecord:
        """Which weights answer, and in which arithmetic."""
        return self._record

    @property
    def image_batch(self) -> int:
        """Pictures a batch as of now; out of memory makes it smaller."""
        return self._image_batch.now

    @property
    def text_batch(self) -> int:
        """Texts a batch as of now."""
        return self._text_batch.now

    @torch.inference_mode()
    def encode_images(self, images: Sequence[Image]) -> Float[np.ndarray, "images dim"]:
        """Unit-length image embeddings; NaN where the model gives no direction."""
        rows = np.empty((len(images), self._dim), dtype=np.float32)
        batches = self._image_batch.batches(
            len(images), lambda part: self._image_features(images[part])
        )
        for part, features in batches:
            rows[part] = features
        return unit_rows(rows)

    def encode_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        """Unit-length text embeddings."""
        return self._encode_texts(texts, in_full=self._pads_in_full)

    def encode_texts_in_full(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"] | None:
        """Text embeddings at the full length; None where `encode_texts` gives just that."""
        return None if self._pads_in_full else self._encode_texts(texts, in_full=True)

    def said(self) -> Construction:
        """What the checkpoint's own files declare."""
        return self._said

    def done(self) -> Construction:
        """What is found in the loaded towers, and measured on what they are handed."""
        channels, mean, std = preprocessing_of(self._handed) or (None, None, None)
        pixels = self._pixels([new("RGB", (64, 64))])["pixel_values"]
        return Construction(
            image_activation=activation_of(self._parts("vision", "visual", "image")),
            text_activation=activation_of(self._parts("text")),
            channels=channels,
            mean=mean,
            std=std,
            image_size=(pixels.shape[2], pixels.shape[3]) if pixels.ndim == 4 else None,
        )

    def _handed(self, images: Sequence[Image]) -> Pixels:
        """The pixel values of each picture, wherever they lie in it."""
        pixels = self._pixels(images)["pixel_values"]
        if pixels.ndim == 4:
            return pixels.flatten(start_dim=2).transpose(1, 2).numpy()
        # Cut into patches, each of which holds its pixels one by one.
        return pixels.reshape(len(images), -1, 3).numpy()

    def _parts(self, *beginnings: str) -> list[torch.nn.Module]:
        return [part for name, part in self._model.named_children() if name.startswith(beginnings)]

    @torch.inference_mode()
    def _encode_texts(
        self, texts: Sequence[str], *, in_full: bool
    ) -> Float[np.ndarray, "texts dim"]:
        if not texts:
            return np.empty((0, self._dim), dtype=np.float32)
        tokens = self._tokenize(texts)

        def encode(batch: Int[np.ndarray, " batch"], longest: int) -> Float[np.ndarray, "batch d"]:
            length = self._context if in_full else longest
            return self._text_features([tokens[row] for row in batch], length)

        lengths = np.array([len(each["input_ids"]) for each in tokens])
        rows = encode_by_length(lengths, encode, batch_size=self._text_batch, dim=self._dim)
        return unit_rows(rows)

    def _tokenize(self, texts: Sequence[str]) -> list[dict[str, list[int]]]:
        """Each text's tokens, without padding."""
        asked = [text.lower() for text in texts] if self._is_siglip else list(texts)
        columns = self._tokenizer(asked, truncation=True, max_length=self._context)
        if self._is_siglip:
            columns = {"input_ids": columns["input_ids"]}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _text_features(
        self, tokens: Sequence[Mapping[str, list[int]]], length: int
    ) -> Float[np.ndarray, "texts dim"]:
        padded = self._tokenizer.pad(
            list(tokens),
            padding="max_length",
            max_length=length,
            return_attention_mask="attention_mask" in tokens[0],
            return_tensors="pt",
        )
        return _pooled(self._model.get_text_features(**padded.to(self._model.device)))

    def _pixels(self, images: Sequence[Image]) -> transformers.BatchFeature:
        return self._image_processor([as_rgb(image) for image in images], return_tensors="pt")

    def _image_features(self, images: Sequence[Image]) -> Float[np.ndarray, "images dim"]:
        # Only what is not a whole number takes the model's dtype.
        moved = self._pixels(images).to(self._model.device, dtype=self._model.dtype)
        return _pooled(self._model.get_image_features(**moved))

    @torch.inference_mode()
    def _common_dim(self) -> int:
        try:
            pictures = self._image_features([new("RGB", (32, 32), "grey")])
            texts = self._text_features(self._tokenize(["a grey picture"]), self._context)
        except (TypeError, ValueError, AttributeError) as problem:
            raise CapabilityError(one_line(problem)) from problem
        if texts.ndim != 2 or pictures.shape != texts.shape:
            raise CapabilityError(f"shapes {pictures.shape} and {texts.shape}")
        return texts.shape[1]


def load(spec: ModelSpec, *, device: str, dtype: str, batch_size: int | None) -> HfContrastive:
    """Load a model from a folder or from the hub; its own code is never run.

    Raises:
        ModelError: It cannot be found, trusted or used.
        CapabilityError: It does not put pictures and texts into one space.
    """
    place = pick_device(spec, device)
    files = find(spec)
    with without_chatter(show_bars=spec.path is None):
        _require_features(spec, files.config())
        with fitting(spec.text):
            model = files.model(transformers.AutoModel, dtype).to(place)
        processor = files.processor()
    preprocessing = json.loads(processor.image_processor.to_json_string())
    record = ModelRecord(
        name=spec.public_name,
        family="hf",
        weights=weights_digest(
            model.state_dict(), tokenizer=identity_of(processor), preprocessing=preprocessing
        ),
        dtype=dtype,
        attention=str(getattr(model.config, "_attn_implementation", None) or "default"),
    )
    try:
        with fitting(spec.text):
            return HfContrastive(
                model,
                processor,
                record=record,
                said=declared(files.source, files.revision),
                image_batch=batch_size or PICTURES_A_BATCH,
                text_batch=batch_size or TEXTS_A_BATCH,
            )
    except CapabilityError as problem:
        raise _no_common_space(spec, type(model).__name__, f" ({problem})") from problem


def _require_features(spec: ModelSpec, config: transformers.PretrainedConfig) -> None:
    """Refuse by the class, before gigabytes are read."""
    known = transformers.MODEL_MAPPING.get(type(config), None)
    classes = known if isinstance(known, tuple | list) else [known]
    if not any(all(hasattr(each, method) for method in _FEATURES) for each in classes):
        raise _no_common_space(spec, config.model_type, "")


def _no_common_space(spec: ModelSpec, what: str, why: str) -> CapabilityError:
    return CapabilityError(
        f'model "{spec.text}": {what} does not put pictures and texts into one space{why}; this '
        "needs a contrastive model, such as CLIP or SigLIP."
    )


def _context(model: Model, processor: Processor) -> int:
    """The tokens a text is cut to: what tower, tokenizer and processor all can do."""
    limits = (
        getattr(model.config.get_text_config(), "max_position_embeddings", None),
        getattr(processor.tokenizer, "model_max_length", None),
        getattr(type(processor), "text_kwargs", {}).get("max_length"),
    )
    return min(int(limit) for limit in (*limits, _ENOUGH) if limit)


def _pooled(output: Any) -> Float[np.ndarray, "rows dim"]:  # noqa: ANN401
    """The embeddings in what a feature method returns.

    transformers 4 returned a tensor, transformers 5 returns the tower's whole output with the
    embedding in the place of the pooled state.
    """
    features = output if isinstance(output, torch.Tensor) else output.pooler_output
    return features.float().cpu().numpy()
