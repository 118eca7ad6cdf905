"""Membership by picture: thresholds, sets of pictures, and a search with planted truth."""

import csv
import json
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from rich.console import Console

from vlmaudit.data.images import PictureError
from vlmaudit.data.picture_sets import read_picture_set
from vlmaudit.errors import InputError, RunError
from vlmaudit.imaging.membership import (
    References,
    calibrate,
    is_match,
    known_non_matches,
    similarities,
    wanted_rate,
)
from vlmaudit.lab.people import draw_people
from vlmaudit.seeds import stream

# Thresholds


def references(faces, owners, n_people=None):
    rows = np.array(faces, dtype=np.float32)
    return References(rows, np.array(owners), n_people or max(owners) + 1)


def test_similarity_is_the_highest_over_a_persons_faces():
    known = references([[1, 0], [0, 1], [0.6, 0.8]], [2, 0, 2], n_people=4)
    faces = np.array([[1, 0], [0, 1]], dtype=np.float32)
    highest = similarities(faces, known)
    np.testing.assert_allclose(highest[:, [0, 2]], [[0, 1], [1, 0.8]], atol=1e-6)
    assert np.isneginf(highest[:, [1, 3]]).all()  # nobody knows their faces


def test_known_non_matches_are_everybody_elses_faces_and_never_ones_own():
    known = references([[1, 0], [1, 0], [0, 1]], [0, 0, 1])
    # Two faces of the first with the second person, and one the other way round: never 1.
    assert known_non_matches(known).tolist() == [0, 0, 0]
    outsider = np.array([[0.6, 0.8]], dtype=np.float32)
    found = np.sort(known_non_matches(known, outsider))
    np.testing.assert_allclose(found, [0, 0, 0, 0.6, 0.8], atol=1e-6)
    only_last = known_non_matches(known, which=np.array([False, False, True]))
    assert only_last.tolist() == [0]


@pytest.mark.parametrize(
    ("wanted", "cosine", "passing"), [(0.01, 197.0, 2), (0.005, 198.0, 1), (0.004, 199.0, 0)]
)
def test_no_more_than_the_wanted_share_passes(wanted, cosine, passing):
    scores = np.random.default_rng(0).permutation(200).astype(np.float32)
    threshold = calibrate(scores, wanted=wanted)
    assert (threshold.cosine, threshold.false_matches) == (cosine, passing)
    assert threshold.is_supported == (passing > 0)
    assert threshold.rate.low <= passing / 200 <= threshold.rate.high


def test_ties_at_the_threshold_do_not_pass():
    threshold = calibrate(np.full(500, 0.5, dtype=np.float32), wanted=0.1)
    assert (threshold.cosine, threshold.false_matches) == (0.5, 0)


def test_too_few_non_matches_are_no_threshold():
    with pytest.raises(InputError, match=r"99 comparisons .* give more people"):
        calibrate(np.zeros(99, dtype=np.float32), wanted=0.01)


def test_who_is_compared_more_needs_a_stricter_threshold():
    assert wanted_rate([200, 200], false_members=0.02) == pytest.approx(1e-4)
    assert wanted_rate([0, 0], false_members=0.02) < 0.5


def test_a_face_is_of_the_most_similar_person_alone_and_only_if_compared():
    threshold = calibrate(np.full(100, 0.5, dtype=np.float32), wanted=0.01)
    similarity = np.array(
        [[0.9, 0.8], [0.9, 0.8], [0.5, 0.1], [0.7, 0.7], [0.1, 0.6]], dtype=np.float32
    )
    is_compared = np.array([[1, 1], [0, 1], [1, 1], [1, 1], [1, 1]], dtype=bool)
    expected = [[True, False], [False, False], [False, False], [False, False], [False, True]]
    assert is_match(similarity, is_compared, threshold).tolist() == expected


# Sets


