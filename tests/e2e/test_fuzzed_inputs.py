"""Whatever is handed in, it ends in an answer or in one line that says what is wrong with it.

Most cases go to the functions that read people, pictures, names, votes and models; hundreds go
through the whole command line. What stands here says what is fuzzed; tests/fuzzing.py draws it,
and says how a case is run again.
"""

import contextlib
import io
import json
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmaudit.audits.identity_inference.votes import read_votes
from vlmaudit.cli import app
from vlmaudit.data.candidates import Candidate, read_candidates
from vlmaudit.data.identities import Person, read_people, read_people_table
from vlmaudit.data.images import PictureError, open_picture, picture_digest
from vlmaudit.data.names import fold_name
from vlmaudit.errors import AuditError
from vlmaudit.execution.plan import list_pictures
from vlmaudit.models.loading import kind_of, load_contrastive, model_folder, parse_spec
from vlmaudit.report.html import write_report
from vlmaudit.report.views import view
from vlmaudit.results.files import write_text

fuzzing = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "fuzzing.py")))
pick, one_of, some_text, damaged = fuzzing.pick, fuzzing.one_of, fuzzing.some_text, fuzzing.damaged


def a_picture(rng, folder):
    path = fuzzing.place_picture(rng, folder)
    try:
        picture_digest(path)
        picture = open_picture(path)
    except PictureError as problem:
        fuzzing.assert_reason(str(problem))
        return
    assert picture.mode == "RGB"
    assert min(picture.size) > 0


# People, names and votes.

FOLDERS = ("Ada_Lovelace", "Seán_O'Casey", "p1", "p2", "{name}", "\x1b[31m", "<script>", "a b")
COLUMNS = ("identity", "folder", "name", "aliases", "sex", "origin", "membership", "occurrences")
CELLS = {
    "identity": ("p1", "p2", "p3", "Ada_Lovelace", "a"),
    "folder": (*FOLDERS, "", ""),
    "name": ("Ada Lovelace", "Bo Diddley", "Cher", "山田 花子"),
    "aliases": ("", "A. L.|Countess", "|"),
    "sex": ("female", "male", ""),
    "origin": ("en_US", "de_DE", ""),
    "membership": ("member", "non_member", ""),
    "occurrences": ("", "0", "7", "4096"),
}


def people_rows(rng, share, most=7):
    columns = [each for each in COLUMNS if each in {"identity", "name"} or rng.random() < 0.6]
    if rng.random() < 0.3:
        columns.append(one_of(rng, ["fame", "covariate: fame", "", "detected", "identity"], 0.7))
    if rng.random() < 0.04:
        columns[int(rng.integers(len(columns)))] = some_text(rng)
    if rng.random() < 0.3:
        columns = [columns[place] for place in rng.permutation(len(columns))]
    rows = [columns]
    for number in range(int(rng.integers(0, most))):
        row = [one_of(rng, CELLS.get(column, ("x", "1.5", "")), share) for column in columns]
        if rng.random() < 0.95:  # most tables have an identity a row, and a folder that is there
            own = {"folder": FOLDERS[number], "identity": f"p{number}"}
            own["identity"] = own["identity"] if "folder" in columns else own["folder"]
            row = [own.get(column, cell) for column, cell in zip(columns, row, strict=True)]
        if rng.random() < 0.03:
            row = row[:-1] if rng.random() < 0.5 else [*row, "more"]
        rows.append(row)
    return rows


def a_people_table(rng, folder):
    path = folder / "people.csv"
    path.write_bytes(fuzzing.csv_bytes(rng, people_rows(rng, pick(rng, [0.9, 0.98, 1.0]))))
    assert read_people_table(path)


