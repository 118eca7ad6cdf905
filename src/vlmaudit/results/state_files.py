"""Hidden states on disk: one array that is mapped into memory, and a table of what its rows are.

    FOLDER/states.npy     items x layers x width
    FOLDER/items.csv      item,image,entity,arm,query
    FOLDER/states.json    schema, layers, done, and what else is known of them

Whoever captures states elsewhere writes the same three files.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import polars as pl
from jaxtyping import Float

from vlmaudit.errors import InputError, RunError
from vlmaudit.results.files import make_private, write_csv, write_text

SCHEMA: Final = 1
ARRAY: Final = "states.npy"
ITEMS: Final = "items.csv"
ABOUT: Final = "states.json"
COLUMNS: Final = ("item", "image", "entity", "arm", "query")
_CHECKED_AT_ONCE: Final = 1 << 24
"""Numbers that are read at a time to see whether they are finite."""


@dataclass(frozen=True, slots=True)
class StateItem:
    """What one row of states is of.

    Attributes:
        item: Its name, once in a folder.
        image: The picture.
        entity: Whom or what it shows: a record.
        arm: The entity's arm.
        query: What was asked.
    """

    item: str
    image: str
    entity: str
    arm: str
    query: str


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """Hidden states that are whole.

    Attributes:
        folder: Where they lie.
        items: A row an item: ``item, image, entity, arm, query``.
        values: The array, mapped into memory.
        layers: The layers' names, first to last.
        about: What else states.json says.
    """

    folder: Path
    items: pl.DataFrame
    values: Float[np.ndarray, "items layers width"]
    layers: tuple[str, ...]
    about: Mapping[str, Any]


class StatesWriter:
    """Writes states as they are captured; what is killed goes on where it was."""

    def __init__(
        self,
        folder: Path,
        items: Sequence[StateItem],
        *,
        layers: Sequence[str],
        about: Mapping[str, Any],
    ) -> None:
        """Open a folder, new or begun.

        Args:
            folder: Only its owner may enter it.
            items: All items, in the order of the rows.
            layers: The layers' names.
            about: What else states.json says.

        Raises:
            RunError: The folder holds states of something else.
        """
        self._folder = make_private(folder)
        self._items = items
        self._about = {"schema": SCHEMA, "layers": list(layers), **about}
        known = _read_json(folder / ABOUT)
        self._done = 0
        if known is not None:
            self._agree(known)
            self._done = int(known["done"])
        else:
            write_csv(folder / ITEMS, COLUMNS, map(asdict, items))
            self._say()

    def __enter__(self) -> "StatesWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is held open between two writes."""

    @property
    def done(self) -> int:
        """Items whose states are on disk."""
        return self._done

    def write(self, states: Float[np.ndarray, "items layers width"]) -> None:
        """Write the states of the next items; once this returns, they survive a power cut.

        Raises:
            OSError: The disk is full; what was written before stays.
        """
        path = self._folder / ARRAY
        if self._done == 0:
            shape = (len(self._items), *states.shape[1:])
            np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape).flush()
            path.chmod(0o600)
        array = np.lib.format.open_memmap(path, mode="r+")
        array[self._done : self._done + len(states)] = states
        array.flush()
        # Only now: what is said to be done is on the disk.
        self._done += len(states)
        self._say()

    def _say(self) -> None:
        text = json.dumps({**self._about, "done": self._done}, indent=2) + "\n"
        write_text(self._folder / ABOUT, text)

    def _agree(self, known: Mapping[str, Any]) -> None:
        said = {name: value for name, value in known.items() if name != "done"}
        table = _read_items(self._folder / ITEMS).rows(named=True)
        if said != self._about or table != [asdict(item) for item in self._items]:
            raise RunError(
                f"{self._folder}: holds states of other items, layers or settings; give another "
                "folder (--out) or start over (--fresh)."
            )


def read_states(folder: Path) -> States:
    """Read a folder of states.

    Raises:
        InputError: Something is missing, not whole, or not a finite number; the message says what.
    """
    items = _read_items(folder / ITEMS)
    about = _read_json(folder / ABOUT) or {}
    values = _read_array(folder / ARRAY)
    if values.ndim != 3 or values.dtype.kind != "f":
        raise InputError(
            f"{folder / ARRAY}: an array of {values.dtype} {'×'.join(map(str, values.shape))}; "
            "wanted floating-point numbers, items × layers × width."
        )
    if len(values) != len(items):
        raise InputError(
            f"{folder}: {ARRAY} has {len(values):,} rows and {ITEMS} {len(items):,}; wanted a row "
            "an item in both."
        )
    if (done := about.get("done", len(items))) != len(items):
        raise InputError(
            f"{folder}: states of {done:,} items among {len(items):,}; run the command that "
            "captured them again, and it goes on."
        )
    layers = tuple(about.get("layers", [f"layer {n}" for n in range(values.shape[1])]))
    if len(layers) != values.shape[1]:
        raise InputError(
            f"{folder}: {ABOUT} names {len(layers)} layers and {ARRAY} has {values.shape[1]}."
        )
    _require_finite(folder, items, values, layers)
    return States(folder, items, values, layers, about)


def _require_finite(
    folder: Path, items: pl.DataFrame, values: np.ndarray, layers: Sequence[str]
) -> None:
    step = max(1, _CHECKED_AT_ONCE // max(1, values[0].size if len(values) else 1))
    for start in range(0, len(values), step):
        bad = ~np.isfinite(values[start : start + step]).all(axis=2)
        if bad.any():
            item, layer = np.argwhere(bad)[0]
            raise InputError(
                f'{folder / ARRAY}: item "{items["item"][int(start + item)]}", {layers[layer]}: '
                f"not a finite number ({int(bad.any(axis=1).sum())} such items or more); capture "
                "it in float32, or leave the items out."
            )


def _read_array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as problem:
        raise InputError(f"{path}: not there; wanted states as an array of numpy.") from problem
    except (OSError, ValueError, EOFError) as problem:
        raise InputError(f"{path}: no array of numpy that can be read ({problem}).") from problem


def _read_items(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_csv(path, infer_schema=False).with_columns(pl.all().fill_null(""))
    except FileNotFoundError as problem:
        raise InputError(
            f"{path}: not there; wanted a table {','.join(COLUMNS)}, a row an item."
        ) from problem
    except (OSError, pl.exceptions.PolarsError) as problem:
        reason = (str(problem).splitlines() or ["no reason given"])[0]
        raise InputError(f"{path}: the table cannot be read ({reason}).") from problem
    for column in COLUMNS:
        if column not in table.columns:
            raise InputError(f'{path}: no column "{column}"; wanted {",".join(COLUMNS)}.')
    twice = table.filter(pl.col("item").is_duplicated())
    if len(twice):
        raise InputError(f'{path}: the item "{twice["item"][0]}" is there twice.')
    return table.select(COLUMNS)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        about = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        raise InputError(f"{path}: cannot be read ({problem}).") from problem
    if not isinstance(about, dict) or about.get("schema", SCHEMA) != SCHEMA:
        raise InputError(f"{path}: not what this version says of states; wanted schema {SCHEMA}.")
    return about
