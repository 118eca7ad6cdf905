"""What the verbs that know no audit ask of each: concluding, reporting, showing."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from vlmaudit.errors import RunError, did_you_mean

if TYPE_CHECKING:
    from vlmaudit.results.records import Failures
    from vlmaudit.results.run_folder import RunFolder

FINDING: Final = "finding.json"

# Imported once a run, or a finding, turns out to be of the audit.
_AUDITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "identity-inference": "vlmaudit.cli.identity_audit",
        "memorization": "vlmaudit.cli.memorization_run",
        "name-leakage": "vlmaudit.cli.leakage_audit",
    }
)


class Finding(Protocol):
    """What is common to the findings of all audits."""

    @property
    def audit(self) -> str: ...
    @property
    def failures(self) -> "Failures": ...
    @property
    def settings(self) -> Mapping[str, str | int | float | bool | None]: ...
    @property
    def pseudonyms(self) -> bool: ...


class Audit(Protocol):
    """One audit, as these verbs need it: a module of functions."""

    def conclude_run(self, run: "RunFolder", options: Mapping[str, Any]) -> Finding:
        """Conclude on a run with its own settings, but for these options.

        Raises:
            InputError: An option is none of this audit's.
        """
        ...

    def read_finding(self, path: Path) -> Finding:
        """Read a finding of this audit.

        Raises:
            RunError: It is of another version.
        """
        ...

    def to_json(self, finding: Any) -> str:  # noqa: ANN401 - a finding of this audit
        """A finding as its file holds it."""
        ...

    def write_report(
        self,
        finding: Any,  # noqa: ANN401
        out: Path,
        *,
        home: Path,
        with_pictures: bool = False,
    ) -> Path:
        """Write the report of a finding into a folder; `home` is that of its run."""
        ...

    def show(self, finding: Any, page: Path | None) -> None:  # noqa: ANN401
        """Print a finding in a terminal."""
        ...

    def hidden(self, finding: Any, home: Path | None) -> Finding:  # noqa: ANN401
        """The finding under pseudonyms; who is who is kept in the private folder of `home`."""
        ...


def audit_of(name: str, where: Path) -> Audit:
    """The audit of that name.

    Raises:
        RunError: There is none.
    """
    if name not in _AUDITS:
        raise RunError(
            f'{where}: of the audit "{name}", which this version does not have.'
            f"{did_you_mean(name, _AUDITS)}"
        )
    return cast("Audit", importlib.import_module(_AUDITS[name]))


def audit_of_run(run: "RunFolder") -> Audit:
    """The audit that a run belongs to.

    Raises:
        RunError: There is no run, or of no audit that is known here.
    """
    return audit_of(run.read_manifest().audit, run.root)


def audit_of_finding(path: Path) -> Audit:
    """The audit that a finding comes from.

    Raises:
        RunError: There is no finding, or of no audit that is known here.
    """
    try:
        audit = json.loads(path.read_bytes())["audit"]
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise RunError(f"{path.parent}: no finding here; run vlmaudit conclude first.") from problem
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as problem:
        raise RunError(f"{path}: not a finding that this version reads.") from problem
    return audit_of(str(audit), path)
