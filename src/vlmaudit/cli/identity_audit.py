"""Identity inference, for the verbs that know no audit."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vlmaudit.audits.identity_inference import run as audit_run
from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.audits.identity_inference.settings import IdentityInference
from vlmaudit.cli.options import only
from vlmaudit.cli.shared import say_who_is_who
from vlmaudit.results.run_folder import RunFolder

_OPTIONS = ("protocol", "pool", "tau", "alpha")


def conclude_run(run: RunFolder, options: Mapping[str, Any]) -> Finding:
    """Conclude on a run with its own settings, but for these options."""
    given = only(options, _OPTIONS, "identity-inference")
    return audit_run.conclude_run(run, replace(audit_run.read_settings(run), **given))


def conclude_votes(
    votes: Path, people: Path, names: Path | None, options: Mapping[str, Any]
) -> Finding:
    """Conclude on a table of votes."""
    given = only(options, _OPTIONS, "identity-inference")
    return audit_run.conclude_votes(
        votes, people, replace(IdentityInference(), **given), names=names
    )


def read_finding(path: Path) -> Finding:
    """Read a finding of this audit."""
    return audit_run.read_finding(path)


def to_json(finding: Finding) -> str:
    """A finding as its file holds it."""
    return audit_run.to_json(finding)


def write_report(finding: Finding, out: Path, *, home: Path, with_pictures: bool = False) -> Path:
    """Write the report of a finding."""
    from vlmaudit.report.html import write_report
    from vlmaudit.report.pictures import detected_pictures

    pictures = partial(detected_pictures, finding, RunFolder(home)) if with_pictures else None
    return write_report(finding, out, pictures=pictures)


def show(finding: Finding, page: Path | None) -> None:
    """Print a finding in a terminal."""
    from vlmaudit.report.text import print_finding

    print_finding(finding, page=page)


def hidden(finding: Finding, home: Path | None) -> Finding:
    """The finding under pseudonyms; who is who is kept in the private folder of `home`."""
    from vlmaudit.report.pseudonyms import draw_pseudonyms, kept_pseudonyms, under_pseudonyms

    if finding.pseudonyms:
        return finding
    say_who_is_who(home)
    names = draw_pseudonyms(finding) if home is None else kept_pseudonyms(finding, home / "private")
    return under_pseudonyms(finding, names)
