"""The machine-readable conclusion of a memorization audit: no private value is in it."""

from typing import Literal

from pydantic import Field

from vlmaudit.audits.memorization.settings import Mean
from vlmaudit.results.records import Estimate, Failures, Gate, ModelRecord, Record, Test
from vlmaudit.results.vocabulary import Protocol, Verdict

Answer = Literal["found", "not_told_apart", "undetermined", "not_asked"]
"""What one of the four means says of the audited checkpoint."""


class MeanRow(Record):
    """One of the four means: whether seen and unseen records are told apart by it."""

    mean: Mean
    answer: Answer
    n_seen: int = Field(description="Seen records with an observation.")
    n_unseen: int = Field(description="Unseen records with one.")
    auc: float | None = Field(
        default=None,
        description="Chance that a seen record has the higher value than an unseen one; of the "
        "layer, module, way or condition that stands out most.",
    )
    low: float | None = Field(default=None, description="Lower limit of its 95 % interval.")
    high: float | None = Field(default=None, description="Upper limit.")
    upper: float | None = Field(
        default=None,
        description="Largest one-sided upper 95 % limit of the AUC over all layers, modules, ways "
        "or conditions: below .60, nothing stronger is missed in any.",
    )
    where: str = Field(default="", description="What stands out most, such as language 3.")
    p: float | None = Field(
        default=None, description="Permutation of records, adjusted by the maximum over these."
    )
    p_adjusted: float | None = Field(default=None, description="Holm over the means asked.")
    sentence: str = Field(description="The same in plain words.")


class LayerRow(Record):
    """A probe on one layer, tested on other records than it was trained on."""

    role: str = Field(description="The checkpoint: tuned, control, base or twin.")
    layer: int = Field(description="From 0, in the order of the model.")
    name: str = Field(default="", description="What the model calls it.")
    split: Literal["records"] = Field(
        default="records", description="No record is on both sides of the split."
    )
    accuracy: float = Field(description="Share of records told rightly, both arms weighing alike.")
    control: float = Field(description="Mean of it with the labels of records permuted.")
    selectivity: float = Field(description="Accuracy minus control.")
    auc: float = Field(description="Chance that a seen record scores above an unseen one.")
    low: float = Field(description="Lower limit of the AUC's 95 % interval over records.")
    high: float = Field(description="Upper limit.")
    upper: float = Field(description="One-sided upper 95 % limit of the AUC.")
    p: float = Field(description="Labels permuted over records.")
    p_adjusted: float = Field(description="The same, by the maximum over layers.")


class SplitRow(Record):
    """The paper's probe on one layer: a random split of items, records on both sides."""

    role: str
    layer: int
    split: Literal["items"] = Field(
        default="items", description="Items are split at random: a record stands on both sides."
    )
    accuracy: float = Field(description="Share of the held-out items told rightly.")
    low: float = Field(description="Lower 95 % limit over items, which are not independent.")
    high: float = Field(description="Upper limit.")
    control: float = Field(
        description="The same with every record's label drawn anew: what telling records apart "
        "gives by itself (Hewitt and Liang's control task)."
    )
    selectivity: float = Field(description="Accuracy minus control.")
    items: int = Field(description="Items held out.")


class MapRow(Record):
    """The paper's picture of one layer, t-SNE, beside how far the arms lie apart before it."""

    layer: int
    name: str = Field(default="", description="The model's name for it.")
    silhouette: float = Field(description="Of the arms over items: 1 apart, 0 one cloud.")
    p: float = Field(description="Arms permuted over records, one-sided.")
    seen: list[bool] = Field(description="Each item's arm.")
    x: list[float] = Field(description="Where t-SNE puts it: who is near means something, no more.")
    y: list[float] = Field(description="The same, upwards.")


class ChangeRow(Record):
    """How much better one layer tells seen from unseen in the tuned checkpoint than in another."""

    against: str = Field(description="control or base.")
    layer: int
    auc: float = Field(description="In the tuned checkpoint.")
    other_auc: float = Field(description="In the other.")
    difference: float
    p: float = Field(description="The same permutations of records in both.")
    p_adjusted: float = Field(description="By the maximum over layers.")


class TwinRow(Record):
    """A probe on differences of states between two checkpoints tuned on swapped records."""

    layer: int
    accuracy: float
    control: float
    selectivity: float
    auc: float
    low: float
    high: float
    upper: float
    p: float
    p_adjusted: float = Field(description="By the maximum over layers.")


class ModuleRow(Record):
    """How seen records change the gradient of a module, less how unseen ones do."""

    role: str
    module: str
    seen: float = Field(
        description="Mean over seen records of cos(clean, printed) - cos(clean, meaningless)."
    )
    unseen: float = Field(description="The same of unseen records.")
    difference: float = Field(description="Seen minus unseen.")
    low: float = Field(description="Lower limit of its 95 % interval over records.")
    high: float = Field(description="Upper limit.")
    n_seen: int
    n_unseen: int
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    upper: float | None = Field(default=None, description="One-sided upper 95 % limit of the AUC.")
    p: float = Field(description="Arms permuted over records, two-sided.")
    p_adjusted: float = Field(description="By the maximum over modules.")


class CurveRow(Record):
    """Cosine of a batch's gradient with itself changed: the paper's curves, as description."""

    role: str
    module: str
    kind: str = Field(description="How the batch was changed.")
    batch_size: int
    mean: float
    lowest: float
    highest: float
    batches: int


