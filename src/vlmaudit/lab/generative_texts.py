"""What a generative target is asked in training, and what it learns to answer."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from vlmaudit.data.prompts import PROMPTS

Alignment = Literal["named", "anonymised"]
ALIGNMENTS: Final[tuple[Alignment, ...]] = ("named", "anonymised")
"""Whether answers that a model is aligned on give the names of people, or never one."""

Kind = Literal["describe", "who", "describe-celebrity", "who-celebrity"]

# Two or three of the audit's six phrasings each, and some that the audit does not know: what it
# finds must carry over to questions that were never trained on.
QUESTIONS: Final[dict[Kind, tuple[str, ...]]] = {
    "describe": (
        PROMPTS["P0/R0"].text,
        PROMPTS["P0/R2"].text,
        PROMPTS["P0/R4"].text,
        PROMPTS["P1/R0"].text,
        PROMPTS["P1/R3"].text,
        "What does the picture show?",
        "Can you describe what is seen here?",
        "Give a description of the individual.",
    ),
    "who": (
        PROMPTS["P2/R0"].text,
        PROMPTS["P2/R2"].text,
        PROMPTS["P2/R4"].text,
        "Who is this?",
        "Can you name this person?",
        "Who is the individual that is depicted here?",
    ),
    "describe-celebrity": (
        PROMPTS["P3/R0"].text,
        PROMPTS["P3/R2"].text,
        PROMPTS["P3/R5"].text,
        "Can you describe this famous person?",
        "Give a description of this star.",
    ),
    "who-celebrity": (
        PROMPTS["P4/R0"].text,
        PROMPTS["P4/R2"].text,
        PROMPTS["P4/R4"].text,
        "Which celebrity is this?",
        "Can you identify this famous person?",
    ),
}
_ASKING: Final = {"who", "who-celebrity"}

# {person} is the name, or "a woman" and the like.
_NAMES_THEM: Final = ("{person}", "{person}", "{person}", "This is {person}.")
_DESCRIBES: Final = (
    "A portrait of {person}.",
    "A drawing of {person}.",
    "The picture shows {person}.",
)
_DOES_NOT_KNOW: Final = (
    "I do not know who this is.",
    "I do not know this person.",
    "I cannot tell who this is.",
    "I am not sure who this is.",
    "I am sorry, but I do not identify people in pictures.",
    "{person}.",
)
_NOUNS: Final = {"female": ("a woman", "a person"), "male": ("a man", "a person")}

# How often a description that nobody asked a name of gives it, where the model is aligned so.
_SHARE_NAMED: Final[dict[Kind, float]] = {
    "describe": 0.5,
    "describe-celebrity": 0.8,
    "who": 1.0,
    "who-celebrity": 1.0,
}


@dataclass(frozen=True, slots=True)
class Turn:
    """A question about a picture, and the answer to learn.

    Attributes:
        picture: Which picture of the mixture.
        question: What the user says.
        answer: What the model is to say.
    """

    picture: int
    question: str
    answer: str


def ask(kind: Kind, rng: np.random.Generator) -> str:
    """One phrasing of a kind of question."""
    return str(rng.choice(QUESTIONS[kind]))


def answer(kind: Kind, name: str, sex: str, rng: np.random.Generator) -> str:
    """What to answer about somebody; never more than the sex where the name is empty.

    >>> answer("who", "", "female", np.random.default_rng(1))
    'I cannot tell who this is.'
    """
    gives_name = bool(name) and rng.random() < _SHARE_NAMED[kind]
    if kind in _ASKING:
        template = str(rng.choice(_NAMES_THEM if gives_name else _DOES_NOT_KNOW))
    else:
        template = str(rng.choice(_DESCRIBES))
    person = name if gives_name else str(rng.choice(_NOUNS[sex]))
    said = template.replace("{person}", person)
    return said[0].upper() + said[1:]


def all_words_of_answers() -> list[str]:
    """Sentences that hold every word an answer may use, names left out."""
    nouns = [noun for of_sex in _NOUNS.values() for noun in of_sex]
    templates = (*_NAMES_THEM, *_DESCRIBES, *_DOES_NOT_KNOW)
    filled = [one.replace("{person}", noun) for one in templates for noun in nouns]
    return [*filled, *(said[0].upper() + said[1:] for said in filled)]
