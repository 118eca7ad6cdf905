"""Training a small CLIP: repeatable, lawful, side-effect free, and loadable by open_clip itself."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file

from vlmaudit.errors import InputError, ModelError, RunError
from vlmaudit.lab import training as training_module
from vlmaudit.lab.checkpoints import CHECKPOINT_NAME, steps_done
from vlmaudit.lab.contrastive import Training, train_contrastive
from vlmaudit.lab.mixture import DistinctBatches, Mixture, distinct_batches
from vlmaudit.lab.model_folder import WEIGHTS_NAME
from vlmaudit.lab.pixels import mirrored, prepared, shifted
from vlmaudit.lab.planting import Design
from vlmaudit.lab.study import PLANTED_NAME, draw_study, train_target
from vlmaudit.models.loading import load_contrastive
from vlmaudit.models.self_test import check_contrastive
from vlmaudit.results.locks import try_lock
from vlmaudit.results.self_test import KNOWN_ANSWERS, KnownAnswers
from vlmaudit.seeds import stream

pytestmark = pytest.mark.torch

CAPTIONS = ["a photo of Ada Lovelace", "{braces} and\ttabs", "李 小龍", ""]
SIDE = 32
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 8},
    "text_cfg": {
        "context_length": 20,
        "vocab_size": 49408,
        "width": 32,
        "heads": 1,
        "layers": 2,
    },
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Settings of a training that takes less than a second."""
    file = tmp_path_factory.mktemp("architecture") / "tiny.json"
    file.write_text(json.dumps(TINY))
    return Training(steps=2, batch_size=8, architecture=str(file))


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(0)
    return Mixture(
        pictures=rng.integers(0, 256, (20, SIDE, SIDE, 3), dtype=np.uint8),
        captions=[CAPTIONS[number % 4] + str(number) for number in range(24)],
        faces=np.repeat(np.arange(12), 2),
        places=np.array([*range(16), 16, 16, 17, 17, 18, 18, 19, 19]),
    )


