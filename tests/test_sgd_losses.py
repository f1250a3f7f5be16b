"""Losses with several minima, losses of one's own, and the derivatives that corrections of the next order need."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_sgd_model import CLASSES, FEATURES, NOISE, differences

from fokkerplanck import cases
from fokkerplanck.errors import InvalidInput
from fokkerplanck.sgd import (
    SGD,
    Loss,
    custom_loss,
    deep_linear,
    linear_regression,
    logistic_regression,
    numpy_loss,
    phase_retrieval,
    tanh_neuron,
)

X1, Y1 = FEATURES[:, 0], np.tanh(1.5 * FEATURES[:, 0]) + 0.3 * NOISE
SQUARES = (FEATURES @ [1.0, -0.5, 2.0]) ** 2 + NOISE


def written_down(kind: str) -> Callable[[np.ndarray], np.ndarray]:
    """Losses of the samples as functions of θ, without the kernels."""
    return {
        "linear": lambda t: 0.5 * (FEATURES @ t - SQUARES) ** 2,
        "logistic": lambda t: np.log1p(np.exp(-CLASSES * (FEATURES @ t))),
        "phase_retrieval": lambda t: 0.5 * ((FEATURES @ t) ** 2 - SQUARES) ** 2,
        "tanh_neuron": lambda t: 0.5 * (t[0] * np.tanh(t[1] * X1) - Y1) ** 2,
        "deep_linear": lambda t: 0.5 * (t[0] * t[1] * X1 - Y1) ** 2,
    }[kind]


BUILT_IN = {
    "linear": linear_regression(FEATURES, SQUARES, l2=0.2),
    "logistic": logistic_regression(FEATURES, CLASSES, l2=0.2),
    "phase_retrieval": phase_retrieval(FEATURES, SQUARES, l2=0.2),
    "tanh_neuron": tanh_neuron(X1, Y1, l2=0.2),
    "deep_linear": deep_linear(X1, Y1, l2=0.2),
}


@pytest.mark.parametrize("kind", BUILT_IN)
def test_formulas_are_the_derivatives_of_the_loss(kind: str) -> None:
    model, losses = BUILT_IN[kind], written_down(kind)
    for theta in 0.5 * np.random.default_rng(61).normal(size=(3, model.dim)):
        assert float(model.loss(theta)) == pytest.approx(losses(theta).mean() + 0.1 * theta @ theta, rel=1e-13)
        # values of size up to 1e2 known to 1e-14, divided by the step of 1e-3; truncation h⁶ times derivatives up to 1e4
        each = differences(losses, theta)
        np.testing.assert_allclose(model.sample_gradients(theta), each + 0.2 * theta, atol=1e-9)
        np.testing.assert_allclose(model.hessian(theta), differences(model.gradient, theta), atol=1e-9)
        u = model.sample_gradients(theta) - model.gradient(theta)
        np.testing.assert_allclose(model.noise_covariance(theta), u.T @ u / 11, rtol=1e-12, atol=1e-14)
        third = np.einsum("ki,kj,kl->ijl", u, u, u) / 11
        np.testing.assert_allclose(model.noise_third_moment(theta), third, rtol=1e-11, atol=1e-12)
        slope = differences(model.noise_covariance, theta)
        scale = np.abs(slope).max()
        np.testing.assert_allclose(model.noise_divergence(theta), np.einsum("ijj->i", slope), atol=1e-10 * scale)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_the_expansion_is_made_of_derivatives(kind: str) -> None:
    model = BUILT_IN[kind]
    theta = 0.5 * np.random.default_rng(62).normal(size=model.dim)
    e = model.expansion(theta)
    np.testing.assert_array_equal(e.gradient, model.gradient(theta))
    np.testing.assert_array_equal(e.covariance, model.noise_covariance(theta))
    np.testing.assert_allclose(e.hessian, model.hessian(theta), rtol=1e-14)
    slope = differences(model.noise_covariance, theta)
    np.testing.assert_allclose(e.slope, slope, atol=1e-10 * np.abs(slope).max())

    def slope_of(t: np.ndarray) -> np.ndarray:
        return model.expansion(t).slope

    bend = np.einsum("kl,ijkl->ij", e.covariance, differences(slope_of, theta))
    np.testing.assert_allclose(e.noise_bend, bend, atol=1e-9 * np.abs(bend).max())
    bend = np.einsum("kl,ikl->i", e.covariance, differences(model.hessian, theta))
    np.testing.assert_allclose(e.drift_bend, bend, atol=1e-9 * (np.abs(bend).max() + 1.0))


# Minimum, Hessian and noise there, computed once by an independent moment code from scikit-learn's data.
REFERENCE = {
    "tanh-neuron": (
        [1.1485619769230238, 1.053268983060335],
        [[0.4716493621222117, 0.18498952626695012], [0.18498952626695012, 0.2420794754893346]],
        [[0.05007833635626511, 0.04148250053622458], [0.04148250053622458, 0.03581714461263078]],
    ),
    "phase-retrieval": (
        [0.9816306998388491, 0.5248495882208702],
        [[18.900966667641352, 15.521425643256755], [15.521425643256755, 14.002569390455577]],
        [[4.464373914202042, 3.670816583983725], [3.670816583983725, 3.3451813475969967]],
    ),
    "iris": (
        [0.9336783099613444, 1.0376129590643886, 0.015310187759702562],
        [
            [0.17731057950984283, 0.06030794221997814, -0.0025338249713137938],
            [0.06030794221997814, 0.18760429309830348, -0.006584655385543811],
            [-0.0025338249713137938, -0.006584655385543811, 0.24457155105969597],
        ],
        [
            [0.006635116212641348, -0.0020091322373134587, -0.0008136108144833433],
            [-0.0020091322373134587, 0.007721121239602649, -0.0047739688698385015],
            [-0.0008136108144833433, -0.0047739688698385015, 0.06488847390039179],
        ],
    ),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_references_on_data(name: str) -> None:
    model = cases.get(name).sgd.model  # type: ignore[union-attr]
    theta, hessian, noise = REFERENCE[name]
    np.testing.assert_allclose(model.minimum, theta, atol=1e-12)
    np.testing.assert_allclose(model.hessian(model.minimum), hessian, rtol=1e-9, atol=1e-11)  # theirs by differences
    np.testing.assert_allclose(model.noise_covariance(model.minimum), noise, rtol=1e-12)


def test_mirror_wells() -> None:
    here = tanh_neuron(X1, Y1, l2=0.05)
    there = tanh_neuron(X1, Y1, l2=0.05, start=[-1.0, -1.0])
    assert here.minimum[0] > 0.0
    np.testing.assert_allclose(there.minimum, -here.minimum, rtol=1e-12)
    up = phase_retrieval(FEATURES, SQUARES)
    down = phase_retrieval(FEATURES, SQUARES, start=-up.start)
    np.testing.assert_allclose(down.minimum, -up.minimum, rtol=1e-12)
    negative = tanh_neuron(X1, -Y1, l2=0.05)
    np.testing.assert_allclose(negative.minimum, here.minimum * [1.0, -1.0], rtol=1e-12)


def test_the_deep_linear_minimum_is_known() -> None:
    m, q = (X1 * Y1).mean(), (X1**2).mean()
    s = np.sqrt((abs(m) - 0.05) / q)
    np.testing.assert_allclose(deep_linear(X1, Y1, l2=0.05).minimum, [s, s * np.sign(m)], rtol=1e-12)
    np.testing.assert_allclose(deep_linear(X1, Y1, l2=abs(m) + 0.1).minimum, 0.0, atol=1e-12)  # beyond it, the origin
    with pytest.raises(
        InvalidInput, match=r"got a deep linear net with l2 = 0: its minima are a hyperbola .* one weight"
    ):
        _ = deep_linear(X1, Y1).minimum

    def same(theta: Any, row: Any, out: Any) -> None:
        e = theta[0] * theta[1] * row[0] - row[1]
        out[0], out[1] = e * theta[1] * row[0], e * theta[0] * row[0]

    valley = custom_loss(same, np.column_stack([X1, Y1]), start=[1.0, 1.0])
    with pytest.raises(
        InvalidInput, match=r"a valley at θ = \[.*\]\. The minimum is not a single point; drop a feature or param"
    ):
        _ = valley.minimum


def test_a_law_on_a_line_is_refused_for_losses_of_any_kind() -> None:
    """The deep linear net again, as a loss of one's own: nothing but the noise tells that it has no density."""

    def net(theta: Any, row: Any, out: Any) -> None:
        e = theta[0] * theta[1] * row[0] - row[1]
        out[0], out[1] = e * theta[1] * row[0], e * theta[0] * row[0]

    loss = custom_loss(net, np.column_stack([X1, Y1]), start=[1.0, 1.0], l2=0.05)
    options: dict[str, Any] = {"learning_rate": 0.05, "batch_size": 2}
    for refused in (SGD(loss, **options).process, SGD(loss, **options).chain_moments):
        with pytest.raises(
            InvalidInput, match=r"got none along \[-?0\.707107, -?0\.707107\] at the minimum.* injected_noise="
        ):
            refused()
    assert (
        SGD(loss, **options, injected_noise=1e-6).process().dim == 2
    )  # the way out, with a thousandth of the deviation
    # noise of rank one is enough where the Hessian turns it
    rows = np.array([[1.0, 0.5, 1.0], [0.3, -1.0, 2.0]])
    assert SGD(linear_regression(rows[:, :2], rows[:, 2], l2=0.1), **options | {"batch_size": 1}).process().dim == 2


