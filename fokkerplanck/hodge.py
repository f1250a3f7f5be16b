r"""Projection of a force on the faces onto the gradients, in the inner product :math:`\int p\,a^\top D\,b`.

Every corner of every cell sees the d faces that meet there; the inner product is the sum over corners of
:math:`2^{-d}V p\,a^\top D\,b` with p and D of the cell. It is symmetric and positive whatever D is, so the projection is exact
in it, and the corners average to second order.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp

from .errors import NotConverged
from .grid import Array, Grid
from .solvers.linear import Factorised
from .solvers.multigrid import Multigrid, Stencil, fgmres
from .solvers.scheme import AXES, OFFSETS

# Cells up to which a factorisation takes less time than cycles, or a second
LARGEST_DIRECT = {1: 2**40, 2: 2**17, 3: 2**13}
# Of the largest weight: cells that double precision cannot couple, and whose share of any integral is nil
EMPTY = 1e-250
# Of the weighted Poisson equation; the parts of a square add up to a tenth of that
RTOL, CYCLES, RESTART = 1e-11, 300, 30


class Corner:
    """One corner of every cell: the d faces that meet there, the cells beyond them, and the weight V/2^d p D."""

    def __init__(self, grid: Grid, side: tuple[int, ...], weight: Array) -> None:
        self.grid, self.side, self.weight = grid, side, weight
        cells = np.arange(grid.size).reshape(grid.shape)
        self.own = cells.ravel()
        # Beyond a wall there is none; the weight there is zero, and any cell will do.
        self.beyond = [np.roll(cells, 1 - 2 * s, axis).ravel() for axis, s in enumerate(side)]
        self.reach = []
        for axis, s in enumerate(side):
            distances = grid.distances(axis)
            self.reach.append(grid.along(distances[1:] if s else -distances[:-1], axis))

    def at_cells(self, faces: list[Array]) -> Array:
        """Components of face fields, those of each cell's corner."""
        parts = []
        for axis, (component, s) in enumerate(zip(faces, self.side, strict=True)):
            lines = np.moveaxis(component, axis, 0)
            parts.append(np.moveaxis(lines[1:] if s else lines[:-1], 0, axis))
        return np.stack(parts)

    def gradient(self, cells: Array) -> Array:
        shape = self.grid.shape
        rise = [(cells[beyond] - cells[self.own]).reshape(shape) for beyond in self.beyond]
        return np.stack([r / reach for r, reach in zip(rise, self.reach, strict=True)])

    def energy(self, f: Array) -> float:
        """⟨f, f⟩."""
        return float(np.sum(f * np.einsum("ij...,j...->i...", self.weight, f)))

    def add_divergence(self, f: Array, out: Array) -> None:
        """The transpose of ``gradient`` on the weighted f, added."""
        weighted = np.einsum("ij...,j...->i...", self.weight, f)
        for component, reach, beyond in zip(weighted, self.reach, self.beyond, strict=True):
            part = (component / reach).ravel()
            out[beyond] += part  # a permutation of the cells: every one once
            out -= part

    def stiffness(self) -> Any:
        """Gradientᵀ · weight · gradient, sparse."""
        n, d = self.grid.size, self.grid.dim
        blocks = []
        for reach, beyond in zip(self.reach, self.beyond, strict=True):
            slope = np.broadcast_to(1.0 / reach, self.grid.shape).ravel()
            entries = np.concatenate([slope, -slope])
            places = np.concatenate([self.own, self.own]), np.concatenate([beyond, self.own])
            blocks.append(sp.csr_array((entries, places), shape=(n, n)))
        total = sp.csr_array((n, n))
        for i in range(d):
            rows = sum(sp.diags_array(self.weight[i, j].ravel()) @ blocks[j] for j in range(d))
            total = total + blocks[i].T @ rows
        return total


def corners_of(grid: Grid, diffusion: Array, phi: Array) -> list[Corner]:
    """All corners of the cells with the tensor D, shape (d, d, *shape), and the density e^(−Φ)."""
    tensor = diffusion * (np.exp(-phi) * grid.cell_volumes / 2**grid.dim)
    corners = []
    for side in product((0, 1), repeat=grid.dim):
        weight = tensor.copy()
        for axis, s in enumerate(side):
            if not grid.periodic[axis]:
                _close(weight, axis, s)
        corners.append(Corner(grid, side, weight))
    return corners


