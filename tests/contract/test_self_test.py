"""Every family passes its self-test, and each fault is caught by the check that is meant for it."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from vlmaudit.execution import checking
from vlmaudit.models import drawn_inputs
from vlmaudit.models.base import Choice, Failed, Inspectable
from vlmaudit.models.loading import load_contrastive
from vlmaudit.models.scripted import Knows
from vlmaudit.models.self_test import (
    N_REQUESTS,
    N_STEPS,
    check_contrastive,
    check_label_only,
)
from vlmaudit.models.vectors import unit_rows
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.self_test import KnownAnswers, SelfTest, agrees, drift

KINDS = {
    "open_clip": "tiny_open_clip",
    "open_clip custom text": "tiny_open_clip_custom",
    "open_clip bidirectional": "tiny_open_clip_bidirectional",
    "open_clip CoCa": "tiny_open_clip_coca",
    "CLIP": "tiny_hf_clip",
    "SigLIP": "tiny_hf_siglip",
    "SigLIP 2": "tiny_hf_siglip2",
    "ALIGN": "tiny_hf_align",
}
NOTHING_CUT = {"open_clip bidirectional", "open_clip CoCa", "SigLIP", "SigLIP 2"}


def scheme(kind):
    return "open_clip" if kind.startswith("open_clip") else "hf"


@pytest.fixture
def spec_of(request):
    return lambda kind: f"{scheme(kind)}:{request.getfixturevalue(KINDS[kind])}"


@pytest.fixture
def load(spec_of):
    """A model of one's own, to be spoilt."""
    return lambda kind="open_clip", **how: load_contrastive(spec_of(kind), **how)


@pytest.fixture
def folder_of(request, tmp_path):
    """A copy of a checkpoint's folder, to be edited."""

    def copy(kind):
        source = request.getfixturevalue(KINDS[kind])
        return shutil.copytree(source, tmp_path / source.name)

    return copy


def verdicts(test: SelfTest) -> dict[str, bool | None]:
    return {check.name: check.passed for check in test.checks}


def failed(test: SelfTest) -> set[str]:
    return {check.name for check in test.failed}


def sentence(test: SelfTest, name: str) -> str:
    return next(check.sentence for check in test.checks if check.name == name)


# Sound models.


@pytest.mark.torch
@pytest.mark.parametrize("kind", KINDS)
def test_every_family_passes(kind, load):
    model = load(kind)
    assert isinstance(model, Inspectable)
    steps = []
    test = check_contrastive(model, advance=steps.append)
    undecided = {"known answers"}
    undecided |= {"full text length"} if kind in NOTHING_CUT else set()
    undecided |= {"image size"} if kind == "SigLIP 2" else set()  # pictures of any shape
    assert test.passed
    assert {name for name, passed in verdicts(test).items() if passed is None} == undecided
    assert steps == [1] * N_STEPS
    assert test.model == model.record
    assert test.dim == 32
    assert test.images_per_second > 10
    assert test.texts_per_second > 10
    assert SelfTest.model_validate_json(test.model_dump_json(by_alias=True)) == test


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["open_clip", "CLIP", "SigLIP"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_arithmetic_passes_within_its_own_tolerance(kind, dtype, load):
    test = check_contrastive(load(kind, dtype=dtype))
    assert not test.failures()
    limits = {check.limit for check in test.checks if check.name.endswith("together")}
    assert limits == {{"bfloat16": 4e-2, "float16": 5e-3}[dtype]}


def test_the_fake_passes_and_shows_nothing_of_its_insides():
    test = check_contrastive(Knows({"#ff0000": "Ada Lovelace"}))
    assert test.passed
    assert {name for name, passed in verdicts(test).items() if passed is None} == {
        *("image activation", "text activation", "normalisation", "colour channels"),
        *("image size", "full text length", "known answers"),
    }
    assert sentence(test, "image activation") == "Neither files nor the loaded model tell."


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["open_clip", "SigLIP 2"])
def test_more_than_one_batch_is_tried_where_it_is_cheap(kind, load):
    test = check_contrastive(load(kind, batch_size=7))
    assert "in a call of 8" in sentence(test, "pictures together")
    assert "in a call of 8" in sentence(test, "texts together")


