"""Two ways to ask, to show, or to train, compared person by person: joins of units tables."""

from collections.abc import Iterable, Sequence
from itertools import combinations, groupby
from typing import Final, Literal, NamedTuple

import numpy as np
import polars as pl

from vlmaudit.audits.name_leakage.finding import ContrastRow
from vlmaudit.audits.name_leakage.rates import adjusted
from vlmaudit.data.conditions import ORIGINAL
from vlmaudit.results.records import Estimate
from vlmaudit.seeds import stream
from vlmaudit.stats.differences import contrast, equivalent

SEPARATOR: Final = ": "
"""Stands between condition and prompt category in a units table's columns."""

Kind = Literal["prompt", "model"]


class _Pair(NamedTuple):
    kind: Kind
    first: str
    second: str
    first_column: str
    second_column: str


def contrast_rows(
    units: pl.DataFrame,
    *,
    against: pl.DataFrame | None = None,
    model: str = "",
    other_model: str = "",
    permutations: int,
    seed: int,
) -> list[ContrastRow]:
    """Every pair of prompt categories, and two models.

    Args:
        units: A row a person: ``identity``, and a leak rate a column called
            ``condition: category``.
        against: The same of another model, of the same people.
        model: How the first model is called.
        other_model: How the second one is.
        permutations: Sign flips.
        seed: What they follow from.
    """
    rates = [column for column in units.columns if SEPARATOR in column]
    rows = [_row(pair, units, permutations, seed) for pair in _prompts(rates)]
    if against is not None:
        shared = [column for column in rates if column in against.columns]
        renamed = against.select("identity", *shared).rename({name: f"{name}'" for name in shared})
        joined = units.join(renamed, on="identity", how="inner")
        rows += [
            _row(
                _Pair("model", f"{model} ({name})", f"{other_model} ({name})", name, f"{name}'"),
                joined,
                permutations,
                seed,
            )
            for name in shared
        ]
    found = [row for row in rows if row is not None]
    return [row for _, family in groupby(found, key=lambda row: row.kind) for row in _bh(family)]


def _prompts(columns: Sequence[str]) -> list[_Pair]:
    """All pairs of categories on pictures as they are: the more leading one first."""
    groups = [name.partition(SEPARATOR)[2] for name in columns if name.startswith(ORIGINAL)]
    return [
        _Pair("prompt", later, first, _column(ORIGINAL, later), _column(ORIGINAL, first))
        for first, later in combinations(sorted(groups), 2)
    ]


def _column(condition: str, group: str) -> str:
    return f"{condition}{SEPARATOR}{group}"


def _row(pair: _Pair, units: pl.DataFrame, flips: int, seed: int) -> ContrastRow | None:
    first, second = (
        units[column].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for column in (pair.first_column, pair.second_column)
    )
    found = contrast(first, second, rng=stream(seed, "sign flips"), flips=flips)
    if found is None:
        return None
    same = equivalent(first, second)
    return ContrastRow(
        kind=pair.kind,
        first=pair.first,
        second=pair.second,
        difference=Estimate(
            value=found.value, low=found.low, high=found.high, n=found.n, method=found.method
        ),
        p=found.p,
        is_equivalent=same is not None and same.holds,
    )


def _bh(family: Iterable[ContrastRow]) -> list[ContrastRow]:
    rows = list(family)
    return [
        row.model_copy(update={"p_adjusted": q})
        for row, q in zip(rows, adjusted([row.p for row in rows]), strict=True)
    ]
