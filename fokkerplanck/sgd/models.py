"""Losses with formulas for all their derivatives: regression, phase retrieval, and the smallest networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from ..kernels.losses import DEEP, LINEAR, LOGISTIC, PHASE, TANH, at_few_points, at_points, gradients_at
from .loss import Loss, check_parameters, check_start
from .minimum import check_overlap

Array = NDArray[np.float64]

KINDS = {"linear": LINEAR, "logistic": LOGISTIC, "phase_retrieval": PHASE, "tanh_neuron": TANH, "deep_linear": DEEP}
# Points times samples: about a millisecond of work on one core. Sharing it gains half of that at most, and where another core
# is busy, calls of a tenth of a millisecond have been seen to wait twenty for it.
WORTH_SHARING = 2**16


@dataclass(frozen=True, eq=False, repr=False)
class LossModel(Loss):
    r"""A loss on features x and targets y, whose derivatives are all known as formulas.

    =============== =============================================== ===============
    kind            ℓ of one sample                                 parameters
    =============== =============================================== ===============
    linear          :math:`\tfrac12(\theta\cdot x - y)^2`           one per feature
    logistic        :math:`\log(1 + e^{-y\,\theta\cdot x})`, y = ±1 one per feature
    phase_retrieval :math:`\tfrac12((\theta\cdot x)^2 - y)^2`       one per feature
    tanh_neuron     :math:`\tfrac12(a\tanh(wx) - y)^2`              a, w
    deep_linear     :math:`\tfrac12(w_1w_2x - y)^2`                 w1, w2
    =============== =============================================== ===============

    Made by `linear_regression`, `logistic_regression`, `phase_retrieval`, `tanh_neuron` and `deep_linear`. Averages over
    the samples are exact to round-off, derivatives included: gradient, Hessian, noise covariance and its divergence.

    Parameters
    ----------
    kind : str
    X : ndarray, shape (n, features)
    y : ndarray, shape (n,)
    l2 : float
        λ, at least 0, of the penalty :math:`\tfrac\lambda2|\theta|^2`.
    names : tuple of str, length d
        Names of the parameters.
    start : ndarray, shape (d,)
        From where the minimum is looked for.

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
    start: Array

    def __repr__(self) -> str:
        return f"LossModel({self.kind}, n={self.n}, l2={self.l2:g}, names={self.names})"

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.X)

    def _fill(self, points: Array, order: int, out: dict[str, Array]) -> None:
        kernel = at_points if len(points) * len(self.X) >= WORTH_SHARING else at_few_points
        kernel(KINDS[self.kind], self.X, self.y, points, order, *out.values())

    def _gradients(self, points: Array) -> Array:
        out = np.empty((len(points), self.dim, self.n))
        gradients_at(KINDS[self.kind], self.X, self.y, points, out)
        return np.swapaxes(out, 1, 2)

    def _start(self) -> Array:
        if self.kind == "logistic" and self.l2 == 0.0:
            check_overlap(self.X, self.y)
        return self.start


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
    features, values, labels = _check_regression(X, y, l2, names)
    return _freeze("linear", features, values, l2, labels)


