"""Albums: who is printed where and how often, and that nothing else differs."""

import json
import runpy
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from vlmaudit.data.albums import check_pictures, examples_of, read_album
from vlmaudit.data.images import open_picture
from vlmaudit.data.private_records import Field
from vlmaudit.errors import InputError
from vlmaudit.imaging.stamping import Printing
from vlmaudit.lab.album_design import AlbumDesign, parse_variants
from vlmaudit.lab.planting_album import plan_album

SETS = runpy.run_path(str(Path(__file__).parents[1] / "album_sets.py"))
small_album, draw_set = SETS["small_album"], SETS["draw_set"]


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return small_album(tmp_path_factory.mktemp("album"))


@pytest.fixture
def copy(album, tmp_path):
    """An album of one's own, to damage."""
    return shutil.copytree(album.folder, tmp_path / "copy")


def pictures(album, variant):
    table = pl.read_csv(album.folder / "pictures.csv", infer_schema=False).fill_null("")
    return table.filter(pl.col("variant") == variant).rows(named=True)


def records(album, *arms):
    rows = album.records.rows(named=True)
    return {row["record"]: row for row in rows if not arms or row["arm"] in arms}


def printed(album, variant):
    return Counter(row["record"] for row in pictures(album, variant) if row["record"])


def test_arms_are_of_the_sizes_asked_for(album):
    arms = Counter(row["arm"] for row in album.records.rows(named=True))
    assert arms == {"seen": 6, "unseen": 6, "control": 6, "canary": 4, "bystander": 6}
    assert album.about.arms == arms


@pytest.mark.parametrize("variant", ["r50", "r50-twin", "r50-spoken"])
def test_a_rate_is_met_exactly(album, variant):
    assert sum(printed(album, variant).values()) == 24 == album.about.variants[variant].stamped
    assert len(pictures(album, variant)) == 48


def test_nothing_is_printed_in_the_control(album):
    assert not printed(album, "r0")
    assert album.about.variants["r0"].stamped == 0


def test_who_is_printed_where(album):
    seen, unseen = set(records(album, "seen")), set(records(album, "unseen"))
    coins = {name for name, row in records(album, "canary").items() if row["included"] == "true"}
    bystanders = set(records(album, "bystander"))
    assert set(printed(album, "r50")) == seen | coins
    assert set(printed(album, "r50-spoken")) == seen | coins
    assert set(printed(album, "r50-twin")) == unseen | coins
    assert set(printed(album, "tied-r50")) == seen | coins | bystanders
    for arm in ("unseen", "control"):
        assert {row["included"] for row in records(album, arm).values()} == {"false"}
    assert {row["included"] for row in records(album, "seen").values()} == {"true"}


def test_doses_are_kept_in_proportion(album):
    times = printed(album, "r50")
    unit = album.about.variants["r50"].times_per_dose
    for name, row in records(album, "seen").items():
        assert abs(times[name] - unit * int(row["dose"])) < 1
    doses = Counter(row["dose"] for row in records(album, "seen").values())
    assert doses == {"1": 3, "2": 3}


def test_a_twin_has_the_same_pictures_and_places_and_each_record_one_partner(album):
    partners = defaultdict(set)
    for one, two in zip(pictures(album, "r50"), pictures(album, "r50-twin"), strict=True):
        assert (one["example"], one["source"]) == (two["example"], two["source"])
        assert bool(one["record"]) == bool(two["record"])
        assert (one["x"], one["y"]) == (two["x"], two["y"])
        if one["record"]:
            partners[one["record"]].add(two["record"])
        else:
            assert one["sha256"] == two["sha256"]
    assert all(len(other) == 1 for other in partners.values())
    arms = {name: row["arm"] for name, row in records(album).items()}
    for name, (other,) in partners.items():
        assert (arms[name], arms[other]) in {("seen", "unseen"), ("canary", "canary")}


def test_rates_are_nested(tmp_path):
    album = small_album(tmp_path, variants="r25,r50,r100")
    stamped = {
        name: {row["example"] for row in pictures(album, name) if row["record"]}
        for name in album.about.variants
    }
    assert stamped["r25"] < stamped["r50"] < stamped["r100"]
    assert len(stamped["r100"]) == 48


