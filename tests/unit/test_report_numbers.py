"""Every number on the page is one of the finding: the page is read as text, and compared."""

import json
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from vlmaudit.audits.identity_inference.run import to_json
from vlmaudit.report.html import write_report

# Digits that are not part of a name or a date; with what stands before and after them.
NUMBER = re.compile(
    r"(?<![\w.])([<>≤≥] ?)?(−?)((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)( ?%)?(?![\w])"
)
# What the page says by itself: the level of its intervals, and how a cell of the heat map reads.
OWN_WORDS = (
    "95 % interval",
    "one-sided 95 % limit",
    "Intervals: 95 %",
    "with 95 % intervals",
    "95 % assurance",
    "pointwise 95 % interval",
    "from 0 % at the cell's left to 100 % at its right",
)


class Page(HTMLParser):
    """The text of a page: its tables by caption, cell by cell, and what stands outside them."""

    def __init__(self, page):
        super().__init__()
        self.tables, self.outside = {}, []
        self._rows, self._caption, self._skip, self._into = None, None, 0, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag in {"svg", "style", "script", "head", "code"}:
            self._skip += 1
        elif tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "caption":
            self._into = "caption"
        elif tag == "tr":
            self._rows.append([])
        elif tag in {"td", "th"}:
            self._rows[-1].append("")
            self._into = "cell"

    def handle_endtag(self, tag):
        if tag in {"svg", "style", "script", "head", "code"}:
            self._skip -= 1
        elif tag == "table":
            self.tables[self._caption] = self._rows
            self._rows = None
        elif tag in {"td", "th", "caption"}:
            self._into = None

    def handle_data(self, data):
        text = data.replace("\u00a0", " ")
        if self._skip or not text.strip():
            return
        if self._into == "caption":
            self._caption += text
        elif self._into == "cell":
            self._rows[-1][-1] += f" {text.strip()}"
        else:
            self.outside.append(text)


def numbers(text):
    """Every number that is written, with how it is written: (value, last digit, sign before)."""
    for words in OWN_WORDS:
        text = text.replace(words, "")
    for match in NUMBER.finditer(text):
        before, minus, digits, percent = match.groups()
        value = float(digits.replace(",", ""))
        step = 10.0 ** -len(digits.partition(".")[2])
        scale = 0.01 if percent else 1.0
        yield -value * scale if minus else value * scale, step * scale, (before or "").strip()


def agrees(written, truth):
    """Whether a number of the finding may be written so: rounded, or as a limit."""
    value, step, sign = written
    if sign == "<":
        return truth < value
    if sign == ">":
        return truth > value - step
    # 99.915 % is rounded down and a limit outwards, so a whole last digit is allowed, no more.
    exact = step * (1.0 if 0.99 < value < 1 or sign in {"≤", "≥"} else 0.5)
    return abs(value - truth) <= exact * (1 + 1e-9) + 1e-12


def check(text, truths, where):
    """Every number of a text is one of these."""
    known = [float(truth) for truth in truths if truth is not None]
    for written in numbers(text):
        assert any(agrees(written, truth) for truth in known), (where, text, written)


def of(estimate):
    """What may be written of an estimate."""
    if estimate is None:
        return []
    value, n = estimate["value"], estimate["n"]
    hits = None if value is None else value * n
    return [value, estimate["low"], estimate["high"], n, hits, estimate["sd"]]


def scalars(thing):
    """All numbers of a part of a finding, those within its sentences too."""
    if isinstance(thing, bool) or thing is None:
        return
    if isinstance(thing, int | float):
        yield float(thing)
    elif isinstance(thing, str):
        yield from (value for value, *_ in numbers(thing))
    elif isinstance(thing, dict):
        for key, part in thing.items():
            yield from scalars(key)
            yield from scalars(part)
    else:
        for part in thing:
            yield from scalars(part)


def compare(page, finding):
    """Check a page's every table and all its sentences against finding.json."""
    read = Page(page)
    tables = dict(read.tables)
    _people(tables, finding)
    _groups(tables, finding)
    _occurrences(tables, finding)
    _matrices(tables, finding)
    _comparison(tables, finding)
    _claims(tables, finding)
    _estimate_rows(tables, finding)
    for caption, parts in (
        ("All tests", finding["tests"]),
        ("Settings", finding["settings"]),
        ("Where it comes from", [finding["model"], finding["schema"]]),
        ("Pictures without an answer, by reason", finding["failures"]),
    ):
        for row in tables.pop(caption, [])[1:]:
            check(" ".join(row), scalars(parts), caption)
    assert tables == {}, "a table whose numbers nobody compares"
    summary = {key: value for key, value in finding.items() if key not in {"people", "curve"}}
    known = [*scalars(summary), len(finding["people"]), *_counts(finding)]
    known += [hit for one in finding["estimates"].values() for hit in of(one)]
    check(" ".join(read.outside), known, "sentences")


