"""Sparse linear systems on grid stencils: direct, in an elimination order read off the grid."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from numpy.typing import NDArray

from ..errors import FokkerPlanckError, InvalidInput
from ..grid import Array
from ..kernels import columns as kernel

LEAF = 8  # cells at which dissection stops; blocks of 32 fill a fifth more and take a quarter longer, of 4 no less
PIVOT = 0.01  # share of the largest entry of a column that a diagonal entry may have and still be the pivot
# Few columns at a time: SuperLU's own choice, panels of 20, takes a fifth longer on planes of up to 128² and no less on larger.
BLOCKS: dict[str, Any] = {"relax": 4, "panel_size": 1, "options": {"SymmetricMode": True}}
NOT_FINITE = "the linearised balance holds non-finite entries"
EMPTY_ROW = "the linearised balance holds an empty row: a cell that exchanges nothing"


class SingularSystem(FokkerPlanckError):
    """The linearised balance has no finite solution."""


@lru_cache(maxsize=64)  # of blocks: halves of halves have few different shapes
def dissection(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> Array:
    """Nested-dissection order of a grid with neighbours across corners: separators last (A. George, 1973).

    Returns
    -------
    ndarray of int
        Flat cell numbers in elimination order. doi:10.1137/0710032
    """
    block: Any = np.arange(int(np.prod(shape))).reshape(shape)
    if block.size <= LEAF or max(shape) < 3:
        return block.ravel()
    if any(periodic):  # one plane opens the ring before anything can be halved
        axis = periodic.index(True)
        parts, plane = [np.delete(block, 0, axis)], np.take(block, 0, axis)
        periodic = tuple(ring and a != axis for a, ring in enumerate(periodic))
    else:
        axis = int(np.argmax(shape))
        middle = shape[axis] // 2
        first, plane, second = np.split(block, [middle, middle + 1], axis)
        parts = [first, second]
    return np.concatenate([*(part.ravel()[dissection(part.shape, periodic)] for part in parts), plane.ravel()])


def stencil_matrix(rows: Array, offsets: tuple[tuple[int, int, int], ...], periodic: tuple[bool, ...]) -> Any:
    """CSR matrix of ``rows[z, y, s, x]``, the coefficients of the cells at ``offsets[s]``; beyond walls they must be zero."""
    shape = (*rows.shape[:2], rows.shape[3])
    flat = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
    padded = np.pad(flat, [(1, 1)] * 3, mode="wrap")
    columns = np.stack(
        [padded[tuple(slice(1 + o, 1 + o + n) for o, n in zip(offset, shape, strict=True))] for offset in offsets],
        axis=2,
    )
    pointers = np.arange(0, rows.size + 1, len(offsets))
    entries, columns = (np.swapaxes(a, 2, 3).reshape(-1) for a in (rows, columns))
    matrix = sp.csr_array((entries, columns, pointers), shape=(flat.size, flat.size))
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
    _check_rows(matrix)
    try:
        out = np.asarray(pypardiso.spsolve(sp.csr_matrix(matrix), rhs))
    except pypardiso.PyPardisoError as error:
        raise SingularSystem(f"the linearised balance is singular ({error})") from error
    if not np.isfinite(out).all():
        raise SingularSystem("the linearised balance is singular")
    return out


def _check_rows(matrix: Any) -> None:
    largest = abs(matrix).max(axis=1).toarray()
    if not np.isfinite(largest).all():
        raise SingularSystem(NOT_FINITE)
    if (largest == 0.0).any():
        raise SingularSystem(EMPTY_ROW)


class Factorised:
    r"""The system :math:`\sum_s` ``rows[s]`` x(cell + ``offsets[s]``) = rhs(cell), x = 0 in the cells ``held``, by LU.

    Parameters
    ----------
    rows : ndarray, shape (nz, ny, s, nx)
        Coefficients of the cells at ``offsets[s]``; beyond walls they must be zero.
    held : ndarray of bool, shape (nz, ny, nx)
    offsets, periodic : tuple

    Raises
    ------
    SingularSystem
        If the matrix holds non-finite entries (on which a factorisation would not return) or is singular.
    """

    def __init__(
        self,
        rows: Array,
        held: NDArray[np.bool_],
        offsets: tuple[tuple[int, int, int], ...],
        periodic: tuple[bool, ...],
    ) -> None:
        matrix, self.free, self.largest = stencil_columns(rows, held, offsets, dissection(held.shape, periodic))
        try:
            self.factor = spla.splu(matrix, permc_spec="NATURAL", diag_pivot_thresh=PIVOT, **BLOCKS)
        except RuntimeError as error:
            raise SingularSystem(f"the linearised balance is singular ({error})") from error

    def solve(self, rhs: Array) -> Array:
        """x for flat right-hand sides, which are not looked at in the cells held."""
        out = np.zeros_like(rhs)
        out[self.free] = self.factor.solve(rhs[self.free] / self.largest)
        return out


def stencil_columns(
    rows: Array, held: NDArray[np.bool_], offsets: tuple[tuple[int, int, int], ...], order: Array
) -> tuple[Any, Array, Array]:
    """CSC matrix of the free cells in elimination order, the flat numbers of these, and the divisors of their rows.

    Rows span hundreds of decades in the tails; dividing each by its largest entry keeps the pivots comparable.
    """
    cells = order.size
    place, pointers = np.empty(cells, dtype=np.int32), np.empty(cells + 1, dtype=np.int32)
    indices, data, largest = np.empty(rows.size, dtype=np.int32), np.empty(rows.size), np.empty(cells)
    free = kernel.compress(rows, held, order, np.array(offsets), place, largest, pointers, indices, data)
    if free < 0:
        raise SingularSystem(NOT_FINITE if free == -1 else EMPTY_ROW)
    size = pointers[free]
    matrix = sp.csc_array((data[:size], indices[:size], pointers[: free + 1]), shape=(free, free))
    matrix.has_canonical_format = True  # rows ascend and occur once; SciPy would look
    return matrix, order[place[order] >= 0], largest[:free]
