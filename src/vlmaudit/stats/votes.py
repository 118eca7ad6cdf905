"""How the pictures of a person vote on a name, counted as in the IDIA paper.

Hintersdorf et al. (2024, "Does CLIP Know My Face?") show a model every picture of a person with
every prompt template and let it choose among many names: one vote a picture and template. A
template is for a name when that name has the most votes of the pictures. The paper calls this a
majority; its code takes the most frequent name and leaves out a template whose first place is
shared, which is a plurality. We follow the code.

Votes are codes of names, one row a picture and one column a template. A negative code is no vote:
the picture could not be asked, which is never a vote for anybody.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Int

NO_NAME: Final = -1


def plurality(votes: Int[np.ndarray, " votes"]) -> int:
    """The most frequent vote, or `NO_NAME` when the first place is shared or nobody voted.

    >>> plurality(np.array([4, 7, 4, NO_NAME])), plurality(np.array([4, 7]))
    (4, -1)
    """
    return int(winners(votes[:, np.newaxis])[0])


def winners(votes: Int[np.ndarray, "images templates"]) -> Int[np.ndarray, " templates"]:
    """The plurality of every template, `NO_NAME` where there is none."""
    n_images, n_templates = votes.shape
    if n_images == 0:
        return np.full(n_templates, NO_NAME)
    ordered = np.sort(votes, axis=0)
    place = np.arange(n_images)[:, np.newaxis]
    begins = np.ones(ordered.shape, dtype=bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    # Equal votes stand together: the distance from where they begin counts them.
    count = place - np.maximum.accumulate(np.where(begins, place, 0), axis=0) + 1
    count[ordered < 0] = 0
    most = count.max(axis=0)
    # Every name reaches its own number of votes exactly once, so a second hit is a second name.
    is_most = count == most
    is_clear = (most > 0) & (np.count_nonzero(is_most, axis=0) == 1)
    leader = np.take_along_axis(ordered, is_most.argmax(axis=0)[np.newaxis], axis=0)[0]
    return np.where(is_clear, leader, NO_NAME)


def agreement(votes: Int[np.ndarray, "images templates"], name: int) -> int:
    """S of the paper: how many templates have `name` as their plurality."""
    if name < 0:
        raise ValueError(f"{name} stands for no vote, not for a name")
    return int(np.count_nonzero(winners(votes) == name))


def shared_firsts(votes: Int[np.ndarray, "images templates"], name: int) -> int:
    """In how many templates `name` has the most votes together with another name.

    The paper's code counts such a template for nobody.

    >>> shared_firsts(np.array([[4, 4, 7], [7, 4, 7]]), 4)
    1
    """
    if name < 0:
        raise ValueError(f"{name} stands for no vote, not for a name")
    shared = 0
    for template in votes[:, (votes == name).any(axis=0)].T:
        counts = np.unique(template[template >= 0], return_counts=True)[1]
        own = np.count_nonzero(template == name)
        shared += int(own == counts.max() and np.count_nonzero(counts == own) > 1)
    return shared


def distinct_winners(votes: Int[np.ndarray, "images templates"], *, at_least: int = 1) -> int:
    """W: how many different names win at least so many templates.

    Each of them would be declared a member at tau = `at_least`. If no name is special, the true
    one is among them with probability W / K: the false-positive rate that the rule has by
    construction.
    """
    won = winners(votes)
    _, counts = np.unique(won[won >= 0], return_counts=True)
    return int(np.count_nonzero(counts >= at_least))


def vote_counts(
    votes: Int[np.ndarray, "images templates"], n_names: int
) -> Int[np.ndarray, " names"]:
    """V: how many votes each of `n_names` names got, over pictures and templates.

    >>> vote_counts(np.array([[2, 0], [2, NO_NAME]]), 3)
    array([1, 0, 2])
    """
    return np.bincount(votes[votes >= 0], minlength=n_names)


def picture_orders(
    n_images: int, n_draws: int, rng: np.random.Generator
) -> Int[np.ndarray, "draws images"]:
    """A random order of the pictures for every draw; its first k are a draw of k pictures."""
    return rng.permuted(np.tile(np.arange(n_images), (n_draws, 1)), axis=1)


def draw_agreements(
    votes: Int[np.ndarray, "images templates"],
    name: int,
    *,
    sizes: Sequence[int],
    n_draws: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, "sizes draws"]:
    """S when only so many pictures are at hand, for random draws without replacement.

    Draws are nested: the smaller sizes of a draw are the first pictures of its largest, in the
    order of `picture_orders`. At each size by itself the draws are uniform and independent;
    neighbouring sizes of one draw share pictures, as the same people share all points of a curve.

    Args:
        votes: The votes of one person's pictures.
        name: The code of the true name.
        sizes: How many pictures to draw, in any order.
        n_draws: How many draws of each size.
        rng: Where the draws come from.

    Raises:
        ValueError: A size is below 1 or above the number of pictures, or `name` is no name.
    """
    n_images, n_templates = votes.shape
    if name < 0:
        raise ValueError(f"{name} stands for no vote, not for a name")
    if any(not 1 <= size <= n_images for size in sizes):
        raise ValueError(f"sizes {list(sizes)} cannot all be drawn from {n_images} pictures")
    largest = max(sizes, default=0)
    orders = picture_orders(n_images, n_draws, rng)[:, :largest].T  # a row for every next picture
    own = np.cumsum(votes[orders] == name, axis=0, dtype=np.int32)  # pictures, draws, templates

    # One tally a draw and template, with a cell for each rival that has a vote there. Pictures
    # come in one by one and the leading rival is kept up: no draw is ever counted from the start.
    n_tallies = n_draws * n_templates
    width = n_images + 1
    cells = _rival_numbers(votes, name)[orders].reshape(largest, n_tallies)
    cells += width * np.arange(n_tallies)
    tally = np.zeros((n_tallies, width), dtype=np.int32)
    tally[:, 0] = -width  # takes what is not for a rival, and can never lead
    tally = tally.reshape(-1)
    lead = np.zeros((largest + 1, n_tallies), dtype=np.int32)
    for picture, cell in enumerate(cells):
        count = tally[cell] + 1
        tally[cell] = count
        np.maximum(lead[picture], count, out=lead[picture + 1])

    wins = own > lead[1:].reshape(own.shape)  # an equal rival shares the first place: no win
    at = np.asarray(sizes, dtype=np.intp) - 1
    return np.count_nonzero(wins[at], axis=2)


def _rival_numbers(
    votes: Int[np.ndarray, "images templates"], name: int
) -> Int[np.ndarray, "images templates"]:
    """Numbers from 1 for the other names that have votes in a template; 0 for what is no rival."""
    rivals = np.where(votes == name, NO_NAME, votes)
    order = rivals.argsort(axis=0)
    ordered = np.take_along_axis(rivals, order, axis=0)
    begins = np.ones(ordered.shape, dtype=np.intp)
    begins[1:] = ordered[1:] != ordered[:-1]
    numbers = np.cumsum(begins, axis=0)
    numbers[ordered < 0] = 0
    found = np.empty_like(numbers)
    np.put_along_axis(found, order, numbers, axis=0)
    return found
