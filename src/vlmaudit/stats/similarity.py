"""Which name fits a picture best, for very many pictures, names and templates.

The product of picture and text embeddings is made in pieces, each of which is reduced at once to
what is kept of it: the best name and its cosine, and the runner-up's if asked. No matrix of all
pictures and names is ever whole, and nearly all of the time goes into the product itself.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

# Between the rounding of fp32 (1e-7 for unit vectors, whatever the order of summation) and the
# margin of 1e-6 beyond which decisions must equal those of exact arithmetic.
TIE_TOLERANCE: Final = 5e-7

# Templates share a product up to so many names. Measured with 512 dimensions and 1024 pictures:
# 94 % of the speed of one huge product at 1000 names, 98 % at 3000.
_PRODUCT_WIDTH: Final = 3000


@dataclass(frozen=True, slots=True)
class Nearest:
    """The best name of every picture, or of every picture and template."""

    name: Int[np.ndarray, "images *templates"]
    cosine: Float[np.ndarray, "images *templates"]
    runner_up: Float[np.ndarray, "images *templates"] | None = None
    """The cosine of the second-best name, if it was asked for."""

    @property
    def margin(self) -> Float[np.ndarray, "images *templates"]:
        """How far the best name is ahead; infinite if there is no other."""
        if self.runner_up is None:
            raise ValueError("there is no margin without the runner-up: nearest(runner_up=True)")
        return self.cosine - self.runner_up


def nearest(
    images: Float[np.ndarray, "images dim"],
    texts: Float[np.ndarray, "names dim"] | Float[np.ndarray, "templates names dim"],
    *,
    runner_up: bool = False,
    chunk: int = 1024,
) -> Nearest:
    """The name whose text is nearest to each picture, in fp32; of equals, the first.

    Args:
        images: Unit-length picture embeddings.
        texts: Unit-length text embeddings, of one template or of several.
        runner_up: Also keep the second-best cosine, for margins. It reads every score again, which
            takes 5 % more time.
        chunk: Pictures a matrix product. Scores in memory are so many times 3000, or times the
            names if those are more.

    Raises:
        ValueError: There is no name, or an embedding is not finite: a picture that could not be
            embedded must not get a vote.
    """
    stacked = texts if texts.ndim == 3 else texts[np.newaxis]
    n_templates, n_names, dim = stacked.shape
    n_images = len(images)
    if n_names == 0:
        raise ValueError("there are no names to choose from")
    pictures = np.ascontiguousarray(images, dtype=np.float32)
    names = np.ascontiguousarray(stacked, dtype=np.float32)
    for rows in (pictures, names):
        if not np.isfinite(np.vdot(rows, rows)):  # the sum of squares: one pass, no mask
            raise ValueError("embeddings must be finite")
    name = np.empty((n_images, n_templates), dtype=np.int64)
    cosine = np.empty((n_images, n_templates), dtype=np.float32)
    second = np.empty_like(cosine) if runner_up else None
    group = min(max(1, _PRODUCT_WIDTH // n_names), n_templates)
    room = np.empty(min(chunk, n_images) * group * n_names, dtype=np.float32)
    for start in range(0, n_images, chunk):
        part = pictures[start : start + chunk]
        for first in range(0, n_templates, group):
            columns = slice(first, min(first + group, n_templates))
            rows = names[columns].reshape(-1, dim)
            product = room[: len(part) * len(rows)].reshape(len(part), len(rows))
            scores = np.matmul(part, rows.T, out=product).reshape(-1, n_names)
            best = scores.argmax(axis=1)
            where = (np.arange(len(best)), best)
            found = (slice(start, start + chunk), columns)
            here = name[found].shape
            name[found] = best.reshape(here)
            cosine[found] = scores[where].reshape(here)
            if second is not None:
                scores[where] = -np.inf
                second[found] = scores.max(axis=1).reshape(here)
    shape = (n_images, *texts.shape[:-2])
    return Nearest(
        name=name.reshape(shape),
        cosine=cosine.reshape(shape),
        runner_up=None if second is None else second.reshape(shape),
    )


def beats(
    images: Float[np.ndarray, "images dim"],
    own: Float[np.ndarray, "templates dim"],
    best_decoy: Float[np.ndarray, "images templates"],
) -> Bool[np.ndarray, "images templates"]:
    """Where a person's own name is nearer to a picture than the best of the decoys.

    All people of a stratum meet the same decoys, so `nearest` is asked once for all of them and
    only the own name is new for each. A tie counts against the own name, also one that two orders
    of summation round apart.

    Args:
        images: Unit-length embeddings of the person's pictures.
        own: Unit-length text embeddings of the person's name, one a template.
        best_decoy: The cosine of the best decoy for these pictures.
    """
    cosine = np.asarray(images, dtype=np.float32) @ np.asarray(own, dtype=np.float32).T
    return cosine > best_decoy + np.float32(TIE_TOLERANCE)
