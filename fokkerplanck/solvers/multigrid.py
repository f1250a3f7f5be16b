"""Multigrid for row-scaled balances: aggregates of 2^d cells, weighted by the probability in them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.linalg as sla
from numpy.typing import NDArray

from ..grid import Array
from ..kernels import multigrid as kernel
from ..threads import in_pieces, in_planes, shared, summed

LARGEST_COARSEST = 300  # cells: its inverse is applied 2^levels times a cycle
NO_SHARE = 1e-26  # of an aggregate's probability: below, a cell's balance does not show in that of its aggregate

SOFT = 0.5  # of the symmetric exchange between aggregates, which constants over them exaggerate twofold

Offset = tuple[int, int, int]


class Stencil:
    """A matrix on a grid, rows divided by ``diagonal``: ``links[z, y, s, x]`` is the coefficient of the cell at ``offsets[s]``.

    Periodic axes wrap; beyond walls every coefficient is zero.

    Parameters
    ----------
    links : ndarray, shape (nz, ny, len(offsets), nx)
    diagonal : ndarray, shape (nz, ny, nx)
        What the rows were divided by.
    offsets : tuple of (int, int, int)
        The cell itself first, the nearest cells along x last, the one ahead and the one behind.
    periodic : tuple of three bool
    """

    def __init__(self, links: Array, diagonal: Array, offsets: tuple[Offset, ...], periodic: tuple[bool, ...]) -> None:
        self.links = links
        self.diagonal = diagonal
        self.offsets = offsets
        self.periodic = periodic
        self.shape: tuple[int, ...] = diagonal.shape
        self.pad = tuple(int(any(o[a] for o in offsets)) for a in range(3))
        padded = [n + 2 * p for n, p in zip(self.shape, self.pad, strict=True)]
        self.strides = np.array([(o[0] * padded[1] + o[1]) * padded[2] + o[2] for o in offsets])
        self.vector = np.zeros(padded)  # with ghost cells
        self.cells = self.vector[tuple(slice(p, p + n) for n, p in zip(self.shape, self.pad, strict=True))]

    def __call__(self, v: Array) -> Array:
        """Matrix times vector."""
        shared(np.positive, v.reshape(self.shape), out=self.cells)
        self.fill_ghosts()
        out = np.empty(self.shape)
        in_planes(kernel.apply, self.shape[0], out.size, self.links, self.strides, self.vector, self.pad, out)
        return out.reshape(v.shape)

    def fill_ghosts(self) -> None:
        if any(self.periodic):
            kernel.fill_ghosts(self.vector, self.pad, self.periodic)

    def dense(self) -> Array:
        n = self.diagonal.size
        cells = np.arange(n).reshape(self.shape)
        out = np.zeros((n, n))
        position = np.indices(self.shape)
        for s, offset in enumerate(self.offsets):
            used = self.links[..., s, :] != 0.0
            neighbour = tuple((position[a][used] + offset[a]) % self.shape[a] for a in range(3))
            np.add.at(out, (cells[used], cells[neighbour]), self.links[..., s, :][used])
        return out


class _Grade:
    """One grid of the hierarchy and the way to the next coarser one."""

    def __init__(self, stencil: Stencil) -> None:
        self.stencil = stencil
        self.rhs = np.empty(stencil.shape)
        self.step: tuple[int, ...] = (1, 1, 1)  # cells of an aggregate along each axis
        self.weight = self.rhs  # of each cell's residual in that of its aggregate; set by ``coarser``
        offsets = stencil.offsets
        others = range(1, len(offsets) - 2)
        self.others = np.array(others)  # entries of neighbours in other rows, and of those a sweep comes to first
        self.before = np.array([s for s in others if offsets[s][0] == 0 and offsets[s][1] < 0], dtype=np.intp)
        planes, rows, columns = stencil.shape
        self.by_points = rows > 1
        if not self.by_points:
            self.ends = tuple(offsets.index(o) for o in ((-1, 0, 0), (1, 0, 0)) if o in offsets)
            self.beside = np.array([s for s in range(1, len(offsets)) if s not in self.ends])
            self.pivots = np.empty((2, planes, columns))
            in_planes(kernel.row_pivots, planes, self.rhs.size, stencil.links, self.pivots[0])
            in_planes(kernel.column_pivots, columns, self.rhs.size, stencil.links, self.ends, self.pivots[1])

    def relax(self, *, forward: bool, from_zero: bool = False) -> None:
        """In the plane by rows and by columns, which takes care of any noise across the other; in space cell by cell, twice.

        ``from_zero`` says that the unknowns are zero, so that only cells met before count at first.
        """
        m = self.stencil
        planes, _, columns = m.shape
        matrix, unknowns = (m.links, m.strides), (self.rhs, m.vector, m.pad)
        order = (0, 1) if forward else (1, 0)
        for line in (True, False) if forward else (False, True):
            for parity in order:
                m.fill_ghosts()
                entries, from_zero = self.before if from_zero else self.others, False
                arguments: tuple[Any, ...]
                if self.by_points:
                    arguments = (
                        kernel.relax_points,
                        planes,
                        self.rhs.size,
                        *matrix,
                        entries,
                        *unknowns,
                        parity,
                        forward,
                    )
                elif line:
                    pivots = self.pivots[0]
                    arguments = (kernel.relax_rows, planes, self.rhs.size, *matrix, entries, pivots, *unknowns, parity)
                else:
                    lines = (self.beside, self.ends, self.pivots[1])
                    arguments = (kernel.relax_columns, columns, self.rhs.size, *matrix, *lines, *unknowns, parity)
                in_planes(*arguments)

    def coarser(self, phi: Array) -> tuple[_Grade, Array] | None:
        """The grid of aggregates and −ln of the probability in each; None where no axis can be halved."""
        fine = self.stencil
        size = fine.diagonal.size
        step = tuple(2 if n % 2 == 0 and n >= 4 else 1 for n in fine.shape)
        if max(step) == 1:
            return None
        shape = tuple(n // s for n, s in zip(fine.shape, step, strict=True))
        coarse_phi, share = np.empty(shape), np.empty(fine.shape)
        in_planes(kernel.aggregate, shape[0], size, phi, step, NO_SHARE, coarse_phi, share)
        entries = (*shape[:2], len(fine.offsets), shape[2])
        galerkin = np.empty(entries)
        targets = _targets(fine.offsets, step)
        in_planes(kernel.coarsen, shape[0], size, fine.links, fine.diagonal, share, step, targets, galerkin)
        links, diagonal = np.empty(entries), np.empty(shape)
        opposite = np.array([fine.offsets.index((-o[0], -o[1], -o[2])) for o in fine.offsets])
        in_planes(
            kernel.soften,
            shape[0],
            size,
            galerkin,
            coarse_phi,
            np.array(fine.offsets),
            opposite,
            np.array([SOFT if sum(map(abs, o)) == 1 else 1.0 for o in fine.offsets]),
            fine.periodic,
            links,
            diagonal,
        )
        self.step = step
        in_planes(kernel.weigh, fine.shape[0], size, share, fine.diagonal, diagonal, step)
        self.weight = share
        return _Grade(Stencil(links, diagonal, fine.offsets, fine.periodic)), coarse_phi


class Multigrid:
    """W-cycles as an approximate inverse of a row-scaled balance.

    Each aggregate's row is the average of its cells' rows by probability, its unknown the common relative change of its
    cells: the coarse balance is again that of a Markov chain in its row-scaled form, whose M-matrix property and cell Péclet
    numbers are those of the fine one (H. De Sterck et al., SIAM J. Sci. Comput. 30, 2235 (2008), doi:10.1137/070685142);
    its symmetric part is then scaled down, see ``kernels.multigrid.soften``.

    Parameters
    ----------
    stencil : Stencil
    phi : ndarray, shape ``stencil.shape``
        −ln p of the state that the rows are scaled with.
    """

    def __init__(self, stencil: Stencil, phi: Array) -> None:
        self.grades = [_Grade(stencil)]
        phi = phi.reshape(stencil.shape)
        while self.grades[-1].rhs.size > LARGEST_COARSEST:
            coarser = self.grades[-1].coarser(phi)
            if coarser is None:
                break
            grade, phi = coarser
            self.grades.append(grade)
        self.coarsest = _bordered_inverse(self.grades[-1].stencil.dense(), phi)

    def __call__(self, rhs: Array) -> Array:
        """One W-cycle from zero for the residual ``rhs``, divided by the diagonal as the rows are."""
        top = self.grades[0]
        top.rhs = np.ascontiguousarray(rhs.reshape(top.rhs.shape))
        self._cycle(0, from_zero=True)
        return shared(np.positive, top.stencil.cells).reshape(rhs.shape)

    def _cycle(self, index: int, *, from_zero: bool) -> None:
        grade = self.grades[index]
        m = grade.stencil
        if from_zero:
            m.vector[...] = 0.0
        if index == len(self.grades) - 1:
            m.cells[...] += (self.coarsest @ grade.rhs.ravel()).reshape(m.shape)
            return
        coarse = self.grades[index + 1]
        grade.relax(forward=True, from_zero=from_zero)
        m.fill_ghosts()
        in_planes(
            kernel.restrict_residual,
            coarse.rhs.shape[0],
            m.diagonal.size,
            m.links,
            m.strides,
            grade.rhs,
            m.vector,
            m.pad,
            grade.weight,
            grade.step,
            coarse.rhs,
        )
        self._cycle(index + 1, from_zero=True)
        if index + 1 < len(self.grades) - 1:
            self._cycle(index + 1, from_zero=False)
        in_planes(
            kernel.add_prolonged,
            m.shape[0],
            m.diagonal.size,
            coarse.stencil.vector,
            coarse.stencil.pad,
            m.vector,
            m.pad,
            grade.step,
        )
        grade.relax(forward=False)


def _targets(offsets: tuple[Offset, ...], step: tuple[int, ...]) -> NDArray[np.int64]:
    """For a cell's place in its aggregate and each entry of its row: the entry of the aggregate's row it adds to."""
    index: dict[tuple[int, ...], int] = {offset: s for s, offset in enumerate(offsets)}
    table = np.zeros((8, len(offsets)), dtype=np.int64)
    for child in range(8):
        place = (child // 4, child // 2 % 2, child % 2)
        if any(p >= s for p, s in zip(place, step, strict=True)):
            continue
        for s, offset in enumerate(offsets):
            table[child, s] = index[tuple((p + o) // w for p, o, w in zip(place, offset, step, strict=True))]
    return table


def _bordered_inverse(matrix: Array, phi: Array) -> Array:
    """Inverse of K on vectors of mean 0: the leading block of the inverse of [[K, 1], [pᵀ, 0]]."""
    n = matrix.shape[0]
    probability = np.exp(phi.min() - phi.ravel())
    bordered = np.block([[matrix, np.ones((n, 1))], [probability[None] / probability.sum(), np.zeros((1, 1))]])
    return np.ascontiguousarray(np.linalg.inv(bordered)[:n, :n])


def fgmres(
    matrix: Callable[[Array], Array],
    preconditioner: Callable[[Array], Array],
    rhs: Array,
    weight: Array,
    *,
    rtol: float,
    max_steps: int,
    restart: int,
) -> tuple[Array, float, int]:
    """Solve ``matrix x = rhs`` from zero, minimising the weighted residual ‖weight·(rhs − matrix x)‖₂.

    Flexible GMRES: the preconditioner may change between steps. Y. Saad, SIAM J. Sci. Comput. 14, 461 (1993),
    doi:10.1137/0914028.

    Returns
    -------
    x : ndarray
    reduction : float
        Weighted residual relative to that of x = 0, of the recurrence.
    steps : int
    """
    x, size = np.zeros(rhs.size), rhs.size
    residual = shared(np.multiply, weight, rhs)
    start = _norm(residual)
    if start == 0.0:
        return x, 0.0, 0
    scaled = np.empty_like(rhs)
    done, norm = 0, start
    while done < max_steps and norm > rtol * start:
        count = min(restart, max_steps - done)
        basis, directions = [shared(np.divide, residual, norm, out=residual)], []
        upper = np.zeros((count + 1, count))
        rotations = np.zeros((count, 2))
        g = np.zeros(count + 1)
        g[0] = norm
        k = 0
        while k < count and norm > rtol * start:
            z = preconditioner(shared(np.divide, basis[k], weight, out=scaled))
            w = matrix(z)
            directions.append(z)
            w = shared(np.multiply, w, weight, out=w)
            h = np.sum(in_pieces(partial(_products, basis, w), size, size), axis=0)
            length = float(np.sqrt(summed(partial(_without, basis, h, w), size, size)))
            column = np.append(h, length)
            for i in range(k):
                c, s = rotations[i]
                column[i], column[i + 1] = c * column[i] + s * column[i + 1], -s * column[i] + c * column[i + 1]
            radius = float(np.hypot(column[k], column[k + 1]))
            if radius == 0.0 or not np.isfinite(radius):
                break
            rotations[k] = column[k] / radius, column[k + 1] / radius
            column[k], column[k + 1] = radius, 0.0
            upper[: k + 2, k] = column
            g[k + 1] = -rotations[k, 1] * g[k]
            g[k] = rotations[k, 0] * g[k]
            norm = abs(float(g[k + 1]))
            k += 1
            if length > 0.0:
                basis.append(shared(np.divide, w, length, out=w))
        if k == 0:
            break
        y = sla.solve_triangular(upper[:k, :k], g[:k])
        in_pieces(partial(_combine, directions[:k], y, x), size, size)
        done += k
        if norm > rtol * start and done < max_steps:
            residual = shared(np.subtract, rhs, matrix(x))
            norm = _norm(shared(np.multiply, residual, weight, out=residual))
    return x, norm / start, done


def _norm(vector: Array) -> float:
    return float(np.sqrt(summed(lambda part: float(vector[part] @ vector[part]), vector.size, vector.size)))


def _products(basis: list[Array], w: Array, part: slice) -> Array:
    return np.array([b[part] @ w[part] for b in basis])


def _without(basis: list[Array], products: Array, w: Array, part: slice) -> float:
    """Take the basis out of a part of w; the square of what is left."""
    rest = w[part]
    for factor, b in zip(products, basis, strict=True):
        rest -= factor * b[part]
    return float(rest @ rest)


def _combine(directions: list[Array], factors: Array, x: Array, part: slice) -> None:
    for factor, z in zip(factors, directions, strict=True):
        x[part] += factor * z[part]
