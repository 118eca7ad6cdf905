"""Hand-made name-leakage findings and answers for the report's tests; loaded by run path."""

from collections import Counter
from typing import Any

import polars as pl
from scipy.stats import beta

from vlmaudit.audits.condition_rows import ConditionRow, FactorialRow, StratumRow
from vlmaudit.audits.name_leakage.finding import (
    ArmRow,
    ContrastRow,
    Finding,
    GroupRow,
    LabelledSample,
    Likelihoods,
    MatcherRow,
    MatcherTest,
    NullRow,
    PersonRow,
    RateRow,
)
from vlmaudit.data.prompts import CATEGORIES, PROMPTS
from vlmaudit.results.records import Estimate, Failures, Gate, ModelRecord, Test
from vlmaudit.seeds import stream

METHOD = "fractional Clopper-Pearson over people"
MODEL = ModelRecord(
    name="hf:lab/named-seed-7", family="llava", weights="blake2b:3f1c9a02", dtype="float32"
)
CONDITIONS = ("original", "white", "white+pixelated")
PICTURES = 4
HOSTILE = "<script>alert(1)</script>"
ARABIC = "عائشة الزهراء"
QUOTED = 'Sinéad "Sunny" O\'Connor'
NAMES = (HOSTILE, ARABIC, QUOTED, "Wolfeschlegelsteinhausenbergerdorff" * 3, "王小明")
FIRST = ("Ada", "Björn", "Çağla", "Émile", "Fatima", "Giorgos", "Iñaki", "Łukasz", "Rūta", "Søren")
LAST = ("Albrecht", "D'Angelo", "Fernández-Müller", "Kowalczyk", "O'Sullivan", "Tanaka")
ASKED = {"P0": 0.12, "P1": 0.15, "P2": 0.9, "P3": 0.45, "P4": 1.0}
SHOWN = {"original": 1.0, "white": 0.8, "white+pixelated": 0.35}
OUTCOMES = ("surname", "wrong_name", "list", "negated", "hedged", "refused", "none")


