"""Hand-made findings for the report's tests; loaded by the conftest files beside them."""

from typing import Any

from scipy.stats import beta

from vlmaudit.audits.identity_inference.finding import (
    ClaimRow,
    Claims,
    Comparison,
    Confusion,
    ConfusionCell,
    CurvePoint,
    Difference,
    Finding,
    GroupRow,
    OccurrenceRow,
    PersonRow,
    Reading,
    SizeRate,
)
from vlmaudit.results.records import Estimate, Failures, Gate, ModelRecord, Test
from vlmaudit.seeds import stream

METHOD = "fractional Clopper-Pearson over people"
ARMS = (
    # arm, words, kind, is_member, people, detected by the test, by votes
    ("never", "never planted", "dose", False, 300, 1, 4),
    ("paired 1", "planted 1 time", "dose", True, 36, 9, 8),
    ("paired 4", "planted 4 times", "dose", True, 36, 28, 22),
    ("paired 16", "planted 16 times", "dose", True, 36, 34, 33),
    ("paired 64", "planted 64 times", "dose", True, 36, 36, 30),
    ("name-only", "name planted with other faces", "arm", None, 60, 0, 2),
    ("unpaired", "face and name planted, never together", "arm", None, 36, 1, 1),
)
MODEL = ModelRecord(
    name="open_clip:lab/paired-seed-7",
    family="open_clip",
    weights="blake2b:3f1c9a02c4d7e8b1",
    dtype="float32",
)


def estimate(hits: float, n: int, **more: Any) -> Estimate:
    """A rate with its exact interval."""
    if not n:
        return Estimate(value=None, low=None, high=None, n=0, method=METHOD)
    low = beta.ppf(0.025, hits, n - hits + 1) if hits > 0 else 0.0
    high = beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    return Estimate(value=hits / n, low=float(low), high=float(high), n=n, method=METHOD, **more)


def person(identity: str = "p1", **fields: Any) -> PersonRow:
    """One person, tied beyond doubt unless told otherwise."""
    row = {
        "name": "Ada Lovelace",
        "pictures": 8,
        "failed": 0,
        "detected": True,
        "score": 15,
        "z": 4.12,
        "p": 0.005,
        "p_adjusted": 0.012,
        "p_names": 1 / 1001,
        "p_faces": 0.005,
        "p_min": 0.005,
        "n_names": 1000,
        "n_faces": 199,
    }
    return PersonRow(identity=identity, **(row | fields))


def make_finding(**fields: Any) -> Finding:
    """A small finding about one person, with whatever fields the test is about."""
    base: dict[str, Any] = {
        "protocol": "audit",
        "model": MODEL,
        "settings": {"pool": "same-origin", "names": 1000, "tau": 1, "alpha": 0.05, "seed": 7},
        "verdict": "found",
        "sentence": "The model ties 1 of 1 people to their name.",
        "gates": [],
        "failures": Failures(asked=8, answered=8, failed=0, people_asked=1),
        "estimates": {},
        "tests": [],
        "people": [person()],
        "groups": [],
        "curve": [],
    }
    return Finding(**(base | fields))


