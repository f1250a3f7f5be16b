"""Pictures of densities, currents and comparisons; reached as ``fokkerplanck.plot``.

Functions draw on the axes they are given and return what they drew; only without axes do they make a pyplot figure. Nothing
is shown or saved here.
"""

from .fields import current, density, difference, parts, stream_function
from .overview import overview

__all__ = ["current", "density", "difference", "overview", "parts", "stream_function"]
