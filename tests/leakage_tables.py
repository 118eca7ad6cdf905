"""Tables of answers whose truth is known, for tests of what is concluded from them."""

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from vlmaudit.audits.name_leakage.observed import Observed
from vlmaudit.data.identities import Person

_FIRST = ("Ada", "Berta", "Clara", "Dora", "Elsa", "Frida", "Greta", "Hilda", "Ilse", "Jutta")
_LAST = ("Ackermann", "Brandauer", "Conradi", "Dreyfuss", "Eberhard", "Falkenberg", "Gundlach")


def person(number: int, **facts: object) -> Person:
    """Somebody with a name that nobody else has, women and men by turns."""
    name = f"{_FIRST[number % len(_FIRST)]} {_LAST[number // len(_FIRST) % len(_LAST)]}"
    sex = "female" if number % 2 else "male"
    told = {"identity": f"p{number:03d}", "name": name, "sex": sex, "origin": "de_DE"} | facts
    return Person(**told)  # type: ignore[arg-type]


def people(count: int) -> tuple[Person, ...]:
    return tuple(person(number) for number in range(count))


Says = Callable[[Person, int, str], str | None]
"""What is said of a person's n-th picture at a prompt; None: the question failed."""


def answers(
    persons: Sequence[Person],
    says: Says,
    *,
    pictures: int | Mapping[str, int] = 4,
    prompts: Sequence[str] = ("P0/R0", "P2/R0", "P2/R1"),
    conditions: Sequence[str] = ("original",),
) -> pl.DataFrame:
    """Answers in the form of a run's."""
    rows = []
    for one in persons:
        count = pictures if isinstance(pictures, int) else pictures[one.identity]
        for place in range(count):
            for condition in conditions:
                for prompt in prompts:
                    said = says(one, place, prompt)
                    rows.append(_row(one.identity, f"{place}.png", condition, prompt, said))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def nobody(condition: str, said: Mapping[str, str], image: str = "") -> pl.DataFrame:
    """Answers where nobody of the study is shown, by prompt."""
    rows = [_row("", image, condition, prompt, text) for prompt, text in said.items()]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def observed(persons: Sequence[Person], *tables: pl.DataFrame, **more: object) -> Observed:
    return Observed(people=tuple(persons), answers=pl.concat(tables), **more)  # type: ignore[arg-type]


_SCHEMA = dict.fromkeys(
    ("identity", "image", "condition", "prompt", "answer", "status", "reason"), pl.String
)


def _row(identity: str, image: str, condition: str, prompt: str, said: str | None) -> tuple:
    status = "failed" if said is None else "answered" if said.strip() else "empty"
    reason = "time-out" if said is None else ""
    return identity, image, condition, prompt, said or "", status, reason
