"""Decoded once: what a model would see, all of it or nothing, and never twice."""

import errno
import io
import json
import os
import shutil
import stat

import numpy as np
import polars as pl
import pytest
from PIL import Image

from vlmaudit.data.images import PictureError
from vlmaudit.errors import InputError, RunError
from vlmaudit.lab import picture_cache
from vlmaudit.lab.picture_cache import cache_pictures, decode_picture

SIDE = 16


def drawn(width, height, seed=0):
    """Smooth, as photos are."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def stored(picture, kind="PNG", **how):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


@pytest.fixture
def pictures(tmp_path):
    """Stored bytes and files, good and bad, more than a chunk of them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    mixed = [(f"{n:03d}", stored(drawn(20 + n % 7, 24, n))) for n in range(40)]
    for number in range(40, 60):
        path = folder / f"{number}.jpg"
        path.write_bytes(stored(drawn(40, 30, number), "JPEG"))
        mixed.append((f"{number:03d}", path))
    mixed[7] = ("007", b"no picture")
    mixed[33] = ("033", mixed[33][1][:200])
    mixed[50] = ("050", folder / "absent.jpg")
    return mixed


def test_pictures_are_cached_in_order_and_the_unreadable_left_out(pictures, tmp_path):
    cached = cache_pictures(iter(pictures), tmp_path / "cache", side=SIDE)

    assert cached.keys == tuple(key for key, _ in pictures if key not in {"007", "033", "050"})
    assert set(cached.left_out) == {"007", "033", "050"}
    assert cached.left_out["007"] == "no picture in a known format"
    assert "truncated" in cached.left_out["033"]
    assert cached.left_out["050"] == "no such file"
    assert cached.pictures.shape == (57, SIDE, SIDE, 3)
    assert cached.pictures.dtype == np.uint8
    assert isinstance(cached.pictures, np.memmap)
    assert not cached.pictures.flags.writeable
    stored_as = dict(pictures)
    for key, picture in zip(cached.keys, cached.pictures, strict=True):
        np.testing.assert_array_equal(picture, decode_picture(stored_as[key], SIDE))


def test_the_files_are_plain_and_their_owner_s_alone(pictures, tmp_path):
    folder = tmp_path / "cache"
    cached = cache_pictures(pictures, folder, side=SIDE)

    assert sorted(path.name for path in folder.iterdir()) == [
        *("cache.json", "index.parquet", "pictures.npy")
    ]
    np.testing.assert_array_equal(np.load(folder / "pictures.npy"), cached.pictures)
    index = pl.read_parquet(folder / "index.parquet")
    assert index.columns == ["key", "ok", "reason"]
    assert index["key"].to_list() == [key for key, _ in pictures]
    assert (index["ok"] == (index["reason"] == "")).all()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "pictures.npy").stat().st_mode) == 0o600


def test_any_number_of_workers_writes_the_same(pictures, tmp_path):
    for workers in (1, 2, 5):
        cache_pictures(pictures, tmp_path / str(workers), side=SIDE, workers=workers)
    for name in ("pictures.npy", "index.parquet", "cache.json"):
        assert len({(tmp_path / str(n) / name).read_bytes() for n in (1, 2, 5)}) == 1


def test_a_finished_cache_is_used_and_nothing_decoded(pictures, tmp_path, monkeypatch):
    first = cache_pictures(pictures, tmp_path / "cache", side=SIDE)
    monkeypatch.setattr(picture_cache, "decode_picture", lambda *_: pytest.fail("decoded"))

    again = cache_pictures(iter(pictures), tmp_path / "cache", side=SIDE)

    assert again.keys == first.keys
    assert again.left_out == first.left_out
    np.testing.assert_array_equal(again.pictures, first.pictures)


def test_progress_adds_up_to_all_pictures_both_times(pictures, tmp_path):
    for _ in range(2):
        done = []
        cache_pictures(pictures, tmp_path / "cache", side=SIDE, progress=done.append)
        assert sum(done) == len(pictures)
        assert len(done) > 1


