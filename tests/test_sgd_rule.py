"""Options of SGD: what they do to a chain, against exact moments, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov
from test_sgd_simulation import small, worst

from fokkerplanck.errors import InvalidInput
from fokkerplanck.sgd import SGD, LossModel, linear_regression, logistic_regression, phase_retrieval

SIGMAS = 4  # a two-sided normal deviation beyond it has probability 6e-5; the seeds are fixed
SIZE: dict[str, Any] = {"chains": 256, "progress": False}


def heavy(dim: int = 2) -> LossModel:
    """A linear regression with large features now and then, so that the noise depends on θ."""
    rng = np.random.default_rng(733)
    X = rng.normal(size=(60, dim)) * np.linspace(1.0, 0.6, dim)
    return linear_regression(X, 3 * rng.normal(size=60), l2=0.2)


def stationary(sgd: SGD, *, shorter: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Covariance and circulation of v' = βv − η(g + λ·) at θ [+ βv], θ' = θ + v', in a linear regression.

    The covariance of g at a point of mean θ* and covariance S is that at θ* and ⟨x xᵀSx xᵀ⟩ − HSH: a linear equation for S.
    """
    model, n, B, beta, eta = sgd.model, sgd.model.n, sgd.batch_size, sgd.momentum, sgd.learning_rate / shorter
    X, d = model.X, model.dim
    data = X.T @ X / n
    kick = -eta * (data + model.l2 * np.eye(d))
    look = np.hstack([np.eye(d), beta * sgd.nesterov * np.eye(d)])
    A = np.block([[np.eye(d), beta * np.eye(d)], [np.zeros((d, d)), beta * np.eye(d)]]) + np.vstack([kick @ look] * 2)
    whole = (n - B) / (n - 1) if sgd.sampling == "without_replacement" else 1.0
    S = np.zeros((2 * d, 2 * d))
    for _ in range(200):  # contracts by a fifth or so each time
        at = look @ S @ look.T
        spread = np.einsum("ki,kj,k->ij", X, X, np.einsum("ki,ij,kj->k", X, at, X)) / n - data @ at @ data
        noise = whole * (model.noise_covariance(model.minimum) + spread) + sgd.label_noise**2 * data
        step = eta**2 * shorter * noise / B + 2 * sgd.injected_noise * eta * np.eye(d)
        S = solve_discrete_lyapunov(A, np.kron(np.ones((2, 2)), step))
    forward = (A @ S)[:d, :d] / eta
    return S[:d, :d], (forward.T - forward) / 2


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.7},
        {"momentum": 0.7, "nesterov": True},
        {"injected_noise": 0.03, "momentum": 0.4},
        {"injected_noise": 0.03, "noise": "gaussian"},
        {"label_noise": 2.5},
        {"label_noise": 2.5, "noise": "gaussian", "sampling": "without_replacement"},
        {"noise": "gaussian"},
        {"noise": "stable", "alpha": 2.0},
    ],
)
def test_moments_are_those_of_the_linear_theory(options: dict[str, Any]) -> None:
    sgd = SGD(heavy(), learning_rate=0.1, batch_size=4, **options)
    covariance, circulation = stationary(sgd)
    run = sgd.simulate(steps=1500 if sgd.noise != "minibatch" else 6000, rng=515, **SIZE)
    assert worst(run.mean, sgd.model.minimum, run.mean_error) < SIGMAS
    assert worst(run.covariance, covariance, run.covariance_error) < SIGMAS
    assert worst(run.circulation, circulation, run.circulation_error) < SIGMAS
    if not sgd.momentum and not (sgd.label_noise and sgd.sampling == "without_replacement"):  # these are refused
        found = sgd.chain_moments()
        np.testing.assert_allclose(found.covariance, covariance, rtol=1e-9)
        np.testing.assert_allclose(found.circulation, circulation, atol=1e-9 * np.abs(covariance).max())
    if sgd.momentum or sgd.label_noise or sgd.injected_noise:  # negative control
        plain, _ = stationary(SGD(heavy(), learning_rate=0.1, batch_size=4))
        assert worst(run.covariance, plain, run.covariance_error) > 20


def test_gaussian_noise_has_the_variance_of_minibatches_and_not_their_skewness() -> None:
    rng = np.random.default_rng(97)
    X = np.ones((40, 1))
    model = linear_regression(X, rng.exponential(size=40))
    skewness = []
    for noise in ("minibatch", "gaussian"):
        sgd = SGD(model, learning_rate=0.5, batch_size=1, noise=noise)
        run = sgd.simulate(steps=3000, burn_in=50, rng=98, **SIZE)
        exact = 0.25 * np.var(model.y) / (1 - 0.25)
        assert worst(run.covariance, [[exact]], run.covariance_error) < SIGMAS
        x = (run.end - run.mean)[:, 0]  # independent of each other
        skewness.append((x**3).mean() / (x**2).mean() ** 1.5)
    error = np.sqrt(6 / 256)
    third = 0.5**3 * ((model.y - model.y.mean()) ** 3).mean() / (1 - 0.5**3)
    exact = third / (0.25 * np.var(model.y) / 0.75) ** 1.5
    assert abs(skewness[0] - exact) < 6 * error  # the third moment of a skew variable scatters more than a normal one's
    assert abs(skewness[1]) < SIGMAS * error < exact


