"""The report in a terminal."""

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from vlmaudit.report.text import print_finding
from vlmaudit.results.records import Gate


def printed(finding, *, width=80, page=None, colour=False):
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, color_system="truecolor" if colour else None
    )
    print_finding(finding, console, page=page)
    return out.getvalue()


@pytest.mark.parametrize("protocol", ["audit", "paper"])
@pytest.mark.parametrize("verdict", ["found", "not_found", "inconclusive", "confounded"])
def test_it_fits_80_columns(findings, protocol, verdict):
    text = printed(findings.make_study(protocol=protocol, verdict=verdict))
    assert max(cell_len(line) for line in text.splitlines()) <= 80


def test_long_and_wide_names_fit_too(findings):
    people = [findings.person(name="王" * 60), findings.person("p2", name="x" * 200)]
    text = printed(findings.make_finding(people=people))
    assert max(cell_len(line) for line in text.splitlines()) <= 80


HARD = ("Wolfe" * 40, "王小明" * 60, "عائشة الزهراء" * 10, "e\u0301" * 90, "👩‍👩‍👧" * 40)


@pytest.mark.parametrize("protocol", ["audit", "paper"])
def test_a_table_of_people_fits_whatever_they_are_called(findings, protocol):
    people = [findings.person(f"p{place}", name=name) for place, name in enumerate(HARD)]
    text = printed(findings.make_finding(people=people, protocol=protocol))
    lines = text.splitlines()
    assert max(cell_len(line) for line in lines) <= 80
    (header,) = (line for line in lines if line.startswith("Person"))
    rows = lines[lines.index(header) + 1 :][: len(HARD)]
    # One line each, and their numbers are all there: a name gives way, a number does not.
    for row, name in zip(rows, HARD, strict=True):
        assert row[0] == name[0]
        assert row.rstrip().endswith(".005      .012")


def test_the_table_shows_the_strongest_and_counts_the_others(findings):
    text = printed(findings.make_study())
    assert "… and 530 people more, in the page." in text
    assert sum(line.startswith(("Ada", "Björn")) for line in text.splitlines()) <= 10


def test_both_protocols_are_compared_in_a_sentence(findings):
    squeezed = " ".join(printed(findings.make_study()).split())
    assert "From the same answers the paper's protocol flags" in squeezed


def test_it_says_the_answer_its_bounds_groups_gates_failures_and_where(findings):
    text = printed(findings.make_study(), page=Path("run") / "report.html")
    squeezed = " ".join(text.split())
    for said in (
        "Found. This model ties faces to names.",
        "False alarms among people never planted: 1 of 300: 0.3 % (0.0084 % to 1.8 %).",
        "planted 16 times 34 of 36 94.4 % 81.3 % to 99.3 %",
        "0 of 60 at most 6.0 %",
        "✓ Positive control passed",
        "? Votes of the absent against chance could not be checked",
        "539 of 540 people could be asked; 1 of 4,320 pictures has no answer: truncated.",
        "Report: run/report.html",
    ):
        assert said in squeezed


def test_nothing_is_told_by_colour_alone(findings):
    gates = [
        Gate(name="a", passed=True, sentence="a."),
        Gate(name="b", passed=False, sentence="b."),
        Gate(name="c", passed=None, sentence="c."),
    ]
    text = printed(findings.make_finding(gates=gates))
    assert "\x1b" not in text
    assert "✗ B failed" in text
    assert "? C could not be checked" in text
    assert "✓ A passed" in text


def test_names_are_neither_markup_nor_terminal_commands(findings):
    people = [findings.person(name="[bold red]Ada[/] \x1b[31mEve")]
    text = printed(findings.make_finding(people=people))
    assert "[bold red]Ada[/] \ufffd[31mEve" in text
    assert "\x1b" not in text


def test_a_long_path_is_not_broken(findings):
    page = Path("/very") / ("long-" * 30) / "report.html"
    assert f"Report: {page}\n" in printed(findings.make_finding(), page=page)