def test_starts_are_checked() -> None:
    with pytest.raises(InvalidInput, match=r"start: expected finite numbers of shape \(2,\), got \[1\.0\]"):
        tanh_neuron(X1, Y1, start=[1.0])
    with pytest.raises(InvalidInput, match=r"a saddle point or a maximum of the loss\. Start elsewhere with start="):
        _ = tanh_neuron(X1, Y1, l2=0.05, start=[0.0, 0.0]).minimum
    with pytest.raises(InvalidInput, match=r"x: expected one feature, shape \(n,\) or \(n, 1\), got \(11, 3\)"):
        deep_linear(FEATURES, Y1)


ROWS = np.column_stack([X1, Y1])


def tanh_gradient(theta: Any, row: Any, out: Any) -> None:
    f = np.tanh(theta[1] * row[0])
    error = theta[0] * f - row[1]
    out[0] = error * f
    out[1] = error * theta[0] * row[0] * (1.0 - f * f)


def tanh_gradients(theta: np.ndarray, rows: np.ndarray) -> np.ndarray:
    f = np.tanh(theta[1] * rows[:, 0])
    error = theta[0] * f - rows[:, 1]
    return np.stack([error * f, error * theta[0] * rows[:, 0] * (1.0 - f * f)], axis=1)


@pytest.fixture(scope="module")
def compiled() -> Loss:
    def value(theta: Any, row: Any) -> Any:
        return 0.5 * (theta[0] * np.tanh(theta[1] * row[0]) - row[1]) ** 2

    return custom_loss(tanh_gradient, ROWS, start=[1.0, 1.0], l2=0.2, names=["a", "w"], scale=0.3, value=value)


