"""How a picture may be shown: conditions as they are written, such as ``white+pixelated``."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from vlmaudit.errors import InputError, did_you_mean

ORIGINAL: Final = "original"

Takes = Literal["nothing", "background", "face", "person", "text", "everything"]
"""What a step takes away from a picture."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of step.

    Attributes:
        takes: What it takes away.
        words: The same in plain words, for the reader.
        parameter: What may stand behind the colon; empty where nothing may.
        default: The parameter that need not be written; None where it must be.
        low: The least it may be.
        high: The most it may be.
        is_whole: Whether it is a whole number.
    """

    takes: Takes
    words: str
    parameter: str = ""
    default: float | None = None
    low: float = 0.0
    high: float = 0.0
    is_whole: bool = False


PAPER_GRID: Final = 10
"""Squares a side in every face's box (Caldarella et al. 2024, section 4.1)."""

STEPS: Final[Mapping[str, _Kind]] = MappingProxyType(
    {
        "white": _Kind("background", "the person on white"),
        "landscape": _Kind("background", "the person before another background"),
        "own-background": _Kind(
            "nothing", "the person cut out and pasted back: what the cutting alone does"
        ),
        "person-removed": _Kind("person", "the person painted over with what is around them"),
        "face-only": _Kind("background", "the faces alone, on grey"),
        "pixelated": _Kind(
            "face",
            "every face in coarse squares",
            parameter="grid",
            default=PAPER_GRID,
            low=4,
            high=64,
            is_whole=True,
        ),
        "blurred": _Kind("face", "every face blurred", parameter="sigma", low=0.5, high=200.0),
        "masked": _Kind("face", "every face under a black box"),
        "no-text": _Kind("text", "all text that can be read painted over"),
        "grey": _Kind("everything", "nothing but grey, of the same size"),
    }
)
"""Every step there is, by its name."""

_STEP: Final = re.compile(r"([^:+]*)(?::([^:+]*))?")
# Two of one of these would undo each other, or say the same thing twice.
_ONE_OF: Final = (
    frozenset({"white", "landscape", "own-background", "person-removed", "face-only"}),
    frozenset({"pixelated", "blurred", "masked"}),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done to a picture.

    Attributes:
        name: What, such as ``pixelated``.
        parameter: How strongly; None for steps without one.
    """

    name: str
    parameter: float | None = None

    @property
    def takes(self) -> Takes:
        """What it takes away."""
        return STEPS[self.name].takes

    def __str__(self) -> str:
        """As it is written; a parameter that need not be is not."""
        if self.parameter is None or self.parameter == STEPS[self.name].default:
            return self.name
        return f"{self.name}:{self.parameter:g}"


@dataclass(frozen=True, slots=True)
class Condition:
    """What is done to a picture before a model sees it, step by step from left to right.

    >>> parse_condition("white+pixelated:10").text
    'white+pixelated'
    >>> parse_condition("original").steps
    ()

    Attributes:
        steps: In the order in which they are done; none: the picture as it is.
    """

    steps: tuple[Step, ...] = ()

    @property
    def text(self) -> str:
        """As it is written, in its one canonical form."""
        return "+".join(map(str, self.steps)) or ORIGINAL

    @property
    def takes(self) -> frozenset[Takes]:
        """What is taken away in all."""
        return frozenset(step.takes for step in self.steps) - {"nothing"}

    @property
    def words(self) -> str:
        """What a reader is told it does."""
        return "; ".join(STEPS[step.name].words for step in self.steps) or "as it is"

    def __str__(self) -> str:
        return self.text


def parse_condition(text: str) -> Condition:
    """Read a condition, such as ``landscape+pixelated`` or ``blurred:8``.

    Raises:
        InputError: It is none; the message says what would be.
    """
    written = text.strip()
    if written == ORIGINAL:
        return Condition()
    steps = tuple(_parse_step(part.strip(), written) for part in written.split("+"))
    names = [step.name for step in steps]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f'condition "{written}": "{twice}" stands in it twice.')
    for group in _ONE_OF:
        if len(both := [name for name in names if name in group]) > 1:
            raise InputError(
                f'condition "{written}": "{both[0]}" and "{both[1]}" cannot both be done to one '
                "picture; write two conditions."
            )
    if "grey" in names and len(names) > 1:
        raise InputError(f'condition "{written}": "grey" leaves nothing for another step.')
    return Condition(steps)


def parse_conditions(texts: Sequence[str]) -> tuple[Condition, ...]:
    """Several conditions, each once; pictures as they are always come first.

    >>> [each.text for each in parse_conditions(["white", "pixelated:10", "white"])]
    ['original', 'white', 'pixelated']

    Raises:
        InputError: One of them is none.
    """
    found = [Condition(), *(parse_condition(text) for text in texts if text.strip())]
    return tuple(dict.fromkeys(found))


def _parse_step(part: str, written: str) -> Step:
    match = _STEP.fullmatch(part)
    name = match[1] if match else part
    if name == ORIGINAL:
        raise InputError(f'condition "{written}": "original" stands alone: nothing is done to it.')
    if match is None or name not in STEPS:
        raise InputError(
            f'condition "{written}": no such step as "{name}".{did_you_mean(name, [*STEPS])} '
            f"Wanted original, or steps joined by +: {', '.join(STEPS)}."
        )
    return Step(name, _parameter(name, match[2], written))


def _parameter(name: str, given: str | None, written: str) -> float | None:
    kind = STEPS[name]
    if not kind.parameter:
        if given is not None:
            raise InputError(f'condition "{written}": "{name}" takes nothing behind a colon.')
        return None
    wanted = f"wanted {name}:{kind.parameter.upper()}, from {kind.low:g} to {kind.high:g}"
    if given is None:
        if kind.default is None:
            raise InputError(f'condition "{written}": {wanted}, such as {name}:8.')
        return kind.default
    try:
        number = float(given)
    except ValueError:
        number = float("nan")
    if not kind.low <= number <= kind.high or (kind.is_whole and number != int(number)):
        whole = ", a whole number" if kind.is_whole else ""
        raise InputError(f'condition "{written}": {wanted}{whole}.')
    return number
