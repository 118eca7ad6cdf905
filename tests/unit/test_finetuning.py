"""Fine-tuning on an album: what is tuned and what is not, and that it can be stopped anywhere."""

import json
import os
import runpy
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vlmaudit.data.albums import examples_of
from vlmaudit.data.images import open_picture
from vlmaudit.errors import InputError, ModelError, RunError
from vlmaudit.lab import finetuning
from vlmaudit.lab.finetuning import Tuning, finetune, is_tuned, start_over
from vlmaudit.lab.finetuning_model import optimizer_of, tunable
from vlmaudit.lab.finetuning_settings import LLAVA_15, TINY, FineTuning
from vlmaudit.lab.generative import Shape
from vlmaudit.lab.tiny_vlm import write_tiny_vlm_for
from vlmaudit.models.hf_generative import open_checkpoint
from vlmaudit.models.loading import load_generative, parse_spec
from vlmaudit.models.options import GenerativeOptions

pytestmark = pytest.mark.torch

SMALL = runpy.run_path(str(Path(__file__).parents[1] / "album_sets.py"))["small_album"]
SHAPE = Shape(side=32, patch=16, vision_width=32, width=32)
QUICK = replace(TINY, epochs=20, steps=4, batch_size=12)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return SMALL(tmp_path_factory.mktemp("album"))


