"""From a model's spec, as written on the command line, to a model that answers.

    open_clip:ARCH/TAG        published weights, such as open_clip:ViT-B-16/laion400m_e32
    open_clip:ARCH@FILE       a checkpoint file of a known architecture
    open_clip:./folder        a folder with open_clip_config.json and a checkpoint
    hf:ORG/NAME[@REVISION]    a repository of the Hugging Face hub
    hf:./folder               a folder that save_pretrained wrote
    scripted:FILE             a fake that knows whom the JSON file says

A path starts with `/`, `./`, `../` or `~`. Model libraries are imported by the adapter, and only
when a model is loaded.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from vlmaudit.errors import ModelError, did_you_mean
from vlmaudit.models.base import ContrastiveModel

Dtype = Literal["float32", "bfloat16", "float16"]
DTYPES: Final[tuple[Dtype, ...]] = ("float32", "bfloat16", "float16")
DEVICES: Final = ("cpu", "auto", "cuda", "mps")

# "module:function"; each takes (spec, device=, dtype=, batch_size=) and returns the model.
_CONTRASTIVE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "open_clip": "vlmaudit.models.open_clip_adapter:load",
        "hf": "vlmaudit.models.hf_contrastive:load",
        "scripted": "vlmaudit.models.scripted:load",
    }
)

_FORMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "open_clip": "open_clip:ARCH/TAG, open_clip:ARCH@FILE or open_clip:./folder",
        "hf": "hf:ORG/NAME, hf:ORG/NAME@REVISION or hf:./folder",
        "scripted": "scripted:FILE",
    }
)

# Model libraries report usage, and transformers starts a thread that asks the hub to convert a
# repository to safetensors: an audit sends nothing to anyone.
_KEEP_QUIET: Final = ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "DISABLE_SAFETENSORS_CONVERSION")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as it was asked for, taken apart."""

    text: str
    """What was asked for, word for word."""
    scheme: str
    """open_clip, hf or scripted."""
    name: str = ""
    """An open_clip architecture or a hub repository; empty for a folder."""
    variant: str = ""
    """The tag of published open_clip weights, or a repository's revision."""
    path: Path | None = None
    """The file or folder on this machine."""

    @property
    def public_name(self) -> str:
        """The spec without the path of any machine, as findings name the model.

        >>> parse_spec("open_clip:RN50@/home/ada/models/run7.pt").public_name
        'open_clip:RN50@run7.pt'
        >>> parse_spec("hf:~/models/tiny/").public_name
        'hf:tiny'
        """
        if self.path is None:
            return self.text
        # "." and ".." say what they are called only once they are resolved.
        base = self.path.name if self.path.name not in {"", ".."} else self.path.resolve().name
        return f"{self.scheme}:{self.name}@{base}" if self.name else f"{self.scheme}:{base}"

    def error(self, reason: str) -> ModelError:
        """The one-line error that says which model it is about."""
        return ModelError(f'model "{self.text}": {reason}')


def parse_spec(text: str) -> ModelSpec:
    """Take a spec apart; whether the model exists is not looked up.

    >>> parse_spec("open_clip:ViT-B-16/laion400m_e32").variant
    'laion400m_e32'
    >>> parse_spec("hf:openai/clip-vit-base-patch32").name
    'openai/clip-vit-base-patch32'

    Raises:
        ModelError: The scheme is unknown or what follows it has another form.
    """
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in _CONTRASTIVE:
        hint = did_you_mean(scheme, _CONTRASTIVE)
        what = f'no such kind of model as "{scheme}".' if colon else "no kind of model is named."
        raise ModelError(f'model "{text}": {what}{hint} A model is {_all_forms()}.')
    if not rest:
        raise _malformed(text, scheme)
    if scheme == "scripted" or _is_path(rest):
        return ModelSpec(text, scheme, path=Path(rest).expanduser())
    return _open_clip(text, rest) if scheme == "open_clip" else _hub(text, rest)


def model_folder(text: str) -> Path | None:
    """The folder a local model lies in, or None for what has no place on this machine.

    >>> str(model_folder("open_clip:RN50@/models/run7.pt"))
    '/models'
    """
    path = parse_spec(text).path
    if path is None or path.is_dir():
        return path
    return path.parent


def load_contrastive(
    spec: str,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    batch_size: int | None = None,
) -> ContrastiveModel:
    """Load the model that a spec names.

    Args:
        spec: Such as "open_clip:ViT-B-16/laion400m_e32"; see the top of this module.
        device: "cpu", "cuda" (or "cuda:1"), "mps", or "auto" for the best there is.
        dtype: Arithmetic inside the model; embeddings are returned in fp32 all the same.
        batch_size: Pictures and texts a batch; None leaves it to the adapter.

    Raises:
        ModelError: The model cannot be found, loaded or trusted.
        CapabilityError: The model does not put pictures and texts into one space.
    """
    parsed = parse_spec(spec)
    if device.partition(":")[0] not in DEVICES:
        raise parsed.error(
            f'no such device as "{device}".{did_you_mean(device, DEVICES)} '
            f"Known: {', '.join(DEVICES)}."
        )
    if dtype not in DTYPES:
        raise parsed.error(
            f'no such dtype as "{dtype}".{did_you_mean(dtype, DTYPES)} Known: {", ".join(DTYPES)}.'
        )
    if batch_size is not None and batch_size < 1:
        raise parsed.error(f"a batch of {batch_size} holds nothing; give 1 or more.")
    os.environ.update(dict.fromkeys(_KEEP_QUIET, "1"))
    return _adapter(parsed.scheme)(parsed, device=device, dtype=dtype, batch_size=batch_size)


def _adapter(scheme: str) -> Callable[..., ContrastiveModel]:
    module, _, function = _CONTRASTIVE[scheme].partition(":")
    return getattr(importlib.import_module(module), function)


def _open_clip(text: str, rest: str) -> ModelSpec:
    architecture, at, file = rest.partition("@")
    if at:
        if not architecture or not file:
            raise _malformed(text, "open_clip")
        return ModelSpec(text, "open_clip", architecture, path=Path(file).expanduser())
    architecture, slash, tag = rest.rpartition("/")
    if not slash or not architecture or not tag:
        raise _malformed(text, "open_clip", rest)
    return ModelSpec(text, "open_clip", architecture, tag)


def _hub(text: str, rest: str) -> ModelSpec:
    repository, at, revision = rest.partition("@")
    if repository.count("/") != 1 or repository.strip("/") != repository or (at and not revision):
        raise _malformed(text, "hf", rest)
    return ModelSpec(text, "hf", repository, revision)


def _is_path(text: str) -> bool:
    return text.startswith(("/", "./", "../", "~")) or text in {".", ".."}


def _malformed(text: str, scheme: str, rest: str = "") -> ModelError:
    hint = f" For the folder here write {scheme}:./{rest}." if rest and Path(rest).is_dir() else ""
    return ModelError(f'model "{text}": write {_FORMS[scheme]}.{hint}')


def _all_forms() -> str:
    *others, last = _FORMS.values()
    return f"{', '.join(others)}, or {last}"
