"""Losses ℓ(θ·x, y) of generalised linear models: averages over the samples, point by point.

With the margin m = θ·x of a sample, r = ∂ℓ/∂m and s = ∂²ℓ/∂m², its gradient is r x and its Hessian s x xᵀ.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}

Array = NDArray[np.float64]

LINEAR = 0
LOGISTIC = 1


@njit(**OPTIONS)
def loss_of(kind: int, margin: float, y: float) -> float:
    """ℓ of one sample; the logistic one is exact to round-off however large the margin."""
    if kind == LINEAR:
        return 0.5 * (margin - y) ** 2
    t = y * margin
    return math.log1p(math.exp(-abs(t))) + max(-t, 0.0)


@njit(**OPTIONS)
def slopes_of(kind: int, margin: float, y: float) -> tuple[float, float]:
    """r and s of one sample, exact to round-off however large the margin."""
    if kind == LINEAR:
        return margin - y, 1.0
    t = y * margin
    e = math.exp(-abs(t))  # never overflows
    q = (e if t >= 0.0 else 1.0) / (1.0 + e)  # 1/(1 + eᵗ)
    return -y * q, e / ((1.0 + e) * (1.0 + e))


@njit(**OPTIONS)
def averages(
    kind: int,
    X: Array,
    y: Array,
    theta: Array,
    r: Array,
    s: Array,
    loss: Array,
    gradient: Array,
    covariance: Array,
    divergence: Array,
    hessian: Array,
) -> None:
    """What is wanted at one θ; an output of size 0 is not. ``gradient`` always is; ``r`` and ``s`` are room for n numbers."""
    n, d = X.shape
    gradient[:] = 0.0
    loss[:] = 0.0
    hessian[:] = 0.0
    for k in range(n):
        margin = 0.0
        for i in range(d):
            margin += theta[i] * X[k, i]
        r[k], s[k] = slopes_of(kind, margin, y[k])
        for i in range(d):
            gradient[i] += r[k] * X[k, i]
        if loss.size:
            loss[0] += loss_of(kind, margin, y[k])
        if hessian.size:
            for i in range(d):
                for j in range(d):
                    hessian[i, j] += s[k] * (X[k, i] * X[k, j])
    gradient /= n
    loss /= n
    hessian /= n
    if covariance.size:
        covariance[:] = 0.0
        for k in range(n):  # a second pass, so that nothing cancels where the mean gradient is large
            for i in range(d):
                for j in range(d):
                    covariance[i, j] += (r[k] * X[k, i] - gradient[i]) * (r[k] * X[k, j] - gradient[j])
        covariance /= n
    if divergence.size:
        # ∂_j Σ_ij = ⟨s (x_i x·u + u_i |x|²)⟩ with u = r x − ∇L; the derivatives of ∇L drop out because ⟨u⟩ = 0
        divergence[:] = 0.0
        for k in range(n):
            along, square = 0.0, 0.0
            for i in range(d):
                along += X[k, i] * (r[k] * X[k, i] - gradient[i])
                square += X[k, i] * X[k, i]
            for i in range(d):
                divergence[i] += s[k] * (X[k, i] * along + (r[k] * X[k, i] - gradient[i]) * square)
        divergence /= n


@njit(**OPTIONS)
def at_few_points(
    kind: int,
    X: Array,
    y: Array,
    points: Array,
    loss: Array,
    gradient: Array,
    covariance: Array,
    divergence: Array,
    hessian: Array,
) -> None:
    """``averages`` at every row of ``points``; outputs have one row per point, of size 0 if not wanted."""
    r, s = np.empty(X.shape[0]), np.empty(X.shape[0])
    for p in range(points.shape[0]):
        averages(kind, X, y, points[p], r, s, loss[p], gradient[p], covariance[p], divergence[p], hessian[p])


@njit(parallel=True, **OPTIONS)
def at_points(
    kind: int,
    X: Array,
    y: Array,
    points: Array,
    loss: Array,
    gradient: Array,
    covariance: Array,
    divergence: Array,
    hessian: Array,
) -> None:
    """The same on all cores."""
    for p in prange(points.shape[0]):
        r, s = np.empty(X.shape[0]), np.empty(X.shape[0])
        averages(kind, X, y, points[p], r, s, loss[p], gradient[p], covariance[p], divergence[p], hessian[p])
