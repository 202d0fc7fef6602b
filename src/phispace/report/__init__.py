"""Reports and leaderboards, from stored results only: nothing here trains or loads a model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phispace.report.build import build_report, run_report
    from phispace.report.document import Report

# Functions named as their module (render, leaderboard) are imported from there: a package attribute of that name would
# be the module as soon as anybody imports it.
_HOME = {
    "Report": "phispace.report.document",
    "build_report": "phispace.report.build",
    "run_report": "phispace.report.build",
}
__all__ = ["Report", "build_report", "run_report"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
