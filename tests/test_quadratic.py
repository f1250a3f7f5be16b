"""SGD on quadratic losses against recursions written out, every possible minibatch, and every order of an epoch."""

from __future__ import annotations

from itertools import combinations, permutations, product
from typing import Any

import numpy as np
import pytest
from test_sgd_model import diabetes

from fokkerplanck.errors import InvalidInput, NotConverged
from fokkerplanck.sgd import SGD
from fokkerplanck.sgd.quadratic import (
    almost_sure_limit,
    batch_factor,
    data_regression,
    diffusion_moments,
    epoch_shuffling,
    gaussian_curvature,
    gaussian_regression,
    linear_chain,
    linear_sgd,
    linearise,
    lyapunov_exponent,
    mean_square_limit,
    minibatch_covariance,
    ornstein_uhlenbeck,
    sample_covariance,
    second_moment_radius,
    second_moments,
    stable_scale,
    tail_index,
)

ROUND_OFF = 1e-12


def random_matrices(seed: int, dim: int) -> tuple[Any, Any, Any]:
    """A Hessian, a learning rate and a noise covariance that do not commute."""
    rng = np.random.default_rng(seed)

    def definite(scale: float) -> Any:
        root = rng.normal(size=(dim, dim))
        return scale * (root @ root.T / dim + 0.2 * np.eye(dim))

    return definite(1.0), definite(0.1), definite(1.0)


def settled(F: Any, Q: Any) -> Any:
    """P = F P Fᵀ + Q, by squaring the map until nothing is left of it."""
    P = Q
    for _ in range(40):
        P, F = P + F @ P @ F.T, F @ F
    return P


