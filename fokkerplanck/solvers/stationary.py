"""The driver: arguments, grids one after the other, and the checks every solution must pass."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from functools import partial, reduce
from numbers import Real
from typing import Any

import numpy as np

from ..errors import BoxWarning, InvalidInput, NotConverged
from ..grid import Box, Grid
from ..operators import physical_flux
from ..process import DiffusionProcess
from ..progress import progress_bar
from ..results import Solution
from ..threads import one_blas_thread
from .barriers import misplaced
from .domain import check_box, find_box
from .fipy_reference import solve_fipy
from .generator import solve_monotone
from .hierarchy import ROUND_OFF, Answer, Grade, Hierarchy, Method, Start
from .log_density import COARSEST, solve_log_density

# Cells that two gigabytes hold, and two cores solve in some ten seconds (1-D, 2-D) or a minute (3-D).
LARGEST_GRID = {
    "log-density": {1: 2**20, 2: 2**20, 3: 2**21},
    "monotone": {1: 2**20, 2: 2**18, 3: 2**15},  # its systems are factorised
    "fipy": {1: 2**16, 2: 2**14, 3: 2**12},  # and FiPy's, once a sweep
}
ACCURACY = 1e-3  # rtol by default
FIPY_SECONDS = 300.0  # after which FiPy stops on one grid, if no other limit is given
BALANCE = 1e-8  # largest |∇·J| allowed, in units of the largest face current per cell width
NESTED = 2  # coarser grids kept with a solution: two changes of any number, hence an observed order
METHODS = tuple(LARGEST_GRID)
LINEAR_SOLVERS = ("auto", "direct", "multigrid", "pardiso")


@one_blas_thread()
def solve_stationary(
    process: DiffusionProcess,
    box: Box | None = None,
    *,
    rtol: float | None = None,
    shape: tuple[int, ...] | None = None,
    maps: Any = None,
    method: str = "log-density",
    linear_solver: str = "auto",
    order: int = 4,
    max_cells: int | None = None,
    max_seconds: float | None = None,
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
    box : Box, optional
        Where to solve; probability at a reflecting wall is checked against ``max_wall_mass``. By default one that holds the
        density is found, see :func:`find_box`; ``solution.grid.box`` is the box and ``diagnostics["box"]`` says why.
    rtol : float, default 1e-3
        Grids are refined until :math:`\int|p - p_\text{exact}| \le` rtol and
        :math:`\int|J - J_\text{exact}| \le \text{rtol}\int|J|`, both by estimate. A current that cannot be told from zero
        (its error exceeds a quarter of it) has to satisfy :math:`\int|J-J_\text{exact}| \le \text{rtol}\int|u|p` instead:
        small against the drift that would drive it.
    shape : tuple of int, optional
        Solve on this grid instead, with whatever error it has. Every entry divisible by 4, for the nested grids.
    maps : axis map or sequence of them, optional
        Stretch the axes, for heavy tails and several scales; see :class:`Grid`.
    method : {"log-density", "monotone", "fipy"}
        The log-density scheme, second order and the method of choice; the linear monotone scheme, see :func:`generator`; or
        FiPy's own discretisation, slow and independent.
    linear_solver : {"auto", "direct", "multigrid", "pardiso"}
        For the Newton steps of the log-density scheme. "auto": direct on small grids, multigrid beyond, and direct where
        multigrid stalls. "pardiso" needs the package pypardiso.
    order : {4, 2}
        Of the log-density method: 4, the scheme's values corrected by differences of higher order, with the error that still
        higher ones see; or 2, the scheme's own values, with errors from their changes between grids. A grid on which no
        correction succeeds keeps its own values, ``diagnostics["order"]`` says which. Other methods are of order 2 at most.
    max_cells : int, optional
        Stop refining beyond this many cells; by default 2²⁰ in one and two dimensions, 2²¹ in three, fewer for other methods.
    max_seconds : float, optional
        Start no grid that is not expected to be solved by then.
    max_wall_mass : float, optional
        Largest probability in the outer 1/32 of the cells along a reflecting wall that is not warned of; by default rtol:
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
        If the estimates do not reach ``rtol`` within ``max_cells`` and ``max_seconds``, or no grid could be solved; carries the
        best result and says why.
    KeyboardInterrupt
        On Ctrl-C; with an attribute ``best``, the solution on the last complete grid, where there is one.

    Warns
    -----
    BoxWarning
        If a reflecting wall holds more than ``max_wall_mass``, naming the wall.

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
    _check_arguments(process, box, method, linear_solver, order)
    tolerance = _number("rtol", rtol, ACCURACY, 1e-10, 1.0, "a number from 1e-10 (round-off of a solve) to below 1")
    if rtol is not None and shape is not None:
        raise InvalidInput("expected rtol (refine until accurate) or shape (this grid), got both")
    allowed = _number("max_wall_mass", max_wall_mass, tolerance, 0.0, 1.0, "a probability above 0 and up to 1")
    seconds = _number("max_seconds", max_seconds, np.inf, 0.0, np.inf, "a positive number of seconds")
    limit = LARGEST_GRID[method][process.dim] if max_cells is None else max_cells
    fewest = COARSEST[process.dim] ** process.dim
    if not isinstance(limit, (int, np.integer)) or limit < fewest:
        raise InvalidInput(f"max_cells: expected a whole number of at least {fewest} cells, got {max_cells!r}")
    found = None
    if box is None:
        # Nested grids cannot see what a wall cuts off: it has to be small against the accuracy asked for.
        domain = find_box(process, wall_mass=max(tolerance / 100.0, 1e-12))
        box, found = domain.box, domain.reason
    grids = _nested(box, shape, maps, int(limit))
    started = time.perf_counter()
    hierarchy = Hierarchy(
        process,
        _method(method, linear_solver, order, grids[-1].shape, seconds if np.isfinite(seconds) else FIPY_SECONDS),
    )
    settings = {
        "method": method,
        "rtol": None if shape is not None else tolerance,
        "max_cells": limit,
        "max_seconds": seconds if np.isfinite(seconds) else None,
        "max_wall_mass": allowed,
        "box": "given" if found is None else found,
    }
    late, done, torn = "", False, False
    with progress_bar("solving", sum(grid.size for grid in grids), show=progress) as advance:
        for grid in grids:
            late = _late(hierarchy, grid, time.perf_counter() - started, seconds)
            if late:
                break
            try:
                hierarchy.add(grid)
            except KeyboardInterrupt as error:
                hierarchy.records.pop()
                if hierarchy.solved:
                    error.best = _solution(process, hierarchy, settings)  # type: ignore[attr-defined]
                raise
            advance(grid.size)
            if shape is None:
                done = hierarchy.accurate(tolerance)
                torn = hierarchy.misplaced > tolerance
                if done or torn:
                    break
    solution = _solution(process, hierarchy, settings | {"seconds": time.perf_counter() - started})
    _check(solution, hierarchy, finest=grids[-1], late=late)
    if torn:
        raise NotConverged(
            f"rtol={tolerance:g} is beyond double precision, on any grid: the density is split by barriers over which so "
            f"little flows that {hierarchy.misplaced:.1e} of it may be on the wrong side. Solve around each peak by itself, in "
            "a box with real walls (max_wall_mass=1), or accept a larger rtol; the best result is in this exception's .best",
            best=solution,
        )
    if shape is None and not done:
        raise NotConverged(
            f"rtol={tolerance:g} was not reached on {solution.grid.shape} cells: estimated error {solution.error:.2e} of the "
            f"density, {solution.current_error:.2e} of the current. Raise {'max_seconds' if late else 'max_cells'}, shrink "
            "the box, or accept a larger rtol; the best result is in this exception's .best",
            best=solution,
        )
    _warn_of_walls(process, solution, allowed)
    return solution


def _check_arguments(process: Any, box: Any, method: Any, linear_solver: Any, order: Any) -> None:
    if not isinstance(process, DiffusionProcess) or not isinstance(box, Box | None):
        raise InvalidInput(
            f"expected a DiffusionProcess and a Box, got {type(process).__name__} and {type(box).__name__}"
        )
    if process.dim > 3:
        raise InvalidInput(f"process: expected one to three state variables (densities are gridded), got {process.dim}")
    if box is not None and process.dim != box.dim:
        raise InvalidInput(
            f"expected a box with as many axes as the process has variables ({process.dim}), got {box.dim}"
        )
    if method not in METHODS:
        raise InvalidInput(f"method: expected one of {METHODS}, got {method!r}")
    if order not in (2, 4):
        raise InvalidInput(f"order: expected 4 (corrected by differences of higher order) or 2, got {order!r}")
    if linear_solver not in LINEAR_SOLVERS:
        raise InvalidInput(f"linear_solver: expected one of {LINEAR_SOLVERS}, got {linear_solver!r}")


def _number(name: str, value: Any, default: float, above: float, most: float, expected: str) -> float:
    if value is None:
        return default
    if not isinstance(value, Real) or isinstance(value, bool) or not above < float(value) <= most:
        raise InvalidInput(f"{name}: expected {expected}, got {value!r}")
    return float(value)


def _method(name: str, linear_solver: str, order: int, finest: tuple[int, ...], seconds: float) -> Method:
    if name == "monotone":
        return _monotone
    if name == "fipy":
        return partial(_fipy, seconds=seconds)

    def log_density(
        process: DiffusionProcess, grid: Grid, start: Start | None, record: dict[str, Any]
    ) -> Answer | None:
        last = grid.shape == finest
        answer = solve_log_density(process, grid, start, record, linear_solver=linear_solver, order=order, finest=last)
        return answer and replace(answer, misplaced=misplaced(answer.phi, grid))

    return log_density


def _monotone(process: DiffusionProcess, grid: Grid, start: Start | None, record: dict[str, Any]) -> Answer:
    return Answer(*solve_monotone(process, grid))


def _fipy(
    process: DiffusionProcess, grid: Grid, start: Start | None, record: dict[str, Any], *, seconds: float
) -> Answer:
    """FiPy's density as a logarithm: refused where it is not positive."""
    result = solve_fipy(process, grid, max_seconds=seconds, progress=False)
    record |= {key: value for key, value in result.diagnostics.items() if key not in ("method", "seconds")}
    if not result.density.min() > 0.0:
        count = int((result.density <= 0.0).sum())
        raise NotConverged(
            f"FiPy's density is not positive in {count} of {grid.size} cells on {grid.shape} (smallest "
            f"{result.diagnostics['smallest']:.1e} of the largest), so it has no logarithm and is no density. Refine the grid, "
            "shrink the box, or use method='log-density'; FiPy's own density is in this exception's .best",
            best=result,
        )
    return Answer(-np.log(result.density), result.flux)