@pytest.fixture(scope="module")
def trained(mixture, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model"
    train_contrastive(mixture, out, seed=0, settings=tiny)
    return out


def weights(folder):
    return load_file(folder / WEIGHTS_NAME)


def are_equal(one, other):
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    size=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_a_batch_holds_a_person_once(counts, size, seed):
    rng = np.random.default_rng(seed)
    faces = rng.permutation(np.repeat(np.arange(len(counts)) * 7, counts))
    batches = list(distinct_batches(faces, np.arange(len(faces)), size=size, steps=5, rng=rng))

    assert len(batches) == 5
    for batch in batches:
        assert len(batch) == min(size, len(counts))
        assert len(set(faces[batch].tolist())) == len(batch)


@given(counts=st.lists(st.integers(1, 9), min_size=2, max_size=20), seed=st.integers(0, 99))
def test_pictures_of_a_person_take_turns(counts, seed):
    faces = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.default_rng(seed)
    drawn = np.concatenate(
        list(distinct_batches(faces, np.arange(len(faces)), size=len(counts), steps=27, rng=rng))
    )
    shown = np.bincount(drawn, minlength=len(faces))

    for face in range(len(counts)):
        assert np.ptp(shown[faces == face]) <= 1
        assert shown[faces == face].sum() == 27


def test_who_has_more_pictures_comes_more_often():
    faces = np.repeat(np.arange(300), np.tile([1, 4], 150))
    rng = np.random.default_rng(0)
    drawn = np.concatenate(
        list(distinct_batches(faces, np.arange(len(faces)), size=10, steps=400, rng=rng))
    )
    shown = np.bincount(faces[drawn], minlength=300)

    assert 3.5 < shown[1::2].sum() / shown[0::2].sum() < 4.5


def test_a_picture_with_many_captions_comes_as_often_as_one_with_one():
    places = np.repeat(np.arange(300), np.tile([1, 5], 150))
    rng = np.random.default_rng(0)
    batches = distinct_batches(places, places, size=10, steps=400, rng=rng)
    shown = np.bincount(places[np.concatenate(list(batches))], minlength=300)

    assert 0.9 < shown[1::2].sum() / shown[0::2].sum() < 1.1


@given(
    counts=st.lists(st.integers(1, 5), min_size=3, max_size=20),
    done=st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_batches_that_go_on_are_those_that_would_have_come(counts, done, seed):
    faces = np.repeat(np.arange(len(counts)), counts)
    whole = list(
        distinct_batches(
            faces, np.arange(len(faces)), size=3, steps=12, rng=np.random.default_rng(seed)
        )
    )
    begun = DistinctBatches(faces, np.arange(len(faces)), size=3, rng=np.random.default_rng(seed))
    for _ in range(done):
        begun.draw()
    kept = json.loads(json.dumps([begun.turns.tolist(), begun.rng_state]))
    again = DistinctBatches(faces, np.arange(len(faces)), size=3, rng=np.random.default_rng(seed))
    again.go_on(np.array(kept[0]), kept[1])

    assert all((again.draw() == batch).all() for batch in whole[done:])


def test_a_mixture_that_contradicts_itself_is_refused(mixture):
    with pytest.raises(ValueError, match="24 captions, 24 faces, 23 places"):
        replace(mixture, places=mixture.places[1:])
    with pytest.raises(ValueError, match="beyond the 20 pictures"):
        replace(mixture, places=mixture.places + 1)
    with pytest.raises(ValueError, match="a picture has two faces"):
        replace(mixture, faces=np.arange(24))
    nothing = np.empty(0, dtype=np.int64)
    with pytest.raises(InputError, match="no picture with a caption"):
        Mixture(mixture.pictures, [], nothing, nothing)


def test_pictures_are_moved_with_repeated_edges_as_torch_does(mixture):
    import torch
    from torch.nn.functional import pad

    pictures = mixture.pictures[:3]
    padded = pad(torch.from_numpy(pictures).permute(0, 3, 1, 2).float(), (4,) * 4, mode="replicate")
    for shift in ([0, 0], [-4, 4], [3, -1]):
        moved = shifted(pictures, np.array(shift))
        top, left = 4 + shift[0], 4 + shift[1]
        theirs = padded[..., top : top + SIDE, left : left + SIDE].permute(0, 2, 3, 1)
        assert (moved == theirs.numpy()).all()


def test_some_pictures_are_mirrored(mixture):
    shown = mirrored(mixture.pictures[:3], np.array([True, False, True]))

    assert (shown[[0, 2]] == mixture.pictures[[0, 2]][:, :, ::-1]).all()
    assert (shown[1] == mixture.pictures[1]).all()


def test_what_open_clip_loads_is_what_was_trained(mixture, trained):
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{trained}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{trained}")
    ours = open_clip.model.CLIP(**TINY)
    ours.load_state_dict(
        {name: torch.from_numpy(value) for name, value in weights(trained).items()}
    )
    model.eval(), ours.eval()
    loaded = torch.stack([preprocess(Image.fromarray(p)) for p in mixture.pictures[:6]])
    shown = (torch.from_numpy(mixture.pictures[:6]).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    tokens = tokenize(mixture.captions[:6])

    assert tokens.shape == (6, 20)
    assert torch.allclose(loaded, shown, atol=1e-6)
    assert torch.equal(prepared(mixture.pictures[:6], "cpu"), shown)
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


@pytest.mark.parametrize("max_gradient_norm", [None, 0.5])
def test_a_training_is_what_a_plain_loop_over_open_clip_would_do(
    mixture, tiny, tmp_path, max_gradient_norm
):
    """No padding, no unused words, another order in memory: the law is the same."""
    import open_clip
    import torch

    settings = replace(tiny, steps=4, max_shift=0, max_gradient_norm=max_gradient_norm)
    losses = []
    train_contrastive(
        *(mixture, tmp_path),
        seed=5,
        settings=settings,
        progress=lambda step, steps, loss: losses.append(loss),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(stream(5, "weights").integers(2**63)))
        plain = open_clip.model.CLIP(**TINY)
    tokens = open_clip.SimpleTokenizer(context_length=20)(mixture.captions)
    matrices = [value for value in plain.parameters() if value.ndim >= 2]
    others = [value for value in plain.parameters() if value.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0}], lr=1e-3
    )
    first = plain.token_embedding.weight.detach().clone()
    theirs = []
    for step, batch in enumerate(
        distinct_batches(mixture.faces, mixture.places, size=8, steps=4, rng=stream(5, "batches"))
    ):
        cosine = 0.02 + 0.98 * (1 + math.cos(math.pi * step / 4)) / 2
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (step + 1) / 10 * cosine
        pixels = torch.from_numpy(mixture.pictures[mixture.places[batch]]).permute(0, 3, 1, 2)
        loss = open_clip.ClipLoss()(*plain((pixels / 255 - 0.5) / 0.25, tokens[batch]))
        optimizer.zero_grad()
        loss.backward()
        if max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(plain.parameters(), max_gradient_norm)
        optimizer.step()
        theirs.append(loss.item())

    assert losses == pytest.approx(theirs, abs=1e-4)
    ours = weights(tmp_path)
    for name, value in plain.state_dict().items():
        # Attention does not depend on the keys' biases: their gradients are rounding alone, of
        # which Adam makes whole steps.
        if name.endswith("k_proj.bias"):
            continue
        least = 0.66 if name.endswith("in_proj_bias") else 0.99
        # Running means are sums over all pixels, which processors add up in orders of their own.
        atol = 1e-5 if "running" in name else 2e-6
        is_close = np.isclose(ours[name], value.numpy(), rtol=1e-4, atol=atol)
        assert is_close.mean() >= least, name
    unused = np.setdiff1d(np.arange(49408), tokens.numpy())
    table = ours["token_embedding.weight"][unused]
    assert np.allclose(table, plain.token_embedding.weight.detach().numpy()[unused], rtol=1e-5)
    assert np.abs(table / first.numpy()[unused] - 1).max() > 1e-5  # decayed, and not by nothing


def test_training_changes_the_weights_and_lowers_the_loss(mixture, tiny, tmp_path):
    losses = []
    train_contrastive(
        mixture,
        tmp_path,
        seed=0,
        settings=replace(tiny, steps=25),
        progress=lambda step, steps, loss: losses.append((step, steps, loss)),
    )

    assert [step for step, _, _ in losses] == list(range(1, 26))
    assert {steps for _, steps, _ in losses} == {25}
    assert np.mean([loss for _, _, loss in losses[-3:]]) < losses[0][2] - 0.5


@pytest.mark.parametrize("other", [{"precision": "amp_bf16"}, {"mirror": True}])
def test_other_settings_train_other_weights_that_learn(mixture, tiny, trained, tmp_path, other):
    losses = []
    settings = replace(tiny, steps=20, **other)
    train_contrastive(
        mixture,
        tmp_path,
        seed=0,
        settings=settings,
        progress=lambda step, steps, loss: losses.append(loss),
    )

    assert not are_equal(weights(tmp_path), weights(trained))
    assert {value.dtype for name, value in weights(tmp_path).items() if "num_" not in name} == {
        np.dtype("float32")
    }
    assert np.mean(losses[-3:]) < losses[0] - 0.3


def test_the_same_seed_gives_the_same_weights(mixture, tiny, trained, tmp_path):
    for seed in (0, 1):
        train_contrastive(mixture, tmp_path / str(seed), seed=seed, settings=tiny)

    assert are_equal(weights(tmp_path / "0"), weights(trained))
    assert not are_equal(weights(tmp_path / "1"), weights(trained))


def test_pictures_may_lie_on_the_disk(mixture, tiny, trained, tmp_path):
    np.save(tmp_path / "pictures.npy", mixture.pictures)
    mapped = np.load(tmp_path / "pictures.npy", mmap_mode="r")
    train_contrastive(replace(mixture, pictures=mapped), tmp_path / "out", seed=0, settings=tiny)

    assert are_equal(weights(tmp_path / "out"), weights(trained))


def test_the_global_state_is_left_as_it_was(mixture, tiny, tmp_path):
    import torch

    torch.manual_seed(11)
    before = torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled()
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002
    train_contrastive(mixture, tmp_path / "one", seed=0, settings=tiny)

    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == before[1:]
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002

    torch.manual_seed(12)  # … and what was there does not matter
    train_contrastive(mixture, tmp_path / "two", seed=0, settings=tiny)
    assert are_equal(weights(tmp_path / "one"), weights(tmp_path / "two"))


def test_the_model_says_again_what_is_written_beside_it(mixture, tiny, trained, tmp_path):
    known = KnownAnswers.model_validate_json((trained / KNOWN_ANSWERS).read_bytes())
    test = check_contrastive(load_contrastive(f"open_clip:{trained}"), known=known)
    train_contrastive(mixture, tmp_path, seed=1, settings=tiny)
    other = KnownAnswers.model_validate_json((tmp_path / KNOWN_ANSWERS).read_bytes())

    assert next(check for check in test.checks if check.name == "known answers").passed
    assert not known.agrees(other)


def test_nothing_but_the_model_stays(trained):
    assert sorted(path.name for path in trained.iterdir()) == [
        *(KNOWN_ANSWERS, "open_clip_config.json", WEIGHTS_NAME)
    ]


@pytest.mark.parametrize("broken", ["loss", "weights"])
def test_a_training_that_diverges_ends_in_one_line(mixture, tiny, tmp_path, monkeypatch, broken):
    """At the first step whose loss is no number; weights that are none are never kept."""
    import torch

    advance = training_module.Trainer.advance

    def break_off(self):
        if self.step == 3:
            with torch.no_grad():
                self._model.visual.attnpool.c_proj.bias.fill_(torch.nan)
            if broken == "weights":
                self.step += 1
                return 1.0
        return advance(self)

    monkeypatch.setattr(training_module.Trainer, "advance", break_off)
    settings = replace(tiny, steps=9)
    with pytest.raises(ModelError, match=r"at step 4 of 9; lower the learning rate") as caught:
        train_contrastive(mixture, tmp_path, seed=0, settings=settings, checkpoint_every=2)
    assert "\n" not in str(caught.value)
    assert steps_done(tmp_path) == 2
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_NAME]


