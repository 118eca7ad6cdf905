"""The paper's way to recognise faces: a residual network trained on the study's own people."""

import json
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from jaxtyping import Float, UInt8

from vlmaudit.errors import InputError, ModelError, did_you_mean
from vlmaudit.imaging.boxes import Pixels
from vlmaudit.imaging.recognisers import aligned
from vlmaudit.imaging.seams import Face

RECORD: Final = "recogniser.json"
WEIGHTS: Final = "recogniser.safetensors"
SIDE: Final = 112
"""Pixels a side of the faces that the network is shown."""
ARCHITECTURES: Final = ("resnet50", "resnet18")

# What torchvision's published weights were trained with, for whoever starts from them.
_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)


class TrainedRecogniser:
    """A folder that ``vlmaudit images train-recogniser`` wrote.

    Its vectors are what the network hands to its last layer: that layer knows only the people it
    was trained on, and would give a stranger's face to one of them.
    """

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        """Load the network.

        Raises:
            InputError: The folder holds none, or a damaged one.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            record = json.loads((folder / RECORD).read_bytes())
            self._digest = str(record["weights"])
            self.trained_on = frozenset(map(str, record["trained_on"]))
            network = build(str(record["architecture"]), len(record["people"]))
            network.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as why:
            said = (str(why).splitlines() or [type(why).__name__])[0]
            raise InputError(
                f"--recogniser classifier:{folder}: no trained recogniser ({said}); make one with "
                "vlmaudit images train-recogniser."
            ) from why
        self._architecture = str(record["architecture"])
        self._network = features_of(network).eval().to(device)
        self._device = device
        self._lock = Lock()

    @property
    def name(self) -> str:
        return f"a {self._architecture} trained on the study's people ({self._digest[:12]})"

    def describe(self, picture: Pixels, faces: Sequence[Face]) -> Float[np.ndarray, "faces dim"]:
        import torch

        if not faces:
            return np.empty((0, 0), dtype=np.float32)
        shown = np.stack([aligned(picture, face, side=SIDE) for face in faces])
        with self._lock, torch.inference_mode():
            # One by one: a face's vector must not depend on who else is in the picture.
            rows = [self._network(prepared(one[None]).to(self._device)) for one in shown]
            vectors = torch.cat(rows).flatten(1).float().cpu().numpy()
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)


def build(architecture: str, n_people: int) -> Any:  # noqa: ANN401
    """A network with one output a person, its numbers drawn from torch's random state.

    Raises:
        InputError: There is no such architecture.
    """
    from torchvision import models

    if architecture not in ARCHITECTURES:
        hint = did_you_mean(architecture, ARCHITECTURES)
        raise InputError(
            f'no such architecture as "{architecture}": wanted {" or ".join(ARCHITECTURES)}.{hint}'
        )
    return getattr(models, architecture)(weights=None, num_classes=n_people)


def features_of(network: Any) -> Any:  # noqa: ANN401
    """The network without its last layer."""
    from torch import nn

    return nn.Sequential(*list(network.children())[:-1])


def read_weights(network: Any, path: Path) -> None:  # noqa: ANN401
    """Start from somebody's weights of the same architecture; their last layer is left out.

    Args:
        network: Gets them.
        path: Of a state dict, as torchvision publishes them (``.pth``) or as safetensors.

    Raises:
        ModelError: The file is missing or holds something else.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        kept = {name: value for name, value in state.items() if not name.startswith("fc.")}
        found = network.load_state_dict(kept, strict=False)
    except (OSError, RuntimeError, AttributeError, EOFError, pickle.UnpicklingError) as why:
        raise _no_weights(path, (str(why).splitlines() or [type(why).__name__])[0]) from why
    except SafetensorError as why:
        raise _no_weights(path, str(why)) from why
    if any(not name.startswith("fc.") for name in found.missing_keys) or found.unexpected_keys:
        raise _no_weights(path, "other layers than this architecture has")


def prepared(faces: UInt8[np.ndarray, "faces side side 3"]) -> Any:  # noqa: ANN401
    """What the network is shown (torch, channels first)."""
    import torch

    values = torch.from_numpy(np.ascontiguousarray(faces)).permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(_MEAN).view(3, 1, 1)) / torch.tensor(_STD).view(3, 1, 1)


def _no_weights(path: Path, said: str) -> ModelError:
    return ModelError(
        f"--weights {path}: no weights of this architecture ({said}); give a state dict as "
        "torchvision publishes it, or leave the option out."
    )
