"""States on disk: whole or said not to be, and what is killed goes on."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from vlmaudit.errors import InputError, RunError
from vlmaudit.results.state_files import StateItem, StatesWriter, read_states

LAYERS = ["embeddings", "layer 1"]
ABOUT = {"role": "tuned", "token": "last"}


def items(count=6):
    return [
        StateItem(f"r{n // 2}/{n % 2}", f"p{n}", f"r{n // 2}", "seen", "What, then?")
        for n in range(count)
    ]


def values(count=6, *, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 2, 5)).astype(np.float32)


def written(folder, states=None):
    states = values() if states is None else states
    with StatesWriter(folder, items(len(states)), layers=LAYERS, about=ABOUT) as writer:
        writer.write(states)
    return folder


def test_what_is_written_is_read(tmp_path):
    states = read_states(written(tmp_path / "tuned"))
    np.testing.assert_array_equal(states.values, values())
    assert states.layers == tuple(LAYERS)
    assert states.about["role"] == "tuned"
    assert states.items["entity"].to_list() == ["r0", "r0", "r1", "r1", "r2", "r2"]
    assert (tmp_path / "tuned").stat().st_mode & 0o077 == 0


def test_what_stopped_goes_on_and_is_not_read_before(tmp_path):
    with StatesWriter(tmp_path, items(), layers=LAYERS, about=ABOUT) as writer:
        writer.write(values()[:4])
    with pytest.raises(InputError, match="states of 4 items among 6; run the command"):
        read_states(tmp_path)
    with StatesWriter(tmp_path, items(), layers=LAYERS, about=ABOUT) as writer:
        assert writer.done == 4
        writer.write(values()[4:])
    np.testing.assert_array_equal(read_states(tmp_path).values, values())


@pytest.mark.process
def test_a_killed_writer_has_lost_nothing_that_it_said_was_done(tmp_path):
    program = (
        "import os, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from vlmaudit.results.state_files import StateItem, StatesWriter\n"
        "items = [StateItem(str(n), '', 'r', 'seen', '') for n in range(5000)]\n"
        "states = np.arange(5000, dtype=np.float32)[:, None, None] * np.ones((1, 2, 5), 'f')\n"
        "writer = StatesWriter(Path(sys.argv[1]), items, layers=['a', 'b'], about={})\n"
        "for start in range(writer.done, 5000, 2):\n"
        "    writer.write(states[start:start + 2])\n"
        "    print(start, flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "states")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        for line in killed.stdout:
            if int(line) >= 40:
                os.kill(killed.pid, signal.SIGKILL)
                break
    done = json.loads((tmp_path / "states" / "states.json").read_text())["done"]
    array = np.load(tmp_path / "states" / "states.npy", mmap_mode="r")
    assert 42 <= done < 5000
    np.testing.assert_array_equal(array[:done, 1, 4], np.arange(done))


def test_states_of_something_else_are_not_gone_on_with(tmp_path):
    written(tmp_path)
    with pytest.raises(RunError, match="other items, layers or settings"):
        StatesWriter(tmp_path, items(4), layers=LAYERS, about=ABOUT)
    with pytest.raises(RunError, match="other items, layers or settings"):
        StatesWriter(tmp_path, items(), layers=LAYERS, about={**ABOUT, "token": "image"})


def test_a_number_that_is_none_is_named(tmp_path):
    states = values()
    states[3, 1, 2] = np.nan
    with pytest.raises(InputError, match=r'item "r1/1", layer 1: not a finite number'):
        read_states(written(tmp_path, states))


def test_narrow_numbers_from_elsewhere_are_read(tmp_path):
    written(tmp_path)
    np.save(tmp_path / "states.npy", values().astype(np.float16))
    (tmp_path / "states.json").unlink()
    states = read_states(tmp_path)
    assert states.layers == ("layer 0", "layer 1")
    np.testing.assert_allclose(states.values, values(), atol=1e-3)


def damage_rows(folder):
    np.save(folder / "states.npy", values(5))


def damage_shape(folder):
    np.save(folder / "states.npy", values()[:, 0])


def damage_kind(folder):
    np.save(folder / "states.npy", values().astype(int))


def damage_bytes(folder):
    (folder / "states.npy").write_bytes(b"states")


def damage_columns(folder):
    (folder / "items.csv").write_text("item,image\n1,2\n")


def damage_names(folder):
    text = (folder / "items.csv").read_text()
    (folder / "items.csv").write_text(text.replace("r0/1", "r0/0"))


def damage_schema(folder):
    (folder / "states.json").write_text('{"schema": 9}')


def damage_layers(folder):
    (folder / "states.json").write_text('{"layers": ["one"]}')


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_rows, "5 rows and items.csv 6"),
        (damage_shape, "wanted floating-point numbers, items × layers × width"),
        (damage_kind, "an array of int64"),
        (damage_bytes, "no array of numpy"),
        (damage_columns, 'no column "entity"'),
        (damage_names, 'the item "r0/0" is there twice'),
        (damage_schema, "wanted schema 1"),
        (damage_layers, "names 1 layers and states.npy has 2"),
        (lambda folder: (folder / "states.npy").unlink(), "states.npy: not there"),
        (lambda folder: (folder / "items.csv").unlink(), "items.csv: not there"),
    ],
)
def test_what_is_damaged_is_said_in_a_line(tmp_path, damage, said):
    damage(written(tmp_path / "states"))
    with pytest.raises(InputError, match=said) as problem:
        read_states(tmp_path / "states")
    assert "\n" not in str(problem.value)
