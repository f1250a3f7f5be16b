"""The method of choice: the log-density scheme on one grid, from a start that cannot fail to an answer that settles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import NotConverged
from ..grid import Array, Grid
from ..operators import FaceCoefficients, face_coefficients, physical_log_density, reference_log_density
from ..process import DiffusionProcess
from .correction import LARGEST_RESCUE
from .deferred import ROUGH, THOROUGH, TooFar, correct
from .hierarchy import Answer, Start
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
from .positive import SETTLED, SWEEPS, solve_positive
from .positive import STEEPEST as STEEPEST_NET
from .scheme import Scheme

COARSEST = {1: 32, 2: 16, 3: 8}  # cells per axis of the first grid: the subtraction-free start costs their total cubed
LARGEST_START = 1600  # cells; 1600³/3 operations take about two seconds
# Tried in turn: fewer faces carry the nonlinear flux, until Newton's method settles. In three dimensions most of the
# probability is some deviations off the peak, where affordable grids are steep, so more is tried first.
STEEPEST = {1: (1.0, 0.5, 0.25), 2: (1.0, 0.5, 0.25), 3: (2.0, 1.0, 0.5)}
# Probability beside frozen faces, of first order, that is not worth another Newton step. Where a barrier divides the density,
# their error counts against what crosses it: a share of 3e-4 doubled the error where e^-5 of the peak was on the barrier.
# In three dimensions a step costs more than that.
UNNOTICED = {1: 1e-6, 2: 1e-6, 3: REGULAR}
# Cells up to which an answer with more than REGULAR beside frozen faces is handed to the net, which factorises some twenty
# matrices. In three dimensions that takes longer than the next grid.
LARGEST_NET = LARGEST_RESCUE | {3: 0}
NONLINEAR, LINEAR = "nonlinear", "linear, positivity-limited"


# What a coarser grid leads to is corrected right away, with the faces of the matrix sorted by these bounds …
FORMS = (2.0, FASTEST)
QUARTER = 0.25  # … if the errors are below these shares of the start's then (a sixteenth is expected), or below …
FINE = 1e-6  # … this share of the probability and of what the drift moves …
SMOOTH = 7e-4  # … and cells cut short to the last hold less than this: finer grids inherit them, walls are made of them
SPARE = 0.03  # … of which unfinished cycles may use this share …
PASSES, GAIN = 3, 0.7  # … after up to three linearisations, as long as they leave less than this share of the error
# Sweeps of the net on grids too coarse to end on, and probability moved by one, that are enough for the next to start from
FEW_SWEEPS, NEARLY = 3, 1e-2
FAR = 1.5  # of at most 2: on cells that resolve little the nonlinear flux has answers with all probability in a corner


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
    """The answer on a grid, or None where there is none; the story goes into ``record``.

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
    InvalidInput
        If the noise does not connect the cells of the first grid.
    NotConverged
        If there is no start on it for another reason.
    """
    coefficients = face_coefficients(process, grid)
    patient = finest or min(grid.shape) >= 4 * COARSEST[grid.dim]  # on coarser grids it is cheaper to go on to the next
    if start is None:
        psi = _first_guess(process, grid, coefficients)
    else:
        psi = normalise(reference_log_density(start.phi, grid), grid.reference)
        if order == 4:
            enough = (QUARTER * start.density_error, QUARTER * start.current_error)
            needed = SPARE * FINE / max(start.density_error, FINE)
            reduction = min(max(needed, THOROUGH), ROUGH)
            answer = _corrected(coefficients, grid, psi, FORMS, record, linear_solver, patient, enough, reduction)
            if answer is not None:
                return answer
    level = _settled(coefficients, psi, record, linear_solver, rough=order == 4)
    if level is None and start is not None:  # the start may be to blame
        start, psi = None, _first_guess(process, grid, coefficients)
        level = _settled(coefficients, psi, record, linear_solver, rough=order == 4)
    if level is not None and start is None and _apart(level.phi, psi) > FAR:
        record["stalled"] = (
            f"Newton's method went to a density with nothing in common with the monotone scheme's: {FAR:g} apart"
        )
        return None
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
                coefficients, grid, level.phi, (record["steepest"], fastest), record, linear_solver, patient
            )
            if answer is not None:
                return answer
        if level.thorough or not patient:
            return Answer(physical_log_density(level.phi, grid), level.flux)
        level = _settled(coefficients, level.phi, record, linear_solver, rough=False) or replace(level, thorough=True)
    return None


def _apart(psi: Array, other: Array) -> float:
    """∫|p − p'| of two reference log-densities, whatever their normalisation."""
    p, q = np.exp(psi.min() - psi), np.exp(other.min() - other)
    return float(np.abs(p / p.sum() - q / q.sum()).sum())


