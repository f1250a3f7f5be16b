"""The area test on chains whose area is known: exact for linear ones, zero by symmetry for others."""

from dataclasses import replace

import calibration
import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov

import fokkerplanck as fp
from fokkerplanck.area import linear_circulation
from fokkerplanck.sweeps import as_areas


def turning_chain(steps, chains, seed, eta=0.1):
    """Rotating, contracting linear chains from their stationary law, shape (chains, steps + 1, 2)."""
    rng = np.random.default_rng(seed)
    step = np.eye(2) + eta * np.array([[-1.0, -1.0], [1.0, -1.0]])
    theta = np.empty((steps + 1, chains, 2))
    theta[0] = rng.normal(size=(chains, 2)) * np.sqrt(eta / (2 - 2 * eta))
    for k in range(steps):
        theta[k + 1] = theta[k] @ step.T + eta * rng.normal(size=(chains, 2))
    return np.swapaxes(theta, 0, 1)


@pytest.fixture(scope="module")
def cancer():
    """Radius and texture: area visible, solution known, and the chain at its finite learning rate."""
    case = fp.cases.get("breast-cancer")
    sol = fp.solve_stationary(case.process, case.box, shape=(64, 64))
    return case.sgd, sol, case.sgd.simulate(grid=sol.grid, chains=512, steps=2000, rng=2027, progress=False)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("noise", ["Gaussian", "skewed", "mirrored"])
def test_size(dim, noise):
    """300 experiments of 16 chains reject at 5 % as often as binomial scatter (3.5 standard errors) lets them."""
    if noise == "mirrored":
        areas = calibration.simulated(calibration.mirrored(dim), 300 * 16, 150, 31)
    else:
        law = calibration.turning(dim, 0.0, skewed=noise == "skewed")
        areas = law.areas(300 * 16, 150, np.random.default_rng(32))
    size = calibration.rejected(calibration.experiments(areas, 300))
    assert size == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / 300))


@pytest.mark.parametrize("dim", [2, 3])
def test_power_and_coverage(dim):
    """Of 300 experiments near the bound of all tests, as many find the current as can, and 95 % of intervals hold the area."""
    law, chains, produced = calibration.turning(dim), 32, 15.7
    steps = round(produced / (law.entropy_production * law.learning_rate * chains))
    rows = calibration.experiments(law.areas(300 * chains, steps, np.random.default_rng(33)), 300)
    best = calibration.best_power(produced, dim * (dim - 1) // 2, chains)
    scatter = 3.5 * np.sqrt(best * (1 - best) / 300)
    assert calibration.rejected(rows) == pytest.approx(best, abs=0.1 * best + scatter)
    exact = law.circulation[np.triu_indices(dim, 1)]
    assert calibration.rejected(rows - exact) == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / 300))


def test_linear_theory_of_the_calibration():
    """σ = (h₁ − h₂)² c₁₂² / ((h₁ + h₂) det C) as η → 0, and A grows as 1/(1 − η h₁h₂/(h₁ + h₂))."""
    law = calibration.turning(2)
    slow = replace(law, learning_rate=1e-4)
    sigma = 0.7**2 * 0.11**2 / (1.3 * (1 - 0.11**2))
    assert slow.entropy_production == pytest.approx(sigma, rel=1e-3)
    limit = 0.1 * 0.11 * 0.7 / (2 * 1.3)
    assert law.circulation[0, 1] == pytest.approx(limit / (1 - 0.1 * 0.3 / 1.3), rel=1e-12)


def test_area_of_recorded_chains_is_found():
    theta = turning_chain(600, 64, 41)
    test = fp.area_test(fp.swept_areas(theta, time_step=0.1), predicted=[[0.0, 1 / 18], [-1 / 18, 0.0]])
    assert test.p_value < 1e-10
    assert abs(test.z_predicted[0]) < 4  # ½·2·S with S = 0.01 / (1 − 0.82)
    assert "entropy production is at least" in test.sentence
    bound = test.entropy_production
    assert (
        0.0 < bound.low < bound.value < bound.high < 2.0
    )  # σ = ω²⟨r²⟩/D = 2 as η → 0: far from balance the area sees part
    assert test.steps == 64 * 600
    assert test.steps_needed == pytest.approx(15.7 / (0.1 * bound.value), rel=1e-3)
    back = fp.area_test(fp.swept_areas(theta[:, ::-1], time_step=0.1))
    assert back.measured[0] == pytest.approx(-test.measured[0], rel=1e-9)
    assert back.p_value == pytest.approx(test.p_value, rel=1e-6)