def make_people(rng, folder):
    count = int(rng.integers(0, len(FOLDERS) + 1))
    for name in FOLDERS[:count]:
        (folder / name).mkdir()
        for number in range(int(rng.integers(0, 3))):
            (folder / name / f"{number}.png").write_bytes(rng.bytes(8))
    match int(rng.integers(20)):
        case 0:
            (folder / b"\xff\xfe".decode(errors="surrogateescape")).mkdir()
        case 1:
            (folder / some_file_name(rng)).mkdir(exist_ok=True)
        case 2:
            (folder / "loop").symlink_to(folder / "loop")
        case 3:
            (folder / "up").symlink_to(folder)
    for name in FOLDERS[:2]:
        if (folder / name).exists() and rng.random() < 0.1:
            fuzzing.place_picture(rng, folder / name)
    match int(rng.integers(12)):
        case 0:
            (folder / "people.csv").mkdir()
        case 1 | 2 | 3:
            pass
        case _:
            most = pick(rng, [count + 1] * 9 + [7])
            rows = people_rows(rng, pick(rng, [0.9, 0.98, 1.0, 1.0, 1.0]), most)
            table = fuzzing.csv_bytes(rng, rows)
            (folder / "people.csv").write_bytes(table)


def some_file_name(rng):
    name = some_text(rng).replace("/", "∕").replace("\0", "0")
    return name.encode("utf-8", "surrogateescape")[:200].decode(errors="ignore") or "empty"


def some_people(rng, folder):
    make_people(rng, folder)
    people = read_people(folder)
    pictures, notices = list_pictures(people, "audited")
    json.dumps([*people.notices, *notices], ensure_ascii=False).encode()
    for one in pictures:
        one.image.encode()
    for person in people.persons:
        (person.identity + person.name).encode()
        assert fold_name(person.name)


def names_bytes(rng):
    rows = [[one_of(rng, ["name", "Name", " name "], 0.95), "sex", "origin"]]
    for _ in range(int(rng.integers(0, 9))):
        row = [one_of(rng, CELLS["name"], 0.5)]
        row += [one_of(rng, CELLS[each], 0.95) for each in ("sex", "origin")]
        rows.append(row if rng.random() < 0.95 else row[: int(rng.integers(3))])
    return fuzzing.csv_bytes(rng, rows)


def some_names(rng, folder):
    path = folder / f"names{pick(rng, ['.csv', '.txt', '.CSV', ''])}"
    if rng.random() < 0.02:
        path.mkdir()
    else:
        path.write_bytes(names_bytes(rng))
    candidates = read_candidates(path)
    assert candidates
    assert all(fold_name(candidate.name) for candidate in candidates)


PERSONS = tuple(
    Person(identity=f"p{number}", name=name) for number, name in enumerate(CELLS["name"])
)


def votes_file(rng, folder):
    ending = pick(
        rng, [".csv", ".parquet", ".jsonl", ".ndjson", ".CSV", ".PARQUET"] * 4 + [".xlsx", ""]
    )
    path = folder / f"votes{ending}"
    rows = [
        {
            "identity": one_of(rng, ["p0", "p1", "p2"], 0.99),
            "image": f"{image}.png",
            "template": template,
            "predicted": one_of(rng, ["Ada Lovelace", "Cher", ""], 0.9),
        }
        for image in range(int(rng.integers(0, 4)))
        for template in ("{name}", "a photo of {name}")
    ]
    if rng.random() < 0.2:
        more = pick(rng, ["margin", "predicted ", "", "identity.1"])
        extra = pick(rng, [0.5, None, "x", [1], {"a": 1}])
        rows = [{**row, more: extra} for row in rows]
    if rows and rng.random() < 0.1:
        column = pick(rng, ["identity", "image", "template", "predicted"])
        strange = pick(rng, [None, 7, 1.5, True, [1, 2], {"a": [None]}, ["p0"], "\x00"])
        for row in rows:
            row[column] = strange
    if rows and rng.random() < 0.1:
        column = pick(rng, ["identity", "image", "template", "predicted"])
        rows = [{key: value for key, value in row.items() if key != column} for row in rows]
    if rng.random() < 0.05:
        path.mkdir()
        return path
    match ending.lower():
        case ".parquet":
            file = io.BytesIO()
            table = pl.DataFrame(rows, strict=False, infer_schema_length=None)
            if rows and rng.random() < 0.1:
                name = pick(rng, table.columns)
                kind = pick(rng, [pl.Categorical, pl.Binary, pl.Int64, pl.Date, pl.Null])
                with contextlib.suppress(pl.exceptions.PolarsError):
                    table = table.with_columns(pl.col(name).cast(kind, strict=False))
            table.write_parquet(file)
            data = file.getvalue()
        case ".csv":
            header = list(rows[0]) if rows else ["identity"]
            cells = [[str(value) for value in row.values()] for row in rows]
            data = fuzzing.csv_bytes(rng, [header, *cells])
        case _:
            lines = [json.dumps(row, ensure_ascii=bool(rng.integers(2))) for row in rows]
            data = "\n".join(lines).encode("utf-8", "replace")
    path.write_bytes(damaged(rng, data, data) if rng.random() < 0.2 else data)
    return path


