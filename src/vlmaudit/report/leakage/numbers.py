"""Rates over people, and differences of rates, as a reader of name leakage meets them."""

from typing import Final

from vlmaudit.results.numbers import (
    MINUS,
    NO_VALUE,
    bound,
    count,
    counted,
    decimal,
    interval,
    p_number,
    percent,
)
from vlmaudit.results.records import Estimate

_MANY: Final = {"person": "people"}


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign.

    >>> points(0.0432), points(-0.0004), points(0.0)
    ('+4.3', '−0.040', '0')
    """
    hundredths = 100 * difference
    if not hundredths:
        return "0"
    size = abs(hundredths)
    digits = 1 if size >= 0.1 else 3
    text = decimal(size, digits)
    if not float(text):
        text = "< 0.001"
    return f"{'+' if hundredths > 0 else MINUS}{text}"


def points_interval(estimate: Estimate) -> str:
    """The limits of a difference.

    >>> points_interval(Estimate(value=0.04, low=-0.01, high=0.09, n=60, method="MOVER"))
    '−1.0 to +9.0'
    """
    if estimate.low is None or estimate.high is None:
        return "no interval"
    return f"{points(estimate.low)} to {points(estimate.high)}"


def units(estimate: Estimate) -> str:
    """What an estimate rests on.

    >>> units(Estimate(value=0.5, low=0.4, high=0.6, n=60, method="CP"))
    'n = 60 people'
    """
    many = _MANY.get(estimate.unit, f"{estimate.unit}s")
    return f"n = {counted(estimate.n, estimate.unit, many)}"


def mean_share(estimate: Estimate) -> str:
    """A mean over people of a share, with its interval and n; it counts nobody.

    >>> mean_share(Estimate(value=0.5, low=0.4, high=0.6, n=60, method="CP"))
    '50.0 % (40.0 % to 60.0 %), n = 60 people'
    """
    if estimate.value is None:
        return f"not estimated ({units(estimate)})"
    if estimate.value in (0.0, 1.0):
        return f"{bound(estimate)}, {units(estimate)}"
    return f"{bound(estimate)} ({interval(estimate)}), {units(estimate)}"


def lift_words(estimate: Estimate | None) -> str:
    """A lift with its interval and n.

    >>> lift_words(Estimate(value=0.2, low=0.1, high=0.3, n=60, method="MOVER"))
    '+20.0 points (+10.0 to +30.0), n = 60 people'
    """
    if estimate is None or estimate.value is None:
        return "not estimated: nobody to compare with"
    return f"{points(estimate.value)} points ({points_interval(estimate)}), {units(estimate)}"


def adjusted(p: float | None, p_adjusted: float | None) -> tuple[str, tuple[str, ...]]:
    """A p-value for a cell, and its adjusted one for the line below."""
    if p is None:
        return NO_VALUE, ()
    return p_number(p), () if p_adjusted is None else (f"adjusted {p_number(p_adjusted)}",)


def maybe_count(number: int | None) -> str:
    """A whole number, or a dash."""
    return NO_VALUE if number is None else count(number)


def maybe_percent(share: float | None) -> str:
    """A share, or a dash."""
    return NO_VALUE if share is None else percent(share)
