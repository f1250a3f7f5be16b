"""SGD with momentum as a damped particle: its linear theory exactly, its density against the chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
from test_sgd_model import breast_cancer, diabetes

import fokkerplanck as fp
from fokkerplanck.errors import InvalidInput
from fokkerplanck.sgd import SGD, Underdamped, linear_regression, logistic_regression
from fokkerplanck.sgd.quadratic import linearise

ONE_FEATURE = logistic_regression(breast_cancer().X[:, :1], breast_cancer().y, l2=0.1, names=["radius"])


@numba.njit
def heavy_ball(
    X: Any, y: Any, l2: float, eta: float, beta: float, batch: int, theta: float, rng: Any, path: Any
) -> None:
    """Logistic regression on one feature; m' = βm + g, θ' = θ − ηm'."""
    m = 0.0
    for k in range(len(path)):
        path[k] = theta
        g = l2 * theta
        for _ in range(batch):
            i = rng.integers(0, len(y))
            g -= y[i] * X[i] / (1.0 + np.exp(y[i] * X[i] * theta)) / batch
        m = beta * m + g
        theta -= eta * m


@pytest.mark.parametrize(("rate", "beta"), [(0.1, 0.9), (1.2, 0.9), (0.5, 0.0), (0.01, 0.99), (0.7, 0.4)])
def test_midpoints_have_the_variance_of_the_diffusion_at_any_step(rate: float, beta: float) -> None:
    model = linear_regression([[1.0], [0.8], [-1.1]], [1.0, -2.0, 0.3])
    particle = Underdamped(SGD(model, learning_rate=rate, batch_size=2, momentum=beta))
    h, tau, T = model.hessian(model.minimum).item(), particle.time_step, particle.temperature.item()
    lin = particle.linearised()
    np.testing.assert_allclose(lin.covariance, np.diag([T / h, T]), rtol=1e-12, atol=1e-15)
    C = model.noise_covariance(model.minimum).item() / 2
    expected = rate * C / (2 * (1 - beta))
    assert pytest.approx(expected, rel=1e-13) == T
    # of the chain: (θ, θ') → (midpoint, velocity)
    F = np.array([[0.0, 1.0], [-beta, 1.0 + beta - rate * h]])
    Q = np.diag([0.0, rate**2 * C])
    P = np.linalg.solve(np.eye(4) - np.kron(F, F), Q.ravel()).reshape(2, 2)
    to = np.array([[0.5, 0.5], [-1.0 / tau, 1.0 / tau]])
    expected = np.diag([T / h, T / (1.0 - tau**2 * h / 4.0)])
    np.testing.assert_allclose(to @ P @ to.T, expected, rtol=1e-10, atol=1e-14)
    state = linearise(particle.sgd)
    assert state.covariance[0, 0] == pytest.approx(P[0, 0], rel=1e-10)


def test_the_equation_of_the_chain_is_the_central_difference() -> None:
    particle = Underdamped(SGD(ONE_FEATURE, learning_rate=0.3, batch_size=4, momentum=0.7))
    tau, gamma = particle.time_step, particle.friction
    before, now, g = 0.3, 0.5, -0.8
    after = now + 0.7 * (now - before) - 0.3 * g
    left = (after - 2 * now + before) / tau**2 + gamma * (after - before) / (2 * tau)
    assert left == pytest.approx(-g, rel=1e-14)
    np.testing.assert_allclose(
        particle.states(np.array([[before, now, after]]))[:, 1], [0.5 * (now + after), (after - now) / tau]
    )


def test_relaxation_of_chain_and_diffusion_agree_to_second_order() -> None:
    """At a quarter of the learning rate and friction of the same size, times of relaxation differ four times less."""
    gaps = []
    for rate, beta in ((0.2, 0.8), (0.05, 0.9), (0.0125, 0.95)):
        sgd = SGD(diabetes(), learning_rate=rate, batch_size=8, momentum=beta)
        particle = Underdamped(sgd)
        chain = linearise(sgd).relaxation_times * particle.time_step
        gaps.append(np.abs(chain / particle.linearised().relaxation_times - 1.0).max())
    ratios = np.array(gaps[:-1]) / gaps[1:]
    assert ((ratios > 3.0) & (ratios < 5.5)).all(), gaps  # τ² falls by 4·(1.8/1.9)


def test_density_and_moments_of_logistic_regression_with_momentum() -> None:
    sgd = SGD(ONE_FEATURE, learning_rate=0.2, batch_size=64)
    particle = Underdamped(replace(sgd, momentum=0.8))
    solution = fp.solve_stationary(particle.process(), particle.box(), shape=(64, 64))
    assert solution.names == ("radius", "radius_velocity")
    path = np.empty(400_000)
    X, y = np.ascontiguousarray(ONE_FEATURE.X[:, 0]), ONE_FEATURE.y
    heavy_ball(X, y, ONE_FEATURE.l2, 0.2, 0.8, 64, float(ONE_FEATURE.minimum[0]), np.random.default_rng(907), path)
    states = particle.states(path[None, 2000:])
    count = states.shape[1] // 32
    groups = states[:, : 32 * count].reshape(2, 32, count)
    centred = groups - solution.mean[:, None, None]
    squares = np.einsum("agk,bgk->gab", centred, centred) / count
    bias = particle.time_step**2 * ONE_FEATURE.hessian(ONE_FEATURE.minimum).item() / 4.0
    expected = solution.covariance * [[1.0, 1.0], [1.0, 1.0 / (1.0 - bias)]]
    for found, value in ((groups.mean(axis=2).T, solution.mean), (squares, expected)):
        four_standard_errors = 4.0 * found.std(axis=0, ddof=1) / np.sqrt(32)
        assert (np.abs(found.mean(axis=0) - value) < four_standard_errors).all()
    cell, shape = solution.grid.cell_volume, solution.grid.shape
    for axis in (0, 1):
        marginal = np.asarray(solution.density).sum(axis=1 - axis) * cell
        box = solution.grid.box
        edges = np.linspace(box.lower[axis], box.upper[axis], shape[axis] + 1)
        simulated = np.histogram(states[axis], bins=edges)[0] / states.shape[1]
        # statistics 0.01 (times of correlation of ten steps and fifty cells that matter), skewness of the minibatches 0.01
        assert 0.5 * np.abs(marginal - simulated).sum() < 0.025
    plain = fp.solve_stationary(sgd.process(), sgd.box(), shape=(256,))
    # without momentum a step of the same learning rate is five times colder
    assert solution.covariance[0, 0] / plain.covariance[0, 0] == pytest.approx(5.0, rel=0.02)


