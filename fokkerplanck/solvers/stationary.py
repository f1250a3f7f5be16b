"""The driver: nested grids, error estimates from them, and the checks every solution must pass."""

from __future__ import annotations

import time
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from .. import currents
from ..errors import DensityCutByWall, InvalidInput, NotConverged
from ..grid import Array, Box, Grid
from ..operators import FaceCoefficients, difference_scale, face_coefficients, to_centers
from ..process import DiffusionProcess
from ..progress import progress_bar
from ..results import Solution
from .log_density import Level, Stalled, monotone_start, solve_level
from .transfer import prolong, restrict_cells, restrict_faces

COARSEST = {1: 32, 2: 16, 3: 8}  # cells per axis of the first grid: the subtraction-free start costs their total cubed
LARGEST_START = 1600  # cells; 1600³/3 operations take about two seconds
# Cells that a direct solve manages in a few GB (1-D, 2-D) and an iterative one in minutes (3-D).
LARGEST_GRID = {1: 2**20, 2: 2**20, 3: 2**18}
# Tried in turn: fewer faces carry the nonlinear flux, until Newton's method settles. In three dimensions most of the
# probability is some deviations off the peak, where affordable grids are steep, so more is tried first.
STEEPEST = {1: (1.0, 0.5, 0.25), 2: (1.0, 0.5, 0.25), 3: (2.0, 1.0, 0.5)}
ACCURACY = {1: 1e-3, 2: 1e-3, 3: 2e-2}  # rtol by default; in three dimensions the current on 64³ cells is good to 1–2 %
SAFETY = 1.25  # Roache's factor for an error estimate from three grids
SECOND_ORDER = 4.0  # ratio of successive changes of a second-order scheme; faster is never assumed
ASYMPTOTIC = 2.0  # below this ratio the changes do not shrink like an order at all
UNORDERED = 3.0  # Roache's factor where no order is observed, applied to the larger of the last two changes
STRIP = 1 / 32  # of the box along each wall, where probability counts as sitting at the wall
BALANCE = 1e-8  # largest |∇·J| allowed, in units of the largest face current per cell width
# What double precision leaves of zero, as a share of the mass or of the one-way fluxes that cancel in a current.
ROUND_OFF = 1e-12


