"""When and where a diffusion arrives: mean first-passage times and splitting probabilities, from the monotone generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import breadth_first_order

from ..errors import InvalidInput, NotConverged
from ..grid import Array, Grid
from ..process import DiffusionProcess
from .chain import elimination_order, factorised
from .generator import generator

Cells = NDArray[np.bool_]
Region = ArrayLike | Callable[[Array], Any]

LOST = 1e-6  # of the probability to arrive, which is one; times are as wrong as it


def mean_first_passage_time(process: DiffusionProcess, grid: Grid, target: Region) -> xr.DataArray:
    r"""Mean time to first enter a region: :math:`u\cdot\nabla\tau + \nabla\cdot(D\nabla\tau) = -1`, τ = 0 inside.

    The chain has :math:`G^\top\tau = -1` in the cells outside. The matrix is an M-matrix, so τ > 0 there.

    Parameters
    ----------
    process : DiffusionProcess
    grid : Grid
    target : array_like of bool, shape ``grid.shape``, or callable
        Cells of the region, or a function of the centres (d, ...) → bool (...). The diffusion counts as arrived at the
        centres of the outermost cells of the region; a wall that lies elsewhere in its cell moves τ by first order in the cell.

    Returns
    -------
    xarray.DataArray
        τ, in units of time.

    Raises
    ------
    InvalidInput
        If the target has the wrong shape, is empty, is everything, or cannot be reached from some cell.
    NotConverged
        If the passage takes so long that double precision cannot resolve it.

    References
    ----------
    C. W. Gardiner, *Handbook of Stochastic Methods*, section 5.2.7 (the backward equation); H. A. Kramers, Physica 7, 284
    (1940), doi:10.1016/S0031-8914(40)90098-2.

    Examples
    --------
    >>> from fokkerplanck import Box, DiffusionProcess, Grid
    >>> free = DiffusionProcess([0.0], 0.5, dim=1)
    >>> tau = mean_first_passage_time(free, Grid(Box([0], [2]), (64,)), lambda x: x[0] > 1)
    >>> round(float(tau[0]), 2)  # (L² − x²)/(2 D) with L = 1.016, the centre of the first cell beyond 1
    1.03
    """
    inside = _cells(target, grid, "target")
    if inside.all():
        raise InvalidInput("target: expected some cells outside it, got every cell of the grid")
    G = generator(process, grid)
    _check_reached(G, inside, grid, "target")
    (time,) = _solve(G, inside, [np.ones(grid.size)], grid)
    return _labelled(time, process, grid, "mean first-passage time", "time")


def splitting_probability(process: DiffusionProcess, grid: Grid, target: Region, other: Region) -> xr.DataArray:
    r"""Probability to enter one region before another (the committor): :math:`G^\top q = 0` between the regions.

    q = 1 in the target and 0 in the other region; the matrix is an M-matrix, so :math:`0 \le q \le 1`.

    Parameters
    ----------
    process : DiffusionProcess
    grid : Grid
    target, other : array_like of bool, shape ``grid.shape``, or callable
        The two regions, as in :func:`mean_first_passage_time`.

    Returns
    -------
    xarray.DataArray
        q, dimensionless.

    Raises
    ------
    InvalidInput
        If a region has the wrong shape or is empty, the two overlap or leave no cell between them, or some cell can reach
        neither.
    NotConverged
        If leaving the space between the regions takes so long that double precision cannot resolve it.

    References
    ----------
    W. E and E. Vanden-Eijnden, J. Stat. Phys. 123, 503 (2006), doi:10.1007/s10955-005-9003-9 (the committor).

    Examples
    --------
    >>> from fokkerplanck import Box, DiffusionProcess, Grid
    >>> free = DiffusionProcess([0.0], 0.5, dim=1)
    >>> q = splitting_probability(free, Grid(Box([0], [1]), (5,)), lambda x: x[0] > 0.8, lambda x: x[0] < 0.2)
    >>> q.values.round(6).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    first, second = _cells(target, grid, "target"), _cells(other, grid, "other")
    both = int((first & second).sum())
    if both:
        raise InvalidInput(f"target and other: expected regions that do not overlap, got {both} cells in both")
    if (first | second).all():
        raise InvalidInput("target and other: expected some cells outside both, got regions that fill the grid")
    G = generator(process, grid)
    _check_reached(G, first | second, grid, "target nor other")
    inside = first | second
    one, two = _solve(G, inside, [_into(G, first), _into(G, second)], grid)
    # their sum is one but for round-off; divided by it, q is between 0 and 1 to the last digit
    q = np.divide(one, one + two, out=first.ravel().astype(float), where=~inside.ravel())
    return _labelled(q, process, grid, "probability to reach the target first", "dimensionless")


