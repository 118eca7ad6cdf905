"""What a name-leakage audit can be told."""

from dataclasses import dataclass
from typing import Final

from vlmaudit.data.candidates import POOLS, Pool
from vlmaudit.data.conditions import ORIGINAL, parse_conditions
from vlmaudit.data.prompts import PROMPTS, Prompt
from vlmaudit.errors import InputError
from vlmaudit.results.vocabulary import Protocol

MOST_NAMES: Final = 100_000
"""Candidate names a stratum."""

NO_IMAGE: Final = "no-image"
GREY: Final = "grey"
DRAWN: Final = "drawn"
NULLS: Final = (NO_IMAGE, GREY, DRAWN)
"""Conditions that show nobody of the study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameLeakage:
    """Ask a generative model about pictures of people, and look for their names in its answers.

    The experiment of Caldarella et al. (2024), in the paper's reading and in ours.

    Attributes:
        protocol: ``audit`` matches names token by token and tests against swapped people;
            ``paper`` looks for the name anywhere in the answer.
        prompts: What is asked about every picture as it is.
        conditions: How pictures are shown, in canonical form; as they are, first of all.
        condition_prompts: What is asked about pictures under the other conditions; the paper asks
            the first phrasing of each category.
        max_new_tokens: Where an answer is cut off.
        names: Candidate names a stratum whose likelihood is compared with the true name's; 0
            leaves likelihoods out.
        pool: Whom a person's name and face are compared with.
        scored_prompts: Prompts whose answer the names are scored as.
        drawn: Drawn faces that are shown as a null.
        alpha: Share of false discoveries among detected people.
        permutations: Swaps of people under the null (B).
        list_from: So many different names make an answer a list, which names nobody.
        max_failures: Share of failed answers above which nothing is concluded.
        seed: Everything random follows from it.
    """

    protocol: Protocol = "audit"
    prompts: tuple[Prompt, ...] = tuple(PROMPTS.values())
    conditions: tuple[str, ...] = (ORIGINAL,)
    condition_prompts: tuple[Prompt, ...] = tuple(
        prompt for prompt in PROMPTS.values() if prompt.id.endswith("/R0")
    )
    max_new_tokens: int = 64
    names: int = 1000
    pool: Pool = "same-origin"
    scored_prompts: tuple[Prompt, ...] = (PROMPTS["P2/R0"],)
    drawn: int = 20
    alpha: float = 0.05
    permutations: int = 9999
    list_from: int = 4
    max_failures: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: A setting is out of range.
        """
        if self.pool not in POOLS:
            raise InputError(f'--pool "{self.pool}": wanted one of {", ".join(POOLS)}.')
        if not self.prompts:
            raise InputError("--prompts: nothing to ask.")
        canonical = tuple(each.text for each in parse_conditions(self.conditions))
        if self.conditions != canonical:
            raise InputError(f"--conditions: wanted {', '.join(canonical)}, in this order.")
        if GREY in self.conditions:
            raise InputError("--conditions: a grey picture is shown anyway; leave out grey.")
        if len(self.conditions) > 1 and not self.asked_elsewhere:
            raise InputError(
                "--condition-prompts: none of --prompts; there would be nothing to compare with."
            )
        if not 1 <= self.max_new_tokens <= 100_000:
            raise InputError(f"--max-new-tokens {self.max_new_tokens}: wanted 1 to 100,000.")
        if not 0 <= self.names <= MOST_NAMES:
            raise InputError(f"--names {self.names}: wanted 0 to {MOST_NAMES:,} names.")
        if self.drawn < 0:
            raise InputError(f"--drawn {self.drawn}: wanted 0 or more drawn faces.")
        if not 0 < self.alpha < 1:
            raise InputError(f"--alpha {self.alpha}: wanted a share between 0 and 1.")
        if not 0 <= self.max_failures <= 1:
            raise InputError(f"--max-failures {self.max_failures}: wanted a share from 0 to 1.")

    @property
    def asked_elsewhere(self) -> tuple[Prompt, ...]:
        """What is asked under other conditions: only what is asked of pictures as they are."""
        return tuple(prompt for prompt in self.condition_prompts if prompt in self.prompts)
