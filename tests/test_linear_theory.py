"""Linear theory against numbers that were computed elsewhere: by augmented Lyapunov equations, enumeration and quadrature."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq, minimize_scalar

from fokkerplanck.sgd.quadratic import (
    almost_sure_limit,
    gaussian_curvature,
    gaussian_regression,
    linear_sgd,
    lyapunov_exponent,
    mean_square_factor,
    mean_square_limit,
    ornstein_uhlenbeck,
    second_moment_radius,
    second_moments,
    stable_scale,
    tail_index,
)

A3 = [[2.0, 0.6, 0.0], [0.6, 1.0, 0.2], [0.0, 0.2, 0.5]]
RATE3 = [[0.15, 0.03, 0.0], [0.03, 0.25, -0.05], [0.0, -0.05, 0.3]]
A2, NOISY_INPUT = [[1.0, 0.3], [0.3, 0.5]], [[0.4, -0.1], [-0.1, 0.2]]
ONE = gaussian_regression([[1.0]])
EXACT = 1e-11  # the numbers are printed to 16 digits; what is lost is round-off of both sides


def chi2(batch: int) -> Any:
    return gaussian_curvature(1.0, batch)


def amplification(state: Any, A: Any, variance: float, batch: int) -> tuple[float, float]:
    """κ and t of the closed form, from the trace of the covariance."""
    kappa = batch * float(np.sum(np.asarray(A) * state.covariance)) / variance
    return kappa, kappa / (1.0 + kappa / batch)


def test_matrix_learning_rate_and_momentum_without_commuting() -> None:
    state = linear_sgd(
        [[2.0, 0.5], [0.5, 1.0]], [[1.0, -0.3], [-0.3, 0.5]], learning_rate=[[0.3, 0.1], [0.1, 0.2]], momentum=0.6
    )
    expected = [[0.17922382132355597, -0.010440870706761229], [-0.010440870706761196, 0.1745847017085246]]
    np.testing.assert_allclose(state.covariance, expected, rtol=EXACT)
    assert np.abs(state.multipliers).max() == pytest.approx(0.7745966692414833, rel=EXACT)


@pytest.mark.parametrize(
    ("rate", "k", "momentum", "expected"),
    [(0.1, 1.0, 0.0, 0.052631578947368425), (0.1, 1.0, 0.9, 0.5135135135135136), (0.5, 2.0, 0.5, 0.375)],
)
def test_one_parameter_with_momentum(rate: float, k: float, momentum: float, expected: float) -> None:
    state = linear_sgd([[k]], [[1.0]], learning_rate=rate, momentum=momentum)
    assert state.covariance[0, 0] == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize("step", [0.01, 0.1, 0.2, 0.5, 1.0])
def test_discrete_variance_in_units_of_the_diffusion(step: float) -> None:
    expected = {0.01: 1.0050251256281406, 0.1: 1.0526315789473684, 0.2: 1.1111111111111112, 0.5: 4 / 3, 1.0: 2.0}[step]
    chain = linear_sgd([[1.0]], [[1.0]], learning_rate=step).covariance
    diffusion = ornstein_uhlenbeck([[1.0]], [[step / 2]]).covariance
    assert float((chain / diffusion).item()) == pytest.approx(expected, rel=EXACT)


def test_rotated_ornstein_uhlenbeck() -> None:
    H, D = [[2.0, 1.0], [1.0, 1.0]], np.diag([1.0, 0.5])
    flow = ornstein_uhlenbeck(H, D)
    np.testing.assert_allclose(flow.covariance, [[5 / 6, -2 / 3], [-2 / 3, 7 / 6]], rtol=EXACT)
    np.testing.assert_allclose(flow.area, [[0.0, -1 / 6], [1 / 6, 0.0]], rtol=EXACT, atol=1e-15)
    assert flow.entropy_production == pytest.approx(1 / 6, rel=EXACT)
    chain = linear_sgd(H, 2 * D / 0.05, learning_rate=0.05)
    expected = [[0.856727589008801, -0.6646906007164192], [-0.6646906007164193, 1.182435138877762]]
    np.testing.assert_allclose(chain.covariance, expected, rtol=EXACT)
    assert chain.area[0, 1] / 0.05 == pytest.approx(-0.16949152542372947, rel=EXACT)
    degenerate = ornstein_uhlenbeck(H, np.diag([1.0, 0.0]))
    np.testing.assert_allclose(degenerate.covariance, [[2 / 3, -1 / 3], [-1 / 3, 1 / 3]], rtol=EXACT)
    assert degenerate.entropy_production is None


@pytest.mark.parametrize(
    ("momentum", "covariance", "t", "kappa"),
    [
        (0.0, [0.17894736842105266, 0.1473684210526316], 0.4033613445378152, 0.505263157894737),
        (0.5, [0.5172413793103448, 0.4137931034482758], 0.84, 1.4482758620689653),
    ],
)
def test_label_noise(momentum: float, covariance: list[float], t: float, kappa: float) -> None:
    A = np.diag([1.0, 0.5])
    state = second_moments(gaussian_regression(A, label_noise=1.0), learning_rate=0.4, batch_size=2, momentum=momentum)
    np.testing.assert_allclose(state.covariance, np.diag(covariance), rtol=EXACT, atol=1e-15)
    assert amplification(state, A, 1.0, 2) == pytest.approx((kappa, t), rel=EXACT)


LABEL_NOISE_3 = json.loads("""{
"0.0": {"C": [[0.29470077296744174, 0.09275940019574949, 0.0007528077395151846],
              [0.09275940019574949, 0.1460639598582842, 0.02891249161654969],
              [0.0007528077395151843, 0.02891249161654969, 0.07061444581369164]],
        "test": 0.03167503175983505, "train": 0.27667503175983504,
        "S": [[0.013374826043634163, 0.0045623878176266385, -0.00024357596104983457],
              [0.004562387817626638, 0.02126091637107255, -0.0037381939082292972],
              [-0.00024357596104983466, -0.003738193908229298, 0.022719814486937953]],
        "kappa": 0.5171433756707764, "t": 0.457938420512484},
"0.5": {"C": [[0.35612549784822906, 0.11646210948943146, 0.0016585026161735203],
              [0.11646210948943146, 0.17521663088587663, 0.03438580958169206],
              [0.0016585026161735198, 0.03438580958169206, 0.08226425845030194]],
        "test": 0.07095261555636914, "train": 0.3159526155563691,
        "S": [[0.029940836072060873, 0.009887742115113965, -0.0005077525977381855],
              [0.009887742115113961, 0.04777112167478533, -0.008486227948625198],
              [-0.0005077525977381855, -0.008486227948625202, 0.051563275870289096]],
        "kappa": 1.1584100498999046, "t": 0.898269070270893}}""")


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_label_noise_with_a_learning_rate_that_does_not_commute(momentum: float) -> None:
    expected = LABEL_NOISE_3[str(momentum)]
    problem = gaussian_regression(A3, label_noise=0.49)
    state = second_moments(problem, learning_rate=RATE3, batch_size=4, momentum=momentum)
    np.testing.assert_allclose(state.covariance, expected["S"], rtol=EXACT)
    np.testing.assert_allclose(state.noise, expected["C"], rtol=EXACT)
    assert (state.test_loss, state.train_loss) == pytest.approx((expected["test"], expected["train"]), rel=EXACT)
    assert amplification(state, A3, 0.49, 4) == pytest.approx((expected["kappa"], expected["t"]), rel=EXACT)


@pytest.mark.parametrize(
    ("batch", "threshold", "mean_square"),
    [
        (1, 2.421249521036836, 0.6666666666666666),
        (2, 2.6845103508207075, 1.0),
        (4, 2.662995668706913, 1.3333333333333333),
        (8, 2.4925789179173163, 1.6),
        (16, 2.299302381852869, 1.7777777777777777),
    ],
)
def test_three_thresholds_of_an_exact_fit(batch: int, threshold: float, mean_square: float) -> None:
    assert almost_sure_limit(chi2(batch)) == pytest.approx(threshold, rel=EXACT)
    assert mean_square_limit(ONE, batch_size=batch) == pytest.approx(mean_square, rel=EXACT)
    assert mean_square_factor(chi2(batch), mean_square) == pytest.approx(1.0, rel=EXACT)


def test_lyapunov_exponents() -> None:
    assert lyapunov_exponent(chi2(1), 1.0) == pytest.approx(-0.41699163686937973, rel=EXACT)
    assert lyapunov_exponent(chi2(8), 1.8) == pytest.approx(-0.6087683782769788, rel=EXACT)
    assert lyapunov_exponent(chi2(16), 2.5) == pytest.approx(0.1729616097653206, rel=EXACT)
    decaying = stats.chi2(16, scale=1 / 16, loc=-0.6)  # with a penalty of −0.6
    assert lyapunov_exponent(decaying, 2.5) == pytest.approx(-0.7656879003703507, rel=EXACT)
    assert lyapunov_exponent([1.0, -1.5], 0.9) == pytest.approx(-0.7240848824189892, rel=EXACT)


def test_noise_at_one_point() -> None:
    theta = np.array([0.7, -0.4])
    label = gaussian_regression(A2, label_noise=0.25).noise_covariance(theta, batch_size=1)
    np.testing.assert_allclose(label, [[0.9884, 0.2014], [0.2014, 0.3261]], rtol=EXACT)
    noisy = gaussian_regression(A2, target=[1.0, -0.5], input_noise=NOISY_INPUT)
    assert noisy.residual_variance == pytest.approx(0.3013297872340426, rel=EXACT)
    expected = [[2.1922617021276594, 0.0714659574468085], [0.0714659574468085, 0.7107308510638297]]
    np.testing.assert_allclose(noisy.noise_covariance(noisy.minimum + theta, batch_size=1), expected, rtol=EXACT)
    decayed = gaussian_regression(A2, target=[1.0, -0.5], l2=[[0.2, 0.05], [0.05, 0.3]])
    given = decayed.noise_covariance([1.491044776119403, -0.6835820895522389], batch_size=1)
    expected = [[0.3939579193584317, 0.08537248830474492], [0.08537248830474492, 0.10502670973490755]]
    np.testing.assert_allclose(given, expected, rtol=EXACT)


def test_noise_of_a_penalised_minimum_has_the_sign_of_the_exact_result() -> None:
    """Where an expansion in large dimension has the off-diagonal entries with the other sign."""
    problem = gaussian_regression(np.diag([1.0, 2.0, 0.5]), target=[1.0, -1.0, 2.0], l2=np.diag([0.3, 0.2, 0.4]))
    exact = problem.noise_covariance(problem.minimum, batch_size=1)
    expected = [
        [0.5180995297545414, -0.04195804195804195, 0.10256410256410255],
        [-0.04195804195804195, 0.9627480350091073, -0.08080808080808081],
        [0.10256410256410255, -0.08080808080808081, 0.42995341013989036],
    ]
    np.testing.assert_allclose(exact, expected, rtol=EXACT)
    pull = problem.l2 @ problem.minimum
    misfit = problem.train_loss(np.zeros((3, 3))) - 0.5 * problem.minimum @ pull
    expansion = 2 * misfit * problem.features - np.outer(pull, pull)
    assert np.linalg.norm(expansion - exact) / np.linalg.norm(exact) == pytest.approx(0.4767628328940336, rel=EXACT)


@pytest.mark.parametrize("dim", [1, 2, 10, 100])
def test_error_of_the_noise_of_an_expansion_without_label_noise(dim: int) -> None:
    A = np.eye(dim)
    linear, _ = gaussian_regression(A).noise_map(1, A)
    exact, expansion = linear(A), dim * A - A
    assert np.linalg.norm(expansion - exact) / np.linalg.norm(exact) == pytest.approx(2 / (dim + 1), rel=EXACT)


def test_noise_of_the_hessian_instead_of_its_own() -> None:
    a, k = np.diag([1.0, 0.5]), np.diag([1.3, 0.6])
    constant = linear_sgd(a, a / 2, learning_rate=0.4).covariance
    np.testing.assert_allclose(constant, np.diag([0.125, 0.11111111111111112]), rtol=EXACT, atol=1e-16)
    np.testing.assert_allclose(ornstein_uhlenbeck(a, 0.1 * a).covariance, 0.1 * np.eye(2), rtol=EXACT, atol=1e-16)
    exact = second_moments(gaussian_regression(a, label_noise=1.0), learning_rate=0.4, batch_size=2)
    losses = (exact.test_loss, 0.5 * np.sum(a * constant), 0.05 * np.trace(a))
    assert losses == pytest.approx((0.12631578947368421, 0.09027777777777778, 0.07500000000000001), rel=EXACT)

    problem = gaussian_regression(a, l2=k - a, target=[1.0, -2.0])
    state = second_moments(problem, learning_rate=0.4, batch_size=2)
    frozen = linear_sgd(k, problem.noise_covariance(problem.minimum, batch_size=2), learning_rate=0.4)
    hessian = linear_sgd(k, k / 2, learning_rate=0.4)
    for got, expected, loss in (
        (state, [0.022551235399194222, 0.019551964893318816], 0.07056860563561583),
        (frozen, [0.01684661447975058, 0.015564919411073259], 0.06671953380533263),
        (hessian, [0.13513513513513514, 0.11363636363636365], 0.1503816551893475),
    ):
        np.testing.assert_allclose(np.diag(got.covariance), expected, rtol=EXACT)
        assert problem.test_loss(got.covariance) == pytest.approx(loss, rel=EXACT)


@pytest.mark.parametrize(
    ("momentum", "test", "train", "kappa", "covariance"),
    [
        (0.0, 0.07785835515611342, 0.1678727192162639, 0.4568503036409683,
         [[0.017109354494239774, 0.0007385332875211412], [0.0007385332875211413, 0.014524487987915783]]),
        (0.5, 0.09273510845814974, 0.18853336014904742, 1.0053693497646474,
         [[0.0375263459987046, 0.0014967773332816643], [0.0014967773332816641, 0.03228762533221877]]),
    ],
)  # fmt: skip
def test_noise_on_the_input(momentum: float, test: float, train: float, kappa: float, covariance: Any) -> None:
    problem = gaussian_regression(A2, target=[1.0, -0.5], input_noise=NOISY_INPUT)
    state = second_moments(problem, learning_rate=0.3, batch_size=4, momentum=momentum)
    np.testing.assert_allclose(state.covariance, covariance, rtol=EXACT)
    assert (state.test_loss, state.train_loss) == pytest.approx((test, train), rel=EXACT)
    assert amplification(state, problem.hessian, problem.residual_variance, 4)[0] == pytest.approx(kappa, rel=EXACT)


@pytest.mark.parametrize(
    ("momentum", "test", "train", "covariance"),
    [
        (0.0, 0.06416189935703834, 0.2944355824865411,
         [[0.013520345240796653, -0.0033708622665677883], [-0.0033708622665677883, 0.011986920095803918]]),
        (0.5, 0.07551007163083245, 0.30882407578543014,
         [[0.028934076647519444, -0.005635390250774862], [-0.005635390250774864, 0.026552146377534766]]),
    ],
)  # fmt: skip
def test_penalty(momentum: float, test: float, train: float, covariance: Any) -> None:
    problem = gaussian_regression(np.diag([1.0, 0.5]), l2=np.diag([0.3, 0.1]), target=[1.0, -2.0])
    state = second_moments(problem, learning_rate=0.4, batch_size=3, momentum=momentum)
    np.testing.assert_allclose(state.covariance, covariance, rtol=EXACT)
    assert (state.test_loss, state.train_loss) == pytest.approx((test, train), rel=EXACT)


def test_penalty_on_one_parameter() -> None:
    state = second_moments(gaussian_regression([[1.0]], l2=0.2, target=[1.0]), learning_rate=0.5, batch_size=2)
    expected = (0.019774011299435033, 0.09039548022598873, 0.011770244821092282)
    assert (state.test_loss, state.train_loss, state.covariance[0, 0]) == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(
    ("dim", "batch", "rate", "lowest", "highest", "best", "loss"),
    [
        (1, 1, 0.69, 0.1324172303032538, 0.7661334943344273, 0.24941213121740893, 0.679099228081741),
        (9, 2, 0.42, 0.5630683791753488, 2.1988363827294135, 1.0949347567997305, 1.2997541338876821),
        (1, 4, 1.38, -0.4337913848483731, -0.11693325283278633, -0.17162093261655018, 0.7698874330558861),
        (1, 64, 1.95, -0.9685679772470144, -0.005790997111959961, -0.010224853997090036, 0.00044578605184407416),
        (1, 8, 1.8, -0.6866054968633707, -0.20228339202551826, -0.27549546667461805, 0.6728004342425759),
        (1, 16, 2.5, -0.7870828693386971, -0.412917130661303, None, None),
        (1, 2, 0.99, -0.13239127252187777, 0.152593292723898, None, None),  # zero is inside, and the best
        (1, 8, 1.5, -0.7742918851774317, 0.10762521851076512, None, None),
    ],
)
def test_window_and_optimum_of_the_penalty(
    dim: int, batch: int, rate: float, lowest: float, highest: float, best: float | None, loss: float | None
) -> None:
    def problem(gamma: float) -> Any:
        return gaussian_regression(np.eye(dim), l2=gamma, target=np.eye(dim)[0])

    def over(gamma: float) -> float:
        return second_moment_radius(problem(gamma), learning_rate=rate, batch_size=batch) - 1.0

    inside = 0.5 * (lowest + highest) if best is None else best
    for end in (lowest, highest):
        outside = end + 0.01 * (end - inside)
        assert brentq(over, *sorted((outside, inside)), xtol=1e-14) == pytest.approx(
            end, rel=1e-9
        )  # at a flat crossing
    if best is None:
        return

    def mean_loss(gamma: float) -> float:
        return second_moments(problem(gamma), learning_rate=rate, batch_size=batch).test_loss

    width = highest - lowest
    found = minimize_scalar(
        mean_loss, bounds=(lowest + 1e-3 * width, highest - 1e-3 * width), method="bounded", options={"xatol": 1e-9}
    )
    assert found.fun == pytest.approx(loss, rel=1e-10)  # at a minimum the loss is known to the square of γ
    assert found.x == pytest.approx(best, rel=1e-5)


def test_penalty_restores_the_second_moment() -> None:
    eye = np.eye(3)
    state = {"learning_rate": 0.68, "batch_size": 2}
    penalised = gaussian_regression(eye, l2=0.47058823529411753, target=eye[0])
    assert second_moment_radius(penalised, **state) == pytest.approx(0.9248, rel=EXACT)
    assert second_moment_radius(gaussian_regression(eye), **state) == pytest.approx(1.0272, rel=EXACT)
    assert second_moments(penalised, **state).test_loss == pytest.approx(0.6808510638297883, rel=EXACT)


@pytest.mark.parametrize(
    ("rate", "ratios"),
    [
        (0.1, [1.1261425955780618, 1.0822669104204752]),
        (0.01, [1.0113731897276463, 1.0075662642957983]),
        (0.001, [1.0011262200521627, 1.0007506568834548]),
    ],
)
def test_leading_order_of_small_steps(rate: float, ratios: list[float]) -> None:
    problem = gaussian_regression(np.diag([1.0, 0.5]), label_noise=1.0)
    exact = np.diag(second_moments(problem, learning_rate=rate, batch_size=2).covariance)
    np.testing.assert_allclose(
        exact / (rate / 4), ratios, rtol=1e-9
    )  # the numbers are from an iteration that stopped at 4e-10


@pytest.mark.parametrize(
    ("a", "batch", "momentum", "limit"),
    [
        (np.ones(100), 10, 0.0, 0.18018018018018017),
        (np.ones(10), 1, 0.0, 0.16666666666666666),
        (np.ones(10), 10, 0.0, 0.9523809523809523),
        (np.ones(3), 4, 0.0, 1.0),
        (np.ones(1), 1, 0.5, 3 / 7),
        (np.ones(3), 2, 0.5, 3 / 7),
        (np.array([1.0, 0.5]), 4, 0.9, 0.3130703176682873),
    ],
)
def test_limit_of_the_mean_square(a: Any, batch: int, momentum: float, limit: float) -> None:
    problem = gaussian_regression(np.diag(a))
    found = mean_square_limit(problem, batch_size=batch, momentum=momentum)
    assert found == pytest.approx(limit, rel=1e-11)  # printed roots were bisected to 1e-12
    if len(a) <= 3:
        radius = second_moment_radius(problem, learning_rate=found, batch_size=batch, momentum=momentum)
        assert radius == pytest.approx(1.0, rel=EXACT)


@pytest.mark.parametrize(("momentum", "coefficient"), [(0.0, 0.1111111111111111), (0.5, 0.2727272727272727)])
def test_damped_newton(momentum: float, coefficient: float) -> None:
    A = np.array([[2.0, 0.6], [0.6, 1.0]])
    state = second_moments(
        gaussian_regression(A, label_noise=1.0), learning_rate=0.5 * np.linalg.inv(A), batch_size=4, momentum=momentum
    )
    np.testing.assert_allclose(state.covariance, coefficient * np.linalg.inv(A), rtol=EXACT)


@pytest.mark.parametrize(
    ("dim", "rate", "momentum", "coefficient"),
    [
        (1, 0.1, 0.0, 0.013140184950214406),
        (2, 0.5, 0.0, 0.07836157960269068),
        (2, 0.5, 0.5, 0.14156048370104465),
    ],
)
def test_natural_gradient_with_its_mean_fisher_matrix(
    dim: int, rate: float, momentum: float, coefficient: float
) -> None:
    problem = gaussian_regression(np.eye(dim), label_noise=1.0)
    linear, constant = problem.noise_map(4, np.eye(dim))
    fisher = 4 * (linear(coefficient * np.eye(dim)) + constant)
    state = second_moments(problem, learning_rate=rate * np.linalg.inv(fisher), batch_size=4, momentum=momentum)
    np.testing.assert_allclose(state.covariance, coefficient * np.eye(dim), rtol=EXACT, atol=1e-16)


@pytest.mark.parametrize(("dim", "coefficient"), [(2, 0.14583333333333334), (10, 0.08522727272727272)])
def test_natural_gradient_without_label_noise_is_at_its_limit(dim: int, coefficient: float) -> None:
    problem = gaussian_regression(np.eye(dim))
    linear, _ = problem.noise_map(4, np.eye(dim))
    rate = 0.5 * np.linalg.inv(4 * linear(coefficient * np.eye(dim)))
    assert rate[0, 0] == pytest.approx({2: 1.1428571428571428, 10: 0.5333333333333334}[dim], rel=EXACT)
    assert mean_square_limit(problem, learning_rate=rate, batch_size=4) == pytest.approx(1.0, rel=EXACT)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (1, [0.0273876404494382, 0.026685393258426966]),
        (2, [0.028153564899451547, 0.02705667276051188]),
        (4, [0.02982107355864811, 0.027833001988071565]),
        (8, [0.03382563125297761, 0.02953787517865651]),
        (16, [0.04622157006603082, 0.03374908290535583]),
    ],
)
def test_learning_rate_over_batch_size_is_no_temperature(batch: int, expected: list[float]) -> None:
    problem = gaussian_regression(np.diag([1.0, 0.5]), label_noise=1.0)
    state = second_moments(problem, learning_rate=0.05 * batch, batch_size=batch)
    np.testing.assert_allclose(np.diag(state.covariance), expected, rtol=EXACT)


TAILS = {
    1: [35.242318392203416, 17.284585734028262, 8.302594072333207, 2.9039662289169708, 1.0908264730670416,
        0.4774348086268511],
    2: [69.21139526864565, 33.55471747936347, 15.84543814977713, 5.379259653182828, 2.0, 0.9152425306189167],
    4: [136.77889407370128, 65.72395475556999, 30.56290580517014, 9.978384149643215, 3.5046836141470967,
        1.5201399903678208],
    8: [271.6709400687566, 129.80981910536542, 59.73092193383105, 18.88243308346175, 6.202300766037322,
        2.4312503481633443],
}  # fmt: skip


@pytest.mark.parametrize("batch", TAILS)
def test_tail_index(batch: int) -> None:
    found = [tail_index(chi2(batch), rho) for rho in (0.05, 0.1, 0.2, 0.5, 1.0, 1.5)]
    np.testing.assert_allclose(found, TAILS[batch], rtol=1e-11)


def test_tail_index_at_special_rates() -> None:
    for batch, rho in ((1, 0.38345100586441183), (2, 0.6265382932708001), (4, 0.9260891565403497)):
        assert tail_index(chi2(batch), rho) == pytest.approx(4.0, rel=1e-11)
        assert tail_index(chi2(batch), 2 * batch / (batch + 2)) == pytest.approx(2.0, rel=1e-11)
    for rho, product in ((0.005, 1.7922258964439228), (0.01, 1.7888889058169968), (0.02, 1.782208487812313)):
        assert rho * tail_index(chi2(1), rho) == pytest.approx(product, rel=1e-11)


@pytest.mark.parametrize(
    ("batch", "rho"),
    [(1, 0.471841152460327), (2, 0.5770224681434749), (4, 0.6151951457492651), (8, 0.6152776320837264)],
)
def test_tails_of_chain_and_diffusion_cross(batch: int, rho: float) -> None:
    assert tail_index(chi2(batch), rho) == pytest.approx(1 + batch / rho, rel=1e-9)


@pytest.mark.parametrize(
    ("alpha", "step", "momentum", "power"),
    [
        (1.2, 0.5, 0.0, 1.7707742684229333),
        (1.5, 0.1, 0.0, 6.84064563928215),
        (1.5, 0.1, 0.5, 9.875188358990963),
        (1.5, 0.1, 0.9, 42.27215440663856),
    ],
)
def test_stable_noise(alpha: float, step: float, momentum: float, power: float) -> None:
    scale = stable_scale(1.0, learning_rate=step, noise_scale=1 / step, alpha=alpha, momentum=momentum)
    assert scale**alpha == pytest.approx(power, rel=EXACT)
    normal = stable_scale(1.0, learning_rate=step, noise_scale=1.0, alpha=2.0, momentum=momentum)
    variance = linear_sgd([[1.0]], [[2.0]], learning_rate=step, momentum=momentum).covariance.item()
    assert 2 * normal**2 == pytest.approx(variance, rel=EXACT)