def test_one_trajectory_is_cut_into_blocks():
    theta = turning_chain(4000, 1, 42)[0]
    areas = fp.swept_areas(theta, time_step=0.1, blocks=16)
    assert areas.kind == "blocks"
    assert areas.steps == 250
    whole = fp.swept_areas(theta[None], time_step=0.1)
    assert areas.rates.mean(axis=0) == pytest.approx(whole.rates[0], abs=1e-12)  # areas add up
    test = fp.area_test(areas)
    assert test.p_value < 1e-4
    assert "16 blocks" in test.method


def test_size_of_blocks():
    """40 trajectories in balance reject at 5 % as often as binomial scatter (3.5 standard errors) lets them."""
    assert calibration.turning(2, 0.0).circulation[0, 1] == pytest.approx(0.0, abs=1e-18)
    for row in calibration.single(40, 43):
        assert float(row[-1]) <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / 40)


def test_area_of_trajectories_is_that_of_the_simulation(cancer):
    """The same chain, summed by the kernel and from its points."""
    _, _, run = cancer
    areas = as_areas(run)
    assert areas.rows.shape == (512, 1)
    assert areas.rows[:, 0].tolist() == run.chain_circulation[:, 0, 1].tolist()


def test_predictions(cancer):
    sgd, sol, run = cancer
    test = fp.area_test(run, predicted=sol, finite=sgd.chain_moments(), sgd=sgd)
    assert abs(test.z_finite[0]) < 4
    assert test.z_predicted[0] > test.z_finite[0]  # nine per cent of finite learning rate
    sigma = fp.detailed_balance(sol).entropy_production
    assert test.steps_needed == pytest.approx(15.7 / (sgd.learning_rate * sigma), rel=1e-2)
    assert test.steps_needed == pytest.approx(fp.steps_needed(sigma, time_step=sgd.learning_rate), rel=1e-2)
    assert test.remarks == ()
    linear = fp.area_test(run, sgd=sgd)
    assert linear.predicted[0] == pytest.approx(sol.circulation[0, 1], rel=0.05)
    flips = fp.area_test(run, method="sign flip", rng=44)
    assert flips.p_value == 1 / 20000
    assert "sign flips over 512 chains" in flips.sentence


def test_linear_circulation_is_that_of_the_lyapunov_equation(cancer):
    sgd, _, _ = cancer
    H, C = sgd.model.hessian(sgd.model.minimum), sgd.model.noise_covariance(sgd.model.minimum)
    D = sgd.learning_rate / (2 * sgd.batch_size) * C
    S = solve_continuous_lyapunov(H, 2 * D)
    area, sigma = linear_circulation(sgd)
    np.testing.assert_allclose(area, 0.5 * (H @ S - S @ H), rtol=1e-9)
    h, V = np.linalg.eigh(H)
    c = V.T @ C @ V
    assert sigma == pytest.approx((h[0] - h[1]) ** 2 * c[0, 1] ** 2 / (h.sum() * np.linalg.det(C)), rel=1e-9)


@pytest.mark.parametrize("nesterov", [False, True])
def test_with_momentum_the_linearised_chain_predicts_and_nothing_is_said_of_entropy(cancer, nesterov):
    plain = replace(cancer[0], learning_rate=0.1)
    sgd = replace(plain, momentum=0.8, nesterov=nesterov)
    run = sgd.simulate(chains=256, steps=2000, rng=46)
    test = fp.area_test(run, sgd=sgd)
    # the noise away from the minimum, which linearising leaves out, is worth a few per cent here
    assert abs(test.measured[0] - test.predicted[0]) < 4 * test.error[0] + 0.05 * test.predicted[0]
    assert test.predicted[0] > 4 * linear_circulation(plain)[0][0, 1]  # five times hotter
    assert test.entropy_production is None
    assert test.steps_needed is None
    assert any("No bound on the entropy production" in remark for remark in test.remarks)
    assert fp.area_test(run).entropy_production is None  # the run knows of its momentum
    assert "at least" not in fp.detailed_balance(run).reasoning