def heavy_ball(K: Any, rate: Any, mu: float, nesterov: bool) -> tuple[Any, Any]:
    """The rule in θ and the velocity v = −Λm, as an optimiser has it: v' = μv − Λg, θ' = θ + v'."""
    d = len(K)
    where = np.hstack([np.eye(d), mu * np.eye(d)]) if nesterov else np.hstack([np.eye(d), np.zeros((d, d))])
    velocity = np.hstack([np.zeros((d, d)), mu * np.eye(d)]) - rate @ K @ where
    F = np.vstack([np.hstack([np.eye(d), np.zeros((d, d))]) + velocity, velocity])
    return F, np.vstack([-rate, -rate])


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("symmetric", [True, False])
def test_covariance_and_area_of_the_rule_itself(momentum: float, nesterov: bool, symmetric: bool) -> None:
    K, rate, C = random_matrices(61, 4)
    if not symmetric:
        K = K + 0.3 * np.triu(np.ones((4, 4)), 1)
    state = linear_sgd(K, C, learning_rate=rate, momentum=momentum, nesterov=nesterov)
    F, kick = heavy_ball(K, rate, momentum, nesterov)
    P = settled(F, kick @ C @ kick.T)
    np.testing.assert_allclose(state.covariance, P[:4, :4], rtol=1e-10)
    lag = (P @ F.T)[:4, :4]  # of θ with the next θ
    np.testing.assert_allclose(state.area, 0.5 * (lag - lag.T), atol=1e-12 * np.abs(lag).max())
    if momentum > 0.0:
        assert state.cross_covariance is not None
        assert state.momentum_covariance is not None
        np.testing.assert_allclose(-state.cross_covariance @ rate, P[:4, 4:], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(rate @ state.momentum_covariance @ rate, P[4:, 4:], rtol=1e-9, atol=1e-12)
        assert state.entropy_production is None
    slowest = -1.0 / np.log(np.abs(np.linalg.eigvals(F)).max())
    assert state.relaxation_times[-1] == pytest.approx(slowest, rel=1e-9)
    assert state.unit == "step"


def test_theorem_of_heavy_ball() -> None:
    K, L, C = random_matrices(62, 5)
    mu = 0.7
    S = linear_sgd(K, C, learning_rate=L, momentum=mu).covariance
    M = L @ K
    left = (
        (1 - mu) * (M @ S + S @ M.T)
        - (1 + mu**2) / (1 - mu**2) * M @ S @ M.T
        + mu / (1 - mu**2) * (M @ M @ S + S @ (M @ M).T)
    )
    np.testing.assert_allclose(left, L @ C @ L, atol=ROUND_OFF)


def test_the_variable_that_pytorch_stores() -> None:
    """Its rule with nesterov=True: buffer m' = μm + g(θ), θ' = θ − Λ(g + μm')."""
    K, L, C = random_matrices(63, 3)
    mu, d = 0.6, 3
    F = np.block([[np.eye(d) - (1 + mu) * L @ K, -(mu**2) * L], [K, mu * np.eye(d)]])
    kick = np.vstack([-(1 + mu) * L, np.eye(d)])
    expected = settled(F, kick @ C @ kick.T)[:d, :d]
    state = linear_sgd(K, C, learning_rate=L, momentum=mu, nesterov=True)
    X, M = state.cross_covariance, state.momentum_covariance
    assert X is not None
    assert M is not None
    np.testing.assert_allclose(
        state.covariance - mu * (L @ X.T + X @ L) + mu**2 * L @ M @ L, expected, rtol=1e-10, atol=1e-13
    )


def test_entropy_production_of_chain_and_diffusion() -> None:
    turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    H, C = np.diag([1.0, 0.3]), turn @ np.diag([1.0, 0.2]) @ turn.T
    rates = [0.001, 0.01, 0.1, 0.5, 1.0]
    chains = [linear_sgd(H, C, learning_rate=eta) for eta in rates]
    found = [state.entropy_production / eta for state, eta in zip(chains, rates, strict=True)]  # type: ignore[operator]
    np.testing.assert_allclose(found, [0.3016, 0.3022, 0.3087, 0.3409, 0.392], atol=5e-5)  # printed to four digits
    flow = ornstein_uhlenbeck(H, C / 2)
    assert flow.entropy_production == pytest.approx(0.7**2 * 0.4**2 / (1.3 * 0.2), rel=ROUND_OFF)
    for state, eta in zip(chains, rates, strict=True):
        ratio = state.area[0, 1] / eta / (flow.area[0, 1] * eta)
        assert ratio == pytest.approx(1 / (1 - eta * 0.3 / 1.3), rel=1e-10)


def test_no_area_where_noise_and_curvature_commute() -> None:
    K, _, _ = random_matrices(64, 4)
    noise = K @ K + 0.3 * K
    for state in (linear_sgd(K, noise, learning_rate=0.2), ornstein_uhlenbeck(K, noise)):
        assert np.abs(state.area).max() < 1e-14
        assert state.entropy_production == pytest.approx(0.0, abs=1e-12)
    assert np.abs(linear_sgd(K, np.diag([1.0, 2, 3, 4]), learning_rate=0.2).area).max() > 1e-3


def batches(n: int, size: int, sampling: str) -> list[tuple[int, ...]]:
    return list(product(range(n), repeat=size) if sampling == "with_replacement" else combinations(range(n), size))


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.5, False), (0.5, True)])
def test_second_moments_over_every_minibatch(sampling: str, momentum: float, nesterov: bool) -> None:
    rng = np.random.default_rng(65)
    n, d, size, label = 5, 2, 2, 0.3
    X, y = rng.normal(size=(n, d)), rng.normal(size=n)
    Gamma, rate = np.array([[0.2, 0.1], [0.1, 0.4]]), np.array([[0.2, 0.05], [0.05, 0.1]])
    problem = data_regression(X, y, l2=Gamma, label_noise=label, sampling=sampling)
    draws = batches(n, size, sampling)
    operator, forcing = np.zeros((4 * d * d, 4 * d * d)), np.zeros((2 * d, 2 * d))
    mean = np.zeros(2 * d)
    maps, kicks = [], []
    for draw in draws:
        rows = X[list(draw)]
        K = rows.T @ rows / size + Gamma
        F, kick = heavy_ball(K, rate, momentum, nesterov)
        at_minimum = rows.T @ (rows @ problem.minimum - y[list(draw)]) / size + Gamma @ problem.minimum
        operator += np.kron(F, F) / len(draws)
        maps.append(F)
        kicks.append(kick @ at_minimum)
        forcing += (np.outer(kicks[-1], kicks[-1]) + label / size * kick @ (rows.T @ rows / size) @ kick.T) / len(draws)
        mean += kicks[-1] / len(draws)
    assert np.abs(mean).max() < 1e-15
    P = np.linalg.solve(np.eye(4 * d * d) - operator, forcing.ravel()).reshape(2 * d, 2 * d)
    settings = {"learning_rate": rate, "batch_size": size, "momentum": momentum, "nesterov": nesterov}
    state = second_moments(problem, **settings)
    np.testing.assert_allclose(state.covariance, P[:d, :d], rtol=1e-11)
    radius = np.abs(np.linalg.eigvals(operator)).max()
    assert second_moment_radius(problem, **settings) == pytest.approx(radius, rel=1e-11)
    limit = mean_square_limit(problem, **settings)
    at_limit = second_moment_radius(problem, **(settings | {"learning_rate": limit * rate}))
    assert at_limit == pytest.approx(1.0, abs=1e-10)
    # the noise it reports is the one that makes its covariance
    again = linear_sgd(problem.hessian, state.noise, learning_rate=rate, momentum=momentum, nesterov=nesterov)
    np.testing.assert_allclose(again.covariance, state.covariance, rtol=1e-11)
    np.testing.assert_array_equal(state.area, again.area)


