"""A run's model must pass its self-test, and answer as it did when the run was begun."""

from pathlib import Path
from typing import Protocol

from pydantic import ValidationError
from rich.console import Console

from vlmaudit.errors import ModelError, RunError
from vlmaudit.results.files import write_text
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.self_test import FILE, SelfTest, agrees, drift


class Checkable(Protocol):
    """What is tested."""

    @property
    def record(self) -> ModelRecord: ...

    def check(self) -> SelfTest: ...


def agree_with_self_test(root: Path, model: Checkable, console: Console) -> SelfTest:
    """Test a model before it is asked anything for a run, and keep the result with the run.

    Args:
        root: The run's folder.
        model: What is about to be asked.
        console: Where to say that it is being tested.

    Raises:
        ModelError: It does not pass, or it answers otherwise than when the run was begun.
        RunError: The result that is there cannot be read.
    """
    console.print("Testing the model …", highlight=False)
    test = model.check()
    name = model.record.name
    if not test.passed:
        raise ModelError(
            f'model "{name}": does not pass its self-test: {" ".join(test.failures())} '
            f"More: vlmaudit models check."
        )
    path = root / FILE
    if path.exists():
        before = _read(path)
        if not agrees(before, test):
            raise ModelError(
                f'model "{name}": answers otherwise than when this run was begun (its known '
                f"answers moved by {drift(before, test):.2g}). Go on where it was begun, or start "
                "over (--fresh)."
            )
    else:
        write_text(path, test.model_dump_json(indent=2, by_alias=True) + "\n")
    return test


def _read(path: Path) -> SelfTest:
    try:
        return SelfTest.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as problem:
        raise RunError(
            f"{path}: not a self-test that this version reads; remove the file to have it made "
            "anew."
        ) from problem
