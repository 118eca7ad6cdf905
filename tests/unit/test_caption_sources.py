"""One set of captions in every kind of file, and every way in which a file can be wrong."""

import bz2
import gzip
import io
import itertools
import json
import tarfile

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from vlmaudit.data.caption_files import line_blocks
from vlmaudit.data.caption_sources import (
    CaptionError,
    CaptionUnit,
    ReadNotes,
    find_sources,
    read_captions,
    units_of,
)
from vlmaudit.errors import InputError

CAPTIONS = ["a dog", 'Zoë, "Ada" and 李明 🎈', "", "O’Brien\tof Cork", "x" * 3_000_000, "a cat"]
ONE_LINE = [caption.replace("\t", " ") for caption in CAPTIONS]


def read(path, **options):
    """The captions of a whole file as bytes, with what the notes say."""
    notes = ReadNotes()
    captions = []
    for unit in units_of(str(path)):
        captions += texts(read_captions(unit, notes=notes, **options))
    return captions, (notes.nulls, notes.damaged)


def texts(arrays):
    found = []
    for array in arrays:
        assert array.type in {pa.string(), pa.large_string()}
        assert array.null_count == 0
        found += [bytes(value.as_buffer()).decode("utf-8", "surrogateescape") for value in array]
    return found


def failing(path, **options):
    """What could be read before the failure, and its reason."""
    captions = []
    with pytest.raises(CaptionError) as caught:
        for unit in units_of(str(path)):
            for array in read_captions(unit, notes=ReadNotes(), **options):
                captions += texts([array])
    reason = str(caught.value)
    assert "\n" not in reason
    assert reason[-1] in ".?", reason
    return captions, reason


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def zstd(raw):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(raw)
    return sink.getvalue().to_pybytes()


def tar_of(members, **options):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def parquet_bytes(columns, **options):
    sink = io.BytesIO()
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    parquet.write_table(table, sink, **options)
    return sink.getvalue()


def json_lines(records):
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


FILES = {
    "part.parquet": parquet_bytes(
        {"url": ["http"] * 6, "TEXT": CAPTIONS}, row_group_size=2, compression="zstd"
    ),
    "part.csv": "url,caption\n" + "".join(f"u,{quoted(text)}\n" for text in CAPTIONS),
    "part.tsv": "caption\turl\r\n" + "".join(f"{quoted(text)}\tu\r\n" for text in CAPTIONS),
    "part.jsonl": json_lines({"caption": text, "n": [1]} for text in CAPTIONS),
    "part.ndjson": json_lines(CAPTIONS),
    "part.txt": "\n".join(ONE_LINE),
    "part.json": json.dumps([{"id": 1, "caption": text} for text in CAPTIONS], indent=20),
    "part.tar": tar_of(
        (f"{n:05d}.{ending}", content)
        for n, text in enumerate(CAPTIONS)
        for ending, content in (
            ("jpg", b"\0" * 700),
            ("json", json.dumps({"caption": text}).encode()),
            ("txt", b"another"),
        )
    ),
}
PACKERS = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstd,
    ".zstd": zstd,
    ".bz2": lambda raw: bz2.compress(raw, 1),  # in blocks of 100 kB
}


def content_of(name):
    content = FILES[name]
    return content if isinstance(content, bytes) else content.encode()


@pytest.mark.parametrize(
    ("name", "packing"),
    [("part.parquet", ""), *itertools.product(list(FILES)[1:], PACKERS)],
)
def test_every_kind_gives_the_same_captions(tmp_path, name, packing):
    path = written(tmp_path / (name + packing), PACKERS[packing](content_of(name)))
    wanted = ONE_LINE if name == "part.txt" else CAPTIONS
    assert read(path) == (wanted, (0, 0))
    assert read(path, rows=2) == (wanted, (0, 0))


@pytest.mark.parametrize("name", FILES)
def test_batches_are_no_larger_than_asked(tmp_path, name):
    path = written(tmp_path / name, content_of(name))
    sizes = [
        len(array) for array in read_captions(CaptionUnit(str(path)), notes=ReadNotes(), rows=2)
    ]
    assert max(sizes) == 2
    assert sum(sizes) == len(CAPTIONS)


