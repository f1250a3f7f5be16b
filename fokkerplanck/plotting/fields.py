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

from ..compare import NORMAL_95, Comparison
from ..errors import InvalidInput
from ..helmholtz import HelmholtzSplit
from ..results import Solution
from ..sgd import Run
from . import frame, numbers
from .streams import TAIL, streamlines

BLANK = "0.88"  # behind missing bins: grey, because white means zero
ROUND_OFF = 1e-20  # share of ∫|J|² that squares of differences of doubles reach by themselves


def density(x: Solution | Run, *, ax: Axes | None = None, colorbar: bool = True) -> QuadMesh | Line2D:
    """Draw a solved or simulated density: a line in one dimension, an image in two, a marginal in three.

    Parameters
    ----------
    x : Solution or Run
        In three dimensions the last variable is integrated out, and the title says so.
    ax : Axes, optional
        A new pyplot figure by default.
    colorbar : bool
        Of an image.

    Returns
    -------
    Line2D or QuadMesh
        The line, or the image of the transposed density on the cell edges.

    Raises
    ------
    InvalidInput
        If ``x`` is neither a Solution nor a Run.
    """
    p, note = plane_density(x)
    ax = frame.axes(ax)
    title = ("simulated" if isinstance(x, Run) else "stationary") + (f" density{note}" if note else " density")
    units = f"1/({' '.join(map(str, p.dims))})" if p.ndim > 1 else f"1/{p.dims[0]}"
    units = frame.plain(frame.lines(units, 40))
    if p.ndim == 1:
        steps = "steps-mid" if isinstance(x, Run) else "default"
        colour = frame.SECOND if isinstance(x, Run) else frame.LINE
        label = "simulated" if isinstance(x, Run) else "solved"
        (line,) = ax.plot(p.coords[p.dims[0]].values, p.values, color=colour, lw=1.6, drawstyle=steps, label=label)
        ax.set(xlabel=frame.label(p, 0), ylabel=f"probability density, {units}", title=title, ylim=(0.0, None))
        ax.set_xlim(*frame.window(p, x.grid)[0])
        return line
    image = frame.image(ax, p, x.grid, frame.SEQUENTIAL, 0.0, float(p.max()))
    frame.draw(ax, p, frame.window(p, x.grid))
    ax.set_title(title)
    if colorbar:
        frame.colorbar(ax, image, "probability density\n", units)
    return image


def current(
    x: Solution | Run | xr.DataArray, *, ax: Axes | None = None, density: float = 1.2, colour: str | None = None
) -> StreamplotSet | Text:
    """Draw streamlines as wide as the current is strong, over the density where there is one.

    Lines end where p falls below 1e-4 of its maximum, and in a simulation where the current is within three standard errors
    of zero. They are traced through averages over at most 64 × 64 blocks of cells (24 × 24 in a simulation), or, where cells
    are not equal, through as many points between which the current is interpolated linearly.

    Parameters
    ----------
    x : Solution, Run or DataArray (component, x, y)
        A part of a split is such an array; lines of it end where it falls below 1e-4 of its maximum.
    ax : Axes, optional
    density : float
        Closeness of the lines, as in matplotlib.
    colour : str, optional
        White over a density, dark otherwise.

    Returns
    -------
    StreamplotSet, or the Text that says that there is no current to draw

    Raises
    ------
    InvalidInput
        If the current is not two-dimensional.
    """
    if isinstance(x, (Solution, Run)):
        _need_plane("current", x.grid.dim)
        ax = frame.axes(ax)
        _backdrop(ax, x)
        drawn = streamlines(ax, x, closeness=density, colour=colour or "white")
        if isinstance(drawn, StreamplotSet):
            ax.set_title(ax.get_title() + " and current")
        return drawn
    if not isinstance(x, xr.DataArray):
        raise InvalidInput(f"expected a Solution, a Run or a DataArray (component, x, y), got {frame.kind(x)}")
    _need_plane("current", x.ndim - 1)
    if x.dims[0] != "component" or x.shape[0] != 2:
        raise InvalidInput(f"expected dimensions (component, x, y) with 2 components, got {x.dims} of shape {x.shape}")
    ax = frame.axes(ax)
    lines = streamlines(ax, x, closeness=density, colour=colour or "0.15")
    frame.draw(ax, x[0], None)
    ax.set_title(frame.plain(str(x.attrs.get("long_name", "probability current"))))
    return lines


def stream_function(split: HelmholtzSplit, *, ax: Axes | None = None) -> QuadContourSet | Text:
    """Draw the stream function ψ at the nodes as filled contours, symmetric about zero, with its extremum marked.

    Probability circulates along the contours; between two of them flows the difference of their values. ψ of a current that
    is zero within its error (``Solution.current_error`` of 1 or more) is a picture of that error.

    Parameters
    ----------
    split : HelmholtzSplit
    ax : Axes, optional

    Returns
    -------
    QuadContourSet, or the Text that says that ψ is zero

    Raises
    ------
    InvalidInput
        If the split is not two-dimensional.
    """
    _need_split(split)
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
    levels = np.linspace(-abs(extremum), abs(extremum), 22)  # an even number: no level at zero, where tails are noise
    filled = ax.contourf(x, y, values.T, levels=levels, cmap=frame.DIVERGING)
    lines = levels[np.abs(levels) > 0.05 * abs(extremum)]
    ax.contour(x, y, values.T, levels=lines, colors="0.25", linewidths=0.5, linestyles="solid")
    at = float(x[strongest[0]]), float(y[strongest[1]])
    ax.plot(*at, marker="+", color="white", ms=9, mew=1.5, ls="none")
    ax.set_title(f"stream function ψ, extremum {numbers.written(extremum)}")
    frame.colorbar(ax, filled, "ψ, ", "1/time")
    return filled


