"""The loop that asks what is left: Ctrl-C at the worst moment loses nothing that has arrived."""

import contextlib
import os
import signal

import polars as pl
import pytest
from rich.console import Console

from vlmaudit.execution.driver import drive, left
from vlmaudit.results.blocks import BlockStore, Claim
from vlmaudit.results.cases import Case

COLUMNS = {"answer": pl.String}


@pytest.fixture
def blocks(tmp_path):
    return {
        0: [
            Case(f"{n}", "ann", f"{n}.png", "audited", "original", tmp_path / f"{n}.png")
            for n in range(6)
        ]
    }


def answers(cases):
    return pl.DataFrame(
        {
            "case": [case.key for case in cases],
            "identity": [case.identity for case in cases],
            "image": [case.image for case in cases],
            "condition": [case.condition for case in cases],
            "status": ["answered"] * len(cases),
            "reason": [""] * len(cases),
            "answer": ["yes"] * len(cases),
        }
    )


def run(store, blocks, observe):
    drive(
        store,
        left(store, blocks, retry=True),
        blocks,
        observe,
        columns=COLUMNS,
        environment="env",
        console=Console(quiet=True),
        advance=lambda _: None,
    )


def press_amid_writing(monkeypatch):
    """Ctrl-C comes while the first batch is being written."""
    add, done = Claim.add, []

    def add_and_press(claim, outcomes, environment):
        if not done:
            done.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        add(claim, outcomes, environment)

    monkeypatch.setattr(Claim, "add", add_and_press)


@pytest.mark.parametrize("late", [2, 5])
def test_what_arrives_while_a_batch_is_written_is_kept_on_ctrl_c(
    tmp_path, blocks, monkeypatch, late
):
    store, asked = BlockStore(tmp_path), []

    def observe(cases):
        asked.extend(case.key for case in cases)
        try:
            yield answers(cases[:1])
            for case in cases[1:]:
                yield answers([case])
        except KeyboardInterrupt:
            yield answers(cases[1 : 1 + late])
            raise

    press_amid_writing(monkeypatch)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(store, blocks, observe)
    assert signal.getsignal(signal.SIGINT) is handler
    assert store.sealed() == ({0} if late == 5 else set())
    asked.clear()
    run(store, blocks, observe)
    assert asked == ["3", "4", "5"][: 5 - late]
    assert pl.concat(list(store.read()))["case"].to_list() == list("012345")


def test_a_model_that_keeps_nothing_back_is_stopped_at_once(tmp_path, blocks, monkeypatch):
    store = BlockStore(tmp_path)

    def observe(cases):
        for case in cases:
            yield answers([case])

    press_amid_writing(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(store, blocks, observe)
    (part,) = left(store, blocks, retry=True)
    with store.claim(part, COLUMNS) as claim:
        assert claim.missing == tuple("12345")


@pytest.mark.parametrize("when", [0, 3, 5])
def test_ctrl_c_that_something_else_swallows_is_not_lost(tmp_path, blocks, when):
    """As Python does with one that is raised within a finaliser: "Exception ignored in …"."""
    store = BlockStore(tmp_path)

    def observe(cases):
        for number, case in enumerate(cases):
            if number == when:
                with contextlib.suppress(KeyboardInterrupt):
                    os.kill(os.getpid(), signal.SIGINT)
            yield answers([case])

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(store, blocks, observe)
    assert signal.getsignal(signal.SIGINT) is handler
    assert store.sealed() == ({0} if when == 5 else set())
    for part in left(store, blocks, retry=True):
        with store.claim(part, COLUMNS) as claim:
            assert claim.missing == tuple("012345")[when + 1 :]
