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
def sample(kind: int, margin: float, y: float) -> tuple[float, float, float]:
    """ℓ, r and s of one sample; the logistic ones are exact to round-off however large the margin."""
    if kind == LINEAR:
        r = margin - y
        return 0.5 * r * r, r, 1.0
    t = y * margin
    e = math.exp(-abs(t))  # never overflows
    loss = math.log1p(e) + max(-t, 0.0)
    q = (e if t >= 0.0 else 1.0) / (1.0 + e)  # 1/(1 + eᵗ)
    return loss, -y * q, e / ((1.0 + e) * (1.0 + e))


@njit(**OPTIONS)
def averages(
    kind: int,
    X: Array,
    y: Array,
    theta: Array,
    r: Array,
    loss: Array,
    gradient: Array,
    covariance: Array,
    divergence: Array,
    hessian: Array,
) -> None:
    """What is wanted at one θ; an output of size 0 is not. ``gradient`` always is; ``r`` is room for n numbers."""
    n, d = X.shape
    gradient[:] = 0.0
    loss[:] = 0.0
    hessian[:] = 0.0
    for k in range(n):
        margin = 0.0
        for i in range(d):
            margin += theta[i] * X[k, i]
        value, r[k], s = sample(kind, margin, y[k])
        for i in range(d):
            gradient[i] += r[k] * X[k, i] / n
        if loss.size:
            loss[0] += value / n
        if hessian.size:
            for i in range(d):
                for j in range(d):
                    hessian[i, j] += s * (X[k, i] * X[k, j]) / n
    if covariance.size:
        covariance[:] = 0.0
        for k in range(n):  # a second pass, so that nothing cancels where the mean gradient is large
            for i in range(d):
                for j in range(d):
                    covariance[i, j] += ((r[k] * X[k, i] - gradient[i]) * (r[k] * X[k, j] - gradient[j])) / n
    if divergence.size:
        # ∂_j Σ_ij = ⟨s (x_i x·u + u_i |x|²)⟩ with u = r x − ∇L; the derivatives of ∇L drop out because ⟨u⟩ = 0
        divergence[:] = 0.0
        for k in range(n):
            margin, along, square = 0.0, 0.0, 0.0
            for i in range(d):
                margin += theta[i] * X[k, i]
                along += X[k, i] * (r[k] * X[k, i] - gradient[i])
                square += X[k, i] * X[k, i]
            s = sample(kind, margin, y[k])[2]
            for i in range(d):
                divergence[i] += s * (X[k, i] * along + (r[k] * X[k, i] - gradient[i]) * square) / n


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
    """``averages`` at every row of ``points``; outputs have one row per point, of size 0 if not wanted."""
    for p in prange(points.shape[0]):
        r = np.empty(X.shape[0])
        averages(kind, X, y, points[p], r, loss[p], gradient[p], covariance[p], divergence[p], hessian[p])
