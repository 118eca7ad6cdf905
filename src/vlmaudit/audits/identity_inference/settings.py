"""What an identity-inference audit can be told."""

from dataclasses import dataclass
from typing import Final

from vlmaudit.data.candidates import POOLS, Pool
from vlmaudit.data.conditions import ORIGINAL, parse_conditions
from vlmaudit.data.templates import IDIA_TEMPLATES
from vlmaudit.errors import InputError
from vlmaudit.results.vocabulary import Protocol

PAPER_SIZES: Final = (1, *range(3, 30, 2), 30)
# The authors' edges; 175 is missing in their code, so one bin is twice as wide as the others.
PAPER_EDGES: Final = (0, 25, 50, 75, 100, 125, 150, 200, 225, 250, 275, 300)
MOST_NAMES: Final = 100_000
"""Decoys a stratum: no locale has many more, and each is asked about in every template."""
AUDIT_EDGES: Final = (0, 1, 4, 16, 64, 256, 1024, 4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityInference:
    """Ask which of many names fits a face, and whether the true one fits more than chance.

    The identity inference attack of Hintersdorf et al. (2024), in the protocol of the paper's
    code and in ours.

    Attributes:
        protocol: ``audit`` decides by a test a person; ``paper`` by templates that agree.
        pool: Which decoy names and control people someone is compared with.
        names: Decoy names a stratum (K).
        paper_pool: Names in the paper's pool: all study names, the rest decoys.
        conditions: How pictures are shown, in canonical form; as they are, first of all.
        templates: Sentences with a ``{name}`` slot.
        tau: Templates that must agree on the true name for "member" (τ).
        alpha: Share of false discoveries among detected people.
        draws: Random choices of attack pictures a size, as in the paper.
        sizes: Numbers of attack pictures for the curve.
        edges: Occurrence bins, left-closed, the last open; None for the protocol's own.
        max_failures: Share of failed pictures above which nothing is concluded.
        seed: Everything random follows from it.
    """

    protocol: Protocol = "audit"
    pool: Pool = "same-origin"
    names: int = 1000
    paper_pool: int = 1000
    conditions: tuple[str, ...] = (ORIGINAL,)
    templates: tuple[str, ...] = IDIA_TEMPLATES
    tau: int = 1
    alpha: float = 0.05
    draws: int = 20
    sizes: tuple[int, ...] = PAPER_SIZES
    edges: tuple[int, ...] | None = None
    max_failures: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: A setting is out of range.
        """
        if self.pool not in POOLS:
            raise InputError(f'--pool "{self.pool}": wanted one of {", ".join(POOLS)}.')
        canonical = tuple(each.text for each in parse_conditions(self.conditions))
        if self.conditions != canonical:
            raise InputError(f"--conditions: wanted {', '.join(canonical)}, in this order.")
        if not 1 <= self.tau <= len(self.templates):
            raise InputError(f"--tau {self.tau}: wanted 1 to {len(self.templates)} (templates).")
        if not 1 <= self.names <= MOST_NAMES:
            raise InputError(f"--names {self.names}: wanted 1 to {MOST_NAMES:,} decoy names.")
        if not 0 < self.alpha < 1:
            raise InputError(f"--alpha {self.alpha}: wanted a share between 0 and 1.")
        if not 0 <= self.max_failures <= 1:
            raise InputError(f"--max-failures {self.max_failures}: wanted a share from 0 to 1.")
        if not all("{name}" in template for template in self.templates):
            raise InputError("every template needs a {name} slot.")

    @property
    def bins(self) -> tuple[int, ...]:
        """The occurrence bins that hold: those given, or the protocol's own."""
        if self.edges is not None:
            return self.edges
        return {"audit": AUDIT_EDGES, "paper": PAPER_EDGES}[self.protocol]
