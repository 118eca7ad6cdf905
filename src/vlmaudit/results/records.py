"""What a run writes down for people and programs: manifest and the common parts of a finding."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """A frozen record; an unknown field is an error, not a passenger."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ModelRecord(Record):
    """Which model answered: enough to know the same weights again."""

    name: str = Field(description="How the model is called in findings: no path of any machine.")
    family: str = Field(description="The adapter that asked it, such as open_clip.")
    weights: str = Field(description="Digest of the weights, the tokenizer and the preprocessing.")
    dtype: str = Field(description="Arithmetic of the answers, such as float32.")
    attention: str = Field(default="default", description="Attention implementation.")
    quantization: str = Field(default="none", description="How the weights are quantised.")


class Estimate(Record):
    """Any number that is shown: never without n and an interval."""

    value: float | None = Field(description="The estimate, a fraction of 1 where it is a rate.")
    low: float | None = Field(description="Lower limit of the 95 % interval.")
    high: float | None = Field(description="Upper limit of the 95 % interval.")
    n: int = Field(description="How many units it rests on.")
    method: str = Field(description="How the interval was computed.")
    unit: str = Field(default="person", description="What is counted in n.")
    sd: float | None = Field(default=None, description="SD over draws: not an uncertainty.")


class Test(Record):
    """One test of a null hypothesis."""

    __test__ = False  # its name begins with "Test"; pytest must not collect it

    name: str = Field(description="What is tested.")
    p: float = Field(description="p-value; never 0.")
    p_adjusted: float | None = Field(default=None, description="Benjamini-Hochberg in its family.")
    statistic: float = Field(description="The observed statistic.")
    null: str = Field(description="What holds when nothing is there, and how it was drawn.")
    p_min: float | None = Field(default=None, description="Smallest p this test can reach.")
    null_n: int | None = Field(default=None, description="Size of the null distribution.")
    unit: str = Field(default="person", description="What was permuted or ranked.")
    family: str | None = Field(default=None, description="The tests it is adjusted with.")


class Gate(Record):
    """A condition under which the finding may be believed."""

    name: str = Field(description="What is checked.")
    passed: bool | None = Field(description="None: it could not be checked.")
    label: str = Field(default="", description="Its class, such as randomised or confounded.")
    sentence: str = Field(description="What was seen, in plain words.")


class Failures(Record):
    """What could not be asked: a failure is never an answer."""

    asked: int = Field(description="Pictures, or requests, that were to be put to the model.")
    answered: int = Field(description="Those that the model answered.")
    failed: int = Field(description="Those for which there is no answer.")
    unit: Literal["picture", "request"] = Field(
        default="picture", description="What is counted; a picture may take several requests."
    )
    reasons: dict[str, int] = Field(default_factory=dict, description="Failures by reason.")
    people_asked: int = Field(description="People with at least one answered picture.")
    people_lost: list[str] = Field(default_factory=list, description="People with none.")
