"""What the two scripted models share: their files, and what they see in pictures and texts."""

import json
import re
from collections.abc import Set
from typing import Final, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL.Image import Image
from pydantic import ValidationError

from vlmaudit.data.names import fold_name
from vlmaudit.errors import CapabilityError
from vlmaudit.models.loading import ModelSpec
from vlmaudit.results.records import Record

_COLOUR: Final = re.compile(r"#[0-9a-f]{6}")
_WORD: Final = re.compile(r"\w+")

CONTRASTIVE_KEYS: Final = frozenset({"people", "strength", "hubs", "broken"})
"""What only the file of a model that compares pictures with texts holds."""
GENERATIVE_KEYS: Final = frozenset({"rules", "likelihoods", "otherwise"})
"""What only the file of a model that answers in words holds."""

Script = TypeVar("Script", bound=Record)


def read_script(spec: ModelSpec, kind: type[Script], *, others: Set[str], instead: str) -> Script:
    """What a scripted model's file says.

    Args:
        spec: Of the scheme ``scripted``.
        kind: What the file should describe.
        others: Keys that show that it describes the other kind.
        instead: What to tell whoever asks for the wrong kind.

    Raises:
        ModelError: The file is missing or does not describe a model.
        CapabilityError: It describes the other kind of scripted model.
    """
    assert spec.path is not None
    try:
        content = spec.path.read_bytes()
        return kind.model_validate_json(content)
    except OSError as problem:
        raise spec.error(f"the file cannot be read ({problem.strerror}).") from problem
    except ValidationError as problem:
        if _keys(content) & others and not _keys(content) & kind.model_fields.keys() - {"seed"}:
            raise CapabilityError(f'model "{spec.public_name}": {instead}') from problem
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise spec.error(f"{where}: {first['msg']}.") from problem


def _keys(content: bytes) -> Set[str]:
    try:
        script = json.loads(content)
    except (ValueError, RecursionError):
        return frozenset()
    return script.keys() if isinstance(script, dict) else frozenset()


def face_in(picture: Image) -> str:
    """The colour of an RGB picture's centre pixel, which stands for a face.

    >>> from PIL import Image
    >>> face_in(Image.new("RGB", (8, 8), "#FF0000"))
    '#ff0000'
    """
    centre: UInt8[np.ndarray, " 3"] = np.asarray(picture)[picture.height // 2, picture.width // 2]
    return "#" + bytes(centre).hex()


def background_in(picture: Image) -> str:
    """The colour of an RGB picture's first pixel, which stands for what is behind a person."""
    corner: UInt8[np.ndarray, " 3"] = np.asarray(picture)[0, 0]
    return "#" + bytes(corner).hex()


def content_of(picture: Image) -> bytes:
    """All of a picture's pixels and its shape."""
    return f"{picture.width}x{picture.height}".encode() + picture.tobytes()


def colour_of(face: str) -> str:
    """A face as `face_in` writes it.

    Raises:
        ValueError: It is not of the form "#rrggbb".
    """
    if not _COLOUR.fullmatch(face.lower()):
        raise ValueError(f'"{face}" is no colour of the form #rrggbb')
    return face.lower()


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text without case, accents and punctuation.

    >>> words_of("It is ADRIANNE León!")
    ('it', 'is', 'adrianne', 'leon')
    """
    return tuple(_WORD.findall(fold_name(text)))


def folded(person: str) -> str:
    """A name as it is compared.

    Raises:
        ValueError: It holds no word.
    """
    words = words_of(person)
    if not words:
        raise ValueError(f'"{person}" is no name')
    return " ".join(words)
