"""The linear system of one Newton step: direct in an order read off the grid, or by multigrid-preconditioned GMRES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from ..grid import Array
from ..kernels import flux as kernel
from ..threads import in_pieces, in_planes
from .linear import NOT_FINITE, Factorised, SingularSystem, solve_pardiso, stencil_matrix
from .multigrid import Multigrid, Stencil, fgmres
from .scheme import Scheme

# Cells up to which a factorisation takes less time than cycles do
LARGEST_DIRECT = {1: 2**40, 2: 2**14, 3: 2**12}
# Cells up to which a factorisation takes a few GB at most, for systems on which the cycles do not converge
LARGEST_RESCUE = {1: 2**40, 2: 2**19, 3: 2**15}
# Cell Péclet number up to which the faces of the preconditioner carry the nonlinear flux, see docs/theory/method.md
SLOW = 2.0
DOMINANCE = 0.25  # of the other coefficients: an own coefficient below that share would make relaxation diverge
# A Newton step gains no more than its square, so two digits a step are enough.
REDUCTION, RESTART, CYCLES = 1e-2, 12, 36
HOPELESS = 0.3  # reduction that 36 cycles must reach at least
# Residuals count with max(p/max p, FLOOR), e⁻⁴⁰ as for what is negligible: tails that hold nothing must not lead. Next to a
# steep wall the few cells beyond would, at 1e-14: four times as many cycles, or forty and no solution.
FLOOR = 4e-18


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


class Jacobian:
    """The derivative K of every cell's balance by s = δp/p at a density, to be solved with.

    Parameters
    ----------
    scheme : Scheme
    phi : ndarray
        Φ at which the forms of ``scheme`` are linearised.
    held : ndarray of bool
        Cells whose density stays: s = 0.
    linear_solver : str

    Attributes
    ----------
    residual : ndarray
        The balance itself: outflow over density.
    """

    def __init__(self, scheme: Scheme, phi: Array, held: NDArray[np.bool_], linear_solver: str) -> None:
        self.scheme, self.phi, self.held, self.linear_solver = scheme, phi, held, linear_solver
        self.residual, self._rows = scheme.balance(phi)
        small = linear_solver == "auto" and phi.size <= LARGEST_DIRECT[scheme.grid.dim]
        self._direct = _Direct(self) if small or linear_solver in ("direct", "pardiso") else None
        self._cycles = _Cycles(self) if self._direct is None else None

    @cached_property
    def probability(self) -> Array:
        """Of every cell, where the derivative was taken."""
        return self.scheme.probability(self.phi)

    def over_density(self, outflow: Array) -> Array:
        """An outflow of every cell over its density, in its place; zero in held cells."""

        def piece(rows: slice) -> None:
            held = self.held[rows]
            outflow[rows] *= np.exp(np.where(held, 0.0, self.phi[rows]))
            outflow[rows][held] = 0.0

        in_pieces(piece, outflow.shape[0], outflow.size)
        return outflow

    def solve(self, residual: Array, *, reduction: float = REDUCTION) -> Correction:
        """Solve K s = −residual, by cycles to a residual of ``reduction`` × the first.

        Raises
        ------
        SingularSystem
            If no finite solution was found.
        """
        taken = 0
        if self._cycles is not None:
            s, left, taken = self._cycles.solve(residual, reduction)
            if np.isfinite(s).all() and left < max(HOPELESS, reduction):
                return Correction(s, max(left, 1e-16), taken, "multigrid")
            if self.linear_solver != "auto" or self.phi.size > LARGEST_RESCUE[self.scheme.grid.dim]:
                raise SingularSystem(f"{taken} multigrid cycles left {left:.1e} of the residual")
            self._cycles, self._rows = None, self.scheme.balance(self.phi)[1]
            self._direct = _Direct(self)
        assert self._direct is not None
        name = "pardiso" if self.linear_solver == "pardiso" else "direct after multigrid" if taken else "direct"
        return Correction(self._direct.solve(residual), 0.0, taken, name)


class _Cycles:
    """Multigrid-preconditioned GMRES; takes over the rows of the Jacobian."""

    def __init__(self, jacobian: Jacobian) -> None:
        scheme, phi, rows = jacobian.scheme, jacobian.phi, jacobian._rows
        self.shape, self.held = phi.shape, jacobian.held.reshape(scheme.shape)
        planes, size = scheme.shape[0], phi.size
        forms = scheme.slower(phi, SLOW)
        smoother = rows if forms[0] is scheme.regular else scheme.balance(phi, forms)[1]
        self.diagonal = np.empty(scheme.shape)
        in_planes(kernel.row_scales, planes, size, smoother, DOMINANCE, self.diagonal)
        in_planes(kernel.scale_rows, planes, size, rows, self.diagonal, self.held)
        if smoother is not rows:
            in_planes(kernel.scale_rows, planes, size, smoother, self.diagonal, self.held)
        self.matrix = Stencil(rows, self.diagonal, scheme.offsets, scheme.periodic)
        self.cycle = Multigrid(Stencil(smoother, self.diagonal, scheme.offsets, scheme.periodic), phi)
        low, flat, self.weight = float(phi.min()), phi.reshape(scheme.shape), np.empty(scheme.shape)

        def weigh(rows: slice) -> None:
            np.maximum(np.exp(low - flat[rows]), FLOOR, out=self.weight[rows])

        in_pieces(weigh, planes, size)

    def solve(self, residual: Array, reduction: float) -> tuple[Array, float, int]:
        residual, rhs = residual.reshape(self.held.shape), np.empty(self.held.shape)

        def divide(rows: slice) -> None:
            np.divide(-residual[rows], self.diagonal[rows], out=rhs[rows])
            rhs[rows][self.held[rows]] = 0.0

        in_pieces(divide, rhs.shape[0], rhs.size)
        s, left, cycles = fgmres(
            self.matrix,
            self.cycle,
            rhs.ravel(),
            self.weight.ravel(),
            rtol=reduction,
            max_steps=CYCLES,
            restart=RESTART,
        )
        return s.reshape(self.shape), left, cycles


class _Direct:
    """A factorisation; the likeliest cell is pinned, as its balance follows from the others'."""

    def __init__(self, jacobian: Jacobian) -> None:
        scheme, rows = jacobian.scheme, jacobian._rows
        self.shape = jacobian.phi.shape
        self.still = jacobian.held.reshape(scheme.shape).copy()
        self.still.flat[int(np.argmin(jacobian.phi))] = True
        self.solver: Callable[[Array], Array]
        if jacobian.linear_solver == "pardiso":
            entries = np.moveaxis(rows, 2, 3)
            entries[self.still] = 0.0
            entries[self.still, 0] = 1.0
            self.solver = partial(solve_pardiso, stencil_matrix(rows, scheme.offsets, scheme.periodic))
        else:
            self.solver = Factorised(rows, self.still, scheme.offsets, scheme.periodic).solve

    def solve(self, residual: Array) -> Array:
        rhs = np.where(self.still, 0.0, -residual.reshape(self.still.shape)).ravel()
        if not np.isfinite(rhs).all():
            raise SingularSystem(NOT_FINITE)
        return self.solver(rhs).reshape(self.shape)