@pytest.mark.parametrize(
    "name", ["part.parquet", "part.csv", "part.txt.gz", "part.tar", "part.json.zst"]
)
def test_addresses_are_read_through_fsspec(name):
    stem, _, packing = name.rpartition(".")
    bare = stem if f".{packing}" in PACKERS else name
    raw = PACKERS[f".{packing}" if bare == stem else ""](content_of(bare))
    with fsspec.open(f"memory://sources/{name}", "wb") as file:
        file.write(raw)
    (address,) = find_sources([f"memory://sources/{name}"])
    wanted = ONE_LINE if bare == "part.txt" else CAPTIONS
    assert read(address) == (wanted, (0, 0))
    assert sum(unit.n_bytes for unit in units_of(address)) > 0
    with pytest.raises(CaptionError, match=r"no such file; check the path\.$"):
        units_of("memory://sources/absent.parquet")


# Parquet


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "b"], pa.large_string()),
        pa.array(["a", None, "b"]).dictionary_encode(),
        pa.array([b"a", None, b"b"]),
        pa.array([b"a", None, b"b"], pa.large_binary()),
        pa.array([["a", "b"], [], None]),
        pa.array([["a", None], ["b"]]),
        pa.array([{"from": "human", "value": "a"}, None, {"from": "gpt", "value": "b"}]),
        pa.array(
            [
                [{"content": [{"type": "text", "text": "a"}]}],
                [{"content": None}],
                [{"content": [{"type": "image", "text": None}, {"type": "text", "text": "b"}]}],
            ]
        ),
    ],
    ids=lambda column: str(column.type),
)
def test_parquet_columns_of_every_text_type(tmp_path, column):
    path = written(
        tmp_path / "part.parquet", parquet_bytes({"n": range(len(column)), "text": column})
    )
    assert read(path) == (["a", "b"], (1, 0))


def test_a_chat_of_parquet_is_one_caption_a_row(tmp_path):
    turns = [[{"from": "human", "value": "<image>\nWho?"}, {"from": "gpt", "value": "Ada."}], None]
    path = written(tmp_path / "part.parquet", parquet_bytes({"conversations": turns}))
    assert read(path) == (["<image>\nWho?\nAda."], (1, 0))


def test_bytes_that_are_no_text_come_through(tmp_path):
    path = written(tmp_path / "part.parquet", parquet_bytes({"text": [b"Zo\xeb", b"ok"]}))
    assert read(path) == (["Zo\udceb", "ok"], (0, 0))
    path = written(tmp_path / "part.txt", b"Zo\xeb\nok\n")
    assert read(path) == (["Zo\udceb", "ok"], (0, 0))
    path = written(tmp_path / "part.csv", b"text\nZo\xeb\nok\n")
    assert read(path) == (["Zo\udceb", "ok"], (0, 0))
    path = written(tmp_path / "part.jsonl", b'{"text": "Zo\xeb"}\n{"text": "ok"}\n')
    assert read(path) == (["Zo\udceb", "ok"], (0, 0))
    path = written(tmp_path / "part.json", b'[{"text": "Zo\xeb"}, {"text": "ok"}]')
    assert read(path) == (["Zo\udceb", "ok"], (0, 0))


def test_half_a_sign_spoils_no_other_caption(tmp_path):
    path = written(tmp_path / "part.jsonl", rb'{"text": "\ud83c"}' + b'\n{"text": "ok"}\n')
    captions, notes = read(path)
    assert captions[1:] == ["ok"]
    assert captions[0].encode("utf-8", "surrogateescape") == b"\xed\xa0\xbc"
    assert notes == (0, 0)


def test_memory_does_not_grow_with_the_row_group_of_parquet(tmp_path):
    captions = [f"{n * 7919 % 1_000_003} {n * 104_729 % 1_000_003}" for n in range(1_500_000)]
    raw = parquet_bytes({"text": captions}, row_group_size=len(captions), use_dictionary=False)
    path = written(tmp_path / "a.parquet", raw)
    before = pa.total_allocated_bytes()
    arrays = read_captions(CaptionUnit(str(path)), notes=ReadNotes(), rows=10_000)
    held = [pa.total_allocated_bytes() - before for _ in arrays]
    assert len(held) == 150
    assert max(held) < len(raw) / 3


