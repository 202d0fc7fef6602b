"""Charts of the report, from numbers and arrays alone. Each writes a PNG and its twin for dark pages."""

from phispace.report.figures.comparison import Dot, dots
from phispace.report.figures.matrices import confusion, heat
from phispace.report.figures.networks import feature_maps, filters
from phispace.report.figures.series import lines

__all__ = ["Dot", "confusion", "dots", "feature_maps", "filters", "heat", "lines"]
