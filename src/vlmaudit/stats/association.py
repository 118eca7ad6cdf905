"""Does the model tie this face to this name, beyond what face and name do by themselves?

One block of scores answers it: faces (the audited person and control people) by names (the true
one and decoys), each score a mean over the person's pictures and over prompt templates. Some names
fit every face (hubs of the embedding space, popular names) and some faces fit every name; either
would pass for recognition. So each effect is taken out before the true pair is ranked:

- among the names, after every face's mean is subtracted, each name measured against how it fits
  the control faces (``p_names``);
- among the faces, after every name's mean is subtracted, each face measured against how it fits
  the decoy names (``p_faces``).

A person is tied to a name only if both nulls fall, so p is the larger of the two (Berger 1982,
intersection-union). Ranks are randomisation p-values, ``(1 + ties and better) / (1 + null)``, and
never 0 (Phipson and Smyth 2010). They are valid if the true name is as if drawn with the decoys
and the face as if drawn with the controls: no centring repairs a pool of other origins.

The same ranks serve models that give no scores but only choose a name: put how many votes each
name got (`vlmaudit.stats.votes.vote_counts`) in place of the scores. Most decoys get no vote from
any control person, so the spread of their votes is 0, and they cannot be measured by it. They are
measured by the smallest spread that any other name has; true name and decoys alike. Counts of a
popular name are distributed differently from counts of a rare one, so that ``p_names`` by itself
falls too often for popular names (simulated: 18 % at 0.05); the larger of the two does not.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Real

# Relative to the largest score: what arithmetic in fp64 can round apart.
TIE_TOLERANCE: Final = 1e-12
# Below this share of the variance, face-name interactions are rounding of the embeddings.
MIN_INTERACTION_SHARE: Final = 1e-6
# Where a variance is what is left of terms this much larger, it is computed again without them.
_CANCELLATION: Final = 1e-4

NOT_FINITE: Final = "some scores are not finite numbers: no evidence possible"
NO_INTERACTION: Final = "this model gives every face the same name order: no evidence possible"


@dataclass(frozen=True, slots=True)
class Association:
    """How strongly one face is tied to one name, beside what faces and names do by themselves."""

    z: float
    """Face-name interaction, in SDs of the same name over the control faces."""
    p_names: float
    """Rank of the true name among the decoys."""
    p_faces: float
    """Rank of the audited face among the control people."""
    n_names: int
    """Decoy names (K)."""
    n_faces: int
    """Control people (F)."""
    p_cell: float | None = None
    """Rank among all pairs of the block, if asked for; see `associate`."""

    @property
    def p(self) -> float:
        """The test of both nulls together."""
        return max(self.p_names, self.p_faces)

    @property
    def p_min(self) -> float:
        """The smallest value that `p` could have taken."""
        return 1 / (1 + min(self.n_names, self.n_faces))


@dataclass(frozen=True, slots=True)
class NoEvidence:
    """Why these scores can say nothing about the person: this is not the absence of a tie."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Rank:
    """The first of each row measured against the others of its row."""

    z: Float[np.ndarray, " people"]
    p: Float[np.ndarray, " people"]


@dataclass(frozen=True, slots=True)
class _Centred:
    """First entry: the true one. What is left of it, and how far the null spreads around 0."""

    deviation: Float[np.ndarray, "people candidates"]
    spread: Float[np.ndarray, "people candidates"]


def associate(
    scores: Real[np.ndarray, "faces names"], *, cells: bool = False
) -> Association | NoEvidence:
    """The association test for one person.

    Args:
        scores: Row 0 is the audited person, the others are control people with as many pictures;
            column 0 is the true name, the others are decoys. Scores, or counts of votes.
        cells: Also compute `p_cell`, the share of all pairs of the block whose interaction (both
            effects out, scaled by column and then by row) is at least the true pair's. It resolves
            1 / pairs instead of 1 / people, for families that are too large for the number of
            control people. It needs faces and names to be exchangeable at once, so it is no
            substitute for `p`: declare a person by it only if `p` is small too.

    Returns:
        The ranks; or `NoEvidence` if scores are not finite, or if next to nothing of their
        variance is interaction of face and name.

    Raises:
        ValueError: There are not two control people and two decoys at least.
    """
    A = scores.astype(np.float64)
    _require_null(n_faces=A.shape[0] - 1, n_names=A.shape[1] - 1)
    if not np.isfinite(A).all():
        return NoEvidence(NOT_FINITE)
    face_effect = A.mean(axis=1, keepdims=True)
    name_effect = A.mean(axis=0, keepdims=True)
    grain = np.array([TIE_TOLERANCE * np.abs(A).max()])
    variance = A.var()
    interaction = variance - face_effect.var() - name_effect.var()
    if interaction <= MIN_INTERACTION_SHARE * variance:
        return NoEvidence(NO_INTERACTION)
    names = _rank(_against_controls(A - face_effect), grain)
    faces = _rank(_against_controls((A - name_effect).T), grain)
    if np.isnan(names.z[0]) or np.isnan(faces.z[0]):
        return NoEvidence(NO_INTERACTION)
    return Association(
        z=float(names.z[0]),
        p_names=float(names.p[0]),
        p_faces=float(faces.p[0]),
        n_names=A.shape[1] - 1,
        n_faces=A.shape[0] - 1,
        p_cell=_cell_rank(A) if cells else None,
    )


