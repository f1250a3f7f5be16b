"""The method of choice: the log-density scheme on one grid, from a start that cannot fail to an answer that settles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import NotConverged
from ..grid import Array, Grid
from ..operators import FaceCoefficients, face_coefficients, physical_log_density, reference_log_density
from ..process import DiffusionProcess
from .deferred import correct
from .hierarchy import ROUND_OFF, Answer, Start
from .linear import SingularSystem
from .newton import (
    CROSS_LIMIT,
    FASTEST,
    REGULAR,
    Level,
    Stalled,
    monotone_start,
    normalise,
    solve_level,
)
from .scheme import Scheme

COARSEST = {1: 32, 2: 16, 3: 8}  # cells per axis of the first grid: the subtraction-free start costs their total cubed
LARGEST_START = 1600  # cells; 1600³/3 operations take about two seconds
# Tried in turn: fewer faces carry the nonlinear flux, until Newton's method settles. In three dimensions most of the
# probability is some deviations off the peak, where affordable grids are steep, so more is tried first.
STEEPEST = {1: (1.0, 0.5, 0.25), 2: (1.0, 0.5, 0.25), 3: (2.0, 1.0, 0.5)}


# A start estimated to be closer than this to its own grid's answer may be corrected right away …
CLOSE = 0.05
FAST = 0.2  # … if what is left is less than this share of the first correction …
LIMITED = 1e-3  # … unless cells that hold more than this would change by factors


def solve_log_density(
    process: DiffusionProcess,
    grid: Grid,
    start: Start | None,
    record: dict[str, Any],
    *,
    linear_solver: str = "auto",
    order: int = 4,
    finest: bool = False,
) -> Answer | None:
    """The answer on a grid, or None where Newton's method does not settle; the story goes into ``record``.

    Parameters
    ----------
    start : Start, optional
        By default the monotone scheme's density.
    order : {4, 2}
        See :func:`deferred.correct`.
    finest : bool
        Whether there is no grid to go on to.

    Raises
    ------
    NotConverged
        If there is no start: the noise does not connect the cells.
    """
    coefficients = face_coefficients(process, grid)
    if start is None:
        psi = _first_guess(process, grid, coefficients)
    else:
        psi = normalise(reference_log_density(start.phi, grid), grid.reference)
        if order == 4 and start.error < CLOSE:
            answer = _corrected(coefficients, grid, psi, (STEEPEST[grid.dim][0], np.inf), record, linear_solver, FAST)
            if answer is not None:
                return answer
    patient = finest or min(grid.shape) >= 4 * COARSEST[grid.dim]  # on coarser grids it is cheaper to go on to the next
    level = _settled(coefficients, psi, record, linear_solver, rough=order == 4)
    while level is not None:
        record |= {
            "newton_steps": level.steps,
            "cycles": level.cycles,
            "linear_solver": level.solver,
            "regular_mass": level.regular_mass,
            "up_to_date": level.up_to_date,
        }
        if order == 4:
            fastest = np.inf if record.get("central") else FASTEST
            answer = _corrected(
                coefficients, grid, level.phi, (record["steepest"], fastest), record, linear_solver, 1.0
            )
            if answer is not None:
                return answer
        if level.thorough or not patient:
            return Answer(physical_log_density(level.phi, grid), level.flux)
        level = _settled(coefficients, level.phi, record, linear_solver, rough=False) or replace(level, thorough=True)
    return None


def _corrected(
    coefficients: FaceCoefficients,
    grid: Grid,
    psi: Array,
    forms: tuple[float, float],
    record: dict[str, Any],
    linear_solver: str,
    gain: float,
) -> Answer | None:
    """Fourth-order values, or None where another correction would change them by ``gain`` × the first or more."""
    scheme = Scheme(coefficients)
    scheme.freeze(psi, *forms, CROSS_LIMIT)
    try:
        better = correct(scheme, coefficients, grid, psi, linear_solver)
    except SingularSystem as error:
        record["not_corrected"] = str(error)
        return None
    mass = scheme.regular_mass(np.exp(-better.psi) * grid.reference.cell_volume)
    if (
        not better.density_error < max(gain * better.change, ROUND_OFF)
        or better.limited > LIMITED
        or better.change > CLOSE
    ):
        record["not_corrected"] = (
            f"by {better.change:.1e}, then by another {better.density_error:.1e}, cut short where {better.limited:.1e} is"
        )
        return None
    record |= {
        "newton_steps": record.get("newton_steps", 0) + better.solves,
        "cycles": record.get("cycles", 0) + better.cycles,
        "linear_solver": better.solver,
        "regular_mass": mass,
        "change": better.change,
        "limited": better.limited,
    }
    check = Answer(physical_log_density(better.check_psi, grid), better.check_flux, 6)
    phi = physical_log_density(better.psi, grid)
    return Answer(phi, better.flux, 4, better.density_error, better.current_error, check)


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
    from scipy.interpolate import RegularGridInterpolator  # slow to import, and rarely needed

    axes = [start_grid.reference.centers(a) for a in range(grid.dim)]
    # linear, extrapolating half a cell
    interpolant = RegularGridInterpolator(axes, psi, bounds_error=False, fill_value=None)
    return np.asarray(interpolant(np.moveaxis(grid.reference.cell_points(), 0, -1)))


def _settled(
    coefficients: FaceCoefficients, start: Array, record: dict[str, Any], linear_solver: str, *, rough: bool
) -> Level | None:
    for steepest in STEEPEST[coefficients.grid.dim]:
        try:
            level = solve_level(
                coefficients, start, steepest=steepest, fastest=FASTEST, linear_solver=linear_solver, rough=rough
            )
        except Stalled as error:
            record["stalled"] = str(error)
            continue
        record["steepest"] = steepest
        if 1.0 - level.regular_mass < REGULAR:
            return level
        # Faces beyond FASTEST are upwinded, of first order; from the answer they may do without.
        try:
            faster = solve_level(
                coefficients, level.phi, steepest=steepest, fastest=np.inf, linear_solver=linear_solver, rough=rough
            )
        except Stalled:
            return level
        if faster.regular_mass > level.regular_mass:
            record["central"] = True
            return faster
        return level
    return None
