"""What came out for each person, over all prompts on pictures as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from vlmaudit.audits.comparable import declare
from vlmaudit.audits.name_leakage.finding import Outcome, PersonRow
from vlmaudit.audits.name_leakage.likelihood import Likelihood
from vlmaudit.audits.name_leakage.observed import FAILED
from vlmaudit.audits.name_leakage.rates import LEAKS
from vlmaudit.audits.name_leakage.settings import NameLeakage
from vlmaudit.audits.name_leakage.tally import Cohort, Tally, mean_share
from vlmaudit.data.identities import Person
from vlmaudit.seeds import stream
from vlmaudit.stats.swapping import PersonRanks, person_ranks

TOP: Final = 30
"""People whose rates the paper's figure 4 shows, and as many of the others."""

_HOMONYM: Final = "shares a name with somebody in the study: not compared"
_NOBODY: Final = "nobody of the same sex to compare with"
_TOO_FEW: Final = "too few people of the same sex: p cannot reach alpha"
_NO_ANSWER: Final = "no answer about a picture of theirs"


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """Leak rates on every other picture.

    Who stands out is chosen on one half, and shown by the other: the mean of the chosen would be
    too high on the pictures that chose them.

    Attributes:
        odd: Of the pictures that choose; NaN without any.
        even: Of the pictures that show.
        pictures: Everybody's pictures with an answer.
    """

    odd: Float[np.ndarray, " people"]
    even: Float[np.ndarray, " people"]
    pictures: Int[np.ndarray, " people"]


def halves(table: pl.DataFrame, cohort: Cohort) -> Halves:
    """Split everybody's pictures by turns, in the order of their names.

    Args:
        table: ``identity, image, status, outcome`` of pictures as they are.
        cohort: The study's people.
    """
    answered = table.filter(pl.col("status") != FAILED)
    images = answered.select("identity", "image").unique().sort("identity", "image")
    numbered = images.with_columns(
        is_odd=pl.int_range(pl.len()).over("identity") % 2 == 0  # the first, the third, …
    )
    shares = (
        answered.join(numbered, on=["identity", "image"])
        .group_by("identity", "is_odd")
        .agg(pl.col("outcome").is_in(LEAKS).mean().alias("rate"))
    )
    place = cohort.place
    odd, even = (np.full(len(place), np.nan) for _ in range(2))
    for identity, is_odd, rate in shares.iter_rows():
        (odd if is_odd else even)[place[identity]] = rate
    pictures = np.zeros(len(place), dtype=np.int64)
    for identity, number in images.group_by("identity").len().iter_rows():
        pictures[place[identity]] = number
    return Halves(odd, even, pictures)


