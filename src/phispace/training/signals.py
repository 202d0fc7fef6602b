"""Ctrl-C and SIGTERM: the first asks training to stop after the step, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from phispace.errors import InterruptedRunError

_WATCHED = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Notes the first signal; handlers are put back on leaving. In other threads than the main one it does nothing.

    Attributes:
        received: the signal's number, or 0.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in _WATCHED}
            self.install()
        return self

    def install(self) -> None:
        """Set the handlers; called again after Lightning has set its own."""
        for number in self._before:
            signal.signal(number, self._note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.received = number


def interrupted(number: int, path: Any, saved: bool) -> InterruptedRunError:
    """The error that a stopped training ends with; its exit code is 128 + the signal's number."""
    name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    state = "its state is saved" if saved else "nothing had been trained yet"
    return InterruptedRunError(
        f"The run {path} was stopped by {name}; {state}. Continue it with --resume.", exit_code=128 + number
    )
