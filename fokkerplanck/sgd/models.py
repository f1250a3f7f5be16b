"""Losses on data: linear and logistic regression, their gradient noise and their minimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from ..errors import InvalidInput, NotConverged
from ..kernels.glm import LINEAR, LOGISTIC, at_few_points, at_points

Array = NDArray[np.float64]

KINDS = {"linear": LINEAR, "logistic": LOGISTIC}
# Points times samples: about a millisecond of work on one core. Sharing it gains half of that at most, and where another core
# is busy, calls of a tenth of a millisecond have been seen to wait twenty for it.
WORTH_SHARING = 2**16
# Newton's method stops where |∇L| falls below this fraction of the typical gradient of one sample at θ = 0 (½√d for
# standardised logistic data); the average of n such gradients carries a round-off of about 1e-16.
GRADIENT = 1e-12
ITERATIONS = 100  # damped Newton needs ~10; more than that means no progress
SUFFICIENT = 1e-4  # Armijo's fraction of the decrease that the slope predicts
# Smallest eigenvalue of the Hessian scaled to a unit diagonal. Below it the position of the minimum along the flat
# direction is lost: the gradient is known to GRADIENT, so the position to GRADIENT/FLAT of the width of the minimum.
FLAT = 1e-9
# A separating direction found by the linear programme (rows of unit scale, direction in the unit cube) has margins that
# are positive or zero; the programme satisfies its constraints to 1e-7.
SEPARATED = 1e-5


@dataclass(frozen=True, eq=False)
class LossModel:
    r"""The loss :math:`L(\theta) = \frac1n\sum_k \ell(\theta\cdot x_k, y_k) + \frac\lambda2|\theta|^2` on n samples.

    Linear: :math:`\ell = \tfrac12(\theta\cdot x - y)^2`. Logistic: :math:`\ell = \log(1 + e^{-y\,\theta\cdot x})` with
    y = ±1.

    Made by `linear_regression` and `logistic_regression`. The minibatch noise is that of the data term alone:
    the λ term is the same in every minibatch.

    Parameters
    ----------
    kind : {"linear", "logistic"}
    X : ndarray, shape (n, d)
    y : ndarray, shape (n,)
    l2 : float
        λ, at least 0.
    names : tuple of str, length d
        Names of the parameters.

    Examples
    --------
    >>> model = linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0])
    >>> model.minimum.round(6).tolist()
    [1.214286]
    >>> model.noise_covariance(model.minimum).shape
    (1, 1)
    """

    kind: str
    X: Array
    y: Array
    l2: float
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"LossModel({self.kind}, n={self.n}, l2={self.l2:g}, names={self.names})"

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.X)

    @property
    def dim(self) -> int:
        """Number of parameters d."""
        return len(self.names)

    def loss(self, theta: ArrayLike) -> Array:
        """L, shape (...), at points θ of shape (d, ...)."""
        points, tail = self._points(theta)
        penalty = 0.5 * self.l2 * (points**2).sum(axis=1)
        return np.asarray((self._at(points, "loss")["loss"][:, 0] + penalty).reshape(tail))

    def gradient(self, theta: ArrayLike) -> Array:
        """∇L, shape (d, ...), at points of shape (d, ...)."""
        points, tail = self._points(theta)
        return _lead(self._at(points, "gradient")["gradient"] + self.l2 * points, tail)

    def sample_gradients(self, theta: ArrayLike) -> Array:
        r"""Gradient of every sample's loss, the penalty included: :math:`\nabla\ell_k + \lambda\theta`, shape (n, d, ...)."""
        points, tail = self._points(theta)
        margin = self.X @ points.T
        y = self.y[:, None]
        slope = margin - y if self.kind == "linear" else -y * expit(-y * margin)
        gradients = slope[:, None, :] * self.X[:, :, None] + self.l2 * points.T
        return np.asarray(gradients.reshape(self.n, self.dim, *tail))

    def noise_covariance(self, theta: ArrayLike) -> Array:
        r"""Covariance of the gradient of one random sample, shape (d, d, ...).

        .. math:: \Sigma = \frac1n\sum_k (g_k - \bar g)(g_k - \bar g)^\top,\qquad g_k = \nabla\ell(\theta\cdot x_k, y_k)
        """
        points, tail = self._points(theta)
        return _lead(self._at(points, "covariance")["covariance"], tail)

    def noise_divergence(self, theta: ArrayLike) -> Array:
        r""":math:`\partial_j\Sigma_{ij}`, shape (d, ...), from the formula, not by differences."""
        points, tail = self._points(theta)
        return _lead(self._at(points, "divergence")["divergence"], tail)

    def moments(self, theta: ArrayLike) -> tuple[Array, Array, Array]:
        """``gradient``, ``noise_covariance`` and ``noise_divergence`` in one pass over the samples."""
        points, tail = self._points(theta)
        out = self._at(points, "covariance", "divergence")
        gradient = out["gradient"] + self.l2 * points
        return _lead(gradient, tail), _lead(out["covariance"], tail), _lead(out["divergence"], tail)

    def hessian(self, theta: ArrayLike) -> Array:
        r""":math:`\partial_i\partial_j L`, shape (d, d, ...)."""
        points, tail = self._points(theta)
        return _lead(self._at(points, "hessian")["hessian"] + self.l2 * np.eye(self.dim), tail)

    @cached_property
    def minimum(self) -> Array:
        """The minimum θ* of the loss, shape (d,), by damped Newton steps from θ = 0.

        Raises
        ------
        InvalidInput
            If there is none, because the two classes can be separated and l2 = 0; or if it is not a single point,
            because the features are linearly dependent and l2 = 0.
        NotConverged
            If round-off keeps the gradient from falling below 1e-12 of the gradient of a typical sample.
        """
        if self.kind == "logistic" and self.l2 == 0.0:
            _check_overlap(self.X, self.y)
        theta = np.zeros(self.dim)
        rates = self.X * (self.y if self.kind == "linear" else 0.5 * self.y)[:, None]
        tolerance = GRADIENT * float(np.sqrt((rates**2).mean(axis=0).sum()))
        for _ in range(ITERATIONS):
            slope = self.gradient(theta)
            H = self.hessian(theta)
            _check_curvature(H, self.names, self.l2)
            if np.linalg.norm(slope) <= tolerance:
                theta.setflags(write=False)
                return theta
            theta = self._step(theta, slope, np.asarray(np.linalg.solve(H, -slope), dtype=float))
        raise NotConverged(
            f"minimum: expected |∇L| ≤ {tolerance:.3g}, got {np.linalg.norm(self.gradient(theta)):.3g} "
            f"after {ITERATIONS} Newton steps. Features of very different size lose digits in θ·x; standardise them"
        )

    def _step(self, theta: Array, slope: Array, step: Array) -> Array:
        start = float(self.loss(theta))
        room = 1e-14 * abs(start)  # the loss is a sum of n positive terms: near θ* its decrease drowns in round-off
        length = 1.0
        while float(self.loss(theta + length * step)) > start + SUFFICIENT * length * float(slope @ step) + room:
            length *= 0.5
            if length < 1e-10:  # ten orders below the Newton step there is no descent to be found in double precision
                break
        return theta + length * step

    def _points(self, theta: ArrayLike) -> tuple[Array, tuple[int, ...]]:
        """The points as rows, and the shape they came in."""
        points = np.asarray(theta, dtype=float)
        if points.ndim == 0 or points.shape[0] != self.dim:
            raise InvalidInput(
                f"theta: expected shape ({self.dim}, ...), one row per parameter {self.names}, got {points.shape}"
            )
        return np.ascontiguousarray(points.reshape(self.dim, -1).T), points.shape[1:]

    def _at(self, points: Array, *wanted: str) -> dict[str, Array]:
        """The averages wanted, one row per point, in one pass over the samples."""
        count, d = points.shape
        shapes = {"loss": (1,), "gradient": (d,), "covariance": (d, d), "divergence": (d,), "hessian": (d, d)}
        out = {
            name: np.empty((count, *(shape if name in (*wanted, "gradient") else (0,) * len(shape))))
            for name, shape in shapes.items()
        }
        kernel = at_points if count * len(self.X) >= WORTH_SHARING else at_few_points
        kernel(KINDS[self.kind], self.X, self.y, points, *out.values())
        return out


