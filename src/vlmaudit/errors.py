"""Errors written for the person who can act: what, where, and what to do.

    AuditError                exit 3; one line, no traceback
    ├── InputError            people, pictures, names, tables given to us
    ├── ModelError            a model spec or checkpoint that cannot be used
    │   ├── CapabilityError   a model that honestly cannot do what the audit needs
    │   └── OutOfMemoryError  a model of which not even a batch of one fits
    └── RunError              a run folder that does not fit what is asked now

Everything else that escapes is a bug: exit 70, with its traceback.
"""

import difflib
from collections.abc import Iterable


class AuditError(Exception):
    """An error that the user can act on."""


class InputError(AuditError):
    """Something handed to us cannot be used as it is."""


class ModelError(AuditError):
    """The model cannot be found, loaded or trusted as it stands."""


class CapabilityError(ModelError):
    """The model cannot do what this audit needs."""


class OutOfMemoryError(ModelError):
    """Not even one picture or text at a time fits into memory."""


class RunError(AuditError):
    """The run folder holds something other than what is asked now."""


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """A hint for a mistyped word, ready to be appended to a message; empty if nothing is near.

    >>> did_you_mean("ViT-B-23", ["ViT-B-32", "RN50"])
    ' Did you mean ViT-B-32?'
    >>> did_you_mean("xyz", ["ViT-B-32", "RN50"])
    ''
    """
    lowered = {option.lower(): option for option in options}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return f" Did you mean {lowered[near[0]]}?" if near else ""
