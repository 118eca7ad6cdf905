"""What became of a case: answered, or failed in one of two ways."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import polars as pl

ANSWERED: Final = "answered"
TRANSIENT: Final = "transient"
"""Failed, and asking again may help: 429, 5xx, time-out, out of memory."""
PERMANENT: Final = "permanent"
"""Failed, and will fail again: an unreadable picture, a value that is not a number."""

Schema = Mapping[str, Any]

COMMON: Final[Schema] = MappingProxyType(
    {
        "case": pl.String,
        "identity": pl.String,
        "image": pl.String,
        "condition": pl.String,
        "status": pl.String,
        "reason": pl.String,
    }
)
"""The columns that every table of outcomes begins with."""


def has_failed() -> pl.Expr:
    """Whether an outcome is a failure of either kind; every other status is an answer."""
    return pl.col("status").is_in([TRANSIENT, PERMANENT])


def merge_attempts(first: pl.DataFrame, later: pl.DataFrame) -> pl.DataFrame:
    """The outcomes after another attempt: it replaces failures, and never an answer.

    Args:
        first: The outcomes so far, a row a case.
        later: Outcomes of some of these cases, asked again.

    Returns:
        A row a case of `first`, in its order.
    """
    failed = first.filter(has_failed()).select("case")
    news = later.join(failed, on="case", how="semi")
    kept = first.join(news, on="case", how="anti")
    order = first.select("case").with_row_index("place")
    merged = pl.concat([kept, news]).join(order, on="case")
    return merged.sort("place").drop("place")