def test_more_than_one_batch_is_not_tried_where_it_is_slow(monkeypatch):
    from vlmaudit.models import self_test

    monkeypatch.setattr(self_test, "per_second", lambda *_, **__: 10.0)
    test = check_contrastive(Knows({}))
    assert test.passed
    assert "in a call of" not in sentence(test, "pictures together")


# Embeddings that are not what they must be.


def spoil(model, images=None, texts=None):
    """Let a sound model answer `images(rows, asked)` or `texts(rows, asked)` instead of rows."""
    honest = {"encode_images": model.encode_images, "encode_texts": model.encode_texts}
    for name, change in (("encode_images", images), ("encode_texts", texts)):
        if change is not None:

            def encode(asked, honest=honest[name], change=change):
                return change(honest(asked), asked)

            setattr(model, name, encode)
    return model


def shifted(rows, by):
    """Rows moved a little to one side, of unit length again."""
    return unit_rows(rows + np.asarray(by, dtype=np.float32)[..., None] * np.eye(1, rows.shape[1]))


FAULTS = {
    "shape": [
        lambda rows, _: rows.astype(np.float64),
        lambda rows, asked: rows if len(asked) else rows[:, :3],
        lambda rows, _: rows[:4],
    ],
    "numbers": [lambda rows, _: rows * np.float32("nan")],
    "unit length": [lambda rows, _: rows * np.float32(1.01)],
    "inputs told apart": [lambda rows, _: rows * 0 + np.eye(1, rows.shape[1], dtype=np.float32)],
    "together": [
        lambda rows, asked: shifted(rows, 1e-3 * len(asked)),
        lambda rows, asked: shifted(rows, 1e-3 * np.arange(len(asked))),
        lambda rows, _: unit_rows(rows - rows.mean(axis=0) / 50) if len(rows) else rows,
    ],
}


@pytest.mark.parametrize("side", ["pictures", "texts"])
@pytest.mark.parametrize(
    ("name", "change"), [(name, each) for name, changes in FAULTS.items() for each in changes]
)
def test_a_fault_is_caught_by_the_check_meant_for_it(name, change, side):
    fault = {"images": change} if side == "pictures" else {"texts": change}
    test = check_contrastive(spoil(Knows({}), **fault))
    assert failed(test) == {f"{side} {name}" if name == "together" else name}


@pytest.mark.parametrize("side", ["images", "texts"])
def test_chance_is_caught_and_nothing_is_compared_then(side):
    rng = np.random.default_rng(3)
    test = check_contrastive(
        spoil(Knows({}), **{side: lambda rows, _: shifted(rows, 1e-3 * rng.random(len(rows)))})
    )
    assert failed(test) == {"repeatable"}
    assert verdicts(test)["pictures together"] is verdicts(test)["texts together"] is None
    assert "nothing can be compared" in sentence(test, "picture formats")


def test_what_is_rounding_in_bf16_is_a_fault_in_fp32():
    def fault(rows, asked):
        return shifted(rows, 3e-4 * len(asked))

    assert failed(check_contrastive(spoil(Knows({}), images=fault))) == {"pictures together"}
    narrow = spoil(Knows({}), images=fault)
    narrow._record = narrow.record.model_copy(update={"dtype": "bfloat16"})
    assert not failed(check_contrastive(narrow))


def test_a_model_that_answers_well_only_in_the_first_batch_is_caught():
    def fault(rows, asked):
        return shifted(rows, 1e-3 * (np.arange(len(asked)) >= 64))

    test = check_contrastive(spoil(Knows({}), images=fault))
    assert failed(test) == {"pictures together"}
    assert "in a call of 65 0.0" in sentence(test, "pictures together")


