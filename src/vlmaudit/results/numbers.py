"""Numbers as a reader meets them: rounded honestly, never without what bounds them."""

import math
import unicodedata
from typing import Final

from vlmaudit.results.records import Estimate

MINUS: Final = "−"
NO_VALUE: Final = "–"
_LEVELS: Final = (0.05, 0.01, 0.001)
# Characters that reorder what follows them: a name could make a line read as another one.
_REORDERING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: str) -> str:
    r"""Text from outside, with what would act on page or terminal made visible.

    Accents, right-to-left letters and joiners stay; control characters (a terminal obeys them),
    overrides of the reading direction and broken halves of characters do not.

    >>> visible("Ada\x1b[31m Lovelace")
    'Ada�[31m Lovelace'
    """
    return "".join(
        "\ufffd"
        if character in _REORDERING or unicodedata.category(character) in {"Cc", "Cs"}
        else character
        for character in " ".join(text.split())
    )


def sentence_case(text: str) -> str:
    """Text that begins a line; a symbol stays as it is, for P is not p.

    >>> sentence_case("planted people"), sentence_case("p cannot go below .005")
    ('Planted people', 'p cannot go below .005')
    """
    is_symbol = text[1:2] == " " and text[0] != "a"
    return text if is_symbol else text[:1].upper() + text[1:]


def count(number: int) -> str:
    """A whole number with its thousands apart.

    >>> count(4320)
    '4,320'
    """
    return f"{number:,}"


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun.

    >>> counted(1, "person", "people"), counted(1200, "person", "people")
    ('1 person', '1,200 people')
    """
    return f"{count(number)} {one if number == 1 else many}"


def duration(seconds: float) -> str:
    """How long something takes, as coarse as an estimate deserves.

    >>> duration(8), duration(95), duration(4000), duration(200_000)
    ('8 s', '2 min', '1 h 7 min', '2 d 8 h')
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def size(n_bytes: float) -> str:
    """Room on a disk.

    >>> size(999), size(51_200_000), size(7.2e9)
    ('1 kB', '51 MB', '7.2 GB')
    """
    if n_bytes < 1e6:
        return f"{max(1, round(n_bytes / 1e3))} kB"
    if n_bytes < 1e9:
        return f"{round(n_bytes / 1e6)} MB"
    return f"{n_bytes / 1e9:.1f} GB"


def decimal(number: float, digits: int = 2) -> str:
    """A number with a true minus sign.

    >>> decimal(-0.314), decimal(-0.001)
    ('−0.31', '0.00')
    """
    text = f"{number:.{digits}f}"
    if not float(text):
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def percent(share: float) -> str:
    """A fraction of 1 in percent; only a true 0 or 1 reads as one.

    >>> percent(0.0123), percent(0.00037), percent(1e-7), percent(0.99996), percent(1.0)
    ('1.2 %', '0.037 %', '< 0.001 %', '99.996 %', '100 %')
    """
    hundredths = 100 * share
    if share in (0.0, 1.0):
        text = f"{hundredths:.0f}"
    elif hundredths < 0.001:
        text = "< 0.001"
    elif hundredths < 0.1:
        text = f"{hundredths:.2g}"
    elif 99.9 < hundredths < 100:
        # Rounding down: what is not everyone must not read as everyone.
        text = f"{int(1000 * hundredths) / 1000:.3f}".rstrip("0")
    else:
        text = f"{hundredths:.1f}"
    return f"{text} %"


def level(share: float) -> str:
    """A share that somebody chose, such as an error level: as it was given.

    >>> level(0.05), level(0.025)
    ('5 %', '2.5 %')
    """
    return f"{100 * share:g} %"


def p_number(p: float) -> str:
    """A p-value without its letter: `.003`, `< .001` only if really smaller, never 0.

    Rounding never carries a p-value down to a usual level that it misses.

    >>> p_number(0.003), p_number(0.0009996), p_number(0.0504), p_number(0.001), p_number(1.0)
    ('.003', '< .001', '.0504', '.001', '1')
    """
    if p < 0.001:
        return "< .001"
    if p >= 0.9995:
        return "1"
    for digits in (3, 4, 5):
        rounded = round(p, digits)
        if not any(rounded <= level < p for level in _LEVELS):
            return f"{p:.{digits}f}".removeprefix("0")
    return f"> {rounded:.3f}".replace("0.", ".")


def p_floor(p: float) -> str:
    """The smallest p-value that can come out: two digits are enough.

    >>> p_floor(0.005), p_floor(1 / 1001)
    ('.005', '.001')
    """
    return f"{p:.2g}".removeprefix("0")


