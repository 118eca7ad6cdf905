"""What a count of names states, as JSON and as a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from vlmaudit.audits.name_counts.unit_counts import UnitCounts
from vlmaudit.data.name_matching import Known
from vlmaudit.data.tables import read_table
from vlmaudit.errors import InputError
from vlmaudit.results.files import write_text, write_whole
from vlmaudit.results.records import Estimate
from vlmaudit.stats.intervals import clopper_pearson

COLUMNS: Final = ("name", "captions", "occurrences")
BINS: Final = ((0, 0), (1, 24), (25, 99), (100, 299), (300, 999), (1000, 9999), (10_000, None))
"""Captions that name a person; the first three limits are those of the IDIA paper's selection."""
METHOD: Final = "Clopper-Pearson over captions"


class Strict(BaseModel):
    """A record that nothing may be added to."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Bin(Strict):
    """People by how many captions name them."""

    least: int
    most: int | None = Field(description="None: no limit.")
    names: int


class Failure(Strict):
    """A piece of the caption set that could not be counted."""

    unit: str
    reason: str


class CountsFinding(Strict):
    """How often a caption set names the people of a list."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    audit: Literal["name-counts"] = "name-counts"
    protocol: Literal["paper", "audit"]
    names: int
    names_digest: str = Field(description="Of the names and aliases, in their order.")
    captions: int = Field(description="Captions read.")
    nulls: int = Field(description="Rows without a caption.")
    damaged: int = Field(description="Rows or lines that could not be read.")
    invalid: int = Field(description="Captions with bytes that are no UTF-8.")
    naming: Estimate = Field(description="Share of captions that name anyone of the list.")
    naming_anyone: Estimate = Field(
        description="Share of a sample that holds anybody's name, in the list or not, as far as a "
        "detector of names in Latin letters finds it."
    )
    bins: list[Bin]
    units: list[str] = Field(description="What was counted.")
    failed: list[Failure] = Field(description="What could not be counted.")
    notices: list[str]

    @property
    def is_whole(self) -> bool:
        """Whether every piece was counted."""
        return not self.failed


def conclude_counts(
    counts: UnitCounts,
    people: Sequence[Known],
    *,
    protocol: Literal["paper", "audit"],
    names_digest: str,
    failed: Mapping[str, str],
    notices: Sequence[str],
) -> CountsFinding:
    """The finding of what was counted.

    Args:
        counts: Over all pieces.
        people: Whose names.
        protocol: The rule by which they were looked for.
        names_digest: Of the list.
        failed: Why pieces could not be counted.
        notices: What a reader should know.
    """
    return CountsFinding(
        protocol=protocol,
        names=len(people),
        names_digest=names_digest,
        captions=counts.captions,
        nulls=counts.nulls,
        damaged=counts.damaged,
        invalid=counts.invalid,
        naming=_share(counts.naming, counts.captions),
        naming_anyone=_share(counts.sampled_naming, counts.sampled),
        bins=_bins([counts.captions_of[place] for place in range(len(people))]),
        units=sorted(counts.units),
        failed=[Failure(unit=unit, reason=reason) for unit, reason in sorted(failed.items())],
        notices=list(notices),
    )


def add_findings(findings: Sequence[tuple[Path, CountsFinding]]) -> CountsFinding:
    """What several jobs counted, of which each had its own pieces.

    Raises:
        InputError: They counted other names, by another rule, or a piece twice.
    """
    first_path, first = findings[0]
    counted: dict[str, Path] = {}
    for path, one in findings:
        if (one.protocol, one.names_digest) != (first.protocol, first.names_digest):
            raise InputError(f"{path}: counts other names than {first_path}, or by another rule.")
        for unit in one.units:
            if unit in counted:
                raise InputError(f"{path}: {unit} is counted in {counted[unit]} already.")
            counted[unit] = path
    all_of = [one for _, one in findings]
    failed = {(one.unit, one.reason): one for each in all_of for one in each.failed}
    return CountsFinding(
        protocol=first.protocol,
        names=first.names,
        names_digest=first.names_digest,
        **{
            name: sum(getattr(one, name) for one in all_of)
            for name in ("captions", "nulls", "damaged", "invalid")
        },
        naming=_added([one.naming for one in all_of]),
        naming_anyone=_added([one.naming_anyone for one in all_of]),
        bins=[],
        units=sorted(counted),
        failed=[failed[key] for key in sorted(failed) if key[0] not in counted],
        notices=list(dict.fromkeys(notice for one in all_of for notice in one.notices)),
    )


