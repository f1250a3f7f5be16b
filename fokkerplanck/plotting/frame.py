"""What is around a picture, and what every picture has: axes, windows, images, colour bars, labels."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap
from matplotlib.contour import QuadContourSet
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..errors import InvalidInput
from ..grid import Array, Grid
from . import numbers

Window = tuple[tuple[float, float], tuple[float, float]]

WINDOW = 1e-5  # pictures end where p falls below this share of its maximum
BAR = "colours"  # label of the axes of our bars
EQUAL = 4.0  # axes have the same scale if the box's widths are within this factor


def axes(ax: Axes | None) -> Axes:
    """The axes given, or those of a new pyplot figure."""
    if ax is not None:
        if not isinstance(ax, Axes):
            raise InvalidInput(f"ax: expected matplotlib Axes, got {kind(ax)}")
        return ax
    import matplotlib.pyplot as plt

    _, made = plt.subplots(layout="compressed")  # constrained needs two drawings where axes keep their aspect
    return made


def three(given: Sequence[Axes] | None, ratios: Sequence[float] = (1.0, 1.0, 1.0)) -> list[Axes]:
    """The three axes given, or those of a new pyplot figure, with widths in these ratios."""
    if given is None:
        import matplotlib.pyplot as plt

        _, given = plt.subplots(1, 3, figsize=(13.0, 4.2), layout="compressed", width_ratios=ratios)
    panels = list(np.ravel(np.asarray(given, dtype=object)))
    if len(panels) != 3 or not all(isinstance(ax, Axes) for ax in panels):
        raise InvalidInput(f"axes: expected three matplotlib Axes, got {len(panels)}: {panels!r}")
    return panels


def window(values: xr.DataArray, grid: Grid | None, level: float = WINDOW) -> Any:
    """Limits of every axis around what is above a share of the maximum; all of a periodic axis."""
    mask = values.values > level * float(values.max())
    limits = []
    for axis in range(values.ndim):
        line = edges(values, axis, grid)
        start, stop = span(mask.any(axis=tuple(a for a in range(values.ndim) if a != axis)))
        if grid is not None and grid.periodic[axis]:
            start, stop = 0, line.size - 1
        limits.append((float(line[start]), float(line[stop])))
    return tuple(limits)


def whole(grid: Grid) -> Window:
    """The box of a plane."""
    (left, bottom), (right, top) = grid.box.lower, grid.box.upper
    return (left, right), (bottom, top)


def span(mask: Any) -> tuple[int, int]:
    """From the first to after the last True; everything where there is none."""
    inside = np.flatnonzero(mask)
    return (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, mask.size)


def image(ax: Axes, values: xr.DataArray, grid: Grid | None, cmap: Colormap, low: float, high: float) -> QuadMesh:
    """The transposed array on the cell edges, blank where it is not finite."""
    data = np.ma.masked_invalid(values.values.T)
    x, y = edges(values, 0, grid), edges(values, 1, grid)
    return ax.pcolormesh(x, y, data, cmap=cmap, vmin=low, vmax=high, shading="flat", rasterized=True)


def edges(values: xr.DataArray, axis: int, grid: Grid | None = None) -> Array:
    """Those of the grid's cells; without a grid, or for values at its nodes, the middles between neighbouring points."""
    at = np.asarray(values.coords[values.dims[axis]].values, dtype=float)
    if grid is not None and at.size == grid.shape[axis]:
        return grid.edges(axis)
    middles = 0.5 * (at[1:] + at[:-1])
    return np.concatenate([[2.0 * at[0] - middles[0]], middles, [2.0 * at[-1] - middles[-1]]])


def draw(ax: Axes, values: xr.DataArray, window: Window | None) -> None:
    """Labels, limits and aspect."""
    ax.set(xlabel=label(values, 0), ylabel=label(values, 1))
    widths = [np.ptp(edges(values, a)) for a in range(2)]
    ax.set_aspect("equal" if max(widths) <= EQUAL * min(widths) else "auto")
    if window is not None:
        ax.set(xlim=window[0], ylim=window[1])


