"""Writing the tables and conversations of an album, and last what says that it is whole."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vlmaudit.data.albums import (
    ALBUM_FILE,
    ARMS,
    HELD_OUT_COLUMNS,
    HELD_OUT_FILE,
    HELD_OUT_FOLDER,
    IMAGE_TOKEN,
    PICTURE_COLUMNS,
    PICTURES_FILE,
    RECORD_COLUMNS,
    RECORDS_FILE,
    TRAIN_FILE,
    AlbumRecord,
    VariantRecord,
)
from vlmaudit.data.images import open_picture
from vlmaudit.lab.album_design import Variant
from vlmaudit.lab.album_pictures import legibility_of
from vlmaudit.lab.album_plan import AlbumPlan
from vlmaudit.lab.album_pool import Watch
from vlmaudit.lab.album_writing import digest_of
from vlmaudit.results.files import write_csv, write_text
from vlmaudit.results.journal import Row
from vlmaudit.seeds import stream


def write_tables(plan: AlbumPlan, out: Path, rows: Sequence[Row], watch: Watch) -> None:
    """The tables, the conversations, and last what says that all of it is there."""
    design = plan.design
    write_csv(out / RECORDS_FILE, (*RECORD_COLUMNS, *design.field_names), _record_rows(plan))
    write_csv(out / PICTURES_FILE, PICTURE_COLUMNS, rows)
    files = {row["example"]: row["file"] for row in rows if row["variant"] == HELD_OUT_FOLDER}
    write_csv(
        out / HELD_OUT_FILE,
        HELD_OUT_COLUMNS,
        (
            {
                "picture": one.id,
                "file": files[one.id],
                "question": one.question,
                "answer": one.answer,
                "choices": "|".join(one.choices),
            }
            for one in plan.held_out
        ),
    )
    variants = {one.name: _write_variant(plan, one, out, rows) for one in design.variants}
    about = AlbumRecord(
        seed=design.seed,
        protocol=design.protocol,
        question=plan.set_name,
        fields=design.field_names,
        generator=design.fields,
        arms={arm: sum(1 for one in plan.records if one.arm == arm) for arm in ARMS},
        doses=design.doses,
        exact_doses=design.exact_doses,
        variants=variants,
        printing=plan.printing.to_dict(),
        encoding=plan.encoding,
        randomised=True,
        tied_answer=plan.tied_answer,
        gate=_gate(plan),
        legibility=_legibility(plan, out, rows, watch),
        settings=plan.digest,
        skipped=plan.skipped,
    )
    write_text(out / ALBUM_FILE, about.model_dump_json(by_alias=True, indent=1) + "\n")


def _record_rows(plan: AlbumPlan) -> Iterator[Mapping[str, object]]:
    for one in plan.records:
        yield {
            "record": one.record,
            "arm": one.arm,
            "dose": one.dose,
            "included": "true" if one.is_included else "false",
            "tied_answer": one.tied_answer,
            **one.values,
        }


def _write_variant(
    plan: AlbumPlan, variant: Variant, out: Path, rows: Sequence[Row]
) -> VariantRecord:
    """A variant's conversations in LLaVA's format, and what album.json says of it."""
    mine = [row for row in rows if row["variant"] == variant.name]
    lines = []
    for number, (example, row) in enumerate(zip(plan.examples, mine, strict=True)):
        said = []
        for place, (question, answer) in enumerate(plan.turns(variant, number)):
            asked = question if place else f"{IMAGE_TOKEN}\n{question}"
            said += [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
        image = row["file"].removeprefix(f"{variant.name}/")
        told = {"id": example.id, "image": image, "conversations": said}
        lines.append(json.dumps(told, ensure_ascii=False))
    path = out / variant.name / TRAIN_FILE
    write_text(path, "\n".join(lines) + "\n")
    return VariantRecord(
        rate=variant.rate,
        kind=variant.kind,
        examples=len(mine),
        stamped=sum(1 for row in mine if row["record"]),
        twin_of=variant.twin_of,
        times_per_dose=plan.dealt[variant.name].times_per_dose,
        train_sha256=digest_of(path),
    )


def _gate(plan: AlbumPlan) -> dict[str, Any]:
    gate = plan.gate
    return {
        "label": gate.label,
        "sentence": gate.sentence,
        "auc": gate.auc,
        "upper": gate.upper,
        "p": gate.p,
        "p_min": gate.p_min,
        "null_n": gate.null_n,
        "seen": gate.n_members,
        "unseen": gate.n_non_members,
    }


def _legibility(
    plan: AlbumPlan, out: Path, rows: Sequence[Row], watch: Watch
) -> dict[str, Any] | None:
    """What a reader makes of a sample of what was printed; None where nothing was."""
    by_name = {one.record: one.values for one in plan.records}
    stamped = [row for row in rows if row["record"]]
    if not stamped:
        return None
    order = stream(plan.design.seed, "read back").permutation(len(stamped))
    sample = [stamped[place] for place in order[: plan.design.read_back].tolist()]
    printed = [(open_picture(out / row["file"]), by_name[row["record"]]) for row in sample]
    with watch("Reading back what is printed", len(printed)) as advance:
        return legibility_of(printed, input_side=plan.design.input_side, advance=advance).to_dict()
