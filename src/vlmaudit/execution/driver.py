"""The loop that asks what is left of a run, alone or beside other processes."""

import contextlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Final

import polars as pl
from rich.console import Console

from vlmaudit.execution.ctrl_c import CtrlC
from vlmaudit.execution.progress import Advance, say
from vlmaudit.results.blocks import BlockStore, Claim, Part
from vlmaudit.results.cases import Case
from vlmaudit.results.numbers import counted
from vlmaudit.results.outcomes import Schema
from vlmaudit.results.reuse import Reusable

Observe = Callable[[Sequence[Case]], Generator[pl.DataFrame, None, None]]
"""Asks cases of one block, in their order, and gives outcomes batch by batch."""

_LOOK_AGAIN_S: Final = 0.5


def left(
    store: BlockStore,
    blocks: Mapping[int, Sequence[Case]],
    *,
    retry: bool,
    mine: Callable[[int], bool] = lambda _: True,
) -> tuple[Part, ...]:
    """What is left to ask of those blocks that are this process's to ask."""
    keys = {block: [case.key for case in blocks[block]] for block in blocks if mine(block)}
    return store.parts(keys, retry=retry)


def drive(
    store: BlockStore,
    parts: Sequence[Part],
    blocks: Mapping[int, Sequence[Case]],
    observe: Observe,
    *,
    columns: Schema,
    environment: str,
    console: Console,
    advance: Advance,
    reuse: Reusable | None = None,
) -> None:
    """Ask every part once, whoever else is at the same run.

    A part that another process holds is left to it; where only such parts remain, this process
    waits, and takes over what another lets go of without having sealed it.

    Args:
        store: Where outcomes go.
        parts: What is to be asked.
        blocks: The cases of every block.
        observe: Asks.
        columns: The audit's own columns of an outcome.
        environment: Digest of this process's environment.
        console: For what the user should know meanwhile.
        advance: Told how many cases were settled since it was last called.
        reuse: Another run, whose answers to the same cases are taken over.
    """
    with CtrlC() as ctrl_c:
        waiting, has_said = list(parts), False
        while waiting:
            held = [
                part
                for part in waiting
                if not _settle(
                    store,
                    part,
                    blocks[part.block],
                    observe,
                    columns=columns,
                    environment=environment,
                    advance=advance,
                    reuse=reuse,
                    ctrl_c=ctrl_c,
                )
            ]
            if held and len(held) == len(waiting):
                if not has_said:
                    say(
                        console,
                        "Waiting for another process, which is at "
                        f"{counted(len(held), 'block', 'blocks')} of this run …",
                    )
                    has_said = True
                time.sleep(_LOOK_AGAIN_S)
            waiting = held


def _settle(
    store: BlockStore,
    part: Part,
    cases: Sequence[Case],
    observe: Observe,
    *,
    columns: Schema,
    environment: str,
    advance: Advance,
    reuse: Reusable | None,
    ctrl_c: CtrlC,
) -> bool:
    """Have a part sealed, here or elsewhere; False where another process is still at it."""
    with store.claim(part, columns) as claim:
        if claim is None:
            if not store.is_sealed(part):
                return False
            advance(len(part.cases))
            return True
        advance(len(part.cases) - len(claim.missing))
        if reuse is not None:
            for outcomes, origin in reuse.answers(claim.missing):
                claim.add(outcomes, origin)
                advance(len(outcomes))
        answers = observe(_chosen(cases, claim))
        try:
            for outcomes in answers:
                with ctrl_c.held():
                    claim.add(outcomes, environment)
                advance(len(outcomes))
        except KeyboardInterrupt as stop:
            # What came in while the last batch was written is kept, too.
            with contextlib.suppress(KeyboardInterrupt):
                claim.add(answers.throw(stop), environment)
            if not claim.missing:
                claim.seal()
            raise
        with ctrl_c.held():
            claim.seal()
    return True


def _chosen(cases: Sequence[Case], claim: Claim) -> list[Case]:
    missing = set(claim.missing)
    return [case for case in cases if case.key in missing]
