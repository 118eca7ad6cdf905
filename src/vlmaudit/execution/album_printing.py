"""Which records are printed on which held-out pictures, and how those then look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL.Image import Image

from vlmaudit.data.albums import Album, text_of
from vlmaudit.data.images import open_picture
from vlmaudit.imaging.stamping import Printing, print_text
from vlmaudit.seeds import stream

SEEN: Final = "seen"
UNSEEN: Final = "unseen"
PROBED: Final = (SEEN, UNSEEN, "control")
"""The arms that are held against each other; what is printed elsewhere is not of them."""


@dataclass(frozen=True, slots=True)
class Item:
    """One record on one held-out picture.

    Attributes:
        record: Which record.
        arm: Its arm.
        place: Its place within the arm: records of the same place share pictures and positions.
        turn: Which of the record's pictures.
        picture: The held-out picture's id.
        file: Where the picture is.
        question: The task's question about it.
        answer: The task's answer.
    """

    record: str
    arm: str
    place: int
    turn: int
    picture: str
    file: Path
    question: str
    answer: str

    @property
    def name(self) -> str:
        """The item, as tables call it."""
        return f"{self.record}/{self.turn}"


def items_of(
    album: Album,
    pictures: int,
    *,
    seed: int,
    limit: int | None = None,
    arms: Sequence[str] = PROBED,
) -> list[Item]:
    """Every record of the arms with so many held-out pictures.

    The same pictures carry a seen record, an unseen one and one of the control arm in turn, at the
    same position: nothing but the text differs between the arms (PROTOCOLS 4.3, M5).

    Args:
        album: The album.
        pictures: Held-out pictures a record.
        seed: Everything random follows from it.
        limit: Only the first so many records of each arm.
        arms: Whose records.
    """
    held_out = album.held_out.rows(named=True)
    order = stream(seed, "held-out pictures").permutation(len(held_out))
    items = []
    for arm in arms:
        records = records_of(album, arm)[:limit]
        for place, record in enumerate(records):
            for turn in range(pictures):
                row = held_out[order[(place * pictures + turn) % len(order)]]
                items.append(
                    Item(
                        record=record["record"],
                        arm=arm,
                        place=place,
                        turn=turn,
                        picture=row["picture"],
                        file=album.folder / row["file"],
                        question=row["question"],
                        answer=row["answer"],
                    )
                )
    return items


def records_of(album: Album, arm: str) -> list[dict[str, str]]:
    """The records of an arm, in the order of the table."""
    rows = album.records.rows(named=True)
    return [row for row in rows if row["arm"] == arm]


class Printer:
    """Prints texts on held-out pictures as the album's training pictures have them."""

    def __init__(self, album: Album, *, seed: int) -> None:
        """Take the album's way of printing."""
        self.fields: Sequence[str] = album.about.fields
        self._printing = Printing.from_dict(album.about.printing)
        self._seed = seed

    def record(self, item: Item, row: Mapping[str, str]) -> Image:
        """The item's picture with all of a record on it."""
        return self.text(item, text_of(self.fields, row))

    def without(self, item: Item, row: Mapping[str, str], field: str) -> Image:
        """The same with the value of one field left blank, every line in its place."""
        return self.text(item, text_of(self.fields, {**row, field: ""}))

    def text(self, item: Item, text: str) -> Image:
        """The item's picture with a text; the position is that of every arm's item of its place."""
        rng = stream(self._seed, "position", item.place, item.turn)
        picture, _ = print_text(self.clean(item), text, self._printing, rng)
        return picture

    @staticmethod
    def clean(item: Item) -> Image:
        """The picture with nothing on it."""
        return open_picture(item.file)
