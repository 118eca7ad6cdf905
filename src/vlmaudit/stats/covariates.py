"""What is known about people without asking a model, as columns of numbers."""

import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from vlmaudit.stats.ranks import midranks

Column = Sequence[str | float | None] | np.ndarray

# A value that fewer people share cannot help to guess about others; such values are pooled.
RARE: Final = 5


@dataclass(frozen=True, slots=True)
class Design:
    """Covariates as a classifier takes them: every column with mean 0 and variance 1."""

    values: Float[np.ndarray, "people columns"]
    columns: tuple[str, ...]
    sources: tuple[str, ...]  # the covariates that vary, as they were called in the table


def name_covariates(names: Sequence[str]) -> dict[str, Float[np.ndarray, " people"]]:
    """What a name's spelling shows by itself: length, words, accents and simple letters.

    A name without a Latin letter has no first letter and no vowels (NaN: missing).

    >>> columns = name_covariates(["Adrianne León", "Bo Li"])
    >>> {name: column.round(2).tolist() for name, column in columns.items()}
    ... # doctest: +NORMALIZE_WHITESPACE
    {'name length': [13.0, 5.0], 'name words': [2.0, 2.0], 'name accents': [1.0, 0.0],
     'name vowels': [0.5, 0.5], 'name first letter': [0.0, 1.0], 'name ends in a vowel': [0.0, 1.0]}
    """
    rows = [_spelling(name) for name in names]
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(_SPELLING))
    return {name: table[:, place] for place, name in enumerate(_SPELLING)}


def design(table: Mapping[str, Column], *, exclude: Collection[str] = ()) -> Design:
    """Turn a table of covariates into standardised columns.

    A column of numbers (or of texts that all read as numbers) becomes its ranks, so that
    counts and their logarithms say the same and no outlier has a lever. Any other column
    becomes one indicator a value; values of fewer than 5 people are pooled. Missing entries
    (None, NaN, empty text) get an indicator of their own. Constant columns are dropped.

    Args:
        table: Covariates by name, one entry a person.
        exclude: Covariates to leave out, such as occurrences where they *are* the membership.

    Raises:
        ValueError: The columns differ in length.
    """
    kept = {name: list(column) for name, column in table.items() if name not in exclude}
    if len({len(column) for column in kept.values()}) > 1:
        raise ValueError(
            f"covariates of different lengths: { {k: len(v) for k, v in kept.items()} }"
        )
    people = len(next(iter(kept.values()), []))
    columns: dict[str, Float[np.ndarray, " people"]] = {}
    sources: list[str] = []
    for name, column in kept.items():
        expanded = _expand(name, column)
        varying = {key: values for key, values in expanded.items() if len(set(values.tolist())) > 1}
        columns |= varying
        sources += [name] if varying else []
    if not columns:
        return Design(np.zeros((people, 0)), (), ())
    values = np.stack(list(columns.values()), axis=1)
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    return Design(values, tuple(columns), tuple(sources))


_SPELLING: Final = (
    "name length",
    "name words",
    "name accents",
    "name vowels",
    "name first letter",
    "name ends in a vowel",
)


def _spelling(name: str) -> list[float]:
    signs = unicodedata.normalize("NFKD", name.casefold())
    plain = [sign for sign in signs if not unicodedata.combining(sign)]
    latin = [sign for sign in plain if "a" <= sign <= "z"]
    accents = sum(1 for sign in signs if unicodedata.combining(sign))
    vowels = [sign in "aeiouy" for sign in latin]
    return [
        float(len(plain)),
        float(len(name.split())),
        float(accents),
        float(np.mean(vowels)) if vowels else np.nan,
        float(ord(latin[0]) - ord("a")) if latin else np.nan,
        float(vowels[-1]) if vowels else np.nan,
    ]


def _expand(name: str, column: Sequence[object]) -> dict[str, Float[np.ndarray, " people"]]:
    """One covariate as one or more columns of numbers, none of them missing."""
    missing = np.array([_is_missing(entry) for entry in column], dtype=bool)
    expanded: dict[str, Float[np.ndarray, " people"]] = {}
    numbers = _as_numbers(column, missing)
    if numbers is not None:
        ranks = np.zeros(len(column))
        # Missing entries stand at the mean rank of the others: only the indicator moves.
        ranks[~missing] = midranks(numbers) - (len(numbers) + 1) / 2
        expanded[name] = ranks
    else:
        texts = [str(entry).strip() for entry in column]
        people_with = Counter(t for t, gone in zip(texts, missing, strict=True) if not gone)
        common = sorted(text for text, count in people_with.items() if count >= RARE)
        for text in common:
            expanded[f"{name} = {text}"] = np.array([entry == text for entry in texts], float)
        if len(common) < len(people_with):
            rare = [entry not in common for entry in texts]
            expanded[f"{name}: rare"] = np.array(rare, float) * ~missing
    if missing.any():
        expanded[f"{name}: missing"] = missing.astype(float)
    return expanded


def _is_missing(entry: object) -> bool:
    if entry is None:
        return True
    if isinstance(entry, str):
        return not entry.strip()
    return isinstance(entry, float | np.floating) and bool(np.isnan(entry))


def _as_numbers(
    column: Sequence[object], missing: np.ndarray
) -> Float[np.ndarray, " present"] | None:
    """The entries that are there, as numbers; None if one does not read as a number."""
    try:
        numbers = [
            float(entry)  # type: ignore[arg-type]  # what is no number is caught
            for entry, gone in zip(column, missing, strict=True)
            if not gone
        ]
    except (TypeError, ValueError):
        return None
    return np.array(numbers, dtype=np.float64) if np.isfinite(numbers).all() else None
