"""One captioned set in every layout, and every way in which one can be wrong."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from vlmaudit.data.captions import CaptionedPicture, count_captioned, read_captioned
from vlmaudit.errors import InputError


def stored(number):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (40 * number, 9, 9)).save(buffer, "JPEG")
    return buffer.getvalue()


SET = [(stored(0), ("a dog",)), (stored(1), ("a cat", "un chat noirâtre")), (stored(2), ("Ada",))]


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def lines(folder, records):
    path = folder / "captions.jsonl"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return path


def jsonl_file(folder):
    (folder / "images").mkdir()
    records = []
    for number, (picture, captions) in enumerate(SET):
        (folder / "images" / f"{number}.jpg").write_bytes(picture)
        said = {"caption": captions[0]} if len(captions) == 1 else {"captions": captions}
        records.append({"image": f"images/{number}.jpg", **said})
    return lines(folder, records)


def jsonl_folder(folder):
    jsonl_file(folder)
    return folder


def image_folder(folder):
    for number, (picture, _) in enumerate(SET):
        (folder / f"{number}.jpg").write_bytes(picture)
    lines(folder, [{"file_name": f"{n}.jpg", "text": SET[n][1]} for n in range(len(SET))])
    return folder


def tar_file(folder):
    members = []
    for number, (picture, captions) in enumerate(SET):
        members += [(f"./{number:04d}.jpg", picture), (f"./{number:04d}.cls", b"7")]
        members.append((f"./{number:04d}.txt", "\n".join(captions).encode()))
    return write_tar(folder / "00000.tar", members)


def tar_folder(folder):
    for number, (picture, captions) in enumerate(SET):
        said = json.dumps({"caption": list(captions), "key": "x"}).encode()
        members = [("a/0.JPG", picture), ("a/0.txt", b"worse"), ("a/0.json", said)]
        write_tar(folder / f"{number:05d}.tar", members)
        (folder / f"{number:05d}_stats.json").write_text("{}")
        (folder / f"{number:05d}.parquet").write_bytes(b"a table without pictures")
    return folder


def tar_pattern(folder):
    return tar_folder(folder) / "0*.tar"


def files(folder):
    for number, (picture, captions) in enumerate(SET):
        shard = folder / f"{number:05d}"
        shard.mkdir()
        (shard / f"{number:09d}.jpg").write_bytes(picture)
        (shard / f"{number:09d}.txt").write_text("\n".join(captions), encoding="utf-8")
        (shard / f"{number:09d}.json").write_text(json.dumps({"url": "x", "caption": None}))
        (folder / f"{number:05d}_stats.json").write_text('{"count": 1}')
        parquet.write_table(pa.table({"caption": captions}), folder / f"{number:05d}.parquet")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.jpg").write_bytes(b"")
    return folder


def img2dataset_parquet(folder):
    failed = {"key": "9", "jpg": None, "txt": None, "caption": "x", "status": "failed_to_download"}
    rows = [failed]
    for number, (picture, captions) in enumerate(SET):
        said = {"txt": "\n".join(captions), "caption": None}
        rows.append({"key": str(number), "jpg": picture, **said, "status": "success"})
    rows[2]["caption"] = SET[1][1][0]
    parquet.write_table(pa.Table.from_pylist(rows), folder / "00000.parquet")
    return folder


def hub_parquet(folder):
    (folder / "data").mkdir()
    for number, (picture, captions) in enumerate(SET):
        row = {"image": {"bytes": picture, "path": "x.jpg"}, "caption": list(captions), "id": 3}
        path = folder / "data" / f"train-{number:05d}-of-00003.parquet"
        parquet.write_table(pa.Table.from_pylist([row]), path)
    return folder


def hub_parquet_beside_files(folder):
    rows = []
    for number, (picture, captions) in enumerate(SET):
        (folder / f"{number}.raw").write_bytes(picture)
        rows.append({"image": {"bytes": None, "path": f"{number}.raw"}, "captions": list(captions)})
    parquet.write_table(pa.Table.from_pylist(rows), folder / "all.parquet")
    return folder / "all.parquet"


def binary_parquet(folder):
    rows = [{"image": picture, "text": list(captions)} for picture, captions in SET]
    parquet.write_table(pa.Table.from_pylist(rows), folder / "all.parquet")
    return folder / "*.parquet"


LAYOUTS = [
    *(jsonl_file, jsonl_folder, image_folder, tar_file, tar_folder, tar_pattern, files),
    *(hub_parquet, hub_parquet_beside_files, binary_parquet),
]


def content(picture):
    return picture.read_bytes() if isinstance(picture, Path) else picture


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_set_in_every_layout(layout, tmp_path):
    source = layout(tmp_path)

    found = list(read_captioned(source))

    assert [(content(one.picture), one.captions) for one in found] == SET
    assert len({one.key for one in found}) == len(SET)
    assert [one.key for one in read_captioned(source)] == [one.key for one in found]
    assert {one.split for one in found} == {"train" if layout is hub_parquet else ""}
    assert count_captioned(source) == (None if "tar" in layout.__name__ else len(SET))


def test_downloads_that_failed_are_no_part_of_the_set(tmp_path):
    source = img2dataset_parquet(tmp_path)

    found = list(read_captioned(source))

    assert [one.picture for one in found] == [picture for picture, _ in SET]
    assert [one.captions for one in found] == [("a dog",), ("a cat",), ("Ada",)]
    assert [one.key for one in found] == ["00000/2", "00000/3", "00000/4"]
    assert count_captioned(source) == 3


def test_keys_say_where_a_picture_is(tmp_path):
    jsonl_file(tmp_path)
    assert next(read_captioned(tmp_path)).key == "images/0.jpg"
    (tmp_path / "tars").mkdir()
    tar_folder(tmp_path / "tars")
    assert next(read_captioned(tmp_path / "tars")).key == "00000/a/0"
    assert next(read_captioned(tmp_path / "tars" / "00001.tar")).key == "00001/a/0"


def test_captions_are_one_line_each(tmp_path):
    (tmp_path / "a.jpg").write_bytes(SET[0][0])
    said = {"image": "a.jpg", "captions": [" two\u2028 lines\n", "", "  "], "split": "val"}
    lines(tmp_path, [said])
    assert list(read_captioned(tmp_path)) == [
        CaptionedPicture("a.jpg", ("two lines",), tmp_path / "a.jpg", "val")
    ]


def test_a_line_of_json_may_hold_any_separator_and_blank_lines_do_not_count(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    path = tmp_path / "c.jsonl"
    path.write_text('\ufeff{"image": "a.jpg", "caption": "x\u2028y"}\n\n  \n', encoding="utf-8")
    assert [one.captions for one in read_captioned(path)] == [("x y",)]
    assert count_captioned(path) == 1


@pytest.mark.parametrize(("n_pictures", "size", "limit"), [(30, 10**6, 6e6), (9000, 10, 8e6)])
def test_a_set_is_a_stream(tmp_path, n_pictures, size, limit):
    pictures = [(f"{n:04d}.jpg", bytes(size)) for n in range(n_pictures)]
    members = [m for name, raw in pictures for m in ((name, raw), (f"{name[:4]}.txt", b"x"))]
    path = write_tar(tmp_path / "big.tar", members)
    # In a process of its own: threads that other tests have left allocate as well.
    program = (
        "import sys, tracemalloc\n"
        "from pathlib import Path\n"
        "from vlmaudit.data.captions import read_captioned\n"
        "tracemalloc.start()\n"
        "print(sum(1 for _ in read_captioned(Path(sys.argv[1]))))\n"
        "print(tracemalloc.get_traced_memory()[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    n_read, peak = map(int, done.stdout.split())
    assert n_read == n_pictures
    assert peak < limit


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (['{"image": "a.jpg", "caption": "x"}', "{torn"], r"captions.jsonl:2: no JSON"),
        (["\udcff"], r"captions.jsonl:1: no JSON"),
        (["[" * 100_000], r"captions.jsonl:1: no JSON"),
        (['["a.jpg", "x"]'], r"1: wanted a JSON object"),
        (['{"img": "a.jpg", "caption": "x"}'], r"1: no picture"),
        (['{"imag": "a.jpg", "caption": "x"}'], r"1: no picture.*Did you mean imag\?"),
        (['{"image": 7, "caption": "x"}'], r"1: no picture"),
        (['{"image": "b.jpg", "caption": "x"}'], r'1: picture "b.jpg" does not exist.*add it or'),
        (['{"image": "\\u0000", "caption": "x"}'], r"1: picture .* does not exist"),
        (['{"image": "sub", "caption": "x"}'], r'1: picture "sub" does not exist'),
        (['{"image": "/dev/null", "caption": "x"}'], r'1: picture "/dev/null" does not exist'),
        (['{"image": "a.jpg", "captions": [" "]}'], r"1: no caption; add one or remove"),
        (['{"image": "a.jpg"}'], r"1: no caption"),
        (['{"image": "a.jpg", "captions": ["x", 7]}'], r'1: "captions" must be a text or a list'),
        (['{"image": "a.jpg", "caption": "\\ud800"}'], r"1: a caption is no text"),
        (['{"image": "a.jpg", "caption": "x", "split": 3}'], r'1: "split" must be a text'),
        (
            ['{"image": "a.jpg", "caption": "x"}', "", '{"image": "a.jpg", "caption": "y"}'],
            r'3: picture "a.jpg" appears twice \(first on line 1\)',
        ),
        ([], "no captioned picture in it"),
    ],
)
def test_errors_name_the_line(tmp_path, records, message):
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    path = tmp_path / "captions.jsonl"
    path.write_bytes("\n".join(records).encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message) as caught:
        list(read_captioned(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("0.txt", b"x"), ("1.jpg", b"")], r'00000.tar: "0" has a caption but no picture'),
        ([("0.json", b'{"caption": "x"}')], r'"0" has a caption but no picture'),
        ([("0.txt", b"")], r'"0" has a caption but no picture'),
        ([("0.jpg", b"")], r'"0": no caption'),
        ([("0.jpg", b""), ("0.txt", b" \n")], r'"0": no caption'),
        ([("0.jpg", b""), ("0.json", b'{"caption": ""}')], r'"0": no caption'),
        ([("0.jpg", b""), ("0.txt", b"\xff")], r'"0": the .txt is no UTF-8 text'),
        ([("0.jpg", b""), ("0.json", b"{")], r'"0": no JSON'),
        ([("0.jpg", b""), ("0.jpg", b""), ("0.txt", b"x")], r'"0" has two members .jpg'),
        ([("0.jpg", b""), ("0.png", b""), ("0.txt", b"x")], r'"0" has .jpg and .png'),
        (
            [("0.jpg", b""), ("0.txt", b"x"), ("1.jpg", b""), ("1.txt", b"x"), ("0.json", b"{}")],
            r'"0" appears twice.*stand together',
        ),
        ([("0.npy", b"x"), ("1.json", b'{"count": 1}')], "no captioned picture in it"),
    ],
)
def test_errors_name_the_member(tmp_path, members, message):
    path = write_tar(tmp_path / "00000.tar", members)
    with pytest.raises(InputError, match=message) as caught:
        list(read_captioned(path))
    assert "\n" not in str(caught.value)


def test_a_tar_torn_anywhere_is_torn(tmp_path):
    whole = tar_file(tmp_path).read_bytes()
    with tarfile.open(tmp_path / "00000.tar") as tar:
        last = tar.getmembers()[-1]
    end = last.offset_data + 512
    torn = tmp_path / "torn.tar"
    for cut in [*range(0, end + 512, 256), end + 511]:
        torn.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=r"torn.tar: torn, or no tar \(.*; get it again"):
            list(read_captioned(torn))
    torn.write_bytes(whole[: end + 512])
    assert len(list(read_captioned(torn))) == len(SET)


def test_what_is_before_a_tear_is_read(tmp_path):
    path = tar_file(tmp_path)
    path.write_bytes(path.read_bytes()[:5000])
    stream = read_captioned(path)
    assert next(stream).captions == ("a dog",)
    with pytest.raises(InputError, match="torn"):
        list(stream)


def test_a_header_overwritten_in_the_middle_is_no_end(tmp_path):
    path = tar_file(tmp_path)
    with tarfile.open(path) as tar:
        second = tar.getmembers()[3].offset
    raw = bytearray(path.read_bytes())
    raw[second : second + 100] = b"x" * 100
    path.write_bytes(raw)
    with pytest.raises(InputError, match="torn"):
        list(read_captioned(path))


@pytest.mark.parametrize(
    ("present", "message"),
    [
        (["0.jpg"], r': "0": no caption'),
        (["0.jpg", "0.txt", "1.txt"], r': "1" has a caption but no picture'),
        (["0.jpg", "0.png", "0.txt"], r': "0" has .jpg and .png'),
        (["0.jpg", "0.JPG", "0.txt"], r"0.jpg: there is another of this name"),
    ],
)
def test_errors_name_the_file(tmp_path, present, message):
    for name in present:
        (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=message):
        list(read_captioned(tmp_path))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": b"", "caption": None}, r"x.parquet: row 1: no caption"),
        ({"image": None, "caption": "x"}, r'row 1: no picture in "image"; remove the row'),
        ({"jpg": None, "caption": "x", "status": "success"}, r'row 1: no picture in "jpg"'),
        ({"image": {"bytes": None, "path": "y.jpg"}, "caption": "x"}, r'row 1: picture "y.jpg"'),
        ({"image": "a.jpg", "caption": "x"}, r"no column of pictures.*has image, caption\."),
        ({"image": b"", "title": "x"}, r"no column of captions.*has image, title\."),
        ({"image": b"", "caption": 7}, r'row 1: "caption" must be a text'),
    ],
)
def test_errors_name_the_row(tmp_path, row, message):
    table = pa.Table.from_pylist([row])
    if "image" in row and row["image"] is None:
        table = table.set_column(0, "image", pa.array([None], pa.binary()))
    if "jpg" in row:
        table = table.set_column(0, "jpg", pa.array([None], pa.binary()))
    parquet.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(InputError, match=message) as caught:
        list(read_captioned(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_torn_table_is_named(tmp_path):
    path = tmp_path / "x.parquet"
    rng = np.random.default_rng(0)
    rows = [{"image": rng.bytes(9000), "caption": "x"} for _ in range(20)]
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=5)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for ask in (lambda: list(read_captioned(path)), lambda: count_captioned(path)):
        with pytest.raises(InputError, match=r"x.parquet: torn, or no Parquet"):
            ask()
    path.write_bytes(whole[:4] + b"\xff" * 60 + whole[64:])
    with pytest.raises(InputError, match=r"x.parquet: torn, or no Parquet"):
        list(read_captioned(path))


def test_sources_that_are_none(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such file or folder; wanted captions.jsonl"):
        read_captioned(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no captioned pictures in it"):
        read_captioned(tmp_path)
    (tmp_path / "notes.docx").write_bytes(b"")
    with pytest.raises(InputError, match=r'ending ".docx"'):
        read_captioned(tmp_path / "notes.docx")
    with pytest.raises(InputError, match="0 files of 0 kinds"):
        read_captioned(tmp_path / "*.tar")
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=r"2 files of JSON lines, such as a.jsonl; say which"):
        read_captioned(tmp_path)


def test_the_real_captions_are_read():
    data = os.environ.get("VLMAUDIT_TEST_DATA")
    if not data or not (Path(data) / "captions").is_dir():
        pytest.skip("VLMAUDIT_TEST_DATA does not point to a folder with captions/")
    source = Path(data) / "captions"
    found = list(read_captioned(source))
    assert len(found) == count_captioned(source) > 8000
    assert {one.split for one in found} > {"train"}
    assert {len(one.captions) for one in found} >= {5}
