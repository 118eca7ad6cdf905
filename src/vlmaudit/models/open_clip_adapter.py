"""OpenCLIP checkpoints: published weights, files and folders."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import open_clip
import torch
from jaxtyping import Float, Int
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL.Image import Image, new
from torch import nn
from torch.func import functional_call

from vlmaudit.data.images import as_rgb
from vlmaudit.models.base import Construction
from vlmaudit.models.construction import activation_of, preprocessing_of
from vlmaudit.models.devices import pick_device
from vlmaudit.models.loading import ModelSpec
from vlmaudit.models.memory import (
    PICTURES_A_BATCH,
    TEXTS_A_BATCH,
    BatchSize,
    fitting,
    is_out_of_memory,
)
from vlmaudit.models.open_clip_sources import Source, find
from vlmaudit.models.text_batches import PROBE_TEXTS, encode_by_length
from vlmaudit.models.vectors import TOLERANCES, unit_rows
from vlmaudit.models.weights import (
    Shapes,
    checkpoint_shapes,
    one_line,
    weights_digest,
    why_no_hub,
)
from vlmaudit.results.records import ModelRecord

# open_clip says nothing of types: CLIP, CustomTextCLIP or CoCa, and several tokenizers.
Model: TypeAlias = Any
Tokenizer: TypeAlias = Any


_PRECISIONS: Final = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


class OpenClip:
    """A contrastive model of the open_clip library."""

    def __init__(
        self,
        model: Model,
        *,
        tokenizer: Tokenizer,
        record: ModelRecord,
        said: Construction,
        device: torch.device,
        image_batch: int,
        text_batch: int,
    ) -> None:
        """Wrap a loaded model; `load` is the usual way here."""
        self._model = model
        self._tokenizer = tokenizer
        self._record = record
        self._said = said
        self._device = device
        self._image_batch = BatchSize(image_batch, what="picture", model=record.name)
        self._text_batch = BatchSize(text_batch, what="text", model=record.name)
        self._prepare = image_transform_v2(
            PreprocessCfg(**model.visual.preprocess_cfg), is_train=False
        )
        self._input_dtype = open_clip.get_input_dtype(_PRECISIONS[record.dtype])
        tokens = self._tokenize(PROBE_TEXTS)
        full = self._encode_tokens(tokens)
        self._dim = full.shape[1]
        self._tower = _CausalTower.of(model)
        if self._tower is not None:
            # What a tower's attributes promise is believed once it has been seen to hold.
            twos = BatchSize(2, what="text", model=record.name)
            cut = self._encode_tokens_cut(self._tower, tokens, batch_size=twos)
            if not np.abs(cut - full).max() <= TOLERANCES[record.dtype]:
                self._tower = None

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

        def encode(part: slice) -> Float[np.ndarray, "batch dim"]:
            pixels = self._pixels(images[part]).to(self._device, self._input_dtype)
            return _to_numpy(self._model.encode_image(pixels))

        for part, features in self._image_batch.batches(len(images), encode):
            rows[part] = features
        return unit_rows(rows)

    def encode_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        """Unit-length text embeddings."""
        if not texts:
            return np.empty((0, self._dim), dtype=np.float32)
        tokens = self._tokenize(texts)
        if self._tower is None:
            return self._encode_tokens(tokens)
        return self._encode_tokens_cut(self._tower, tokens, batch_size=self._text_batch)

    def encode_texts_in_full(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"] | None:
        """Text embeddings at the tower's full length; None where `encode_texts` gives just that."""
        return None if self._tower is None else self._encode_tokens(self._tokenize(texts))

    def said(self) -> Construction:
        """What the checkpoint's own files declare."""
        return self._said

    def done(self) -> Construction:
        """What is found in the loaded towers, and measured on what they are handed."""
        pixels = self._pixels([new("RGB", (64, 64))])
        measured = preprocessing_of(
            lambda images: self._pixels(images).flatten(start_dim=2).transpose(1, 2).numpy()
        )
        channels, mean, std = measured or (None, None, None)
        text_tower = getattr(self._model, "text", None) or self._model.transformer
        return Construction(
            image_activation=activation_of([self._model.visual]),
            text_activation=activation_of([text_tower]),
            channels=channels,
            mean=mean,
            std=std,
            image_size=(pixels.shape[2], pixels.shape[3]),
        )

    def _pixels(
        self, images: Sequence[Image]
    ) -> Float[torch.Tensor, "images channels height width"]:
        return torch.stack([self._prepare(as_rgb(image)) for image in images])

    def _tokenize(self, texts: Sequence[str]) -> Int[torch.Tensor, "texts context"]:
        return self._tokenizer(list(texts)).to(torch.int32)

    @torch.inference_mode()
    def _encode_tokens(
        self, tokens: Int[torch.Tensor, "texts context"]
    ) -> Float[np.ndarray, "texts dim"]:
        """Embeddings at the tower's full length."""

        def encode(part: slice) -> Float[np.ndarray, "batch dim"]:
            return _to_numpy(self._model.encode_text(tokens[part].to(self._device)))

        batches = self._text_batch.batches(len(tokens), encode)
        return unit_rows(np.concatenate([features for _, features in batches]))

    @torch.inference_mode()
    def _encode_tokens_cut(
        self,
        tower: "_CausalTower",
        tokens: Int[torch.Tensor, "texts context"],
        *,
        batch_size: BatchSize,
    ) -> Float[np.ndarray, "texts dim"]:
        """Embeddings of batches that stop at their last pooled token."""

        def encode(batch: Int[np.ndarray, " batch"], longest: int) -> Float[np.ndarray, "batch d"]:
            cut = tokens[torch.from_numpy(batch), :longest]
            return _to_numpy(tower.encode_text(cut.to(self._device)))

        lengths = tower.pooled_positions(tokens).numpy() + 1
        return unit_rows(encode_by_length(lengths, encode, batch_size=batch_size, dim=self._dim))


