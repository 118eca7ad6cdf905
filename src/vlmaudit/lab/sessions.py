"""Photo sessions of a person, and the split of their pictures into training and attack sides.

Two pictures of one event may differ by a frame. If one is trained on and the other attacked with,
the attack measures that a picture was seen, not that a person is known. So near-duplicates stay on
one side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float, Int, UInt8, UInt64
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vlmaudit.seeds import stream

MAX_DISTANCE: Final = 8
"""Bits of 64 by which the hashes of near-duplicates differ at most."""
MIN_COSINE: Final = 0.95
"""Above it, two embeddings are of near-duplicates."""
THUMBNAIL_SIDE: Final = 16
"""Pixels of the thumbnails that stand in for embeddings."""

_HASH_SIDE: Final = 8
_DCT_SIDE: Final = 32
_BLOCK: Final = 512


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """By what near-duplicates are told, one row a picture.

    Attributes:
        hashes: Perceptual hashes.
        embeddings: Unit rows; a row of zeros is like nothing.
    """

    hashes: UInt64[np.ndarray, " pictures"]
    embeddings: Float[np.ndarray, "pictures dim"]


@dataclass(frozen=True, slots=True)
class Split:
    """One person's pictures, by number, each at most once.

    Attributes:
        train: In an order drawn at random: dose d is the first d of them, so that doses are nested.
        attack: In an order drawn at random; none is a near-duplicate of one that is trained on.
        left_out: On neither side, since their session is the attack side's, which is full.
        removed: Taken from training, as near-duplicates of anybody's attack picture.
        why_no_attack: Why there is no attack side; empty if there is one.
    """

    train: tuple[int, ...]
    attack: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    why_no_attack: str = ""


@dataclass(frozen=True, slots=True)
class PeopleSplit:
    """Everybody's pictures, by number.

    Attributes:
        people: Each person's split.
        sessions: How many sessions each person has.
        shared: Pairs of near-duplicates that are of two people: one picture under two names, a
            picture of both, or chance, which finds 13 in a million pairs of portraits cropped
            alike. Of those across the two sides, the training picture is among the removed.
    """

    people: Mapping[str, Split]
    sessions: Mapping[str, int]
    shared: tuple[tuple[int, int], ...]

    @property
    def n_removed(self) -> int:
        """Training pictures taken out, over all people."""
        return sum(len(split.removed) for split in self.people.values())


def measure_likeness(
    pictures: UInt8[np.ndarray, "pictures side side 3"],
    embeddings: Float[np.ndarray, "pictures dim"] | None = None,
) -> Likeness:
    """What near-duplicates among these pictures are told by.

    Args:
        pictures: At least 32 pixels a side.
        embeddings: Any contrastive model's, of any length. A model trained on faces must not give
            them: it would find a person's pictures alike because they are of one person. By
            default thumbnails stand in, so that both criteria always exist.
    """
    if embeddings is None:
        embeddings = thumbnails(pictures)
    return Likeness(perceptual_hashes(pictures), _unit(embeddings))


def perceptual_hashes(
    pictures: UInt8[np.ndarray, "pictures side side 3"],
) -> UInt64[np.ndarray, " pictures"]:
    """Which of the 64 lowest frequencies of a picture are above their median.

    The DCT hash of Buchner's ``imagehash.phash``, bit for bit. We spell it out: it is a few lines
    with scipy, and that library would bring PyWavelets along for hashes that we do not use.
    """
    hashes = np.empty(len(pictures), dtype=np.uint64)
    for start in range(0, len(pictures), _BLOCK):
        greys = _greys(pictures[start : start + _BLOCK], _DCT_SIDE)
        low = dctn(greys, type=2, axes=(1, 2))[:, :_HASH_SIDE, :_HASH_SIDE]
        low = low.reshape(len(greys), _HASH_SIDE * _HASH_SIDE)
        bits = low > np.median(low, axis=1, keepdims=True)
        hashes[start : start + _BLOCK] = np.packbits(bits, axis=1).view(">u8").reshape(-1)
    return hashes


def thumbnails(
    pictures: UInt8[np.ndarray, "pictures side side 3"],
) -> Float[np.ndarray, "pictures pixels"]:
    """Grey thumbnails of 16 x 16 pixels, less their mean, as unit rows.

    Their cosine is the correlation of two pictures, whatever their brightness and contrast. At 8
    pixels a side, other people's portraits reach .95 too (48 of 1.6 million pairs); at 32, half of
    the frames of one sitting stay below it.
    """
    greys = _greys(pictures, THUMBNAIL_SIDE).reshape(len(pictures), -1)
    return _unit(greys - greys.mean(axis=1, keepdims=True))


def near_duplicates(likeness: Likeness) -> Int[np.ndarray, "pairs 2"]:
    """All pairs of pictures that are near-duplicates by hash or by embedding, in order.

    Within `MAX_DISTANCE` bits or above `MIN_COSINE`: either is enough. A pair too many costs a
    training picture, a pair too few lets the attack see what was trained on. Of 98,527 pairs of one
    person's portraits from the web, all cropped alike, 1.1 in a thousand are near-duplicates by
    hash and .7 by thumbnail; of 1.6 million pairs of two people .04, and a single pair by
    thumbnail; of one person's frames of one sitting 625 and 650. A copy that was mirrored or
    cropped anew is found by neither: that takes a model's embeddings.
    """
    hashes, embeddings = likeness.hashes, likeness.embeddings
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(hashes), _BLOCK):
        rows = slice(start, start + _BLOCK)
        differing = np.bitwise_count(hashes[rows, None] ^ hashes[None, start:])
        alike = differing <= MAX_DISTANCE
        alike |= embeddings[rows] @ embeddings[start:].T > MIN_COSINE
        pairs.append(np.argwhere(np.triu(alike, k=1)) + start)
    return np.concatenate(pairs)


def find_sessions(
    n_pictures: int, pairs: Int[np.ndarray, "pairs 2"]
) -> Int[np.ndarray, " pictures"]:
    """The session of each picture: pictures that near-duplicates connect, however far apart.

    Pictures of one event that are no near-duplicates, such as another angle, are sessions of their
    own here: who knows better can say so by further pairs.
    """
    links = coo_array(
        (np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), (n_pictures, n_pictures)
    )
    _, sessions = connected_components(links, directed=False)
    return sessions.astype(np.int64)


def split_sides(
    sessions: Sequence[int] | Int[np.ndarray, " pictures"],
    keys: Sequence[str],
    *,
    n_attack: int,
    rng: np.random.Generator,
) -> Split:
    """Split one person's pictures so that each session is on one side.

    The attack side takes sessions that hold at least `n_attack` pictures, and as few more as can
    be, so that training keeps the most; among all such choices each is equally likely. At least
    one session stays for training: a person without is of no use to a dose.

    Args:
        sessions: The session of each picture.
        keys: Names of the pictures, unique; the same pictures in another order split alike.
        n_attack: Pictures on the attack side.
        rng: Where the randomness comes from.

    Returns:
        Picture numbers are places in `sessions`. Without an attack side, all are for training.
    """
    order = sorted(range(len(keys)), key=lambda number: keys[number])
    members: dict[int, list[int]] = {}
    for number in order:
        members.setdefault(int(sessions[number]), []).append(number)
    by_session = list(members.values())
    chosen = _choose_sessions([len(session) for session in by_session], n_attack, rng)
    if n_attack and not chosen:
        return Split(
            train=_shuffled(order, rng),
            why_no_attack=_why_none(len(order), len(by_session), n_attack),
        )
    in_attack = [number for place in chosen for number in by_session[place]]
    attack = _shuffled(in_attack, rng)
    for_training = set(order) - set(in_attack)
    return Split(
        train=_shuffled([number for number in order if number in for_training], rng),
        attack=attack[:n_attack],
        left_out=attack[n_attack:],
    )


def split_people(
    people: Sequence[str],
    keys: Sequence[str],
    pairs: Int[np.ndarray, "pairs 2"],
    *,
    n_attack: int,
    seed: int,
) -> PeopleSplit:
    """Split everybody's pictures, and take from training what is like any attack picture.

    A person's split depends on their own pictures and the seed, whoever else is there; only what
    is removed depends on others.

    Args:
        people: Whose picture each is.
        keys: Names of the pictures, unique; the same pictures in another order split alike.
        pairs: Near-duplicates among all pictures.
        n_attack: Attack pictures a person.
        seed: Of the study.
    """
    sessions = find_sessions(len(people), _within(people, pairs))
    numbers: dict[str, list[int]] = {}
    for number, person in enumerate(people):
        numbers.setdefault(person, []).append(number)
    splits = {}
    for person, own in numbers.items():
        local = split_sides(
            sessions[own],
            [keys[number] for number in own],
            n_attack=n_attack,
            rng=stream(seed, "sides", person),
        )
        splits[person] = replace(
            local,
            train=tuple(own[place] for place in local.train),
            attack=tuple(own[place] for place in local.attack),
            left_out=tuple(own[place] for place in local.left_out),
        )
    attacked = {number for split in splits.values() for number in split.attack}
    near_attack: set[int] = set()
    shared = []
    for one, other in pairs.tolist():
        if people[one] != people[other]:
            shared.append((one, other))
        if other in attacked:
            near_attack.add(one)
        if one in attacked:
            near_attack.add(other)
    return PeopleSplit(
        people={
            person: replace(
                split,
                train=tuple(number for number in split.train if number not in near_attack),
                removed=tuple(number for number in split.train if number in near_attack),
            )
            for person, split in splits.items()
        },
        sessions={person: len(set(sessions[own].tolist())) for person, own in numbers.items()},
        shared=tuple(shared),
    )


def _within(people: Sequence[str], pairs: Int[np.ndarray, "pairs 2"]) -> Int[np.ndarray, "inner 2"]:
    """The pairs of one person's pictures."""
    same = [people[one] == people[other] for one, other in pairs.tolist()]
    return pairs[np.array(same, dtype=bool)]


