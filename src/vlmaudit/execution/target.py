"""What is audited, where the run is kept, and how it goes on."""

from dataclasses import dataclass, field
from pathlib import Path

from vlmaudit.execution.looks import Looks
from vlmaudit.execution.plan import Shard
from vlmaudit.models.patience import Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom to ask about whom, and how.

    Attributes:
        patience: How an endpoint is asked; nothing to a model on this machine.
        shard: Which share of the blocks this process asks.
        reuse: Another run, whose answers to the same cases are taken over.
        retry: Whether what failed for the time being is asked again.
        allow_mixed: Whether a run may go on under other library versions.
        looks: Who finds what conditions take away.
        counts: A table of how often captions name people, or of who was in the training data.
    """

    model: str
    people: Path
    out: Path
    controls: Path | None = None
    names: Path | None = None
    limit: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int | None = None
    fresh: bool = False
    patience: Patience = field(default_factory=Patience)
    shard: Shard = field(default_factory=Shard)
    reuse: Path | None = None
    retry: bool = True
    allow_mixed: bool = False
    looks: Looks = field(default_factory=Looks)
    counts: Path | None = None
