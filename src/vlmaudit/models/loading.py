"""From a model's spec, as written on the command line, to a model that answers.

    open_clip:ARCH/TAG        published weights, such as open_clip:ViT-B-16/laion400m_e32
    open_clip:ARCH@FILE       a checkpoint file of a known architecture
    open_clip:./folder        a folder with open_clip_config.json and a checkpoint
    hf:ORG/NAME[@REVISION]    a repository of the Hugging Face hub
    hf:./folder               a folder that save_pretrained wrote
    scripted:FILE             a fake that knows whom the JSON file says
    endpoint:URL              a server that says which label fits best, and nothing else
    chat:MODEL@URL            an OpenAI-compatible server that answers in words

A path starts with `/`, `./`, `../` or `~`. Model libraries are imported by the adapter, and only
when a model is loaded.
"""

import contextlib
import importlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit, urlunsplit

from vlmaudit.data.paths import spelt
from vlmaudit.errors import CapabilityError, ModelError, did_you_mean
from vlmaudit.models.base import ContrastiveModel, GenerativeModel, LabelOnlyModel, WhiteBoxModel
from vlmaudit.models.options import GenerativeOptions

if TYPE_CHECKING:  # the HTTP library is for those who ask a server
    from vlmaudit.models.patience import Patience

Dtype = Literal["float32", "bfloat16", "float16"]
DTYPES: Final[tuple[Dtype, ...]] = ("float32", "bfloat16", "float16")
DEVICES: Final = ("cpu", "auto", "cuda", "mps")

Kind = Literal["contrastive", "label_only"]

# "module:function"; each takes (spec, device=, dtype=, batch_size=) and returns the model.
_CONTRASTIVE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "open_clip": "vlmaudit.models.open_clip_adapter:load",
        "hf": "vlmaudit.models.hf_contrastive:load",
        "scripted": "vlmaudit.models.scripted:load",
    }
)

# "module:function"; each takes (spec, patience=) and returns the model.
_LABEL_ONLY: Final[Mapping[str, str]] = MappingProxyType(
    {"endpoint": "vlmaudit.models.zero_shot_endpoint:load"}
)

# "module:function"; each takes (spec, options) and returns the model.
_GENERATIVE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hf": "vlmaudit.models.hf_generative:load",
        "chat": "vlmaudit.models.chat_endpoint:load",
        "scripted": "vlmaudit.models.scripted_answers:load",
    }
)

# "module:function"; each takes (spec, device=, dtype=, batch_size=) and returns the model.
_WHITE_BOX: Final[Mapping[str, str]] = MappingProxyType({"hf": "vlmaudit.models.white_box:load"})

_FORMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "open_clip": "open_clip:ARCH/TAG, open_clip:ARCH@FILE or open_clip:./folder",
        "hf": "hf:ORG/NAME, hf:ORG/NAME@REVISION or hf:./folder",
        "scripted": "scripted:FILE",
        "endpoint": "endpoint:URL",
        "chat": "chat:MODEL@URL",
    }
)

_PORTS: Final[Mapping[str, int]] = MappingProxyType({"http": 80, "https": 443})

# Model libraries report usage, and transformers starts a thread that asks the hub to convert a
# repository to safetensors: an audit sends nothing to anyone.
_KEEP_QUIET: Final = ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "DISABLE_SAFETENSORS_CONVERSION")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as it was asked for, taken apart."""

    text: str
    """What was asked for, word for word."""
    scheme: str
    """open_clip, hf, scripted, endpoint or chat."""
    name: str = ""
    """An open_clip architecture, a hub repository or a server's model; empty for a folder."""
    variant: str = ""
    """The tag of published open_clip weights, or a repository's revision."""
    path: Path | None = None
    """The file or folder on this machine."""
    url: str = ""
    """A server's address in its shortest spelling, without a fragment."""

    @property
    def public_name(self) -> str:
        """The spec without the path of any machine and the query of any address.

        Findings call the model so: either may tell what is nobody else's to know.

        >>> parse_spec("open_clip:RN50@/home/ada/models/run7.pt").public_name
        'open_clip:RN50@run7.pt'
        >>> parse_spec("hf:~/models/tiny/").public_name
        'hf:tiny'
        >>> parse_spec("endpoint:https://models.example/clip?code=secret").public_name
        'endpoint:https://models.example/clip'
        """
        if self.url:
            address = self.url.partition("?")[0]
            return f"{self.scheme}:{self.name}@{address}" if self.name else f"endpoint:{address}"
        if self.path is None:
            return self.text
        # "." and ".." say what they are called only once they are resolved.
        named = self.path if self.path.name not in {"", ".."} else self.path.resolve()
        base = spelt(named.name)
        return f"{self.scheme}:{self.name}@{base}" if self.name else f"{self.scheme}:{base}"

    def error(self, reason: str) -> ModelError:
        """The one-line error that says which model it is about."""
        return ModelError(f'model "{self.public_name if self.url else self.text}": {reason}')


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
    if scheme in _PORTS:
        raise ModelError(
            f'model "{scheme}:…": for a server write endpoint:{scheme}://HOST/PATH, or '
            f"chat:MODEL@{scheme}://HOST/PATH for one that answers in words."
        )
    if not colon or scheme not in _FORMS:
        hint = did_you_mean(scheme, _FORMS)
        what = f'no such kind of model as "{scheme}".' if colon else "no kind of model is named."
        raise ModelError(f'model "{text}": {what}{hint} A model is {_all_forms()}.')
    if not rest:
        raise _malformed(text, scheme)
    if scheme == "endpoint":
        return _server(text, scheme, "", rest)
    if scheme == "chat":
        return _chat(text, rest)
    if scheme == "scripted" or _is_path(rest):
        return ModelSpec(text, scheme, path=_local(text, rest))
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


