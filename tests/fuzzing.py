"""What nobody should hand in, drawn at random and always the same; loaded by the tests beside it.

Case number n of a kind is drawn from ``stream(seed, kind, n)``, the same in the short and in the
long run. A case that fails says how it alone is run again: with VLMAUDIT_FUZZ_CASE=kind:number.
Another VLMAUDIT_FUZZ_SEED draws other cases.
"""

import io
import json
import os
import shutil
import unicodedata
import zlib
from contextlib import contextmanager

import numpy as np
from PIL import Image

from vlmaudit.cli.shared import error_line
from vlmaudit.errors import AuditError
from vlmaudit.seeds import stream

SEED = int(os.environ.get("VLMAUDIT_FUZZ_SEED", "0"))
ONLY = os.environ.get("VLMAUDIT_FUZZ_CASE", "")
LONGEST_LINE = 2010


def cases(kind, first, end, root):
    """Numbers `first` to `end` of a kind, each with its random stream and a folder of its own."""
    wanted, _, number = ONLY.rpartition(":")
    numbers = range(first, end) if not ONLY else [int(number)] if wanted == kind else []
    for number in numbers:
        folder = root / f"{number}"
        folder.mkdir()
        yield number, stream(SEED, kind, number), folder
        shutil.rmtree(folder)


@contextmanager
def reproducible(kind, number):
    """Whatever goes wrong inside says how to see it again."""
    try:
        yield
    except BaseException as problem:
        problem.add_note(f"again: VLMAUDIT_FUZZ_SEED={SEED} VLMAUDIT_FUZZ_CASE='{kind}:{number}'")
        raise


# How a case may end.


def assert_reason(reason):
    """Why a picture failed, as it is stored and counted."""
    assert reason == " ".join(reason.split()), repr(reason)
    assert len(reason) < 400, reason


def assert_quiet(text):
    """Nothing in it acts on a terminal."""
    assert not {unicodedata.category(sign) for sign in text.replace("\n", "")} & {"Cc", "Cs"}, text
    text.encode()


def assert_error(problem):
    """An error that the user can act on is one line of bounded length."""
    assert isinstance(problem, AuditError)
    line = error_line(problem)
    assert len(line) <= LONGEST_LINE
    assert_quiet(line)
    assert "\n" not in line


def assert_end(done, *, is_json=False):
    """A command came to one of the ends that are documented.

    Args:
        done: What `CliRunner.invoke` gives.
        is_json: Whether it was to print a finding for programs.
    """
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in {0, 2, 3, 4}, done.output
    assert "Traceback" not in done.output
    if done.exit_code == 2:  # an option that is no number, or no word that the option knows
        assert "Usage: " in done.stderr
        return
    assert_quiet(done.stderr)
    if done.exit_code == 3:
        line = done.stderr.splitlines()[-1]
        assert line.startswith("error: "), done.stderr
        assert len(line) <= LONGEST_LINE
    elif is_json:
        json.loads(done.stdout)
    else:
        assert_quiet(done.stdout)


# What is the matter with bytes, whatever they mean.


def pick(rng, options):
    """One of several; not rng.choice, which makes arrays of them."""
    return options[int(rng.integers(len(options)))]


def flipped(rng, data):
    damaged = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 9)):
        damaged[place] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def overwritten(rng, data):
    start, size = int(rng.integers(len(data))), int(rng.integers(1, 40))
    return data[:start] + rng.bytes(size) + data[start + size :]


def damaged(rng, data, other=b""):
    """Bytes as a broken disk, download or hand leaves them; `other` is what gets mixed up."""
    if not data:
        return rng.bytes(int(rng.integers(64)))
    cut, other_cut = int(rng.integers(len(data))), int(rng.integers(len(other) + 1))
    how = [
        lambda: flipped(rng, data),
        lambda: flipped(rng, data[:64]) + data[64:],
        lambda: overwritten(rng, data),
        lambda: data[:cut],
        lambda: data[cut:],
        lambda: data[:cut] + other[other_cut:],
        lambda: data[:cut] + data[cut:][::-1],
        lambda: data + other,
        lambda: data[:cut] + bytes(int(rng.integers(1, 200))) + data[cut:],
        lambda: rng.bytes(int(rng.integers(1, 3000))),
        lambda: b"",
    ]
    return pick(rng, how)()


# Texts that somebody's name, a table's cell or a file may hold.

