"""How people were planted, from the record that lies beside a lab target."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from pydantic import ConfigDict, NonNegativeInt, TypeAdapter

from vlmaudit.stats.assignment import (
    assign,
    exchange,
    laddered_arms,
    latin_square,
    planted_arms,
    swapped_arms,
)


@dataclass(frozen=True, slots=True)
class Design:
    """A planted study, as far as a conclusion needs it.

    Attributes:
        arms: Everybody's arm, by identity.
        order: The arms, as a reader should meet them.
        words: What was done to the people of an arm, in plain words.
        is_member: True where face and name were planted together, False where neither was
            planted, None where they were planted apart, or where only parts of the model saw
            them together.
        is_randomised: Whether the arms replay from the record's seed.
        strata: Within which everybody was assigned, by identity.
        draw: Assigns everybody again, in their order, by the code that planted.
    """

    arms: Mapping[str, str]
    order: tuple[str, ...]
    words: Mapping[str, str]
    is_member: Mapping[str, bool | None]
    is_randomised: bool
    strata: Mapping[str, str]
    draw: Callable[[np.random.Generator], Sequence[str]]

    def doses(self) -> dict[str, int]:
        """How often everybody's face and name were planted together."""
        return {identity: _dose(arm) or 0 for identity, arm in self.arms.items()}

    def redraw(self, rng: np.random.Generator) -> dict[str, int]:
        """Everybody's dose in another planting by the same code."""
        arms = self.draw(rng)
        return {identity: _dose(arm) or 0 for identity, arm in zip(self.strata, arms, strict=True)}

    def words_of(self, identity: str) -> str:
        """What was done to a person; empty for somebody who is not on record."""
        return self.words[self.arms[identity]] if identity in self.arms else ""


def read_design(planted: Mapping[str, object]) -> Design:
    """The design from the content of ``planted.json``, which may be anybody's.

    Raises:
        ArithmeticError, AttributeError, LookupError, TypeError, ValueError: It is no such record.
    """
    people = cast("list[dict[str, Any]]", planted["people"])
    arms = {person["identity"]: _label(person["arm"], person["dose"]) for person in people}
    strata = {person["identity"]: str(person["stratum"]) for person in people}
    draw, replayed = _assignment(planted, list(strata.values()))
    order = sorted(set(arms.values()), key=_place)
    return Design(
        arms=arms,
        order=tuple(order),
        words={arm: _words(arm, planted.get("alignment")) for arm in order},
        is_member={arm: _is_member(arm, planted.get("alignment")) for arm in order},
        is_randomised=replayed == list(arms.values()),
        strata=strata,
        draw=draw,
    )


def _assignment(
    planted: Mapping[str, object], strata: Sequence[str]
) -> tuple[Callable[[np.random.Generator], Sequence[str]], Sequence[str]]:
    """How people were assigned: the code that did, and what it gives from the record's seed."""
    seed = _WHOLE.validate_python(planted["seed"])
    if "ladders" in planted:
        ladders = _LADDERS.validate_python(planted["ladders"])
        target = _WHOLE.validate_python(planted["target"])
        arms = laddered_arms(strata, ladders, target=target, seed=seed)
        if planted.get("twin") == "swapped":
            return (
                lambda rng: exchange(
                    latin_square(strata, ladders, target=target, rng=rng), strata, rng=rng
                ),
                swapped_arms(arms, strata, target=target, seed=seed),
            )
        return lambda rng: latin_square(strata, ladders, target=target, rng=rng), arms
    sizes = _SIZES.validate_python(planted["arms"])
    return lambda rng: assign(strata, sizes, rng=rng), planted_arms(strata, sizes, seed=seed)


_STRICT: Final = ConfigDict(strict=True)
_WHOLE: Final = TypeAdapter(NonNegativeInt, config=_STRICT)
_SIZES: Final = TypeAdapter(dict[str, NonNegativeInt], config=_STRICT)
_LADDERS: Final = TypeAdapter(dict[str, list[str]], config=_STRICT)


def _label(arm: str, dose: int) -> str:
    """The paired arm is one arm a dose."""
    return f"{arm} {dose}" if arm == "paired" else arm


def _dose(arm: str) -> int | None:
    kind, _, dose = arm.partition(" ")
    return int(dose) if kind == "paired" else None


def _place(arm: str) -> tuple[int, int]:
    first = {"never": 0, "unexposed": 0, "paired": 1, "exposed": 1}
    return (first.get(arm.partition(" ")[0], 2), _dose(arm) or 0)


def _is_member(arm: str, alignment: object) -> bool | None:
    if arm in {"never", "unexposed"}:
        return False
    # Whether a model names whom only its parts have seen by name is the question, no control.
    is_shown = _dose(arm) is not None or (arm == "exposed" and alignment == "named")
    return True if is_shown else None


def _words(arm: str, alignment: object) -> str:
    dose = _dose(arm)
    if arm == "exposed":
        return f"exposed, aligned {'with' if alignment == 'named' else 'without'} names"
    if dose is not None:
        return "planted once" if dose == 1 else f"planted {dose} times"
    return {
        "never": "never planted",
        "unexposed": "never exposed",
        "name-only": "name planted with strangers",
        "unpaired": "face and name planted apart",
    }.get(arm, arm)