def test_pictures_are_taken_as_they_are_needed(tmp_path):
    raw = stored(drawn(20, 20))
    taken, done, ahead = [], [], []

    def endless():
        for number in range(400):
            taken.append(number)
            ahead.append(len(taken) - sum(done))
            yield f"{number}", raw

    cache_pictures(endless(), tmp_path / "cache", side=SIDE, progress=done.append, workers=1)
    assert max(ahead) <= 16 * 5


@pytest.mark.parametrize("change", ["order", "key", "bytes", "fewer", "touched"])
def test_other_pictures_are_refused(pictures, tmp_path, change):
    cache_pictures(pictures, tmp_path / "cache", side=SIDE)
    other = list(pictures)
    match change:
        case "order":
            other[0], other[1] = other[1], other[0]
        case "key":
            other[0] = ("new", other[0][1])
        case "bytes":
            other[0] = ("000", stored(drawn(20, 24, 99)))
        case "fewer":
            other = other[:-1]
        case "touched":
            os.utime(other[-1][1], ns=(0, 0))
    with pytest.raises(RunError, match="holds other pictures, or some have changed since; choose"):
        cache_pictures(other, tmp_path / "cache", side=SIDE)


def test_another_side_is_refused_before_a_picture_is_touched(pictures, tmp_path):
    cache_pictures(pictures, tmp_path / "cache", side=SIDE)
    untouched = iter(pictures)
    with pytest.raises(RunError, match="holds pictures of side 16; choose another folder"):
        cache_pictures(untouched, tmp_path / "cache", side=8)
    assert next(untouched)[0] == "000"


def test_a_source_that_fails_leaves_nothing_and_the_next_attempt_is_whole(pictures, tmp_path):
    folder = tmp_path / "cache"

    def torn():
        yield from pictures[:37]
        raise InputError("x.tar: torn")

    with pytest.raises(InputError, match=r"x.tar: torn"):
        cache_pictures(torn(), folder, side=SIDE)
    assert not list(folder.iterdir())
    assert len(cache_pictures(pictures, folder, side=SIDE).keys) == 57


def test_what_a_kill_left_is_written_over(pictures, tmp_path):
    folder = tmp_path / "cache"
    whole = cache_pictures(pictures, folder, side=SIDE)
    expected = (folder / "pictures.npy").read_bytes()
    del whole
    (folder / "cache.json").unlink()
    (folder / "index.parquet").unlink()
    (folder / "pictures.npy").write_bytes(expected[:500])
    (folder / ".pictures.npy.123.part").write_bytes(expected[:900])

    cache_pictures(pictures, folder, side=SIDE)

    assert (folder / "pictures.npy").read_bytes() == expected
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("place", ["pictures", "index"])
def test_a_full_disk_leaves_nothing(pictures, tmp_path, monkeypatch, place):
    folder = tmp_path / "cache"

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if place == "index":
        monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    else:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
        monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(OSError, match="No space left") as caught:
        cache_pictures(pictures, folder, side=SIDE)
    assert caught.value.errno == errno.ENOSPC
    assert not list(folder.iterdir())


def test_a_folder_of_something_else_is_left_alone(pictures, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match=r"holds something else, such as thesis.tex"):
        cache_pictures(pictures, folder, side=SIDE)
    with pytest.raises(RunError, match="is no folder"):
        cache_pictures(pictures, folder / "thesis.tex", side=SIDE)
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("damage", ["cut", "gone", "manifest", "other", "index", "no list"])
def test_a_damaged_cache_is_said_to_be(pictures, tmp_path, damage):
    folder = tmp_path / "cache"
    cache_pictures(pictures, folder, side=SIDE)
    path, manifest = folder / "pictures.npy", folder / "cache.json"
    match damage:
        case "cut":
            os.truncate(path, 5000)
        case "gone":
            path.unlink()
        case "manifest":
            manifest.write_text("{")
        case "other":
            np.save(path, np.zeros((3, SIDE, SIDE, 3), np.uint8))
        case "index":
            pl.read_parquet(folder / "index.parquet")[1:].write_parquet(folder / "index.parquet")
        case "no list":
            manifest.write_text("[]")
    with pytest.raises(RunError, match=r"the cache is damaged \(.*\); remove the folder"):
        cache_pictures(pictures, folder, side=SIDE)


