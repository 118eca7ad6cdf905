"""Small pictures of detected people, and nothing else of the files."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from vlmaudit.audits.asked import write_people
from vlmaudit.data.identities import Person
from vlmaudit.errors import RunError
from vlmaudit.report.html import write_report
from vlmaudit.report.pictures import SIDE, detected_pictures
from vlmaudit.results.cases import write_cases
from vlmaudit.results.files import make_private
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.run_folder import Manifest, RunFolder
from vlmaudit.seeds import stream

MODEL = ModelRecord(name="m", family="scripted", weights="0", dtype="float32")
SECRET = b"taken at 52.5 N 13.4 E"


@dataclass(frozen=True)
class Case:
    key: str
    identity: str
    image: str
    condition: str = "original"
    question: str = ""


def photograph(path, *, size=(300, 200), seed=0):
    """A picture whose file says more than it shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = stream(seed, "pixels").integers(0, 256, (size[1], size[0], 3), np.uint8)
    picture = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()  # ImageDescription
    picture.save(path, "JPEG", exif=exif, comment=SECRET, icc_profile=SECRET)


@pytest.fixture
def study(findings, tmp_path):
    """Four people of a run: two detected, one not, and one whose pictures are gone."""
    people = [
        findings.person("tied", name="Ada", detected=True),
        findings.person("folder", name="Bea", detected=True),
        findings.person("not", name="Cleo", detected=False),
        findings.person("gone", name="Dora", detected=True),
    ]
    finding = findings.make_finding(people=people)
    folder_of = {"folder": "Bea_in_another_folder"}
    persons = [
        Person(row.identity, row.name, folder=folder_of.get(row.identity, row.identity))
        for row in people
    ]
    root = tmp_path / "people"
    for place, person in enumerate(persons[:3]):
        photograph(root / person.folder / "1.jpg", seed=place)
        photograph(root / person.folder / "2.jpg", seed=10 + place)
    run = RunFolder(tmp_path / "run")
    run.make(fresh=False)
    manifest = Manifest(
        audit="identity-inference",
        model_spec="m",
        model=MODEL,
        people=str(root),
        controls=None,
        observation={},
        conclusion={},
    )
    run.agree(manifest)
    make_private(run.private)
    write_people(run.private, persons, [])
    cases = [
        Case(f"{person.identity}{name}", person.identity, f"{person.folder}/{name}")
        for person in persons
        for name in ("1.jpg", "2.jpg")
    ]
    write_cases(run.private, {0: cases})
    return finding, run, root


def pictures_in(addresses):
    for address in addresses:
        head, _, content = address.partition(",")
        assert head == "data:image/jpeg;base64"
        yield base64.b64decode(content)


def test_whoever_was_detected_has_a_picture_and_who_has_none_is_said(study):
    finding, run, _ = study
    found = detected_pictures(finding, run, 10**6)
    assert set(found.shown) == {"tied", "folder"}
    assert found.notes == ("No picture could be opened of 1 detected person: gone.",)


def test_pictures_are_small_and_say_nothing_of_themselves(study):
    finding, run, _ = study
    for content in pictures_in(detected_pictures(finding, run, 10**6).shown.values()):
        picture = Image.open(io.BytesIO(content))
        assert max(picture.size) == SIDE
        assert picture.size == (96, 64)
        assert not picture.getexif()
        assert {"comment", "icc_profile", "exif"}.isdisjoint(picture.info)
        assert SECRET not in content


def test_a_damaged_picture_gives_way_to_the_next(study):
    finding, run, root = study
    (root / "tied" / "1.jpg").write_bytes(b"no picture")
    again = detected_pictures(finding, run, 10**6)
    assert set(again.shown) == {"tied", "folder"}


def test_pictures_stop_where_the_page_is_full(study):
    finding, run, _ = study
    one = len(next(iter(detected_pictures(finding, run, 10**6).shown.values())))
    found = detected_pictures(finding, run, one + 2500)
    assert len(found.shown) == 1
    assert found.notes[-1] == "The page is full: 2 detected people have no picture in it."


def test_nothing_outside_the_people_s_folder_is_ever_opened(study, tmp_path):
    finding, run, root = study
    photograph(tmp_path / "elsewhere" / "1.jpg")
    write_people(run.private, [Person("tied", "Ada", folder="../elsewhere")], [])
    write_cases(run.private, {0: [Case("k", "tied", "../elsewhere/1.jpg")]})
    assert detected_pictures(finding, run, 10**6).shown == {}
    assert root.exists()


def test_a_run_that_lost_its_people_says_so(study):
    finding, run, _ = study
    (run.private / "people.parquet").unlink()
    with pytest.raises(RunError, match="without it no picture is found"):
        detected_pictures(finding, run, 10**6)


def test_the_page_shows_them_within_its_budget_and_says_so(study, tmp_path):
    finding, run, _ = study
    page = write_report(
        finding, tmp_path / "out", pictures=lambda left: detected_pictures(finding, run, left)
    ).read_text("utf-8")
    assert page.count('src="data:image/jpeg;base64,') == 2
    assert "This page holds pictures of people" in page
    assert "No picture could be opened of 1 detected person: gone." in page
    plain = write_report(finding, tmp_path / "out").read_text("utf-8")
    assert "data:image" not in plain
    assert "This page holds no picture" in plain


def test_a_page_never_outgrows_what_can_be_mailed(study, tmp_path, monkeypatch):
    finding, run, root = study
    people = [finding.people[0].model_copy(update={"identity": f"p{n:02d}"}) for n in range(40)]
    persons = [Person(one.identity, one.name, folder=one.identity) for one in people]
    for place, person in enumerate(persons):
        photograph(root / person.folder / "1.jpg", size=(96, 96), seed=place)
    write_people(run.private, persons, [])
    write_cases(
        run.private,
        {0: [Case(one.identity, one.identity, f"{one.folder}/1.jpg") for one in persons]},
    )
    many = finding.model_copy(update={"people": people})
    bare = write_report(many, tmp_path / "out").stat().st_size
    monkeypatch.setattr("vlmaudit.report.html.MAX_BYTES", bare + 100_000)
    page = write_report(
        many, tmp_path / "out", pictures=lambda left: detected_pictures(many, run, left)
    )
    assert bare + 70_000 < page.stat().st_size <= bare + 100_000
    assert "The page is full" in page.read_text("utf-8")
