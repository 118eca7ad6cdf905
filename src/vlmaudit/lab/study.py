"""A planted study on disk: people, controls, names and the target model."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image

from vlmaudit.data.identities import TABLE_COLUMNS, TABLE_NAME
from vlmaudit.errors import RunError
from vlmaudit.lab.contrastive import Progress, Training, train_contrastive
from vlmaudit.lab.manifests import differing, plain, read_json, write_json
from vlmaudit.lab.people import STYLE, Drawing, draw_people, take_pictures
from vlmaudit.lab.planting import (
    Design,
    Plan,
    PlannedPerson,
    build_mixture,
    picture_stream,
    plan_study,
)
from vlmaudit.results.files import write_csv

SCHEMA: Final = 1
MANIFEST_NAME: Final = "lab.json"
PLANTED_NAME: Final = "planted.json"
CHECKPOINT_EVERY: Final = 50
"""Steps: half a minute's work with the smallest models."""
_NAME_COLUMNS: Final = ("name", "sex", "origin")

Drawn = Callable[[int, int], object]
"""Called with the number of people whose pictures are written, and of all."""


@dataclass(frozen=True, slots=True)
class Study:
    """Where a planted study lies.

    Attributes:
        root: The folder of all of it.
        plan: Who is in it, and who is planted.
        drawings: The faces, in the plan's order; empty if the folder was there before.
    """

    root: Path
    plan: Plan
    drawings: tuple[Drawing, ...] = ()

    @property
    def people(self) -> Path:
        """The audited people's pictures, with their ``people.csv``."""
        return self.root / "people"

    @property
    def controls(self) -> Path:
        """The control people's pictures, with their ``people.csv``."""
        return self.root / "controls"

    @property
    def names(self) -> Path:
        """The decoy names."""
        return self.root / "names.csv"

    @property
    def model(self) -> Path:
        """The target model's folder, for ``open_clip:``."""
        return self.root / "model"


def draw_study(design: Design, out: Path, *, seed: int, progress: Drawn | None = None) -> Study:
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
    manifest = {"schema": SCHEMA, "seed": seed, "style": STYLE, "design": plain(design)}
    path = out / MANIFEST_NAME
    found = read_json(path)
    if found is None and out.exists() and any(out.iterdir()):
        raise RunError(f"{out}: the folder is not empty and holds no study; choose another folder.")
    whole = {"complete": True}  # whether it is finished makes it no other study
    if found is not None and (other := differing({**found, **whole}, {**manifest, **whole})):
        raise RunError(
            f"{out}: holds a study with other {other}; choose another folder, or remove this one."
        )
    plan = plan_study(design, seed=seed)
    if found is not None and found.get("complete"):
        return Study(out, plan)
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, {**manifest, "complete": False})
    study = Study(out, plan, tuple(draw_people([p.sex for p in plan.everybody()], seed=seed)))
    audited_and_controls = plan.audited + plan.controls
    for number, person in enumerate(audited_and_controls):
        parent = study.people if number < len(plan.audited) else study.controls
        folder = parent / folder_name(person.name)
        folder.mkdir(parents=True, exist_ok=True)
        pictures = take_pictures(
            study.drawings[number],
            design.attack_pictures,
            rng=picture_stream(plan, "attack", number),
        )
        for place, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / f"{place:03d}.png")
        if progress is not None:
            progress(number + 1, len(audited_and_controls))
    for parent, persons in ((study.people, plan.audited), (study.controls, plan.controls)):
        if persons:
            rows = [_row(plan, person) for person in persons]
            write_csv(parent / TABLE_NAME, TABLE_COLUMNS, rows)
    write_csv(study.names, _NAME_COLUMNS, [asdict(decoy) for decoy in plan.decoys])
    write_json(path, {**manifest, "complete": True})
    return study


def train_target(
    study: Study,
    *,
    settings: Training | None = None,
    device: str = "cpu",
    checkpoint_every: int | None = CHECKPOINT_EVERY,
    progress: Progress | None = None,
) -> Path:
    """Train the study's target model, go on where it was stopped, or find it trained.

    Args:
        study: The planted people.
        settings: How to train.
        device: ``cpu``, ``cuda`` or ``auto``.
        checkpoint_every: Steps between two checkpoints; None keeps none.
        progress: Called after every step with the step, the steps in all and the loss.

    Returns:
        The model's folder. ``planted.json`` in it is written last and says who was planted how,
        so that the assignment can be replayed from its seed.

    Raises:
        RunError: The folder holds a model that was trained otherwise, or a part of such a training.
    """
    settings = settings or Training()
    planted = planted_record(study.plan, settings)
    path = study.model / PLANTED_NAME
    found = read_json(path)
    if found is not None:
        if found != planted:
            raise RunError(
                f"{study.model}: holds a model with other {differing(found, planted)}; "
                "choose another folder, or remove this one."
            )
        return study.model
    plan = study.plan
    drawings = study.drawings or draw_people([p.sex for p in plan.everybody()], seed=plan.seed)
    train_contrastive(
        build_mixture(plan, drawings, side=settings.image_side),
        study.model,
        seed=plan.seed,
        settings=settings,
        device=device,
        checkpoint_every=checkpoint_every,
        progress=progress,
    )
    write_json(path, planted)
    return study.model


def planted_record(plan: Plan, settings: Training) -> dict[str, Any]:
    """What ``planted.json`` says: the design, and the arm and dose of everybody audited."""
    return {
        "schema": SCHEMA,
        "seed": plan.seed,
        "design": plain(plan.design),
        "training": settings.recorded(),
        "arms": plan.design.arms(),
        "people": [
            {
                "identity": person.identity,
                "stratum": person.sex,
                "arm": person.arm,
                "dose": person.dose,
            }
            for person in plan.audited
        ],
    }


def folder_name(name: str) -> str:
    """A name as a folder: one path part that is not hidden.

    >>> folder_name("Ada Lovelace"), folder_name("A/C .."), folder_name(".hidden")
    ('Ada_Lovelace', 'A-C_..', '_hidden')
    """
    joined = "_".join(name.split()).translate(str.maketrans("/\\\0", "---"))
    return f"_{joined[1:]}" if joined.startswith(".") else joined


def _row(plan: Plan, person: PlannedPerson) -> dict[str, Any]:
    # The arm is in planted.json alone: a column here would be a covariate that gives it away.
    return {
        "identity": person.identity,
        "folder": folder_name(person.name),
        "name": person.name,
        "aliases": "",
        "sex": person.sex,
        "origin": plan.design.origin,
        "membership": person.membership,
        "occurrences": plan.occurrences(person),
    }