def linear_regression(X: ArrayLike, y: ArrayLike, *, l2: float = 0.0, names: Sequence[str] | None = None) -> LossModel:
    r"""Least squares: :math:`L = \frac1{2n}\sum_k(\theta\cdot x_k - y_k)^2 + \frac\lambda2|\theta|^2`.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Features; add a column of ones for an intercept.
    y : array_like, shape (n,)
        Targets.
    l2 : float
        λ ≥ 0.
    names : sequence of str, optional
        Names of the parameters; by default theta0, theta1, …

    Returns
    -------
    LossModel

    Raises
    ------
    InvalidInput
        For shapes that do not fit, fewer than 2 samples, NaN or infinity (naming the row), or l2 < 0.

    Examples
    --------
    >>> float(linear_regression([[1.0], [1.0]], [0.0, 2.0]).loss([1.0]))
    0.5
    """
    features, target, labels = _check(X, y, l2, names)
    if target.dtype.kind not in "biuf":
        raise InvalidInput(f"y: expected real numbers, got dtype {target.dtype}. For labels use logistic_regression")
    values = target.astype(float)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise InvalidInput(f"y: expected finite numbers, got {values[row]} in row {row}")
    return _freeze("linear", features, values, l2, labels)


def logistic_regression(
    X: ArrayLike, y: ArrayLike, *, l2: float = 0.0, names: Sequence[str] | None = None
) -> LossModel:
    r"""Two classes: :math:`L = \frac1n\sum_k \log(1 + e^{-y_k\,\theta\cdot x_k}) + \frac\lambda2|\theta|^2`, y = ±1.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Features; add a column of ones for an intercept.
    y : array_like, shape (n,)
        Any two different labels, numbers or text; the smaller becomes −1, the larger +1.
    l2 : float
        λ ≥ 0.
    names : sequence of str, optional
        Names of the parameters; by default theta0, theta1, …

    Returns
    -------
    LossModel

    Raises
    ------
    InvalidInput
        For shapes that do not fit, fewer than 2 samples, NaN or infinity (naming the row), a number of classes other
        than two, or l2 < 0.

    References
    ----------
    A. Albert, J. A. Anderson, *Biometrika* 71 (1984) 1–10, doi:10.1093/biomet/71.1.1 (existence of θ* at λ = 0).

    Examples
    --------
    >>> logistic_regression([[1.0], [2.0], [3.0]], ["no", "yes", "no"]).y.tolist()
    [-1.0, 1.0, -1.0]
    """
    features, target, labels = _check(X, y, l2, names)
    if target.dtype.kind not in "biufU":
        raise InvalidInput(f"y: expected labels as numbers or text, got dtype {target.dtype}")
    if target.dtype.kind == "f" and not np.isfinite(target).all():
        row = int(np.argmin(np.isfinite(target)))
        raise InvalidInput(f"y: expected labels, got {target[row]} in row {row}")
    classes = np.unique(target)
    if len(classes) != 2:
        shown = classes[:5].tolist()
        raise InvalidInput(
            f"y: expected two classes, got {len(classes)}: {shown}{' …' if len(classes) > 5 else ''}. "
            "Keep the rows of two classes, or merge classes"
        )
    return _freeze("logistic", features, np.where(target == classes[1], 1.0, -1.0), l2, labels)


