"""What the checks of a finding have to say, before it is put together."""

from dataclasses import dataclass, field

from vlmaudit.results.records import Estimate, Gate, Test


@dataclass(slots=True)
class Checked:
    """Gates, tests, estimates and notes, in the order of the report."""

    gates: list[Gate] = field(default_factory=list)
    tests: list[Test] = field(default_factory=list)
    estimates: dict[str, Estimate] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
