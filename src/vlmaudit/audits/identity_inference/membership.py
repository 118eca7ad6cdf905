"""What known membership allows to say: rates, operating points, and whether they mean anything."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Bool, Float

from vlmaudit.audits.counted import count_correlations, covariates_of
from vlmaudit.audits.design import Design
from vlmaudit.audits.identity_inference.checked import Checked
from vlmaudit.audits.identity_inference.evidence import Evidence
from vlmaudit.audits.identity_inference.finding import PersonRow
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.results.numbers import level, percent
from vlmaudit.results.records import Estimate, Gate, Test
from vlmaudit.seeds import stream
from vlmaudit.stats.assignment import dose_response
from vlmaudit.stats.blind import BlindBaseline, blind_baseline
from vlmaudit.stats.calibration import (
    Refusal,
    conformal_p,
    cross_fitted_fpr,
    threshold_for_fpr,
    tpr_at_fpr,
)
from vlmaudit.stats.covariates import Column, name_covariates
from vlmaudit.stats.intervals import clopper_pearson, controls_needed, upper_limit
from vlmaudit.stats.roc import auc, auc_difference

BLIND: Final = "blind baseline"
DOSE: Final = "dose-response"
OPERATING_POINTS: Final = (0.05, 0.02, 0.01)
EXACT: Final = "Clopper-Pearson"


def conformal_p_values(people: Sequence[PersonRow], settings: IdentityInference) -> list[PersonRow]:
    """The rows with how unlike the known non-members everybody is, where that can be said."""
    values = [_score(row, settings) for row in people]
    known = [place for place, value in enumerate(values) if value is not None]
    is_absent = np.array([people[place].membership == "non_member" for place in known], bool)
    if not is_absent.any():
        return list(people)
    ranks = conformal_p(np.array([values[place] for place in known], float), is_absent)
    rank_of = dict(zip(known, ranks.tolist(), strict=True))
    return [
        row.model_copy(update={"conformal_p": rank_of.get(place)})
        for place, row in enumerate(people)
    ]


def judge_membership(
    evidence: Sequence[Evidence],
    people: Sequence[PersonRow],
    settings: IdentityInference,
    *,
    design: Design | None,
    checked: Checked,
) -> None:
    """Add what can be said of members and non-members, if any are known."""
    if not any(row.membership for row in people):
        return
    add_rates(people, checked)
    if design is None:  # planted doses are tested against their own planting
        checked.estimates |= count_correlations(
            [row.occurrences for row in people],
            [_score(row, settings) for row in people],
            covariates_of([one.person for one in evidence]),
        )
    baseline = _blind(evidence, people, settings, design, checked)
    scored = [
        (value, row.membership == "member", blind)
        for row, blind in zip(people, _blind_scores(people, baseline), strict=True)
        if row.membership and (value := _score(row, settings)) is not None
    ]
    is_member = np.array([member for _, member, _ in scored], bool)
    if not scored or is_member.all() or not is_member.any():
        return
    scores = np.array([value for value, _, _ in scored], float)
    _area(scores, is_member, np.array([blind for _, _, blind in scored], float), checked)
    _operating_points(scores, is_member, checked)
    _assured_threshold(scores, is_member, settings, checked)
    if design is not None and design.is_randomised:
        _dose_response(people, settings, design, checked)


def _score(row: PersonRow, settings: IdentityInference) -> float | None:
    """The real-valued evidence: z in our protocol, S in the paper's."""
    if settings.protocol == "audit":
        return row.z
    return None if row.score is None else float(row.score)


def add_rates(people: Sequence[PersonRow], checked: Checked) -> None:
    """Add the shares of known members and of known non-members that were flagged."""
    for name, membership in (("tpr", "member"), ("fpr", "non_member")):
        decided = [
            bool(row.detected)
            for row in people
            if row.membership == membership and row.detected is not None
        ]
        if not decided:
            continue
        hits, n = sum(decided), len(decided)
        limits = clopper_pearson(hits, n)
        checked.estimates[name] = Estimate(
            value=hits / n, low=limits.low, high=limits.high, n=n, method=EXACT
        )
        if name == "fpr":
            needs = ", ".join(
                f"{controls_needed(rate, hits=hits)} for {level(rate)}" for rate in OPERATING_POINTS
            )
            checked.notes.append(
                f"{hits} of {n} known non-members were flagged: the false-positive rate is at "
                f"most {percent(upper_limit(hits, n))} (one-sided 95 % limit). With as many "
                f"flagged, a claim needs this many non-members: {needs}."
            )


def _area(
    scores: Float[np.ndarray, " people"],
    is_member: Bool[np.ndarray, " people"],
    blind: Float[np.ndarray, " people"],
    checked: Checked,
) -> None:
    area = auc(scores, is_member)
    n = len(scores)
    checked.estimates["auc"] = Estimate(
        value=area.value, low=area.low, high=area.high, n=n, method=area.method
    )
    if np.isfinite(blind).all():
        gain = auc_difference(scores, blind, is_member)
        checked.estimates["auc_over_blind"] = Estimate(
            value=gain.value, low=gain.low, high=gain.high, n=n, method=f"paired {gain.method}"
        )


