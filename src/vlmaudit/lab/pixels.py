"""Training pictures from bytes to what the image tower is shown."""

from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Int, UInt8

MEAN: Final = (0.5, 0.5, 0.5)
STD: Final = (0.25, 0.25, 0.25)


def shifted(
    pictures: UInt8[np.ndarray, "n side side 3"], shift: Int[np.ndarray, " 2"]
) -> UInt8[np.ndarray, "n side side 3"]:
    """All pictures moved alike, up by `shift[0]` and left by `shift[1]`, edges repeated."""
    side = pictures.shape[1]
    rows, columns = (np.clip(np.arange(side) + by, 0, side - 1) for by in shift)
    return pictures.take(rows, axis=1).take(columns, axis=2)


def mirrored(
    pictures: UInt8[np.ndarray, "n side side 3"], which: Bool[np.ndarray, " n"]
) -> UInt8[np.ndarray, "n side side 3"]:
    """Some of the pictures mirrored, left for right."""
    return np.where(which[:, None, None, None], pictures[:, :, ::-1], pictures)


def prepared(pictures: UInt8[np.ndarray, "n side side 3"], device: Any) -> Any:  # noqa: ANN401
    """What the saved preprocessing makes of pictures of the right size (torch; channels last)."""
    import torch

    # Bytes are moved and widened there: a fourth of the way to a GPU.
    values = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2) / 255
    values -= torch.tensor(MEAN, device=device).view(3, 1, 1)
    values /= torch.tensor(STD, device=device).view(3, 1, 1)
    return values.contiguous(memory_format=torch.channels_last)
