"""A training: its settings, and its steps one at a time."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Int, UInt8

from vlmaudit.errors import InputError, did_you_mean
from vlmaudit.lab.architectures import Architecture, build, find_architecture, tokenizer_of
from vlmaudit.lab.checkpoints import Checkpoint
from vlmaudit.lab.mixture import DistinctBatches, Mixture
from vlmaudit.lab.pixels import mirrored, prepared, shifted
from vlmaudit.lab.texts import CaptionTower
from vlmaudit.seeds import stream

Precision = Literal["fp32", "amp_bf16"]


@dataclass(frozen=True, slots=True)
class Training:
    """How a target model is trained; a fixed number of steps, never a time limit.

    One thread, whatever the machine has: sums then have one order, so that a seed gives the same
    weights everywhere, and on two busy cores a second thread tripled the processor time.

    Attributes:
        steps: Batches.
        batch_size: Pairs in a batch, of as many different people or pictures without any.
        learning_rate: The highest; a short rise leads to it, half a cosine away from it.
        weight_decay: AdamW's, of matrices.
        warmup_steps: Steps of the rise.
        max_shift: How far a batch's pictures are moved at most, in pixels.
        mirror: Whether every second picture or so is shown mirrored.
        max_gradient_norm: Longer gradients are cut to this length; None leaves them.
        architecture: A name or a file for `find_architecture`.
        precision: ``amp_bf16`` multiplies matrices in bfloat16 and sums in fp32.
        threads: Threads of torch on a CPU.
    """

    steps: int = 250
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    warmup_steps: int = 10
    max_shift: int = 4
    mirror: bool = False
    max_gradient_norm: float | None = None
    architecture: str = "lab-resnet-64"
    precision: Precision = "fp32"
    threads: int = 1

    def __post_init__(self) -> None:
        for name, least in (
            *(("steps", 1), ("batch_size", 2), ("learning_rate", 0), ("weight_decay", 0)),
            *(("warmup_steps", 0), ("max_shift", 0), ("threads", 1), ("max_gradient_norm", 0)),
        ):
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise InputError(f"{name} = {value}: a training needs {least} or more.")
        if self.precision not in get_args(Precision):
            known = get_args(Precision)
            hint = did_you_mean(self.precision, known)
            raise InputError(
                f'no such precision as "{self.precision}".{hint} Known: {", ".join(known)}.'
            )

    @property
    def image_side(self) -> int:
        """Pixels along a side of the pictures that its architecture takes."""
        return find_architecture(self.architecture).side

    def rate(self, step: int) -> float:
        """The learning rate at a step, of which the first is 0."""
        rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
        fall = 0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * step / self.steps))
        return self.learning_rate * float(rise * fall)

    def recorded(self) -> dict[str, Any]:
        """The settings as JSON gives them back, with what the architecture is, not where."""
        architecture = find_architecture(self.architecture)
        named = {**asdict(self), "architecture": architecture.name}
        return json.loads(json.dumps({**named, "model_cfg": architecture.config}))


class Trainer:
    """A model, its optimizer and its data, a step at a time."""

    def __init__(
        self,
        mixture: Mixture,
        architecture: Architecture,
        settings: Training,
        *,
        seed: int,
        device: Any,  # noqa: ANN401
    ) -> None:
        import open_clip
        import torch

        self.step = 0
        self._mixture = mixture
        self._settings = settings
        self._device = device
        model = build(architecture)
        self._captions = CaptionTower(model, tokenizer_of(architecture)(list(mixture.captions)))
        # A step takes a third less time on a CPU.
        self._model = model.to(device, memory_format=torch.channels_last).train()
        self._optimizer = torch.optim.AdamW(
            _decayed_or_not(self._model, settings.weight_decay),
            lr=settings.learning_rate,
            fused=True,
        )
        self._loss = open_clip.ClipLoss()
        self._batches = DistinctBatches(
            mixture.faces,
            mixture.places,
            size=settings.batch_size,
            rng=stream(seed, "batches"),
        )
        self._shifts = stream(seed, "crops")
        self._mirrors = stream(seed, "mirrors")

    def advance(self) -> float | None:
        """Make a step and say the loss before it; None, and no step, where it is no number."""
        import torch
        from torch.nn.functional import normalize

        settings, model = self._settings, self._model
        batch = self._batches.draw()
        pictures = prepared(self._pictures(batch), self._device)
        with self._arithmetic():
            image_features = model.encode_image(pictures)
            text_features = self._captions.encode(batch)
        loss = self._loss(
            normalize(image_features.float(), dim=-1),
            normalize(text_features.float(), dim=-1),
            model.logit_scale.exp(),
        )
        if not math.isfinite(value := loss.item()):
            return None
        for group in self._optimizer.param_groups:
            group["lr"] = settings.rate(self.step)
        self._optimizer.zero_grad()
        loss.backward()
        if settings.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
        self._optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, np.log(100))
        self.step += 1
        return value

    def is_finite(self) -> bool:
        """Whether all weights are numbers."""
        return all(bool(value.isfinite().all()) for value in self._model.state_dict().values())

    def at_rest(self, identity: Mapping[str, Any]) -> Checkpoint:
        """All that the next step depends on."""
        import torch

        tensors = {f"model/{name}": value for name, value in self._model.state_dict().items()}
        for name, parameter in self._model.named_parameters():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"{key}/{name}"] = value
        tensors["turns"] = torch.from_numpy(self._batches.turns)
        tensors["random/cpu"] = torch.get_rng_state()
        if self._device.type == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state(self._device)
        state = {
            "batches": self._batches.rng_state,
            "shifts": self._shifts.bit_generator.state,
            "mirrors": self._mirrors.bit_generator.state,
        }
        return Checkpoint(identity, self.step, state, tensors)

    def go_on(self, found: Checkpoint) -> None:
        """Make the next step what it would have been when the checkpoint was written."""
        import torch

        self.step = found.step
        tensors = found.tensors
        self._model.load_state_dict(
            {name: tensors[f"model/{name}"] for name in self._model.state_dict()}
        )
        for name, parameter in self._model.named_parameters():
            if f"step/{name}" not in tensors:
                continue
            state = {"step": tensors[f"step/{name}"].to(self._device)}
            for key in ("exp_avg", "exp_avg_sq"):
                # In the parameter's own order of memory, as the optimizer makes them.
                state[key] = torch.zeros_like(parameter, requires_grad=False)
                state[key].copy_(tensors[f"{key}/{name}"])
            self._optimizer.state[parameter] = state
        self._batches.go_on(tensors["turns"].numpy(), found.state["batches"])
        self._shifts.bit_generator.state = found.state["shifts"]
        self._mirrors.bit_generator.state = found.state["mirrors"]
        torch.set_rng_state(tensors["random/cpu"])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random/cuda"], self._device)

    def finished(self) -> Any:  # noqa: ANN401
        """The model, whole."""
        rates = [self._settings.rate(step) for step in range(self._settings.steps)]
        self._captions.put_back(math.prod(1 - rate * self._settings.weight_decay for rate in rates))
        return self._model

    def _pictures(self, batch: Int[np.ndarray, " size"]) -> UInt8[np.ndarray, "size side side 3"]:
        pictures = self._mixture.pictures[self._mixture.places[batch]]
        most = self._settings.max_shift
        pictures = shifted(pictures, self._shifts.integers(0, 2 * most + 1, 2) - most)
        if self._settings.mirror:
            pictures = mirrored(pictures, self._mirrors.random(len(pictures)) < 0.5)
        return pictures

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        with ExitStack() as contexts:
            if self._settings.precision == "amp_bf16":
                contexts.enter_context(torch.autocast(self._device.type, dtype=torch.bfloat16))
                if self._device.type == "cpu":
                    # The CPU's fused kernel takes three times as long backwards in bfloat16.
                    contexts.enter_context(sdpa_kernel(SDPBackend.MATH))
            yield


def _decayed_or_not(model: Any, weight_decay: float) -> list[dict[str, Any]]:  # noqa: ANN401
    """Matrices are decayed; biases, gains and the temperature are not, as in open_clip."""
    matrices = [value for value in model.parameters() if value.ndim >= 2]
    others = [value for value in model.parameters() if value.ndim < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
