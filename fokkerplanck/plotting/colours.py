"""Colours: equal steps of a number are equal steps to the eye."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, ListedColormap

from ..grid import Array

LINE, SECOND = "#31688e", "#d1495b"
BLANK = "0.88"  # where there is nothing to show: grey, because white means zero

# In CIELAB: the ends are equally dark, equally far from the middle, and of hues that the colour-blind tell apart.
BLUE, WHITE, RED = (38.0, 8.3, -47.2), (97.0, 0.0, 0.0), (38.0, 42.7, 21.8)

# CIELAB for the white of sRGB (D65), and from CIE XYZ to linear sRGB: IEC 61966-2-1.
WHITE_POINT = np.array([0.95047, 1.0, 1.08883])
TO_RGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])


def rgb(lab: Any) -> Array:
    """sRGB in [0, 1] of colours L*, a*, b*, shape (..., 3); what no screen shows is outside of that."""
    lightness, a, b = np.moveaxis(np.asarray(lab, dtype=float), -1, 0)
    y = (lightness + 16.0) / 116.0
    roots = np.stack([y + a / 500.0, y, y - b / 200.0], axis=-1)
    xyz = WHITE_POINT * np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29))
    linear = xyz @ TO_RGB.T
    return np.where(linear > 0.0031308, 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055, 12.92 * linear)


def diverging() -> Colormap:
    """From blue over white to red along straight lines in CIELAB, in which distances are differences as they are seen."""
    arm = np.linspace(1.0, 0.0, 129)[:, None]
    blue, red = (arm * np.array(end) + (1.0 - arm) * np.array(WHITE) for end in (BLUE, RED))
    return ListedColormap(rgb(np.concatenate([blue[:-1], red[::-1]])), "blue_white_red")


# The yellow end is cut off so that white streamlines are seen at the mode as well.
SEQUENTIAL: Colormap = ListedColormap(colormaps["viridis"](np.linspace(0.0, 0.8, 256)), "viridis_to_green")
DIVERGING: Colormap = diverging()
