"""The diffusion of SGD: its noise against every possible minibatch, its covariance, its box, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from test_sgd_model import FEATURES, breast_cancer, diabetes, linear, logistic, sample_gradients

from fokkerplanck.errors import InvalidInput, NotConverged
from fokkerplanck.process import DiffusionProcess
from fokkerplanck.sgd import descent
from fokkerplanck.sgd.descent import SGD
from fokkerplanck.sgd.models import linear_regression, logistic_regression

SMALL = logistic_regression(FEATURES[:5, :2], [1, 0, 0, 1, 1], l2=0.3)


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_diffusion_is_the_covariance_over_all_minibatches(sampling: str, batch: int) -> None:
    draws = product(range(5), repeat=batch) if sampling == "with_replacement" else combinations(range(5), batch)
    theta = np.array([0.7, -0.4])
    steps = np.array([sample_gradients(SMALL, theta)[list(draw)].mean(axis=0) for draw in draws])
    process = SGD(SMALL, learning_rate=0.2, batch_size=batch, sampling=sampling).process()
    # Cov(Δθ) = η² Cov(g_B) = 2 D η
    np.testing.assert_allclose(process.diffusion(theta), 0.1 * np.cov(steps.T, ddof=0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(process.drift(theta), -steps.mean(axis=0) - 0.3 * theta, atol=1e-14)


def test_the_process_is_ito_and_names_its_parameters() -> None:
    process = SGD(breast_cancer(), learning_rate=0.1, batch_size=8).process()
    assert process.interpretation == "ito"
    assert process.names == ("mean_radius", "mean_texture")


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_the_divergence_belongs_to_the_diffusion(sampling: str) -> None:
    process = SGD(logistic(), learning_rate=0.1, batch_size=3, sampling=sampling).process()
    without = DiffusionProcess(process.drift, process.diffusion, dim=3)
    x = np.random.default_rng(77).normal(size=(3, 20))
    scale = np.ones(3)  # steps of 1e-3 of it: truncation of the fourth-order differences 1e-12, round-off 1e-12
    np.testing.assert_allclose(process.current_velocity(x, scale), without.current_velocity(x, scale), atol=1e-10)


@pytest.mark.parametrize("make", [linear, logistic])
def test_covariance_solves_the_lyapunov_equation(make: Any) -> None:
    model = make()
    sgd = SGD(model, learning_rate=0.1, batch_size=2, sampling="without_replacement")
    H, S = model.hessian(model.minimum), sgd.covariance()
    np.testing.assert_allclose(H @ S + S @ H, 2 * sgd.process().diffusion(model.minimum), rtol=1e-11, atol=1e-15)
    np.testing.assert_array_equal(S, S.T)
    assert sgd.relaxation_time == pytest.approx(1 / np.linalg.eigvalsh(H)[0], rel=1e-14)


def test_the_box_measures_in_standard_deviations() -> None:
    sgd = SGD(breast_cancer(), learning_rate=0.5, batch_size=8)
    for box, widths in ((sgd.box(), 7.0), (sgd.box(widths=3), 3.0)):
        np.testing.assert_allclose(box.widths, 2 * widths * np.sqrt(np.diag(sgd.covariance())), rtol=1e-14)
        np.testing.assert_allclose(np.add(box.lower, box.upper) / 2, sgd.model.minimum, rtol=1e-14)
        assert box.boundary == ("reflecting", "reflecting")


def test_an_epoch_has_a_box_but_no_diffusion() -> None:
    model = diabetes()
    sgd = SGD(model, learning_rate=0.1, batch_size=4, sampling="epoch")
    assert sgd.box() == SGD(model, learning_rate=0.1, batch_size=4).box()
    for refused in (sgd.process, sgd.covariance):
        with pytest.raises(InvalidInput, match=r"anticorrelated, .* η h_min n/B ≫ 1 \(here 2\.08\)"):
            refused()


@pytest.mark.parametrize("sampling", ["without_replacement", "epoch"])
def test_the_whole_data_make_no_noise(sampling: str) -> None:
    sgd = SGD(SMALL, learning_rate=0.1, batch_size=5, sampling=sampling)
    for refused in (sgd.process, sgd.covariance, sgd.box):
        with pytest.raises(
            InvalidInput, match=r"expected fewer than all n = 5 samples .* gradient descent without noise"
        ):
            refused()
    assert SGD(SMALL, learning_rate=0.1, batch_size=5).covariance()[0, 0] > 0


def test_stability_limit() -> None:
    model = linear_regression([[1.0], [2.0]], [1.0, 1.0])  # H = 5/2
    SGD(model, learning_rate=0.7999, batch_size=1)
    with pytest.raises(InvalidInput, match=r"less than 2/λ_max\(H\) = 0\.8, got 0\.8, beyond linear stability"):
        SGD(model, learning_rate=0.8, batch_size=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0.0}, r"learning_rate: expected a positive number, got 0\.0"),
        ({"learning_rate": np.nan}, "learning_rate: expected a positive number, got nan"),
        ({"learning_rate": "fast"}, "learning_rate: expected a positive number, got 'fast'"),
        ({"batch_size": 0}, "batch_size: expected a whole number from 1 to n = 5, got 0"),
        ({"batch_size": 2.5}, r"batch_size: expected a whole number from 1 to n = 5, got 2\.5"),
        ({"batch_size": True}, "batch_size: expected a whole number from 1 to n = 5, got True"),
        ({"batch_size": 6}, "batch_size: expected at most n = 5, got 6: a batch larger than the data"),
        ({"sampling": "shuffle"}, "sampling: expected one of .*'epoch'.*, got 'shuffle'"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        SGD(SMALL, **{"learning_rate": 0.1, "batch_size": 2, **arguments})


def test_boxes_are_checked() -> None:
    four = linear_regression(np.random.default_rng(5).normal(size=(9, 4)), np.arange(9.0))
    sgd = SGD(four, learning_rate=0.01, batch_size=2)
    assert sgd.process().dim == 4
    with pytest.raises(
        InvalidInput, match="at most 3 parameters, got 4; densities are gridded in at most 3 dimensions"
    ):
        sgd.box()
    with pytest.raises(InvalidInput, match="widths: expected a positive number"):
        SGD(SMALL, learning_rate=0.1, batch_size=2).box(widths=0)
    X = np.random.default_rng(6).normal(size=(60, 2))
    for exact in (linear_regression([[1.0], [2.0]], [1.0, 2.0]), linear_regression(X, X @ [1.0, 2.0])):  # to round-off
        sgd = SGD(exact, learning_rate=0.1, batch_size=1)
        with pytest.raises(
            InvalidInput, match=r"expected gradient noise along every axis .* an exact fit stops SGD\. Add"
        ):
            sgd.box()
        assert (replace(sgd, label_noise=0.1).box().widths > 0.1).all()


def test_negative_variances_are_not_taken_for_an_exact_fit(monkeypatch) -> None:
    """What an equation too close to singular returns is refused where it would be clipped or taken a root of."""
    monkeypatch.setattr(descent, "solve_continuous_lyapunov", lambda *_: np.diag([1.0, -1e-3]))
    sgd = SGD(SMALL, learning_rate=0.1, batch_size=2)
    for ask in (sgd.box, sgd.covariance, sgd.process):
        with pytest.raises(NotConverged, match=r"variances that are not negative, got .* too close to singular"):
            ask()
