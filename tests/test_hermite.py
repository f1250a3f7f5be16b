"""Hermite–Galerkin moments against closed forms, enumerated minibatches and an independent implementation."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

import fokkerplanck
from fokkerplanck.errors import InvalidInput, NotConverged
from fokkerplanck.process import DiffusionProcess
from fokkerplanck.solvers.hermite import chain_moments, hermite_moments

CSV = Path(fokkerplanck.__file__).parent / "cases" / "data" / "breast_cancer.csv"
CLOSED = 1e-10  # polynomial coefficients close the moment equations: only the round-off of the linear solve is left
EXPANDED = 1e-8  # logistic losses at degree 12: neighbouring degrees differ by 1e-9 relative


def least_squares(n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2)) @ [[1.0, 0.4], [0.0, 0.6]]
    y = X @ [0.5, -1.0] + rng.standard_normal(n) ** 3
    return X, y, lambda theta: (X @ theta - y[:, None])[:, None, :] * X[:, :, None]


@pytest.fixture(scope="module")
def logistic():
    radius, texture, target = np.loadtxt(CSV, delimiter=",", skiprows=1, usecols=(0, 1, -1), unpack=True)
    X = np.stack([(radius - radius.mean()) / radius.std(), (texture - texture.mean()) / texture.std()], axis=1)
    y = 2 * target[:, None] - 1
    return lambda theta: -(y * expit(-y * (X @ theta)))[:, None, :] * X[:, :, None] + 0.1 * theta


GUESS = {"mean": [-1.17, -0.45], "covariance": [[0.0035, -0.003], [-0.003, 0.0146]]}


@pytest.mark.parametrize("guess", [([0, 0], np.eye(2)), ([0.5, -1], [[2, 0.5], [0.5, 0.7]])])
def test_linear_process_has_the_lyapunov_covariance_and_its_circulation(guess):
    H = np.array([[2.0, 1.0], [1.0, 1.0]])
    got = hermite_moments(
        DiffusionProcess(lambda x: -H @ x, np.diag([1, 0.5]), dim=2), mean=guess[0], covariance=guess[1]
    )
    np.testing.assert_allclose(got.mean, 0, atol=CLOSED)
    np.testing.assert_allclose(got.covariance, [[5 / 6, -2 / 3], [-2 / 3, 7 / 6]], atol=CLOSED)
    np.testing.assert_allclose(got.circulation, [[0, -1 / 6], [1 / 6, 0]], atol=CLOSED)
    np.testing.assert_allclose([got.skewness, got.excess_kurtosis], 0, atol=CLOSED)
    assert got.error is not None
    assert got.error.covariance.max() < CLOSED


def test_three_dimensional_linear_process():
    H = np.array([[1.0, 0.5, 0.0], [0.0, 2.0, -0.3], [0.2, 0.0, 0.7]])
    got = hermite_moments(DiffusionProcess(lambda x: -H @ x, 0.5, dim=3), mean=np.zeros(3), covariance=np.eye(3))
    S = got.covariance
    np.testing.assert_allclose(H @ S + S @ H.T, np.eye(3), atol=CLOSED)
    np.testing.assert_allclose(got.circulation, 0.5 * (H @ S - S @ H.T), atol=CLOSED)


def test_student_tails_give_the_exact_variance_and_no_kurtosis_where_there_is_none():
    # b = −x, D = d₀(1 + x²): p ∝ (1 + x²)^(−1−1/2d₀), variance d₀/(1 − d₀); fourth moments exist for d₀ < 1/3
    def moments(d0):
        process = DiffusionProcess(lambda x: -x, lambda x: d0 * (1 + x**2)[None], dim=1)
        return hermite_moments(process, mean=[0], covariance=[[d0]])

    light, heavy = moments(0.1), moments(0.4)
    np.testing.assert_allclose(light.covariance, 1 / 9, rtol=CLOSED)
    np.testing.assert_allclose(light.excess_kurtosis, 6 / 7, rtol=CLOSED)  # Student with 11 degrees of freedom
    np.testing.assert_allclose(heavy.covariance, 2 / 3, rtol=CLOSED)
    assert np.isnan(heavy.excess_kurtosis[0])
    with pytest.raises(NotConverged, match="covariance is infinite"):
        moments(1.1)


def test_other_interpretations():
    # isothermal: b = −D x makes p normal; Stratonovich: b = −½σ²x makes p ∝ φ/σ, with 1/σ = 1 + x²/10 here
    isothermal = DiffusionProcess(
        lambda x: -x * (1 + 0.5 * np.sin(x)),
        lambda x: (1 + 0.5 * np.sin(x))[None],
        dim=1,
        interpretation="isothermal",
    )
    stratonovich = DiffusionProcess(
        lambda x: -0.5 * x / (1 + x**2 / 10) ** 2,
        noise=lambda x: 1 / (1 + x**2 / 10)[None],
        dim=1,
        interpretation="stratonovich",
    )
    for process, variance in ((isothermal, 1.0), (stratonovich, 1.3 / 1.1)):
        got = hermite_moments(process, mean=[0.1], covariance=[[1.2]])
        np.testing.assert_allclose(got.covariance, variance, rtol=CLOSED)


def test_entropy_production_of_a_linear_process_and_of_one_in_detailed_balance():
    # b = −Hx, constant D: σ = tr(H D⁻¹ H S) − tr H, here with S from above
    H, D, S = np.array([[2.0, 1.0], [1.0, 1.0]]), np.diag([1, 0.5]), np.array([[5 / 6, -2 / 3], [-2 / 3, 7 / 6]])
    driven = DiffusionProcess(lambda x: -H @ x, D, dim=2)
    expected = np.trace(H.T @ np.linalg.inv(D) @ H @ S) - np.trace(H)
    got = hermite_moments(driven, mean=[0, 0], covariance=np.eye(2))
    np.testing.assert_allclose(got.entropy_production, expected, rtol=1e-9)  # ∇f by differences
    assert fokkerplanck.solvers.hermite_moments is hermite_moments
    # dθ = −D∇V dt + ∇D dt + noise, D = 1 + sin(x)/2: no current whatever V is
    balanced = DiffusionProcess(
        lambda x: -x * (1 + 0.5 * np.sin(x)) + 0.5 * np.cos(x), lambda x: (1 + 0.5 * np.sin(x))[None], dim=1
    )
    still = hermite_moments(balanced, mean=[0], covariance=[[1.0]])
    assert abs(still.entropy_production) < 1e-9


def test_entropy_production_is_nan_where_it_cannot_be_had():
    singular = DiffusionProcess(lambda x: np.stack([x[1], -x[0] - x[1]]), np.diag([0.0, 1.0]), dim=2)
    assert np.isnan(hermite_moments(singular, mean=[0, 0], covariance=np.eye(2)).entropy_production)
    # D = 0.3(1 + x²), tails |x|^−5.3: f b grows as x⁰ but nodes of a normal law miss where it levels off
    heavy = DiffusionProcess(lambda x: -x, lambda x: 0.3 * (1 + 40 * x**2)[None] / 20, dim=1)
    got = hermite_moments(heavy, mean=[0], covariance=[[0.02]])
    assert np.isnan(got.entropy_production)
    assert got.error.entropy_production > 0.01


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_normal_noise_keeps_the_covariance_of_least_squares_and_loses_its_skewness(sampling):
    _, _, gradients = least_squares(9)
    options = {"mean": [0, 0], "covariance": np.eye(2), "learning_rate": 0.3, "batch_size": 4, "sampling": sampling}
    real, normal = (chain_moments(gradients, **options, noise=noise) for noise in ("minibatch", "gaussian"))
    for name in ("mean", "covariance", "circulation"):  # second moments close
        np.testing.assert_allclose(getattr(normal, name), getattr(real, name), atol=CLOSED)
    assert np.abs(normal.skewness - real.skewness).max() > 0.02
    assert np.isnan(real.entropy_production)


def test_weights_are_samples_given_as_often():
    _, _, gradients = least_squares(5)
    options = {"mean": [0, 0], "covariance": np.eye(2), "learning_rate": 0.3, "batch_size": 2}
    again = [0, 1, 1, 1, 2, 3, 4, 4]
    many = chain_moments(lambda theta: gradients(theta)[again], **options)
    weighted = chain_moments(gradients, weights=np.bincount(again) / 8, **options)
    for name in ("mean", "covariance", "circulation", "skewness", "excess_kurtosis"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(many, name), rtol=CLOSED, atol=CLOSED)


def test_normal_noise_of_constant_covariance_gives_a_normal_law():
    shift = np.array([-1.0, 0.5, 0.5])[:, None, None]  # skew noise, the same at every θ
    got = chain_moments(
        lambda theta: theta + shift, mean=[0], covariance=[[0.1]], learning_rate=0.4, batch_size=2, noise="gaussian"
    )
    np.testing.assert_allclose(got.covariance, 0.4**2 * 0.5 / 2 / (1 - 0.6**2), rtol=CLOSED)
    np.testing.assert_allclose([got.skewness, got.excess_kurtosis], 0, atol=CLOSED)


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
@pytest.mark.parametrize(("n", "batch"), [(4, 2), (7, 1), (7, 5)])
def test_least_squares_chain_against_enumerated_minibatches(n, batch, sampling):
    eta = 0.3
    X, y, gradients = least_squares(n)
    draws = product(range(n), repeat=batch) if sampling == "with_replacement" else combinations(range(n), batch)
    got = chain_moments(
        gradients, mean=[0, 0], covariance=np.eye(2), learning_rate=eta, batch_size=batch, sampling=sampling
    )
    check_enumerated(got, X, y, eta, [list(rows) for rows in draws])


@pytest.mark.parametrize(
    ("batch", "labels", "temperature"), [(1, 0.8, 0.0), (2, 0.8, 0.0), (2, 0.0, 0.05), (2, 0.5, 0.03)]
)
def test_noise_on_labels_and_injected_noise_against_enumerated_nodes(batch, labels, temperature):
    X, y, _ = least_squares(4)
    sgd = fokkerplanck.sgd.SGD(
        fokkerplanck.sgd.linear_regression(X, y),
        learning_rate=0.3,
        batch_size=batch,
        label_noise=labels,
        injected_noise=temperature,
    )
    draws = [list(rows) for rows in product(range(4), repeat=batch)]
    check_enumerated(sgd.chain_moments(), X, y, 0.3, draws, labels, temperature)
    if batch == 1:  # nothing to replace
        once = replace(sgd, sampling="without_replacement").chain_moments()
        np.testing.assert_allclose(once.covariance, sgd.chain_moments().covariance, rtol=CLOSED)
    with pytest.raises(AssertionError):  # the check sees the noise
        check_enumerated(sgd.chain_moments(), X, y, 0.3, draws, 0.9 * labels, 0.9 * temperature)


def check_enumerated(got, X, y, eta, draws, labels=0.0, temperature=0.0):
    """The mean is the least-squares solution θ*. With u = (1, θ − θ*), a batch maps u to T u, and E u⊗u⊗u⊗u, which holds every
    central moment up to the fourth, is fixed by E T⊗T⊗T⊗T; of normal noise three nodes have all these moments."""
    mean, batch = np.linalg.lstsq(X, y, rcond=None)[0], len(draws[0])
    size = np.sqrt(2 * temperature * eta)
    node, weight = np.array([-np.sqrt(3), 0, np.sqrt(3)]), np.array([1, 4, 1]) / 6
    choices = list(product(range(3), repeat=(batch if labels else 0) + (2 if temperature else 0)))
    total = np.zeros((81, 81))
    for rows, choice in product(draws, choices):
        normal = node[list(choice)]
        T = np.eye(3)
        T[1:, 1:] -= eta / batch * X[rows].T @ X[rows]
        T[1:, 0] = eta / batch * X[rows].T @ (y[rows] - X[rows] @ mean)
        if labels:
            T[1:, 0] += eta / batch * labels * X[rows].T @ normal[:batch]
        if temperature:
            T[1:, 0] += size * normal[-2:]
        total += np.prod(weight[list(choice)]) / len(draws) * reduce(np.kron, [T] * 4)
    first = np.eye(1, 81)
    system = np.vstack([total - np.eye(81), first])
    u = np.linalg.lstsq(system, np.append(np.zeros(81), 1.0), rcond=None)[0].reshape(3, 3, 3, 3)
    S, width, H = u[0, 0, 1:, 1:], np.sqrt(np.diag(u[0, 0, 1:, 1:])), X.T @ X / len(X)
    np.testing.assert_allclose(got.mean, mean, rtol=CLOSED)
    np.testing.assert_allclose(got.covariance, S, rtol=CLOSED, atol=CLOSED * S.max())
    np.testing.assert_allclose(got.circulation, 0.5 * (H @ S - S @ H), atol=CLOSED * S.max())
    np.testing.assert_allclose(got.skewness, np.einsum("iii->i", u[0, 1:, 1:, 1:]) / width**3, atol=CLOSED)
    np.testing.assert_allclose(got.excess_kurtosis, np.einsum("iiii->i", u[1:, 1:, 1:, 1:]) / width**4 - 3, atol=CLOSED)


def test_logistic_regression_against_an_independent_implementation(logistic):
    # Breast cancer (mean radius, mean texture), l2 = 0.1, η = 0.5, B = 8. The numbers come from an independent
    # Galerkin implementation; those of SGD were also confirmed by 1.5e8 simulated updates.
    def diffusion(theta):
        g = logistic(theta)
        g = g - g.mean(axis=0)
        return 0.5 / (2 * 8) * np.einsum("niq,njq->ijq", g, g) / len(g)

    process = DiffusionProcess(lambda theta: -logistic(theta).mean(axis=0), diffusion, dim=2)
    flow = hermite_moments(process, **GUESS)
    chain = chain_moments(logistic, **GUESS, learning_rate=0.5, batch_size=8)
    expected = (
        (
            flow,
            [-1.1691437366571265, -0.451459466208669],
            [0.0035166184969571157, -0.003065044024647605, 0.014569195370945242],
            0.0001831363641638475,
            [0.08507171596308061, -0.19348293067450037],
        ),
        (
            chain,
            [-1.169273200303415, -0.4515733315351796],
            [0.003695709236192729, -0.003221559520512943, 0.015490041403388092],
            0.00020035920250702344,
            [0.256480724337123, 0.12020013184652573],
        ),
    )
    for got, mean, covariance, circulation, skewness in expected:
        np.testing.assert_allclose(got.mean, mean, rtol=EXPANDED)
        np.testing.assert_allclose(got.covariance[[0, 0, 1], [0, 1, 1]], covariance, rtol=EXPANDED)
        np.testing.assert_allclose(got.circulation[0, 1], circulation, rtol=EXPANDED)
        np.testing.assert_allclose(got.skewness, skewness, atol=EXPANDED)
        assert got.error is not None
        assert 0 < got.error.covariance.max() < 10 * EXPANDED * got.covariance.max()  # the larger of two changes


def test_half_the_data_without_replacement_stays_accurate(logistic):
    # The batch covariance carries (n − B)/(n − 1); here the response to it is linear to a few parts in 1e4.
    # B = 284 and 285 also take the two branches, the batch itself and the samples left out of it.
    for batch in (284, 285):
        options = {**GUESS, "learning_rate": 0.5, "batch_size": batch}
        free = chain_moments(logistic, **options)
        got = chain_moments(logistic, **options, sampling="without_replacement")
        np.testing.assert_allclose(got.covariance / free.covariance, (569 - batch) / 568, rtol=1e-3)


def test_the_guess_does_not_matter(logistic):
    options = {"learning_rate": 0.5, "batch_size": 8}
    good = chain_moments(logistic, **GUESS, **options)
    poor = chain_moments(logistic, mean=[-1.0, -0.2], covariance=[[0.01, 0], [0, 0.03]], **options)
    np.testing.assert_allclose(poor.covariance, good.covariance, rtol=EXPANDED)


def test_two_wells_are_refused_with_the_best_result():
    with pytest.raises(NotConverged, match="degrees 10 and 12 to agree") as caught:
        hermite_moments(DiffusionProcess(lambda x: x - x**3, 0.1, dim=1), mean=[0], covariance=[[1.0]])
    assert caught.value.best.error.covariance.shape == (1, 1)


def test_least_squares_beyond_the_stability_edge_is_refused():
    _, _, gradients = least_squares(30)
    with pytest.raises(NotConverged, match="covariance is infinite"):
        chain_moments(gradients, mean=[0, 0], covariance=np.eye(2), learning_rate=2.5, batch_size=1)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"sampling": "epoch"}, "sampling"),
        ({"noise": "levy"}, "noise"),
        ({"injected_noise": -1.0}, "injected_noise: expected a number of at least 0, got -1"),
        ({"weights": [0.5, 0.6, 0.1, -0.2]}, r"weights: expected probabilities of shape \(n,\) that add up to 1, got"),
        ({"weights": [0.5, 0.5]}, "expected finite per-sample gradients"),
        (
            {"weights": [0.25] * 4, "sampling": "without_replacement"},
            "weights: expected samples drawn with replacement",
        ),
        ({"sampling": "without_replacement", "batch_size": 4}, "less than the 4 samples"),
        ({"degree": 7}, "degree"),
        ({"mean": [0, 0, 0]}, "mean and covariance"),
        ({"covariance": [[1, 2], [2, 1]]}, "positive definite"),
        ({"covariance": [[1, np.nan], [0, 1]]}, "positive definite"),
    ],
)
def test_arguments_that_cannot_be_used(change, match):
    _, _, gradients = least_squares(4)
    options = {"mean": [0, 0], "covariance": np.eye(2), "learning_rate": 0.1, "batch_size": 2, **change}
    with pytest.raises(InvalidInput, match=match):
        chain_moments(gradients, **options)


@pytest.mark.parametrize("gradients", [lambda t: t, lambda t: np.full((3, *t.shape), np.nan)])
def test_gradients_of_the_wrong_kind(gradients):
    with pytest.raises(InvalidInput, match="per-sample gradients of shape"):
        chain_moments(gradients, mean=[0, 0], covariance=np.eye(2), learning_rate=0.1, batch_size=2)


def test_more_than_three_dimensions_are_refused():
    process = DiffusionProcess(lambda x: -x, 1.0, dim=4)
    with pytest.raises(InvalidInput, match="1, 2 or 3"):
        hermite_moments(process, mean=np.zeros(4), covariance=np.eye(4))