def _late(hierarchy: Hierarchy, grid: Grid, elapsed: float, seconds: float) -> str:
    """Why there is no time for one more grid, if there is none; the first is always tried."""
    if not hierarchy.records:
        return ""
    last = hierarchy.records[-1]
    expected = last["seconds"] * grid.size / float(np.prod(last["shape"]))
    if elapsed + expected <= seconds:
        return ""
    return (
        f"{grid.shape} cells would take about {expected:.2g} s more, {elapsed:.2g} of max_seconds={seconds:g} are used"
    )


def _solution(process: DiffusionProcess, hierarchy: Hierarchy, settings: dict[str, Any]) -> Solution:
    if not hierarchy.solved:
        reasons = "; ".join(f"{r['shape']}: {r['stalled']}" for r in hierarchy.records if "stalled" in r)
        raise NotConverged(
            f"no density was found on any of the grids tried ({reasons}). Give a box that holds the density more "
            "tightly, or less anisotropic noise"
        )
    solved = hierarchy.solved
    last, errors = solved[-1], hierarchy.errors()
    total = last.current_total

    def bare(grade: Grade, answer: Answer) -> Solution:
        flux = physical_flux(answer.flux, grade.grid)
        return Solution(grade.grid, process.names, answer.phi, flux, grade.force, np.inf, np.inf, {})

    diagnostics = {
        "interpretation": process.interpretation,
        "origin": dict(process.origin),
        "levels": hierarchy.records,
        "order": last.answer.order,
        "drift_scale": last.drift_scale,
        "drift_entropy": last.drift_entropy,
        "wall_mass": last.wall_mass,
        **settings,
    }
    return Solution(
        grid=last.grid,
        names=process.names,
        phi=last.answer.phi,
        flux=physical_flux(last.answer.flux, last.grid),
        force=last.force,
        error=errors.density,
        current_error=float(errors.current / total if total > 0.0 else np.inf),
        diagnostics=diagnostics,
        coarser=tuple(bare(grade, grade.answer) for grade in solved[-2 : -2 - NESTED : -1]),
        check=None if last.answer.check is None else bare(last, last.answer.check),
    )


