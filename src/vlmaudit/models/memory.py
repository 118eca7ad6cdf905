"""Batches that become smaller where memory does not suffice."""

import gc
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from vlmaudit.errors import OutOfMemoryError

# How many go into a batch where nobody says otherwise.
PICTURES_A_BATCH: Final = 64
TEXTS_A_BATCH: Final = 256

# What libraries say in a plain RuntimeError: CUDA's and HIP's drivers and MPS, MPS on one tensor
# that is too large, cuBLAS and cuDNN, and torch's allocator on the CPU (Linux, then Windows).
_SAYINGS: Final = (
    "out of memory",
    "invalid buffer size",
    "_status_alloc_failed",
    "can't allocate memory",
    "not enough memory",
)

Result = TypeVar("Result")


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether an error says that memory ran out, on whichever device and in whichever words.

    >>> is_out_of_memory(MemoryError())
    True
    >>> is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    True
    >>> is_out_of_memory(RuntimeError("shapes do not match"))
    False
    """
    if isinstance(problem, MemoryError):
        return True
    torch = sys.modules.get("torch")  # not loaded: then it is none of torch's errors
    if torch is not None and isinstance(problem, torch.OutOfMemoryError):
        return True
    said = str(problem).lower()
    return isinstance(problem, RuntimeError) and any(saying in said for saying in _SAYINGS)


@contextmanager
def fitting(model: str) -> Iterator[None]:
    """Say in one line that a model does not fit, where loading it runs out of memory.

    Args:
        model: How an error calls the model.

    Raises:
        OutOfMemoryError: It does not fit.
    """
    try:
        yield
    except Exception as problem:
        if not is_out_of_memory(problem):
            raise
        raise _does_not_fit(model, "it does not fit", problem) from problem


class BatchSize:
    """How many inputs a model takes at a time: halved whenever they do not fit, and kept so.

    >>> size = BatchSize(4, what="picture", model="scripted:ada")
    >>> def double(part):
    ...     if part.stop - part.start > 2:
    ...         raise MemoryError
    ...     return [2 * number for number in range(part.start, part.stop)]
    >>> [doubled for _, doubled in size.batches(5, double)]
    [[0, 2], [4, 6], [8]]
    >>> size.now
    2
    """

    def __init__(self, size: int, *, what: str, model: str) -> None:
        """Begin with a size.

        Args:
            size: Inputs a batch, 1 or more.
            what: One input, as an error calls it, such as "picture".
            model: How an error calls the model.
        """
        self._size = size
        self._what = what
        self._model = model

    @property
    def now(self) -> int:
        """The size in use; it never grows."""
        return self._size

    def batches(self, n: int, compute: Callable[[slice], Result]) -> Iterator[tuple[slice, Result]]:
        """Compute something on `n` inputs batch by batch, in order.

        A batch that does not fit is computed again in halves; nothing else is computed twice.

        Args:
            n: How many inputs there are.
            compute: Gives what comes out for a part of them.

        Raises:
            OutOfMemoryError: A batch of one does not fit.
        """
        start = 0
        while start < n:
            part = slice(start, min(n, start + self._size))
            try:
                result = compute(part)
            except Exception as problem:
                if not is_out_of_memory(problem):
                    raise
                too_large = _does_not_fit(
                    self._model, f"not even one {self._what} at a time fits", problem
                )
            else:
                yield part, result
                start = part.stop
                continue
            # Out here the error and its traceback are gone, which held the batch's tensors.
            _free()
            failed = part.stop - start
            if failed == 1:
                raise too_large
            self._size = failed // 2


def _does_not_fit(model: str, what: str, problem: Exception) -> OutOfMemoryError:
    reason = textwrap.shorten(str(problem), 120, placeholder=" …") or type(problem).__name__
    return OutOfMemoryError(
        f'model "{model}": {what} into memory ({reason.rstrip(".")}); free some, or choose another '
        "--device or a narrower --dtype."
    )


def _free() -> None:
    """Give back what the failed batch took, so that its half finds room."""
    gc.collect()  # tracebacks make cycles
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
