"""What each of the four means says, and what they say together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from vlmaudit.audits.memorization import gates
from vlmaudit.audits.memorization.exposure import Exposure
from vlmaudit.audits.memorization.extraction import Extraction
from vlmaudit.audits.memorization.finding import Answer, MeanRow, SlopeRow, SplitRow
from vlmaudit.audits.memorization.gradients import Gradients
from vlmaudit.audits.memorization.observed import BASE, CONTROL, TUNED, TWIN
from vlmaudit.audits.memorization.probes import Probes
from vlmaudit.audits.memorization.said import Said
from vlmaudit.audits.memorization.settings import MEANS, Mean, Memorization
from vlmaudit.audits.memorization.words import mean_sentence, paper_sentence, verdict_sentence
from vlmaudit.results.numbers import p_value
from vlmaudit.results.records import Gate
from vlmaudit.results.vocabulary import Verdict

PAPER_BASELINE: Final = 0.51
"""The constant that the paper draws as its "prompt baseline" (PROTOCOLS 1.6)."""
MOST_AUC: Final = 0.60
"""An upper limit of the AUC up to it is what "not told apart" means here."""
_NOT_BY_CHANCE: Final = 0.01


class _Column(Protocol):
    """A layer, module, way or condition: what rows of all means have in common."""

    @property
    def p_adjusted(self) -> float: ...
    @property
    def auc(self) -> float | None: ...
    @property
    def upper(self) -> float | None: ...


Row = TypeVar("Row", bound=_Column)


@dataclass(frozen=True, slots=True)
class _Weighed:
    """One mean before the others are known.

    Attributes:
        row: Without its adjusted p, answer and sentence.
        why_not: Why it decides nothing, or cannot be "found"; empty where it may.
    """

    row: MeanRow
    why_not: str = ""


def weigh_means(settings: Memorization, said: Said, checked: Sequence[Gate]) -> list[MeanRow]:
    """What every mean says, p adjusted by Holm over those that were asked."""
    gate = {one.name: one for one in checked}
    weighed: dict[Mean, _Weighed] = {
        "probe": _probe(said.probed, gate, settings),
        "gradients": _gradients(said.graded, gate),
        "extraction": _extraction(said.extracted),
        "exposure": _exposure(said.exposed),
    }
    deciding = [mean for mean in MEANS if weighed[mean].row.p is not None]
    adjusted = dict(
        zip(deciding, holm([weighed[mean].row.p or 0.0 for mean in deciding]), strict=True)
    )
    rows = []
    for mean in MEANS:
        one = weighed[mean]
        row = one.row.model_copy(update={"p_adjusted": adjusted.get(mean)})
        row = row.model_copy(update={"answer": _answer(row, one.why_not, settings)})
        rows.append(row.model_copy(update={"sentence": mean_sentence(row, one.why_not)}))
    return rows


def judge(
    means: Sequence[MeanRow],
    checked: Sequence[Gate],
    slopes: Sequence[SlopeRow],
    split: Sequence[SplitRow],
    settings: Memorization,
) -> tuple[Verdict, str]:
    """The verdict, and its sentence.

    Args:
        means: All four.
        checked: The gates.
        slopes: What doubling the dose adds.
        split: The published probe, by which the paper's protocol decides.
        settings: The protocol and its parameters.
    """
    gate = {one.name: one for one in checked}
    failed = gate[gates.FAILURES]
    if failed.passed is False:
        return "inconclusive", f"Inconclusive: {failed.sentence}"
    if settings.protocol == "paper":
        mine = [row for row in split if row.role == TUNED]
        best = max(mine, key=lambda row: row.accuracy, default=None)
        return paper_sentence(best, PAPER_BASELINE)
    asked = [row for row in means if row.answer != "not_asked"]
    verdict, doubt = _together(asked, gate)
    sentence = verdict_sentence(
        verdict,
        means,
        is_randomised=gate[gates.ARMS].passed is True,
        slopes=slopes,
        doubt=doubt,
        alpha=settings.alpha,
    )
    return verdict, sentence


def _together(asked: Sequence[MeanRow], gate: Mapping[str, Gate]) -> tuple[Verdict, str]:
    if not any(row.p is not None for row in asked):
        return "inconclusive", "there is no observation by which seen and unseen can be compared."
    if any(row.answer == "found" for row in asked):
        return ("confounded" if gate[gates.ARMS].passed is False else "found"), ""
    if all(row.answer == "not_told_apart" for row in asked):
        utility = gate.get(gates.UTILITY)
        if utility is not None and utility.passed is False:
            return "inconclusive", f"nothing is told apart, but {utility.sentence}"
        return "not_found", ""
    return "inconclusive", ""


def _answer(row: MeanRow, why_not: str, settings: Memorization) -> Answer:
    if row.answer == "not_asked":
        return "not_asked"
    if row.p is None or row.p_adjusted is None or row.upper is None:
        return "undetermined"
    if row.p_adjusted <= settings.alpha:
        return "undetermined" if why_not else "found"
    enough = min(row.n_seen, row.n_unseen) >= gates.RECORDS_NEEDED
    if enough and row.p > _NOT_BY_CHANCE and row.upper <= MOST_AUC:
        return "not_told_apart"
    return "undetermined"


def _probe(found: Probes | None, gate: Mapping[str, Gate], settings: Memorization) -> _Weighed:
    if found is None:
        return _not_asked("probe")
    if not found.layers:
        row = _row("probe", found.n_seen, found.n_unseen)
        return _Weighed(row, found.why_not)
    best = _strongest(found.layers)
    row = _row("probe", found.n_seen, found.n_unseen, found.layers).model_copy(
        update={
            "low": best.low,
            "high": best.high,
            "where": best.name or f"layer {best.layer}",
        }
    )
    unseen = gate.get(gates.TWO_UNSEEN)
    if unseen is not None and unseen.passed is False:
        return _Weighed(row, "two arms that were never printed are told apart as well")
    return _Weighed(row, _unsupported(found, settings))


def _unsupported(found: Probes, settings: Memorization) -> str:
    """Why another checkpoint does not bear the probe out; empty if it does, or there is none."""
    against = CONTROL if any(row.against == CONTROL for row in found.change) else BASE
    change = [row.p_adjusted for row in found.change if row.against == against]
    twin = [row.p_adjusted for row in found.twin]
    if not change and not twin:
        return ""
    if min([*change, *twin]) <= settings.alpha:
        return ""
    said = [
        f"{words} ({p_value(min(values))})"
        for words, values in (
            (f"not more clearly than in the {against}", change),
            (f"not in differences from the {TWIN}", twin),
        )
        if values
    ]
    return f"{', and '.join(said)}: not taken for memory"


def _gradients(found: Gradients | None, gate: Mapping[str, Gate]) -> _Weighed:
    if found is None:
        return _not_asked("gradients")
    row = _row("gradients", found.n_seen, found.n_unseen)
    repeatable = gate.get(gates.REPEATABLE)
    if repeatable is not None and repeatable.passed is False:
        return _Weighed(row, repeatable.sentence.rstrip("."))
    mine = [one for one in found.rows if one.role == TUNED]
    if not mine:
        return _Weighed(row, "there are fewer than two records a side with gradients")
    best = _strongest(mine)
    return _Weighed(
        _row("gradients", found.n_seen, found.n_unseen, mine).model_copy(
            update={"low": best.auc_low, "high": best.auc_high, "where": best.module}
        )
    )


def _extraction(found: Extraction | None) -> _Weighed:
    if found is None:
        return _not_asked("extraction")
    mine = [one for one in found.ways if one.role == TUNED]
    if not mine:
        return _Weighed(_row("extraction", 0, 0), "there are no answers about both arms")
    best = _strongest(mine)
    row = _row("extraction", best.seen.n, best.unseen.n, mine)
    return _Weighed(
        row.model_copy(update={"low": best.auc_low, "high": best.auc_high, "where": best.way})
    )


def _exposure(found: Exposure | None) -> _Weighed:
    if found is None:
        return _not_asked("exposure")
    mine = [one for one in found.conditions if one.role == TUNED]
    if not mine:
        return _Weighed(_row("exposure", 0, 0), "there are no likelihoods of both arms")
    best = _strongest(mine)
    row = _row("exposure", best.seen.n, best.unseen.n, mine)
    where = "with the picture" if best.with_picture else "without a picture"
    return _Weighed(
        row.model_copy(update={"low": best.auc_low, "high": best.auc_high, "where": where})
    )


def _row(mean: Mean, n_seen: int, n_unseen: int, columns: Sequence[_Column] = ()) -> MeanRow:
    """A mean's row; what stands out most is what permuting reaches least often."""
    row = MeanRow(mean=mean, answer="undetermined", n_seen=n_seen, n_unseen=n_unseen, sentence="")
    if not columns:
        return row
    best = _strongest(columns)
    uppers = [one.upper for one in columns if one.upper is not None]
    return row.model_copy(
        update={"auc": best.auc, "p": best.p_adjusted, "upper": max(uppers) if uppers else None}
    )


def _strongest(columns: Sequence[Row]) -> Row:
    return min(columns, key=lambda one: (one.p_adjusted, -abs((one.auc or 0.5) - 0.5)))


def _not_asked(mean: Mean) -> _Weighed:
    return _Weighed(MeanRow(mean=mean, answer="not_asked", n_seen=0, n_unseen=0, sentence=""))


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the chance of any false "found" (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p)
    largest = 0.0
    for place, number in enumerate(sorted(range(len(p)), key=lambda one: p[one])):
        largest = max(largest, min(1.0, (len(p) - place) * p[number]))
        adjusted[number] = largest
    return adjusted
