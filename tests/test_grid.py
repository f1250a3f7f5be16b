"""Geometry: positions, and what a box and a grid refuse."""

import numpy as np
import pytest

import fokkerplanck as fp


def test_faces_and_centres_interleave():
    grid = fp.Grid(fp.Box([-1, 0], [1, 3]), (4, 6))
    np.testing.assert_allclose(grid.edges(0), [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_allclose(grid.centers(1), np.arange(0.25, 3, 0.5))
    assert grid.face_shape(1) == (4, 7)
    assert grid.face_points(0).shape == (2, 5, 6)
    assert grid.refine().shape == (8, 12)
    np.testing.assert_allclose(grid.cell_points()[1, 2], grid.centers(1))


@pytest.mark.parametrize(
    ("lower", "upper", "boundary", "message"),
    [
        ([0], [1, 1], "reflecting", "two vectors of the same length"),
        ([0] * 4, [1] * 4, "reflecting", "at most three dimensions"),
        ([0, 1], [1, 1], "reflecting", "finite lower < upper"),
        ([0], [np.inf], "reflecting", "finite lower < upper"),
        ([0, 0], [1, 1], "absorbing", "boundary: expected one of"),
        ([0, 0], [1, 1], ["periodic"], "one per axis"),
        (["a"], [1], "reflecting", "expected d numbers each"),
    ],
)
def test_bad_box(lower, upper, boundary, message):
    with pytest.raises(fp.InvalidInput, match=message):
        fp.Box(lower, upper, boundary=boundary)


@pytest.mark.parametrize("shape", [(8,), (8, 2), (8, 8.5)])
def test_bad_grid(shape):
    with pytest.raises(fp.InvalidInput, match="shape: expected 2 whole numbers of at least 4"):
        fp.Grid(fp.Box([0, 0], [1, 1]), shape)