def _choose_sessions(sizes: Sequence[int], at_least: int, rng: np.random.Generator) -> list[int]:
    """Sessions, not all, with the fewest pictures that are enough; each such choice as likely.

    Counts the choices of the first k sessions that come to s pictures, for all k and s, and walks
    back from the whole.
    """
    most = at_least + max(sizes, default=0)
    ways = [[1] + [0] * most]
    for size in sizes:
        before = ways[-1]
        ways.append([n + (before[s - size] if s >= size else 0) for s, n in enumerate(before)])
    total = next((s for s in range(at_least, most + 1) if ways[-1][s]), None)
    if total is None or total == sum(sizes):
        return []
    chosen = []
    for place in reversed(range(len(sizes))):
        with_it = ways[place][total - sizes[place]] if total >= sizes[place] else 0
        if rng.random() < with_it / ways[place + 1][total]:
            chosen.append(place)
            total -= sizes[place]
    return chosen


def _why_none(n_pictures: int, n_sessions: int, n_attack: int) -> str:
    if n_pictures < n_attack:
        return f"{n_pictures} pictures, fewer than {n_attack} to attack with"
    if n_sessions == 1:
        return f"all {n_pictures} pictures are one session"
    return (
        f"{n_pictures} pictures in {n_sessions} sessions: {n_attack} to attack with would leave "
        "no session to train on"
    )


def _shuffled(numbers: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(numbers[place] for place in rng.permutation(len(numbers)))


def _greys(
    pictures: UInt8[np.ndarray, "pictures side side 3"], side: int
) -> Float[np.ndarray, "pictures small small"]:
    greys = np.empty((len(pictures), side, side), dtype=np.float32)
    for place, picture in enumerate(pictures):
        grey = Image.fromarray(picture).convert("L")
        greys[place] = np.asarray(grey.resize((side, side), Image.Resampling.LANCZOS))
    return greys


def _unit(rows: Float[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows dim"]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
