"""Whom each protocol declares known to the model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from vlmaudit.audits.comparable import declare
from vlmaudit.audits.identity_inference.evidence import NOT_ASKED, Evidence
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.results.vocabulary import Protocol
from vlmaudit.stats.association import Association, NoEvidence

NOT_MATCHED: Final = (
    "compared with names or people of another or an unknown sex or origin: p may be too small, "
    "so there is no decision"
)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a protocol declares a person known, and by which p-value."""

    detected: bool | None
    p_adjusted: float | None = None
    note: str = ""


def decide(
    evidence: Sequence[Evidence], scores: Sequence[int | None], settings: IdentityInference
) -> list[Decision]:
    """Everybody's decision under the settings' protocol.

    Args:
        evidence: What speaks for each audited person.
        scores: Templates that agree on everybody's true name, in the protocol's pool.
        settings: The protocol and its parameters.
    """
    return _RULES[settings.protocol](evidence, scores, settings)


def _by_votes(
    evidence: Sequence[Evidence], scores: Sequence[int | None], settings: IdentityInference
) -> list[Decision]:
    """The paper's rule: a member if at least τ templates agree on the true name."""
    return [
        Decision(None, note=NOT_ASKED.reason) if score is None else Decision(score >= settings.tau)
        for score in scores
    ]


def _by_test(
    evidence: Sequence[Evidence], scores: Sequence[int | None], settings: IdentityInference
) -> list[Decision]:
    """Our rule: the test of face against name, with false discoveries held at alpha."""
    decisions = [
        Decision(None, note=one.test.reason if isinstance(one.test, NoEvidence) else NOT_MATCHED)
        for one in evidence
    ]
    family = {
        place: one.test
        for place, one in enumerate(evidence)
        if isinstance(one.test, Association) and one.is_matched
    }
    declared = declare(list(family.values()), settings.alpha)
    for place, (detected, q) in zip(family, declared, strict=True):
        decisions[place] = Decision(detected, q)
    return decisions


_Rule = Callable[
    [Sequence[Evidence], Sequence[int | None], IdentityInference],
    list[Decision],
]
_RULES: Final[Mapping[Protocol, _Rule]] = MappingProxyType({"audit": _by_test, "paper": _by_votes})
