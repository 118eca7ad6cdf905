"""The report's page as a reader meets it, in headless Chromium from a file."""

import re

import pytest

from vlmaudit.report.html import write_report

pytestmark = pytest.mark.browser

HOSTILE = "<script>alert(1)</script>"
ARABIC = "عائشة الزهراء"
LONG = "Wolfeschlegelsteinhausenbergerdorff" * 6
WIDE = "王小明" * 20


@pytest.fixture(scope="module")
def report_file(tmp_path_factory, findings):
    names = (HOSTILE, ARABIC, "Sinéad O'Connor", LONG, WIDE)
    return write_report(findings.make_study(names=names), tmp_path_factory.mktemp("run"))


def people(page):
    return page.get_by_role("region", name="People, strongest evidence first", exact=True)


def folded(page):
    return page.locator("summary").filter(has_text="more: people never planted")


def focus_by_keyboard(page, target):
    """Press Tab until the element has the focus."""
    for _ in range(200):
        if target.evaluate("(element) => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail("cannot be reached with the keyboard")


def test_the_first_screen_answers_with_its_uncertainty(open_page):
    page = open_page(viewport={"width": 1280, "height": 900})
    answer = page.get_by_role("heading", name=re.compile(r"^Found\. This model ties"))
    bounds = page.get_by_text("False alarms among people never planted: 1 of 300")
    believed = page.get_by_role("heading", name="May this be believed?")
    asked = page.get_by_text("539 of 540 people could be asked").first
    for part in (answer, bounds, believed, asked):
        assert part.bounding_box()["y"] < 900


def test_gates_say_their_state_in_words(open_page):
    gates = open_page().get_by_role("region", name="May this be believed?")
    assert gates.get_by_role("listitem").count() == 5
    assert gates.get_by_text("could not be checked").count() == 1
    assert gates.get_by_text("passed").count() == 4


def test_a_hostile_name_stays_text(open_page):
    page = open_page()
    folded(page).click()
    cell = page.get_by_role("rowheader").filter(has_text=HOSTILE)
    assert cell.count() == 1
    assert cell.is_visible()
    assert page.locator("script").count() == 1


def test_every_person_is_in_a_table(open_page):
    page = open_page()
    folded(page).click()
    tables = page.get_by_role("table", name=re.compile("^People, strongest evidence first"))
    assert tables.count() == 2
    assert page.locator("table[data-people] tbody tr").count() == 540


def test_a_person_is_found_by_name_also_where_folded(open_page):
    page = open_page()
    details = page.locator("#people-folded")
    assert details.get_attribute("open") is None
    page.get_by_label("Find a person").fill("o'connor")
    row = page.get_by_role("row").filter(has_text="Sinéad O'Connor")
    assert row.is_visible()
    assert page.get_by_role("status").inner_text() == "1 of 540 shown"
    page.get_by_label("Find a person").fill("")
    assert details.get_attribute("open") is None
    assert page.get_by_role("status").inner_text() == ""


def test_people_are_found_and_chosen_with_the_keyboard_alone(open_page):
    page = open_page()
    focus_by_keyboard(page, page.get_by_label("Find a person"))
    page.keyboard.type(ARABIC)
    assert page.get_by_role("status").inner_text() == "1 of 540 shown"
    assert people(page).get_by_role("rowheader").filter(has_text=ARABIC).is_visible() or (
        page.get_by_role("rowheader").filter(has_text=ARABIC).is_visible()
    )
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.press("Delete")
    focus_by_keyboard(page, page.get_by_label("Decision"))
    # Typing its name would do as well, but not on a machine so busy that letters are seconds apart.
    decision = page.get_by_label("Decision")
    for _ in range(decision.locator("option").count()):
        if decision.input_value() != "unknown":
            page.keyboard.press("ArrowDown")
    assert decision.input_value() == "unknown"
    assert page.get_by_role("status").inner_text() == "1 of 540 shown"
    shown = page.locator("table[data-people] tbody tr:visible")
    assert shown.count() == 1
    assert "too few matched people" in shown.inner_text()


def test_people_are_ordered_with_the_keyboard_alone(open_page):
    page = open_page()
    table = people(page)
    focus_by_keyboard(page, table.get_by_role("button", name="Person"))
    page.keyboard.press("Enter")
    header = table.get_by_role("columnheader", name=re.compile("^Person"))
    assert header.get_attribute("aria-sort") == "ascending"
    first = table.get_by_role("rowheader").first.inner_text()
    page.keyboard.press("Space")
    assert header.get_attribute("aria-sort") == "descending"
    assert table.get_by_role("rowheader").last.inner_text() == first
    focus_by_keyboard(page, table.get_by_role("button", name="Votes", exact=True))
    page.keyboard.press("Enter")
    # Rows are in one order at a time, and one column says so.
    assert table.locator("[aria-sort]").all_inner_texts()[0].startswith("Votes")
    assert table.locator("[aria-sort]").count() == 1


def test_people_can_be_ordered_by_number_and_name(open_page):
    table = people(open_page())
    button = table.get_by_role("button", name="Strength")
    header = table.get_by_role("columnheader", name=re.compile("^Strength"))
    cells = table.locator("tbody tr td:nth-child(7) .main")

    def values():
        return [float(text.replace("−", "-")) for text in cells.all_inner_texts()]

    assert table.get_by_role("columnheader").nth(6).inner_text().startswith("Strength")
    button.click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values())
    button.click()
    assert header.get_attribute("aria-sort") == "descending"
    assert values() == sorted(values(), reverse=True)