def label(values: xr.DataArray, axis: int) -> str:
    name = values.dims[axis]
    units = values.coords[name].attrs.get("units")
    return plain(f"{name} ({units})" if units else str(name))


def quantity(name: str) -> tuple[str, str]:
    """A variable and its unit, the end of its name in brackets; an empty one where it has none."""
    found = re.fullmatch(r"(.*\S)\s+\(([^()]+)\)", name)
    return (found[1], found[2]) if found else (name, "")


def unit(name: str) -> str:
    """What a variable is measured in: its unit, or else the variable itself."""
    return quantity(name)[1] or name


def powers(largest: float, units: str) -> tuple[str, FuncFormatter]:
    """Units with the power of ten that numbers up to the largest have in common, and what writes them without it."""
    power = numbers.exponent(largest)
    if power:
        units = f"$10^{{{power}}}$" + (units[1:] if units.startswith("1/") else f" {units}")
    return units, FuncFormatter(lambda value, _: f"{value / 10.0**power:g}".replace("-", numbers.MINUS))


def ordinate(ax: Axes, largest: float, what: str, units: str) -> None:
    """The label of a vertical axis on which a line is drawn, in two lines where it is long."""
    units, written = powers(largest, units)
    ax.yaxis.set_major_formatter(written)
    ax.set_ylabel(f"{what},{' ' if len(what + units) < 40 else chr(10)}{units}")


def nothing(ax: Axes, text: str) -> Text:
    """An empty vertical axis, and the reason above its zero."""
    ax.axhline(0.0, color="0.4", lw=0.8)
    ax.set(ylim=(-1.0, 1.0), yticks=[0.0])
    return say(ax, text, height=0.56)


def colorbar(
    ax: Axes | Sequence[Axes], drawn: QuadMesh | QuadContourSet, what: str, units: str = "", extend: str = "neither"
) -> None:
    """Beside the axes and as high as they are, whatever their aspect; a power of ten goes into the label.

    Axes have one bar, that of what was drawn last.
    """
    low, high = drawn.get_clim()
    units, written = powers(max(abs(low or 0.0), abs(high or 0.0)), units)
    first = ax if isinstance(ax, Axes) else ax[0]
    figure = first.get_figure(root=True)
    assert figure is not None
    if isinstance(ax, Axes):
        for former in [child for child in ax.child_axes if child.get_label() == BAR]:
            former.remove()
        place: dict[str, Any] = {"cax": ax.inset_axes((1.03, 0.0, 0.045, 1.0), label=BAR)}
    else:
        place = {"ax": list(ax), "aspect": 22, "pad": 0.02}
    bar = figure.colorbar(
        drawn,
        **place,
        extend=extend,
        ticks=MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]),
        format=written,
    )
    bar.set_label(what + units, fontsize="small")  # relative: what the user has set is followed
    bar.ax.tick_params(labelsize="small")


def check_scale(name: str, value: float | None) -> None:
    """The end of a scale is a positive number, or left to the picture."""
    if value is not None and not (isinstance(value, Real) and 0.0 < value < np.inf):
        raise InvalidInput(f"{name}: expected a positive number, or None for the largest in the picture, got {value!r}")


def say(ax: Axes, text: str, colour: str = "0.15", height: float = 0.5) -> Text:
    return ax.text(0.5, height, text, color=colour, ha="center", va="center", transform=ax.transAxes, fontsize="medium")


def plain(text: str) -> str:
    """Text in which no variable's name can start a formula."""
    return text.replace("$", r"\$")


def lines(text: str, width: int) -> str:
    """Text broken between words, so that names stay whole."""
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def kind(x: Any) -> str:
    """What was given instead of what was expected."""
    return f"{type(x).__name__} {x!r:.60}"