def test_an_embedding_that_is_no_number_in_some_calls_only_is_caught():
    def fault(rows, asked):
        return rows * np.float32("nan") if len(asked) == 1 else rows

    test = check_contrastive(spoil(Knows({}), texts=fault))
    assert failed(test) == {"numbers", "texts together"}
    assert sentence(test, "texts together") == (
        "The call decides whether an embedding is made of numbers: alone."
    )
    assert SelfTest.model_validate_json(test.model_dump_json(by_alias=True)).failed


def test_what_moves_an_embedding_is_said():
    def fault(rows, asked):
        return shifted(rows, 1e-3 * np.arange(len(asked)))

    said = sentence(check_contrastive(spoil(Knows({}), images=fault)), "pictures together")
    assert "where rounding moves it by 1e-05" in said
    assert "in another order 0.0" in said
    assert "in calls of 2 and 3" not in said


@pytest.mark.torch
def test_a_text_tower_that_sees_the_padding_is_caught(load):
    """A SigLIP tower reads its last position, which is padding."""
    model = load("SigLIP")
    model._pads_in_full = False
    test = check_contrastive(model)
    assert failed(test) == {"texts together"}
    assert "alone" in sentence(test, "texts together")
    assert "beside others" in sentence(test, "texts together")


@pytest.mark.torch
def test_a_tokenizer_that_hides_texts_behind_their_padding_is_caught(folder_of):
    """CLIP pads with the end token and reads the first one: on the left, that is no text."""
    folder = folder_of("CLIP")
    edit(folder / "tokenizer_config.json", lambda all_: all_.update(padding_side="left"))
    assert failed(check_contrastive(load_contrastive(f"hf:{folder}"))) == {"inputs told apart"}


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["open_clip", "open_clip custom text"])
def test_a_shortcut_that_leads_elsewhere_is_caught(kind, load):
    model = load(kind)
    honest = model._tower.encode_text
    model._tower.encode_text = lambda tokens: honest(tokens).roll(1, dims=1)
    assert failed(check_contrastive(model)) == {"full text length"}


# Pictures.


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["open_clip", "CLIP"])
def test_a_careless_conversion_is_caught(kind, load, monkeypatch):
    adapter = {"open_clip": "open_clip_adapter", "hf": "hf_contrastive"}[scheme(kind)]
    monkeypatch.setattr(f"vlmaudit.models.{adapter}.as_rgb", lambda picture: picture.convert("RGB"))
    test = check_contrastive(load(kind))
    assert failed(test) == {"picture formats"}
    for format_ in ("16-bit grey", "transparent on white", "turned by EXIF"):
        assert format_ in sentence(test, "picture formats")
    assert "CMYK" not in sentence(test, "picture formats")


def test_refused_formats_and_sizes_are_named():
    model = Knows({})
    honest = model.encode_images

    def picky(images):
        for image in images:
            if image.mode == "CMYK" or image.width == 1:
                raise TypeError(f"cannot handle {image.mode} of {image.size}.")
        return honest(images)

    model.encode_images = picky
    test = check_contrastive(model)
    assert failed(test) == {"picture formats", "picture sizes"}
    said = sentence(test, "picture formats")
    assert said == "Refused: CMYK (TypeError: cannot handle CMYK of (48, 40))."
    assert sentence(test, "picture sizes").startswith("Refused: 1 x 1 (TypeError: ")


def test_drawn_pictures_are_always_the_same():
    """Known answers are about them; any change here makes old ones worthless."""
    import hashlib

    drawn = [*drawn_inputs.pictures()]
    digest = hashlib.blake2b(b"".join(each.tobytes() for each in drawn), digest_size=8)
    assert digest.hexdigest() == "a2a2db15da9716da"
    assert drawn_inputs.TEXTS[:3] == (
        "a disc",
        "a photo of a person named Odalys Brennsuhl",
        "noise",
    )


