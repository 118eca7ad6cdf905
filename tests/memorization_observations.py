"""Made-up observations of a fine-tuned checkpoint, with or without something planted in them."""

import numpy as np
import polars as pl

from vlmaudit.audits.memorization.observed import Observed
from vlmaudit.audits.memorization.settings import Memorization
from vlmaudit.results.state_files import StateItem, States

QUICK = Memorization(permutations=199, pictures=2)
ALBUM = {"randomised": True, "gate": {"passed": True, "sentence": "alike."}}


def records_of(side=40, canaries=0, *, doses=(1, 2, 4, 8)):
    rng = np.random.default_rng(5)
    rows = []
    for arm in ("seen", "unseen", "control"):
        rows += [
            {
                "record": f"{arm}{number:03d}",
                "arm": arm,
                "dose": doses[number % len(doses)] if arm == "seen" else 0,
                "included": None,
            }
            for number in range(side)
        ]
    rows += [
        {
            "record": f"canary{number:03d}",
            "arm": "canary",
            "dose": 8,
            "included": bool(rng.random() < 0.5),
        }
        for number in range(canaries)
    ]
    table = pl.DataFrame(rows, schema_overrides={"included": pl.Boolean})
    return table.with_columns(username=pl.concat_str(pl.lit("Ada "), "record"))


def states_of(records, *, strength=0.0, seed=0, layers=3, width=48, items=2):
    rng = np.random.default_rng(seed)
    rows, values = [], []
    for record, arm in (
        records.filter(pl.col("arm") != "canary").select("record", "arm").iter_rows()
    ):
        point = rng.standard_normal((layers, width)) * 0.5
        point[1, 0] += strength if arm == "seen" else 0.0
        for item in range(items):
            rows.append(StateItem(f"{record}/{item}", f"{record}.{item}", record, arm, "?"))
            values.append(point + 0.3 * rng.standard_normal((layers, width)))
    table = pl.DataFrame([{name: getattr(row, name) for name in row.__slots__} for row in rows])
    names = tuple(f"layer {n}" for n in range(layers))
    return States(None, table, np.array(values, np.float32), names, {"layers": list(names)})


def gradients_of(records, *, strength=0.0, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for record, arm in (
        records.filter(pl.col("arm").is_in(["seen", "unseen"])).select("record", "arm").iter_rows()
    ):
        own = 0.01 * rng.standard_normal()
        for batch in range(3):
            for module in ("vision", "language 1"):
                for kind in ("stamped", "neutral"):
                    shift = own if kind == "stamped" else 0.0
                    if kind == "stamped" and module == "vision" and arm == "seen":
                        shift -= strength
                    cosine = 0.9 + shift + 0.01 * rng.standard_normal()
                    rows.append(("tuned", batch, 4, kind, record, arm, module, cosine))
    for module in ("vision", "language 1"):
        for kind, cosine in (("clean-again", 1.0), ("stamped", 0.8)):
            rows += [("tuned", 0, size, kind, "", "", module, cosine) for size in (1, 4)]
    names = ("role", "batch", "batch_size", "kind", "record", "arm", "module", "cosine")
    return pl.DataFrame(rows, schema=names, orient="row")


def answers_of(records, *, says=0.0, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for row in records.filter(pl.col("arm") != "canary").iter_rows(named=True):
        for way in ("outright", "partial", "removed"):
            is_said = row["arm"] == "seen" and rng.random() < says
            said = row["username"] if is_said else "a red circle"
            rows.append(("tuned", way, row["record"], row["arm"], "username", "answered", "", said))
    names = ("role", "way", "record", "arm", "field", "status", "reason", "answer")
    return pl.DataFrame(rows, schema=names, orient="row")


def exposure_of(records, *, known=0.0, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for row in records.iter_rows(named=True):
        is_in = row["arm"] == "seen" or row["included"] is True
        for with_picture in (True, False):
            rank = rng.integers(0, 1001)
            higher = int(rank * (1 - known)) if is_in else int(rank)
            rows.append(
                ("tuned", row["record"], row["arm"], "username", with_picture, "answered", "",
                 higher, 1, 1000)
            )  # fmt: skip
    names = ("role", "record", "arm", "field", "with_picture", "status", "reason", "higher",
             "equal", "decoys")  # fmt: skip
    return pl.DataFrame(rows, schema=names, orient="row")


def observed(side=40, *, canaries=0, states=0.0, gradients=0.0, says=0.0, known=0.0):
    records = records_of(side, canaries)
    return Observed(
        records=records,
        states={
            "tuned": states_of(records, strength=states),
            "control": states_of(records, seed=1),
        },
        gradients=gradients_of(records, strength=gradients),
        answers=answers_of(records, says=says),
        exposure=exposure_of(records, known=known),
        utility=pl.DataFrame(
            [("tuned", "exact match", 60, 100), ("control", "exact match", 62, 100)],
            schema=("role", "measure", "right", "asked"),
            orient="row",
        ),
        album=ALBUM,
        variant="r50",
    )
