"""Table 2's numbers against brute force, on fakes whose scores are known; torch-free."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vlmaudit.errors import InputError, ModelError
from vlmaudit.lab.metrics import image_to_text, zero_shot
from vlmaudit.lab.mixture import Mixture
from vlmaudit.results.records import ModelRecord
from vlmaudit.stats.intervals import clopper_pearson


class Scores:
    """A model whose score of a picture and a text is in a table; a picture's red is its row."""

    record = ModelRecord(name="table", family="fake", weights="0", dtype="float32")

    def __init__(self, table, columns):
        self._table = np.asarray(table, dtype=np.float32)
        self._columns = columns
        self.asked = []

    def encode_images(self, images):
        rows = [image.getpixel((0, 0))[0] for image in images]
        return np.eye(len(self._table), dtype=np.float32)[rows] + np.where(
            np.array(rows) == 99, np.nan, 0
        ).astype(np.float32).reshape(-1, 1)

    def encode_texts(self, texts):
        self.asked += texts
        return self._table.T[[self._columns(text) for text in texts]]


def pictures(count):
    shown = np.zeros((count, 2, 2, 3), dtype=np.uint8)
    shown[..., 0] = np.arange(count)[:, None, None]
    return shown


def labelled(folder, classes):
    """A folder a class; the pictures are called and coloured by their rows."""
    for name, rows in classes.items():
        (folder / name).mkdir(parents=True)
        for row in rows:
            Image.fromarray(pictures(row + 1)[row]).save(folder / name / f"{row}.png")
    return folder


@given(data=st.data())
def test_image_to_text_is_what_its_rule_says(data):
    n = data.draw(st.integers(1, 6))
    captions = data.draw(st.lists(st.integers(0, 8), min_size=n, max_size=18))
    places = np.array(
        [
            *range(n),
            *data.draw(
                st.lists(
                    st.integers(0, n - 1), min_size=len(captions) - n, max_size=len(captions) - n
                )
            ),
        ]
    )
    table = np.array(
        data.draw(
            st.lists(st.lists(st.integers(-2, 2), min_size=9, max_size=9), min_size=n, max_size=n)
        )
    )
    held_out = Mixture(pictures(n), [f"caption {c}" for c in captions], places, places)
    model = Scores(table, lambda text: int(text.split()[1]))
    if len(set(captions)) < 2:
        with pytest.raises(InputError, match="nothing to choose"):
            image_to_text(model, held_out)
        return
    found = image_to_text(model, held_out)

    assert found.captions == len(set(captions))
    for k, rate in ((1, found.rank1), (5, found.rank5)):
        hits, chances = 0, []
        for picture in range(n):
            own = {c for c, place in zip(captions, places, strict=True) if place == picture}
            foreign = set(captions) - own
            best = max(table[picture, c] for c in own)
            hits += sum(table[picture, c] >= best for c in foreign) < k
            orders = [
                min(np.flatnonzero([c in own for c in order])) < k
                for seed in range(300)
                for order in [np.random.default_rng(seed).permutation(sorted(set(captions)))]
            ]
            chances.append(np.mean(orders))
        assert rate.chance == pytest.approx(np.mean(chances), abs=0.12)
        if rate.chance == 1:
            assert rate.rate.value is None
            continue
        interval = clopper_pearson(hits, n)
        assert (rate.rate.value, rate.rate.n) == (hits / n, n)
        assert (rate.rate.low, rate.rate.high) == (interval.low, interval.high)
        assert rate.rate.unit == "picture"


def test_a_picture_without_a_direction_is_a_failure_and_no_miss():
    shown = pictures(100)[[0, 99, 1]]
    places = np.arange(3)
    model = Scores(np.eye(100), int)
    found = image_to_text(model, Mixture(shown, ["0", "5", "1"], places, places))

    assert (found.rank1.rate.value, found.rank1.rate.n) == (1.0, 2)
    assert found.failed == {"the model gave no direction": 1}


