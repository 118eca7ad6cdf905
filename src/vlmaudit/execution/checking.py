"""The self-test of a model: by itself, and before a run asks it anything."""

from contextlib import closing
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError
from rich.console import Console

from vlmaudit.errors import InputError, ModelError, RunError
from vlmaudit.execution.progress import progress, say
from vlmaudit.models.generative_self_test import check_generative, n_steps
from vlmaudit.models.kinds import asks_in_words
from vlmaudit.models.loading import (
    kind_of,
    load_contrastive,
    load_generative,
    load_label_only,
    parse_spec,
)
from vlmaudit.models.options import GenerativeOptions, Quantization
from vlmaudit.models.self_test import N_REQUESTS, N_STEPS, check_contrastive, check_label_only
from vlmaudit.results.files import write_text
from vlmaudit.results.records import ModelRecord
from vlmaudit.results.self_test import (
    FILE,
    KNOWN_ANSWERS,
    KnownAnswers,
    SelfTest,
    agrees,
    drift,
    says_alike,
)


def check_model(
    spec: str,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    batch_size: int | None = None,
    quantization: Quantization = "none",
    trust_remote_code: str | None = None,
    max_new_tokens: int = 64,
    known: KnownAnswers | None = None,
    console: Console,
) -> SelfTest:
    """Load a model of any kind and test it.

    Args:
        spec: The model, as on the command line.
        device: Where it runs; a server does not ask.
        dtype: Its arithmetic.
        batch_size: Pictures, texts or prompts a batch; None leaves it to the adapter.
        quantization: Of a model that answers in words.
        trust_remote_code: Likewise, the revision whose own code may run.
        max_new_tokens: Likewise, where an answer is cut off.
        known: What it said before, to compare with.
        console: Where progress goes.

    Raises:
        ModelError: The model cannot be loaded or asked.
        InputError: An option is for another kind of model.
    """
    if asks_in_words(spec):
        options = GenerativeOptions(
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            quantization=quantization,
            trust_remote_code=trust_remote_code,
            max_new_tokens=max_new_tokens,
        )
        return _check_generative(spec, options, known, console)
    for option, is_given in (
        ("--quantization", quantization != "none"),
        ("--trust-remote-code", trust_remote_code is not None),
    ):
        if is_given:
            raise InputError(
                f"{option}: it is for models that answer in words, and "
                f"{parse_spec(spec).public_name} is none; leave it out."
            )
    if kind_of(spec) == "label_only":
        with (
            closing(load_label_only(spec)) as black_box,
            progress("Self-test, requests", N_REQUESTS, console) as advance,
        ):
            return check_label_only(black_box, advance=advance)
    say(console, f"Loading {spec} …")
    model = load_contrastive(spec, device=device, dtype=dtype, batch_size=batch_size)
    with progress("Self-test", N_STEPS, console) as advance:
        return check_contrastive(model, known=known, advance=advance)


def _check_generative(
    spec: str, options: GenerativeOptions, known: KnownAnswers | None, console: Console
) -> SelfTest:
    if not parse_spec(spec).url:
        say(console, f"Loading {spec} …")
    with (
        closing(load_generative(spec, options)) as model,
        progress("Self-test", n_steps(model), console) as advance,
    ):
        return check_generative(model, known=known, advance=advance)


def known_answers_file(spec: str) -> Path | None:
    """Where a model's known answers are kept: in its folder, or beside its file.

    None for what has no place of its own on this machine.

    >>> str(known_answers_file("open_clip:RN50@/models/run7.pt"))
    '/models/run7.pt.known_answers.json'
    >>> known_answers_file("hf:openai/clip-vit-base-patch32")

    Raises:
        ModelError: The spec cannot be read.
    """
    path = parse_spec(spec).path
    if path is None:
        return None
    if path.is_dir():
        return path / KNOWN_ANSWERS
    # A folder of checkpoints has answers for each of them.
    return path.with_name(f"{path.name}.{KNOWN_ANSWERS}")


def read_known_answers(spec: str) -> KnownAnswers | None:
    """What a model said before, if anybody kept it.

    Raises:
        InputError: The file cannot be read.
        ModelError: The spec cannot be read.
    """
    file = known_answers_file(spec)
    if file is None or not file.exists():
        return None
    try:
        return KnownAnswers.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as problem:
        raise InputError(
            f"{file}: no known answers that this version reads; remove the file or write it anew "
            "(--write-known-answers)."
        ) from problem


def write_known_answers(spec: str, test: SelfTest) -> Path:
    """Keep what a model says now beside its checkpoint.

    Raises:
        InputError: There is no place for it, or nothing to keep.
        ModelError: The spec cannot be read.
    """
    file = known_answers_file(spec)
    if file is None:
        raise InputError(
            f"--write-known-answers: {spec} has no folder on this machine to write them to."
        )
    if test.answers is None:
        raise InputError("--write-known-answers: nothing that the model gave can be kept.")
    write_text(file, test.answers.model_dump_json(indent=2, by_alias=True) + "\n")
    return file


class Checkable(Protocol):
    """What is tested."""

    @property
    def record(self) -> ModelRecord: ...

    def check(self, console: Console) -> SelfTest: ...


def agree_with_self_test(root: Path, model: Checkable, console: Console) -> SelfTest:
    """Test a model before it is asked anything for a run, and keep the result with the run.

    Args:
        root: The run's folder.
        model: What is about to be asked.
        console: Where progress goes.

    Raises:
        ModelError: It does not pass, or it answers otherwise than when the run was begun.
        RunError: The result that is there cannot be read.
    """
    test = model.check(console)
    name = model.record.name
    if not test.passed:
        raise ModelError(
            f'model "{name}": does not pass its self-test: {" ".join(test.failures())} '
            "More: vlmaudit models check."
        )
    path = root / FILE
    if path.exists():
        before = _read_self_test(path)
        if not agrees(before, test):
            how = (
                f"its known answers moved by {drift(before, test):.2g}"
                if says_alike(before, test)
                else "it says other words of the same pictures"
            )
            raise ModelError(
                f'model "{name}": answers otherwise than when this run was begun ({how}). Go on '
                "where it was begun, or start over (--fresh)."
            )
    else:
        write_text(path, test.model_dump_json(indent=2, by_alias=True) + "\n")
    return test


def _read_self_test(path: Path) -> SelfTest:
    try:
        return SelfTest.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as problem:
        raise RunError(
            f"{path}: not a self-test that this version reads; remove the file to have it made "
            "anew."
        ) from problem
