"""What each mean made of the observations, together."""

from dataclasses import dataclass

from vlmaudit.audits.memorization.exposure import Exposure
from vlmaudit.audits.memorization.extraction import Extraction
from vlmaudit.audits.memorization.gradients import Gradients
from vlmaudit.audits.memorization.probes import Probes


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What the four means say; None where a mean was not asked, or observed nothing."""

    probed: Probes | None
    graded: Gradients | None
    extracted: Extraction | None
    exposed: Exposure | None
