"""The sentences of a name-leakage report: what was found, in how much, and how to repeat it."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Final

from vlmaudit.audits.name_leakage.finding import Finding, GroupRow
from vlmaudit.data.prompts import ASKING, CATEGORIES, PROMPTS
from vlmaudit.report.leakage.numbers import (
    lift_words,
    mean_share,
    points,
    points_interval,
    units,
)
from vlmaudit.report.parts import Fact, Headline
from vlmaudit.report.wording import verdict_word
from vlmaudit.results.numbers import (
    NO_VALUE,
    bound,
    count,
    counted,
    interval,
    p_value,
    sentence_case,
    visible,
)
from vlmaudit.results.records import Estimate
from vlmaudit.results.vocabulary import Protocol, Verdict

RATE: Final = "leak_rate"
LIFT: Final = "lift"
IMPLICIT: Final = "implicit_leakage"
WRONG: Final = "wrong_names"
REFUSED: Final = "refusals"
SPEARMAN: Final = "correlation_with_counts"
PARTIAL: Final = "correlation_with_counts_partial"
"""Keys of the finding's overall estimates."""

_TITLES: Final[dict[tuple[Verdict, Protocol], str]] = {
    ("found", "audit"): "This model says who is in the picture.",
    ("not_found", "audit"): "That this model says who is in the picture is not shown.",
    ("inconclusive", "audit"): "This audit can say neither yes nor no.",
    ("confounded", "audit"): "The names may come from something other than the faces.",
    ("found", "paper"): "By the paper's rule, this model says people's names.",
    ("not_found", "paper"): "By the paper's rule, this model does not say people's names.",
    ("inconclusive", "paper"): "The paper's rule can say neither yes nor no here.",
    ("confounded", "paper"): "The names may come from something other than the faces.",
}
_OPTIONS: Final = (
    *("max_new_tokens", "names", "scored_prompts", "pool", "drawn", "alpha", "permutations"),
    *("list_from", "max_failures", "seed"),
)


def group_words(group: str) -> str:
    """A prompt category with what it asks, such as `P2: who is the person`."""
    words = CATEGORIES.get(group)
    return f"{visible(group)}: {words}" if words else visible(group)


def prompt_words(prompt: str) -> str:
    """A prompt's text, or nothing where it is none of the thirty."""
    known = PROMPTS.get(prompt)
    return known.text if known else ""


def conditions(finding: Finding) -> tuple[str, ...]:
    """How pictures were shown: the unchanged ones first."""
    found = dict.fromkeys([*(row.condition for row in finding.rates), *_of_groups(finding)])
    return tuple(sorted(found, key=lambda condition: condition != "original"))


def _of_groups(finding: Finding) -> Iterable[str]:
    return (row.condition for row in finding.groups)


def main_groups(finding: Finding) -> dict[str, GroupRow]:
    """The prompt categories on unchanged pictures, or on what comes first."""
    known = conditions(finding)
    if not known:
        return {}
    return {row.group: row for row in finding.groups if row.condition == known[0]}


def doubt(finding: Finding) -> str:
    """Why rates are shown faintly; empty if they may be trusted."""
    return {
        "inconclusive": "this audit is inconclusive",
        "confounded": "the names may come from something other than the faces",
    }.get(finding.verdict, "")


def headline(finding: Finding) -> Headline:
    """The verdict in plain words with what bounds it."""
    word = verdict_word(finding.verdict)
    sentence = visible(finding.sentence)
    return Headline(
        verdict=finding.verdict,
        word=word,
        title=_TITLES[finding.verdict, finding.protocol],
        sentence=sentence_case(sentence.removeprefix(f"{word}: ")),
        bounds=tuple(_bounds(finding)),
    )


def _bounds(finding: Finding) -> Iterable[str]:
    if finding.verdict == "inconclusive":
        for gate in finding.gates:
            if gate.passed is False and gate.sentence not in finding.sentence:
                yield sentence_case(visible(gate.sentence))
        return
    lift = finding.estimates.get(LIFT)
    if lift is not None and lift.value is not None:
        yield (
            "Lift, how much more often names come out on people's own pictures than on others':"
            f" {lift_words(lift)}{_overall_p(finding)}."
        )
    if (unasked := _unasked(finding)) is not None:
        yield f"Named though nobody asked for a name (P0): {mean_share(unasked)}."
    if (asked := main_groups(finding).get("P2")) is not None:
        yield f"Named when asked who it is (P2): {mean_share(asked.rate)}."


def _overall_p(finding: Finding) -> str:
    """The p-value of the first test, on which the verdict rests."""
    return f"; {p_value(finding.tests[0].p)}" if finding.tests else ""


def _unasked(finding: Finding) -> Estimate | None:
    """How often people are named where a prompt only asks to describe the picture."""
    if IMPLICIT in finding.estimates:
        return finding.estimates[IMPLICIT]
    row = main_groups(finding).get("P0")
    return None if row is None else row.rate


def facts(finding: Finding) -> tuple[Fact, ...]:
    """The few numbers that a reader takes away."""
    return tuple(_facts(finding))


