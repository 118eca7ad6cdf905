"""A model that knows exactly whom it is told: the public fake for tests, demos and calibration."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from jaxtyping import Float
from PIL.Image import Image
from pydantic import Field

from vlmaudit.data.images import as_rgb
from vlmaudit.models.loading import ModelSpec
from vlmaudit.models.scripting import (
    GENERATIVE_KEYS,
    colour_of,
    content_of,
    face_in,
    folded,
    read_script,
    words_of,
)
from vlmaudit.models.vectors import unit_rows
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.results.records import ModelRecord, Record

DIM: Final = 64

# How much of a picture's direction is its person and how much is the picture itself; likewise
# how much of a text's direction is its wording once it holds a name the model was told.
_FACE, _PICTURE, _WORDING = 1.0, 0.5, 0.5
# A hub name lies near the direction that every picture shares a little of.
_HUB_IN_PICTURES, _HUB_IN_TEXTS = 0.5, 2.0


class Knows:
    """Recognises the people it is told of, and everyone else at chance.

    A face is the colour of a picture's centre pixel. A text speaks of a person when their name
    stands in it as whole words, in any case and with or without accents. For a face it was not
    told of, the vectors of all texts are exchangeable: each name wins as often as any other.

    >>> from PIL import Image
    >>> model = Knows({"#ff0000": "Ada Lovelace"})
    >>> picture = model.encode_images([Image.new("RGB", (8, 8), "#ff0000")])[0]
    >>> texts = model.encode_texts(["a photo of Grace Hopper", "a photo of Ada Lovelace"])
    >>> int(np.argmax(texts @ picture))
    1
    """

    def __init__(
        self,
        people: Mapping[str, str],
        *,
        strength: float = 4.0,
        hubs: Iterable[str] = (),
        broken: Iterable[str] = (),
        seed: int = 0,
        name: str = "scripted:knows",
    ) -> None:
        """Tell the model whom to know.

        Args:
            people: The name that goes with each face, as in {"#ff0000": "Ada Lovelace"}.
            strength: How much of a vector a known name makes up; at 4 a known person's name wins
                every template against thousands of names, at 0 nobody is known.
            hubs: Popular names, which win more often than others for every face.
            broken: Faces for whose pictures the embedding is NaN.
            seed: Another seed is another model that knows the same people.
            name: What findings call the model.

        Raises:
            ValueError: A face is not of the form "#rrggbb", or a name is empty.
        """
        self._names = {colour_of(face): folded(person) for face, person in people.items()}
        self._hubs = {folded(person) for person in hubs}
        self._broken = {colour_of(face) for face in broken}
        self._strength = strength
        self._seed = seed
        self._told = _by_first_word({*self._names.values(), *self._hubs})
        settings = {
            "people": self._names,
            "strength": strength,
            "hubs": sorted(self._hubs),
            "broken": sorted(self._broken),
            "seed": seed,
        }
        self._record = ModelRecord(
            name=name, family="scripted", weights=fingerprint(settings), dtype="float32"
        )

    @property
    def record(self) -> ModelRecord:
        """Which people it was told of, as a digest."""
        return self._record

    def encode_images(self, images: Sequence[Image]) -> Float[np.ndarray, "images dim"]:
        """Unit-length image embeddings; NaN for a broken face."""
        pictures = [as_rgb(image) for image in images]
        faces = [face_in(picture) for picture in pictures]
        vectors = _PICTURE * self._directions("picture", [content_of(each) for each in pictures])
        vectors += _FACE * self._directions("face", [face.encode() for face in faces])
        vectors += self._known_part([self._names.get(face, "") for face in faces])
        if self._hubs:
            vectors += _HUB_IN_PICTURES * self._directions("hub", [b""])
        vectors[[face in self._broken for face in faces]] = np.nan
        return unit_rows(vectors)

    def encode_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        """Unit-length text embeddings."""
        names = [self._name_in(text) for text in texts]
        vectors = _WORDING * self._directions("text", [text.encode() for text in texts])
        vectors += self._known_part(names)
        if self._hubs:
            popular = np.array([name in self._hubs for name in names], dtype=bool)
            vectors[popular] += _HUB_IN_TEXTS * self._directions("hub", [b""])
        return unit_rows(vectors)

    def _name_in(self, text: str) -> str:
        words = words_of(text)
        for start, word in enumerate(words):
            for name in self._told.get(word, ()):
                if words[start : start + len(name)] == name:
                    return " ".join(name)
        return ""

    def _known_part(self, names: Sequence[str]) -> Float[np.ndarray, "names dim"]:
        """The name's own direction where there is a name, zeros elsewhere."""
        told = sorted(set(names) - {""})
        table = dict(
            zip(told, self._directions("name", [name.encode() for name in told]), strict=True)
        )
        nothing = np.zeros(DIM)
        parts = [table.get(name, nothing) for name in names]
        return self._strength * np.array(parts).reshape(-1, DIM)

    def _directions(self, kind: str, keys: Sequence[bytes]) -> Float[np.ndarray, "keys dim"]:
        """For each key its own direction, uniform on the sphere and always the same."""
        prefix = f"{self._seed}\x1f{kind}\x1f".encode()
        digests = b"".join(hashlib.shake_128(prefix + key).digest(4 * DIM) for key in keys)
        words = np.frombuffer(digests, dtype="<u4").reshape(-1, DIM)
        # Box and Muller: two uniform numbers make two independent normal ones.
        uniform = (words.astype(np.float64) + 0.5) / 2**32
        radius = np.sqrt(-2 * np.log(uniform[:, : DIM // 2]))
        angle = 2 * np.pi * uniform[:, DIM // 2 :]
        normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def load(spec: ModelSpec, *, device: str, dtype: str, batch_size: int | None) -> Knows:
    """Read a scripted model from a JSON file with the arguments of `Knows`.

    Device and batch size change nothing here; a dtype other than float32 is refused.

    Raises:
        ModelError: The file is missing or does not describe a model.
        CapabilityError: It describes the other scripted model, which answers in words.
    """
    del device, batch_size
    if dtype != "float32":
        raise spec.error(f"a scripted model answers in float32, not in {dtype}.")
    script = read_script(
        spec,
        _Script,
        others=GENERATIVE_KEYS,
        instead="it answers in words and nothing else; there are no embeddings to compare. What it "
        "says of people is what vlmaudit name-leakage asks.",
    )
    try:
        return Knows(**script.model_dump(), name=spec.public_name)
    except ValueError as problem:
        raise spec.error(f"{problem}.") from problem


class _Script(Record):
    """What a scripted model's file may hold: the arguments of `Knows`."""

    people: dict[str, str]
    strength: float = Field(default=4.0, ge=-1e6, le=1e6, allow_inf_nan=False)
    hubs: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    seed: int = 0


def _by_first_word(names: set[str]) -> dict[str, list[tuple[str, ...]]]:
    """Names as words, the longest first: "Ann Lee Moss" must not be taken for "Ann Lee"."""
    table: dict[str, list[tuple[str, ...]]] = {}
    for words in sorted((tuple(name.split()) for name in names), key=lambda words: -len(words)):
        table.setdefault(words[0], []).append(words)
    return table