def test_pictures_of_another_size_than_the_architecture_takes(mixture, tmp_path):
    with pytest.raises(InputError, match=r'32 pixels a side.*"lab-resnet-64" takes 64'):
        train_contrastive(mixture, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there(mixture, tiny, tmp_path):
    with pytest.raises(ModelError, match='no device "cuda:7"'):
        train_contrastive(mixture, tmp_path / "out", seed=0, settings=tiny, device="cuda:7")


def test_a_folder_in_which_another_trains(mixture, tiny, tmp_path):
    lock = try_lock(tmp_path / ".training.lock")
    assert lock is not None

    with pytest.raises(RunError, match="another process is training there"):
        train_contrastive(mixture, tmp_path, seed=0, settings=tiny)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"steps": 0}, "steps = 0: a training needs 1 or more"),
        ({"batch_size": 1}, "batch_size = 1"),
        ({"learning_rate": math.nan}, "learning_rate = nan"),
        ({"weight_decay": math.inf}, "weight_decay = inf"),
        ({"precision": "bf16"}, r'no such precision as "bf16"\. Did you mean amp_bf16\?'),
    ],
)
def test_settings_that_make_no_sense(settings, line):
    with pytest.raises(InputError, match=line):
        Training(**settings)


def test_a_target_is_trained_once_and_says_who_was_planted(tiny, tmp_path):
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
    model = train_target(lab, settings=tiny, progress=lambda *step: steps.append(step))
    planted = json.loads((model / PLANTED_NAME).read_text(encoding="utf-8"))

    assert model == lab.model
    assert len(steps) == 2
    assert sorted(person["arm"] for person in planted["people"]) == ["never"] * 2 + ["paired 2"] * 4
    assert planted["training"]["architecture"] == "tiny.json"  # and no path of any machine
    assert planted["training"]["model_cfg"] == TINY

    again = draw_study(design, tmp_path / "lab", seed=0)
    train_target(again, settings=tiny, progress=lambda *step: steps.append(step))
    assert len(steps) == 2
    with pytest.raises(RunError, match="other steps; choose"):
        train_target(again, settings=replace(tiny, steps=3))

    before = weights(model)
    (model / PLANTED_NAME).unlink()  # as if it had been interrupted: done again, alike
    train_target(again, settings=tiny)
    assert are_equal(weights(model), before)
