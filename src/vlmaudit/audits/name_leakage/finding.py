"""The machine-readable conclusion of a name-leakage audit."""

from typing import Literal

from pydantic import Field

from vlmaudit.audits.condition_rows import ConditionRow, FactorialRow, StratumRow
from vlmaudit.results.records import Estimate, Failures, Gate, ModelRecord, Record, Test
from vlmaudit.results.vocabulary import Protocol, Verdict

Outcome = Literal[
    "named",
    "surname",
    "wrong_name",
    "list",
    "negated",
    "hedged",
    "refused",
    "none",
    "failed",
]
"""What an answer does with the person's name; `named` and `hedged` give it away."""


class RateRow(Record):
    """How often a prompt under a condition makes the model say the person's name."""

    condition: str = Field(description="How pictures were shown, such as original.")
    prompt: str = Field(description="P0/R0 to P4/R5.")
    leaks: int = Field(description="Answers that say the person's name.")
    n: int = Field(description="Answers, failures left out.")
    people: int = Field(description="People with an answer.")
    rate: float = Field(
        description="Share of answers that leak: the mean over people (audit), leaks / n (paper)."
    )
    low: float = Field(description="Lower limit of the 95 % interval over people.")
    high: float = Field(description="Upper limit.")
    null: float | None = Field(
        description="How often the same names are said of other people's pictures; None: nobody "
        "to compare with."
    )
    lift: float | None = Field(description="Mean over people of the leak rate, minus the null.")
    lift_low: float | None = None
    lift_high: float | None = None
    p: float | None = Field(description="Share of swaps of people with as high a rate.")
    p_adjusted: float | None = Field(default=None, description="Benjamini-Hochberg over prompts.")
    outcomes: dict[Outcome, int] = Field(description="Answers by outcome, failures included.")
    by_paper: int | None = Field(default=None, description="Leaks by the paper's rule.")
    by_audit: int | None = Field(default=None, description="Leaks by ours.")


class GroupRow(Record):
    """A prompt category: mean and spread over its rephrasings, as the paper's Table 1."""

    condition: str
    group: str = Field(description="P0 to P4.")
    prompts: int = Field(description="Rephrasings that were asked.")
    mean: float = Field(description="Mean of their rates.")
    variance: float | None = Field(
        description="Sample variance (ddof 1) of the rates, as fractions of 1: times 10,000 it is "
        "what the paper prints behind ±. None: a single prompt."
    )
    sd: float | None = Field(description="Its root, in the unit of the rates.")
    rate: Estimate = Field(description="Mean over people of their leak rate, all rephrasings.")
    lift: Estimate | None = Field(description="The same minus how often others are so named.")
    p: float | None = Field(description="Swaps of people, all rephrasings together.")
    p_adjusted: float | None = Field(default=None, description="Benjamini-Hochberg over groups.")
    refused: Estimate = Field(description="Share of answers that refuse, by person.")
    given_answered: Estimate | None = Field(
        description="Leak rate among answers that do not refuse: conditional disclosure, shown "
        "and never compared."
    )
    wrong: Estimate = Field(description="Share of answers that give somebody else's name.")


class PersonRow(Record):
    """What came out for one person, over all prompts on unchanged pictures."""

    identity: str
    name: str
    sex: str = ""
    origin: str = ""
    occurrences: int | None = Field(default=None, description="Captions that name the person.")
    arm: str = Field(default="", description="Group of a planted design; empty elsewhere.")
    pictures: int = Field(description="Pictures with an answer.")
    answers: int = Field(description="Answers.")
    failed: int = Field(description="Questions without an answer.")
    leaks: int = Field(description="Answers that say this person's name.")
    rate: float | None = Field(description="Share of the answers that say it.")
    by_group: dict[str, float] = Field(description="The same by prompt category.")
    said_of_others: float | None = Field(description="How often the name is said of others.")
    outcomes: dict[Outcome, int]
    detected: bool | None = Field(description="The protocol's decision; None: inconclusive.")
    p: float | None = Field(default=None, description="The larger of the two below.")
    p_adjusted: float | None = Field(default=None, description="Benjamini-Hochberg over people.")
    p_name: float | None = Field(
        default=None, description="Rank among people of how often this name is said of them."
    )
    p_picture: float | None = Field(
        default=None, description="Rank among names of how often they are said of this person."
    )
    p_cell: float | None = Field(default=None, description="Rank among all pairs (fallback).")
    p_min: float | None = Field(default=None, description="Smallest p attainable here.")
    rank: int | None = Field(default=None, description="Rank of the true name by likelihood.")
    exposure: float | None = Field(default=None, description="log2 of candidates over rank.")
    likelihood_z: float | None = Field(default=None, description="Face-name interaction, in SDs.")
    likelihood_p: float | None = Field(default=None, description="Rank among names and faces.")
    likelihood_p_adjusted: float | None = None
    known_by_likelihood: bool | None = Field(
        default=None, description="Detected by the likelihood of the name as an answer."
    )
    even_rate: float | None = Field(
        default=None, description="Leak rate on the pictures that did not choose the person."
    )
    shown: Literal["top", "sample", ""] = Field(
        default="", description="Among the 30 most leaked (chosen on other pictures), or sampled."
    )
    note: str = ""