def test_losses_of_ones_own_agree_with_the_built_in_ones(compiled: Loss) -> None:
    known = tanh_neuron(X1, Y1, l2=0.2)
    plain = numpy_loss(tanh_gradients, ROWS, start=[1.0, 1.0], l2=0.2, scale=0.3)
    assert (compiled.n, compiled.dim, compiled.names) == (11, 2, ("a", "w"))
    np.testing.assert_allclose(compiled.minimum, known.minimum, rtol=1e-12)
    points = np.random.default_rng(63).normal(size=(2, 4, 3))
    np.testing.assert_allclose(compiled.loss(points), known.loss(points), rtol=1e-13)
    for loss in (compiled, plain):
        exact = ("gradient", "sample_gradients", "noise_covariance", "noise_third_moment")
        for name, atol in (*((name, 1e-13) for name in exact), ("hessian", 1e-9), ("noise_divergence", 1e-9)):
            # first derivatives: steps of 3e-4, (3e-4)⁴/30 times fifth derivatives of a few hundred
            np.testing.assert_allclose(getattr(loss, name)(points), getattr(known, name)(points), atol=atol)
        # second derivatives: steps of 3e-3, (3e-3)⁴/90 times sixth derivatives of a few thousand
        np.testing.assert_allclose(loss.expansion(points).noise_bend, known.expansion(points).noise_bend, atol=1e-6)
    with pytest.raises(InvalidInput, match="expected a loss made with its values, got one made of gradients alone"):
        plain.loss([1.0, 1.0])


def test_many_points_are_taken_in_pieces(monkeypatch: pytest.MonkeyPatch, compiled: Loss) -> None:
    theta = np.random.default_rng(64).normal(size=(2, 50))
    whole = compiled.noise_divergence(theta)
    monkeypatch.setattr("fokkerplanck.sgd.custom.ROOM", 200)
    np.testing.assert_array_equal(compiled.noise_divergence(theta), whole)


def unset(theta: Any, row: Any, out: Any) -> None:
    out[0] = theta[0]


def adding(theta: Any, row: Any, out: Any) -> None:
    out[0] += theta[0]
    out[1] += theta[1]


def undefined(theta: Any, row: Any, out: Any) -> None:
    out[0] = np.log(row[0]) * theta[0]
    out[1] = theta[1]


def rotated(theta: Any, row: Any, out: Any) -> None:
    out[0] = theta[0] + 0.5 * theta[1]
    out[1] = theta[1] - 0.5 * theta[0]


def moving(theta: Any, row: Any, out: Any) -> None:
    out[0] = theta[0]
    out[1] = theta[1]
    theta[0] = 2.0


def writing(theta: Any, row: Any, out: Any) -> None:
    row[0] = 1.0
    out[:] = theta


def too_many(theta: Any, row: Any, out: Any) -> None:
    for i in range(3):
        out[i] = theta[0]


