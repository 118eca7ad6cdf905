"""How well a target model does what it was trained for, as it is written down."""

from pydantic import Field

from vlmaudit.results.records import Estimate, Record


class HitRate(Record):
    """How often what is right is among the best k."""

    rate: Estimate = Field(description="Share of the pictures; no value where all must be right.")
    chance: float = Field(description="What a model that knows nothing reaches on average.")


class ZeroShot(Record):
    """Accuracy on labelled pictures without having been trained on their labels."""

    top1: HitRate
    top5: HitRate
    classes: int = Field(description="Labels to choose from.")
    failed: dict[str, int] = Field(description="Pictures that could not be asked, by reason.")


class Retrieval(Record):
    """How often a picture's own caption is among the best of all captions."""

    rank1: HitRate
    rank5: HitRate
    captions: int = Field(description="Different captions to choose from.")
    failed: dict[str, int] = Field(description="Pictures that could not be asked, by reason.")


class Utility(Record):
    """Table 2 of the IDIA paper, for one target."""

    retrieval: Retrieval | None = Field(description="On held-out pairs; None: there are none.")
    zero_shot: ZeroShot | None = Field(description="On labelled pictures; None: none were given.")
