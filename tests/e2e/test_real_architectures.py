"""The command line on checkpoints of real architectures, through the real loading code."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from vlmaudit.results.blocks import BlockStore, Part

pytestmark = pytest.mark.torch


def conclude_on(run, spec, people, out, *more):
    return run(
        *("identity-inference", "--model", spec, "--people", people, "--out", out),
        *("--names", 250, "--paper-pool", 250, *more),
    )


@pytest.mark.parametrize("family", ["open_clip", "hf"])
def test_a_random_checkpoint_is_audited_and_nobody_is_found(
    family, tiny_open_clip, tiny_hf_clip, study, run, tmp_path
):
    folder = {"open_clip": tiny_open_clip, "hf": tiny_hf_clip}[family]
    done = conclude_on(
        run, f"{family}:{folder}", study.people, tmp_path / "run", "--controls", study.controls
    )
    assert done.exit_code == 0, done.output
    finding = json.loads((tmp_path / "run" / "finding.json").read_text())
    assert finding["model"]["name"] == f"{family}:{folder.name}"
    assert finding["failures"]["failed"] == 0
    # The table claims members, but random weights know nobody: the positive control says so.
    assert finding["verdict"] == "inconclusive"
    assert sum(row["p"] <= 0.05 for row in finding["people"]) <= 5


def test_batch_size_changes_nothing_that_is_decided(tiny_open_clip, study, run, tmp_path):
    decided = []
    for size in ("2", "50"):
        out = tmp_path / size
        done = conclude_on(
            run, f"open_clip:{tiny_open_clip}", study.people, out, "--batch-size", size, "--fresh"
        )
        assert done.exit_code == 0, done.output
        embeddings = pl.read_parquet(sorted(out.glob("private/blocks/*"))).sort("case")
        decided.append(
            (
                embeddings["embedding"].to_numpy(),
                json.loads((out / "finding.json").read_text())["people"],
            )
        )
    (one, people), (other, same_people) = decided
    assert abs(one - other).max() < 1e-5
    assert [row["score"] for row in people] == [row["score"] for row in same_people]


def test_a_stop_amid_a_block_changes_no_bit(tiny_open_clip, study, run, tmp_path):
    spec, out = f"open_clip:{tiny_open_clip}", tmp_path / "run"
    assert conclude_on(run, spec, study.people, out).exit_code == 0
    before = (out / "finding.json").read_bytes()
    block = out / "private" / "blocks" / "000001.parquet"
    table = pl.read_parquet(block)
    block.unlink()
    # What a kill leaves that comes after one batch and amid the next.
    with BlockStore(out / "private").claim(
        Part(1, 0, tuple(table["case"])), {"embedding": table.schema["embedding"]}
    ) as claim:
        claim.add(table[:16], "before")
    journal = out / "private" / "open" / "000001.jsonl"
    journal.write_bytes(journal.read_bytes() + b'[{"case": "torn')
    assert conclude_on(run, spec, study.people, out).exit_code == 0
    assert pl.read_parquet(block).equals(table)
    assert (out / "finding.json").read_bytes() == before


def test_real_faces(tiny_open_clip, run, tmp_path):
    """Aligned press photos, some grey, of people under fictitious names."""
    data = os.environ.get("VLMAUDIT_TEST_DATA")
    if not data or not (Path(data) / "faces").is_dir():
        pytest.skip("VLMAUDIT_TEST_DATA does not point to a folder with faces/")
    people = tmp_path / "people"
    people.mkdir()
    folders = sorted(path for path in (Path(data) / "faces").iterdir() if path.is_dir())[:30]
    for folder in folders:
        (people / folder.name).symlink_to(folder)
    done = conclude_on(run, f"open_clip:{tiny_open_clip}", people, tmp_path / "run")
    assert done.exit_code == 0, done.output
    finding = json.loads((tmp_path / "run" / "finding.json").read_text())
    assert finding["failures"]["failed"] == 0
    assert len(finding["people"]) == 30
