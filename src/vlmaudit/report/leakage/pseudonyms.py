"""A name-leakage finding, and the answers quoted beside it, under pseudonyms."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from vlmaudit.audits.name_leakage.finding import Finding
from vlmaudit.report.leakage.name_hiding import (
    NameHider,
    Replaced,
    moved,
    replace,
)
from vlmaudit.report.pseudonyms import Pseudonyms

# What takes one of a few values, or is written by us alone.
_VALUES: Final = frozenset(
    (
        *("schema", "audit", "protocol", "verdict", "kind", "unit", "label", "sex", "shown"),
        *("method", "family", "prompt", "group", "condition", "settings", "model", "prompts"),
        *("name", "null", "first", "second"),
        *("face", "context", "both", "words"),
    )
)
# Sentences that give somebody as an example, or say who shares a name: maybe nobody of the study.
_EXAMPLE: Final = re.compile(r", such as .*$", re.DOTALL)
_SHARED_NAME: Final = re.compile(r"^(Controls: )?.* bear the same name:", re.DOTALL)
_OWN: Final = frozenset(("named", "surname", "negated", "hedged"))
"""Outcomes whose matched span is the name of the person shown."""


def leakage_under_pseudonyms(
    finding: Finding, answers: pl.DataFrame | None, pseudonyms: Pseudonyms
) -> tuple[Finding, pl.DataFrame | None]:
    """The finding and its answers with a pseudonym for every name and identity.

    Args:
        finding: What the audit concluded; one under pseudonyms stays as it is.
        answers: Answers that are quoted beside it, under their people's identities.
        pseudonyms: Who is called how.
    """
    hidden = answers if answers is None else answers_under_pseudonyms(answers, pseudonyms)
    if finding.pseudonyms:
        return finding, hidden
    hider = _hider(pseudonyms)
    content = _walk(finding.model_dump(mode="json", by_alias=True), hider)
    for row, person in zip(content["people"], finding.people, strict=True):
        row["identity"] = row["name"] = pseudonyms.of[person.identity]
    reasons: Counter[str] = Counter()
    for reason, number in finding.failures.reasons.items():
        reasons[_sentence(reason, hider)] += number
    content["failures"]["reasons"] = dict(reasons)
    content["failures"]["people_lost"] = sorted(
        pseudonyms.of[identity] for identity in finding.failures.people_lost
    )
    content["people"].sort(key=lambda row: row["identity"])
    content["pseudonyms"] = True
    return Finding.model_validate(content), hidden


def answers_under_pseudonyms(answers: pl.DataFrame, pseudonyms: Pseudonyms) -> pl.DataFrame:
    """Answers without names, their matched spans where these are now.

    A person's pictures are numbered in the order of their names, which may be telling.
    """
    hider = _hider(pseudonyms)
    numbers = _picture_numbers(answers)
    rows = [
        _answer(row, hider, pseudonyms) | {"image": numbers[row["identity"], row["image"]]}
        for row in answers.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=answers.schema)


def _hider(pseudonyms: Pseudonyms) -> NameHider:
    return NameHider(
        {
            identity: (pseudonym, pseudonyms.names.get(identity, ""))
            for identity, pseudonym in pseudonyms.of.items()
        }
    )


def _picture_numbers(answers: pl.DataFrame) -> Mapping[tuple[str, str], str]:
    pictures = sorted(
        {(row[0], row[1]) for row in answers.select("identity", "image").iter_rows()},
        key=lambda pair: (pair[0] or "", pair[1] or ""),
    )
    numbers: Counter[str] = Counter()
    found = {}
    for identity, image in pictures:
        numbers[identity] += 1
        found[identity, image] = f"picture {numbers[identity]}" if image else image
    return found


def _answer(row: Mapping[str, Any], hider: NameHider, pseudonyms: Pseudonyms) -> dict[str, Any]:
    text, start, end = row["answer"], row["start"], row["end"]
    called = pseudonyms.of.get(row["identity"], row["identity"] and "somebody")
    if text is None:
        return {**row, "identity": called}
    pieces = hider.find(text)
    if start is not None and end is not None:
        if row["outcome"] in _OWN:
            pieces = _with_span(pieces, Replaced(start, end, called))
        start, end = moved(start, pieces, is_end=False), moved(end, pieces, is_end=True)
    return {
        **row,
        "identity": called,
        "answer": replace(text, pieces),
        "start": start,
        "end": end,
    }


def _with_span(pieces: list[Replaced], span: Replaced) -> list[Replaced]:
    """The pieces with what the matcher found as a name, where they left some of it standing.

    The paper's rule finds names within words, and aliases are unknown here.
    """
    if any(piece.start <= span.start and span.end <= piece.end for piece in pieces):
        return pieces
    others = [piece for piece in pieces if piece.end <= span.start or span.end <= piece.start]
    crossing = [piece for piece in pieces if piece not in others]
    start = min([span.start, *(piece.start for piece in crossing)])
    end = max([span.end, *(piece.end for piece in crossing)])
    return sorted([*others, Replaced(start, end, span.by)], key=lambda piece: piece.start)


def _walk(thing: Any, hider: NameHider) -> Any:  # noqa: ANN401 - any part of a finding
    if isinstance(thing, str):
        return _sentence(thing, hider)
    if isinstance(thing, list):
        return [_walk(part, hider) for part in thing]
    if isinstance(thing, dict):
        return {key: part if key in _VALUES else _walk(part, hider) for key, part in thing.items()}
    return thing


def _sentence(text: str, hider: NameHider) -> str:
    text = _EXAMPLE.sub(".", text)
    text = _SHARED_NAME.sub(r"\1Several people bear the same name:", text)
    return hider.hide(text)