def test_noise_depends_on_the_position_alone() -> None:
    particle = Underdamped(SGD(ONE_FEATURE, learning_rate=0.2, batch_size=8, momentum=0.5))
    process = particle.process()
    x = np.random.default_rng(72).normal(size=(2, 7))
    D = process.diffusion(x)
    expected = 0.5 * particle.time_step * ONE_FEATURE.noise_covariance(x[:1])[0, 0] / 8
    np.testing.assert_allclose(D[1, 1], expected, rtol=1e-13)
    assert not D[0].any()
    np.testing.assert_array_equal(process.current_velocity(x, np.ones(2)), process.drift(x))
    np.testing.assert_allclose(process.drift(x)[0], x[1])
    np.testing.assert_allclose(process.drift(x)[1], -particle.friction * x[1] - ONE_FEATURE.gradient(x[:1])[0])


def test_several_parameters_have_a_process_and_a_linear_theory() -> None:
    particle = Underdamped(SGD(diabetes(), learning_rate=0.05, batch_size=8, momentum=0.9))
    assert particle.process().dim == 4
    assert particle.linearised().names == ("theta0", "theta1", "theta0_velocity", "theta1_velocity")
    assert particle.temperature.shape == (2, 2)
    with pytest.raises(InvalidInput, match=r"box: expected a model of one parameter, got 2: .* Use linearised\(\)"):
        particle.box()


def test_noise_of_every_kind_is_counted() -> None:
    """A quadratic loss with label noise and injected noise: the simulated chain has the variance of the linear theory."""
    model = linear_regression([[1.0], [0.8], [-1.1], [0.4]], [1.0, -2.0, 0.3, 0.0])
    options = {"learning_rate": 0.02, "batch_size": 2, "momentum": 0.5, "label_noise": 0.9, "injected_noise": 0.01}
    sgd = SGD(model, **options)
    h, eta = model.hessian(model.minimum).item(), 0.02
    Sigma = model.noise_covariance(model.minimum).item()
    C = Sigma / 2 + 0.9**2 * h / 2 + 2 * 0.01 / eta
    assert sgd.gradient_covariance(model.minimum).item() == pytest.approx(C, rel=1e-13)
    assert Underdamped(sgd).temperature.item() == pytest.approx(eta * C / (2 * 0.5), rel=1e-13)
    variance = linearise(sgd).covariance.item()
    assert variance == pytest.approx(eta * C / (h * 0.5 * (2 - eta * h / 1.5)), rel=1e-12)
    run = sgd.simulate(chains=1000, steps=4000, rng=271)
    # noise that grows with the distance from the minimum, which is left out, adds η/B = 1 % of what minibatches make
    assert abs(run.covariance.item() / variance - 1.0) < 0.01 + 4 * run.covariance_error.item() / variance
    plain = linearise(SGD(model, learning_rate=0.02, batch_size=2, momentum=0.5)).covariance.item()
    assert run.covariance.item() - plain > 20 * run.covariance_error.item()  # without the others it is not


def test_nesterov_in_the_linear_theory_and_not_as_a_particle() -> None:
    sgd = SGD(ONE_FEATURE, learning_rate=0.5, batch_size=8, momentum=0.8, nesterov=True)
    heavy = linearise(replace(sgd, nesterov=False)).covariance.item()
    run = sgd.simulate(chains=512, steps=4000, rng=272)
    assert (
        abs(run.covariance.item() - linearise(sgd).covariance.item()) < 4 * run.covariance_error.item() + 0.02 * heavy
    )
    assert heavy / linearise(sgd).covariance.item() > 1.1
    with pytest.raises(InvalidInput, match=r"nesterov: expected heavy ball, got Nesterov's rule"):
        Underdamped(sgd)


def test_what_is_refused() -> None:
    particle = Underdamped(SGD(ONE_FEATURE, learning_rate=0.2, batch_size=8, momentum=0.5))
    with pytest.raises(InvalidInput, match=r"widths: expected a positive number"):
        particle.box(widths=0.0)
    with pytest.raises(InvalidInput, match=r"path: expected shape \(1, steps, \.\.\.\)"):
        particle.states(np.zeros((2, 5)))
    for options, text in (
        ({"sampling": "epoch"}, "sampling='epoch'"),
        ({"schedule": [1.0, 0.5]}, "schedule: expected a constant"),
        ({"noise": "stable", "alpha": 1.5}, "noise='stable'"),
    ):
        sgd = SGD(ONE_FEATURE, learning_rate=0.2, batch_size=8, momentum=0.5, **options)
        for close in (Underdamped, linearise):
            with pytest.raises(InvalidInput, match=text):
                close(sgd)
