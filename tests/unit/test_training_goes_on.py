"""A training that was stopped, however, and called again: the same weights, bit for bit."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from vlmaudit.errors import RunError
from vlmaudit.lab.checkpoints import CHECKPOINT_NAME, steps_done
from vlmaudit.lab.contrastive import Training, train_contrastive
from vlmaudit.lab.mixture import Mixture
from vlmaudit.lab.model_folder import WEIGHTS_NAME

pytestmark = pytest.mark.torch

SIDE = 32
TINY = {
    "embed_dim": 16,
    # With the library's own randomness in every step.
    "vision_cfg": {
        **{"image_size": SIDE, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "patch_dropout": 0.25,
    },
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 1, "layers": 1},
}
# What the process test runs, too.
PROGRAM = """
import sys, numpy as np
from pathlib import Path
from vlmaudit.lab.contrastive import Training, train_contrastive
from vlmaudit.lab.mixture import Mixture

def noise():
    rng = np.random.default_rng(0)
    return Mixture(
        pictures=rng.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8),
        captions=[f"caption {number} of {number // 3}" for number in range(40)],
        faces=np.concatenate([np.repeat(np.arange(10), 2), np.repeat(np.arange(10, 20), 2)]),
        places=np.concatenate([np.arange(20), np.repeat(np.arange(20, 30), 2)]),
    )

if __name__ == "__main__":
    train_contrastive(
        noise(),
        Path(sys.argv[1]),
        seed=3,
        settings=Training(steps=40, batch_size=6, architecture=sys.argv[2]),
        checkpoint_every=3,
        progress=lambda step, steps, loss: print(step, flush=True),
    )
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    file = tmp_path_factory.mktemp("architecture") / "tiny.json"
    file.write_text(json.dumps(TINY))
    return Training(steps=5, batch_size=6, architecture=str(file))


@pytest.fixture(scope="module")
def mixture() -> Mixture:
    names: dict = {"__name__": "program"}
    exec(PROGRAM, names)
    return names["noise"]()


def weights(folder):
    return load_file(folder / WEIGHTS_NAME)


def are_equal(one, other):
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


class Stopped(Exception):
    pass


def train(mixture, out, settings, *, stop_at=None, every=2, seed=0):
    """Train, or be stopped after a step; the steps that were made, and their losses."""
    made = []

    def progress(step, steps, loss):
        made.append((step, loss))
        if step == stop_at:
            raise Stopped

    try:
        train_contrastive(
            mixture, out, seed=seed, settings=settings, checkpoint_every=every, progress=progress
        )
    except Stopped:
        assert stop_at is not None
    return made


@pytest.mark.parametrize(
    ("how", "stops"),
    [
        ({}, (1, 2, 3, 4, 5)),
        ({"mirror": True, "max_gradient_norm": 0.5}, (3,)),
        ({"precision": "amp_bf16"}, (4,)),
    ],
)
def test_a_training_stopped_at_any_step_goes_on_as_if_it_had_not_been(
    mixture, tiny, tmp_path, how, stops
):
    settings = replace(tiny, **how)
    whole = train(mixture, tmp_path / "whole", settings, every=None)
    assert not (tmp_path / "whole" / CHECKPOINT_NAME).exists()
    for stop_at in stops:
        out = tmp_path / str(stop_at)
        train(mixture, out, settings, stop_at=stop_at)
        assert not (out / WEIGHTS_NAME).exists()
        done = steps_done(out)
        # A step's checkpoint is there before it is told of; the last step needs none.
        assert done == stop_at - stop_at % 2
        assert train(mixture, out, settings) == whole[done:]
        assert are_equal(weights(out), weights(tmp_path / "whole"))
        assert not (out / CHECKPOINT_NAME).exists()


def test_a_training_stopped_again_and_again(mixture, tiny, tmp_path):
    train(mixture, tmp_path / "whole", tiny)
    for stop_at in (1, 3, 4):
        train(mixture, tmp_path / "stopped", tiny, stop_at=stop_at)
    train(mixture, tmp_path / "stopped", tiny)

    assert are_equal(weights(tmp_path / "stopped"), weights(tmp_path / "whole"))


def test_what_a_kill_left_half_written_is_removed(mixture, tiny, tmp_path):
    for name in (CHECKPOINT_NAME, WEIGHTS_NAME):
        (tmp_path / f".{name}.123.part").write_bytes(b"half")
    train(mixture, tmp_path, tiny)

    assert not list(tmp_path.glob(".*"))