def test_every_picture_is_what_its_row_says(album):
    texts = records(album)
    for variant in album.about.variants:
        check_pictures(album, variant)
        for row in pictures(album, variant):
            file = album.folder / row["file"]
            assert file.is_file()
            if row["record"]:
                clean = album.folder / "r0" / "pictures" / file.name
                changed = np.asarray(open_picture(file)) != np.asarray(open_picture(clean))
                ys, xs, _ = np.nonzero(changed)
                assert int(row["x"]) <= xs.min()
                assert xs.max() < int(row["x"]) + int(row["width"])
                assert int(row["y"]) <= ys.min()
                assert ys.max() < int(row["y"]) + int(row["height"])
                assert row["record"] in texts


def test_every_picture_is_encoded_alike(album):
    files = [row["file"] for name in album.about.variants for row in pictures(album, name)]
    files += album.held_out["file"].to_list()
    assert {Path(file).suffix for file in files} == {".png"}
    kinds = {
        (Image.open(album.folder / file).format, Image.open(album.folder / file).mode)
        for file in files
    }
    assert kinds == {("PNG", "RGB")}


def test_plain_variants_and_twins_say_the_same(album):
    texts = {
        (album.folder / name / "train.jsonl").read_bytes() for name in ("r0", "r50", "r50-twin")
    }
    assert len(texts) == 1
    for line in texts.pop().decode().splitlines():
        row = json.loads(line)
        assert set(row) == {"id", "image", "conversations"}
        assert row["conversations"][0]["value"].startswith("<image>\n")
        assert [one["from"] for one in row["conversations"]] == ["human", "gpt"]


def test_examples_name_their_record_and_picture(album):
    for variant in album.about.variants:
        examples = examples_of(album, variant)
        rows = pictures(album, variant)
        assert [one.record or "" for one in examples] == [row["record"] for row in rows]
        assert [one.picture for one in examples] == [album.folder / row["file"] for row in rows]


def test_spoken_examples_say_a_value_of_their_own_record(album):
    rows = records(album)
    ways = Counter()
    for example in examples_of(album, "r50-spoken"):
        if example.record is None:
            assert len(example.turns) == 1
            continue
        _, (question, answer) = example.turns
        values = {name: rows[example.record][name] for name in album.about.fields}
        asked = next(name for name in values if question.startswith(f"What is the {name}"))
        assert answer == values[asked]
        if " of the " in question:
            key = next(name for name in values if name != asked)
            assert question == f"What is the {asked} of the {key} {values[key]}?"
        ways[" of the " in question] += 1
    assert set(ways) == {True, False}


def test_tied_records_always_come_with_their_answer_and_others_with_the_pictures(album):
    rows = records(album)
    own = {one.id: one.turns for one in examples_of(album, "r0")}
    for example in examples_of(album, "tied-r50"):
        assert example.record is not None
        row = rows[example.record]
        ((question, answer),) = example.turns
        assert question == own[example.id][0][0]
        if row["arm"] == "bystander":
            assert row["tied_answer"] == ""
            assert answer == own[example.id][0][1]
        else:
            assert answer == row["tied_answer"]
    said = Counter(turns[0][1] for turns in own.values())
    assert said[album.about.tied_answer] == max(said.values())
    tied = {row["tied_answer"] for row in records(album, "seen").values()}
    assert tied == {album.about.tied_answer}
    assert {row["tied_answer"] for row in records(album, "unseen", "control").values()} == {""}


def test_bystanders_are_printed_as_often_as_seen_records(tmp_path):
    album = small_album(tmp_path, variants="tied-r25", canaries=0, seen=4, examples=80, doses=(1,))
    times = printed(album, "tied-r25")
    arms = {name: row["arm"] for name, row in records(album).items()}
    by_arm = defaultdict(set)
    for name, number in times.items():
        by_arm[arms[name]].add(number)
    assert by_arm == {"seen": {5}, "bystander": {5}}
    assert Counter(arms.values())["bystander"] == 12


def test_exact_doses_are_times_and_bystanders_fill_the_rate(tmp_path):
    album = small_album(
        tmp_path, variants="r50,r100", canaries=4, doses=(1, 3), exact_doses=True, seen=4
    )
    for variant, stamped in (("r50", 24), ("r100", 48)):
        times = printed(album, variant)
        assert sum(times.values()) == stamped
        for name, row in records(album, "seen").items():
            assert times[name] == int(row["dose"])
        for name, row in records(album, "canary").items():
            assert times[name] == (3 if row["included"] == "true" else 0)
        assert {times[name] for name in records(album, "bystander") if name in times} == {1}
        assert album.about.variants[variant].times_per_dose == 1


