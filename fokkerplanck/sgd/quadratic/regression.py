"""Least squares with the noise of its own minibatches: second moments of SGD, exact, and where they stop to exist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from ...errors import InvalidInput
from .matrices import Array, at_least_zero, labels, semidefinite, symmetric, vector
from .noise import batch_factor

NoiseMap = Callable[[Array], Array]


class Regression(Protocol):
    """What the second moments of SGD need to know of a regression."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the d parameters."""

    @property
    def hessian(self) -> Array:
        """K, of the whole loss, shape (d, d)."""

    @property
    def minimum(self) -> Array:
        """θ* of the expected loss, shape (d,)."""

    def noise_map(self, batch_size: int, W: Array) -> tuple[NoiseMap, Array]:
        r"""How the covariance Z of z, :math:`\theta - \theta^* = Wz`, makes noise in :math:`W^\top g`: N(Z) and N₀."""

    def train_loss(self, covariance: Array) -> float:
        """Mean of the loss that is minimised."""

    def test_loss(self, covariance: Array) -> float:
        """Mean of the loss on features and labels without noise."""


@dataclass(frozen=True, eq=False)
class GaussianRegression:
    r"""Least squares on fresh Gaussian features in every step, the limit of many samples.

    .. math::

        y = u^\top x + \epsilon,\qquad L = \tfrac12\mathrm E\big(\theta^\top(x + \delta x) - y\big)^2
        + \tfrac12\theta^\top\Gamma\theta,\qquad x\sim N(0, A),\ \delta x\sim N(0, B_x),\ \mathrm{Var}\,\epsilon = \sigma^2

    With :math:`A' = A + B_x`, :math:`u' = A'^{-1}Au`, :math:`\sigma'^2 = \sigma^2 + u^\top AA'^{-1}B_xu` and the second moment
    :math:`\Delta = \mathrm E(\theta - u')(\theta - u')^\top`, the gradient of a minibatch of B has the covariance

    .. math:: C = \tfrac1B\big[A'\Delta A' + (\mathrm{Tr}[A'\Delta] + \sigma'^2)A'\big].

    Parameters
    ----------
    features : array_like, shape (d, d)
        A, positive definite.
    target : array_like, shape (d,), optional
        u; zero by default. Without L2 and noise on the features it only shifts θ.
    label_noise : float
        σ², the variance.
    input_noise : array_like, shape (d, d), or float
        B_x, the covariance of noise on the features that is drawn afresh with them.
    l2 : array_like, shape (d, d), or float
        Γ, symmetric; it may have negative directions as long as A' + Γ is positive definite.
    names : sequence of str, optional

    Raises
    ------
    InvalidInput
        For arguments that do not fit, and a loss without a minimum.

    References
    ----------
    L. Ziyin, K. Liu, T. Mori, M. Ueda, *ICLR* 2022, arXiv:2102.05375, §4 (label noise, noise on the input, L2).

    Examples
    --------
    >>> problem = gaussian_regression([[1.0, 0.3], [0.3, 0.5]], label_noise=0.25)
    >>> problem.noise_covariance([0.7, -0.4], batch_size=1).round(6).tolist()
    [[0.9884, 0.2014], [0.2014, 0.3261]]
    """

    features: Array
    target: Array
    label_noise: float
    input_noise: Array
    l2: Array
    names: tuple[str, ...]

    @property
    def seen(self) -> Array:
        """A' = A + B_x, the covariance of the features that are trained on."""
        return self.features + self.input_noise

    @property
    def hessian(self) -> Array:
        """K = A' + Γ."""
        return self.seen + self.l2

    @property
    def best_target(self) -> Array:
        """u' = A'⁻¹Au, the minimum without L2."""
        return np.asarray(np.linalg.solve(self.seen, self.features @ self.target))

    @property
    def minimum(self) -> Array:
        """θ* = K⁻¹Au."""
        return np.asarray(np.linalg.solve(self.hessian, self.features @ self.target))

    @property
    def residual_variance(self) -> float:
        """σ'² = σ² + uᵀAA'⁻¹B_x u: what noise on labels and features leaves of the labels at u'."""
        explained = self.target @ self.features @ np.linalg.solve(self.seen, self.input_noise @ self.target)
        return self.label_noise + float(explained)

    def noise_covariance(self, theta: ArrayLike, *, batch_size: int) -> Array:
        """C at one θ of shape (d,)."""
        gap = vector(theta, "theta", len(self.names)) - self.best_target
        moment = np.outer(gap, gap)
        return self._noise(self.seen, moment, self.residual_variance) * batch_factor(
            batch_size, None, "with_replacement"
        )

    def noise_map(self, batch_size: int, W: Array) -> tuple[NoiseMap, Array]:
        """See `Regression`."""
        factor = batch_factor(batch_size, None, "with_replacement")
        A = W.T @ self.seen @ W
        gap = np.linalg.solve(W, self.minimum - self.best_target)
        constant = factor * self._noise(A, np.outer(gap, gap), self.residual_variance)
        return (lambda Z: factor * self._noise(A, Z, 0.0)), constant

    def train_loss(self, covariance: Array) -> float:
        r"""½{Tr[A'Δ] + σ'² + E θᵀΓθ}."""
        gap, minimum = self.minimum - self.best_target, self.minimum
        fit = np.sum(self.seen * covariance) + gap @ self.seen @ gap + self.residual_variance
        return float(0.5 * (fit + np.sum(self.l2 * covariance) + minimum @ self.l2 @ minimum))

    def test_loss(self, covariance: Array) -> float:
        r"""½E(θ − u)ᵀA(θ − u): no noise on features or labels, no penalty."""
        gap = self.minimum - self.target
        return float(0.5 * (np.sum(self.features * covariance) + gap @ self.features @ gap))

    @staticmethod
    def _noise(A: Array, moment: Array, variance: float) -> Array:
        return np.asarray(A @ moment @ A + (np.sum(A * moment) + variance) * A)


