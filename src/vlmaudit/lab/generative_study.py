"""A generative study on disk: people, names, and two models of the same parts.

Whether the parts have seen a person's face and name is randomised by person, within each model.
Whether the alignment named people is a factor of the model, of which there is one of each kind: a
difference between the two models is one training against one other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vlmaudit.data.identities import TABLE_COLUMNS, TABLE_NAME
from vlmaudit.errors import InputError, RunError, did_you_mean
from vlmaudit.lab.generative_planting import (
    EXPOSED,
    GenerativeDesign,
    GenerativePlan,
    own_scene,
    plan_generative,
)
from vlmaudit.lab.generative_texts import ALIGNMENTS, Alignment
from vlmaudit.lab.generative_training import GenerativeTraining, Progress, align, teach_parts
from vlmaudit.lab.hatched import STYLE as HATCHED
from vlmaudit.lab.hatched import hatch_people
from vlmaudit.lab.manifests import differing, plain, read_json, write_json
from vlmaudit.lab.people import STYLE, Drawing, draw_people, take_pictures
from vlmaudit.lab.planting import PlannedPerson
from vlmaudit.lab.scenes import compose
from vlmaudit.lab.study import MANIFEST_NAME, PLANTED_NAME, Drawn, folder_name
from vlmaudit.results.files import write_csv
from vlmaudit.seeds import stream

SCHEMA: Final = 1
CHECKPOINT_EVERY: Final = 100
"""Steps: some seconds' work."""
_NAME_COLUMNS: Final = ("name", "sex", "origin")
_BOX_COLUMNS: Final = ("image", "left", "top", "width", "height")


@dataclass(frozen=True, slots=True)
class GenerativeStudy:
    """Where a generative study lies.

    Attributes:
        root: The folder of all of it.
        plan: Who is in it, and who is exposed.
        drawings: The faces, in the plan's order; empty if the folder was there before.
    """

    root: Path
    plan: GenerativePlan
    drawings: tuple[Drawing, ...] = ()

    @property
    def people(self) -> Path:
        """The audited people's pictures, with their ``people.csv``."""
        return self.root / "people"

    @property
    def names(self) -> Path:
        """The decoy names."""
        return self.root / "names.csv"

    @property
    def boxes(self) -> Path:
        """Where faces are in the audited people's pictures, if names are tied to something."""
        return self.root / "boxes.csv"

    @property
    def masks(self) -> Path:
        """Where people are in them: a picture each, 255 where there is nothing but the person."""
        return self.root / "masks"

    @property
    def parts(self) -> Path:
        """The model whose parts are trained, and which was not aligned yet, for ``hf:``."""
        return self.root / "parts"

    @property
    def models(self) -> dict[Alignment, Path]:
        """The target models' folders, for ``hf:``."""
        return {alignment: self.root / alignment for alignment in ALIGNMENTS}

    def faces(self) -> tuple[Drawing, ...]:
        """Everybody's face, drawn again if need be."""
        return self.drawings or _faces(self.plan)


def _faces(plan: GenerativePlan) -> tuple[Drawing, ...]:
    """Everybody's face: hatched where a study is of conditions, which a grid must take away."""
    draw = draw_people if plan.design.tied_to is None else hatch_people
    return tuple(draw([person.sex for person in plan.everybody()], seed=plan.seed))


def draw_generative_study(
    design: GenerativeDesign, out: Path, *, seed: int, progress: Drawn | None = None
) -> GenerativeStudy:
    """Draw the people of a study and write their pictures, or find them written.

    The same design and seed write the same bytes; so a drawing that was interrupted is simply
    done again, and a finished folder is used as it is.

    Args:
        design: How many people are in which arm.
        out: The study's folder.
        seed: Decides names, faces, arms and pictures.
        progress: Called after each person.

    Raises:
        RunError: The folder holds something else, or a study of another design or seed.
        InputError: The design asks for more names or faces than there are.
    """
    manifest = {
        "schema": SCHEMA,
        "seed": seed,
        "style": STYLE if design.tied_to is None else HATCHED,
        "design": design.record(),
        "models": dict.fromkeys(ALIGNMENTS, 1),
    }
    path = out / MANIFEST_NAME
    found = read_json(path)
    _refuse_another(out, found, manifest)
    plan = plan_generative(design, seed=seed)
    if found is not None and found.get("complete"):
        return GenerativeStudy(out, plan)
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, {**manifest, "complete": False})
    study = GenerativeStudy(out, plan, _faces(plan))
    boxes: list[dict[str, str | int]] = []
    for number, person in enumerate(plan.audited):
        folder = study.people / folder_name(person.name)
        folder.mkdir(parents=True, exist_ok=True)
        names = [f"{folder.name}/{place:03d}.png" for place in range(design.attack_pictures)]
        rng = stream(seed, "attack pictures", number)
        face = study.drawings[number]
        if design.tied_to is None:
            pictures = take_pictures(face, design.attack_pictures, rng=rng)
        else:
            scene = own_scene(seed, number)
            composed = compose([face] * len(names), [scene] * len(names), rng=rng)
            pictures = composed.pictures
            boxes += [
                dict(zip(_BOX_COLUMNS, (name, *box), strict=True))
                for name, box in zip(names, composed.boxes, strict=True)
            ]
            (study.masks / folder.name).mkdir(parents=True, exist_ok=True)
            _save(composed.masks, study.masks, names)
        _save(pictures, study.people, names)
        if progress is not None:
            progress(number + 1, len(plan.audited))
    write_csv(study.people / TABLE_NAME, TABLE_COLUMNS, [_row(plan, one) for one in plan.audited])
    if design.tied_to is not None:
        write_csv(study.boxes, _BOX_COLUMNS, boxes)
    write_csv(study.names, _NAME_COLUMNS, [asdict(decoy) for decoy in plan.decoys])
    write_json(path, {**manifest, "complete": True})
    return study


