"""What phispace says when it cannot go on.

Only these leave the library for bad input. A message states what was received, what is expected and what to do.
The command prints the message in one line and exits with `exit_code`.
"""

from __future__ import annotations


class PhispaceError(Exception):
    """Base of all errors that the library raises on purpose."""

    exit_code = 1


class InputError(PhispaceError):
    """An option, name or argument that does not fit."""

    exit_code = 2


class UnfitError(InputError):
    """A change that these images cannot undergo (too small, not square, grey), though there is such a change."""


class DataError(PhispaceError):
    """Images, archives, stores or checkpoints that cannot be read, or that are not what they claim to be."""

    exit_code = 3


class RunError(PhispaceError):
    """A run directory in the wrong state: not empty, locked by another process, or changed since it began."""

    exit_code = 4


class DivergedError(PhispaceError):
    """Training met a loss that is not finite; the last good checkpoint is kept."""

    exit_code = 5


class CollapsedError(PhispaceError):
    """Training met a collapsed representation, and was asked to stop at one; the last weights before it are kept."""

    exit_code = 8


class MissingDependencyError(PhispaceError):
    """An optional package is needed and not installed."""

    exit_code = 6


class StorageError(PhispaceError):
    """The disk refused a write (full, read-only, quota); what was there before is intact."""

    exit_code = 7


class InterruptedRunError(PhispaceError):
    """The user or the system asked the run to stop; its state was saved."""

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code