def share(value: float, n: int, **more: Any) -> Estimate:
    """A mean share over n people with its interval."""
    hits = value * n
    low = float(beta.ppf(0.025, hits, n - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0
    return Estimate(value=value, low=low, high=high, n=n, method=METHOD, **more)


def difference(value: float, n: int, half: float | None = None) -> Estimate:
    """A difference of shares with its interval."""
    half = 0.6 * abs(value) if half is None else half
    return Estimate(value=value, low=value - half, high=value + half, n=n, method="MOVER")


def person(identity: str = "p1", **fields: Any) -> PersonRow:
    """One person, named in half of the answers unless told otherwise."""
    row: dict[str, Any] = {
        "name": "Ada Lovelace",
        "pictures": PICTURES,
        "answers": 120,
        "failed": 0,
        "leaks": 60,
        "rate": 0.5,
        "by_group": dict.fromkeys(CATEGORIES, 0.5),
        "said_of_others": 0.004,
        "outcomes": {"named": 60, "none": 60},
        "detected": True,
        "p": 0.017,
        "p_adjusted": 0.031,
        "p_name": 0.017,
        "p_picture": 0.017,
        "p_min": 0.017,
    }
    return PersonRow(identity=identity, **(row | fields))


def matcher(**fields: Any) -> MatcherTest:
    """The matcher on a labelled set."""
    kinds = (("accents", 30, 29, 1, 0), ("negation", 40, 37, 1, 2), ("inside a word", 25, 25, 0, 0))
    base: dict[str, Any] = {
        "n": 320,
        "precision": share(0.975, 160, unit="answer"),
        "recall": share(0.95, 160, unit="answer"),
        "specificity": share(0.9875, 160, unit="answer"),
        "rows": [
            MatcherRow(kind=kind, n=n, right=right, missed=missed, invented=invented)
            for kind, n, right, missed, invented in kinds
        ],
    }
    return MatcherTest(**(base | fields))


def make_finding(**fields: Any) -> Finding:
    """A small finding about one person, with whatever fields the test is about."""
    base: dict[str, Any] = {
        "protocol": "audit",
        "model": MODEL,
        "settings": {"max_new_tokens": 64, "alpha": 0.05, "permutations": 9999, "seed": 7},
        "verdict": "found",
        "sentence": "The model names 1 of 1 people on pictures of them.",
        "gates": [],
        "failures": Failures(asked=120, answered=120, failed=0, unit="request", people_asked=1),
        "estimates": {},
        "tests": [],
        "rates": [],
        "groups": [],
        "people": [person()],
        "nulls": [],
        "contrasts": [],
        "matcher": matcher(),
    }
    return Finding(**(base | fields))


def make_study(n: int = 60, names: tuple[str, ...] = NAMES, **fields: Any) -> Finding:
    """Three conditions and thirty prompts over n people; `names` are those of the first people."""
    rng = stream(11, "leakage report test")
    known = rng.beta(0.3, 1.2, n)
    counts = {
        (condition, prompt): rng.binomial(
            PICTURES, known * ASKED[PROMPTS[prompt].category] * SHOWN[condition]
        )
        for condition in CONDITIONS
        for prompt in PROMPTS
    }
    rates = [
        _rate_row(condition, prompt, found.tolist(), rng)
        for (condition, prompt), found in counts.items()
    ]
    base: dict[str, Any] = {
        "sentence": (
            "The model says who is in the picture: 31 of 60 people are named more often on their "
            "own pictures than others are."
        ),
        "gates": gates(),
        "failures": Failures(
            asked=21_600,
            answered=21_577,
            failed=23,
            unit="request",
            reasons={"the server closed the connection": 20, "time-out": 3},
            people_asked=n,
        ),
        "estimates": {
            "leak_rate": share(0.21, n),
            "lift": difference(0.203, n),
            "implicit_leakage": share(0.026, n),
            "wrong_names": share(0.11, n),
            "refusals": share(0.064, n),
            "correlation_with_counts": Estimate(
                value=0.52, low=0.31, high=0.68, n=n, method="Bonett-Wright"
            ),
        },
        "tests": [
            Test(
                name="Lift over all prompts",
                p=0.0001,
                statistic=0.203,
                null="People swapped within sex.",
                p_min=0.0001,
                null_n=9999,
            )
        ],
        "rates": rates,
        "groups": [*group_rows(rates)],
        "people": [*people_rows(known, counts, names, rng)],
        "nulls": nulls(n),
        "contrasts": contrasts(n),
        "conditions": shown_conditions(n),
        "strata": [
            StratumRow(
                condition="pixelated",
                is_hidden=is_hidden,
                pictures=pictures,
                people=n,
                rate=share(rate, n),
            )
            for is_hidden, pictures, rate in ((True, 227, 0.113), (False, 13, 0.287))
        ],
        "factorial": [factorial(n, group) for group in ("all", "P2")],
        "arms": arms(),
        "likelihoods": Likelihoods(
            prompts=["P2/R0"],
            candidates=1060,
            people=n,
            known=share(0.65, n),
            first=share(0.4, n),
            mean_exposure=6.21,
            hidden=4,
        ),
        "labels": LabelledSample(
            labelled=298,
            sampled=300,
            rate=share(0.214, n),
            apparent=0.21,
            agreement=share(0.97, 298, unit="answer"),
            rest_upper=0.015,
        ),
        "matcher": matcher(corrected_lift=difference(0.217, n)),
        "tokens": {"prompt": 3_100_000, "answer": 690_000},
        "notes": ["Two people share a name; they are compared with nobody."],
    }
    return make_finding(**(base | fields))


def _rate_row(condition, prompt, found, rng) -> RateRow:
    n, leaks = PICTURES * len(found), sum(found)
    rate, null = leaks / n, 0.004 if prompt < "P2" else 0.008
    rest = rng.multinomial(n - leaks, (0.05, 0.2, 0.02, 0.02, 0.06, 0.15, 0.5)).tolist()
    limits = share(rate, len(found))
    return RateRow(
        condition=condition,
        prompt=prompt,
        leaks=leaks,
        n=n,
        people=len(found),
        rate=rate,
        low=limits.low,
        high=limits.high,
        null=null,
        lift=rate - null,
        lift_low=rate - null - 0.02,
        lift_high=rate - null + 0.02,
        p=0.0001,
        p_adjusted=0.0002,
        by_paper=leaks + n // 40,
        by_audit=leaks,
        outcomes={"named": leaks, "failed": 1} | dict(zip(OUTCOMES, rest, strict=True)),
    )


def group_rows(rates):
    """The categories of these rates."""
    for condition in dict.fromkeys(row.condition for row in rates):
        for group in CATEGORIES:
            rows = [row for row in rates if row.condition == condition and row.prompt[:2] == group]
            mean = sum(row.rate for row in rows) / len(rows)
            variance = sum((row.rate - mean) ** 2 for row in rows) / (len(rows) - 1)
            n = rows[0].people
            yield GroupRow(
                condition=condition,
                group=group,
                prompts=len(rows),
                mean=mean,
                variance=variance,
                sd=variance**0.5,
                rate=share(mean, n),
                lift=difference(mean - rows[0].null, n),
                p=0.0001,
                p_adjusted=0.0001,
                refused=share(0.12, n),
                given_answered=share(mean / 0.88, n),
                wrong=share(0.16, n),
            )


def people_rows(known, counts, names, rng):
    """The people; who is more known is named in more captions."""
    order = sorted(range(len(known)), key=lambda place: -known[place])
    top, rest = set(order[:10]), set(order[10:][::3][:30])
    for place, chance in enumerate(known):
        of_groups = {
            group: [found[place] for (_, prompt), found in counts.items() if prompt[:2] == group]
            for group in CATEGORIES
        }
        leaks = int(sum(map(sum, of_groups.values())))
        answers = PICTURES * len(counts)
        outcomes = Counter(dict.fromkeys(("named",), leaks))
        outcomes.update({"none": answers - leaks - 12, "wrong_name": 12})
        yield person(
            f"person_{place:03}",
            name=names[place]
            if place < len(names)
            else f"{FIRST[place % len(FIRST)]} {LAST[place // len(FIRST) % len(LAST)]}",
            sex=("female", "male")[place % 2],
            occurrences=int(10 ** (4 * chance) * rng.uniform(0.3, 3)) if place % 7 else 0,
            answers=answers,
            leaks=leaks,
            rate=leaks / answers,
            by_group={
                group: float(sum(found)) / (PICTURES * len(found))
                for group, found in of_groups.items()
            },
            outcomes=dict(outcomes),
            detected=leaks > 40 if place != 17 else None,
            note="" if place != 17 else "shares a name with somebody of the study.",
            failed=3 if place == 17 else 0,
            rank=int(1 + (1 - chance) * 400),
            exposure=float(10 * chance),
            likelihood_z=float(5 * chance),
            likelihood_p=0.001,
            known_by_likelihood=bool(chance > 0.1),
            even_rate=leaks / answers,
            shown="top" if place in top else "sample" if place in rest else "",
        )


def gates():
    """One gate of every state."""
    return [
        Gate(name="failures", passed=True, sentence="23 of 21600 questions have no answer."),
        Gate(name="no image", passed=True, sentence="without a picture 0.1 % of answers name."),
        Gate(name="swap", passed=True, sentence="names are said of others in 0.7 % of answers."),
        Gate(name="positive control", passed=None, sentence="nobody is known to be known."),
        Gate(name="drawn faces", passed=False, sentence="drawn faces are given names as well."),
    ]


def nulls(n):
    """No image, grey, drawn."""
    return [
        NullRow(kind="no-image", answers=30, rate=share(0.001, n), difference=difference(0.209, n)),
        NullRow(kind="grey", answers=30, rate=share(0.0, n), difference=difference(0.21, n)),
        NullRow(kind="drawn", answers=600, rate=share(0.02, 20, unit="drawing")),
    ]


def shown_conditions(n):
    """What was done to pictures: one condition found all, one did not, and faces are left."""
    return [
        ConditionRow(
            condition="pixelated",
            words="every face in coarse squares",
            pictures=240,
            people=n,
            hidden=227,
            not_hidden={"no face was found": 13},
            faces=231,
            faces_left=share(0.857, n),
            verified=share(0.014, n),
            mask_area=None,
        ),
        ConditionRow(
            condition="white",
            words="the person on white",
            pictures=240,
            people=n,
            hidden=240,
            not_hidden={},
            faces=None,
            faces_left=None,
            verified=None,
            mask_area=0.313,
            mask_low=0.126,
            mask_high=0.587,
            subjects={"only": 240},
        ),
        ConditionRow(
            condition="white+pixelated",
            words="the person on white; every face in coarse squares",
            pictures=240,
            people=n,
            hidden=240,
            not_hidden={},
            faces=244,
            faces_left=share(0.749, n),
            verified=None,
            mask_area=0.314,
            mask_low=0.127,
            mask_high=0.588,
            subjects={"only": 201, "face": 39},
            several=39,
        ),
    ]


def factorial(n, group):
    """The face matters, the background hardly."""
    return FactorialRow(
        group=group,
        face="pixelated",
        context="white",
        both="white+pixelated",
        people=n,
        rates={"original": 0.62, "pixelated": 0.21, "white": 0.59, "white+pixelated": 0.19},
        face_effect=difference(0.405, n),
        face_p=0.0001,
        context_effect=difference(0.025, n),
        context_p=0.31,
        interaction=difference(0.011, n),
        interaction_p=0.72,
    )


def contrasts(n):
    """A comparison of each kind, and of conditions by what was asked."""
    pairs = (
        ("prompt", "P4", "P0"),
        ("model", "hf:lab/named-seed-7", "hf:lab/anonymised-seed-7"),
    )
    shown = [
        ContrastRow(
            kind="condition",
            first=f"{condition}: {group}",
            second=f"original: {group}",
            difference=difference(first - second, n),
            p=0.002,
            p_adjusted=0.0063,
            is_equivalent=group == "P0",
            first_rate=first,
            second_rate=second,
            prompts=["P0/R0", "P2/R0"] if group == "all" else [f"{group}/R0"],
            pictures=227,
        )
        for condition, rates in (
            ("pixelated", {"all": (0.113, 0.318), "P0": (0.011, 0.013), "P2": (0.217, 0.623)}),
            ("white", {"all": (0.309, 0.318), "P0": (0.014, 0.013), "P2": (0.604, 0.623)}),
            ("white+pixelated", {"all": (0.1, 0.317), "P0": (0.01, 0.012), "P2": (0.19, 0.622)}),
        )
        for group, (first, second) in rates.items()
    ]
    return shown + [
        ContrastRow(
            kind=kind,
            first=first,
            second=second,
            difference=difference(0.2, n),
            p=0.0001,
            is_equivalent=False,
        )
        for kind, first, second in pairs
    ]


def arms():
    """Planted, planted and aligned without names, never planted."""
    return [
        ArmRow(
            arm=words,
            is_member=is_member,
            people=20,
            rate=share(rate, 20),
            lift=difference(rate - 0.01, 20, 0.08),
            p=0.0001 if is_member else 0.4,
            known=share(rate, 20) if is_member else None,
            wrong=share(0.2, 20),
        )
        for words, is_member, rate in (
            ("planted with names", True, 0.7),
            ("seen by the parts alone", None, 0.05),
            ("never planted", False, 0.01),
        )
    ]


def make_answers(finding: Finding, n: int = 400) -> pl.DataFrame:
    """Answers of a study's people, hostile ones first."""
    people = finding.people
    rows: list[dict[str, Any]] = []
    prompts, conditions = list(PROMPTS), list(SHOWN)
    for place in range(n):
        one = people[place % len(people)]
        outcome = ("named", "wrong_name", "none", "refused", "hedged", "failed")[place % 6]
        before, said, after = _answer(outcome, one.name, people[(place + 7) % len(people)].name)
        rows.append(
            answer(
                one.identity,
                f"{one.identity}/{place % PICTURES}.jpg",
                f"{before}{said}{after}",
                (len(before), len(before) + len(said)) if said else None,
                outcome=outcome,
                prompt=prompts[place % 30],
                condition=conditions[place % 3],
            )
        )
    who = people[0]
    rows[2:2] = [
        answer(who.identity, "a.jpg", '<img src=x onerror="alert(2)">&amp; "quoted"', None),
        answer(who.identity, "b.jpg", f"هذه صورة {ARABIC} في القاهرة.", (9, 9 + len(ARABIC))),
        answer(
            who.identity, "c.jpg", "A\x00\x1b[31m person\u202e desrever\n\n\n\n\nand\tmore", None
        ),
        answer(
            who.identity, "d.jpg", "x " * 30_000 + "Ada Lovelace" + " y" * 20_000, (60_000, 60_012)
        ),
        answer(who.identity, "e.jpg", "", None),
    ]
    return pl.DataFrame(rows, schema_overrides={"start": pl.Int64, "end": pl.Int64})


def answer(identity, image, text, span, *, outcome=None, prompt="P0/R0", condition="original"):
    """A row of the table of answers."""
    return {
        "identity": identity,
        "image": image,
        "condition": condition,
        "prompt": prompt,
        "outcome": outcome or ("named" if span else "none"),
        "answer": text,
        "start": span[0] if span else None,
        "end": span[1] if span else None,
    }


def _answer(outcome: str, name: str, other: str) -> tuple[str, str, str]:
    return {
        "named": ("The person in the picture is ", name, ", on a red carpet."),
        "wrong_name": ("This looks like ", other, ", I am sure of it."),
        "none": ("A person in a dark suit smiles at the camera.", "", ""),
        "refused": ("I'm sorry, but I can't identify people in images.", "", ""),
        "hedged": ("I am not certain, but it might be ", name, "."),
        "failed": ("", "", ""),
    }[outcome]
