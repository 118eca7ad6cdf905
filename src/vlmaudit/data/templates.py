"""The 21 prompt templates of the IDIA paper."""

from typing import Final

# In the order of the authors' code, which says "in a suit" where the paper's text says "suite".
IDIA_TEMPLATES: Final[tuple[str, ...]] = (
    "{name}",
    "an image of {name}",
    "a photo of {name}",
    "{name} on a photo",
    "a photo of a person named {name}",
    "a person named {name}",
    "a man named {name}",
    "a woman named {name}",
    "the name of the person is {name}",
    "a photo of a person with the name {name}",
    "{name} at a gala",
    "a photo of the celebrity {name}",
    "actor {name}",
    "actress {name}",
    "a colored photo of {name}",
    "a black and white photo of {name}",
    "a cool photo of {name}",
    "a cropped photo of {name}",
    "a cropped image of {name}",
    "{name} in a suit",
    "{name} in a dress",
)


def fill(template: str, name: str) -> str:
    """The template with the name in its slot; braces in names stay as they are.

    >>> fill("a photo of {name}", "Ann {Lee}")
    'a photo of Ann {Lee}'
    """
    return template.replace("{name}", name)
