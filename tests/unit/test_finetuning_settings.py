"""The recipes: the paper's numbers, schedules, and what cannot be meant."""

from dataclasses import replace

import pytest

from vlmaudit.errors import InputError
from vlmaudit.lab.finetuning_settings import LLAVA_15, QWEN2_VL, TINY, FineTuning, preset


def test_the_recipes_are_the_papers():
    # PROTOCOLS 1.5.
    assert (LLAVA_15.rank, LLAVA_15.alpha, LLAVA_15.dropout) == (128, 256, 0.05)
    assert (LLAVA_15.learning_rate, LLAVA_15.projector_learning_rate) == (2e-4, 2e-5)
    assert (LLAVA_15.batch_size, LLAVA_15.epochs, LLAVA_15.warmup) == (16, 1, 0.03)
    assert (LLAVA_15.weight_decay, LLAVA_15.max_length, LLAVA_15.dtype) == (0, 2048, "bfloat16")
    assert (QWEN2_VL.rank, QWEN2_VL.alpha, QWEN2_VL.dropout) == (64, 16, 0.05)
    assert (QWEN2_VL.learning_rate, QWEN2_VL.weight_decay, QWEN2_VL.betas) == (
        1e-5,
        0.1,
        (0.9, 0.95),
    )
    assert (QWEN2_VL.batch_size, QWEN2_VL.warmup) == (12, 0.01)


def test_rates_rise_and_fall():
    shares = [TINY.share_of_rate(step, 100) for step in range(100)]
    assert shares[0] == pytest.approx(1 / 3)
    assert max(shares) == shares[3] == 1
    assert shares[3:] == sorted(shares[3:], reverse=True)
    assert shares[-1] < 0.01


def test_epochs_become_steps():
    assert FineTuning(epochs=2, batch_size=16).steps_on(40) == 6
    assert FineTuning(epochs=0.5, batch_size=16).steps_on(40) == 2
    assert FineTuning(steps=7, epochs=3).steps_on(40) == 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "lore"}, 'method "lore": wanted lora or full. Did you mean'),
        ({"steps": 0}, "steps = 0"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"dropout": 1.0}, "wanted shares below 1"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"epochs": 0.0}, "epochs = 0.0"),
    ],
)
def test_what_cannot_be_meant_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        replace(TINY, **change)


def test_a_recipe_that_is_not_there_is_refused():
    with pytest.raises(InputError, match=r"--preset lava.*Known: tiny, llava-1.5, qwen2-vl"):
        preset("lava")
