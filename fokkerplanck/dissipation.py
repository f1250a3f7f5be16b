"""The force and the drift taken apart: reversible and irreversible drift, housekeeping and excess entropy production."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from .errors import InvalidInput
from .force import force_at
from .grid import Array, Grid
from .hodge import RTOL, corners_of, project
from .measured import Measured, sequence_error
from .nonequilibrium import cell_gradient
from .operators import difference_scale
from .process import DiffusionProcess
from .results import Solution
from .solvers.transfer import restrict_cells
from .threads import one_blas_thread

MASS = 1e-6  # by which a given density may miss 1


@dataclass(frozen=True, repr=False)
class EntropySplit:
    r"""Entropy production and its two parts, from :func:`entropy_split`.

    Attributes
    ----------
    total : Measured
        :math:`\sigma = \int p\,F^\top D F`, per unit time in units of k_B, with the irreversible force
        :math:`F = \omega - \nabla\ln p`, for which :math:`J = p D F`.
    housekeeping : Measured
        :math:`\sigma_\text{hk} = \int p\,(F - \nabla\varphi)^\top D\,(F - \nabla\varphi)`: what it costs to keep p as it is.
    excess : Measured
        :math:`\sigma_\text{ex} = \int p\,\nabla\varphi^\top D\,\nabla\varphi`: what the change of p costs; zero in a
        stationary state.
    potential : DataArray
        φ at the cell centres, with :math:`\nabla\cdot(p D\nabla\varphi) = \nabla\cdot J = -\partial_t p`; zero where p is
        largest.

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> sol = fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64))
    >>> split = fp.entropy_split(swirl, sol)
    >>> round(split.total.value, 3), round(split.housekeeping.value, 3), round(split.excess.value, 3)
    (2.0, 2.0, 0.0)
    """

    total: Measured
    housekeeping: Measured
    excess: Measured
    potential: xr.DataArray

    def __repr__(self) -> str:
        return f"entropy production {self.total} = housekeeping {self.housekeeping} + excess {self.excess}"


@one_blas_thread()
def entropy_split(
    process: DiffusionProcess, density: Solution | ArrayLike | xr.DataArray, grid: Grid | None = None
) -> EntropySplit:
    r"""Housekeeping and excess entropy production: the p-weighted Hodge split of the force.

    In the inner product :math:`\langle a, b\rangle = \int p\,a^\top D\,b` the irreversible force
    :math:`F = \omega - \nabla\ln p`, :math:`\omega = D^{-1}u`, is projected onto the gradients,

    .. math::

        F = \nabla\varphi + F_\text{hk},\qquad \nabla\cdot(p D F_\text{hk}) = 0,\qquad
        \sigma = \langle F, F\rangle = \langle\nabla\varphi,\nabla\varphi\rangle + \langle F_\text{hk}, F_\text{hk}\rangle
        = \sigma_\text{ex} + \sigma_\text{hk}.

    ω itself is split likewise, :math:`\omega = \nabla(\varphi + \ln p) + F_\text{hk}`. On the grid, forces live on the faces,
    and the inner product is the sum over all corners of all cells of that of the d faces that meet there, with p and D of the
    cell: the projection is exact in it, so that the parts add up to the total to the accuracy of one linear solve. On a
    reflecting wall the normal component is that which lets nothing through.

    Parameters
    ----------
    process : DiffusionProcess
    density : Solution, DataArray or array_like
        Stationary, or at one time (``evolve(...).density.sel(time=...)``): positive, at the cell centres of ``grid``.
    grid : Grid, optional
        Only, and necessarily, with a density that is no Solution.

    Returns
    -------
    EntropySplit
        Errors are those of this discretisation, from the coarser grids of a solution, or from the given density on grids of
        half and a quarter as many cells (infinite where these do not exist). What is wrong with a given density is not seen.

    Raises
    ------
    InvalidInput
        If the arguments do not fit, the density is not positive or does not integrate to one, or no force ω exists.
    NotConverged
        If the linear system of a large grid is not solved.

    References
    ----------
    C. Maes and K. Netočný, J. Stat. Phys. 154, 188 (2014), doi:10.48550/arXiv.1206.3423;
    A. Dechant, S. Sasa and S. Ito, Phys. Rev. Research 4, L012034 (2022), doi:10.1103/PhysRevResearch.4.L012034.

    Examples
    --------
    A Gaussian that turns and spreads: :math:`F = \omega - \nabla\ln p` with ω = −x + Rx and p = N(0, s), so that
    :math:`\sigma_\text{hk} = \langle r^2\rangle = 2s` and :math:`\sigma_\text{ex} = (1/s - 1)^2\,2s`.

    >>> import fokkerplanck as fp
    >>> turning = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 1.0, dim=2)
    >>> grid = fp.Grid(fp.Box([-6, -6], [6, 6]), (64, 64))
    >>> p = np.exp(-np.sum(grid.cell_points() ** 2, axis=0)) / np.pi
    >>> split = fp.entropy_split(turning, p, grid)
    >>> round(split.housekeeping.value, 1), round(split.excess.value, 1)
    (1.0, 1.0)
    """
    if isinstance(density, Solution):
        if grid is not None and grid != density.grid:
            raise InvalidInput("grid: expected only with a density that is no Solution, which has its own")
        if density.check is None:
            levels = [(s.grid, s.phi) for s in (*density.coarser[::-1], density)]
        else:  # of higher order than the split, whose error then is that of any density
            levels = _coarsened(density.phi, density.grid)
    else:
        if grid is None:
            raise InvalidInput(f"grid: expected the Grid of the density, got none with a {type(density).__name__}")
        levels = _coarsened(_log_density(density, grid), grid)
        mass = float(np.sum(np.asarray(density, dtype=float) * grid.cell_volumes))
        if abs(mass - 1.0) > MASS:
            raise InvalidInput(f"density: expected the sum of p times the cell volumes to be 1, got {mass:.8g}")
    if process.dim != levels[-1][0].dim:
        raise InvalidInput(
            f"expected a density of {process.dim} variables, as the process has, got {levels[-1][0].dim}"
        )
    values = []
    for level, phi in levels:
        numbers, potential = _split(process, level, phi)
        values.append(np.array(numbers))
    error = sequence_error(values, RTOL * float(values[-1][0]))  # of second order
    total, housekeeping, excess = (Measured(float(v), float(e)) for v, e in zip(values[-1], error, strict=True))
    last = levels[-1][0]
    coordinates = {name: last.centers(a) for a, name in enumerate(process.names)}
    label = {"long_name": "potential of the excess force", "units": "dimensionless"}
    return EntropySplit(
        total, housekeeping, excess, xr.DataArray(potential, dims=process.names, coords=coordinates, attrs=label)
    )


@one_blas_thread()
def drift_split(
    process: DiffusionProcess, density: Solution | ArrayLike | xr.DataArray, grid: Grid | None = None
) -> xr.Dataset:
    r"""The drift as a reversible part, which would leave p alone without a current, and an irreversible one, J/p.

    .. math::

        b = b_\text{rev} + b_\text{irr},\qquad b_\text{irr} = J/p,\qquad b_\text{rev} = D\,\nabla\ln p + (b - u).

    The difference b − u belongs to the interpretation, in which b is given and returned: ∇·D for Itô,
    :math:`\tfrac12\sigma\,\partial\sigma` for Stratonovich, zero for isothermal. The irreversible part does not depend on it.

    Parameters
    ----------
    process : DiffusionProcess
    density : Solution, DataArray or array_like
        With a solution, J is the face current of the scheme; with the values p of a density at the cell centres of ``grid``,
        :math:`J/p = u - D\nabla\ln p` by fourth-order differences of ln p.
    grid : Grid, optional
        Only, and necessarily, with a density that is no Solution.

    Returns
    -------
    xarray.Dataset
        ``drift``, ``drift_reversible``, ``drift_irreversible`` (component, *names), state per time. The two parts add up to the
        drift to round-off, so what is wrong with J/p is wrong with both.

    Raises
    ------
    InvalidInput
        If the arguments do not fit, or the density is not positive.

    References
    ----------
    H. Risken, *The Fokker–Planck Equation*, Springer 1996, §6.4, doi:10.1007/978-3-642-61544-3.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> turning = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 1.0, dim=2)
    >>> grid = fp.Grid(fp.Box([-6, -6], [6, 6]), (48, 48))
    >>> p = np.exp(-0.5 * np.sum(grid.cell_points() ** 2, axis=0)) / (2 * np.pi)
    >>> parts = fp.drift_split(turning, p, grid).sel(x=1.125, y=0.375)  # −x and (y, −x)
    >>> parts.drift_reversible.values.round(9).tolist(), parts.drift_irreversible.values.round(9).tolist()
    ([-1.125, -0.375], [0.375, -1.125])
    """
    if isinstance(density, Solution):
        if grid is not None and grid != density.grid:
            raise InvalidInput("grid: expected only with a density that is no Solution, which has its own")
        grid, irreversible = density.grid, density.velocity.values
    elif grid is None:
        raise InvalidInput(f"grid: expected the Grid of the density, got none with a {type(density).__name__}")
    else:
        irreversible = _irreversible(process, grid, _log_density(density, grid))
    if process.dim != grid.dim:
        raise InvalidInput(f"expected a density of {process.dim} variables, as the process has, got {grid.dim}")
    drift = process.drift(grid.cell_points())
    coordinates: dict[str, Any] = {"component": list(process.names)}
    coordinates |= {name: grid.centers(a) for a, name in enumerate(process.names)}
    fields = {"drift": drift, "drift_reversible": drift - irreversible, "drift_irreversible": irreversible}
    dims = ("component", *process.names)
    labels = {name: {"long_name": name.replace("_", ", "), "units": "state / time"} for name in fields}
    return xr.Dataset({name: (dims, values, labels[name]) for name, values in fields.items()}, coords=coordinates)


def _irreversible(process: DiffusionProcess, grid: Grid, phi: Array) -> Array:
    """u + D∇Φ at the cell centres."""
    points = grid.cell_points()
    velocity = process.current_velocity(points, difference_scale(grid))
    return np.asarray(velocity + np.einsum("ij...,j...->i...", process.diffusion(points), cell_gradient(phi, grid)))


def _log_density(density: Any, grid: Grid) -> Array:
    """Φ = −ln p of a density that was given."""
    p = np.asarray(density, dtype=float)
    if p.shape != grid.shape:
        raise InvalidInput(f"density: expected shape {grid.shape}, one value per cell of the grid, got {p.shape}")
    if not np.isfinite(p).all() or p.min() <= 0.0:
        raise InvalidInput(
            f"density: expected positive values, got {p[~(p > 0)].flat[0] if not (p > 0).all() else 'infinite ones'}: ln p is "
            "not defined there. A density that starts in one cell is positive after any time; take a later one"
        )
    return np.asarray(-np.log(p))


def _coarsened(phi: Array, grid: Grid) -> list[tuple[Grid, Array]]:
    """The density on grids of a quarter, half and all of the cells, as far as these exist."""
    levels = [(grid, phi)]
    while len(levels) < 3 and all(n % 2 == 0 and n >= 8 for n in levels[0][0].shape):
        finer, values = levels[0]
        coarse = Grid(grid.box, tuple(n // 2 for n in finer.shape), maps=grid.maps)
        levels.insert(0, (coarse, restrict_cells(values, finer)))
    return levels


def _split(process: DiffusionProcess, grid: Grid, phi: Array) -> tuple[tuple[float, float, float], Array]:
    """σ, σ_hk, σ_ex and φ on one grid."""
    forces = [_face_force(process, grid, phi, axis) for axis in range(grid.dim)]
    corners = corners_of(grid, process.diffusion(grid.cell_points()), phi)
    potential = project(forces, corners, grid, phi)
    total, excess, housekeeping = 0.0, 0.0, 0.0
    for corner in corners:
        f, g = corner.at_cells(forces), corner.gradient(potential)
        total += corner.energy(f)
        excess += corner.energy(g)
        housekeeping += corner.energy(f - g)
    return (total, housekeeping, excess), potential.reshape(grid.shape)


def _face_force(process: DiffusionProcess, grid: Grid, phi: Array, axis: int) -> Array:
    """Component ``axis`` of F on the faces normal to it, zero on walls, where the corners do not ask for it."""
    out = np.zeros(grid.face_shape(axis))
    inside: list[Any] = [slice(None)] * grid.dim
    if not grid.periodic[axis]:
        inside[axis] = slice(1, -1)
    where = tuple(inside)
    points = np.ascontiguousarray(grid.face_points(axis)[(slice(None), *where)])
    out[where] = force_at(process, points, difference_scale(grid, axis))[axis]
    values = np.moveaxis(phi, axis, 0)
    slope = np.moveaxis(np.zeros(grid.face_shape(axis)), axis, 0)
    distances = grid.distances(axis).reshape(-1, *(1,) * (grid.dim - 1))
    slope[1:-1] = np.diff(values, axis=0) / distances[1:-1]
    if grid.periodic[axis]:
        slope[0] = slope[-1] = (values[0] - values[-1]) / distances[0]
    return out + np.moveaxis(slope, 0, axis)
