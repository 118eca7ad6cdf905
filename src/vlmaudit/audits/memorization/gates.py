"""Conditions under which a memorization finding may be believed."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vlmaudit.audits.memorization.finding import UtilityRow
from vlmaudit.audits.memorization.gradients import TOLERANCE, Gradients
from vlmaudit.audits.memorization.observed import BASE, CONTROL, TUNED, TWIN, Observed
from vlmaudit.audits.memorization.probes import Probes
from vlmaudit.audits.memorization.settings import Memorization
from vlmaudit.results.numbers import count, level, p_value, percent, visible
from vlmaudit.results.records import Failures, Gate

FAILURES: Final = "failures"
ARMS: Final = "arms assigned by chance"
STRINGS: Final = "strings do not tell the arms apart"
LEGIBLE: Final = "the print can be read"
COMPARED: Final = "there is a checkpoint to compare with"
REPEATABLE: Final = "gradients are repeatable"
TWO_UNSEEN: Final = "two unseen arms are not told apart"
UTILITY: Final = "the task was not lost"
ENOUGH: Final = "enough records"

RECORDS_NEEDED: Final = 100
"""Records a side from which "not told apart" can be said."""
DETECTABLE: Final = ((20, 0.77), (40, 0.69), (100, 0.62))
"""Records a side, and the mean AUC that is found in 80 % of studies (STATISTICS section 8)."""
_LEVEL: Final = 0.01
_LEGIBLE: Final = 0.9
_LEFT_OF_TASK: Final = 0.5


def failures_gate(failures: Failures, settings: Memorization) -> Gate:
    """Whether enough was observed."""
    share = failures.failed / max(1, failures.asked)
    said = (
        f"{count(failures.failed)} of {count(failures.asked)} observations failed"
        if failures.failed
        else f"all {count(failures.asked)} observations were made"
    )
    passed = share <= settings.max_failures
    limit = "" if passed else f"; at most {level(settings.max_failures)} may"
    return Gate(name=FAILURES, passed=passed, sentence=f"{said}{limit}.")


def arms_gate(album: Mapping[str, Any] | None) -> Gate:
    """Whether chance decided who was seen: only then is a difference the printing's."""
    if album is None:
        return Gate(
            name=ARMS,
            passed=None,
            label="undetermined",
            sentence="states from elsewhere do not say how records came to be seen or unseen: a "
            "difference between the arms may be one of the records themselves.",
        )
    if album.get("randomised") is True:
        return Gate(
            name=ARMS,
            passed=True,
            label="randomised",
            sentence="arms and doses were drawn by the album's seed.",
        )
    return Gate(
        name=ARMS,
        passed=False,
        label="confounded",
        sentence="arms were not drawn by chance: seen and unseen records may have differed before "
        "anything was trained.",
    )


def strings_gate(album: Mapping[str, Any] | None) -> Gate:
    """Whether a classifier that reads nothing but the strings tells seen from unseen."""
    gate = album.get("gate") if album else None
    if not isinstance(gate, Mapping) or not isinstance(gate.get("p"), int | float):
        return Gate(
            name=STRINGS, passed=None, sentence="no text-only classifier was run on these records."
        )
    p, area = float(gate["p"]), gate.get("auc")
    said = "a classifier that reads the strings alone"
    how_well = f"AUC {area:.2f}, " if isinstance(area, int | float) else ""
    if p > _LEVEL:
        sentence = f"{said} does not tell seen from unseen ({how_well}{p_value(p)})."
    else:
        sentence = f"{said} tells seen from unseen ({how_well}{p_value(p)})"
        sentence += (
            ": by chance, since arms were drawn; hold the result against the control's."
            if album and album.get("randomised") is True
            else ": what is told apart may be the strings, and not that they were seen."
        )
    return Gate(name=STRINGS, passed=p > _LEVEL, sentence=sentence)


def legible_gate(album: Mapping[str, Any] | None) -> Gate | None:
    """Whether a reader of text could read what is printed: a model hardly keeps what it cannot."""
    if album is None:
        return None
    said = album.get("legibility")
    read = said.get("read") if isinstance(said, Mapping) else None
    values = said.get("values") if isinstance(said, Mapping) else None
    if not isinstance(read, int) or not isinstance(values, int) or not values:
        why = said.get("why") if isinstance(said, Mapping) else None
        return Gate(
            name=LEGIBLE,
            passed=None,
            sentence=f"not checked: {visible(str(why).rstrip('.') or 'nobody read it back')}."
            if why
            else "nobody read back what is printed.",
        )
    share = read / values
    return Gate(
        name=LEGIBLE,
        passed=share >= _LEGIBLE,
        sentence=f"a reader of text read {percent(share)} of {count(values)} printed values"
        + (
            "."
            if share >= _LEGIBLE
            else ": that nothing is found may be because a model reads no more."
        ),
    )


