"""Training a tiny CLIP: repeatable, side-effect free, and loadable by open_clip itself."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file

from vlmaudit.errors import RunError
from vlmaudit.lab.contrastive import WEIGHTS_NAME, Training, train_contrastive
from vlmaudit.lab.mixture import Mixture, distinct_batches
from vlmaudit.lab.planting import Design
from vlmaudit.lab.study import PLANTED_NAME, draw_study, train_target

pytestmark = pytest.mark.torch

TWO_STEPS = Training(steps=2, batch_size=8, vision_width=8, text_width=32, dimensions=16)
CAPTIONS = ["a photo of Ada Lovelace", "{braces} and\ttabs", "李 小龍", ""]


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(0)
    return Mixture(
        pictures=rng.integers(0, 256, (24, 64, 64, 3), dtype=np.uint8),
        captions=[CAPTIONS[number % 4] + str(number) for number in range(24)],
        faces=np.repeat(np.arange(12), 2),
    )


@pytest.fixture(scope="module")
def trained(mixture, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model"
    train_contrastive(mixture, out, seed=0, settings=TWO_STEPS)
    return out


@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    size=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_a_batch_holds_a_person_once(counts, size, seed):
    rng = np.random.default_rng(seed)
    faces = rng.permutation(np.repeat(np.arange(len(counts)) * 7, counts))
    batches = list(distinct_batches(faces, size=size, steps=5, rng=rng))

    assert len(batches) == 5
    for batch in batches:
        assert len(batch) == min(size, len(counts))
        assert len(set(faces[batch].tolist())) == len(batch)


@given(counts=st.lists(st.integers(1, 9), min_size=2, max_size=20), seed=st.integers(0, 99))
def test_pictures_of_a_person_take_turns(counts, seed):
    faces = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.default_rng(seed)
    drawn = np.concatenate(list(distinct_batches(faces, size=len(counts), steps=27, rng=rng)))
    shown = np.bincount(drawn, minlength=len(faces))

    for face in range(len(counts)):
        assert np.ptp(shown[faces == face]) <= 1
        assert shown[faces == face].sum() == 27


def test_who_has_more_pictures_comes_more_often():
    faces = np.repeat(np.arange(300), np.tile([1, 4], 150))
    rng = np.random.default_rng(0)
    drawn = np.concatenate(list(distinct_batches(faces, size=10, steps=400, rng=rng)))
    shown = np.bincount(faces[drawn], minlength=300)

    assert 3.5 < shown[1::2].sum() / shown[0::2].sum() < 4.5


def test_what_open_clip_loads_is_what_was_trained(mixture, trained):
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{trained}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{trained}")
    ours = open_clip.model.CLIP(**TWO_STEPS.model_config())
    weights = load_file(trained / WEIGHTS_NAME)
    ours.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    model.eval(), ours.eval()
    loaded = torch.stack([preprocess(Image.fromarray(p)) for p in mixture.pictures[:6]])
    shown = (torch.from_numpy(mixture.pictures[:6]).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    tokens = tokenize(mixture.captions[:6])

    assert tokens.shape == (6, TWO_STEPS.context_length)
    assert torch.allclose(loaded, shown, atol=1e-6)
    with torch.no_grad():
        images, texts = model.encode_image(loaded), model.encode_text(tokens)
        assert torch.allclose(images, ours.encode_image(shown), atol=1e-6)
        assert torch.allclose(
            texts,
            ours.encode_text(open_clip.SimpleTokenizer(context_length=20)(mixture.captions[:6])),
            atol=1e-6,
        )
    assert images.std(dim=0).max() > 0
    assert texts.std(dim=0).max() > 0


def test_training_changes_the_weights_and_lowers_the_loss(mixture, tmp_path):
    losses = []
    train_contrastive(
        mixture,
        tmp_path,
        seed=0,
        settings=replace(TWO_STEPS, steps=25),
        progress=lambda step, steps, loss: losses.append((step, steps, loss)),
    )

    assert [step for step, _, _ in losses] == list(range(1, 26))
    assert {steps for _, steps, _ in losses} == {25}
    assert np.mean([loss for _, _, loss in losses[-3:]]) < losses[0][2] - 0.5


def test_the_same_seed_gives_the_same_weights(mixture, trained, tmp_path):
    for seed in (0, 1):
        train_contrastive(mixture, tmp_path / str(seed), seed=seed, settings=TWO_STEPS)
    first, again, other = (
        load_file(folder / WEIGHTS_NAME) for folder in (trained, tmp_path / "0", tmp_path / "1")
    )

    assert all((first[name] == again[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)


def test_the_global_state_is_left_as_it_was(mixture, tmp_path):
    import torch

    torch.manual_seed(11)
    before = torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled()
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002
    train_contrastive(mixture, tmp_path / "one", seed=0, settings=TWO_STEPS)

    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == before[1:]
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002

    torch.manual_seed(12)  # … and what was there does not matter
    train_contrastive(mixture, tmp_path / "two", seed=0, settings=TWO_STEPS)
    one, two = (load_file(tmp_path / name / WEIGHTS_NAME) for name in ("one", "two"))
    assert all((one[name] == two[name]).all() for name in one)


def test_a_target_is_trained_once_and_says_who_was_planted(tmp_path):
    design = Design(
        doses=(2,),
        people_per_dose=4,
        never=2,
        name_only=0,
        unpaired=0,
        controls=2,
        decoys_per_sex=4,
        attack_pictures=1,
        named_strangers=4,
        nameless_strangers=4,
    )
    lab = draw_study(design, tmp_path / "lab", seed=0)
    steps = []
    model = train_target(lab, settings=TWO_STEPS, progress=lambda *step: steps.append(step))
    planted = json.loads((model / PLANTED_NAME).read_text(encoding="utf-8"))

    assert model == lab.model
    assert len(steps) == 2
    assert sorted(person["arm"] for person in planted["people"]) == ["never"] * 2 + ["paired 2"] * 4

    again = draw_study(design, tmp_path / "lab", seed=0)
    train_target(again, settings=TWO_STEPS, progress=lambda *step: steps.append(step))
    assert len(steps) == 2
    with pytest.raises(RunError, match="other steps; choose"):
        train_target(again, settings=replace(TWO_STEPS, steps=3))

    weights = load_file(model / WEIGHTS_NAME)
    (model / PLANTED_NAME).unlink()  # as if it had been interrupted: done again, alike
    train_target(again, settings=TWO_STEPS)
    assert all((load_file(model / WEIGHTS_NAME)[name] == weights[name]).all() for name in weights)
