"""Interpolation between nested grids: exact on cubics, elsewhere of fourth order upwards and of sixth downwards."""

import numpy as np
import pytest

from fokkerplanck import Box, FaceField, Grid
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


@pytest.mark.parametrize("boundary", ["reflecting", "periodic"])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_face_means_are_kept(dim, boundary):
    """What crosses a coarse face is what crosses its parts, and so a field without divergence stays one."""
    coarse = Grid(Box([-1.0] * dim, [1.5] * dim, boundary=boundary), (6,) * dim)
    fine = coarse.refine()
    random = FaceField(fine, tuple(RNG.normal(size=fine.face_shape(a)) for a in range(dim)))
    down = restrict_faces(random, coarse)
    blocks = random.divergence()
    for axis in range(dim):
        blocks = 0.5 * (np.take(blocks, range(0, 12, 2), axis) + np.take(blocks, range(1, 12, 2), axis))
    if boundary == "reflecting":  # a periodic field would have to store its first face again as its last
        np.testing.assert_allclose(down.divergence(), blocks, atol=1e-12)


def wave(x):
    return np.sin(x[0]) * np.cos(x[1] + 0.3)


def test_orders_round_a_torus():
    errors = []
    for n in (16, 32):
        grid = Grid(Box([0, 0], [2 * np.pi] * 2, boundary="periodic"), (n, n))
        exact = wave(grid.refine().cell_points())
        errors.append(
            [
                np.abs(prolong(wave(grid.cell_points()), grid) - exact).max(),
                np.abs(restrict_cells(exact, grid.refine()) - wave(grid.cell_points())).max(),
            ]
        )
    order = np.log2(np.divide(*errors))
    assert np.all(np.abs(order - [4.0, 6.0]) < 0.2), order


def test_linear_interpolation_would_fail():
    """Negative control: the band above rejects a second-order rule."""
    errors = []
    for n in (16, 32):
        grid = Grid(Box([0, 0], [2 * np.pi] * 2, boundary="periodic"), (n, n))
        cells = wave(grid.cell_points())
        errors.append(np.abs(0.5 * (cells + np.roll(cells, 1, 0)) - wave(grid.face_points(0))[:-1]).max())
    assert np.log2(errors[0] / errors[1]) < 2.2
