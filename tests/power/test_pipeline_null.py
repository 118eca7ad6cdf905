"""The whole concluding half on embeddings in which no face is tied to any name.

Names and faces of one sex and origin lie together, popular names lie near every face: what makes a
careless audit convict people. Random embeddings stand in for the model, so that hundreds of people
are cheap; the laboratory's targets are the slower, truer check.
"""

import numpy as np
import pytest
from scipy.special import bdtr

from vlmaudit.audits.identity_inference.conclude import conclude
from vlmaudit.audits.identity_inference.evidence import weigh_embeddings
from vlmaudit.audits.identity_inference.observed import Embeddings, Study
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.data.candidates import Candidate
from vlmaudit.data.identities import Person
from vlmaudit.results.records import Failures, ModelRecord
from vlmaudit.seeds import stream
from vlmaudit.stats.calibration import hits_against_chance

KINDS = [(sex, origin) for sex in ("female", "male") for origin in ("de_DE", "en_US", "it_IT")]
DIM, PICTURES, TEMPLATES = 48, 4, 5
PEOPLE, CONTROLS, DECOYS = 10, 30, 200  # of each kind
MODEL = ModelRecord(name="none", family="random", weights="none", dtype="float32")


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def observe_nothing(seed, *, tied=0.0, tied_share=1.0):
    """Embeddings of a model with demographics and popular names; `tied` is for planted truth."""
    rng = stream(seed, "nothing")
    kind_directions = rng.standard_normal((len(KINDS), DIM))
    everywhere = rng.standard_normal(DIM)

    def names(count):
        own = rng.standard_normal((len(KINDS), count, DIM))
        popular = rng.exponential(0.6, (len(KINDS), count, 1)) * everywhere
        return own + popular + 0.7 * kind_directions[:, None]

    true, decoys = names(PEOPLE), names(DECOYS)
    bases = np.concatenate([true.reshape(-1, DIM), decoys.reshape(-1, DIM)])
    wording = rng.standard_normal((1, TEMPLATES, DIM))
    noise = 0.3 * rng.standard_normal((len(bases), TEMPLATES, DIM))
    texts = unit(bases[:, None] + 0.5 * wording + noise)

    people, controls, pictures, images = [], [], {}, {}
    for number, (sex, origin) in enumerate(KINDS):
        for place in range(PEOPLE + CONTROLS):
            is_audited = place < PEOPLE
            identity = f"{sex}-{origin}-{place}"
            face = rng.standard_normal(DIM) + 0.7 * kind_directions[number] + 0.4 * everywhere
            if is_audited and place < tied_share * PEOPLE:
                face = face + tied * true[number, place]
            pictures[identity] = unit(face + 0.6 * rng.standard_normal((PICTURES, DIM)))
            images[identity] = tuple(f"{picture}.png" for picture in range(PICTURES))
            person = Person(identity, f"Name {identity}", sex=sex, origin=origin)
            (people if is_audited else controls).append(person)
    candidates = [Candidate(person.name, person.sex, person.origin) for person in people]
    candidates += [
        Candidate(f"Decoy {sex} {origin} {number}", sex, origin)
        for sex, origin in KINDS
        for number in range(DECOYS)
    ]
    study = Study(
        people=tuple(people),
        controls=tuple(controls),
        study_names=len(people),
        candidates=tuple(candidates),
        images=images,
        failures=(),
        notices=(),
        design=None,
        model=MODEL,
    )
    return Embeddings(study, texts, pictures)


def conclude_on(observed, pool):
    settings = IdentityInference(pool=pool, paper_pool=200, sizes=(1, 3))
    asked = len(observed.pictures) * PICTURES
    people = len(observed.study.people)
    failures = Failures(asked=asked, answered=asked, failed=0, people_asked=people)
    return conclude(weigh_embeddings(observed, settings), settings, failures=failures, model=MODEL)


@pytest.fixture(scope="module")
def nothing():
    return [observe_nothing(seed) for seed in range(8)]


def accepted(n, level=0.05):
    return next(k for k in range(n + 1) if bdtr(k, n, level) >= 0.999)


def p_values(findings):
    return np.array([row.p for finding in findings for row in finding.people])


def test_where_nothing_is_known_p_values_keep_their_level(nothing):
    findings = [conclude_on(observed, "same-origin") for observed in nothing]
    p = p_values(findings)
    assert len(p) == 480
    assert (p <= 0.05).sum() <= accepted(len(p))
    assert (p <= 0.01).sum() <= accepted(len(p), 0.01)
    assert sum(bool(row.detected) for finding in findings for row in finding.people) <= 4


def test_where_nothing_is_known_votes_hit_as_often_as_their_structure_says(nothing):
    hits = expected = people = 0
    for observed in nothing:
        finding = conclude_on(observed, "same-origin")
        test = next(one for one in finding.tests if one.name.startswith("votes of everybody"))
        hits += int(test.statistic)
        people += test.null_n
        expected += test.null_n * float(test.null.split("structural rate ")[1].split(",")[0])
    assert hits_against_chance(hits, people, expected / people) >= 0.001


def test_decoys_of_other_origins_turn_the_check_red(nothing):
    findings = [conclude_on(observed, "global") for observed in nothing]
    p = p_values(findings)
    assert (p <= 0.05).sum() > accepted(len(p))
    # … which is why such a pool gives no decision at all.
    assert all(row.detected is None for finding in findings for row in finding.people)
    assert all(finding.verdict == "inconclusive" for finding in findings)


def test_ties_are_found():
    finding = conclude_on(observe_nothing(99, tied=0.9), "same-origin")
    assert finding.verdict == "found"
    assert sum(bool(row.detected) for row in finding.people) >= 0.7 * len(finding.people)


@pytest.mark.prove
def test_far_out_p_values_keep_their_level_too():
    p = p_values([conclude_on(observe_nothing(seed), "same-origin") for seed in range(1000, 1067)])
    assert len(p) >= 4000
    # With 30 controls p cannot fall below 1/31, so its face half is the one that binds at .05.
    assert (p <= 0.05).sum() <= accepted(len(p))
    assert (p <= 0.01).sum() <= accepted(len(p), 0.01)


@pytest.mark.prove
def test_false_discoveries_are_held_where_some_are_true():
    shares = []
    for seed in range(2000, 2040):
        finding = conclude_on(observe_nothing(seed, tied=0.9, tied_share=0.4), "same-origin")
        detected = [row.identity for row in finding.people if row.detected]
        false = [one for one in detected if int(one.rpartition("-")[2]) >= 0.4 * PEOPLE]
        shares.append(len(false) / max(1, len(detected)))
        assert len(detected) - len(false) >= 8  # of 24
    error = np.std(shares, ddof=1) / np.sqrt(len(shares))
    assert np.mean(shares) <= 0.05 + 3.1 * error
