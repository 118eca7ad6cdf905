"""ladder.json: what a ladder of targets shows, as it is written down."""

from typing import Literal

from pydantic import Field

from vlmaudit.audits.identity_inference.finding import ConfusionCell, CurvePoint
from vlmaudit.lab.hit_rates import Utility
from vlmaudit.lab.ladder import Twin
from vlmaudit.results.records import Estimate, Record, Test
from vlmaudit.results.vocabulary import Verdict

Compared = Literal["square", "clean twin", "swapped twin"]
SEED: str = "Of the plan; None: all seeds together, everybody counted once with their mean."


class DoseRow(Record):
    """People at a dose, in the planted targets."""

    seed: int | None = Field(description=SEED)
    source: str = Field(description="Where the people's pictures are from; empty: everywhere.")
    arm: str = Field(description="never, paired N, name-only or unpaired.")
    dose: int | None = Field(description="Pictures planted with the name; None: planted apart.")
    detected: Estimate = Field(description="Share that the audit detects.")
    small_p: Estimate = Field(description="Share with p of at most .05, uncorrected.")
    by_votes: Estimate = Field(description="Share that the paper's rule flags.")
    mean_z: float | None
    at_level: bool | None = Field(
        description="Whether the interval of small_p holds .05 or less; None: planted together."
    )


class DoseAgreement(Record):
    """Whether seeds agree on a dose."""

    arm: str
    is_overlapping: bool = Field(description="All seeds' intervals of `small_p` overlap.")


class EffectRow(Record):
    """What planting does to the same people: with it minus without it."""

    seed: int | None = Field(description=SEED)
    compared: Compared
    dose: int
    difference: Estimate = Field(description="Mean difference of z, planted minus not.")
    test: Test


class SeenRow(Record):
    """The same planted people, attacked with unseen pictures and with those trained on."""

    seed: int | None = Field(description=SEED)
    unseen: Estimate = Field(description="Share with p of at most .05, unseen pictures.")
    seen: Estimate = Field(description="Share with p of at most .05, pictures trained on.")
    difference: Estimate = Field(description="Mean difference of z, seen minus unseen.")
    test: Test


class MatrixRow(Record):
    """Who was flagged rightly and wrongly, in the planted targets."""

    seed: int | None = Field(description=SEED)
    rule: Literal["votes", "test"] = Field(description="What flags: the paper's rule or ours.")
    cells: list[ConfusionCell]


class TargetRow(Record):
    """One model of the ladder."""

    seed: int
    target: int
    twin: Twin
    folder: str = Field(description="Of the target, inside the ladder's.")
    verdict: Verdict
    design: str = Field(description="What the blind baseline says of the design.")
    failed_gates: list[str]
    tested: int = Field(description="People with a test.")
    tpr: Estimate | None
    fpr: Estimate | None
    auc: Estimate | None
    curve: list[CurvePoint] = Field(description="TPR and FPR by number of attack pictures.")
    utility: Utility


class LadderFinding(Record):
    """ladder.json: everything that a ladder's page shows."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    seeds: list[int]
    targets: int = Field(description="Planted targets a seed.")
    people: int = Field(description="Audited people a seed.")
    settings: dict[str, str | int | float | bool | None] = Field(description="Of the training.")
    removed: int = Field(description="Training pictures taken out as near-duplicates.")
    left_out: dict[str, int] = Field(description="Pictures that could not be read, by reason.")
    notes: list[str] = Field(description="What the pictures at hand did not allow.")
    doses: list[DoseRow]
    by_source: list[DoseRow] = Field(description="The same by source; empty: there is but one.")
    agreements: list[DoseAgreement]
    effects: list[EffectRow]
    responses: list[Test] = Field(description="Dose-response, a test a seed.")
    is_repeated: bool | None = Field(
        description="Same sign and p of at most .05 in at least three seeds; None: fewer seeds."
    )
    seen: list[SeenRow]
    confusions: list[MatrixRow]
    models: list[TargetRow]
