"""Sparse linear systems on grid stencils: direct in an order read off the grid, iterative on large 3-D ones."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from ..errors import FokkerPlanckError
from ..grid import Array

LEAF = 32  # cells at which dissection stops; the order inside so small a block does not matter
# Cells of a 3-D grid up to which LU takes less time than the incomplete factorisation with GMRES
LARGEST_VOLUME = 40_000
DROP, FILL = 1e-2, 4.0  # of the incomplete factorisation: 34 iterations at 64³; dropping less costs more than it saves
KRYLOV = 1e-12  # relative residual: at 1e-10 the current of a three-parameter SGD was left unbalanced by 1.2e-8, above BALANCE


class SingularSystem(FokkerPlanckError):
    """The linearised balance has no finite solution."""


@lru_cache(maxsize=16)
def dissection(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> Array:
    """Nested-dissection order of a grid with neighbours across corners: separators last (A. George, 1973).

    Returns
    -------
    ndarray of int
        Flat cell numbers in elimination order. doi:10.1137/0710032
    """
    order: list[Array] = []

    def split(block: Any, wraps: tuple[bool, ...]) -> None:
        if block.size <= LEAF or max(block.shape) < 3:
            order.append(block.ravel())
            return
        if any(wraps):  # one plane opens the ring before anything can be halved
            axis = wraps.index(True)
            closed = tuple(w and a != axis for a, w in enumerate(wraps))
            split(np.delete(block, 0, axis), closed)
            order.append(np.take(block, 0, axis).ravel())
            return
        axis = int(np.argmax(block.shape))
        middle = block.shape[axis] // 2
        first, plane, second = np.split(block, [middle, middle + 1], axis)
        split(first, wraps)
        split(second, wraps)
        order.append(plane.ravel())

    split(np.arange(int(np.prod(shape))).reshape(shape), periodic)
    return np.concatenate(order)


def stencil_matrix(stencil: Array, periodic: tuple[bool, ...]) -> Any:
    """CSR matrix of a stencil of shape (n0, n1, n2, 27) whose entry ((o0+1)·3 + (o1+1))·3 + (o2+1) is the cell at offset o."""
    shape = stencil.shape[:3]
    cells = np.indices(shape)
    flat = np.arange(int(np.prod(shape))).reshape(shape)
    rows, columns, values = [], [], []
    for entry in range(27):
        weight = stencil[..., entry]
        used = weight != 0.0
        if not used.any():
            continue
        offset = np.array([entry // 9 - 1, entry // 3 % 3 - 1, entry % 3 - 1])
        neighbour = [(cells[a][used] + offset[a]) % shape[a] for a in range(3)]
        rows.append(flat[used])
        columns.append(flat[tuple(neighbour)])
        values.append(weight[used])
    size = flat.size
    triplets = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sp.csr_matrix(triplets, shape=(size, size))


def solve_sparse(matrix: Any, rhs: Array, order: Array, *, volume: bool) -> Array:
    """Solve a row-scaled balance: by LU, or by GMRES with an incomplete LU on large three-dimensional grids.

    Parameters
    ----------
    order : ndarray of int
        Elimination order, see :func:`dissection`.
    volume : bool
        Whether the grid is three-dimensional, where the fill of a complete factorisation outgrows the memory.

    Raises
    ------
    SingularSystem
        If the matrix holds non-finite entries (on which a factorisation would not return), is singular, or GMRES stops short.
    """
    permuted = matrix[order][:, order].tocsc()
    # Rows span hundreds of decades in the tails; dividing each by its largest entry keeps the pivots comparable.
    largest = abs(permuted).max(axis=1).toarray().ravel()
    if not (np.isfinite(largest).all() and np.isfinite(rhs).all()):
        raise SingularSystem("the linearised balance holds non-finite entries")
    if (largest == 0.0).any():
        raise SingularSystem("the linearised balance holds an empty row: a cell that exchanges nothing")
    scaled = (sp.diags_array(1.0 / largest) @ permuted).tocsc()
    b = rhs[order] / largest
    out = np.empty_like(rhs)
    try:
        if volume and b.size > LARGEST_VOLUME:
            out[order] = _krylov(scaled, b)
        else:
            options = {"SymmetricMode": True}
            out[order] = spla.splu(scaled, permc_spec="NATURAL", diag_pivot_thresh=0.01, options=options).solve(b)
    except RuntimeError as error:
        raise SingularSystem(f"the linearised balance is singular ({error})") from error
    return out


def _krylov(matrix: Any, b: Array) -> Array:
    options = {"SymmetricMode": True}
    factor = spla.spilu(
        matrix, drop_tol=DROP, fill_factor=FILL, permc_spec="NATURAL", diag_pivot_thresh=0.0, options=options
    )
    preconditioner = spla.LinearOperator(matrix.shape, factor.solve)
    x, status = spla.gmres(matrix, b, M=preconditioner, rtol=KRYLOV, restart=60, maxiter=5)
    if status != 0:
        raise SingularSystem("GMRES did not reach its tolerance in 300 steps")
    return np.asarray(x)
