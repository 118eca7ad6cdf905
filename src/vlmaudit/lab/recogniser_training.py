"""Training a network to tell the study's people apart, as the IDIA paper did with a ResNet-50.

The paper starts from torchvision's ImageNet weights and trains for 100 epochs with Adam at 0.003, a
tenth of it from three quarters and a hundredth from nine tenths on; crops of 85 to 100 % and
jittered colours. So do we, and mirror half of the faces besides.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Int, UInt8

from vlmaudit.errors import InputError, ModelError
from vlmaudit.imaging.trained_recogniser import SIDE, build, prepared, read_weights
from vlmaudit.lab.sessions import find_sessions, measure_likeness, near_duplicates, split_sides
from vlmaudit.models.loading import ModelSpec
from vlmaudit.results.records import Estimate
from vlmaudit.seeds import stream
from vlmaudit.stats.intervals import clopper_pearson

LEAST_PICTURES: Final = 3
"""Of a person; with fewer, nothing is left to learn from once one is held out."""
_HELD_OUT: Final = 0.2
_EPOCHS: Final = 100
_MILESTONES: Final = (0.75, 0.9)
_CROP: Final = (0.85, 1.0)
_JITTER: Final = (0.2, 0.2, 0.1, 0.1)


@dataclass(frozen=True, slots=True)
class RecogniserTraining:
    """How a recogniser is trained; a fixed number of steps, on one thread, so that a seed tells.

    Attributes:
        steps: Batches; None: 100 epochs.
        batch_size: Faces in a batch.
        learning_rate: Adam's, at first.
        architecture: One of `trained_recogniser.ARCHITECTURES`.
        weights: Whose numbers to start from; None: drawn.
        seed: Of what is held out, drawn and shown.
    """

    steps: int | None = None
    batch_size: int = 32
    learning_rate: float = 3e-3
    architecture: str = "resnet50"
    weights: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise InputError(f"--steps {self.steps}: wanted 1 or more.")
        if self.batch_size < 2 or not 0 < self.learning_rate < math.inf:
            raise InputError(
                f"batches of {self.batch_size} at a rate of {self.learning_rate:g}: wanted 2 faces "
                "or more, at a rate above 0."
            )

    def rate(self, step: int, steps: int) -> float:
        """The learning rate at a step of so many, of which the first is 0."""
        return self.learning_rate * 0.1 ** sum(step >= share * steps for share in _MILESTONES)


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetwork:
    """A network that tells the study's people apart.

    Attributes:
        network: With one output a person (torch).
        steps: How many were made.
        trained: Faces that it was trained on, by number.
        held_out: Faces that it was not; none is a near-duplicate of one of the same person's.
        accuracy: Share of held-out faces that are given to their owner, averaged over people.
        without: People with nothing held out, since all their pictures are of one session.
    """

    network: Any
    steps: int
    trained: tuple[int, ...]
    held_out: tuple[int, ...]
    accuracy: Estimate
    without: tuple[int, ...]


def train_recogniser(
    faces: UInt8[np.ndarray, "faces side side 3"],
    owners: Sequence[int],
    keys: Sequence[str],
    settings: RecogniserTraining,
    *,
    device: str = "cpu",
    begin: Callable[[int], Callable[[int], None]] = lambda _: lambda _: None,
) -> TrainedNetwork:
    """Train on most faces of everybody, and see how many of the others are recognised.

    Args:
        faces: Upright and in place, as `recognisers.aligned` cuts them.
        owners: Whose they are, as numbers from 0 without gaps.
        keys: Unique names of the pictures: what is held out depends on them and the seed.
        settings: How.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        begin: Told how many steps there will be; what it returns is told of each.

    Raises:
        InputError: Weights or architecture cannot be used.
        ModelError: There is no such device, or the training came to no numbers.
    """
    import torch

    from vlmaudit.models.devices import pick_device

    place = pick_device(ModelSpec("in training", "classifier"), device)
    whose = np.array(owners, dtype=np.int64)
    trained, held_out, without = _split(faces, whose, keys, settings.seed)
    size = min(settings.batch_size, len(trained))
    steps = settings.steps or math.ceil(_EPOCHS * len(trained) / size)
    advance = begin(steps)
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(stream(settings.seed, "recogniser").integers(2**63)))
        torch.set_num_threads(1)
        try:
            network = build(settings.architecture, int(whose.max()) + 1)
            if settings.weights is not None:
                read_weights(network, settings.weights)
            network.to(place).train()
            batches = _batches(np.array(trained), size, settings.seed)
            _train(network, faces, whose, batches, settings=settings, steps=steps, advance=advance)
            network.eval()
            accuracy = _accuracy(network, faces, whose, held_out)
        finally:
            torch.set_num_threads(threads)
    return TrainedNetwork(network.cpu(), steps, trained, held_out, accuracy, without)


def _split(
    faces: UInt8[np.ndarray, "faces side side 3"],
    owners: Int[np.ndarray, " faces"],
    keys: Sequence[str],
    seed: int,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Faces to train on and to hold out, by number, and people of whom none is held out."""
    pairs = near_duplicates(measure_likeness(faces))
    sessions = find_sessions(len(faces), pairs[owners[pairs[:, 0]] == owners[pairs[:, 1]]])
    trained: list[int] = []
    held_out: list[int] = []
    without: list[int] = []
    for person in range(int(owners.max()) + 1):
        own = np.flatnonzero(owners == person).tolist()
        names = [keys[number] for number in own]
        split = split_sides(
            sessions[own],
            names,
            n_attack=max(1, round(_HELD_OUT * len(own))),
            rng=stream(seed, "held out", min(names)),
        )
        trained += [own[place] for place in split.train]
        held_out += [own[place] for place in (*split.attack, *split.left_out)]
        if not split.attack:
            without.append(person)
    return tuple(sorted(trained)), tuple(sorted(held_out)), tuple(without)


