"""People of a planted design, arm by arm."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool
from scipy.sparse import csr_array

from vlmaudit.audits.design import Design
from vlmaudit.audits.name_leakage.finding import ArmRow
from vlmaudit.audits.name_leakage.likelihood import Likelihood
from vlmaudit.audits.name_leakage.rates import WRONG, lift_estimate
from vlmaudit.audits.name_leakage.settings import NameLeakage
from vlmaudit.audits.name_leakage.tally import Cohort, Tally
from vlmaudit.audits.shares import share
from vlmaudit.seeds import stream
from vlmaudit.stats.swapping import Said, swap_lift


def arm_rows(
    tally: Tally,
    cells: Sequence[int],
    design: Design,
    likelihoods: Mapping[str, Likelihood],
    settings: NameLeakage,
) -> list[ArmRow]:
    """A row an arm; swaps stay within it.

    Args:
        tally: All counts.
        cells: The prompts on pictures as they are.
        design: Who was planted how.
        likelihoods: What the likelihoods of names say, by identity.
        settings: The number of swaps and their seed.
    """
    cohort, said = tally.cohort, tally.said(cells)
    wrong = tally.share_of(WRONG, cells)
    rows = []
    for arm in design.order:
        mine = np.array([design.arms.get(one.identity) == arm for one in cohort.persons])
        rates = said.shares.diagonal()[mine & said.answered]
        if not len(rates):
            continue
        lift = swap_lift(
            _within(said, mine),
            cohort.strata[mine],
            alone=cohort.alone[mine],
            rng=stream(settings.seed, "swaps", arm),
            permutations=settings.permutations,
        )
        known = [
            likelihoods[one.identity].known
            for one, is_mine in zip(cohort.persons, mine, strict=True)
            if is_mine and one.identity in likelihoods
        ]
        decided = [float(each) for each in known if each is not None]
        rows.append(
            ArmRow(
                arm=design.words[arm],
                is_member=design.is_member[arm],
                people=int(mine.sum()),
                rate=share(rates.tolist()),
                lift=lift_estimate(lift),
                p=lift.p,
                known=share(decided) if decided else None,
                wrong=share(wrong[mine & said.answered].tolist()),
            )
        )
    return rows


def _within(said: Said, mine: Bool[np.ndarray, " people"]) -> Said:
    return Said(csr_array(said.shares[mine][:, mine]), said.answered[mine])


def words_of(design: Design | None, cohort: Cohort) -> dict[str, str]:
    """What was done to everybody, by identity; nothing where no design is on record."""
    if design is None:
        return {}
    return {one.identity: design.words_of(one.identity) for one in cohort.persons}
