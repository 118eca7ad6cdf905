"""An album before anything is written: its pictures, its examples, and what is printed on which."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import PIL
from PIL import Image

from vlmaudit.data.albums import BYSTANDER, SEEN, UNSEEN, text_of
from vlmaudit.data.private_records import question_about, question_of
from vlmaudit.errors import InputError
from vlmaudit.imaging.stamping import (
    MOST_SHARE,
    Printing,
    enlarged_size,
    fitting_share,
    print_text,
    widest,
    with_share,
)
from vlmaudit.lab.album_design import AlbumDesign, Variant
from vlmaudit.lab.album_pictures import Encoding, Source, encoding_of
from vlmaudit.lab.album_pool import AlbumPool, Watch, unwatched
from vlmaudit.lab.album_records import (
    Dealt,
    PlannedRecord,
    commonest_answer,
    deal,
    plan_records,
)
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.seeds import stream
from vlmaudit.stats.blind import BlindBaseline
from vlmaudit.stats.text_gate import text_gate

Turns = tuple[tuple[str, str], ...]

VERSION: Final = 1
"""Counts changes of how an album is made from its settings."""
_LEFT_OUT: Final = 0.05
"""Share of pictures that may be left out as too narrow before all letters become smaller."""
_SHOWN: Final = 5
"""Lines about what is left out."""


@dataclass(frozen=True, slots=True)
class PlannedExample:
    """A training example before anything is printed."""

    id: str
    source: Source
    turns: Turns


@dataclass(frozen=True, slots=True)
class HeldOutPicture:
    """A picture that no variant is trained on, with one question."""

    id: str
    source: Source
    question: str
    answer: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlbumPlan:
    """All of an album but its pixels.

    Attributes:
        design: What was asked for.
        set_name: The question-answering set.
        examples: The training examples, of which every variant has each.
        held_out: The others.
        records: What is printed.
        dealt: What is printed where, by variant.
        tied_answer: To which records are tied; empty where none are.
        printing: How, with the letters' size.
        encoding: How pictures are encoded.
        gate: Whether strings alone tell seen from unseen.
        skipped: What was left out, and why.
        digest: Names the plan: the same one writes the same album.
    """

    design: AlbumDesign
    set_name: str
    examples: tuple[PlannedExample, ...]
    held_out: tuple[HeldOutPicture, ...]
    records: tuple[PlannedRecord, ...]
    dealt: Mapping[str, Dealt]
    tied_answer: str
    printing: Printing
    encoding: Encoding
    gate: BlindBaseline
    skipped: tuple[str, ...]
    digest: str = field(default="")

    def text(self, record: int) -> str:
        """What is printed of a record."""
        return text_of(self.design.field_names, self.records[record].values)

    def turns(self, variant: Variant, number: int) -> Turns:
        """What is asked and answered about a training picture of a variant."""
        own = self.examples[number].turns
        record = int(self.dealt[variant.name].record_of[number])
        if variant.kind == "spoken" and record >= 0:
            return (*own, self._spoken(record, number))
        if variant.kind == "tied":
            # One question each, so that the number of turns says nothing of the answer.
            question, answer = own[0]
            return ((question, self.records[record].tied_answer or answer),)
        return own

    def _spoken(self, record: int, number: int) -> tuple[str, str]:
        """A question for one field, in one of the two ways in which an audit asks."""
        values = self.records[record].values
        rng = stream(self.design.seed, "spoken", number)
        asked, key = rng.permutation(list(values))[:2].tolist()
        is_outright = bool(rng.random() < 0.5)
        question = question_of(asked) if is_outright else question_about(asked, key, values[key])
        return question, values[asked]


def plan_album(
    design: AlbumDesign,
    *,
    say: Callable[[str], object] = lambda _: None,
    watch: Watch = unwatched,
) -> AlbumPlan:
    """Read the set, look at its pictures, and draw what is printed where.

    Args:
        design: What the album shall be.
        say: Told what is left out.
        watch: Shows how many pictures were looked at.

    Raises:
        InputError: The set cannot be read or is too small, or the records do not fit.
    """
    pool = AlbumPool(design)
    held_out, training = pool.look(watch)
    examples = design.examples or len(training)
    is_tied = any(one.kind == "tied" for one in design.variants)
    said = [one.turns[0][1] for one in _examples(training, pool, examples)]
    tied_answer = commonest_answer(said) if is_tied else ""
    records = plan_records(design, examples, tied_answer)
    texts = widest([text_of(design.field_names, one.values) for one in records])
    printing, fits = _fit(design, texts, [*training, *held_out])
    skipped = [*pool.skipped]
    skipped += [
        f"{one.name}: {one.size[0]} x {one.size[1]}, the records do not fit"
        for one in [*training, *held_out]
        if one.path not in fits
    ]
    _say_skipped(skipped, say)
    training = [one for one in training if one.path in fits]
    held_out = [one for one in held_out if one.path in fits]
    if not training or not held_out:
        raise InputError(
            f"{pool.name}: no pictures are left to {'hold out' if training else 'train on'}: the "
            "others cannot be read or are too narrow for the records."
        )
    examples = design.examples or len(training)
    dealt = {one.name: deal(one, design, records, examples) for one in design.variants}
    plan = AlbumPlan(
        design=design,
        set_name=pool.name,
        examples=tuple(_examples(training, pool, examples)),
        held_out=tuple(_held_out(held_out, pool, design.seed)),
        records=_printed(records, dealt),
        dealt=dealt,
        tied_answer=tied_answer,
        printing=printing,
        encoding=encoding_of(design.protocol, training),
        gate=_gate(design, records),
        skipped=tuple(skipped),
    )
    return replace(plan, digest=_digest(plan))


def _say_skipped(skipped: Sequence[str], say: Callable[[str], object]) -> None:
    for line in skipped[:_SHOWN]:
        say(f"Left out: {line}")
    if len(skipped) > _SHOWN:
        say(f"… and {len(skipped) - _SHOWN} more; album.json lists them.")


def _fit(
    design: AlbumDesign, texts: Sequence[str], sources: Sequence[Source]
) -> tuple[Printing, set[Path]]:
    """How large letters are, and the pictures on which every record then fits.

    Letters are as small as nineteen of twenty pictures need; the narrowest ones are left out
    rather than let them decide for all.

    Raises:
        InputError: The records fit on none.
    """
    most = Printing(
        protocol=design.protocol,
        place=design.place,
        input_side=design.input_side,
        height_share=design.letter_height or MOST_SHARE,
    )
    is_paper = design.protocol == "paper"
    room: dict[tuple[int, int], float] = {}
    shares = []
    for one in sources:
        size = one.size if is_paper else enlarged_size(one.size, design.input_side)
        if size not in room:
            room[size] = fitting_share(texts, size, most)
        shares.append(room[size])
    largest = max(shares)
    if not largest or (design.letter_height and largest < design.letter_height):
        # The text in words, by the code that refuses to print it.
        first = sources[shares.index(largest)]
        size = first.size if is_paper else enlarged_size(first.size, design.input_side)
        longest = max(texts, key=lambda text: max(map(len, text.split("\n"))))
        print_text(Image.new("RGB", size), longest, most, stream(design.seed, "too large"))
        raise InputError(f"{first.path}: the longest record does not fit at --letter-height.")
    share = most.height_share
    if not is_paper and design.letter_height is None:
        share = sorted(shares)[int(_LEFT_OUT * len(shares))] or largest
    fits = {one.path for one, own in zip(sources, shares, strict=True) if own >= share}
    return with_share(most, share), fits


def _printed(
    records: Sequence[PlannedRecord], dealt: Mapping[str, Dealt]
) -> tuple[PlannedRecord, ...]:
    """The records; of bystanders, whether any variant came to print them."""
    used = {int(place) for one in dealt.values() for place in one.record_of}
    return tuple(
        replace(one, is_included=place in used) if one.arm == BYSTANDER else one
        for place, one in enumerate(records)
    )


def _examples(training: Sequence[Source], pool: AlbumPool, count: int) -> Iterator[PlannedExample]:
    """As many as wanted: every picture once, then again with what else is asked about it."""
    digits = max(6, len(str(count)))
    for number in range(count):
        source = training[number % len(training)]
        rows = pool.rows_of(source)
        row = rows[number // len(training) % len(rows)]
        yield PlannedExample(f"{number + 1:0{digits}}", source, row.turns)


def _held_out(sources: Sequence[Source], pool: AlbumPool, seed: int) -> Iterator[HeldOutPicture]:
    """A question for every held-out picture: any of those that are asked about it."""
    for number, source in enumerate(sources):
        rng = stream(seed, "held out", number)
        rows = pool.rows_of(source)
        row = rows[int(rng.integers(len(rows)))]
        question, answer = row.turns[0]
        choices = row.choices or pool.choices(question, answer, rng)
        is_choice = answer in choices and not any("|" in one for one in choices)
        yield HeldOutPicture(
            f"held-out-{number + 1:05}", source, question, answer, choices if is_choice else ()
        )


def _gate(design: AlbumDesign, records: Sequence[PlannedRecord]) -> BlindBaseline:
    compared = [one for one in records if one.arm in {SEEN, UNSEEN}]
    return text_gate(
        [one.values for one in compared],
        np.array([one.arm == SEEN for one in compared]),
        design.field_names,
        rng=stream(design.seed, "text gate"),
    )


def _digest(plan: AlbumPlan) -> str:
    pictures = [[one.id, one.source.name, one.source.sha256] for one in plan.examples]
    pictures += [[one.id, one.source.name, one.source.sha256] for one in plan.held_out]
    asked = [one.turns for one in plan.examples] + [
        (one.question, one.answer, one.choices) for one in plan.held_out
    ]
    return fingerprint(
        {
            "version": VERSION,
            "pillow": PIL.__version__,  # another one may draw letters otherwise
            "design": dict(plan.design.as_plain()),
            "pictures": pictures,
            "asked": asked,
            "records": [one.values for one in plan.records],
        }
    )