def some_votes(rng, folder):
    path = votes_file(rng, folder)
    candidates = [Candidate("Ada Lovelace"), Candidate("Cher")] if rng.integers(2) else None
    assert read_votes(path, PERSONS, candidates).votes


# Models.

PIECES = (
    *("open_clip", "hf", "scripted", "endpoint", "chat", "http", "https", "HF", "openclip"),
    *(":", ":", "://", "/", "/", "@", "@", "./", "../", "~", "~nobody/", ".", "..", "//", "?"),
    *("#", "[", "]", "%00", "%", " ", "\\", "ViT-B-32", "laion400m_e32", "openai", "clip-vit"),
    *("127.0.0.1", "localhost", "[::1]", ":9", ":99999", ":x", "user:password@", "?code=secret"),
    *("\x00", "\x1b[31m", "ünï", "💥", "\u202e", "a" * 5000, "a\nb", "/nowhere/x"),
)


SCHEMES = ("open_clip:", "hf:", "scripted:", "endpoint:http://127.0.0.1:9", "")


def some_spec(rng, schemes=SCHEMES):
    scheme = pick(rng, schemes)
    text = scheme + "".join(pick(rng, PIECES) for _ in range(int(rng.integers(0, 7))))
    return text if rng.random() < 0.9 else text + some_text(rng)


def a_spec(rng, folder):
    text = some_spec(rng)
    spec = parse_spec(text)
    assert not spec.url or "secret" not in spec.public_name
    spec.public_name.encode()
    model_folder(text)
    if kind_of(text) == "label_only":
        return
    if spec.scheme == "scripted":
        load_contrastive(text)


SCRIPT = {
    "people": {"#ff0000": "Ada Lovelace", "#00ff00": "Cher"},
    "strength": 4.0,
    "hubs": ["Bo Diddley"],
    "broken": ["#0000ff"],
    "seed": 0,
}


def a_script(rng, folder):
    path = folder / "model.json"
    path.write_bytes(fuzzing.json_bytes(rng, SCRIPT))
    model = load_contrastive(f"scripted:{path}")
    rows = model.encode_images([Image.new("RGB", (3, 3), "#ff0000"), Image.new("RGB", (1, 1))])
    assert rows.shape == (2, 64)
    assert len(model.encode_texts(["a photo of Ada Lovelace", "", some_text(rng)])) == 3


FUNCTIONS = {
    "picture": (a_picture, 150, 4000),
    "people": (some_people, 100, 2000),
    "people table": (a_people_table, 100, 1500),
    "names": (some_names, 80, 1000),
    "votes": (some_votes, 100, 1500),
    "spec": (a_spec, 150, 1500),
    "script": (a_script, 80, 1000),
}
"""How a kind is handed in; how many cases the short run has; at which number the long run ends."""


