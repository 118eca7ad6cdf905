"""What a run, or a table from elsewhere, holds of answers: plain tables and arrays, no model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from jaxtyping import Float

from vlmaudit.audits.asked import (
    UNASKED,
    read_names,
    read_notices,
    read_persons,
    read_planted,
)
from vlmaudit.audits.condition_rows import read_facts
from vlmaudit.audits.name_leakage.questions import is_scoring
from vlmaudit.audits.name_leakage.settings import NO_IMAGE, NULLS
from vlmaudit.data.candidates import Candidate, Pool, stratum
from vlmaudit.data.identities import Person
from vlmaudit.data.prompts import PROMPTS
from vlmaudit.data.tables import read_table
from vlmaudit.errors import InputError, did_you_mean
from vlmaudit.results.blocks import BlockStore
from vlmaudit.results.cases import read_cases
from vlmaudit.results.outcomes import has_failed
from vlmaudit.results.records import ModelRecord

ANSWERED: Final = "answered"
EMPTY: Final = "empty"
CUT_OFF: Final = "cut_off"
FAILED: Final = "failed"
STATUSES: Final = (ANSWERED, EMPTY, CUT_OFF, FAILED)
"""What became of a question: an empty answer and one that was cut off are answers, too."""

ANSWER_COLUMNS: Final = ("identity", "image", "condition", "prompt", "answer")


@dataclass(frozen=True, slots=True)
class Scored:
    """How likely the model finds names as answers.

    Attributes:
        candidates: The names of each stratum: those of its people first, then decoys.
        pictures: For everybody with scores, a row a picture and prompt, a column a candidate of
            the person's stratum: natural log-likelihoods.
    """

    candidates: Mapping[str, tuple[Candidate, ...]]
    pictures: Mapping[str, Float[np.ndarray, "pictures names"]]


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a conclusion reads.

    Attributes:
        people: Whom the pictures show.
        answers: A row a question: ``identity, image, condition, prompt, answer, status, reason``,
            sorted; identity is empty where nobody of the study is shown.
        other_names: Names of nobody in the study, which an answer may give.
        scored: Likelihoods of names; None where they were not asked for.
        notices: What was noticed on the way, for the reader.
        planted: How people were planted, where the model comes with that record.
        model: Who answered; None for a table from elsewhere.
        tokens: Tokens of prompts and answers, where they were counted.
        facts: What was found in the pictures that were changed; None where none was, and of
            answers from elsewhere.
    """

    people: tuple[Person, ...]
    answers: pl.DataFrame
    other_names: tuple[str, ...] = ()
    scored: Scored | None = None
    notices: tuple[str, ...] = ()
    planted: Mapping[str, object] | None = None
    model: ModelRecord | None = None
    tokens: Mapping[str, int] | None = None
    facts: pl.DataFrame | None = None


def pools_of(names: Sequence[Candidate], pool: Pool) -> dict[str, tuple[Candidate, ...]]:
    """The names of each stratum, in their order."""
    pools: dict[str, list[Candidate]] = {}
    for name in names:
        pools.setdefault(stratum(name.sex, name.origin, pool), []).append(name)
    return {key: tuple(members) for key, members in pools.items()}


def read_run(private: Path, model: ModelRecord, pool: Pool) -> Observed:
    """Read what a run has observed, as far as it got.

    Raises:
        RunError: Something is missing or damaged.
    """
    people, _ = read_persons(private)
    cases = read_cases(private).select("case", "identity", "image", "condition", "question")
    names = read_names(private)
    tables, scores = [], []
    tokens: Counter[str] = Counter()
    for block in BlockStore(private).read():
        mine = block.join(cases.select("case"), on="case", how="semi")
        scores.append(mine.filter(~has_failed(), is_scoring()).select("identity", _LIKELIHOODS))
        told = mine.filter(~is_scoring())
        tokens["prompt"] += int(told["prompt_tokens"].sum())
        tokens["answer"] += int(told["tokens"].sum())
        tables.append(told.select("case", "answer", "finish", "status", "reason"))
    questions = cases.filter(~is_scoring("question")).rename({"question": "prompt"})
    answers = questions.join(pl.concat(tables) if tables else _NOTHING, on="case", how="left")
    candidates = tuple(Candidate(name, sex, origin) for name, sex, origin, _ in names.iter_rows())
    return Observed(
        people=people,
        answers=_ordered(answers.with_columns(_status(), reason=_reason())),
        other_names=tuple(names.filter(pl.col("role") == "decoy")["name"]),
        scored=_scored(scores, pools_of(candidates, pool)),
        notices=read_notices(private),
        planted=read_planted(private),
        model=model,
        facts=read_facts(private),
        tokens={f"{kind} tokens": number for kind, number in tokens.items() if number},
    )