@pytest.mark.parametrize("alpha", [1.2, 1.7])
def test_stable_noise_makes_a_stable_law(alpha: float) -> None:
    # θ' = (1 − η)θ + η√(Σ/B) s: a sum of stable variables, of scale^α Σ (1 − η)^{kα}
    model = linear_regression(np.ones((10, 1)), np.linspace(-2, 2, 10))
    sgd = SGD(model, learning_rate=0.3, batch_size=2, noise="stable", alpha=alpha)
    run = sgd.simulate(chains=4000, steps=1, burn_in=60, rng=333, progress=False)
    scale = (0.3 * np.sqrt(np.var(model.y) / 2)) ** alpha / (1 - 0.7**alpha)
    for t in (0.5, 1.0, 3.0):
        wave = np.cos(t * run.end[:, 0])
        exact = np.exp(-scale * (t * t / 2) ** (alpha / 2))
        assert abs(wave.mean() - exact) < SIGMAS * wave.std() / np.sqrt(4000)


def test_a_schedule_is_followed() -> None:
    model = heavy(1)
    slow = SGD(model, learning_rate=0.02, batch_size=4)
    for schedule in (lambda k: np.where(k < 100, 1.0, 0.1), [1.0] * 100 + [0.1]):
        sgd = SGD(model, learning_rate=0.2, batch_size=4, schedule=schedule)
        run = sgd.simulate(steps=2000, burn_in=800, rng=4, **SIZE)
        exact = slow.simulate(steps=2000, burn_in=800, rng=5, **SIZE)
        error = np.hypot(run.covariance_error, exact.covariance_error)
        assert worst(run.covariance, exact.covariance, error) < SIGMAS
        assert run.time_step == pytest.approx(0.02)


def test_euler_steps_approach_the_diffusion() -> None:
    sgd = SGD(heavy(), learning_rate=0.4, batch_size=4)
    traces = []
    for shorter in (1, 4):
        run = sgd.simulate(euler_steps=shorter, steps=500 * shorter, rng=61, **SIZE)
        covariance, circulation = stationary(sgd, shorter=shorter)
        assert run.time_step == 0.4 / shorter
        assert worst(run.covariance, covariance, run.covariance_error) < SIGMAS
        assert worst(run.circulation, circulation, run.circulation_error) < SIGMAS
        traces.append(np.trace(covariance))
    limit = np.trace(stationary(sgd, shorter=10_000)[0])
    # an error of first order in the length of a step, and more where steps are long
    assert 4.0 < (traces[0] - limit) / (traces[1] - limit) < 8.0


def test_the_process_has_injected_and_label_noise() -> None:
    model = heavy()
    H, sigma = model.hessian(model.minimum), model.noise_covariance(model.minimum)
    theta = model.minimum + 0.3
    plain = SGD(model, learning_rate=0.1, batch_size=4)
    D = plain.process().diffusion(theta)
    injected = SGD(model, learning_rate=0.1, batch_size=4, injected_noise=0.7)
    np.testing.assert_allclose(injected.process().diffusion(theta), D + 0.7 * np.eye(2), rtol=1e-12)
    labels = SGD(model, learning_rate=0.1, batch_size=4, label_noise=3.0)
    extra = 0.1 * 9.0 / 8 * (H - 0.2 * np.eye(2))
    np.testing.assert_allclose(labels.process().diffusion(theta), D + extra, rtol=1e-12)
    np.testing.assert_allclose(
        H @ labels.covariance() + labels.covariance() @ H, 2 * (0.1 * sigma / 8 + extra), rtol=1e-10
    )
    for sgd in (injected, labels):
        with pytest.raises(InvalidInput, match=r"process\(order=2\): expected the noise of minibatches alone"):
            sgd.process(order=2)
    with pytest.raises(
        InvalidInput, match=r"with label noise, got 4 drawn without\. Simulate the chain, or leave the label"
    ):
        replace(labels, sampling="without_replacement").chain_moments()
    normal = replace(plain, noise="gaussian").chain_moments()
    np.testing.assert_allclose(normal.covariance, plain.chain_moments().covariance, rtol=1e-9)  # second moments close
    assert np.abs(normal.skewness - plain.chain_moments().skewness).max() > 1e-3
    np.testing.assert_allclose(
        SGD(model, learning_rate=0.1, batch_size=4, momentum=0.5).box().widths, np.sqrt(2) * plain.box().widths
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 0.9}, r"momentum: expected 0 for a diffusion .* learning_rate = η/\(1 − β\) = 1 is close"),
        ({"schedule": [1.0, 0.5]}, "schedule: expected a constant learning rate, .* nothing is stationary"),
        ({"noise": "stable", "alpha": 1.5}, r"noise='stable': expected noise with a variance, got alpha = 1\.5"),
    ],
)
def test_what_has_no_diffusion_says_so(options: dict[str, Any], message: str) -> None:
    sgd = SGD(small(2), learning_rate=0.1, batch_size=2, **options)
    for refused in (sgd.process, sgd.covariance, sgd.chain_moments):
        with pytest.raises(InvalidInput, match=message):
            refused()
    assert sgd.box().dim == 2
    if "momentum" not in options:
        return
    with pytest.raises(InvalidInput, match="euler_steps: expected an SGD with a diffusion, got momentum, a schedule"):
        sgd.simulate(euler_steps=2, **SIZE)


