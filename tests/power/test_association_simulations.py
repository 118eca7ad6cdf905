"""The association test finds ties that are there, and none where names, faces or pools differ.

Worlds without a model: face effects, name effects and interactions, all of SD 1. What is asserted
of a valid test is that it declares no more than the 99.9 % point of a binomial: a sound build is
red once in a thousand times, and, since the streams are fixed, never or always.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import binom

from vlmaudit.seeds import stream
from vlmaudit.stats.association import Association, associate, associate_many
from vlmaudit.stats.votes import vote_counts


@dataclass(frozen=True)
class World:
    """How scores come about. The audited person and true name differ from the rest in these."""

    n_faces: int = 199
    n_names: int = 1000
    popular: float = 0.0
    """How much better the true name fits every face."""
    attractive: float = 0.0
    """How much better the audited face fits every name."""
    noisier: float = 1.0
    """By how much the interactions of the true name, and of the face, are larger."""
    groups: int = 1
    """Faces and names of the same group fit better, by 1.5."""
    matched: bool = False
    """Only controls and decoys of the person's own group are compared with."""
    heavy_tails: bool = False
    tie: float = 0.0
    """What is to be found."""

    def draw(self, rng):
        shape = (self.n_faces + 1, self.n_names + 1)
        scores = rng.standard_t(5, shape) if self.heavy_tails else rng.standard_normal(shape)
        scores[0] *= self.noisier
        scores[:, 0] *= self.noisier
        scores[0, 0] += self.tie
        face_group = rng.integers(self.groups, size=shape[0])
        name_group = rng.integers(self.groups, size=shape[1])
        name_group[0] = face_group[0]
        if self.groups > 1:
            scores += 1.5 * (face_group[:, np.newaxis] == name_group)
        face_effect, name_effect = rng.standard_normal(shape[0]), rng.standard_normal(shape[1])
        face_effect[0] += self.attractive
        name_effect[0] += self.popular
        scores += face_effect[:, np.newaxis] + name_effect
        if self.matched:
            is_own = face_group == face_group[0], name_group == name_group[0]
            return scores[np.ix_(*is_own)]
        return scores


SMALL = World(n_faces=39, n_names=200)


def simulate(world, n_people, *, cells=False):
    """p-values by kind, for people each of whom lives in a world of their own."""
    rng = stream(0, "association", repr(world))
    found = {kind: [] for kind in ("raw_names", "raw_faces", "names", "faces", "both")}
    found |= {"cell": []} if cells else {}
    for _ in range(n_people):
        scores = world.draw(rng)
        result = associate(scores, cells=cells)
        assert isinstance(result, Association)
        found["raw_names"].append(np.mean(scores[0] >= scores[0, 0]))
        found["raw_faces"].append(np.mean(scores[:, 0] >= scores[0, 0]))
        found["names"].append(result.p_names)
        found["faces"].append(result.p_faces)
        found["both"].append(result.p)
        if cells:
            found["cell"].append(result.p_cell)
    p_values = {kind: np.array(values) for kind, values in found.items()}
    p_values["raw_both"] = np.maximum(p_values["raw_names"], p_values["raw_faces"])
    return p_values


def most(n, alpha):
    """How many of `n` true nulls may fall at `alpha`."""
    return int(binom.ppf(0.999, n, alpha))


def check_calibration(p, *, alphas=(0.05, 0.01)):
    """Raise AssertionError if more nulls fall than a valid test lets fall."""
    for alpha in alphas:
        assert np.count_nonzero(p <= alpha) <= most(len(p), alpha)


@pytest.mark.parametrize(
    ("n", "alpha", "accepted"),
    [(400, 0.05, 35), (1000, 0.05, 73), (1000, 0.01, 21), (4000, 0.01, 61)],
)
def test_what_is_accepted(n, alpha, accepted):
    assert most(n, alpha) == accepted


def test_people_who_share_controls_and_decoys_are_not_declared_too_often():
    """Four targets of a hundred people: each target's people meet the same 60 and 200."""
    n_people, n_faces, n_names = 100, 60, 200
    results = []
    for target in range(4):
        rng = stream(target, "shared pool")
        scores = rng.standard_normal((n_people + n_faces, n_people + n_names))
        scores += rng.standard_normal((len(scores), 1)) + rng.standard_normal(scores.shape[1])
        audited = slice(n_people)
        rest = slice(n_people, None)
        results += associate_many(
            scores[rest, rest],
            scores[audited, rest],
            scores[rest, audited].T,
            np.diagonal(scores).copy()[audited],
            cells=True,
        )
    assert len(results) == 400
    for kind in ("p_names", "p_faces", "p", "p_cell"):
        p = np.array([getattr(found, kind) for found in results])
        check_calibration(p)
        assert np.count_nonzero(p <= 0.05) >= 5  # a test that cannot fall would pass the check


def test_a_popular_name_deceives_the_plain_rank_and_not_this_one():
    p = simulate(replace(SMALL, popular=2.0), 400)
    with pytest.raises(AssertionError):
        check_calibration(p["raw_names"])
    check_calibration(p["names"])
    check_calibration(p["both"])


