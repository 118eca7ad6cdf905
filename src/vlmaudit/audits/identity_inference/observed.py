"""What a run observed, as the conclusion reads it: plain tables and arrays, no model."""

from collections import Counter
from collections.abc import Mapping, Set
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
    stopped_early,
)
from vlmaudit.data.candidates import Candidate
from vlmaudit.data.conditions import ORIGINAL
from vlmaudit.data.identities import Person
from vlmaudit.results.blocks import BlockStore
from vlmaudit.results.cases import read_cases
from vlmaudit.results.outcomes import has_failed
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.sealed import read_array, write_array

TEXTS: Final = "texts.npy"
EMBEDDINGS: Final = "embeddings"
LABELS: Final = "labels"
"""What a model answers, as the manifest says it."""


Shown = Set[tuple[str, str]]
"""Pictures, by identity and name."""


@dataclass(frozen=True, slots=True)
class FailedCase:
    """A picture, or a request about one, for which there is no answer."""

    identity: str
    image: str
    question: str
    reason: str


@dataclass(frozen=True, slots=True)
class Study:
    """Who was asked about, whom, and with which names.

    Attributes:
        people: The audited.
        controls: People known to be nobody's business here: never audited, never planted.
        study_names: How many of `candidates`, its first, are names of audited people.
        candidates: All names that were asked about; the rest are decoys.
        images: The names of a person's pictures with at least one answer, sorted.
        failures: What has no answer, of audited people and of controls: pictures, or requests.
        notices: What was noticed on the way, for the reader.
        design: How people were planted, where the model comes with that record.
        model: Who answered.
    """

    people: tuple[Person, ...]
    controls: tuple[Person, ...]
    study_names: int
    candidates: tuple[Candidate, ...]
    images: Mapping[str, tuple[str, ...]]
    failures: tuple[FailedCase, ...]
    notices: tuple[str, ...]
    design: Mapping[str, object] | None
    model: ModelRecord

    def failed(self) -> Mapping[str, int]:
        """How much of everybody's has no answer; who is missing lost nothing."""
        return Counter(failure.identity for failure in self.failures)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What a contrastive model answered.

    Attributes:
        study: Who was asked about, with which names.
        texts: Unit-length text embeddings, in the order of the study's candidates.
        pictures: Unit-length embeddings of a person's answered pictures, in the order of the
            study's images; people without any are missing.
    """

    study: Study
    texts: Float[np.ndarray, "names templates dim"]
    pictures: Mapping[str, Float[np.ndarray, "pictures dim"]]


@dataclass(frozen=True, slots=True)
class Choices:
    """What a label-only model answered.

    Attributes:
        study: Who was asked about, with which names.
        table: ``identity, image, template, predicted``, a row an answered request.
        requests: How many there were to be.
    """

    study: Study
    table: pl.DataFrame
    requests: int


def write_texts(private: Path, texts: Float[np.ndarray, "names templates dim"]) -> None:
    """Write the text embeddings, in the order of the names."""
    write_array(private / TEXTS, texts)


def read_texts(private: Path) -> Float[np.ndarray, "names templates dim"] | None:
    """The text embeddings; None where not all names were encoded, or the file is damaged."""
    return read_array(private / TEXTS)


def read_embeddings(
    private: Path, model: ModelRecord, condition: str = ORIGINAL, shown: Shown | None = None
) -> Embeddings:
    """Read what a contrastive model answered.

    Args:
        private: The run's private folder.
        model: Who answered.
        condition: How pictures were shown.
        shown: The pictures that count, by identity and name; None: all of them.

    Raises:
        RunError: Something is missing: the run was stopped before it had asked every name.
    """
    texts = read_texts(private)
    if texts is None:
        raise stopped_early(private)
    cases = _cases(private, condition, shown)
    asked = set(cases["case"])
    rows: dict[str, Float[np.ndarray, " dim"]] = {}
    reasons: dict[str, str] = {}
    for block in BlockStore(private).read():
        mine = block.filter(pl.col("case").is_in(asked))
        answered = mine.filter(~has_failed())
        rows |= dict(zip(answered["case"], answered["embedding"].to_numpy(), strict=True))
        reasons |= dict(mine.filter(has_failed()).select("case", "reason").iter_rows())
    answers: dict[str, list[tuple[str, str]]] = {}
    for case, identity, image in cases.select("case", "identity", "image").iter_rows():
        if case in rows:
            answers.setdefault(identity, []).append((image, case))
    ordered = {identity: sorted(pairs) for identity, pairs in answers.items()}
    return Embeddings(
        study=_read_study(private, model, cases, set(rows), reasons),
        texts=texts,
        pictures={
            identity: np.stack([rows[case] for _, case in pairs])
            for identity, pairs in ordered.items()
        },
    )


def read_choices(
    private: Path, model: ModelRecord, condition: str = ORIGINAL, shown: Shown | None = None
) -> Choices:
    """Read what a label-only model answered; see `read_embeddings`.

    Raises:
        RunError: The run was stopped before it was known what to ask.
    """
    cases = _cases(private, condition, shown)
    asked = set(cases["case"])
    reasons: dict[str, str] = {}
    tables = [pl.DataFrame(schema=dict.fromkeys(_ANSWER, pl.String))]
    for block in BlockStore(private).read():
        mine = block.filter(pl.col("case").is_in(asked))
        tables.append(mine.filter(~has_failed()).select(_ANSWER))
        reasons |= dict(mine.filter(has_failed()).select("case", "reason").iter_rows())
    table = pl.concat(tables)
    return Choices(
        study=_read_study(private, model, cases, set(table["case"]), reasons),
        table=table.drop("case").sort("identity", "image", "template"),
        requests=len(cases),
    )


def _cases(private: Path, condition: str, shown: Shown | None) -> pl.DataFrame:
    cases = read_cases(private).filter(pl.col("condition") == condition)
    if shown is None:
        return cases
    pairs = pl.DataFrame(
        sorted(shown), schema={"identity": pl.String, "image": pl.String}, orient="row"
    )
    return cases.join(pairs, on=["identity", "image"], how="semi", maintain_order="left")


_ANSWER: Final = ("case", "identity", "image", "template", "predicted")


def _read_study(
    private: Path,
    model: ModelRecord,
    cases: pl.DataFrame,
    answered: set[str],
    reasons: Mapping[str, str],
) -> Study:
    audited, controls = read_persons(private)
    names = read_names(private)
    images: dict[str, set[str]] = {person.identity: set() for person in (*audited, *controls)}
    failures: list[FailedCase] = []
    fields = cases.select("identity", "image", "question", "case")
    for identity, image, question, case in fields.sort("identity", "image", "question").iter_rows():
        if case in answered:
            images[identity].add(image)
        else:
            reason = reasons.get(case, UNASKED)
            failures.append(FailedCase(identity, image, question, reason))
    return Study(
        people=audited,
        controls=controls,
        study_names=int((names["role"] == "study").sum()),
        candidates=tuple(
            Candidate(name, sex, origin) for name, sex, origin, _ in names.iter_rows()
        ),
        images={identity: tuple(sorted(found)) for identity, found in images.items()},
        failures=tuple(failures),
        notices=read_notices(private),
        design=read_planted(private),
        model=model,
    )
