"""Streamlines: where a current is strong enough to be traced, and as wide as it is strong."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from matplotlib.streamplot import StreamplotSet
from matplotlib.text import Text
from scipy.interpolate import RegularGridInterpolator

from ..grid import Array
from ..sgd import Run
from . import frame

WIDEST = 2.6  # points, of a streamline where |J| is largest, in axes of at least
ROOM = 3.0  # inches; in smaller ones lines and heads are smaller in proportion
HEAD = 16.0  # points, of the head of the widest line; in a weak field at least half of that, because it has a direction, too
TAIL = 1e-4  # streamlines end where p falls below this share of its maximum
FINEST = 64  # cells per axis of the arrows' grid
FINEST_RUN = 24  # ditto for counts, where averaging is what makes the current visible
EQUAL_STEPS = 1e-6  # relative scatter of steps that are equal: above round-off of coordinates, below any stretching
SIGNIFICANT = 3.0  # standard errors by which a simulated current must exceed zero to be drawn


def streamlines(
    ax: Axes,
    x: Run | xr.DataArray,
    weight: xr.DataArray | None = None,
    *,
    closeness: float,
    colour: str,
    top: float | None = None,
) -> StreamplotSet | Text:
    """Streamlines of width ∝ |J|, where ``top`` (by default the largest |J|) is drawn widest.

    Those of an array end in the tails of the weight, by default of its own size.
    """
    lines = traced(x, weight)
    say = "current within the noise of each bin" if isinstance(x, Run) else "no current resolved"
    if lines is None:
        return frame.say(ax, say, colour, 0.05)
    xs, ys, field = lines
    size = np.hypot(*field)
    size = np.nan_to_num(size / (top or np.nanmax(size)))
    strongest = float(size.max())
    scale = min(1.0, _side(ax) / ROOM)
    before = set(ax.patches)
    drawn = ax.streamplot(
        xs,
        ys,
        field[0].T,
        field[1].T,
        density=closeness,
        color=colour,
        linewidth=WIDEST * scale * size.T,
        minlength=0.2,
        arrowstyle="-|>,head_length=0.45,head_width=0.26",
    )
    if not len(drawn.lines.get_paths()):  # nothing but scattered blocks
        drawn.lines.remove()
        return frame.say(ax, say, colour, 0.05)
    drawn.lines.set_capstyle("round")  # lines are drawn in pieces, and butt ends leave gaps between them
    for arrow in set(ax.patches) - before:
        if isinstance(arrow, FancyArrowPatch):
            width = float(arrow.get_linewidth())
            share = width / (WIDEST * scale * strongest)
            arrow.set_mutation_scale(HEAD * scale * max(math.sqrt(strongest), 0.5) * math.sqrt(share))
            arrow.set_linewidth(0.0)
            arrow.set_visible(share > 0.04)
    return drawn


def _side(ax: Axes) -> float:
    """The shorter side of axes, in inches."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return float(min(ax.get_window_extent().size) / figure.dpi)


def traced(x: Run | xr.DataArray, tails: xr.DataArray | None = None) -> tuple[Array, Array, Array] | None:
    """Block centres and block means of the current, cut to where there is some and NaN where it means nothing."""
    if isinstance(x, Run):
        blocks = tuple(math.ceil(n / FINEST_RUN) for n in x.grid.shape)
        sizes = x.learning_rate * x.grid.cell_volume / x.grid.spacing
        recorded = x.group_samples[:, None, None]
        low, high = (slice(None, -1), slice(1, None))
        fx, fy = x.crossings
        groups = np.stack(
            [
                _blocks(0.5 * (fx[:, low] + fx[:, high]) / (recorded * sizes[0]), blocks),
                _blocks(0.5 * (fy[:, :, low] + fy[:, :, high]) / (recorded * sizes[1]), blocks),
            ]
        )
        field = np.asarray((groups * recorded).sum(axis=1) / x.samples)
        error = groups.std(axis=1, ddof=1) / math.sqrt(groups.shape[1])
        p = _blocks(x.density.values, blocks)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Both components together: a vortex has places where either of them is zero.
            z = np.sqrt(((field / error) ** 2).sum(axis=0))
        keep = (p > TAIL * p.max()) & np.isfinite(z) & (z > SIGNIFICANT)
        xs, ys = (_line_blocks(x.grid.centers(a), blocks[a]) for a in range(2))
    else:
        weight = np.hypot(*x.values) if tails is None else tails.values
        spans = [frame.span(weight.max(axis=1 - a) > TAIL * weight.max()) for a in range(2)]
        if weight.max() == 0.0:
            return None
        blocks = tuple(math.ceil((stop - start) / FINEST) for start, stop in spans)
        cut = tuple(slice(*span) for span in spans)
        inside = x.values[:, cut[0], cut[1]], weight[cut]
        lines = tuple(np.asarray(x.coords[x.dims[a + 1]].values[cut[a]], dtype=float) for a in range(2))
        if all(_equal_steps(line) for line in lines):
            field, p = (_blocks(values, blocks) for values in inside)
            xs, ys = (_line_blocks(line, size) for line, size in zip(lines, blocks, strict=True))
        else:
            xs, ys = (np.linspace(line[0], line[-1], min(line.size, FINEST)) for line in lines)
            field, p = (_interpolated(values, lines, (xs, ys)) for values in inside)
        keep = p > TAIL * p.max()
    if min(field.shape[1:]) < 2 or not np.any(keep & (np.hypot(*field) > 0.0)):
        return None
    return xs, ys, np.where(keep, field, np.nan)


def _blocks(values: Array, sizes: Sequence[int]) -> Array:
    """Means over blocks of the last two axes; a remainder at the upper ends is dropped."""
    n, m = (values.shape[a - 2] // sizes[a] for a in range(2))
    head = values[..., : n * sizes[0], : m * sizes[1]]
    return np.asarray(head.reshape(*values.shape[:-2], n, sizes[0], m, sizes[1]).mean(axis=(-3, -1)))


def _equal_steps(line: Array) -> bool:
    steps = np.diff(line)
    return bool(np.ptp(steps) <= EQUAL_STEPS * steps.max(initial=0.0)) if steps.size else True


def _interpolated(values: Array, lines: Sequence[Array], points: Sequence[Array]) -> Array:
    """Linear between the points of the last two axes."""
    at = np.stack(np.meshgrid(*points, indexing="ij"), axis=-1)
    stack = np.moveaxis(values.reshape(-1, *values.shape[-2:]), 0, -1)
    out = np.moveaxis(RegularGridInterpolator(tuple(lines), stack)(at), -1, 0)
    return np.asarray(out.reshape(*values.shape[:-2], *out.shape[1:]))


def _line_blocks(values: Array, size: int) -> Array:
    n = values.size // size
    means = values[: n * size].reshape(n, size).mean(axis=1)
    return np.linspace(means[0], means[-1], n)  # streamplot wants steps that are equal to round-off
