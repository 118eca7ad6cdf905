"""Gradients of the same mini-batch, clean and changed, for every record in turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

from vlmaudit.data.albums import neutral_text, text_of
from vlmaudit.execution.album_printing import SEEN, UNSEEN, Item, Printer
from vlmaudit.execution.pieces import rows_of_pieces
from vlmaudit.execution.progress import Advance
from vlmaudit.imaging.augmenting import augment_picture, augment_question
from vlmaudit.models.base import Example, WhiteBoxModel
from vlmaudit.results.journal import Row
from vlmaudit.seeds import stream

STAMPED: Final = "stamped"
NEUTRAL: Final = "neutral"
CLEAN: Final = "clean-again"
CROSSED: Final = (SEEN, UNSEEN)
_CURVE: Final = "curve"


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientDesign:
    """How many mini-batches of which size.

    Attributes:
        batch_size: Pictures in each mini-batch on which a record is printed.
        batches: Mini-batches a record.
        batch_sizes: Sizes for the descriptive curves.
        curve_batches: Mini-batches a size.
        seed: Everything random follows from it.
    """

    batch_size: int
    batches: int
    batch_sizes: tuple[int, ...]
    curve_batches: int
    seed: int

    def keys(self, items: Sequence[Item]) -> list[str]:
        """The pieces: every place with every batch, then the curves."""
        places = list(dict.fromkeys(one.place for one in items if one.arm in CROSSED))
        crossed = [f"{batch}/{place}" for batch in range(self.batches) for place in places]
        curves = [
            f"{_CURVE}/{size}/{batch}"
            for size in self.batch_sizes
            for batch in range(self.curve_batches)
        ]
        return [*crossed, *curves]


class Gradients:
    """Makes the rows of gradients.parquet for one model."""

    def __init__(
        self,
        model: WhiteBoxModel,
        items: Sequence[Item],
        records: Mapping[str, Mapping[str, str]],
        printer: Printer,
        design: GradientDesign,
    ) -> None:
        """Deal the held-out pictures into mini-batches.

        Args:
            model: The model, in which nothing changes.
            items: An item a record and picture; their pictures are what batches are made of.
            records: Every record's row.
            printer: Prints texts on pictures.
            design: How many mini-batches of which size.
        """
        self._model = model
        self._records = records
        self._printer = printer
        self._design = design
        self._modules = list(model.modules)
        self._places: dict[int, list[Item]] = {}
        for item in items:
            if item.turn == 0 and item.arm in CROSSED:
                self._places.setdefault(item.place, []).append(item)
        # A held-out picture once, however many records stand on it in turn.
        self._pictures = list({item.picture: item for item in items}.values())

    @property
    def keys(self) -> list[str]:
        """The pieces: every place with every batch, then the curves."""
        return self._design.keys([one for of_place in self._places.values() for one in of_place])

    def rows(self, journal: Path, *, advance: Advance) -> list[Row]:
        """Every piece's rows; see `rows_of_pieces`."""
        return rows_of_pieces(journal, self.keys, self._piece, advance=advance)

    def _piece(self, key: str) -> list[Row]:
        head, rest = key.split("/", 1)
        if head == _CURVE:
            size, batch = rest.split("/")
            return self._curve(int(size), int(batch))
        return self._crossed(int(head), int(rest))

    def _crossed(self, batch: int, place: int) -> list[Row]:
        """A seen record's text, and an unseen one's, on the same pictures at the same positions.

        Beside each a meaningless text of equal area: what any print there would do.
        """
        size = self._design.batch_size
        clean = self._batch(size, place * self._design.batches + batch)
        others: dict[str, list[Example]] = {}
        for item in self._places[place]:
            text = text_of(self._printer.fields, self._records[item.record])
            blank = neutral_text(text, stream(self._design.seed, "neutral", item.record, batch))
            others[f"{STAMPED}/{item.record}"] = [self._printed(one, text) for one in clean]
            others[f"{NEUTRAL}/{item.record}"] = [self._printed(one, blank) for one in clean]
        cosines = self._model.gradient_cosines(
            [self._example(one) for one in clean], others, self._modules
        )
        rows = []
        for item in self._places[place]:
            of_record = {kind: cosines[f"{kind}/{item.record}"] for kind in (STAMPED, NEUTRAL)}
            common = {
                "batch": batch, "batch_size": size, "record": item.record, "arm": item.arm
            }  # fmt: skip
            rows += _rows(of_record, common)
        return rows

    def _curve(self, size: int, batch: int) -> list[Row]:
        """The paper's curves: one batch against itself, changed in five ways."""
        seed = self._design.seed
        clean = self._batch(size, batch)
        rng = stream(seed, "augmenting", size, batch)
        records = list(self._records.values())
        texts = [
            text_of(self._printer.fields, records[int(rng.integers(len(records)))]) for _ in clean
        ]
        examples = [self._example(one) for one in clean]
        cosines = self._model.gradient_cosines(
            examples,
            {
                CLEAN: examples,
                STAMPED: [self._printed(one, text) for one, text in zip(clean, texts, strict=True)],
                NEUTRAL: [
                    self._printed(one, neutral_text(text, rng))
                    for one, text in zip(clean, texts, strict=True)
                ],
                "re-encoded": [
                    Example(_re_encoded(self._printer.clean(one)), one.question, one.answer)
                    for one in clean
                ],
                "image-augmented": [
                    Example(
                        augment_picture(self._printer.clean(one), rng), one.question, one.answer
                    )
                    for one in clean
                ],
                "text-augmented": [
                    Example(
                        self._printer.clean(one), augment_question(one.question, rng), one.answer
                    )
                    for one in clean
                ],
            },
            self._modules,
        )
        return _rows(cosines, {"batch": batch, "batch_size": size, "record": "", "arm": ""})

    def _batch(self, size: int, number: int) -> list[Item]:
        """The pictures of a mini-batch: without replacement as far as they reach."""
        order = stream(self._design.seed, "mini-batch", size, number).permutation(
            len(self._pictures)
        )
        return [self._pictures[order[place % len(order)]] for place in range(size)]

    def _example(self, item: Item) -> Example:
        return Example(self._printer.clean(item), item.question, item.answer)

    def _printed(self, item: Item, text: str) -> Example:
        return Example(self._printer.text(item, text), item.question, item.answer)


def _rows(cosines: Mapping[str, Mapping[str, float]], common: Mapping[str, object]) -> list[Row]:
    return [
        {**common, "kind": kind, "module": module, "cosine": cosine}
        for kind, modules in cosines.items()
        for module, cosine in modules.items()
    ]


def _re_encoded(picture: Image.Image) -> Image.Image:
    """The picture after a JPEG at Pillow's default quality, as the paper saves stamped ones."""
    file = BytesIO()
    picture.convert("RGB").save(file, format="JPEG")
    return Image.open(BytesIO(file.getvalue())).convert("RGB")
