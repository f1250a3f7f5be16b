"""Sparse linear systems on grid stencils: direct, in an elimination order read off the grid."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from ..errors import FokkerPlanckError, InvalidInput
from ..grid import Array

LEAF = 32  # cells at which dissection stops; the order inside so small a block does not matter


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


def stencil_matrix(rows: Array, offsets: tuple[tuple[int, int, int], ...], periodic: tuple[bool, ...]) -> Any:
    """CSR matrix of ``rows[z, y, x, s]``, the coefficients of the cells at ``offsets[s]``; beyond walls they must be zero."""
    shape = rows.shape[:3]
    flat = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
    padded = np.pad(flat, [(1, 1)] * 3, mode="wrap")
    columns = np.stack(
        [padded[tuple(slice(1 + o, 1 + o + n) for o, n in zip(offset, shape, strict=True))] for offset in offsets],
        axis=-1,
    )
    pointers = np.arange(0, rows.size + 1, len(offsets))
    matrix = sp.csr_array((rows.reshape(-1), columns.reshape(-1), pointers), shape=(flat.size, flat.size))
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def solve_pardiso(matrix: Any, rhs: Array) -> Array:
    """Solve a row-scaled balance by MKL's PARDISO.

    Raises
    ------
    InvalidInput
        If the package pypardiso is not installed.
    SingularSystem
        If the matrix holds non-finite entries or is singular.
    """
    try:
        import pypardiso
    except ImportError as error:
        raise InvalidInput(
            f"linear_solver='pardiso': expected the package pypardiso, which cannot be imported ({error}). "
            "pip install 'fokkerplanck[pardiso]', or use another linear_solver"
        ) from error
    _largest(matrix)
    try:
        out = np.asarray(pypardiso.spsolve(sp.csr_matrix(matrix), rhs))
    except pypardiso.PyPardisoError as error:
        raise SingularSystem(f"the linearised balance is singular ({error})") from error
    if not np.isfinite(out).all():
        raise SingularSystem("the linearised balance is singular")
    return out


def _largest(matrix: Any) -> Array:
    """The largest entry of every row; a factorisation of non-finite ones would not return."""
    largest = np.asarray(abs(matrix).max(axis=1).toarray()).ravel()
    if not np.isfinite(largest).all():
        raise SingularSystem("the linearised balance holds non-finite entries")
    if (largest == 0.0).any():
        raise SingularSystem("the linearised balance holds an empty row: a cell that exchanges nothing")
    return largest


class Factorised:
    """A row-scaled balance, factorised by LU in the given elimination order (see :func:`dissection`) to be solved with.

    Raises
    ------
    SingularSystem
        If the matrix holds non-finite entries (on which a factorisation would not return) or is singular.
    """

    def __init__(self, matrix: Any, order: Array) -> None:
        permuted = matrix[order][:, order].tocsc()
        # Rows span hundreds of decades in the tails; dividing each by its largest entry keeps the pivots comparable.
        self.largest = _largest(permuted)
        self.order = order
        scaled = (sp.diags_array(1.0 / self.largest) @ permuted).tocsc()
        options = {"SymmetricMode": True}
        try:
            self.factor = spla.splu(scaled, permc_spec="NATURAL", diag_pivot_thresh=0.01, options=options)
        except RuntimeError as error:
            raise SingularSystem(f"the linearised balance is singular ({error})") from error

    def solve(self, rhs: Array) -> Array:
        out = np.empty_like(rhs)
        out[self.order] = self.factor.solve(rhs[self.order] / self.largest)
        return out
