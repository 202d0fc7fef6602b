"""Types of encoder options, with the range that `build_encoder` checks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
"""A number of channels, values or layers."""

Share = Annotated[float, Field(ge=0, lt=1)]
"""A dropout or another share that leaves something."""

Momentum = Annotated[float, Field(gt=0, le=1)]
"""Weight of the new batch in running statistics (torch's sense)."""

Epsilon = Annotated[float, Field(gt=0)]
"""A small number added to a variance."""

Widths = Annotated[tuple[Count, ...], Field(min_length=1)]
"""Channels or values of one layer after another."""