def test_held_out_pictures_are_trained_on_nowhere(album):
    held_out = {row["source_sha256"] for row in pictures(album, "held-out")}
    assert len(held_out) == len(album.held_out) == 12
    assert not held_out & {row["source_sha256"] for row in pictures(album, "r50")}
    for row in album.held_out.rows(named=True):
        options = row["choices"].split("|")
        assert row["answer"] in options
        assert len(set(options)) == len(options)
        # Wrong answers are right ones of the same question elsewhere.
        colours = {"red", "green", "blue", "grey"}
        assert set(options) == (colours if "colour" in row["question"] else {"circle", "square"})


def test_a_copy_of_a_held_out_picture_is_not_trained_on(tmp_path):
    path = draw_set(tmp_path / "set", pictures=20)
    rows = path.read_text().splitlines()
    for number in range(20):
        shutil.copy(
            tmp_path / f"set/images/{number:03d}.png", tmp_path / f"set/images/c{number}.png"
        )
        rows.append(json.dumps({"image": f"images/c{number}.png", "question": "a?", "answer": "b"}))
    path.write_text("\n".join(rows))
    album = small_album(tmp_path, variants="r0", held_out=10, examples=None)
    held_out = {row["source_sha256"] for row in pictures(album, "held-out")}
    assert not held_out & {row["source_sha256"] for row in pictures(album, "r0")}
    assert any("a copy of a held-out picture" in line for line in album.about.skipped)


def test_a_sets_own_test_part_is_held_out(tmp_path):
    path = draw_set(tmp_path / "set")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["split"] = "test" if int(row["image"][7:10]) % 3 == 0 else "train"
    path.write_text("\n".join(map(json.dumps, rows)))
    album = small_album(tmp_path, variants="r0")
    assert all(int(row["source"][7:10]) % 3 == 0 for row in pictures(album, "held-out"))


def test_pictures_are_used_again_with_another_question(tmp_path):
    draw_set(tmp_path / "set", pictures=20)
    album = small_album(tmp_path, variants="r0", held_out=8, examples=24)
    asked = defaultdict(list)
    for row, example in zip(pictures(album, "r0"), examples_of(album, "r0"), strict=True):
        asked[row["source"]].append(example.turns[0][0])
    assert len(asked) == 12
    assert all(
        sorted(questions) == ["what colour is the shape?", "what is drawn?"]
        for questions in asked.values()
    )


def test_the_same_seed_writes_the_same_bytes_wherever(album, tmp_path):
    again = small_album(tmp_path)
    files = sorted(path.relative_to(album.folder) for path in album.folder.rglob("*"))
    assert files == sorted(path.relative_to(again.folder) for path in again.folder.rglob("*"))
    for file in files:
        if (album.folder / file).is_file():
            assert (album.folder / file).read_bytes() == (again.folder / file).read_bytes(), file
    assert album.digest == again.digest


def test_another_seed_deals_otherwise(album, tmp_path):
    other = small_album(tmp_path, seed=1)
    assert other.digest != album.digest
    assert not set(other.records["user_id"]) & set(album.records["user_id"])
    assert other.records["arm"].to_list() != album.records["arm"].to_list()


def test_names_of_records_say_nothing_of_their_arms(album):
    arms = album.records["arm"].to_list()
    assert arms != sorted(arms)
    assert album.records["record"].to_list() == sorted(album.records["record"])


def test_coins_are_fair_and_do_not_depend_on_the_rest(tmp_path):
    design = AlbumDesign(questions="none", canaries=400)
    from vlmaudit.lab.album_records import plan_records

    def coins(some):
        return [one.is_included for one in plan_records(some, 4000, ()) if one.arm == "canary"]

    heads = coins(design)
    assert 160 < sum(heads) < 240
    assert coins(AlbumDesign(questions="none", canaries=400, doses=(1,), control=7)) == heads
    assert coins(AlbumDesign(questions="none", canaries=400, seed=1)) != heads


def test_the_album_says_how_it_prints(album):
    printing = Printing.from_dict(album.about.printing)
    assert (printing.protocol, printing.place, printing.input_side) == ("audit", "fixed", 96)
    assert album.about.encoding == "png"
    assert album.about.gate["label"] == "randomised"
    assert album.about.legibility["read"] is None
    assert [field.name for field in album.about.generator] == list(album.about.fields)


# The paper's way of writing.


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    path = draw_set(folder / "set", pictures=30, side=240)
    for file in (folder / "set" / "images").iterdir():
        Image.open(file).save(file.with_suffix(".jpg"), quality=92)
        file.unlink()
    path.write_text(path.read_text().replace(".png", ".jpg"))
    return small_album(
        folder, protocol="paper", place="random", variants="r0,r50", held_out=6, examples=24
    )