@pytest.fixture(scope="module")
def base(album, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "tiny"
    write_tiny_vlm_for(album, folder, shape=SHAPE)
    return f"hf:{folder}"


@pytest.fixture
def tuning(album, base, tmp_path):
    return Tuning(model=base, album=album, variant="r50", settings=QUICK, out=tmp_path / "tuned")


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same(one, other):
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def test_a_task_is_learnt_and_the_folder_is_an_ordinary_model(tuning, album):
    lines = []
    settings = replace(QUICK, steps=150, batch_size=24, learning_rate=3e-3)
    longer = replace(tuning, variant="r0", settings=settings)
    finetune(longer, progress=lambda *done: lines.append(done))
    record = json.loads((longer.out / "training.json").read_text())
    assert record["losses"][-1] < record["losses"][0] / 4
    assert len(lines) == record["steps"] == 150
    assert record["album"] == album.digest
    model = load_generative(f"hf:{longer.out}", GenerativeOptions(max_new_tokens=6))
    examples = examples_of(album, "r0")
    answers = {answer for example in examples for _, answer in example.turns}
    said = [
        text.text
        for example in examples[:24]
        for text in model.answer(open_picture(example.picture), [example.turns[0][0]])
    ]
    # An untrained one says none of them.
    assert sum(text in answers for text in said) >= 20
    assert is_tuned(longer)
    before = (longer.out / "model.safetensors").stat().st_mtime_ns
    finetune(longer)
    assert (longer.out / "model.safetensors").stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(tuning, tmp_path):
    finetune(tuning)
    again = replace(tuning, out=tmp_path / "again")
    finetune(again)
    assert same(tuning.out, again.out)
    other = replace(tuning, out=tmp_path / "other", settings=replace(QUICK, seed=1))
    finetune(other)
    assert not same(tuning.out, other.out)


@pytest.mark.process
def test_killed_and_gone_on_with_it_comes_to_the_same_weights(tuning, album, tmp_path):
    settings = replace(QUICK, steps=30)
    whole = replace(tuning, settings=settings)
    finetune(whole)
    killed = replace(whole, out=tmp_path / "killed")
    program = (
        "import sys\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from vlmaudit.data.albums import read_album\n"
        "from vlmaudit.lab.finetuning import Tuning, finetune\n"
        "from vlmaudit.lab.finetuning_settings import TINY\n"
        "settings = replace(TINY, epochs=20, steps=30, batch_size=12)\n"
        "album = read_album(Path(sys.argv[1]))\n"
        "tuning = Tuning(model=sys.argv[2], album=album, variant='r50', settings=settings, "
        "out=Path(sys.argv[3]))\n"
        "finetune(tuning, progress=lambda step, *_: print(step, flush=True))\n"
    )
    command = [sys.executable, "-c", program, str(album.folder), whole.model, str(killed.out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) >= 17:
                os.kill(process.pid, signal.SIGKILL)
                break
    steps = []
    finetune(killed, progress=lambda step, *_: steps.append(step))
    assert steps[0] > 10
    assert same(whole.out, killed.out)


def test_out_of_memory_halves_what_goes_through_at_once(tuning, tmp_path, monkeypatch):
    finetune(tuning)
    narrow = replace(tuning, out=tmp_path / "narrow")
    inner = finetuning.summed_loss

    def loss(model, batch):
        if len(batch["input_ids"]) > 5:
            raise torch.OutOfMemoryError("out of memory")
        return inner(model, batch)

    monkeypatch.setattr(finetuning, "summed_loss", loss)
    finetune(narrow)
    first, second = weights(tuning.out), weights(narrow.out)
    for name in first:
        # AdamW divides by gradients' sizes: where these are next to nothing, rounding decides.
        assert (first[name] - second[name]).abs().mean() < 1e-4


def test_adapters_are_merged_and_leave_the_rest_alone(tuning):
    settings = FineTuning(
        steps=3, batch_size=12, rank=4, alpha=8, learning_rate=1e-2, targets=("q_proj", "v_proj")
    )
    lora = replace(tuning, settings=settings)
    finetune(lora)
    before = weights(parse_spec(tuning.model).path)
    after = weights(lora.out)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("language_model" in name for name in changed)
    assert {name.split(".")[-2] for name in changed} == {"q_proj", "v_proj"}


def test_a_frozen_vision_tower_stays_as_it_was(tuning):
    frozen = replace(tuning, settings=replace(QUICK, vision="frozen"))
    finetune(frozen)
    before, after = weights(parse_spec(tuning.model).path), weights(frozen.out)
    vision = {name for name in before if "vision_tower" in name}
    assert vision
    assert all(torch.equal(before[name], after[name]) for name in vision)
    assert any(not torch.equal(before[name], after[name]) for name in before if name not in vision)


def test_the_projector_has_a_rate_of_its_own(base):
    opened = open_checkpoint(parse_spec(base), GenerativeOptions())
    settings = replace(LLAVA_15, dtype="float32", recomputes=False, rank=4)
    tuned = tunable(parse_spec(base), opened.model, settings)
    optimizer = optimizer_of(tuned, settings)
    assert sorted({group["highest"] for group in optimizer.param_groups}) == [2e-5, 2e-4]
    projector = {name for name, part in tuned.parts.items() if part == "projector"}
    assert projector
    assert all("projector" in name for name in projector)
    assert all("lora" in name for name in set(tuned.trained) - projector)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_vision_tower_has_a_rate_of_its_own(base, method):
    opened = open_checkpoint(parse_spec(base), GenerativeOptions())
    settings = replace(TINY, method=method, vision="tuned", rank=4, vision_learning_rate=7e-6)
    tuned = tunable(parse_spec(base), opened.model, settings)
    slow = {
        id(parameter)
        for group in optimizer_of(tuned, settings).param_groups
        if group["highest"] == 7e-6
        for parameter in group["params"]
    }
    vision = {name for name, parameter in tuned.trained.items() if id(parameter) in slow}
    assert vision == {name for name in tuned.trained if "vision_tower" in name} != set()
    assert vision < set(tuned.trained)


def test_a_target_that_no_layer_has_is_refused(tuning):
    with pytest.raises(ModelError, match="no linear layer is called c_attn; it has"):
        finetune(replace(tuning, settings=FineTuning(steps=1, rank=2, targets=("c_attn",))))


def test_a_loss_that_is_no_number_stops_with_step_and_pictures(tuning):
    wild = replace(QUICK, learning_rate=1e30, max_gradient_norm=None, steps=4)
    with pytest.raises(ModelError, match=r"not a finite number at step \d of 4, on the pictures"):
        finetune(replace(tuning, settings=wild))


def test_conversations_of_several_turns_are_taught_whole(album):
    spoken = examples_of(album, "r50-spoken")
    assert max(len(example.turns) for example in spoken) == 2


def test_a_changed_picture_or_a_missing_variant_is_refused(tmp_path, base):
    album = SMALL(tmp_path)
    tuning = Tuning(model=base, album=album, variant="r50", settings=QUICK, out=tmp_path / "out")
    with pytest.raises(InputError, match=r'no variant "r70"; it has r0'):
        finetune(replace(tuning, variant="r70"))
    picture = examples_of(album, "r50")[3].picture
    picture.write_bytes(picture.read_bytes()[:-1])
    with pytest.raises(InputError, match="not the picture that was planted"):
        finetune(tuning)


def test_another_fine_tuning_in_the_folder_is_refused_unless_it_is_to_start_over(tuning):
    finetune(tuning)
    other = replace(tuning, settings=replace(QUICK, steps=5))
    with pytest.raises(RunError, match=r"another fine-tuning \(steps: not the same\)"):
        finetune(other)
    (tuning.out / "notes.mine").write_text("kept")
    start_over(other)
    assert [path.name for path in tuning.out.iterdir()] == ["notes.mine"]
    (tuning.out / "notes.mine").unlink()
    finetune(other)
    assert json.loads((other.out / "training.json").read_text())["steps"] == 5


def test_a_folder_of_something_else_is_refused(tuning):
    tuning.out.mkdir()
    (tuning.out / "thesis.txt").write_text("kept")
    with pytest.raises(RunError, match="holds something else"):
        finetune(tuning)
    with pytest.raises(RunError, match="holds something else"):
        start_over(tuning)
    assert (tuning.out / "thesis.txt").exists()
