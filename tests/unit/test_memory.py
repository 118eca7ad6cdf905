"""Batches that do not fit: halved, remembered, and nothing else computed twice."""

import subprocess
import sys

import pytest

from vlmaudit.errors import ModelError, OutOfMemoryError
from vlmaudit.models.memory import BatchSize, fitting, is_out_of_memory

CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB"


def batch_size(size):
    return BatchSize(size, what="picture", model="hf:tiny")


class Room:
    """Computes a part of the numbers, as long as it is not too long."""

    def __init__(self, room, error=MemoryError):
        self.room = room
        self.error = error
        self.computed = []
        self.failed = []

    def __call__(self, part):
        size = part.stop - part.start
        if size > self.room:
            self.failed.append(size)
            raise self.error
        self.computed += range(part.start, part.stop)
        return part.start, part.stop


@pytest.mark.parametrize(
    "problem",
    [
        MemoryError(),
        RuntimeError(CUDA),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.31 GB)"),
        RuntimeError("Invalid buffer size: 12.00 GB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes."),
    ],
)
def test_every_kind_of_out_of_memory_is_recognised(problem):
    assert is_out_of_memory(problem)


@pytest.mark.parametrize(
    "problem",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("out of memory"),
        OSError("Cannot allocate memory"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_are_not(problem):
    assert not is_out_of_memory(problem)


@pytest.mark.torch
def test_what_torch_itself_raises_is_recognised():
    import torch

    with pytest.raises(RuntimeError) as too_much:
        torch.empty(10**15)
    assert is_out_of_memory(too_much.value)
    assert is_out_of_memory(torch.OutOfMemoryError("whatever it says"))
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("whatever it says"))


def test_no_model_library_is_loaded_for_it():
    code = "import sys, vlmaudit.models.memory; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_batch_that_fits_is_left_alone():
    room, size = Room(8), batch_size(8)
    parts = [part for part, _ in size.batches(20, room)]
    assert [(part.start, part.stop) for part in parts] == [(0, 8), (8, 16), (16, 20)]
    assert size.now == 8


@pytest.mark.parametrize("n", [0, 1, 5, 8, 9, 20, 65])
@pytest.mark.parametrize("room", [1, 2, 3, 5, 64])
def test_all_is_computed_once_and_in_order(n, room):
    small = Room(room)
    results = list(batch_size(64).batches(n, small))
    assert small.computed == list(range(n))
    assert [(part.start, part.stop) for part, _ in results] == [result for _, result in results]


def test_only_the_batch_that_failed_is_computed_again():
    room, size = Room(3), batch_size(16)
    list(size.batches(40, room))
    assert room.failed == [16, 8, 4]
    assert size.now == 2


def test_the_smaller_size_is_remembered():
    room, size = Room(4), batch_size(16)
    list(size.batches(16, room))
    list(size.batches(16, room))
    assert room.failed == [16, 8]
    assert size.now == 4


def test_a_short_last_batch_is_halved_itself():
    """Memory may become scarce: half of 16 would be more than what has just failed."""
    room, size = Room(16), batch_size(16)
    batches = size.batches(22, room)
    next(batches)
    room.room = 4
    list(batches)
    assert room.failed == [6]
    assert size.now == 3


@pytest.mark.parametrize("size", [1, 2, 64])
def test_one_that_does_not_fit_is_an_error_of_one_line(size):
    with pytest.raises(OutOfMemoryError) as error:
        list(batch_size(size).batches(5, Room(0, RuntimeError(f"{CUDA}.\nSee the documentation."))))
    message = str(error.value)
    assert message.startswith(
        'model "hf:tiny": not even one picture at a time fits into memory (CUDA out of memory. '
    )
    assert message.endswith("); free some, or choose another --device or a narrower --dtype.")
    assert "\n" not in message
    assert isinstance(error.value, ModelError)


def test_a_last_batch_of_one_that_does_not_fit_is_an_error_too():
    room = Room(4)
    batches = batch_size(4).batches(5, room)
    next(batches)
    room.room = 0
    with pytest.raises(OutOfMemoryError):
        next(batches)


def test_an_error_without_words_is_named():
    with pytest.raises(OutOfMemoryError, match=r"\(MemoryError\)"):
        list(batch_size(1).batches(1, Room(0)))


def test_other_errors_pass_and_nothing_is_halved():
    size = batch_size(8)
    with pytest.raises(ZeroDivisionError):
        list(size.batches(8, Room(0, ZeroDivisionError)))
    assert size.now == 8


def test_what_the_failed_batch_held_is_gone_before_the_next():
    """The error's traceback keeps the batch's tensors alive for as long as it is kept itself."""
    import weakref

    class Tensor:
        pass

    held, gone = [], []

    def compute(part):
        gone.append([reference() is None for reference in held])
        tensor = Tensor()
        held.append(weakref.ref(tensor))
        if part.stop - part.start > 1:
            raise MemoryError
        return None

    list(batch_size(2).batches(1 + 1, compute))
    assert gone == [[], [True], [True, True]]


@pytest.mark.torch
def test_the_freed_memory_is_given_back_to_the_device(monkeypatch):
    import torch

    emptied = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append("cuda"))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append("mps"))
    list(batch_size(4).batches(4, Room(2)))
    assert emptied == ["cuda", "mps"]


def test_a_model_that_does_not_fit_is_an_error_of_one_line():
    with pytest.raises(OutOfMemoryError) as error, fitting("hf:tiny"):
        raise RuntimeError(f"{CUDA}.\nSee the documentation.")
    assert str(error.value).startswith('model "hf:tiny": it does not fit into memory (CUDA out of')
    assert "\n" not in str(error.value)
    with pytest.raises(ZeroDivisionError), fitting("hf:tiny"):
        raise ZeroDivisionError


@pytest.mark.torch
@pytest.mark.parametrize("family", ["open_clip", "hf"])
@pytest.mark.parametrize("when", ["built", "asked"])
def test_loading_a_model_that_does_not_fit(family, when, tiny_open_clip, tiny_hf_clip, monkeypatch):
    import open_clip
    import torch
    import transformers

    from vlmaudit.models.loading import load_contrastive

    def fail(*_, **__):
        raise torch.OutOfMemoryError(CUDA)

    if when == "asked":
        monkeypatch.setattr(torch.nn.Embedding, "forward", fail)
    elif family == "open_clip":
        monkeypatch.setattr(open_clip, "create_model", fail)
    else:
        monkeypatch.setattr(transformers.AutoModel, "from_pretrained", fail)
    folder = {"open_clip": tiny_open_clip, "hf": tiny_hf_clip}[family]
    spec = f"{family}:{folder}"
    with pytest.raises(OutOfMemoryError) as error:
        load_contrastive(spec)
    assert "memory (CUDA out of memory. Tried" in str(error.value)
    assert str(error.value).startswith(f'model "{family}:')