def _save(pictures: UInt8[np.ndarray, "count ..."], folder: Path, names: Sequence[str]) -> None:
    for picture, name in zip(pictures, names, strict=True):
        Image.fromarray(picture).save(folder / name)


def _refuse_another(
    out: Path, found: Mapping[str, Any] | None, manifest: Mapping[str, Any]
) -> None:
    if found is None:
        if out.exists() and any(out.iterdir()):
            raise RunError(
                f"{out}: the folder is not empty and holds no study; choose another folder."
            )
    elif other := differing({**found, "complete": ""}, {**manifest, "complete": ""}):
        raise RunError(
            f"{out}: holds a study with other {other}; choose another folder, or remove this one."
        )


def train_parts(
    study: GenerativeStudy,
    *,
    settings: GenerativeTraining | None = None,
    checkpoint_every: int | None = CHECKPOINT_EVERY,
    progress: Progress | None = None,
) -> Path:
    """Train the parts that both models are made of, go on with them, or find them trained.

    Args:
        study: The planted people.
        settings: How to train.
        checkpoint_every: Steps between two checkpoints; None keeps none.
        progress: Called after every step with the step, the steps in all and the loss.

    Returns:
        Their folder: a model that has learnt to see and to speak, and not yet to answer.

    Raises:
        RunError: The folder holds parts that were trained otherwise, or is in use.
        ModelError: The training leaves the realm of numbers.
    """
    settings = settings or GenerativeTraining()

    def teach() -> None:
        teach_parts(
            study.plan,
            study.faces(),
            study.parts,
            settings=settings,
            checkpoint_every=checkpoint_every,
            progress=progress,
        )

    return _once(study.parts, planted_record(study.plan, settings, "none"), teach)


def train_generative(
    study: GenerativeStudy,
    alignment: Alignment,
    *,
    settings: GenerativeTraining | None = None,
    checkpoint_every: int | None = CHECKPOINT_EVERY,
    progress: Progress | None = None,
) -> Path:
    """Align one of the study's models, go on with it, or find it aligned.

    Parts that are not there yet are trained first, without a word: `train_parts` has its own
    progress.

    Args:
        study: The planted people.
        alignment: Whether the model is taught on answers that name people.
        settings: How to train.
        checkpoint_every: Steps between two checkpoints; None keeps none.
        progress: Called after every step with the step, the steps in all and the loss.

    Returns:
        The model's folder, for ``hf:``. ``planted.json`` in it is written last and says who was
        exposed, so that the assignment can be replayed from its seed.

    Raises:
        InputError: There is no such alignment.
        RunError: A folder holds something that was trained otherwise, or is in use.
        ModelError: The training leaves the realm of numbers.
    """
    settings = settings or GenerativeTraining()
    if alignment not in ALIGNMENTS:
        raise InputError(
            f'alignment "{alignment}": wanted {" or ".join(ALIGNMENTS)}.'
            f"{did_you_mean(alignment, ALIGNMENTS)}"
        )
    out = study.models[alignment]

    def teach() -> None:
        train_parts(study, settings=settings, checkpoint_every=checkpoint_every)
        align(
            study.plan,
            study.faces(),
            study.parts,
            out,
            alignment=alignment,
            settings=settings,
            checkpoint_every=checkpoint_every,
            progress=progress,
        )

    return _once(out, planted_record(study.plan, settings, alignment), teach)


def _once(out: Path, planted: Mapping[str, Any], teach: Callable[[], None]) -> Path:
    path = out / PLANTED_NAME
    found = read_json(path)
    if found is None:
        teach()
        write_json(path, planted)
    elif other := differing(found, planted):
        raise RunError(
            f"{out}: holds a model with other {other}; choose another folder, or remove this one."
        )
    return out


def planted_record(
    plan: GenerativePlan, settings: GenerativeTraining, alignment: Alignment | str
) -> dict[str, Any]:
    """What ``planted.json`` says: the design, the alignment, and everybody's arm and dose.

    A dose is how many pictures were trained on together with the person's name, in all stages.
    """
    stages = 2 if alignment == "named" else 1
    return {
        "schema": SCHEMA,
        "seed": plan.seed,
        "design": plan.design.record(),
        "training": plain(settings),
        "alignment": alignment,
        "models": dict.fromkeys(ALIGNMENTS, 1),
        "arms": plan.design.arms(),
        "people": [
            {
                "identity": person.identity,
                "stratum": person.sex,
                "arm": person.arm,
                "dose": stages * plan.pictures_of(person),
            }
            for person in plan.audited
        ],
    }


def _row(plan: GenerativePlan, person: PlannedPerson) -> dict[str, Any]:
    # The arm is in planted.json alone: a column here would be a covariate that gives it away.
    return {
        "identity": person.identity,
        "folder": folder_name(person.name),
        "name": person.name,
        "aliases": "",
        "sex": person.sex,
        "origin": plan.design.origin,
        "membership": "member" if person.arm == EXPOSED else "non_member",
        # In the parts' training: what the alignment adds differs between the models.
        "occurrences": plan.pictures_of(person),
    }
