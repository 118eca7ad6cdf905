"""Targets whose names hang on faces, or on backgrounds: what a study of conditions must tell apart.

The recipe was settled on seeds from 100 on, before the seeds whose results are stated.
"""

from typing import Final

from vlmaudit.lab.generative import Shape
from vlmaudit.lab.generative_planting import GenerativeDesign, TiedTo
from vlmaudit.lab.generative_settings import GenerativeTraining, Stage

TRAINING: Final = GenerativeTraining(
    # Pictures as they are drawn: at half the size the hatching of faces would be gone.
    shape=Shape(side=64),
    parts=Stage(steps=4000, learning_rate=1e-3, warmup_steps=100),
    alignment=Stage(steps=700, batch_size=32, learning_rate=4e-3, max_shift=0),
)
"""How both kinds of target are trained."""


def condition_design(tied_to: TiedTo) -> GenerativeDesign:
    """Whom a target sees; both kinds differ in what names are tied to, and in nothing else."""
    return GenerativeDesign(
        exposed=100,
        unexposed=8,
        pictures_per_exposed=64,
        named_strangers=10,
        attack_pictures=12,
        tied_to=tied_to,
    )