def logistic_regression(
    X: ArrayLike, y: ArrayLike, *, l2: float = 0.0, names: Sequence[str] | None = None
) -> LossModel:
    r"""Two classes: :math:`L = \frac1n\sum_k \log(1 + e^{-y_k\,\theta\cdot x_k}) + \frac\lambda2|\theta|^2`, y = ±1.

    Parameters
    ----------
    X, l2, names
        As of `linear_regression`.
    y : array_like, shape (n,)
        Any two different labels, numbers or text; the smaller becomes −1, the larger +1.

    Returns
    -------
    LossModel

    Raises
    ------
    InvalidInput
        As of `linear_regression`, and for a number of classes other than two.

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


def phase_retrieval(
    X: ArrayLike,
    y: ArrayLike,
    *,
    l2: float = 0.0,
    names: Sequence[str] | None = None,
    start: ArrayLike | None = None,
) -> LossModel:
    r"""θ from squares of projections: :math:`L = \frac1{2n}\sum_k((\theta\cdot x_k)^2 - y_k)^2 + \frac\lambda2|\theta|^2`.

    θ and −θ have the same loss, so minima come in pairs, and ``minimum`` is the one that Newton's method leads to from
    ``start``. The noise vanishes at θ = 0, and at a θ that fits all samples exactly.

    Parameters
    ----------
    X, l2, names
        As of `linear_regression`.
    y : array_like, shape (n,)
        Measured squares; noise may make them negative.
    start : array_like, shape (d,), optional
        By default the leading eigenvector of :math:`\langle y\,xx^\top\rangle`, of the length that fits ⟨y⟩ and with a
        positive largest component: the spectral start. The minimum reached from it is close to it on easy data.

    Returns
    -------
    LossModel

    Raises
    ------
    InvalidInput
        As of `linear_regression`, and for a start of the wrong shape.

    References
    ----------
    E. J. Candès, X. Li, M. Soltanolkotabi, *IEEE Trans. Inf. Theory* 61 (2015) 1985, doi:10.1109/TIT.2015.2399924.

    Examples
    --------
    >>> model = phase_retrieval([[1.0], [2.0], [3.0]], [1.1, 4.0, 8.9])
    >>> model.minimum.round(3).tolist()
    [0.996]
    """
    features, values, labels = _check_regression(X, y, l2, names)
    if start is None:
        _, vectors = np.linalg.eigh((features.T * values) @ features / len(features))
        first = vectors[:, -1] * np.sign(vectors[np.argmax(np.abs(vectors[:, -1])), -1])
        size = max(float(values.mean()), 0.0) / float(((features @ first) ** 2).mean() or 1.0)
        start = first * (math.sqrt(size) or 1.0)
    return _freeze("phase_retrieval", features, values, l2, labels, start)


def tanh_neuron(
    x: ArrayLike,
    y: ArrayLike,
    *,
    l2: float = 0.0,
    names: Sequence[str] | None = None,
    start: ArrayLike | None = None,
) -> LossModel:
    r"""One hidden neuron, θ = (a, w): :math:`L = \frac1{2n}\sum_k(a\tanh(wx_k) - y_k)^2 + \frac\lambda2|\theta|^2`.

    (a, w) and (−a, −w) have the same loss, so minima come in pairs, two mirror wells; ``minimum`` is the one that Newton's
    method leads to from ``start``. At the origin every sample's gradient vanishes: the chain would stay there for ever.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        One feature (shape (n, 1) will do, too), and the target.
    l2
        As of `linear_regression`.
    names : sequence of two str, optional
        By default a and w.
    start : array_like, shape (2,), optional
        By default (1, ±1) with the sign of ⟨xy⟩: the well with a > 0.

    Returns
    -------
    LossModel

    Raises
    ------
    InvalidInput
        As of `linear_regression`, for more than one feature, and for a start of the wrong shape.

    Examples
    --------
    >>> model = tanh_neuron([-2.0, -1.0, 1.0, 2.0], [-1.0, -1.0, 1.0, 1.0], l2=0.05)
    >>> model.minimum.round(3).tolist()
    [1.091, 0.935]
    """
    return _two_weights("tanh_neuron", ("a", "w"), x, y, l2, names, start)


def deep_linear(
    x: ArrayLike,
    y: ArrayLike,
    *,
    l2: float = 0.0,
    names: Sequence[str] | None = None,
    start: ArrayLike | None = None,
) -> LossModel:
    r"""Two linear layers of one weight: :math:`L = \frac1{2n}\sum_k(w_1w_2x_k - y_k)^2 + \frac\lambda2|w|^2`.

    At λ = 0 its minima are the two branches of a hyperbola w1 w2 = const, and ``minimum`` is refused; at 0 < λ < |⟨xy⟩|
    they are two points ±(s, ±s). The noise is of rank one everywhere, along (w2, w1), and w1² − w2² decays to 0: **there is
    no density in the plane**, and `SGD.process` refuses. On the line w1 = w2 = w the chain is, to first order in η, that of
    :math:`\ell = \tfrac14(w^2x - y)^2` with the penalty λ, which `custom_loss` makes::

        def gradient(theta, row, out):
            out[0] = (theta[0] ** 2 * row[0] - row[1]) * theta[0] * row[0]

    Parameters
    ----------
    x, y, l2, start
        As of `tanh_neuron`; the minimum is by default the one with w1 > 0.
    names : sequence of two str, optional
        By default w1 and w2.

    Returns
    -------
    LossModel

    Raises
    ------
    InvalidInput
        As of `tanh_neuron`.

    Examples
    --------
    >>> model = deep_linear([1.0, 2.0, 3.0], [1.0, 2.0, 4.0], l2=0.1)
    >>> model.minimum.round(6).tolist()
    [1.09218, 1.09218]
    """
    return _two_weights("deep_linear", ("w1", "w2"), x, y, l2, names, start)


def _two_weights(
    kind: str,
    default: tuple[str, str],
    x: ArrayLike,
    y: ArrayLike,
    l2: float,
    names: Sequence[str] | None,
    start: ArrayLike | None,
) -> LossModel:
    features, values, labels = _check_regression(_column(x), y, l2, names, default)
    away = 1.0 if features[:, 0] @ values >= 0.0 else -1.0
    return _freeze(kind, features, values, l2, labels, (1.0, away) if start is None else start)


def _check_regression(
    X: ArrayLike, y: ArrayLike, l2: float, names: Sequence[str] | None, parameters: tuple[str, ...] | None = None
) -> tuple[Array, Array, tuple[str, ...]]:
    features, target, labels = _check(X, y, l2, names, parameters)
    if target.dtype.kind not in "biuf":
        raise InvalidInput(f"y: expected real numbers, got dtype {target.dtype}. For labels use logistic_regression")
    values = target.astype(float)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise InvalidInput(f"y: expected finite numbers, got {values[row]} in row {row}")
    return features, values, labels


def _check(
    X: ArrayLike, y: ArrayLike, l2: float, names: Sequence[str] | None, parameters: tuple[str, ...] | None = None
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
    return features, target, check_parameters(l2, names, parameters or tuple(f"theta{i}" for i in range(d)))


def _column(x: ArrayLike) -> NDArray[Any]:
    """The one feature of a scalar model as a column."""
    values = np.asarray(x)
    if values.ndim == 2 and values.shape[1] == 1:
        return values
    if values.ndim != 1:
        raise InvalidInput(f"x: expected one feature, shape (n,) or (n, 1), got {values.shape}")
    return values[:, None]


def _freeze(
    kind: str, X: Array, y: Array, l2: float, names: tuple[str, ...], start: ArrayLike | None = None
) -> LossModel:
    first = check_start(np.zeros(len(names)) if start is None else start, len(names))
    for array in (X, y, first):
        array.setflags(write=False)
    return LossModel(kind, X, y, float(l2), names, first)
