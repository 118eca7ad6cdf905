"""How a model is fine-tuned on an album: the paper's two recipes, and one for tiny models."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from vlmaudit.errors import InputError, did_you_mean

Method = Literal["lora", "full"]
METHODS: Final[tuple[Method, ...]] = ("lora", "full")
Vision = Literal["frozen", "tuned"]
VISIONS: Final[tuple[Vision, ...]] = ("frozen", "tuned")
Arithmetic = Literal["float32", "bfloat16"]
ARITHMETICS: Final[tuple[Arithmetic, ...]] = ("float32", "bfloat16")

_ATTENTION: Final = ("q_proj", "k_proj", "v_proj", "o_proj")
_FEED_FORWARD: Final = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """How a model is fine-tuned; a fixed number of steps, never a time limit.

    Attributes:
        method: Low-rank adapters on the language model (Hu et al. 2021, arXiv:2106.09685), or all
            of its weights.
        vision: Whether the vision tower is trained along: by adapters, or all of it.
        steps: Batches; None: as many as `epochs` make.
        epochs: How often each example is seen. The last batch of an epoch may be smaller.
        batch_size: Examples a step, whatever fits into memory at once.
        learning_rate: The highest; a straight rise leads to it, half a cosine from it to 0.
        projector_learning_rate: The projector's own; None: that of the rest, or not trained at all
            where the method is LoRA.
        vision_learning_rate: The vision tower's own, where it is tuned; None: that of the rest.
        warmup: Share of the steps that the rise takes.
        weight_decay: AdamW's, of matrices.
        betas: AdamW's.
        max_gradient_norm: To which gradients are cut; None leaves them.
        rank: Of the adapters.
        alpha: Of the adapters, whose output is scaled by alpha / rank.
        dropout: Of the adapters' input.
        targets: Names of the language model's layers that get an adapter; empty: all linear ones.
        max_length: Tokens of a conversation at most.
        dtype: Arithmetic. Weights that are trained are kept in float32 all the same.
        recomputes: Whether layers are computed again on the way back, to save memory.
        seed: Of adapters, order and dropout.
    """

    method: Method = "lora"
    vision: Vision = "frozen"
    steps: int | None = None
    epochs: float = 1.0
    batch_size: int = 16
    learning_rate: float = 2e-4
    projector_learning_rate: float | None = None
    vision_learning_rate: float | None = None
    warmup: float = 0.03
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    max_gradient_norm: float | None = 1.0
    rank: int = 128
    alpha: float = 256
    dropout: float = 0.05
    targets: tuple[str, ...] = ()
    max_length: int = 2048
    dtype: Arithmetic = "float32"
    recomputes: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, options in (("method", METHODS), ("vision", VISIONS), ("dtype", ARITHMETICS)):
            if (value := getattr(self, name)) not in options:
                hint = did_you_mean(value, options)
                raise InputError(f'{name} "{value}": wanted {" or ".join(options)}.{hint}')
        for name, least in (
            *(("steps", 1), ("batch_size", 1), ("rank", 1), ("max_length", 2)),
            *(("weight_decay", 0), ("warmup", 0), ("dropout", 0)),
        ):
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise InputError(f"{name} = {value}: wanted {least} or more.")
        rates = ("learning_rate", "projector_learning_rate", "vision_learning_rate")
        for name in (*rates, "epochs", "alpha"):
            if (value := getattr(self, name)) is not None and not 0 < value < math.inf:
                raise InputError(f"{name} = {value}: wanted more than 0.")
        if self.warmup > 1 or self.dropout >= 1 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(
                f"warmup = {self.warmup}, dropout = {self.dropout}, betas = {self.betas}: wanted "
                "shares below 1."
            )

    def steps_on(self, examples: int) -> int:
        """How many steps there are on so many examples.

        >>> FineTuning(epochs=2, batch_size=16).steps_on(40)
        6
        """
        if self.steps is not None:
            return self.steps
        return max(1, math.ceil(self.epochs * self.steps_an_epoch(examples)))

    def steps_an_epoch(self, examples: int) -> int:
        """Batches in which each example is seen once."""
        return math.ceil(examples / self.batch_size)

    def share_of_rate(self, step: int, steps: int) -> float:
        """What part of the highest learning rate a step has, of which the first is 0.

        transformers' cosine schedule with warm-up, a step ahead: there the first step has a rate
        of 0 and changes nothing.

        >>> [round(FineTuning(warmup=0.25).share_of_rate(step, 8), 2) for step in (0, 1, 4, 7)]
        [0.5, 1.0, 0.75, 0.07]
        """
        rising = math.ceil(self.warmup * steps)
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


LLAVA_15: Final = FineTuning(
    projector_learning_rate=2e-5,
    dtype="bfloat16",
    recomputes=True,
)
"""The paper's LLaVA-1.5-7B (PROTOCOLS 1.5): adapters of rank 128 on all linear layers.

The paper draws batches among conversations of like length; we draw among all.
"""

QWEN2_VL: Final = FineTuning(
    batch_size=12,
    learning_rate=1e-5,
    warmup=0.01,
    weight_decay=0.1,
    betas=(0.9, 0.95),
    rank=64,
    alpha=16,
    # Qwen-VL-Chat's c_attn, attn.c_proj, w2 and w1: all but the way out of the feed-forward part.
    targets=(*_ATTENTION, *_FEED_FORWARD[:2]),
    dtype="bfloat16",
    recomputes=True,
    seed=42,
)
"""The paper's Qwen-VL-Chat, carried over to its successors that transformers knows by itself."""

TINY: Final = FineTuning(
    method="full",
    vision="tuned",
    epochs=20,
    batch_size=48,
    learning_rate=1e-3,
    vision_learning_rate=3e-5,
    weight_decay=0.01,
    betas=(0.9, 0.98),
    max_length=512,
)
"""For models as `write_tiny_vlm` writes them, which begin with no knowledge at all.

A patch has thousands of inputs that hardly differ between pictures, and Adam's first steps move
each weight by the whole rate: at the rate of the rest, what pictures have in common drowns within
a hundred steps what they differ in. (That the projection of patches is where towers become
unstable is Chen, Xie & He 2021's, arXiv:2104.02057, who freeze it.)
"""

PRESETS: Final[Mapping[str, FineTuning]] = MappingProxyType(
    {"tiny": TINY, "llava-1.5": LLAVA_15, "qwen2-vl": QWEN2_VL}
)


def preset(name: str) -> FineTuning:
    """The settings of a name.

    Raises:
        InputError: There are none.
    """
    if name not in PRESETS:
        raise InputError(
            f"--preset {name}: there is none of that name.{did_you_mean(name, PRESETS)} Known: "
            f"{', '.join(PRESETS)}."
        )
    return PRESETS[name]