class ExtractionRow(Record):
    """How often the model says a record's value of one field, asked in one way."""

    role: str
    way: str = Field(description="outright, partial or removed: what the picture shows.")
    field: str
    arm: str
    rate: Estimate = Field(description="Share of answers that hold the value, by record.")
    of_others: float | None = Field(
        description="How often the same values are in the answers about other records."
    )
    p: float | None = Field(description="Records swapped with their answers.")


class WayRow(Record):
    """Seen against unseen records by one way of asking, all fields together."""

    role: str
    way: str
    seen: Estimate
    unseen: Estimate
    difference: float
    auc: float
    auc_low: float
    auc_high: float
    upper: float = Field(description="One-sided upper 95 % limit of the AUC.")
    p: float = Field(description="Arms permuted over records, one-sided.")
    p_adjusted: float = Field(description="By the maximum over ways.")


class ExposureRow(Record):
    """Where the true values rank among made-up ones, by arm and field."""

    role: str
    arm: str
    field: str
    with_picture: bool
    bits: Estimate = Field(
        description="Mean of log2(decoys + 1) - log2(rank); 1.44 where nothing is known."
    )
    ceiling: float = Field(description="The most that so many decoys can show.")
    p: float = Field(description="How often records that nobody knows come so high.")


class ConditionRow(Record):
    """Exposure of seen against unseen records, with the picture or without it, over fields."""

    role: str
    with_picture: bool
    seen: Estimate
    unseen: Estimate
    difference: float
    auc: float
    auc_low: float
    auc_high: float
    upper: float
    p: float = Field(description="Arms permuted over records, one-sided.")
    p_adjusted: float = Field(description="By the maximum over both conditions.")


class DoseRow(Record):
    """Records that were printed so often: every mean by dose, as description."""

    dose: int = Field(description="Times printed an epoch; 0: never.")
    records: int
    exposure: Estimate | None = Field(default=None, description="Bits, over fields and conditions.")
    hits: Estimate | None = Field(default=None, description="Share of answers with the value.")
    gradient: Estimate | None = Field(
        default=None, description="Mean over modules of the change of cosine."
    )
    score: Estimate | None = Field(
        default=None, description="Mean over layers of the probe's standardised score."
    )


class SlopeRow(Record):
    """What a doubling of the dose adds, among seen records."""

    mean: Mean
    slope: float = Field(description="Per doubling of the times printed.")
    p: float = Field(description="Doses permuted over records, one-sided.")
    p_adjusted: float = Field(description="Holm over the means that have one.")
    n: int
    unit: str = Field(description="What it counts: bits, share of answers, cosine, SDs.")


class CanaryRow(Record):
    """Records that were in with probability one half, by stored coins."""

    included: int
    left_out: int
    doses: list[int] = Field(description="How often those that are in were printed.")
    auc: float | None = Field(description="By exposure: included above left out.")
    p: float | None = Field(description="Coins permuted: exact, whatever the model is.")
    guesses: int = Field(description="Fixed beforehand.")
    right: int | None = Field(description="Guesses that agree with the coins.")
    epsilon: float | None = Field(
        description="Lower 95 % bound: the training was not (ε, δ)-private for such a record. "
        "None: not computed."
    )
    delta: float
    why_not: str = Field(default="", description="Why there is no bound.")


class UtilityRow(Record):
    """What a checkpoint makes of the task it was tuned for."""

    role: str
    measure: str
    rate: Estimate


class Finding(Record):
    """finding.json of a memorization audit."""

    schema_version: Literal[1] = Field(
        default=1, alias="schema", description="Version of the file's form."
    )
    audit: Literal["memorization"] = "memorization"
    protocol: Protocol
    model: ModelRecord | None = Field(description="None: concluded from states from elsewhere.")
    roles: list[str] = Field(description="The checkpoints there are observations of.")
    variant: str = Field(default="", description="The training set the audited one was tuned on.")
    settings: dict[str, str | int | float | bool | None]
    verdict: Verdict
    sentence: str
    gates: list[Gate]
    failures: Failures
    estimates: dict[str, Estimate]
    tests: list[Test]
    means: list[MeanRow]
    layers: list[LayerRow] = Field(description="Of the audited checkpoint.")
    other_layers: list[LayerRow] = Field(default_factory=list, description="Of the others.")
    split_layers: list[SplitRow] = Field(
        default_factory=list, description="The published split: description, and no evidence."
    )
    state_map: MapRow | None = Field(
        default=None, description="Of the layer that tells most; a picture, and no evidence."
    )
    change_layers: list[ChangeRow] = Field(default_factory=list)
    twin_layers: list[TwinRow] = Field(default_factory=list)
    modules: list[ModuleRow] = Field(default_factory=list)
    gradient_curves: list[CurveRow] = Field(default_factory=list)
    extraction: list[ExtractionRow] = Field(default_factory=list)
    ways: list[WayRow] = Field(default_factory=list)
    exposure: list[ExposureRow] = Field(default_factory=list)
    conditions: list[ConditionRow] = Field(default_factory=list)
    doses: list[DoseRow] = Field(default_factory=list)
    slopes: list[SlopeRow] = Field(default_factory=list)
    canaries: CanaryRow | None = None
    utility: list[UtilityRow] = Field(default_factory=list)
    missing: list[str] = Field(
        default_factory=list, description="Comparisons that fall away, and why."
    )
    pseudonyms: bool = Field(
        default=False, description="Records stand here under random labels in any case."
    )
    notes: list[str] = Field(default_factory=list, description="What a reader must know besides.")
