"""Three dimensions on paper: slices through a point, and projections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from ..errors import InvalidInput
from ..grid import Grid
from ..results import Solution
from ..sgd import Run
from . import frame, lines
from .fields import draw_current, draw_density
from .planes import Plane, mode, nearest, places, plane
from .streams import TAIL

WIDE = 2.0  # times its height is the widest panel
CLOSENESS = 2 / 3  # of streamlines in a third of a page


def slices(
    solution: Solution,
    *,
    at: Mapping[str, float] | None = None,
    axes: Sequence[Axes] | None = None,
    vmax: float | None = None,
    widest: float | None = None,
) -> tuple[QuadMesh, QuadMesh, QuadMesh]:
    r"""Draw three planes through a point: the density in them on one scale, and the components of the current along them.

    Streamlines are as wide as the component in the plane is strong, the widest belonging to the largest :math:`|J|` anywhere.
    Dashed lines are where the other two planes are.

    Parameters
    ----------
    solution : Solution
        In three dimensions.
    at : mapping of str to float, optional
        The point; variables that are not given are held where the density is largest.
    axes : sequence of three Axes, optional
        For the planes without the third, the second and the first variable. A new pyplot figure by default.
    vmax, widest : float, optional
        The density of the last colour in all three and the current of the widest line, as for :func:`current`.

    Returns
    -------
    tuple of three QuadMesh

    Raises
    ------
    InvalidInput
        If there is no Solution in three dimensions, the point is outside the box, other than three axes are given, or
        a scale is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> from matplotlib.figure import Figure
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0], -x[2]]), 0.5, dim=3)
    >>> sol = fp.solve_stationary(swirl, fp.Box([-4] * 3, [4] * 3), shape=(16, 16, 16))
    >>> axes = Figure().subplots(1, 3)
    >>> images = slices(sol, at={"x": 1, "y": 0, "z": 0}, axes=axes)
    >>> [ax.get_title() for ax in axes]
    ['at z = −0.25', 'at y = −0.25', 'at x = 0.75']
    """
    _need_space("slices", solution, Solution)
    _check_scales(vmax, widest)
    point = mode(solution) | places(solution, at)
    planes = [plane(solution, {name: point[name]}, rooms=(2,)) for name in solution.names[::-1]]
    panels = frame.three(axes, _ratios(solution, planes))
    largest = max(float(shown.scalar(solution.density).max()) for shown in planes)
    top, strongest = vmax or largest, widest or planes[0].strongest(solution.current)
    images = []
    for ax, shown in zip(panels, planes, strict=True):
        images.append(draw_density(ax, solution, shown, colorbar=False, top=top, level=TAIL))
        draw_current(ax, solution, shown, closeness=CLOSENESS, colour="white", top=strongest)
        first, second = (_center(solution.grid, solution.names.index(name), name, point[name]) for name in shown.kept)
        ax.axvline(first, color="white", lw=0.7, ls="--", alpha=0.6)
        ax.axhline(second, color="white", lw=0.7, ls="--", alpha=0.6)
        ax.set_title(shown.words, fontsize=11)
    units, beyond = lines.density_units(planes[-1]), "max" if largest > top else "neither"
    frame.colorbar(panels[-1], images[-1], "probability density\n", units, extend=beyond)
    return images[0], images[1], images[2]


def projections(
    x: Solution | Run,
    *,
    axes: Sequence[Axes] | None = None,
    vmax: float | None = None,
    widest: float | None = None,
) -> tuple[QuadMesh, QuadMesh, QuadMesh]:
    """Draw the three marginals of two variables, and the current integrated over the third, which is without divergence too.

    Parameters
    ----------
    x : Solution or Run
        In three dimensions.
    axes : sequence of three Axes, optional
        For the marginals without the third, the second and the first variable. A new pyplot figure by default.
    vmax, widest : float, optional
        The density of the last colour and the current of the widest line, as for :func:`current`, the same in all three; by
        default each has a scale of its own.

    Returns
    -------
    tuple of three QuadMesh

    Raises
    ------
    InvalidInput
        If ``x`` is neither a Solution nor a Run in three dimensions, other than three axes are given, or a scale is not
        positive.

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> from matplotlib.figure import Figure
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0], -x[2]]), 0.5, dim=3)
    >>> sol = fp.solve_stationary(swirl, fp.Box([-4] * 3, [4] * 3), shape=(16, 16, 16))
    >>> axes = Figure().subplots(1, 3)
    >>> images = projections(sol, axes=axes)
    >>> [text.get_text() for ax in axes for text in ax.texts]  # z turns with nothing
    ['no current in this plane', 'no current in this plane']
    """
    _need_space("projections", x, Solution, Run)
    _check_scales(vmax, widest)
    planes = [plane(x, over=name, rooms=(2,)) for name in x.names[::-1]]
    images = []
    for ax, shown in zip(frame.three(axes, _ratios(x, planes)), planes, strict=True):
        images.append(draw_density(ax, x, shown, top=vmax, level=TAIL))
        draw_current(ax, x, shown, closeness=CLOSENESS, colour="white", top=widest)
        ax.set_title(shown.words, fontsize=11)
    return images[0], images[1], images[2]


def _ratios(x: Solution | Run, planes: Sequence[Plane]) -> list[float]:
    """Widths of panels of equal height."""
    sides = []
    for shown in planes:
        (left, right), (bottom, top) = frame.window(shown.scalar(x.density), shown.grid, TAIL)
        sides.append(min(max((right - left) / (top - bottom), 1.0 / WIDE), WIDE))
    return sides


def _center(grid: Grid, axis: int, name: str, value: float) -> float:
    """Of the cell in which a variable is held."""
    return float(grid.centers(axis)[nearest(grid, axis, name, value)])


def _check_scales(vmax: float | None, widest: float | None) -> None:
    frame.check_scale("vmax", vmax)
    frame.check_scale("widest", widest)


def _need_space(what: str, x: Any, *kinds: type[Solution] | type[Run]) -> None:
    if not isinstance(x, kinds):
        raise InvalidInput(f"expected a {' or a '.join(kind.__name__ for kind in kinds)}, got {frame.kind(x)}")
    if x.grid.dim != 3:
        raise InvalidInput(
            f"{what}: expected three dimensions, got {x.grid.dim}: fokkerplanck.plot.current draws all of it"
        )
