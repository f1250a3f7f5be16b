"""Losses, their gradient noise and their minimum, against NumPy, enumeration and independent numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fokkerplanck.errors import InvalidInput
from fokkerplanck.sgd.data import read_csv
from fokkerplanck.sgd.models import WORTH_SHARING, LossModel, linear_regression, logistic_regression

TABLES = Path(__file__).parents[1] / "fokkerplanck" / "cases" / "data"
RNG = np.random.default_rng(2024)
FEATURES = RNG.normal(size=(11, 3)) * [1.0, 2.0, 0.3]
NOISE = RNG.normal(size=11)
CLASSES = np.array([1, -1, 1, -1, -1, 1, 1, -1, 1, -1, 1])


def breast_cancer() -> LossModel:
    data = read_csv(TABLES / "breast_cancer.csv", target="target", features=["mean_radius", "mean_texture"])
    return logistic_regression(data.standardised().X, data.y, l2=0.1, names=data.feature_names)


def diabetes() -> LossModel:
    data = read_csv(TABLES / "diabetes.csv", target="target", features=["bmi", "s5"])
    scaled = data.standardised(scales=(1, 0.5), target=True)
    return linear_regression(scaled.X, scaled.y)


def linear() -> LossModel:
    return linear_regression(FEATURES, FEATURES @ [1, -1, 2] + NOISE, l2=0.2)


def logistic() -> LossModel:
    return logistic_regression(FEATURES, CLASSES, l2=0.2)


def sample_gradients(model: LossModel, theta: np.ndarray) -> np.ndarray:
    """∇ℓ of every sample, shape (n, d); the formulas written down once more, without the kernels."""
    margin = model.X @ theta
    if model.kind == "linear":
        return (margin - model.y)[:, None] * model.X
    return (-model.y / (1 + np.exp(model.y * margin)))[:, None] * model.X


def differences(field: Callable[[np.ndarray], Any], theta: np.ndarray, h: float = 1e-3) -> np.ndarray:
    """∂_j of a field of θ, j last, by the sixth-order central stencil: truncation h⁶, round-off 1e-16/h, both below 1e-12."""
    weights = ((-3, -1 / 60), (-2, 9 / 60), (-1, -45 / 60), (1, 45 / 60), (2, -9 / 60), (3, 1 / 60))
    columns = [sum(w * np.asarray(field(theta + k * h * e)) for k, w in weights) / h for e in np.eye(len(theta))]
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize("make", [linear, logistic])
def test_kernels_agree_with_numpy(make: Callable[[], LossModel]) -> None:
    model = make()
    points = np.random.default_rng(31).normal(size=(3, 2, 4))
    shapes = [(), (3,), (3, 3), (3,), (3, 3)]
    fields = [model.loss, model.gradient, model.noise_covariance, model.noise_divergence, model.hessian]
    assert [field(points).shape for field in fields] == [(*shape, 2, 4) for shape in shapes]
    for i in np.ndindex(2, 4):
        theta = points[:, *i]
        margin, penalty = model.X @ theta, 0.1 * theta @ theta
        losses = 0.5 * (margin - model.y) ** 2 if model.kind == "linear" else np.log1p(np.exp(-model.y * margin))
        gradients = sample_gradients(model, theta)
        # sums of 11 terms of size up to 1e2: round-off 1e-13
        np.testing.assert_allclose(model.loss(points)[i], losses.mean() + penalty, rtol=1e-13)
        np.testing.assert_allclose(model.gradient(points)[:, *i], gradients.mean(0) + 0.2 * theta, atol=1e-13)
        covariance = np.cov(gradients.T, ddof=0)
        np.testing.assert_allclose(model.noise_covariance(points)[:, :, *i], covariance, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("make", [linear, logistic])
def test_many_points_at_once_are_those_one_by_one(make: Callable[[], LossModel]) -> None:
    """Many are shared between the cores, few are not; the sums over samples have the same order."""
    model = make()
    count = WORTH_SHARING // len(model.X) + 1
    theta = np.random.default_rng(23).normal(size=(model.dim, count))
    for name in ("loss", "gradient", "hessian", "noise_covariance", "noise_divergence"):
        together = getattr(model, name)(theta)
        for k in (0, count // 2, count - 1):
            assert np.array_equal(together[..., k], getattr(model, name)(theta[:, k]))


@pytest.mark.parametrize("make", [linear, logistic])
def test_derivatives_agree_with_differences(make: Callable[[], LossModel]) -> None:
    model = make()
    for theta in np.random.default_rng(32).normal(size=(4, 3)):
        # values of size up to 1e2 known to 1e-14, divided by the step of 1e-3
        np.testing.assert_allclose(model.gradient(theta), differences(model.loss, theta), atol=1e-9)
        np.testing.assert_allclose(model.hessian(theta), differences(model.gradient, theta), atol=1e-9)
        divergence = np.einsum("ijj->i", differences(model.noise_covariance, theta))
        np.testing.assert_allclose(model.noise_divergence(theta), divergence, atol=1e-8)


def test_the_penalty_makes_no_noise() -> None:
    bare = logistic_regression(FEATURES, CLASSES)
    theta = np.array([0.3, -0.2, 1.0])
    np.testing.assert_array_equal(bare.noise_covariance(theta), logistic().noise_covariance(theta))
    np.testing.assert_array_equal(bare.noise_divergence(theta), logistic().noise_divergence(theta))


def test_large_margins_neither_overflow_nor_lose_digits() -> None:
    model = logistic_regression([[1.0], [-1.0]], [1, 0])
    for theta, loss, slope in ((1000.0, 0.0, 0.0), (-1000.0, 1000.0, -1.0), (40.0, np.exp(-40.0), -np.exp(-40.0))):
        assert float(model.loss([theta])) == pytest.approx(loss, rel=1e-15)
        assert float(model.gradient([theta])[0]) == pytest.approx(slope, rel=1e-15)


def test_noise_far_from_the_minimum_is_not_cancelled() -> None:
    # gradients 1e8 ± 1: the difference of ⟨g²⟩ = 1e16 and ⟨g⟩² would be lost in round-off
    model = linear_regression([[1.0], [1.0]], [1.0, -1.0])
    assert model.noise_covariance([1e8])[0, 0] == 1.0


def test_logistic_reference() -> None:
    # reference computed independently by a moment solver with scikit-learn's data; agreement to round-off of 569 samples
    model = breast_cancer()
    np.testing.assert_allclose(model.minimum, [-1.1674968643396497, -0.4493556382819847], atol=1e-12)
    H = [[0.2054519440276847, 0.018276253547881705], [0.018276253547881705, 0.2616240363698119]]
    np.testing.assert_allclose(model.hessian(model.minimum), H, atol=1e-11)  # theirs by differences
    noise = [[0.021095091858765506, -0.017325967480875608], [-0.017325967480875608, 0.11851928021136568]]
    np.testing.assert_allclose(model.noise_covariance(model.minimum), noise, atol=1e-13)


def test_linear_reference() -> None:
    # reference computed independently by a moment solver with scikit-learn's data
    model = diabetes()
    np.testing.assert_allclose(model.minimum, [0.4169801793015996, 0.7596883179837763], atol=1e-12)
    H = [[1.0, 0.22307826928591507], [0.22307826928591507, 0.25]]
    np.testing.assert_allclose(model.hessian(model.minimum), H, atol=1e-11)  # theirs by differences
    noise = [[0.499935712485394, 0.07495083505636291], [0.07495083505636291, 0.11448069487203198]]
    np.testing.assert_allclose(model.noise_covariance(model.minimum), noise, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_minimum_does_not_depend_on_units(scale: float) -> None:
    here = logistic_regression(FEATURES, CLASSES).minimum
    np.testing.assert_allclose(logistic_regression(scale * FEATURES, CLASSES).minimum * scale, here, rtol=1e-10)


def test_labels_are_sorted() -> None:
    assert logistic_regression([[1.0], [2.0]], [7, 3]).y.tolist() == [1.0, -1.0]
    assert logistic_regression([[1.0], [2.0]], [True, False]).y.tolist() == [1.0, -1.0]
    assert logistic_regression([[1.0], [2.0]], ["b", "a"], names=["w"]).y.tolist() == [1.0, -1.0]


def test_models_do_not_change_with_the_arrays_they_were_made_of() -> None:
    X = np.array([[1.0], [2.0]])
    model = linear_regression(X, [1.0, 3.0])
    X[0] = 5.0
    assert model.X[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        model.X[0] = 5.0


@pytest.mark.parametrize("x", [[1.0, 2.0, -1.0], [1.0, 0.0, -1.0], [3.0, 0.0, 0.0]])
def test_separable_classes_have_no_minimum(x: list[float]) -> None:
    # complete separation, and two cases where some samples lie on the separating plane
    with pytest.raises(InvalidInput, match="expected overlapping classes, got classes that a plane through the origin"):
        _ = logistic_regression(np.array(x)[:, None], [1, 1, 0]).minimum
    assert np.isfinite(logistic_regression(np.array(x)[:, None], [1, 1, 0], l2=0.01).minimum).all()


def test_a_plane_in_two_dimensions_separates() -> None:
    normal = np.array([0.6, -0.8])
    points = np.random.default_rng(33).normal(size=(30, 2))
    with pytest.raises(InvalidInput, match="margin ≥ 0 for all 30 samples"):
        _ = logistic_regression(points, points @ normal > 0).minimum


def test_dependent_features_have_no_single_minimum() -> None:
    double = np.column_stack([FEATURES[:, 0], 2 * FEATURES[:, 0]])
    for model in (linear_regression(double, FEATURES[:, 1]), logistic_regression(double, CLASSES)):
        with pytest.raises(InvalidInput, match=r"features of \('theta0', 'theta1'\) are linearly dependent"):
            _ = model.minimum
    with pytest.raises(InvalidInput, match=r"no curvature at all along \['b'\]"):
        _ = linear_regression(FEATURES[:, :2] * [1, 0], CLASSES, names=["a", "b"]).minimum
    assert np.isfinite(linear_regression(double, FEATURES[:, 1], l2=0.1).minimum).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": [1.0, 2.0]}, r"X: expected shape \(n, d\), one sample a row, got \(2,\)"),
        ({"X": [["a"], ["b"]]}, "X: expected real numbers, got dtype"),
        ({"X": [[1.0]], "y": [1.0]}, "X: expected at least 2 samples, got 1"),
        ({"X": [[1.0], [np.inf]]}, r"X: expected finite numbers, got \[inf\] in row 1"),
        ({"y": [1.0]}, r"y: expected shape \(2,\), one value per row of X, got \(1,\)"),
        ({"y": [1.0, np.nan]}, r"y: expected (finite numbers|labels), got nan in row 1"),
        ({"l2": -0.1}, r"l2: expected a number of at least 0, got -0\.1"),
        ({"names": ["a", "b"]}, "names: expected 1 different non-empty names, got"),
    ],
)
@pytest.mark.parametrize("make", [linear_regression, logistic_regression])
def test_arguments_are_checked(make: Callable[..., LossModel], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make(**{"X": [[1.0], [2.0]], "y": [1.0, 2.0], **arguments})


def test_targets_are_checked() -> None:
    with pytest.raises(InvalidInput, match="y: expected two classes, got 1"):
        logistic_regression([[1.0], [2.0]], [1, 1])
    with pytest.raises(InvalidInput, match=r"y: expected two classes, got 3: \[1, 2, 3\]"):
        logistic_regression([[1.0], [2.0], [3.0]], [1, 2, 3])
    with pytest.raises(
        InvalidInput, match=r"y: expected real numbers, got dtype <U1\. For labels use logistic_regression"
    ):
        linear_regression([[1.0], [2.0]], ["a", "b"])


def test_points_are_checked() -> None:
    with pytest.raises(InvalidInput, match=r"theta: expected shape \(3, ...\), one row per parameter"):
        linear().loss([1.0, 2.0])


@pytest.mark.parametrize("kind", ["logistic", "linear"])
def test_sample_gradients_average_to_the_gradient_and_scatter_by_the_covariance(kind):
    rng = np.random.default_rng(31)
    X = rng.normal(size=(20, 3))
    y = np.sign(rng.normal(size=20)) if kind == "logistic" else rng.normal(size=20)
    build = logistic_regression if kind == "logistic" else linear_regression
    model = build(X, y, l2=0.3)
    theta = rng.normal(size=(3, 4, 2))
    gradients = model.sample_gradients(theta)
    assert gradients.shape == (20, 3, 4, 2)
    mean = gradients.mean(axis=0)
    np.testing.assert_allclose(mean, model.gradient(theta), atol=1e-14)  # sums of 20 terms of order one
    scatter = np.einsum("ki...,kj...->ij...", gradients - mean, gradients - mean) / 20
    np.testing.assert_allclose(scatter, model.noise_covariance(theta), atol=1e-14)
