"""The work of a force along chains: entropy production where there is some, nothing where it is a gradient."""

from dataclasses import replace

import calibration
import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

import fokkerplanck as fp
from fokkerplanck.directed import GRADIENT, _along_lines, _turning


@pytest.fixture(scope="module")
def cancer():
    case = fp.cases.get("breast-cancer")
    sol = fp.solve_stationary(case.process, case.box, shape=(64, 64))
    return case.sgd, sol, case.sgd.simulate(grid=sol.grid, chains=512, steps=4000, rng=2028, progress=False)


def test_work_of_the_force_is_entropy_production(cancer):
    sgd, sol, run = cancer
    test = fp.directed_test(run, sol)
    assert test.p_value < 1e-10
    assert test.predicted == pytest.approx(fp.detailed_balance(sol).entropy_production, rel=1e-9)
    assert test.entropy_production.value == pytest.approx(
        1.1 * test.predicted, rel=0.1
    )  # η = 0.5: 12 % measured in long runs
    assert test.remarks == ()
    assert f"the diffusion limit produces {test.predicted:.4g}" in test.sentence
    by_process = fp.directed_test(run, fp.force(sgd.process(), sol.grid))
    assert by_process.entropy_production.value == pytest.approx(test.entropy_production.value, rel=1e-9)
    assert by_process.predicted is None


def test_work_is_linear_and_blind_to_gradients(cancer):
    """∫(f + ∇χ)·dx differs from ∫f·dx by the difference of χ at the ends of the chains only."""
    sgd, _, run = cancer
    centre, spread = sgd.model.minimum, np.sqrt(np.diag(sgd.covariance()))

    def scaled(x):
        return (x - centre.reshape(-1, *[1] * (x.ndim - 1))) / spread.reshape(-1, *[1] * (x.ndim - 1))

    def swirl(x):
        u = scaled(x)
        return np.stack([-u[1] / spread[0], u[0] / spread[1]])

    def gradient(x):  # of sin u₀ cos u₁, which no axis splits
        u = scaled(x)
        return np.stack([np.cos(u[0]) * np.cos(u[1]) / spread[0], -np.sin(u[0]) * np.sin(u[1]) / spread[1]])

    turned, both = fp.directed_test(run, swirl), fp.directed_test(run, lambda x: swirl(x) + gradient(x))
    assert turned.p_value < 1e-10
    time = run.steps * run.learning_rate
    # χ changes by at most 2 along a chain; the line integrals are off by 1e-4 of f at each crossing
    assert both.entropy_production.value == pytest.approx(turned.entropy_production.value, abs=2.0 / time)
    # A linear swirl works as it sweeps area: ∮(−u₁, u₀)·du is twice the area in units of the spreads.
    area = 2.0 * run.circulation[0, 1] / spread.prod()
    assert turned.entropy_production.value == pytest.approx(area, abs=2.0 * run.circulation_error[0, 1] / spread.prod())
    alone = fp.directed_test(run, gradient)
    assert abs(alone.entropy_production.value) < 2.0 / time
    assert any("The force is a gradient" in remark and "says nothing" in remark for remark in alone.remarks)
    assert (
        _turning(run, _along_lines(run.grid, gradient)) < GRADIENT < 1e-2 < _turning(run, _along_lines(run.grid, swirl))
    )


def test_vortices_that_cancel_are_seen():
    """Chains whose area vanishes by mirror symmetry and whose work along an odd field does not."""
    sgd = calibration.mirrored(2)
    sol = fp.solve_stationary(sgd.process(), sgd.box(), shape=(64, 64))
    run = sgd.simulate(grid=sol.grid, chains=1024, steps=4000, rng=51, progress=False)
    area, work = fp.area_test(run, predicted=sol), fp.directed_test(run, sol)
    assert area.p_value > 1e-3
    assert any("blind" in remark for remark in area.remarks)
    assert work.p_value < 1e-6


def test_size_of_the_directed_test():
    """100 experiments reject at 5 % as often as binomial scatter (3.5 standard errors) lets them."""
    size = float(calibration.directed(100, 52)[0][1])
    assert size == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / 100))


def test_linear_force_works_on_areas(cancer):
    """The same chains, by their areas and by their crossings: the two differ by what a linear force misses, a few per cent."""
    sgd, sol, run = cancer
    by_areas, by_faces = fp.directed_test(run, sgd), fp.directed_test(run, sol)
    assert by_areas.predicted == pytest.approx(by_faces.predicted, rel=0.05)
    assert by_areas.entropy_production.value == pytest.approx(by_faces.entropy_production.value, rel=0.1)
    assert "Student's t over 512 chains, one-sided" in by_areas.sentence
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])  # f = (−y, x) works twice the area
    assert fp.directed_test(run, quarter).entropy_production.value == pytest.approx(
        2 * run.circulation[0, 1], rel=1e-12
    )
    with pytest.raises(fp.InvalidInput, match="force: expected a matrix that is not symmetric"):
        fp.directed_test(run, np.eye(2))
    with pytest.raises(fp.InvalidInput, match=r"force: expected a matrix of shape \(2, 2\), got \(3, 3\)"):
        fp.directed_test(run, np.eye(3))


