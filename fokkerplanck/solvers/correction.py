"""The linear system of one Newton step: direct in an order read off the grid, or by multigrid-preconditioned GMRES."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..grid import Array
from ..kernels import flux as kernel
from .linear import SingularSystem, dissection, solve_pardiso, solve_sparse, stencil_matrix
from .multigrid import Multigrid, Stencil, fgmres
from .scheme import Scheme
from .threads import in_planes

# Cells up to which a factorisation takes less time than cycles do
LARGEST_DIRECT = {1: 2**40, 2: 2**14, 3: 2**12}
# Cells up to which a factorisation takes a few GB at most, for systems on which the cycles do not converge
LARGEST_RESCUE = {1: 2**40, 2: 2**19, 3: 2**15}
SLOW = (
    2.0  # cell Péclet number up to which the faces of the preconditioner carry the nonlinear flux, see docs/method.md
)
DOMINANCE = 0.25  # of the other coefficients: an own coefficient below that share would make relaxation diverge
REDUCTION, RESTART, CYCLES = (
    1e-2,
    12,
    36,
)  # a Newton step gains no more than its square, so two digits a step are enough
HOPELESS = 0.3  # reduction that 36 cycles must reach at least
FLOOR, SHARPNESS = (
    1e-14,
    0.75,
)  # residuals count with max(p/max p, FLOOR)^SHARPNESS: tails that hold nothing must not lead


@dataclass(frozen=True)
class Correction:
    """s = δp/p of one Newton step.

    Attributes
    ----------
    s : ndarray
    reduction : float
        Weighted residual left, relative to that of s = 0; 0 for a direct solve.
    cycles : int
    solver : str
    """

    s: Array
    reduction: float
    cycles: int
    solver: str


def newton_correction(scheme: Scheme, phi: Array, held: NDArray[np.bool_], linear_solver: str) -> Correction:
    """Solve K s = −residual for s = δp/p, with s = 0 in the cells ``held``.

    Raises
    ------
    SingularSystem
        If no finite solution was found.
    """
    dim = scheme.grid.dim
    residual, rows = scheme.balance(phi)
    if linear_solver in ("direct", "pardiso") or (linear_solver == "auto" and phi.size <= LARGEST_DIRECT[dim]):
        name = "pardiso" if linear_solver == "pardiso" else "direct"
        return Correction(_direct(scheme, phi, residual, rows, held, name), 0.0, 0, name)
    s, reduction, cycles = _multigrid(scheme, phi, residual, rows, held)
    if np.isfinite(s).all() and reduction < HOPELESS:
        return Correction(s, max(reduction, 1e-16), cycles, "multigrid")
    if linear_solver == "auto" and phi.size <= LARGEST_RESCUE[dim]:
        residual, rows = scheme.balance(phi)
        return Correction(_direct(scheme, phi, residual, rows, held, "direct"), 0.0, cycles, "direct after multigrid")
    raise SingularSystem(f"{cycles} multigrid cycles left {reduction:.1e} of the residual")


def _multigrid(
    scheme: Scheme, phi: Array, residual: Array, rows: Array, held: NDArray[np.bool_]
) -> tuple[Array, float, int]:
    held = held.reshape(scheme.shape)
    planes, size = scheme.shape[0], phi.size
    forms = scheme.slower(phi, SLOW)
    if all(np.array_equal(a, b) for a, b in zip(forms[0], scheme.regular, strict=True)):
        smoother = rows
    else:
        smoother = scheme.balance(phi, forms)[1]
    diagonal = np.empty(scheme.shape)
    in_planes(kernel.row_scales, planes, size, smoother, DOMINANCE, diagonal)
    rhs = np.where(held, 0.0, -residual / diagonal)
    in_planes(kernel.scale_rows, planes, size, rows, diagonal, held)
    if smoother is not rows:
        in_planes(kernel.scale_rows, planes, size, smoother, diagonal, held)
    matrix = Stencil(rows, diagonal, scheme.offsets, scheme.periodic)
    cycle = Multigrid(Stencil(smoother, diagonal, scheme.offsets, scheme.periodic), phi)
    weight = np.maximum(np.exp(phi.min() - phi), FLOOR) ** SHARPNESS
    s, left, cycles = fgmres(
        matrix, cycle, rhs.ravel(), weight.ravel(), rtol=REDUCTION, max_steps=CYCLES, restart=RESTART
    )
    return s.reshape(phi.shape), left, cycles


def _direct(scheme: Scheme, phi: Array, residual: Array, rows: Array, held: NDArray[np.bool_], name: str) -> Array:
    """The likeliest cell is pinned: its balance follows from the others'."""
    still = held.reshape(scheme.shape).copy()
    still.flat[int(np.argmin(phi))] = True
    rows[still] = 0.0
    rows[still, 0] = 1.0
    residual[still] = 0.0
    matrix = stencil_matrix(rows, scheme.offsets, scheme.periodic)
    if name == "pardiso":
        return solve_pardiso(matrix, -residual.ravel()).reshape(phi.shape)
    order = dissection(scheme.shape, scheme.periodic)
    return solve_sparse(matrix, -residual.ravel(), order).reshape(phi.shape)