@pytest.mark.parametrize("width", [400, 800, 1280, 1920])
def test_the_page_never_scrolls_sideways(open_page, width):
    page = open_page(viewport={"width": width, "height": 800})
    folded(page).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [400, 1280])
def test_each_chart_is_shown_once_and_legibly(open_page, width):
    page = open_page(viewport={"width": width, "height": 800})
    charts = page.get_by_role("img")
    assert charts.count() == 5
    for chart in charts.all():
        sizes = chart.evaluate(
            """(svg) => {
                const scale = svg.getScreenCTM().a;
                return [...svg.querySelectorAll("text")].map(
                    (text) => parseFloat(getComputedStyle(text).fontSize) * scale);
            }"""
        )
        assert min(sizes) >= 10.5


@pytest.mark.parametrize("width", [400, 1280])
def test_no_text_of_a_chart_is_cut_off(open_page, width):
    page = open_page(viewport={"width": width, "height": 800})
    for chart in page.get_by_role("img").all():
        outside = chart.evaluate(
            """(svg) => {
                const frame = svg.getBoundingClientRect();
                return [...svg.querySelectorAll("text")].filter((text) => {
                    const box = text.getBoundingClientRect();
                    return box.width && (box.left < frame.left - 1 || box.right > frame.right + 1);
                }).map((text) => text.textContent);
            }"""
        )
        assert outside == []


def test_without_script_everything_is_there(open_page):
    page = open_page(java_script_enabled=False)
    assert people(page).get_by_role("row").count() > 100
    page.get_by_role("table", name="Share of people detected, by group").wait_for()
    page.get_by_role("table", name="Rates by number of attack pictures").wait_for()
    page.get_by_role("table", name="Share of people detected, by occurrences").wait_for()
    page.get_by_role("table", name="Why they differ, and on whom").wait_for()
    page.get_by_role("table", name="Known non-members that a claim takes").wait_for()
    page.get_by_text("The same as a table").click()
    page.get_by_role("table", name=re.compile("by occurrences and number of pictures")).wait_for()
    # What does nothing without a script is not shown either.
    assert not page.get_by_label("Find a person").is_visible()
    assert not page.get_by_label("Decision").is_visible()
    folded(page).click()
    assert page.get_by_role("rowheader").filter(has_text=HOSTILE).is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page, scheme):
    page = open_page(color_scheme=scheme)
    ratios = page.evaluate(
        """() => {
            const canvas = document.createElement("canvas").getContext(
                "2d", {willReadFrequently: true});
            const rgb = (colour) => {
                canvas.clearRect(0, 0, 1, 1);
                canvas.fillStyle = colour;
                canvas.fillRect(0, 0, 1, 1);
                return [...canvas.getImageData(0, 0, 1, 1).data];
            };
            const light = ([r, g, b]) => [r, g, b]
                .map((v) => v / 255)
                .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
                .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            const ground = (element) => {
                for (let e = element; e; e = e.parentElement) {
                    const colour = rgb(getComputedStyle(e).backgroundColor);
                    if (colour[3] > 0) return colour;
                }
            };
            const texts = document.querySelectorAll(
                "h1, h2, h3, p, dt, dd, li, th, td, small, summary, .mark, .tag, .word, a, code");
            return [...texts].filter((e) => e.checkVisibility()).map((e) => {
                const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
                return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent];
            });
        }"""
    )
    assert len(ratios) > 500
    assert [pair for pair in ratios if pair[0] < 4.5] == []


def test_print_shows_what_scrolls_and_folds_on_screen(open_page):
    page = open_page(viewport={"width": 680, "height": 960})  # A4 within its margins
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    box = people(page)
    assert box.evaluate("(e) => e.scrollHeight <= e.clientHeight + 1")
    assert not page.get_by_label("Find a person").is_visible()
    for details in page.locator("details").all():
        assert details.locator("table tbody tr").last.bounding_box()["height"] > 0


@pytest.mark.parametrize("verdict", ["not_found", "inconclusive", "confounded"])
@pytest.mark.parametrize("protocol", ["audit", "paper"])
def test_other_answers_have_their_page(open_page, findings, tmp_path, verdict, protocol):
    finding = findings.make_study(verdict=verdict, protocol=protocol)
    page = open_page(write_report(finding, tmp_path))
    word = {
        "not_found": "Not found.",
        "inconclusive": "Inconclusive.",
        "confounded": "Confounded.",
    }[verdict]
    assert page.get_by_role("heading", level=2).first.inner_text().startswith(word)
    assert page.get_by_text(re.compile("^Shown faintly")).count() == (
        0 if verdict == "not_found" else 5
    )


_BARRIERS = ("serious", "critical")


@pytest.mark.parametrize(
    ("scheme", "width", "study"),
    [
        ("light", 1280, {}),
        ("dark", 400, {}),
        ("dark", 1280, {"verdict": "confounded"}),
        ("light", 400, {"verdict": "inconclusive", "protocol": "paper"}),
    ],
)
def test_nothing_keeps_a_reader_out(axe, open_page, findings, tmp_path, scheme, width, study):
    whole = findings.make_study(names=(HOSTILE, ARABIC, LONG, WIDE), **study)
    # Some people of every kind: one row more is checked like another.
    some = whole.model_copy(update={"people": [*whole.people[:20], *whole.people[295:400]]})
    page = open_page(
        write_report(some, tmp_path),
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
    )
    page.get_by_text("The same as a table").click()
    results = axe.run(page)
    worst = [one for one in results.response["violations"] if one["impact"] in _BARRIERS]
    assert not worst, results.generate_report()