def test_a_folder_is_searched_with_all_folders_in_it(tmp_path):
    for name in ("b/2.png", "a.jpg", "b/c/1.webp", ".hidden/x.png", "b/.y.png", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = read_picture_set(tmp_path)
    assert found.table["image"].to_list() == ["a.jpg", "b/2.png", "b/c/1.webp"]
    assert found.path(1) == tmp_path / "b/2.png"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no picture in it"):
        read_picture_set(tmp_path / "empty")


def test_tables_name_pictures_beside_them_with_or_without_captions(tmp_path):
    (tmp_path / "set.csv").write_text("image,caption\na/1.png,a dog\n2.png,\na/1.png,again\n")
    found = read_picture_set(tmp_path / "set.csv")
    assert found.table.rows() == [("a/1.png", "a dog"), ("2.png", "")]
    assert found.notices == ("1 rows name a picture again: the first caption counts.",)
    lines = [json.dumps({"image": name}) for name in ("../out.png", "/etc/x.png", "in.png")]
    (tmp_path / "set.jsonl").write_text("\n".join(lines))
    bare = read_picture_set(tmp_path / "set.jsonl")
    assert bare.table["caption"].to_list() == ["", "", ""]
    for place in (0, 1):
        with pytest.raises(PictureError, match="leads out of the folder"):
            bare.path(place)
    assert bare.path(2) == tmp_path / "in.png"
    (tmp_path / "bad.csv").write_text("picture\n1.png\n")
    with pytest.raises(InputError, match='no column "image"'):
        read_picture_set(tmp_path / "bad.csv")
    with pytest.raises(InputError, match="no such file or folder"):
        read_picture_set(tmp_path / "nothing")


# Candidates


def embedded(pictures, vectors):
    from vlmaudit.execution.set_embeddings import SetEmbeddings
    from vlmaudit.lab.sessions import thumbnails

    small = thumbnails(pictures).astype(np.float16)
    return SetEmbeddings(vectors.astype(np.float16), small, np.ones(len(pictures), dtype=bool), ())


def test_copies_and_mirrored_copies_are_candidates_wherever_the_model_puts_them():
    from vlmaudit.execution.picture_candidates import choose_candidates

    pictures = stream(4, "pictures").integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    directions = np.eye(9)
    # Of two people a picture each: the model finds the set's 0 nearest to the first, and the 1.
    attack = embedded(pictures[:2], directions[:2])
    shown = np.stack([pictures[5], pictures[6], pictures[0], pictures[1][:, ::-1]])
    found = choose_candidates(
        attack, embedded(shown, directions[[0, 1, 7, 8]]), np.array([0, 1]), k=1
    )
    rows = found.select("person", "place", "attack", "is_near_duplicate").rows()
    assert rows == [(0, 0, 0, False), (0, 2, 0, True), (1, 1, 1, False), (1, 3, 1, True)]
    assert found["cosine"].to_list() == [1, 0, 1, 0]


# Planted truth: drawn people, some of whom have pictures in a set among others'.

OWN, PLANTED, SIDE = 4, 3, 128


@dataclass(frozen=True)
class Planted:
    """People p00 to p23, of whom the even ones have three pictures each in the set."""

    root: Path
    truth: dict[str, set[str]]

    def settings(self, model, **more):
        from vlmaudit.execution.picture_search import PictureSearch

        settings = {
            "model": f"open_clip:{model}",
            "people": self.root / "people",
            "pictures": self.root / "set" / "captions.csv",
            "out": self.root / "out",
            "recogniser": f"onnx:{self.root / 'tiles.onnx'}",
            "faces": f"boxes:{self.root / 'boxes.csv'}",
            "candidates": 250,  # the whole set: embeddings of random weights choose at random
        }
        return PictureSearch(**{**settings, **more})


def photograph(drawing, rng):
    """A picture of a drawn person somewhere on a noisy ground, with the box of the face."""
    side = int(rng.integers(60, 84))
    margin = side // 5
    pixels = rng.uniform(0, 255, 3) + rng.normal(0, 20, (SIDE, SIDE, 3))
    left, top = (int(value) for value in rng.integers(margin, SIDE - side - margin, 2))
    around = slice(top - margin, top + side + margin), slice(left - margin, left + side + margin)
    pixels[around] = 128
    face = Image.new("RGBA", drawing.raster.shape[:2], (128, 128, 128, 255))
    face.alpha_composite(Image.fromarray(drawing.raster, "RGBA"))
    shown = np.asarray(face.convert("RGB").resize((side, side))).astype(float)
    pixels[top : top + side, left : left + side] = shown + rng.normal(0, 8, (side, side, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), (left, top, side, side)


def tiles(path):
    """A face recogniser whose vector is the face itself, in squares of 8 pixels."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: no network can be built")
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("AveragePool", ["face"], ["small"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["small"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiles",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    pytest.importorskip("cv2", reason="faces are cut by OpenCV")
    root = tmp_path_factory.mktemp("planted")
    drawings = draw_people(["female", "male"] * 42, seed=1)
    boxes, truth, captions = [], {}, []
    (root / "set").mkdir()
    for number, drawing in enumerate(drawings):
        rng = stream(3, "pictures", number)
        identity = f"p{number:02d}"
        if number < 24:
            (root / "people" / identity).mkdir(parents=True)
            truth[identity] = set()
            for place in range(OWN):
                picture, box = photograph(drawing, rng)
                picture.save(root / "people" / identity / f"{place}.png")
                boxes.append((f"{identity}/{place}.png", *box))
        if number >= 24 or number % 2 == 0:
            for place in range(PLANTED):
                name = f"{number * 7919 % 1000:03d}-{place}.png"
                picture, box = photograph(drawing, rng)
                picture.save(root / "set" / name)
                boxes.append((name, *box))
                captions.append((name, f"somebody, {place}"))
                if number < 24:
                    truth[identity].add(name)
    for place in range(10):  # nobody in them
        rng = stream(3, "ground", place)
        noise = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "set" / f"ground-{place}.png")
        captions.append((f"ground-{place}.png", ""))
    (root / "set" / "broken.png").write_bytes(b"no picture")
    captions += [("broken.png", "damaged"), ("gone.png", "lost"), ("../people/p00/0.png", "out")]
    write(root / "set" / "captions.csv", ("image", "caption"), captions)
    write(root / "boxes.csv", ("image", "left", "top", "width", "height"), boxes)
    tiles(root / "tiles.onnx")
    return Planted(root, truth)


def write(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def search(settings):
    from vlmaudit.execution.picture_search import search_pictures

    return search_pictures(settings, Console(quiet=True))


@pytest.fixture(scope="module")
def searched(planted, tiny_open_clip):
    pytest.importorskip("torch")
    return planted, search(planted.settings(tiny_open_clip))


@pytest.mark.torch
def test_planted_people_are_found_and_nobody_else(searched):
    planted, found = searched
    out = planted.root / "out"
    matches = pl.read_parquet(out / "matches.parquet")
    verified = matches.filter(pl.col("verified"))
    wrong = [row for row in verified.iter_rows() if row[1] not in planted.truth[row[0]]]
    assert wrong == []  # precision 1
    assert verified.height == sum(map(len, planted.truth.values())) == 36  # recall 1
    assert found.looked_at == 226
    captioned = dict(zip(matches["image"], matches["caption"], strict=True))
    assert captioned[verified["image"][0]].startswith("somebody")


@pytest.mark.torch
def test_few_candidates_find_less_but_nothing_wrong(copy, tiny_open_clip):
    found = search(copy.settings(tiny_open_clip, candidates=5))
    assert found.looked_at < 226
    verified = found.matches().filter(pl.col("verified"))
    assert 0 < verified.height < 36
    assert all(
        image in copy.truth[one] for one, image in verified.select("identity", "image").rows()
    )


@pytest.mark.torch
def test_who_is_not_found_is_unknown_and_never_a_non_member(searched):
    planted, found = searched
    counts = pl.read_csv(planted.root / "out" / "counts.csv")
    assert counts.columns[:4] == ["identity", "pictures", "membership", "rule"]
    for identity, pictures, membership, rule in counts.select(counts.columns[:4]).iter_rows():
        is_planted = bool(planted.truth[identity])
        assert membership == ("member" if is_planted else "unknown")
        assert (pictures > 0) == is_planted
        assert rule.endswith("absent") or is_planted
        assert "known non-matches" in rule
    share = found.shares()["people_found"]
    assert (share.value, share.n) == (0.5, 24)
    assert 0.29 < share.low < 0.30
    assert 0.70 < share.high < 0.71
    summary = json.loads((planted.root / "out" / "summary.json").read_text())
    assert summary["shares"]["people_found"]["n"] == 24
    assert not summary["threshold_is_supported"]  # 2,208 comparisons cannot show so small a share


@pytest.mark.torch
def test_what_cannot_be_read_is_listed_and_the_rest_goes_on(searched):
    planted, _ = searched
    unreadable = dict(pl.read_csv(planted.root / "out" / "unreadable.csv").rows())
    assert set(unreadable) == {"broken.png", "gone.png", "../people/p00/0.png"}
    assert unreadable["gone.png"] == "file is gone"
    assert "leads out" in unreadable["../people/p00/0.png"]


@pytest.mark.torch
def test_only_the_owner_may_look(searched):
    planted, _ = searched
    out = planted.root / "out"
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    for name in ("matches.parquet", "counts.csv", "unreadable.csv", "summary.json"):
        assert stat.S_IMODE((out / name).stat().st_mode) == 0o600


@pytest.fixture
def copy(planted, tmp_path):
    """The planted study without the folder of a search."""
    shutil.copytree(planted.root, tmp_path / "copy", ignore=shutil.ignore_patterns("out"))
    return Planted(tmp_path / "copy", planted.truth)


@pytest.mark.torch
def test_copies_of_attack_pictures_are_listed_and_named_in_the_rule(copy, tiny_open_clip):
    """p01 is in the set by a copy alone, smaller and in another format; p00 with others too."""
    boxes = {row[0]: row[1:] for row in pl.read_csv(copy.root / "boxes.csv").iter_rows()}
    rows = list(pl.read_csv(copy.root / "set" / "captions.csv").iter_rows())
    given = [(name, *box) for name, box in boxes.items()]
    for identity in ("p00", "p01"):
        with Image.open(copy.root / "people" / identity / "2.png") as picture:
            smaller = picture.resize((96, 96), Image.Resampling.LANCZOS)
        smaller.save(copy.root / "set" / f"copy-{identity}.jpg", quality=90)
        box = [round(number * 96 / SIDE) for number in boxes[f"{identity}/2.png"]]
        given.append((f"copy-{identity}.jpg", *box))
        rows.append((f"copy-{identity}.jpg", "again"))
    write(copy.root / "set" / "captions.csv", ("image", "caption"), rows)
    write(copy.root / "boxes.csv", ("image", "left", "top", "width", "height"), given)
    search(copy.settings(tiny_open_clip))
    matches = pl.read_parquet(copy.root / "out" / "matches.parquet")
    copies = matches.filter(pl.col("is_near_duplicate")).sort("identity")
    listed = copies.select("identity", "image", "attack_image", "verified").rows()
    assert listed == [
        ("p00", "copy-p00.jpg", "p00/2.png", True),
        ("p01", "copy-p01.jpg", "p01/2.png", True),
    ]
    counts = pl.read_csv(copy.root / "out" / "counts.csv").head(2)
    assert counts["near_duplicates"].to_list() == [1, 1]
    assert counts["membership"].to_list() == ["member", "member"]
    said = [rule.endswith("attack with other pictures") for rule in counts["rule"]]
    assert said == [False, True]


@pytest.mark.torch
def test_a_search_that_was_killed_goes_on_and_ends_the_same(copy, tiny_open_clip, searched):
    from vlmaudit.execution import set_embeddings

    planted, _ = searched
    settings = copy.settings(tiny_open_clip)
    search(settings)
    whole = [(copy.root / "out" / name).read_bytes() for name in ("counts.csv", "matches.parquet")]
    journal = copy.root / "out" / "embeddings" / "set" / set_embeddings.JOURNAL
    vectors = journal.with_name("embeddings.f16")
    # What a kill leaves: a batch whose numbers were half written, and a torn line about it.
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    width = vectors.stat().st_size // len(read_picture_set(settings.pictures))
    with vectors.open("r+b") as file:
        kept = file.read(2 * 64 * width)
        file.seek(2 * 64 * width)
        file.write(os.urandom(vectors.stat().st_size - len(kept)))
    search(settings)
    again = [(copy.root / "out" / name).read_bytes() for name in ("counts.csv", "matches.parquet")]
    assert again == whole
    assert len(journal.read_bytes().splitlines()) == 4
    first = pl.read_csv(planted.root / "out" / "counts.csv")
    assert first.equals(pl.read_csv(copy.root / "out" / "counts.csv"))


@pytest.mark.torch
def test_folders_that_hold_something_else_are_refused(copy, tiny_open_clip):
    settings = copy.settings(tiny_open_clip)
    settings.out.mkdir()
    (settings.out / "thesis.tex").touch()
    with pytest.raises(RunError, match="holds something else"):
        search(settings)
    (settings.out / "thesis.tex").unlink()
    search(settings)
    (copy.root / "set" / "less.csv").write_text("image\nground-1.png\n")
    with pytest.raises(RunError, match="in another set"):
        search(copy.settings(tiny_open_clip, pictures=copy.root / "set" / "less.csv"))
    with pytest.raises(RunError, match="lies in the set of pictures"):
        inside = copy.root / "set" / "out"
        search(copy.settings(tiny_open_clip, pictures=copy.root / "set", out=inside))


@pytest.mark.torch
def test_people_without_a_face_are_unknown_for_that_reason(copy, tiny_open_clip):
    boxes = [
        row
        for row in pl.read_csv(copy.root / "boxes.csv").iter_rows()
        if not row[0].startswith("p02/")
    ]
    write(copy.root / "boxes.csv", ("image", "left", "top", "width", "height"), boxes)
    found = search(copy.settings(tiny_open_clip))
    row = found.counts().filter(pl.col("identity") == "p02").row(0, named=True)
    assert (row["membership"], row["pictures"]) == ("unknown", 0)
    assert "no face was found in their own pictures" in row["rule"]
    assert found.shares()["people_found"].n == 23


@pytest.mark.torch
def test_control_people_add_known_non_matches(copy, tiny_open_clip):
    controls = copy.root / "controls"
    for identity in ("p22", "p23"):
        shutil.move(copy.root / "people" / identity, controls / identity)
    found = search(copy.settings(tiny_open_clip, controls=controls))
    # 22 people with 4 faces each against 21 others, and 8 faces of controls against all 22.
    assert found.threshold.non_matches == 22 * OWN * 21 + 2 * OWN * 22


def test_settings_that_make_no_sense_are_refused(tmp_path):
    from vlmaudit.execution.picture_search import PictureSearch

    where = {
        "model": "hf:./x",
        "people": tmp_path,
        "pictures": tmp_path,
        "out": tmp_path,
        "recogniser": "dlib",
    }
    with pytest.raises(InputError, match="--candidates 0"):
        PictureSearch(**where, candidates=0)
    with pytest.raises(InputError, match="--false-members 1"):
        PictureSearch(**where, false_members=1.0)