def test_parquet_is_cut_into_row_groups(tmp_path):
    numbers = [str(n) for n in range(100)]
    path = str(written(tmp_path / "a.parquet", parquet_bytes({"text": numbers}, row_group_size=10)))
    units = units_of(path, rows=25)
    assert [unit.key for unit in units] == [
        f"{path}[0:3]",
        f"{path}[3:6]",
        f"{path}[6:9]",
        f"{path}[9:10]",
    ]
    assert all(unit.n_bytes > 0 for unit in units)
    parts = [texts(read_captions(unit, notes=ReadNotes())) for unit in units]
    assert parts[1] == numbers[30:60]
    assert list(itertools.chain(*parts)) == numbers
    halves = [f"{path}[0:5]", f"{path}[5:10]"]
    assert [unit.key for unit in units_of(path, rows=50)] == halves
    (whole,) = units_of(path, rows=100)
    assert (whole.key, whole.n_bytes) == (path, (tmp_path / "a.parquet").stat().st_size)
    assert texts(read_captions(whole, notes=ReadNotes())) == numbers


def test_parquet_without_rows_is_no_failure(tmp_path):
    path = written(tmp_path / "a.parquet", parquet_bytes({"text": pa.array([], pa.string())}))
    assert read(path) == ([], (0, 0))
    path = written(tmp_path / "b.parquet", parquet_bytes({"text": [None, None]}))
    assert read(path) == ([], (2, 0))


def test_long_captions_make_small_batches(tmp_path):
    long = ["y" * 1_000_000 + str(n) for n in range(200)]
    path = written(tmp_path / "a.parquet", parquet_bytes({"text": long}, use_dictionary=False))
    arrays = list(read_captions(CaptionUnit(str(path)), notes=ReadNotes()))
    assert max(map(len, arrays)) < 70
    assert texts(arrays) == long


def test_a_parquet_file_that_is_damaged_within_gives_what_precedes(tmp_path):
    numbers = [f"{n * 7919 % 10007}" for n in range(4000)]
    raw = bytearray(parquet_bytes({"text": numbers}, row_group_size=1000, use_dictionary=False))
    place = parquet.ParquetFile(io.BytesIO(raw)).metadata.row_group(2).column(0).data_page_offset
    raw[place : place + 600] = b"\xff" * 600
    captions, reason = failing(written(tmp_path / "a.parquet", bytes(raw)), rows=1000)
    assert captions == numbers[:2000]
    assert reason.startswith("torn or unreadable (")


@pytest.mark.parametrize(
    "raw", [b"", b"PAR1", content_of("part.parquet")[:-10], b"no parquet" * 99]
)
def test_what_is_no_parquet_says_so(tmp_path, raw):
    captions, reason = failing(written(tmp_path / "a.parquet", raw))
    assert captions == []
    assert reason.startswith("torn or unreadable (") and reason.endswith("; get it again.")


# Columns


def of_columns(name, columns):
    """A file of a kind with so named columns and one row that holds each column's name."""
    if name.endswith("parquet"):
        return parquet_bytes({column: [column] for column in columns})
    if name.endswith("csv"):
        return f"{','.join(columns)}\n{','.join(columns)}\n"
    record = {column: column for column in columns}
    if name.endswith("tar"):
        return tar_of([("0.json", json.dumps(record).encode()), ("0.jpg", b"x")])
    return json_lines([record])


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.jsonl", "a.json", "a.tar"])
def test_the_first_usual_column_is_taken_or_the_one_asked_for(tmp_path, name):
    path = tmp_path / name
    for columns, taken in [
        (["url", "messages", "txt", "text", "captions", "caption"], "caption"),
        (["url", "TEXT"], "TEXT"),
        (["url", "Conversations", "Txt"], "Txt"),
        (["url", "alt.text", "caption"], "caption"),
    ]:
        assert read(written(path, of_columns(name, columns))) == ([taken], (0, 0))
    assert read(path, column="alt.text") == (["alt.text"], (0, 0))
    captions, reason = failing(path, column="alttext")
    assert captions == []
    assert reason.startswith('no column "alttext"; there are url, alt.text, caption')
    assert reason.endswith(" Did you mean alt.text?")
    captions, reason = failing(written(path, of_columns(name, ["url", "alt"])))
    assert reason.startswith("no column of captions (caption, captions, text, txt, conversations, ")
    assert "; there are url, alt" in reason and reason.endswith(": say which.")


