"""A million stored answers: concluding on them and writing the report, time and peak memory.

Run it by itself: ``python benchmarks/concluding_answers.py``. The answers lie in a run's blocks as
a run leaves them; each size is a process of its own. What must come out is planted: two people of
five are named in half of the answers to who-prompts, others by somebody else's name now and then.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from vlmaudit.audits import asked
from vlmaudit.audits.name_leakage.observe import COLUMNS
from vlmaudit.audits.name_leakage.run import conclusion_settings, read_settings
from vlmaudit.audits.name_leakage.settings import NameLeakage
from vlmaudit.cli import leakage_audit
from vlmaudit.data.candidates import Candidate, draw_names
from vlmaudit.data.identities import Person
from vlmaudit.data.prompts import PROMPTS
from vlmaudit.results.blocks import BlockStore, Part, block_size
from vlmaudit.results.cases import FILE as CASES
from vlmaudit.results.files import make_private, write_text
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.run_folder import Manifest, RunFolder
from vlmaudit.results.sealed import write_json, write_table
from vlmaudit.seeds import stream

PEOPLE = 500
SIZES = (100_000, 1_000_000)
TARGET_S, TARGET_MB = 60, 4000
_WORDS = (
    "a man in a dark suit stands in front of a microphone and looks to the left",
    "the picture shows a person at an event with bright lights in the background",
    "I'm sorry, but I cannot identify people in pictures.",
    "this is a close-up of somebody who smiles; the background is blurred",
)


def build(root: Path, rows: int) -> None:
    """A run folder as a run of so many answers leaves it."""
    people = _people()
    run = RunFolder(root)
    make_private(root)
    make_private(run.private)
    pictures = -(-rows // len(PROMPTS))
    size = block_size(pictures)
    store = BlockStore(run.private)
    cases = []
    for number in range(-(-pictures // size)):
        table = _block(number, min(size, pictures - number * size), people)
        part = Part(number, 0, tuple(table["case"]))
        with store.claim(part, COLUMNS) as claim:
            assert claim is not None
            claim.add(table, "benchmark")
            claim.seal()
        cases.append(
            table.select(
                "case",
                pl.lit(number, pl.Int64).alias("block"),
                "identity",
                "image",
                pl.col("prompt").alias("question"),
            )
        )
    write_table(run.private / CASES, pl.concat(cases))
    asked.write_people(run.private, people, ())
    names = [Candidate(one.name, one.sex, one.origin) for one in people]
    asked.write_names(run.private, names, [])
    write_json(run.private / asked.DESIGN, None)
    write_json(run.private / asked.NOTICES, [])
    settings = NameLeakage(names=0)
    manifest = Manifest(
        audit="name-leakage",
        model_spec="none",
        model=ModelRecord(name="none", family="scripted", weights="none", dtype="float32"),
        people="none",
        controls=None,
        observation={
            "prompts": list(PROMPTS),
            "scored_prompts": [],
            "max_new_tokens": settings.max_new_tokens,
        },
        conclusion=conclusion_settings(settings),
    )
    write_text(run.manifest_file, manifest.model_dump_json(by_alias=True))


def _people() -> list[Person]:
    names = draw_names(PEOPLE, sex="", origin="en_US", rng=stream(1, "names"))
    return [
        Person(f"p{n:03d}", name, sex="female" if n % 2 == 0 else "male", origin="en_US")
        for n, name in enumerate(names)
    ]


def _block(number: int, pictures: int, people: list[Person]) -> pl.DataFrame:
    rng = stream(number, "block")
    rows = []
    for picture in range(pictures):
        shown = people[int(rng.integers(PEOPLE))]
        for prompt in PROMPTS.values():
            told = _WORDS[int(rng.integers(len(_WORDS)))]
            is_who = prompt.category in {"P2", "P4"}
            if is_who and int(shown.identity[1:]) % 5 < 2 and rng.random() < 0.5:
                told = f"The person in the picture is {shown.name}, {told}"
            elif is_who and rng.random() < 0.1:
                told = f"This is {people[int(rng.integers(PEOPLE))].name}; {told}"
            rows.append((shown.identity, f"{number}/{picture}.jpg", prompt.id, f"{told} {picture}"))
    table = pl.DataFrame(
        rows, schema=["identity", "image", "prompt", "answer"], orient="row"
    ).with_columns(
        case=pl.Series([rng.bytes(16).hex() for _ in rows]),
        condition=pl.lit("original"),
        status=pl.lit("answered"),
        reason=pl.lit(""),
        finish=pl.lit("stop"),
        tokens=pl.lit(20, pl.Int32),
        prompt_tokens=pl.lit(600, pl.Int32),
        log_likelihoods=pl.lit(None, pl.List(pl.Float32)),
    )
    order = ("case", "identity", "image", "condition", "status", "reason", *COLUMNS)
    return table.select(order)


def measure(root: Path) -> None:
    """In a process of its own: seconds to conclude and to report, and the peak of memory."""
    start = time.perf_counter()
    run = RunFolder(root)
    found = leakage_audit.conclude_run(run, {})
    concluded = time.perf_counter() - start
    leakage_audit.write_report(found, root, home=root)
    total = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lift = found.estimates["lift"].value
    assert lift is not None
    # Two people in five, half of the answers to two categories in five; the tenth of wrong names
    # falls on a person's own name once in 500 times.
    expected = 0.4 * 0.5 * 0.4
    assert abs(lift - expected) < 0.005, lift
    assert read_settings(run).names == 0
    print(concluded, total - concluded, time.process_time(), peak)


def apart(*arguments: str) -> list[float]:
    """Run this file in a new process."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(number) for number in done.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", nargs=2)
    parser.add_argument("--measure")
    arguments = parser.parse_args()
    if arguments.build:
        build(Path(arguments.build[0]), int(arguments.build[1]))
        return
    if arguments.measure:
        measure(Path(arguments.measure))
        return
    print(f"{'answers':>10}  {'conclude s':>10}  {'report s':>8}  {'CPU s':>6}  {'peak MB':>8}")
    for rows in SIZES:
        with tempfile.TemporaryDirectory() as name:
            root = str(Path(name) / "run")
            apart("--build", root, str(rows))
            conclude, report, cpu, peak = apart("--measure", root)
            print(f"{rows:10,}  {conclude:10.1f}  {report:8.1f}  {cpu:6.1f}  {peak:8.0f}")
    print(f"target: a million below {TARGET_S} s and {TARGET_MB} MB")


if __name__ == "__main__":
    main()
