"""Nested grids, each started from the one before, with the values and errors that they and their sequence imply."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import currents
from ..fields import FaceField
from ..grid import Array, Grid
from ..operators import difference_scale, physical_flux
from ..process import DiffusionProcess
from .newton import distance
from .richardson import SAFETY, SECOND_ORDER, estimated_error
from .transfer import prolong, restrict_cells, restrict_faces

STRIP = 1 / 32  # of the cells along each wall, where probability counts as sitting at the wall
# What double precision leaves of zero, as a share of the mass or of the one-way fluxes that cancel in a current.
ROUND_OFF = 1e-12
# Ratio of estimates on successive grids below which none is believed: order ½, of densities like x^(−½) at a wall.
SLOWEST = 2.0**0.5
SURPRISE = 2.0  # times its estimated error: a change to the next grid beyond that says that the estimates are too small


@dataclass(frozen=True)
class Start:
    """Φ of the grid before on the cells of this one, and the errors that were estimated there; infinite where not known."""

    phi: Array
    density_error: float = np.inf
    current_error: float = np.inf


@dataclass(frozen=True)
class Answer:
    """Of one grid.

    Attributes
    ----------
    phi : ndarray
        Physical −ln p.
    flux : FaceField
        On the reference grid.
    order : int
    density_error, current_error : float, optional
        Estimates of ∫|p − p_exact| and ∫|J − J_exact|, where the method knows them without another grid.
    check : Answer, optional
        Values of still higher order, good enough to measure the error of these by.
    misplaced : float
        ∫|p − p'| that round-off leaves open on any grid, see :mod:`barriers`.
    """

    phi: Array
    flux: FaceField
    order: int = 2
    density_error: float | None = None
    current_error: float | None = None
    check: Answer | None = None
    misplaced: float = 0.0


# (process, grid, start or None, record) → an answer, or None with record["stalled"] set
Method = Callable[[DiffusionProcess, Grid, Start | None, dict[str, Any]], Answer | None]


@dataclass
class Grade:
    """One solved grid and how it differs from the one before."""

    grid: Grid
    answer: Answer
    force: Array | None
    drift_scale: float  # ∫|u|p: the current there would be if nothing balanced the drift
    drift_entropy: float | None  # ∫ p uᵀD⁻¹u: the entropy production if nothing balanced the drift
    current_total: float
    entropy_production: float | None
    entropy_production_error: float | None
    one_way: float  # Σ_a ∫ p D_aa/h_a: what crosses faces in one direction, of which the current is the difference
    wall_mass: dict[str, float]
    # From the grid before, on its cells: ∫|p − p'| and ∫|J − J'|
    density_change: float | None = None
    current_change: float | None = None


@dataclass(frozen=True)
class Errors:
    """Estimated errors of the finest grid."""

    density: float
    current: float  # absolute: ∫|J − J_exact|


class Hierarchy:
    """Solves grid after grid by one method and keeps what values and error estimates need."""

    def __init__(self, process: DiffusionProcess, method: Method) -> None:
        self.process = process
        self.method = method
        self.grades: list[Grade] = []
        self.earlier: list[Grade] = []  # those before the last grid that failed
        self.records: list[dict[str, Any]] = []
        self.start: Start | None = None  # of the next grid, with Φ on the cells of the last

    def add(self, grid: Grid) -> None:
        """Solve one more grid; its record is marked ``stalled`` until it is solved."""
        started = time.perf_counter()
        record: dict[str, Any] = {"shape": grid.shape, "stalled": "not finished"}
        self.records.append(record)
        if self.start is not None:
            self.start = replace(self.start, phi=prolong(self.start.phi, grid))
        answer = self.method(self.process, grid, self.start, record)
        record["seconds"] = time.perf_counter() - started
        if answer is None:  # estimates compare neighbouring grids only, so they start afresh on the next one
            self.earlier = self.grades or self.earlier
            self.grades = []
            self.start = None if self.start is None else Start(self.start.phi)
            return
        grade = self._grade(grid, answer)
        if self.grades:
            _compare(grade, self.grades[-1])
        self.grades.append(grade)
        known = self.errors() if answer.density_error is not None else Errors(np.inf, np.inf)
        self.start = Start(answer.phi, known.density, known.current)
        record.pop("stalled")
        record |= {
            "order": answer.order,
            "density_error": answer.density_error,
            "misplaced": answer.misplaced,
            "current_error": answer.current_error,
            "density_change": grade.density_change,
            "current_change": grade.current_change,
            "current_total": grade.current_total,
            "entropy_production": grade.entropy_production,
            "entropy_production_error": grade.entropy_production_error,
            "seconds": time.perf_counter() - started,
        }

    def _grade(self, grid: Grid, answer: Answer) -> Grade:
        """Everything that takes the process at the cell centres, in one pass over them."""
        scale, phi, volumes = difference_scale(grid), answer.phi, grid.cell_volumes
        vectors = physical_flux(answer.flux, grid).centered()
        missing = None if answer.check is None else physical_flux(answer.check.flux - answer.flux, grid).centered()
        probability, forces = np.empty(grid.shape), np.empty((grid.dim, *grid.shape))
        force: Array | None = forces
        drift, current, one_way, entropy, production, unsure = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for planes, points in grid.slabs():
            velocity, diffusion = self.process.coefficients(points, scale if scale.ndim == 1 else scale[:, planes])
            p, volume, J = probability[planes], volumes[planes], vectors[:, planes]
            np.multiply(np.exp(-phi[planes]), volume, out=p)
            drift += float(np.sum(p * np.sqrt(np.sum(velocity**2, axis=0))))
            current += float(np.sum(np.sqrt(np.sum(J**2, axis=0)) * volume))
            for a in range(grid.dim):
                widths = grid.widths(a)
                one_way += float(np.sum(p * diffusion[a, a] / grid.along(widths[planes] if a == 0 else widths, a)))
            omega = None if force is None else currents.thermodynamic_force(velocity, diffusion)
            if omega is None or force is None:
                force = None
                continue
            force[:, planes] = omega
            entropy += float(np.sum(p * np.einsum("i...,i...->...", omega, velocity)))
            production += float(np.sum(np.einsum("i...,i...->...", J, omega) * volume))
            if missing is not None:
                unsure += float(np.sum(np.abs(np.einsum("i...,i...->...", missing[:, planes], omega)) * volume))
        known = force is not None
        return Grade(
            grid=grid,
            answer=answer,
            force=force,
            drift_scale=drift,
            drift_entropy=entropy if known else None,
            current_total=current,
            entropy_production=production if known else None,
            entropy_production_error=SAFETY * unsure if known and missing is not None else None,
            one_way=one_way,
            wall_mass=wall_mass(probability, grid, self.process.names),
        )

    @property
    def solved(self) -> list[Grade]:
        """Neighbouring grids up to the last one that was solved."""
        return self.grades or self.earlier

    def errors(self) -> Errors:
        """Of the finest grid: its own estimates where it has them, else those implied by the changes between grids.

        An own estimate grows where the change from the grid before does not fit its own, see :func:`_with_change`. An
        answer without one is of second order, and not believed to gain more than that on a grid before that had one. What
        round-off may have misplaced comes on top.
        """
        last, seen = self.solved[-1], self._from_grids()
        lost = last.answer.misplaced
        return Errors(seen.density + lost, seen.current + lost * last.current_total)

    def _from_grids(self) -> Errors:
        grades = self.solved
        last = grades[-1]
        floor = ROUND_OFF * last.one_way
        density, current = last.answer.density_error, last.answer.current_error
        if density is None or current is None:
            own = [(g.answer.density_error or 0.0, g.answer.current_error or 0.0) for g in reversed(grades)]
            least = np.max([[e * SECOND_ORDER**-k for e in pair] for k, pair in enumerate(own)], axis=0) * SAFETY
            return Errors(
                max(estimated_error([g.density_change for g in grades], ROUND_OFF), float(least[0])),
                max(estimated_error([g.current_change for g in grades], floor), float(least[1])),
            )
        if len(grades) > 1:
            before = grades[-2].answer
            density = _with_change(density, before.density_error, last.density_change, ROUND_OFF)
            current = _with_change(current, before.current_error, last.current_change, floor)
        return Errors(max(SAFETY * density, ROUND_OFF), max(SAFETY * current, floor))

    @property
    def misplaced(self) -> float:
        """What round-off leaves open: the less of the last two grids, because the first may not resolve the peaks."""
        return min((g.answer.misplaced for g in self.solved[-2:]), default=0.0) if len(self.solved) > 1 else 0.0

    def accurate(self, tolerance: float) -> bool:
        if len(self.grades) < 2:  # one grid alone may miss what it does not resolve
            return False
        errors, last = self.errors(), self.grades[-1]
        if errors.density > tolerance:
            return False
        if errors.current <= ROUND_OFF * last.one_way:  # all that double precision leaves of a current that is zero
            return True
        unseen = errors.current > 0.25 * last.current_total
        return errors.current <= tolerance * (last.drift_scale if unseen else last.current_total)


def _with_change(estimate: float, before: float | None, change: float | None, floor: float) -> float:
    """An estimate and the one ``before``, on a grid with cells twice as wide, against the change between the two.

    Where the second is too small, the first is taken for too small by the same factor. Where estimates fall by a ratio of ρ
    only, as at a density with a singularity, differences of any order miss alike, and ρ tells the error: change/(ρ − 1).
    """
    if before is None or change is None or change <= floor:
        return estimate
    ratio = max(before / max(estimate, floor), SLOWEST)
    return max(estimate * max(1.0, change / (SURPRISE * max(before, floor))), change / (ratio - 1.0))


def _compare(fine: Grade, coarse: Grade) -> None:
    """Changes from ``coarse`` to ``fine``."""
    grid = coarse.grid
    phi, flux = restrict_cells(fine.answer.phi, fine.grid), restrict_faces(fine.answer.flux, grid.reference)
    fine.density_change = distance(phi, coarse.answer.phi, grid)
    fine.current_change = currents.total_current(physical_flux(flux - coarse.answer.flux, grid))


def wall_mass(probability: Array, grid: Grid, names: tuple[str, ...]) -> dict[str, float]:
    """Probability in the outer 1/32 of the cells along every reflecting wall, by wall."""
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
