"""The sentences of a report: what a finding says, what bounds it, what it does not show."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.report.parts import Fact, Headline, Quantity
from vlmaudit.results.numbers import (
    bound,
    count,
    counted,
    hits,
    interval,
    p_value,
    rate,
    sentence_case,
    visible,
)
from vlmaudit.results.records import Estimate, Failures
from vlmaudit.results.vocabulary import Protocol, Verdict

QUANTITIES: Final[tuple[Quantity, ...]] = ("TPR", "FPR", "FNR", "TNR", "accuracy")

_OPTIONS: Final = ("pool", "names", "paper_pool", "tau", "alpha", "max_failures", "seed")


def is_planted(finding: Finding) -> bool:
    """Whether people were put into the training data by design."""
    return any(person.arm for person in finding.people)


def setting(finding: Finding, key: str, default: float) -> float:
    """A numeric setting, or what it is when the finding does not say."""
    value = finding.settings.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else default


def votes_needed(finding: Finding) -> str:
    """The vote rule: plain words before the letter."""
    tau = int(setting(finding, "tau", 1))
    return (
        f"at least {counted(tau, 'template', 'templates')} must agree on the true name (τ = {tau})"
    )


def is_randomised(finding: Finding) -> bool:
    """Whether chance decided who was planted, and a gate vouches for it."""
    return any(gate.label == "randomised" and gate.passed is not False for gate in finding.gates)


def doubt(finding: Finding) -> str:
    """Why rates over members and non-members are shown faintly; empty if they may be trusted."""
    labels = {gate.label for gate in finding.gates}
    if finding.verdict == "inconclusive":
        return "this audit is inconclusive"
    if finding.verdict == "confounded" or "confounded" in labels:
        return "membership could be guessed without the model"
    if "undetermined" in labels:
        return "it is not known whether membership could be guessed without the model"
    return ""


_WORDS: Final[dict[Verdict, str]] = {
    "found": "Found",
    "not_found": "Not found",
    "inconclusive": "Inconclusive",
    "confounded": "Confounded",
}
_TITLES: Final[dict[tuple[Verdict, Protocol], str]] = {
    ("found", "audit"): "This model ties faces to names.",
    ("not_found", "audit"): "No tie between faces and names is shown.",
    ("inconclusive", "audit"): "This audit can say neither yes nor no.",
    ("confounded", "audit"): "Membership could be guessed without the model.",
    ("found", "paper"): "By the paper's rule, this model picks people's names for their faces.",
    ("not_found", "paper"): "By the paper's rule, no more people are flagged than by chance.",
    ("inconclusive", "paper"): "The paper's rule can say neither yes nor no here.",
    ("confounded", "paper"): "Membership could be guessed without the model.",
}


def verdict_word(verdict: Verdict) -> str:
    """A verdict as the page begins with it."""
    return _WORDS[verdict]


def member_rates(finding: Finding) -> dict[Quantity, Estimate]:
    """The rates over members and non-members, from wherever the finding has them."""
    rates: dict[Quantity, Estimate] = {}
    by_key = {key.casefold(): estimate for key, estimate in finding.estimates.items()}
    for quantity in QUANTITIES:
        if quantity.casefold() in by_key:
            rates[quantity] = by_key[quantity.casefold()]
    for group in finding.groups:
        if group.kind == "membership" and group.is_member is not None:
            rates.setdefault("TPR" if group.is_member else "FPR", group.detected)
    return rates


def quantity_label(quantity: Quantity, *, planted: bool) -> str:
    """What a rate is, in plain words before its letters."""
    members, others = (
        ("planted people", "people never planted")
        if planted
        else ("known members", "known non-members")
    )
    return {
        "TPR": f"{members} detected (TPR)",
        "FPR": f"{others} flagged (FPR)",
        "FNR": f"{members} missed (FNR)",
        "TNR": f"{others} cleared (TNR)",
        "accuracy": "right decisions (accuracy)",
    }[quantity]


def false_alarm_sentence(fpr: Estimate, *, planted: bool) -> str:
    """What is known of false alarms: none seen is an upper limit, never a 0."""
    who = "people never planted" if planted else "known non-members"
    if fpr.value is None or not fpr.n:
        return f"False alarms could not be counted: there are no {who}."
    return f"False alarms among {who}: {rate(fpr)}."


def headline(finding: Finding) -> Headline:
    """The verdict in plain words with its error bounds."""
    word = _WORDS[finding.verdict]
    sentence = visible(finding.sentence)
    return Headline(
        verdict=finding.verdict,
        word=word,
        title=_title(finding),
        # The word stands before the title already.
        sentence=sentence_case(sentence.removeprefix(f"{word}: ")),
        bounds=tuple(_bounds(finding)),
    )


def _bounds(finding: Finding) -> Iterable[str]:
    if finding.verdict == "inconclusive":
        for gate in finding.gates:
            if gate.passed is False and gate.sentence not in finding.sentence:
                yield sentence_case(visible(gate.sentence))
        return
    planted = is_planted(finding)
    rates = member_rates(finding)
    if finding.verdict == "not_found" and "TPR" in rates:
        who = "planted people" if planted else "known members"
        yield f"Detected among {who}: {rate(rates['TPR'])}. Weaker ties may stay unseen."
    if "FPR" in rates:
        yield false_alarm_sentence(rates["FPR"], planted=planted)
    else:
        yield "No known non-members: how often people are flagged wrongly was not measured here."
    if reason := doubt(finding):
        yield f"Rates over members and non-members are shown faintly: {reason}."


def _title(finding: Finding) -> str:
    if len(finding.people) == 1 and finding.protocol == "audit":
        person = finding.people[0]
        if finding.verdict == "found" and person.p is not None:
            return f"This model ties this face to this name ({p_value(person.p)})."
        if finding.verdict == "not_found" and person.p is not None:
            return f"No tie between this face and this name is shown ({p_value(person.p)})."
    return _TITLES[finding.verdict, finding.protocol]


def facts(finding: Finding) -> tuple[Fact, ...]:
    """The few numbers that a reader takes away."""
    people = finding.people
    planted = is_planted(finding)
    doubtful = bool(doubt(finding))
    n_detected = sum(person.detected is True for person in people)
    n_undecided = sum(person.detected is None for person in people)
    label = "People tied to their name" if finding.protocol == "audit" else "People flagged"
    detail = (
        "by two tests each, all people allowed for"
        if finding.protocol == "audit"
        else votes_needed(finding)
    )
    if n_undecided:
        detail += f"; {counted(n_undecided, 'person', 'people')} without a decision"
    shown = [
        Fact(
            label,
            f"{count(n_detected)} of {count(len(people))}",
            detail,
            finding.verdict == "inconclusive",
        )
    ]
    for quantity, estimate in member_rates(finding).items():
        if quantity in ("TPR", "FPR"):
            shown.append(
                Fact(
                    sentence_case(quantity_label(quantity, planted=planted)),
                    bound(estimate),
                    _fact_detail(estimate),
                    doubtful,
                )
            )
    return tuple(shown)


def _fact_detail(estimate: Estimate) -> str:
    if estimate.value is None:
        return hits(estimate)
    return f"{hits(estimate)}; 95 % interval {interval(estimate)}"


def failures_line(failures: Failures, *, one: str = "person", many: str = "people") -> str:
    """Who and what could not be asked, in one line.

    Args:
        failures: What failed.
        one: What is asked about.
        many: The same of several.
    """
    total = failures.people_asked + len(failures.people_lost)
    everyone = f"The one {one}" if total == 1 else f"All {count(total)} {many}"
    if not failures.failed and not failures.people_lost:
        if failures.unit == "request":
            return f"{everyone} could be asked, and all {_counted_units(failures)} were answered."
        return f"{everyone} and all {_counted_units(failures)} could be asked."
    who = f"{everyone} could be asked"
    if failures.people_lost:
        people = counted(total, one, many)
        who = f"{count(failures.people_asked)} of {people} could be asked"
    reasons = ", ".join(
        visible(reason) if number == failures.failed else f"{count(number)} × {visible(reason)}"
        for reason, number in by_number(failures.reasons)
    )
    verb = "has" if failures.failed == 1 else "have"
    lacking = f"{count(failures.failed)} of {_counted_units(failures)} {verb} no answer"
    return f"{who}; {lacking}{f': {reasons}' if reasons else ''}."


def _counted_units(failures: Failures) -> str:
    return counted(failures.asked, failures.unit, f"{failures.unit}s")


def by_number(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    """Reasons, the most frequent first."""
    return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))


def failure_sentences(finding: Finding) -> tuple[str, ...]:
    """What failed, beyond the numbers by reason."""
    return tuple(_failure_sentences(finding))


def _failure_sentences(finding: Finding) -> Iterable[str]:
    failures = finding.failures
    if failures.people_lost:
        lost = ", ".join(visible(identity) for identity in failures.people_lost)
        yield f"No picture could be asked of: {lost}."
    partly = sum(person.failed > 0 for person in finding.people)
    if partly:
        lack = "lacks" if partly == 1 else "lack"
        unit = failures.unit
        yield f"{counted(partly, 'person', 'people')} in the table {lack} one {unit} or more."
    reasons = Counter(
        visible(person.note) or "no reason noted"
        for person in finding.people
        if person.detected is None
    )
    for reason, number in by_number(dict(reasons)):
        yield f"No decision for {counted(number, 'person', 'people')}: {reason}"
    if failures.failed:
        yield f"A {failures.unit} without an answer counts as missing, never as “no tie”."


def repeat_commands(finding: Finding) -> tuple[str, ...]:
    """The commands that give this finding again."""
    options = [f"--protocol {finding.protocol}"]
    if finding.model is None:
        table = "vlmaudit conclude --votes VOTES --names NAMES --people PEOPLE"
        return (" ".join([table, *options, "--out RUN"]),)
    for key in _OPTIONS:
        value = finding.settings.get(key)
        if value is not None:
            options.append(f"--{key.replace('_', '-')} {shlex.quote(visible(str(value)))}")
    model = shlex.quote(visible(finding.model.name))
    ask = f"vlmaudit identity-inference --model {model} --people PEOPLE"
    if any(person.n_faces for person in finding.people):
        ask += " --controls CONTROLS"
    again = f"vlmaudit conclude RUN --protocol {finding.protocol}"
    return (" ".join([ask, "--out RUN", *options]), again)
