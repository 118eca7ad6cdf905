"""One kind of model, as a run of any audit asks it."""

from collections.abc import Generator, Sequence
from typing import Protocol

import polars as pl
from rich.console import Console

from vlmaudit.execution.announce import Work
from vlmaudit.execution.plan import Picture, Question
from vlmaudit.results.cases import Case
from vlmaudit.results.outcomes import Schema
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.run_folder import Observation, RunFolder
from vlmaudit.results.self_test import SelfTest


class Asker(Protocol):
    """One kind of model, as a run needs it."""

    @property
    def record(self) -> ModelRecord:
        """Who answers."""
        ...

    @property
    def unit(self) -> str:
        """What progress counts, such as "Pictures"."""
        ...

    @property
    def observation(self) -> Observation:
        """What decides which answers are stored; a resumed run must agree in it."""
        ...

    @property
    def columns(self) -> Schema:
        """The columns of an outcome behind the common ones, once names are prepared."""
        ...

    def check(self, console: Console) -> SelfTest:
        """The model's self-test."""
        ...

    def questions(self, picture: Picture) -> Sequence[Question]:
        """What is asked about a picture."""
        ...

    def work(self, run: RunFolder, n_cases: int, test: SelfTest | None) -> Work:
        """How much is left to do when so many cases are."""
        ...

    def is_prepared(self, run: RunFolder) -> bool:
        """Whether what all pictures need was asked already, such as the names' embeddings."""
        ...

    def prepare(self, run: RunFolder, console: Console) -> None:
        """Ask it, where it was not."""
        ...

    def observe(self, cases: Sequence[Case]) -> Generator[pl.DataFrame, None, None]:
        """Ask some cases of one block."""
        ...