class _CausalTower:
    """A text tower whose embedding is read at one token and looks at nothing behind it.

    The tokens behind it, mostly padding, are then computed in vain. open_clip adds the position
    table and the attention mask in full, whatever the length of the text, so that both are
    replaced by their beginnings for the time of a call.
    """

    def __init__(self, model: Model, prefix: str, end_token: int | None) -> None:
        self._call = _EncodeText(model)
        self._prefix = f"model.{prefix}"
        self._end_token = end_token
        tower = model.get_submodule(prefix.removesuffix("."))
        self._positions = tower.positional_embedding
        self._mask = tower.attn_mask

    @classmethod
    def of(cls, model: Model) -> "_CausalTower | None":
        """The model's text tower, where it is of a kind known to be causal; else None."""
        if isinstance(model, open_clip.CLIP):
            prefix, tower = "", model
            pooling, end_token = model.text_pool_type, model.text_eos_id
        elif isinstance(
            tower := getattr(model, "text", None), open_clip.transformer.TextTransformer
        ):
            if tower.cls_emb is not None or tower.use_pad_mask:
                return None
            prefix, pooling, end_token = "text.", tower.pool_type, tower.eos_id
        else:
            return None
        if pooling not in {"argmax", "eos"} or tower.attn_mask is None:
            return None
        return cls(model, prefix, end_token if pooling == "eos" else None)

    def pooled_positions(
        self, tokens: Int[torch.Tensor, "texts context"]
    ) -> Int[torch.Tensor, " texts"]:
        """Where each text's embedding is read: at its end token, or at its highest token."""
        if self._end_token is None:
            return tokens.argmax(dim=-1)
        return (tokens == self._end_token).int().argmax(dim=-1)

    def encode_text(
        self, tokens: Int[torch.Tensor, "batch length"]
    ) -> Float[torch.Tensor, "batch dim"]:
        """The features of texts that were cut to any one length."""
        length = tokens.shape[1]
        beginnings = {
            f"{self._prefix}positional_embedding": self._positions[:length],
            f"{self._prefix}attn_mask": self._mask[:length, :length],
        }
        return functional_call(self._call, beginnings, (tokens,))


