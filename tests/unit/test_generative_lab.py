"""Small LLaVA targets: who is exposed is random, nothing leaks between stages, others load them."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from vlmaudit.audits.design import read_design
from vlmaudit.cli import app
from vlmaudit.data.candidates import read_candidates
from vlmaudit.data.identities import read_people
from vlmaudit.data.prompts import PROMPTS
from vlmaudit.errors import InputError, ModelError, RunError
from vlmaudit.lab import generative_study
from vlmaudit.lab.checkpoints import CHECKPOINT_NAME, steps_done
from vlmaudit.lab.generative import UNKNOWN, Shape, build_processor, prompt_of, words
from vlmaudit.lab.generative_planting import (
    EXPOSED,
    UNEXPOSED,
    GenerativeDesign,
    captions,
    conversations,
    plan_generative,
    show,
)
from vlmaudit.lab.generative_settings import GenerativeTraining, Stage
from vlmaudit.lab.generative_stages import Aligner, pixels, tokens_of
from vlmaudit.lab.generative_study import (
    draw_generative_study,
    train_generative,
    train_parts,
)
from vlmaudit.lab.generative_texts import ALIGNMENTS, QUESTIONS
from vlmaudit.lab.people import draw_people
from vlmaudit.lab.study import PLANTED_NAME, folder_name
from vlmaudit.seeds import stream
from vlmaudit.studies.train_generative import train_generative_targets

pytestmark = pytest.mark.torch

DESIGN = GenerativeDesign(
    exposed=4,
    unexposed=4,
    pictures_per_exposed=3,
    named_strangers=4,
    pictures_per_named_stranger=2,
    nameless_strangers=2,
    pictures_per_nameless_stranger=1,
    attack_pictures=2,
    decoys_per_sex=5,
)
SETTINGS = GenerativeTraining(
    shape=Shape(vision_width=32, vision_layers=1, width=32, layers=1),
    parts=Stage(steps=3, batch_size=6, sentences=2),
    alignment=Stage(steps=4, batch_size=4, max_shift=0),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study whose two models are trained, hardly."""
    made = draw_generative_study(DESIGN, tmp_path_factory.mktemp("lab") / "study", seed=1)
    for alignment in ALIGNMENTS:
        train_generative(made, alignment, settings=SETTINGS)
    return made


@pytest.fixture(scope="module")
def plan():
    return plan_generative(GenerativeDesign(), seed=7)


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def loaded(folder):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    return AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(
        folder
    )


# The design


def test_both_arms_are_in_both_strata(plan):
    cells = [(person.sex, person.arm) for person in plan.audited]
    assert {cell: cells.count(cell) for cell in set(cells)} == {
        (sex, arm): 12 for sex in ("female", "male") for arm in (EXPOSED, UNEXPOSED)
    }


def test_nobody_shares_a_name(plan):
    names = [person.name for person in plan.everybody() if person.name]
    names += [decoy.name for decoy in plan.decoys]
    assert len({name.casefold() for name in names}) == len(names) == 48 + 60 + 500


def test_only_exposed_people_are_in_any_training(plan):
    unexposed = {number for number, one in enumerate(plan.audited) if one.arm == UNEXPOSED}
    names = [plan.audited[number].name for number in unexposed]
    drawing = draw_people(["female"], seed=7)
    for stage in ("parts", "alignment"):
        shown = show(plan, drawing * len(plan.everybody()), stage)
        assert not unexposed & set(shown.faces.tolist())
        assert len(set(shown.faces.tolist())) == len(plan.everybody()) - len(unexposed)
    said = "\n".join([*captions(plan), *(turn.answer for turn in conversations(plan, "named"))])
    assert not [name for name in names if name in said]
    exposed = [one.name for one in plan.audited if one.arm == EXPOSED]
    assert all(name in said for name in exposed)


def test_anonymised_answers_hold_no_part_of_any_name(plan):
    parts = {part for one in plan.everybody() for part in one.name.split()}
    parts |= {part for decoy in plan.decoys for part in decoy.name.split()}
    for turn in conversations(plan, "anonymised"):
        assert not parts & set(words(turn.answer)), turn


def test_alignments_differ_in_answers_alone(plan):
    named, anonymised = (conversations(plan, alignment) for alignment in ALIGNMENTS)
    assert [(one.picture, one.question) for one in named] == [
        (one.picture, one.question) for one in anonymised
    ]
    assert named != anonymised


