"""Rows that are made a piece at a time and kept as they come: a kill costs one piece."""

from collections.abc import Callable, Sequence
from pathlib import Path

from vlmaudit.errors import RunError
from vlmaudit.execution.progress import Advance
from vlmaudit.results.journal import Row, open_journal
from vlmaudit.results.outcomes import TRANSIENT


def rows_of_pieces(
    path: Path,
    keys: Sequence[str],
    observe: Callable[[str], Sequence[Row]],
    *,
    advance: Advance,
) -> list[Row]:
    """The rows of every piece, in the order of the keys.

    What an earlier process wrote is taken over, but for pieces in which something failed for the
    time being: those are made again.

    Args:
        path: The journal, whose folder is there.
        keys: What makes each piece the same piece in every process.
        observe: Makes the rows of a piece; they become JSON, so no number may be NaN.
        advance: Told of every piece that is through.

    Raises:
        RunError: Another process writes this journal.
    """
    journal = open_journal(path)
    if journal is None:
        raise RunError(f"{path}: another process is at work on this; wait for it, or stop it.")
    try:
        done: dict[str, list[Row]] = {}
        for batch in journal.batches:
            done[batch[0]["piece"]] = batch[1:]
        for key in keys:
            if key not in done or any(row.get("status") == TRANSIENT for row in done[key]):
                rows = list(observe(key))
                journal.append([{"piece": key}, *rows])
                done[key] = rows
            advance(1)
    finally:
        journal.close()
    return [row for key in keys for row in done[key]]
