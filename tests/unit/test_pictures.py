"""Pictures are opened defensively; what cannot be opened says why."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vlmaudit.data import images
from vlmaudit.data.images import PictureError, is_picture, open_picture, picture_digest


def halves(mode="RGB"):
    """Left half black, right half white, 8 wide and 4 high."""
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 4:] = 255
    return Image.fromarray(pixels).convert(mode)


def saved(tmp_path, picture, name, **options):
    path = tmp_path / name
    picture.save(path, **options)
    return path


def test_an_exif_turn_is_carried_out(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    opened = open_picture(saved(tmp_path, halves(), "turned.jpg", exif=exif))
    assert opened.size == (4, 8)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA", "YCbCr", "LAB", "HSV"])
def test_every_mode_comes_out_as_rgb(tmp_path, mode):
    ending = {"CMYK": "jpg", "YCbCr": "jpg", "LAB": "tif", "HSV": "tif"}.get(mode, "png")
    picture = halves(mode) if mode not in {"LAB", "HSV"} else halves().convert("RGB")
    opened = open_picture(saved(tmp_path, picture, f"picture.{ending}"))
    assert opened.mode == "RGB"
    pixels = np.asarray(opened).astype(int)
    assert pixels[0, 0].max() < 40
    assert pixels[0, -1].min() > 215


def test_alpha_stands_on_white(tmp_path):
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    opened = open_picture(saved(tmp_path, clear, "clear.png"))
    assert opened.getpixel((0, 0)) == (255, 255, 255)


def test_a_palette_with_a_transparent_colour_stands_on_white(tmp_path):
    picture = Image.new("P", (2, 2), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    opened = open_picture(saved(tmp_path, picture, "palette.png", transparency=0))
    assert opened.getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    grey = np.array([[0, 16384, 32768, 65535]], np.uint16)
    opened = open_picture(saved(tmp_path, Image.fromarray(grey), "deep.png"))
    assert [opened.getpixel((x, 0))[0] for x in range(4)] == [0, 64, 128, 255]


def test_of_an_animation_the_first_frame_counts(tmp_path):
    frames = [Image.new("RGB", (3, 3), colour) for colour in ("red", "blue")]
    path = saved(tmp_path, frames[0], "moving.webp", save_all=True, append_images=frames[1:])
    red, _, blue = open_picture(path).getpixel((1, 1))
    assert red > 200 > 60 > blue


def test_what_is_no_picture_or_damaged_says_so(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    whole = saved(tmp_path, noise, "whole.png").read_bytes()
    jpeg = io.BytesIO()
    noise.save(jpeg, "JPEG")
    broken = {
        "text.jpg": (b"not a picture", "no picture in a known format"),
        "empty.png": (b"", "no picture in a known format"),
        "cut.png": (whole[: len(whole) // 2], "truncated|damaged"),
        "cut.jpg": (jpeg.getvalue()[:800], "truncated"),
    }
    for name, (content, reason) in broken.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(PictureError, match=reason):
            open_picture(path)
    with pytest.raises(PictureError, match="gone"):
        open_picture(tmp_path / "nobody.png")
    with pytest.raises(PictureError, match="gone"):
        picture_digest(tmp_path / "nobody.png")


def test_what_could_be_read_for_ever_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    for path in tmp_path.iterdir():
        for read in (open_picture, picture_digest):
            with pytest.raises(PictureError, match="in place of a file"):
                read(path)


def test_a_bomb_is_refused_before_it_unfolds(tmp_path):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))
    )
    with pytest.raises(PictureError, match="more than 80,000,000"):
        open_picture(bomb)


def test_our_own_limit_holds_below_pillow_s(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 10)
    with pytest.raises(PictureError, match="8 x 4 pixels"):
        open_picture(saved(tmp_path, halves(), "small.png"))


def test_a_gif_with_a_picture_s_ending_stays_shut(tmp_path):
    picture = saved(tmp_path, halves(), "moving.gif")
    renamed = picture.rename(tmp_path / "moving.jpg")
    with pytest.raises(PictureError, match="no picture in a known format"):
        open_picture(renamed)


def test_which_files_are_pictures(tmp_path):
    assert is_picture(tmp_path / "a.JPG")
    assert not is_picture(tmp_path / ".hidden.jpg")
    assert not is_picture(tmp_path / "people.csv")


def test_whatever_a_decoder_raises_on_damaged_bytes_is_the_picture_s_fault(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)

    def fail(*_):
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr(Image.Image, "load", fail)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail, raising=False)
    with pytest.raises(PictureError, match=r"damaged picture \(unpack requires"):
        open_picture(path)
