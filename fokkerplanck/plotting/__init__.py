"""Pictures of densities, currents and comparisons; reached as ``fokkerplanck.plot``.

Functions draw on the axes they are given and return what they drew; only without axes do they make a pyplot figure. Nothing
is shown or saved but by :func:`save`, and no setting of matplotlib is changed.
"""

from .curves import curves, svg
from .driving import entropy_production, force_curl
from .fields import current, density, difference, parts, stream_function
from .overview import overview
from .paper import save
from .space import projections, slices

__all__ = [
    "current",
    "curves",
    "density",
    "difference",
    "entropy_production",
    "force_curl",
    "overview",
    "parts",
    "projections",
    "save",
    "slices",
    "stream_function",
    "svg",
]