def through_a_function(kind, first, end, root):
    function = FUNCTIONS[kind][0]
    for number, rng, folder in fuzzing.cases(kind, first, end, root):
        with fuzzing.reproducible(kind, number):
            try:
                function(rng, folder)
            except AuditError as problem:
                fuzzing.assert_error(problem)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_reader_gives_an_answer_or_an_error_of_one_line(kind, tmp_path):
    through_a_function(kind, 0, FUNCTIONS[kind][1], tmp_path)


@pytest.mark.prove
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_reader_gives_an_answer_or_an_error_of_one_line_thousands_of_times(kind, tmp_path):
    through_a_function(kind, *FUNCTIONS[kind][1:], tmp_path)


# The command line.


def paint(folder, number, names):
    """Pictures of one face: the colour in their middle."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        picture = Image.new("RGB", (6, 6), (number, place, 7))
        picture.paste((number, 100, 50), (2, 2, 5, 5))
        picture.save(folder / name, "PNG")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Four people, three controls, and a model that knows one of them."""
    root = tmp_path_factory.mktemp("world")
    for number in range(4):
        paint(root / "people" / f"p{number}", number, ["0.png", "1.png"])
    for number in range(3):
        paint(root / "controls" / f"c{number}", 100 + number, ["0.png", "1.png"])
    rows = [f"p{number},{name},female,en_US" for number, name in enumerate(CELLS["name"])]
    table = "\n".join(["identity,name,sex,origin", *rows])
    (root / "people" / "people.csv").write_text(table, encoding="utf-8")
    (root / "votes.csv").write_text(
        "identity,image,template,predicted\np0,0.png,{name},Ada Lovelace\np1,0.png,{name},Cher\n"
    )
    (root / "names.csv").write_text("name,sex,origin\nAnn Lee,female,en_US\nCher,female,en_US\n")
    (root / "model.json").write_text(json.dumps({"people": {"#016432": "Bo Diddley"}}))
    return root


def in_words(finding, out, **_):
    """All that a report says, without its page."""
    view(finding)
    write_text(out / "report.html", "")
    return out / "report.html"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """A report of words alone, for charts take a second; no measuring of speed."""
    monkeypatch.setattr("vlmaudit.report.html.write_report", in_words)
    monkeypatch.setattr("vlmaudit.models.self_test.per_second", lambda *_, **__: 1000.0)


def audit(world, out, **other):
    """The arguments of an audit; a value of None leaves an option out, True makes it a flag."""
    options = {
        "--model": f"scripted:{world / 'model.json'}",
        "--people": world / "people",
        "--controls": world / "controls",
        "--out": out,
        "--names": 20,
        "--paper-pool": 20,
        **other,
    }
    return ["identity-inference", *as_arguments(options)]


def as_arguments(options):
    for option, value in options.items():
        if value is not None:
            yield from [option] if value is True else [option, str(value)]