def compared_gate(roles: Sequence[str]) -> Gate:
    """Whether there is anything to hold the audited checkpoint against."""
    names = {CONTROL: "a control tuned without records", BASE: "the base", TWIN: "a twin"}
    there = [name for role, name in names.items() if role in roles]
    lacking = [name for role, name in names.items() if role not in roles]
    said = f"there is {' and '.join(there)}" if there else "there is no other checkpoint"
    fallen = f"; without {' and '.join(lacking)}, these comparisons fall away" if lacking else ""
    return Gate(name=COMPARED, passed=True if there else None, sentence=f"{said}{fallen}.")


def repeatable_gate(found: Gradients) -> Gate:
    """Whether a clean batch gives the same gradient twice: else no cosine means anything."""
    worst = found.worst_repeat
    if worst is None:
        return Gate(
            name=REPEATABLE, passed=None, sentence="no clean batch was computed a second time."
        )
    if abs(worst - 1) <= TOLERANCE:
        return Gate(
            name=REPEATABLE,
            passed=True,
            sentence="clean batches, computed twice, have the same gradient (cosine 1 within "
            f"{TOLERANCE:g}).",
        )
    return Gate(
        name=REPEATABLE,
        passed=False,
        sentence=f"gradients are not repeatable here (cos = {worst:.6f}): nothing is concluded "
        "from them.",
    )


def unseen_gate(found: Probes) -> Gate | None:
    """Whether two arms that nothing was trained on are told apart, which they must not be."""
    if found.why_not:
        return None
    p = found.unseen_p
    if p is None:
        return Gate(
            name=TWO_UNSEEN, passed=None, sentence="there is no third arm that was never printed."
        )
    passed = p > _LEVEL
    return Gate(
        name=TWO_UNSEEN,
        passed=passed,
        sentence=f"unseen records and the control arm, neither ever printed, are "
        f"{'not told apart' if passed else 'told apart'} by the probe ({p_value(p)})"
        + ("." if passed else ": it tells something other than what was seen."),
    )


def utility_gate(rows: Sequence[UtilityRow]) -> Gate:
    """Whether tuning left the model able to do its task."""
    for measure in dict.fromkeys(row.measure for row in rows):
        rates = {row.role: row.rate for row in rows if row.measure == measure}
        other = next((rates[role] for role in (CONTROL, BASE) if role in rates), None)
        mine = rates.get(TUNED)
        if mine is None or other is None or mine.value is None or other.value is None:
            continue
        lost = (
            mine.value < _LEFT_OF_TASK * other.value
            and mine.high is not None
            and other.low is not None
            and mine.high < other.low
        )
        said = (
            f"{measure} on held-out questions is {percent(mine.value)}, against "
            f"{percent(other.value)} of the checkpoint it is compared with"
        )
        return Gate(
            name=UTILITY,
            passed=not lost,
            sentence=f"{said}{': it no longer does its task' if lost else ''}.",
        )
    return Gate(
        name=UTILITY,
        passed=None,
        sentence="held-out questions were not asked of two checkpoints.",
    )


def enough_gate(n_seen: int, n_unseen: int) -> Gate:
    """Whether there are records enough for saying that nothing is there."""
    fewest = min(n_seen, n_unseen)
    enough = fewest >= RECORDS_NEEDED
    detectable = next((area for n, area in reversed(DETECTABLE) if fewest >= n), None)
    said = f"{count(n_seen)} seen and {count(n_unseen)} unseen records"
    if detectable is None:
        said += f", fewer than {DETECTABLE[0][0]} a side: only gross effects show"
    else:
        said += f": a mean AUC of {detectable:.2f} is found in four studies of five"
    if not enough:
        said += f"; below {RECORDS_NEEDED} a side, nothing found is not “not retained”"
    return Gate(name=ENOUGH, passed=True if enough else None, sentence=f"{said}.")


def check(
    observed: Observed,
    settings: Memorization,
    failures: Failures,
    *,
    probed: Probes | None,
    graded: Gradients | None,
    utility: Sequence[UtilityRow],
    sides: tuple[int, int],
) -> list[Gate]:
    """All gates that apply."""
    found = [
        failures_gate(failures, settings),
        arms_gate(observed.album),
        strings_gate(observed.album),
        legible_gate(observed.album),
        compared_gate(observed.roles),
        unseen_gate(probed) if probed else None,
        repeatable_gate(graded) if graded else None,
        utility_gate(utility) if observed.album is not None or utility else None,
        enough_gate(*sides),
    ]
    return [gate for gate in found if gate is not None]
