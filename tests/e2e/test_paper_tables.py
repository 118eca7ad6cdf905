"""From answers with the paper's numbers of leaks, conclude gives the paper's tables."""

import csv
import json
import runpy
from pathlib import Path

import pytest

PAPER = runpy.run_path(str(Path(__file__).parents[1] / "paper_leaks.py"))
MODELS = list(PAPER["COUNTS"])
# One in every run of the tests; all five take a minute.
CHOSEN = [
    pytest.param(model, marks=[pytest.mark.prove] if place else [])
    for place, model in enumerate(reversed(MODELS))
]


@pytest.mark.parametrize("model", CHOSEN)
@pytest.mark.parametrize("protocol", ["paper", pytest.param("audit", marks=pytest.mark.prove)])
def test_the_appendix_and_table_1_come_out(model, protocol, run, tmp_path):
    people = PAPER["people"]()
    with (tmp_path / "people.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("identity", "name", "sex"))
        writer.writerows((one.identity, one.name, one.sex) for one in people)
    PAPER["answers"](model, people).write_parquet(tmp_path / "answers.parquet")
    done = run(
        *("conclude", "--answers", tmp_path / "answers.parquet"),
        *("--people", tmp_path / "people.csv", "--protocol", protocol, "--json"),
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    rates = {row["prompt"]: row for row in found["rates"]}
    for rephrasing, row in enumerate(PAPER["COUNTS"][model]):
        for category, leaks in enumerate(row):
            rate = rates[f"P{category}/R{rephrasing}"]
            assert (rate["leaks"], rate["n"]) == (leaks, 23_829)
            if protocol == "paper":
                assert f"{100 * rate['rate']:.3f}" == f"{100 * leaks / 23_829:.3f}"
    if protocol == "audit":
        return  # people weigh alike there, and not pictures
    groups = {row["group"]: row for row in found["groups"]}
    for category, (mean, variance) in enumerate(PAPER["TABLE_1"][model]):
        group = groups[f"P{category}"]
        # The paper averaged percentages that it had rounded.
        assert 100 * group["mean"] == pytest.approx(mean, abs=0.0006)
        assert 1e4 * group["variance"] == pytest.approx(variance, abs=0.0011)
        assert group["sd"] ** 2 == pytest.approx(group["variance"])