def test_columns_that_cannot_hold_captions_are_refused(tmp_path):
    path = written(tmp_path / "a.parquet", parquet_bytes({"text": [1, 2], "alt": ["a", "b"]}))
    assert failing(path) == ([], 'column "text" holds int64, no text; say which does.')
    assert read(path, column="alt") == (["a", "b"], (0, 0))
    path = written(tmp_path / "a.csv", "text,text\na,b\n")
    assert failing(path) == ([], 'two columns are called "text"; rename one.')
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    path = written(tmp_path / "b.parquet", parquet_bytes(twice))
    assert failing(path) == ([], 'two columns are called "text"; rename one.')


def test_many_columns_are_not_all_listed(tmp_path):
    columns = [f"column {n}" for n in range(40)]
    _, reason = failing(written(tmp_path / "a.csv", ",".join(columns) + "\n"))
    assert "column 11, …: say which." in reason


# Tables


def test_tables_with_rows_that_do_not_fit(tmp_path):
    text = 'id,text\n1,a\n2\n3,b,c\n4,\n5,""\n6,NA\n\n7,"two\nlines"\n8,say "hi"\n'
    path = written(tmp_path / "a.csv", "\ufeff" + text)
    assert read(path) == (["a", "", "NA", "two\nlines", 'say "hi"'], (1, 2))


@pytest.mark.parametrize(
    ("text", "captions"),
    [
        ('n,text\n1,a\n2,"b\n3,c\n4,d\n', ["a"]),
        ('text,n\na,1\n"b,2\nc,3\nd,4', ["a"]),
        ('text\na\n"b\n', ["a"]),
        ('n,text\n1,a\n2,"b"\n"3,c\n', ["a", "b"]),
        (b'n,text\n1,a\n2,Zo\xeb\n"3,c\n', ["a", "Zo\udceb"]),
    ],
)
def test_a_quote_that_is_never_closed_swallows_no_rows_without_a_word(tmp_path, text, captions):
    found, reason = failing(written(tmp_path / "a.csv", text))
    assert found == captions
    assert reason == "a quote that is never closed, or a row of more than 16 MB; mend it."


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_quote_in_a_tsv_swallows_no_rows(tmp_path, ending):
    cells = ['"Ada', "b", '"c" d', 'e "f"', '"', '""', '"g ""h"""', '"i""', '"tab\there"', '"']
    rows = "".join(f"{cell}\tu{ending}" for cell in cells)
    captions = ['"Ada', "b", '"c" d', 'e "f"', '"', "", 'g "h"', '"i""', "tab\there", '"']
    path = written(tmp_path / "a.tsv", f"text\turl{ending}{rows}")
    assert read(path) == (captions, (0, 0))
    rows = "".join(f"u\t{cell}{ending}" for cell in cells)
    path = written(tmp_path / "b.tsv", f"url\ttext{ending}{rows}".removesuffix(ending))
    assert read(path) == (captions, (0, 0))
    # A cell of two lines is two rows, of which one has too few cells.
    path = written(tmp_path / "c.tsv", f'url\ttext{ending}u\t"two{ending}lines"{ending}u\tc')
    assert read(path) == (['"two', "c"], (0, 1))


def test_a_quote_in_a_large_tsv_swallows_no_rows(tmp_path):
    wanted = [f'"caption {n}' if n % 1000 == 7 else f"caption {n}" for n in range(600_000)]
    path = written(tmp_path / "a.tsv", "n\ttext\n" + "".join(f"1\t{one}\n" for one in wanted))
    assert path.stat().st_size > 2 * 2**22
    assert read(path) == (wanted, (0, 0))


def test_a_quote_that_is_never_closed_in_a_large_table(tmp_path):
    rows = "".join(f"{n},caption {n}\n" for n in range(1_500_000))
    captions, reason = failing(written(tmp_path / "a.csv", f'n,text\n{rows}1,"torn\n{rows}'))
    assert len(captions) > 10_000
    assert captions[:2] == ["caption 0", "caption 1"]
    assert "a quote that is never closed" in reason


def test_an_empty_table_has_no_column(tmp_path):
    assert "there are nothing" in failing(written(tmp_path / "a.csv", b""))[1]
    assert read(written(tmp_path / "a.csv", b"text\n")) == ([], (0, 0))


# Text


@pytest.mark.parametrize(
    ("raw", "captions"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\r\nb\rc\r\n\r\nd", ["a", "b\rc", "", "d"]),
        (b"\xef\xbb\xbfa\n\nb\n", ["a", "", "b"]),
    ],
)
def test_lines_of_text(tmp_path, raw, captions):
    assert read(written(tmp_path / "a.txt", raw)) == (captions, (0, 0))


