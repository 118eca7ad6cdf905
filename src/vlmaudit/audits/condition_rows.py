"""What was done to pictures under each condition, and whether it can be believed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from jaxtyping import Float
from pydantic import Field

from vlmaudit.data.conditions import ORIGINAL, parse_condition
from vlmaudit.errors import InputError
from vlmaudit.results.records import Estimate, Record
from vlmaudit.results.sealed import read_table, write_table
from vlmaudit.stats.intervals import clopper_pearson

FILE: Final = "shown.parquet"
SCHEMA: Final[Mapping[str, pl.DataType | pl.datatypes.DataTypeClass]] = {
    "identity": pl.String,
    "image": pl.String,
    "condition": pl.String,
    "shown": pl.String,
    "lacks": pl.String,
    "faces": pl.Int64,
    "faces_left": pl.Int64,
    "verified": pl.Int64,
    "figures": pl.Int64,
    "subject": pl.String,
    "mask_area": pl.Float64,
}
"""A row a picture and condition.

``shown`` is the digest of what is shown; ``lacks`` says what was to be taken away and was not
found.
"""

_PEOPLE: Final = "mean over people, fractional Clopper-Pearson"


class ConditionRow(Record):
    """What a condition did to the pictures."""

    condition: str = Field(description="As it is written, such as white+pixelated.")
    words: str = Field(description="What it does, in plain words.")
    pictures: int = Field(description="Pictures changed so.")
    people: int = Field(description="People whom they show.")
    hidden: int = Field(description="Pictures in which all that it takes away was found.")
    not_hidden: dict[str, int] = Field(
        description="The others, by what was not found; the audit leaves them out of the "
        "condition's rates and gives them a stratum of their own."
    )
    faces: int | None = Field(description="Faces hidden; None: it hides none.")
    faces_left: Estimate | None = Field(
        description="Share of them that the same finder still finds afterwards, by person."
    )
    verified: Estimate | None = Field(
        description="Share of pictures whose largest face a recogniser still ties to the original, "
        "at 1 % false matches, by person; None: no recogniser was given."
    )
    mask_area: float | None = Field(
        description="Median share of a picture that is the person; None: nobody is cut out."
    )
    mask_low: float | None = Field(default=None, description="Its 5 % quantile.")
    mask_high: float | None = Field(default=None, description="Its 95 % quantile.")
    subjects: dict[str, int] = Field(
        default_factory=dict,
        description="Why this person and not another was cut out: only, face, largest, central.",
    )
    several: int = Field(default=0, description="Pictures with more than one person.")


class StratumRow(Record):
    """Pictures under a condition, by whether all that it takes away was found."""

    condition: str = Field(description="As it is written.")
    is_hidden: bool = Field(description="Whether all that it takes away was found.")
    pictures: int = Field(description="Pictures of this kind with an answer.")
    people: int = Field(description="People whom they show.")
    rate: Estimate = Field(description="Mean over people of how often the name comes out.")


class FactorialRow(Record):
    """Face and context, each there or taken away: four kinds of pictures of the same people."""

    group: str = Field(description="What was asked: P0 to P4, or all of it.")
    face: str = Field(description="The condition that hides the face.")
    context: str = Field(description="The condition that takes the background away.")
    both: str = Field(description="The one that does both.")
    people: int = Field(description="People with pictures of all four kinds.")
    rates: dict[str, float] = Field(description="Mean over people, by condition.")
    face_effect: Estimate = Field(
        description="How much the rate falls with the face, averaged over both backgrounds."
    )
    face_p: float = Field(description="Sign flips over people.")
    context_effect: Estimate = Field(
        description="How much it falls with the background, averaged over face and no face."
    )
    context_p: float = Field(description="Sign flips over people.")
    interaction: Estimate = Field(
        description="What hiding the face costs before the own background, minus what it costs "
        "before the other."
    )
    interaction_p: float = Field(description="Sign flips over people.")


def write_facts(private: Path, facts: pl.DataFrame) -> None:
    """Write what was found in the pictures of a run."""
    write_table(private / FILE, facts)


def read_facts(private: Path) -> pl.DataFrame | None:
    """What `write_facts` wrote; None where pictures were shown as they are alone.

    Raises:
        RunError: The file is damaged.
    """
    try:
        return read_table(private / FILE, mend="run the same command again to have it anew.")
    except FileNotFoundError:
        return None


def condition_rows(facts: pl.DataFrame) -> list[ConditionRow]:
    """A row a condition, in the order of their names; pictures as they are need none."""
    return [
        _row(str(condition), rows)
        for (condition,), rows in facts.sort("condition", "identity", "image").group_by(
            "condition", maintain_order=True
        )
        if condition != ORIGINAL
    ]


def _row(condition: str, rows: pl.DataFrame) -> ConditionRow:
    hidden = rows.filter(pl.col("lacks") == "")
    areas = hidden["mask_area"].drop_nulls()
    lacking = rows.filter(pl.col("lacks") != "")["lacks"].value_counts().sort("lacks")
    subjects = hidden.filter(pl.col("subject") != "")["subject"].value_counts().sort("subject")
    return ConditionRow(
        condition=condition,
        words=words_of(condition),
        pictures=rows.height,
        people=rows["identity"].n_unique(),
        hidden=hidden.height,
        not_hidden=dict(lacking.iter_rows()),
        faces=int(hidden["faces"].sum()) if _hides_faces(condition, hidden) else None,
        faces_left=_left(hidden),
        verified=_verified(hidden),
        mask_area=float(np.median(areas)) if len(areas) else None,
        mask_low=float(np.quantile(areas, 0.05)) if len(areas) else None,
        mask_high=float(np.quantile(areas, 0.95)) if len(areas) else None,
        subjects=dict(subjects.iter_rows()),
        several=int((hidden["figures"] > 1).sum()),
    )


def _hides_faces(condition: str, hidden: pl.DataFrame) -> bool:
    """Whether faces were to be hidden, and found; a condition that is not ours says by its rows."""
    try:
        takes_faces = "face" in parse_condition(condition).takes
    except InputError:
        takes_faces = bool(hidden["faces_left"].count())
    return takes_faces and bool(hidden["faces"].sum())


def words_of(condition: str) -> str:
    """What a condition does, in plain words; one that is not ours explains itself."""
    try:
        return parse_condition(condition).words
    except InputError:
        return condition


def _left(hidden: pl.DataFrame) -> Estimate | None:
    """Of all hidden faces, those that are still found."""
    there = hidden.filter(pl.col("faces_left").is_not_null(), pl.col("faces") > 0)
    if there.is_empty():
        return None
    shares = (
        there.group_by("identity")
        .agg((pl.col("faces_left").sum() / pl.col("faces").sum()).alias("share"))
        .sort("identity")["share"]
        .to_numpy()
    )
    return _over_people(shares)


def _verified(hidden: pl.DataFrame) -> Estimate | None:
    """Of the largest faces of pictures, those that a recogniser still ties to the original."""
    there = hidden.drop_nulls("verified").group_by("identity").agg(pl.col("verified").mean())
    if there.is_empty():
        return None
    return _over_people(there.sort("identity")["verified"].to_numpy())


def _over_people(shares: Float[np.ndarray, " people"]) -> Estimate:
    value, n = float(shares.mean()), len(shares)
    limits = clopper_pearson(value * n, n)
    return Estimate(value=value, low=limits.low, high=limits.high, n=n, method=_PEOPLE)


def mark_hidden(outcomes: pl.DataFrame, facts: pl.DataFrame | None) -> pl.DataFrame:
    """Outcomes with ``is_hidden``: whether all that the condition takes away was found.

    Without a record, as of answers from elsewhere, it is taken to be so.
    """
    if facts is None:
        return outcomes.with_columns(is_hidden=pl.lit(value=True))
    keys = ["identity", "image", "condition"]
    known = facts.select(*keys, is_hidden=pl.col("lacks") == "")
    joined = outcomes.join(known, on=keys, how="left", maintain_order="left")
    return joined.with_columns(pl.col("is_hidden").fill_null(value=True))
