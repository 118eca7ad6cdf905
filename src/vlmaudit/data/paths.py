"""Names of files as text."""

import os
from pathlib import PurePath


def spelt(path: PurePath | str) -> str:
    r"""A path as text that can be written down: bytes that are no UTF-8 are spelt out.

    >>> spelt("Ada/\udcff.png") == r"Ada/\xff.png"
    True
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")
