"""The store under everything that can happen to it, in any order, by several processes at once.

A lock belongs to an open file and not to a process, so that claims side by side in one process
exclude each other as those of several processes do.
"""

import os
import shutil
import tempfile
from pathlib import Path

import polars as pl
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vlmaudit.results.blocks import BlockStore
from vlmaudit.results.outcomes import ANSWERED, PERMANENT, TRANSIENT

COLUMNS = {"answer": pl.Int64}
BLOCKS = {block: [f"{block}-{case}" for case in range(3)] for block in range(3)}
STATUSES = st.sampled_from([ANSWERED, TRANSIENT, TRANSIENT, PERMANENT])


def table(rows):
    return pl.DataFrame(
        [
            {
                "case": case,
                "identity": "ann",
                "image": f"{case}.png",
                "condition": "original",
                "status": status,
                "reason": "" if status == ANSWERED else f"reason {number}",
                "answer": number if status == ANSWERED else None,
            }
            for case, status, number in rows
        ],
        schema_overrides=COLUMNS,
    )


class Store(RuleBasedStateMachine):
    """What a store must hold after any history, beside what it does hold."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = BlockStore(self.folder)
        self.parts = []  # what a driver found left, a while ago
        self.claims = []  # (context, claim)
        self.safe = {}  # stem -> rows on disk that no kill may lose
        self.stems = set()  # of sealed parts
        self.sealed = {}  # case -> (status, number)
        self.number = 0

    def teardown(self):
        for context, _ in self.claims:
            context.__exit__(None, None, None)
        shutil.rmtree(self.folder)

    @rule(shard=st.integers(0, 2), retry=st.booleans())
    def plan(self, shard, retry):
        """A driver of one of two shards, or of all, looks what is left."""
        mine = {b: cases for b, cases in BLOCKS.items() if shard == 0 or b % 2 == shard - 1}
        parts = self.store.parts(mine, retry=retry)
        assert not self.stems & {part.stem for part in parts}
        for block in mine:
            outcomes = {self.sealed[case][0] for case in BLOCKS[block] if case in self.sealed}
            is_left = not outcomes or (retry and TRANSIENT in outcomes)
            assert any(part.block == block for part in parts) == is_left
        self.parts += parts

    @precondition(lambda self: self.parts)
    @rule(place=st.integers(0, 20))
    def claim(self, place):
        """A driver takes a part of its plan, which others may have sealed since."""
        part = self.parts.pop(place % len(self.parts))
        context = self.store.claim(part, COLUMNS)
        claim = context.__enter__()
        is_held = any(other.part.stem == part.stem for _, other in self.claims)
        assert (claim is None) == (is_held or part.stem in self.stems)
        if claim is None:
            context.__exit__(None, None, None)
            return
        known = self.safe.get(part.stem, {})
        assert set(claim.missing) == set(part.cases) - known.keys()
        self.claims.append((context, claim))

    def chosen(self, place):
        return self.claims[place % len(self.claims)]

    @precondition(lambda self: self.claims)
    @rule(place=st.integers(0, 20), statuses=st.lists(STATUSES, min_size=1, max_size=3))
    def answer(self, place, statuses):
        """Some outcomes come, whole batches of them."""
        _, claim = self.chosen(place)
        rows = []
        for case, status in zip(claim.missing, statuses, strict=False):
            self.number += 1
            rows.append((case, status, self.number))
        if not rows:
            return
        claim.add(table(rows), "env")
        if claim.missing:
            kept = self.safe.setdefault(claim.part.stem, {})
            kept |= {case: (status, number) for case, status, number in rows}
        else:
            self.finish(claim, rows)

    def finish(self, claim, rows):
        """The last batch goes into the block itself."""
        context = next(context for context, other in self.claims if other is claim)
        claim.seal()
        context.__exit__(None, None, None)
        self.claims = [each for each in self.claims if each[1] is not claim]
        self.stems.add(claim.part.stem)
        everything = self.safe.pop(claim.part.stem, {}) | {c: (s, n) for c, s, n in rows}
        assert everything.keys() == set(claim.part.cases)
        for case, outcome in everything.items():
            if self.sealed.get(case, (TRANSIENT,))[0] != ANSWERED:
                self.sealed[case] = outcome

    @rule(place=st.integers(0, 20), statuses=st.lists(STATUSES, min_size=3, max_size=3))
    def settle(self, place, statuses):
        """A process does a part that is left from beginning to end."""
        parts = self.store.parts(BLOCKS)
        if not parts:
            return
        part = parts[place % len(parts)]
        context = self.store.claim(part, COLUMNS)
        claim = context.__enter__()
        if claim is None:
            assert any(other.part.stem == part.stem for _, other in self.claims)
            context.__exit__(None, None, None)
            return
        self.claims.append((context, claim))
        rows = []
        for case, status in zip(claim.missing, statuses, strict=False):
            self.number += 1
            rows.append((case, status, self.number))
        claim.add(table(rows), "env")
        self.finish(claim, rows)

    @precondition(lambda self: self.claims)
    @rule(place=st.integers(0, 20), torn=st.binary(max_size=600))
    def kill(self, place, torn):
        """A process dies, perhaps amid writing a batch."""
        context, claim = self.chosen(place)
        journal = self.folder / "open" / f"{claim.part.stem}.jsonl"
        os.close(claim._journal._descriptor)
        claim._is_held = False
        context.__exit__(None, None, None)
        with journal.open("ab") as file:
            file.write(b'[{"case": "' + torn.replace(b"\n", b""))
        self.claims = [each for each in self.claims if each[1] is not claim]

    @precondition(lambda self: self.claims)
    @rule(place=st.integers(0, 20))
    def stop(self, place):
        """A process is asked to stop and does."""
        context, claim = self.chosen(place)
        context.__exit__(None, None, None)
        self.claims = [each for each in self.claims if each[1] is not claim]

    @rule()
    def open_again(self):
        """Another process looks at the same folder."""
        self.store = BlockStore(self.folder)

    @invariant()
    def nothing_is_lost_doubled_or_changed(self):
        """Reading and scanning give exactly what was sealed."""
        rows = [row for block in self.store.read() for row in block.iter_rows(named=True)]
        cases = [row["case"] for row in rows]
        assert len(cases) == len(set(cases))
        found = {
            row["case"]: (row["status"], row["answer"] or int(row["reason"].split()[-1]))
            for row in rows
        }
        assert found == self.sealed
        scanned = self.store.scan(["status"]).collect()
        assert dict(scanned.select("case", "status").iter_rows()) == {
            case: status for case, (status, _) in self.sealed.items()
        }


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
