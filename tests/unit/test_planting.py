"""The randomised design: exact arms, replay, and nothing that gives a planted person away."""

import csv
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from vlmaudit.data.candidates import read_candidates
from vlmaudit.data.identities import read_people
from vlmaudit.data.images import open_picture
from vlmaudit.data.names import fold_name
from vlmaudit.errors import AuditError, InputError, RunError
from vlmaudit.lab import planting, study
from vlmaudit.lab.contrastive import Training
from vlmaudit.lab.people import draw_people
from vlmaudit.lab.planting import Design, build_mixture, plan_study
from vlmaudit.lab.study import draw_study, folder_name, planted_record
from vlmaudit.stats.assignment import planted_arms

SMALL = Design(
    doses=(1, 3),
    people_per_dose=3,
    never=5,
    name_only=2,
    unpaired=2,
    captions_apart=4,
    controls=4,
    decoys_per_sex=20,
    attack_pictures=3,
    named_strangers=6,
    pictures_per_named_stranger=2,
    nameless_strangers=8,
    pictures_per_nameless_stranger=2,
)
SEED = 3


@pytest.fixture(scope="module")
def plan():
    return plan_study(SMALL, seed=SEED)


@pytest.fixture(scope="module")
def mixture(plan):
    return build_mixture(plan, draw_people([p.sex for p in plan.everybody()], seed=SEED))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_study(SMALL, tmp_path_factory.mktemp("lab") / "study", seed=SEED)


def test_arms_are_exact_and_the_sexes_balanced_in_them():
    plan = plan_study(Design(), seed=0)

    assert Counter(person.arm for person in plan.audited) == Design().arms()
    for arm, size in Design().arms().items():
        women = sum(p.sex == "female" for p in plan.audited if p.arm == arm)
        assert abs(women - size / 2) <= 0.5
    assert Counter(decoy.sex for decoy in plan.decoys) == {"female": 1000, "male": 1000}
    assert Counter(person.sex for person in plan.controls) == {"female": 200, "male": 200}


def test_the_default_sizes_carry_the_claims_that_are_made_of_them():
    design = Design()

    assert design.never >= 299  # the fewest non-members for "FPR at most 1 %"
    assert design.people_per_dose >= 30
    assert min(design.name_only, design.unpaired) >= 60
    assert design.controls >= 399
    assert design.decoys_per_sex >= 1000


def test_a_plan_is_a_function_of_design_and_seed(plan):
    assert plan_study(SMALL, seed=SEED) == plan
    other = plan_study(SMALL, seed=SEED + 1)
    assert [p.arm for p in other.audited] != [p.arm for p in plan.audited]
    assert {p.name for p in other.audited}.isdisjoint(p.name for p in plan.audited)


def test_more_pictures_change_neither_names_nor_arms(plan):
    more = plan_study(replace(SMALL, attack_pictures=9), seed=SEED)

    assert more.audited == plan.audited


def test_nobody_shares_a_name_with_anybody(plan):
    names = [p.name for p in plan.audited + plan.controls + plan.named_strangers]
    names += [decoy.name for decoy in plan.decoys]

    assert len({fold_name(name) for name in names}) == len(names)


def test_a_name_that_both_sexes_bear_is_given_once(monkeypatch):
    def unisex(count, *, sex, origin, rng, exclude):
        free = (f"Robin {n}" for n in range(1000) if f"Robin {n}" not in exclude)
        return [next(free) for _ in range(count)]

    monkeypatch.setattr(planting, "draw_names", unisex)
    plan = plan_study(SMALL, seed=0)
    names = [p.name for p in plan.audited + plan.controls + plan.named_strangers]
    names += [decoy.name for decoy in plan.decoys]

    assert len(set(names)) == len(names)


def test_true_names_and_decoys_are_one_shuffled_draw(monkeypatch):
    """Were names handed out as they come, the first drawn would be the audited people's."""

    def numbered(count, *, sex, origin, rng, exclude):
        return [f"{sex} {number}" for number in range(count)]

    monkeypatch.setattr(planting, "draw_names", numbered)
    plan = plan_study(Design(), seed=0)
    places = {
        "audited": [int(p.name.split()[1]) for p in plan.audited],
        "controls": [int(p.name.split()[1]) for p in plan.controls],
        "decoys": [int(decoy.name.split()[1]) for decoy in plan.decoys],
    }
    total = sum(map(len, (plan.audited, plan.controls, plan.named_strangers))) / 2 + 1000
    for of_kind in places.values():
        standard_error = total / np.sqrt(12 * len(of_kind))
        assert abs(np.mean(of_kind) - total / 2) < 4 * standard_error


