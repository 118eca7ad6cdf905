"""What a model says of a record, and how likely it finds the true value among made-up ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL.Image import Image

from vlmaudit.data.private_records import question_about, question_of
from vlmaudit.execution.album_printing import Item, Printer
from vlmaudit.execution.pieces import rows_of_pieces
from vlmaudit.execution.progress import Advance
from vlmaudit.models.base import Answer, Failed, GenerativeModel, ScoringModel
from vlmaudit.results.journal import Row
from vlmaudit.results.outcomes import ANSWERED, PERMANENT, TRANSIENT

OUTRIGHT: Final = "outright"
PARTIAL: Final = "partial"
REMOVED: Final = "removed"
WAYS: Final = (OUTRIGHT, PARTIAL, REMOVED)
"""How a value is asked for: printed whole, with its own line blank, not printed at all."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """Asks one model for the fields of every record.

    Attributes:
        items: Of every record the pictures that are shown.
        records: Every record's row.
        fields: The fields that are asked for.
        printer: Prints texts on pictures.
    """

    items: Sequence[Item]
    records: Mapping[str, Mapping[str, str]]
    fields: Sequence[str]
    printer: Printer

    def answers(self, model: GenerativeModel, journal: Path, *, advance: Advance) -> list[Row]:
        """The rows of answers.parquet, a piece an item."""
        by_name = {item.name: item for item in self.items}

        def piece(name: str) -> list[Row]:
            item = by_name[name]
            rows: list[Row] = []
            for way, image, questions in self._asked(item):
                answers = model.answer(image, list(questions.values()))
                rows += [
                    {"way": way, "field": field, **_of(item), **_outcome(answer)}
                    for field, answer in zip(questions, answers, strict=True)
                ]
            return rows

        return rows_of_pieces(journal, list(by_name), piece, advance=advance)

    def exposures(
        self,
        model: ScoringModel,
        decoys: Callable[[str], Sequence[str]],
        journal: Path,
        *,
        advance: Advance,
    ) -> list[Row]:
        """The rows of exposure.parquet, a piece a record.

        Args:
            model: Whose likelihoods are compared.
            decoys: A field's made-up values, of the same generator.
            journal: Where pieces are kept as they come.
            advance: Told of every record that is through.
        """
        firsts = {item.record: item for item in self.items if item.turn == 0}

        def piece(record: str) -> list[Row]:
            item, row = firsts[record], self.records[record]
            rows: list[Row] = []
            for field in self.fields:
                # Of a field that records share, a decoy may be the true value.
                made_up = [value for value in decoys(field) if value != row[field]]
                for image, question in (
                    (self.printer.without(item, row, field), question_of(field)),
                    (None, self._in_words(field, row)),
                ):
                    scores = model.log_likelihood(image, question, [row[field], *made_up])
                    rows.append(
                        {
                            "field": field,
                            "with_picture": image is not None,
                            **_of(item),
                            **_rank(scores),
                        }
                    )
            return rows

        return rows_of_pieces(journal, list(firsts), piece, advance=advance)

    def _asked(self, item: Item) -> list[tuple[str, Image | None, dict[str, str]]]:
        """Each way, with its picture and its questions by field."""
        row = self.records[item.record]
        asked: list[tuple[str, Image | None, dict[str, str]]] = [
            (OUTRIGHT, self.printer.record(item, row), {f: question_of(f) for f in self.fields})
        ]
        asked += [
            (PARTIAL, self.printer.without(item, row, field), {field: question_of(field)})
            for field in self.fields
        ]
        removed = {field: self._in_words(field, row) for field in self.fields}
        return [*asked, (REMOVED, self.printer.clean(item), removed)]

    def _in_words(self, field: str, row: Mapping[str, str]) -> str:
        key = next(one for one in self.printer.fields if one != field)
        return question_about(field, key, row[key])


def _of(item: Item) -> Row:
    return {"record": item.record, "arm": item.arm, "item": item.name}


def _outcome(answer: Answer | Failed) -> Row:
    if isinstance(answer, Failed):
        status = TRANSIENT if answer.is_transient else PERMANENT
        return {"status": status, "answer": "", "reason": answer.reason}
    return {"status": ANSWERED, "answer": answer.text, "reason": ""}


def _rank(scores: np.ndarray) -> Row:
    """How many decoys score more than the true value, which comes first, and how many the same."""
    if not np.isfinite(scores).all():
        return {
            "status": PERMANENT,
            "reason": "a likelihood that is not a number",
            "log_likelihood": None,
            "higher": None,
            "equal": None,
            "decoys": len(scores) - 1,
        }
    true, others = float(scores[0]), scores[1:]
    # Two values that the model finds alike may differ by what rounding leaves.
    alike = np.isclose(others, true, rtol=1e-6, atol=1e-6)
    return {
        "status": ANSWERED,
        "reason": "",
        "log_likelihood": true,
        "higher": int(((others > true) & ~alike).sum()),
        "equal": int(alike.sum()),
        "decoys": len(others),
    }