def test_lines_are_whole_wherever_blocks_end(tmp_path):
    lines = [f"{'é' * (n % 400)} {n}" for n in range(40_000)]
    path = written(tmp_path / "a.txt", "\r\n".join(lines))
    assert path.stat().st_size > 3 * 2**22
    assert read(path) == (lines, (0, 0))


def test_a_line_that_a_tear_cuts_short_is_not_given():
    def pieces():
        yield b"a\nb\nhal"
        raise CaptionError("torn.")

    given = []
    with pytest.raises(CaptionError, match="torn"):
        given.extend(line_blocks(pieces()))
    assert given == [b"a\nb\n"]


def test_utf16_is_refused(tmp_path):
    path = written(tmp_path / "a.txt", "a dog\n".encode("utf-16"))
    assert failing(path) == ([], "UTF-16 text; store it as UTF-8.")


# JSON


def test_damaged_lines_are_counted_and_passed_over(tmp_path):
    raw = b'\xef\xbb\xbf{"text": "a"}\n{"text": \n\n{"text": null}\n{"text": 7}\n{"alt": "x"}\n[]\n'
    raw += (
        b'{"text": ["b", "c", 3]} \r\n{"text": "x"} {"text": "y"}\n'
        + b"[" * 100_000
        + b'\n{"text": "d"}'
    )
    assert read(written(tmp_path / "a.jsonl", raw)) == (["a", "b", "c", "d"], (4, 3))


def test_what_is_no_json_lines_says_so(tmp_path):
    _, reason = failing(written(tmp_path / "a.jsonl", b"a dog\na cat\n"))
    assert reason == "no JSON lines: none of the first 2 could be parsed."


LLAVA = [
    {
        "id": "1",
        "image": "1.jpg",
        "conversations": [
            {"from": "human", "value": "<image>\nWho is it?"},
            {"from": "gpt", "value": 'Ada "[{" Lovelace.'},
        ],
    },
    {
        "messages": [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "And?"}]},
            {"role": "assistant", "content": "Zoë"},
        ]
    },
    {"id": "3", "conversations": []},
]
SAID = ['<image>\nWho is it?\nAda "[{" Lovelace.', "And?\nZoë"]


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("ending", [".json", ".jsonl", ".json.gz"])
def test_chats_are_one_caption_a_record(tmp_path, ending, indent):
    raw = json_lines(LLAVA) if ending == ".jsonl" else json.dumps(LLAVA, indent=indent).encode()
    path = written(tmp_path / f"a{ending}", gzip.compress(raw) if ending == ".json.gz" else raw)
    assert read(path) == (SAID, (1, 0))


def test_coco_and_its_like(tmp_path):
    coco = {
        "info": {"year": 2017},
        "images": [{"id": n, "file_name": f"{n}.jpg"} for n in range(3000)],
        "annotations": [{"id": n, "image_id": n, "caption": f"dog {n}"} for n in range(50_000)],
        "licenses": [],
    }
    path = written(tmp_path / "a.json", json.dumps(coco))
    assert read(path) == ([f"dog {n}" for n in range(50_000)], (0, 0))
    assert "there are info, images, annotations" in failing(path, column="alt")[1]


@pytest.mark.parametrize(
    ("text", "captions", "notes"),
    [
        ("[]", [], (0, 0)),
        (' [ "a" , "b" ] ', ["a", "b"], (0, 0)),
        ('{"caption": "a", "key": "1"}', ["a"], (0, 0)),
        ('{"key": "1", "captions": ["a", "b"]}', ["a", "b"], (0, 0)),
        ('{"text": "a"}\n{"text": "b"}\n', ["a", "b"], (0, 0)),
        ('[{"text": "a"}, 7, null, {"text": [[]]}]', ["a"], (3, 0)),
    ],
)
def test_other_shapes_of_json(tmp_path, text, captions, notes):
    assert read(written(tmp_path / "a.json", text)) == (captions, notes)


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_json_does_not_depend_on_where_pieces_end(tmp_path, monkeypatch, step):
    monkeypatch.setattr("vlmaudit.data.caption_files._PIECE", step)
    monkeypatch.setattr("vlmaudit.data.caption_records._WINDOW", step)
    records = [*LLAVA, {"n": -1.5e-10, "is": [True, None, {}], "caption": "\\u00e9 \U0001f388\n"}]
    path = written(tmp_path / "a.json", json.dumps([12345.5e10, *records], indent=30))
    assert read(path) == ([*SAID, "\\u00e9 \U0001f388\n"], (2, 0))


