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


def test_two_solutions_are_apart_by_what_their_exact_densities_are() -> None:
    process = fp.DiffusionProcess(lambda w: -w, lambda w: 0.1 * (1 + 2 * w[None] ** 2), dim=1)
    settings = {"shape": (512,), "maps": fp.Sinh(scale=0.3)}
    ito, isothermal = (
        fp.solve_stationary(process.interpreted(convention), fp.Box([-30.0], [30.0]), **settings)
        for convention in ("ito", "isothermal")
    )
    powers = [fp.total_variation(ito, lambda w, m=m: -m * np.log1p(2 * w[0] ** 2)).value for m in (3.5, 2.5)]
    apart = fp.total_variation(ito, isothermal)
    assert powers[0] < 1e-8
    assert apart.value == pytest.approx(powers[1], abs=1e-8)  # both solved to 1e-9
    assert apart.error < 0.05 * apart.value
    assert fp.total_variation(ito, ito).zero
    backwards = fp.total_variation(isothermal, ito)
    assert (backwards.value, backwards.error) == (apart.value, apart.error)


@pytest.mark.parametrize("change", [{"shape": (32,)}, {"maps": fp.Sinh(scale=1.0)}, {"box": fp.Box([-6.0], [7.0])}])
def test_solutions_on_other_grids_are_refused(change) -> None:
    process, settings = fp.DiffusionProcess(lambda x: -x, 0.5, dim=1), {"box": fp.Box([-6.0], [6.0]), "shape": (64,)}
    first = fp.solve_stationary(process, **settings)
    with pytest.raises(
        fp.InvalidInput, match=r"expected a solution on the same grids, .* Solve both with the same box"
    ):
        fp.total_variation(first, fp.solve_stationary(process, **settings | change))