def test_label_noise_of_other_losses_is_simulated_only() -> None:
    X = np.random.default_rng(6).normal(size=(30, 2))
    sgd = SGD(phase_retrieval(X, X[:, 0] ** 2 + 0.1), learning_rate=0.01, batch_size=4, label_noise=0.5)
    with pytest.raises(InvalidInput, match="label_noise: expected a linear regression, where it adds a constant to D"):
        sgd.process()
    assert np.isfinite(sgd.simulate(steps=50, rng=7, **SIZE).covariance).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 1.0}, r"momentum: expected a finite number of at least 0 and below 1, got 1\.0"),
        ({"momentum": True}, "momentum: expected a finite number of at least 0 and below 1, got True"),
        ({"label_noise": -1.0}, r"label_noise: expected a finite number of at least 0, got -1\.0"),
        ({"injected_noise": np.inf}, "injected_noise: expected a finite number of at least 0, got inf"),
        ({"nesterov": True}, "nesterov: expected with momentum > 0"),
        ({"noise": "cauchy"}, "noise: expected one of .*'stable'.*, got 'cauchy'"),
        ({"noise": "gaussian", "sampling": "epoch"}, "noise='gaussian': expected batches that are independent"),
        ({"noise": "stable"}, "alpha: expected with noise='stable', and only then, got alpha = None"),
        ({"alpha": 1.5}, r"alpha: expected with noise='stable', and only then, got alpha = 1\.5 and 'minibatch'"),
        ({"noise": "stable", "alpha": 2.5}, r"alpha: expected a number above 0 and at most 2, got 2\.5"),
        ({"learning_rate": 100.0, "momentum": 0.5}, r"learning_rate: expected less than 3/λ_max\(H\)"),
        ({"learning_rate": 100.0, "momentum": 0.5, "nesterov": True}, r"expected less than 1\.5/λ_max\(H\)"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        SGD(small(2), **{"learning_rate": 0.1, "batch_size": 2, **options})


def test_arguments_of_the_simulation_are_checked() -> None:
    with pytest.raises(
        InvalidInput, match=r"label_noise: expected a loss e²/2 of a prediction less a target, .* got 'logistic'"
    ):
        SGD(
            logistic_regression(np.eye(3), [0, 1, 0], l2=0.1), learning_rate=0.1, batch_size=1, label_noise=1.0
        )  # which has labels, but nothing to add to them
    sgd = SGD(small(2), learning_rate=0.1, batch_size=2)
    for arguments, message in (
        ({"bound": -1.0}, r"bound: expected a positive number, got -1\.0"),
        ({"start": [1.0]}, r"start: expected finite numbers of shape \(2,\) or \(256, 2\), got \(1,\)"),
        ({"every": 0}, "every: expected a whole number of at least 1, got 0"),
        ({"euler_steps": 0}, "euler_steps: expected a whole number of at least 1, got 0"),
    ):
        with pytest.raises(InvalidInput, match=message):
            sgd.simulate(**SIZE, **arguments)
    for schedule, message in (
        (lambda k: -1.0 + 0 * k, r"schedule: expected positive factors of the learning rate, of the shape \(\d+,\)"),
        (lambda k: np.ones(3), r"schedule: .* got \(3,\) with values from 1 to 1"),
        ([[1.0]], r"schedule: expected a function of the steps or shape \(steps,\), got \(1, 1\)"),
    ):
        with pytest.raises(InvalidInput, match=message):
            SGD(small(2), learning_rate=0.1, batch_size=2, schedule=schedule).simulate(burn_in=0, steps=10, **SIZE)
    with pytest.raises(InvalidInput, match="burn_in: expected a number of steps with a schedule"):
        SGD(small(2), learning_rate=0.1, batch_size=2, schedule=[1.0]).simulate(**SIZE)
