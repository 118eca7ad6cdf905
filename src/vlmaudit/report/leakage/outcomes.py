"""What answers do with the name, in words and in colour."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vlmaudit.audits.name_leakage.finding import Finding, Outcome
from vlmaudit.results.numbers import visible


@dataclass(frozen=True, slots=True)
class OutcomeLook:
    """An outcome's words, and its colour in chart, legend and table."""

    words: str
    colour: str


# Okabe and Ito's colours: the same on a bright and on a dark page. What gives names away is warm.
OUTCOMES: Final[Mapping[Outcome, OutcomeLook]] = {
    "named": OutcomeLook("named", "#c44e00"),
    "hedged": OutcomeLook("named, hedging", "#e69f00"),
    "surname": OutcomeLook("surname only", "#f0e442"),
    "wrong_name": OutcomeLook("wrong name", "#cc79a7"),
    "list": OutcomeLook("list of names", "#8f4b7c"),
    "negated": OutcomeLook("name denied", "#009e73"),
    "refused": OutcomeLook("refused", "#0073b3"),
    "none": OutcomeLook("no name", "#b9c0c9"),
    "failed": OutcomeLook("no answer", "#4d5560"),
}
"""All outcomes, in reading order."""


def look_of(outcome: str) -> OutcomeLook:
    """An outcome's look; one that is unknown here keeps its own word."""
    for key, look in OUTCOMES.items():
        if key == outcome:
            return look
    return OutcomeLook(visible(outcome), OUTCOMES["none"].colour)


def outcomes_seen(finding: Finding) -> tuple[OutcomeLook, ...]:
    """The outcomes that occur."""
    seen = {key for row in finding.rates for key, number in row.outcomes.items() if number}
    return tuple(look for key, look in OUTCOMES.items() if key in seen)