def person_rows(
    tally: Tally,
    cells: Sequence[int],
    settings: NameLeakage,
    *,
    split: Halves,
    likelihoods: Mapping[str, Likelihood],
    arms: Mapping[str, str],
) -> list[PersonRow]:
    """Everybody's row.

    Args:
        tally: All counts.
        cells: The prompts that count: all those on pictures as they are.
        settings: The protocol and its parameters.
        split: Rates on every other picture.
        likelihoods: What the likelihoods of names say, by identity.
        arms: What was done to people of a planted design, in words.
    """
    cohort = tally.cohort
    said = tally.said(cells)
    ranks = person_ranks(said, cohort.strata, cohort.alone)
    rates = np.where(said.answered, said.shares.diagonal(), np.nan)
    leaks = np.stack([tally.leaks(cell) for cell in cells]).sum(axis=0)
    answers = tally.answers[list(cells)].sum(axis=0)
    failed = tally.asked[list(cells)].sum(axis=0) - answers
    outcomes = tally.outcomes(cells)
    decisions = _decide(ranks, rates, settings)
    shown = _shown(split.odd, cohort.persons, settings.seed)
    groups = _by_group(tally, cells)
    rows = []
    for place, person in enumerate(cohort.persons):
        rate, (detected, q) = _number(rates[place]), decisions[place]
        rows.append(
            PersonRow(
                identity=person.identity,
                name=person.name,
                sex=person.sex,
                origin=person.origin,
                occurrences=person.occurrences,
                arm=arms.get(person.identity, ""),
                pictures=int(split.pictures[place]),
                answers=int(answers[place]),
                failed=int(failed[place]),
                leaks=int(leaks[place]),
                rate=rate,
                by_group={
                    group: float(values[place])
                    for group, values in groups.items()
                    if not np.isnan(values[place])
                },
                said_of_others=_number(ranks.said_of_others[place]),
                outcomes=_of_person(outcomes, place),
                detected=detected,
                p=_number(ranks.p[place]),
                p_adjusted=q,
                p_name=_number(ranks.p_name[place]),
                p_picture=_number(ranks.p_picture[place]),
                p_cell=_number(ranks.p_cell[place]),
                p_min=_number(ranks.p_min[place]),
                even_rate=_number(split.even[place]),
                shown=shown[place],
                note=_note(place, said.answered[place], cohort, ranks, settings.alpha),
                **_likelihood(likelihoods.get(person.identity)),
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class _Test:
    """One person's ranks, as `declare` wants them."""

    p: float
    p_min: float
    p_cell: float


def _decide(
    ranks: PersonRanks, rates: Float[np.ndarray, " people"], settings: NameLeakage
) -> list[tuple[bool | None, float | None]]:
    """Whom the protocol declares named, each with an adjusted p-value.

    The paper counts whoever is named once; ours asks whether others are named so, too.
    """
    # Where p cannot reach alpha nobody could be detected: that is no decision.
    tested = np.flatnonzero(ranks.p_min <= settings.alpha)
    family = [
        _Test(float(ranks.p[at]), float(ranks.p_min[at]), float(ranks.p_cell[at])) for at in tested
    ]
    found: list[tuple[bool | None, float | None]] = [(None, None)] * len(rates)
    for at, (detected, q) in zip(tested, declare(family, settings.alpha), strict=True):
        found[at] = (detected and bool(rates[at] > 0), q)
    if settings.protocol == "paper":
        return [
            (None if np.isnan(rate) else bool(rate > 0), q)
            for rate, (_, q) in zip(rates, found, strict=True)
        ]
    return found


def _of_person(
    outcomes: Mapping[Outcome, Int[np.ndarray, " people"]], place: int
) -> dict[Outcome, int]:
    return {
        outcome: int(counts[place]) for outcome, counts in sorted(outcomes.items()) if counts[place]
    }


def _by_group(tally: Tally, cells: Sequence[int]) -> dict[str, Float[np.ndarray, " people"]]:
    by_group: dict[str, list[int]] = {}
    for cell in cells:
        by_group.setdefault(tally.cells[cell][1].partition("/")[0], []).append(cell)
    return {
        group: mean_share(np.stack([tally.leaks(cell) for cell in members]), tally.answers[members])
        for group, members in sorted(by_group.items())
    }


def _shown(
    odd: Float[np.ndarray, " people"], persons: Sequence[Person], seed: int
) -> list[Literal["top", "sample", ""]]:
    order = sorted(
        (place for place in range(len(persons)) if odd[place] > 0),
        key=lambda place: (-odd[place], persons[place].identity),
    )
    top = set(order[:TOP])
    rest = [place for place in range(len(persons)) if place not in top]
    drawn = stream(seed, "people shown").permutation(len(rest))[:TOP]
    sample = {rest[place] for place in drawn}
    return [
        "top" if place in top else "sample" if place in sample else ""
        for place in range(len(persons))
    ]


def _note(place: int, answered: bool, cohort: Cohort, ranks: PersonRanks, alpha: float) -> str:
    if not answered:
        return _NO_ANSWER
    if cohort.alone[place]:
        return _HOMONYM
    if np.isnan(ranks.p[place]):
        return _NOBODY
    return "" if ranks.p_min[place] <= alpha else _TOO_FEW


def _likelihood(one: Likelihood | None) -> dict[str, float | int | bool | None]:
    if one is None:
        return {}
    return {
        "rank": one.rank,
        "exposure": one.exposure,
        "likelihood_z": one.test.z if one.test else None,
        "likelihood_p": one.test.p if one.test else None,
        "likelihood_p_adjusted": one.p_adjusted,
        "known_by_likelihood": one.known,
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