def _estimate_rows(tables, finding):
    _, *body = tables.pop("All estimates")
    for cells, (key, estimate) in zip(body, finding["estimates"].items(), strict=True):
        rate = [float(part) for part in re.findall(r"0\.\d+", key)]
        check(" ".join(cells), [*rate, *of(estimate), *scalars(estimate["method"])], key)


def _counts(finding):
    """Numbers of people, which the finding holds as rows."""
    people = finding["people"]
    yield sum(row["detected"] is True for row in people)
    yield sum(row["detected"] is None for row in people)
    yield sum(row["failed"] > 0 for row in people)
    failures = finding["failures"]
    yield failures["people_asked"] + len(failures["people_lost"])
    yield min(row["p_min"] for row in people if row["p_min"] is not None)
    hidden = [row for row in people if row["membership"] != "member" and row["detected"] is False]
    yield len(hidden)


def _people(tables, finding):
    rows = {row["identity"]: row for row in finding["people"]}
    notes = list(scalars(finding["comparison"]))
    seen = 0
    for caption in [name for name in tables if name.startswith("People, strongest")]:
        heads, *body = tables.pop(caption)
        columns = [head.split()[0] for head in heads]
        for cells in body:
            row = rows[cells[0].split()[-1]]
            seen += 1
            for column, cell in zip(columns[1:], cells[1:], strict=True):
                check(cell, _truth_of(column, row, notes), (row["identity"], column))
    assert seen == len(rows)


def _truth_of(column, row, notes):
    def as_well(p, n):
        return [n, round(p * (n + 1)) - 1] if p is not None else []

    return {
        "Decision": list(scalars(row["note"])),
        "By": notes,
        "Group": list(scalars(row["arm"])),
        "Membership": [],
        "Captions": [row["occurrences"]],
        "Pictures": [row["pictures"], row["failed"]],
        "Votes": [row["score"]],
        "Paper's": [row["paper_score"]],
        "Strength": [row["z"]],
        "p": [row["p"]],
        "Adjusted": [row["p_adjusted"]],
        "Names": as_well(row["p_names"], row["n_names"]),
        "People": as_well(row["p_faces"], row["n_faces"]),
        "Conformal": [row["conformal_p"]],
    }[column]


def _groups(tables, finding):
    heads, *body = tables.pop("Share of people detected, by group")
    # Those by occurrences have a table of their own, with more in it.
    groups = {one["group"]: one for one in finding["groups"] if one["kind"] != "occurrences"}
    assert len(body) == len(groups)
    for label, detected, limits, *rest in body:
        group = groups[label.strip()]
        check(detected + limits, of(group["detected"]), label)
        check(rest[0] if len(rest) > 1 else "", of(group["by_votes"]), label)
    heads, *body = tables.pop("Rates by number of attack pictures")
    quantities = [re.search(r"\((\w+)\)", head)[1] for head in heads[1:]]
    assert len(body) == len({point["pictures"] for point in finding["curve"]})
    for size, *cells in body:
        for quantity, cell in zip(quantities, cells, strict=True):
            (rate,) = (
                point["rate"]
                for point in finding["curve"]
                if point["quantity"] == quantity and point["pictures"] == int(size)
            )
            check(cell, of(rate), (quantity, size))


def _occurrences(tables, finding):
    rows = {row["label"]: row for row in finding["occurrences"]}
    (large,) = {
        max(one["pictures"] for one in finding["confusions"] if one["pictures"] is not None)
    }
    _, *body = tables.pop("Share of people detected, by occurrences")
    assert len(body) == len(rows)
    for label, people, detected, limits, votes, _ in body:
        row = rows[label.strip()]
        at = {one["pictures"]: one["rate"] for one in row["by_votes"]}
        check(people, [row["people"]], label)
        check(detected + limits, of(row["detected"]), label)
        check(votes, of(at[large]), label)
    caption = "Share of people flagged by votes, by occurrences and number of pictures"
    heads, *body = tables.pop(caption)
    for label, *cells in body:
        at = {one["pictures"]: one["rate"] for one in rows[label.strip()]["by_votes"]}
        for head, cell in zip(heads[1:], cells, strict=True):
            check(cell, of(at[int(head.split()[0])]), (label, head))