def _cells(region: Region, grid: Grid, name: str) -> Cells:
    inside = np.asarray(region(grid.cell_points()) if callable(region) else region)
    if inside.shape != grid.shape or inside.dtype != np.bool_:
        raise InvalidInput(
            f"{name}: expected booleans of shape {grid.shape}, or a function of x that returns them, got {inside.dtype} "
            f"of shape {inside.shape}"
        )
    if not inside.any():
        raise InvalidInput(
            f"{name}: expected at least one cell, got none of {grid.size}. A region smaller than a cell may lie between the "
            "centres; refine the grid or enlarge the region"
        )
    return inside


def _check_reached(G: Any, inside: Cells, grid: Grid, name: str) -> None:
    """Walk backwards from the region along the rates; every cell has to be met."""
    # One more state that the region is entered from: entry (i, j) of G is the rate j → i, so rows are walked backwards already.
    source = sp.csr_array(inside.ravel()[None].astype(float))
    graph = sp.block_array([[G, None], [source, sp.csr_array((1, 1))]], format="csr")
    met = np.zeros(grid.size + 1, dtype=bool)
    met[breadth_first_order(graph, grid.size, directed=True, return_predecessors=False)] = True
    lost = np.flatnonzero(~met[:-1])
    if lost.size:
        point = grid.cell_points().reshape(grid.dim, -1)[:, lost[0]]
        raise InvalidInput(
            f"{name}: cannot be reached from {lost.size} of {grid.size} cells, such as x = {point.tolist()}; "
            "the time from there is infinite. Check that the noise does not vanish on the way, or shrink the box"
        )


def _solve(G: Any, inside: Cells, sources: list[Array], grid: Grid) -> list[Array]:
    """Solutions of −G_ooᵀ x = source outside a region, over all cells; LU without pivoting, all of whose terms have one sign.

    A pivot is the rate at which an eliminated part is left, and may lose digits where that happens rarely. The probability to
    leave at all, one from everywhere, loses as much; so it is solved for too, and has to come out as one.
    """
    outside = ~inside.ravel()
    order = elimination_order(G, grid)
    order = order[outside[order]]
    factor = factorised((-G[order][:, order]).tocsc(), "NATURAL")
    exits = _into(G, inside)
    solutions = factor.solve(np.stack([source[order] for source in (exits, *sources)], axis=1), "T")
    lost = float(np.abs(solutions[:, 0] - 1.0).max())
    if not lost <= LOST:
        raise NotConverged(
            f"the time to get there is too long for double precision: the probability to arrive at all comes out wrong by "
            f"{lost:.1e}. Solve in a smaller box, or raise the noise"
        )
    filled = np.zeros((len(sources), grid.size))
    filled[:, order] = solutions[:, 1:].T
    return list(filled)


def _into(G: Any, region: Cells) -> Array:
    """Rate from every cell straight into a region."""
    return np.asarray(G.T @ region.ravel().astype(float))


def _labelled(values: Array, process: DiffusionProcess, grid: Grid, long_name: str, units: str) -> xr.DataArray:
    coordinates = {name: grid.centers(a) for a, name in enumerate(process.names)}
    attributes = {"long_name": long_name, "units": units}
    return xr.DataArray(values.reshape(grid.shape), dims=process.names, coords=coordinates, attrs=attributes)