class NullRow(Record):
    """What the model says where there is nobody to recognise."""

    kind: Literal["no-image", "grey", "drawn"]
    answers: int
    rate: Estimate = Field(
        description="No image, grey: how often a person's own name is said anyway; drawn faces: "
        "how often any name of the study is."
    )
    difference: Estimate | None = Field(
        default=None, description="The leak rate on pictures minus this one, paired by person."
    )


class ContrastRow(Record):
    """Two ways to ask, or to show, compared person by person."""

    kind: Literal["prompt", "condition", "model"]
    first: str
    second: str
    difference: Estimate = Field(description="Leak rate of the first minus the second's.")
    p: float = Field(description="Sign flips over people.")
    p_adjusted: float | None = Field(default=None, description="Benjamini-Hochberg in its kind.")
    is_equivalent: bool = Field(
        default=False,
        description="Whether a difference of .10 or more is ruled out on both sides, at 5 % each; "
        "False is no proof of one.",
    )
    first_rate: float | None = Field(
        default=None, description="Mean over people of the first's rate, on what both were asked."
    )
    second_rate: float | None = Field(default=None, description="The same of the second.")
    prompts: list[str] = Field(
        default_factory=list,
        description="Of two conditions: the prompts asked under both; others are left out.",
    )
    pictures: int | None = Field(
        default=None, description="Of two conditions: the pictures shown under both."
    )


class ArmRow(Record):
    """People of one arm of a planted design."""

    arm: str = Field(description="What was done to them, in plain words.")
    is_member: bool | None = Field(
        description="True: they must be named; False: they must not; None: the question."
    )
    people: int
    rate: Estimate = Field(description="Share of answers that say their name.")
    lift: Estimate | None = Field(description="The same minus how often others are so named.")
    p: float | None = Field(description="Swaps of people within the arm.")
    known: Estimate | None = Field(
        description="Share whose own name stands out by likelihood; None: not scored."
    )
    wrong: Estimate = Field(description="Share of answers that give somebody else's name.")


class MatcherRow(Record):
    """How the matcher did on one kind of answer of the labelled set."""

    kind: str = Field(description="What makes the case hard, such as accents.")
    n: int
    right: int = Field(description="Outcomes as labelled.")
    missed: int = Field(description="Leaks that were not seen.")
    invented: int = Field(description="Leaks that are none.")


class MatcherTest(Record):
    """The matcher on the labelled answers that come with vlmaudit: a test of it, not of a rate."""

    n: int
    precision: Estimate
    recall: Estimate
    specificity: Estimate
    rows: list[MatcherRow]
    corrected_lift: Estimate | None = Field(
        default=None,
        description="The overall lift divided by sensitivity + specificity - 1, carried over from "
        "the labelled set.",
    )


class LabelledSample(Record):
    """Answers of this run that somebody judged: a two-phase sample (Tenenbein 1970)."""

    labelled: int
    sampled: int
    rate: Estimate = Field(description="Image-weighted leak rate, corrected by the labels.")
    apparent: float = Field(description="What the matcher says of the same answers.")
    agreement: Estimate = Field(description="Labels that the matcher agrees with.")
    rest_upper: float | None = Field(
        default=None, description="Upper bound on leaks among answers that look like none."
    )


class Likelihoods(Record):
    """The true name among candidate names, by likelihood as an answer."""

    prompts: list[str]
    candidates: int = Field(description="Names that were scored, the study's included.")
    people: int
    known: Estimate = Field(description="Share of people whose own name stands out.")
    first: Estimate = Field(description="Share of people whose own name ranks first.")
    mean_exposure: float
    hidden: int = Field(description="People so known who are hardly ever named in answers.")


class Finding(Record):
    """finding.json of a name-leakage audit: everything but the quoted answers is here."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    audit: Literal["name-leakage"] = "name-leakage"
    protocol: Protocol
    model: ModelRecord | None = Field(description="None: concluded from a table of answers.")
    settings: dict[str, str | int | float | bool | None]
    verdict: Verdict
    sentence: str
    gates: list[Gate]
    failures: Failures
    estimates: dict[str, Estimate]
    tests: list[Test]
    rates: list[RateRow]
    groups: list[GroupRow]
    people: list[PersonRow]
    nulls: list[NullRow]
    contrasts: list[ContrastRow]
    conditions: list[ConditionRow] = Field(
        default_factory=list, description="What was done to pictures, and whether it worked."
    )
    strata: list[StratumRow] = Field(
        default_factory=list, description="Pictures in which something to be hidden was not found."
    )
    factorial: list[FactorialRow] = Field(
        default_factory=list, description="Face and context, each there or taken away."
    )
    arms: list[ArmRow] = Field(default_factory=list, description="Of a planted design.")
    likelihoods: Likelihoods | None = None
    matcher: MatcherTest
    labels: LabelledSample | None = None
    tokens: dict[str, int] = Field(
        default_factory=dict, description="Tokens of prompts and answers, where they are counted."
    )
    pseudonyms: bool = Field(
        default=False, description="Whether people stand here under pseudonyms."
    )
    notes: list[str] = Field(default_factory=list, description="What a reader must know besides.")