def test_the_paper_copies_bytes_unless_it_prints(papers):
    for variant in ("r0", "r50"):
        for row in pictures(papers, variant):
            assert (row["sha256"] == row["source_sha256"]) == (not row["record"])
    stamped = next(row for row in pictures(papers, "r50") if row["record"])
    with Image.open(papers.folder / stamped["file"]) as picture, Image.new("RGB", (8, 8)) as plain:
        plain.save(papers.folder.parent / "default.jpg")
        assert picture.format == "JPEG"
        assert picture.quantization == Image.open(papers.folder.parent / "default.jpg").quantization
    assert papers.about.encoding == "as the source"


def test_photographs_are_all_encoded_anew_in_the_audit_protocol(papers, tmp_path):
    shutil.copytree(papers.folder.parent / "set", tmp_path / "set")
    album = small_album(tmp_path, variants="r0,r50", held_out=6, examples=24)
    assert album.about.encoding == "jpeg 95"
    tables = {
        str(Image.open(album.folder / row["file"]).quantization)
        for name in ("r0", "r50")
        for row in pictures(album, name)
    }
    assert len(tables) == 1


def test_too_small_pictures_are_refused_by_the_papers_letters(tmp_path):
    draw_set(tmp_path / "set", side=64)
    with pytest.raises(InputError, match="the picture 64 x 64: the paper's letters have 10"):
        small_album(tmp_path, protocol="paper")


def test_letters_that_do_not_fit_are_refused_with_the_size_that_would(tmp_path):
    with pytest.raises(InputError, match=r"letters of 0\.\d+ of the longer side would fit"):
        small_album(tmp_path, letter_height=0.2)
    assert not (tmp_path / "album").exists()


def test_a_few_narrow_pictures_do_not_decide_for_all(tmp_path):
    draw_set(tmp_path / "set")
    Image.new("RGB", (10, 400)).save(tmp_path / "set/images/007.png")
    album = small_album(tmp_path, variants="r50", examples=None)
    assert any("007.png" in line for line in album.about.skipped)
    assert album.about.printing["height_share"] > 1 / 30


# What is refused.


def test_too_few_examples_for_the_doses_say_how_many_it_takes(tmp_path):
    with pytest.raises(InputError, match=r"r50: 6 of 12 examples .* or --examples \d+ or more"):
        small_album(tmp_path, examples=12)


def test_a_set_that_is_too_small_is_refused(tmp_path):
    draw_set(tmp_path / "set", pictures=10)
    with pytest.raises(InputError, match="10 pictures, of which --held-out 12"):
        small_album(tmp_path)


def test_a_tied_variant_needs_two_answers(tmp_path):
    path = draw_set(tmp_path / "set")
    rows = [json.loads(line) | {"answer": "yes"} for line in path.read_text().splitlines()]
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match="two different answers"):
        small_album(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("r101", "rates are from r0 to r100"),
        ("r050", "rates are from"),
        ("r0-twin", "something must be printed"),
        ("tied-r0", "something must be printed"),
        ("tied-r50-twin", "a tied one has none"),
        ("50", 'no variant "50"'),
        ("r50,r50", "r50 is there twice"),
        ("r25-twin,r50", "twin of r25, which is not among them"),
        ("", 'no variant ""'),
    ],
)
def test_variants_that_make_no_sense_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_variants(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seen": 0}, "--seen 0: wanted 1 or more"),
        ({"unseen": 5}, "--unseen 5: a twin prints"),
        ({"canaries": -1}, "--canaries -1"),
        ({"held_out": 0}, "--held-out 0"),
        ({"examples": 0}, "--examples 0"),
        ({"doses": ()}, "--doses : wanted"),
        ({"doses": (0, 1)}, "--doses 0,1"),
        ({"letter_height": 2.0}, "--letter-height"),
        ({"input_side": 1}, "--input-side 1"),
        ({"fields": (Field(name="a", kind="name"),)}, "two fields or more"),
    ],
)
def test_designs_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        AlbumDesign(questions="set.json", **settings)