def test_iterations_agree_with_the_dense_matrix_and_the_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    A, L, _ = random_matrices(66, 17)  # 289 unknowns: iterated
    batch, mu = 30, 0.4
    problem = gaussian_regression(A, label_noise=0.7)
    settings = {"learning_rate": 0.2 * L, "batch_size": batch, "momentum": mu}
    state = second_moments(problem, **settings)
    G = 2 * (1 - mu) * np.eye(17) - ((1 - mu) / (1 + mu) + 1 / batch) * 0.2 * L @ A
    t = np.trace(0.2 * L @ A @ np.linalg.inv(G))
    np.testing.assert_allclose(
        state.covariance, 0.7 / batch / (1 - t / batch) * np.linalg.inv(G) @ (0.2 * L), rtol=1e-10, atol=1e-14
    )
    radius, limit = second_moment_radius(problem, **settings), mean_square_limit(problem, **settings)
    monkeypatch.setattr("fokkerplanck.sgd.quadratic.moments.DENSE", 10**6, raising=True)
    dense = second_moments(problem, **settings)
    np.testing.assert_allclose(state.covariance, dense.covariance, rtol=1e-10, atol=1e-14)
    assert state.gain == pytest.approx(dense.gain, rel=1e-11)
    plain = settings | {"momentum": 0.0}
    assert second_moment_radius(problem, **plain) == pytest.approx(
        np.abs(np.linalg.eigvals(_second_moment_matrix(problem, 0.2 * L, batch))).max(), rel=1e-11
    )
    assert second_moment_radius(problem, **settings) == pytest.approx(radius, rel=1e-11)
    edge = second_moment_radius(problem, **(settings | {"learning_rate": limit * 0.2 * L}))
    assert edge == pytest.approx(1.0, abs=1e-10)


def _second_moment_matrix(problem: Any, rate: Any, batch: int) -> Any:
    d = len(rate)
    linear, _ = problem.noise_map(batch, np.eye(d))
    step = np.eye(d) - rate @ problem.hessian
    return np.stack(
        [(step @ Z.reshape(d, d) @ step.T + rate @ linear(Z.reshape(d, d)) @ rate).ravel() for Z in np.eye(d * d)],
        axis=1,
    )


def test_data_of_many_samples_is_gaussian_features() -> None:
    rng = np.random.default_rng(67)
    n, d = 100, 50
    X = rng.normal(size=(n, d))
    problem = data_regression(X, X @ rng.normal(size=d) + rng.normal(size=n))
    state = second_moments(problem, learning_rate=0.1, batch_size=20)
    residual = 2 * problem.train_loss(np.zeros((d, d)))
    A = problem.hessian
    t = np.trace(0.1 * A @ np.linalg.inv(2 * np.eye(d) - 0.1 * A))
    expected = residual * (t / 20) / (1 - t / 20)
    # an asymptotic law: 1/√N corrections of a fixed data set, 3 % with 50 parameters
    assert float(np.sum(A * state.covariance)) == pytest.approx(expected, rel=0.06)