def test_a_cache_of_another_version_is_refused(pictures, tmp_path):
    cache_pictures(pictures, tmp_path / "cache", side=SIDE)
    path = tmp_path / "cache" / "cache.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 0}))
    with pytest.raises(RunError, match="another version"):
        cache_pictures(pictures, tmp_path / "cache", side=SIDE)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no pictures were given"),
        ([("a", b"x"), ("b", b"y")], "none of 2 pictures can be read, such as a: no picture in a"),
        ([("a", stored(drawn(9, 9)))] * 2, 'two pictures have the key "a"'),
    ],
)
def test_what_is_no_set_is_refused_and_leaves_nothing(tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        cache_pictures(given, tmp_path / "cache", side=SIDE)
    assert not list((tmp_path / "cache").iterdir())


def test_transparent_pictures_lie_on_white_and_turned_ones_are_upright():
    clear = stored(Image.new("RGBA", (20, 30), (255, 0, 0, 0)))
    assert (decode_picture(clear, SIDE) == 255).all()

    upright = Image.new("RGB", (64, 32), "black")
    upright.paste("white", (0, 0, 64, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: stored as it lies, shown a quarter clockwise
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    seen = decode_picture(stored(turned, "JPEG", quality=95, exif=exif), SIDE)
    assert seen[:7].min() > 240
    assert seen[9:].max() < 15

    photo = drawn(64, 32)
    turned = photo.transpose(Image.Transpose.ROTATE_90)
    seen = decode_picture(stored(turned, "PNG", exif=exif), SIDE)
    np.testing.assert_array_equal(seen, decode_picture(stored(photo), SIDE))


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (b"", "no picture"),
        (stored(Image.new("L", (2, 500))), "2 x 500 pixels, too narrow"),
        (stored(Image.new("1", (9000, 9000))), "more than 80,000,000"),
        (stored(drawn(30, 30), "GIF"), "no picture in a known format"),
    ],
)
def test_pictures_that_cannot_be_shown_give_their_reason(picture, reason):
    with pytest.raises(PictureError, match=reason):
        decode_picture(picture, SIDE)


def test_a_pipe_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PictureError, match="no such file"):
        decode_picture(tmp_path / "pipe.jpg", SIDE)


@pytest.fixture(scope="module")
def as_open_clip():
    from open_clip.transform import image_transform
    from torchvision.transforms import Compose

    def seen(raw, side):
        # All but the tensor and its normalisation, which come at training too.
        transform = Compose(image_transform(side, is_train=False).transforms[:3])
        with Image.open(io.BytesIO(raw)) as picture:
            return np.asarray(transform(picture))

    return seen


SIZES = [(64, 64), (65, 64), (64, 65), (100, 37), (37, 100), (128, 96), (31, 200), (20, 20)]


@pytest.mark.torch
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [16, 33, 64])
def test_a_model_sees_the_same_at_training_and_at_audit(as_open_clip, size, side):
    for raw in (stored(drawn(*size)), stored(drawn(4 * side - 1, 5 * side), "JPEG")):
        np.testing.assert_array_equal(decode_picture(raw, side), as_open_clip(raw, side))


@pytest.mark.torch
@pytest.mark.parametrize("size", [(640, 480), (481, 641), (1001, 799), (257, 2003)])
def test_large_jpegs_look_the_same_but_for_a_grey_level(as_open_clip, size):
    raw = stored(drawn(*size), "JPEG", quality=90)
    difference = decode_picture(raw, 64).astype(float) - as_open_clip(raw, 64)
    assert np.abs(difference).mean() < 0.6
    assert np.abs(difference).max() <= 8


def test_a_large_jpeg_is_not_decoded_whole(monkeypatch):
    """That is the speed: 9 pixels in 16 of a 640 x 480 photo are never computed."""
    raw = stored(drawn(1024, 1024), "JPEG")
    sizes = []
    monkeypatch.setattr(
        picture_cache, "as_rgb", lambda opened: sizes.append(opened.size) or opened.convert("RGB")
    )
    decode_picture(raw, 64)
    decode_picture(raw, 65)
    assert sizes == [(128, 128), (256, 256)]
