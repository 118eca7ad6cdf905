"""The machine-readable conclusion of an identity-inference audit."""

from typing import Literal

from pydantic import Field

from vlmaudit.audits.condition_rows import ConditionRow
from vlmaudit.results.records import Estimate, Failures, Gate, ModelRecord, Record, Test
from vlmaudit.results.vocabulary import Protocol, Verdict

DifferenceKind = Literal[
    "no_test",
    "not_matched",
    "correction",
    "pool",
    "names_fit",
    "faces_fit",
    "both_fit",
    "ties",
    "never_first",
]
"""Why two protocols say different things of somebody; `Difference` says what each means."""


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
    by_paper: bool | None = Field(
        default=None, description="What the paper's protocol decides; None: no decision."
    )
    by_audit: bool | None = Field(
        default=None, description="What the audit protocol decides; None: no decision."
    )
    paper_ties: int | None = Field(
        default=None,
        description="Templates whose first place the true name shares in the paper's pool.",
    )
    note: str = Field(default="", description="Why there is no decision, or what to know.")


class GroupRow(Record):
    """A share of a group of people: by arm, dose or occurrences."""

    group: str = Field(description="Such as 'planted 16 times' or 'never planted'.")
    kind: Literal["dose", "arm", "occurrences", "membership"]
    order: int = Field(description="Position among all groups.")
    is_member: bool | None = Field(description="True: the rate is a TPR; False: an FPR.")
    detected: Estimate = Field(description="Share detected by this finding's protocol.")
    by_votes: Estimate = Field(description="Share with S of at least tau, in this pool.")


class ShownRow(Record):
    """What comes out when pictures are shown under a condition, against as they are."""

    condition: str
    people: int = Field(description="People with pictures under both.")
    pictures: int = Field(description="Their pictures under the condition.")
    failed: int = Field(description="Pictures without an answer.")
    detected: Estimate = Field(description="Share detected under the condition.")
    detected_plain: Estimate = Field(description="Share detected on the same pictures as they are.")
    detected_change: Estimate | None = Field(
        description="The first minus the second, by person; None: nobody has both decisions."
    )
    detected_p: float | None = Field(description="Sign flips over people.")
    by_votes: Estimate = Field(description="Share with S of at least tau under the condition.")
    z: Estimate = Field(description="Mean face-name interaction under the condition, in SDs.")
    z_plain: Estimate = Field(description="The same of the same pictures as they are.")
    z_change: Estimate | None = Field(description="The first minus the second, by person.")
    z_p: float | None = Field(description="Sign flips over people, two-sided.")
    z_p_adjusted: float | None = Field(
        default=None, description="Benjamini-Hochberg over conditions."
    )


class CurvePoint(Record):
    """A rate when the attacker holds only so many pictures of each person."""

    quantity: Literal["TPR", "FNR", "FPR", "TNR", "accuracy"]
    pictures: int
    rate: Estimate


class SizeRate(Record):
    """A share of people flagged by votes, when so many pictures of each are at hand."""

    pictures: int
    rate: Estimate = Field(description="Mean over people of their share of draws; n has as many.")


class OccurrenceRow(Record):
    """People whose name stands in so many captions, or who were planted so often."""

    label: str = Field(description="Such as 'named in 25 to 49 captions' or 'planted 4 times'.")
    low: int | None = Field(description="Fewest captions or plantings; None: known non-members.")
    high: int | None = Field(description="Most of them; None: no upper limit, or non-members.")
    is_member: bool = Field(description="True: the rates are TPR; False: FPR.")
    people: int = Field(description="Everybody in the bin, also those without a decision.")
    detected: Estimate = Field(description="Share detected by this finding's protocol.")
    by_votes: list[SizeRate] = Field(description="Share flagged by votes, by attack size.")


class ConfusionCell(Record):
    """Members or non-members, flagged or not."""

    is_member: bool
    is_flagged: bool
    people: float = Field(description="How many, the mean over draws of pictures.")
    rate: Estimate = Field(description="Their share of all members, or of all non-members.")


class Confusion(Record):
    """Who was flagged rightly and wrongly."""

    rule: Literal["votes", "test"] = Field(description="What flags: the paper's rule or ours.")
    pictures: int | None = Field(description="Pictures of each person; None: all there are.")
    cells: list[ConfusionCell]


class Reading(Record):
    """What one protocol says of the observations."""

    protocol: Protocol
    verdict: Verdict
    sentence: str
    flagged: int = Field(description="People whom the protocol declares known to the model.")
    decided: int = Field(description="People on whom it decides.")
    undecided: int = Field(description="People on whom it does not decide.")
    tpr: Estimate | None = Field(description="Share of known members flagged; None: none known.")
    fpr: Estimate | None = Field(description="Share of known non-members flagged.")


class Difference(Record):
    """People of whom the two protocols say different things for one reason."""

    flagged_by: Protocol | None = Field(description="Who flags them; None: nobody.")
    kind: DifferenceKind = Field(
        description=(
            "no_test: there is no test of them; not_matched: nothing comparable to rank among; "
            "correction: p is small, but not with everybody allowed for; pool: the votes differ "
            "with the names to choose from; names_fit: other names fit the face as well; "
            "faces_fit: other faces fit the name as well; both_fit: both; ties: the first place "
            "is shared, which counts for nobody; never_first: nearer than chance, but never first."
        )
    )
    note: str = Field(default="", description="Why there is no decision, where there is none.")
    n: int = Field(description="How many people.")
    people: list[str] = Field(description="Their identities.")


class Comparison(Record):
    """Both protocols on the same observations."""

    readings: list[Reading] = Field(description="The paper's, then the audit's.")
    both: int = Field(description="People flagged by both.")
    only_paper: int = Field(description="People flagged by the paper, cleared by the audit.")
    only_audit: int = Field(description="People flagged by the audit, cleared by the paper.")
    neither: int = Field(description="People flagged by neither, decided by both.")
    undecided: int = Field(description="People on whom one of the two does not decide, or both.")
    differences: list[Difference]


class ClaimRow(Record):
    """What it takes to claim a false-positive rate."""

    max_fpr: float = Field(description="The claim: no more than this share is flagged wrongly.")
    flagged: int = Field(description="If so many non-members are flagged …")
    needed: int = Field(description="… the claim takes this many known non-members.")
    holds: bool | None = Field(description="Whether it holds here; None: others were flagged.")


class Claims(Record):
    """Claims on the false-positive rate, and what this study has for them."""

    known: int = Field(description="Known non-members with a decision.")
    flagged: int = Field(description="Those of them that were flagged.")
    upper: float | None = Field(description="One-sided 95 % limit of the false-positive rate.")
    rows: list[ClaimRow]


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
    occurrences: list[OccurrenceRow] = Field(
        default_factory=list, description="Rates by captions or plantings, in their order."
    )
    confusions: list[Confusion] = Field(
        default_factory=list, description="Few pictures, many pictures, then the test."
    )
    comparison: Comparison | None = Field(
        default=None, description="Both protocols on the same observations."
    )
    conditions: list[ConditionRow] = Field(
        default_factory=list, description="What was done to pictures, and whether it worked."
    )
    shown: list[ShownRow] = Field(
        default_factory=list, description="What comes out under each condition."
    )
    claims: Claims | None = Field(
        default=None, description="What a claim on the false-positive rate would need."
    )
    pseudonyms: bool = Field(
        default=False, description="Whether people stand here under pseudonyms."
    )
    notes: list[str] = Field(default_factory=list, description="What a reader must know besides.")