def associate_many(
    shared: Real[np.ndarray, "controls decoys"],
    face_scores: Real[np.ndarray, "people decoys"],
    name_scores: Real[np.ndarray, "people controls"],
    own_scores: Real[np.ndarray, " people"],
    *,
    cells: bool = False,
) -> list[Association | NoEvidence]:
    """The association test for many people who share control people and decoys.

    Equal to `associate` on each person's block, and much faster: what the people share is centred
    once, and what each of them changes in it follows from two matrix products.

    Args:
        shared: Every decoy on every control person.
        face_scores: Every decoy on each audited person.
        name_scores: Each audited person's name on every control person.
        own_scores: Each audited person's name on that person.
        cells: Also compute `p_cell`, which takes most of the time.

    Raises:
        ValueError: There are not two control people and two decoys at least.
    """
    block, rows, columns, own = (
        scores.astype(np.float64) for scores in (shared, face_scores, name_scores, own_scores)
    )
    n_faces, n_names = block.shape
    _require_null(n_faces=n_faces, n_names=n_names)
    if not np.isfinite(block).all():
        return [NoEvidence(NOT_FINITE) for _ in own]
    finite = np.isfinite(rows).all(axis=1) & np.isfinite(columns).all(axis=1) & np.isfinite(own)
    rows, columns, own = (np.where(finite, part.T, 0.0).T for part in (rows, columns, own))

    largest = [np.abs(block).max(), np.abs(rows).max(axis=1), np.abs(columns).max(axis=1)]
    grain = TIE_TOLERANCE * np.maximum.reduce(np.broadcast_arrays(*largest, np.abs(own)))
    has_interaction = _has_interaction(block, rows, columns, own)
    names = _rank(_against_shared(block, rows, columns, own), grain)
    faces = _rank(_against_shared(block.T, columns, rows, own), grain)
    has_interaction &= ~(np.isnan(names.z) | np.isnan(faces.z))

    found: list[Association | NoEvidence] = []
    for person in range(len(own)):
        if not finite[person]:
            found.append(NoEvidence(NOT_FINITE))
            continue
        if not has_interaction[person]:
            found.append(NoEvidence(NO_INTERACTION))
            continue
        p_cell = None
        if cells:
            top = np.append(own[person], rows[person])
            rest = np.column_stack([columns[person], block])
            p_cell = _cell_rank(np.vstack([top, rest]))
        found.append(
            Association(
                z=float(names.z[person]),
                p_names=float(names.p[person]),
                p_faces=float(faces.p[person]),
                n_names=n_names,
                n_faces=n_faces,
                p_cell=p_cell,
            )
        )
    return found


def _require_null(*, n_faces: int, n_names: int) -> None:
    if n_faces < 2 or n_names < 2:
        raise ValueError(
            f"{n_faces} control people and {n_names} decoys: at least two of each are needed"
        )


def _against_controls(B: Float[np.ndarray, "faces names"]) -> _Centred:
    """Row 0 against the mean of the other rows, beside their spread."""
    return _Centred(
        deviation=(B[0] - B[1:].mean(axis=0))[np.newaxis],
        spread=B[1:].std(axis=0)[np.newaxis],
    )


