"""The report of a name-leakage finding: what it says, escapes, shortens and leaves out."""

import hashlib
import html
import io
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from rich.cells import cell_len
from rich.console import Console

from vlmaudit.report.leakage.answers import LONGEST, answers_view, weight
from vlmaudit.report.leakage.conditions import conditions_view, drawn_contrasts
from vlmaudit.report.leakage.limits import does_not_prove, proves
from vlmaudit.report.leakage.page import FIGURES, render, write_leakage_report
from vlmaudit.report.leakage.tables import group_table, rephrasing_tables
from vlmaudit.report.leakage.text import print_leakage_finding
from vlmaudit.report.leakage.wording import repeat_commands


@pytest.fixture(scope="module")
def leakage():
    """Builders of hand-made findings and answers."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "leakage_findings.py")))


@pytest.fixture(scope="module")
def study(leakage):
    return leakage.make_study()


@pytest.fixture(scope="module")
def run(leakage, study, tmp_path_factory):
    """A run's folder with the page of a whole study."""
    out = tmp_path_factory.mktemp("run")
    write_leakage_report(study, out, answers=leakage.make_answers(study))
    return out


@pytest.fixture(scope="module")
def page(run):
    return (run / "report.html").read_text("utf-8")


def test_the_page_and_its_figures_are_written(run, page):
    assert page.rstrip().endswith("</html>")
    names = {path.name for path in (run / "figures").iterdir()}
    assert names == {f"{name}.{ending}" for name in FIGURES for ending in ("pdf", "svg")}
    for path in (run / "figures").glob("*.svg"):
        text = path.read_text("utf-8")
        assert "var(" not in text
        assert not any(one.tag.endswith("script") for one in ElementTree.fromstring(text).iter())


def test_nothing_is_fetched_and_only_our_scripts_may_run(page):
    links = re.findall(r"""\b(?:src|href)\s*=\s*["']?([^"'\s>]*)""", page.split("<tbody")[0])
    assert links
    assert all(link.startswith("#") for link in links)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1].replace("&#39;", "'")


def test_hostile_names_and_answers_are_escaped(leakage, page):
    assert leakage.HOSTILE not in page
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=&#34;alert(2)&#34;&gt;&amp;amp;" in page


def test_every_part_of_an_answer_is_escaped(leakage):
    evil = "<b onclick='x'>"
    text = evil * 3
    row = leakage.answer(evil, evil, text, (len(evil), 2 * len(evil)), prompt=evil, condition=evil)
    finding = leakage.make_finding(people=[leakage.person(evil, name=f"{evil} {evil}")])
    for outcome in ("named", evil):
        page = render(finding, pl.DataFrame([row | {"outcome": outcome}]))
        assert "<b " not in page
        assert "<mark>&lt;b onclick=&#39;x&#39;&gt;</mark>" in page


def test_the_name_is_marked_in_the_page(leakage, page):
    assert f"هذه صورة <mark>{leakage.ARABIC}</mark> في القاهرة." in page
    assert page.count("<mark>") == page.count("</mark>") > 50


@pytest.mark.parametrize("verdict", ["found", "not_found", "inconclusive", "confounded"])
def test_what_is_doubtful_is_shown_faintly(leakage, verdict):
    page = render(leakage.make_study(n=10, verdict=verdict))
    faint = 6 if verdict in ("inconclusive", "confounded") else 0
    assert page.count("Shown faintly: ") == page.count('class="chart doubtful"') == faint