def solve_stationary(
    process: DiffusionProcess,
    box: Box,
    *,
    rtol: float | None = None,
    shape: tuple[int, ...] | None = None,
    max_cells: int | None = None,
    max_wall_mass: float | None = None,
    progress: bool | None = None,
) -> Solution:
    r"""Stationary density and probability current of a diffusion process in a box.

    Solves :math:`\nabla\cdot J = 0`, :math:`\int p = 1` with :math:`J = u p - D\nabla p` (u from the drift and the
    interpretation, see :class:`DiffusionProcess`) by finite volumes for :math:`\Phi = -\ln p`, on grids that are halved
    until the accuracy asked for is reached. The density is positive by construction.

    Parameters
    ----------
    process : DiffusionProcess
    box : Box
        Must hold the density: probability at a reflecting wall is checked against ``max_wall_mass``.
    rtol : float, default 1e-3, or 2e-2 in three dimensions, where 64³ cells give no more
        Grids are refined until :math:`\int|p - p_\text{exact}| \le` rtol and
        :math:`\int|J - J_\text{exact}| \le \text{rtol}\int|J|`, both by estimate. A current that cannot be told from zero
        (its error exceeds a quarter of it) has to satisfy :math:`\int|J-J_\text{exact}| \le \text{rtol}\int|u|p` instead:
        small against the drift that would drive it.
    shape : tuple of int, optional
        Solve on this grid instead, with whatever error it has. Every entry divisible by 4, for the nested grids.
    max_cells : int, optional
        Stop refining beyond this many cells; 2²⁰ in one and two dimensions, 2¹⁸ in three.
    max_wall_mass : float, optional
        Largest probability in the strip (1/32 of the box) along a reflecting wall; by default rtol:
        cutting a density moves it by about the mass cut off, which nested grids cannot see. Pass 1 if the walls are real.
    progress : bool, optional
        Progress bar on stderr; by default only on a terminal.

    Returns
    -------
    Solution

    Raises
    ------
    InvalidInput
        For arguments that do not fit, or a process that returns unusable values (see :class:`DiffusionProcess`).
    NotConverged
        If the estimates do not reach ``rtol`` within ``max_cells``, or no grid could be solved; carries the best result.
    DensityCutByWall
        If a reflecting wall holds more than ``max_wall_mass``; carries the solution inside the box.
    KeyboardInterrupt
        On Ctrl-C; with an attribute ``best``, the solution on the last complete grid, where there is one.

    References
    ----------
    D. L. Scharfetter and H. K. Gummel, IEEE Trans. Electron Devices 16, 64 (1969), doi:10.1109/T-ED.1969.16566 (monotone
    flux); P. J. Roache, J. Fluids Eng. 116, 405 (1994), doi:10.1115/1.2910291 (error estimate).

    Examples
    --------
    >>> process = DiffusionProcess(lambda x: -x, 0.5, dim=1)
    >>> sol = solve_stationary(process, Box([-4], [4]), rtol=1e-3)
    >>> bool(sol.error < 1e-3), bool((sol.density > 0).all())
    (True, True)
    """
    if not isinstance(process, DiffusionProcess) or not isinstance(box, Box):
        raise InvalidInput(
            f"expected a DiffusionProcess and a Box, got {type(process).__name__} and {type(box).__name__}"
        )
    if process.dim != box.dim:
        raise InvalidInput(
            f"expected a box with as many axes as the process has variables ({process.dim}), got {box.dim}"
        )
    if rtol is not None and shape is not None:
        raise InvalidInput("expected rtol (refine until accurate) or shape (this grid), got both")
    tolerance = ACCURACY[box.dim] if rtol is None else rtol
    if not (isinstance(tolerance, Real) and 1e-10 <= tolerance < 1):
        raise InvalidInput(f"rtol: expected a number from 1e-10 (round-off of a solve) to below 1, got {rtol!r}")
    allowed = tolerance if max_wall_mass is None else max_wall_mass
    if not (isinstance(allowed, Real) and 0 < allowed <= 1):
        raise InvalidInput(f"max_wall_mass: expected a probability above 0 and up to 1, got {max_wall_mass!r}")
    limit = LARGEST_GRID[box.dim] if max_cells is None else max_cells
    if not isinstance(limit, (int, np.integer)) or limit < COARSEST[box.dim] ** box.dim:
        fewest = COARSEST[box.dim] ** box.dim
        raise InvalidInput(f"max_cells: expected a whole number of at least {fewest} cells, got {max_cells!r}")
    grids = _nested(box, shape, limit)
    started = time.perf_counter()
    hierarchy = _Hierarchy(process, tolerance)
    settings = {"rtol": None if shape is not None else tolerance, "max_cells": limit, "max_wall_mass": allowed}
    with progress_bar("solving", sum(grid.size for grid in grids), show=progress) as advance:
        for grid in grids:
            try:
                hierarchy.add(grid)
            except KeyboardInterrupt as error:
                hierarchy.records.pop()
                if hierarchy.solved:
                    error.best = hierarchy.solution(settings)
                raise
            advance(grid.size)
            if shape is None and hierarchy.accurate:
                break
    solution = hierarchy.solution(settings | {"seconds": time.perf_counter() - started})
    _check(solution, hierarchy, allowed, asked=shape is None, finest=grids[-1])
    return solution


@dataclass
class _Grade:
    """One grid of the hierarchy and how it differs from the one before."""

    level: Level
    force: Array | None
    drift_scale: float  # ∫|u|p: the current there would be if nothing balanced the drift
    drift_entropy: float | None  # ∫ p uᵀD⁻¹u: the entropy production if nothing balanced the drift
    current_total: float
    one_way: float
    density_change: float | None = None
    current_change: float | None = None