def p_value(p: float) -> str:
    """A p-value with its letter.

    >>> p_value(0.003), p_value(0.0002)
    ('p = .003', 'p < .001')
    """
    number = p_number(p)
    return f"p {number}" if number[0] in "<>" else f"p = {number}"


def hits(estimate: Estimate) -> str:
    """How many of how many, or only how many where repeated draws leave no whole number.

    >>> hits(Estimate(value=0.5, low=0.2, high=0.8, n=8, method="exact"))
    '4 of 8'
    """
    if estimate.value is None:
        return f"n = {count(estimate.n)}"
    number = estimate.value * estimate.n
    if abs(number - round(number)) > 1e-6 * max(1, estimate.n):
        return f"n = {count(estimate.n)}"
    return f"{count(round(number))} of {count(estimate.n)}"


def interval(estimate: Estimate) -> str:
    """The limits of a rate.

    >>> interval(Estimate(value=0.0, low=0.0, high=0.0123, n=299, method="exact"))
    '0 % to 1.2 %'
    """
    if estimate.low is None or estimate.high is None:
        return "no interval"
    return f"{percent(estimate.low)} to {percent(estimate.high)}"


def bound(estimate: Estimate) -> str:
    """The rate as what can be said of it: none seen is an upper limit, all seen a lower one.

    >>> bound(Estimate(value=0.0, low=0.0, high=0.0123, n=299, method="exact"))
    'at most 1.2 %'
    >>> bound(Estimate(value=0.75, low=0.5, high=0.9, n=20, method="exact"))
    '75.0 %'
    """
    if estimate.value is None:
        return "not estimated"
    if estimate.value == 0:
        return "none seen" if estimate.high is None else f"at most {percent(estimate.high)}"
    if estimate.value == 1:
        return "all" if estimate.low is None else f"at least {percent(estimate.low)}"
    return percent(estimate.value)


def brief(estimate: Estimate) -> str:
    """`bound` where there is no room for words.

    >>> brief(Estimate(value=0.0, low=0.0, high=0.0123, n=299, method="exact"))
    '≤ 1.2 %'
    >>> brief(Estimate(value=None, low=None, high=None, n=0, method="exact"))
    '–'
    """
    if estimate.value is None:
        return NO_VALUE
    return bound(estimate).replace("at most", "≤").replace("at least", "≥")


def whole(estimate: Estimate) -> str:
    """`brief` in whole hundredths, without their sign; only everyone reads as 100.

    >>> whole(Estimate(value=0.0, low=0.0, high=0.0596, n=60, method="exact"))
    '≤ 6'
    >>> whole(Estimate(value=0.997, low=0.98, high=0.9999, n=300, method="exact"))
    '> 99'
    >>> whole(Estimate(value=0.004, low=0.001, high=0.01, n=300, method="exact"))
    '< 1'
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None:
        return NO_VALUE
    if value == 0 and high is not None:
        # Upwards, and downwards below: a limit must not promise more than it holds.
        return f"≤ {math.ceil(100 * high)}"
    if value == 1 and low is not None:
        return f"≥ {math.floor(100 * low)}"
    hundredths = round(100 * value)
    if hundredths == 0 and value > 0:
        return "< 1"
    return "> 99" if hundredths == 100 and value < 1 else f"{hundredths}"


def people_of(number: float, n: int) -> str:
    """How many people of how many; a mean over draws need not be whole.

    >>> people_of(74.9, 120), people_of(4.15, 300), people_of(91, 120), people_of(0, 0)
    ('74.9 of 120', '4.15 of 300', '91 of 120', '–')
    """
    if not n:
        return NO_VALUE
    # Twenty draws leave twentieths: two digits hold them.
    return f"{number:,.2f}".rstrip("0").rstrip(".") + f" of {count(n)}"


def rate(estimate: Estimate) -> str:
    """A rate in one line, with its n and its interval.

    >>> rate(Estimate(value=0.0, low=0.0, high=0.0123, n=299, method="exact"))
    '0 of 299: at most 1.2 %'
    >>> rate(Estimate(value=0.75, low=0.5, high=0.9, n=20, method="exact"))
    '15 of 20: 75.0 % (50.0 % to 90.0 %)'
    """
    if estimate.value is None:
        return f"not estimated ({hits(estimate)})"
    if estimate.value in (0.0, 1.0):
        return f"{hits(estimate)}: {bound(estimate)}"
    return f"{hits(estimate)}: {bound(estimate)} ({interval(estimate)})"