def make_study(names: tuple[str, ...] = (), **fields: Any) -> Finding:
    """540 planted and unplanted people; `names` replace those of the first people."""
    rng = stream(11, "report test")
    people = []
    for arm, _, _, is_member, n, n_detected, _ in ARMS:
        for position in range(n):
            index = len(people)
            detected = position < n_detected
            p_names = float(rng.integers(1, 4) if detected else rng.integers(40, 1001)) / 1001
            p_faces = float(rng.integers(1, 3) if detected else rng.integers(12, 201)) / 200
            p = max(p_names, p_faces)
            people.append(
                person(
                    f"person-{index:03}",
                    name=names[index]
                    if index < len(names)
                    else f"{FIRST[index % len(FIRST)]} {LAST[index // len(FIRST) % len(LAST)]}",
                    sex=("female", "male")[index % 2],
                    origin="de_DE",
                    arm=arm,
                    membership={True: "member", False: "non_member", None: ""}[is_member],
                    detected=detected,
                    score=int(rng.integers(1, 22)) if detected else int(rng.integers(0, 2)),
                    z=float(rng.normal(5 if detected else 0.3, 1)),
                    p=p,
                    p_adjusted=min(1.0, 2.5 * p),
                    p_names=p_names,
                    p_faces=p_faces,
                    by_audit=detected,
                    # One in nine is flagged by one protocol alone.
                    by_paper=detected ^ (index % 9 == 4 and index < 450),
                )
            )
    people[330] = people[330].model_copy(
        update={
            "detected": None,
            "by_audit": None,
            "pictures": 7,
            "failed": 1,
            "note": "too few matched people to compare with (12; 19 are needed).",
        }
    )
    groups = [
        GroupRow(
            group=words,
            kind=kind,
            order=order,
            is_member=is_member,
            detected=estimate(n_detected, n),
            by_votes=estimate(n_votes, n),
        )
        for order, (_, words, kind, is_member, n, n_detected, n_votes) in enumerate(ARMS)
    ]
    curve = []
    for size in (1, 3, 5, 7):
        hit = 144 * (0.78 - 0.4 / size)
        alarm = 300 * 0.011 + 0.13 * size
        for quantity, hits, n, sd in (
            ("TPR", hit, 144, 0.021),
            ("FNR", 144 - hit, 144, 0.021),
            ("FPR", alarm, 300, 0.004),
            ("TNR", 300 - alarm, 300, 0.004),
            ("accuracy", hit + 300 - alarm, 444, 0.008),
        ):
            curve.append(
                CurvePoint(quantity=quantity, pictures=size, rate=estimate(hits, n, sd=sd))
            )
    base: dict[str, Any] = {
        "sentence": (
            "The model ties the faces of 109 of 539 people to their names; about 5% of these "
            "detections, or fewer, are expected to be false."
        ),
        "gates": [
            Gate(name="failures", passed=True, sentence="1 of 4320 pictures could not be asked."),
            Gate(
                name="positive control",
                passed=True,
                sentence="70 of 72 people whom the model should know reach p of at most 0.05.",
            ),
            Gate(
                name="negative control",
                passed=True,
                sentence="14 of 300 people known to be absent reach p of at most 0.05.",
            ),
            Gate(
                name="blind baseline",
                passed=True,
                label="randomised",
                sentence="the assignment replays from the record's seed.",
            ),
            Gate(
                name="votes of the absent against chance",
                passed=None,
                sentence="nobody with votes is known to be absent from the training data.",
            ),
        ],
        "failures": Failures(
            asked=4320,
            answered=4319,
            failed=1,
            reasons={"truncated": 1},
            people_asked=539,
            people_lost=["person-540"],
        ),
        "estimates": {
            "tpr": estimate(107, 144),
            "fpr": estimate(1, 300),
            "structural_fpr": Estimate(
                value=0.0045, low=None, high=None, n=300, method="mean number of names elected"
            ),
            "tpr_at_fpr_0.05": estimate(120, 144),
            "auc": Estimate(value=0.953, low=0.93, high=0.969, n=540, method="DeLong, logit"),
        },
        "tests": [
            Test(
                name="Dose-response",
                p=0.0001,
                statistic=0.71,
                null="Planting assigned anew by its own code.",
                p_min=0.0001,
                null_n=9999,
            )
        ],
        "people": people,
        "groups": groups,
        "curve": curve,
        "occurrences": [*occurrence_rows()],
        "confusions": [*confusions()],
        "comparison": comparison(people),
        "claims": make_claims(300, 1),
        "notes": ["With 199 control people, at least 6 people must be detected together."],
    }
    return make_finding(**(base | fields))


SIZES = (1, 3, 5, 7)


def occurrence_rows():
    """Plantings as bins; more pictures and more plantings are flagged more often."""
    for arm, words, kind, is_member, n, n_detected, n_votes in ARMS:
        if kind == "dose":
            dose = int(arm.removeprefix("paired").strip()) if is_member else 0
            yield OccurrenceRow(
                label=words,
                low=dose,
                high=dose,
                is_member=is_member,
                people=n,
                detected=estimate(n_detected, n),
                by_votes=[
                    SizeRate(
                        pictures=size, rate=estimate(n_votes * (0.6 + 0.05 * size), n, sd=0.02)
                    )
                    for size in SIZES
                ],
            )


