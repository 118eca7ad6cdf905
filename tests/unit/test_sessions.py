"""Near-duplicates, sessions, and two sides that never share one."""

import io
import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from vlmaudit.lab import sessions
from vlmaudit.lab.picture_cache import decode_picture
from vlmaudit.lab.sessions import (
    Likeness,
    find_sessions,
    measure_likeness,
    near_duplicates,
    perceptual_hashes,
    split_people,
    split_sides,
    thumbnails,
)


def photo(seed, side=96):
    """Smooth, as photos are."""
    small = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def array(*pictures, side=64):
    return np.stack([np.asarray(picture.resize((side, side))) for picture in pictures])


def recompressed(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=20)
    return Image.open(buffer).convert("RGB")


COPIES = {
    "recompressed": recompressed,
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.3),
    "paler": lambda picture: ImageEnhance.Contrast(picture).enhance(0.6),
    "smaller": lambda picture: picture.resize((40, 40)),
    "a frame later": lambda picture: picture.rotate(1).transform(
        picture.size, Image.Transform.AFFINE, (1, 0, 1, 0, 1, 0)
    ),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_found_and_no_other_photo(copy):
    originals = [photo(seed) for seed in range(20)]
    pictures = array(*originals, *map(COPIES[copy], originals))
    copies = [[place, place + 20] for place in range(20)]
    measured = measure_likeness(pictures)

    assert near_duplicates(measured).tolist() == copies
    blank = np.zeros_like(measured.embeddings)
    by_hash = near_duplicates(Likeness(measured.hashes, blank)).tolist()
    assert len(by_hash) >= 12
    assert all(pair in copies for pair in by_hash)
    apart = np.random.default_rng(0).integers(0, 2**64, 40, dtype=np.uint64)
    assert near_duplicates(Likeness(apart, measured.embeddings)).tolist() == copies


def test_a_hash_is_the_lowest_frequencies_above_their_median():
    picture = array(photo(3))
    grey = np.asarray(Image.fromarray(picture[0]).convert("L").resize((32, 32), 1), dtype=float)
    place = np.arange(32)
    waves = [[math.cos(math.pi * k * (2 * n + 1) / 64) for n in place] for k in range(8)]
    low = (np.array(waves) @ grey @ np.array(waves).T).reshape(-1)
    bits = "".join("1" if value > np.median(low) else "0" for value in low)
    assert perceptual_hashes(picture)[0] == int(bits, 2)


def test_both_limits_are_where_they_are_said_to_be():
    zeros = np.zeros((3, 4), dtype=np.float32)
    hashes = np.array([0, 0xFF, 0x1FF << 20], dtype=np.uint64)
    assert near_duplicates(Likeness(hashes, zeros)).tolist() == [[0, 1]]

    apart = np.array([0, 0xFFFF, 0xFFFF0000], dtype=np.uint64)
    angles = np.arccos([1, 0.951, 0.949])
    rows = np.stack([np.cos(angles), np.sin(angles) * [1, 1, -1]], axis=1)
    assert near_duplicates(Likeness(apart, rows)).tolist() == [[0, 1]]


def test_embeddings_of_any_length_stand_in_for_thumbnails():
    pictures = array(photo(0), photo(1), photo(2))
    far = np.array([[3.0, 0.0], [0.0, 7.0], [0.0, 2.0]])
    assert near_duplicates(measure_likeness(pictures, far)).tolist() == [[1, 2]]
    assert not len(near_duplicates(measure_likeness(pictures)))


def test_thumbnails_ignore_light_and_blank_ones_are_like_nothing():
    picture = array(photo(0)).astype(float)
    pictures = np.concatenate([picture * 0.5, picture * 0.5 + 80, np.full_like(picture, 9)])
    rows = thumbnails(pictures.astype(np.uint8))
    assert rows.shape == (3, 256)
    assert rows[0] @ rows[1] > 0.999
    assert not rows[2].any()


def test_blocks_find_what_brute_force_finds(monkeypatch):
    monkeypatch.setattr(sessions, "_BLOCK", 3)
    rng = np.random.default_rng(5)
    hashes = rng.integers(0, 2**12, 40, dtype=np.uint64) << np.uint64(7)
    rows = rng.normal(size=(40, 3)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    brute = [
        [one, other]
        for one in range(40)
        for other in range(one + 1, 40)
        if bin(int(hashes[one] ^ hashes[other])).count("1") <= 4 or rows[one] @ rows[other] > 0.95
    ]
    monkeypatch.setattr(sessions, "MAX_DISTANCE", 4)
    assert near_duplicates(Likeness(hashes, rows)).tolist() == brute
    assert 20 < len(brute) < 500
    pictures = array(*map(photo, range(8)))
    in_blocks = perceptual_hashes(pictures)
    monkeypatch.setattr(sessions, "_BLOCK", 100)
    assert in_blocks.tolist() == perceptual_hashes(pictures).tolist()


def test_nothing_is_like_nothing():
    assert perceptual_hashes(np.zeros((0, 64, 64, 3), dtype=np.uint8)).shape == (0,)
    nobody = Likeness(np.zeros(0, dtype=np.uint64), np.zeros((0, 3), dtype=np.float32))
    assert near_duplicates(nobody).shape == (0, 2)


def test_sessions_hold_all_that_is_connected():
    pairs = np.array([[0, 3], [3, 5], [1, 4]])
    found = find_sessions(6, pairs).tolist()
    assert found[0] == found[3] == found[5]
    assert found[1] == found[4]
    assert len(set(found)) == 3
    assert len(set(find_sessions(4, np.empty((0, 2), dtype=np.int64)).tolist())) == 4


def split(sizes, n_attack, seed=0):
    labels = [place for place, size in enumerate(sizes) for _ in range(size)]
    keys = [f"{number:03d}" for number in range(len(labels))]
    return split_sides(labels, keys, n_attack=n_attack, rng=np.random.default_rng(seed))


def test_the_attack_side_is_cut_to_its_number_and_the_rest_of_its_sessions_left_out():
    found = split([10, 10], 8)
    assert len(found.attack) == 8
    assert len(found.left_out) == 2
    assert len(found.train) == 10
    assert {number // 10 for number in found.attack + found.left_out} != {0, 1}


def test_training_keeps_the_most():
    assert len(split([20, 9, 5, 4, 3], 8).train) == 33  # 5 + 3, not 9
    assert len(split([20, 9, 5, 4], 8).train) == 29
    assert len(split([20, 5, 4], 8).train) == 20


def test_every_choice_that_keeps_the_most_is_as_likely():
    chosen = Counter(tuple(sorted(split([1, 1, 1, 2, 3], 2, seed).attack)) for seed in range(4000))
    assert set(chosen) == {(0, 1), (0, 2), (1, 2), (3, 4)}
    assert all(abs(n - 1000) < 4 * math.sqrt(4000 * 0.25 * 0.75) for n in chosen.values())


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ([20], "all 20 pictures are one session"),
        ([5, 1], "6 pictures, fewer than 8 to attack with"),
        ([5, 4], "9 pictures in 2 sessions: 8 to attack with would leave no session to train on"),
        ([1] * 8, "8 pictures in 8 sessions: 8 to attack with would leave no session to train on"),
    ],
)
def test_who_has_no_attack_side_is_told_why(sizes, why):
    found = split(sizes, 8)
    assert found.why_no_attack == why
    assert found.attack == found.left_out == ()
    assert sorted(found.train) == list(range(sum(sizes)))


