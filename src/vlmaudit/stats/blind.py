"""The blind baseline: could membership be told without ever asking the model?

Detection rates and AUCs compare members with non-members. If the two groups differ in anything
besides membership, a rule that never sees the model may tell them apart as well (Das et al.
2024), and the rates then say nothing about memory. The gate trains such a rule on covariates.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import special

from vlmaudit.stats.assignment import assign
from vlmaudit.stats.covariates import Column, design
from vlmaudit.stats.ranks import midranks

Label = Literal["randomised", "confounded", "balanced", "undetermined"]

FOLDS: Final = 5
REPEATS: Final = 2
PENALTY: Final = 10.0  # C = 0.1, as scikit-learn writes it
TREES: Final = 300
DEPTH: Final = 4
# Membership counts as impossible to tell if the upper limit of the AUC is not above this.
BALANCED_AUC: Final = 0.60

Rows = Int[np.ndarray, " rows"]
Labellings = Bool[np.ndarray, "labellings rows"]
Scores = Float[np.ndarray, "labellings rows"]

# Learns every labelling of the training rows, and scores the test rows for each.
TrainRows = Int[np.ndarray, " train"]
HeldOutRows = Int[np.ndarray, " held_out"]
TrainLabels = Bool[np.ndarray, "labellings train"]
HeldOutScores = Float[np.ndarray, "labellings held_out"]
Classifier = Callable[[TrainRows, HeldOutRows, TrainLabels], HeldOutScores]


@dataclass(frozen=True, slots=True)
class BlindBaseline:
    """How well covariates alone tell members from non-members, and what follows from it.

    The numbers are None where the rule could not be trained; the sentence then says why.
    """

    label: Label
    sentence: str
    n_members: int
    n_non_members: int
    covariates: tuple[str, ...]  # those used: they were given, not excluded, and vary
    auc: float | None = None
    upper: float | None = None  # AUC + 1.645 null SDs
    p: float | None = None
    p_min: float | None = None
    null_n: int = 0
    null_mean: float | None = None  # above 0.5, being the better of two
    null_sd: float | None = None
    classifier: str | None = None
    # Out-of-fold scores of the better classifier, as ranks within folds, from 0 to 1: what a
    # paired comparison with an attack's AUC takes.
    scores: Float[np.ndarray, " rows"] | None = field(default=None, repr=False, compare=False)


def blind_baseline(
    table: Mapping[str, Column],
    is_member: Bool[np.ndarray, " rows"],
    *,
    randomised: bool,
    rng: np.random.Generator,
    strata: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    exclude: Collection[str] = (),
    n_permutations: int = 199,
) -> BlindBaseline:
    """Guess membership from covariates alone, and label the study by how well that goes.

    The statistic is the better AUC of an L2-logistic regression (C = 0.1, standardised) and of
    extremely randomised trees (depth <= 4); each AUC is the mean over held-out folds, 5-fold
    twice, all rows of a group in one fold. Its null permutes membership over groups within
    strata and takes the better of the two again: p = (1 + #{null >= observed}) / (1 + B). Folds
    are drawn without looking at membership, so that the permutations are exact.

    The trees are the totally randomised ones of Geurts et al. (2006): their splits are drawn
    without looking at membership either, so that one forest serves all permutations. In 12
    simulated studies of 540 people and 12 covariates, as many found about as much as 24
    ordinary extra-trees (mean AUC for a bump in one covariate .64 against .62, an interaction
    of two .55 against .54, a step in one .61 against .61), which would have to be grown 2,000
    times over: 36 seconds in place of one.

    ============  ==========================================================================
    label         rule
    ============  ==========================================================================
    randomised    membership was assigned at random: the p-value is a check, not a verdict
    confounded    not randomised, and p <= .05
    balanced      not randomised, p > .05, and AUC + 1.645 null SDs <= .60
    undetermined  otherwise: too few people, or no covariates, to tell
    ============  ==========================================================================

    Args:
        table: Covariates by name, one entry a row.
        is_member: Membership by row; the same for all rows of a group.
        randomised: Whether membership replays from the study's own seed.
        rng: Where the randomness comes from.
        strata: Within which membership is permuted; all rows together if None.
        groups: The person (or record) of each row; each row its own if None.
        exclude: Covariates not to use, such as occurrences where they are the membership.
        n_permutations: How often membership is permuted.

    Raises:
        ValueError: Lengths differ, or membership or stratum vary within a group.
    """
    given = {"strata": strata, "groups": groups, **table}
    for what, entries in given.items():
        if entries is not None and len(entries) != len(is_member):
            raise ValueError(f"{what}: {len(entries)} entries for {len(is_member)} rows")
    group_of = np.arange(len(is_member))
    if groups is not None:
        group_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    everyone = [""] * len(is_member) if strata is None else strata
    member = _of_groups(group_of, is_member, "membership")
    stratum = _of_groups(group_of, np.asarray(everyone, dtype=str), "stratum")
    covariates = design(table, exclude=exclude)
    plans = [_fold_plan(stratum, rng)[group_of] for _ in range(REPEATS)]

    label: Label = "randomised" if randomised else "undetermined"
    n1 = int(member.sum())
    n0 = len(member) - n1
    obstacle = _obstacle(covariates.columns, member, stratum, is_member, plans)
    if obstacle:
        return BlindBaseline(label, obstacle, n1, n0, covariates.sources)

    labellings = _permuted(member, stratum, n_permutations, rng)[:, group_of]
    classifiers: dict[str, Classifier] = {
        "logistic regression": _logistic(covariates.values),
        "extremely randomised trees": _random_trees(covariates.values, rng),
    }
    results = {
        name: _cross_validated(classifier, labellings, plans)
        for name, classifier in classifiers.items()
    }
    better = max(results, key=lambda name: results[name].aucs[0])
    aucs = np.max([result.aucs for result in results.values()], axis=0)
    observed, null = float(aucs[0]), aucs[1:]
    p = (1 + int((null >= observed - 1e-12).sum())) / (1 + n_permutations)
    null_sd = float(null.std(ddof=1))
    upper = min(1.0, observed + 1.645 * null_sd)
    if not randomised and p <= 0.05:
        label = "confounded"
    elif not randomised and upper <= BALANCED_AUC:
        label = "balanced"
    return BlindBaseline(
        label=label,
        sentence=_sentence(label, observed, upper, p, covariates.sources),
        n_members=n1,
        n_non_members=n0,
        covariates=covariates.sources,
        auc=observed,
        upper=upper,
        p=p,
        p_min=1 / (1 + n_permutations),
        null_n=n_permutations,
        null_mean=float(null.mean()),
        null_sd=null_sd,
        classifier=better,
        scores=results[better].scores,
    )


def _sentence(label: Label, auc: float, upper: float, p: float, covariates: Sequence[str]) -> str:
    """What was seen, in plain words."""
    shown = ", ".join(covariates[:6]) + (", …" if len(covariates) > 6 else "")
    seen = f"AUC {auc:.2f} from {shown} alone, p = {p:.3g}"
    if label == "randomised" and p <= 0.01:
        return (
            "Membership was assigned at random, and yet covariates tell it, by bad luck or by a "
            f"mistake in the design: {seen}. Show results adjusted for them beside these."
        )
    if label == "randomised":
        return f"Membership was assigned at random, and covariates tell no more of it: {seen}."
    if label == "confounded":
        return f"Membership could be guessed without the model: {seen}."
    if label == "balanced":
        return f"Membership can hardly be guessed without the model: {seen}, at most {upper:.2f}."
    return (
        "Too few people to tell whether membership could be guessed without the model: "
        f"{seen}, and it may be as high as {upper:.2f}."
    )


def _obstacle(
    columns: Sequence[str],
    member: Bool[np.ndarray, " groups"],
    stratum: Shaped[np.ndarray, " groups"],
    is_member: Bool[np.ndarray, " rows"],
    plans: Sequence[Rows],
) -> str:
    """Why the rule cannot be trained; empty if it can."""
    unchecked = "whether membership can be told without the model was not checked"
    if not columns:
        return f"No covariates that vary: {unchecked}."
    if all(len(set(member[stratum == one])) == 1 for one in np.unique(stratum)):
        return f"Membership is the same throughout every stratum: {unchecked}."
    labelling = is_member[None]
    if not any(_usable(labelling, plan == fold)[0] for plan in plans for fold in np.unique(plan)):
        return f"Too few people of one kind ({member.sum()} members of {len(member)}): {unchecked}."
    return ""


def _of_groups(
    group_of: Rows, values: Shaped[np.ndarray, " rows"], what: str
) -> Shaped[np.ndarray, " groups"]:
    """A value of rows as a value of their groups."""
    first = np.unique(group_of, return_index=True)[1]
    differs = values != values[first][group_of]
    if differs.any():
        raise ValueError(f"{what} varies within a group, first in row {int(np.argmax(differs))}")
    return values[first]


def _fold_plan(stratum: Shaped[np.ndarray, " groups"], rng: np.random.Generator) -> Rows:
    """The fold of every group, balanced within strata and blind to membership."""
    n, folds = len(stratum), min(FOLDS, len(stratum))
    sizes = {str(fold): n // folds + (fold < n % folds) for fold in range(folds)}
    return np.array([int(fold) for fold in assign(stratum.tolist(), sizes, rng=rng)], dtype=int)


def _permuted(
    member: Bool[np.ndarray, " groups"],
    stratum: Shaped[np.ndarray, " groups"],
    n_permutations: int,
    rng: np.random.Generator,
) -> Bool[np.ndarray, "labellings groups"]:
    """Membership as it is, then permuted within strata."""
    labellings = np.tile(member, (1 + n_permutations, 1))
    for one in np.unique(stratum):
        inside = np.flatnonzero(stratum == one)
        labellings[1:, inside] = rng.permuted(labellings[1:, inside], axis=1)
    return labellings


def _usable(labellings: Labellings, held_out: Bool[np.ndarray, " rows"]) -> Bool[np.ndarray, " n"]:
    """The labellings with both kinds of people on both sides of a split."""
    usable = np.ones(len(labellings), dtype=bool)
    for side in (labellings[:, held_out], labellings[:, ~held_out]):
        usable &= side.any(axis=1) & ~side.all(axis=1)
    return usable


@dataclass(frozen=True, slots=True)
class _Result:
    aucs: Float[np.ndarray, " labellings"]
    scores: Float[np.ndarray, " rows"]


def _cross_validated(
    classify: Classifier, labellings: Labellings, plans: Sequence[Rows]
) -> _Result:
    """Mean held-out AUC of every labelling, and the first one's held-out ranks.

    AUCs are taken within folds: each fold's scores have a level of their own. A fold in which a
    labelling has one kind of people only says nothing about it and is left out of its mean.
    """
    total, folds = np.zeros(len(labellings)), np.zeros(len(labellings))
    scores = np.zeros(labellings.shape[1])
    for plan in plans:
        for fold in np.unique(plan):
            held_out = plan == fold
            train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
            usable = np.flatnonzero(_usable(labellings, held_out))
            guesses = classify(train, test, labellings[np.ix_(usable, train)])
            # Rounded, because matrix products need not give equal rows equal last bits.
            ranks = midranks(guesses.round(9))
            total[usable] += _areas(ranks, labellings[np.ix_(usable, test)])
            folds[usable] += 1
            is_first = len(usable) and usable[0] == 0
            scores[test] += (ranks[0] - 0.5) / len(test) if is_first else 0.5
    aucs = np.divide(total, folds, out=np.full(len(total), 0.5), where=folds > 0)
    return _Result(aucs, scores / len(plans))


def _areas(ranks: Scores, labels: Labellings) -> Float[np.ndarray, " labellings"]:
    """The AUC of every row of ranks."""
    n1 = labels.sum(axis=1)
    n0 = labels.shape[1] - n1
    return ((ranks * labels).sum(axis=1) - n1 * (n1 + 1) / 2) / (n1 * n0)


def _logistic(covariates: Float[np.ndarray, "rows columns"]) -> Classifier:
    """L2-logistic regression by Newton's method, for all labellings at once.

    It is scikit-learn's `LogisticRegression(C=0.1)` to 1e-6, which one by one would take some
    three seconds for the 2,000 fits of a gate over 540 people; this takes half of one.
    """
    inputs = np.column_stack([np.ones(len(covariates)), covariates])
    penalty = np.full(inputs.shape[1], PENALTY)
    penalty[0] = 0.0  # the intercept is free

    def classify(train: TrainRows, test: HeldOutRows, labellings: TrainLabels) -> HeldOutScores:
        seen = inputs[train]
        weights = np.zeros((len(labellings), inputs.shape[1]))
        weights[:, 0] = special.logit(labellings.mean(axis=1))
        for _ in range(50):
            expected = special.expit(weights @ seen.T)
            slope = (expected - labellings) @ seen + penalty * weights
            curvature = np.array(
                [seen.T @ (seen * spread[:, None]) for spread in expected * (1 - expected)]
            ).reshape(len(labellings), len(penalty), len(penalty))
            step = np.linalg.solve(curvature + np.diag(penalty), slope[..., None])[..., 0]
            # No person's log-odds may jump by more than 4: far off, Newton overshoots.
            reach = np.abs(step @ seen.T).max(axis=1, initial=4.0)
            weights -= step * (4.0 / reach)[:, None]
            if np.abs(step).max(initial=0.0) < 1e-8:
                break
        return weights @ inputs[test].T

    return classify


def _random_trees(
    covariates: Float[np.ndarray, "rows columns"], rng: np.random.Generator
) -> Classifier:
    """Totally randomised trees, grown once: every labelling only fills their leaves anew."""
    from scipy import sparse
    from sklearn.ensemble import RandomTreesEmbedding

    forest = RandomTreesEmbedding(
        TREES, max_depth=DEPTH, random_state=int(rng.integers(2**31)), n_jobs=1
    )
    leaves = sparse.csr_array(forest.fit_transform(covariates))

    def classify(train: TrainRows, test: HeldOutRows, labellings: TrainLabels) -> HeldOutScores:
        # A tree guesses the share of members among a leaf's training rows, drawn towards the
        # overall share by one row, so that a leaf without any has a guess.
        weight = 1 / (leaves[train].sum(axis=0) + 1)
        closeness = (leaves[test] * weight[None, :]) @ leaves[train].T
        overall = labellings.mean(axis=1, keepdims=True)
        return (labellings - overall) @ closeness.toarray().T / TREES

    return classify
