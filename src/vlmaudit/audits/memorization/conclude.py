"""The quick half: what observations of a checkpoint mean. Pure; runs again without the model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import polars as pl

from vlmaudit.audits.memorization import gates
from vlmaudit.audits.memorization.doses import dose_rows, slope_rows, unit_rows
from vlmaudit.audits.memorization.exposure import Exposure, exposure
from vlmaudit.audits.memorization.extraction import extraction
from vlmaudit.audits.memorization.finding import CanaryRow, Finding, MeanRow
from vlmaudit.audits.memorization.gradients import gradients
from vlmaudit.audits.memorization.observed import (
    BASE,
    CANARY,
    CONTROL,
    TUNED,
    TWIN,
    Observed,
    has_failed,
)
from vlmaudit.audits.memorization.probes import probes
from vlmaudit.audits.memorization.said import Said
from vlmaudit.audits.memorization.settings import Memorization
from vlmaudit.audits.memorization.utility import utility_rows
from vlmaudit.audits.memorization.verdicts import judge, weigh_means
from vlmaudit.audits.memorization.words import split_sentence
from vlmaudit.results.records import Estimate, Failures, Test

_AUC_METHODS: Final[Mapping[str, str]] = {
    "probe": "logit-DeLong × κ",
    "gradients": "DeLong",
    "extraction": "DeLong",
    "exposure": "DeLong",
}
_NULLS: Final = "seen records are to the model as unseen ones: arms permuted over records"


@dataclass(frozen=True, slots=True, eq=False)
class Conclusion:
    """A finding, with the table that goes beside it.

    Attributes:
        finding: What it all means.
        units: A row a record: ``record, arm, dose, included, probe_score, gradient_change,
            hit_rate, exposure_bits``.
    """

    finding: Finding
    units: pl.DataFrame


def conclude(observed: Observed, settings: Memorization) -> Conclusion:
    """The finding that the observations support under the settings' protocol.

    Args:
        observed: What was observed of the audited checkpoint and of those it is held against.
        settings: The protocol and its parameters.
    """
    asked = _only_asked(observed, settings)
    said = Said(
        probed=probes(asked, settings),
        graded=gradients(asked, settings),
        extracted=extraction(asked, settings),
        exposed=exposure(asked, settings),
    )
    probed, graded, extracted, exposed = said.probed, said.graded, said.extracted, said.exposed
    utility = utility_rows(observed)
    failures = _failures(asked)
    checked = gates.check(
        observed,
        settings,
        failures,
        probed=probed,
        graded=graded,
        utility=utility,
        sides=_sides(said),
    )
    means = weigh_means(settings, said, checked)
    units = unit_rows(asked, said)
    slopes = slope_rows(units, settings)
    split = probed.split if probed else []
    verdict, sentence = judge(means, checked, slopes, split, settings)
    canaries = exposed.canaries if exposed else None
    finding = Finding(
        protocol=settings.protocol,
        model=observed.model,
        roles=observed.roles,
        variant=observed.variant,
        settings=_shown(settings),
        verdict=verdict,
        sentence=sentence,
        gates=checked,
        failures=failures,
        estimates=_estimates(means, exposed, canaries),
        tests=_tests(means, canaries, settings),
        means=means,
        layers=probed.layers if probed else [],
        other_layers=probed.others if probed else [],
        split_layers=split,
        state_map=probed.map if probed else None,
        change_layers=probed.change if probed else [],
        twin_layers=probed.twin if probed else [],
        modules=graded.rows if graded else [],
        gradient_curves=graded.curves if graded else [],
        extraction=extracted.rows if extracted else [],
        ways=extracted.ways if extracted else [],
        exposure=exposed.rows if exposed else [],
        conditions=exposed.conditions if exposed else [],
        doses=dose_rows(units),
        slopes=slopes,
        canaries=canaries,
        utility=utility,
        missing=_missing(asked, settings, said, canaries),
        notes=[*observed.notices, *([split_sentence(split)] if split else [])],
    )
    return Conclusion(finding, units)


def _only_asked(observed: Observed, settings: Memorization) -> Observed:
    """What the settings' means read; a mean that is not asked is not looked at."""
    means = settings.means
    return replace(
        observed,
        states=observed.states if "probe" in means else {},
        gradients=observed.gradients if "gradients" in means else None,
        answers=observed.answers if "extraction" in means else None,
        exposure=observed.exposure if "exposure" in means else None,
    )


def _sides(said: Said) -> tuple[int, int]:
    """Seen and unseen records of the mean that has the fewest."""
    sides = [(one.n_seen, one.n_unseen) for one in (said.probed, said.graded) if one]
    ways = said.extracted.ways if said.extracted else []
    conditions = said.exposed.conditions if said.exposed else []
    sides += [(row.seen.n, row.unseen.n) for row in ways if row.role == TUNED]
    sides += [(row.seen.n, row.unseen.n) for row in conditions if row.role == TUNED]
    return min(sides, key=min, default=(0, 0))


