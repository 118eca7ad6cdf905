"""The page of a name-leakage finding as a reader meets it, in headless Chromium from a file."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from vlmaudit.report.leakage.page import write_leakage_report

pytestmark = pytest.mark.browser

N_ANSWERS = 245


@pytest.fixture(scope="module")
def leakage():
    """Builders of hand-made findings and answers."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "leakage_findings.py")))


@pytest.fixture(scope="module")
def report_file(tmp_path_factory, leakage):
    study = leakage.make_study()
    answers = leakage.make_answers(study, N_ANSWERS - 5)
    return write_leakage_report(study, tmp_path_factory.mktemp("run"), answers=answers)


def shown(page):
    """The answers that are to be seen, as (outcome, prompt, condition)."""
    return page.locator("#answers-table tbody tr:visible").evaluate_all(
        "(rows) => rows.map((row) => [row.dataset.outcome, row.dataset.prompt,"
        " row.dataset.condition])"
    )


def status(page):
    return page.locator("#answers-status").inner_text()


def open_all(page):
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def test_the_first_screen_answers_with_its_uncertainty(open_page):
    page = open_page(viewport={"width": 1280, "height": 900})
    answer = page.get_by_role("heading", name=re.compile(r"^Found\. This model says who is"))
    lift = page.get_by_text("Lift, how much more often")
    fact = page.get_by_text("Own names above chance (lift)", exact=True)
    for part in (answer, lift, fact):
        assert part.bounding_box()["y"] < 900


def test_hostile_names_and_answers_stay_text(open_page, leakage):
    page = open_page()
    assert page.locator("script").count() == 2
    assert page.locator("img").count() == 0
    quotes = page.locator("#answers-table .quote")
    assert quotes.filter(has_text=leakage.HOSTILE).count() > 0
    assert quotes.filter(has_text='<img src=x onerror="alert(2)">&amp; "quoted"').count() == 1
    assert quotes.filter(has_text="␛[31m").count() == 1


def test_the_name_is_marked_and_only_it(open_page, leakage):
    page = open_page()
    row = page.locator("#answers-table tbody tr").filter(has_text="هذه صورة")
    assert row.locator("mark").all_inner_texts() == [leakage.ARABIC]
    # The line reads from the right, and the table around it does not.
    assert row.locator(".quote").evaluate("(e) => getComputedStyle(e).unicodeBidi") == "plaintext"
    assert page.locator("#answers-table").evaluate("(e) => getComputedStyle(e).direction") == "ltr"
    unmarked = page.locator('#answers-table tr[data-outcome="none"] mark')
    assert unmarked.count() == 0


def test_answers_are_chosen_by_outcome_prompt_and_condition(open_page):
    page = open_page()
    assert len(shown(page)) == N_ANSWERS
    assert status(page) == f"{N_ANSWERS} of {N_ANSWERS} shown"
    page.locator("#answers-outcome").select_option("named")
    named = shown(page)
    assert {outcome for outcome, _, _ in named} == {"named"}
    page.locator("#answers-prompt").select_option("P2/")
    of_group = shown(page)
    assert 0 < len(of_group) < len(named)
    assert {prompt[:3] for _, prompt, _ in of_group} == {"P2/"}
    page.locator("#answers-prompt").select_option("P2/R0")
    assert {prompt for _, prompt, _ in shown(page)} == {"P2/R0"}
    page.locator("#answers-condition").select_option("white")
    left = shown(page)
    assert {condition for _, _, condition in left} <= {"white"}
    assert status(page) == f"{len(left)} of {N_ANSWERS} shown"
    for label in ("Outcome", "Prompt", "Shown"):
        # By its label, as a reader finds it.
        page.locator("#answers-tools").get_by_label(label, exact=True).select_option("")
    assert len(shown(page)) == N_ANSWERS


def test_a_person_is_found_without_accents_and_case(open_page):
    page = open_page()
    page.get_by_label("Find a person or a word").fill("sinead")
    rows = page.locator("#answers-table tbody tr:visible")
    assert rows.count() > 0
    assert all("Sinéad" in text for text in rows.all_inner_texts())
    page.get_by_label("Find a person or a word").fill("nobody is called so")
    assert status(page) == f"0 of {N_ANSWERS} shown"


def test_answers_can_be_ordered_and_put_back(open_page):
    page = open_page()
    names = page.locator("#answers-table tbody tr th > bdi")
    before = names.all_inner_texts()
    page.locator("#answers-order").select_option("person")
    by_person = names.all_inner_texts()
    assert by_person != before
    assert sorted(by_person) == sorted(before)
    # One person's answers stand together.
    runs = [
        name for name, last in zip(by_person, [None, *by_person[:-1]], strict=True) if name != last
    ]
    assert len(runs) == len(set(runs))
    page.locator("#answers-order").select_option("")
    assert names.all_inner_texts() == before