def _operating_points(
    scores: Float[np.ndarray, " people"], is_member: Bool[np.ndarray, " people"], checked: Checked
) -> None:
    refused: list[float] = []
    for rate in OPERATING_POINTS:
        point = tpr_at_fpr(scores, is_member, rate)
        if isinstance(point, Refusal):
            refused.append(rate)
            continue
        checked.estimates[f"tpr_at_fpr_{rate:g}"] = Estimate(
            value=point.value,
            low=point.low,
            high=point.high,
            n=point.n,
            method=(
                f"{EXACT} at a fixed threshold; its FPR is at most {percent(point.upper_fpr)} "
                "with 95 % assurance"
            ),
        )
    if refused:
        rates = " or ".join(level(rate) for rate in refused)
        checked.notes.append(
            f"The share of members found at a false-positive rate of {rates} is not stated: "
            f"{int((~is_member).sum())} known non-members are too few to rank anybody that high."
        )


def _assured_threshold(
    scores: Float[np.ndarray, " people"],
    is_member: Bool[np.ndarray, " people"],
    settings: IdentityInference,
    checked: Checked,
) -> None:
    """The score above which a new non-member is rarely found, and how rarely it was elsewhere."""
    cut = threshold_for_fpr(scores[~is_member], settings.alpha)
    if isinstance(cut, Refusal):
        checked.notes.append(f"No threshold is stated: {cut.reason}.")
        return
    checked.estimates["assured_threshold"] = Estimate(
        value=cut.value,
        low=None,
        high=None,
        n=cut.n_non_members,
        method=f"FPR at most {level(cut.max_fpr)} with {level(cut.assurance)} assurance",
    )
    fitted = cross_fitted_fpr(
        scores[~is_member], settings.alpha, rng=stream(settings.seed, "halves")
    )
    # The people who set a threshold must not be counted again to measure its false positives.
    if not isinstance(fitted, Refusal):
        checked.estimates["fpr_of_assured_threshold"] = Estimate(
            value=fitted.value,
            low=fitted.low,
            high=fitted.high,
            n=fitted.n,
            method=f"{EXACT}; each half judged by the other's threshold",
        )


def _dose_response(
    people: Sequence[PersonRow], settings: IdentityInference, design: Design, checked: Checked
) -> None:
    """Do scores rise with the planted dose? Exact, for the planting can be drawn again."""
    dose_of = design.doses()
    scored = [
        (row.identity, value) for row in people if (value := _score(row, settings)) is not None
    ]
    identities = [identity for identity, _ in scored]

    def redraw(rng: np.random.Generator) -> Float[np.ndarray, " people"]:
        doses = design.redraw(rng)
        return np.array([doses[identity] for identity in identities], float)

    response = dose_response(
        np.array([dose_of[identity] for identity in identities], float),
        np.array([value for _, value in scored], float),
        [design.strata[identity] for identity in identities],
        redraw=redraw,
        rng=stream(settings.seed, DOSE),
        n_permutations=999,
    )
    checked.tests.append(
        Test(
            name=DOSE,
            p=response.p,
            statistic=response.value,
            null="the planting drawn again from other seeds; the statistic is Spearman's",
            p_min=response.p_min,
            null_n=response.null_n,
        )
    )


def _blind(
    evidence: Sequence[Evidence],
    people: Sequence[PersonRow],
    settings: IdentityInference,
    design: Design | None,
    checked: Checked,
) -> BlindBaseline | None:
    """Could membership be told without asking the model?"""
    known = [place for place, row in enumerate(people) if row.membership]
    rows = [people[place] for place in known]
    is_member = np.array([row.membership == "member" for row in rows])
    if is_member.all() or not is_member.any():
        checked.gates.append(
            Gate(
                name=BLIND,
                passed=None,
                label="undetermined",
                sentence="only one kind of membership is known: nothing to tell apart.",
            )
        )
        return None
    # Occurrences are not a covariate here: in the training data they are membership itself.
    table: dict[str, Column] = {
        "sex": [row.sex for row in rows],
        "origin": [row.origin for row in rows],
        "pictures": [float(row.pictures + row.failed) for row in rows],
        **name_covariates([row.name for row in rows]),
    }
    covariates = [evidence[place].person.covariates for place in known]
    for column in sorted({key for row in covariates for key in row}):
        table[column] = [row.get(column, "") for row in covariates]
    is_randomised = design is not None and design.is_randomised
    baseline = blind_baseline(
        table,
        is_member,
        rng=stream(settings.seed, BLIND),
        # Membership is permuted as it was planted: among people of one sex.
        strata=[row.sex for row in rows] if is_randomised else None,
        randomised=is_randomised,
    )
    checked.gates.append(
        Gate(
            name=BLIND,
            passed=baseline.label in {"randomised", "balanced"},
            label=baseline.label,
            sentence=baseline.sentence,
        )
    )
    if baseline.p is not None and baseline.auc is not None:
        checked.tests.append(
            Test(
                name=BLIND,
                p=baseline.p,
                statistic=baseline.auc,
                null="membership permuted over people",
                p_min=baseline.p_min,
                null_n=baseline.null_n,
            )
        )
    return baseline


def _blind_scores(people: Sequence[PersonRow], baseline: BlindBaseline | None) -> list[float]:
    """Everybody's out-of-fold score of the blind rule; NaN where it has none."""
    if baseline is None or baseline.scores is None:
        return [np.nan] * len(people)
    of_known = iter(baseline.scores.tolist())
    return [next(of_known) if row.membership else np.nan for row in people]
