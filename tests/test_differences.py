"""Interpolation, slopes and means: exact on polynomials up to walls, of their order on waves."""

import numpy as np
import pytest

from fokkerplanck import Box, FaceField, Grid, Sinh
from fokkerplanck.differences import face_slopes, slopes, to_centers, to_faces, to_means, to_points

N = 12
CENTERS, EDGES = np.arange(N) + 0.5, np.arange(N + 1.0)
COEFFICIENTS = np.random.default_rng(17).normal(size=6) / 10.0 ** np.arange(6)


@pytest.mark.parametrize("order", [4, 6])
def test_polynomials_are_exact_up_to_the_walls(order):
    p = np.polynomial.Polynomial(COEFFICIENTS[:order])
    area = p.integ()
    means = area(EDGES[1:]) - area(EDGES[:-1])
    near = {"rtol": 1e-11, "atol": 1e-11}  # weights add up to some tens of values of order one
    np.testing.assert_allclose(to_faces(p(CENTERS), 0, False, order), p(EDGES), **near)
    np.testing.assert_allclose(to_centers(p(EDGES), 0, False, order), p(CENTERS), **near)
    np.testing.assert_allclose(to_means(p(CENTERS), 0, False, order), means, **near)
    np.testing.assert_allclose(to_points(means, 0, False, order), p(CENTERS), **near)
    np.testing.assert_allclose(face_slopes(p(CENTERS), 0, False, order), p.deriv()(EDGES), **near)
    np.testing.assert_allclose(slopes(p(CENTERS), 0, False, order), p.deriv()(CENTERS), **near)
    np.testing.assert_allclose(slopes(p(EDGES)), p.deriv()(EDGES), rtol=1e-9)


@pytest.mark.parametrize("order", [4, 6])
def test_order_round_a_ring(order):
    errors = []
    for n in (16, 32):
        h = 2 * np.pi / n
        centers, edges = h * (np.arange(n) + 0.5), h * np.arange(n + 1)
        means = np.sin(centers + 0.3) * np.sin(h / 2) / (h / 2)
        errors.append(
            [
                np.abs(to_centers(np.sin(edges), 0, True, order) - np.sin(centers)).max(),
                np.abs(to_faces(np.sin(centers), 0, True, order) - np.sin(edges)).max(),
                np.abs(to_means(np.sin(centers + 0.3), 0, True, order) - means).max(),
                np.abs(to_points(means, 0, True, order) - np.sin(centers + 0.3)).max(),
            ]
        )
    observed = np.log2(np.divide(*errors))
    assert np.all((observed > order - 0.2) & (observed < order + 0.2)), observed


@pytest.mark.parametrize("maps", [None, Sinh(scale=1.0)])
def test_vectors_at_centres_from_means_over_faces_are_of_sixth_order(maps):
    """∫cos y dy over a face is known; on a stretched axis a mean over ξ would be of second order."""
    errors = []
    for n in (24, 48):
        grid = Grid(Box([-2, -1], [2, 2]), (n, n), maps=maps)
        low, high = grid.edges(1)[:-1], grid.edges(1)[1:]
        means = np.sin(grid.edges(0))[:, None] * (np.sin(high) - np.sin(low)) / (high - low)
        field = FaceField(grid, (means, np.zeros(grid.face_shape(1))))
        x = grid.cell_points()
        errors.append(np.abs(field.centered()[0] - np.sin(x[0]) * np.cos(x[1])).max())
    assert (
        5.0 < np.log2(errors[0] / errors[1]) < 8.0
    )  # more than 6 where the wall rows, of higher order, still dominate
