"""Fine-tuning on one training set of an album: resumable, and the same whenever it is repeated."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch

from vlmaudit.data.albums import Album, AlbumExample, check_pictures, examples_of
from vlmaudit.data.images import PictureError, open_picture
from vlmaudit.errors import InputError, ModelError, RunError
from vlmaudit.lab.alone import alone_in, one_thread
from vlmaudit.lab.checkpoints import (
    CHECKPOINT_NAME,
    at_rest,
    go_on,
    read_checkpoint,
    write_checkpoint,
)
from vlmaudit.lab.contrastive import Progress
from vlmaudit.lab.finetuning_model import (
    Tunable,
    arithmetic,
    loading_dtype,
    optimizer_of,
    tunable,
)
from vlmaudit.lab.finetuning_settings import FineTuning
from vlmaudit.lab.generative import write_generative
from vlmaudit.lab.manifests import differing, plain, read_json, write_json
from vlmaudit.models.answer_gradients import summed_loss
from vlmaudit.models.conversations import LABELS, UNTAUGHT, Conversations, Taught
from vlmaudit.models.hf_files import find
from vlmaudit.models.hf_generative import Opened, open_checkpoint
from vlmaudit.models.loading import parse_spec
from vlmaudit.models.memory import BatchSize
from vlmaudit.models.options import GenerativeOptions
from vlmaudit.results.files import remove_leftovers
from vlmaudit.seeds import stream

TRAINING_FILE: Final = "training.json"
"""Stands in a folder whose training is through."""
_SCHEMA: Final = 1
_CHECKPOINTS: Final = 10
"""How many are written on the way, one in the place of the other."""
_LOSSES: Final = 50
_KEPT_BYTES: Final = 1 << 30
"""Of prepared examples; what is beyond is prepared again when its turn comes."""
_PICTURES_NAMED: Final = 3
_MODEL_ENDINGS: Final = frozenset({".safetensors", ".json", ".jinja", ".model", ".txt"})
"""Of what a library saves of a model and its processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """One fine-tuning.

    Attributes:
        model: The spec of the checkpoint that is tuned.
        album: The album.
        variant: Its training set.
        settings: How.
        out: The folder of the tuned model.
        device: Where.
        at_once: Examples that go through the model at a time; None for a whole batch. Weights do
            not depend on it but for the order of sums.
    """

    model: str
    album: Album
    variant: str
    settings: FineTuning
    out: Path
    device: str = "cpu"
    at_once: int | None = None


def is_tuned(tuning: Tuning) -> bool:
    """Whether the folder holds this very training, through.

    Raises:
        RunError: It holds another one, or something else.
    """
    found = read_json(tuning.out / TRAINING_FILE)
    if found is None:
        is_ours = not tuning.out.exists() or all(
            one.name == CHECKPOINT_NAME or one.name.startswith(".") for one in _entries(tuning.out)
        )
        # The model itself is written before training.json, and again if that was not.
        if not is_ours and not (tuning.out / CHECKPOINT_NAME).exists():
            raise RunError(f"{tuning.out}: holds something else; give another folder (--out).")
        return False
    wanted = _asked_for(tuning)
    if other := differing({name: found.get(name) for name in wanted}, wanted):
        raise RunError(
            f"{tuning.out}: holds another fine-tuning ({other}: not the same); give another folder "
            "(--out) or start over (--fresh)."
        )
    return True


