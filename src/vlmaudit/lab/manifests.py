"""JSON records that lie beside what they describe, and say whether it is what is wanted."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from vlmaudit.errors import RunError
from vlmaudit.results.files import write_text


def plain(settings: Any) -> dict[str, Any]:  # noqa: ANN401
    """A dataclass of settings as JSON gives it back, tuples as lists."""
    return cast("dict[str, Any]", json.loads(json.dumps(asdict(settings))))


def read_json(path: Path) -> dict[str, Any] | None:
    """A record, or None where there is none.

    Raises:
        RunError: It is damaged.
    """
    try:
        return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except ValueError as problem:
        raise RunError(f"{path}: is damaged ({problem}); remove the folder.") from problem


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a record whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The names of the settings that differ, nested ones by their own names.

    >>> differing({"seed": 1, "design": {"never": 2}}, {"seed": 1, "design": {"never": 3}})
    'never'
    """
    keys: list[str] = []
    for key in sorted(found.keys() | wanted.keys()):
        one, other = found.get(key), wanted.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            keys += filter(None, differing(one, other).split(", "))
        elif one != other:
            keys.append(key)
    return ", ".join(dict.fromkeys(keys))
