"""Speed, measured with a clock that only moves when something is encoded."""

import pytest

from vlmaudit.models.throughput import per_second


class Model:
    """Takes `start` seconds a call and `each` seconds an input; `first` more the first time."""

    def __init__(self, each, *, start=0.0, first=0.0):
        self.now = 100.0
        self.each, self.start, self.first = each, start, first
        self.calls = []

    def encode(self, inputs):
        self.now += self.start + self.each * len(inputs) + (0 if self.calls else self.first)
        self.calls.append(list(inputs))

    def speed(self, batch):
        return per_second(self.encode, "abc", batch=batch, clock=lambda: self.now)


def test_a_slow_model_is_asked_little():
    model = Model(0.5)
    assert model.speed(64) == pytest.approx(2)
    assert model.calls == [list("abca")] * 3


def test_a_fast_model_is_asked_for_whole_batches_and_no_more():
    model = Model(1e-5)
    assert model.speed(64) == pytest.approx(1e5)
    assert [len(call) for call in model.calls] == [4, 8, 16, 32, 64, 64, 64]


def test_a_batch_of_one_is_kept_to():
    model = Model(1e-5)
    model.speed(1)
    assert {len(call) for call in model.calls} == {1}


def test_overhead_of_short_calls_is_not_held_against_a_model():
    model = Model(1e-3, start=0.01)
    assert model.speed(64) == pytest.approx(64 / 0.074)


def test_a_slow_first_call_does_not_count():
    """Kernels are chosen and caches filled on the way."""
    assert Model(0.5, first=30).speed(64) == pytest.approx(2)


def test_a_clock_that_does_not_move_divides_nothing_by_zero():
    assert Model(0).speed(8) > 0