def kind_of(spec: str) -> Kind:
    """How identity inference asks the model that a spec names, and so which function loads it.

    >>> kind_of("open_clip:ViT-B-16/laion400m_e32"), kind_of("endpoint:https://models.example/clip")
    ('contrastive', 'label_only')

    Raises:
        ModelError: The spec cannot be read.
    """
    return "label_only" if parse_spec(spec).scheme in _LABEL_ONLY else "contrastive"


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
    if parsed.scheme not in _CONTRASTIVE:
        is_chatty = parsed.scheme in _GENERATIVE
        says = "answers in words" if is_chatty else "says which label fits best"
        hint = " What it says of people is what vlmaudit name-leakage asks." if is_chatty else ""
        raise CapabilityError(
            f'model "{parsed.public_name}": it {says} and nothing else; there are no embeddings '
            f"to compare.{hint}"
        )
    _check(parsed, device, dtype, batch_size)
    os.environ.update(dict.fromkeys(_KEEP_QUIET, "1"))
    load = _adapter(_CONTRASTIVE[parsed.scheme])
    return load(parsed, device=device, dtype=dtype, batch_size=batch_size)


def load_label_only(spec: str, *, patience: "Patience | None" = None) -> LabelOnlyModel:
    """Load the black box that a spec names; it is not asked anything yet.

    Args:
        spec: Such as "endpoint:https://models.example/clip"; see the top of this module.
        patience: How hard a server is asked and how long it is waited for; None for the defaults.

    Raises:
        ModelError: The address or the key cannot be used.
        CapabilityError: The model is no black box.
    """
    parsed = parse_spec(spec)
    if parsed.scheme not in _LABEL_ONLY:
        reason = (
            "it answers in words, and chooses among no labels; what it says of people is what "
            "vlmaudit name-leakage asks."
            if parsed.scheme == "chat"
            else "it is no black box but lies open; load it as a contrastive model."
        )
        raise CapabilityError(str(parsed.error(reason)))
    return _adapter(_LABEL_ONLY[parsed.scheme])(parsed, patience=patience)


def load_generative(spec: str, options: GenerativeOptions | None = None) -> GenerativeModel:
    """Load the model that answers in words, or get ready to ask the server that holds it.

    Args:
        spec: Such as "hf:llava-hf/llava-1.5-7b-hf"; see the top of this module.
        options: How it is loaded and asked.

    Raises:
        ModelError: The model cannot be found, loaded or trusted.
        CapabilityError: The model does not answer in words.
    """
    parsed, options = parse_spec(spec), options or GenerativeOptions()
    if parsed.scheme not in _GENERATIVE:
        raise CapabilityError(
            f'model "{parsed.public_name}": it compares pictures with texts and answers nothing; '
            "whether it ties faces to names is what vlmaudit identity-inference asks."
        )
    if parsed.scheme != "chat":
        _check(parsed, options.device, options.dtype, options.batch_size)
        os.environ.update(dict.fromkeys(_KEEP_QUIET, "1"))
    return _adapter(_GENERATIVE[parsed.scheme])(parsed, options)


def load_white_box(
    spec: str, *, device: str = "cpu", dtype: str = "float32", batch_size: int | None = None
) -> WhiteBoxModel:
    """Load a model to look into it.

    Args:
        spec: Such as "hf:llava-hf/llava-1.5-7b-hf"; see the top of this module.
        device: "cpu", "cuda" (or "cuda:1"), "mps", or "auto" for the best there is.
        dtype: Arithmetic inside the model.
        batch_size: Pictures a batch; None leaves it to the adapter.

    Raises:
        ModelError: The model cannot be found, loaded or trusted, or its layers cannot be named.
        CapabilityError: Nobody can look into it.
    """
    parsed = parse_spec(spec)
    if parsed.scheme not in _WHITE_BOX:
        raise CapabilityError(
            f'model "{parsed.public_name}": its hidden states and gradients cannot be seen; this '
            f"needs a checkpoint of Hugging Face ({_FORMS['hf']})."
        )
    _check(parsed, device, dtype, batch_size)
    os.environ.update(dict.fromkeys(_KEEP_QUIET, "1"))
    load = _adapter(_WHITE_BOX[parsed.scheme])
    return load(parsed, device=device, dtype=dtype, batch_size=batch_size)