def _failures(observed: Observed) -> Failures:
    """What was not observed: neither an answer that says nothing, nor "no leak"."""
    reasons: Counter[str] = Counter()
    asked = sum(len(states.items) for states in observed.states.values())
    lost: set[str] = set()
    reached = {entity for one in observed.states.values() for entity in one.items["entity"]}
    for table in (observed.answers, observed.exposure):
        if table is None:
            continue
        failed = table.filter(has_failed())
        asked += table.height
        reasons.update(reason or "not said" for reason in failed["reason"])
        lost |= set(failed["record"])
        reached |= set(table.filter(~has_failed())["record"])
    if (cosines := observed.gradients) is not None:
        # A module that has no gradient at all is frozen: that is no failure.
        alive = cosines.filter(pl.col("cosine").is_finite())
        counted = cosines.filter(pl.col("module").is_in(alive["module"].unique().to_list()))
        asked += counted.height
        wrong = counted.height - alive.height
        if wrong:
            reasons["a gradient that is not a number"] += wrong
        reached |= set(alive["record"].drop_nulls()) - {""}
    failed_count = sum(reasons.values())
    return Failures(
        asked=asked,
        answered=asked - failed_count,
        failed=failed_count,
        unit="request",
        reasons=dict(sorted(reasons.items())),
        people_asked=len(reached),
        people_lost=sorted(lost - reached),
    )


def _missing(
    observed: Observed,
    settings: Memorization,
    said: Said,
    canaries: CanaryRow | None,
) -> list[str]:
    """Every comparison that falls away, and why."""
    found = []
    there = {
        "probe": TUNED in observed.states,
        "gradients": said.graded is not None,
        "extraction": observed.answers is not None,
        "exposure": observed.exposure is not None,
    }
    # States from elsewhere are all there is: nothing else was to be expected.
    expected = settings.means if observed.album is not None else ("probe",)
    found += [
        f"{mean.capitalize()}: not observed; nothing is said by it."
        for mean in expected
        if not there[mean]
    ]
    if observed.answers is not None and said.extracted is None:
        found.append("Extraction: the records' values are not known here; no answer is judged.")
    roles = observed.roles
    falls = {
        CONTROL: "what tuning without records does is not taken off",
        BASE: "what the model told apart before tuning is not taken off",
        TWIN: "differences of states between twins, which no cue in the strings can tell apart, "
        "fall away",
    }
    found += [
        f"No {role} checkpoint: {words}." for role, words in falls.items() if role not in roles
    ]
    if observed.exposure is not None and canaries is None:
        there_are = observed.records.filter(pl.col("arm") == CANARY).height
        found.append(
            "ε not computed: "
            + (
                "canaries have no likelihoods."
                if there_are
                else "inclusion was not randomised independently (there are no canaries)."
            )
        )
    for part in (said.probed, said.graded):
        found += part.missing if part else ()
    return found


def _estimates(
    means: Sequence[MeanRow], exposed: Exposure | None, canaries: CanaryRow | None
) -> dict[str, Estimate]:
    found = {
        f"{row.mean}_auc": Estimate(
            value=row.auc,
            low=row.low,
            high=row.high,
            n=row.n_seen + row.n_unseen,
            method=_AUC_METHODS[row.mean],
            unit="record",
        )
        for row in means
        if row.auc is not None
    }
    for row in exposed.conditions if exposed else []:
        if row.role == TUNED:
            where = "with_picture" if row.with_picture else "without_picture"
            found[f"exposure_seen_{where}"] = row.seen
            found[f"exposure_unseen_{where}"] = row.unseen
    if canaries is not None and canaries.epsilon is not None:
        found["epsilon_lower_bound"] = Estimate(
            value=canaries.epsilon,
            low=canaries.epsilon,
            high=None,
            n=canaries.included + canaries.left_out,
            method="one run, guesses fixed beforehand",
            unit="canary",
        )
    return found


def _tests(
    means: Sequence[MeanRow], canaries: CanaryRow | None, settings: Memorization
) -> list[Test]:
    p_min = 1 / (1 + settings.permutations)
    found = [
        Test(
            name=f"{row.mean}: seen against unseen records",
            p=row.p,
            p_adjusted=row.p_adjusted,
            statistic=row.auc,
            null=f"{_NULLS}; by the maximum; adjusted by Holm over the means",
            p_min=p_min,
            null_n=settings.permutations,
            unit="record",
            family="means",
        )
        for row in means
        if row.p is not None and row.auc is not None
    ]
    if canaries is not None and canaries.p is not None and canaries.auc is not None:
        found.append(
            Test(
                name="canaries that were in against those left out",
                p=canaries.p,
                statistic=canaries.auc,
                null="the coins of the canaries, thrown anew",
                p_min=p_min,
                null_n=settings.permutations,
                unit="canary",
            )
        )
    return found


def _shown(settings: Memorization) -> dict[str, str | int | float | bool | None]:
    shown = asdict(settings)
    for key in ("means", "fields"):
        shown[key] = ", ".join(shown[key])
    shown["batch_sizes"] = ", ".join(map(str, settings.batch_sizes))
    return shown
