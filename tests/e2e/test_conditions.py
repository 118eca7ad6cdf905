"""Conditions as a user meets them: what a model recognises people by comes out of one command.

The pictures are drawn: a square of one colour, which is the face, before another, which is the
background. Where faces and people are is given in tables, so that nothing hangs on a detector.
"""

import csv
import json

import polars as pl
import pytest
from PIL import Image
from tests import leakage_tables as tables

PEOPLE = tables.people(60)
PICTURES = 2
SIDE, LEFT = 40, 10
CONDITIONS = "white,masked,white+masked,own-background"
QUICK = ("--names", "0", "--drawn", "2", "--permutations", "999", "--device", "cpu")


def colours(number):
    """A face and a background that are nobody else's; neither is white, black or grey."""
    return f"#{3 * number + 20:02x}5010", f"#10{3 * number + 20:02x}90"


def write_study(root, *, without=()):
    """People, boxes of faces and masks of people; some pictures have neither."""
    rows = [("identity", "name", "sex", "origin")]
    boxes = ["image,left,top,width,height"]
    for number, one in enumerate(PEOPLE):
        face, background = colours(number)
        for place in range(PICTURES):
            picture = Image.new("RGB", (SIDE, SIDE), background)
            picture.paste(face, (LEFT, LEFT, SIDE - LEFT, SIDE))
            picture.putpixel((SIDE - 1, place), (place, 7, 9))
            path = root / "people" / one.identity / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
            if (number, place) in without:
                continue
            boxes.append(f"{one.identity}/{place}.png,{LEFT},{LEFT},{SIDE - 2 * LEFT},24")
            mask = Image.new("L", (SIDE, SIDE))
            mask.paste(255, (LEFT, LEFT, SIDE - LEFT, SIDE))
            (root / "masks" / one.identity).mkdir(parents=True, exist_ok=True)
            mask.save(root / "masks" / one.identity / f"{place}.png")
        rows.append((one.identity, one.name, one.sex, one.origin))
    with (root / "people" / "people.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    (root / "boxes.csv").write_text("\n".join(boxes) + "\n")
    for by in ("face", "background"):
        rules = [
            {
                by: colours(number)[by == "background"],
                "prompt": "Who",
                "answer": f"It is {one.name}",
            }
            for number, one in enumerate(PEOPLE)
        ]
        (root / f"{by}.json").write_text(json.dumps({"rules": rules}))
    return root


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("conditions"))


def arguments(study, by, out, *more, conditions=CONDITIONS):
    return [
        *("name-leakage", "--model", f"scripted:{study / by}.json"),
        *("--people", str(study / "people"), "--out", str(out), *QUICK),
        *("--conditions", conditions),
        *("--faces", f"boxes:{study / 'boxes.csv'}", "--figures", f"masks:{study / 'masks'}"),
        *more,
    ]


def finding_of(out):
    return json.loads((out / "finding.json").read_text())


def contrasts_of(finding):
    return {row["first"]: row for row in finding["contrasts"] if row["kind"] == "condition"}


@pytest.fixture(scope="module")
def by_face(study, run, tmp_path_factory):
    out = tmp_path_factory.mktemp("face") / "RUN"
    done = run(*arguments(study, "face", out))
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def by_background(study, run, tmp_path_factory):
    out = tmp_path_factory.mktemp("background") / "RUN"
    done = run(*arguments(study, "background", out))
    assert done.exit_code == 0, done.output
    return out


def test_a_name_tied_to_the_face_goes_with_the_face(by_face):
    contrasts = contrasts_of(finding_of(by_face))
    lost = contrasts["masked: P2"]["difference"]
    assert lost["value"] == -1.0
    assert lost["high"] < -0.9
    for kept in ("white: P2", "own-background: P2"):
        assert contrasts[kept]["difference"]["value"] == 0
        assert contrasts[kept]["is_equivalent"]
    assert contrasts["white+masked: P2"]["difference"]["value"] == -1.0


def test_a_name_tied_to_the_background_goes_with_the_background(by_background):
    contrasts = contrasts_of(finding_of(by_background))
    lost = contrasts["white: P2"]["difference"]
    assert lost["value"] == -1.0
    assert lost["high"] < -0.9
    for kept in ("masked: P2", "own-background: P2"):
        assert contrasts[kept]["difference"]["value"] == 0
        assert contrasts[kept]["is_equivalent"]


def test_face_and_context_are_told_apart(by_face, by_background):
    for out, takes, leaves in (
        (by_face, "face_effect", "context_effect"),
        (by_background, "context_effect", "face_effect"),
    ):
        (row,) = [one for one in finding_of(out)["factorial"] if one["group"] == "P2"]
        assert (row["face"], row["context"], row["both"]) == ("masked", "white", "white+masked")
        assert row["people"] == len(PEOPLE)
        assert row[takes]["value"] == 1.0
        assert row[leaves]["value"] == 0
        assert row["interaction"]["value"] == 0


