"""Name leakage, for the verbs that know no audit."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vlmaudit.audits.name_leakage import run as audit_run
from vlmaudit.audits.name_leakage.finding import Finding
from vlmaudit.audits.name_leakage.settings import NameLeakage
from vlmaudit.audits.name_leakage.shown import read_shown
from vlmaudit.cli.options import only
from vlmaudit.cli.shared import say_who_is_who
from vlmaudit.results.run_folder import RunFolder

_OPTIONS = ("protocol", "pool", "alpha", "against")


def conclude_run(run: RunFolder, options: Mapping[str, Any]) -> Finding:
    """Conclude on a run with its own settings, but for these options."""
    given = only(options, _OPTIONS, "name-leakage")
    against = given.pop("against", None)
    return audit_run.conclude_run(
        run, replace(audit_run.read_settings(run), **given), against=against
    )


def conclude_answers(
    answers: Path, people: Path, options: Mapping[str, Any], out: Path | None
) -> Finding:
    """Conclude on a table of answers; its tables go into `out`, where that is given."""
    given = only(options, _OPTIONS, "name-leakage")
    against = given.pop("against", None)
    settings = replace(NameLeakage(), **given)
    concluded = audit_run.conclude_answers(answers, people, settings, against=against)
    if out is not None:
        audit_run.write_tables(concluded, out, settings)
    return concluded.finding


def read_finding(path: Path) -> Finding:
    """Read a finding of this audit."""
    return audit_run.read_finding(path)


def to_json(finding: Finding) -> str:
    """A finding as its file holds it."""
    return audit_run.to_json(finding)


def write_report(finding: Finding, out: Path, *, home: Path, with_pictures: bool = False) -> Path:
    """Write the report of a finding, with the answers that its run keeps."""
    from vlmaudit.report.leakage.page import write_leakage_report
    from vlmaudit.report.leakage.pseudonyms import answers_under_pseudonyms
    from vlmaudit.report.pictures import detected_pictures
    from vlmaudit.report.pseudonyms import known_pseudonyms

    pictures = partial(detected_pictures, finding, RunFolder(home)) if with_pictures else None
    answers = read_shown(home / "private")
    if finding.pseudonyms and answers is not None:
        names = known_pseudonyms(home / "private")
        # Whose pseudonym is whose is not known: then nothing is quoted.
        answers = None if names is None else answers_under_pseudonyms(answers, names)
    return write_leakage_report(finding, out, answers=answers, pictures=pictures)


def show(finding: Finding, page: Path | None) -> None:
    """Print a finding in a terminal."""
    from vlmaudit.report.leakage.text import print_leakage_finding

    print_leakage_finding(finding, page=page)


def hidden(finding: Finding, home: Path | None) -> Finding:
    """The finding under pseudonyms; who is who is kept in the private folder of `home`."""
    from vlmaudit.report.leakage.pseudonyms import leakage_under_pseudonyms
    from vlmaudit.report.pseudonyms import draw_pseudonyms, kept_pseudonyms

    if finding.pseudonyms:
        return finding
    say_who_is_who(home)
    names = draw_pseudonyms(finding) if home is None else kept_pseudonyms(finding, home / "private")
    shown, _ = leakage_under_pseudonyms(finding, None, names)
    return shown