def test_each_person_is_planted_as_their_arm_says(plan, mixture):
    pairs = list(zip(mixture.faces.tolist(), mixture.captions, strict=True))
    for number, person in enumerate(plan.audited):
        with_name = [face for face, caption in pairs if person.name in caption]
        with_face = [caption for face, caption in pairs if face == number]
        together = [caption for caption in with_face if person.name in caption]

        assert len(together) == person.dose
        assert len(with_name) == plan.occurrences(person)
        match person.arm:
            case "never":
                assert not with_name
                assert not with_face
            case "name-only":
                assert len(with_name) == len(set(with_name)) == SMALL.captions_apart
                assert not with_face
            case "unpaired":
                assert len(with_name) == len(with_face) == SMALL.captions_apart
            case _:
                assert len(with_face) == person.dose


def test_pictures_are_drawn_as_large_as_a_model_takes_them(plan, mixture):
    drawings = draw_people([p.sex for p in plan.everybody()], seed=SEED)
    small = build_mixture(plan, drawings, side=48)

    assert (mixture.side, small.side) == (64, 48)
    assert small.captions == mixture.captions
    assert (small.faces == mixture.faces).all()


def test_decoys_and_controls_are_never_trained_on(plan, mixture):
    captions = "\n".join(mixture.captions)
    controls = range(len(plan.audited), len(plan.audited) + len(plan.controls))

    assert not any(person.name in captions for person in plan.controls)
    assert not any(decoy.name in captions for decoy in plan.decoys)
    assert not set(mixture.faces.tolist()) & set(controls)


def test_no_attack_picture_is_a_training_picture(mixture, drawn):
    trained = {picture.tobytes() for picture in mixture.pictures}
    attacked = [
        np.asarray(open_picture(path)).tobytes()
        for folder in (drawn.people, drawn.controls)
        for path in folder.rglob("*.png")
    ]

    assert len(trained) == len(mixture.captions)
    assert len(set(attacked)) == len(attacked) == (15 + 4) * SMALL.attack_pictures
    assert trained.isdisjoint(attacked)


def test_the_people_on_disk_are_those_of_the_plan(plan, drawn):
    for folder, persons in ((drawn.people, plan.audited), (drawn.controls, plan.controls)):
        people = read_people(folder)
        assert people.notices == ()
        assert {len(paths) for paths in people.pictures.values()} == {SMALL.attack_pictures}
        for found, person in zip(people.persons, persons, strict=True):
            assert (found.identity, found.name, found.sex) == (
                *(person.identity, person.name, person.sex),
            )
            assert found.origin == "en_US"
            assert found.membership == person.membership
            assert found.occurrences == plan.occurrences(person)
            assert not found.covariates


def test_membership_is_unknown_where_face_and_name_were_planted_apart(plan):
    membership = {person.arm: person.membership for person in plan.audited}

    assert membership == {
        "paired 1": "member",
        "paired 3": "member",
        "never": "non_member",
        "name-only": "",
        "unpaired": "",
    }


def test_the_decoys_on_disk_hold_no_audited_name(plan, drawn):
    decoys = read_candidates(drawn.names)

    assert decoys == list(plan.decoys)
    folded = {fold_name(decoy.name) for decoy in decoys}
    assert folded.isdisjoint(fold_name(person.name) for person in plan.audited)


def test_the_assignment_replays_from_what_is_written(plan):
    planted = json.loads(json.dumps(planted_record(plan, Training())))
    people = planted["people"]

    assert [person["identity"] for person in people] == [p.identity for p in plan.audited]
    replayed = planted_arms(
        [person["stratum"] for person in people], planted["arms"], seed=planted["seed"]
    )
    assert replayed == [person["arm"] for person in people] == [p.arm for p in plan.audited]
    assert [person["dose"] for person in people] == [p.dose for p in plan.audited]