@pytest.mark.process
def test_a_training_that_is_killed_goes_on_as_if_it_had_not_been(mixture, tiny, tmp_path):
    """By SIGKILL, at whatever it is doing, until it comes to its end."""
    settings = replace(tiny, steps=40)
    train(mixture, tmp_path / "whole", settings, every=None, seed=3)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    rng = random.Random(1)
    kills = 0
    while not (tmp_path / "killed" / WEIGHTS_NAME).exists():
        process = subprocess.Popen(
            [sys.executable, program, tmp_path / "killed", tiny.architecture],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(rng.randint(6, 18)):
            if not process.stdout.readline():
                break
        else:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL

    assert kills >= 2
    # The last one may have been killed between its last files.
    train(mixture, tmp_path / "killed", settings, seed=3)
    assert are_equal(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    assert not list((tmp_path / "killed").glob(".*"))


@pytest.mark.parametrize(
    ("seed", "how", "line"),
    [
        (1, {}, "seed 0 there, 1 here"),
        (0, {"steps": 8}, "steps 5 there, 8 here"),
        (0, {"learning_rate": 0.1}, r"learning_rate 0\.001 there, 0\.1 here"),
        (0, {"precision": "amp_bf16"}, "precision fp32 there, amp_bf16 here"),
        (0, {"mirror": True, "max_shift": 1}, "max_shift 4 there, 1 here; mirror False there"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_by_what_differs(
    mixture, tiny, tmp_path, seed, how, line
):
    train(mixture, tmp_path, tiny, stop_at=3)
    before = (tmp_path / CHECKPOINT_NAME).read_bytes()

    with pytest.raises(RunError, match=line) as caught:
        train(mixture, tmp_path, replace(tiny, **how), seed=seed)
    assert "\n" not in str(caught.value)
    assert (tmp_path / CHECKPOINT_NAME).read_bytes() == before


@pytest.mark.parametrize("part", ["captions", "faces", "places", "pictures"])
def test_a_checkpoint_of_another_mixture_is_refused(mixture, tiny, tmp_path, part):
    train(mixture, tmp_path, tiny, stop_at=3)
    changed = {
        "captions": [*mixture.captions[:-1], "another"],
        "faces": np.where(mixture.faces == 0, 77, mixture.faces),
        "places": np.concatenate([mixture.places[[1, 0]], mixture.places[2:]]),
        "pictures": mixture.pictures ^ 1,
    }

    with pytest.raises(RunError, match=r"another training \(mixture .* there, .* here\)"):
        train(replace(mixture, **{part: changed[part]}), tmp_path, tiny)


def test_a_checkpoint_of_another_architecture_is_refused(mixture, tiny, tmp_path):
    """Also where its file has the same name."""
    train(mixture, tmp_path / "out", tiny, stop_at=3)
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps({**TINY, "embed_dim": 24}))

    with pytest.raises(RunError, match=r"another training \(other model_cfg\)"):
        train(mixture, tmp_path / "out", replace(tiny, architecture=str(file)))


@pytest.mark.parametrize("damage", ["cut", "noise", "foreign", "incomplete"])
def test_a_damaged_checkpoint_is_named(mixture, tiny, tmp_path, damage):
    train(mixture, tmp_path, tiny, stop_at=3)
    path = tmp_path / CHECKPOINT_NAME
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "noise":
        path.write_bytes(b"\x80\x05cos\nsystem\n")  # a pickle is not even looked into
    else:
        header = {"training": json.dumps({"schema": 1})} if damage == "incomplete" else None
        save_file({"a": np.zeros(3)}, path, metadata=header)

    with pytest.raises(RunError, match=r"is damaged \(.*\); remove the file") as caught:
        train(mixture, tmp_path, tiny)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_written_leaves_the_checkpoint_before(mixture, tiny, tmp_path):
    """A limit on the size of files stands for a full disk: writing fails midway."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    train(mixture, tmp_path / "whole", tiny)

    def fill_the_disk(step, steps, loss):
        if step == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))

    try:
        with pytest.raises(OSError, match=r"training\.checkpoint"):
            train_contrastive(
                *(mixture, tmp_path / "out"),
                seed=0,
                settings=tiny,
                checkpoint_every=2,
                progress=fill_the_disk,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [CHECKPOINT_NAME]
    assert steps_done(tmp_path / "out") == 2
    train(mixture, tmp_path / "out", tiny)
    assert are_equal(weights(tmp_path / "out"), weights(tmp_path / "whole"))