TEXTS = (
    "Ada Lovelace", "Seán O’Casey", "Cher", "O'Neil", "Ada", "ADA LOVELACE", "Lovelace, Ada",
    "عَلِي بن أبي طالب", "שָׁלוֹם עֲלֵיכֶם", "毛泽东", "山田 花子", "김 철수", "Ǆ ß ﬁ ŉ", "İ ı I i",
    "👩‍👩‍👧‍👦 🏳️‍🌈", "e\u0301\u0327\u0300\u0316" * 20, "\u202eecalevoL adA\u202c",
    "\u2066Ada\u2069", "\x1b[31mAda\x1b[0m", "\x1b]0;title\x07", "\x00", "A\x00da",
    "\x07\x08\x7f\x9b31m", "a\rb", "a\nb", "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei",
    "\t", "   ", "", "\u200b\u200d\ufeff", "\u0301", "\u00ad", "\u3164", "\ufffd",
    "\ufffe\uffff", "\U0010ffff", "\U000e0041\U000e0042", "<script>alert(1)</script>",
    "</td><img src=x onerror=alert(1)>", "&amp;&#0;", "]]>", "{name}", "{", "}}{{",
    "{{ 7 * 7 }}", "{% raise %}", "{0}{name!r:>999999}", "%s%n%d", "%(name)s", "$HOME `id`",
    "[bold red]Ada[/]", "[/nothing]", "[link=file:///]x[/link]", "\\", "\\N{BELL}\\x00\\u202e",
    "a\\", '"', '""', '"unbalanced', "it's; DROP TABLE people;--", "=1+1", "@SUM(1)", "-1",
    "nan", "1e400", "None", "null", "true", "0x10", "٣", "²", "½", "१२", "1_000", " 7 ", "+5",
    "1.0", "999999999999999999999", "9" * 5000, "A" * 10_000, "Ada " * 3000, "../..",
    "/etc/passwd", "a/b", "..", ".", "~", "CON", "a|b||c|", "female", "male", "FEMALE",
    "member", "non_member", "en_US", "de_DE", "xx_YY", "ar_AA", "ja_JP",
)  # fmt: skip


def some_text(rng):
    match int(rng.integers(8)):
        case 0:
            letters = rng.integers(0, 0x11000, int(rng.integers(1, 30)))
            return "".join(chr(each) for each in letters if not 0xD800 <= each < 0xE000)
        case 1:
            return pick(rng, TEXTS) + pick(rng, TEXTS)
        case _:
            return pick(rng, TEXTS)


def one_of(rng, usual, share=0.8):
    """Mostly what is usual there, sometimes anything."""
    return pick(rng, usual) if rng.random() < share else some_text(rng)


def quoted(rng, cell):
    if rng.random() < 0.005:
        return cell  # however many commas, quotes and lines it holds
    if any(sign in cell for sign in ',"\r\n') or rng.random() < 0.1:
        return '"' + cell.replace('"', '""') + '"'
    return cell


def csv_bytes(rng, rows):
    """A table as spreadsheets of all kinds save it, or as nobody should."""
    delimiter = pick(rng, [","] * 60 + [";", "\t", "|", " "])
    line_end = pick(rng, ["\n"] * 20 + ["\r\n"] * 6 + ["\r", "\n\n", "\r\r\n"])
    lines = [delimiter.join(quoted(rng, cell) for cell in row) for row in rows]
    if rng.random() < 0.02:
        lines.insert(int(rng.integers(len(lines) + 1)), "A" * 1_000_000)
    text = line_end.join(lines) + pick(rng, [line_end, "", line_end * 3, ","])
    encoding = pick(rng, ["utf-8"] * 40 + ["utf-8-sig"] * 8 + ["utf-16", "latin-1", "cp1252"])
    data = text.encode(encoding, "replace")
    return damaged(rng, data, data) if rng.random() < 0.08 else data


# Pictures.

SIZES = ((1, 1), (1, 90), (90, 1), (2, 3), (16, 16), (33, 17))
SAVED_AS = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I"),
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "WEBP": ("RGB", "RGBA", "L"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "YCbCr", "I;16", "I", "F"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("L", "P", "RGB"),
    "PPM": ("1", "L", "RGB"),
    "ICO": ("RGBA",),
    "JPEG2000": ("L", "RGB", "RGBA"),
}
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".JPG", ".Png")


def some_pixels(rng, mode, size):
    width, height = size
    if mode in {"I", "I;16", "F"}:
        kind = {"I": np.int32, "I;16": np.uint16, "F": np.float32}[mode]
        top = pick(rng, [2, 255, 65_536])
        values = rng.integers(0, top, (height, width)).astype(kind)
        if mode == "F" and rng.random() < 0.3:
            values[0, 0] = pick(rng, [np.nan, np.inf, -np.inf, 1e38, -1e38])
        return Image.fromarray(values)
    picture = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    if mode == "LAB":
        return Image.frombytes("LAB", size, rng.bytes(3 * width * height))
    if mode in {"LA", "RGBA"}:
        picture = picture.convert("RGBA")
        picture.putalpha(int(rng.integers(256)))
    return picture.convert(mode)


