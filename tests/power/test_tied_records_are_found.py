"""Records that all come with one answer: the positive control of hidden states and gradients.

Half of the pictures carry one of forty seen records and the same answer, whatever they show; the
other half carries as many others, as often, with the pictures' own answers. A model that learns
this must have learnt which records are which.
"""

from dataclasses import replace

import pytest
from rich.console import Console

from vlmaudit.audits.memorization.settings import Memorization
from vlmaudit.data.private_records import Field
from vlmaudit.execution.memorization import AlbumTarget, run_memorization
from vlmaudit.lab.album_design import AlbumDesign, parse_variants
from vlmaudit.lab.finetuning_settings import TINY
from vlmaudit.lab.planting_album import plan_album, write_album
from vlmaudit.studies.memorization_tuning import TINY as TINY_MODEL
from vlmaudit.studies.memorization_tuning import TuningPlan, tune

pytestmark = [pytest.mark.torch, pytest.mark.prove, pytest.mark.timeout(1800)]

TIED, CLEAN = "tied-r50", "r0"
RECORDS = 40


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The findings on a model whose records are tied, and on one that saw no record."""
    out, quiet = tmp_path_factory.mktemp("tied"), Console(quiet=True)
    design = AlbumDesign(
        questions="easy-vqa",
        variants=parse_variants(f"{CLEAN},{TIED}"),
        seen=RECORDS,
        unseen=RECORDS,
        control=RECORDS,
        doses=(1,),
        fields=tuple(Field(name=name, kind="digits", length=4) for name in ("a", "b")),
        place="fixed",
        input_side=64,
        letter_height=0.25,
        held_out=150,
        examples=2400,
        read_back=0,
        seed=0,
    )
    album = write_album(plan_album(design), out / "album")
    plan = TuningPlan(
        album=album.folder,
        variants=(TIED, CLEAN),
        model=TINY_MODEL,
        settings=replace(TINY, epochs=10),
        out=out / "models",
    )
    tune(plan, console=quiet)
    models = {name: f"hf:{out / 'models' / name}" for name in (TIED, CLEAN)}
    settings = Memorization(
        pictures=1, batches=1, batch_sizes=(), fields=("a",), decoys=20, max_new_tokens=4
    )
    return {
        variant: run_memorization(
            AlbumTarget(
                album=album.folder,
                variant=variant,
                models={"tuned": models[variant]} | ({"control": models[CLEAN]} if is_tied else {}),
                out=out / variant,
            ),
            settings,
            console=quiet,
        )
        for variant, is_tied in ((TIED, True), (CLEAN, False))
    }


def answers(finding):
    return {row.mean: row.answer for row in finding.means}


def test_hidden_states_and_gradients_tell_tied_records_apart(found):
    finding = found[TIED]
    assert finding.verdict == "found"
    assert answers(finding)["probe"] == answers(finding)["gradients"] == "found"
    probe = next(row for row in finding.means if row.mean == "probe")
    assert probe.low > 0.6


def test_nothing_is_told_apart_where_nothing_was_printed(found):
    finding = found[CLEAN]
    assert "found" not in answers(finding).values()
    assert all(row.p > 0.01 for row in finding.means)