def _against_shared(
    block: Float[np.ndarray, "controls decoys"],
    rows: Float[np.ndarray, "people decoys"],
    columns: Float[np.ndarray, "people controls"],
    own: Float[np.ndarray, " people"],
) -> _Centred:
    """`_against_controls` for every person, from what their blocks have in common.

    A person's own column moves the mean of each control's row a little. So the centred block is
    the shared one plus a shift a control: ``var(x + u) = var(x) + 2 cov(x, u) + var(u)``.
    """
    n_controls, n_decoys = block.shape
    shared_mean = block.mean(axis=1)
    x = block - shared_mean[:, np.newaxis]
    x_mean = x.mean(axis=0)
    x -= x_mean
    mean = (n_decoys * shared_mean + columns) / (n_decoys + 1)  # of the controls' rows, by person
    u = shared_mean - mean
    u_mean = u.mean(axis=1, keepdims=True)
    u = u - u_mean

    x_variance = np.square(x).mean(axis=0)
    u_variance = np.square(u).mean(axis=1, keepdims=True)
    variance = x_variance + 2 / n_controls * (u @ x) + u_variance
    cancelled = variance < _CANCELLATION * (x_variance + u_variance)
    for person in np.flatnonzero(cancelled.any(axis=1)):
        again = cancelled[person]
        variance[person, again] = (x[:, again] + u[person][:, np.newaxis]).var(axis=0)

    own_mean = (rows.sum(axis=1) + own) / (n_decoys + 1)
    of_decoys = rows - own_mean[:, np.newaxis] - (x_mean + u_mean)
    of_own = own - own_mean - (columns - mean).mean(axis=1)
    return _Centred(
        deviation=np.column_stack([of_own, of_decoys]),
        spread=np.column_stack([(columns - mean).std(axis=1), np.sqrt(variance)]),
    )


def _has_interaction(
    block: Float[np.ndarray, "controls decoys"],
    rows: Float[np.ndarray, "people decoys"],
    columns: Float[np.ndarray, "people controls"],
    own: Float[np.ndarray, " people"],
) -> Bool[np.ndarray, " people"]:
    """Whether face-name interaction is more than rounding, in the block of each person."""
    centre = block.mean()  # keeps the sums of squares free of what all scores share
    block, rows, columns, own = (part - centre for part in (block, rows, columns, own))
    n_faces, n_names = block.shape[0] + 1, block.shape[1] + 1
    face_means = np.column_stack([own + rows.sum(axis=1), columns + block.sum(axis=1)]) / n_names
    name_means = np.column_stack([own + columns.sum(axis=1), rows + block.sum(axis=0)]) / n_faces
    squares = np.square(block).sum() + np.square(rows).sum(axis=1)
    squares = squares + np.square(columns).sum(axis=1) + np.square(own)
    variance = squares / (n_faces * n_names) - np.square(face_means.mean(axis=1))
    interaction = variance - face_means.var(axis=1) - name_means.var(axis=1)
    return interaction > MIN_INTERACTION_SHARE * variance


def _floored(
    spread: Float[np.ndarray, "people candidates"], grain: Float[np.ndarray, " people"]
) -> Float[np.ndarray, "people candidates"]:
    """Spreads of 0 replaced by the smallest other of their row; NaN if all are 0."""
    measurable = spread > grain[:, np.newaxis]
    smallest = np.where(measurable, spread, np.inf).min(axis=1, keepdims=True)
    return np.where(measurable, spread, np.where(np.isinf(smallest), np.nan, smallest))


def _rank(centred: _Centred, grain: Float[np.ndarray, " people"]) -> _Rank:
    """The first of each row against the others, in units of their spread; ties count against."""
    spread = _floored(centred.spread, grain)
    z = centred.deviation / spread
    slack = grain[:, np.newaxis] / spread
    at_least = np.count_nonzero(z[:, 1:] + slack[:, 1:] >= z[:, :1] - slack[:, :1], axis=1)
    return _Rank(z=z[:, 0], p=(1 + at_least) / z.shape[1])


def _cell_rank(A: Float[np.ndarray, "faces names"]) -> float:
    """The share of pairs whose interaction is at least that of the first face and name."""
    grain = np.array([TIE_TOLERANCE * np.abs(A).max()])
    pairs = A - A.mean(axis=1, keepdims=True)
    pairs -= pairs.mean(axis=0)
    by_name = _floored(pairs.std(axis=0, keepdims=True), grain)
    pairs /= by_name
    grain = grain / by_name.min()
    by_face = _floored(pairs.std(axis=1, keepdims=True).T, grain)
    pairs /= by_face.T
    bar = pairs[0, 0] - 2 * grain[0] / by_face.min()
    return float(np.count_nonzero(pairs >= bar) / pairs.size)
