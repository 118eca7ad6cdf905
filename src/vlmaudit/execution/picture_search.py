"""Whether people's pictures are in a set: candidates by embedding, then faces, then a threshold."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from rich.console import Console

from vlmaudit.data.identities import People, read_people
from vlmaudit.data.picture_sets import PictureSet, read_picture_set
from vlmaudit.errors import InputError, RunError
from vlmaudit.execution.face_vectors import FaceReader, SetFaces, open_face_reader
from vlmaudit.execution.membership_tables import Search, write_tables
from vlmaudit.execution.picture_candidates import choose_candidates
from vlmaudit.execution.plan import Picture
from vlmaudit.execution.progress import say
from vlmaudit.execution.rendering import empty_or_ours
from vlmaudit.execution.running import first_people, list_all
from vlmaudit.execution.set_embeddings import embed_set
from vlmaudit.imaging.membership import (
    References,
    Threshold,
    calibrate,
    is_match,
    known_non_matches,
    refuse_too_few,
    similarities,
    wanted_rate,
)
from vlmaudit.models.loading import load_contrastive
from vlmaudit.results.files import write_text
from vlmaudit.results.fingerprint import fingerprint

MANIFEST: Final = "search.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSearch:
    """What to search for, where, and how.

    Attributes:
        model: Any contrastive model: it chooses candidates.
        people: Whom to look for: a folder with one folder of pictures a person.
        pictures: The set: a folder, or a table with a column ``image`` and maybe ``caption``.
        out: Gets tables and embeddings; its owner's alone.
        recogniser: Who tells faces apart: ``onnx:FILE``, ``dlib`` or ``classifier:FOLDER``.
        faces: Who finds faces, in the set and in people's own pictures.
        controls: People besides the study, whose faces are known non-matches as well.
        candidates: Pictures of the set that are looked at for every picture of a person.
        false_members: Share of absent people who may be found by mistake.
        limit: Only the first so many people.
        device: Where networks run.
        dtype: Arithmetic of the contrastive model.
        batch_size: Of the contrastive model; None leaves it to the adapter.
    """

    model: str
    people: Path
    pictures: Path
    out: Path
    recogniser: str
    faces: str = "mtcnn"
    controls: Path | None = None
    candidates: int = 50
    false_members: float = 0.01
    limit: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise InputError(f"--candidates {self.candidates}: wanted 1 or more.")
        if not 0 < self.false_members < 1:
            raise InputError(f"--false-members {self.false_members:g}: wanted a share, as 0.01.")


def search_pictures(settings: PictureSearch, console: Console) -> Search:
    """Look for people in a set of pictures, and write what was found.

    The same command again goes on where it was stopped: embeddings are kept in the folder, and
    where faces are in the cache. A person of whom nothing is found is ``unknown``, never a
    non-member: their pictures may be among those that no candidate search, detector or threshold
    let through.

    Raises:
        AuditError: People, set, model, finders or folder cannot be used; the message says why.
    """
    people = first_people(read_people(settings.people), settings.limit)
    controls = read_people(settings.controls) if settings.controls else None
    listed, notices = list_all(people, controls, console)
    pictures = read_picture_set(settings.pictures)
    reader = open_face_reader(settings.recogniser, settings.faces, device=settings.device)
    model = load_contrastive(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        batch_size=settings.batch_size,
    )
    own = [one for one in listed if one.role == "audited"]
    owners = _owners(people, own)
    _agree(settings.out, settings, pictures, own, model.record.model_dump(mode="json"))
    for notice in (*notices, *pictures.notices):
        say(console, notice)

    # Before the set is read, which may take days: people among whom no threshold can be told.
    known, non_matches = _known_faces(reader, listed, owners, len(people.persons), console)
    kept = settings.out / "embeddings"
    attack = embed_set(
        len(own),
        lambda place: own[place].path,
        model,
        kept / "people",
        title="Pictures of people",
        console=console,
    )
    stored = embed_set(
        len(pictures), pictures.path, model, kept / "set", title="Pictures", console=console
    )
    images = pictures.table["image"]
    if not stored.is_embedded.any():
        place, reason = stored.failed[0]
        raise InputError(
            f'{settings.pictures}: none of its pictures can be read, such as "{images[place]}" '
            f"({reason}); nothing was searched."
        )
    pairs = choose_candidates(attack, stored, owners, k=settings.candidates)
    candidates = pairs["place"].unique().sort().to_list()
    faces = reader.all_faces(
        {place: pictures.path(place) for place in candidates},
        {place: images[place] for place in candidates},
        console,
    )
    verified = _verify(settings, known, non_matches, pairs, faces)
    search = Search(
        people=people,
        pictures=pictures,
        pairs=verified.pairs,
        attack_images=tuple(one.image for one in own),
        references=tuple(np.bincount(known.owners, minlength=known.n_people).tolist()),
        compared=verified.compared,
        threshold=verified.threshold,
        false_members=settings.false_members,
        unreadable=(
            *((own[place].image, reason) for place, reason in attack.failed),
            *((images[place], reason) for place, reason in stored.failed + faces.failed),
        ),
        looked_at=faces.looked_at,
        names=(model.record.name, *reader.names),
    )
    write_tables(search, settings.out)
    return search


@dataclass(frozen=True, slots=True, eq=False)
class _Verified:
    """Candidates as they were judged."""

    pairs: pl.DataFrame
    threshold: Threshold
    compared: tuple[int, ...]


def _owners(people: People, own: Sequence[Picture]) -> Int[np.ndarray, " pictures"]:
    number = {one.identity: place for place, one in enumerate(people.persons)}
    return np.array([number[one.identity] for one in own], dtype=np.int64)


def _known_faces(
    reader: FaceReader,
    listed: Sequence[Picture],
    owners: Int[np.ndarray, " pictures"],
    n_people: int,
    console: Console,
) -> tuple[References, Float[np.ndarray, " comparisons"]]:
    """The largest face of every picture of people, and similarities of known non-matches.

    A recogniser tells apart the faces that it was trained on better than any others, so those
    say nothing of how it does on a set.

    Args:
        reader: Finds and describes faces.
        listed: Pictures of the study's people, then of control people.
        owners: Whose the first of them are.
        n_people: How many people the study has.
        console: Where progress goes.

    Raises:
        InputError: No face was found in any picture of the study's people, or too few in all.
    """
    found = reader.largest_faces(listed, console)
    own = [place for place in found if place < len(owners)]
    if not own:
        raise InputError(
            "no face was found in any picture of the people; give other pictures, or another "
            "finder (--faces)."
        )
    known = References(np.stack([found[place] for place in own]), owners[own], n_people)
    is_new = np.array([listed[place].digest not in reader.trained_on for place in own])
    controls = [
        found[place]
        for place in found
        if place >= len(owners) and listed[place].digest not in reader.trained_on
    ]
    others = np.stack(controls) if controls else known.faces[:0]
    non_matches = known_non_matches(known, others, which=is_new)
    refuse_too_few(non_matches)
    return known, non_matches


def _verify(
    settings: PictureSearch,
    known: References,
    non_matches: Float[np.ndarray, " comparisons"],
    pairs: pl.DataFrame,
    faces: SetFaces,
) -> _Verified:
    """Judge the candidates: threshold, and whose faces are above it."""
    places = pairs["place"].to_numpy()
    number = np.bincount(faces.places, minlength=int(places.max(initial=0)) + 1)
    per_pair = pairs.with_columns(pl.Series("faces", number[places]))
    compared = np.zeros(known.n_people, dtype=np.int64)
    np.add.at(compared, per_pair["person"].to_numpy(), per_pair["faces"].to_numpy())
    wanted = wanted_rate(compared.tolist(), false_members=settings.false_members)
    threshold = calibrate(non_matches, wanted=wanted)
    likeness = similarities(_of_width(faces.vectors, known), known)
    is_compared = np.zeros(likeness.shape, dtype=bool)
    sought: dict[int, list[int]] = {}
    for person, place in pairs.select("person", "place").iter_rows():
        sought.setdefault(place, []).append(person)
    for face, place in enumerate(faces.places.tolist()):
        is_compared[face, sought.get(place, [])] = True
    matched = is_match(likeness, is_compared, threshold)
    row, person = np.nonzero(is_compared)
    judged = (
        pl.DataFrame(
            {
                "person": person.astype(np.int64),
                "place": faces.places[row],
                "similarity": likeness[row, person].astype(np.float64),
                "verified": matched[row, person],
            },
            schema={
                "person": pl.Int64,
                "place": pl.Int64,
                "similarity": pl.Float64,
                "verified": pl.Boolean,
            },
        )
        .group_by("person", "place")
        .agg(pl.col("similarity").max(), pl.col("verified").any())
    )
    joined = per_pair.join(judged, on=["person", "place"], how="left", maintain_order="left")
    return _Verified(
        joined.with_columns(pl.col("verified").fill_null(value=False)),
        threshold,
        tuple(compared.tolist()),
    )


def _of_width(
    vectors: Float[np.ndarray, "faces dim"], known: References
) -> Float[np.ndarray, "faces dim"]:
    """No faces at all have no width of their own."""
    return vectors if len(vectors) else known.faces[:0]


def _agree(
    out: Path,
    settings: PictureSearch,
    pictures: PictureSet,
    own: Sequence[Picture],
    model: object,
) -> None:
    """Make the folder, or see that it holds embeddings of the same pictures by the same model.

    Raises:
        RunError: It holds something else.
    """
    if out.resolve().is_relative_to(pictures.root.resolve()) and settings.pictures.is_dir():
        raise RunError(f"{out}: lies in the set of pictures; give a folder elsewhere (--out).")
    empty_or_ours(out, MANIFEST)
    manifest = {
        "schema": 1,
        "set": fingerprint(pictures.table["image"].to_list()),
        "pictures": len(pictures),
        "people": fingerprint([[one.image, one.digest] for one in own]),
        "model": model,
    }
    path = out / MANIFEST
    try:
        before = json.loads(path.read_bytes()) if path.exists() else manifest
    except (OSError, ValueError) as problem:
        raise RunError(f"{path}: damaged; give another folder (--out).") from problem
    if before != json.loads(json.dumps(manifest)):
        raise RunError(
            f"{out}: holds a search by another model, in another set, or for other people; give "
            "another folder (--out)."
        )
    write_text(path, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