def gaussian_regression(
    features: ArrayLike,
    *,
    target: ArrayLike | None = None,
    label_noise: float = 0.0,
    input_noise: ArrayLike = 0.0,
    l2: ArrayLike = 0.0,
    names: Sequence[str] | None = None,
) -> GaussianRegression:
    """A `GaussianRegression`, from checked arguments.

    Examples
    --------
    >>> gaussian_regression([[2.0, 0.5], [0.5, 1.0]], target=[1.0, -1.0], label_noise=0.1).minimum.tolist()
    [1.0, -1.0]
    """
    A = semidefinite(features, "features")
    d = len(A)
    u = np.zeros(d) if target is None else vector(target, "target", d)
    variance = at_least_zero(label_noise, "label_noise")
    extra, penalty = semidefinite(input_noise, "input_noise", d), symmetric(l2, "l2", d)
    _check_minimum(A + extra, "features", "the features that are trained on")
    _check_minimum(A + extra + penalty, "l2", "the loss")
    return GaussianRegression(A, u, variance, extra, penalty, labels(names, d))


@dataclass(frozen=True, eq=False)
class DataRegression:
    r"""Least squares on n samples, :math:`L = \frac1{2n}\sum_k(\theta\cdot x_k - y_k)^2 + \tfrac12\theta^\top\Gamma\theta`.

    With residuals :math:`r_k = \theta^*\cdot x_k - y_k` and covariance S of θ, the gradient of a minibatch has the covariance

    .. math::

        C = f\Big[\frac1n\sum_k(x_k^\top Sx_k + r_k^2)\,x_kx_k^\top - HSH - \Gamma\theta^*\theta^{*\top}\Gamma\Big]
        + \frac{\sigma^2}BH,\qquad H = \frac1n\sum_k x_kx_k^\top,

    where f is 1/B with replacement and (n − B)/(n − 1)/B without, and σ² is the variance of noise that is added to the
    labels afresh in every step.

    Parameters
    ----------
    X : array_like, shape (n, d)
    y : array_like, shape (n,)
    l2 : array_like, shape (d, d), or float
    label_noise : float
        σ².
    sampling : {"with_replacement", "without_replacement"}
    names : sequence of str, optional

    Raises
    ------
    InvalidInput
        For arguments that do not fit, and a loss whose minimum is not a single point.

    Examples
    --------
    >>> problem = data_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0])
    >>> problem.minimum.round(6).tolist()
    [1.214286]
    """

    X: Array
    y: Array
    l2: Array
    label_noise: float
    sampling: str
    names: tuple[str, ...]

    @property
    def curvature(self) -> Array:
        """H, without the penalty."""
        return self.X.T @ self.X / len(self.X)

    @property
    def hessian(self) -> Array:
        """K = H + Γ."""
        return self.curvature + self.l2

    @property
    def minimum(self) -> Array:
        """θ* = K⁻¹Xᵀy/n."""
        return np.asarray(np.linalg.solve(self.hessian, self.X.T @ self.y / len(self.X)))

    def noise_map(self, batch_size: int, W: Array) -> tuple[NoiseMap, Array]:
        """See `Regression`."""
        n = len(self.X)
        factor = batch_factor(batch_size, n, self.sampling)
        X = self.X @ W
        H = X.T @ X / n
        residual = self.X @ self.minimum - self.y
        slope = X.T @ residual / n

        def linear(Z: Array) -> Array:
            spread = np.einsum("ka,ka->k", X @ Z, X)
            return np.asarray(factor * ((X * spread[:, None]).T @ X / n - H @ Z @ H))

        constant = factor * ((X * (residual**2)[:, None]).T @ X / n - np.outer(slope, slope))
        return linear, np.asarray(constant + self.label_noise / batch_size * H)

    def train_loss(self, covariance: Array) -> float:
        """½{Tr[KS] + mean r² + σ² + θ*ᵀΓθ*}."""
        residual = self.X @ self.minimum - self.y
        rest = residual @ residual / len(self.X) + self.label_noise + self.minimum @ self.l2 @ self.minimum
        return float(0.5 * (np.sum(self.hessian * covariance) + rest))

    def test_loss(self, covariance: Array) -> float:
        """½{Tr[HS] + mean r²}: on these samples, without the noise added to the labels and without the penalty."""
        residual = self.X @ self.minimum - self.y
        return float(0.5 * (np.sum(self.curvature * covariance) + residual @ residual / len(self.X)))


