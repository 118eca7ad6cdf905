"""What to say where a library is missing that changes pictures."""

from vlmaudit.errors import InputError


def missing_extra(what: str, problem: ImportError) -> InputError:
    """The error of a user who has not installed what a step needs."""
    return InputError(
        f"{what} needs {problem.name or problem}, which is not installed: "
        "pip install 'vlmaudit[images]'."
    )