def test_people_are_found_chosen_and_ordered(open_page):
    page = open_page()
    page.get_by_label("Find a person", exact=True).fill("o'connor")
    assert page.locator("#people-status").inner_text() == "1 of 60 shown"
    page.get_by_label("Find a person", exact=True).fill("")
    page.get_by_label("Decision", exact=True).select_option("unknown")
    row = page.locator("table[data-people] tbody tr:visible")
    assert row.count() == 1
    assert "shares a name" in row.inner_text()
    page.get_by_label("Decision", exact=True).select_option("")
    table = page.locator("table[data-people]")
    table.get_by_role("button", name="Captions").click()
    assert table.locator("[aria-sort]").count() == 1


@pytest.mark.parametrize("width", [400, 800, 1280, 1920])
def test_the_page_never_scrolls_sideways(open_page, width):
    page = open_page(viewport={"width": width, "height": 800})
    open_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_narrow_page_an_answer_is_as_wide_as_its_table(open_page):
    page = open_page(viewport={"width": 400, "height": 800})
    box = page.locator(".quotes")
    assert box.evaluate("(e) => e.scrollWidth <= e.clientWidth")
    assert page.locator(".quote").first.bounding_box()["width"] > 250
    page.locator("#answers-outcome").select_option("refused")
    assert {outcome for outcome, _, _ in shown(page)} == {"refused"}


@pytest.mark.parametrize("width", [400, 1280])
def test_each_chart_is_shown_once_legibly_and_whole(open_page, width):
    page = open_page(viewport={"width": width, "height": 800})
    charts = page.get_by_role("img")
    assert charts.count() == 6
    for chart in charts.all():
        smallest, outside = chart.evaluate(
            """(svg) => {
                const scale = svg.getScreenCTM().a;
                const frame = svg.getBoundingClientRect();
                const texts = [...svg.querySelectorAll("text")];
                const sizes = texts.map(
                    (text) => parseFloat(getComputedStyle(text).fontSize) * scale);
                return [Math.min(...sizes), texts.filter((text) => {
                    const box = text.getBoundingClientRect();
                    return box.width && (box.left < frame.left - 1 || box.right > frame.right + 1);
                }).map((text) => text.textContent)];
            }"""
        )
        assert smallest >= 10.5
        assert outside == []


@pytest.mark.parametrize("width", [400, 1280])
def test_conditions_stand_with_their_chart_and_open_their_tables(open_page, width):
    page = open_page(viewport={"width": width, "height": 900})
    page.get_by_role("link", name="Face or background").click()
    section = page.get_by_role("region", name="What does the model recognise people by?")
    chart = section.get_by_role("img", name="Change of the leak rate under each condition")
    assert chart.count() == 1
    assert "21.7 % from 62.3 %" in chart.text_content()
    rates = section.get_by_role("table", name="How often the name is said, by what is shown")
    assert rates.locator("tbody tr").first.locator("th bdi").first.inner_text() == "original"
    effects = section.get_by_role("table", name="Face and background, each there or taken away")
    assert not effects.is_visible()
    section.get_by_text("Face and background, each there or taken away").first.click()
    assert effects.is_visible()
    assert section.evaluate("(e) => e.scrollWidth <= e.clientWidth + 1")


def test_without_script_everything_is_there(open_page, leakage):
    page = open_page(java_script_enabled=False)
    assert not page.get_by_label("Find a person or a word").is_visible()
    assert not page.get_by_label("Decision", exact=True).is_visible()
    page.get_by_text(f"Show {N_ANSWERS} answers").click()
    rows = page.locator("#answers-table tbody tr:visible")
    assert rows.count() == N_ANSWERS
    assert rows.filter(has_text=leakage.HOSTILE).first.is_visible()
    page.get_by_role("table", name="Leak rates by prompt category").wait_for()
    page.get_by_text("Every rephrasing: original").click()
    page.get_by_role("table", name="Leak rates of every rephrasing, original").wait_for()


def test_print_shows_some_answers_and_every_other_table_whole(open_page):
    page = open_page(viewport={"width": 680, "height": 960})  # A4 within its margins
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    assert not page.locator("#answers-tools").is_visible()
    assert page.locator("#answers-table tbody tr:visible").count() == 100
    box = page.get_by_role("region", name="Leak rates by prompt category (the paper's Table 1)")
    assert box.evaluate("(e) => e.scrollHeight <= e.clientHeight + 1")


@pytest.mark.parametrize(
    ("scheme", "width", "study"),
    [
        ("light", 1280, {}),
        ("dark", 400, {"verdict": "inconclusive", "protocol": "paper"}),
    ],
)
def test_nothing_keeps_a_reader_out(axe, open_page, leakage, tmp_path, scheme, width, study):
    finding = leakage.make_study(n=20, **study)
    answers = leakage.make_answers(finding, 40)
    page = open_page(
        write_leakage_report(finding, tmp_path, answers=answers),
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
    )
    open_all(page)
    results = axe.run(page)
    barriers = ("serious", "critical")
    worst = [one for one in results.response["violations"] if one["impact"] in barriers]
    assert not worst, results.generate_report()
