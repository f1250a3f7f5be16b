"""The transfer operator against closed forms, enumerated minibatches, moments without a grid, and simulation."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

import fokkerplanck as fp
from fokkerplanck import sgd
from fokkerplanck.compare import total_variation
from fokkerplanck.solvers.hermite import chain_moments
from fokkerplanck.solvers.transfer_operator import gaussian_steps, transfer_operator

TABLES = Path(fp.__file__).parent / "cases" / "data"
EXACT = 1e-11  # moments that close: round-off of the linear solve, and probability 1e-13 beyond seven deviations
H = np.array([[1.0, 0.3], [0.3, 0.5]])
X = np.array([[1.0, 0.3], [-0.5, 1.0], [0.7, -0.8], [-1.1, -0.4]])
Y = np.array([0.5, -1.0, 0.3, 0.9])


def rotating() -> fp.DiffusionProcess:
    return fp.DiffusionProcess(lambda x: -np.einsum("ij,j...->i...", H, x), np.diag([0.2, 1.0]), dim=2)


def logistic() -> sgd.LossModel:
    data = sgd.read_csv(TABLES / "breast_cancer.csv", target="target", features=["mean_radius", "mean_texture"])
    return sgd.logistic_regression(data.standardised().X, data.y, l2=0.1)


def test_a_biased_coin_in_a_linear_well_has_its_cumulants_and_relaxation_times():
    # θ' = (1 − a)θ + ξ: every cumulant is that of ξ over 1 − (1 − a)^k
    a, jumps, weights = 0.2, np.array([-0.2, 0.6]), np.array([0.75, 0.25])
    chain = transfer_operator(
        lambda theta: (-a * theta + jumps[:, None, None], weights), mean=[0.1], covariance=[[0.5]], time_step=a
    )
    variance, third = weights @ jumps**2, weights @ jumps**3
    variance, third = variance / (1 - (1 - a) ** 2), third / (1 - (1 - a) ** 3)
    np.testing.assert_allclose(chain.moments.mean, 0.0, atol=EXACT)
    np.testing.assert_allclose(chain.moments.covariance, variance, rtol=EXACT)
    np.testing.assert_allclose(chain.moments.skewness, third / variance**1.5, rtol=1e-9)
    np.testing.assert_allclose(chain.relaxation_times[:3], -a / np.log(1 - a) / [1, 2, 3], rtol=1e-8)
    np.testing.assert_allclose(chain.matrix.sum(axis=1), 1.0, atol=1e-13)
    np.testing.assert_allclose(chain.probability.sum(), 1.0, rtol=1e-13)
    assert chain.moments.error is not None
    assert chain.moments.error.covariance[0, 0] < EXACT
    # A law of two atoms has kurtosis that cubics cannot carry: the estimate must say so
    exact = (weights @ jumps**4 - 3 * (weights @ jumps**2) ** 2) / (1 - (1 - a) ** 4) / variance**2
    assert abs(chain.moments.excess_kurtosis[0] - exact) < chain.moments.error.excess_kurtosis[0]


def test_least_squares_with_batches_of_one_has_the_moments_of_its_linear_recursion():
    data = sgd.read_csv(TABLES / "diabetes.csv", target="target", features=["bmi"]).standardised(target=True)
    model, eta = sgd.linear_regression(data.X, data.y), 0.1
    x, residual = data.X[:, 0], data.y - data.X[:, 0] * model.minimum[0]
    factor, push = 1 - eta * x**2, eta * x * residual
    variance = np.mean(push**2) / (1 - np.mean(factor**2))
    third = (np.mean(push**3) + 3 * np.mean(factor**2 * push) * variance) / (1 - np.mean(factor**3))
    chain = sgd.transfer_operator(sgd.SGD(model, learning_rate=eta, batch_size=1))
    np.testing.assert_allclose(
        chain.moments.covariance[0, 0], variance, rtol=1e-9
    )  # what steps beyond the grid would add
    np.testing.assert_allclose(chain.moments.skewness[0], third / variance**1.5, rtol=1e-7)
    np.testing.assert_allclose(third / variance**1.5, -0.24480, atol=5e-6)
    wide = sgd.transfer_operator(sgd.SGD(model, learning_rate=eta, batch_size=1), widths=9.0)
    np.testing.assert_allclose(wide.moments.covariance[0, 0], variance, rtol=1e-12)


def test_normal_steps_in_the_plane_have_the_covariance_and_area_of_their_recursion():
    step = 0.2
    chain = transfer_operator(
        gaussian_steps(rotating(), step), mean=[0, 0], covariance=np.diag([0.3, 1.5]), time_step=step, nodes=65
    )
    move = np.eye(2) - step * H
    S = solve_discrete_lyapunov(move, 2 * step * np.diag([0.2, 1.0]))
    np.testing.assert_allclose(chain.moments.covariance, S, rtol=1e-8)
    np.testing.assert_allclose(chain.moments.circulation, 0.5 * (H @ S - S @ H), atol=1e-8)
    slow = -step / np.log(np.sort(np.linalg.eigvalsh(move))[::-1])
    np.testing.assert_allclose(chain.relaxation_times[0], slow[0], rtol=1e-6)
    # J: its moment is the area, it has no divergence, and it tends to that of the diffusion, −(H − D S⁻¹)x p
    x, J = chain.points, chain.current
    area = 0.5 * (x[0] * J[1] - x[1] * J[0]).sum() * chain.grid.volume
    np.testing.assert_allclose(area, chain.moments.circulation[0, 1], rtol=1e-8)
    test = np.stack([np.cos(x[0]) * np.sin(x[1]), np.sin(x[0]) * np.cos(x[1])])  # a gradient
    assert abs((J * test).sum()) < 1e-3 * np.abs(J * test).sum()
    p = np.exp(-0.5 * np.einsum("i...,ij,j...->...", x, np.linalg.inv(S), x)) / np.sqrt(np.linalg.det(2 * np.pi * S))
    assert 0.5 * np.abs(chain.density - p).sum() * chain.grid.volume < 2e-3  # gaps between the points of the quadrature
    turn = H - 0.5 * (H @ S + S @ H) @ np.linalg.inv(S)
    limit = -np.einsum("ij,j...->i...", turn, x) * p
    assert np.abs(J - limit).sum() < 2 * step * np.abs(limit).sum()


def test_the_current_of_a_reversible_chain_is_none():
    process = fp.DiffusionProcess(lambda x: -x * np.array([1.0, 0.3])[:, None], np.diag([1.0, 2.0]), dim=2)
    chain = transfer_operator(gaussian_steps(process, 0.1), mean=[0, 0], covariance=np.diag([1, 6]), nodes=49)
    drift = np.abs(chain.points * np.array([1.0, 0.3])[:, None, None] * chain.density).sum()
    assert np.abs(chain.current).sum() < 1e-4 * drift  # an antisymmetric estimate of something that vanishes


def test_noise_that_acts_on_one_coordinate_only():
    drift = np.array([[0.0, 1.0], [-1.0, -1.0]])
    process = fp.DiffusionProcess(lambda x: np.einsum("ij,j...->i...", drift, x), np.diag([0.0, 1.0]), dim=2)
    chain = transfer_operator(gaussian_steps(process, 0.1), mean=[0, 0], covariance=np.eye(2), time_step=0.1, nodes=49)
    S = solve_discrete_lyapunov(np.eye(2) + 0.1 * drift, np.diag([0.0, 0.2]))
    np.testing.assert_allclose(chain.moments.covariance, S, atol=1e-7)
    assert chain.eigenvalues[1].imag != 0.0  # an oscillation


@pytest.mark.parametrize("columns", [1, 2])
def test_a_minibatch_of_three_is_the_sum_of_three_samples(columns):
    # the same chain with all 4³ batches enumerated: powers of the Fourier transform change nothing
    model, eta = sgd.linear_regression(X[:, :columns], Y, l2=0.3), 0.4
    descent = sgd.SGD(model, learning_rate=eta, batch_size=3)
    batches = list(product(range(4), repeat=3))

    def every(theta):
        g = model.sample_gradients(theta)
        return -eta * np.stack([g[list(batch)].mean(axis=0) for batch in batches]), np.full(64, 1 / 64)

    options = {"mean": model.minimum, "covariance": descent.covariance(), "time_step": eta, "nodes": 49}
    enumerated, powers = transfer_operator(every, **options), sgd.transfer_operator(descent, nodes=49)
    np.testing.assert_allclose(powers.moments.covariance, enumerated.moments.covariance, atol=1e-9)
    np.testing.assert_allclose(powers.moments.skewness, enumerated.moments.skewness, atol=1e-7)
    np.testing.assert_allclose(powers.moments.circulation, enumerated.moments.circulation, atol=1e-9)
    # atoms are shared out three times as often: densities differ by the width of that
    assert 0.5 * np.abs(powers.probability - enumerated.probability).sum() < 0.01


def test_third_moments_of_batches_drawn_without_replacement():
    rng = np.random.default_rng(91)
    features = rng.normal(size=(12, 2))
    model = sgd.linear_regression(features, features @ [1.0, -1.0] + rng.exponential(size=12), l2=0.2)
    descent = sgd.SGD(model, learning_rate=0.2, batch_size=3, sampling="without_replacement")
    chain, exact = sgd.transfer_operator(descent, nodes=65), descent.chain_moments()
    np.testing.assert_allclose(chain.moments.covariance, exact.covariance, rtol=1e-5)  # tails beyond the grid
    np.testing.assert_allclose(chain.moments.skewness, exact.skewness, atol=1e-4)
    assert np.abs(exact.skewness).max() > 0.1


def test_normal_noise_is_that_of_the_oracle_with_normal_noise():
    model = logistic()
    descent = sgd.SGD(model, learning_rate=0.5, batch_size=8)
    chain = sgd.transfer_operator(descent, noise="gaussian", nodes=65)
    exact = chain_moments(
        model.sample_gradients, mean=model.minimum, covariance=descent.covariance(), learning_rate=0.5, batch_size=8,
        noise="gaussian",
    )  # fmt: skip
    assert chain.moments.error is not None
    for name in ("mean", "covariance", "circulation", "skewness"):
        gap = np.abs(getattr(chain.moments, name) - getattr(exact, name)).max()
        assert gap < getattr(chain.moments.error, name).max()


def test_the_law_of_sgd_where_the_diffusion_limit_fails():
    descent = sgd.SGD(logistic(), learning_rate=0.25, batch_size=1)
    exact, normal = (sgd.transfer_operator(descent, noise=noise, nodes=65) for noise in ("minibatch", "gaussian"))
    width = 6 * np.sqrt(np.diag(exact.moments.covariance))
    grid = fp.Grid(fp.Box(exact.moments.mean - width, exact.moments.mean + width), (16, 16))
    run = descent.simulate(grid=grid, chains=512, steps=4000, rng=17, progress=False)
    counts = np.concatenate([run.histogram.reshape(32, -1), run.outside_samples[:, None]], axis=1)
    distances = []
    for law in (exact, normal):
        cells = law.probabilities(grid)
        assert abs(cells.sum() - 1.0) < 1e-4  # what lies beyond six deviations
        distances.append(total_variation(np.append(cells, 1 - cells.sum()), counts / run.group_samples[:, None])[0])
    assert distances[0].low < 0.002
    assert distances[0].high < 0.01
    assert 0.12 < distances[1].low < distances[1].high < 0.15
    z = (run.circulation - exact.moments.circulation)[0, 1] / run.circulation_error[0, 1]
    assert abs(z) < 4
    assert 0.0 < exact.negative < 1e-3


def test_too_narrow_a_grid_is_refused_with_what_it_gave():
    descent = sgd.SGD(logistic(), learning_rate=0.25, batch_size=1)
    with pytest.raises(fp.NotConverged, match="leave the grid per relaxation time") as caught:
        sgd.transfer_operator(descent, widths=3.5, nodes=49)
    assert caught.value.best.leaving > 0.0


def test_a_law_without_bounds_is_refused():
    walk = fp.DiffusionProcess(lambda x: 0.0 * x, 1.0, dim=1)
    with pytest.raises(fp.NotConverged, match="settle"):
        transfer_operator(gaussian_steps(walk, 0.1), mean=[0], covariance=[[1.0]])


def test_parts_that_exchange_nothing_are_refused():
    wells = fp.DiffusionProcess(lambda x: 40 * x * (1 - x**2), 0.2, dim=1)  # a barrier of 50 kT
    with pytest.raises(fp.NotConverged, match=r"one eigenvalue 1|settle|positive definite"):
        transfer_operator(gaussian_steps(wells, 0.01), mean=[0], covariance=[[1.0]], widths=1.6, time_step=0.01)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"mean": [0.0, 0, 0], "covariance": np.eye(3)}, "1 or 2 coordinates"),
        ({"mean": [[0.0]]}, "mean and covariance"),
        ({"covariance": [[-1.0]]}, "positive definite"),
        ({"nodes": 16}, "nodes"),
        ({"nodes": 65.0}, "nodes"),
        ({"widths": 0.0}, "widths"),
        ({"time_step": np.nan}, "time_step"),
        ({"draws": 0}, "draws"),
    ],
)
def test_arguments_that_cannot_be_used(change, match):
    options = {"mean": [0.0], "covariance": [[1.0]], **change}
    with pytest.raises(fp.InvalidInput, match=match):
        transfer_operator(lambda theta: (-0.1 * theta[None], np.ones(1)), **options)


@pytest.mark.parametrize(
    ("steps", "match"),
    [
        (lambda theta: (-0.1 * theta, np.ones(1)), "increments of shape"),
        (lambda theta: (-0.1 * theta[None], np.ones(2)), "increments of shape"),
        (lambda theta: (np.nan * theta[None], np.ones(1)), "finite: False"),
        (lambda theta: (-0.1 * theta[None], np.full(1, 0.5)), "sums off by up to 0.5"),
    ],
)
def test_steps_that_cannot_be_used(steps, match):
    with pytest.raises(fp.InvalidInput, match=match):
        transfer_operator(steps, mean=[0.0], covariance=[[1.0]])


def test_sgd_that_has_no_operator():
    model = sgd.linear_regression(X, Y, l2=0.3)
    batch = {"learning_rate": 0.1, "batch_size": 2}
    for options, wanted, match in (
        ({"sampling": "epoch"}, {}, "epoch"),
        ({"sampling": "without_replacement"}, {"noise": "minibatch"}, "no convolution"),
        ({}, {"noise": "levy"}, "noise"),
    ):
        with pytest.raises(fp.InvalidInput, match=match):
            sgd.transfer_operator(sgd.SGD(model, **batch, **options), **wanted)
    three = sgd.linear_regression(np.column_stack([X, [1, 2, 3, 5]]), Y, l2=0.3)
    with pytest.raises(fp.InvalidInput, match="one or two parameters"):
        sgd.transfer_operator(sgd.SGD(three, **batch))
    other = fp.DiffusionProcess(lambda x: -x, 1.0, dim=1, interpretation="isothermal")
    with pytest.raises(fp.InvalidInput, match="ito"):
        gaussian_steps(other, 0.1)
    with pytest.raises(fp.InvalidInput, match="time_step"):
        gaussian_steps(rotating(), 0.0)


def test_noise_that_is_not_of_minibatches_is_not_left_out():
    heated = sgd.SGD(sgd.linear_regression(X, Y, l2=0.3), learning_rate=0.1, batch_size=1, injected_noise=0.1)
    with pytest.raises(fp.InvalidInput, match="no noise but that of its minibatches"):
        sgd.transfer_operator(heated)
    assert sgd.transfer_operator(heated, noise="gaussian", nodes=33).moments.covariance[0, 0] > 0.05


@pytest.mark.parametrize("options", [{"noise": "gaussian"}, {"noise": "stable", "alpha": 2.0}])
def test_normal_noise_of_the_sgd_is_that_of_the_operator(options):
    batch = {"learning_rate": 0.1, "batch_size": 1}
    model = sgd.linear_regression(X, Y, l2=0.3)
    minibatches = sgd.SGD(model, **batch)
    normal = sgd.SGD(model, **batch, **options)
    chain = sgd.transfer_operator(normal, nodes=33)
    same = sgd.transfer_operator(minibatches, noise="gaussian", nodes=33)
    np.testing.assert_array_equal(chain.probability, same.probability)
    assert np.abs(chain.probability - sgd.transfer_operator(minibatches, nodes=33).probability).sum() > 0.01
    with pytest.raises(fp.InvalidInput, match="another chain"):
        sgd.transfer_operator(normal, noise="minibatch")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"momentum": 0.5}, "momentum: expected 0 for a diffusion in θ alone"),
        ({"schedule": [1.0, 0.5]}, "schedule: expected a constant learning rate"),
        ({"noise": "stable", "alpha": 1.5}, "noise='stable': expected noise with a variance"),
    ],
)
def test_chains_with_more_state_than_the_parameters_are_refused(options, match):
    chain = sgd.SGD(sgd.linear_regression(X, Y, l2=0.3), learning_rate=0.1, batch_size=1, **options)
    with pytest.raises(fp.InvalidInput, match=match):
        sgd.transfer_operator(chain)


def test_points_and_grids_of_another_dimension():
    chain = transfer_operator(lambda theta: (-0.1 * theta + np.array([-1, 1])[:, None, None], np.full(2, 0.5)), mean=[0],
                              covariance=[[5.0]])  # fmt: skip
    with pytest.raises(fp.InvalidInput, match=r"shape \(1, ...\)"):
        chain.density_at([[0.0], [1.0]])
    with pytest.raises(fp.InvalidInput, match="1 uniform axes"):
        chain.probabilities(fp.Grid(fp.Box([0, 0], [1, 1]), (8, 8)))
    assert chain.density_at([100.0]) == 0.0
