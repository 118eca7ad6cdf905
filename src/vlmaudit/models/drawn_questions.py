"""What a generative model is asked in its self-test: the audit's prompts, about drawn pictures."""

from itertools import product
from typing import Final

from PIL.Image import Image

from vlmaudit.data.prompts import PROMPTS
from vlmaudit.models import drawn_inputs

QUESTIONS: Final = tuple(
    PROMPTS[prompt].text for prompt in ("P0/R0", "P0/R1", "P1/R2", "P2/R0", "P3/R2", "P4/R5")
)
"""Short and long ones of every category, that some are padded beside others."""
DESCRIBE: Final = PROMPTS["P0/R0"].text
WHO: Final = PROMPTS["P2/R0"].text

# Nobody's; several begin alike, and one begins another.
_FIRST: Final = (
    *("Odalys", "Tavin", "Ysolde", "Tav", "Maribelle", "Corwin", "Ottilie", "Brannoc"),
    *("Ismene", "Perrin", "Saskia", "Dorian", "Quilla", "Evander", "Rosalba", "Finn"),
)
_LAST: Final = (
    *("Brennsuhl", "Moorcastle", "Karrabine", "Moor", "Østerfjäll", "Hollowbrook", "O'Quill"),
    *("Vanterpool", "Ashgrove", "Lindqvarn", "Abernazza", "de la Torre-Vik", "Szymborek"),
    *("Nakashiro", "Oyelarinde", "Thorne"),
)

NAMES: Final = tuple(f"{first} {last}" for first, last in product(_FIRST, _LAST))
"""256 names, as candidates of which each would be an answer."""
FEW_NAMES: Final = (*NAMES[:4], "Odalys", "Tavin Moor", "Tavin Moorcastle", "Tav", "Odalys")
"""Some that begin alike or are alike, one of which is the beginning of others."""


def one_picture() -> Image:
    """As large as those of a study usually are."""
    return drawn_inputs.waves(640, 480)


def another_picture() -> Image:
    """Of the same size, and told apart at a glance."""
    return drawn_inputs.disc(640, 480)