def test_many_parameters():
    """Thirty parameters have 435 areas, more than there are chains; the work of a linear force is one number."""
    d, eta, chains = 30, 0.1, 64
    rng = np.random.default_rng(55)
    turn = 0.3 * np.triu(rng.normal(size=(d, d)), 1)
    drift = -np.eye(d) + (turn - turn.T) / np.sqrt(d)
    theta = np.zeros((chains, 401, d))
    for k in range(400):
        theta[:, k + 1] = theta[:, k] + eta * theta[:, k] @ drift.T + np.sqrt(2 * eta) * rng.normal(size=(chains, d))
    areas = fp.swept_areas(theta[:, 100:], time_step=eta)
    with pytest.raises(fp.InvalidInput, match="expected more than 439 independent replicates for 435 areas, got 64"):
        fp.area_test(areas)
    test = fp.directed_test(areas, drift)  # D = 1
    step = np.eye(d) + eta * drift
    S = solve_discrete_lyapunov(step, 2 * eta * np.eye(d))
    exact = 0.5 * np.trace((drift - drift.T).T @ drift @ S)  # ⟨f·v⟩ less that of the gradient
    assert test.p_value < 1e-10
    assert test.entropy_production.value == pytest.approx(exact, abs=4 * test.error)


def test_fields_on_faces(cancer):
    _, sol, run = cancer
    field = fp.FaceField.from_function(sol.grid, lambda x: np.stack([-x[1], x[0]]))
    by_faces, by_function = fp.directed_test(run, field), fp.directed_test(run, lambda x: np.stack([-x[1], x[0]]))
    assert by_faces.entropy_production.value == pytest.approx(by_function.entropy_production.value, rel=1e-9)


def test_remarks_on_the_run(cancer):
    sgd, sol, run = cancer
    far = replace(run, outside_samples=run.group_samples // 100)
    assert any("0.01 of the samples lie outside the grid" in remark for remark in fp.directed_test(far, sol).remarks)
    young = sgd.simulate(grid=sol.grid, chains=512, steps=20, burn_in=0, rng=53, progress=False)
    assert any("still settling" in remark for remark in fp.directed_test(young, sol).remarks)


def test_refused(cancer):
    _, sol, run = cancer
    with pytest.raises(fp.InvalidInput, match="run: expected a Run with the crossings of its grid, got Areas"):
        fp.directed_test(fp.swept_areas(np.random.default_rng(54).normal(size=(8, 9, 2)), time_step=0.1), sol)
    with pytest.raises(fp.InvalidInput, match="force: expected one on the grid of the run"):
        fp.directed_test(run, sol.coarser[0])
    with pytest.raises(fp.InvalidInput, match="force: expected a solution with an invertible diffusion tensor"):
        fp.directed_test(run, replace(sol, force=None))
    with pytest.raises(fp.InvalidInput, match="force: expected a field on the grid of the run"):
        fp.directed_test(run, fp.FaceField.from_function(fp.Grid(sol.grid.box, (8, 8)), lambda x: x))
    with pytest.raises(fp.InvalidInput, match=r"force: expected values of shape \(2, 64, 64\), got \(64, 64\)"):
        fp.directed_test(run, lambda x: x[0])
    with pytest.raises(fp.InvalidInput, match="force: expected a Solution, Force, FaceField or a function, got list"):
        fp.directed_test(run, [0.0, 1.0])
    degenerate = fp.sgd.linear_regression([[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]], [1.0, 2.0, 1.0], l2=0.1)
    with pytest.raises(fp.InvalidInput, match="force: expected noise along every direction at the minimum"):
        fp.directed_test(run, fp.sgd.SGD(degenerate, learning_rate=0.1, batch_size=1))
    data = np.random.default_rng(54).normal(size=(60, 1))
    line = fp.sgd.SGD(fp.sgd.linear_regression(data, data[:, 0] ** 2), learning_rate=0.1, batch_size=4)
    short = line.simulate(grid=fp.Grid(line.box(), (16,)), chains=32, steps=10, groups=16, rng=5, progress=False)
    with pytest.raises(fp.InvalidInput, match="on a line every force is a gradient"):
        fp.directed_test(short, lambda x: x)