class _Hierarchy:
    """Solves grid after grid, each started from the one before, and keeps what the error estimates need."""

    def __init__(self, process: DiffusionProcess, tolerance: float) -> None:
        self.process = process
        self.tolerance = tolerance
        self.grades: list[_Grade] = []
        self.earlier: list[_Grade] = []  # those before the last grid that failed
        self.records: list[dict[str, Any]] = []
        self.phi: Array | None = None
        self.grid: Grid | None = None

    def add(self, grid: Grid) -> None:
        """Solve one more grid; its record is marked ``stalled`` until it is solved."""
        started = time.perf_counter()
        record: dict[str, Any] = {"shape": grid.shape, "stalled": "not finished"}
        self.records.append(record)
        coefficients = face_coefficients(self.process, grid)
        if self.phi is None or self.grid is None:
            start = _first_guess(self.process, coefficients)
        else:
            start = prolong(self.phi, self.grid)
        self.phi, self.grid = start, grid
        level = _solve(coefficients, start, record)
        if level is None:  # estimates compare neighbouring grids only, so they start afresh on the next one
            self.earlier = self.grades or self.earlier
            self.grades = []
            return
        self.phi = level.phi
        velocity = self.process.current_velocity(grid.cell_points(), difference_scale(grid))
        force = currents.thermodynamic_force(velocity, self.process.diffusion(grid.cell_points()))
        production = None if force is None else currents.entropy_production(level.flux, force)
        grade = _Grade(
            level=level,
            force=force,
            drift_scale=_mean(np.sqrt(np.sum(velocity**2, axis=0)), level),
            drift_entropy=None if force is None else _mean(np.einsum("i...,i...->...", force, velocity), level),
            current_total=currents.total_current(level.flux),
            one_way=_one_way(coefficients, level.phi),
        )
        if self.grades:
            coarse = self.grades[-1].level
            change = np.exp(-restrict_cells(level.phi, grid)) - np.exp(-coarse.phi)
            grade.density_change = float(np.abs(change).sum()) * coarse.grid.cell_volume
            grade.current_change = currents.total_current(restrict_faces(level.flux, coarse.grid) - coarse.flux)
        self.grades.append(grade)
        record |= {
            "newton_steps": level.steps,
            "cycles": level.cycles,
            "linear_solver": level.solver,
            "regular_mass": level.regular_mass,
            "up_to_date": level.up_to_date,
            "density_change": grade.density_change,
            "current_change": grade.current_change,
            "current_total": grade.current_total,
            "entropy_production": production,
            "seconds": time.perf_counter() - started,
        }

    @property
    def density_error(self) -> float:
        return extrapolated_error([g.density_change for g in self.solved], ROUND_OFF)

    @property
    def current_error(self) -> float:
        """Absolute: ∫|J − J_exact|."""
        return extrapolated_error([g.current_change for g in self.solved], ROUND_OFF * self.solved[-1].one_way)

    @property
    def solved(self) -> list[_Grade]:
        """Neighbouring grids up to the last one that was solved."""
        return self.grades or self.earlier

    @property
    def accurate(self) -> bool:
        if not self.grades or self.density_error > self.tolerance:
            return False
        last, error = self.grades[-1], self.current_error
        if error <= ROUND_OFF * last.one_way:  # all that double precision leaves of a current that is zero
            return True
        unseen = error > 0.25 * last.current_total
        return error <= self.tolerance * (last.drift_scale if unseen else last.current_total)

    def solution(self, settings: dict[str, Any]) -> Solution:
        if not self.solved:
            reasons = "; ".join(f"{r['shape']}: {r['stalled']}" for r in self.records if "stalled" in r)
            raise NotConverged(
                f"no density was found on any of the grids tried ({reasons}). Give a box that holds the density more "
                "tightly, or less anisotropic noise"
            )
        last = self.solved[-1]
        total = last.current_total
        relative = self.current_error / total if total > 0.0 else np.inf
        diagnostics = {
            "method": "log-density finite volumes",
            "interpretation": self.process.interpretation,
            "levels": self.records,
            "drift_scale": last.drift_scale,
            "drift_entropy": last.drift_entropy,
            "wall_mass": wall_mass(last.level, self.process.names),
            **settings,
        }
        return Solution(
            grid=last.level.grid,
            names=self.process.names,
            phi=last.level.phi,
            flux=last.level.flux,
            force=last.force,
            error=self.density_error,
            current_error=float(relative),
            diagnostics=diagnostics,
        )