def test_formats_are_what_they_are_called():
    modes = {each.name: each.picture.mode for each in drawn_inputs.formats()}
    assert set(modes.values()) == {"L", "LA", "I;16", "1", "RGBA", "P", "CMYK", "RGB"}
    assert {each.plain.mode for each in drawn_inputs.formats()} == {"RGB"}


# Word and deed.


def swap(model, tower, activation):
    """Another activation in each block of one tower of a loaded model."""
    inner = model._model
    part = {
        "image": getattr(inner, "visual", None) or getattr(inner, "vision_model", None),
        "text": getattr(inner, "text", None)
        or getattr(inner, "text_model", None)
        or getattr(inner, "transformer", None),
    }[tower]
    swapped = 0
    for module in part.modules():
        for name in ("gelu", "activation_fn", "intermediate_act_fn"):
            if hasattr(module, name):
                setattr(module, name, activation)
                swapped += 1
    assert swapped
    return model


@pytest.mark.torch
@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize(
    ("kind", "said", "done"),
    [
        ("open_clip", "GELU", "QuickGELU"),
        ("open_clip custom text", "GELU", "GELU (tanh)"),
        ("CLIP", "QuickGELU", "GELU"),
        ("SigLIP", "GELU (tanh)", "GELU"),
        ("SigLIP 2", "GELU (tanh)", "Tanh"),
    ],
)
def test_a_wrong_activation_is_caught(kind, tower, said, done, load):
    import open_clip
    from torch import nn

    activation = {
        "GELU": nn.GELU(),
        "GELU (tanh)": nn.GELU(approximate="tanh"),
        "QuickGELU": open_clip.transformer.QuickGELU(),
        "Tanh": nn.Tanh(),
    }[done]
    model = swap(load(kind), tower, activation)
    test = check_contrastive(model)
    assert failed(test) == {f"{tower} activation"}
    told = sentence(test, f"{tower} activation")
    assert told.startswith(f"The checkpoint's files say {said}, but the loaded model has ")
    assert done in told


@pytest.mark.torch
def test_one_wrong_block_is_enough(load):
    import open_clip

    model = load()
    model._model.visual.transformer.resblocks[1].mlp.gelu = open_clip.transformer.QuickGELU()
    test = check_contrastive(model)
    assert failed(test) == {"image activation"}
    assert "has GELU and QuickGELU" in sentence(test, "image activation")


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["open_clip", "CLIP", "SigLIP 2", "ALIGN"])
@pytest.mark.parametrize("what", ["mean", "std"])
def test_a_wrong_normalisation_is_caught(kind, what, load):
    model = load(kind)
    if scheme(kind) == "open_clip":
        from open_clip.transform import PreprocessCfg, image_transform_v2

        config = {**model._model.visual.preprocess_cfg, what: (0.48, 0.46, 0.41)}
        model._prepare = image_transform_v2(PreprocessCfg(**config), is_train=False)
    else:
        setattr(model._image_processor, f"image_{what}", [0.43, 0.46, 0.41])
    test = check_contrastive(model)
    assert failed(test) == {"normalisation"}
    assert "pictures reach it otherwise than in its training" in sentence(test, "normalisation")


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["open_clip", "CLIP", "SigLIP 2"])
def test_swapped_channels_are_caught(kind, load):
    model = load(kind)

    def swapped(pictures):
        return [Image.fromarray(np.asarray(each.convert("RGB"))[:, :, ::-1]) for each in pictures]

    if scheme(kind) == "open_clip":
        prepare = model._prepare
        model._prepare = lambda picture: prepare(*swapped([picture]))
    else:
        process = model._image_processor
        model._image_processor = lambda pictures, **how: process(swapped(pictures), **how)
    test = check_contrastive(model)
    assert failed(test) == {"colour channels"}
    assert sentence(test, "colour channels") == (
        "The checkpoint's files say RGB, but the loaded model has BGR: nobody trained it so."
    )


@pytest.mark.torch
def test_a_wrong_size_is_caught(load):
    model = load("ALIGN")
    model._image_processor.size = {"height": 48, "width": 40}
    test = check_contrastive(model)
    assert failed(test) == {"image size"}
    assert "say 32 x 32 pixels, but the loaded model has 40 x 48" in sentence(test, "image size")