NUMBERS = (
    *("0", "-1", "1", "2", "nan", "inf", "-inf", "1e400", "0.5", "1e-320", "21", "22", "auto"),
    *("", " 1", "٣", "²", "1_0", "0x1", "+1", "9" * 5000, "-" + "9" * 400, str(2**63), str(10**12)),
)
SHARDS = ("1/1", "0/1", "2/1", "1/2", "2/3", "7/1000000000000", "-1/2", "1/0", "٣/٤", "1/2/3", "/")
PLACES = (
    *("people", "controls", "model.json", "people.csv", "nowhere", "empty", "", ".", "..", "/"),
    *("/dev/null", "/dev/full", "/proc/nothing", "a/b/c", "ünï 💥", "\x1b[31m", "x" * 300),
    *("a\0b", "a\nb", b"\xff".decode(errors="surrogateescape"), "dangling", "loop", "loop/in"),
    *("model.json/in", "~", "-"),
)
OPTIONS = {
    "--tau": NUMBERS,
    "--alpha": NUMBERS,
    "--names": (*NUMBERS, *PLACES),
    "--paper-pool": NUMBERS,
    "--max-failures": NUMBERS,
    "--limit": NUMBERS,
    "--seed": NUMBERS,
    "--batch-size": NUMBERS,
    "--concurrency": NUMBERS,
    "--requests-per-second": NUMBERS,
    "--timeout": NUMBERS,
    "--attempts": NUMBERS,
    "--shard": (*SHARDS, *NUMBERS),
    "--pool": ("global", "same-sex", "same-origin", "GLOBAL", "x"),
    "--protocol": ("paper", "audit", "x"),
    "--device": ("cpu", "auto", "cuda", "cuda:x", "cpu:9", "mps", "tpu", "\x1b[31m"),
    "--dtype": ("float32", "float16", "bfloat16", "float64", "\x1b[31m", ""),
    "--people": PLACES,
    "--controls": PLACES,
    "--out": PLACES,
    "--reuse": PLACES,
    "--fresh": (True,),
    "--no-retry": (True,),
    "--allow-mixed": (True,),
    "--json": (True,),
}


def made_places(folder, world):
    """Where relative places lead: a folder of a case's own, with what may lie in one."""
    shutil.copytree(world / "people", folder / "people")
    shutil.copytree(world / "controls", folder / "controls")
    shutil.copy(world / "model.json", folder)
    (folder / "empty").mkdir()
    (folder / "dangling").symlink_to("nothing/at/all")
    (folder / "loop").symlink_to("loop")


def some_options(rng, folder, world):
    made_places(folder, world)
    chosen = {}
    for _ in range(int(rng.integers(1, 4))):
        option = pick(rng, list(OPTIONS))
        chosen[option] = one_of(rng, OPTIONS[option], 0.95)
    yield audit(world, folder / "run", **chosen)


VERBS = (("report",), ("status",), ("status", "--json"), ("conclude",), ("conclude", "--json"))


def some_place(rng, folder, world):
    made_places(folder, world)
    yield [*pick(rng, VERBS), one_of(rng, PLACES)]


def a_study(rng, folder, world):
    """People, pictures, table and decoys all drawn."""
    people = folder / "people"
    people.mkdir()
    make_people(rng, people)
    for number, name in enumerate(FOLDERS[:2]):
        paint(
            people / name,
            number,
            ["a.png", some_file_name(rng)[:50] + ".png"],
        )
    names = folder / "names.csv"
    names.write_bytes(names_bytes(rng))
    chosen = {
        "--people": people,
        "--names": pick(rng, [names, 20, 20]),
        "--paper-pool": pick(rng, [9, 12, 3]),
    }
    chosen |= {"--controls": pick(rng, [None, world / "controls"])}
    chosen |= {"--protocol": pick(rng, ["paper", "audit"]), "--json": pick(rng, [True, None])}
    run = folder / "run"
    yield audit(world, run, **chosen)
    yield ["status", run]
    yield ["conclude", run, "--json"]


def a_table_of_votes(rng, folder, world):
    chosen = {"--votes": world / "votes.csv", "--people": world / "people" / "people.csv"}
    chosen |= {"--names": pick(rng, [None, world / "names.csv"])}
    match int(rng.integers(4)):
        case 0:
            chosen["--votes"] = votes_file(rng, folder)
        case 1:
            (folder / "people.csv").write_bytes(fuzzing.csv_bytes(rng, people_rows(rng, 0.98)))
            chosen["--people"] = folder / "people.csv"
        case 2:
            (folder / "names.csv").write_bytes(names_bytes(rng))
            chosen["--names"] = folder / "names.csv"
        case _:
            option = pick(rng, ["--tau", "--alpha", "--pool", "--protocol"])
            chosen[option] = one_of(rng, OPTIONS[option])
            made_places(folder, world)
            chosen["--out"] = pick(rng, [None, *PLACES])
    yield ["conclude", *as_arguments(chosen | {"--json": pick(rng, [True, None])})]


