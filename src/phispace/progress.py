"""Progress: what is being done and how long is left.

The library asks for tasks; the command shows them as bars, a library user sees nothing unless a `Progress` is given.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

_EVERY = 30.0  # seconds between lines of a log


class Task(Protocol):
    """One piece of work that is under way."""

    def advance(self, amount: float = 1) -> None:
        """Say that `amount` more of the total is done."""

    def note(self, text: str) -> None:
        """Show a short text beside the bar, for example the latest loss."""


class Progress:
    """Shows nothing; the base of what shows something."""

    @contextlib.contextmanager
    def task(self, title: str, total: float | None = None) -> Iterator[Task]:
        """A piece of work; `total` in any unit, or None if it is not known."""
        yield _Silent()

    def say(self, text: str) -> None:
        """A line that stays: a choice that was made, a warning, a result."""


class _Silent:
    def advance(self, amount: float = 1) -> None:
        return None

    def note(self, text: str) -> None:
        return None


class Bars(Progress):
    """Bars in the terminal by rich, with the time that is left; a line now and then where there is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._display: Any = None
        self._depth = 0

    @contextlib.contextmanager
    def task(self, title: str, total: float | None = None) -> Iterator[Task]:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import (
            Progress as RichProgress,
        )

        if not self._console.is_terminal:
            self.say(f"{title} …")
            yield _Lines(self.say, title, total)
            return
        if self._display is None:
            self._display = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=28),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", style="dim"),
                console=self._console,
            )
            self._display.start()
        self._depth += 1
        number = self._display.add_task(title, total=total, note="")
        try:
            yield _Bar(self._display, number)
        finally:
            self._depth -= 1
            self._display.stop_task(number)
            if self._depth == 0:
                self._display.stop()
                self._display = None

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class _Lines:
    """For logs: what is done and how long is left, at most every half minute."""

    def __init__(self, say: Callable[[str], None], title: str, total: float | None) -> None:
        self._say, self._title, self._total = say, title, total
        self._done, self._note = 0.0, ""
        self._began = self._said = time.monotonic()

    def advance(self, amount: float = 1) -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._said < _EVERY or not self._total or self._done >= self._total:
            return
        self._said = now
        left = (now - self._began) * (self._total - self._done) / self._done if self._done > 0 else 0.0
        about = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
        note = f" ({self._note})" if self._note else ""
        self._say(f"{self._title}: {self._done:,.0f} of {self._total:,.0f}, about {about} left{note}")

    def note(self, text: str) -> None:
        self._note = text


class _Bar:
    def __init__(self, display: Any, number: Any) -> None:
        self._display = display
        self._number = number

    def advance(self, amount: float = 1) -> None:
        self._display.advance(self._number, amount)

    def note(self, text: str) -> None:
        self._display.update(self._number, note=text)


SILENT = Progress()
