"""What a ladder shows, in sentences: the same on its page and in the terminal."""

from collections.abc import Iterator, Sequence

from vlmaudit.results.numbers import (
    MINUS,
    bound,
    count,
    counted,
    decimal,
    interval,
    p_value,
    rate,
    sentence_case,
    visible,
)
from vlmaudit.results.records import Estimate
from vlmaudit.studies.ladder_records import DoseRow, EffectRow, LadderFinding


def headline(finding: LadderFinding) -> str:
    """One line: do scores rise with the dose?"""
    n = len(finding.responses)
    rising = sum(test.statistic > 0 and test.p <= 0.05 for test in finding.responses)
    if finding.is_repeated:
        return f"The more often planted, the better known: so in {n} of {n} seeds."
    if rising == n:
        return f"Scores rise with the dose in {counted(n, 'seed', 'seeds')}; three are needed."
    if not rising:
        return "Scores do not rise with the dose: these targets learnt nothing that the audit sees."
    return f"Scores rise with the dose in {rising} of {n} seeds: not repeated."


def sentences(finding: LadderFinding) -> Iterator[str]:
    """The finding, a sentence a result, in the order in which it is believed."""
    for test in finding.responses:
        yield (
            f"{sentence_case(test.name)}: correlation of dose and score within strata "
            f"{decimal(test.statistic)}, {p_value(test.p)}."
        )
    overall = overall_rows(finding)
    for row in overall:
        if row.at_level is not None:
            verdict = (
                "in keeping with the 5 % of chance" if row.at_level else "above the 5 % of chance"
            )
            yield f"{arm_words(row.arm)}: p of at most .05 for {rate(row.small_p)}, {verdict}."
    if (highest := max(overall, key=lambda row: row.dose or 0)).dose:
        yield f"{arm_words(highest.arm)}: p of at most .05 for {rate(highest.small_p)}."
    yield from _effect_sentences(overall_effects(finding))
    for seen in finding.seen[-1:]:
        yield (
            "Attacked with the very pictures trained on, the same people reach p of .05 in "
            f"{rate(seen.seen)}, with unseen ones in {rate(seen.unseen)}: "
            f"{difference(seen.difference)}, {p_value(seen.test.p)}. So much could near-duplicates "
            "add that were left in the training."
        )
    apart = [one.arm for one in finding.agreements if not one.is_overlapping]
    if finding.agreements:
        yield (
            f"Seeds disagree on {', '.join(arm_words(arm) for arm in apart)}: their intervals do "
            "not overlap."
            if apart
            else "At every dose the intervals of all seeds overlap."
        )
    planted = [model for model in finding.models if model.twin != "clean"]
    randomised = sum(model.design == "randomised" for model in planted)
    yield (
        f"In {randomised} of {counted(len(planted), 'target', 'targets')} with planted people the "
        "design replays from its seed as randomised."
    )
    yield (
        f"{counted(finding.removed, 'training picture was', 'training pictures were')} taken out "
        "as near-duplicates of attack pictures."
    )
    for note in finding.notes:
        yield sentence_case(visible(note))
    for reason, number in finding.left_out.items():
        yield f"{counted(number, 'picture', 'pictures')} left out: {visible(reason)}."


def _effect_sentences(effects: Sequence[EffectRow]) -> Iterator[str]:
    against = {
        "square": "the other targets",
        "clean twin": "the twin without any planting",
        "swapped twin": "the twin with members swapped",
    }
    for compared, words in against.items():
        own = [effect for effect in effects if effect.compared == compared]
        if not own:
            continue
        higher = sum(effect.test.p <= 0.05 for effect in own)
        yield (
            f"Against {words}, the same people score higher where they were planted at {higher} of "
            f"{counted(len(own), 'dose', 'doses')} (p of at most .05 each): by "
            f"{difference(own[0].difference)} at dose {own[0].dose} and "
            f"{difference(own[-1].difference)} at dose {own[-1].dose}."
        )


def overall_rows(finding: LadderFinding) -> list[DoseRow]:
    """The rows of all seeds together, or of the only one."""
    seed = None if len(finding.seeds) > 1 else finding.seeds[0]
    return [row for row in finding.doses if row.seed == seed]


def overall_effects(finding: LadderFinding) -> list[EffectRow]:
    """The same for effects."""
    seed = None if len(finding.seeds) > 1 else finding.seeds[0]
    return [row for row in finding.effects if row.seed == seed]


def difference(estimate: Estimate) -> str:
    """A difference of scores, with its limits.

    >>> difference(Estimate(value=1.2, low=-0.31, high=2.71, n=7, method="t"))
    '+1.20 SDs (−0.31 to 2.71, n = 7)'
    """
    if estimate.value is None:
        return "no difference"
    sign = "" if decimal(estimate.value).startswith(MINUS) else "+"
    if estimate.low is None or estimate.high is None:
        return f"{sign}{decimal(estimate.value)} SDs (n = {estimate.n})"
    limits = f"{decimal(estimate.low)} to {decimal(estimate.high)}"
    return f"{sign}{decimal(estimate.value)} SDs ({limits}, n = {count(estimate.n)})"


def arm_words(arm: str) -> str:
    """An arm as a reader meets it.

    >>> arm_words("paired 1"), arm_words("paired 25"), arm_words("unpaired")
    ('Planted once', 'Planted 25 times', 'Face and name planted apart')
    """
    kind, _, dose = arm.partition(" ")
    if kind == "paired":
        return "Planted once" if dose == "1" else f"Planted {dose} times"
    return {
        "never": "Never planted",
        "name-only": "Name planted with strangers",
        "unpaired": "Face and name planted apart",
    }[arm]


def arm_label(arm: str) -> str:
    """An arm where there is no room.

    >>> arm_label("paired 25"), arm_label("name-only")
    ('25×', 'name only')
    """
    kind, _, dose = arm.partition(" ")
    return (
        f"{dose}×"
        if kind == "paired"
        else {"name-only": "name only", "unpaired": "apart"}.get(arm, arm)
    )


def share(estimate: Estimate) -> str:
    """A rate and its interval, where n stands beside it.

    >>> share(Estimate(value=0.5, low=0.2, high=0.8, n=8, method="exact"))
    '50.0 % (20.0 % to 80.0 %)'
    """
    said = bound(estimate)
    is_limit = estimate.value in (None, 0, 1)
    return said if is_limit else f"{said} ({interval(estimate)})"
