"""Answers of another run: the same case has the same answer wherever it was asked."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from vlmaudit.results.blocks import BlockStore, environments_of, read_sealed
from vlmaudit.results.environment import Environments, read_environments
from vlmaudit.results.outcomes import has_failed
from vlmaudit.results.run_folder import RunFolder


class Reusable:
    """The answers of a run that is there, found by case key.

    A key holds the picture's bytes and the weights' digest, so that nothing can be taken over
    that would have been answered otherwise. Failures are never taken over.
    """

    def __init__(self, run: RunFolder) -> None:
        """Look through the other run.

        Raises:
            RunError: There is no run, or a block of it is damaged.
        """
        run.read_manifest()
        self.environments: Environments = read_environments(run.root)
        self._run = run
        self._index = _index(run.blocks())

    def count(self, cases: Sequence[str]) -> int:
        """How many of these cases it has answers to."""
        return self._index.filter(pl.col("case").is_in(cases)).height

    def answers(self, cases: Sequence[str]) -> Iterator[tuple[pl.DataFrame, str]]:
        """The answers to some cases, file by file, each with the environments it came from."""
        if not cases:
            return
        for (file,), found in self._index.filter(pl.col("case").is_in(cases)).group_by(
            "file", maintain_order=True
        ):
            path = Path(str(file))
            table = read_sealed(path).filter(~has_failed())
            yield table.join(found.select("case"), on="case", how="semi"), environments_of(path)


def _index(store: BlockStore) -> pl.DataFrame:
    """``case, file``: where every answer stands."""
    files = store.files()
    if not files:
        return pl.DataFrame(schema={"case": pl.String, "file": pl.String})
    answers = pl.scan_parquet(files, include_file_paths="file").filter(~has_failed())
    return store.collect(answers.select("case", "file").unique("case", keep="first"))
