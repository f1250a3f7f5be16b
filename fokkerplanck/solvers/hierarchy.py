"""Nested grids, each started from the one before, with the values and errors that their sequence implies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import currents
from ..fields import FaceField
from ..grid import Array, Grid
from ..operators import difference_scale, physical_flux, physical_log_density, reference_log_density
from ..poisson import without_gradient
from ..process import DiffusionProcess
from .newton import normalise
from .richardson import (
    FOURTH_ORDER,
    FOURTH_ORDER_CURRENT,
    SECOND_ORDER,
    estimated_error,
    flux_correction,
    log_density_correction,
)
from .transfer import prolong, prolong_faces, restrict_cells, restrict_faces

STRIP = 1 / 32  # of the cells along each wall, where probability counts as sitting at the wall
# What double precision leaves of zero, as a share of the mass or of the one-way fluxes that cancel in a current.
ROUND_OFF = 1e-12


@dataclass
class Grade:
    """One solved grid and how it differs from the one before; Φ is physical, fluxes are those of the reference grid."""

    grid: Grid
    phi: Array
    flux: FaceField
    force: Array | None
    drift_scale: float  # ∫|u|p: the current there would be if nothing balanced the drift
    drift_entropy: float | None  # ∫ p uᵀD⁻¹u: the entropy production if nothing balanced the drift
    current_total: float
    one_way: float  # Σ_a ∫ p D_aa/h_a: what crosses faces in one direction, of which the current is the difference
    wall_mass: dict[str, float]
    # Relative to the grid before, on its cells: a third of the changes, and the values extrapolated with them
    phi_correction: Array | None = None
    flux_correction: FaceField | None = None
    density_change: float | None = None
    current_change: float | None = None
    extrapolated_density_change: float | None = None
    extrapolated_current_change: float | None = None


@dataclass(frozen=True)
class Errors:
    """Estimated errors of the finest grid."""

    density: float
    current: float  # absolute: ∫|J − J_exact|


# (process, grid, Φ to start from or None, record) → Φ and the flux on the reference grid, or None with record["stalled"] set
Method = Callable[[DiffusionProcess, Grid, Array | None, dict[str, Any]], tuple[Array, FaceField] | None]


class Hierarchy:
    """Solves grid after grid by one method and keeps what values and error estimates need."""

    def __init__(self, process: DiffusionProcess, method: Method) -> None:
        self.process = process
        self.method = method
        self.grades: list[Grade] = []
        self.earlier: list[Grade] = []  # those before the last grid that failed
        self.records: list[dict[str, Any]] = []
        self.start: Array | None = None  # Φ on the next grid

    def add(self, grid: Grid) -> None:
        """Solve one more grid; its record is marked ``stalled`` until it is solved."""
        started = time.perf_counter()
        record: dict[str, Any] = {"shape": grid.shape, "stalled": "not finished"}
        self.records.append(record)
        answer = self.method(self.process, grid, self.start, record)
        record["seconds"] = time.perf_counter() - started
        if answer is None:  # estimates compare neighbouring grids only, so they start afresh on the next one
            self.earlier = self.grades or self.earlier
            self.grades = []
            self.start = None if self.start is None else prolong(self.start, grid)
            return
        grade = self._grade(grid, *answer)
        self.start = prolong(grade.phi, grid)
        if self.grades:
            _compare(grade, self.grades[-1], len(self.grades) > 1)
        self.grades.append(grade)
        record.pop("stalled")
        production = None
        if grade.force is not None:
            production = currents.entropy_production(physical_flux(grade.flux, grid), grade.force)
        record |= {
            "density_change": grade.density_change,
            "current_change": grade.current_change,
            "extrapolated_density_change": grade.extrapolated_density_change,
            "extrapolated_current_change": grade.extrapolated_current_change,
            "current_total": grade.current_total,
            "entropy_production": production,
            "seconds": time.perf_counter() - started,
        }

    def _grade(self, grid: Grid, phi: Array, flux: FaceField) -> Grade:
        points = grid.cell_points()
        velocity = self.process.current_velocity(points, difference_scale(grid))
        diffusion = self.process.diffusion(points)
        force = currents.thermodynamic_force(velocity, diffusion)
        probability = np.exp(-phi) * grid.cell_volumes
        drift_entropy = None
        if force is not None:
            drift_entropy = float(np.sum(probability * np.einsum("i...,i...->...", force, velocity)))
        rates = (diffusion[a, a] / grid.along(grid.widths(a), a) for a in range(grid.dim))
        return Grade(
            grid=grid,
            phi=phi,
            flux=flux,
            force=force,
            drift_scale=float(np.sum(probability * np.sqrt(np.sum(velocity**2, axis=0)))),
            drift_entropy=drift_entropy,
            current_total=currents.total_current(physical_flux(flux, grid)),
            one_way=sum(float(np.sum(probability * rate)) for rate in rates),
            wall_mass=wall_mass(probability, grid, self.process.names),
        )

    @property
    def solved(self) -> list[Grade]:
        """Neighbouring grids up to the last one that was solved."""
        return self.grades or self.earlier

    def errors(self, *, extrapolated: bool) -> Errors:
        """Of the values of the finest grid, plain or extrapolated."""
        grades = self.solved
        floor = ROUND_OFF * grades[-1].one_way
        if extrapolated:
            density = estimated_error([g.extrapolated_density_change for g in grades], ROUND_OFF, FOURTH_ORDER)
            changes = [g.extrapolated_current_change for g in grades]
            return Errors(density, estimated_error(changes, floor, FOURTH_ORDER_CURRENT))
        density = estimated_error([g.density_change for g in grades], ROUND_OFF, SECOND_ORDER)
        return Errors(density, estimated_error([g.current_change for g in grades], floor, SECOND_ORDER))

    def accurate(self, tolerance: float, *, extrapolated: bool) -> bool:
        if not self.grades:
            return False
        errors, last = self.errors(extrapolated=extrapolated), self.grades[-1]
        if errors.density > tolerance:
            return False
        if errors.current <= ROUND_OFF * last.one_way:  # all that double precision leaves of a current that is zero
            return True
        unseen = errors.current > 0.25 * last.current_total
        return errors.current <= tolerance * (last.drift_scale if unseen else last.current_total)

    def values(self, *, extrapolated: bool) -> tuple[Array, FaceField]:
        """Φ, normalised, and the flux on the finest grid, both physical."""
        last = self.solved[-1]
        if not extrapolated or last.phi_correction is None or last.flux_correction is None:
            return last.phi, physical_flux(last.flux, last.grid)
        phi = last.phi + prolong(last.phi_correction, self.solved[-2].grid)
        phi = physical_log_density(normalise(reference_log_density(phi, last.grid), last.grid.reference), last.grid)
        correction = prolong_faces(last.flux_correction, last.grid.reference)
        flux = last.flux + without_gradient(correction)[0]  # interpolation leaves a divergence of fourth order
        return phi, physical_flux(flux, last.grid)


def _compare(fine: Grade, coarse: Grade, twice: bool) -> None:
    """Changes from ``coarse`` to ``fine``; if ``twice`` also those of the extrapolated values, on the grid before."""
    grid = coarse.grid
    phi, flux = restrict_cells(fine.phi, fine.grid), restrict_faces(fine.flux, grid.reference)
    fine.phi_correction = log_density_correction(phi, coarse.phi)
    fine.flux_correction = flux_correction(flux, coarse.flux)
    fine.density_change = _distance(phi, coarse.phi, grid)
    fine.current_change = currents.total_current(physical_flux(flux - coarse.flux, grid))
    if not twice:
        return
    assert coarse.phi_correction is not None
    assert coarse.flux_correction is not None
    # 4/3 of the change added to the coarser grid's value, a third to the finer one's: the same limit.
    better = restrict_cells(coarse.phi + 4.0 * fine.phi_correction, grid)
    before = restrict_cells(coarse.phi, grid) + coarse.phi_correction
    coarsest = _half(grid)
    fine.extrapolated_density_change = _distance(better, before, coarsest)
    better_flux = restrict_faces(coarse.flux + fine.flux_correction * 4.0, coarsest.reference)
    before_flux = restrict_faces(coarse.flux, coarsest.reference) + coarse.flux_correction
    fine.extrapolated_current_change = currents.total_current(physical_flux(better_flux - before_flux, coarsest))


def _half(grid: Grid) -> Grid:
    return Grid(grid.box, tuple(n // 2 for n in grid.shape), maps=grid.maps)


def _distance(phi: Array, other: Array, grid: Grid) -> float:
    """∫|p − p'|."""
    return float(np.sum(np.abs(np.exp(-phi) - np.exp(-other)) * grid.cell_volumes))


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
