"""Text embeddings are kept across runs, by checkpoint, and without anybody's name."""

import numpy as np
import pytest

from vlmaudit.errors import RunError
from vlmaudit.models.cached_texts import CachedTexts
from vlmaudit.models.scripted import Knows
from vlmaudit.results.caches import cache_folder

TEXTS = ["a photo of Ann Lee", "a photo of Bob Ray", "Ann Lee"]


class Counting:
    """A model that counts which texts it was really asked."""

    def __init__(self, **options):
        self._model = Knows({"#000000": "Ann Lee"}, **options)
        self.asked = []
        self.broken = set()

    @property
    def record(self):
        return self._model.record

    def encode_images(self, images):
        return self._model.encode_images(images)

    def encode_texts(self, texts):
        self.asked += texts
        rows = self._model.encode_texts(texts)
        rows[[text in self.broken for text in texts]] = np.nan
        return rows


def test_a_text_is_encoded_once_for_ever(tmp_path):
    first = Counting()
    rows = CachedTexts(first, tmp_path).encode_texts([*TEXTS, TEXTS[0]])
    assert first.asked == TEXTS
    np.testing.assert_array_equal(rows[:3], Knows({"#000000": "Ann Lee"}).encode_texts(TEXTS))
    np.testing.assert_array_equal(rows[3], rows[0])
    again = Counting()
    mixed = CachedTexts(again, tmp_path).encode_texts([TEXTS[1], "new", TEXTS[0]])
    assert again.asked == ["new"]
    np.testing.assert_array_equal(mixed[[0, 2]], rows[[1, 0]])


def test_another_checkpoint_has_its_own_rows(tmp_path):
    CachedTexts(Counting(), tmp_path).encode_texts(TEXTS)
    other = Counting(seed=1)
    CachedTexts(other, tmp_path).encode_texts(TEXTS)
    assert other.asked == TEXTS


def test_what_is_no_number_is_asked_again(tmp_path):
    model = Counting()
    model.broken = {TEXTS[1]}
    cache = CachedTexts(model, tmp_path)
    assert np.isnan(cache.encode_texts(TEXTS)[1]).all()
    model.broken, model.asked = set(), []
    assert np.isfinite(cache.encode_texts(TEXTS)).all()
    assert model.asked == [TEXTS[1]]


def test_no_name_stands_in_the_cache(tmp_path):
    CachedTexts(Counting(), tmp_path).encode_texts(TEXTS)
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"Lee" not in content
    assert b"lee" not in content


def test_a_damaged_cache_is_said_in_one_line(tmp_path):
    CachedTexts(Counting(), tmp_path).encode_texts(TEXTS)
    (file,) = (tmp_path / "texts").iterdir()
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(RunError, match=r"cache of text embeddings cannot be used.*delete it"):
        CachedTexts(Counting(), tmp_path).encode_texts(TEXTS)


def test_no_texts_are_no_rows(tmp_path):
    assert CachedTexts(Counting(), tmp_path).encode_texts([]).shape == (0, 64)


@pytest.mark.parametrize(
    ("variable", "expected"), [("VLMAUDIT_CACHE", ""), ("XDG_CACHE_HOME", "vlmaudit")]
)
def test_where_the_cache_lies(monkeypatch, tmp_path, variable, expected):
    monkeypatch.setenv(variable, str(tmp_path))
    assert cache_folder() == tmp_path / expected
