"""Densities and currents on a line, with the bands of their errors, and the words that all pictures of a density have."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Text

from ..measured import current_fields, density_error
from ..replicates import NORMAL_95
from ..results import Solution
from ..sgd import Run
from . import colours, frame, numbers
from .planes import Plane


def density_line(ax: Axes, x: Solution | Run, shown: Plane) -> Line2D:
    """A density on a line, with the band of its error."""
    simulated = isinstance(x, Run)
    p = shown.scalar(x.density)
    error = NORMAL_95 * shown.projected(x).density_error if isinstance(x, Run) else shown.scalar(density_error(x))
    if isinstance(x, Run) and shown.cells:
        error = NORMAL_95 * shown.scalar(x.density_error)
    line = _banded(ax, p, error, simulated)
    title, worst = title_of(x, shown), float(error.max())
    if not simulated and np.isfinite(worst):
        title += f"\n(error at most {numbers.written(worst, 2)})"
        if len(shown.words) < 20:  # room for both in one pair of brackets
            title = title.replace(")\n(", ", ")
    ax.set(xlabel=frame.label(p, 0), title=title, ylim=(0.0, None))
    frame.ordinate(ax, float(p.max()), "probability density", density_units(shown))
    ax.set_xlim(*frame.window(p, shown.grid)[0])
    return line


def current_line(ax: Axes, x: Solution | Run, top: float | None) -> Line2D | Text:
    """The current in one dimension, where it is the same everywhere once it is stationary."""
    simulated = isinstance(x, Run)
    title = ("simulated" if simulated else "stationary") + " current"
    ax.set(xlabel=frame.label(x.density, 0), ylabel="probability current, 1/time", title=title)
    ax.set_xlim(*frame.window(x.density, x.grid)[0])
    if isinstance(x, Solution) and not x.current_error < 1.0:
        return frame.nothing(ax, "no current resolved")
    values = x.current.isel(component=0)
    error = NORMAL_95 * x.current_error.isel(component=0) if isinstance(x, Run) else current_fields(x).current_error
    ax.axhline(0.0, color="0.4", lw=0.8)
    line = _banded(ax, values, error, simulated)
    frame.ordinate(ax, float(abs(values).max()), "probability current", "1/time")
    reach = np.where(np.isfinite(error.values), error.values, 0.0)
    low, high = min(0.0, float((values - reach).min())), max(0.0, float((values + reach).max()))
    if top is None:
        ax.set_ylim(low - 0.25 * (high - low) * (low < 0.0), high + 0.25 * (high - low) * (high > 0.0))
    else:
        ax.set_ylim(-top * (low < 0.0), top * (high > 0.0))
    worst = float(error.max())
    if not simulated and np.isfinite(worst):
        ax.set_title(f"{title}\n(error at most {numbers.written(worst, 2)})")
    return line


def _banded(ax: Axes, values: xr.DataArray, error: xr.DataArray, simulated: bool) -> Line2D:
    """A line and, where its error is known, the band of it."""
    at = values.coords[values.dims[0]].values
    colour, label = (colours.SECOND, "simulated") if simulated else (colours.LINE, "solved")
    steps: Any = "mid" if simulated else None
    if np.isfinite(error.values).all():
        ax.fill_between(
            at, values.values - error.values, values.values + error.values, step=steps, color=colour, alpha=0.3, lw=0
        )
    (line,) = ax.plot(
        at, values.values, color=colour, lw=1.6, drawstyle="steps-mid" if simulated else "default", label=label
    )
    return line


def title_of(x: Solution | Run, shown: Plane) -> str:
    return ("simulated" if isinstance(x, Run) else "stationary") + " density" + shown.note


def density_units(shown: Plane) -> str:
    units = [frame.unit(name) for name in shown.names if name not in shown.over]
    return frame.plain(frame.lines(f"1/({' '.join(units)})" if len(units) > 1 else f"1/{units[0]}", 40))
