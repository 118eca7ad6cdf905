"""What a loaded model really does: which activations it applies, how it prepares pictures."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from PIL.Image import Image, new
from torch import nn

QUICK_GELU: Final = "QuickGELU"
GELU: Final = "GELU"
TANH_GELU: Final = "GELU (tanh)"
SILU: Final = "SiLU"
RELU: Final = "ReLU"

# An activation is known by its values, whatever its class is called.
_KNOWN: Final[Mapping[str, Callable[[float], float]]] = MappingProxyType(
    {
        QUICK_GELU: lambda x: x * _sigmoid(1.702 * x),
        GELU: lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
        TANH_GELU: lambda x: (
            x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
        ),
        SILU: lambda x: x * _sigmoid(x),
        RELU: lambda x: max(x, 0.0),
    }
)
_GRID: Final = (*(step / 4 for step in range(-20, 21)), 100.0)
# GELU and its approximation by tanh lie 5e-4 apart.
_SAME_VALUES: Final = 5e-5

_COLOURS: Final = (*itertools.product((0, 255), repeat=3), (128, 128, 128), (20, 90, 200))
_SIDE: Final = 64
# Of pixel values from 0 to 1: an eighth of a step of 8 bit.
_SAME_PIXEL: Final = 5e-4

Pixels = Float[np.ndarray, "pictures pixels channels"]


def activation_of(modules: Iterable[nn.Module]) -> str | None:
    """What a tower's blocks apply, such as "QuickGELU"; several names where they differ.

    Activations are found as modules without weights that change each number by itself. Bounded
    ones are gates and poolers, and count only where there is no other.

    Args:
        modules: The tower, or its parts.

    Returns:
        None where no activation is a module: some towers call functions.
    """
    free: set[str] = set()
    bounded: set[str] = set()
    for module in {each for part in modules for each in part.modules()}:
        values = _values(module)
        if values is not None:
            (bounded if abs(values[-1]) <= 1 else free).add(_name(module, values))
    return " and ".join(sorted(free or bounded)) or None


def _values(module: nn.Module) -> Float[np.ndarray, " grid"] | None:
    """What a module makes of each number, where it is an activation at all."""
    if list(module.children()) or module.state_dict():
        return None
    grid = torch.tensor(_GRID)
    try:
        with torch.inference_mode():
            values, beginning = module(grid), module(grid[:7])
    except Exception:  # modules that pad, pool or attend: none of them takes a bare row
        return None
    if not isinstance(values, torch.Tensor) or values.shape != grid.shape:
        return None
    changes_each_by_itself = torch.allclose(values[:7], beginning)
    # Dropout at rest and Identity give back what they get.
    is_linear = torch.allclose(values, values[-1] / grid[-1] * grid)
    return None if is_linear or not changes_each_by_itself else values.numpy()


def _name(module: nn.Module, values: Float[np.ndarray, " grid"]) -> str:
    for name, function in _KNOWN.items():
        expected = [function(x) for x in _GRID]
        if np.allclose(values, expected, rtol=1e-6, atol=_SAME_VALUES):
            return name
    return type(module).__name__


def _sigmoid(x: float) -> float:
    return (1 + math.tanh(x / 2)) / 2


def preprocessing_of(
    prepare: Callable[[Sequence[Image]], Pixels],
) -> tuple[str, tuple[float, ...], tuple[float, ...]] | None:
    """Channel order, mean and std of a preprocessing, measured on pictures of one colour each.

    Args:
        prepare: Gives the pixel values that the image tower is handed.

    Returns:
        Colours in channel order, mean and std of each channel for pixel values from 0 to 1; None
        where what comes out is no colour channel less a mean, divided by a std.
    """
    pictures = [new("RGB", (_SIDE, _SIDE), colour) for colour in _COLOURS]
    # The median, since a tower that takes any shape may be handed some padding.
    handed = np.median(prepare(pictures).astype(np.float64), axis=1)
    if not np.isfinite(handed).all():
        return None
    shown = np.c_[np.array(_COLOURS) / 255, np.ones(len(_COLOURS))]
    lines, *_ = np.linalg.lstsq(shown, handed, rcond=None)
    slopes, offsets = lines[:3], lines[3]
    sources = np.abs(slopes).argmax(axis=0)
    strength = slopes[sources, np.arange(slopes.shape[1])]
    if not np.abs(strength).all() or sorted(sources) != [0, 1, 2]:
        return None
    # In units of a pixel value; of the slopes only the strongest of each channel shall be there.
    astray = np.abs(shown @ lines - handed) / np.abs(strength)
    others = np.where(np.arange(3)[:, None] == sources, 0, slopes) / strength
    if not max(astray.max(), np.abs(others).max()) <= _SAME_PIXEL:
        return None
    mean, std = -offsets / strength, 1 / strength
    return "".join("RGB"[each] for each in sources), _plain(mean), _plain(std)


def _plain(numbers: Float[np.ndarray, " channels"]) -> tuple[float, ...]:
    return tuple(round(float(number), 6) for number in numbers)