def extrapolated_error(changes: list[float | None], floor: float) -> float:
    """Error of the finest of nested grids from the changes between them (the first entry is None: nothing to compare with).

    With changes c₁, c₂ between successive grids the error of the finest is c₂/(ρ − 1), ρ = c₁/c₂ the observed ratio, held
    between 2 (order one) and 4 (order two), times a safety factor of 1.25. Where the changes do not shrink by at least 2
    there is no order to extrapolate with, and the error is three times the larger change. Infinite with fewer than three
    grids. A change below ``floor`` is round-off, and the error is that floor.
    """
    known = [c for c in changes if c is not None]
    if len(known) < 2:
        return float("inf")
    before, last = known[-2:]
    if last <= floor:
        return floor
    ratio = before / last
    if ratio < ASYMPTOTIC:
        return UNORDERED * max(before, last)
    return SAFETY * last / (min(ratio, SECOND_ORDER) - 1.0)


def wall_mass(level: Level, names: tuple[str, ...]) -> dict[str, float]:
    """Probability in the outer 1/32 of the box along every reflecting wall, by wall."""
    grid = level.grid
    probability = np.exp(-level.phi) * grid.cell_volume
    masses = {}
    for axis, name in enumerate(names):
        if grid.periodic[axis]:
            continue
        others = tuple(a for a in range(grid.dim) if a != axis)
        profile = probability.sum(axis=others)
        width = STRIP * grid.shape[axis]  # in cells, possibly a fraction of one
        cells = int(np.ceil(width))
        share = np.ones(cells)
        share[-1] = width - (cells - 1)
        masses[f"{name} = {grid.box.lower[axis]:g}"] = float(share @ profile[:cells])
        masses[f"{name} = {grid.box.upper[axis]:g}"] = float(share @ profile[::-1][:cells])
    return masses


