"""Words that settings, findings and options share; free to import."""

from typing import Literal

Protocol = Literal["audit", "paper"]
Verdict = Literal["found", "not_found", "inconclusive", "confounded"]