def _nested(box: Box, shape: tuple[int, ...] | None, maps: Any, max_cells: int) -> list[Grid]:
    """Grids from coarse to fine, each halving the one before."""
    if shape is None:
        grids = [Grid(box, (COARSEST[box.dim],) * box.dim, maps=maps)]
        while 2**box.dim * grids[-1].size <= max_cells:
            grids.append(grids[-1].refine())
        return grids
    finest = Grid(box, shape, maps=maps)
    if any(n % 4 for n in finest.shape) or min(finest.shape) < 16:
        raise InvalidInput(
            f"shape: expected multiples of 4, at least 16 (the error is estimated on grids with half and a quarter as many "
            f"cells along every axis), got {finest.shape}"
        )
    if finest.size > max_cells:
        raise InvalidInput(
            f"shape: expected at most max_cells = {max_cells} cells in all, got {finest.size}; so many take "
            "gigabytes and minutes. Pass max_cells= to allow it"
        )
    chain = [finest.shape]
    while all(n % 2 == 0 and n >= 2 * COARSEST[box.dim] for n in chain[-1]) or len(chain) < 3:
        chain.append(tuple(n // 2 for n in chain[-1]))
    return [Grid(box, s, maps=maps) for s in reversed(chain)]


def _check(solution: Solution, hierarchy: Hierarchy, *, finest: Grid, late: str) -> None:
    """The invariants of a solution, and that the grid asked for was reached."""
    grid = solution.grid
    mass = float(np.sum(np.exp(-solution.phi) * grid.cell_volumes))
    if not abs(mass - 1.0) < 1e-12 or not np.isfinite(solution.phi).all():
        raise NotConverged(f"the density integrates to {mass!r} instead of 1", best=solution)
    narrow = reduce(np.minimum, (grid.along(grid.widths(a), a) for a in range(grid.dim)))
    imbalance = float((np.abs(solution.flux.divergence()) * narrow).max())
    vanishing = ROUND_OFF * hierarchy.solved[-1].one_way * float(np.exp(-solution.phi).max())
    if imbalance > max(BALANCE * solution.flux.largest(), vanishing):
        raise NotConverged(
            f"the face current is not divergence-free: |∇·J|h is {imbalance:.2e}, "
            f"the largest |J| {solution.flux.largest():.2e}",
            best=solution,
        )
    if not hierarchy.grades:
        raise NotConverged(
            f"no density was found on {hierarchy.records[-1]['shape']} cells ({hierarchy.records[-1]['stalled']}); the one on "
            f"{grid.shape} cells is in this exception's .best",
            best=solution,
        )
    if late and solution.diagnostics["rtol"] is None:
        raise NotConverged(
            f"{finest.shape} cells were not reached: {late}. The solution on {grid.shape} cells is in this exception's .best",
            best=solution,
        )


def _warn_of_walls(process: DiffusionProcess, solution: Solution, allowed: float) -> None:
    cut = solution.cut_walls(allowed)
    if cut:
        check_box(process, solution.grid.box, stacklevel=4)
        walls = ", ".join(f"{mass:.3g} of the mass at {wall}" for wall, mass in cut.items())
        warnings.warn(
            f"the box cuts the density: {walls} (in the outer 1/32 of the cells; at most {allowed:g} expected), so this is the "
            "answer for reflecting walls there. Enlarge the box, or leave it out to have one found; if the walls are real, "
            "pass max_wall_mass=1",
            BoxWarning,
            stacklevel=3,
        )
