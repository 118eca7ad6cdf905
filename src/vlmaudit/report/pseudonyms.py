"""A finding whose people stand under pseudonyms, wherever it names them."""

import csv
import hashlib
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vlmaudit.audits.identity_inference.finding import Finding
from vlmaudit.data.names import fold_name
from vlmaudit.errors import RunError
from vlmaudit.report.persons import ShownFinding
from vlmaudit.results.files import make_private, write_whole
from vlmaudit.seeds import stream

FILE: Final = "pseudonyms.csv"
_COLUMNS: Final = ("pseudonym", "identity", "name")
_PSEUDONYM: Final = re.compile(r"person-(\d+)")
# What takes one of a few values; a person may be called like one of them.
_VALUES: Final = frozenset(
    (
        *("schema", "audit", "protocol", "verdict", "kind", "rule", "quantity", "unit", "label"),
        *("membership", "sex", "flagged_by"),
    )
)
# Sentences that give somebody as an example or name who shares a name. They may be about people
# who are not in the study, so no list of names would do.
_EXAMPLE: Final = re.compile(r", such as .*$", re.DOTALL)
_OUR_WORDS: Final = frozenset(
    ("an", "as", "at", "be", "by", "if", "in", "is", "it", "no", "of", "on", "or", "so", "to", "up")
)
_SHARED_NAME: Final = re.compile(r"^(Controls: )?.* bear the same name:", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Who is called how.

    Attributes:
        of: Everybody's pseudonym, by identity.
        names: Everybody's name, by identity.
    """

    of: Mapping[str, str]
    names: Mapping[str, str]


def draw_pseudonyms(finding: ShownFinding, known: Mapping[str, str] | None = None) -> Pseudonyms:
    """Pseudonyms for everybody in a finding.

    Their order is drawn: it follows neither the alphabet nor the finding. The draw hangs on the
    finding's people and numbers as well as on its seed, so that nobody who merely knows who was
    audited can repeat it.

    Args:
        finding: Whose people need one.
        known: Pseudonyms by identity that were given out before; they stay.
    """
    given = dict(known or {})
    rows = sorted(row.model_dump_json() for row in finding.people)
    digest = hashlib.blake2b("\n".join(rows).encode(), digest_size=16).hexdigest()
    rng = stream(int(finding.settings.get("seed") or 0), "pseudonyms", digest)
    new = sorted(
        {row.identity for row in finding.people}.union(finding.failures.people_lost) - given.keys()
    )
    taken = [int(parts[1]) for one in given.values() if (parts := _PSEUDONYM.fullmatch(one))]
    first = max(taken, default=0) + 1
    digits = max(3, len(str(first + len(new) - 1)))
    for place, who in enumerate(rng.permutation(len(new)).tolist()):
        given[new[who]] = f"person-{first + place:0{digits}d}"
    names = {row.identity: row.name for row in finding.people}
    return Pseudonyms(given, {identity: names.get(identity, "") for identity in given})


def kept_pseudonyms(finding: ShownFinding, private: Path) -> Pseudonyms:
    """A run's pseudonyms: those it gave out before, and new ones for who came since.

    Args:
        finding: Whose people need one.
        private: The run's private folder, where the list is kept; made where it is missing.

    Raises:
        RunError: The list that is there cannot be read.
    """
    path = make_private(private) / FILE
    known = _read(path)
    drawn = draw_pseudonyms(finding, {identity: one for identity, (one, _) in known.items()})
    names = {identity: name for identity, (_, name) in known.items()}
    names |= {identity: name for identity, name in drawn.names.items() if name}
    found = Pseudonyms(drawn.of, {identity: names.get(identity, "") for identity in drawn.of})
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    writer.writerows(
        sorted((one, identity, found.names[identity]) for identity, one in found.of.items())
    )
    write_whole(path, lambda part: part.write_text(text.getvalue(), encoding="utf-8"), private=True)
    return found


def known_pseudonyms(private: Path) -> Pseudonyms | None:
    """The pseudonyms that a run gave out before; None where it gave out none.

    Raises:
        RunError: The list that is there cannot be read.
    """
    known = _read(private / FILE)
    if not known:
        return None
    return Pseudonyms(
        {identity: one for identity, (one, _) in known.items()},
        {identity: name for identity, (_, name) in known.items()},
    )


def _read(path: Path) -> dict[str, tuple[str, str]]:
    """Pseudonym and name by identity, as they were written down."""
    if not path.exists():
        return {}
    try:
        header, *rows = csv.reader(io.StringIO(path.read_bytes().decode(), newline=""))
        known = {identity: (pseudonym, name) for pseudonym, identity, name in rows}
    except (OSError, ValueError, csv.Error) as problem:
        raise _damaged(path) from problem
    if tuple(header) != _COLUMNS or not all(_PSEUDONYM.fullmatch(one) for one, _ in known.values()):
        raise _damaged(path)
    return known


def _damaged(path: Path) -> RunError:
    return RunError(
        f"{path}: not a list of pseudonyms; put it right, or delete it to have new ones drawn."
    )


def under_pseudonyms(finding: Finding, pseudonyms: Pseudonyms) -> Finding:
    """The finding with a pseudonym for every name and identity, also inside its sentences."""
    if finding.pseudonyms:
        return finding
    hider = _Hider(pseudonyms)
    content = hider.walk(finding.model_dump(mode="json", by_alias=True))
    for row, person in zip(content["people"], finding.people, strict=True):
        row["identity"] = row["name"] = pseudonyms.of[person.identity]
    reasons: Counter[str] = Counter()
    for reason, number in finding.failures.reasons.items():
        reasons[hider.text(reason)] += number
    content["failures"]["reasons"] = dict(reasons)
    content["failures"]["people_lost"] = sorted(
        pseudonyms.of[identity] for identity in finding.failures.people_lost
    )
    for place, difference in enumerate(
        finding.comparison.differences if finding.comparison else ()
    ):
        content["comparison"]["differences"][place]["people"] = sorted(
            pseudonyms.of[identity] for identity in difference.people
        )
    content["people"].sort(key=lambda row: row["identity"])
    content["pseudonyms"] = True
    return Finding.model_validate(content)


class _Hider:
    """Replaces names in text, however they are written there."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._called: dict[str, list[str]] = {}
        patterns: set[str] = set()
        for identity, pseudonym in pseudonyms.of.items():
            for form in (identity, pseudonyms.names[identity]):
                if pattern := _pattern(form):
                    patterns.add(pattern)
                    called = self._called.setdefault(fold_name(form), [])
                    called += [pseudonym] if pseudonym not in called else []
        longest_first = sorted(patterns, key=lambda pattern: (-len(pattern), pattern))
        self._names = re.compile(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)")
        self._has_names = bool(patterns)
        self._done: dict[str, str] = {}

    def walk(self, thing: Any) -> Any:  # noqa: ANN401 - any part of a finding
        if isinstance(thing, str):
            return self.text(thing)
        if isinstance(thing, list):
            return [self.walk(part) for part in thing]
        if isinstance(thing, dict):
            return {
                key: value if key in _VALUES else self.walk(value) for key, value in thing.items()
            }
        return thing

    def text(self, text: str) -> str:
        """The text without names; the same text again costs nothing."""
        if text not in self._done:
            self._done[text] = self._hidden(text)
        return self._done[text]

    def _hidden(self, text: str) -> str:
        text = _EXAMPLE.sub(".", text)
        text = _SHARED_NAME.sub(r"\1Several people bear the same name:", text)
        if not self._has_names:
            return text
        # Taken apart, so that accents match whichever way they are written.
        apart = unicodedata.normalize("NFD", text)
        found = self._names.sub(lambda match: self._pseudonym(match[0]), apart)
        return unicodedata.normalize("NFC", found) if found != apart else text

    def _pseudonym(self, written: str) -> str:
        return " or ".join(sorted(self._called.get(fold_name(written), ["somebody"])))


def _pattern(name: str) -> str:
    """A pattern for a name with or without accents, with spaces or underscores.

    It is empty for what cannot be told from our own words: numbers, and lone letters. A single
    word counts only as it is written, for Will and May are names, and "will" and "may" are not.
    """
    words = [
        "".join(_letters(word))
        for word in re.split(r"[\s_]+", unicodedata.normalize("NFD", name))
        if word
    ]
    if len(words) == 1 and (name.isdecimal() or len(name.strip("_")) < 2 or name in _OUR_WORDS):
        return ""
    pattern = r"[\s_]+".join(words)
    return f"(?i:{pattern})" if len(words) > 1 else pattern


def _letters(word: str) -> Iterable[str]:
    for sign in word:
        if not unicodedata.combining(sign):
            yield re.escape(sign) + r"[\u0300-\u036f]*"
