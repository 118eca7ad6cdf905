"""Ctrl-C while answers come in: it waits for what is being written, and is never lost."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any


class CtrlC:
    """Within it, Ctrl-C interrupts as ever, save where it is held.

    Python forgets a KeyboardInterrupt that is raised within a finaliser or a callback ("Exception
    ignored in …"), and the run would go on as if nobody had pressed anything. Here it is
    remembered, and raised again at the end of the next part that is held.
    """

    def __init__(self) -> None:
        self._is_pressed = False
        self._is_held = False
        self._before: Any = None
        # Signals reach the main thread alone; others are not interrupted.
        self._is_ours = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "CtrlC":
        if self._is_ours:
            self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_ours:
            signal.signal(signal.SIGINT, self._before)
        if problem is None and self._is_pressed:
            raise KeyboardInterrupt

    def _press(self, number: int, frame: FrameType | None) -> None:
        self._is_pressed = True
        if not self._is_held:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let Ctrl-C wait until what is being written is written."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._is_pressed:
            raise KeyboardInterrupt