def test_a_popular_name_on_a_popular_face_deceives_both_plain_ranks():
    p = simulate(replace(SMALL, popular=2.0, attractive=2.0), 400, cells=True)
    with pytest.raises(AssertionError):
        check_calibration(p["raw_both"])
    check_calibration(p["both"])
    check_calibration(p["cell"])


def test_noise_of_one_name_and_face_is_no_tie():
    check_calibration(simulate(replace(SMALL, noisier=1.5), 400)["both"])


def test_a_pool_of_other_origins_is_noticed_and_a_matched_one_is_not():
    """Broken on purpose: decoys from another generator than the true names. No centring helps."""
    mixed = World(n_faces=150, n_names=300, groups=6)
    with pytest.raises(AssertionError):
        check_calibration(simulate(mixed, 400)["both"])
    check_calibration(simulate(replace(mixed, matched=True), 400)["both"])


def test_planted_ties_are_found():
    p = simulate(replace(SMALL, tie=5.0), 30)
    assert np.count_nonzero(p["both"] <= 0.05) >= 27


def test_a_missing_plus_one_would_be_noticed():
    """Broken on purpose: ranks of the null alone, which can be 0."""
    world = World(n_faces=19, n_names=19)
    rng = stream(0, "plus one")
    results = [associate(world.draw(rng)) for _ in range(400)]
    check_calibration(np.array([found.p for found in results]))
    without = [
        max(found.p_names - 1 / (1 + found.n_names), found.p_faces - 1 / (1 + found.n_faces))
        for found in results
    ]
    with pytest.raises(AssertionError):
        check_calibration(np.array(without))


@pytest.mark.parametrize(("popular", "tie"), [(0.0, 0.0), (2.0, 0.0), (0.0, 4.0)])
def test_votes_in_place_of_scores(popular, tie):
    """A model that only chooses: six pictures and seven templates, whose noise is shared."""
    n_people, n_faces, n_names, n_images, n_templates = 200, 39, 100, 6, 7
    rng = stream(0, "votes", repr(popular), repr(tie))
    p = []
    for _ in range(n_people):
        name_effect = rng.standard_normal(n_names + 1)
        name_effect[0] += popular
        pairs = rng.standard_normal((n_faces + 1, 1, 1, n_names + 1)) + name_effect
        pairs[0, ..., 0] += tie
        of_templates = rng.standard_normal((n_templates, n_names + 1))
        of_images = rng.standard_normal((n_faces + 1, n_images, 1, n_names + 1))
        votes = (pairs + 0.7 * of_templates + 0.7 * of_images).argmax(axis=-1)
        counts = np.stack([vote_counts(of_face, n_names + 1) for of_face in votes])
        found = associate(counts)
        assert isinstance(found, Association)
        p.append(found.p)
    if tie:
        assert np.mean(np.array(p) <= 0.05) >= 0.7
    else:
        check_calibration(np.array(p))


# Shares of p <= 0.05, as a first simulation of 1,500 worlds a row found them: the plain ranks
# among names and faces and the larger of them, then the same after centring.
TABLE = {
    "exchangeable": (World(), (0.059, 0.053, 0.019, 0.048, 0.051, 0.045)),
    "popular name": (World(popular=2.0), (0.374, 0.047, 0.034, 0.057, 0.054, 0.053)),
    "popular name and face": (
        World(popular=2.0, attractive=2.0),
        (0.381, 0.364, 0.202, 0.051, 0.051, 0.047),
    ),
    "noisier name and face": (World(noisier=1.5), (0.117, 0.105, 0.065, 0.049, 0.051, 0.043)),
    "mixed origins": (World(groups=6), (0.163, 0.153, 0.057, 0.219, 0.221, 0.192)),
    "heavy tails": (
        World(n_faces=99, n_names=400, heavy_tails=True),
        (None, None, None, None, None, None),
    ),
}
KINDS = ("raw_names", "raw_faces", "raw_both", "names", "faces", "both")
N_WORLDS = 1500


@pytest.mark.prove
@pytest.mark.parametrize("scenario", TABLE)
def test_the_full_table(scenario):
    world, shares = TABLE[scenario]
    p = simulate(world, N_WORLDS, cells=True)
    for kind, expected in zip(KINDS, shares, strict=True):
        if expected is not None:
            error = np.sqrt(2 * expected * (1 - expected) / N_WORLDS)  # both were simulated
            assert np.mean(p[kind] <= 0.05) == pytest.approx(expected, abs=4 * error), kind
    if scenario == "mixed origins":
        assert np.mean(p["both"] <= 0.05) > 0.12
    else:
        check_calibration(p["both"])
        check_calibration(p["cell"], alphas=(0.05, 0.01, 0.001))


@pytest.mark.prove
def test_matched_pools_repair_mixed_origins():
    p = simulate(World(n_faces=400, n_names=1500, groups=6, matched=True), N_WORLDS)
    check_calibration(p["both"])


@pytest.mark.prove
def test_power_of_the_full_size():
    """A tie of three SDs at p <= 0.01: centring finds twice what both plain ranks find."""
    p = simulate(World(tie=3.0), N_WORLDS)
    share = {kind: np.mean(values <= 0.01) for kind, values in p.items()}
    assert share["both"] > 0.6
    assert share["both"] > 2 * share["raw_both"]