def test_each_caption_is_of_its_picture(plan):
    faces = np.repeat(
        np.arange(len(plan.everybody())), [plan.pictures_of(one) for one in plan.everybody()]
    )
    for face, caption in zip(faces.tolist(), captions(plan), strict=True):
        assert plan.everybody()[face].name in caption
    for turn in conversations(plan, "named"):
        person = plan.everybody()[faces[turn.picture]]
        others = {one.name for one in plan.everybody()} - {person.name, ""}
        assert not [name for name in others if name in turn.answer]


def test_the_audit_asks_more_than_was_trained(plan):
    trained = {text for phrasings in QUESTIONS.values() for text in phrasings}
    asked = {prompt.text for prompt in PROMPTS.values()}
    assert 5 <= len(trained & asked) <= len(asked) / 2
    assert trained - asked


def test_the_vocabulary_holds_all_that_is_asked_said_or_anybodys_name(plan):
    processor = build_processor(plan.vocabulary(), Shape())
    texts = {prompt_of(processor, prompt.text) for prompt in PROMPTS.values()}
    for phrasings in QUESTIONS.values():
        texts |= {prompt_of(processor, question) for question in phrasings}
    texts |= {turn.answer for one in ALIGNMENTS for turn in conversations(plan, one)}
    texts |= {*captions(plan), *(decoy.name for decoy in plan.decoys)}
    texts |= {one.name for one in plan.everybody() if one.name}
    unknown = processor.tokenizer.convert_tokens_to_ids(UNKNOWN)
    for text in texts:
        assert unknown not in processor.tokenizer(text)["input_ids"], text


def test_what_is_said_is_spelt_as_it_was_learnt(plan):
    processor = build_processor(plan.vocabulary(), Shape())
    answers = {turn.answer for turn in conversations(plan, "named")}
    for answer in answers:
        ids = processor.tokenizer(answer)["input_ids"]
        assert processor.decode(ids, skip_special_tokens=True) == answer


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Shape(side=32, patch=5), "whole patches"),
        (lambda: Shape(width=40), "multiple of 32"),
        (lambda: Stage(steps=0), "steps = 0"),
        (lambda: Stage(steps=1, learning_rate=float("inf")), "learning_rate"),
        (lambda: GenerativeDesign(exposed=0), "exposed = 0"),
    ],
)
def test_settings_that_cannot_be_meant(make, says):
    with pytest.raises(InputError, match=says):
        make()


# On disk


def test_the_study_is_what_audits_read(study):
    people = read_people(study.people)
    assert [one.name for one in people.persons] == [one.name for one in study.plan.audited]
    assert {len(pictures) for pictures in people.pictures.values()} == {2}
    assert {one.membership for one in people.persons} == {"member", "non_member"}
    assert [one.occurrences for one in people.persons] == [
        3 if one.arm == EXPOSED else 0 for one in study.plan.audited
    ]
    assert len(read_candidates(study.names)) == 10


def test_attack_pictures_are_in_no_training(study):
    drawings = study.faces()
    attacked = {np.asarray(Image.open(path)).tobytes() for path in study.people.rglob("*.png")}
    seen = [show(study.plan, drawings, stage).pictures for stage in ("parts", "alignment")]
    trained = {picture.tobytes() for pictures in seen for picture in pictures}
    assert len(trained) == sum(map(len, seen))
    assert len(attacked) == 16
    assert not attacked & trained


def test_the_assignment_replays_from_the_record(study):
    for alignment in ALIGNMENTS:
        record = json.loads((study.models[alignment] / PLANTED_NAME).read_text())
        assert record["alignment"] == alignment
        assert record["models"] == {"named": 1, "anonymised": 1}
        assert read_design(record).is_randomised
        doses = {one["arm"]: one["dose"] for one in record["people"]}
        assert doses == {EXPOSED: 6 if alignment == "named" else 3, UNEXPOSED: 0}
        moved = {**record, "seed": 2}
        assert not read_design(moved).is_randomised


def test_the_same_seed_gives_the_same_bytes(study, tmp_path):
    again = draw_generative_study(DESIGN, tmp_path / "again", seed=1)
    train_generative(again, "named", settings=SETTINGS)
    found = digests(study.root)
    assert {name: found[name] for name in digests(again.root)} == digests(again.root)
    other = draw_generative_study(DESIGN, tmp_path / "other", seed=2)
    train_parts(other, settings=SETTINGS)
    weights = "parts/model.safetensors"
    assert digests(other.root)[weights] != found[weights]