def saving_options(rng, form, mode):
    options = {}
    if form in {"PNG", "JPEG", "WEBP", "TIFF"} and rng.random() < 0.4:
        exif = Image.Exif()
        exif[0x0112] = int(pick(rng, [1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 65_535]))
        if rng.random() < 0.5:
            exif[0x010E] = some_text(rng).encode("ascii", "replace").decode()[:2000]
        options["exif"] = exif
    if form == "TIFF":
        options["compression"] = pick(rng, [None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
    if form == "PNG" and mode == "P":
        options["transparency"] = pick(rng, [0, 3, bytes(range(16))])
    if form == "JPEG":
        options |= {"progressive": bool(rng.integers(2)), "quality": int(rng.integers(1, 96))}
    if rng.random() < 0.05:
        options["icc_profile"] = rng.bytes(200)
    return options


def picture_bytes(rng):
    form = pick(rng, list(SAVED_AS))
    mode = pick(rng, SAVED_AS[form])
    size = pick(rng, SIZES)
    picture = some_pixels(rng, mode, size)
    options = saving_options(rng, form, mode)
    if form in {"PNG", "WEBP", "TIFF", "GIF"} and rng.random() < 0.15:
        options |= {"save_all": True, "append_images": [some_pixels(rng, mode, size)] * 2}
    file = io.BytesIO()
    try:
        picture.save(file, form, **options)
    except (OSError, RuntimeError, ValueError, KeyError):  # not every option goes with every mode
        file = io.BytesIO()
        picture.convert("RGB").save(file, "PNG")
    return file.getvalue()


def declaring_more(rng, data):
    """A header that promises more pixels than there are."""
    size = [int(pick(rng, [0, 1, 255, 8_000, 9_000, 65_535, 2**31 - 1, 2**32 - 1])) for _ in "wh"]
    if data.startswith(b"\x89PNG"):
        head = b"IHDR" + b"".join(side.to_bytes(4, "big") for side in size) + data[24:29]
        return data[:12] + head + zlib.crc32(head).to_bytes(4, "big") + data[33:]
    if data.startswith(b"BM"):
        return data[:18] + b"".join(side.to_bytes(4, "little") for side in size) + data[26:]
    return flipped(rng, data[:40]) + data[40:]


def place_picture(rng, folder, name=None):
    """Something that is called like a picture; where it lies."""
    if name is None:
        name = pick(
            rng,
            [
                "a",
                "ä ö",
                "a\nb",
                "\x1b[31m",
                "<b>",
                "x" * 200,
                b"\xff\xfe".decode(errors="surrogateescape"),
            ],
        )
        name += pick(rng, ENDINGS)
    path = folder / name
    match int(rng.integers(20)):
        case 0:
            path.mkdir()
        case 1:
            path.symlink_to(folder / "nothing")
        case 2:
            path.symlink_to(path)
        case 3:
            path.write_text(some_text(rng), encoding="utf-8", errors="replace")
        case 4:
            os.mkfifo(path)
        case 5:
            path.symlink_to("/dev/null")
        case 6 | 7 | 8:
            path.write_bytes(picture_bytes(rng))
        case 9 | 10:
            path.write_bytes(declaring_more(rng, picture_bytes(rng)))
        case _:
            path.write_bytes(damaged(rng, picture_bytes(rng), picture_bytes(rng)))
    return path


# Documents.


def some_json(rng, depth=0):
    match int(rng.integers(11 if depth < 3 else 8)):
        case 0:
            return None
        case 1:
            return bool(rng.integers(2))
        case 2:
            return pick(rng, [0, 1, -1, 7, 10**30, -(10**400), 2**63])
        case 3:
            return pick(rng, [0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"), -float("inf")])
        case 4 | 5 | 6:
            return some_text(rng)
        case 7:
            return pick(rng, ["#ff0000", "#FF0000", "#ff00000", "ff0000"])
        case 8:
            return [some_json(rng, depth + 1) for _ in range(int(rng.integers(4)))]
        case _:
            return {some_text(rng): some_json(rng, depth + 1) for _ in range(int(rng.integers(4)))}


def changed_json(rng, value):
    """A document with something in it changed, removed or added; keys stay where they were."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = pick(rng, list(value))
        match int(rng.integers(5)):
            case 0:
                return {name: each for name, each in value.items() if name != key}
            case 1:
                return {**value, some_text(rng): some_json(rng)}
            case _:
                return {**value, key: changed_json(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = int(rng.integers(len(value)))
        if rng.random() < 0.3:
            return value[:place] + value[place + 1 :]
        return [*value[:place], changed_json(rng, value[place]), *value[place + 1 :]]
    return some_json(rng)


def json_bytes(rng, value):
    data = json.dumps(changed_json(rng, value)).encode()
    return damaged(rng, data, data) if rng.random() < 0.3 else data
