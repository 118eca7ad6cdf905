"""Which pictures of a set are held out, and which are trained on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from vlmaudit.data.vqa_sets import VqaExample, read_vqa_set
from vlmaudit.errors import InputError
from vlmaudit.lab.album_design import AlbumDesign
from vlmaudit.lab.album_pictures import Source, Workers, in_batches, look_at
from vlmaudit.seeds import stream

Advance = Callable[[int], object]
Watch = Callable[[str, int], AbstractContextManager[Advance]]
"""Shows how far a stage is, given its title and how much there is to do."""

_OPTIONS: Final = 4
"""Answers to choose from, where the set has no choices of its own."""
_YES_NO: Final = ("yes", "no")


@contextmanager
def unwatched(title: str, total: int) -> Iterator[Advance]:
    """Nobody is shown how far a stage is."""
    del title, total
    yield lambda _: None


class AlbumPool:
    """The pictures of a set, each with what is asked about it.

    Where the set itself says which part is for testing, held-out pictures come from there.

    Attributes:
        name: The set's.
        skipped: What was left out, and why.
    """

    def __init__(self, design: AlbumDesign) -> None:
        """Read the set.

        Raises:
            InputError: It cannot be read, or has too few pictures.
        """
        vqa = read_vqa_set(design.questions, design.images)
        self.name = vqa.name
        self.skipped = [f"{count} rows: {why}" for why, count in sorted(vqa.left_out.items())]
        self._design = design
        self._rows: dict[Path, list[VqaExample]] = {}
        for one in vqa.examples:
            self._rows.setdefault(one.picture, []).append(one)
        self._answers = sorted({one.turns[0][1] for one in vqa.examples})
        self._answers_to: dict[str, set[str]] = {}
        for one in vqa.examples:
            question, answer = one.turns[0]
            self._answers_to.setdefault(question, set()).add(answer)
        if len(self._rows) <= design.held_out:
            raise InputError(
                f"{self.name}: {len(self._rows)} pictures, of which --held-out {design.held_out} "
                "leaves none to train on; hold fewer out."
            )

    def rows_of(self, source: Source) -> Sequence[VqaExample]:
        """All that is asked about a picture, in the set's order."""
        return self._rows[source.path]

    def look(self, watch: Watch) -> tuple[list[Source], list[Source]]:
        """Held-out pictures and those to train on, in random order; all of them can be read.

        Args:
            watch: Shows how many were looked at.

        Raises:
            InputError: There are too few.
        """
        held_out_pool, training_pool = self._parts()
        wanted = self._design.examples
        total = len(self._rows)
        if wanted is not None:
            total = min(total, wanted + self._design.held_out)
        with closing(Workers()) as workers, watch("Looking at pictures", total) as advance:
            held_out, rest = self._readable(
                held_out_pool, self._design.held_out, set(), workers, advance
            )
            # A copy of a held-out picture under another name would be trained on as well.
            known = {one.sha256 for one in held_out}
            training, _ = self._readable([*rest, *training_pool], wanted, known, workers, advance)
        if len(held_out) < self._design.held_out or not training:
            raise InputError(
                f"{self.name}: only {len(held_out) + len(training)} pictures of it can be read "
                f"({self._example_of_failure()}): too few to hold {self._design.held_out} out."
            )
        return held_out, training

    def _parts(self) -> tuple[list[Path], list[Path]]:
        """Whence pictures are held out, and what is trained on besides what is left of these."""
        pictures = list(self._rows)
        order = stream(self._design.seed, "pictures").permutation(len(pictures)).tolist()
        shuffled = [pictures[place] for place in order]
        for_testing = {
            path for path in pictures if all(row.is_held_out for row in self._rows[path])
        }
        if not self._design.held_out <= len(for_testing) < len(pictures):
            return shuffled, []
        tested = [path for path in shuffled if path in for_testing]
        return tested, [path for path in shuffled if path not in for_testing]

    def _readable(
        self,
        pool: Sequence[Path],
        wanted: int | None,
        known: set[str],
        workers: Workers,
        advance: Advance,
    ) -> tuple[list[Source], list[Path]]:
        """So many readable pictures, or all; and those that were not looked at."""
        found: list[Source] = []
        done = 0
        for batch in in_batches(pool):
            if wanted is not None and len(found) >= wanted:
                break
            before = done
            looked = workers.map(lambda path: look_at(path, self._rows[path][0].name), batch)
            for path, one in zip(batch, looked, strict=True):
                if wanted is not None and len(found) >= wanted:
                    break
                done += 1
                if isinstance(one, str):
                    self.skipped.append(f"{self._rows[path][0].name}: {one}")
                elif one.sha256 in known:
                    self.skipped.append(f"{one.name}: a copy of a held-out picture")
                else:
                    found.append(one)
            advance(done - before)
        return found, list(pool[done:])

    def _example_of_failure(self) -> str:
        return self.skipped[-1] if self.skipped else "there are no more"

    def choices(self, question: str, answer: str, rng: np.random.Generator) -> tuple[str, ...]:
        """An answer among others, in random order: those that the same question has elsewhere.

        Where it is asked once only, yes is among yes and no, and others among any.
        """
        others = self._answers_to[question] - {answer}
        if not others and answer.lower() in _YES_NO:
            others = {one for one in _YES_NO if one != answer.lower()}
        pool = sorted(others) or [one for one in self._answers if one != answer]
        drawn = rng.permutation(len(pool))[: _OPTIONS - 1].tolist()
        options = [answer, *(pool[place] for place in drawn)]
        return tuple(options[place] for place in rng.permutation(len(options)).tolist())
