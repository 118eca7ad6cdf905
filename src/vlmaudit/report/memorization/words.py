"""Names of what a memorization finding is made of, and its first sentences."""

from collections.abc import Mapping
from typing import Final

from vlmaudit.audits.memorization.finding import Answer, Finding
from vlmaudit.report.parts import Headline, Mark
from vlmaudit.report.wording import verdict_word
from vlmaudit.results.numbers import NO_VALUE, decimal, visible
from vlmaudit.results.vocabulary import Protocol, Verdict

ANSWER_MARKS: Final[Mapping[Answer, Mark]] = {
    "found": "yes",
    "not_told_apart": "no",
    "undetermined": "unknown",
    "not_asked": "unknown",
}
_ROLES: Final[Mapping[str, str]] = {
    "tuned": "audited",
    "control": "control",
    "base": "before tuning",
    "twin": "twin",
}
_TITLES: Final[Mapping[tuple[Verdict, Protocol], str]] = {
    ("found", "audit"): "The checkpoint tells records it saw from records it never saw.",
    ("not_found", "audit"): "Records that were seen are not told from records that were not.",
    ("inconclusive", "audit"): "This audit can say neither yes nor no.",
    ("confounded", "audit"): "Seen and unseen records may have differed before.",
    ("found", "paper"): "By the paper's reading, hidden states differ.",
    ("not_found", "paper"): "By the paper's reading, no more than its baseline.",
    ("inconclusive", "paper"): "The paper's reading can say neither yes nor no here.",
    ("confounded", "paper"): "Seen and unseen records may have differed before.",
}


def role_words(role: str) -> str:
    """A checkpoint's part in the audit.

    >>> role_words("base")
    'before tuning'
    """
    return _ROLES.get(role, visible(role))


def limits_of(low: float | None, high: float | None) -> str:
    """An interval in digits.

    >>> limits_of(0.5, 0.75), limits_of(None, None)
    ('0.50 to 0.75', '–')
    """
    return NO_VALUE if low is None or high is None else f"{decimal(low)} to {decimal(high)}"


def headline(finding: Finding) -> Headline:
    """The verdict with its sentence, and what each mean says."""
    return Headline(
        finding.verdict,
        verdict_word(finding.verdict),
        _TITLES[finding.verdict, finding.protocol],
        visible(finding.sentence),
        tuple(visible(row.sentence) for row in finding.means if row.answer != "not_asked"),
    )
