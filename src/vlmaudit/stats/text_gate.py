"""Could seen records be told from unseen ones by their strings alone?

The blind baseline on what strings show: character n-grams, and each field's plain features. If it
can, a probe that tells seen from unseen records may have read them and remember nothing: the
paper's two sets can be told to .975 from one field (PROTOCOLS 1.2).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from jaxtyping import Bool, Float

from vlmaudit.stats.blind import BlindBaseline, blind_baseline

_COMPONENTS: Final = 16
"""Directions of largest variance of the n-gram counts: as many as some hundred records bear."""
_LENGTHS: Final = (1, 3)
"""Signs of the shortest and the longest n-grams."""
_COMMON: Final = 2
"""Records that must have an n-gram before it can tell anything about another."""


def text_gate(
    records: Sequence[Mapping[str, str]],
    is_seen: Bool[np.ndarray, " records"],
    fields: Sequence[str],
    *,
    rng: np.random.Generator,
    n_permutations: int = 199,
) -> BlindBaseline:
    """Guess from its strings whether a record is of the seen arm (STATISTICS section 10).

    Args:
        records: The values by field.
        is_seen: Which of them are of the seen arm; the others are of the unseen one.
        fields: Which fields are looked at.
        rng: Where the randomness comes from.
        n_permutations: How often the arms are permuted.
    """
    table: dict[str, Sequence[str | float] | np.ndarray] = {}
    for field in fields:
        values = [record[field] for record in records]
        table[field] = _plain(values)
        table[f"{field} length"] = np.array([float(len(value)) for value in values])
    texts = ["\n".join(record[field] for field in fields) for record in records]
    for place, component in enumerate(_components(texts), start=1):
        table[f"n-grams {place}"] = component
    return blind_baseline(table, is_seen, randomised=True, rng=rng, n_permutations=n_permutations)


def _plain(values: Sequence[str]) -> Sequence[str]:
    """A field as a covariate: numbers and choices as they are, others by their first sign."""
    if len(set(values)) <= len(values) // 2 or all(value.isdecimal() for value in values):
        return values
    return [value[:4] if value[:4].isdecimal() else value[:1] for value in values]


def _components(texts: Sequence[str]) -> Float[np.ndarray, "components texts"]:
    """Each text's place along the directions in which n-gram counts vary most."""
    counts = _ngram_counts(texts)
    if not counts.size:
        return np.zeros((0, len(texts)))
    centred = counts - counts.mean(axis=0)
    left, spread, _ = np.linalg.svd(centred, full_matrices=False)
    kept = spread > 1e-9 * max(1.0, float(spread[0]))
    return (left * spread)[:, kept][:, :_COMPONENTS].T


def _ngram_counts(texts: Sequence[str]) -> Float[np.ndarray, "texts ngrams"]:
    from sklearn.feature_extraction.text import CountVectorizer

    if len(texts) < _COMMON:
        return np.zeros((len(texts), 0))
    vectorizer = CountVectorizer(
        analyzer="char", ngram_range=_LENGTHS, lowercase=False, min_df=_COMMON
    )
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:  # no n-gram that two of them share
        return np.zeros((len(texts), 0))
    # Long texts and frequent letters shall not drown what is rare.
    return np.log1p(counts.toarray().astype(np.float64))
