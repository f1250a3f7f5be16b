"""Formulas for the density: normalised on a grid, and their distance from a solution."""

import math

import numpy as np
import pytest

import fokkerplanck as fp

BOX = fp.Box([-5.5, -5.5], [5.5, 5.5])


@pytest.mark.parametrize("maps", [None, fp.Sinh(scale=0.5)])
def test_a_formula_is_normalised_on_the_grid(maps) -> None:
    grid = fp.Grid(BOX, (48, 64), maps=maps)
    density = grid.normalised(lambda x: 700.0 - 0.5 * (x**2).sum(axis=0))  # e^700 overflows in sums
    assert density.shape == grid.shape
    assert (density * grid.cell_volumes).sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(
        density, np.exp(-0.5 * (grid.cell_points() ** 2).sum(axis=0)) / (2 * math.pi), rtol=3e-6
    )  # the box cuts 8e-8, and stretched sums are off by 1e-6


def test_no_probability_is_minus_infinity() -> None:
    grid = fp.Grid(fp.Box([-1.0], [1.0]), (8,))
    density = grid.normalised(lambda x: np.where(x[0] > 0.0, 0.0, -np.inf))
    assert density.tolist() == [0.0] * 4 + [1.0] * 4


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (lambda x: x, r"expected values of shape \(8,\) at points of shape \(1, 8\), got \(1, 8\)"),
        (lambda x: np.where(x[0] > 0.0, np.nan, 0.0), "expected a finite largest value, got nan"),
        (lambda x: np.full(x.shape[1:], np.inf), "expected a finite largest value, got inf"),
        (lambda x: np.full(x.shape[1:], -np.inf), "expected a finite largest value, got -inf"),
    ],
)
def test_formulas_that_are_no_density_are_refused(formula, message: str) -> None:
    with pytest.raises(fp.InvalidInput, match=message):
        fp.Grid(fp.Box([-1.0], [1.0]), (8,)).normalised(formula)


def test_the_exact_density_has_no_distance_and_the_loss_has() -> None:
    case = fp.cases.get("four-vortices")
    solution = fp.solve_stationary(case.process, case.box, shape=(64, 64))
    assert case.exact is not None
    exact = fp.total_variation(solution, lambda x: np.log(case.exact.density(x)))
    assert exact.zero
    assert exact.value < solution.error

    def half_loss(x):
        return -0.75 * x[0] ** 2 - 0.25 * x[1] ** 2 - 0.25 * (x[0] * x[1]) ** 2

    coarse = fp.total_variation(solution, half_loss)
    fine = fp.total_variation(fp.solve_stationary(case.process, case.box, shape=(256, 256)), half_loss)
    assert abs(coarse.value - fine.value) < coarse.error < 0.1 * fine.value  # useless if it were the value itself
    assert fine.error < coarse.error


def test_densities_apart_are_a_distance_of_one() -> None:
    solution = fp.solve_stationary(fp.DiffusionProcess(lambda x: -x, 0.01, dim=1), fp.Box([-8.0], [8.0]), shape=(512,))
    assert fp.total_variation(solution, lambda x: -50.0 * (x[0] - 6.0) ** 2).value == pytest.approx(1.0, abs=1e-12)