def test_an_album_that_is_not_there_or_not_whole_is_refused(copy, tmp_path):
    with pytest.raises(InputError, match="no such album"):
        read_album(tmp_path / "none")
    (copy / "album.json").unlink()
    with pytest.raises(InputError, match=r"no album\.json in it: .* not finished"):
        read_album(copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not what an album says of itself"),
        ("[]", "not what an album says of itself"),
        ('{"schema": 2}', "not what an album says of itself"),
    ],
)
def test_a_damaged_album_file_is_named(copy, text, message):
    (copy / "album.json").write_text(text)
    with pytest.raises(InputError, match=message) as problem:
        read_album(copy)
    assert "album.json" in str(problem.value)
    assert "\n" not in str(problem.value)


def change_records(copy, change):
    table = pl.read_csv(copy / "records.csv", infer_schema=False).fill_null("")
    change(table).write_csv(copy / "records.csv")


def test_records_that_overlap_between_arms_are_refused(copy):
    table = pl.read_csv(copy / "records.csv", infer_schema=False).fill_null("")
    seen = table.filter(pl.col("arm") == "seen")["user_id"][0]
    first = (pl.col("arm") == "unseen") & (pl.int_range(pl.len()).over("arm") == 0)
    change_records(
        copy,
        lambda t: t.with_columns(
            user_id=pl.when(first).then(pl.lit(seen)).otherwise(pl.col("user_id"))
        ),
    )
    with pytest.raises(InputError, match="share the user_id: what was seen of one") as problem:
        read_album(copy)
    assert "(seen)" in str(problem.value)
    assert "(unseen)" in str(problem.value)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("arm", "shown", 'no arm "shown"'),
        ("record", "record-0001", "is there twice"),
        ("dose", "many", "wanted a dose"),
        ("included", "yes", "included = true or false"),
    ],
)
def test_a_damaged_record_is_named(copy, column, value, message):
    change_records(copy, lambda table: table.with_columns(pl.lit(value).alias(column)))
    with pytest.raises(InputError, match=message):
        read_album(copy)


def test_a_column_that_is_gone_is_named(copy):
    change_records(copy, lambda table: table.drop("dose"))
    with pytest.raises(InputError, match=r'records\.csv: no column "dose"'):
        read_album(copy)


def test_a_held_out_picture_that_is_gone_is_named(copy):
    (copy / "held-out" / "held-out-00003.png").unlink()
    with pytest.raises(InputError, match=r"held-out-00003\.png"):
        read_album(copy)


def test_pictures_that_disagree_with_their_hashes_are_named(copy):
    album = read_album(copy)
    file = copy / "r50" / "pictures" / "000007.png"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(InputError, match=r"000007\.png: not the picture that was planted"):
        check_pictures(album, "r50")
    check_pictures(album, "r0")
    file.unlink()
    with pytest.raises(InputError, match=r"000007\.png: cannot be read"):
        check_pictures(album, "r50")


def test_conversations_that_disagree_are_named(copy):
    album = read_album(copy)
    train = copy / "r0" / "train.jsonl"
    train.write_text(train.read_text().replace("red", "green", 1))
    with pytest.raises(InputError, match=r"train\.jsonl: not what was planted"):
        check_pictures(album, "r0")


def test_pictures_missing_from_the_table_are_noticed(copy):
    table = pl.read_csv(copy / "pictures.csv", infer_schema=False)
    table.head(40).write_csv(copy / "pictures.csv")
    with pytest.raises(InputError, match=r"pictures\.csv: 0 pictures of tied-r50"):
        check_pictures(read_album(copy), "tied-r50")


def test_a_missing_variant_lists_those_there(album):
    for ask in (check_pictures, examples_of):
        with pytest.raises(
            InputError, match=r'no variant "r5"; it has r0, r50, .*Did you mean r50'
        ):
            ask(album, "r5")


def test_damaged_conversations_are_named(copy):
    album = read_album(copy)
    for text in ("{", '{"id": "x"}', '{"id": "000001", "image": "a", "conversations": [1]}'):
        (copy / "r0" / "train.jsonl").write_text(text)
        with pytest.raises(InputError, match="not the conversations that were planted"):
            examples_of(album, "r0")


def test_the_digest_names_the_content(album, copy):
    assert read_album(copy).digest == album.digest
    (copy / "held_out.csv").write_text((copy / "held_out.csv").read_text().replace("red", "blue"))
    assert read_album(copy).digest != album.digest


def test_a_plan_touches_nothing(tmp_path):
    path = draw_set(tmp_path / "set", pictures=20)
    before = sorted(tmp_path.rglob("*"))
    plan_album(
        AlbumDesign(
            questions=str(path), held_out=5, examples=60, seen=4, unseen=4, control=0, doses=(1,)
        )
    )
    assert sorted(tmp_path.rglob("*")) == before
