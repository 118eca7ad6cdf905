"""What tables call a question: a prompt, or how likely names are as the answer to one."""

from typing import Final

import polars as pl

NAMES: Final = " names"


def scoring_question(prompt: str) -> str:
    """How tables call the question how likely names are as the answer to a prompt.

    >>> scoring_question("P2/R0")
    'P2/R0 names'
    """
    return f"{prompt}{NAMES}"


def is_scoring(column: str = "prompt") -> pl.Expr:
    """Whether a row is about such a question."""
    return pl.col(column).str.ends_with(NAMES)
