"""Names of files as text."""

import os
from pathlib import PurePath


def spelt(path: PurePath | str) -> str:
    r"""A path as text that can be written down: bytes that are no UTF-8 are spelt out.

    >>> spelt("Ada/\udcff.png") == r"Ada/\xff.png"
    True
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_plain(path: PurePath | str) -> bool:
    r"""Whether every library takes a path for the same: UTF-8, no NUL, no home that one may expand.

    >>> is_plain("Zoë"), is_plain("\udcff"), is_plain("a\0b"), is_plain("~/run")
    (True, False, False, False)
    """
    return spelt(path) == str(path) and "\0" not in str(path) and not str(path).startswith("~")