def parts(split: HelmholtzSplit, *, axes: Sequence[Axes] | None = None) -> tuple[QuadMesh, QuadMesh, QuadMesh]:
    """Draw |gradient|, |curl| and |harmonic| part side by side on one scale, with their shares of ∫|J|².

    Parts of more than round-off carry streamlines, whose width is on one scale as well. Round-off is told by the share of a
    part; a split alone cannot tell a current that is nothing but round-off, whose parts are drawn like any other's. Ask
    ``Solution.current_error`` first: 1 or more means that there is no current to split.

    Parameters
    ----------
    split : HelmholtzSplit
    axes : sequence of three Axes, optional
        A new pyplot figure by default.

    Returns
    -------
    tuple of three QuadMesh

    Raises
    ------
    InvalidInput
        If the split is not two-dimensional, or other than three axes are given.
    """
    _need_split(split)
    _need_plane("parts", split.grid.dim)
    if axes is None:
        import matplotlib.pyplot as plt

        _, made = plt.subplots(1, 3, figsize=(13.0, 4.2), layout="constrained", sharex=True, sharey=True)
        axes = list(made)
    axes = list(np.ravel(np.asarray(axes, dtype=object)))
    if len(axes) != 3 or not all(isinstance(ax, Axes) for ax in axes):
        raise InvalidInput(f"axes: expected three matplotlib Axes, got {len(axes)}: {axes!r}")
    first, second, third = draw_parts(split, ("gradient", "curl", "harmonic"), axes, None)
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
        steps = ax.stairs(z.values, frame.edges(z, 0), baseline=None, color=frame.SECOND, lw=1.4)
        ax.set(xlabel=frame.label(z, 0), ylabel=label, ylim=(-1.15 * limit, 1.15 * limit), xlim=visited[0])
        ax.legend(loc="upper right", frameon=False)
        return steps
    image = frame.image(ax, z, None, frame.DIVERGING, -limit, limit)
    ax.set_facecolor(BLANK)
    frame.draw(ax, z, visited)
    extend = "both" if seen.size and seen.max() > limit else "neither"
    frame.colorbar(ax, image, f"{label}\n(grey: never visited)", extend=extend)
    return image


def draw_parts(
    split: HelmholtzSplit, kinds: Sequence[str], axes: Sequence[Axes], window: frame.Window | None
) -> list[QuadMesh]:
    """Beside each other with equal scales; on a page, where the window is given, above each other and filling the panel."""
    fields = {name: getattr(split, name) for name in ("gradient", "curl", "harmonic")}
    sizes = {name: np.sqrt((field**2).sum("component")) for name, field in fields.items()}
    top = max(float(size.max()) for size in sizes.values())
    images = []
    stacked = window is not None
    if window is None:
        strongest = sizes[max(sizes, key=lambda name: split.shares[name])]
        window = frame.window(strongest, split.grid, TAIL)
    for ax, kind in zip(axes, kinds, strict=True):
        share, size = split.shares[kind], sizes[kind]
        signal = share >= ROUND_OFF
        shown = size if signal else xr.zeros_like(size)
        images.append(frame.image(ax, shown, split.grid, frame.SEQUENTIAL, 0.0, top or 1.0))
        if signal:
            streamlines(ax, fields[kind], closeness=2 / 3, colour="white", top=top)
        ax.set_title(f"{kind} part, share {numbers.share(share)}", fontsize=11)
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
    frame.colorbar(axes if stacked else axes[-1], images[-1], "|part of J|, ", "density × state / time")
    return images


def plane_density(x: Solution | Run) -> tuple[xr.DataArray, str]:
    """Density of at most two variables, and what had to be done for it."""
    if not isinstance(x, (Solution, Run)):
        raise InvalidInput(f"expected a Solution or a Run, got {frame.kind(x)}")
    if x.grid.dim < 3:
        return x.density, ""
    last = x.names[-1]
    marginal = (x.density * xr.DataArray(x.grid.widths(2), dims=last)).sum(last)
    return marginal, frame.plain(f"\n(integrated over {last})")


def _backdrop(ax: Axes, x: Solution | Run) -> None:
    """The density, under a name that no argument of ``current`` hides."""
    density(x, ax=ax)


def _need_split(split: Any) -> None:
    if not isinstance(split, HelmholtzSplit):
        raise InvalidInput(
            f"expected a HelmholtzSplit, as from fokkerplanck.helmholtz(solution), got {frame.kind(split)}"
        )


def _need_plane(what: str, dim: int) -> None:
    if dim != 2:
        raise InvalidInput(f"{what}: expected two dimensions, got {dim}: a picture is flat. Draw the density instead")
