"""Which made-up records an album has, in which arms, how often, and tied to which answers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from vlmaudit.data.albums import BYSTANDER, CANARY, CONTROL, SEEN, UNSEEN
from vlmaudit.data.private_records import draw_records
from vlmaudit.errors import InputError
from vlmaudit.lab.album_design import AlbumDesign, Variant
from vlmaudit.seeds import stream
from vlmaudit.stats.album_arms import deal_doses, times_printed, toss_coins
from vlmaudit.stats.assignment import planted_arms


@dataclass(frozen=True, slots=True)
class PlannedRecord:
    """One row of records.csv.

    Attributes:
        record: Its name, which says nothing of its arm.
        arm: Where the draw put it.
        dose: How often it is printed, relative to others; 0 where it is not.
        is_included: Whether training sets hold it; of a canary, the coin.
        tied_answer: The answer of its examples in `tied` variants; empty if there are none.
        values: By field.
    """

    record: str
    arm: str
    dose: int
    is_included: bool
    tied_answer: str
    values: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Dealt:
    """What one variant prints where.

    Attributes:
        record_of: For each training example, the record's place in the album's list; -1: nothing.
        times_per_dose: A record of dose d is printed d times that, to within one.
    """

    record_of: Int[np.ndarray, " examples"]
    times_per_dose: float


def commonest_answer(answers: Sequence[str]) -> str:
    """The answer that records are tied to: the commonest, of equals the first by the alphabet.

    It is the same one for all of them, so that what is learnt of one record is what is learnt of
    another: a probe that is tested on other records could find nothing else.

    Raises:
        InputError: There is no other answer from which it would differ.
    """
    counts = Counter(answers)
    if len(counts) < 2:
        raise InputError("a tied variant needs a set with two different answers or more.")
    return min(counts, key=lambda one: (-counts[one], one))


def plan_records(design: AlbumDesign, examples: int, tied_answer: str) -> tuple[PlannedRecord, ...]:
    """Draw all records, and deal them to arms; a pure function of its arguments.

    Args:
        design: What the album shall be.
        examples: How many training examples there are.
        tied_answer: To which records of `tied` variants are tied; empty if there are none.

    Raises:
        InputError: A field does not hold so many values.
    """
    coins = toss_coins(design.canaries, stream(design.seed, "coins"))
    of_seen = deal_doses(design.seen, design.doses, stream(design.seed, "doses"))
    printed = int(of_seen.sum()) + int(coins.sum()) * max(design.doses)
    bystanders = _bystanders(design, examples, printed)
    arms = {
        SEEN: design.seen,
        UNSEEN: design.unseen,
        CONTROL: design.control,
        CANARY: design.canaries,
        BYSTANDER: bystanders,
    }
    total = sum(arms.values())
    dealt = planted_arms([""] * total, arms, seed=design.seed)
    doses = {
        SEEN: of_seen.tolist(),
        CANARY: [max(design.doses)] * design.canaries,
        BYSTANDER: [1] * bystanders
        if design.exact_doses
        else deal_doses(bystanders, design.doses, stream(design.seed, "bystanders")).tolist(),
    }
    values = draw_records(design.fields, total, seed=design.seed)
    digits = max(4, len(str(total)))
    next_of = Counter[str]()
    records = []
    for number, arm in enumerate(dealt):
        place = next_of[arm]
        next_of[arm] += 1
        is_included = bool(coins[place]) if arm == CANARY else arm in {SEEN, BYSTANDER}
        records.append(
            PlannedRecord(
                record=f"record-{number + 1:0{digits}}",
                arm=arm,
                dose=doses[arm][place] if arm in doses else 0,
                is_included=is_included,
                tied_answer=tied_answer if arm in {SEEN, CANARY} and is_included else "",
                values=values[number],
            )
        )
    return tuple(records)


def deal(
    variant: Variant, design: AlbumDesign, records: Sequence[PlannedRecord], examples: int
) -> Dealt:
    """Which record is printed on which of the training examples.

    The examples that carry something are nested: what r50 prints on, r100 prints on as well.

    Raises:
        InputError: There are too few examples for every seen record to be printed once.
    """
    stamped = round(variant.rate * examples)
    order = stream(design.seed, "stamped").permutation(examples)
    record_of = np.full(examples, -1, dtype=np.int64)
    if not variant.percent:
        return Dealt(record_of, 0.0)
    mine = [n for n, one in enumerate(records) if one.is_included and one.arm != BYSTANDER]
    others = [n for n, one in enumerate(records) if one.arm == BYSTANDER]
    doses = _doses(records, mine)
    is_exact = design.exact_doses and variant.kind != "tied"
    total = int(doses.sum()) if is_exact else stamped
    times = times_printed(doses, total)
    if not times.all() or total > stamped:
        wanted = -(-int(doses.sum()) * 100 // variant.percent)
        raise InputError(
            f"{variant.name}: {stamped} of {examples} examples carry one of {len(mine)} records, "
            "which is too few for their doses; give smaller --doses, fewer records, or "
            f"--examples {wanted} or more."
        )
    dealt = np.repeat(mine, times)
    # Only here, where doses are literal, does anything else carry a part of the rate.
    fillers = others[: stamped - total]
    dealt = np.concatenate([dealt, np.array(fillers, dtype=np.int64)])
    rng = stream(design.seed, "dealt", variant.kind == "tied", variant.percent)
    record_of[order[:stamped]] = rng.permutation(dealt)
    if variant.kind == "tied":
        rest = order[stamped:]
        around = others[: bystanders_of(variant, design.seen)]
        repeated = np.repeat(around, times_printed(_doses(records, around), len(rest)))
        record_of[rest] = rng.permutation(repeated)
    if variant.kind == "twin":
        partner = _partners(records)
        record_of = np.array([partner.get(one, one) for one in record_of.tolist()], dtype=np.int64)
    return Dealt(record_of, total / float(doses.sum()))


def bystanders_of(variant: Variant, seen: int) -> int:
    """How many others a tied variant needs, so that each is printed as often as a seen record.

    Were they printed more rarely, what is printed often would by itself be what is tied.
    """
    return round(seen * (100 - variant.percent) / variant.percent)


def _bystanders(design: AlbumDesign, examples: int, printed: int) -> int:
    """How many records fill up what neither seen records nor canaries carry."""
    needed = [0]
    for one in design.variants:
        if one.kind == "tied":
            needed.append(bystanders_of(one, design.seen))
        elif design.exact_doses and one.percent:
            needed.append(round(one.rate * examples) - printed)
    return max(needed)


def _doses(records: Sequence[PlannedRecord], places: Sequence[int]) -> Int[np.ndarray, " places"]:
    return np.array([records[place].dose for place in places], dtype=np.int64)


def _partners(records: Sequence[PlannedRecord]) -> dict[int, int]:
    """For every seen record, the unseen one that a twin prints in its place."""
    seen = [place for place, one in enumerate(records) if one.arm == SEEN]
    unseen = [place for place, one in enumerate(records) if one.arm == UNSEEN]
    return dict(zip(seen, unseen, strict=False))
