"""The net under Newton's method: linear systems whose densities are kept positive by the monotone form of some faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..grid import Array
from ..operators import FaceCoefficients
from ..poisson import divergence_free
from .correction import LARGEST_RESCUE, Correction, Jacobian
from .linear import SingularSystem
from .newton import CROSS_LIMIT, REGULAR, Level, Stalled, check_connected, negligible, normalise
from .scheme import Scheme

# Per cell, of Φ. Beyond e³ the slope is not resolved (see CROSS_LIMIT); below, positivity decides and not this bound.
STEEPEST = 3.0
SWEEPS = 6  # what has not settled by then, on cells too coarse, does not settle in forty either
# Probability moved: where the forms stay, a sweep is a step of Newton's method and leaves the square of that.
SETTLED = 1e-4
# Residual to which cycles solve: after the two digits that do for a Newton step the sign of p is chance in the tails.
SIGNED = 1e-8
PATIENT = 8  # systems of a sweep after which every new empty cell takes its neighbourhood with it, so that a sweep ends


@dataclass(frozen=True)
class PositiveLevel(Level):
    """State of one grid by the linear scheme; ``steps`` counts linear systems.

    Attributes
    ----------
    limited_cells : int
        Cells whose faces were made monotone in the last sweep, because second order left them or a cell near without density.
    limited_mass : float
        Probability in them.
    """

    limited_cells: int = 0
    limited_mass: float = 0.0


def solve_positive(
    coefficients: FaceCoefficients,
    start: Array,
    *,
    linear_solver: str = "auto",
    sweeps: int = SWEEPS,
    settled: float = SETTLED,
) -> PositiveLevel:
    r"""Solve one grid whatever the start: a positive density with a divergence-free flux, of second order where it can be.

    With the reference :math:`p_0 = e^{-\Phi_0}` of a sweep, :math:`p = p_0 r`, and :math:`q_0, v_0` of docs/theory/method.md
    at :math:`\Phi_0`, a regular face carries

    .. math:: J = q_0 \Bigl[v_0 \frac{r_l + r_r}{2} - \sum_m D_{am}\,\partial_m r\Bigr],

    which is linear in p, consistent with :math:`u p - D\nabla p` for every smooth reference, and equal to the nonlinear flux
    for :math:`p = p_0`. So a sweep is one linear system. Where it gives :math:`r \le 0` the faces of that cell, then those of a
    neighbourhood that doubles, are frozen, and it is solved again; were all of them frozen, the matrix would be that of a
    Markov chain, whose densities are positive. The next sweep starts from :math:`\Phi`, with no face limited.

    Parameters
    ----------
    start : ndarray, shape ``grid.shape``
        Φ₀ of the first sweep.
    sweeps : int
        At most so many.
    settled : float
        Probability moved by a sweep after which there is no other.

    Raises
    ------
    Stalled
        If the cells do not hold together, a system has no finite solution, or the iterations leave a cell without density.
    """
    scheme = Scheme(coefficients)
    grid = scheme.grid
    if linear_solver == "auto":
        # Cycles leave the deepest tails undecided; a factorisation does not.
        linear_solver = "direct" if grid.size <= LARGEST_RESCUE[grid.dim] else "multigrid"
    phi, steps, cycles = normalise(start, grid), 0, 0
    for _ in range(sweeps):
        check_connected(phi, grid)
        scheme.freeze(phi, STEEPEST, np.inf, CROSS_LIMIT)
        correction, limited, solves, taken = _positive_correction(scheme, phi, linear_solver)
        s, probability = correction.s, np.exp(-phi) * grid.cell_volume
        mean = float(np.sum(probability * s))
        moved = float(np.sum(probability * np.abs(s - mean))) / (1.0 + mean)
        flux = scheme.flux(phi, s) * (1.0 / (1.0 + mean))
        phi = normalise(phi - np.log1p(s), grid)
        steps, cycles = steps + solves, cycles + taken
        if moved < settled:
            break
    if correction.reduction > 0.0:
        flux = divergence_free(flux)  # the imbalance that the iterations left
    probability = np.exp(-phi) * grid.cell_volume
    return PositiveLevel(
        grid,
        phi,
        flux,
        steps,
        cycles,
        scheme.regular_mass(probability),
        correction.solver,
        up_to_date=moved < REGULAR,
        limited_cells=int(limited.sum()),
        limited_mass=float(probability[limited].sum()),
    )


def _positive_correction(
    scheme: Scheme, phi: Array, linear_solver: str
) -> tuple[Correction, NDArray[np.bool_], int, int]:
    """s = r − 1 > −1, the cells whose faces had to be frozen for that, and the systems and cycles it took."""
    grid, held = scheme.grid, negligible(phi, scheme.grid)
    limited = np.zeros(grid.shape, dtype=np.bool_)
    solves, cycles, radius = 0, 0, 1
    while True:
        try:
            jacobian = Jacobian(scheme, phi, held, linear_solver)
            correction = jacobian.solve(jacobian.residual, reduction=SIGNED)
        except SingularSystem as error:
            raise Stalled(str(error)) from error
        solves, cycles = solves + 1, cycles + correction.cycles
        empty = ~(correction.s > -1.0)
        if not empty.any():
            return correction, limited, solves, cycles
        if limited.all():
            raise Stalled(
                f"the monotone scheme left {int(empty.sum())} cells without density, which is the solver's error"
            )
        stubborn = empty if solves > PATIENT else empty & limited
        limited |= empty | _near(stubborn, radius, grid.periodic)
        scheme.freeze_around(limited)
        radius *= 2 if stubborn.any() else 1


def _near(cells: NDArray[np.bool_], reach: int, periodic: tuple[bool, ...]) -> NDArray[np.bool_]:
    """Cells no more than ``reach`` from one of ``cells`` along every axis."""
    for axis, ring in enumerate(periodic):
        lines = np.moveaxis(cells, axis, 0)
        width = min(reach, lines.shape[0])
        ends = (
            lines[-width:] if ring else np.zeros_like(lines[:width]),
            lines[:width] if ring else np.zeros_like(lines[:width]),
        )
        count = np.cumsum(np.concatenate([np.zeros_like(lines[:1]), ends[0], lines, ends[1]]), axis=0)
        cells = np.moveaxis(count[2 * width + 1 :] > count[: -2 * width - 1], 0, axis)
    return cells