def importing(theta: Any, row: Any, out: Any) -> None:
    import math

    out[:] = math.pi * theta


def python_only(theta: Any, row: Any, out: Any) -> None:
    out[:] = theta.no_such_attribute


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        (unset, r"expected every entry of out to be set, .* got \[1\.0, nan\] in an array of NaN and \[1\.0, 0\.5\]"),
        (adding, r"Write out\[i\] = \.\.\., not out\[i\] \+= \.\.\."),
        (undefined, r"gradient: expected finite numbers, got \[nan, 2\.0\] at θ = \[1\.0, 2\.0\] for row \d"),
        (rotated, r"∂g_i/∂θ_j = ∂g_j/∂θ_i, got 0\.5 and -0\.5 for \(theta0, theta1\)"),
        (moving, r"expected theta to be left alone, got \[2\.0, 2\.0\] instead of \[1\.0, 2\.0\]"),
        (writing, "a function that Numba compiles, .* got TypingError: "),
        (too_many, r"of theta of shape \(2,\) and a row of shape \(1,\) .* got IndexError: index is out of bounds"),
        (importing, r"a function that Numba compiles, .* got UnsupportedBytecodeError: .* by numpy_loss"),
        (python_only, "can be used, more slowly, by numpy_loss"),
        (3.0, r"gradient: expected a function gradient\(theta, row, out\), got 3\.0"),
    ],
)
def test_defects_of_a_compiled_gradient_are_named(gradient: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        custom_loss(gradient, [[-1.0], [2.0]], start=[1.0, 2.0])


@pytest.mark.filterwarnings("ignore:invalid value encountered in log:RuntimeWarning")
def test_defects_of_a_numpy_gradient_are_named() -> None:
    counter = itertools.count()
    for gradients, message in (
        (lambda t, rows: t, r"expected real numbers of shape \(2, 2\) .* got \(2,\) of dtype float64.*not their mean"),
        (lambda t, rows: t + 0 * rows + 0.1 * next(counter), "expected the same answer .* for row 0. .* hidden state"),
        (lambda t, rows: t + rows - rows.mean(), r"expected the gradient of a row whatever the other rows"),
        (lambda t, rows: t + np.log(rows), r"got \[nan, nan\] at θ = \[1\.0, 2\.0\] for row 0, \[-1\.0\]"),
        (lambda t, rows: t + 1j * rows, "of dtype complex128"),
    ):
        with pytest.raises(InvalidInput, match=message):
            numpy_loss(gradients, [[-1.0], [2.0]], start=[1.0, 2.0])  # type: ignore[arg-type]


def test_the_search_for_a_minimum_comes_back_from_where_the_loss_overflows() -> None:
    x = np.linspace(0.0, 3.0, 40)

    def gradients(theta: np.ndarray, rows: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            decay = np.exp(-theta[1] * rows[:, 0])
            error = theta[0] * decay - rows[:, 1]
            return np.stack([error * decay, -error * theta[0] * rows[:, 0] * decay], axis=1)

    loss = numpy_loss(gradients, np.column_stack([x, 2.0 * np.exp(-1.5 * x)]), start=[1.0, 1.0])
    with pytest.raises(InvalidInput, match="gradient: expected finite numbers"):
        loss.gradient([1.0, -500.0])
    np.testing.assert_allclose(loss.minimum, [2.0, 1.5], rtol=1e-9)


def test_nan_met_later_names_the_point() -> None:
    def gradients(theta: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.where(theta > 3.0, np.nan, theta - rows)

    loss = numpy_loss(gradients, [[1.0], [2.0], [3.0]], start=[0.0])
    assert float(loss.minimum[0]) == pytest.approx(2.0, rel=1e-12)
    with pytest.raises(InvalidInput, match=r"gradient: expected finite numbers, got \[nan\] at θ = \[4\.0\] for row 0"):
        loss.noise_covariance([[2.0, 4.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": [1.0, 2.0]}, r"data: expected real numbers of shape \(n, m\), .* got \(2,\)"),
        ({"data": [[1.0], [np.inf]]}, r"data: expected finite numbers, got \[inf\] in row 1"),
        ({"start": [np.nan]}, r"start: expected finite numbers of shape \(d,\)"),
        ({"scale": 0.0}, r"scale: expected a positive length, or one for each of 1 parameters, got 0\.0"),
        ({"l2": -1.0}, r"l2: expected a number of at least 0, got -1\.0"),
        ({"names": ["a", "b"]}, "names: expected 1 different non-empty names"),
    ],
)
def test_arguments_of_custom_losses_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        numpy_loss(
            lambda t, rows: t - rows,
            **{"data": [[1.0], [2.0]], "start": [0.0], **arguments},
        )
