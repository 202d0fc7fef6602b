"""Charts of the report, from numbers and arrays alone. Each writes a PNG and its twin for dark pages."""

from phispace.report.figures.dots import Dot, dots
from phispace.report.figures.lines import lines
from phispace.report.figures.matrices import confusion, heat
from phispace.report.figures.networks import feature_maps, filters

__all__ = ["Dot", "confusion", "dots", "feature_maps", "filters", "heat", "lines"]