def _batches(
    numbers: Int[np.ndarray, " faces"], size: int, seed: int
) -> Iterator[Int[np.ndarray, " size"]]:
    """Everything once in an order drawn at random, again and again, dealt into full batches."""
    rng = stream(seed, "batches")
    left = numbers[:0]
    while True:
        while len(left) < size:
            left = np.concatenate([left, rng.permutation(numbers)])
        yield left[:size]
        left = left[size:]


def _train(
    network: Any,  # noqa: ANN401
    faces: UInt8[np.ndarray, "faces side side 3"],
    owners: Int[np.ndarray, " faces"],
    batches: Iterator[Int[np.ndarray, " size"]],
    *,
    settings: RecogniserTraining,
    steps: int,
    advance: Callable[[int], None],
) -> None:
    import torch
    from torch.nn.functional import cross_entropy
    from torchvision.transforms import v2

    device = next(network.parameters()).device
    varied = v2.Compose(
        [
            v2.RandomResizedCrop(SIDE, scale=_CROP, ratio=(1, 1), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(*_JITTER),
        ]
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    for step, batch in zip(range(steps), batches, strict=False):
        shown = torch.from_numpy(faces[batch]).permute(0, 3, 1, 2)
        pictures = torch.stack([varied(one) for one in shown]).permute(0, 2, 3, 1).numpy()
        wanted = torch.from_numpy(owners[batch]).to(device)
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step, steps)
        loss = cross_entropy(network(prepared(pictures).to(device)), wanted)
        if not math.isfinite(loss.item()):
            raise ModelError(
                f"training the recogniser came to no number at step {step + 1}; give another seed "
                "(--seed), or other weights to start from (--weights)."
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        advance(1)


def _accuracy(
    network: Any,  # noqa: ANN401
    faces: UInt8[np.ndarray, "faces side side 3"],
    owners: Int[np.ndarray, " faces"],
    held_out: Sequence[int],
) -> Estimate:
    """How many held-out faces are given to their owner; the person is the unit."""
    import torch

    if not held_out:
        return Estimate(value=None, low=None, high=None, n=0, method="Clopper-Pearson")
    numbers = np.array(held_out)
    device = next(network.parameters()).device
    said: list[int] = []
    with torch.inference_mode():
        for start in range(0, len(numbers), 64):
            shown = prepared(faces[numbers[start : start + 64]]).to(device)
            said += network(shown).argmax(dim=1).tolist()
    is_right = np.array(said) == owners[numbers]
    people = np.unique(owners[numbers])
    total = sum(float(is_right[owners[numbers] == person].mean()) for person in people)
    interval = clopper_pearson(total, len(people))
    return Estimate(
        value=total / len(people),
        low=interval.low,
        high=interval.high,
        n=len(people),
        method="Clopper-Pearson",
    )
