"""What a name-leakage study says as a whole: its main estimates, tests and failures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from vlmaudit.audits.counted import count_correlations
from vlmaudit.audits.name_leakage.finding import MatcherTest, PersonRow
from vlmaudit.audits.name_leakage.observed import FAILED
from vlmaudit.audits.name_leakage.rates import (
    LEAKS,
    REFUSED,
    WRONG,
    lift_estimate,
    rate_estimate,
)
from vlmaudit.audits.name_leakage.settings import NULLS
from vlmaudit.audits.name_leakage.tally import Tally
from vlmaudit.audits.shares import share
from vlmaudit.data.conditions import ORIGINAL
from vlmaudit.data.identities import Person
from vlmaudit.data.prompts import PROMPTS
from vlmaudit.results.records import Estimate, Failures, Test
from vlmaudit.stats.covariates import Column
from vlmaudit.stats.matcher_error import corrected_lift
from vlmaudit.stats.swapping import Lift

_SWAPPED: Final = "names said as often of their own person as of others of the same sex"


def estimates(
    tally: Tally,
    cells: Sequence[int],
    lift: Lift | None,
    people: Sequence[PersonRow],
    covariates: Mapping[str, Column],
) -> dict[str, Estimate]:
    """Leak rate, lift, implicit leakage, wrong names, refusals, correlation with counts."""
    if lift is None:
        return {}
    found = {"leak_rate": rate_estimate(lift)}
    if (over_others := lift_estimate(lift)) is not None:
        found["lift"] = over_others
    unasked = [cell for cell in cells if tally.cells[cell][1].startswith("P0")]
    for name, outcomes, where in (
        ("implicit_leakage", LEAKS, unasked),
        ("wrong_names", WRONG, cells),
        ("refusals", REFUSED, cells),
    ):
        if where:
            values = tally.share_of(outcomes, where)
            found[name] = share(values[~np.isnan(values)].tolist())
    found |= count_correlations(
        [row.occurrences for row in people], [row.rate for row in people], covariates
    )
    return found


def tests(lift: Lift | None) -> list[Test]:
    """The swap of people, over all prompts."""
    if lift is None or lift.p is None or lift.lift is None:
        return []
    return [
        Test(
            name="lift over swapped people",
            p=lift.p,
            statistic=lift.lift,
            null=_SWAPPED,
            p_min=lift.p_min,
            null_n=lift.null_n,
        )
    ]


def failures(shown: pl.DataFrame, persons: Sequence[Person]) -> Failures:
    """What got no answer, of questions about pictures of the study's people."""
    failed = shown.filter(pl.col("status") == FAILED)
    answered = set(
        shown.filter(pl.col("status") != FAILED, pl.col("condition") == ORIGINAL)["identity"]
    )
    lost = sorted(one.identity for one in persons if one.identity not in answered)
    return Failures(
        asked=shown.height,
        answered=shown.height - failed.height,
        failed=failed.height,
        unit="request",
        reasons=dict(sorted(Counter(failed["reason"].replace("", "not said")).items())),
        people_asked=len(persons) - len(lost),
        people_lost=lost,
    )


def corrected(lift: Lift | None, matcher: MatcherTest) -> Estimate | None:
    """The lift with the matcher's error, as the labelled set has it, carried over."""
    if lift is None or lift.lift is None or lift.lift_low is None or lift.lift_high is None:
        return None
    recall, specificity = matcher.recall, matcher.specificity
    if recall.value is None or specificity.value is None:
        return None
    found = corrected_lift(
        lift.lift,
        lift.lift_low,
        lift.lift_high,
        sensitivity=recall.value,
        n_positive=recall.n,
        specificity=specificity.value,
        n_negative=specificity.n,
    )
    if found is None:
        return None
    return Estimate(
        value=found.value,
        low=found.low,
        high=found.high,
        n=lift.n_compared,
        method="lift / (sensitivity + specificity - 1), transported",
    )


def notes(outcomes: pl.DataFrame, *, has_labels: bool, has_design: bool) -> list[str]:
    """What a reader must know besides."""
    found = []
    if not has_labels:
        found.append("Matcher not validated on this run (vlmaudit label RUN).")
    if not has_design:
        found.append(
            "This describes what one checkpoint says, and not whose pictures it was trained on."
        )
    cut_off = int((outcomes["status"] == "cut_off").sum())
    empty = int((outcomes["status"] == "empty").sum())
    if cut_off:
        found.append(f"{cut_off:,} answers were cut off: a name may have come later.")
    if empty:
        found.append(f"{empty:,} answers are empty: they count as answers that name nobody.")
    lost = outcomes.filter(pl.col("status") == FAILED, pl.col("condition").is_in(NULLS))
    for condition, reason, number in (
        lost.group_by("condition", "reason").len().sort("condition", "reason").iter_rows()
    ):
        found.append(f"{condition}: {number:,} questions got no answer ({reason}).")
    asked = set(outcomes["prompt"])
    if len(asked) < len(PROMPTS):
        found.append(f"{len(asked)} of the paper's {len(PROMPTS)} prompts were asked.")
    return found
