"""Systems on stencils in elimination order: the same ones as the plain matrix, solved without the held cells."""

import numpy as np
import pytest

from fokkerplanck.solvers.linear import Factorised, SingularSystem, dissection, stencil_columns, stencil_matrix
from fokkerplanck.solvers.scheme import OFFSETS

GRIDS = [
    (1, (1, 1, 50), (False, False, True)),
    (2, (12, 1, 9), (False, False, False)),
    (2, (8, 1, 10), (True, False, False)),
    (2, (9, 1, 7), (True, False, True)),
    (2, (2, 1, 12), (True, False, False)),  # a ring of two cells: the same neighbour on both sides
    (3, (5, 6, 4), (False, True, False)),
]


def system(dim, shape, periodic, rng):
    """Rows that dominate their columns, zero beyond walls, over thirty decades."""
    offsets = OFFSETS[dim]
    rows = rng.normal(size=(*shape, len(offsets)))
    rows[rng.random(rows.shape) < 0.2] = 0.0
    for s, offset in enumerate(offsets):
        for axis in (a for a in range(3) if offset[a] and not periodic[a]):
            np.moveaxis(rows[..., s], axis, 0)[0 if offset[axis] < 0 else -1] = 0.0
    rows[..., 0] = 1.0 + np.abs(rows[..., 1:]).sum(axis=-1)
    rows *= 10.0 ** rng.uniform(-15.0, 15.0, size=(*shape, 1))
    return np.ascontiguousarray(np.moveaxis(rows, 3, 2)), offsets, rng.random(shape) < 0.15


def solved(rows, rhs, held, offsets, periodic):
    return Factorised(rows, held, offsets, periodic).solve(rhs.ravel()).reshape(rhs.shape)


@pytest.mark.parametrize(("dim", "shape", "periodic"), GRIDS)
def test_columns_are_those_of_the_plain_matrix(dim, shape, periodic):
    rows, offsets, held = system(dim, shape, periodic, np.random.default_rng(5))
    order = dissection(shape, periodic)
    matrix, free, largest = stencil_columns(rows, held, offsets, order)
    assert np.array_equal(free, [cell for cell in order if not held.flat[cell]])
    assert np.array_equal(largest, np.abs(rows).max(axis=2).reshape(-1)[free])
    plain = stencil_matrix(rows, offsets, periodic).toarray()[np.ix_(free, free)]
    # round-off of a division, and of a sum where a ring of two cells has the same neighbour on both sides
    np.testing.assert_allclose(matrix.toarray(), plain / largest[:, None], rtol=4e-16, atol=2e-16)
    assert matrix.nnz == np.count_nonzero(plain)
    for column in np.split(matrix.indices, matrix.indptr[1:-1]):
        assert (np.diff(column) > 0).all()


@pytest.mark.parametrize(("dim", "shape", "periodic"), GRIDS)
def test_solution_is_that_of_the_plain_system(dim, shape, periodic):
    rng = np.random.default_rng(6)
    rows, offsets, held = system(dim, shape, periodic, rng)
    rhs = rng.normal(size=shape) * np.abs(rows).max(axis=2)
    x = solved(rows, rhs, held, offsets, periodic)
    assert not x[held].any()
    free = np.flatnonzero(~held)
    scale = np.abs(rows).max(axis=2).reshape(-1)[free]
    plain = stencil_matrix(rows, offsets, periodic).toarray()[np.ix_(free, free)] / scale[:, None]
    expected = np.linalg.solve(plain, rhs.reshape(-1)[free] / scale)
    # round-off of two factorisations of rows that dominate
    np.testing.assert_allclose(x.reshape(-1)[free], expected, rtol=1e-12, atol=1e-14 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("entry", "what"),
    [(np.nan, "non-finite"), (-np.inf, "non-finite"), (0.0, "empty row: a cell that exchanges nothing")],
)
def test_unusable_rows_are_refused_and_held_ones_not_looked_at(entry, what):
    shape, periodic = (8, 1, 8), (False, False, False)
    rows, offsets, held = system(2, shape, periodic, np.random.default_rng(7))
    rows[3, 0, :, 4] = entry
    held[3, 0, 4] = False
    with pytest.raises(SingularSystem, match=what):
        solved(rows, np.ones(shape), held, offsets, periodic)
    held[3, 0, 4] = True
    assert np.isfinite(solved(rows, np.ones(shape), held, offsets, periodic)).all()


def test_singular_systems_are_refused():
    shape, periodic = (8, 1, 8), (False, False, False)
    rows, offsets, held = system(2, shape, periodic, np.random.default_rng(8))
    held[:] = False
    rows[...] = 0.0
    rows[:, :, 0] = 1.0
    rows[2, 0, :2, 2] = 0.0, 1.0  # two equations for the neighbour, none for the cell
    with pytest.raises(SingularSystem, match="singular"):
        Factorised(rows, held, offsets, periodic)
