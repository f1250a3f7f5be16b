"""What drives a current, and what that costs: the curl of the force, and the map of the entropy production."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.lines import Line2D
from matplotlib.text import Text

from ..errors import InvalidInput
from ..force import Force
from ..measured import Measured
from ..nonequilibrium import NonEquilibrium, production_map
from ..nonequilibrium import entropy_production as produced
from ..results import Solution
from . import colours, frame, numbers
from .planes import At, Over, Plane, plane

REACHED = 0.99  # share of the cells with a curl, whose curl the colours reach
LEVELS = (0.001, 0.05, 0.5)  # of a density, whose lines are drawn, in shares of its maximum
EDGE = 1e-3  # of the largest production, where its map ends: a quarter of a colour
ZERO = "zero within its error"
# Relative scatter of a curl that is the same everywhere: above that of differences, below what colours show
EVEN = 1e-6


def entropy_production(
    x: Solution | NonEquilibrium,
    *,
    ax: Axes | None = None,
    at: At = None,
    over: Over = None,
    vmax: float | None = None,
) -> QuadMesh | Line2D | Text:
    r"""Draw where entropy is produced: :math:`J^\top D^{-1}J/p` in every cell, per volume and time, in units of k_B.

    The title has its integral with the numerical error. Where the discrete map falls below zero by its error, colours are those
    of zero and the colour bar has a point at its lower end.

    Parameters
    ----------
    x : Solution or NonEquilibrium
        Of the numbers, the map in one or two dimensions; the cells' edges are then in the middles between their centres.
    ax : Axes, optional
        A new pyplot figure by default.
    at, over : optional
        As for :func:`density`, of a Solution.
    vmax : float, optional
        The production that has the last colour, or is the upper end of the axis of a line; by default the largest.

    Returns
    -------
    QuadMesh or in one dimension Line2D, or the Text that says that the production is zero within its error

    Raises
    ------
    InvalidInput
        If the diffusion tensor is singular, where the production is not defined by this formula, more than two variables are
        left, or ``vmax`` is not positive.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> from matplotlib.figure import Figure
    >>> case = fp.cases.get("four-vortices")
    >>> ax = Figure().add_subplot()
    >>> image = entropy_production(fp.solve_stationary(case.process, case.box, shape=(64, 64)), ax=ax)
    >>> print(ax.get_title())  # doctest: +ELLIPSIS
    entropy production
    0.65... ± ... per time
    """
    frame.check_scale("vmax", vmax)
    ax = frame.axes(ax)
    shown: Plane | None = None
    if isinstance(x, Solution):
        shown = plane(x, at, over)
        total, values = produced(x), shown.scalar(production_map(x))
    elif isinstance(x, NonEquilibrium):
        if x.entropy_production is None or x.entropy_production_map is None:
            raise InvalidInput(
                "expected an entropy production, got numbers without one: it is not defined where D is singular"
            )
        total, values = x.entropy_production, x.entropy_production_map
        if values.ndim > 2 or at or over:
            raise InvalidInput(
                f"expected a Solution for at= and over=, and in three dimensions, got the numbers of {values.ndim} dimensions"
            )
    else:
        raise InvalidInput(f"expected a Solution or a NonEquilibrium, got {frame.kind(x)}")
    grid, note = (shown.grid, shown.note) if shown is not None else (None, "")
    window = frame.window(abs(values), grid, EDGE)
    if total.zero and isinstance(x, Solution) and shown is not None:
        window = frame.window(shown.scalar(x.density), grid)  # of noise there is no edge
    ax.set_title(f"entropy production\n{_total(total)} per time{note}")
    label = "entropy production", _units(values, shown)
    if values.ndim == 1:
        ax.set(xlabel=frame.label(values, 0), ylabel=", ".join(label), xlim=window[0])
    else:
        frame.draw(ax, values, window)
    if total.zero:
        return frame.nothing(ax, ZERO) if values.ndim == 1 else frame.say(ax, ZERO)
    if values.ndim == 1:
        ax.axhline(0.0, color="0.4", lw=0.8)
        frame.ordinate(ax, float(values.max()), *label)
        (line,) = ax.plot(values.coords[values.dims[0]].values, values.values, color=colours.LINE, lw=1.6)
        ax.set_ylim(top=vmax)
        return line
    top = vmax or float(values.max())
    image = frame.image(ax, values, grid, colours.SEQUENTIAL, 0.0, top)
    ends = float(values.min()) < -top / 256, float(values.max()) > top  # below zero by more than a colour
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[ends]
    frame.colorbar(ax, image, f"{label[0]}\n", label[1], extend=extend)
    return image


def force_curl(
    force: Force,
    *,
    ax: Axes | None = None,
    at: At = None,
    within: Solution | None = None,
    vmax: float | None = None,
) -> QuadMesh | Text:
    r"""Draw the curl of the thermodynamic force, :math:`\partial_x\omega_y - \partial_y\omega_x`, zero everywhere in balance.

    Red turns anticlockwise, with the first variable to the right. Colours are symmetric about zero and reach 99 % of the cells
    with a curl, with a solution all inside the outer level line of its density. Cells whose curl is not larger than its error
    are grey.

    Parameters
    ----------
    force : Force
        Of :func:`fokkerplanck.force`, in two or three dimensions.
    ax : Axes, optional
        A new pyplot figure by default.
    at : mapping of str to float, optional
        In three dimensions the variable that is held, and where; the curl is that in the plane of the others.
    within : Solution, optional
        The picture ends where its density does, and level lines of that are drawn; in three dimensions those of the slice.
    vmax : float, optional
        The size of the curl that has the last colours, instead of the above.

    Returns
    -------
    QuadMesh, or the Text that says that the curl is zero (within its error)

    Raises
    ------
    InvalidInput
        In one dimension, without ``at`` in three, with a solution of other variables, or a ``vmax`` that is not positive.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> from matplotlib.figure import Figure
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> ax = Figure().add_subplot()
    >>> image = force_curl(fp.force(swirl, fp.Grid(fp.Box([-3, -3], [3, 3]), (16, 16))), ax=ax)
    >>> ax.get_title()
    'curl of the force, everywhere −4'
    """
    if not isinstance(force, Force):
        raise InvalidInput(f"expected a Force, as from fokkerplanck.force(process, grid), got {frame.kind(force)}")
    if force.grid.dim == 1:
        raise InvalidInput("force_curl: expected two or three variables, got one: there is nothing to turn in")
    if force.grid.dim == 3 and not at:
        raise InvalidInput(
            f"at: expected the variable that is held, and where, like {{{force.names[-1]!r}: 0.0}}, got none: the curl has a "
            "component in each of three planes"
        )
    if within is not None and (not isinstance(within, Solution) or within.names != force.names):
        raise InvalidInput(f"within: expected a Solution of the variables {force.names}, got {frame.kind(within)}")
    frame.check_scale("vmax", vmax)
    shown = plane(force, at, rooms=(2,))
    curl, error = force.curl, force.curl_error
    if "plane" in curl.dims:
        curl, error = (field.sel(plane=" ".join(shown.kept)) for field in (curl, error))
    curl, error = shown.scalar(curl), shown.scalar(error)
    ax = frame.axes(ax)
    frame.draw(ax, curl, frame.whole(shown.grid))
    title = "curl of the force"
    sizes = np.abs(curl.values)
    known = sizes > error.values
    limit = float(np.quantile(sizes[known], REACHED)) if known.any() else 0.0
    window: Any = None
    lines: xr.DataArray | None = None
    if within is not None:
        seen = plane(within, at, rooms=(2,))
        window = frame.window(seen.scalar(within.density), seen.grid, 0.1 * LEVELS[0])
        lines = seen.scalar(within.log_density)
        lines = lines - lines.max()
        ax.set(xlim=window[0], ylim=window[1])
        places = {name: curl.coords[name].values for name in shown.kept}
        held = lines.sel(places, method="nearest").values > np.log(LEVELS[0])
        limit = float(sizes[held].max()) if held.any() else limit
    limit = limit or float(sizes.max())
    ax.set_title(f"{title}{shown.note}")
    if not known.any():
        return frame.say(ax, ZERO if error.values.any() else "zero")
    if np.ptp(curl.values) <= EVEN * limit:
        ax.set_title(f"{title}, everywhere {numbers.written(float(curl.values.mean()))}{shown.note}")
        limit *= 2.0  # a colour on which lines are seen
    limit = vmax or limit
    blank = ~known & (error.values > 0.0)
    image = frame.image(ax, curl.where(~blank), shown.grid, colours.DIVERGING, -limit, limit)
    ax.set_facecolor(colours.BLANK)
    notes = ["grey: not told from zero"] if blank[_cells(curl, window)].any() else []
    if lines is not None:
        shares = ", ".join(f"{100.0 * level:g}" for level in LEVELS)
        x, y = (lines.coords[name].values for name in shown.kept)
        ax.contour(x, y, lines.values.T, levels=np.log(LEVELS), colors="0.25", linewidths=0.7, linestyles="solid")
        notes.append(f"lines: p at {shares} % of its maximum")
    units = frame.plain(frame.lines(f"1/({' '.join(map(frame.unit, shown.kept))})", 40))
    beyond = float(sizes[_cells(curl, window)].max()) > (1.0 + EVEN) * limit
    frame.colorbar(ax, image, "curl of the force, ", "\n".join([units, *notes]), extend="both" if beyond else "neither")
    return image


def _cells(field: xr.DataArray, window: Any) -> Any:
    """Indices of the cells with their centres in a window."""
    if window is None:
        return np.ix_(*(range(n) for n in field.shape))
    lines = [field.coords[name].values for name in field.dims]
    return np.ix_(
        *(np.flatnonzero((line >= low) & (line <= high)) for line, (low, high) in zip(lines, window, strict=True))
    )


def _total(total: Measured) -> str:
    return numbers.plus_minus(float(total.value), float(total.error))


def _units(values: xr.DataArray, shown: Plane | None) -> str:
    names = [str(name) for name in values.dims] if shown is None else [n for n in shown.names if n not in shown.over]
    return frame.plain(frame.lines(f"1/({' '.join([*map(frame.unit, names), 'time'])})", 40))
