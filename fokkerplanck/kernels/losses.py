"""Losses of one sample and their derivatives, and the averages over all samples, point by point.

Samples are the last axis, so that loops over them are long.

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
# Sums may be taken in any order, and so eight at a time; nothing else of fast arithmetic.
SUMS: dict[str, Any] = {**OPTIONS, "fastmath": {"reassoc", "nsz"}}

Array = NDArray[np.float64]

LINEAR = 0  # (θ·x − y)²/2
LOGISTIC = 1  # log(1 + exp(−y θ·x))
PHASE = 2  # ((θ·x)² − y)²/2
TANH = 3  # (θ₀ tanh(θ₁x) − y)²/2
DEEP = 4  # (θ₀θ₁x − y)²/2

PARTS = 64  # of the points that threads share: the last one done waits for a sixty-fourth at most


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
    """Write g (d, n) of all samples, and h (d, d, n) and t (d, d, d, n) unless they have size 0."""
    d, n = g.shape
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
            g[0, k], g[1, k] = e * f0, e * f1
            if h.size:
                h[0, 0, k] = f0 * f0
                h[0, 1, k] = h[1, 0, k] = f0 * f1 + e * f01
                h[1, 1, k] = f1 * f1 + e * f11
            if t.size:
                t[0, 0, 0, k] = 0.0
                t[0, 0, 1, k] = t[0, 1, 0, k] = t[1, 0, 0, k] = 2.0 * f0 * f01
                t[0, 1, 1, k] = t[1, 0, 1, k] = t[1, 1, 0, k] = f0 * f11 + 2.0 * f1 * f01 + e * f011
                t[1, 1, 1, k] = 3.0 * f1 * f11 + e * f111
        return
    for k in range(n):
        margin = 0.0
        for i in range(d):
            margin += theta[i] * X[k, i]
        first, second, third = slopes_of(kind, margin, y[k])
        for i in range(d):
            g[i, k] = first * X[k, i]
            if h.size:
                for j in range(d):
                    h[i, j, k] = second * (X[k, i] * X[k, j])
                    if t.size:
                        for m in range(d):
                            t[i, j, m, k] = third * (X[k, i] * X[k, j] * X[k, m])


@njit(**SUMS)
def mean(a: Array) -> float:
    """⟨a⟩."""
    total = 0.0
    for k in range(a.size):
        total += a[k]
    return total / a.size


@njit(**SUMS)
def mean_product(a: Array, b: Array) -> float:
    """⟨ab⟩."""
    total = 0.0
    for k in range(a.size):
        total += a[k] * b[k]
    return total / a.size


@njit(**SUMS)
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
    g, h, t : ndarray, shapes (d, n), (d, d, n), (d, d, d, n)
        Derivatives of every sample's loss. Overwritten: g by u = g − ⟨g⟩, and h with the last two averages.
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
    d, n = g.shape
    for i in range(d):
        gradient[i] = mean(g[i])
        g[i] -= gradient[i]
    if covariance.size:
        for i in range(d):
            for j in range(i + 1):
                covariance[i, j] = covariance[j, i] = mean_product(g[i], g[j])
    if divergence.size:
        for i in range(d):
            divergence[i] = 0.0
            for j in range(d):
                divergence[i] += mean_product(h[i, j], g[j]) + mean_product(g[i], h[j, j])
    if hessian.size:
        for i in range(d):
            for j in range(d):
                hessian[i, j] = mean(h[i, j])
    if third_moment.size:
        for i in range(d):
            for j in range(i + 1):
                product = g[i] * g[j]
                for m in range(d):
                    third_moment[i, j, m] = third_moment[j, i, m] = mean_product(product, g[m])
    if slope.size:
        for i in range(d):
            for j in range(i + 1):
                for m in range(d):
                    change = mean_product(h[i, m], g[j]) + mean_product(g[i], h[j, m])
                    slope[i, j, m] = slope[j, i, m] = change
    if drift_bend.size:
        bend = np.zeros((d, n))
        turned = np.zeros((d, d, n))  # u's derivatives, h − ⟨h⟩, times Σ
        for i in range(d):
            for a in range(d):
                h[i, a] -= hessian[i, a]
                for b in range(d):
                    bend[i] += covariance[a, b] * t[i, a, b]
            for b in range(d):
                for a in range(d):
                    turned[i, b] += covariance[a, b] * h[i, a]
            drift_bend[i] = mean(bend[i])
        for i in range(d):
            for j in range(i + 1):
                change = mean_product(bend[i], g[j]) + mean_product(g[i], bend[j])
                for b in range(d):
                    change += 2.0 * mean_product(turned[i, b], h[j, b])
                noise_bend[i, j] = noise_bend[j, i] = change


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
    """``averages`` and the mean loss at every row of ``points``, with sample derivatives up to ``order``.

    One row of outputs per point, of size 0 if not wanted.
    """
    n, d = len(X), points.shape[1]
    g = np.empty((d, n))
    h, t = np.empty((d * (order > 1), d, n)), np.empty((d * (order > 2), d, d, n))
    for p in range(len(points)):
        fill_derivatives(kind, X, y, points[p], g, h, t)
        averages(
            g,
            h,
            t,
            gradient[p],
            covariance[p],
            divergence[p],
            hessian[p],
            third_moment[p],
            slope[p],
            drift_bend[p],
            noise_bend[p],
        )
        if loss[p].size:
            loss[p, 0] = mean_loss(kind, X, y, points[p])


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
    """The same on all cores, in parts that are small enough to share evenly."""
    for part in prange(PARTS):
        own = slice(part * len(points) // PARTS, (part + 1) * len(points) // PARTS)
        at_few_points(
            kind,
            X,
            y,
            points[own],
            order,
            loss[own],
            gradient[own],
            covariance[own],
            divergence[own],
            hessian[own],
            third_moment[own],
            slope[own],
            drift_bend[own],
            noise_bend[own],
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
    """Gradients of all samples at all points, shape (points, d, n)."""
    none2, none3 = np.empty((0, 0, 0)), np.empty((0, 0, 0, 0))
    for p in range(len(points)):
        fill_derivatives(kind, X, y, points[p], out[p], none2, none3)