def test_features_of_high_kurtosis_tell_ito_from_the_others() -> None:
    X = np.zeros((100, 1))
    X[0], X[1] = np.sqrt(50), -np.sqrt(50)
    problem = data_regression(X, np.zeros(100), label_noise=1.0)
    state = second_moments(problem, learning_rate=0.01, batch_size=1)
    assert state.covariance[0, 0] == pytest.approx(0.01 / (2 - 50 * 0.01), rel=ROUND_OFF)


def test_fluctuation_and_dissipation() -> None:
    A = np.diag([1.0, 0.5])
    state = second_moments(gaussian_regression(A, label_noise=1.0), learning_rate=0.4, batch_size=2)
    work = np.sum(A * state.covariance)  # E θ·∇L
    gradient = np.trace(state.noise) + np.sum(A @ A * state.covariance)  # E|g|²
    assert work == pytest.approx(0.25263157894736843, rel=ROUND_OFF)
    assert 0.2 * gradient == pytest.approx(work, rel=ROUND_OFF)


def test_limit_of_the_mean_square_on_real_data() -> None:
    X, n = diabetes().X, diabetes().n
    problem = data_regression(X, diabetes().y)
    H, fourth = X.T @ X / n, np.einsum("ka,kb,kc,kd->acbd", X, X, X, X).reshape(4, 4) / n
    for batch, expected in ((1, 0.6235), (8, 1.5167)):
        limit = mean_square_limit(problem, batch_size=batch)
        assert limit == pytest.approx(expected, abs=1e-4)
        step = np.eye(2) - limit * H
        matrix = np.kron(step, step) + limit**2 / batch * (fourth - np.kron(H, H))
        assert np.abs(np.linalg.eigvals(matrix)).max() == pytest.approx(1.0, rel=1e-11)


def test_second_moments_of_the_diffusion() -> None:
    X, y = diabetes().X, diabetes().y
    problem = data_regression(X, y)
    steepest = np.linalg.eigvalsh(problem.hessian)[-1]
    errors, areas = [], []
    for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0):
        settings = {"learning_rate": step / steepest, "batch_size": 8}
        chain, flow = second_moments(problem, **settings), diffusion_moments(problem, **settings)
        errors.append(np.linalg.norm(flow.covariance - chain.covariance) / np.linalg.norm(chain.covariance))
        areas.append(flow.area[0, 1] / chain.area[0, 1])
    np.testing.assert_allclose(errors, [0.0034, 0.0068, 0.017, 0.035, 0.072, 0.20, 0.50], rtol=0.03)  # two digits
    np.testing.assert_allclose(areas, [0.998, 0.997, 0.992, 0.984, 0.966, 0.90, 0.71], atol=6e-3)
    H, S = problem.hessian, flow.covariance
    np.testing.assert_allclose(H @ S + S @ H, flow.noise / steepest, rtol=1e-11)
    with pytest.raises(InvalidInput, match=r"gain below 1, got 1\.1.*by less than 0\.90"):
        diffusion_moments(problem, learning_rate=1.0, batch_size=1)


def test_limit_where_a_feature_has_no_spread_of_its_own() -> None:
    """Features ±1 and ±½ in all four combinations: x² is constant, so noise of one parameter comes from the other alone."""
    X = np.array([[1.0, 0.5], [1.0, -0.5], [-1.0, 0.5], [-1.0, -0.5]])
    problem = data_regression(X, [1.0, 0.0, 0.0, 0.0])
    limit = mean_square_limit(problem, batch_size=1)
    assert second_moment_radius(problem, learning_rate=limit, batch_size=1) == pytest.approx(1.0, rel=1e-11)
    alone = data_regression(X[:, :1], np.zeros(4))
    assert mean_square_limit(alone, batch_size=1) == pytest.approx(
        2.0, rel=1e-12
    )  # no noise at all: the limit of the mean
    scaled = gaussian_regression(np.eye(3))
    twice = mean_square_limit(scaled, batch_size=2, learning_rate=2.0)
    assert 2 * twice == pytest.approx(mean_square_limit(scaled, batch_size=2), rel=1e-11)