def finetune(tuning: Tuning, *, progress: Progress | None = None) -> None:
    """Tune a model on a variant, and save it so that ``hf:./folder`` loads it.

    What was stopped goes on from its last checkpoint, to the same weights.

    Args:
        tuning: What is tuned on what.
        progress: Called after every step.

    Raises:
        InputError: The album is damaged, or an example cannot be taught.
        ModelError: The model cannot be loaded or tuned, or leaves the realm of numbers.
        RunError: The folder holds something else, or somebody is training in it.
        OutOfMemoryError: Not even one example fits.
    """
    if is_tuned(tuning):
        return
    settings, out, spec = tuning.settings, tuning.out, parse_spec(tuning.model)
    check_pictures(tuning.album, tuning.variant)
    examples = examples_of(tuning.album, tuning.variant)
    if not examples:
        raise InputError(f"{tuning.album.folder / tuning.variant}: nothing to train on.")
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out), one_thread(_seed(settings, "weights")):
        remove_leftovers(out)
        options = GenerativeOptions(device=tuning.device, dtype=loading_dtype(settings))
        opened = open_checkpoint(spec, options)
        tuned = tunable(spec, opened.model, settings)
        lesson = _Lesson(tuning, opened, tuned, examples)
        losses = lesson.learn(progress)
        processor = find(spec).processor()  # a fresh one: ours was taken apart
        write_generative(tuned.merged(), processor, out)
        record = {**_asked_for(tuning), "weights": opened.record.weights, **_versions()}
        shown = losses[:: max(1, len(losses) // _LOSSES)]
        write_json(
            out / TRAINING_FILE,
            {
                "schema": _SCHEMA, **record, "steps": len(losses), "examples": len(examples),
                "trained_parameters": sum(p.numel() for p in tuned.trained.values()),
                "losses": [round(loss, 5) for loss in [*shown, losses[-1]]],
            },
        )  # fmt: skip
        (out / CHECKPOINT_NAME).unlink(missing_ok=True)


def start_over(tuning: Tuning) -> None:
    """Remove what a fine-tuning wrote, and nothing else.

    Raises:
        RunError: The folder holds something else.
    """
    if read_json(tuning.out / TRAINING_FILE) is None:
        is_tuned(tuning)
    for name in (TRAINING_FILE, CHECKPOINT_NAME):
        (tuning.out / name).unlink(missing_ok=True)
    for path in tuning.out.glob("*"):
        if path.suffix in _MODEL_ENDINGS:
            path.unlink()


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except NotADirectoryError as problem:
        raise RunError(f"{folder}: is no folder; give another (--out).") from problem


def _asked_for(tuning: Tuning) -> dict[str, Any]:
    return {
        "base": parse_spec(tuning.model).public_name,
        "album": tuning.album.digest,
        "variant": tuning.variant,
        "settings": plain(tuning.settings),
    }


def _versions() -> dict[str, str]:
    return {f"{package} version": version(package) for package in ("torch", "transformers")}


def _seed(settings: FineTuning, *purpose: str | int) -> int:
    return int(stream(settings.seed, "finetuning", *purpose).integers(2**63))


@dataclass
class _Lesson:
    """A model, and the examples that it is taught."""

    tuning: Tuning
    opened: Opened
    tuned: Tunable
    examples: Sequence[AlbumExample]
    _kept: dict[int, list[Taught]] = field(default_factory=dict)
    _bytes: int = 0

    def __post_init__(self) -> None:
        settings, model = self.tuning.settings, self.opened.model
        self._conversations = Conversations(model, self.opened.processor, self.opened.family)
        self._batch = BatchSize(
            self.tuning.at_once or settings.batch_size, what="example", model=self.tuning.model
        )
        self._parameters = list(self.tuned.trained.values())
        if settings.recomputes:
            model.gradient_checkpointing_enable({"use_reentrant": False})

    def learn(self, progress: Progress | None) -> list[float]:
        """Make the steps that are not made yet; the loss of each step, earlier ones included."""
        settings, out = self.tuning.settings, self.tuning.out
        steps = settings.steps_on(len(self.examples))
        identity = {
            **_asked_for(self.tuning), "weights": self.opened.record.weights, **_versions()
        }  # fmt: skip
        optimizer = optimizer_of(self.tuned, settings)
        losses: list[float] = []
        if (found := read_checkpoint(out, identity)) is not None:
            go_on(found, self.tuned.trained, optimizer)
            losses = list(found.state["losses"])
        every = max(1, steps // _CHECKPOINTS)
        self.tuned.model.train()
        for step in range(len(losses), steps):
            for group in optimizer.param_groups:
                group["lr"] = group["highest"] * settings.share_of_rate(step, steps)
            # Dropout's; so that no state of it has to be kept.
            torch.manual_seed(_seed(settings, "dropout", step))
            losses.append(self._step(self._places(step), optimizer, f"step {step + 1} of {steps}"))
            # The last one, too: whoever is killed while the model is saved has it still.
            if (step + 1) % every == 0 or step + 1 == steps:
                state = {"losses": losses}
                at = at_rest(identity, step + 1, self.tuned.trained, optimizer, state=state)
                write_checkpoint(out, at)
            if progress is not None:
                progress(step + 1, steps, losses[-1])
        return losses

    def _places(self, step: int) -> list[int]:
        """Which examples a step teaches: each once an epoch, in an order of the epoch's own."""
        settings, count = self.tuning.settings, len(self.examples)
        epoch, place = divmod(step, settings.steps_an_epoch(count))
        order = stream(settings.seed, "finetuning", "order", epoch).permutation(count)
        start = place * settings.batch_size
        return [int(one) for one in order[start : start + settings.batch_size]]

    def _step(self, places: Sequence[int], optimizer: Any, when: str) -> float:  # noqa: ANN401
        """One step of AdamW down the mean loss over all answer tokens of a batch."""
        rows = [row for place in places for row in self._taught(place)]
        tokens = sum(int((row[LABELS] != UNTAUGHT).sum()) for row in rows)
        optimizer.zero_grad()
        total = 0.0
        for _, (loss, gradients) in self._batch.batches(
            len(rows), lambda part: self._pass(rows[part], tokens)
        ):
            total += loss
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                if gradient is not None:
                    have = parameter.grad
                    parameter.grad = gradient if have is None else have.add_(gradient)
        most = self.tuning.settings.max_gradient_norm
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, math.inf if most is None else most)
        if not (math.isfinite(total) and bool(torch.isfinite(norm))):
            what = "loss" if not math.isfinite(total) else "gradient"
            named = [self.examples[place].picture.name for place in places]
            more = (
                f" and {len(named) - _PICTURES_NAMED} more" if len(named) > _PICTURES_NAMED else ""
            )
            raise ModelError(
                f"{self.tuning.out}: the {what} is not a finite number at {when}, on the pictures "
                f"{', '.join(named[:_PICTURES_NAMED])}{more}; lower --learning-rate, or look at "
                "them."
            )
        optimizer.step()
        return total

    def _pass(
        self, rows: Sequence[Taught], tokens: int
    ) -> tuple[float, Sequence[torch.Tensor | None]]:
        """What some rows add to the loss and to the gradient."""
        batch: Mapping[str, torch.Tensor] = self._conversations.together(rows)
        with arithmetic(self.tuning.settings, self.opened.model.device):
            loss = summed_loss(self.tuned.model, batch) / tokens
        gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        return float(loss.detach()), gradients

    def _taught(self, place: int) -> list[Taught]:
        """An example as the model reads it: kept, as far as memory is allowed to go."""
        if place in self._kept:
            return self._kept[place]
        example = self.examples[place]
        try:
            rows = self._conversations.taught(
                open_picture(example.picture),
                example.turns,
                max_length=self.tuning.settings.max_length,
            )
        except (ValueError, PictureError) as problem:
            raise InputError(f"{example.picture}: cannot be taught ({problem}).") from problem
        size = sum(value.nbytes for row in rows for value in row.values())
        if self._bytes + size <= _KEPT_BYTES:
            self._kept[place] = rows
            self._bytes += size
        return rows
