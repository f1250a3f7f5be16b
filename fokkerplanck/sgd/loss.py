"""What a loss is to the rest of the package: averages over its samples, and its minimum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from .minimum import find_minimum

Array = NDArray[np.float64]

# Every average, the number of its indices, and the derivatives of the samples' losses that it takes.
AVERAGES = {
    "loss": (0, 0),
    "gradient": (1, 1),
    "covariance": (2, 1),
    "divergence": (1, 2),
    "hessian": (2, 2),
    "third_moment": (3, 1),
    "slope": (3, 2),
    "drift_bend": (1, 3),
    "noise_bend": (2, 3),
}


@dataclass(frozen=True, eq=False)
class Expansion:
    r"""Gradient and noise of a loss about every point, as far as corrections of the next order in η need them.

    Attributes
    ----------
    gradient, hessian : ndarray, shapes (d, ...), (d, d, ...)
        :math:`\nabla L` and :math:`\partial_i\partial_j L`, the penalty included.
    covariance : ndarray, shape (d, d, ...)
        Σ, of the gradient of one sample.
    slope : ndarray, shape (d, d, d, ...)
        :math:`\partial_k\Sigma_{ij}`, k last.
    drift_bend : ndarray, shape (d, ...)
        :math:`\Sigma_{kl}\,\partial_i\partial_k\partial_l L`.
    noise_bend : ndarray, shape (d, d, ...)
        :math:`\Sigma_{kl}\,\partial_k\partial_l\Sigma_{ij}`.

    Examples
    --------
    >>> from fokkerplanck.sgd import linear_regression
    >>> model = linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0])
    >>> about = model.expansion(model.minimum)
    >>> bool(abs(about.gradient[0]) < 1e-9), about.hessian.round(6).tolist(), about.slope.shape
    (True, [[4.666667]], (1, 1, 1))
    """

    gradient: Array
    hessian: Array
    covariance: Array
    slope: Array
    drift_bend: Array
    noise_bend: Array


class Loss(ABC):
    r"""A loss :math:`L(\theta) = \frac1n\sum_k \ell_k(\theta) + \frac\lambda2|\theta|^2` on n samples.

    The minibatch noise is that of the data term alone: the λ term is the same in every minibatch.

    Attributes
    ----------
    kind : str
    n, dim : int
        Numbers of samples and of parameters.
    l2 : float
        λ, at least 0.
    names : tuple of str, length d
        Names of the parameters.

    Examples
    --------
    >>> from fokkerplanck.sgd import linear_regression
    >>> model = linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0], l2=0.1)
    >>> isinstance(model, Loss), model.n, model.dim, model.gradient(model.minimum).round(9).tolist()
    (True, 3, 1, [0.0])
    """

    kind: str
    names: tuple[str, ...]
    l2: float

    @property
    @abstractmethod
    def n(self) -> int:
        """Number of samples."""

    @property
    def dim(self) -> int:
        """Number of parameters d."""
        return len(self.names)

    @abstractmethod
    def _fill(self, points: Array, order: int, out: dict[str, Array]) -> None:
        """Write the averages over the samples, without penalty, into ``out``, one row per row of ``points``.

        An output of size 0 is not wanted; ``order`` is that of the highest derivative of the samples' losses needed.
        """

    @abstractmethod
    def _gradients(self, points: Array) -> Array:
        """Gradients of all samples, without penalty, shape (points, n, d)."""

    @abstractmethod
    def _start(self) -> Array:
        """From where the minimum is looked for."""

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
        return _lead(self._gradients(points) + self.l2 * points[:, None, :], tail)

    def noise_covariance(self, theta: ArrayLike) -> Array:
        r"""Covariance of the gradient of one random sample, shape (d, d, ...).

        .. math:: \Sigma = \frac1n\sum_k (g_k - \bar g)(g_k - \bar g)^\top,\qquad g_k = \nabla\ell_k
        """
        points, tail = self._points(theta)
        return _lead(self._at(points, "covariance")["covariance"], tail)

    def noise_divergence(self, theta: ArrayLike) -> Array:
        r""":math:`\partial_j\Sigma_{ij} = \langle\partial_j(u_i u_j)\rangle` with u = g − ḡ, shape (d, ...)."""
        points, tail = self._points(theta)
        return _lead(self._at(points, "divergence")["divergence"], tail)

    def noise_third_moment(self, theta: ArrayLike) -> Array:
        r""":math:`\frac1n\sum_k u_{ki} u_{kj} u_{kl}` with u = g − ḡ, shape (d, d, d, ...): what makes the noise skew."""
        points, tail = self._points(theta)
        return _lead(self._at(points, "third_moment")["third_moment"], tail)

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

    def expansion(self, theta: ArrayLike) -> Expansion:
        """Gradient, noise, and their derivatives contracted with the noise, in one pass over the samples."""
        points, tail = self._points(theta)
        out = self._at(points, "covariance", "hessian", "slope", "drift_bend", "noise_bend")
        out["gradient"] += self.l2 * points
        out["hessian"] += self.l2 * np.eye(self.dim)
        names = ("gradient", "hessian", "covariance", "slope", "drift_bend", "noise_bend")
        return Expansion(**{name: _lead(out[name], tail) for name in names})

    @cached_property
    def minimum(self) -> Array:
        """The minimum θ* of the loss, shape (d,): of several, the one that damped Newton steps lead to from the start.

        Raises
        ------
        InvalidInput
            If there is none, because two classes can be separated and l2 = 0; if it is not a single point,
            because the loss is flat along a direction; or if the steps end in a saddle point.
        NotConverged
            If round-off keeps the gradient from falling below 1e-12 of the gradient of a typical sample at the start.
        """
        theta = find_minimum(self, self._start())
        theta.setflags(write=False)
        return theta

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
        out = {}
        for name, (indices, _) in AVERAGES.items():
            shape = (self.dim,) * indices or (1,)
            out[name] = np.empty((len(points), *(shape if name in (*wanted, "gradient") else (0,) * len(shape))))
        self._fill(points, max(AVERAGES[name][1] for name in wanted), out)
        return out


def check_parameters(l2: float, names: Sequence[str] | None, default: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the parameters, after a look at the penalty.

    Raises
    ------
    InvalidInput
    """
    if not (np.isfinite(l2) and l2 >= 0.0):
        raise InvalidInput(f"l2: expected a number of at least 0, got {l2!r}. A negative penalty has no minimum")
    labels = default if names is None else tuple(names)
    d = len(default)
    if len(labels) != d or len(set(labels)) != d or not all(isinstance(name, str) and name for name in labels):
        raise InvalidInput(f"names: expected {d} different non-empty names, got {names!r}")
    return labels


def check_start(start: ArrayLike, dim: int | None = None) -> Array:
    """The start of the search for a minimum as d finite numbers.

    Raises
    ------
    InvalidInput
    """
    first = np.array(start, dtype=float)
    expected = "(d,), one number per parameter" if dim is None else f"({dim},)"
    if first.ndim != 1 or not first.size or first.size != (dim or first.size) or not np.isfinite(first).all():
        raise InvalidInput(f"start: expected finite numbers of shape {expected}, got {start!r}")
    return first


def _lead(rows: Array, tail: tuple[int, ...]) -> Array:
    """One row per point → tensor indices first, then the shape of the points."""
    return np.moveaxis(rows, 0, -1).reshape(*rows.shape[1:], *tail)
