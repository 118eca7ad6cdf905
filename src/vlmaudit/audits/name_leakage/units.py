"""units.parquet of a name-leakage run: a row a person, for contrasts by joining."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from vlmaudit.audits.name_leakage.contrasts import SEPARATOR
from vlmaudit.audits.name_leakage.finding import PersonRow
from vlmaudit.audits.name_leakage.tally import Tally, mean_share


def unit_rows(tally: Tally, people: Sequence[PersonRow]) -> pl.DataFrame:
    """``identity, name, score, n, failed``, leak rates, and the covariates of the people table.

    A column a condition and prompt category, such as ``original: P2``, holds everybody's leak
    rate averaged over rephrasings; null for those without an answer. ``score`` is the rate over
    all prompts on pictures as they are.
    """
    cohort = tally.cohort
    rows = {row.identity: row for row in people}
    persons = cohort.persons
    found = [rows.get(person.identity) for person in persons]
    columns: dict[str, pl.Series] = {
        "identity": pl.Series([person.identity for person in persons], dtype=pl.String),
        "name": pl.Series([person.name for person in persons], dtype=pl.String),
        "score": pl.Series([row.rate if row else None for row in found], dtype=pl.Float64),
        "n": pl.Series([row.answers if row else 0 for row in found], dtype=pl.Int64),
        "failed": pl.Series([row.failed if row else 0 for row in found], dtype=pl.Int64),
        "sex": pl.Series([person.sex for person in persons], dtype=pl.String),
        "origin": pl.Series([person.origin for person in persons], dtype=pl.String),
        "occurrences": pl.Series([person.occurrences for person in persons], dtype=pl.Int64),
        "likelihood_z": pl.Series(
            [row.likelihood_z if row else None for row in found], dtype=pl.Float64
        ),
    }
    groups: dict[str, list[int]] = {}
    for cell, (condition, prompt) in enumerate(tally.cells):
        name = f"{condition}{SEPARATOR}{prompt.partition('/')[0]}"
        groups.setdefault(name, []).append(cell)
    for name, cells in groups.items():
        leaks = np.stack([tally.leaks(cell) for cell in cells])
        rates = pl.Series(mean_share(leaks, tally.answers[cells]), dtype=pl.Float64)
        columns[name] = rates.fill_nan(None)
    for key in sorted({key for person in persons for key in person.covariates}):
        columns[f"covariate: {key}"] = pl.Series(
            [person.covariates.get(key) for person in persons], dtype=pl.String
        )
    return pl.DataFrame(columns)