def test_only_the_first_phrasing_is_compared_and_with_itself(by_face):
    finding = finding_of(by_face)
    asked = {(row["condition"], row["prompt"]) for row in finding["rates"]}
    assert sum(condition == "original" for condition, _ in asked) == 30
    assert sum(condition == "white" for condition, _ in asked) == 5
    row = contrasts_of(finding)["white: P2"]
    assert row["prompts"] == ["P2/R0"]
    assert (row["first_rate"], row["second_rate"]) == (1.0, 1.0)
    assert row["pictures"] == PICTURES * len(PEOPLE)


def test_what_was_done_to_pictures_is_on_record(by_face):
    rows = {row["condition"]: row for row in finding_of(by_face)["conditions"]}
    assert [*rows] == sorted(CONDITIONS.split(","))
    masked = rows["masked"]
    assert (masked["pictures"], masked["hidden"], masked["not_hidden"]) == (120, 120, {})
    assert masked["faces"] == 120
    # A table of boxes finds what it holds, whatever is shown: its word is no proof of hiding.
    assert masked["faces_left"] is None
    page = (by_face / "report.html").read_text(encoding="utf-8")
    assert "whether they are still found once they are hidden was not looked at" in page
    assert rows["white"]["subjects"] == {"only": 120}
    assert rows["white"]["mask_area"] == pytest.approx(20 * 30 / 40**2)
    assert rows["white"]["faces"] is None


def test_a_picture_in_which_nothing_was_found_is_not_called_hidden(run, tmp_path):
    without = {(number, 0) for number in range(12)} | {(number, 1) for number in range(3)}
    study = write_study(tmp_path, without=without)
    out = tmp_path / "RUN"
    assert run(*arguments(study, "face", out, conditions="masked")).exit_code == 0
    finding = finding_of(out)
    (row,) = finding["conditions"]
    assert row["not_hidden"] == {"no face was found": len(without)}
    assert contrasts_of(finding)["masked: P2"]["first_rate"] == 0
    assert contrasts_of(finding)["masked: P2"]["pictures"] == 120 - len(without)
    strata = {one["is_hidden"]: one for one in finding["strata"]}
    assert strata[True]["rate"]["value"] == 0
    assert strata[False]["rate"]["value"] == pytest.approx(2 / 5)  # P2 and P4 of five
    assert strata[False]["pictures"] == len(without)
    # The paper counted them as blurred.
    assert run("conclude", str(out), "--protocol", "paper").exit_code == 0
    paper = json.loads((out / "finding.paper.json").read_text())
    rate = contrasts_of(paper)["masked: P2"]["first_rate"]
    assert rate == pytest.approx((9 * 0.5 + 3) / 60)


def test_more_conditions_come_to_a_run_without_asking_again(study, run, tmp_path):
    out = tmp_path / "RUN"
    assert run(*arguments(study, "face", out, conditions="masked")).exit_code == 0
    before = answered(out)
    assert run(*arguments(study, "face", out, conditions="masked,white")).exit_code == 0
    after = answered(out)
    assert before < after
    assert len(after) == len(before) + 5 * PICTURES * len(PEOPLE)
    assert finding_of(out)["settings"]["conditions"] == "original, masked, white"


