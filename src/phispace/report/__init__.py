"""Reports and leaderboards, from stored results only: nothing here trains or loads a model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phispace.report.build import build_report, run_report
    from phispace.report.document import Report
    from phispace.report.leaderboard import leaderboard
    from phispace.report.render import render

_HOME = {
    "Report": "phispace.report.document",
    "render": "phispace.report.render",
    "build_report": "phispace.report.build",
    "run_report": "phispace.report.build",
    "leaderboard": "phispace.report.leaderboard",
}
__all__ = ["Report", "build_report", "leaderboard", "render", "run_report"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