def _check(spec: ModelSpec, device: str, dtype: str, batch_size: int | None) -> None:
    if device.partition(":")[0] not in DEVICES:
        raise spec.error(
            f'no such device as "{device}".{did_you_mean(device, DEVICES)} '
            f"Known: {', '.join(DEVICES)}."
        )
    if dtype not in DTYPES:
        raise spec.error(
            f'no such dtype as "{dtype}".{did_you_mean(dtype, DTYPES)} Known: {", ".join(DTYPES)}.'
        )
    if batch_size is not None and batch_size < 1:
        raise spec.error(f"a batch of {batch_size} holds nothing; give 1 or more.")


def _adapter(place: str) -> Callable[..., Any]:
    module, _, function = place.partition(":")
    return getattr(importlib.import_module(module), function)


def _open_clip(text: str, rest: str) -> ModelSpec:
    architecture, at, file = rest.partition("@")
    if at:
        if not architecture or not file:
            raise _malformed(text, "open_clip")
        return ModelSpec(text, "open_clip", architecture, path=_local(text, file))
    architecture, slash, tag = rest.rpartition("/")
    if not slash or not architecture or not tag:
        raise _malformed(text, "open_clip", rest)
    return ModelSpec(text, "open_clip", architecture, tag)


def _hub(text: str, rest: str) -> ModelSpec:
    repository, at, revision = rest.partition("@")
    if repository.count("/") != 1 or repository.strip("/") != repository or (at and not revision):
        raise _malformed(text, "hf", rest)
    return ModelSpec(text, "hf", repository, revision)


def _chat(text: str, rest: str) -> ModelSpec:
    """A server's name for a model, which may hold "@" and "/", and the server's address."""
    address = re.search(r"@(?=https?:)", rest, re.IGNORECASE)
    if address is None or not rest[: address.start()].strip() or not rest.isprintable():
        # What stands there may be an address with a password, in a form that we do not know.
        raise ModelError(
            f'model "chat:…": write {_FORMS["chat"]}, such as chat:qwen2.5-vl@https://HOST/v1.'
        )
    return _server(text, "chat", rest[: address.start()], rest[address.end() :])


def _server(text: str, scheme: str, name: str, url: str) -> ModelSpec:
    """An address, spelt in one way only, so that the same server has the same digest.

    What is refused is never quoted in full: it may hold a password.
    """
    before = f"{scheme}:{name}@" if name else f"{scheme}:"

    def refuse(reason: str) -> ModelError:
        # A password may itself hold "/" or "@": all that may be one is left out.
        shown = re.sub(r"^([a-zA-Z]+://)?.*@", r"\1", re.split(r"[?#]", url)[0])
        return ModelError(f'model "{before}{shown}": {reason}')

    if not url.isprintable() or " " in url:
        raise ModelError(f'model "{scheme}:…": the address holds a blank or an unprintable letter.')
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as problem:
        raise refuse(f"host or port are malformed; write {_FORMS[scheme]}.") from problem
    if parts.scheme not in _PORTS:
        raise refuse("the address must start with https:// or http://.")
    if "@" in parts.netloc:
        raise refuse(
            "a user name or password in an address can be read by others on this machine; put a "
            f"key into VLMAUDIT_{scheme.upper()}_KEY."
        )
    if not host:
        raise refuse(f"the address names no host; write {before}https://HOST/PATH.")
    place = f"[{host}]" if ":" in host else host
    if port not in {None, _PORTS[parts.scheme]}:
        place = f"{place}:{port}"
    address = urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))
    return ModelSpec(text, scheme, name, url=address)


def _local(text: str, place: str) -> Path:
    """The file or folder on this machine, which need not be there.

    Raises:
        ModelError: There cannot be any: the name is too long, or holds what no name may hold.
    """
    try:
        path = Path(place).expanduser()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.stat()
    except (OSError, ValueError, RuntimeError) as problem:
        reason = (problem.strerror if isinstance(problem, OSError) else None) or problem
        raise ModelError(
            f'model "{text}": there is no such file or folder ({reason}).'
        ) from problem
    return path


def _is_path(text: str) -> bool:
    return text.startswith(("/", "./", "../", "~")) or text in {".", ".."}


def _malformed(text: str, scheme: str, rest: str = "") -> ModelError:
    hint = f" For the folder here write {scheme}:./{rest}." if rest and _is_folder(rest) else ""
    return ModelError(f'model "{text}": write {_FORMS[scheme]}.{hint}')


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except OSError:  # too long a name, for one
        return False


def _all_forms() -> str:
    *others, last = _FORMS.values()
    return f"{', '.join(others)}, or {last}"