# Known answers.


def kept(spec):
    return checking.write_known_answers(spec, check_contrastive(load_contrastive(spec)))


def edit(file, change):
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["open_clip", "CLIP"])
@pytest.mark.parametrize("what", ["activation", "normalisation"])
def test_an_edited_configuration_is_caught_by_known_answers(kind, what, folder_of):
    """What the files say now is done; only what the model said before tells of the edit."""
    folder = folder_of(kind)
    spec = f"{scheme(kind)}:{folder}"
    file = kept(spec)
    assert file == folder / "known_answers.json"
    known = checking.read_known_answers(spec)
    again = check_contrastive(load_contrastive(spec), known=known)
    assert verdicts(again)["known answers"] is True
    if kind == "open_clip":
        config = folder / "open_clip_config.json"
        if what == "activation":
            edit(config, lambda all_: all_["model_cfg"].update(quick_gelu=True))
        else:
            edit(config, lambda all_: all_["preprocess_cfg"].update(mean=[0.48, 0.46, 0.41]))
    elif what == "activation":
        edit(folder / "config.json", lambda all_: all_["text_config"].update(hidden_act="gelu"))
    else:
        edit(
            folder / "processor_config.json",
            lambda all_: all_["image_processor"].update(image_std=[0.5, 0.5, 0.5]),
        )
    test = check_contrastive(load_contrastive(spec), known=known)
    assert failed(test) == {"known answers"}
    assert "have changed" in sentence(test, "known answers")


def answers(rows, tolerance=1e-5, dtype="float32"):
    rows = tuple(tuple(row) for row in rows)
    return KnownAnswers(dtype=dtype, tolerance=tolerance, pictures=rows, texts=rows)


def self_test(known):
    record = ModelRecord(name="hf:tiny", family="hf", weights="0" * 32, dtype="float32")
    return SelfTest(model=record, checks=(), answers=known)


def test_drift_is_how_far_an_embedding_moved():
    """The summary tells the distance between two embeddings, wherever they differ."""
    from vlmaudit.models.known_answers import summarised

    rng = np.random.default_rng(5)
    rows = unit_rows(rng.normal(size=(8, 512)))
    for place in (0, 17, 511):
        moved = rows.copy()
        moved[3, place] += 0.01
        told = summarised(rows, rows, "float32").distance(summarised(rows, moved, "float32"))
        assert told == pytest.approx(0.01, rel=1e-4)
    moved = rows + rng.normal(size=rows.shape).astype(np.float32) * 1e-3
    far = np.linalg.norm(rows - moved, axis=1).max()
    told = summarised(rows, rows, "float32").distance(summarised(moved, rows, "float32"))
    assert told == pytest.approx(far, rel=0.6)


def test_what_is_no_number_has_no_summary():
    from vlmaudit.models.known_answers import summarised

    rows = np.full((2, 8), np.nan)
    assert summarised(rows, rows * 0, "float32") is None
    broken = Knows({}, broken=["#000000"])
    assert check_contrastive(spoil(broken, images=FAULTS["numbers"][0])).answers is None


def test_answers_agree_within_the_coarser_arithmetic():
    one, near, far = answers([[1.0, 0.0]]), answers([[1.0, 1e-3]]), answers([[1.0, 0.2]])
    narrow = answers([[1.0, 1e-3]], tolerance=4e-2, dtype="bfloat16")
    assert agrees(self_test(one), self_test(one))
    assert not agrees(self_test(one), self_test(near))
    assert agrees(self_test(one), self_test(narrow))
    assert agrees(self_test(narrow), self_test(one))
    assert not agrees(self_test(narrow), self_test(far))
    assert drift(self_test(one), self_test(near)) == pytest.approx(1e-3 / np.sqrt(2))