class _EncodeText(nn.Module):
    """Makes `encode_text` the forward pass, which is what `functional_call` calls."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.model.encode_text(tokens)


def load(spec: ModelSpec, *, device: str, dtype: str, batch_size: int | None) -> OpenClip:
    """Load an open_clip model.

    Raises:
        ModelError: It cannot be found, trusted or used as it is asked for.
    """
    place = pick_device(spec, device)
    source = find(spec)
    shapes = checkpoint_shapes(spec, source.checkpoint)
    with fitting(spec.text):
        model = _build(spec, source, place, dtype)
    if spec.path is not None:
        _refuse_resized(spec, source, shapes, model)
    tokenizer = _tokenizer(spec, source)
    record = ModelRecord(
        name=spec.public_name,
        family="open_clip",
        weights=weights_digest(
            model.state_dict(),
            tokenizer=_identity(tokenizer),
            preprocessing=_plain(model.visual.preprocess_cfg),
        ),
        dtype=dtype,
    )
    try:
        return OpenClip(
            model,
            tokenizer=tokenizer,
            record=record,
            said=source.said,
            device=place,
            image_batch=batch_size or PICTURES_A_BATCH,
            text_batch=batch_size or TEXTS_A_BATCH,
        )
    except RuntimeError as problem:
        if dtype == "float32":
            raise
        # Not every architecture of the library can mix dtypes.
        raise spec.error(
            f"open_clip cannot run it in {dtype} ({one_line(problem)}); use float32."
        ) from problem


def _build(spec: ModelSpec, source: Source, device: torch.device, dtype: str) -> Model:
    in_folder = source.architecture.startswith("local-dir:")
    try:
        model = open_clip.create_model(
            source.architecture,
            pretrained=None if in_folder else str(source.checkpoint.absolute()),
            precision=_PRECISIONS[dtype],
            device=device,
            force_preprocess_cfg=dict(source.preprocessing),
            pretrained_text=False,  # else the hub is asked for a text tower that is then replaced
            weights_only=True,
        )
    # The library raises nearly anything on weights and configurations that do not go together.
    except Exception as problem:
        if is_out_of_memory(problem):
            raise
        unfit = "state_dict" in str(problem)
        what = f"{source.checkpoint.name} does not fit" if unfit else "open_clip cannot build"
        raise spec.error(f"{what} the architecture ({one_line(problem)}).") from problem
    return model.eval().requires_grad_(False)


def _refuse_resized(spec: ModelSpec, source: Source, shapes: Shapes, model: Model) -> None:
    """Refuse weights made for pictures or texts of another size.

    open_clip stretches their position tables to fit, without a word: a model that nobody trained.
    """
    tables = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name, there in shapes.items():
        plain = name.removeprefix("module.")
        here = tables.get(plain, tables.get(f"text.{plain}"))
        if plain.endswith("positional_embedding") and here not in {None, there}:
            raise spec.error(
                f"{source.checkpoint.name} does not fit the architecture: {plain} is "
                f"{_size(there)} in the file and {_size(here)} in the model."
            )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _tokenizer(spec: ModelSpec, source: Source) -> Tokenizer:
    try:
        return open_clip.get_tokenizer(source.architecture)
    except Exception as problem:
        raise spec.error(
            f"its tokenizer is not on this machine, and {why_no_hub(problem)}. Give a folder that "
            "holds it: open_clip:./folder."
        ) from problem


def _identity(tokenizer: Tokenizer) -> dict[str, Any]:
    """What makes two tokenizers the same: the vocabulary, and what they make of some texts."""
    inner = getattr(tokenizer, "tokenizer", None)
    vocabulary = inner.get_vocab() if inner is not None else getattr(tokenizer, "encoder", {})
    return {"vocabulary": vocabulary, "tokens": tokenizer(list(PROBE_TEXTS)).tolist()}


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as JSON knows it: a tuple and a list are the same there."""
    return json.loads(json.dumps(dict(config), default=str))


def _to_numpy(features: torch.Tensor) -> Float[np.ndarray, "rows dim"]:
    return features.float().cpu().numpy()