def data_regression(
    X: ArrayLike,
    y: ArrayLike,
    *,
    l2: ArrayLike = 0.0,
    label_noise: float = 0.0,
    sampling: str = "with_replacement",
    names: Sequence[str] | None = None,
) -> DataRegression:
    """A `DataRegression`, from checked arguments.

    Examples
    --------
    >>> data_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]).minimum.round(6).tolist()
    [1.214286]
    """
    features = np.array(X, dtype=float)
    if features.ndim != 2 or features.shape[0] < 2 or features.shape[1] < 1:
        raise InvalidInput(f"X: expected shape (n, d) with at least 2 samples, got {features.shape}")
    if not np.isfinite(features).all():
        row = int(np.argmin(np.isfinite(features).all(axis=1)))
        raise InvalidInput(f"X: expected finite numbers, got {features[row].tolist()} in row {row}")
    n, d = features.shape
    target = np.array(y, dtype=float)
    if target.shape != (n,) or not np.isfinite(target).all():
        raise InvalidInput(f"y: expected {n} finite numbers, one per row of X, got shape {target.shape}")
    penalty = symmetric(l2, "l2", d)
    batch_factor(1, n, sampling)
    problem = DataRegression(
        features, target, penalty, at_least_zero(label_noise, "label_noise"), sampling, labels(names, d)
    )
    _check_minimum(problem.hessian, "l2", "the loss")
    return problem


def _check_minimum(matrix: Array, name: str, what: str) -> None:
    lowest, *_, highest = (float(value) for value in np.linalg.eigvalsh(matrix)[[0, -1]])
    if lowest <= len(matrix) * np.finfo(float).eps * abs(highest):
        raise InvalidInput(
            f"{name}: expected positive curvature of {what} in every direction, got the eigenvalue {lowest:.6g} "
            f"(the largest is {highest:.6g}). There is no single minimum; raise l2, or leave features out"
        )