def _corrected(
    coefficients: FaceCoefficients,
    grid: Grid,
    psi: Array,
    forms: tuple[float, float],
    record: dict[str, Any],
    linear_solver: str,
    patient: bool,
    enough: tuple[float, float] = (np.inf, np.inf),
    reduction: float = THOROUGH,
) -> Answer | None:
    """Fourth-order values, or None where their errors are not below ``enough``, or not below the correction."""
    scheme = Scheme(coefficients)
    last, solves, cycles = np.inf, 0, 0
    for turn in range(PASSES if patient else 1):
        scheme.freeze(psi, *forms, CROSS_LIMIT)
        try:
            better = correct(scheme, coefficients, grid, psi, linear_solver, reduction=reduction)
        except (SingularSystem, TooFar) as error:
            record["not_corrected"] = str(error)
            return None
        solves, cycles = solves + better.solves, cycles + better.cycles
        settled = better.density_error < max(FINE, min(enough[0], better.change))
        settled = settled and better.current_error < max(FINE * better.drift, enough[1]) and better.limited < SMOOTH
        if settled or (turn > 0 and not better.density_error < GAIN * last):
            break
        psi = better.psi
        last = better.density_error
    mass = scheme.regular_mass(scheme.probability(better.psi))
    if not settled:
        record["not_corrected"] = (
            f"by {better.change:.1e}, then by another {better.density_error:.1e}, cut short where {better.limited:.1e} is"
        )
        return None
    record |= {
        "newton_steps": record.get("newton_steps", 0) + solves,
        "cycles": record.get("cycles", 0) + cycles,
        "linear_solver": better.solver,
        "regular_mass": mass,
        "change": better.change,
        "limited": better.limited,
    }
    check = Answer(physical_log_density(better.check_psi, grid), better.check_flux, 6)
    phi = physical_log_density(better.psi, grid)
    density_error = better.density_error + better.density_doubt
    current_error = better.current_error + better.current_doubt
    return Answer(phi, better.flux, 4, density_error, current_error, check)


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
            f"{error}. Solve in a smaller box, or check that the noise nearly vanishes nowhere"
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
    """By Newton's method, by the net where that stalls or leaves too much to frozen faces, or not at all."""
    dim, netted = coefficients.grid.dim, coefficients.grid.size <= LARGEST_NET[coefficients.grid.dim]
    steep = rough and netted and _frozen(coefficients, start) >= REGULAR
    if steep:  # which Newton's method would leave as it is
        net = _net(coefficients, start, record, linear_solver, rough)
        if net is not None:
            return net
    level = _newton(coefficients, start, record, linear_solver, rough)
    frozen = 1.0 if level is None else 1.0 - level.regular_mass
    if level is not None and frozen < (REGULAR if rough else UNNOTICED[dim]):
        return level
    if not steep and (level is None or (netted and frozen >= REGULAR)):
        net = _net(coefficients, start if level is None else level.phi, record, linear_solver, rough)
        if net is not None and net.regular_mass > 1.0 - frozen:
            return net
    if level is None:
        record["stalled"] = f"{record['newton_stalled']}; the net under it: {record['net_stalled']}"
        return None
    return _central(coefficients, level, record, linear_solver, rough)


def _frozen(coefficients: FaceCoefficients, psi: Array) -> float:
    """Share of the probability beside faces that Newton's method would freeze."""
    scheme = Scheme(coefficients)
    psi = normalise(psi, scheme.grid)
    scheme.freeze(psi, STEEPEST[scheme.grid.dim][0], FASTEST, CROSS_LIMIT)
    return 1.0 - scheme.regular_mass(scheme.probability(psi))


def _net(
    coefficients: FaceCoefficients, start: Array, record: dict[str, Any], linear_solver: str, rough: bool
) -> Level | None:
    grid = coefficients.grid
    coarse = rough and min(grid.shape) < 4 * COARSEST[grid.dim]
    sweeps, settled = (FEW_SWEEPS, NEARLY) if coarse else (SWEEPS, SETTLED)
    try:
        net = solve_positive(coefficients, start, linear_solver=linear_solver, sweeps=sweeps, settled=settled)
    except Stalled as error:
        record["net_stalled"] = str(error)
        return None
    limits = {"limited_cells": net.limited_cells, "limited_mass": net.limited_mass}
    record |= {"form": LINEAR, "steepest": STEEPEST_NET, "central": True} | limits
    return net


def _newton(
    coefficients: FaceCoefficients, start: Array, record: dict[str, Any], linear_solver: str, rough: bool
) -> Level | None:
    for steepest in STEEPEST[coefficients.grid.dim]:
        try:
            level = solve_level(
                coefficients, start, steepest=steepest, fastest=FASTEST, linear_solver=linear_solver, rough=rough
            )
        except Stalled as error:
            record["newton_stalled"] = str(error)
            continue
        record |= {"form": NONLINEAR, "steepest": steepest}
        return level
    return None


def _central(
    coefficients: FaceCoefficients, level: Level, record: dict[str, Any], linear_solver: str, rough: bool
) -> Level:
    """Faces beyond FASTEST are upwinded, of first order; from the answer they may do without."""
    steepest = record["steepest"]
    try:
        faster = solve_level(
            coefficients, level.phi, steepest=steepest, fastest=np.inf, linear_solver=linear_solver, rough=rough
        )
    except Stalled as error:
        record["central_stalled"] = str(error)
        return level
    if faster.regular_mass > level.regular_mass:
        record["central"] = True
        return faster
    return level