def _facts(finding: Finding) -> Iterable[Fact]:
    doubtful = bool(doubt(finding))
    yield Fact("People", count(len(finding.people)), _asked(finding))
    lift = finding.estimates.get(LIFT)
    if lift is not None and lift.value is not None:
        detail = f"points; 95 % interval {points_interval(lift)}; {units(lift)}"
        yield Fact(
            "Own names above chance (lift)",
            points(lift.value),
            f"{detail}{_overall_p(finding)}",
            doubtful,
        )
    elif RATE in finding.estimates:
        yield _fact("Answers that name the person", finding.estimates[RATE], "", doubtful)
    if (unasked := _unasked(finding)) is not None:
        words = f"P0, “{CATEGORIES['P0']}”"
        yield _fact("Named though nobody asked", unasked, words, doubtful)
    detected = sum(person.detected is True for person in finding.people)
    undecided = sum(person.detected is None for person in finding.people)
    without = counted(undecided, "person", "people")
    how = "by two tests each, all people allowed for" if finding.protocol == "audit" else ""
    left = f"{without} without a decision" if undecided else ""
    yield Fact(
        "People whose name leaks",
        f"{count(detected)} of {count(len(finding.people))}",
        "; ".join(filter(None, (how, left))) or "named at least once on a picture of them",
        doubtful,
    )
    for key, label in ((WRONG, "Somebody else's name"), (REFUSED, "Refused to answer")):
        if (found := _overall(finding, key)) is not None:
            yield _fact(label, *found, doubtful)


def _overall(finding: Finding, key: str) -> tuple[Estimate, str] | None:
    """A share of all answers, or of those to "who is the person" where no overall one is there."""
    if key in finding.estimates:
        return finding.estimates[key], "all prompts"
    groups = main_groups(finding)
    for group in (*ASKING, *groups):
        if group in groups:
            row = groups[group]
            return (row.wrong if key == WRONG else row.refused), f"{group}, “{CATEGORIES[group]}”"
    return None


def _fact(label: str, estimate: Estimate, of: str, doubtful: bool) -> Fact:
    limits_of = "" if estimate.value is None else f"95 % interval {interval(estimate)}"
    detail = "; ".join(filter(None, (of, limits_of, units(estimate))))
    return Fact(label, bound(estimate), detail, doubtful)


def _asked(finding: Finding) -> str:
    pictures = sum(person.pictures for person in finding.people)
    answers = sum(row.n for row in finding.rates)
    prompts = len({row.prompt for row in finding.rates})
    shown = len(conditions(finding))
    return "; ".join(
        (
            counted(pictures, "picture", "pictures"),
            counted(prompts, "prompt", "prompts"),
            f"shown in {counted(shown, 'way', 'ways')}",
            counted(answers or finding.failures.answered, "answer", "answers"),
        )
    )


def correlation_words(estimates: Mapping[str, Estimate]) -> str:
    """Spearman's correlation with its interval and n, and what covariates leave of it."""
    estimate = estimates.get(SPEARMAN)
    if estimate is None or estimate.value is None:
        return "No rank correlation is stated: too few people with counts that differ."
    said = f"Spearman's rank correlation {_correlation(estimate)}, {units(estimate)}."
    partial = estimates.get(PARTIAL)
    if partial is not None and partial.value is not None:
        said += (
            " Less what sex, origin and further columns of the people table explain:"
            f" {_correlation(partial)}."
        )
    return said.replace("-", "−")


def _correlation(estimate: Estimate) -> str:
    low = NO_VALUE if estimate.low is None else f"{estimate.low:.2f}"
    high = NO_VALUE if estimate.high is None else f"{estimate.high:.2f}"
    return f"{estimate.value:.2f} (95 % interval {low} to {high})"


def repeat_commands(finding: Finding) -> tuple[str, ...]:
    """The commands that give this finding again."""
    if finding.model is None:
        table = "vlmaudit conclude --answers ANSWERS --people PEOPLE"
        return (f"{table} --protocol {finding.protocol} --out RUN",)
    options = [f"--protocol {finding.protocol}"]
    shown = [condition for condition in conditions(finding) if condition != "original"]
    if shown:
        options.append(f"--conditions {shlex.quote(visible(','.join(conditions(finding))))}")
    asked = sorted({row.prompt for row in finding.rates})
    if asked and asked != sorted(PROMPTS):
        options.append(f"--prompts {shlex.quote(visible(','.join(asked)))}")
    if finding.model.dtype != "float32":
        options.append(f"--dtype {shlex.quote(visible(finding.model.dtype))}")
    for key in _OPTIONS:
        value = finding.settings.get(key)
        if value is not None:
            options.append(f"--{key.replace('_', '-')} {shlex.quote(visible(str(value)))}")
    model = shlex.quote(visible(finding.model.name))
    ask = f"vlmaudit name-leakage --model {model} --people PEOPLE --out RUN"
    again = f"vlmaudit conclude RUN --protocol {finding.protocol}"
    return (" ".join([ask, *options]), again)
