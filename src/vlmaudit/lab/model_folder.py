"""A trained model as a folder that ``open_clip:./folder`` loads."""

import json
from pathlib import Path
from typing import Any, Final

from vlmaudit.errors import ModelError
from vlmaudit.lab.architectures import Architecture
from vlmaudit.lab.checkpoints import write_tensors
from vlmaudit.lab.pixels import MEAN, STD
from vlmaudit.models.loading import load_contrastive
from vlmaudit.models.self_test import check_contrastive
from vlmaudit.results.files import write_text
from vlmaudit.results.self_test import KNOWN_ANSWERS

CONFIG_NAME: Final = "open_clip_config.json"
WEIGHTS_NAME: Final = "open_clip_model.safetensors"


def write_model(model: Any, architecture: Architecture, out: Path) -> None:  # noqa: ANN401
    """Write weights, configuration, and what the model says now of inputs that never change.

    The last is what ``vlmaudit models check`` compares with, on this machine or another.

    Args:
        model: The trained `open_clip.CLIP`.
        architecture: What it was built of.
        out: The folder, which is there.

    Raises:
        ModelError: What it says is not made of numbers.
    """
    # Of a model that was there before.
    (out / KNOWN_ANSWERS).unlink(missing_ok=True)
    write_tensors(out / WEIGHTS_NAME, model.eval().cpu().state_dict())
    preprocessing = {
        "size": [architecture.side, architecture.side],
        "mean": list(MEAN),
        "std": list(STD),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    described = {"model_cfg": architecture.config, "preprocess_cfg": preprocessing}
    write_text(out / CONFIG_NAME, json.dumps(described, indent=2) + "\n")

    answers = check_contrastive(load_contrastive(f"open_clip:{out.resolve()}")).answers
    if answers is None:
        raise ModelError(f"{out}: the trained model's embeddings are not made of numbers.")
    write_text(out / KNOWN_ANSWERS, answers.model_dump_json(indent=2, by_alias=True) + "\n")
