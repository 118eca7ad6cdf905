"""Names are counted exactly, whatever is killed, damaged or dealt to several jobs on the way."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from vlmaudit.cli import app

COMMAND = [sys.executable, "-c", "from vlmaudit.cli import main; main()"]
NAMES = {
    "Ada Quillfeather": 7,
    "Zoë Núñez-Ørn": 5,
    "Conan O’Brannigan": 4,
    "Ann Lee": 3,
    "Mary Ann Lee": 6,
    "王小明": 2,
    "Nobody Mentioned": 0,
}
FILLER = [
    "a dog on a beach",
    "Black Friday  sale!",
    "crème brûlée 😀",
    "東京の夜",
    "ein Straßenbahn_ticket",
]


def run(*arguments):
    return CliRunner().invoke(app, ["names", *map(str, arguments)])


def captions(rng, number):
    """Captions that name everybody as often as planted, in a file of so many."""
    texts = [FILLER[int(at)] for at in rng.integers(len(FILLER), size=number)]
    free = list(map(int, rng.permutation(number)))
    for name, times in NAMES.items():
        for turn in range(times):
            at = free.pop()
            written = [name, name.upper(), name.replace(" ", "_")][turn % 3]
            texts[at] = f"({written}), {texts[at]}" if turn % 2 else f"{texts[at]}: {written}’s"
    return texts


@pytest.fixture
def names(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("\n".join(NAMES), "utf-8")
    return file


def write_shards(folder, shards, rows, seed=0):
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for shard in range(shards):
        table = pa.table({"url": ["u"] * rows, "caption": captions(rng, rows)})
        pq.write_table(table, folder / f"{shard:03d}.parquet")
    return folder


def counts_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return {
            row["name"]: (int(row["captions"]), int(row["occurrences"]))
            for row in csv.DictReader(file)
        }


def planted(files):
    return {name: (times * files, times * files) for name, times in NAMES.items()}


def test_what_is_planted_comes_back_from_every_kind_of_file(tmp_path, names):
    folder = tmp_path / "captions"
    folder.mkdir()
    rng = np.random.default_rng(0)
    texts = [captions(rng, 200) for _ in range(7)]
    pq.write_table(pa.table({"TEXT": texts[0]}), folder / "a.parquet", row_group_size=50)
    with gzip.open(folder / "b.txt.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(texts[1]) + "\n")
    pl.DataFrame({"id": range(200), "caption": texts[2]}).write_csv(folder / "c.csv")
    pl.DataFrame({"id": range(200), "caption": texts[3]}).write_csv(
        folder / "d.tsv", separator="\t"
    )
    (folder / "e.jsonl").write_text(
        "".join(json.dumps({"caption": text}) + "\n" for text in texts[4]), "utf-8"
    )
    talks = [
        {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": text}]}
        for text in texts[5]
    ]
    (folder / "f.json").write_text(json.dumps(talks), "utf-8")
    packed = pa.CompressedOutputStream(str(folder / "g.txt.zst"), "zstd")
    packed.write(("\n".join(texts[6]) + "\n").encode())
    packed.close()
    out = tmp_path / "counts.csv"
    done = run("count", "--captions", folder, "--names", names, "--out", out)
    assert done.exit_code == 0, done.output
    assert counts_of(out) == planted(7)
    finding = json.loads((tmp_path / "counts.finding.json").read_text("utf-8"))
    assert finding["captions"] == 1400
    assert oct((tmp_path / "counts.csv.units").stat().st_mode)[-3:] == "700"


def test_jobs_add_up_to_the_whole(tmp_path, names):
    shards = write_shards(tmp_path / "shards", 5, 300)
    common = ("--captions", shards, "--names", names)
    whole = tmp_path / "whole.parquet"
    assert run("count", *common, "--out", whole).exit_code == 0
    parts = [tmp_path / f"part{place}.csv" for place in (1, 2, 3)]
    for place, part in enumerate(parts, start=1):
        assert run("count", *common, "--out", part, "--shard", f"{place}/3").exit_code == 0
    total = tmp_path / "total.csv"
    assert run("add", *parts, "--out", total).exit_code == 0
    assert counts_of(total) == planted(5)
    assert pl.read_parquet(whole).rows() == pl.read_csv(total).rows()
    findings = [
        json.loads((tmp_path / f"{stem}.finding.json").read_text("utf-8"))
        for stem in ("whole", "total")
    ]
    assert findings[0] == findings[1]
    again = run("add", parts[0], parts[0], "--out", total)
    assert again.exit_code == 3
    assert "is counted in" in again.output


def test_a_damaged_shard_is_recorded_and_counted_once_it_is_whole(tmp_path, names):
    shards = write_shards(tmp_path / "shards", 3, 300)
    damaged = shards / "001.parquet"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    out = tmp_path / "counts.csv"
    asked = ("count", "--captions", shards / "*.parquet", "--names", names, "--out", out)
    done = run(*asked)
    assert done.exit_code == 4
    assert "Not counted" in done.output
    assert "001.parquet" in done.output
    assert counts_of(out) == planted(2)
    damaged.write_bytes(content)
    assert run(*asked).exit_code == 0
    assert counts_of(out) == planted(3)


def children_of(pid):
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8")
        return list(map(int, children.split()))
    except OSError:
        return []


def workers_of(pid):
    """Those that count; not the one that keeps track of what processes share."""
    return [
        child
        for child in children_of(pid)
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="finds processes through /proc")
@pytest.mark.parametrize("who", ["worker", "whole run"])
def test_counts_stay_exact_when_processes_are_killed(tmp_path, names, who):
    shards = write_shards(tmp_path / "shards", 40, 20_000)
    out = tmp_path / "counts.csv"
    asked = [
        *(*COMMAND, "names", "count", "--captions", str(shards)),
        *("--names", str(names), "--out", str(out), "--processes", "2"),
    ]
    units = tmp_path / "counts.csv.units"
    process = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while len(list(units.glob("*.json"))) < 3:  # the manifest is one of them
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    if who == "worker":
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
    else:
        process.kill()
        process.communicate(timeout=120)
        before = {file.name: file.stat().st_mtime_ns for file in units.glob("*.json")}
        assert 3 <= len(before) < 41
        done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        for name, written in before.items():
            if name != "manifest.json":
                assert (units / name).stat().st_mtime_ns == written
    assert counts_of(out) == planted(40)


def test_a_piece_that_hangs_is_left_out_and_said(tmp_path, names):
    folder = tmp_path / "captions"
    folder.mkdir()
    (folder / "a.txt").write_text("Ada Quillfeather\n", "utf-8")
    os.mkfifo(folder / "b.txt")  # nobody ever writes into it
    out = tmp_path / "counts.csv"
    done = run("count", "--captions", folder, "--names", names, "--out", out, "--timeout", "4")
    assert done.exit_code == 4, done.output
    assert "b.txt" in done.output
    assert counts_of(out)["Ada Quillfeather"] == (1, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "no name in it"), ("---\n\n", "no name in it")],
)
def test_names_that_cannot_be_counted_are_refused(tmp_path, content, said):
    file = tmp_path / "names.txt"
    file.write_text(content, "utf-8")
    (tmp_path / "a.txt").write_text("Ada\n", "utf-8")
    done = run(
        "count", "--captions", tmp_path / "a.txt", "--names", file, "--out", tmp_path / "c.csv"
    )
    assert done.exit_code == 3
    assert said in done.output


def test_names_that_mean_more_than_one_thing_are_said(tmp_path):
    file = tmp_path / "names.csv"
    file.write_text("name,aliases\nRose,\nAda Quill,Ada Q|AQ\nADA  QUILL,\n,\n", "utf-8")
    (tmp_path / "a.txt").write_text("Ada Quill and Ada Q with a rose\n", "utf-8")
    out = tmp_path / "c.csv"
    done = run("count", "--captions", tmp_path / "a.txt", "--names", file, "--out", out)
    assert done.exit_code == 0, done.output
    assert counts_of(out) == {"Rose": (1, 1), "Ada Quill": (1, 2)}
    for said in ('"Rose" is a word', "more than once", "passed over"):
        assert said in " ".join(done.output.split())


def test_by_the_papers_rule_case_counts_and_words_do_not(tmp_path, names):
    file = tmp_path / "a.txt"
    file.write_text(
        "Ann Leeward\nann lee\nMary Ann Lee\nZoe Nunez-Orn\nAnn Lee, Ann Lee\n", "utf-8"
    )
    out = tmp_path / "c.csv"
    done = run("count", "--captions", file, "--names", names, "--out", out, "--protocol", "paper")
    assert done.exit_code == 0, done.output
    found = counts_of(out)
    assert found["Ann Lee"] == (3, 4)
    assert found["Mary Ann Lee"] == (1, 1)
    assert found["Zoë Núñez-Ørn"] == (0, 0)
