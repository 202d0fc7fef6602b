"""Progress: what is being done and how long is left.

The library asks for tasks; the command shows them as bars, a library user sees nothing unless a `Progress` is given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol


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
    """Bars in the terminal by rich, with the time that is left; plain lines where the output is no terminal."""

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
            self._console.print(f"{title} …", highlight=False)
            yield _Silent()
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
        self._console.print(text, highlight=False, markup=False)


class _Bar:
    def __init__(self, display: Any, number: Any) -> None:
        self._display = display
        self._number = number

    def advance(self, amount: float = 1) -> None:
        self._display.advance(self._number, amount)

    def note(self, text: str) -> None:
        self._display.update(self._number, note=text)


SILENT = Progress()
