"""What a memorization finding shows, what it does not, and how to handle its page."""

from collections.abc import Iterable
from typing import Final

from vlmaudit.audits.memorization.finding import Finding
from vlmaudit.audits.memorization.words import MEANS, listed

HANDLING: Final = (
    "No record's value is on this page. The records are made up; if yours are not, the run's "
    "private folder holds what people wrote of themselves: handle it like the pictures."
)


def proves(finding: Finding) -> tuple[str, ...]:
    """What the finding does show."""
    return tuple(_proves(finding))


def _proves(finding: Finding) -> Iterable[str]:
    found = [MEANS[row.mean] for row in finding.means if row.answer == "found"]
    if finding.protocol == "paper":
        yield "What the paper's probe says of this checkpoint, on its own split of items."
        return
    if finding.verdict == "found":
        yield (
            f"By {listed(found)}, this checkpoint is to records that were printed in its training "
            "pictures not what it is to records that were not; records were permuted, not pictures."
        )
        if any(gate.label == "randomised" and gate.passed for gate in finding.gates):
            yield (
                "Which records were printed was drawn by chance: the difference is an effect of "
                "the printing."
            )
    elif finding.verdict == "not_found":
        yield (
            "By the means that were asked, seen and unseen records are alike to within the limits "
            "that stand above."
        )
    else:
        yield "Nothing yet, in either direction: see the gates and the intervals."
    if finding.canaries is not None and finding.canaries.epsilon:
        yield "That the training was not differentially private below the bound on ε."


def does_not_prove(finding: Finding) -> tuple[str, ...]:
    """What a reader might wrongly take from it."""
    return tuple(_does_not_prove(finding))


def _does_not_prove(finding: Finding) -> Iterable[str]:
    yield (
        "It speaks of this checkpoint, these records and texts printed like these. About a recipe "
        "three seeds or more say something."
    )
    yield (
        "That hidden states or gradients differ does not mean that anybody can make the model say "
        "a value: answers and likelihoods ask that."
    )
    yield (
        "A model that learnt to read print says unseen records as well; then the arms do not "
        "differ, and that is reading, not memory."
    )
    if any(row.answer == "undetermined" for row in finding.means):
        yield (
            "“Undetermined” is not “not retained”: more records a side, more pictures or higher "
            "doses may show what these could not."
        )
    if finding.split_layers:
        yield (
            "The published split does not show memory: a record stands on both sides of it. In "
            "states drawn without any training it is right on .88 of items, and a split by records "
            "on .50."
        )
