"""Laws of the two sides, on people of any shape."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmaudit.lab.sessions import (
    Likeness,
    find_sessions,
    near_duplicates,
    split_people,
    split_sides,
)


@st.composite
def albums(draw):
    """People with pictures that come in bursts, some of them of two people."""
    people, hashes, embeddings = [], [], []
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    events = [(rng.integers(0, 2**63), rng.normal(size=6)) for _ in range(draw(st.integers(1, 9)))]
    for person in range(draw(st.integers(1, 5))):
        for event in draw(st.lists(st.integers(0, 11), min_size=1, max_size=14)):
            # Beyond the shared events, each picture is an event of its own.
            known = event < len(events)
            bits, place = events[event] if known else (rng.integers(0, 2**63), rng.normal(size=6))
            flips = sum(1 << int(bit) for bit in rng.choice(63, rng.integers(0, 7), replace=False))
            people.append(f"person {person}")
            hashes.append(int(bits) ^ flips)
            embeddings.append(place + rng.normal(size=6) * 0.3)
    rows = np.array(embeddings, dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    keys = [f"{place:03d}" for place in rng.permutation(len(people))]
    return people, keys, Likeness(np.array(hashes, dtype=np.uint64), rows)


@settings(max_examples=150)
@given(albums(), st.integers(1, 6), st.integers(0, 2**32))
def test_no_near_duplicate_is_on_both_sides_whoever_s_they_are(album, n_attack, seed):
    people, keys, likeness = album
    pairs = near_duplicates(likeness)

    found = split_people(people, keys, pairs, n_attack=n_attack, seed=seed)

    trained = {number for split in found.people.values() for number in split.train}
    attacked = {number for split in found.people.values() for number in split.attack}
    for one, other in pairs.tolist():
        assert not (one in trained and other in attacked)
        assert not (other in trained and one in attacked)
    removed = {number for split in found.people.values() for number in split.removed}
    near = {one for pair in pairs.tolist() for one in pair if set(pair) & attacked - {one}}
    assert removed <= near - attacked


@settings(max_examples=150)
@given(albums(), st.integers(1, 6), st.integers(0, 2**32))
def test_each_picture_has_one_place_and_the_attack_side_its_number(album, n_attack, seed):
    people, keys, likeness = album
    found = split_people(people, keys, near_duplicates(likeness), n_attack=n_attack, seed=seed)

    for person, split in found.people.items():
        places = split.train + split.attack + split.left_out + split.removed
        assert sorted(places) == [n for n, who in enumerate(people) if who == person]
        if split.why_no_attack:
            assert not split.attack
            assert not split.left_out
        else:
            assert len(split.attack) == n_attack
            assert split.train + split.removed
        if found.sessions[person] == 1:
            assert split.why_no_attack


@settings(max_examples=150)
@given(albums(), st.integers(1, 6), st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_matter(album, n_attack, seed, random):
    people, keys, likeness = album
    order = list(range(len(people)))
    random.shuffle(order)
    shuffled = Likeness(likeness.hashes[order], likeness.embeddings[order])

    found = split_people(people, keys, near_duplicates(likeness), n_attack=n_attack, seed=seed)
    again = split_people(
        [people[n] for n in order],
        [keys[n] for n in order],
        near_duplicates(shuffled),
        n_attack=n_attack,
        seed=seed,
    )

    assert again.sessions == found.sessions
    for person, split in found.people.items():
        other = again.people[person]
        assert other.why_no_attack == split.why_no_attack
        for side in ("train", "attack", "left_out", "removed"):
            in_order = [keys[order[number]] for number in getattr(other, side)]
            assert in_order == [keys[number] for number in getattr(split, side)]


sizes_of_sessions = st.lists(st.integers(1, 6), min_size=1, max_size=8)


@given(sizes_of_sessions, st.integers(1, 12), st.integers(0, 2**32))
def test_training_loses_no_more_than_it_must(sizes, n_attack, seed):
    labels = [place for place, size in enumerate(sizes) for _ in range(size)]
    keys = [f"{number:03d}" for number in range(len(labels))]
    split = split_sides(labels, keys, n_attack=n_attack, rng=np.random.default_rng(seed))

    enough = [
        sum(chosen)
        for count in range(1, len(sizes))
        for chosen in combinations(sizes, count)
        if sum(chosen) >= n_attack
    ]
    assert len(split.train) == sum(sizes) - min(enough, default=0)
    assert bool(split.why_no_attack) == (not enough)
    sides = {
        number: side for side in ("train", "attack", "left_out") for number in getattr(split, side)
    }
    for session in set(labels):
        own = {sides[number] for number, label in enumerate(labels) if label == session}
        assert own in ({"train"}, {"attack"}, {"attack", "left_out"})


@pytest.mark.parametrize("n_pictures", [1, 7])
def test_sessions_of_nothing_alike_are_one_each(n_pictures):
    none = np.empty((0, 2), dtype=np.int64)
    assert len(set(find_sessions(n_pictures, none).tolist())) == n_pictures
