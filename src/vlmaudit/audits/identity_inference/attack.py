"""Whom the voting rule flags when an attacker holds only so many pictures of each person."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vlmaudit.audits.identity_inference.evidence import Evidence
from vlmaudit.audits.identity_inference.finding import (
    Confusion,
    ConfusionCell,
    CurvePoint,
    PersonRow,
)
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.audits.shares import share
from vlmaudit.results.records import Estimate
from vlmaudit.seeds import stream
from vlmaudit.stats.votes import draw_agreements


@dataclass(frozen=True, slots=True)
class Attacks:
    """Random choices of everybody's pictures, and whether the rule flags them.

    Attributes:
        sizes: Numbers of attack pictures.
        flagged: By identity, 1 where a draw flags the person, else 0; NaN where the person has
            fewer pictures. People without votes are missing.
    """

    sizes: tuple[int, ...]
    flagged: Mapping[str, Float[np.ndarray, "sizes draws"]]

    def able(self, people: Sequence[PersonRow], size: int) -> list[PersonRow]:
        """Those who have as many pictures."""
        place = self.sizes.index(size)
        return [
            row
            for row in people
            if row.identity in self.flagged and np.isfinite(self.flagged[row.identity][place, 0])
        ]

    def rate(self, people: Sequence[PersonRow], size: int, *, flagged: bool = True) -> Estimate:
        """The share of these people who are flagged with so many pictures, or who are not."""
        place = self.sizes.index(size)
        rows = [self.flagged[row.identity][place] for row in self.able(people, size)]
        return mean_over_draws([row if flagged else 1 - row for row in rows])


def mean_over_draws(rows: Sequence[Float[np.ndarray, " draws"]]) -> Estimate:
    """People's shares of draws as one rate; its SD over draws is no uncertainty about people."""
    if not rows:
        return share([])
    # Added exactly: the order of the people shall not show in the last digit.
    by_draw = [math.fsum(draw) / len(rows) for draw in np.array(rows).T]
    return share([float(row.mean()) for row in rows], sd=float(np.std(by_draw)))


def attack(evidence: Sequence[Evidence], settings: IdentityInference) -> Attacks:
    """Draw pictures of everybody whose membership is known, as often as the settings say."""
    flagged: dict[str, Float[np.ndarray, "sizes draws"]] = {}
    for one in evidence:
        if one.votes is None or not one.person.membership:
            continue
        hits = np.full((len(settings.sizes), settings.draws), np.nan)
        fitting = [size for size in settings.sizes if size <= one.pictures]
        if fitting:
            rng = stream(settings.seed, "draws", one.person.identity)
            drawn = draw_agreements(
                one.votes.codes, one.votes.own, sizes=fitting, n_draws=settings.draws, rng=rng
            )
            hits[[settings.sizes.index(size) for size in fitting]] = drawn >= settings.tau
        flagged[one.person.identity] = hits
    return Attacks(settings.sizes, flagged)


def curve(attacks: Attacks, people: Sequence[PersonRow]) -> list[CurvePoint]:
    """All rates by number of pictures."""
    members, others = _by_membership(people)
    points: list[CurvePoint] = []
    for place, size in enumerate(attacks.sizes):
        hits, alarms = (
            [attacks.flagged[row.identity][place] for row in attacks.able(group, size)]
            for group in (members, others)
        )
        right = [*hits, *(1 - row for row in alarms)]
        for quantity, rows in (
            ("TPR", hits),
            ("FNR", [1 - row for row in hits]),
            ("FPR", alarms),
            ("TNR", [1 - row for row in alarms]),
            # Accuracy without one of the two groups would be the other's rate under a new name.
            ("accuracy", right if hits and alarms else []),
        ):
            if rows:
                points.append(
                    CurvePoint(quantity=quantity, pictures=size, rate=mean_over_draws(rows))
                )
    return points


def shown_size(attacks: Attacks, people: Sequence[PersonRow]) -> int | None:
    """The largest attack size that half of the people of known membership have pictures for."""
    known = [row for row in people if row.membership]
    fitting = [size for size in attacks.sizes if 2 * len(attacks.able(known, size)) >= len(known)]
    return max(fitting, default=None) if known else None


def confusions(
    attacks: Attacks, people: Sequence[PersonRow], settings: IdentityInference
) -> list[Confusion]:
    """Members and non-members, flagged and not: with few pictures, with many, and by the test."""
    largest = shown_size(attacks, people)
    if largest is None:
        return []
    found = [
        Confusion(rule="votes", pictures=size, cells=_of_votes(attacks, people, size))
        for size in sorted({min(attacks.sizes), largest})
    ]
    if settings.protocol == "audit":
        found.append(Confusion(rule="test", pictures=None, cells=_of_decisions(people)))
    return found


def _by_membership(people: Sequence[PersonRow]) -> tuple[list[PersonRow], list[PersonRow]]:
    return (
        [row for row in people if row.membership == "member"],
        [row for row in people if row.membership == "non_member"],
    )


def _of_votes(attacks: Attacks, people: Sequence[PersonRow], size: int) -> list[ConfusionCell]:
    return [
        _cell(is_member, is_flagged, attacks.rate(group, size, flagged=is_flagged))
        for is_member, group in zip((True, False), _by_membership(people), strict=True)
        for is_flagged in (True, False)
    ]


def _of_decisions(people: Sequence[PersonRow]) -> list[ConfusionCell]:
    return [
        _cell(
            is_member,
            is_flagged,
            share([row.detected is is_flagged for row in group if row.detected is not None]),
        )
        for is_member, group in zip((True, False), _by_membership(people), strict=True)
        for is_flagged in (True, False)
    ]


def _cell(is_member: bool, is_flagged: bool, rate: Estimate) -> ConfusionCell:
    people = 0.0 if rate.value is None else rate.value * rate.n
    return ConfusionCell(is_member=is_member, is_flagged=is_flagged, people=people, rate=rate)