def test_no_attack_pictures_asked_for_are_none_lacking():
    found = split([3, 3], 0)
    assert (len(found.train), found.attack, found.why_no_attack) == (6, (), "")


def test_training_and_attack_orders_are_drawn():
    firsts = Counter(split([1] * 12, 4, seed).train[0] for seed in range(1200))
    assert set(firsts) == set(range(12))
    assert all(abs(n - 100) < 4 * math.sqrt(100) for n in firsts.values())
    firsts = Counter(split([1] * 12, 4, seed).attack[0] for seed in range(1200))
    assert all(abs(firsts[number] - 100) < 4 * math.sqrt(100) for number in range(12))


def test_a_picture_of_two_people_is_not_trained_on_where_it_is_attacked_with():
    people = ["ada"] * 4 + ["bo"] * 4
    keys = [f"{number}" for number in range(8)]
    pairs = np.array([[number, number + 4] for number in range(4)])
    removed = 0
    for seed in range(20):
        found = split_people(people, keys, pairs, n_attack=1, seed=seed)
        ada, bo = found.people["ada"], found.people["bo"]
        assert found.shared == tuple((number, number + 4) for number in range(4))
        assert found.sessions == {"ada": 4, "bo": 4}
        assert ada.attack[0] + 4 not in bo.train
        assert bo.attack[0] - 4 not in ada.train
        assert set(ada.removed) == {bo.attack[0] - 4} - set(ada.attack)
        assert found.n_removed == len(ada.removed) + len(bo.removed)
        removed += found.n_removed
    assert removed > 20


def test_a_chain_through_somebody_else_makes_no_session():
    pairs = np.array([[0, 2], [1, 2]])
    found = split_people(["ada", "ada", "bo"], ["0", "1", "2"], pairs, n_attack=1, seed=0)
    assert found.sessions == {"ada": 2, "bo": 1}
    assert found.people["bo"].removed == (2,)
    assert found.people["bo"].why_no_attack == "all 1 pictures are one session"


def test_only_pairs_of_two_people_are_shared():
    pairs = np.array([[0, 1], [1, 2]])
    found = split_people(["ada", "ada", "bo"], ["0", "1", "2"], pairs, n_attack=1, seed=0)
    assert found.shared == ((1, 2),)
    assert found.sessions == {"ada": 1, "bo": 1}


def test_more_people_change_nobody_s_split():
    people, keys = ["ada"] * 9 + ["bo"] * 9, [f"{number:02d}" for number in range(18)]
    none = np.empty((0, 2), dtype=np.int64)
    both = split_people(people, keys, none, n_attack=3, seed=1)
    alone = split_people(people[:9], keys[:9], none, n_attack=3, seed=1)
    assert both.people["ada"] == alone.people["ada"]
    assert split_people(people, keys, none, n_attack=3, seed=2).people != both.people


def faces(*identities):
    data = os.environ.get("VLMAUDIT_TEST_DATA")
    if not data or not (Path(data) / "faces").is_dir():
        pytest.skip("VLMAUDIT_TEST_DATA does not point to a folder with faces/")
    paths = [path for who in identities for path in sorted(Path(data, "faces", who).glob("*.jpg"))]
    pictures = np.stack([decode_picture(path, 64) for path in paths])
    people = [path.parent.name for path in paths]
    keys = [f"{path.parent.name}/{path.name}" for path in paths]
    return people, keys, near_duplicates(measure_likeness(pictures))


def test_one_sitting_is_one_session_and_years_of_press_photos_are_many():
    sitting = [f"s{number:03d}" for number in range(41, 49)]
    press = ["p0001", "p0005", "p0006", "p0007"]
    people, keys, pairs = faces(*sitting, *press)

    found = split_people(people, keys, pairs, n_attack=8, seed=0)

    assert sum(found.sessions[who] == 1 for who in sitting) >= 6
    assert all(found.sessions[who] >= 40 for who in press)
    assert all(len(found.people[who].train) >= 30 for who in press)
    assert "one session" in found.people["s041"].why_no_attack
