"""Interpolation between nested grids: exact on cubics, fourth order elsewhere."""

import numpy as np
import pytest

from fokkerplanck import Box, FaceField, Grid
from fokkerplanck.operators import to_centers, to_faces
from fokkerplanck.solvers.transfer import prolong, restrict_cells, restrict_faces

RNG = np.random.default_rng(17)


def cubic(x):
    """A polynomial of degree three in every variable."""
    out = np.ones(x.shape[1:])
    for axis in range(x.shape[0]):
        out = out * np.polynomial.polynomial.polyval(x[axis], COEFFICIENTS[axis])
    return out


COEFFICIENTS = RNG.normal(size=(3, 4))


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_cubics_are_exact_between_walls(dim):
    coarse = Grid(Box([-1.0] * dim, [1.5] * dim), (6,) * dim)
    fine = coarse.refine()
    np.testing.assert_allclose(prolong(cubic(coarse.cell_points()), coarse), cubic(fine.cell_points()), atol=1e-12)
    np.testing.assert_allclose(restrict_cells(cubic(fine.cell_points()), fine), cubic(coarse.cell_points()), atol=1e-12)
    faces = FaceField(fine, tuple(cubic(fine.face_points(a)) for a in range(dim)))
    for a, component in enumerate(restrict_faces(faces, coarse).components):
        np.testing.assert_allclose(component, cubic(coarse.face_points(a)), atol=1e-12)


def wave(x):
    return np.sin(x[0]) * np.cos(x[1] + 0.3)


def test_fourth_order_round_a_torus():
    errors = []
    for n in (16, 32):
        grid = Grid(Box([0, 0], [2 * np.pi] * 2, boundary="periodic"), (n, n))
        exact = wave(grid.refine().cell_points())
        errors.append(
            [
                np.abs(prolong(wave(grid.cell_points()), grid) - exact).max(),
                np.abs(restrict_cells(exact, grid.refine()) - wave(grid.cell_points())).max(),
                np.abs(to_centers(wave(grid.face_points(0)), 0, True) - wave(grid.cell_points())).max(),
                np.abs(to_faces(wave(grid.cell_points()), 1, True) - wave(grid.face_points(1))).max(),
            ]
        )
    order = np.log2(np.divide(*errors))
    assert np.all((order > 3.8) & (order < 4.2)), order


def test_linear_interpolation_would_fail():
    """Negative control: the band above rejects a second-order rule."""
    errors = []
    for n in (16, 32):
        grid = Grid(Box([0, 0], [2 * np.pi] * 2, boundary="periodic"), (n, n))
        cells = wave(grid.cell_points())
        errors.append(np.abs(0.5 * (cells + np.roll(cells, 1, 0)) - wave(grid.face_points(0))[:-1]).max())
    assert np.log2(errors[0] / errors[1]) < 2.2
