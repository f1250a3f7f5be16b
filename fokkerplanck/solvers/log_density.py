"""The method of choice: the log-density scheme on one grid, from a start that cannot fail to an answer that settles."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from ..errors import NotConverged
from ..fields import FaceField
from ..grid import Array, Grid
from ..operators import FaceCoefficients, face_coefficients, physical_log_density, reference_log_density
from ..process import DiffusionProcess
from .newton import FASTEST, REGULAR, Level, Stalled, monotone_start, solve_level

COARSEST = {1: 32, 2: 16, 3: 8}  # cells per axis of the first grid: the subtraction-free start costs their total cubed
LARGEST_START = 1600  # cells; 1600³/3 operations take about two seconds
# Tried in turn: fewer faces carry the nonlinear flux, until Newton's method settles. In three dimensions most of the
# probability is some deviations off the peak, where affordable grids are steep, so more is tried first.
STEEPEST = {1: (1.0, 0.5, 0.25), 2: (1.0, 0.5, 0.25), 3: (2.0, 1.0, 0.5)}


def solve_log_density(
    process: DiffusionProcess, grid: Grid, start: Array | None, record: dict[str, Any], *, linear_solver: str = "auto"
) -> tuple[Array, FaceField] | None:
    """Φ and the flux on ``grid.reference``, or None where Newton's method does not settle; the story goes into ``record``.

    Parameters
    ----------
    start : ndarray, shape ``grid.shape``, or None
        Φ to start from; by default the monotone scheme's.

    Raises
    ------
    NotConverged
        If there is no start: the noise does not connect the cells.
    """
    coefficients = face_coefficients(process, grid)
    psi = _first_guess(process, grid, coefficients) if start is None else reference_log_density(start, grid)
    level = _settled(coefficients, psi, record, linear_solver)
    if level is None:
        return None
    record |= {
        "newton_steps": level.steps,
        "cycles": level.cycles,
        "linear_solver": level.solver,
        "regular_mass": level.regular_mass,
        "up_to_date": level.up_to_date,
    }
    return physical_log_density(level.phi, grid), level.flux


def _first_guess(process: DiffusionProcess, grid: Grid, coefficients: FaceCoefficients) -> Array:
    """Ψ on the first grid by the monotone scheme, on the grid itself or, where that is too large, on a coarser one."""
    start_grid = grid
    if grid.size > LARGEST_START:
        start_grid = Grid(grid.box, tuple(min(n, COARSEST[grid.dim]) for n in grid.shape), maps=grid.maps)
        coefficients = face_coefficients(process, start_grid)
    try:
        psi = monotone_start(coefficients)
    except Stalled as error:
        raise NotConverged(
            f"{error}. Every cell must be reachable: check that the noise is not zero in part of the box"
        ) from error
    if start_grid is grid:
        return psi
    axes = [start_grid.reference.centers(a) for a in range(grid.dim)]
    # linear, extrapolating half a cell
    interpolant = RegularGridInterpolator(axes, psi, bounds_error=False, fill_value=None)
    return np.asarray(interpolant(np.moveaxis(grid.reference.cell_points(), 0, -1)))


def _settled(coefficients: FaceCoefficients, start: Array, record: dict[str, Any], linear_solver: str) -> Level | None:
    for steepest in STEEPEST[coefficients.grid.dim]:
        try:
            level = solve_level(coefficients, start, steepest=steepest, fastest=FASTEST, linear_solver=linear_solver)
        except Stalled as error:
            record["stalled"] = str(error)
            continue
        record["steepest"] = steepest
        if 1.0 - level.regular_mass < REGULAR:
            return level
        # Faces beyond FASTEST are upwinded, of first order; from the answer they may do without.
        try:
            faster = solve_level(
                coefficients, level.phi, steepest=steepest, fastest=np.inf, linear_solver=linear_solver
            )
        except Stalled:
            return level
        if faster.regular_mass > level.regular_mass:
            record["central"] = True
            return faster
        return level
    return None