def test_isotropic_noise_and_noise_like_the_hessian() -> None:
    H, _, _ = random_matrices(73, 4)
    flat = linear_sgd(H, 0.3 * np.eye(4), learning_rate=0.2).covariance
    np.testing.assert_allclose(flat, 0.06 * np.linalg.inv(H @ (2 * np.eye(4) - 0.2 * H)), rtol=1e-11, atol=1e-14)
    alike = linear_sgd(H, 0.3 * H, learning_rate=0.2).covariance
    np.testing.assert_allclose(alike, 0.06 * np.linalg.inv(2 * np.eye(4) - 0.2 * H), rtol=1e-11, atol=1e-14)


def test_linearised_sgd() -> None:
    model = diabetes()
    sgd = SGD(model, learning_rate=1e-4, batch_size=8, sampling="without_replacement")
    state = linearise(sgd)
    assert state.names == model.names
    np.testing.assert_allclose(state.covariance, sgd.covariance(), rtol=3e-4)  # ηh/2 with h up to 1.6
    with pytest.raises(InvalidInput, match=r"sampling='epoch': expected minibatches that are independent"):
        linearise(SGD(model, learning_rate=0.1, batch_size=8, sampling="epoch"))


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_the_estimate_of_the_noise_is_unbiased(sampling: str) -> None:
    gradients = np.array([[1, 0], [2, 1], [-1, 3], [0, -2], [4, 1], [0, 3]], dtype=float)
    means = [gradients[list(draw)].mean(axis=0) for draw in batches(6, 2, sampling)]
    estimates = [sample_covariance(pair, batch_size=2, n=6, sampling=sampling) for pair in product(means, repeat=2)]
    Sigma = np.cov(gradients.T, ddof=0)
    np.testing.assert_allclose(np.mean(estimates, axis=0), Sigma, rtol=ROUND_OFF)
    exact = np.cov(np.array(means).T, ddof=0)
    np.testing.assert_allclose(minibatch_covariance(Sigma, batch_size=2, n=6, sampling=sampling), exact, rtol=ROUND_OFF)


@pytest.mark.parametrize(("n", "size"), [(4, 1), (5, 2), (4, 2)])
def test_epochs_over_every_order(n: int, size: int) -> None:
    H, _, _ = random_matrices(68, 2)
    z = np.random.default_rng(69).normal(size=(n, 2))
    z -= z.mean(axis=0)
    gradients, eta, count = -z @ H, 0.3, n // size
    step = np.eye(2) - eta * H
    orders = list(permutations(range(n)))
    reached = np.zeros((count + 1, len(orders), 2))
    for k, order in enumerate(orders):
        for m in range(count):
            batch = gradients[list(order[m * size : (m + 1) * size])].mean(axis=0)
            reached[m + 1, k] = step @ reached[m, k] - eta * batch
    made = np.einsum("mki,mkj->mij", reached, reached) / len(orders)
    whole = np.linalg.matrix_power(step, count)
    start = np.linalg.solve(np.eye(4) - np.kron(whole, whole), made[-1].ravel()).reshape(2, 2)
    powers = [np.linalg.matrix_power(step, m) for m in range(count)]
    expected = [P @ start @ P.T + q for P, q in zip(powers, made[:-1], strict=True)]
    Sigma = np.cov(gradients.T, ddof=0)
    state = epoch_shuffling(H, Sigma, n=n, batch_size=size, learning_rate=eta)
    np.testing.assert_allclose(state.positions, expected, rtol=1e-10, atol=1e-15)
    C = minibatch_covariance(Sigma, batch_size=size, n=n, sampling="without_replacement")
    np.testing.assert_allclose(state.independent, linear_sgd(H, C, learning_rate=eta).covariance, rtol=1e-10)
    np.testing.assert_array_equal(state.boundary, state.positions[0])
    np.testing.assert_allclose(state.mean, np.mean(expected, axis=0), rtol=1e-10, atol=1e-15)


