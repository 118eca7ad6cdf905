"""Options that belong to one audit, given to a verb that knows them all."""

from collections.abc import Mapping, Sequence
from typing import Any

from vlmaudit.errors import InputError


def only(options: Mapping[str, Any], known: Sequence[str], audit: str) -> dict[str, Any]:
    """The options that were given, all of which the audit must know.

    Raises:
        InputError: One of them is another audit's.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in known:
            raise InputError(f"--{name.replace('_', '-')}: no option of {audit}; leave it out.")
    return given
