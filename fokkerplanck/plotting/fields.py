"""One field on its axes: a density, a current, a stream function, the parts of a split, a difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.contour import QuadContourSet
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from matplotlib.streamplot import StreamplotSet
from matplotlib.text import Text

from ..compare import Comparison
from ..errors import InvalidInput
from ..helmholtz import HelmholtzSplit
from ..replicates import NORMAL_95
from ..results import Solution
from ..sgd import Run
from . import colours, frame, lines, numbers
from .planes import At, Over, Plane, plane
from .streams import TAIL, streamlines

ROUND_OFF = 1e-20  # share of ∫|J|² that squares of differences of doubles reach by themselves


def density(
    x: Solution | Run,
    *,
    ax: Axes | None = None,
    at: At = None,
    over: Over = None,
    colorbar: bool = True,
    vmax: float | None = None,
) -> QuadMesh | Line2D:
    r"""Draw a solved or simulated density: a line in one dimension, an image in two, in three a slice or a marginal.

    An image is not smoothed: every rectangle is a cell of the grid and has its value, so that a coarse grid is seen to be one.
    A line has a band: of a solution its numerical error (:func:`fokkerplanck.density_error`, whose largest value is in the
    title, because the band is often thinner than the line), of a simulation 1.96 standard errors.

    Parameters
    ----------
    x : Solution or Run
    ax : Axes, optional
        A new pyplot figure by default.
    at : mapping of str to float, optional
        Variables that are held, and where, like ``{"z": 0.5}``: a slice through the cells with the nearest centres. The title
        says where they are.
    over : str or sequence of str, optional
        Variables that are integrated over. In three dimensions the last one, if nothing is asked for.
    colorbar : bool
        Of an image.
    vmax : float, optional
        The density that has the last colour, or is the upper end of the axis of a line; by default the largest. The same for
        two pictures puts them on one scale.

    Returns
    -------
    Line2D or QuadMesh
        The line, or the image of the transposed density on the cell edges.

    Raises
    ------
    InvalidInput
        If ``x`` is neither a Solution nor a Run, a name is unknown, a place outside the box, not one or two variables are
        left, or ``vmax`` is not positive.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> from matplotlib.figure import Figure
    >>> process = fp.DiffusionProcess(lambda x: -x, 0.5, dim=1, names=("height (m)",))
    >>> sol = fp.solve_stationary(process, fp.Box([-5], [5]), shape=(64,))
    >>> ax = Figure().add_subplot()
    >>> line = density(sol, ax=ax)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('height (m)', 'probability density, 1/m')
    """
    _need_density(x)
    frame.check_scale("vmax", vmax)
    shown = plane(x, at, over)
    ax = frame.axes(ax)
    if shown.grid.dim > 1:
        return draw_density(ax, x, shown, colorbar=colorbar, top=vmax)
    line = lines.density_line(ax, x, shown)
    if vmax is not None:
        ax.set_ylim(0.0, vmax)
    return line


def current(
    x: Solution | Run | xr.DataArray,
    *,
    ax: Axes | None = None,
    at: At = None,
    over: Over = None,
    density: float = 1.2,
    colour: str | None = None,
    vmax: float | None = None,
    widest: float | None = None,
) -> StreamplotSet | Line2D | Text:
    r"""Draw streamlines as wide as the current is strong, over the density where there is one; in one dimension a line.

    A density that the axes have already, from :func:`density`, stays as it is, with its colour bar or without.
    Streamlines end where p falls below 1e-4 of its maximum, and in a simulation where the current is within three standard
    errors of zero. They are traced through averages over at most 64 × 64 blocks of cells (24 × 24 in a simulation), or, where
    cells are not equal, through as many points between which the current is interpolated linearly. In three dimensions they
    are those of the components in the plane, and the widest belongs to the strongest current anywhere: of a slice to the
    largest :math:`|J|`, of a marginal to the largest integral of it.

    Parameters
    ----------
    x : Solution, Run or DataArray (component, x, y)
        A part of a split is such an array; lines of it end where it falls below 1e-4 of its maximum.
    ax : Axes, optional
    at, over : optional
        As for :func:`density`, of a Solution; a Run has marginals only.
    density : float
        Closeness of the lines, as in matplotlib.
    colour : str, optional
        White over a density, dark otherwise.
    vmax : float, optional
        Of the density under the lines, as for :func:`density`.
    widest : float, optional
        The size of the current that is drawn widest, or is the end of the axis of a line; by default the largest. The same
        for two pictures makes the widths of their lines comparable.

    Returns
    -------
    StreamplotSet or Line2D, or the Text that says that there is no current to draw

    Raises
    ------
    InvalidInput
        If there is no plane to draw in, the array is no field of two components, or a scale is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> sol = fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64))
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot()
    >>> lines = current(sol, ax=ax)
    >>> ax.get_title()
    'stationary density and current'
    """
    frame.check_scale("vmax", vmax)
    frame.check_scale("widest", widest)
    if isinstance(x, (Solution, Run)):
        shown = plane(x, at, over, rooms=(1,) if x.grid.dim == 1 else (2,))
        if isinstance(x, Run) and shown.cells:
            raise InvalidInput(
                f"at: expected a Solution, got {frame.kind(x)}: the counts in a slice are too few to show a current. Integrate "
                f"over {next(iter(shown.cells))} instead, with over="
            )
        ax = frame.axes(ax)
        if shown.grid.dim == 1:
            return lines.current_line(ax, x, widest)
        if _holds(ax, shown.scalar(x.density), vmax):
            ax.set_title(lines.title_of(x, shown))
        else:
            draw_density(ax, x, shown, top=vmax)
        return draw_current(ax, x, shown, closeness=density, colour=colour or "white", top=widest)
    if not isinstance(x, xr.DataArray):
        raise InvalidInput(f"expected a Solution, a Run or a DataArray (component, x, y), got {frame.kind(x)}")
    if at or over:
        raise InvalidInput(
            "at, over: expected with a Solution or a Run, got them with a DataArray. Select its cells instead"
        )
    _need_plane("current", x.ndim - 1)
    if x.dims[0] != "component" or x.shape[0] != 2:
        raise InvalidInput(f"expected dimensions (component, x, y) with 2 components, got {x.dims} of shape {x.shape}")
    ax = frame.axes(ax)
    drawn = streamlines(ax, x, closeness=density, colour=colour or "0.15", top=widest)
    frame.draw(ax, x[0], None)
    ax.set_title(frame.plain(str(x.attrs.get("long_name", "probability current"))))
    return drawn


def stream_function(
    split: HelmholtzSplit, *, ax: Axes | None = None, vmax: float | None = None
) -> QuadContourSet | Text:
    """Draw the stream function ψ at the nodes as filled contours, symmetric about zero, with its extremum marked.

    Probability circulates along the contours; between two of them flows the difference of their values. ψ of a current that
    is zero within its error (``Solution.current_error`` of 1 or more) is a picture of that error.

    Parameters
    ----------
    split : HelmholtzSplit
    ax : Axes, optional
    vmax : float, optional
        The size of ψ that has the last colours, and of which the distance of the contours is a tenth or so; by default that of
        the extremum.

    Returns
    -------
    QuadContourSet, or the Text that says that ψ is zero

    Raises
    ------
    InvalidInput
        If the split is not two-dimensional, or ``vmax`` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> sol = fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64))
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot()
    >>> contours = stream_function(fp.helmholtz(sol), ax=ax)
    >>> ax.get_title()[:17]
    'stream function ψ'
    """
    _need_split(split)
    frame.check_scale("vmax", vmax)
    _need_plane("stream_function", split.grid.dim)
    psi = split.stream_function
    assert psi is not None
    ax = frame.axes(ax)
    (x, y), values = (split.grid.edges(a) for a in range(2)), psi.values
    strongest = np.unravel_index(int(np.argmax(np.abs(values))), values.shape)
    extremum = float(values[strongest])
    frame.draw(ax, split.potential, frame.window(abs(psi), split.grid, TAIL))
    if extremum == 0.0:
        ax.set_title("stream function ψ = 0")
        return frame.say(ax, "zero everywhere")
    limit = vmax or abs(extremum)
    levels = np.linspace(-limit, limit, 22)  # an even number: no level at zero, where tails are noise
    beyond = "both" if abs(extremum) > limit else "neither"
    filled = ax.contourf(x, y, values.T, levels=levels, cmap=colours.DIVERGING, extend=beyond)
    lines = levels[np.abs(levels) > 0.05 * limit]
    ax.contour(x, y, values.T, levels=lines, colors="0.25", linewidths=0.5, linestyles="solid")
    at = float(x[strongest[0]]), float(y[strongest[1]])
    ax.plot(*at, marker="+", color="white", ms=9, mew=1.5, ls="none")
    ax.set_title(f"stream function ψ, extremum {numbers.written(extremum)}")
    frame.colorbar(ax, filled, "ψ, ", "1/time")
    return filled


def parts(
    split: HelmholtzSplit, *, at: At = None, axes: Sequence[Axes] | None = None, vmax: float | None = None
) -> tuple[QuadMesh, QuadMesh, QuadMesh]:
    """Draw |gradient|, |curl| and |harmonic| part side by side on one scale, with their shares of ∫|J|².

    Parts of more than round-off carry streamlines, whose width is on one scale as well. Round-off is told by the share of a
    part; a split alone cannot tell a current that is nothing but round-off, whose parts are drawn like any other's. Ask
    ``Solution.current_error`` first: 1 or more means that there is no current to split.

    Parameters
    ----------
    split : HelmholtzSplit
    at : mapping of str to float, optional
        In three dimensions the variable that is held, and where. Drawn are the components in the plane of the others; the
        shares are those of the whole.
    axes : sequence of three Axes, optional
        A new pyplot figure by default.
    vmax : float, optional
        The size of a part that has the last colour and is drawn widest; by default the largest. The same for two pictures puts
        them on one scale.

    Returns
    -------
    tuple of three QuadMesh

    Raises
    ------
    InvalidInput
        If no plane is left to draw in, other than three axes are given, or ``vmax`` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> sol = fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64))
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots(1, 3)
    >>> drawn = parts(fp.helmholtz(sol), axes=axes)
    >>> [ax.get_title().split(",")[0] for ax in axes]
    ['gradient part', 'curl part', 'harmonic part']
    """
    _need_split(split)
    frame.check_scale("vmax", vmax)
    if split.grid.dim == 3 and not at:
        raise InvalidInput(
            f"at: expected the variable that is held, and where, like {{{split.names[-1]!r}: 0.0}}, got none: a picture is flat"
        )
    shown = plane(split, at, rooms=(2,))
    first, second, third = draw_parts(split, ("gradient", "curl", "harmonic"), frame.three(axes), None, shown, vmax)
    return first, second, third


def difference(comparison: Comparison, *, ax: Axes | None = None) -> QuadMesh | StepPatch:
    """Draw (simulated − solved density) / standard error of each bin; what no chain visited stays blank.

    Parameters
    ----------
    comparison : Comparison
        Of one or two dimensions.
    ax : Axes, optional

    Returns
    -------
    QuadMesh, or in one dimension StepPatch
        Colours are symmetric about zero and reach the 99th percentile, at least 4 standard errors.

    Raises
    ------
    InvalidInput
        In three dimensions, where standard errors do not add up to those of a marginal.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> sgd = fp.sgd.SGD(fp.sgd.linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.1, batch_size=1)
    >>> from matplotlib.figure import Figure
    >>> sol = fp.solve_stationary(sgd.process(), sgd.box(), shape=(64,))
    >>> comparison = fp.compare(sol, sgd.simulate(grid=sol.grid, chains=64, steps=500, rng=7))
    >>> steps = difference(comparison, ax=Figure().add_subplot())
    >>> steps.get_data().values.shape
    (64,)
    """
    if not isinstance(comparison, Comparison):
        raise InvalidInput(f"expected a Comparison, as from fokkerplanck.compare.compare, got {frame.kind(comparison)}")
    z = comparison.density_difference
    if z.ndim > 2:
        raise InvalidInput(
            f"difference: expected one or two dimensions, got {z.ndim}: standard errors of bins do not add up to those of a "
            "marginal. Look at slices of comparison.density_difference"
        )
    ax = frame.axes(ax)
    seen = np.abs(z.values[np.isfinite(z.values)])
    limit = max(4.0, float(np.percentile(seen, 99.0))) if seen.size else 4.0
    visited = frame.window(z.notnull().astype(float), None)
    ax.set_title("simulated − solved density")
    label = "difference, standard errors of each bin"
    if z.ndim == 1:
        ax.axhspan(-NORMAL_95, NORMAL_95, color="0.9", lw=0, label="95 % of noise")
        ax.axhline(0.0, color="0.4", lw=0.8)
        steps = ax.stairs(z.values, frame.edges(z, 0), baseline=None, color=colours.SECOND, lw=1.4)
        ax.set(xlabel=frame.label(z, 0), ylabel=label, ylim=(-1.15 * limit, 1.15 * limit), xlim=visited[0])
        ax.legend(loc="upper right", frameon=False)
        return steps
    image = frame.image(ax, z, None, colours.DIVERGING, -limit, limit)
    ax.set_facecolor(colours.BLANK)
    frame.draw(ax, z, visited)
    extend = "both" if seen.size and seen.max() > limit else "neither"
    frame.colorbar(ax, image, f"{label}\n(grey: never visited)", extend=extend)
    return image


def draw_parts(
    split: HelmholtzSplit,
    kinds: Sequence[str],
    axes: Sequence[Axes],
    window: frame.Window | None,
    shown: Plane,
    vmax: float | None = None,
) -> list[QuadMesh]:
    """Beside each other with equal scales; on a page, where the window is given, above each other and filling the panel."""
    fields = {name: shown.vector(getattr(split, name)) for name in ("gradient", "curl", "harmonic")}
    sizes = {name: (field**2).sum("component") ** 0.5 for name, field in fields.items()}
    largest = max(float(size.max()) for size in sizes.values())
    top = vmax or largest
    images = []
    stacked = window is not None
    if window is None:
        strongest = sizes[max(sizes, key=lambda name: split.shares[name])]
        window = frame.window(strongest, shown.grid, TAIL)
    for ax, kind in zip(axes, kinds, strict=True):
        share, size = split.shares[kind], sizes[kind]
        signal = share >= ROUND_OFF
        values = size if signal else xr.zeros_like(size)
        images.append(frame.image(ax, values, shown.grid, colours.SEQUENTIAL, 0.0, top or 1.0))
        if signal:
            streamlines(ax, fields[kind], closeness=2 / 3, colour="white", top=top)
        ax.set_title(f"{kind} part, share {numbers.share(share)}{shown.note}", fontsize=11)
        if not signal:
            frame.say(ax, "zero" if share == 0.0 else "zero to round-off", "white")
        frame.draw(ax, size, window)
        if stacked:
            ax.set_aspect("auto")
        if stacked and ax is not axes[-1]:
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)
        elif not stacked and ax is not axes[0]:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
    beyond = "max" if largest > top else "neither"
    frame.colorbar(axes if stacked else axes[-1], images[-1], "|part of J|, ", "density × state / time", extend=beyond)
    return images


def draw_density(
    ax: Axes,
    x: Solution | Run,
    shown: Plane,
    *,
    colorbar: bool = True,
    top: float | None = None,
    level: float = frame.WINDOW,
) -> QuadMesh:
    """The image of a density down to a share of its maximum; ``top``, by default the maximum, has the last colour."""
    p = shown.scalar(x.density)
    image = frame.image(ax, p, shown.grid, colours.SEQUENTIAL, 0.0, top or float(p.max()))
    frame.draw(ax, p, frame.window(p, shown.grid, level))
    ax.set_title(lines.title_of(x, shown))
    if colorbar:
        beyond = top is not None and float(p.max()) > top
        frame.colorbar(
            ax, image, "probability density\n", lines.density_units(shown), extend="max" if beyond else "neither"
        )
    return image


def draw_current(
    ax: Axes, x: Solution | Run, shown: Plane, *, closeness: float, colour: str, top: float | None = None
) -> StreamplotSet | Text:
    """Streamlines over a density that is there; ``top`` is the size that is drawn widest."""
    if isinstance(x, Run):
        drawn = streamlines(ax, shown.projected(x), closeness=closeness, colour=colour, top=top)
    elif not x.current_error < 1.0:
        return frame.say(ax, "no current resolved", colour, 0.05)
    else:
        strongest = None if x.grid.dim == shown.grid.dim else shown.strongest(x.current)
        field = shown.vector(x.current)
        if strongest is not None and float(np.hypot(*field.values).max()) <= x.current_error * strongest:
            return frame.say(ax, "no current in this plane", colour, 0.05)
        top = top or strongest
        drawn = streamlines(ax, field, shown.scalar(x.density), closeness=closeness, colour=colour, top=top)
    if isinstance(drawn, StreamplotSet):
        first, *rest = ax.get_title().split("\n")
        ax.set_title("\n".join([first + " and current", *rest]))
    return drawn


def _holds(ax: Axes, p: xr.DataArray, top: float | None) -> bool:
    """Whether axes have the image of a density, on the scale that is asked for if one is."""
    images = [drawn for drawn in ax.collections if isinstance(drawn, QuadMesh)]
    return any(
        np.array_equal(np.asarray(image.get_array()), p.values.T) and top in (None, image.get_clim()[1])
        for image in images
    )


def _need_density(x: Any) -> None:
    if not isinstance(x, (Solution, Run)):
        raise InvalidInput(f"expected a Solution or a Run, got {frame.kind(x)}")


def _need_split(split: Any) -> None:
    if not isinstance(split, HelmholtzSplit):
        raise InvalidInput(
            f"expected a HelmholtzSplit, as from fokkerplanck.helmholtz(solution), got {frame.kind(split)}"
        )


def _need_plane(what: str, dim: int) -> None:
    if dim != 2:
        raise InvalidInput(f"{what}: expected two dimensions, got {dim}: a picture is flat. Draw the density instead")