def confusions():
    """One picture, seven pictures, and the test."""
    for rule, size, hits, alarms in (
        ("votes", 1, 55.65, 3.9),
        ("votes", 7, 104.2, 4.35),
        ("test", None, 107, 1),
    ):
        yield Confusion(
            rule=rule,
            pictures=size,
            cells=[
                ConfusionCell(
                    is_member=is_member, is_flagged=is_flagged, people=n, rate=estimate(n, all_of)
                )
                for is_member, flagged, all_of in ((True, hits, 144), (False, alarms, 300))
                for is_flagged, n in ((True, flagged), (False, all_of - flagged))
            ],
        )


def comparison(people):
    """Both protocols on these people."""
    pairs = [(one.by_paper, one.by_audit) for one in people]
    differing = [one for one in people if one.by_paper is not one.by_audit]
    paper_only = [one for one in differing if one.by_paper and one.by_audit is False]
    audit_only = [one for one in differing if one.by_audit and not one.by_paper]
    undecided = [one for one in differing if one.by_audit is None]
    kinds = [
        ("paper", "correction", "", paper_only[::2]),
        ("paper", "names_fit", "", paper_only[1::2]),
        ("audit", "ties", "", audit_only),
        (None, "no_test", "too few matched people to compare with (12; 19 are needed).", undecided),
    ]
    return Comparison(
        readings=[
            Reading(
                protocol=protocol,
                verdict="found",
                sentence=f"{flagged.count(True)} people are flagged.",
                flagged=flagged.count(True),
                decided=len(flagged) - flagged.count(None),
                undecided=flagged.count(None),
                tpr=estimate(hits, 144),
                fpr=estimate(alarms, 300),
            )
            for protocol, flagged, hits, alarms in (
                ("paper", [one for one, _ in pairs], 93, 4),
                ("audit", [one for _, one in pairs], 107, 1),
            )
        ],
        both=pairs.count((True, True)),
        only_paper=pairs.count((True, False)),
        only_audit=pairs.count((False, True)),
        neither=pairs.count((False, False)),
        undecided=sum(None in pair for pair in pairs),
        differences=[
            Difference(
                flagged_by=flagged_by,
                kind=kind,
                note=note,
                n=len(group),
                people=[one.identity for one in group],
            )
            for flagged_by, kind, note, group in kinds
        ],
    )


def make_claims(known, flagged):
    """What a claim takes, from the tables of the statistics page."""
    needed = {0: (59, 149, 299), 1: (93, 236, 473), 2: (124, 313, 628), 3: (153, 386, 773)}
    return Claims(
        known=known,
        flagged=flagged,
        upper=float(beta.ppf(0.95, flagged + 1, known - flagged)),
        rows=[
            ClaimRow(
                max_fpr=rate, flagged=hits, needed=n, holds=known >= n if hits == flagged else None
            )
            for hits, row in needed.items()
            for rate, n in zip((0.05, 0.02, 0.01), row, strict=True)
        ],
    )


FIRST = (
    *("Ada", "Anna", "Björn", "Çağla", "Dörte", "Émile", "Fatima", "Giorgos", "Hanna", "Iñaki"),
    *("Jürgen", "Katarzyna", "Łukasz", "Mehmet", "Nadia", "Ólafur", "Paula", "Quentin", "Rūta"),
    *("Søren", "Tomáš", "Uta", "Véronique", "Wanda", "Xaver", "Yusuf", "Zoë"),
)
LAST = (
    *("Albrecht", "Baumgartner", "Castellanos", "D'Angelo", "Eriksson", "Fernández-Müller"),
    *("García", "Hoffmann", "Ivanović", "Jørgensen", "Kowalczyk", "Lindqvist", "Meier", "Nowak"),
    *("O'Sullivan", "Petrov", "Quispe", "Rossi", "Schröder", "Tanaka"),
)
