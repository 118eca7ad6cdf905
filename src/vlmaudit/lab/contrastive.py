"""Training a tiny CLIP that open_clip loads like any other checkpoint."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from vlmaudit.lab.mixture import Mixture, distinct_batches
from vlmaudit.results.files import write_text, write_whole
from vlmaudit.seeds import stream

Progress = Callable[[int, int, float], object]
"""Called with the step, the number of steps and the loss."""

CONFIG_NAME: Final = "open_clip_config.json"
WEIGHTS_NAME: Final = "open_clip_model.safetensors"
_MEAN: Final = (0.5, 0.5, 0.5)
_STD: Final = (0.25, 0.25, 0.25)


@dataclass(frozen=True, slots=True)
class Training:
    """How a target model is trained; a fixed number of steps, never a time limit.

    One thread, whatever the machine has: sums then have one order, so that a seed gives the same
    weights everywhere, and on two busy cores a second thread tripled the processor time.
    """

    steps: int = 250
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    warmup_steps: int = 10
    max_shift: int = 4
    image_side: int = 64
    vision_layers: tuple[int, ...] = (1, 1, 1, 1)
    vision_width: int = 16
    text_layers: int = 2
    text_width: int = 128
    context_length: int = 20
    dimensions: int = 128
    threads: int = 1

    def model_config(self) -> dict[str, Any]:
        """The architecture in open_clip's words: a small ResNet and a small text transformer."""
        return {
            "embed_dim": self.dimensions,
            "vision_cfg": {
                "image_size": self.image_side,
                "layers": list(self.vision_layers),
                "width": self.vision_width,
            },
            "text_cfg": {
                "context_length": self.context_length,
                "vocab_size": 49408,
                "width": self.text_width,
                "heads": max(1, self.text_width // 32),
                "layers": self.text_layers,
            },
        }


def train_contrastive(
    mixture: Mixture,
    out: Path,
    *,
    seed: int,
    settings: Training | None = None,
    progress: Progress | None = None,
) -> None:
    """Train a tiny CLIP on a mixture, and save it as a folder that ``open_clip:./folder`` loads.

    The same mixture, seed and kind of processor give the same weights. The global
    random state and the number of threads are left as they were.

    Args:
        mixture: Pictures with captions, and whose face they show.
        out: The folder, made if need be, that gets the configuration and the weights.
        seed: Decides the first weights, the batches and the random crops.
        settings: How to train.
        progress: Called after every step.
    """
    import open_clip
    import torch
    from safetensors.torch import save_file

    settings = settings or Training()
    config = settings.model_config()
    with torch.random.fork_rng(devices=[]):
        # open_clip draws first weights from the global generator alone; it is put back after.
        torch.manual_seed(int(stream(seed, "weights").integers(2**63)))
        model = open_clip.model.CLIP(**config)
    # A step takes a third less time on a CPU.
    model = model.to(memory_format=torch.channels_last).train()
    tokenizer = open_clip.SimpleTokenizer(context_length=settings.context_length)
    texts = tokenizer(list(mixture.captions))
    pictures = torch.from_numpy(mixture.pictures).permute(0, 3, 1, 2)
    optimizer = torch.optim.AdamW(
        _decayed_or_not(model, settings.weight_decay),
        lr=settings.learning_rate,
        fused=True,
    )
    loss_function = open_clip.ClipLoss()
    batches = distinct_batches(
        mixture.faces,
        size=settings.batch_size,
        steps=settings.steps,
        rng=stream(seed, "batches"),
    )
    crops = stream(seed, "crops")
    with _threads(settings.threads):
        for step, batch in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _schedule(step, settings)
            places = torch.from_numpy(batch)
            shift = crops.integers(0, 2 * settings.max_shift + 1, 2)
            image_features, text_features, scale = model(
                _prepared(_shifted(pictures[places], shift, settings.max_shift)), texts[places]
            )
            loss = loss_function(image_features, text_features, scale)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, np.log(100))
            if progress is not None:
                progress(step + 1, settings.steps, loss.item())

    out.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in model.eval().state_dict().items()}
    write_whole(out / WEIGHTS_NAME, lambda part: save_file(weights, part))
    preprocessing = {
        "size": [settings.image_side, settings.image_side],
        "mean": list(_MEAN),
        "std": list(_STD),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocessing}, indent=2)
    write_text(out / CONFIG_NAME, text + "\n")


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads for torch, and as many as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _decayed_or_not(model: Any, weight_decay: float) -> list[dict[str, Any]]:  # noqa: ANN401
    """Matrices are decayed; biases, gains and the temperature are not, as in open_clip."""
    matrices = [value for value in model.parameters() if value.ndim >= 2]
    others = [value for value in model.parameters() if value.ndim < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _schedule(step: int, settings: Training) -> float:
    """Share of the learning rate: a short rise, then half a cosine."""
    rise = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    return float(rise * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * step / settings.steps))))


def _shifted(pictures: Any, shift: Any, max_shift: int) -> Any:  # noqa: ANN401
    """Every picture of a batch moved alike, edges repeated."""
    from torch.nn.functional import pad

    side = pictures.shape[-1]
    padded = pad(pictures.float(), (max_shift,) * 4, mode="replicate")
    return padded[..., shift[0] : shift[0] + side, shift[1] : shift[1] + side]


def _prepared(pictures: Any) -> Any:  # noqa: ANN401
    """What the saved preprocessing makes of pictures of the right size."""
    import torch

    mean = torch.tensor(_MEAN).view(3, 1, 1)
    std = torch.tensor(_STD).view(3, 1, 1)
    return ((pictures / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
