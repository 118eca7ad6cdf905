"""What one piece of a caption set holds: who is named how often, and in how many captions."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from vlmaudit.data.caption_search import NameSearch, PaperSearch
from vlmaudit.data.unknown_names import find_unknown_names
from vlmaudit.results.files import write_whole

SCHEMA: Final = 1
_LONGEST_EXAMPLE: Final = 500
"""Signs of a caption that are kept as an example."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which captions are looked at for anybody's name, in the list or not.

    Attributes:
        every: One in so many.
        offset: The first one's place in each piece.
    """

    every: int
    offset: int = 0


@dataclass(slots=True)
class UnitCounts:
    """Counts over one piece of a caption set, or over several.

    Attributes:
        units: The pieces.
        captions: Captions read.
        nulls: Rows without a caption.
        damaged: Rows or lines that could not be read.
        invalid: Captions with bytes that are no UTF-8, which were read as a replacement sign.
        naming: Captions that name anyone of the list.
        captions_of: Captions that name each, by the name's place in the list.
        times_of: Mentions of each.
        pairs: Captions that name two, by their places, the smaller first.
        examples: The first captions that name each.
        sampled: Captions that were looked at for anybody's name.
        sampled_naming: How many of them name somebody, in the list or not.
    """

    units: list[str]
    captions: int = 0
    nulls: int = 0
    damaged: int = 0
    invalid: int = 0
    naming: int = 0
    captions_of: Counter[int] = field(default_factory=Counter)
    times_of: Counter[int] = field(default_factory=Counter)
    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)
    examples: dict[int, list[str]] = field(default_factory=dict)
    sampled: int = 0
    sampled_naming: int = 0

    def add(self, other: "UnitCounts", *, examples: int) -> None:
        """Add the counts of other pieces, of which examples come behind these."""
        self.units += other.units
        for number in _NUMBERS:
            setattr(self, number, getattr(self, number) + getattr(other, number))
        self.captions_of.update(other.captions_of)
        self.times_of.update(other.times_of)
        self.pairs.update(other.pairs)
        for name, texts in other.examples.items():
            kept = self.examples.setdefault(name, [])
            kept += texts[: examples - len(kept)]

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "schema": SCHEMA,
            "units": self.units,
            **{name: getattr(self, name) for name in _NUMBERS},
            "names": [[n, self.captions_of[n], self.times_of[n]] for n in sorted(self.captions_of)],
            "pairs": [[*pair, number] for pair, number in sorted(self.pairs.items())],
            "examples": [[n, texts] for n, texts in sorted(self.examples.items())],
        }


_NUMBERS: Final = (
    *("captions", "nulls", "damaged", "invalid", "naming", "sampled", "sampled_naming"),
)


def unit_counts(record: Mapping[str, Any]) -> UnitCounts:
    """What `UnitCounts.record` wrote."""
    return UnitCounts(
        units=list(record["units"]),
        **{name: int(record[name]) for name in _NUMBERS},
        captions_of=Counter({n: captions for n, captions, _ in record["names"]}),
        times_of=Counter({n: times for n, _, times in record["names"]}),
        pairs=Counter({(first, second): number for first, second, number in record["pairs"]}),
        examples={n: list(texts) for n, texts in record["examples"]},
    )


def write_unit(counts: UnitCounts, path: Path) -> None:
    """Write counts whole or not at all, for their owner alone: examples are captions of people."""
    text = json.dumps(counts.record(), ensure_ascii=False, separators=(",", ":"))
    write_whole(path, lambda part: part.write_text(text, "utf-8"), private=True)


def read_unit(path: Path) -> UnitCounts | None:
    """Counts that were written; None where they are damaged."""
    try:
        record = json.loads(path.read_bytes())
        return unit_counts(record) if record["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def count_names(
    unit: str,
    batches: Iterable[pa.Array],
    search: NameSearch | PaperSearch,
    *,
    sampling: Sampling,
    examples: int = 0,
) -> UnitCounts:
    """Count who is named in the captions of a piece.

    Args:
        unit: What the piece is called.
        batches: Its captions, as strings without nulls; UTF-8 or not.
        search: Who is looked for, and by which rule.
        sampling: Which captions are looked at for anybody's name.
        examples: Captions to keep for each name.
    """
    counts = UnitCounts([unit])
    for given in batches:
        batch, invalid = readable(given)
        named = search.find(batch)
        _sample(counts, batch, sampling)
        counts.captions += len(batch)
        counts.invalid += invalid
        counts.naming += len(np.unique(named.captions))
        counts.captions_of.update(Counter(named.names.tolist()))
        for name, times in zip(named.names.tolist(), named.times.tolist(), strict=True):
            counts.times_of[name] += times
        counts.pairs.update(_pairs(named.captions, named.names))
        if examples:
            _keep_examples(counts, batch, named.captions, named.names, examples)
    return counts


def readable(batch: pa.Array) -> tuple[pa.Array, int]:
    """The batch in valid UTF-8, and how many captions were not."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        given = batch.cast(pa.large_binary()).to_pylist()
        texts = [caption.decode("utf-8", "replace") for caption in given]
        wrong = sum(
            caption != text.encode("utf-8") for caption, text in zip(given, texts, strict=True)
        )
        return pa.array(texts, pa.large_string()), wrong
    return batch, 0


def _sample(counts: UnitCounts, batch: pa.Array, sampling: Sampling) -> None:
    first = (sampling.offset - counts.captions) % sampling.every
    for place in range(first, len(batch), sampling.every):
        counts.sampled += 1
        counts.sampled_naming += any(True for _ in find_unknown_names(batch[place].as_py()))


def _pairs(
    captions: Int[np.ndarray, " mentions"], names: Int[np.ndarray, " mentions"]
) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    shared = np.flatnonzero(captions[1:] == captions[:-1])
    for caption in np.unique(captions[shared]):
        own: Sequence[int] = sorted(names[captions == caption].tolist())
        found.update((one, other) for at, one in enumerate(own) for other in own[at + 1 :])
    return found


def _keep_examples(
    counts: UnitCounts,
    batch: pa.Array,
    captions: Int[np.ndarray, " mentions"],
    names: Int[np.ndarray, " mentions"],
    wanted: int,
) -> None:
    for caption, name in zip(captions.tolist(), names.tolist(), strict=True):
        kept = counts.examples.setdefault(name, [])
        if len(kept) < wanted:
            kept.append(batch[caption].as_py()[:_LONGEST_EXAMPLE])
