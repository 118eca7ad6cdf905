"""From judged answers to who is said of whom: counts a prompt, a condition and a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array, csr_array

from vlmaudit.audits.name_leakage.finding import Outcome
from vlmaudit.audits.name_leakage.observed import FAILED
from vlmaudit.data.identities import Person, homonyms
from vlmaudit.data.names import fold_name
from vlmaudit.stats.swapping import Said

Cell = tuple[str, str]
"""A condition and a prompt."""


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """The people of a study, as statistics see them.

    Attributes:
        persons: Everybody, in order.
        strata: Within which people are swapped: the same number for the same sex.
        alone: Who shares a name with somebody, and so is left out of swapping.
    """

    persons: tuple[Person, ...]
    strata: Int[np.ndarray, " people"]
    alone: Bool[np.ndarray, " people"]

    @property
    def place(self) -> dict[str, int]:
        """Everybody's position, by identity."""
        return {person.identity: place for place, person in enumerate(self.persons)}


def cohort_of(persons: Sequence[Person]) -> Cohort:
    """The people of a study in their order, with whom each can be compared."""
    sexes = sorted({person.sex for person in persons})
    shared = {name for name, bearers in homonyms(persons).items() if len(bearers) > 1}
    return Cohort(
        persons=tuple(persons),
        strata=np.array([sexes.index(person.sex) for person in persons], dtype=np.int64),
        alone=np.array([fold_name(person.name) in shared for person in persons], dtype=bool),
    )


class Tally:
    """Counts of judged answers by condition, prompt and person."""

    def __init__(self, table: pl.DataFrame, cohort: Cohort) -> None:
        """Count once.

        Args:
            table: A row a question about a picture of somebody in the study: ``identity,
                condition, prompt, status, outcome, affirmed``, the last a list of positions in
                the cohort: whose names the answer gives away.
            cohort: The study's people.
        """
        self.cohort = cohort
        people = pl.Enum([person.identity for person in cohort.persons])
        table = table.with_columns(
            person=pl.col("identity").cast(people).to_physical().cast(pl.Int64)
        )
        asked = table.select("condition", "prompt").unique().sort("condition", "prompt")
        self.cells: tuple[Cell, ...] = tuple(cast("list[Cell]", asked.rows()))
        places = asked.with_row_index("cell").with_columns(pl.col("cell").cast(pl.Int64))
        table = table.join(places, on=["condition", "prompt"], how="left")
        answered = table.filter(pl.col("status") != FAILED)
        self.answers = self._count(answered)
        self.asked = self._count(table)
        self._outcomes = {
            cast("Outcome", outcome): self._count(rows)
            for (outcome,), rows in table.group_by("outcome")
        }
        self._said = self._pairs(answered)

    def _count(self, rows: pl.DataFrame) -> Int[np.ndarray, "cells people"]:
        shape = (len(self.cells), len(self.cohort.persons))
        where = rows["cell"].to_numpy() * shape[1] + rows["person"].to_numpy()
        return np.bincount(where, minlength=shape[0] * shape[1]).reshape(shape)

    def _pairs(self, answered: pl.DataFrame) -> list[csr_array]:
        """For each cell how often answers about one person (row) give another's name (column)."""
        n = len(self.cohort.persons)
        pairs = (
            answered.select("cell", "person", "affirmed")
            .explode("affirmed")
            .drop_nulls("affirmed")
            .group_by("cell", "person", "affirmed")
            .len()
        )
        by_cell = {cast("int", cell): rows for (cell,), rows in pairs.group_by("cell")}
        empty = csr_array((n, n), dtype=np.float64)
        return [
            coo_array(
                (
                    rows["len"].to_numpy().astype(np.float64),
                    (rows["person"].to_numpy(), rows["affirmed"].to_numpy()),
                ),
                shape=(n, n),
            ).tocsr()
            if (rows := by_cell.get(cell)) is not None
            else empty
            for cell in range(len(self.cells))
        ]

    def places(self, condition: str, prompts: Sequence[str]) -> list[int]:
        """The cells of these prompts under a condition."""
        return [
            place
            for place, (shown, prompt) in enumerate(self.cells)
            if shown == condition and prompt in prompts
        ]

    def leaks(self, cell: int) -> Int[np.ndarray, " people"]:
        """How many answers give everybody's own name."""
        return np.rint(self._said[cell].diagonal()).astype(np.int64)

    def outcomes(self, cells: Sequence[int]) -> dict[Outcome, Int[np.ndarray, " people"]]:
        """Questions by what became of them, of everybody."""
        return {
            outcome: counts[list(cells)].sum(axis=0) for outcome, counts in self._outcomes.items()
        }

    def said(self, cells: Sequence[int]) -> Said:
        """Who is said of whom, averaged over prompts: each prompt weighs alike.

        A prompt that somebody has no answer to is left out of that person's average.
        """
        answers = self.answers[list(cells)]
        prompts = (answers > 0).sum(axis=0)
        n = len(self.cohort.persons)
        shares = csr_array((n, n), dtype=np.float64)
        for row, cell in enumerate(cells):
            weights = np.divide(
                1.0, answers[row] * prompts, out=np.zeros(n), where=answers[row] > 0
            )
            shares = shares + self._said[cell].multiply(weights[:, np.newaxis]).tocsr()
        # Averages of shares may exceed 1 by rounding, and no share does.
        shares.data = np.minimum(shares.data, 1.0)
        return Said(shares=csr_array(shares), answered=prompts > 0)

    def share_of(
        self, outcomes: Sequence[Outcome], cells: Sequence[int]
    ) -> Float[np.ndarray, " people"]:
        """Everybody's share of answers with such an outcome, averaged as in `said`."""
        answers = self.answers[list(cells)]
        counts = sum(
            (self._outcomes[one][list(cells)] for one in outcomes if one in self._outcomes),
            start=np.zeros_like(answers),
        )
        return mean_share(counts, answers)


def mean_share(
    counts: Int[np.ndarray, "cells people"], answers: Int[np.ndarray, "cells people"]
) -> Float[np.ndarray, " people"]:
    """Everybody's mean over cells of counts / answers; NaN for those without any answer."""
    shares = np.divide(
        counts, answers, out=np.full(answers.shape, np.nan), where=answers > 0, dtype=np.float64
    )
    prompts = (answers > 0).sum(axis=0)
    sums = np.nansum(shares, axis=0)
    return np.divide(sums, prompts, out=np.full(len(sums), np.nan), where=prompts > 0)
