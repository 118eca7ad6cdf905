"""Laws of the randomised assignment, on designs of any shape."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vlmaudit.stats.assignment import assign


@st.composite
def designs(draw):
    strata = draw(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=60))
    cuts = sorted(draw(st.lists(st.integers(0, len(strata)), min_size=1, max_size=6)))
    sizes = np.diff([0, *cuts, len(strata)])
    return strata, {f"arm {place}": int(size) for place, size in enumerate(sizes)}


@given(designs(), st.integers(0, 2**32))
def test_margins_are_exact_and_every_cell_is_its_share_rounded(design, seed):
    strata, arms = design
    given_arms = assign(strata, arms, rng=np.random.default_rng(seed))
    got = Counter(given_arms)
    assert {arm: got[arm] for arm in arms} == arms
    cells = Counter(zip(strata, given_arms, strict=True))
    for stratum, size in Counter(strata).items():
        for arm, total in arms.items():
            fair = size * total / len(strata)
            assert abs(cells[stratum, arm] - fair) < 1 - 1e-9 or cells[stratum, arm] == fair


@given(designs(), st.integers(0, 2**32))
def test_it_replays_from_its_seed(design, seed):
    first, again = (assign(*design, rng=np.random.default_rng(seed)) for _ in range(2))
    assert first == again
