"""The machine-readable conclusion of an identity-inference audit."""

from typing import Literal

from pydantic import Field

from vlmaudit.results.records import Estimate, Failures, Gate, ModelRecord, Record, Test
from vlmaudit.results.vocabulary import Protocol, Verdict


class PersonRow(Record):
    """What came out for one person."""

    identity: str
    name: str
    sex: str = ""
    origin: str = ""
    membership: str = Field(default="", description="member, non_member, or empty for unknown.")
    occurrences: int | None = Field(default=None, description="Captions that name the person.")
    arm: str = Field(default="", description="Group of a planted design; empty elsewhere.")
    pictures: int = Field(description="Answered pictures.")
    failed: int = Field(description="Pictures that could not be asked.")
    detected: bool | None = Field(description="The protocol's decision; None: inconclusive.")
    score: int | None = Field(description="Templates that agree on the true name (S).")
    paper_score: int | None = Field(default=None, description="S in the paper's candidate pool.")
    z: float | None = Field(default=None, description="Face-name interaction, in SDs (audit).")
    p: float | None = Field(default=None, description="The larger of p_names and p_faces.")
    p_adjusted: float | None = Field(default=None, description="Benjamini-Hochberg over people.")
    p_names: float | None = Field(default=None, description="Rank of the name among decoys.")
    p_faces: float | None = Field(default=None, description="Rank of the face among controls.")
    p_cell: float | None = Field(default=None, description="Rank among all cells (fallback).")
    p_min: float | None = Field(default=None, description="Smallest p attainable here.")
    n_names: int | None = Field(default=None, description="Decoy names compared with (K).")
    n_faces: int | None = Field(default=None, description="Control people compared with (F).")
    conformal_p: float | None = Field(default=None, description="Rank among known non-members.")
    note: str = Field(default="", description="Why there is no decision, or what to know.")


class GroupRow(Record):
    """A share of a group of people: by arm, dose or occurrences."""

    group: str = Field(description="Such as 'planted 16 times' or 'never planted'.")
    kind: Literal["dose", "arm", "occurrences", "membership"]
    order: int = Field(description="Position among all groups.")
    is_member: bool | None = Field(description="True: the rate is a TPR; False: an FPR.")
    detected: Estimate = Field(description="Share detected by this finding's protocol.")
    by_votes: Estimate = Field(description="Share with S of at least tau, in this pool.")


class CurvePoint(Record):
    """A rate when the attacker holds only so many pictures of each person."""

    quantity: Literal["TPR", "FNR", "FPR", "TNR", "accuracy"]
    pictures: int
    rate: Estimate


class Finding(Record):
    """finding.json: everything the report shows is here."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    audit: Literal["identity-inference"] = "identity-inference"
    protocol: Protocol
    model: ModelRecord | None = Field(description="None: concluded from a table of votes.")
    settings: dict[str, str | int | float | bool | None]
    verdict: Verdict
    sentence: str
    gates: list[Gate]
    failures: Failures
    estimates: dict[str, Estimate]
    tests: list[Test]
    people: list[PersonRow]
    groups: list[GroupRow]
    curve: list[CurvePoint]
    notes: list[str] = Field(default_factory=list, description="What a reader must know besides.")
