"""Under which libraries answers were given: recorded with every block, read by no conclusion."""

import importlib.metadata
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from vlmaudit.errors import RunError
from vlmaudit.results.files import write_text
from vlmaudit.results.fingerprint import fingerprint
from vlmaudit.results.records import Record

FILE: Final = "environment.json"
_LIBRARIES: Final = (
    "vlmaudit",
    "numpy",
    "pillow",
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "open_clip_torch",
    "timm",
)


class Environment(Record):
    """What may move an answer's last digits without being asked for."""

    versions: dict[str, str] = Field(description="Library versions.")
    python: str = Field(description="Version of Python.")
    system: str = Field(description="Such as Linux.")
    machine: str = Field(description="Kind of processor, such as x86_64.")
    device: str = Field(description="As asked for: cpu, cuda, mps or auto.")
    batch_size: str = Field(description="As asked for: a number, or auto.")

    @property
    def digest(self) -> str:
        """Names the environment in the blocks that it answered."""
        return fingerprint(self.model_dump())


class Environments(Record):
    """environment.json: every environment that answered something of a run, and since when."""

    schema_version: int = Field(default=1, alias="schema")
    environments: dict[str, Environment] = Field(
        default_factory=dict, description="By digest, which is how blocks name them."
    )
    since: dict[str, str] = Field(
        default_factory=dict, description="When each first answered something (UTC)."
    )

    @property
    def is_mixed(self) -> bool:
        """Whether answers come from more than one set of library versions."""
        seen = {fingerprint(each.versions) for each in self.environments.values()}
        return len(seen) > 1


def here(*, device: str, batch_size: int | None) -> Environment:
    """The environment of this process."""
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Environment(
        versions=versions,
        python=platform.python_version(),
        system=platform.system(),
        machine=platform.machine(),
        device=device,
        batch_size=str(batch_size or "auto"),
    )


def read_environments(root: Path) -> Environments:
    """What a run's environment.json says; nothing where there is none yet.

    Raises:
        RunError: The file is none of ours.
    """
    path = root / FILE
    try:
        return Environments.model_validate_json(path.read_text("utf-8"))
    except FileNotFoundError:
        return Environments()
    except (OSError, ValidationError, UnicodeDecodeError) as problem:
        raise RunError(f"{path}: not an environment file that this version reads.") from problem


def agree(before: Environments, now: Environment) -> None:
    """Refuse to go on with a run under other library versions than it was begun with.

    Raises:
        RunError: They differ; the first difference is named.
    """
    for other in before.environments.values():
        if other.versions != now.versions:
            raise RunError(
                f"the answers so far were given under {_difference(other.versions, now.versions)}. "
                "Go on under the same versions, start over (--fresh), or accept answers of both "
                "(--allow-mixed)."
            )


def enter(root: Path, *new: Environment) -> Environments:
    """Write down that these environments answer something of a run."""
    before = read_environments(root)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    digests = {each.digest: each for each in new}
    joined = Environments(
        environments=digests | before.environments,
        since=dict.fromkeys(digests, date) | before.since,
    )
    write_text(root / FILE, joined.model_dump_json(indent=2, by_alias=True) + "\n")
    return joined


def _difference(before: dict[str, str], now: dict[str, str]) -> str:
    name = next(name for name in {**before, **now} if before.get(name) != now.get(name))
    if name not in now:
        return f"{name} {before[name]}, which is missing here"
    if name not in before:
        return f"no {name}, which is here now"
    return f"{name} {before[name]}, and this is {now[name]}"