@given(
    table=st.lists(
        st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=8, max_size=8), min_size=8, max_size=8
    ),
    data=st.data(),
)
def test_zero_shot_is_what_its_rule_says(table, data, tmp_path_factory):
    labels = data.draw(st.lists(st.integers(0, 7), min_size=8, max_size=8))
    names = sorted(set(labels))
    # A row more makes all columns as long as each other, and none empty.
    squares = (np.array(table) ** 2).sum(axis=0)
    table = np.vstack([table, np.sqrt(33 - squares)])
    root = tmp_path_factory.mktemp("labelled")
    if len(names) < 2:
        with pytest.raises(InputError, match="two classes or more"):
            zero_shot(Scores(table, int), labelled(root, {"0": [1]}))
        return
    classes = {str(name): [row for row in range(8) if labels[row] == name] for name in names}
    found = zero_shot(Scores(table, lambda text: int(text.split()[-1])), labelled(root, classes))

    assert found.classes == len(names)
    for k, rate in ((1, found.top1), (5, found.top5)):
        assert rate.chance == min(1, k / len(names))
        hits = sum(
            sum(table[row, name] >= table[row, labels[row]] for name in names) <= k
            for row in range(8)
        )
        assert rate.rate.value == (hits / 8 if len(names) > k else None)
        assert rate.rate.n == 8


def test_a_class_is_the_mean_direction_of_its_sentences(tmp_path):
    """The first and the last sentence mislead; the mean of all three does not."""
    table = {
        **{"photo red_panda": (0.0, 1.0), "photo cat": (0.6, 0.8)},
        **{"art red_panda": (1.0, 0.0), "art cat": (0.0, 1.0)},
        **{"a red_panda": (0.0, 1.0), "a cat": (0.6, 0.8)},
    }
    texts = {text.replace("_", " "): column for column, text in enumerate(table)}
    model = Scores(np.array(list(table.values())).T, texts.__getitem__)
    root = labelled(tmp_path / "pictures", {"red_panda": [0], "cat": [1]})
    (root / "cat" / "broken.jpg").write_bytes(b"no picture")
    (root / ".hidden").mkdir()
    (root / "empty").mkdir()
    (root / "LICENSE").write_text("text")
    told = []
    found = zero_shot(
        model,
        root,
        templates=tuple(f"{word} {{class}}" for word in ("photo", "art", "a")),
        advance=told.append,
    )

    assert sorted(model.asked) == sorted(texts)
    assert (found.top1.rate.value, found.top1.rate.n, found.classes) == (1.0, 2, 2)
    assert found.failed == {"no picture in a known format": 1}
    assert sum(told) == 3
    assert found.top5.rate.value is None  # of two classes five cannot miss


def test_what_cannot_be_asked_is_said(tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        zero_shot(Scores(np.eye(2), int), tmp_path / "nowhere")
    for name in ("0", "1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match="none of the pictures could be asked"):
        zero_shot(Scores(np.eye(2), lambda text: int(text[-1])), tmp_path)
    with pytest.raises(ModelError, match="table: gives no direction to some class"):
        zero_shot(Scores(np.full((2, 2), np.nan), lambda text: int(text[-1])), tmp_path)


@pytest.mark.torch
def test_open_clips_templates_have_a_slot():
    from vlmaudit.lab.metrics import open_clip_templates

    assert len(open_clip_templates()) == 80
    assert all(template.count("{class}") == 1 for template in open_clip_templates())


@pytest.mark.torch
def test_an_ordinary_checkpoint_can_be_asked(tiny_open_clip, tmp_path):
    from vlmaudit.models.loading import load_contrastive

    model = load_contrastive(f"open_clip:{tiny_open_clip}")
    root = labelled(tmp_path / "pictures", {str(n): [2 * n, 2 * n + 1] for n in range(6)})
    accuracy = zero_shot(model, root)
    places = np.arange(10)
    retrieval = image_to_text(
        model, Mixture(pictures(10), [f"number {n}" for n in range(10)], places, places)
    )

    assert (accuracy.top1.rate.n, retrieval.rank5.rate.n) == (12, 10)
    assert accuracy.top1.rate.value <= accuracy.top5.rate.value
    assert retrieval.rank1.rate.value <= retrieval.rank5.rate.value
    assert accuracy.failed == retrieval.failed == {}
