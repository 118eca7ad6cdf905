"""What the audits of a ladder's targets found, person by person, and shares of people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vlmaudit.lab.ladder import Twin
from vlmaudit.results.records import Estimate
from vlmaudit.stats.intervals import clopper_pearson

LEVEL: Final = 0.05
RATE: Final = "fractional Clopper-Pearson over people"


@dataclass(frozen=True, slots=True)
class Unit:
    """What one target's audit found of one person.

    Attributes:
        detected: The audit's decision.
        by_votes: The paper's.
    """

    seed: int
    target: int
    twin: Twin
    identity: str
    z: float
    p: float
    detected: bool
    by_votes: bool


Armed = tuple[Unit, str]
"""What was found of a person in a planted target, and the person's arm there."""


def of_twin(units: Sequence[Unit], seed: int, twin: Twin) -> list[Unit]:
    """What one seed's targets of a kind found."""
    return [unit for unit in units if unit.seed == seed and unit.twin == twin]


def by_person(armed: Sequence[Armed]) -> list[list[Unit]]:
    """Everybody's units together."""
    people: dict[str, list[Unit]] = {}
    for unit, _ in armed:
        people.setdefault(unit.identity, []).append(unit)
    return list(people.values())


def rate_of(people: Sequence[Sequence[Unit]], is_hit: Callable[[Unit], bool]) -> Estimate:
    """A share of people, each counted once with the mean over their units."""
    return share_of([float(np.mean([is_hit(unit) for unit in own])) for own in people])


def share_of(shares: Sequence[float]) -> Estimate:
    """The mean of shares, one a person."""
    if not shares:
        return Estimate(value=None, low=None, high=None, n=0, method=RATE)
    limits = clopper_pearson(sum(shares), len(shares))
    return Estimate(
        value=sum(shares) / len(shares),
        low=limits.low,
        high=limits.high,
        n=len(shares),
        method=RATE,
    )
