"""What the driver adds to one grid: values of higher order, other methods, a box of its own, bounds on time."""

import numpy as np
import pytest

import fokkerplanck as fp


def errors(sol, density, current):
    x, volumes = sol.grid.cell_points(), sol.grid.cell_volumes
    size = lambda field: float(np.sum(np.sqrt((field**2).sum(axis=0)) * volumes))  # noqa: E731
    exact = current(x)
    return float(np.sum(np.abs(sol.density.values - density(x)) * volumes)), size(sol.current.values - exact) / size(
        exact
    )


@pytest.mark.parametrize("order", [2, 4])
def test_order_on_four_vortices(order):
    case = fp.cases.get("four-vortices")
    sols = [solve(case, n, order) for n in (64, 128)]
    table = np.array([errors(sol, case.exact.density, case.exact.current) for sol in sols])
    observed = np.log2(table[0] / table[1])
    estimates = np.array([[sol.error, sol.current_error] for sol in sols])
    assert (estimates > table).all()
    if order == 4:
        assert (estimates < 2 * table).all()
        assert ((observed > 3.5) & (observed < 4.5)).all(), observed
        assert table[0, 0] < 1e-5  # from 64² alone
        assert table[1, 0] < 5e-7
    else:
        assert (estimates[1] < 2 * table[1]).all()  # at 64² the change from 32² still counts upwinded faces
        assert ((observed > 1.9) & (observed < 2.2)).all(), observed
    for sol in sols:
        assert (sol.density.values > 0).all()
        assert abs(float(np.sum(sol.density.values * sol.grid.cell_volumes)) - 1) < 1e-12
        assert np.abs(sol.flux.divergence()).max() * sol.grid.spacing.min() < 1e-8 * sol.flux.largest()


def solve(case, n, order=4):
    box = fp.Box([-7, -7], [7, 7])  # beyond ±5.5, the case's own, is 1e-7 of the mass
    return fp.solve_stationary(case.process, box, shape=(n, n), order=order)


@pytest.mark.parametrize("friction", [0.1, 1.0, 10.0])
def test_noise_on_the_velocity_only_is_of_second_order(friction):
    """A damped oscillator: no noise across half of the faces. Upwinding them would leave 5e-3 at 1024²."""
    process = fp.DiffusionProcess(lambda x: np.stack([x[1], -x[0] - friction * x[1]]), np.diag([0.0, friction]), dim=2)
    density = lambda x: np.exp(-0.5 * (x**2).sum(axis=0)) / (2 * np.pi)  # noqa: E731
    current = lambda x: np.stack([x[1], -x[0]]) * density(x)  # noqa: E731
    box = fp.Box([-6, -6], [6, 6])
    coarse, fine = (errors(fp.solve_stationary(process, box, shape=(n, n)), density, current) for n in (64, 128))
    assert fine[0] < 1e-3
    assert fine[1] < 2e-3
    assert coarse[0] / fine[0] > 3.0
    assert coarse[1] / fine[1] > 3.0


def test_monotone_method():
    case = fp.cases.get("four-vortices")
    sol = fp.solve_stationary(case.process, case.box, shape=(64, 64), method="monotone")
    density, current = errors(sol, case.exact.density, case.exact.current)
    assert density < 2e-3  # 8.8e-4 measured, a quarter of that at 128²
    assert current < 0.1
    assert sol.diagnostics["method"] == "monotone"
    assert density < sol.error < 10 * density


def test_monotone_method_on_stretched_axes():
    process = fp.DiffusionProcess(lambda x: -x, 0.5, dim=2)
    maps = fp.Sinh(scale=1.0)
    sol = fp.solve_stationary(process, fp.Box([-6, -6], [6, 6]), shape=(64, 64), maps=maps, method="monotone")
    exact = np.exp(-(sol.grid.cell_points() ** 2).sum(axis=0)) / np.pi
    assert (
        np.sum(np.abs(sol.density.values - exact) * sol.grid.cell_volumes) < 5e-3
    )  # second order: 16 cells to a deviation
    assert np.sum(sol.density.values * sol.grid.cell_volumes) == pytest.approx(1.0, abs=1e-12)


def test_fipy_method():
    process = fp.DiffusionProcess(lambda x: -x, 0.5, dim=1)
    sol = fp.solve_stationary(process, fp.Box([-4], [4]), shape=(128,), method="fipy")
    exact = np.exp(-(sol.grid.centers(0) ** 2)) / np.sqrt(np.pi)
    assert np.abs(sol.density.values - exact).sum() * sol.grid.cell_volume < 1e-4
    assert sol.diagnostics["levels"][-1]["sweeps"] > 0


def test_stretched_axes_follow_a_heavy_tail():
    """p ∝ (1 + x²)⁻³ in ±200: uniform cells would need thousands."""
    process = fp.DiffusionProcess(lambda x: -6.0 * x / (1.0 + x**2), 1.0, dim=1)
    sol = fp.solve_stationary(process, fp.Box([-200], [200]), maps=fp.Sinh(scale=1.0), rtol=1e-3)
    exact = 8.0 / (3.0 * np.pi) * (1.0 + sol.grid.centers(0) ** 2) ** -3
    assert np.sum(np.abs(sol.density.values - exact) * sol.grid.cell_volumes) < 1e-3
    assert sol.grid.size <= 512


def test_a_box_is_found_and_named():
    process = fp.DiffusionProcess(lambda x: np.stack([100.0 - x[0] + x[1], -x[1] - x[0] + 100.0]), 0.5, dim=2)
    sol = fp.solve_stationary(process, rtol=1e-3)
    np.testing.assert_allclose(sol.mean, [100.0, 0.0], atol=1e-6)
    assert "standard deviations" in sol.diagnostics["box"]
    assert max(sol.diagnostics["wall_mass"].values()) < 1e-5


def test_no_time_for_another_grid():
    case = fp.cases.get("four-vortices")
    with pytest.raises(fp.NotConverged, match=r"rtol=1e-09 was not reached.*Raise max_seconds") as caught:
        fp.solve_stationary(case.process, case.box, rtol=1e-9, max_seconds=1e-3)
    assert caught.value.best.grid.shape == (16, 16)
    with pytest.raises(fp.NotConverged, match=r"\(64, 64\) cells were not reached: .*max_seconds=0.001"):
        fp.solve_stationary(case.process, case.box, shape=(64, 64), max_seconds=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "spectral"}, "method: expected one of"),
        ({"linear_solver": "umfpack"}, "linear_solver: expected one of"),
        ({"max_seconds": -1}, "max_seconds: expected a positive number"),
    ],
)
def test_unknown_options(options, message):
    process = fp.DiffusionProcess(lambda x: -x, 0.5, dim=1)
    with pytest.raises(fp.InvalidInput, match=message):
        fp.solve_stationary(process, fp.Box([-4], [4]), **options)


def test_pardiso_agrees():
    pytest.importorskip("pypardiso")
    case = fp.cases.get("four-vortices")
    direct, pardiso = (
        fp.solve_stationary(case.process, case.box, shape=(32, 32), linear_solver=name)
        for name in ("direct", "pardiso")
    )
    np.testing.assert_allclose(pardiso.density.values, direct.density.values, atol=1e-9)
