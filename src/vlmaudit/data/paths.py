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
    r"""Whether every library can be handed a path: UTF-8, and no byte that ends it early.

    >>> is_plain("Zoë"), is_plain("\udcff"), is_plain("a\0b")
    (True, False, False)
    """
    return spelt(path) == str(path) and "\0" not in str(path)