def test_answers_to_other_inputs_are_infinitely_far():
    one = self_test(answers([[1.0, 0.0]]))
    for other in (answers([[1.0, 0.0]] * 2), answers([[1.0]]), None):
        assert drift(one, self_test(other)) == drift(self_test(other), one) == np.inf
        assert not agrees(one, self_test(other))
    assert drift(self_test(None), self_test(None)) == 0
    assert agrees(self_test(None), self_test(None))


# Black boxes.


class BlackBox:
    """Chooses by the darkness of the picture; what else it does, a test decides."""

    record = ModelRecord(name="endpoint:x", family="endpoint", weights="0" * 32, dtype="unknown")
    concurrency = 3

    def __init__(self, choose):
        self.choose = choose
        self.requests = 0

    def classify(self, image, questions):
        for labels in questions:
            self.requests += 1
            yield self.choose(self.requests, image, labels)

    def close(self):
        """Nothing to let go of."""


def sound(number, image, labels):
    return Choice(sorted(labels)[0], 0.9, 0.5)


def black_box_failures(choose):
    return failed(check_label_only(BlackBox(choose)))


def test_a_sound_black_box_passes_for_five_requests():
    box, told = BlackBox(sound), []
    test = check_label_only(box, advance=told.append)
    assert box.requests == len(told) == N_REQUESTS == 5
    assert test.passed
    assert verdicts(test) == {
        "offered labels": True,
        "repeatable": True,
        "order of labels": True,
        "picture formats": True,
        "labels as they are": None,
    }
    assert test.requests_at_once == 3
    assert test.seconds_per_request is not None
    assert test.answers is test.dim is test.images_per_second is None


def test_a_label_that_was_not_offered():
    test = check_label_only(BlackBox(lambda *_: Choice("a cat", 0.9, 0.5)))
    assert failed(test) == {"offered labels"}
    assert sentence(test, "offered labels") == '"a cat" was chosen, which was not offered.'


def test_a_black_box_that_throws_dice():
    def choose(number, image, labels):
        return Choice(sorted(labels)[number == 2], 0.9, 0.5)

    assert black_box_failures(choose) == {"repeatable"}


def test_a_black_box_that_likes_what_comes_first():
    assert black_box_failures(lambda _n, _i, labels: Choice(labels[0], 0.9, 0.5)) == {
        "order of labels"
    }
    assert black_box_failures(lambda _n, _i, labels: Choice(labels[0], 0.9, None)) == {
        "order of labels"
    }


def test_a_close_choice_decides_nothing():
    test = check_label_only(BlackBox(lambda _n, _i, labels: Choice(labels[0], 0.9, 1e-4)))
    assert test.passed
    assert verdicts(test)["order of labels"] is None
    assert "too close to tell" in sentence(test, "order of labels")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_black_box_that_reads_a_format_otherwise(mode):
    def choose(number, image, labels):
        return Choice(sorted(labels)[image.mode == mode], 0.9, 0.5)

    assert black_box_failures(choose) == {"picture formats"}


def test_what_failed_for_now_is_undecided():
    def choose(number, image, labels):
        return Failed("too many requests", True) if number == 3 else sound(number, image, labels)

    test = check_label_only(BlackBox(choose))
    assert test.passed
    assert verdicts(test) == {
        "offered labels": None,
        "repeatable": True,
        "order of labels": None,
        "picture formats": True,
        "labels as they are": None,
    }
    assert sentence(test, "order of labels") == "No answer for now: too many requests."


def test_a_server_that_is_down_for_now_fails_nothing():
    test = check_label_only(BlackBox(lambda *_: Failed("time-out", True)))
    assert test.passed
    assert set(verdicts(test).values()) == {None}
    assert test.seconds_per_request is None


def test_what_failed_for_good_fails():
    def choose(number, image, labels):
        refused = image.mode == "RGBA"
        return Failed("status 400", False) if refused else sound(number, image, labels)

    test = check_label_only(BlackBox(choose))
    assert failed(test) == {"offered labels", "picture formats"}
    assert sentence(test, "picture formats") == "No answer: status 400."