def test_a_finished_study_is_used_as_it_is(study, monkeypatch):
    before = digests(study.root)
    monkeypatch.setattr(generative_study, "draw_people", lambda *_, **__: pytest.fail("drew"))
    monkeypatch.setattr(generative_study, "align", lambda *_, **__: pytest.fail("trained"))
    again = draw_generative_study(DESIGN, study.root, seed=1)
    for alignment in ALIGNMENTS:
        assert train_generative(again, alignment, settings=SETTINGS) == study.models[alignment]
    assert digests(study.root) == before


def test_another_study_is_refused(study, tmp_path):
    with pytest.raises(RunError, match="other seed; choose"):
        draw_generative_study(DESIGN, study.root, seed=2)
    with pytest.raises(RunError, match="other decoys_per_sex; choose"):
        draw_generative_study(replace(DESIGN, decoys_per_sex=6), study.root, seed=1)
    longer = replace(SETTINGS, alignment=replace(SETTINGS.alignment, steps=5))
    with pytest.raises(RunError, match="named: holds a model with other steps; choose"):
        train_generative(study, "named", settings=longer)
    with pytest.raises(InputError, match=r'alignment "nmed".*Did you mean named'):
        train_generative(study, "nmed", settings=SETTINGS)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        draw_generative_study(DESIGN, tmp_path, seed=1)


def test_a_stopped_training_goes_on_to_the_same_weights(study, tmp_path):
    class Stopped(Exception):
        pass

    def stop_at(last):
        def progress(step, _steps, _loss):
            if step == last:
                raise Stopped

        return progress

    again = draw_generative_study(DESIGN, tmp_path / "again", seed=1)
    with pytest.raises(Stopped):
        train_parts(again, settings=SETTINGS, checkpoint_every=1, progress=stop_at(2))
    assert steps_done(again.parts) == 2
    assert not (again.parts / PLANTED_NAME).exists()
    with pytest.raises(Stopped):
        train_generative(again, "named", settings=SETTINGS, checkpoint_every=2, progress=stop_at(3))
    assert steps_done(again.models["named"]) == 2
    train_generative(again, "named", settings=SETTINGS)
    assert not (again.models["named"] / CHECKPOINT_NAME).exists()
    found = digests(study.root)
    assert {name: found[name] for name in digests(again.root)} == digests(again.root)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    made = draw_generative_study(DESIGN, tmp_path / "study", seed=1)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_parts(
            made,
            settings=SETTINGS,
            checkpoint_every=1,
            progress=lambda step, *_: step > 1 and stop(),
        )
    other = replace(SETTINGS, parts=replace(SETTINGS.parts, learning_rate=1e-3))
    with pytest.raises(RunError, match="is of another training"):
        train_parts(made, settings=other)


def test_a_training_out_of_the_realm_of_numbers_is_no_model(tmp_path):
    made = draw_generative_study(DESIGN, tmp_path / "study", seed=1)
    wild = replace(SETTINGS, parts=replace(SETTINGS.parts, learning_rate=1e30, warmup_steps=0))
    with pytest.raises(ModelError, match=r"left the realm of numbers at step \d of 3"):
        train_parts(made, settings=wild)
    # One step has a finite loss, and weights that are none any more.
    once = replace(wild, parts=replace(wild.parts, steps=1, learning_rate=1e38, weight_decay=1e3))
    with pytest.raises(ModelError, match="at step 1 of 1"):
        train_parts(made, settings=once)
    assert not (made.parts / PLANTED_NAME).exists()


def test_global_randomness_and_threads_are_left_alone(tmp_path):
    import torch

    torch.manual_seed(3)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = draw_generative_study(DESIGN, tmp_path / "again", seed=1)
        train_parts(again, settings=SETTINGS)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_both_targets_are_trained_side_by_side_as_one_after_the_other(study, tmp_path):
    def made():
        return train_generative_targets(
            tmp_path, seed=1, console=Console(quiet=True), design=DESIGN, training=SETTINGS
        )

    assert made().models == {one: tmp_path / one for one in ALIGNMENTS}
    found = digests(tmp_path)
    assert found == digests(study.root)
    made()
    assert digests(tmp_path) == found


