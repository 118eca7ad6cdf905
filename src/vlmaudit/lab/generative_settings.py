"""How a generative target is trained."""

import math
from dataclasses import dataclass, field

from vlmaudit.errors import InputError
from vlmaudit.lab.generative import Shape


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a training; a fixed number of steps, never a time limit.

    Attributes:
        steps: Batches.
        batch_size: Pictures in a batch.
        learning_rate: The highest; a short rise leads to it, half a cosine away from it.
        weight_decay: AdamW's, of matrices.
        warmup_steps: Steps of the rise.
        max_shift: How far a batch's pictures are moved at most, in pixels. The alignment, whose
            pictures are looked at once, leaves them where they are.
        sentences: Captions of a batch that the language model reads besides, in the first stage.
    """

    steps: int
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_steps: int = 20
    max_shift: int = 2
    sentences: int = 16

    def __post_init__(self) -> None:
        for name, least in (
            *(("steps", 1), ("batch_size", 2), ("learning_rate", 0), ("weight_decay", 0)),
            *(("warmup_steps", 0), ("max_shift", 0), ("sentences", 1)),
        ):
            if not least <= getattr(self, name) < math.inf:
                raise InputError(f"{name} = {getattr(self, name)}: wanted {least} or more.")

    def rate(self, step: int) -> float:
        """The learning rate at a step, of which the first is 0."""
        rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
        fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.learning_rate * rise * fall


@dataclass(frozen=True, slots=True)
class GenerativeTraining:
    """How a generative target is trained, on one thread.

    Attributes:
        shape: Sizes of the model.
        parts: The training of vision tower and language model, each for itself.
        alignment: The training of projector and language model together.
    """

    shape: Shape = field(default_factory=Shape)
    parts: Stage = field(default_factory=lambda: Stage(steps=500))
    alignment: Stage = field(
        default_factory=lambda: Stage(steps=300, batch_size=32, learning_rate=4e-3, max_shift=0)
    )