_LIKELIHOODS: Final = "log_likelihoods"
_NOTHING: Final = pl.DataFrame(
    schema=dict.fromkeys(("case", "answer", "finish", "status", "reason"), pl.String)
)


def _status() -> pl.Expr:
    """A run's own words for what became of a question, in those of a table from elsewhere."""
    return (
        pl.when(pl.col("status").is_null() | has_failed())
        .then(pl.lit(FAILED))
        .when(pl.col("answer").str.strip_chars() == "")
        .then(pl.lit(EMPTY))
        .when(pl.col("finish") == "length")
        .then(pl.lit(CUT_OFF))
        .otherwise(pl.lit(ANSWERED))
        .alias("status")
    )


def _reason() -> pl.Expr:
    return pl.when(pl.col("status").is_null()).then(pl.lit(UNASKED)).otherwise(pl.col("reason"))


def _ordered(answers: pl.DataFrame) -> pl.DataFrame:
    columns = (*ANSWER_COLUMNS, "status", "reason")
    table = answers.select(pl.col(columns).fill_null(""))
    return table.sort("identity", "image", "condition", "prompt")


def _scored(
    tables: Sequence[pl.DataFrame], candidates: Mapping[str, tuple[Candidate, ...]]
) -> Scored | None:
    table = pl.concat(tables) if tables else None
    if table is None or table.is_empty():
        return None
    return Scored(
        candidates=candidates,
        pictures={
            str(identity): np.array(rows[_LIKELIHOODS].to_list(), dtype=np.float32)
            for (identity,), rows in table.group_by("identity", maintain_order=True)
        },
    )


def read_answers(path: Path, people: Sequence[Person]) -> pl.DataFrame:
    """Answers that were made elsewhere: ``identity, image, condition, prompt, answer``.

    A column ``status`` says what became of a question (answered, failed, empty, cut_off); without
    one, an answer without words is empty and every other one is an answer.

    Raises:
        InputError: The table cannot be used; the first bad row is quoted.
    """
    table = read_table(path, ANSWER_COLUMNS, optional=("status", "reason"))
    for column in ("status", "reason"):
        if column not in table.columns:
            table = table.with_columns(pl.lit("").alias(column))
    is_empty = pl.col("answer") == ""
    table = table.with_columns(
        pl.when(pl.col("status") != "")
        .then(pl.col("status"))
        .when(is_empty)
        .then(pl.lit(EMPTY))
        .otherwise(pl.lit(ANSWERED))
        .alias("status"),
        pl.when(pl.col("condition") == "")
        .then(pl.lit("original"))
        .otherwise(pl.col("condition"))
        .alias("condition"),
    )
    _check(path, table, {person.identity for person in people})
    return _ordered(table)


def _check(path: Path, table: pl.DataFrame, identities: set[str]) -> None:
    is_null = pl.col("condition").is_in(NULLS)
    for what, known, bad in (
        ("prompt", list(PROMPTS), ~pl.col("prompt").is_in(list(PROMPTS))),
        ("status", list(STATUSES), ~pl.col("status").is_in(STATUSES)),
        ("identity", sorted(identities), ~is_null & ~pl.col("identity").is_in(identities)),
    ):
        wrong = table.with_row_index("row", offset=1).filter(bad).head(1)
        if wrong.height:
            said = str(wrong[what][0])
            hint = did_you_mean(said, known) if len(known) < 1000 else ""
            raise InputError(
                f'{path}: row {wrong["row"][0]}: no such {what} as "{said}".{hint} {_WANTED[what]}'
            )
    keys = ["identity", "image", "condition", "prompt"]
    asked = table.filter(pl.col("condition") != NO_IMAGE)
    twice = asked.filter(asked.select(keys).is_duplicated()).head(1)
    if twice.height:
        first = ", ".join(map(str, twice.select(keys).row(0)))
        raise InputError(f"{path}: answered twice: {first}; keep one row.")


_WANTED: Final = {
    "prompt": "Wanted P0/R0 to P4/R5.",
    "status": f"Wanted {', '.join(STATUSES)}.",
    "identity": "Wanted an identity of the people's table; no-image, grey and drawn need none.",
}