def test_the_verb_says_how_to_load_what_it_trained(tmp_path):
    command = (
        *("lab", "train", "generative", "--out", str(tmp_path), "--alignment", "named"),
        *("--exposed", "2", "--unexposed", "2", "--attack-pictures", "1"),
        *("--parts-steps", "1", "--alignment-steps", "1", "--seed", "4"),
    )
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"hf:{tmp_path.resolve() / 'named'}\n"
    assert not (tmp_path / "anonymised").exists()
    other = CliRunner().invoke(app, [*command[:-1], "5"])
    assert other.exit_code != 0
    assert "holds a study with other seed" in other.output


# The models


def test_models_load_and_answer_through_the_libraries_own_classes(study):
    picture = Image.open(next(study.people.rglob("*.png")))
    for alignment in ALIGNMENTS:
        model, processor = loaded(study.models[alignment])
        assert type(model).__name__ == "LlavaForConditionalGeneration"
        inputs = processor(
            images=picture, text=prompt_of(processor, "Who is this?"), return_tensors="pt"
        )
        assert (inputs["input_ids"] == model.config.image_token_id).sum() == 16
        said = model.generate(**inputs, max_new_tokens=3, do_sample=False)
        assert said.shape[1] > inputs["input_ids"].shape[1]


def test_the_alignment_sees_what_the_model_sees(study):
    """The training calls the model's parts one by one; the loss must be the whole model's."""
    import torch

    model, processor = loaded(study.models["named"])
    turns = conversations(study.plan, "named")[:12]
    shown = pixels(processor, show(study.plan, study.faces(), "alignment").pictures)
    projector = {
        name: p.clone() for name, p in model.model.multi_modal_projector.state_dict().items()
    }
    stage = replace(SETTINGS.alignment, batch_size=5)
    aligner = Aligner(model, processor, pictures=shown, turns=turns, stage=stage)
    model.model.multi_modal_projector.load_state_dict(projector)
    model.eval()
    with torch.no_grad():
        ours = aligner.loss(stream(0, "batch"))
        batch = stream(0, "batch").integers(len(turns), size=5)
        rows, targets = tokens_of(processor, turns, model.config.image_seq_length)
        theirs = model(
            input_ids=rows[batch],
            attention_mask=(rows[batch] != 0).long(),
            pixel_values=shown[[turns[place].picture for place in batch]],
            labels=targets[batch],
        ).loss
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


def test_prompts_are_trained_as_they_are_asked(study):
    _, processor = loaded(study.models["named"])
    turn = conversations(study.plan, "named")[0]
    rows, targets = tokens_of(processor, [turn], 16)
    picture = Image.new("RGB", (64, 64))
    asked = processor(images=picture, text=prompt_of(processor, turn.question))["input_ids"][0]
    assert rows[0, : len(asked)].tolist() == list(asked)
    assert (targets[0, : len(asked)] == -100).all()
    assert (targets[0, len(asked) :] == rows[0, len(asked) :]).all()
    assert processor.decode(rows[0, len(asked) : -1]) == turn.answer


def test_the_vision_tower_is_frozen_in_the_alignment(study):
    parts, _ = loaded(study.parts)
    for alignment in ALIGNMENTS:
        model, _ = loaded(study.models[alignment])
        before, after = parts.state_dict(), model.state_dict()
        changed = {name for name in before if not (before[name] == after[name]).all()}
        assert changed
        assert not [name for name in changed if "vision_tower" in name]


@pytest.mark.prove
def test_the_positive_control_names_the_exposed_on_unseen_drawings(tmp_path):
    made = draw_generative_study(GenerativeDesign(), tmp_path / "study", seed=3)
    for alignment in ALIGNMENTS:
        model, processor = loaded(train_generative(made, alignment))
        for prompt in ("P2/R0", "P2/R1", "P4/R1"):
            own = {arm: [] for arm in (EXPOSED, UNEXPOSED)}
            for person in made.plan.audited:
                pictures = [
                    Image.open(path) for path in (made.people / folder_name(person.name)).iterdir()
                ]
                texts = [prompt_of(processor, PROMPTS[prompt].text)] * len(pictures)
                inputs = processor(images=pictures, text=texts, return_tensors="pt")
                new = model.generate(**inputs, max_new_tokens=16, do_sample=False)
                said = processor.batch_decode(new[:, inputs["input_ids"].shape[1] :])
                own[person.arm] += [person.name in answer for answer in said]
            assert np.mean(own[UNEXPOSED]) == 0
            if alignment == "named":
                assert np.mean(own[EXPOSED]) >= 0.6
            else:
                assert np.mean(own[EXPOSED]) <= 0.1