def _close(weight: Array, axis: int, s: int) -> None:
    """At a wall the normal component adjusts itself so that nothing passes: the Schur complement, in place."""
    at: list[Any] = [slice(None)] * weight.ndim
    at[axis + 2] = -1 if s else 0
    wall = weight[tuple(at)]
    normal = wall[axis, axis]
    share = np.divide(wall[axis], normal, out=np.zeros_like(wall[axis]), where=normal > 0.0)
    wall -= wall[:, axis][:, None] * share[None]
    wall[axis] = wall[:, axis] = 0.0


def project(faces: list[Array], corners: list[Corner], grid: Grid, phi: Array) -> Array:
    """φ in every cell, flat, whose gradient is the projection of the force on the faces; zero where p is largest.

    Raises
    ------
    NotConverged
        If cycles leave too much of the residual on a large grid.
    """
    load = np.zeros(grid.size)
    for corner in corners:
        corner.add_divergence(corner.at_cells(faces), load)
    matrix = sum(corner.stiffness() for corner in corners)
    diagonal = matrix.diagonal()
    held, likeliest = diagonal <= EMPTY * diagonal.max(), int(np.argmin(phi))
    diagonal[held] = 1.0
    offsets, axes = OFFSETS[grid.dim], AXES[grid.dim]
    shape, periodic = [1, 1, 1], [False] * 3
    for axis, n, ring in zip(axes, grid.shape, grid.periodic, strict=True):
        shape[axis], periodic[axis] = n, ring
    rows = _rows(matrix, grid, [[offset[axis] for axis in axes] for offset in offsets])
    if grid.size <= LARGEST_DIRECT[grid.dim]:
        held[likeliest] = True  # φ is free by a constant
        factors = Factorised(_by_rows(rows, shape), held.reshape(shape), offsets, tuple(periodic))
        return factors.solve(load)
    # By multigrid: with rows divided by p this is the balance of a reversible chain, and φ its δp/p.
    rows /= diagonal[:, None]
    rows[held] = 0.0
    rows[held, 0] = 1.0
    own = diagonal * np.exp(np.minimum(phi - phi.min(), 700.0)).ravel()  # the balance of a cell over its own density
    stencil = Stencil(_by_rows(rows, shape), own.reshape(shape), offsets, tuple(periodic))
    # The residual of the symmetric system scaled to a unit diagonal: what is left of φ is then bounded in ∫ p ∇φᵀD∇φ.
    weight = np.sqrt(np.where(held, 1.0, diagonal / diagonal[~held].max()))
    rhs = np.where(held, 0.0, load / diagonal)
    cycle = Multigrid(stencil, (phi - phi.min()).reshape(shape))
    solution, left, cycles = fgmres(stencil, cycle, rhs, weight, rtol=RTOL, max_steps=CYCLES, restart=RESTART)
    if not left <= RTOL:
        raise NotConverged(
            f"the weighted Poisson equation on {grid.shape} cells: {cycles} cycles left {left:.1e} of the residual, "
            f"{RTOL:g} expected. Shrink the box to where the density is, or take a coarser grid"
        )
    return np.where(held, 0.0, solution - solution[likeliest])


def _by_rows(rows: Array, shape: list[int]) -> Array:
    """The layout of the kernels, entries of a row of cells side by side."""
    return np.ascontiguousarray(np.moveaxis(rows.reshape(*shape, -1), 3, 2))


def _rows(matrix: Any, grid: Grid, moves: list[list[int]]) -> Array:
    """The coefficients of the cells at every offset, shape (cells, offsets); zero beyond walls."""
    cells = np.arange(grid.size).reshape(grid.shape)
    rows = np.empty((*grid.shape, len(moves)))
    for k, move in enumerate(moves):
        there = np.roll(cells, [-m for m in move], tuple(range(grid.dim)))
        rows[..., k] = matrix[cells.ravel(), there.ravel()].reshape(grid.shape)
        for a in (a for a, m in enumerate(move) if m and not grid.periodic[a]):
            np.moveaxis(rows[..., k], a, 0)[-1 if move[a] > 0 else 0] = 0.0
    return rows.reshape(grid.size, -1)
