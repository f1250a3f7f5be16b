"""Losses of one sample and their derivatives, and the averages over all samples, point by point.

Of every sample its gradient g, Hessian h and third derivatives t are known as formulas. With the margin m = θ·x and the
loss φ(m, y) they are φ'x, φ''xxᵀ, φ'''xxx; with a prediction f(θ, x) and the loss e²/2, e = f − y, they are

    g_i = e f_i,  h_ij = f_i f_j + e f_ij,  t_ijk = f_i f_jk + f_j f_ik + f_k f_ij + e f_ijk.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}

Array = NDArray[np.float64]

LINEAR = 0  # (θ·x − y)²/2
LOGISTIC = 1  # log(1 + exp(−y θ·x))
PHASE = 2  # ((θ·x)² − y)²/2
TANH = 3  # (θ₀ tanh(θ₁x) − y)²/2
DEEP = 4  # (θ₀θ₁x − y)²/2


@njit(**OPTIONS)
def mean_loss(kind: int, X: Array, y: Array, theta: Array) -> float:
    """⟨ℓ⟩; the logistic one is exact to round-off however large the margins."""
    total = 0.0
    for k in range(len(X)):
        margin = 0.0
        if kind == TANH:
            margin = theta[0] * math.tanh(theta[1] * X[k, 0])
        elif kind == DEEP:
            margin = theta[0] * theta[1] * X[k, 0]
        else:
            for i in range(X.shape[1]):
                margin += theta[i] * X[k, i]
        if kind == LOGISTIC:
            agreement = y[k] * margin
            total += math.log1p(math.exp(-abs(agreement))) + max(-agreement, 0.0)
        elif kind == PHASE:
            total += 0.5 * (margin * margin - y[k]) ** 2
        else:
            total += 0.5 * (margin - y[k]) ** 2
    return total / len(X)


@njit(**OPTIONS)
def slopes_of(kind: int, margin: float, y: float) -> tuple[float, float, float]:
    """φ', φ'' and φ''' of one sample at its margin, exact to round-off however large the margin."""
    if kind == LINEAR:
        return margin - y, 1.0, 0.0
    if kind == PHASE:
        square = margin * margin
        return 2.0 * margin * (square - y), 6.0 * square - 2.0 * y, 12.0 * margin
    t = y * margin
    e = math.exp(-abs(t))  # never overflows
    q = (e if t >= 0.0 else 1.0) / (1.0 + e)  # 1/(1 + eᵗ)
    curvature = e / ((1.0 + e) * (1.0 + e))
    return -y * q, curvature, -y * curvature * (1.0 - 2.0 * q)


@njit(**OPTIONS)
def fill_derivatives(kind: int, X: Array, y: Array, theta: Array, g: Array, h: Array, t: Array) -> None:
    """Write g (n, d) of all samples, and h (n, d, d) and t (n, d, d, d) unless they have size 0."""
    n, d = g.shape
    if kind in (TANH, DEEP):
        a, w = theta[0], theta[1]
        for k in range(n):
            z = X[k, 0]
            if kind == TANH:
                f = math.tanh(w * z)
                s = 1.0 - f * f
                e = a * f - y[k]
                f0, f1, f01, f11 = f, a * z * s, z * s, -2.0 * a * z * z * f * s
                f011, f111 = -2.0 * z * z * f * s, -2.0 * a * z * z * z * s * (1.0 - 3.0 * f * f)
            else:
                e = a * w * z - y[k]
                f0, f1, f01, f11, f011, f111 = w * z, a * z, z, 0.0, 0.0, 0.0
            g[k, 0], g[k, 1] = e * f0, e * f1
            if h.size:
                h[k, 0, 0] = f0 * f0
                h[k, 0, 1] = h[k, 1, 0] = f0 * f1 + e * f01
                h[k, 1, 1] = f1 * f1 + e * f11
            if t.size:
                t[k, 0, 0, 0] = 0.0
                t[k, 0, 0, 1] = t[k, 0, 1, 0] = t[k, 1, 0, 0] = 2.0 * f0 * f01
                t[k, 0, 1, 1] = t[k, 1, 0, 1] = t[k, 1, 1, 0] = f0 * f11 + 2.0 * f1 * f01 + e * f011
                t[k, 1, 1, 1] = 3.0 * f1 * f11 + e * f111
        return
    for k in range(n):
        margin = 0.0
        for i in range(d):
            margin += theta[i] * X[k, i]
        first, second, third = slopes_of(kind, margin, y[k])
        for i in range(d):
            g[k, i] = first * X[k, i]
        if h.size:
            for i in range(d):
                for j in range(d):
                    h[k, i, j] = second * (X[k, i] * X[k, j])
        if t.size:
            for i in range(d):
                for j in range(d):
                    for m in range(d):
                        t[k, i, j, m] = third * (X[k, i] * X[k, j] * X[k, m])


@njit(**OPTIONS)
def averages(
    g: Array,
    h: Array,
    t: Array,
    gradient: Array,
    covariance: Array,
    divergence: Array,
    hessian: Array,
    third_moment: Array,
    slope: Array,
    drift_bend: Array,
    noise_bend: Array,
) -> None:
    """Averages over the samples; of ``gradient`` always, of the others unless they have size 0.

    Parameters
    ----------
    g, h, t : ndarray, shapes (n, d), (n, d, d), (n, d, d, d)
        Derivatives of every sample's loss. ``g`` is overwritten by u = g − ⟨g⟩.
    gradient, covariance : ndarray, shapes (d,), (d, d)
        ⟨g⟩ and Σ = ⟨u uᵀ⟩, in a second pass over the samples: nothing cancels where the mean gradient is large.
    divergence : ndarray, shape (d,)
        ∂_j Σ_ij = ⟨h_ij u_j + u_i h_jj⟩; the derivatives of ⟨g⟩ drop out because ⟨u⟩ = 0.
    hessian, third_moment : ndarray, shapes (d, d), (d, d, d)
        ⟨h⟩ and ⟨u_i u_j u_k⟩.
    slope : ndarray, shape (d, d, d)
        ∂_k Σ_ij = ⟨h_ik u_j + u_i h_jk⟩, k last.
    drift_bend, noise_bend : ndarray, shapes (d,), (d, d)
        Σ_kl ⟨t_ikl⟩ and Σ_kl ∂_k∂_l Σ_ij, the latter the sum over k, l of Σ_kl times
        ⟨t_ikl u_j + u_i t_jkl⟩ + 2 (⟨h_ik h_jl⟩ − ⟨h_ik⟩⟨h_jl⟩), symmetric in i and j.
    """
    n, d = g.shape
    gradient[:] = 0.0
    for k in range(n):
        for i in range(d):
            gradient[i] += g[k, i]
    gradient /= n
    for k in range(n):
        for i in range(d):
            g[k, i] -= gradient[i]
    if covariance.size:
        covariance[:] = 0.0
        for k in range(n):
            for i in range(d):
                for j in range(i + 1):
                    covariance[i, j] += g[k, i] * g[k, j]
        for i in range(d):
            for j in range(i + 1):
                covariance[i, j] /= n
                covariance[j, i] = covariance[i, j]
    if divergence.size:
        divergence[:] = 0.0
        for k in range(n):
            trace = 0.0
            for i in range(d):
                trace += h[k, i, i]
            for i in range(d):
                along = g[k, i] * trace
                for j in range(d):
                    along += h[k, i, j] * g[k, j]
                divergence[i] += along
        divergence /= n
    if hessian.size:
        hessian[:] = 0.0
        for k in range(n):
            for i in range(d):
                for j in range(d):
                    hessian[i, j] += h[k, i, j]
        hessian /= n
    if third_moment.size:
        third_moment[:] = 0.0
        for k in range(n):
            for i in range(d):
                for j in range(d):
                    for m in range(d):
                        third_moment[i, j, m] += g[k, i] * g[k, j] * g[k, m]
        third_moment /= n
    if slope.size:
        slope[:] = 0.0
        for k in range(n):
            for i in range(d):
                for j in range(d):
                    for m in range(d):
                        slope[i, j, m] += h[k, i, m] * g[k, j] + g[k, i] * h[k, j, m]
        slope /= n
    if drift_bend.size:
        drift_bend[:] = 0.0
        noise_bend[:] = 0.0
        for k in range(n):
            for i in range(d):
                bend = 0.0
                for a in range(d):
                    for b in range(d):
                        bend += covariance[a, b] * t[k, i, a, b]
                drift_bend[i] += bend
                for j in range(d):
                    noise_bend[i, j] += bend * g[k, j]
                    noise_bend[j, i] += bend * g[k, j]
                    for a in range(d):
                        for b in range(d):
                            noise_bend[i, j] += 2.0 * covariance[a, b] * (h[k, i, a] - hessian[i, a]) * h[k, j, b]
        drift_bend /= n
        noise_bend /= n


@njit(**OPTIONS)
def at_point(
    kind: int,
    X: Array,
    y: Array,
    theta: Array,
    g: Array,
    h: Array,
    t: Array,
    loss: Array,
    gradient: Array,
    covariance: Array,
    divergence: Array,
    hessian: Array,
    third_moment: Array,
    slope: Array,
    drift_bend: Array,
    noise_bend: Array,
) -> None:
    """``averages`` at one θ, and the mean loss; ``g``, ``h`` and ``t`` are room for the derivatives of all samples."""
    fill_derivatives(kind, X, y, theta, g, h, t)
    averages(g, h, t, gradient, covariance, divergence, hessian, third_moment, slope, drift_bend, noise_bend)
    if loss.size:
        loss[0] = mean_loss(kind, X, y, theta)


@njit(**OPTIONS)
def at_few_points(
    kind: int,
    X: Array,
    y: Array,
    points: Array,
    order: int,
    loss: Array,
    gradient: Array,
    covariance: Array,
    divergence: Array,
    hessian: Array,
    third_moment: Array,
    slope: Array,
    drift_bend: Array,
    noise_bend: Array,
) -> None:
    """``at_point`` at every row of ``points``, with sample derivatives up to ``order``; one row of outputs per point."""
    n, d = len(X), points.shape[1]
    g, h, t = np.empty((n, d)), np.empty((n, d, d * (order > 1))), np.empty((n, d, d, d * (order > 2)))
    for p in range(len(points)):
        at_point(
            kind,
            X,
            y,
            points[p],
            g,
            h,
            t,
            loss[p],
            gradient[p],
            covariance[p],
            divergence[p],
            hessian[p],
            third_moment[p],
            slope[p],
            drift_bend[p],
            noise_bend[p],
        )


@njit(parallel=True, **OPTIONS)
def at_points(
    kind: int,
    X: Array,
    y: Array,
    points: Array,
    order: int,
    loss: Array,
    gradient: Array,
    covariance: Array,
    divergence: Array,
    hessian: Array,
    third_moment: Array,
    slope: Array,
    drift_bend: Array,
    noise_bend: Array,
) -> None:
    """The same on all cores."""
    n, d = len(X), points.shape[1]
    for p in prange(len(points)):
        g, h, t = np.empty((n, d)), np.empty((n, d, d * (order > 1))), np.empty((n, d, d, d * (order > 2)))
        at_point(
            kind,
            X,
            y,
            points[p],
            g,
            h,
            t,
            loss[p],
            gradient[p],
            covariance[p],
            divergence[p],
            hessian[p],
            third_moment[p],
            slope[p],
            drift_bend[p],
            noise_bend[p],
        )


@njit(**OPTIONS)
def averages_of(
    g: Array,
    h: Array,
    t: Array,
    gradient: Array,
    covariance: Array,
    divergence: Array,
    hessian: Array,
    third_moment: Array,
    slope: Array,
    drift_bend: Array,
    noise_bend: Array,
) -> None:
    """``averages`` of derivatives that are given, with a leading axis of points."""
    for p in range(len(g)):
        averages(
            g[p],
            h[p],
            t[p],
            gradient[p],
            covariance[p],
            divergence[p],
            hessian[p],
            third_moment[p],
            slope[p],
            drift_bend[p],
            noise_bend[p],
        )


@njit(**OPTIONS)
def gradients_at(kind: int, X: Array, y: Array, points: Array, out: Array) -> None:
    """Gradients of all samples at all points, shape (points, n, d)."""
    none2, none3 = np.empty((0, 0, 0)), np.empty((0, 0, 0, 0))
    for p in range(len(points)):
        fill_derivatives(kind, X, y, points[p], out[p], none2, none3)