def a_model(rng, folder, world):
    spec = some_spec(rng, ["scripted:", "endpoint:http://127.0.0.1:9", "endpoint:", ""])
    if rng.random() < 0.3:
        (folder / "model.json").write_bytes(fuzzing.json_bytes(rng, SCRIPT))
        spec = f"scripted:{folder / 'model.json'}"
    yield audit(world, folder / "run", **{"--model": spec, "--attempts": 1})
    if rng.random() < 0.3:
        yield ["models", "check", *pick(rng, [["--json"], []]), "--", spec]


PLANTED = {
    "people": [
        {"identity": f"p{number}", "stratum": "women", "arm": arm, "dose": dose}
        for number, (arm, dose) in enumerate([("paired", 4), ("never", 0)] * 2)
    ],
    "arms": {"never": 2, "paired 4": 2},
    "seed": 0,
}


def a_planting(rng, folder, world):
    """A record of who was planted, as it lies beside a lab's model."""
    shutil.copy(world / "model.json", folder)
    (folder / "planted.json").write_bytes(fuzzing.json_bytes(rng, PLANTED))
    yield audit(world, folder / "run", **{"--model": f"scripted:{folder / 'model.json'}"})


def a_heavy_model(rng, folder, world):
    """Of a kind that needs a model library; nothing of the sort is on this machine."""
    spec = some_spec(rng, ["open_clip:", "hf:"])
    yield audit(world, folder / "run", **{"--model": spec})


COMMANDS = {
    "option": (some_options, 45, 700),
    "place": (some_place, 30, 300),
    "study": (a_study, 20, 250),
    "table": (a_table_of_votes, 30, 400),
    "model": (a_model, 30, 400),
    "planting": (a_planting, 20, 200),
    "heavy model": (a_heavy_model, 10, 150),
}
LIGHT = [kind for kind in COMMANDS if kind != "heavy model"]


@pytest.fixture
def through_the_command_line(world, tmp_path, monkeypatch, servers, network_attempts):
    """Runs cases of a kind; nobody is reached but this machine, and it does not answer."""

    def through(kind, first, end):
        for number, rng, folder in fuzzing.cases(kind, first, end, tmp_path):
            monkeypatch.chdir(folder)
            with fuzzing.reproducible(kind, number):
                for arguments in COMMANDS[kind][0](rng, folder, world):
                    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
                    fuzzing.assert_end(done, is_json="--json" in arguments)
            monkeypatch.chdir(tmp_path)
        network_attempts.clear()

    return through


@pytest.mark.parametrize("kind", LIGHT)
def test_a_command_ends_as_documented(kind, through_the_command_line):
    through_the_command_line(kind, 0, COMMANDS[kind][1])


@pytest.mark.torch
def test_a_command_on_a_model_that_is_nowhere_ends_as_documented(through_the_command_line):
    through_the_command_line("heavy model", 0, COMMANDS["heavy model"][1])


@pytest.mark.prove
@pytest.mark.parametrize("kind", COMMANDS)
def test_a_command_ends_as_documented_thousands_of_times(kind, through_the_command_line):
    through_the_command_line(kind, *COMMANDS[kind][1:])


@pytest.mark.prove
def test_the_page_of_whatever_came_out_is_written(through_the_command_line, monkeypatch, tmp_path):
    pages = []

    def write_and_look(finding, out, **how):
        page = write_report(finding, out, **how)
        fuzzing.assert_quiet(page.read_text(encoding="utf-8").replace("\t", ""))
        pages.append(page)
        return page

    monkeypatch.setattr("vlmaudit.report.html.write_report", write_and_look)
    through_the_command_line("study", 0, 150)
    assert len(pages) > 20 or fuzzing.ONLY