def _check(
    X: ArrayLike, y: ArrayLike, l2: float, names: Sequence[str] | None
) -> tuple[Array, NDArray[Any], tuple[str, ...]]:
    given = np.asarray(X)
    if given.dtype.kind not in "biuf":
        raise InvalidInput(f"X: expected real numbers, got dtype {given.dtype}")
    features = np.array(given, dtype=float, order="C")
    if features.ndim != 2 or features.shape[1] < 1:
        raise InvalidInput(
            f"X: expected shape (n, d), one sample a row, got {features.shape}. A single feature is X[:, None]"
        )
    n, d = features.shape
    if n < 2:
        raise InvalidInput(f"X: expected at least 2 samples, got {n}. One sample has no minibatch noise")
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise InvalidInput(f"X: expected finite numbers, got {features[row].tolist()} in row {row}")
    target = np.asarray(y)
    if target.shape != (n,):
        raise InvalidInput(f"y: expected shape ({n},), one value per row of X, got {target.shape}")
    if not (np.isfinite(l2) and l2 >= 0.0):
        raise InvalidInput(f"l2: expected a number of at least 0, got {l2!r}. A negative penalty has no minimum")
    labels = tuple(f"theta{i}" for i in range(d)) if names is None else tuple(names)
    if len(labels) != d or len(set(labels)) != d or not all(isinstance(name, str) and name for name in labels):
        raise InvalidInput(f"names: expected {d} different non-empty names, got {names!r}")
    return features, target, labels


def _freeze(kind: str, X: Array, y: Array, l2: float, names: tuple[str, ...]) -> LossModel:
    X.setflags(write=False)
    y.setflags(write=False)
    return LossModel(kind, X, y, float(l2), names)


def _lead(rows: Array, tail: tuple[int, ...]) -> Array:
    """One row per point → tensor indices first, then the shape of the points."""
    return np.moveaxis(rows, 0, -1).reshape(*rows.shape[1:], *tail)


def _check_curvature(H: Array, names: tuple[str, ...], l2: float) -> None:
    diagonal = np.diag(H)
    if (diagonal > 0.0).all():
        lowest = float(np.linalg.eigvalsh(H / np.sqrt(np.outer(diagonal, diagonal)))[0])
        if lowest > FLAT:
            return
        why = f"got {lowest:.3g}: the features of {names} are linearly dependent"
    else:
        flat = [name for name, curvature in zip(names, diagonal, strict=True) if not curvature > 0.0]
        why = f"got no curvature at all along {flat}"
    raise InvalidInput(
        f"minimum: expected a Hessian whose smallest eigenvalue (unit diagonal) exceeds {FLAT:g}, {why}. "
        f"The minimum is not a single point; drop a feature or raise l2 = {l2:g}"
    )


def _check_overlap(X: Array, y: Array) -> None:
    """Refuse classes that a direction w separates, y w·x ≥ 0 for all and > 0 for some: L falls along it for ever."""
    from scipy.optimize import linprog

    size = np.abs(X).max(axis=0)
    signed = y[:, None] * X / np.where(size > 0.0, size, 1.0)
    answer = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(y)), bounds=(-1.0, 1.0), method="highs")
    if answer.status != 0:
        raise NotConverged(f"minimum: the search for a separating direction failed: {answer.message}. Set l2 > 0")
    margins = signed @ answer.x
    if margins.max() > SEPARATED:
        raise InvalidInput(
            "minimum: expected overlapping classes, got classes that a plane through the origin separates "
            f"(margin ≥ 0 for all {len(y)} samples, > 0 for {int((margins > SEPARATED).sum())}). "
            "The loss falls for ever along its normal; set l2 > 0"
        )
