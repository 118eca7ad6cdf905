"""Drivers that are killed at any moment: the finding is the same, and no row is lost or doubled."""

import signal
import subprocess
import sys
import time

import polars as pl
import pytest

from vlmaudit.results.blocks import BlockStore
from vlmaudit.results.cases import read_cases
from vlmaudit.seeds import stream

pytestmark = pytest.mark.process

COMMAND = [sys.executable, "-c", "from vlmaudit.cli import main; main()"]
FEW, MANY = 12, 100


@pytest.fixture(scope="module")
def study(tmp_path_factory, build_large):
    return build_large(tmp_path_factory.mktemp("large"))


@pytest.fixture(scope="module")
def calm(study, tmp_path_factory):
    """What comes out when nothing happens, and how long asking takes."""
    out = tmp_path_factory.mktemp("calm") / "run"
    done = subprocess.run(
        [*COMMAND, *arguments(study, out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out


def arguments(study, out, *more):
    # Small batches, so that most kills find a block half answered.
    return study.arguments(out, "--batch-size", "4", *more)


def start(study, out, *more):
    return subprocess.Popen(
        [*COMMAND, *arguments(study, out, *more)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_at_random_moments(study, out, rng, kills):
    """Start drivers, alone, beside each other or as shards, and kill them all; again and again."""
    for _ in range(kills):
        kind = rng.integers(3)
        shards = [[], [[]] * 2, [["--shard", "1/2"], ["--shard", "2/2"]]][kind] or [[]]
        drivers = [start(study, out, *shard) for shard in shards]
        time.sleep(rng.uniform(0.6, 2.2))
        for driver in rng.permutation(drivers):
            driver.send_signal(signal.SIGKILL)
        for driver in drivers:
            _, said = driver.communicate(timeout=60)
            assert driver.returncode in {0, -signal.SIGKILL}, said


def check_the_rows(out):
    """Every case once, answered or failed for good; nothing torn is left behind."""
    cases = read_cases(out / "private")
    rows = pl.concat(list(BlockStore(out / "private").read()))
    assert sorted(rows["case"]) == sorted(cases["case"])
    assert rows["case"].n_unique() == len(rows)
    assert not list((out / "private" / "open").iterdir())
    assert not [path for path in out.rglob("*") if path.name.endswith(".part")]


def proof(study, calm, out, kills, seed):
    rng = stream(seed, "kills")
    kill_at_random_moments(study, out, rng, kills)
    done = start(study, out)
    _, said = done.communicate(timeout=120)
    assert done.returncode == 0, said
    check_the_rows(out)
    for file in ("finding.json", "units.parquet"):
        assert (out / file).read_bytes() == (calm / file).read_bytes()


@pytest.mark.parametrize("seed", range(2))
def test_a_dozen_kills_change_nothing(study, calm, tmp_path, seed):
    proof(study, calm, tmp_path / "run", FEW // 2, seed)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(10, 20))
def test_a_hundred_kills_change_nothing(study, calm, tmp_path, seed):
    proof(study, calm, tmp_path / "run", MANY // 10, seed)
