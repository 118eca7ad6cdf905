"""The statistics of name leakage, from one place: STATISTICS sections 5 and 6.

Whether names are said of their own people more than of others is in `swapping`, differences of
rates and their correlation with counts in `differences`, the matcher's errors in
`matcher_error`.
"""

from vlmaudit.stats.differences import (
    Contrast,
    Equivalence,
    RankCorrelation,
    contrast,
    equivalent,
    mover_difference,
    rank_correlation,
)
from vlmaudit.stats.matcher_error import Corrected, corrected_lift, rest_upper, two_phase_rate
from vlmaudit.stats.swapping import Lift, PersonRanks, Said, Swaps, person_ranks, swap_lift

__all__ = [
    "Contrast",
    "Corrected",
    "Equivalence",
    "Lift",
    "PersonRanks",
    "RankCorrelation",
    "Said",
    "Swaps",
    "contrast",
    "corrected_lift",
    "equivalent",
    "mover_difference",
    "person_ranks",
    "rank_correlation",
    "rest_upper",
    "swap_lift",
    "two_phase_rate",
]