def _added(shares: Sequence[Estimate]) -> Estimate:
    return _share(
        sum(round((one.value or 0.0) * one.n) for one in shares), sum(one.n for one in shares)
    )


def add_tables(paths: Sequence[Path]) -> tuple[CountsFinding, pl.DataFrame]:
    """The tables of several jobs added up, names in the order of the first.

    Raises:
        InputError: They cannot be added; the message says why.
    """
    finding = add_findings([(path, read_finding(path)) for path in paths])
    tables = [
        read_table(path, COLUMNS).with_columns(pl.col("captions", "occurrences").cast(pl.Int64))
        for path in paths
    ]
    table = (
        pl.concat(tables)
        .group_by("name", maintain_order=True)
        .agg(pl.col("captions", "occurrences").sum())
    )
    return finding.model_copy(update={"bins": _bins(table["captions"].to_list())}), table


def _bins(captions: Sequence[int]) -> list[Bin]:
    return [
        Bin(
            least=least,
            most=most,
            names=sum(least <= n and (most is None or n <= most) for n in captions),
        )
        for least, most in BINS
    ]


def _share(number: int, n: int) -> Estimate:
    if not n:
        return Estimate(value=None, low=None, high=None, n=0, method=METHOD)
    limits = clopper_pearson(number, n)
    return Estimate(value=number / n, low=limits.low, high=limits.high, n=n, method=METHOD)


def counts_table(people: Sequence[Known], counts: UnitCounts) -> pl.DataFrame:
    """A row a name, in the order of the list."""
    places = range(len(people))
    return pl.DataFrame(
        {
            "name": [person.name for person in people],
            "captions": [counts.captions_of[place] for place in places],
            "occurrences": [counts.times_of[place] for place in places],
        },
        schema={"name": pl.String, "captions": pl.Int64, "occurrences": pl.Int64},
    )


def pairs_table(people: Sequence[Known], counts: UnitCounts) -> pl.DataFrame:
    """Names that stand in one caption, the most frequent pairs first."""
    rows = sorted(counts.pairs.items(), key=lambda row: (-row[1], row[0]))
    return pl.DataFrame(
        [(people[one].name, people[other].name, captions) for (one, other), captions in rows],
        schema={"name": pl.String, "with": pl.String, "captions": pl.Int64},
        orient="row",
    )


def examples_table(people: Sequence[Known], counts: UnitCounts) -> pl.DataFrame:
    """Captions that name each."""
    rows = [
        (people[place].name, text)
        for place in sorted(counts.examples)
        for text in counts.examples[place]
    ]
    return pl.DataFrame(rows, schema={"name": pl.String, "caption": pl.String}, orient="row")


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table as Parquet or CSV, by its ending, for its owner alone.

    Raises:
        InputError: The ending is another.
    """
    ending = path.suffix.lower()
    if ending not in {".csv", ".parquet"}:
        raise InputError(f'{path}: ending "{path.suffix}": wanted .csv or .parquet.')

    def write(part: Path) -> None:
        if ending == ".csv":
            table.write_csv(part)
        else:
            table.write_parquet(part)

    write_whole(path, write, private=True)


def summary_path(out: Path) -> Path:
    """Where the finding of a table stands: beside it."""
    return out.with_name(f"{out.stem}.finding.json")


def write_finding(finding: CountsFinding, out: Path) -> None:
    """Write the finding beside the table."""
    text = finding.model_dump_json(indent=2, by_alias=True)
    write_text(summary_path(out), text + "\n")


def read_finding(out: Path) -> CountsFinding:
    """The finding beside a table.

    Raises:
        InputError: There is none, or it is damaged.
    """
    path = summary_path(out)
    try:
        return CountsFinding.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as problem:
        said: Any = str(problem).splitlines()[0]
        raise InputError(
            f"{path}: the finding of this count cannot be read ({said}); count again."
        ) from problem