def test_growth_of_given_curvatures() -> None:
    assert lyapunov_exponent([1.0, 3.0], 0.5) == pytest.approx(0.5 * (np.log(0.5) + np.log(0.5)))
    assert lyapunov_exponent([2.0, 1.0], 0.5) == -np.inf
    assert almost_sure_limit([1.0, 1.0]) == pytest.approx(2.0, rel=1e-11)
    assert tail_index([1.0, 1.9], 1.0) == np.inf
    beta = tail_index([0.6, 2.5], 1.0)
    assert 0.5 * (0.4**beta + 1.5**beta) == pytest.approx(1.0, rel=1e-10)
    many = np.random.default_rng(70).chisquare(4, size=200_000) / 4
    assert lyapunov_exponent(many, 1.0) == pytest.approx(lyapunov_exponent(gaussian_curvature(1.0, 4), 1.0), abs=0.01)


def test_labelled_results() -> None:
    state = ornstein_uhlenbeck([[2.0, 1.0], [1.0, 1.0]], np.diag([1.0, 0.5]), names=["a", "b"])
    data = state.to_dataset()
    assert float(data["covariance"].sel(parameter="a", other="b")) == pytest.approx(-2 / 3)
    assert data.attrs["entropy_production"] == pytest.approx(1 / 6)
    assert data["relaxation_time"].attrs["units"] == "time"
    moments = second_moments(
        gaussian_regression([[1.0]], label_noise=1.0, names=["w"]), learning_rate=0.1, batch_size=1
    )
    assert float(moments.to_dataset()["covariance"].sel(parameter="w", other="w")) == moments.covariance[0, 0]


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: linear_sgd(np.diag([1.0, 30.0]), EYE, learning_rate=0.1),
         r"learning_rate: expected learning rate × curvature below 2 in every mode, got 3 \(mode 1 of 2, momentum 0\).*"
         r"Multiply the learning rate by less than 0\.666667"),
        (lambda: linear_sgd(np.diag([1.0, 30.0]), EYE, learning_rate=0.13, momentum=0.9), r"below 3\.8 .* got 3\.9"),
        (lambda: linear_sgd(np.diag([0.0, 1.0]), EYE, learning_rate=0.1), r"expected curvature along every direction"),
        (lambda: linear_sgd(np.diag([-1.0, 1.0]), EYE, learning_rate=0.1), r"from -0\.1 to 0\.1 .*or falls; add an L2 term"),
        (lambda: linear_sgd(EYE, EYE, learning_rate=[[1.0, 2.0], [2.0, 1.0]]), r"positive definite.*eigenvalue -1"),
        (lambda: linear_sgd(EYE, -EYE, learning_rate=0.1), r"noise: expected a covariance, got .* eigenvalue -1"),
        (lambda: linear_sgd(EYE, np.eye(3), learning_rate=0.1), r"noise: expected shape \(2, 2\), got \(3, 3\)"),
        (lambda: linear_sgd(EYE, [[1.0, 0.5], [0.2, 1.0]], learning_rate=0.1), r"symmetric matrix, got 0\.5 at \(0, 1\)"),
        (lambda: linear_sgd([[np.nan]], [[1.0]], learning_rate=0.1), r"hessian: expected finite numbers, got 1"),
        (lambda: linear_sgd(EYE, EYE, learning_rate=0.1, momentum=1.0), r"momentum: expected a number from 0 to below 1"),
        (lambda: linear_sgd(EYE, EYE, learning_rate=0.1, names=["a", "a"]), r"names: expected 2 different"),
        (lambda: linear_chain([[1.01]], [[1.0]]), r"inside the unit circle, got 1\.01"),
        (lambda: ornstein_uhlenbeck([[0.0, 1.0], [-1.0, 0.0]], EYE), r"eigenvalues with positive real parts, got .*1j"),
        (lambda: second_moments(gaussian_regression(EYE, label_noise=1.0), learning_rate=0.9, batch_size=1),
         r"gain below 1, got .*Multiply the learning rate by less than 0\.555556, or raise the batch size 1"),
        (lambda: gaussian_regression(EYE, l2=-2.0), r"l2: expected positive curvature of the loss .* eigenvalue -1"),
        (lambda: data_regression(np.ones((3, 2)), np.ones(3)), r"l2: expected positive curvature .* no single minimum"),
        (lambda: data_regression([[1.0], [np.inf]], [1.0, 2.0]), r"X: expected finite numbers, got \[inf\] in row 1"),
        (lambda: data_regression(np.ones((3, 1)), [1.0, 2.0]), r"y: expected 3 finite numbers"),
        (lambda: gaussian_regression(EYE, target=[1.0]), r"target: expected shape \(2,\)"),
        (lambda: gaussian_regression(EYE, label_noise=-1.0), r"label_noise: expected a number of at least 0, got -1"),
        (lambda: batch_factor(7, 6, "without_replacement"), r"batch_size: expected a whole number from 1 to n = 6, got 7"),
        (lambda: batch_factor(1, None, "without_replacement"), r"n: expected at least 2 samples"),
        (lambda: sample_covariance([[1.0]], batch_size=1), r"m of at least 2, got \(1, 1\)"),
        (lambda: sample_covariance([[1.0], [2.0]], batch_size=6, n=6, sampling="without_replacement"), r"fewer than all n = 6"),
        (lambda: epoch_shuffling(EYE, EYE, n=1, batch_size=1, learning_rate=0.1), r"n: expected at least 2 samples"),
        (lambda: tail_index(gaussian_curvature(1.0, 1), 2.5), r"expected E ln\|1 − ηh\| < 0, got 0\.0"),
        (lambda: almost_sure_limit([-1.0, 0.5]), r"curvature: expected a positive mean, got -0\.25"),
        (lambda: lyapunov_exponent("chi2", 0.1), r"frozen distribution of scipy\.stats or finite values"),
        (lambda: stable_scale(1.0, learning_rate=0.1, noise_scale=1.0, alpha=2.1), r"alpha: expected .* at most 2, got 2\.1"),
        (lambda: stable_scale(1.0, learning_rate=4.0, noise_scale=1.0, alpha=1.5), r"expected less than 2\(1 \+ μ\)/h = 2"),
        (lambda: stable_scale(1e-9, learning_rate=0.1, noise_scale=1.0, alpha=1.5), r"over after 10000000 steps"),
        (lambda: lyapunov_exponent([1.0], 0.0), r"learning_rate: expected a positive number"),
    ],
)  # fmt: skip
def test_what_is_refused(call: Any, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        call()


def test_a_covariance_that_rounding_decides_is_refused() -> None:
    """Twelve equal eigenvalues in one chain of couplings, a triangular matrix, turned: they are known to 1e-16^(1/12) then."""

    def turned(middle: float) -> tuple[Any, Any]:
        rng = np.random.default_rng(71)
        triangular = middle * np.eye(12) + 2.0 * np.triu(rng.normal(size=(12, 12)), 1)
        turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
        return triangular, turn @ triangular @ turn.T

    triangular, hard = turned(0.3)
    exact, state = linear_chain(triangular, np.eye(12)), linear_chain(hard, np.eye(12))
    missed = abs(np.linalg.norm(state.covariance) / np.linalg.norm(exact.covariance) - 1.0)
    assert missed < 10 * state.error < 1e-5
    with pytest.raises(NotConverged, match=r"solved to 1e-06, got .* from its residual"):
        linear_chain(turned(0.52)[1], np.eye(12))
    with pytest.raises(NotConverged, match="full rank, got two eigenvalues whose sum is zero"):
        ornstein_uhlenbeck([[1e-11, 1e6], [0.0, 1.0]], EYE)


def test_no_noise_no_covariance() -> None:
    assert not linear_sgd(EYE, 0 * EYE, learning_rate=0.1).covariance.any()
    assert not ornstein_uhlenbeck(EYE, 0 * EYE).covariance.any()
    exact_fit = second_moments(gaussian_regression(EYE), learning_rate=0.1, batch_size=4)
    assert not exact_fit.covariance.any()
    assert exact_fit.test_loss == 0.0
