"""What every finding has in common that is about people."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from vlmaudit.results.records import Failures


class ShownPerson(Protocol):
    """One person's row, in the finding of any audit."""

    @property
    def identity(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def detected(self) -> bool | None: ...
    def model_dump_json(self) -> str:
        """All of the row, as text."""
        ...


class ShownFinding(Protocol):
    """The finding of any audit."""

    @property
    def people(self) -> Sequence[ShownPerson]: ...
    @property
    def failures(self) -> Failures: ...
    @property
    def settings(self) -> Mapping[str, str | int | float | bool | None]: ...