def _matrices(tables, finding):
    _, *body = tables.pop("People flagged rightly and wrongly")
    assert len(body) == 2 * len(finding["confusions"])
    for place, (label, _, *cells) in enumerate(body):
        matrix = finding["confusions"][place // 2]
        check(label, [matrix["pictures"]], "matrix")
        for cell, is_flagged in zip(cells, (True, False), strict=True):
            (truth,) = (
                one
                for one in matrix["cells"]
                if one["is_flagged"] is is_flagged and one["is_member"] is (place % 2 == 0)
            )
            check(cell, [truth["people"], *of(truth["rate"])], (label, is_flagged))


def _comparison(tables, finding):
    comparison = finding["comparison"]
    _, *body = tables.pop("What each protocol says of the same answers")
    for column, reading in enumerate(comparison["readings"], 1):
        rule, flagged, tpr, fpr, verdict = (row[column] for row in body)
        check(rule, [finding["settings"]["tau"], finding["settings"]["alpha"]], "rule")
        check(flagged, [reading["flagged"], reading["decided"], reading["undecided"]], "flagged")
        check(tpr, of(reading["tpr"]), "tpr")
        check(fpr, of(reading["fpr"]), "fpr")
        check(verdict, scalars(reading["sentence"]), "verdict")
    _, *body = tables.pop("On how many people they agree")
    keys = ("both", "only_paper", "only_audit", "neither", "undecided")
    assert [int(cell) for _, cell in body] == [comparison[key] for key in keys]
    _, *body = tables.pop("Why they differ, and on whom")
    names = {row["identity"]: row["name"] for row in finding["people"]}
    for (_, why, people, who), truth in zip(body, comparison["differences"], strict=True):
        check(why, scalars(truth["note"]), "why")
        assert int(people) == truth["n"] == len(truth["people"])
        shown = who.split(" and ")[0]
        assert all(names[one] in shown for one in truth["people"][:12])
        check(who.partition(" and ")[2], [truth["n"] - 12], "who")


def _claims(tables, finding):
    heads, *body = tables.pop("Known non-members that a claim takes")
    claims = finding["claims"]
    for label, *cells in body:
        flagged = 0 if label.strip().startswith("nobody") else int(label.split()[0])
        check(label, [flagged, claims["known"]], "claims")
        for head, cell in zip(heads[1:], cells, strict=True):
            (written,) = numbers(head)
            (truth,) = (
                row
                for row in claims["rows"]
                if row["flagged"] == flagged and math.isclose(row["max_fpr"], written[0])
            )
            assert int(cell.split()[0]) == truth["needed"]
            assert ("does not hold" in cell) == (truth["holds"] is False)
            assert ("holds" in cell) == (truth["holds"] is True)


@pytest.fixture(scope="module", params=["audit", "paper"])
def study(request, findings):
    return findings.make_study(protocol=request.param)


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    """The page, its figures, and finding.json."""
    folder = tmp_path_factory.mktemp("numbers")
    page = write_report(study, folder).read_text("utf-8")
    figures = {path.stem: ElementTree.parse(path) for path in folder.glob("figures/*.svg")}
    return page, figures, json.loads(to_json(study))


def test_every_number_of_the_page_is_one_of_the_finding(written):
    page, _, finding = written
    compare(page, finding)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("25.0 %", "25.1 %"),  # the share of a group
        ("55.65 of 144", "55.66 of 144"),  # a cell of a matrix
        (">473<", ">472<"),  # what a claim takes
        ("539 of 540 people", "538 of 540 people"),  # a sentence
        ("12.1 % to 42.2 %", "12.1 % to 42.3 %"),  # a limit in small print
    ],
)
def test_a_number_that_is_off_by_its_last_digit_is_noticed(written, before, after):
    page, _, finding = written
    plain = page.replace("\u00a0", " ")
    assert before in plain
    with pytest.raises(AssertionError):
        compare(plain.replace(before, after), finding)


def test_every_number_drawn_is_one_of_the_finding(written):
    _, figures, finding = written
    parts = {
        "groups": finding["groups"],
        "occurrences": finding["occurrences"],
        "curve": finding["curve"],
        "heatmap": finding["occurrences"],
        "confusion": finding["confusions"],
    }
    assert figures.keys() == parts.keys()
    for name, part in parts.items():
        known = [*scalars(part), *(hit for one in _estimates(part) for hit in of(one))]
        # Cells of the heat map are in hundredths, without their sign.
        known += [100 * value for value in known if value is not None and name == "heatmap"]
        texts = _drawn(figures[name])
        assert len(texts) >= 4
        for text in texts:
            check(text.partition("; axis ends at")[0], known, (name, text))


def _drawn(figure):
    """What is written in a drawing, but for the ticks of its axes."""
    texts = []
    for group in figure.iter("{http://www.w3.org/2000/svg}g"):
        if "role-axis-label" not in group.get("class", ""):
            found = group.findall("{http://www.w3.org/2000/svg}text")
            texts += [element.text for element in found if element.text]
    return texts


def _estimates(thing):
    if isinstance(thing, dict):
        if "method" in thing:
            yield thing
        for part in thing.values():
            yield from _estimates(part)
    elif isinstance(thing, list):
        for part in thing:
            yield from _estimates(part)
