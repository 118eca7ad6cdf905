"""People as the paper cut them out: Grounding DINO finds their boxes, SAM their outlines."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from PIL import Image

from vlmaudit.errors import ModelError
from vlmaudit.imaging.boxes import Pixels
from vlmaudit.imaging.figures import figure_of, in_order
from vlmaudit.imaging.seams import Face, Figure

_PROMPT: Final = "person."
_BOX_SURE: Final = 0.35
_TEXT_SURE: Final = 0.25
"""From which scores a box counts: the values of the library's own example; the paper has none."""
_DETECTORS: Final = ("grounding-dino", "mm-grounding-dino")
_SEGMENTERS: Final = ("sam", "sam_hq")
"""Kinds of network whose processors are called as here; their classes load others too."""
_SOFT: Final = 1.5
"""Pixels over which an edge is blurred: a mask of whole pixels shows as a seam."""


class GroundedPeople:
    """Grounding DINO (Liu et al. 2023) and SAM (Kirillov et al. 2023), through transformers."""

    def __init__(
        self, detector: str, segmenter: str, *, device: str = "cpu", sure: float = _BOX_SURE
    ) -> None:
        """Load both networks, from local folders or the hub's cache.

        Args:
            detector: A Grounding DINO checkpoint.
            segmenter: A SAM checkpoint.
            device: Where they run.
            sure: Score from which a box counts.

        Raises:
            ModelError: A checkpoint cannot be loaded, or lacks weights.
        """
        from transformers import (
            AutoModelForMaskGeneration,
            AutoModelForZeroShotObjectDetection,
            AutoProcessor,
        )

        self._device = device
        self._sure = sure
        self._lock = Lock()
        self._detector = _model(detector, AutoModelForZeroShotObjectDetection, _DETECTORS).to(
            device
        )
        self._segmenter = _model(segmenter, AutoModelForMaskGeneration, _SEGMENTERS).to(device)
        self._detector_processor = _loaded(detector, AutoProcessor)
        self._segmenter_processor = _loaded(segmenter, AutoProcessor)
        self._digests = [_digest(model) for model in (self._detector, self._segmenter)]

    @property
    def name(self) -> str:
        one, other = self._digests
        return f"Grounding DINO ({one}) and SAM ({other}), boxes from a score of {self._sure:g}"

    def find(self, picture: Pixels, faces: Sequence[Face], image: str) -> list[Figure]:
        del faces, image
        import torch

        shown = Image.fromarray(picture)
        with self._lock, torch.inference_mode():
            boxes, scores = self._boxes(shown)
            if not len(boxes):
                return []
            masks = self._masks(shown, boxes)
        return in_order(
            [
                figure_of(_softened(mask), float(score))
                for mask, score in zip(masks, scores, strict=True)
            ]
        )

    def _boxes(self, shown: Image.Image) -> tuple[list[list[float]], list[float]]:
        inputs = self._detector_processor(images=shown, text=_PROMPT, return_tensors="pt")
        inputs = inputs.to(self._device)
        (found,) = self._detector_processor.post_process_grounded_object_detection(
            self._detector(**inputs),
            inputs["input_ids"],
            threshold=self._sure,
            text_threshold=min(_TEXT_SURE, self._sure),
            target_sizes=[shown.size[::-1]],
        )
        return found["boxes"].tolist(), found["scores"].tolist()

    def _masks(self, shown: Image.Image, boxes: list[list[float]]) -> list[np.ndarray]:
        """The outline in each box: the one that SAM is surest of."""
        inputs = self._segmenter_processor(shown, input_boxes=[boxes], return_tensors="pt")
        sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
        inputs = inputs.to(self._device)
        outputs = self._segmenter(**inputs)
        (masks,) = self._segmenter_processor.image_processor.post_process_masks(
            outputs.pred_masks.cpu(), *sizes
        )
        best = outputs.iou_scores[0].argmax(dim=-1).cpu()
        return [mask[int(place)].numpy() for mask, place in zip(masks, best, strict=True)]


def _model(spec: str, kind: Any, wanted: Sequence[str]) -> Any:  # noqa: ANN401 - a network
    """The network, complete: weights that are missing would be random, and find rubbish."""
    model, found = _loaded(spec, kind, output_loading_info=True)
    if model.config.model_type not in wanted:
        raise ModelError(
            f"--figures grounded: {spec} is a network of the kind {model.config.model_type}; "
            f"wanted {' or '.join(wanted)}."
        )
    absent = sorted(map(str, [*found["missing_keys"], *found["mismatched_keys"]]))
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise ModelError(
            f"--figures grounded: {spec} lacks weights of the network, or has them in another "
            f"shape: {absent[0]}{more}. Fetch the checkpoint anew."
        )
    return model.eval()


def _loaded(spec: str, kind: Any, **how: object) -> Any:  # noqa: ANN401 - whatever is loaded
    is_path = spec.startswith(("/", "./", "../", "~"))
    try:
        return kind.from_pretrained(str(Path(spec).expanduser()) if is_path else spec, **how)
    # The library raises nearly anything on damaged or foreign files.
    except Exception as problem:
        said = (str(problem).splitlines() or ["no reason given"])[0]
        raise ModelError(
            f"--figures grounded: {spec} cannot be loaded ({said}) Give a local folder (./NAME), "
            "or a name on the hub that can be reached, or use grabcut, which needs no weights."
        ) from problem


def _digest(model: Any) -> str:  # noqa: ANN401 - a model of transformers
    """Of all weights, by name."""
    digest = hashlib.blake2b(digest_size=6)
    for name, values in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(values.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()


def _softened(mask: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(mask.astype(np.uint8) * 255, (0, 0), _SOFT)
