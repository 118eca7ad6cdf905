"""Answers with their outcomes: one row a question, however it was answered."""

from collections.abc import Sequence
from itertools import chain
from typing import cast

import numpy as np
import polars as pl

from vlmaudit.audits.name_leakage.observed import FAILED, Observed
from vlmaudit.audits.name_leakage.outcomes import NOBODY, Judged, judge
from vlmaudit.audits.name_leakage.settings import NameLeakage
from vlmaudit.data.name_matching import Known, NameMatcher
from vlmaudit.results.vocabulary import Protocol


def read_outcomes(observed: Observed, settings: NameLeakage) -> pl.DataFrame:
    """Judge every answer by the settings' protocol.

    Returns:
        The rows of `observed.answers`, in order, with ``outcome``, ``matched`` (the text that
        decided), ``start`` and ``end`` (its place in the answer, null for none), ``names`` (the
        identities found in the answer in any way), ``affirmed`` (positions of the people whose
        names it gives away), and ``leaks_by_paper`` and ``leaks_by_audit``: whether it gives away
        the name of the person shown, by either reading.
    """
    table = observed.answers
    matcher = NameMatcher(
        [Known(person.name, person.aliases) for person in observed.people], observed.other_names
    )
    place = {person.identity: number for number, person in enumerate(observed.people)}
    own = [place.get(identity, NOBODY) for identity in table["identity"]]
    answers = table["answer"].to_list()
    readings: dict[Protocol, Judged] = {
        protocol: judge(answers, own, matcher, protocol=protocol, list_from=settings.list_from)
        for protocol in ("paper", "audit")
    }
    mine = readings[settings.protocol]
    identities = pl.Series([person.identity for person in observed.people], dtype=pl.String)
    failed = pl.col("status") == FAILED
    return table.with_columns(
        pl.Series("outcome", mine.outcome, dtype=pl.String),
        pl.Series("matched", mine.matched, dtype=pl.String),
        _place(mine.start).alias("start"),
        _place(mine.end).alias("end"),
        _lists(mine.mentioned, identities).alias("names"),
        _lists(mine.affirmed, pl.int_range(len(identities), eager=True)).alias("affirmed"),
        *(
            pl.Series(f"leaks_by_{protocol}", _own_name(judged, own), dtype=pl.Boolean)
            for protocol, judged in readings.items()
        ),
    ).with_columns(
        # What failed has no answer, and so no outcome but that.
        outcome=pl.when(failed).then(pl.lit("failed")).otherwise(pl.col("outcome")),
    )


def _place(positions: np.ndarray) -> pl.Series:
    series = pl.Series(positions, dtype=pl.Int32)
    return series.set(series < 0, None)


def _lists(places: Sequence[tuple[int, ...]], things: pl.Series) -> pl.Series:
    """For each answer the things at these places.

    By one flat column and its offsets: polars takes ten times as long over lists of lists.
    """
    import pyarrow

    counts = np.fromiter(map(len, places), np.int64, len(places))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    flat = np.fromiter(chain.from_iterable(places), np.int64, offsets[-1])
    values = things.gather(flat).to_arrow(compat_level=pl.CompatLevel.oldest())
    lists = pyarrow.LargeListArray.from_arrays(offsets, values)
    return cast("pl.Series", pl.from_arrow(lists))


def _own_name(judged: Judged, own: list[int]) -> list[bool]:
    return [person in found for person, found in zip(own, judged.affirmed, strict=True)]