@pytest.mark.parametrize(
    ("text", "captions", "said"),
    [
        ("", [], "empty"),
        ("7", [], "no array of records"),
        ("a dog", [], "from sign 1 on"),
        ('["a", "b"', ["a", "b"], "from sign 10 on (wanted , or ])"),
        ('[{"text": "a"}, {"text": "b', ["a"], "Unterminated string"),
        ('[{"text": "a"}, {"text" "b"}, {"text": "c"}]' + " " * 50, ["a"], "from sign 25 on"),
        ('[{"text": "a"} {"text": "b"}]', ["a"], "from sign 16 on"),
    ],
)
def test_json_that_is_damaged_gives_what_precedes(tmp_path, text, captions, said):
    found, reason = failing(written(tmp_path / "a.json", text))
    assert found == captions
    assert said in reason


# Tars


def test_samples_of_tars(tmp_path):
    members = [
        ("./a/0.jpg", b"\0" * 1000),
        ("./a/0.txt", b"a dog\r\n\n a hound \n"),
        ("./a/1.txt", b"worse"),
        ("./a/1.JSON", b'{"caption": "Ada"}'),
        ("./a/2.json", b'{"key": "2"}'),
        ("./a/2.txt", b"a cat"),
        ("./a/3.json", b'{"caption": null}'),
        ("./a/4.jpg", b"\0"),
        ("./a/5.json", b"{"),
        ("./a/5.seg.txt", b"7"),
        ("./b/5.alt", b"another"),
        ("b/6.txt", b""),
    ]
    path = written(tmp_path / "a.tar", tar_of(members))
    assert read(path) == (["a dog", "a hound", "Ada", "a cat"], (5, 1))
    assert read(path, column="alt")[0] == ["another"]
    assert read(path, column="txt")[0] == ["a dog", "a hound", "worse", "a cat"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("packing", ["", ".gz"])
def test_long_names_are_read_in_every_form(tmp_path, form, packing):
    folder = "f" * 90 + "/" + ("é" if form != tarfile.USTAR_FORMAT else "e") * 40
    members = [(f"{folder}/{n}.{ending}", b"Ada") for n in range(2) for ending in ("jpg", "txt")]
    raw = tar_of(members, format=form)
    path = written(tmp_path / f"a.tar{packing}", PACKERS[packing](raw))
    assert read(path) == (["Ada", "Ada"], (0, 0))


def test_tars_without_captions_say_so(tmp_path):
    path = written(tmp_path / "a.tar", tar_of([("0.jpg", b"x"), ("0.cls", b"7")]))
    assert failing(path)[1].endswith("there are jpg, cls: say which.")
    assert read(written(tmp_path / "b.tar", tar_of([]))) == ([], (0, 0))


@pytest.mark.parametrize("at", [0, 100, 512, 1100, 5 * 1024, 5 * 1024 + 100])
def test_torn_tars_give_what_precedes(tmp_path, at):
    raw = tar_of([(f"{n}.txt", str(n).encode()) for n in range(9)])
    captions, reason = failing(written(tmp_path / "a.tar", raw[:at]))
    # The last whole one may have had a further member.
    assert captions == [str(n) for n in range(at // 1024)][: len(captions)]
    assert len(captions) >= at // 1024 - 1
    assert reason.startswith("torn, or no tar (")
    _, reason = failing(written(tmp_path / "a.tar", raw[:2048] + b"junk" * 512 + raw[4096:]))
    assert reason.startswith("torn, or no tar (")


# Packed streams


@pytest.mark.parametrize("packing", [".gz", ".zst", ".bz2"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.json", "a.tar"])
def test_torn_streams_give_whole_captions_only(tmp_path, name, packing):
    wanted = [f"{n * 7919 % 1_000_003} {n * 104_729 % 1_000_003}" for n in range(60_000)]
    raw = {
        "a.txt": "\n".join(wanted).encode(),
        "a.csv": "n,text\n" + "".join(f"1,{text}\n" for text in wanted),
        "a.jsonl": json_lines({"text": text} for text in wanted),
        "a.json": json.dumps([{"text": text} for text in wanted]),
        "a.tar": tar_of((f"{n}.txt", wanted[n].encode()) for n in range(5000)),
    }[name]
    packed = PACKERS[packing](raw if isinstance(raw, bytes) else raw.encode())
    captions, reason = failing(written(tmp_path / (name + packing), packed[: len(packed) * 2 // 3]))
    assert captions == wanted[: len(captions)]
    assert len(captions) > 1000
    assert reason.startswith("torn or unreadable (")
    captions, reason = failing(written(tmp_path / (name + packing), b""))
    assert captions == []
    assert reason.startswith("empty, hence no ")
    failing(written(tmp_path / (name + packing), b"no packed file at all"))


def test_streams_packed_in_several_members(tmp_path):
    for packing in (".gz", ".zst", ".bz2"):
        raw = PACKERS[packing](b"a\nb") + PACKERS[packing](b"c\nd\n")
        assert read(written(tmp_path / f"a.txt{packing}", raw)) == (["a", "bc", "d"], (0, 0))


# Finding


def test_files_that_cannot_be_read_say_why(tmp_path):
    assert failing(tmp_path / "a.txt") == ([], "there is no such file; check the path.")
    with pytest.raises(CaptionError, match=r"^there is no such file"):
        list(read_captions(CaptionUnit(str(tmp_path / "a.csv")), notes=ReadNotes()))
    for name in ("a.doc", "a.parquet.gz"):
        _, reason = failing(written(tmp_path / name, b"x"))
    assert reason.startswith("of no known kind; wanted .parquet, .csv, ")


def test_sources_are_found_by_file_folder_and_glob(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "b/2.parquet",
        "b/c/1.jsonl.gz",
        "a.TXT",
        "b/x.jpg",
        "b/0_stats.json",
        "b/.h.txt",
        "b/.h/x.txt",
        "b/[1].csv",
    ):
        written(tmp_path / name, b"")
    everything = ["a.TXT", "b/2.parquet", "b/[1].csv", "b/c/1.jsonl.gz"]
    assert find_sources(["."]) == everything
    assert find_sources(["b", "a.TXT", "./a.TXT", str(tmp_path / "b"), "b/*"]) == everything
    assert find_sources(["**/*.parquet", "b/**/*.gz"]) == ["b/2.parquet", "b/c/1.jsonl.gz"]
    assert find_sources(["b/[1].csv"]) == ["b/[1].csv"]
    assert find_sources(["b/0_stats.json"]) == ["b/0_stats.json"]
    assert find_sources([]) == []


def test_sources_far_away_are_found_likewise():
    for name in ("b/2.parquet", "b/c/1.jsonl.gz", "b/x.jpg"):
        with fsspec.open(f"memory://found/{name}", "wb") as file:
            file.write(b"x")
    everything = ["memory:///found/b/2.parquet", "memory:///found/b/c/1.jsonl.gz"]
    assert find_sources(["memory://found"]) == everything
    assert find_sources(["memory://found/**/*", "memory://found/b"]) == everything
    assert find_sources(["memory://found/b/*"]) == everything[:1]
    with pytest.raises(InputError, match=r"^memory://found/d: no such file or folder; check the"):
        find_sources(["memory://found/d"])
    with pytest.raises(InputError, match=r"^nowhere://a: cannot be looked up \(.+\)\.$"):
        find_sources(["nowhere://a"])


def test_what_stands_for_no_source_is_refused(tmp_path):
    written(tmp_path / "a.jsnl", b"x")
    for pattern, said in [
        ("a.jsnl", r'ending "\.jsnl"; wanted \.parquet, .* Did you mean \.jsonl\?$'),
        ("b.csv", r"b\.csv: no such file or folder; check the path\.$"),
        ("*.csv", r"\*\.csv: no file there holds captions; wanted \.parquet"),
        ("*", r": none of 1 files holds captions; wanted \.parquet"),
        ("", r": none of 1 files holds captions; wanted \.parquet"),
    ]:
        with pytest.raises(InputError, match=said):
            find_sources([str(tmp_path / pattern)])


def test_captions_that_would_count_twice_are_refused(tmp_path):
    for name in ("00000.tar", "00000.parquet", "00000_stats.json"):
        written(tmp_path / name, b"")
    with pytest.raises(InputError, match=r"00000\.parquet and .*00000\.tar differ in their ending"):
        find_sources([str(tmp_path)])
    assert find_sources([f"{tmp_path}/*.tar"]) == [f"{tmp_path}/00000.tar"]