def test_ids_are_there_once(page):
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_importing_the_report_loads_no_drawing_and_no_model_library():
    code = (
        "import sys, vlmaudit.report.leakage.page;"
        "print([m for m in ('altair', 'torch', 'transformers', 'open_clip') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_finding_of_little_has_a_page_too(leakage):
    page = render(leakage.make_finding())
    assert 'id="answers"' not in page
    assert 'id="nulls"' not in page


def printed(finding, width=80):
    out = io.StringIO()
    print_leakage_finding(finding, Console(file=out, width=width), page=Path("RUN/report.html"))
    return out.getvalue()


@pytest.mark.parametrize("protocol", ["audit", "paper"])
@pytest.mark.parametrize("verdict", ["found", "not_found", "inconclusive", "confounded"])
def test_the_terminal_shows_it_in_80_columns(leakage, protocol, verdict):
    text = printed(leakage.make_study(protocol=protocol, verdict=verdict))
    assert max(cell_len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "P2: who is the person" in text
    assert "… and 50 people more, in the page." in text
    assert text.rstrip().endswith("Report: RUN/report.html")


@pytest.mark.parametrize(
    ("detected", "alone"),
    [
        (False, "For none of 3 people, taken alone, is it shown that the name leaks."),
        (None, "Of 3 people, a leaking name can be shown for nobody alone"),
    ],
)
def test_leakage_of_all_together_is_told_from_that_of_one(leakage, detected, alone):
    people = [leakage.person(f"p{place}", detected=detected) for place in range(3)]
    found, missing = (
        " ".join(proves(leakage.make_finding(verdict=verdict, people=people)))
        for verdict in ("found", "not_found")
    )
    assert alone in found
    assert alone in missing
    assert found.startswith("Taken together, people's names come out more often")
    assert "Taken together" not in missing


def test_a_lift_below_the_null_has_its_sign(leakage):
    lift = leakage.difference(-0.02, 60, 0.01)
    text = " ".join(printed(leakage.make_finding(estimates={"lift": lift})).split())
    assert "−2.0 points (−3.0 to −1.0), n = 60 people" in text


def test_a_mean_over_people_is_never_read_as_people(leakage, page):
    # Half of the answers of sixty people are not "30 of 60" people.
    finding = leakage.make_finding(
        estimates={"implicit_leakage": leakage.share(0.5, 60)},
    )
    assert "30 of 60" not in render(finding)
    assert "50.0&nbsp;%" in render(finding).replace("\u00a0", "&nbsp;")


def test_the_papers_spread_stands_under_its_true_name(leakage):
    (group,) = [
        one
        for one in leakage.make_study().groups
        if one.condition == "original" and one.group == "P4"
    ]
    group = group.model_copy(update={"variance": 0.000532, "sd": 0.000532**0.5})
    table = group_table(leakage.make_finding(groups=[group]))
    assert table.columns[-1].heading == "Mean of rephrasings"
    assert table.rows[0].cells[-1].small == ("SD 2.307", "variance 5.320")


def test_the_appendix_table_has_a_row_a_rephrasing(leakage, study):
    tables = rephrasing_tables(study)
    assert [condition for condition, _ in tables] == list(leakage.CONDITIONS)
    for _, table in tables:
        assert [column.heading for column in table.columns] == [
            "Rephrasing", "P0", "P1", "P2", "P3", "P4",
        ]  # fmt: skip
        assert [row.cells[0].text for row in table.rows] == [f"R{place}" for place in range(6)]
    row = next(one for one in study.rates if one.prompt == "P2/R3")
    cell = tables[0][1].rows[3].cells[3]
    assert cell.text == f"{100 * row.rate:.1f} %"
    assert f"{row.leaks} of {row.n} answers" in cell.small


def quoted(leakage, answers, budget=10**6, **fields):
    finding = leakage.make_finding(**fields)
    return answers_view(finding, pl.DataFrame(answers), budget)


def test_the_matched_span_is_told_apart(leakage):
    text = f"\u202bهذه {leakage.ARABIC}!"
    start = text.index(leakage.ARABIC)
    rows = [leakage.answer("p1", "1.jpg", text, (start, start + len(leakage.ARABIC)))]
    (row,) = quoted(leakage, rows).rows
    assert (row.before, row.matched, row.after) == ("\ufffdهذه ", leakage.ARABIC, "!")
    assert row.name == "Ada Lovelace"


@pytest.mark.parametrize("place", [0, 50_000, 99_988])
def test_a_long_answer_is_shortened_around_the_name(leakage, place):
    text = ("x" * place + "Ada Lovelace").ljust(100_000, "y")
    (row,) = quoted(leakage, [leakage.answer("p1", "", text, (place, place + 12))]).rows
    assert row.matched == "Ada Lovelace"
    assert LONGEST <= len(row.before + row.matched + row.after) <= LONGEST + 4
    assert row.before.startswith("… ") == (place > 0)
    assert row.after.endswith(" …") == (place < 99_988)
    assert row.note == "Shortened: the answer has 100,000 characters."


def test_a_match_that_is_itself_long_is_shortened_too(leakage):
    text = "y" * 100_000
    (row,) = quoted(leakage, [leakage.answer("p1", "", text, (10, 90_000))]).rows
    assert len(row.before + row.matched + row.after) <= LONGEST + 5


@pytest.mark.parametrize("span", [(5, 3), (-1, 2), (0, 99), (2, 2)])
def test_a_span_that_cannot_be_marks_nothing(leakage, span):
    (row,) = quoted(leakage, [leakage.answer("p1", "", "A person.", span)]).rows
    assert (row.before, row.matched, row.after) == ("", "", "A person.")


def test_an_empty_answer_and_none_are_two_things(leakage):
    rows = [
        leakage.answer("p1", "", "", None),
        leakage.answer("p1", "", None, None, outcome="failed"),
    ]
    empty, failed = quoted(leakage, rows).rows
    assert empty.empty == "The answer is empty."
    assert failed.empty == "There is no answer."


def test_no_more_than_2000_answers_are_quoted(leakage):
    rows = [leakage.answer("p1", f"{place}.jpg", "No.", None) for place in range(2100)]
    view = quoted(leakage, rows, budget=10**8)
    assert len(view.rows) == 2000
    assert any(note.startswith("2,000 of 2,100 answers") for note in view.notes)


@pytest.mark.parametrize("sign", ['"', "<", "😀", "a"])
def test_a_full_page_stays_below_5_mb(leakage, sign):
    finding = leakage.make_finding()
    rows = [
        leakage.answer("p1", sign * 200, sign * 3000, (2, 9), prompt="P1/R4", condition=sign * 9)
        for _ in range(2000)
    ]
    page = render(finding, pl.DataFrame(rows))
    shown = page.count('<tr role="row" data-outcome')
    size = len(page.encode())
    assert size <= 5_000_000
    # As many as fit, and not much fewer.
    assert shown == 2000 or size > 3_500_000
    assert shown == 2000 or "The page is full: " in page


def test_thousands_of_people_leave_room_for_answers(leakage):
    people = [
        leakage.person(
            f"p{place:05}", name="Ada Lovelace" * 2, occurrences=place, detected=place % 2 == 0
        )
        for place in range(4000)
    ]
    finding = leakage.make_finding(people=people)
    rows = [leakage.answer("p00001", "1.jpg", "No. " * 50, None) for _ in range(2000)]
    page = render(finding, pl.DataFrame(rows))
    assert len(page.encode()) <= 5_000_000
    assert page.count('<tr role="row" data-outcome') == 2000
    assert page.count('<tr class="row-') == 1000
    assert "The page shows 1,000 of 4,000 people" in page
    assert "1,000 of 4,000 people, evenly taken" in page


def test_a_finding_of_answers_alone_is_repeated_from_them(leakage):
    assert repeat_commands(leakage.make_finding(model=None)) == (
        "vlmaudit conclude --answers ANSWERS --people PEOPLE --protocol audit --out RUN",
    )
    ask, again = repeat_commands(leakage.make_study())
    assert "--conditions original,white,white+pixelated" in ask
    assert "--seed 7" in ask
    assert "--prompts" not in ask
    assert again == "vlmaudit conclude RUN --protocol audit"
    rates = leakage.make_study().rates
    few = leakage.make_finding(rates=[row for row in rates if row.prompt in ("P2/R0", "P0/R1")])
    assert "--prompts P0/R1,P2/R0 " in repeat_commands(few)[0]


def test_an_answer_is_never_heavier_than_it_was_reckoned(leakage):
    # Every part of the row is there, and the longest outcome.
    row = leakage.answer(
        "p1", "1", "& " * 450, (300, 301), outcome="hedged", prompt="P", condition="c"
    )
    answers = [row] * 200
    reckoned = sum(weight(one) for one in quoted(leakage, answers).rows)
    page = render(leakage.make_finding(), pl.DataFrame(answers))
    table = page.split('<tbody role="rowgroup">')[1].split("</tbody>")[0]
    assert 0.97 * reckoned < len(table.encode()) <= reckoned


def test_conditions_stand_against_the_same_pictures_as_they_are(leakage, page):
    finding = leakage.make_study()
    section = page.partition('id="conditions"')[2].partition("</section>")[0]
    for text in ("21.7", "−40.6 points", "from 62.3", "alike", "13: no face was found", "85.7"):
        assert text in section.replace("\u00a0", " ").replace("&nbsp;", " "), text
    shown = printed(finding)
    assert "taking the face away costs 40.5 points" in " ".join(shown.split())
    assert "taking the background away costs 2.5 points" in " ".join(shown.split())
    rows = [line for line in shown.splitlines() if line.startswith("pixelated")]
    assert rows
    assert "11.3 %" in rows[0]
    assert "31.8 %" in rows[0]


def test_what_was_not_hidden_is_said_as_the_protocol_takes_it(leakage):
    for protocol, words in (
        ("audit", "they are left out"),
        ("paper", "they count like the others"),
    ):
        page = render(leakage.make_study(protocol=protocol))
        assert words in " ".join(page.split())
    assert 'id="conditions"' not in render(leakage.make_finding())


def section_tables(page, section):
    """Every table of a section by its caption, each cell as the lines in it."""
    part = page.partition(f'id="{section}"')[2].partition("</section>")[0].replace("\u00a0", " ")
    tables = {}
    for caption, body in re.findall(r"<caption>(.*?)</caption>.*?<tbody>(.*?)</tbody>", part, re.S):
        rows = re.findall(r"<tr>(.*?)</tr>", body, re.S)
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows]
        tables[caption] = [
            [
                [html.unescape(line) for line in re.findall(r">([^<>\n]+)<", f">{cell.strip()}<")]
                for cell in row
            ]
            for row in cells
        ]
    return tables


def signed(share):
    return f"{100 * share:+.1f}".replace("-", "−")


def test_every_number_of_the_conditions_is_the_findings(study, page):
    tables = section_tables(page, "conditions")
    rates = tables["How often the name is said, by what is shown and what is asked"]
    shown = {row[0][0]: dict(zip(("all", "P0", "P2"), row[1:], strict=True)) for row in rates}
    assert list(shown) == ["original", "pixelated", "white", "white+pixelated"]
    contrasts = [row for row in study.contrasts if row.kind == "condition"]
    for row in contrasts:
        condition, _, group = row.first.rpartition(": ")
        lines = shown[condition][group]
        assert lines[0] == f"{100 * row.first_rate:.1f} %"
        assert lines[1] == f"{signed(row.difference.value)} points"
        assert f"from {100 * row.second_rate:.1f} %" in lines
        # Of a rate of 1 % a share says nothing.
        of_it = f"{signed(row.difference.value / row.second_rate)} % of it"
        assert (of_it in lines) == (group != "P0")
        assert lines[-1] == ("p = .006, alike" if row.is_equivalent else "p = .006")
        assert "60 people" in rates[list(shown).index(condition)][0]
    assert shown["original"]["P2"] == ["62.2 % to 62.3 %", "by the pictures compared"]
    factorial = tables["Face and background, each there or taken away"]
    for row, cells in zip(study.factorial, factorial, strict=True):
        order = ("original", row.face, row.context, row.both)
        assert [cell[0] for cell in cells[1:5]] == [
            f"{100 * row.rates[one]:.1f} %" for one in order
        ]
        effects = (row.face_effect, row.context_effect, row.interaction)
        assert [cell[0] for cell in cells[5:]] == [signed(effect.value) for effect in effects]
        assert [cell[-1] for cell in cells[5:]] == ["p < .001", "p = .310", "p = .720"]
    done = tables["What was done to the pictures, and whether it worked"]
    for row, cells in zip(study.conditions, done, strict=True):
        assert [cell[0] for cell in cells[:4]] == [
            row.condition, str(row.pictures), str(row.hidden), str(row.pictures - row.hidden),
        ]  # fmt: skip
        for estimate, cell in ((row.faces_left, cells[4]), (row.verified, cells[5])):
            assert cell[0] == ("–" if estimate is None else f"{100 * estimate.value:.1f} %")
    strata = tables["Pictures in which something was not found, for themselves"]
    assert [cells[3][0] for cells in strata] == [
        f"{100 * row.rate.value:.1f} %" for row in study.strata
    ]


def condition_contrasts(study, group):
    return [row for row in study.contrasts if row.first.endswith(f": {group}")]


def test_a_cell_of_fewer_people_says_so(leakage, study):
    first, *others = [row for row in study.contrasts if row.first.startswith("white: ")]
    fewer = others[0].model_copy(
        update={"difference": others[0].difference.model_copy(update={"n": 41})}
    )
    finding = leakage.make_finding(contrasts=[first, fewer])
    cells = conditions_view(finding).rates.rows[1].cells
    assert "60 people" in cells[0].small
    assert "n = 41 people" in cells[2].small
    assert not any("people" in line for line in cells[1].small)


def test_what_hardly_ever_comes_out_is_not_drawn(leakage, study):
    assert list(drawn_contrasts(study)) == ["all", "P2"]
    assert "Not drawn, since the name hardly ever comes out as it is (less than 2.0 %): P0." in (
        conditions_view(study).chart_method
    )
    # Where it never does, the totals stand in for a missing drawing.
    finding = leakage.make_finding(contrasts=condition_contrasts(study, "P0"))
    assert list(drawn_contrasts(finding)) == ["P0"]
    assert conditions_view(finding).chart_method == ""


def test_without_pictures_as_they_are_the_hiding_is_still_shown(leakage, study):
    finding = leakage.make_finding(conditions=study.conditions)
    page = render(finding)
    assert "Nothing was shown as it is" in page
    assert list(section_tables(page, "conditions")) == [
        "What was done to the pictures, and whether it worked"
    ]
    assert "pixelated" not in printed(finding)


def test_whether_a_recogniser_looked_is_said(leakage, study):
    words = "No face recogniser was given"
    assert words not in " ".join(conditions_view(study).sentences)
    without = [row.model_copy(update={"verified": None}) for row in study.conditions]
    finding = leakage.make_finding(conditions=without)
    assert words in " ".join(conditions_view(finding).sentences)
    no_faces = leakage.make_finding(conditions=[row for row in without if row.faces is None])
    assert words not in " ".join(conditions_view(no_faces).sentences)


def test_whom_a_cut_keeps_is_said_where_there_are_several(study):
    assert conditions_view(study).sentences[-1] == (
        "Under white+pixelated, 39 pictures had several people. Whom the cut keeps: the only one in"
        " 201, the one with the face in 39."
    )


def test_what_conditions_prove_has_its_control(leakage, study):
    assert "That is a cause, for this model and these pictures." in " ".join(proves(study))
    words = " ".join(does_not_prove(study))
    assert "Its control, own-background, was not shown" in words
    assert "Where hiding failed, nothing was hidden." in words
    control = study.conditions[1].model_copy(update={"condition": "own-background"})
    checked = study.model_copy(update={"conditions": [*study.conditions, control]})
    assert "own-background is the control for it" in " ".join(does_not_prove(checked))
    plain = leakage.make_finding()
    assert "condition" not in " ".join(proves(plain))
    assert "own-background" not in " ".join(does_not_prove(plain))
    assert "hiding" not in " ".join(does_not_prove(plain)).replace("can hide", "")


def test_long_conditions_stay_within_80_columns(leakage, study):
    long = "landscape+blurred:12.5+no-text"
    rows = [
        row.model_copy(update={"first": row.first.replace("white+pixelated", long)})
        for row in study.contrasts
    ]
    text = printed(leakage.make_study(contrasts=rows))
    assert max(cell_len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "landscape+blurred" in text
