"""The film of a map over training: frames that stay comparable, with the numbers that say whether to believe them."""

from __future__ import annotations

from statistics import mean
from typing import Any

from pydantic import Field

from phispace.maps.animation import draw_film, fit_frames
from phispace.maps.base import Map
from phispace.report.document import Column, Fact, Figure, Film, Finding, Findings, Number, Part, Row, Table
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.checkpoints import stores_of_frames

BAR_DISPLACEMENT, BAR_TRUST, BAR_LEAK = 0.25, 0.005, 0.03


class FilmOptions(StepOptions):
    """Options of the step `film`."""

    of: str
    split: str = "test"
    frames: int = Field(12, ge=2)
    items: int = Field(2000, ge=10)
    in_betweens: int = Field(8, ge=0)
    guess_comparable: str = ""
    guess_settled: str = ""


class DrawFilm(Step[FilmOptions]):
    """One fixed subset of ids, each frame started from the one before."""

    Options = FilmOptions

    def title(self, options: FilmOptions) -> str:
        return "Fitting the frames of the film, and independent maps beside them"

    def run(self, context: Context, name: str, options: FilmOptions) -> Outcome:
        raise NotImplementedError
