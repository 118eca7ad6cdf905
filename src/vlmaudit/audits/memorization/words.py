"""What a memorization finding says in sentences."""

from collections.abc import Mapping, Sequence
from typing import Final

from vlmaudit.audits.memorization.finding import (
    Answer,
    CanaryRow,
    MeanRow,
    SlopeRow,
    SplitRow,
)
from vlmaudit.audits.memorization.settings import Mean
from vlmaudit.results.numbers import count, decimal, p_value, percent
from vlmaudit.results.vocabulary import Verdict

MEANS: Final[Mapping[Mean, str]] = {
    "probe": "hidden states",
    "gradients": "gradients",
    "extraction": "answers",
    "exposure": "likelihoods",
}
"""By what each of the four means tells seen records from unseen ones."""

ANSWERS: Final[Mapping[Answer, str]] = {
    "found": "told apart",
    "not_told_apart": "not told apart",
    "undetermined": "undetermined",
    "not_asked": "not asked",
}


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def mean_sentence(row: MeanRow, why: str = "") -> str:
    """What one of the means says.

    Args:
        row: The mean, its sentence not yet written.
        why: What else decided it.
    """
    by = MEANS[row.mean].capitalize()
    more = f" {why[:1].upper()}{why[1:]}." if why else ""
    if row.answer == "not_asked":
        return f"{by} were not asked.{more}"
    if row.p is None or row.auc is None or row.upper is None:
        return f"{by} decide nothing.{more}"
    sides = f"{count(row.n_seen)} seen and {count(row.n_unseen)} unseen records"
    most = f"AUC {row.auc:.2f} at most ({row.where})" if row.where else f"AUC {row.auc:.2f}"
    numbers = f"{most}, {p_value(row.p if row.p_adjusted is None else row.p_adjusted)}"
    if row.answer == "found":
        return f"{by} tell {sides} apart: {numbers}.{more}"
    if row.answer == "not_told_apart":
        return (
            f"{by} do not tell {sides} apart: {numbers}; an AUC above {row.upper:.2f} is ruled "
            f"out.{more}"
        )
    return (
        f"{by} leave it open for {sides}: {numbers}; an AUC of up to {row.upper:.2f} is possible."
        f"{more}"
    )


def verdict_sentence(
    verdict: Verdict,
    means: Sequence[MeanRow],
    *,
    is_randomised: bool,
    slopes: Sequence[SlopeRow] = (),
    doubt: str = "",
    alpha: float = 0.05,
) -> str:
    """Whether the checkpoint retained what it saw, by which means, at what dose, how sure.

    Args:
        verdict: The verdict.
        means: All four.
        is_randomised: Whether chance decided which records were seen.
        slopes: What doubling the dose adds.
        doubt: Why nothing can be concluded, where that is so.
        alpha: The error level over the means.
    """
    if verdict == "inconclusive" and doubt:
        return f"Inconclusive: {doubt}"
    asked = [row for row in means if row.answer != "not_asked"]
    found = [MEANS[row.mean] for row in asked if row.answer == "found"]
    rest = [row for row in asked if row.answer != "found"]
    if verdict == "confounded":
        return (
            f"Seen records are told from unseen ones by {listed(found)}, but chance did not decide "
            "which were seen: the records may have differed before."
        )
    if verdict == "not_found":
        uppers = [row.upper for row in asked if row.upper is not None]
        return (
            "That this checkpoint retained what it saw is not shown: records that were printed in "
            "its training pictures are not told from records that were not, by "
            f"{listed([MEANS[row.mean] for row in asked])} (an AUC above {max(uppers):.2f} is "
            "ruled out)."
        )
    if verdict == "inconclusive":
        by = listed([MEANS[row.mean] for row in asked]) if asked else "what was asked"
        return (
            f"Undetermined: by {by}, records that were seen in training are not shown to be told "
            "from unseen ones, and too much remains possible to say that they are not."
        )
    # A cause only where chance decided who was seen.
    claim = (
        "This checkpoint retained private text because it was trained on pictures that show it: "
        "records that were printed are told from records that were not"
        if is_randomised
        else "This checkpoint tells records called seen from records called unseen; why, these "
        "states cannot say. They are told apart"
    )
    best = min((row.p_adjusted for row in asked if row.p_adjusted is not None), default=None)
    sure = f" ({p_value(best)} over all means)" if best is not None else ""
    sentence = f"{claim} by {listed(found)}{sure}"
    if rest:
        sentence += f"; not by {listed([MEANS[row.mean] for row in rest])}"
    return f"{sentence}.{_dose(slopes, alpha)}"


def paper_sentence(best: SplitRow | None, baseline: float) -> tuple[Verdict, str]:
    """What the published reading says, and what it cannot say."""
    caveat = (
        "Its split leaves every record on both sides, so this is which text is printed, and not "
        "whether it was seen."
    )
    if best is None:
        return "inconclusive", "Inconclusive: there are no states for the paper's probe."
    reads = (
        f"the probe is right on {percent(best.accuracy)} of held-out items (layer {best.layer}), "
        f"and on {percent(best.control)} where records' labels are drawn anew"
    )
    if best.low > baseline:
        return "found", f"By the paper's reading {reads}. {caveat}"
    return "not_found", f"By the paper's reading {reads}: no more than its baseline. {caveat}"


def canary_sentence(row: CanaryRow) -> str:
    """What the coins of canaries prove."""
    if row.p is None or row.auc is None:
        said = "All canaries fell on one side: there is no test."
    else:
        said = (
            f"Of {count(row.included + row.left_out)} canaries, {count(row.included)} were in by "
            f"the toss of a coin; they rank above those left out with AUC {row.auc:.2f} "
            f"({p_value(row.p)}, exact)."
        )
    if row.epsilon is None:
        return f"{said} ε not computed: {row.why_not or 'inclusion was not randomised'}."
    times = listed([count(dose) for dose in row.doses]) if row.doses else "so often as"
    guessed = f"{count(row.right or 0)} of {count(row.guesses)} guesses are right"
    if not row.epsilon:
        return f"{said} {guessed}: no lower bound on ε above 0."
    return (
        f"{said} {guessed}: training was not ({decimal(row.epsilon)}, {row.delta:g})-"
        f"differentially private for a record planted {times} times (95 % confidence)."
    )


def split_sentence(split: Sequence[SplitRow]) -> str:
    """Why the published split separates without any memory."""
    if not split:
        return ""
    best = max(split, key=lambda row: row.accuracy)
    return (
        "The paper's probe splits items at random, so that every record stands on both sides of "
        "the split: it can learn which text is printed, and needs not know whether it was seen. "
        f"Here it is right on up to {percent(best.accuracy)} of held-out items; with every "
        f"record's label drawn anew, which no training can have taught, on {percent(best.control)}."
    )


def _dose(slopes: Sequence[SlopeRow], alpha: float) -> str:
    rising = [row for row in slopes if row.p_adjusted <= alpha]
    if rising:
        said = listed(
            [
                f"{MEANS[row.mean]} ({decimal(row.slope)} {row.unit}, {p_value(row.p_adjusted)})"
                for row in rising
            ]
        )
        return f" It grows with each doubling of the dose in {said}."
    if slopes:
        return " That it grows with the dose is not shown."
    return ""
