"""Memorization, for the verbs that know no audit."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlmaudit.audits.memorization import run as audit_run
from vlmaudit.audits.memorization.finding import Finding
from vlmaudit.audits.memorization.settings import Memorization
from vlmaudit.cli.options import only
from vlmaudit.errors import InputError
from vlmaudit.results.run_folder import RunFolder

_OPTIONS = ("protocol", "alpha")


def conclude_run(run: RunFolder, options: Mapping[str, Any]) -> Finding:
    """Conclude on a run with its own settings, but for these options."""
    given = only(options, _OPTIONS, audit_run.AUDIT)
    return audit_run.conclude_run(run, replace(audit_run.read_settings(run), **given))


def conclude_states(
    folders: Sequence[Path], options: Mapping[str, Any], out: Path | None
) -> Finding:
    """Conclude on states from elsewhere; a row a record goes into `out`, where that is given."""
    given = only(options, _OPTIONS, audit_run.AUDIT)
    settings = replace(Memorization(means=("probe",)), **given)
    concluded = audit_run.conclude_states(folders, settings)
    if out is not None:
        audit_run.write_units(concluded, out)
    return concluded.finding


def read_finding(path: Path) -> Finding:
    """Read a finding of this audit."""
    return audit_run.read_finding(path)


def to_json(finding: Finding) -> str:
    """A finding as its file holds it."""
    return audit_run.to_json(finding)


def write_report(finding: Finding, out: Path, *, home: Path, with_pictures: bool = False) -> Path:
    """Write the report of a finding; no record's values and no picture are in it.

    Raises:
        InputError: Pictures were asked for.
    """
    del home
    if with_pictures:
        raise InputError("--with-pictures: reports of memorization show no pictures.")
    from vlmaudit.report.memorization.page import write_memorization_report

    return write_memorization_report(finding, out)


def show(finding: Finding, page: Path | None) -> None:
    """Print a finding in a terminal."""
    from vlmaudit.report.memorization.text import print_memorization_finding

    print_memorization_finding(finding, page=page)


def hidden(finding: Finding, home: Path | None) -> Finding:
    """The finding as it is: no record is named in it."""
    del home
    return finding