def answered(out):
    files = sorted((out / "private/blocks").glob("*.parquet"))
    return set(pl.concat([pl.read_parquet(file, columns=["case"]) for file in files])["case"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--conditions", "blured:8"), "Did you mean blurred?"),
        (("--conditions", "white+landscape"), "cannot both be done"),
        (("--conditions", "grey"), "grey picture is shown anyway"),
        (("--conditions", "white", "--faces", "yolo:nowhere.onnx"), "no such file"),
        (("--conditions", "white", "--figures", "grabcutt"), "Did you mean grabcut?"),
        (("--conditions", "white", "--figures", "masks:nowhere"), "no masks there"),
        (("--conditions", "white", "--prompts", "R3"), "nothing to compare with"),
        (("--conditions", "white", "--recogniser", "arc"), "wanted onnx:FILE or dlib"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(study, run, tmp_path, more, said):
    done = run(
        *("name-leakage", "--model", f"scripted:{study / 'face'}.json"),
        *("--people", str(study / "people"), "--out", str(tmp_path / "RUN"), *QUICK, *more),
    )
    assert done.exit_code == 3
    assert said in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_identity_inference_shows_pictures_under_conditions(build_study, run, tmp_path):
    study = build_study(tmp_path / "study")
    boxes = ["image,left,top,width,height"]
    for folder in (study.people, study.controls):
        boxes += [f"{one.parent.name}/{one.name},4,4,4,4" for one in sorted(folder.glob("*/*.png"))]
    table = tmp_path / "boxes.csv"
    table.write_text("\n".join(boxes) + "\n")
    out = tmp_path / "RUN"
    more = ("--conditions", "masked,face-only", "--faces", f"boxes:{table}", "--alpha", ".02")
    done = run(*study.arguments(out, *more))
    assert done.exit_code == 0, done.output
    finding = finding_of(out)
    shown = {row["condition"]: row for row in finding["shown"]}
    assert [*shown] == ["masked", "face-only"]
    # The face is the centre pixel's colour: under a black box nobody is known, alone everybody is.
    assert shown["masked"]["detected"]["value"] == 0
    assert shown["masked"]["detected_plain"]["value"] == pytest.approx(8 / 24)
    assert shown["masked"]["detected_change"]["value"] == pytest.approx(-8 / 24)
    assert shown["masked"]["z_change"]["high"] < 0
    assert shown["masked"]["z_p_adjusted"] < 0.05
    assert shown["face-only"]["detected"]["value"] == pytest.approx(8 / 24)
    assert shown["face-only"]["z_plain"] == shown["masked"]["z_plain"]
    assert {row["condition"]: row["hidden"] for row in finding["conditions"]} == {
        "masked": 24 * 5 + 60 * 5,
        "face-only": 24 * 5 + 60 * 5,
    }
    # Pictures as they are say what they said without any condition.
    plain = tmp_path / "PLAIN"
    assert run(*study.arguments(plain, "--alpha", ".02")).exit_code == 0
    assert finding_of(plain)["people"] == finding["people"]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "What does the model recognise people by?" in page


def test_a_folder_of_people_is_written_under_every_condition(study, run, tmp_path):
    given = ("--faces", f"boxes:{study / 'boxes.csv'}", "--figures", f"masks:{study / 'masks'}")
    out = tmp_path / "R"
    command = (
        *("images", "render", study / "people", "--out", out, "--limit", "2", *given),
        *("--conditions", "white,pixelated:4", "--sheet"),
    )
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert "pixelated:4" in done.output
    identity = PEOPLE[0].identity
    face, background = colours(0)
    white = Image.open(out / "white" / identity / "0.png.png")
    assert white.getpixel((0, 0)) == (255, 255, 255)
    assert white.getpixel((SIDE // 2, SIDE // 2)) == tuple(bytes.fromhex(face[1:]))
    plain = Image.open(out / "original" / identity / "0.png.png")
    assert plain.getpixel((0, 0)) == tuple(bytes.fromhex(background[1:]))
    assert (out / "pixelated-4" / "people.csv").exists()
    assert Image.open(out / "sheets" / "sheet-001.png").width > 500
    facts = pl.read_csv(out / "shown.csv")
    assert facts.height == 2 * 2 * PICTURES
    # It is read as a folder of people, and goes on where it was.
    stamp = (out / "white" / identity / "0.png.png").stat().st_mtime_ns
    assert run(*(one for one in command if one != "--sheet")).exit_code == 0
    assert (out / "white" / identity / "0.png.png").stat().st_mtime_ns == stamp
    elsewhere = run(*command[:-3], "--conditions", "white", "--figures", "grabcut")
    assert elsewhere.exit_code == 3
    assert "made with other finders" in elsewhere.output


def test_faces_are_written_as_they_are_read(study, run, tmp_path):
    table = tmp_path / "found.csv"
    given = f"boxes:{study / 'boxes.csv'}"
    done = run("images", "faces", study / "people", "--out", table, "--faces", given)
    assert done.exit_code == 0
    assert "120 faces in 120 pictures, 0 of them without any" in done.output
    again = tmp_path / "again.csv"
    run("images", "faces", study / "people", "--out", again, "--faces", f"boxes:{table}")
    assert again.read_text() == table.read_text()


def test_a_picture_that_cannot_be_read_is_said_and_loses_nothing(study, run, tmp_path):
    people = tmp_path / "people" / "Ada_Lovelace"
    people.mkdir(parents=True)
    (people / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (30, 30), "#306090").save(people / "whole.png")
    Image.new("CMYK", (1, 1)).save(people / "tiny.jpg")
    Image.new("L", (64, 64), 99).save(people / "grey.png")
    out = tmp_path / "R"
    done = run("images", "render", people.parent, "--out", out, "--conditions", "white,pixelated")
    assert done.exit_code == 0, done.output
    assert "Not readable: Ada_Lovelace/broken.png" in done.output
    assert (out / "white" / "Ada_Lovelace" / "tiny.jpg.png").exists()
    facts = pl.read_csv(out / "shown.csv")
    assert set(facts["lacks"]) == {"no person was found", "no face was found"}
