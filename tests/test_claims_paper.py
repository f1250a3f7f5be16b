"""What the checks of the claims of the paper, the blog and the talk stand on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from fokkerplanck.claims.fluctuations import closed_form
from fokkerplanck.claims.gradient_noise import _average, _covariance, _label_noise
from fokkerplanck.claims.langevin import _flat_over_sharp, _in_two_wells, _slope_of_wells, _two_wells
from fokkerplanck.claims.tails import _diffusion_index, exact_index, ito_index
from fokkerplanck.sgd.quadratic import linear_sgd


def test_quadrature_is_exact_for_fourth_moments() -> None:
    A = np.array([[1.0, 0.3], [0.3, 0.5]])
    (x,), weight = _average(A)
    fourth = np.einsum("an,bn,cn,dn,n->abcd", x, x, x, x, weight)
    pairs = np.einsum("ab,cd->abcd", A, A)
    wick = pairs + pairs.transpose(0, 2, 1, 3) + pairs.transpose(0, 3, 2, 1)
    np.testing.assert_allclose(fourth, wick, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(_covariance(x, weight), A, rtol=1e-13)


def test_noise_of_labels_is_that_of_samples() -> None:
    rng = np.random.default_rng(411)
    A, delta = np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([0.7, -0.4])
    x = np.linalg.cholesky(A) @ rng.standard_normal((2, 400_000))
    gradients = x * (delta @ x - 0.5 * rng.standard_normal(400_000))
    # entries are means of 4e5 products with a standard deviation of about 3
    np.testing.assert_allclose(_label_noise(A, delta, 0.25), np.cov(gradients), atol=5 * 3 / 400_000**0.5)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_closed_form_is_a_fixed_point_without_commuting(momentum: float) -> None:
    A, rate = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([[0.02, 0.01], [0.01, 0.03]])
    assert np.abs(A @ rate - rate @ A).max() > 1e-3
    S, _, _ = closed_form(A, rate, 0.7, 3, momentum)
    noise = (A @ S @ A + (np.sum(A * S) + 0.7) * A) / 3
    np.testing.assert_allclose(linear_sgd(A, noise, learning_rate=rate, momentum=momentum).covariance, S, rtol=1e-11)


def test_tails_of_the_density_that_is_solved() -> None:
    for batch, rho in ((1, 0.5), (4, 1.0)):
        assert _diffusion_index(batch, rho) == pytest.approx(ito_index(batch, rho), rel=5e-3)
        assert abs(_diffusion_index(batch, rho) / exact_index(batch, rho) - 1.0) > 0.03  # and not the chain's


def test_force_in_the_two_wells_is_that_of_their_loss() -> None:
    x = np.linspace(-1.5, 1.5, 7)
    step = 1e-5
    difference = (_two_wells(x + step) - _two_wells(x - step)) / (2 * step)
    np.testing.assert_allclose(_slope_of_wells(x), difference, atol=1e-8)  # the third derivative times 1e-10
    left, right = (quad(lambda y: np.exp(-_two_wells(y) / 0.2), *ends)[0] for ends in ((-2, 0), (0, 2)))
    assert _flat_over_sharp(_in_two_wells(0.2)) == pytest.approx(left / right, rel=1e-6)