def test_chains_on_a_line_are_refused():
    """A deep linear net ends on w1 = w2, where areas are round-off and nothing can circulate."""
    x = np.random.default_rng(48).normal(size=60)
    sgd = fp.sgd.SGD(fp.sgd.deep_linear(x, 2 * x + x**2, l2=0.05), learning_rate=0.05, batch_size=4)
    run = sgd.simulate(chains=64, steps=300, rng=49)
    line = np.random.default_rng(50).normal(size=(64, 300, 1)) * [1.0, 2.0]
    for test in (
        lambda: fp.area_test(run),
        lambda: fp.detailed_balance(run),
        lambda: fp.area_test(fp.swept_areas(line, time_step=0.1)),
        lambda: fp.swept_areas(line * [1.0, 0.0], time_step=0.1),
    ):
        with pytest.raises(
            fp.InvalidInput, match=r"they keep to a line or plane, and what area they sweep is round-off"
        ):
            test()
    with pytest.raises(fp.InvalidInput, match=r"chain_moments: expected a law with a density in the plane"):
        sgd.chain_moments()


def test_epochs_have_no_prediction_and_that_is_said(cancer):
    sgd = replace(cancer[0], sampling="epoch")
    test = fp.area_test(sgd.simulate(chains=64, steps=200, rng=47), sgd=sgd)
    assert test.predicted is None
    assert any("No prediction: sampling='epoch'" in remark for remark in test.remarks)


def test_noise_without_a_direction_has_an_area_and_no_entropy_production():
    """All samples along one line: D of rank one. The area of the Lyapunov equation stays."""
    x = np.outer([1.0, -2.0, 0.5, 3.0], [1.0, 2.0])
    sgd = fp.sgd.SGD(fp.sgd.linear_regression(x, [1.0, 0.0, 2.0, -1.0], l2=0.3), learning_rate=0.01, batch_size=1)
    area, sigma = linear_circulation(sgd)
    assert sigma is None
    assert abs(area[0, 1]) < 1e-12 * np.abs(sgd.covariance()).max()  # noise along an eigenvector of H turns nothing


def test_short_burn_in_is_remarked(cancer):
    sgd, sol, _ = cancer
    run = sgd.simulate(grid=sol.grid, chains=512, steps=20, burn_in=0, rng=45, progress=False)
    test = fp.area_test(run, sgd=sgd)
    assert any("burn-in of 0 steps is 0 relaxation times" in remark for remark in test.remarks)
    assert any("still settling" in remark for remark in test.remarks)  # seen in the chains themselves: all start at θ*
    assert test.drift < 1e-10
    assert "Lengthen the burn-in" in str(test)
    assert fp.detailed_balance(run).verdict == "undecided"


def test_a_blind_area_is_remarked(cancer):
    """A prediction without area from a solution that produces entropy: vortices that cancel."""
    _, sol, run = cancer
    assert not any("blind" in remark for remark in fp.area_test(run, predicted=sol).remarks)
    vortices = fp.cases.get("four-vortices")
    four = fp.solve_stationary(vortices.process, vortices.box, shape=(64, 64))
    test = fp.area_test(run, predicted=four)
    assert any("blind" in remark and "directed_test" in remark for remark in test.remarks)


def test_an_area_made_by_steps_is_remarked(cancer):
    sgd, sol, run = cancer
    test = fp.area_test(run, predicted=0.3 * sol.circulation, finite=sgd.chain_moments())
    assert any("finite learning rate makes most of the area" in remark for remark in test.remarks)