def _nested(box: Box, shape: tuple[int, ...] | None, max_cells: int) -> list[Grid]:
    """Grids from coarse to fine, each halving the one before."""
    if shape is None:
        grids = [Grid(box, (COARSEST[box.dim],) * box.dim)]
        while 2**box.dim * grids[-1].size <= max_cells:
            grids.append(grids[-1].refine())
        return grids
    finest = Grid(box, shape)
    if any(n % 4 for n in finest.shape) or min(finest.shape) < 16:
        raise InvalidInput(
            f"shape: expected multiples of 4, at least 16 (the error is estimated on grids with half and a quarter as many "
            f"cells along every axis), got {finest.shape}"
        )
    if finest.size > max_cells:
        raise InvalidInput(
            f"shape: expected at most max_cells = {max_cells} cells in all, got {finest.size}; a direct solve of so many takes "
            "gigabytes and minutes. Pass max_cells= to allow it"
        )
    chain = [finest.shape]
    while all(n % 2 == 0 and n >= 2 * COARSEST[box.dim] for n in chain[-1]) or len(chain) < 3:
        chain.append(tuple(n // 2 for n in chain[-1]))
    return [Grid(box, s) for s in reversed(chain)]


def _first_guess(process: DiffusionProcess, coefficients: FaceCoefficients) -> Array:
    """Φ on the first grid by the monotone scheme, on the grid itself or, where that is too large, on a coarser one."""
    grid = coefficients.grid
    if grid.size <= LARGEST_START:
        start_grid = grid
    else:
        start_grid = Grid(grid.box, tuple(min(n, COARSEST[grid.dim]) for n in grid.shape))
        coefficients = face_coefficients(process, start_grid)
    try:
        phi = monotone_start(coefficients)
    except Stalled as error:
        raise NotConverged(
            f"{error}. Every cell must be reachable: check that the noise is not zero in part of the box"
        ) from error
    if start_grid is grid:
        return phi
    axes = [start_grid.centers(a) for a in range(grid.dim)]
    # linear, extrapolating half a cell
    interpolant = RegularGridInterpolator(axes, phi, bounds_error=False, fill_value=None)
    return interpolant(np.moveaxis(grid.cell_points(), 0, -1))


def _solve(coefficients: FaceCoefficients, start: Array, record: dict[str, Any]) -> Level | None:
    for steepest in STEEPEST[coefficients.grid.dim]:
        try:
            level = solve_level(coefficients, start, steepest=steepest)
        except Stalled as error:
            record["stalled"] = str(error)
            continue
        record["steepest"] = steepest
        record.pop("stalled", None)
        return level
    return None


def _mean(values: Array, level: Level) -> float:
    """∫ p × values."""
    return float(np.sum(np.exp(-level.phi) * values)) * level.grid.cell_volume


def _one_way(coefficients: FaceCoefficients, phi: Array) -> float:
    """Σ_a ∫ p D_aa/h_a: the probability that crosses faces in one direction, whose difference is the current."""
    grid, total = coefficients.grid, 0.0
    for axis in range(grid.dim):
        rate = to_centers(coefficients.diffusion[axis][axis], axis, grid.periodic[axis]) / grid.spacing[axis]
        total += float(np.sum(np.abs(rate) * np.exp(-phi))) * grid.cell_volume
    return total


def _check(solution: Solution, hierarchy: _Hierarchy, allowed: float, *, asked: bool, finest: Grid) -> None:
    """The invariants of a solution; the accuracy asked for; the walls."""
    mass = float(np.exp(-solution.phi).sum()) * solution.grid.cell_volume
    if not abs(mass - 1.0) < 1e-12 or not np.isfinite(solution.phi).all():
        raise NotConverged(f"the density integrates to {mass!r} instead of 1", best=solution)
    imbalance = float(np.abs(solution.flux.divergence()).max()) * float(solution.grid.spacing.min())
    vanishing = ROUND_OFF * hierarchy.solved[-1].one_way * float(np.exp(-solution.phi).max())
    if imbalance > max(BALANCE * solution.flux.largest(), vanishing):
        raise NotConverged(
            f"the face current is not divergence-free: |∇·J|h is {imbalance:.2e}, "
            f"the largest |J| {solution.flux.largest():.2e}",
            best=solution,
        )
    cut = {wall: mass for wall, mass in solution.diagnostics["wall_mass"].items() if mass > allowed}
    if cut:
        walls = ", ".join(f"{mass:.3g} of the mass at {wall}" for wall, mass in cut.items())
        raise DensityCutByWall(
            f"the box cuts the density: {walls} (within 1/32 of the box from the wall; at most {allowed:g} expected). "
            "Enlarge the box; if the wall is real and reflects, pass max_wall_mass=1",
            best=solution,
            wall_mass=cut,
        )
    if not hierarchy.grades:
        raise NotConverged(
            f"no density was found on {finest.shape} cells ({hierarchy.records[-1]['stalled']}); the one on "
            f"{solution.grid.shape} cells is in this exception's .best",
            best=solution,
        )
    if asked and not hierarchy.accurate:
        raise NotConverged(
            f"rtol={hierarchy.tolerance:g} was not reached on {solution.grid.shape} cells: estimated error "
            f"{solution.error:.2e} of the density, {solution.current_error:.2e} of the current. Raise max_cells, shrink the "
            "box, or accept a larger rtol; the best result is in this exception's .best",
            best=solution,
        )
