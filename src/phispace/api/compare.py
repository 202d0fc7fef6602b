"""Runs beside each other: who is better, by how much, at what cost, and whether it may be chance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phispace.run import Run

if TYPE_CHECKING:
    from phispace.report.leaderboard_page import Leaderboard


def compare(
    *runs: Run | Path | str,
    evaluations: Sequence[str] | None = None,
    layer: str | None = None,
    baselines: bool = True,
    command: str = "",
) -> Leaderboard:
    """Scored runs beside each other, with the differences of all pairs.

    Args:
        runs: runs or their directories; those that differ only by their seed are one row.
        evaluations: which, as `knn` or `knn.accuracy_k200`; the first one ranks. By default all that there are.
        layer: only scores of this layer.
        baselines: rows of raw pixels, PCA, the untrained encoder and the majority class.
        command: what the page names as the command that made it.

    Returns:
        a leaderboard: `.lines()` for a terminal, `.save(path)` for .html, .md, .csv and .json, `.boards` for numbers.

    Raises:
        InputError: no runs, or an unknown evaluation.
        DataError: a directory that is no run.
    """
    from phispace.report.entrants import open_runs
    from phispace.report.leaderboard import boards
    from phispace.report.leaderboard_page import Leaderboard

    found = boards(open_runs(runs), evaluations=evaluations, layer=layer, baselines=baselines, among="all")
    return Leaderboard(tuple(found), "Comparison", command)


def leaderboard(
    *sources: Run | Path | str,
    evaluations: Sequence[str] | None = None,
    layer: str | None = None,
    baselines: bool = True,
    command: str = "",
) -> Leaderboard:
    """All runs of folders, ranked, with the best one's lead over each other.

    Args:
        sources: runs, or folders of runs at any depth; by default `runs`.
        evaluations, layer, baselines, command: as for `compare`.
    """
    from phispace.report.entrants import open_runs
    from phispace.report.leaderboard import boards
    from phispace.report.leaderboard_page import Leaderboard

    found = boards(
        open_runs(sources or ("runs",)), evaluations=evaluations, layer=layer, baselines=baselines, among="best"
    )
    return Leaderboard(tuple(found), "Leaderboard", command)
