"""Conditions against pictures as they are: the same people, pictures and prompts under both.

The paper asked one prompt a category under its conditions and compared with means of six (PROTOCOLS
section 2). Here every rate that is compared is of what was asked, and answered, under both.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from jaxtyping import Float

from vlmaudit.audits.condition_rows import FactorialRow, StratumRow
from vlmaudit.audits.name_leakage.finding import ContrastRow
from vlmaudit.audits.name_leakage.observed import FAILED
from vlmaudit.audits.name_leakage.rates import adjusted
from vlmaudit.audits.shares import share
from vlmaudit.data.conditions import ORIGINAL, Condition, parse_condition
from vlmaudit.errors import InputError
from vlmaudit.results.records import Estimate
from vlmaudit.seeds import stream
from vlmaudit.stats.differences import contrast, equivalent

ALL: Final = "all"
"""The group of all prompts together."""

_ASKED: Final = ("identity", "image", "prompt")
_HALF: Final = 0.5


def condition_contrasts(
    outcomes: pl.DataFrame, leaks: str, *, permutations: int, seed: int
) -> list[ContrastRow]:
    """Every condition against pictures as they are, by prompt category and in all.

    Args:
        outcomes: A row a question: ``identity, image, condition, prompt, status`` and `leaks`.
        leaks: The column that says whether an answer gives the name away.
        permutations: Sign flips.
        seed: What they follow from.
    """
    answered = _answered(outcomes, leaks)
    plain = answered.filter(pl.col("condition") == ORIGINAL).drop("condition")
    rows: list[ContrastRow] = []
    for condition in sorted(set(answered["condition"]) - {ORIGINAL}):
        mine = answered.filter(pl.col("condition") == condition).drop("condition")
        both = mine.join(plain, on=_ASKED, suffix="_plain")
        for group in _groups(both):
            asked = _of_group(both, group)
            rates = _person_rates(asked, ("leak", "leak_plain"))
            first, second = rates.T
            found = contrast(first, second, rng=stream(seed, "sign flips"), flips=permutations)
            if found is None:
                continue
            same = equivalent(first, second)
            rows.append(
                ContrastRow(
                    kind="condition",
                    first=f"{condition}: {group}",
                    second=f"{ORIGINAL}: {group}",
                    difference=Estimate(
                        value=found.value,
                        low=found.low,
                        high=found.high,
                        n=found.n,
                        method=found.method,
                    ),
                    p=found.p,
                    is_equivalent=same is not None and same.holds,
                    first_rate=float(first.mean()),
                    second_rate=float(second.mean()),
                    prompts=sorted(set(asked["prompt"])),
                    pictures=asked.select("identity", "image").n_unique(),
                )
            )
    return [
        row.model_copy(update={"p_adjusted": q})
        for row, q in zip(rows, adjusted([row.p for row in rows]), strict=True)
    ]


def strata_rows(outcomes: pl.DataFrame, leaks: str) -> list[StratumRow]:
    """Rates under each condition, of pictures that were hidden and of those that were not.

    Args:
        outcomes: As above, with ``is_hidden``; conditions in which all was found have no row.
        leaks: The column that says whether an answer gives the name away.
    """
    answered = _answered(outcomes, leaks, "is_hidden")
    failing = answered.filter(~pl.col("is_hidden"))["condition"].unique().sort()
    rows = []
    for condition in failing:
        for is_hidden in (True, False):
            mine = answered.filter(
                pl.col("condition") == condition, pl.col("is_hidden") == is_hidden
            )
            if mine.height:
                rates = _person_rates(mine, ("leak",))[:, 0]
                rows.append(
                    StratumRow(
                        condition=condition,
                        is_hidden=is_hidden,
                        pictures=mine.select("identity", "image").n_unique(),
                        people=len(rates),
                        rate=share(rates.tolist()),
                    )
                )
    return rows


def factorial_rows(
    outcomes: pl.DataFrame, leaks: str, *, permutations: int, seed: int
) -> list[FactorialRow]:
    """Face and context, each there or taken away, wherever all four kinds of pictures were shown.

    Args:
        outcomes: A row a question: ``identity, image, condition, prompt, status`` and `leaks`.
        leaks: The column that says whether an answer gives the name away.
        permutations: Sign flips.
        seed: What they follow from.
    """
    answered = _answered(outcomes, leaks)
    rows = []
    for face, context, both in _designs(sorted(set(answered["condition"]))):
        shown = (ORIGINAL, face, context, both)
        table = answered.filter(pl.col("condition").is_in(shown))
        wide = table.pivot("condition", index=_ASKED, values="leak").drop_nulls()
        for group in _groups(wide):
            rates = _person_rates(_of_group(wide, group), shown)
            if len(rates):
                rows.append(_factorial(group, shown, rates, permutations, seed))
    return rows


def _factorial(
    group: str,
    shown: tuple[str, str, str, str],
    rates: Float[np.ndarray, "people 4"],
    flips: int,
    seed: int,
) -> FactorialRow:
    plain, no_face, no_context, neither = rates.T
    effects = {
        "face": _HALF * (plain - no_face + no_context - neither),
        "context": _HALF * (plain - no_context + no_face - neither),
        "interaction": _HALF * ((plain - no_face) - (no_context - neither)),
    }
    estimates, p = {}, {}
    for name, values in effects.items():
        found = contrast(
            np.maximum(values, 0), np.maximum(-values, 0), rng=stream(seed, name), flips=flips
        )
        assert found is not None, "somebody has rates under all four"
        p[name] = found.p
        scale = 2.0 if name == "interaction" else 1.0
        estimates[name] = Estimate(
            value=scale * found.value,
            low=scale * found.low,
            high=scale * found.high,
            n=found.n,
            method=f"contrast of four conditions, {found.method}",
        )
    _, face, context, both = shown
    return FactorialRow(
        group=group,
        face=face,
        context=context,
        both=both,
        people=len(rates),
        rates=dict(zip(shown, rates.mean(axis=0).tolist(), strict=True)),
        face_effect=estimates["face"],
        face_p=p["face"],
        context_effect=estimates["context"],
        context_p=p["context"],
        interaction=estimates["interaction"],
        interaction_p=p["interaction"],
    )


def _designs(conditions: Sequence[str]) -> list[tuple[str, str, str]]:
    """Conditions that hide the face, take the background, and do both in the same way."""
    parsed = {text: found for text in conditions if (found := _parsed(text)) is not None}
    faces = [text for text, one in parsed.items() if one.takes == {"face"}]
    contexts = [text for text, one in parsed.items() if one.takes == {"background"}]
    return [
        (face, context, both)
        for context in contexts
        for face in faces
        for both, one in parsed.items()
        if set(one.steps) == {*parsed[face].steps, *parsed[context].steps}
    ]


def _parsed(text: str) -> Condition | None:
    """A condition of ours; a table from elsewhere may hold others."""
    try:
        return parse_condition(text)
    except InputError:
        return None


def _answered(outcomes: pl.DataFrame, leaks: str, *more: str) -> pl.DataFrame:
    return outcomes.filter(pl.col("status") != FAILED).select(
        *_ASKED, "condition", *more, pl.col(leaks).cast(pl.Float64).alias("leak")
    )


def _groups(asked: pl.DataFrame) -> list[str]:
    categories = asked["prompt"].str.split("/").list.first().unique().sort().to_list()
    return [ALL, *categories] if len(categories) > 1 else categories


def _of_group(asked: pl.DataFrame, group: str) -> pl.DataFrame:
    return asked if group == ALL else asked.filter(pl.col("prompt").str.starts_with(f"{group}/"))


def _person_rates(
    asked: pl.DataFrame, columns: Sequence[str]
) -> Float[np.ndarray, "people columns"]:
    """Everybody's rates: pictures weigh alike within a prompt, and prompts within a person."""
    by_prompt = asked.group_by("identity", "prompt").agg(pl.col(columns).mean())
    by_person = by_prompt.group_by("identity").agg(pl.col(columns).mean()).sort("identity")
    return by_person.select(columns).to_numpy()