def test_extrapolation_removes_the_first_order():
    """Linear regression: A(η) at fixed η/B against the limit; 2A(η/2) − A(η) is left with the second order."""
    case = fp.cases.get("diabetes")
    model = case.sgd.model
    grid = fp.Grid(case.box, (16, 16))
    coarse = fp.sgd.SGD(model, learning_rate=0.6, batch_size=8)
    fine = fp.sgd.SGD(model, learning_rate=0.3, batch_size=4)
    exact = [s.chain_moments().circulation[0, 1] for s in (coarse, fine)]
    run = coarse.simulate(grid=grid, chains=1024, steps=500, rng=46, progress=False)
    half = fine.simulate(grid=grid, chains=1024, steps=1000, rng=47, progress=False)
    areas = fp.extrapolated_areas(run, half)
    test = fp.area_test(areas, predicted=coarse.chain_moments())
    assert test.measured[0] == pytest.approx(2 * exact[1] - exact[0], abs=4 * test.error[0])
    assert test.entropy_production is None  # no chain has these areas
    assert test.steps_needed is None
    assert "1024 pairs of chains" in test.sentence
    with pytest.raises(
        fp.InvalidInput, match=r"half: expected the same parameters, data and momentum, η = 0.3 and B = 4"
    ):
        fp.extrapolated_areas(run, run)
    with pytest.raises(fp.InvalidInput, match="expected as many chains as the other run, 1024, got 512"):
        fp.extrapolated_areas(run, replace(half, start=half.start[:512]))
    with pytest.raises(fp.InvalidInput, match="sampling: expected with replacement in both"):
        fp.extrapolated_areas(run, replace(half, sampling="without_replacement"))
    noisier = replace(half, origin={**half.origin, "label_noise": 0.5})
    with pytest.raises(
        fp.InvalidInput, match=r"half: expected the same label noise as of the other run, 0\.0, got 0\.5"
    ):
        fp.extrapolated_areas(run, noisier)


@pytest.mark.parametrize(("dim", "delta"), [(2, 15.70), (3, 21.80)])
def test_steps_needed(dim, delta):
    assert fp.steps_needed(0.5, time_step=0.1, dim=dim) == pytest.approx(delta / 0.05, rel=1e-3)
    with pytest.raises(fp.InvalidInput, match="expected a positive entropy production"):
        fp.steps_needed(0.0, time_step=0.1)


def test_refused():
    theta = turning_chain(50, 7, 48)
    areas = fp.swept_areas(theta, time_step=0.1)
    with pytest.raises(
        fp.InvalidInput, match=r"expected a Run or Areas, got ndarray\. Trajectories become areas by swept_areas"
    ):
        fp.area_test(theta)
    with pytest.raises(fp.InvalidInput, match=r"method: expected one of \('t', 'sign flip'\), got 'z'"):
        fp.area_test(areas, method="z")
    with pytest.raises(fp.InvalidInput, match="level: expected a probability"):
        fp.area_test(areas, level=5)
    with pytest.raises(fp.InvalidInput, match="expected at least 2 parameters, got 1"):
        fp.area_test(fp.swept_areas(theta[..., :1], time_step=0.1))
    three = np.concatenate([theta, theta[:, ::-1, :1]], axis=2)
    with pytest.raises(fp.InvalidInput, match="expected more than 7 independent replicates for 3 areas, got 7"):
        fp.area_test(fp.swept_areas(three, time_step=0.1))
    with pytest.raises(fp.InvalidInput, match=r"predicted: expected an area rate of shape \(2, 2\), got \(3, 3\)"):
        fp.area_test(areas, predicted=np.zeros((3, 3)))
    with pytest.raises(fp.InvalidInput, match="trajectory: expected shape"):
        fp.swept_areas(theta[0, 0], time_step=0.1)
    with pytest.raises(fp.InvalidInput, match="trajectory: expected finite numbers"):
        fp.swept_areas(np.where(theta > 0.1, np.nan, theta), time_step=0.1)
    with pytest.raises(fp.InvalidInput, match="time_step: expected a positive number"):
        fp.swept_areas(theta, time_step=0.0)
    with pytest.raises(fp.InvalidInput, match="blocks: expected at least 2 steps in each, got 40 for 50 steps"):
        fp.swept_areas(theta[0], time_step=0.1, blocks=40)
    with pytest.raises(fp.InvalidInput, match="names: expected 2, one per parameter"):
        fp.swept_areas(theta, time_step=0.1, names=("a",))