def test_a_finished_study_is_used_as_it_is(drawn):
    picture = next(drawn.people.rglob("000.png"))
    before = picture.read_bytes()
    picture.write_bytes(before[:200])  # a user's own change stays

    again = draw_study(SMALL, drawn.root, seed=SEED)

    assert again.plan == drawn.plan
    assert picture.read_bytes() == before[:200]
    picture.write_bytes(before)


@pytest.mark.parametrize(
    ("never", "seed", "differing"),
    [(6, SEED, "never"), (5, SEED + 1, "seed"), (6, SEED + 1, "never, seed")],
)
def test_a_study_of_other_settings_is_refused_by_their_names(drawn, never, seed, differing):
    with pytest.raises(RunError, match=f"with other {differing}; choose another folder"):
        draw_study(replace(SMALL, never=never), drawn.root, seed=seed)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")

    with pytest.raises(AuditError, match="holds no study"):
        draw_study(SMALL, tmp_path, seed=SEED)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_interrupted_drawing_is_finished_alike(drawn, tmp_path, monkeypatch):
    calls = []

    def interrupt(done, total):
        calls.append(total)
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_study(SMALL, tmp_path, seed=SEED, progress=interrupt)
    assert calls == [19] * 7

    draw_study(SMALL, tmp_path, seed=SEED)
    written = {path.relative_to(tmp_path): path for path in tmp_path.rglob("*") if path.is_file()}
    expected = [path for path in drawn.root.rglob("*") if path.is_file()]
    assert len(expected) == len(written)
    for path in expected:
        assert written[path.relative_to(drawn.root)].read_bytes() == path.read_bytes()


ODD_NAMES = [
    "Ann {Lee}",
    'Bo "Bob" O\'Neil, Jr.',
    "Zoë Ørsted",
    "李 小龍",
    "../../etc passwd",
    ".hidden Name",
    "a.* (x|y)",
    "C\\D E/F",
]


def test_names_of_odd_form_survive_the_whole_way(tmp_path, monkeypatch):
    def odd(count, *, sex, origin, rng, exclude):
        title = {"female": "Ms", "male": "Mr"}[sex]
        plain = [f"{title} Person{number}" for number in range(10, 10 + count)]
        return [f"{title} {name}" for name in ODD_NAMES] + plain[len(ODD_NAMES) :]

    monkeypatch.setattr(planting, "draw_names", odd)
    for seed in range(3):
        lab = draw_study(SMALL, tmp_path / str(seed), seed=seed)
        people = read_people(lab.people)
        names = [person.name for person in lab.plan.audited]
        assert [person.name for person in people.persons] == names
        assert all(len(paths) == SMALL.attack_pictures for paths in people.pictures.values())
        assert read_candidates(lab.names) == list(lab.plan.decoys)
        mixture = build_mixture(lab.plan, lab.drawings)
        for person in lab.plan.audited:
            mentions = [caption for caption in mixture.captions if person.name in caption]
            assert len(mentions) == lab.plan.occurrences(person)
    assert not (tmp_path / "etc").exists()


@pytest.mark.parametrize("name", [*ODD_NAMES, "..", ".", "/", "a\0b"])
def test_a_folder_is_one_visible_path_part(name, tmp_path):
    folder = folder_name(name)

    (tmp_path / folder).mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    assert not folder.startswith(".")


def test_names_of_another_origin(tmp_path):
    lab = draw_study(replace(SMALL, origin="ja_JP"), tmp_path / "lab", seed=0)

    assert {person.origin for person in read_people(lab.people).persons} == {"ja_JP"}
    with (lab.people / "people.csv").open(encoding="utf-8", newline="") as file:
        assert any(not row["name"].isascii() for row in csv.DictReader(file))


def test_too_few_strangers_are_refused():
    with pytest.raises(InputError, match=r"nameless_strangers = 6: .* at least 8"):
        plan_study(replace(SMALL, nameless_strangers=6), seed=0)
    with pytest.raises(InputError, match=r"named_strangers = 2: .* at least 4"):
        plan_study(replace(SMALL, named_strangers=2), seed=0)
    plan_study(replace(SMALL, named_strangers=0, unpaired=0), seed=0)


def test_a_damaged_manifest_is_named(tmp_path):
    (tmp_path / study.MANIFEST_NAME).write_text("{")

    with pytest.raises(RunError, match=r"lab.json: is damaged"):
        draw_study(SMALL, tmp_path, seed=0)
