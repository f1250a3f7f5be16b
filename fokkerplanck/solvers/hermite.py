r"""Hermite–Galerkin moments: an opinion on mean, covariance and circulation that owes nothing to any grid.

.. math::

    p(\theta) = \varphi(z) \sum_{|a| \le K} c_a \psi_a(z), \qquad
    \int p\, \mathcal{L}\psi_b = 0 \quad (1 \le |b| \le K), \qquad c_0 = 1,

with z the whitened state, φ the standard normal and ψ the orthonormal products of probabilists' Hermite polynomials
of total degree |a|. For a diffusion :math:`\mathcal{L} = b\cdot\nabla + D:\nabla\nabla`. For minibatch SGD
:math:`\mathcal{L}\psi = \mathrm{E}[\psi(\theta') \mid \theta] - \psi(\theta)` needs no Gaussian and no small-step
assumption: the Taylor series of a polynomial ends, and its coefficients are the exact moments of a minibatch mean.

References: H. Risken, *The Fokker–Planck Equation*, Springer 1996, doi:10.1007/978-3-642-61544-3 (complete
sets); J. Hájek, Ann. Math. Statist. 35 (1964) 1491 (drawing without replacement as conditioned Bernoulli trials).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from ..errors import InvalidInput, NotConverged
from ..process import DiffusionProcess

Array = NDArray[np.float64]
Generator = Callable[[Array, Array, "_Basis", Array], tuple[Array, Array, Array | None]]

SAMPLING = ("with_replacement", "without_replacement")
NOISE = ("minibatch", "gaussian")
DEGREE = {1: 12, 2: 12, 3: 8}  # 91 and 165 unknowns: seconds, and 8 digits wherever the density is near a Gaussian
EXTRA_NODES = 8  # degree + 1 nodes are exact for a linear drift; 8 more resolve a sigmoid: 30 change nothing at 1e-12
# Degrees K − 2 and K must agree on mean and covariance, in standard deviations, to this: ten times below the 1e-3 that
# grids are compared at. Logistic, linear and tanh losses reach 2e-5 or better; exponential tails, a quartic well or two
# wells move by 3e-4 or more at the default degree.
AGREEMENT = 1e-4
SUM = 1e-9  # of probabilities: round-off of many
LOST = 0.01  # of entropy production and relaxation rate; logistic, phase and tanh losses reach 4e-3 or better, power laws 1
SINGULAR = 1e-12  # ratio of the eigenvalues of D below which its inverse has fewer than four digits
DIFFERENCE = 1e-3  # standard deviations: truncation 1e-12, round-off 1e-13
MEMORY = 2**22  # monomials of per-sample gradients held at a time: 32 MiB


@dataclass(frozen=True)
class Moments:
    r"""Stationary moments, and how much they changed between the last two degrees.

    Attributes
    ----------
    mean : ndarray, shape (d,)
    covariance : ndarray, shape (d, d)
    circulation : ndarray, shape (d, d)
        :math:`A_{ij} = \tfrac12\langle\theta_i v_j - \theta_j v_i\rangle`, state² per unit time, with v the Itô drift;
        for SGD :math:`v = \mathrm{E}[\Delta\theta \mid \theta]/\eta`. Zero under detailed balance.
    skewness, excess_kurtosis : ndarray, shape (d,)
        Per axis; NaN where the tails are seen to be too heavy for the moment to exist.
    entropy_production : float
        Of a diffusion, per unit time. NaN for chains, where D is singular, and where two degrees differ by more than a
        hundredth of it and of the slowest rate: tails like a power, which nodes of a normal law cannot see.
    error : Moments or None
        The larger of the changes from degree K − 4 to K − 2 and from there to K of every quantity above, each with its own
        quadrature: an indication, not a bound (true errors beyond round-off were between 1e-4 and 0.9 of it on logistic,
        phase and tanh losses; the last change alone misses tenfold errors). The series is asymptotic unless p has Gaussian
        tails or the coefficients are polynomials that close the moment equations: more degrees may be worse.

    Examples
    --------
    >>> ou = DiffusionProcess(lambda x: -x, 1.0, dim=1)
    >>> found = hermite_moments(ou, mean=[0.0], covariance=[[1.0]])
    >>> found.covariance.round(9).tolist(), bool(found.error.covariance[0, 0] < 1e-9), abs(found.entropy_production) < 1e-9
    ([[1.0]], True, True)
    """

    mean: Array
    covariance: Array
    circulation: Array
    skewness: Array
    excess_kurtosis: Array
    entropy_production: float = math.nan
    error: Moments | None = None


def hermite_moments(
    process: DiffusionProcess, *, mean: ArrayLike, covariance: ArrayLike, degree: int | None = None
) -> Moments:
    r"""Stationary moments of a diffusion from :math:`\int p\,(b\cdot\nabla\psi + D:\nabla\nabla\psi) = 0`.

    Entropy production takes no gradient of p:

    .. math:: \sigma = \int J^\top D^{-1}J/p = \bigl\langle f\cdot b + \mathrm{tr}(D\,\nabla f)\bigr\rangle,
        \qquad f = D^{-1}(b - \nabla\cdot D),

    because :math:`D^{-1}J/p - f` is a gradient and J has no divergence; :math:`\nabla f` is taken by differences.

    Parameters
    ----------
    process : DiffusionProcess
        On the whole of :math:`\mathbb{R}^d`, d ≤ 3, in any interpretation.
    mean, covariance : array_like, shapes (d,) and (d, d)
        A first guess, e.g. of the linearised process; replaced by the computed ones before the final solve.
    degree : int, optional
        Total degree K ≥ 8; by default 12 for d ≤ 2 and 8 for d = 3.

    Returns
    -------
    Moments

    Raises
    ------
    InvalidInput
        For arguments that do not fit each other.
    NotConverged
        If two degrees disagree or the covariance is infinite: heavy tails, several wells, or a poor guess.

    Examples
    --------
    >>> ou = DiffusionProcess(lambda x: -x, 1.0, dim=1)
    >>> float(hermite_moments(ou, mean=[0.0], covariance=[[1.0]]).covariance.round(9)[0, 0])
    1.0
    """
    dim = process.dim
    still = DiffusionProcess(np.zeros(dim), process.diffusion, dim=dim)

    def generator(theta: Array, z: Array, basis: _Basis, root: Array) -> tuple[Array, Array, Array]:
        tensor = process.diffusion(theta)
        scale = np.sqrt((root**2).sum(axis=1))
        if process.interpretation == "ito":
            drift = process.drift(theta)
        else:  # u + ∇·D; steps of 1e-3 standard deviations
            drift = process.current_velocity(theta, scale) - still.current_velocity(theta, scale)
        production = _production(process, theta, drift, tensor, scale)
        inverse = np.linalg.inv(root)
        tensor = np.einsum("ik,jl,kl...->ij...", inverse, inverse, tensor)
        unit = np.eye(dim, dtype=int)
        series = np.zeros((len(basis.indices), theta.shape[1]))
        for i in range(dim):
            series[basis.rank[tuple(unit[i])]] += inverse[i] @ drift
            for j in range(dim):
                series[basis.rank[tuple(unit[i] + unit[j])]] += tensor[i, j]
        return basis.differentiate(series, z), drift, production

    return _solve(generator, dim, mean, covariance, degree)


def _production(process: DiffusionProcess, theta: Array, drift: Array, tensor: Array, scale: Array) -> Array:
    """f·b + tr(D ∇f) at points (d, m), NaN where D is singular; ∇f by central differences of fourth order."""

    def force(points: Array) -> Array:
        values, vectors = np.linalg.eigh(np.moveaxis(process.diffusion(points), -1, 0))
        singular = values[:, 0] <= SINGULAR * values[:, -1]
        along = np.einsum("mia,im->ma", vectors, process.current_velocity(points, scale))
        with np.errstate(divide="ignore", invalid="ignore"):
            along = np.where(singular[:, None], np.nan, along / values)
        return np.einsum("mia,ma->im", vectors, along)

    total = np.einsum("im,im->m", force(theta), drift)
    for j, h in enumerate(DIFFERENCE * scale):
        shift = np.zeros((theta.shape[0], 1))
        shift[j] = h
        slope = 8.0 * (force(theta + shift) - force(theta - shift)) - (
            force(theta + 2.0 * shift) - force(theta - 2.0 * shift)
        )
        total += np.einsum("im,im->m", tensor[:, j], slope) / (12.0 * h)
    return total


def chain_moments(
    gradients: Callable[[Array], Any],
    *,
    mean: ArrayLike,
    covariance: ArrayLike,
    learning_rate: float,
    batch_size: int,
    sampling: str = "with_replacement",
    noise: str = "minibatch",
    weights: ArrayLike | None = None,
    injected_noise: float = 0.0,
    degree: int | None = None,
) -> Moments:
    r"""Stationary moments of :math:`\theta' = \theta - \frac{\eta}{B}\sum_{i\in\text{batch}} g_i(\theta) + \sqrt{2T\eta}\,\xi`.

    With :math:`q(t) = \frac1n\sum_i e^{t\cdot y_i}` and y the centred increments, the generating function of a batch is
    :math:`q^B` with replacement; without, :math:`e_B(e^{t\cdot y_1},\dots)/\binom nB`, the elementary symmetric
    function, read off :math:`\prod_i(1+s\,e^{t\cdot y_i})` on a circle through the saddle point in s, where all terms
    are of the size of the result at any B < n (Newton's identities cancel as B grows).

    Parameters
    ----------
    gradients : callable
        ``gradients(theta)`` maps points (d, m) to per-sample gradients (n, d, m), any penalty included in each.
    mean, covariance, degree
        As in :func:`hermite_moments`.
    learning_rate : float
        η > 0; the unit of time is one step divided by η.
    batch_size : int
        B ≥ 1, less than n without replacement.
    sampling : {"with_replacement", "without_replacement"}
        Within a batch; batches are independent.
    noise : {"minibatch", "gaussian"}
        The increments as they are, or normal ones with the same mean and covariance.
    weights : array_like, shape (n,), optional
        Probabilities of the samples, drawn with replacement; by default all the same.
    injected_noise : float
        T ≥ 0, of the normal ξ.

    Returns
    -------
    Moments

    Raises
    ------
    InvalidInput, NotConverged
        As in :func:`hermite_moments`.

    Examples
    --------
    >>> samples = np.array([[0.0], [3.0]])
    >>> def gradients(theta):  # of (θ − y)²/2: shape (samples, 1, points)
    ...     return theta[None] - samples[:, :, None]
    >>> found = chain_moments(gradients, mean=[1.5], covariance=[[0.1]], learning_rate=0.1, batch_size=1)
    >>> float(found.covariance[0, 0].round(6)), round(0.1 * 2.25 / 1.9, 6)  # ηΣ/(2 − η)
    (0.118421, 0.118421)
    """
    guess = np.atleast_1d(np.asarray(mean, dtype=float))
    if not (np.isfinite(learning_rate) and learning_rate > 0):
        raise InvalidInput(f"learning_rate: expected a positive number, got {learning_rate!r}")
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise InvalidInput(f"batch_size: expected a positive whole number, got {batch_size!r}")
    if sampling not in SAMPLING:
        raise InvalidInput(f"sampling: expected one of {SAMPLING}, got {sampling!r}")
    if noise not in NOISE:
        raise InvalidInput(f"noise: expected one of {NOISE}, got {noise!r}")
    if not (np.isfinite(injected_noise) and injected_noise >= 0.0):
        raise InvalidInput(f"injected_noise: expected a number of at least 0, got {injected_noise!r}")
    share = None if weights is None else _check_weights(np.asarray(weights, dtype=float), sampling)

    def generator(theta: Array, z: Array, basis: _Basis, root: Array) -> tuple[Array, Array, None]:
        drift, power = np.empty_like(theta), np.empty((len(basis.indices), theta.shape[1]))
        start, step, n = 0, 1, 0
        while start < theta.shape[1]:
            part = slice(start, start + step)
            g = np.asarray(gradients(theta[:, part]), dtype=float)
            expected = {n or len(g), len(g) if share is None else share.size}
            if g.ndim != 3 or g.shape[1:] != theta[:, part].shape or expected != {len(g)} or not np.isfinite(g).all():
                raise InvalidInput(
                    "gradients(theta): expected finite per-sample gradients of shape (n, d, m) for points of shape "
                    f"(d, m) = {theta[:, part].shape}, got {g.shape}, finite: {np.isfinite(g).all()}. The points lie "
                    "up to ten standard deviations from the mean; shrink the covariance if the gradients overflow there"
                )
            n, start, step = len(g), start + step, max(1, MEMORY // (len(g) * len(basis.indices)))
            drift[:, part] = -(g.mean(axis=0) if share is None else np.tensordot(share, g, 1))
            y = np.einsum("ij,njq->inq", np.linalg.inv(root), -(g + drift[:, part])) * (learning_rate / batch_size)
            power[:, part] = basis.monomial_means(y, share)
        if sampling == "without_replacement":
            _check_part(n, batch_size)
        if noise == "gaussian":
            ratio = (n - batch_size) / (n - 1) if sampling == "without_replacement" else 1.0
            power *= (batch_size * ratio) * (basis.total == 2)[:, None]
            series = basis.recur(power, lambda total, beta: beta)
        elif sampling == "with_replacement":
            series = basis.recur(power, lambda total, beta: (batch_size + 1.0) * beta - total)
        else:
            series = _without_replacement(power, n, int(batch_size), basis)
        if injected_noise > 0.0:
            normal = np.zeros((len(basis.indices), 1))
            spread = injected_noise * learning_rate * np.linalg.inv(root.T @ root)
            for i, j in product(range(guess.size), repeat=2):
                normal[basis.rank[tuple(np.eye(guess.size, dtype=int)[[i, j]].sum(axis=0).tolist())]] += spread[i, j]
            series = basis.multiply(series, basis.recur(normal, lambda total, beta: beta))
        shifted = z + learning_rate * np.linalg.solve(root, drift)
        return (basis.differentiate(series, shifted) - basis.values(z)) / learning_rate, drift, None

    return _solve(generator, guess.size, mean, covariance, degree)


def _without_replacement(power: Array, n: int, batch: int, basis: _Basis) -> Array:
    """Batch moments: contour average of exp Σ_i log(1 + s e^{t·y_i}), whose terms are cumulants of a Bernoulli(π)."""
    if 2 * batch > n:  # centred increments: the batch sum is minus the sum over the samples left out
        power, batch = power * (-1.0) ** basis.total[:, None], n - batch
    # Neighbouring batch sizes alias from B ± M; 8 sqrt(B) + 16 makes that < 1e-15, n + 1 makes it exactly zero.
    # M is odd so that s never meets −1, where π is infinite.
    points = min(n + 1, int(8 * np.sqrt(batch)) + 16) | 1
    cumulant = [Polynomial([0.0, 1.0])]
    for _ in range(basis.degree - 1):
        cumulant.append(Polynomial([0.0, 1.0, -1.0]) * cumulant[-1].deriv())  # κ_{j+1} = π (1 − π) dκ_j/dπ
    subsets = gammaln(n + 1) - gammaln(batch + 1) - gammaln(n - batch + 1)
    series = np.zeros_like(power)
    for m in range(points // 2 + 1):
        s = batch / (n - batch) * np.exp(2j * np.pi * m / points)
        weight = (1 if m == 0 else 2) / points * np.exp(n * np.log(1 + s) - batch * np.log(s) - subsets)
        scale = np.array([0.0] + [n * kappa(s / (1 + s)) for kappa in cumulant])
        series += (weight * basis.recur(scale[basis.total, None] * power, lambda total, beta: beta)).real
    return np.asarray(series / series[0])  # c_0 = 1 up to the 1e-13 that log Γ leaves


def _check_part(n: int, batch: int) -> None:
    if batch >= n:
        raise InvalidInput(
            f"batch_size: expected less than the {n} samples when drawn without replacement, got {batch}. "
            "Full batches carry no noise and the stationary state is a point"
        )


def _check_weights(weights: Array, sampling: str) -> Array:
    if weights.ndim != 1 or not (weights >= 0.0).all() or not abs(weights.sum() - 1.0) < SUM:
        raise InvalidInput(f"weights: expected probabilities of shape (n,) that add up to 1, got {weights}")
    if sampling != "with_replacement":
        raise InvalidInput(
            f"weights: expected samples drawn with replacement, got sampling={sampling!r}. Leave weights out"
        )
    return weights


class _Basis:
    """Orthonormal Hermite products of total degree ≤ K, and truncated power series in as many variables."""

    def __init__(self, dim: int, degree: int) -> None:
        every = product(range(degree + 1), repeat=dim)
        self.indices = sorted((a for a in every if sum(a) <= degree), key=lambda a: (sum(a), a))
        self.rank = {a: k for k, a in enumerate(self.indices)}
        self.total = np.array([sum(a) for a in self.indices])
        self.dim, self.degree = dim, degree
        self.splits = []  # for every index all its (α, index − α)
        for b in self.indices:
            below = list(product(*(range(k + 1) for k in b)))
            rest = [tuple(np.subtract(b, a).tolist()) for a in below]
            self.splits.append((np.array([self.rank[a] for a in below]), np.array([self.rank[a] for a in rest])))
        self.norm = np.exp(0.5 * gammaln(np.array(self.indices) + 1.0).sum(axis=1))  # sqrt(a!)

    def values(self, z: Array) -> Array:
        """ψ_a(z), shape (N, m), from z of shape (d, m)."""
        line = np.ones((self.degree + 1, *z.shape))
        line[1] = z
        for k in range(1, self.degree):
            line[k + 1] = (z * line[k] - np.sqrt(k) * line[k - 1]) / np.sqrt(k + 1)
        columns = np.array(self.indices).T
        return np.asarray(np.prod([line[columns[i], i] for i in range(self.dim)], axis=0))

    def differentiate(self, series: Array, z: Array) -> Array:
        """Σ_α series_α ∂^α ψ_b(z) for every b, with ∂^α ψ_b = sqrt(b!/(b−α)!) ψ_{b−α}."""
        psi = self.values(z)
        ratio = [self.norm[b] / self.norm[rest] for b, (_, rest) in enumerate(self.splits)]
        return np.array(
            [np.einsum("k,kq,kq->q", r, series[a], psi[c]) for r, (a, c) in zip(ratio, self.splits, strict=True)]
        )

    def monomial_means(self, y: Array, share: Array | None = None) -> Array:
        """Mean over n of y^α/α!, with the share of each, shape (N, m), from y of shape (d, n, m)."""
        monomials = np.ones((len(self.indices), *y.shape[1:]))
        for k, a in enumerate(self.indices[1:], 1):
            axis = next(i for i in range(self.dim) if a[i])
            parent = self.rank[tuple(n - (i == axis) for i, n in enumerate(a))]
            np.multiply(monomials[parent], y[axis] / a[axis], out=monomials[k])
        return np.asarray(monomials.mean(axis=1) if share is None else np.einsum("n,knq->kq", share, monomials))

    def multiply(self, f: Array, g: Array) -> Array:
        """The product of two series."""
        return np.array([(f[a] * g[rest]).sum(axis=0) for a, rest in self.splits])

    def recur(self, f: Any, weight: Callable[[Any, Any], Any]) -> Any:
        """|α| c_α = Σ_{β≠0} weight(|α|, |β|) f_β c_{α−β}, c_0 = 1: f^B for (B+1)|β| − |α|, exp f for |β|."""
        c = np.zeros_like(f)
        c[0] = 1.0
        for k, (beta, rest) in enumerate(self.splits[1:], 1):
            factor = weight(self.total[k], self.total[beta[1:]]) / self.total[k]
            c[k] = np.einsum("k,kq,kq->q", factor, f[beta[1:]], c[rest[1:]])
        return c


def _solve(generator: Generator, dim: int, mean: ArrayLike, covariance: ArrayLike, degree: int | None) -> Moments:
    """Recentre at degree K − 2, then compare degrees K − 4, K − 2 and K."""
    if dim not in DEGREE:
        raise InvalidInput(f"expected 1, 2 or 3 state variables (tensor-product quadrature), got {dim}")
    top = DEGREE[dim] if degree is None else degree
    if not isinstance(top, (int, np.integer)) or top < 8:
        raise InvalidInput(f"degree: expected a whole number ≥ 8 (K − 4 must hold the kurtosis), got {degree!r}")
    centre, spread = np.asarray(mean, dtype=float), np.asarray(covariance, dtype=float)
    if centre.shape != (dim,) or spread.shape != (dim, dim) or not np.isfinite(centre).all():
        raise InvalidInput(
            f"mean and covariance: expected finite arrays of shapes ({dim},) and ({dim}, {dim}), "
            f"got {centre.shape} and {spread.shape}"
        )
    if not np.isfinite(spread).all() or np.linalg.eigvalsh(spread + spread.T)[0] <= 0:
        raise InvalidInput(f"covariance: expected a positive definite matrix, got {spread.tolist()}")
    first, _ = _galerkin(generator, centre, spread, top - 2)
    low, _ = _galerkin(generator, first.mean, first.covariance, top - 2)
    high, rate = _galerkin(generator, first.mean, first.covariance, top)
    names = [f.name for f in fields(Moments) if f.name != "error"]
    lowest, _ = _galerkin(generator, first.mean, first.covariance, top - 4)
    last, before = (
        {name: np.abs(getattr(a, name) - getattr(b, name)) for name in names} for a, b in ((high, low), (low, lowest))
    )
    error = {name: np.maximum(last[name], before[name]) for name in names}  # two degrees may agree by accident
    best = replace(high, error=Moments(**error))
    if error["entropy_production"] > LOST * (abs(high.entropy_production) + rate):
        best = replace(best, entropy_production=math.nan)
    width = np.sqrt(np.diag(best.covariance))
    moved = max((last["mean"] / width).max(), (last["covariance"] / np.outer(width, width)).max())
    if not moved < AGREEMENT:
        raise NotConverged(
            f"Hermite moments: expected degrees {top - 2} and {top} to agree to {AGREEMENT:g} standard deviations, got "
            f"{moved:.2g}. Heavy tails or several wells have no convergent Gauss–Hermite expansion; try a better mean "
            "and covariance or another degree, or solve on a grid",
            best=best,
        )
    return best


def _galerkin(generator: Generator, mean: Array, covariance: Array, degree: int) -> tuple[Moments, float]:
    """The moments, and the rate at which the slowest of the first two orders relaxes."""
    basis = _Basis(mean.size, degree)
    root: Array = np.linalg.cholesky(covariance).astype(float)
    node, weight = hermegauss(degree + EXTRA_NODES)
    z = np.stack([axis.ravel() for axis in np.meshgrid(*[node] * mean.size, indexing="ij")])
    mass = np.prod(np.meshgrid(*[weight / weight.sum()] * mean.size, indexing="ij"), axis=0).ravel()
    image, drift, production = generator(mean[:, None] + root @ z, z, basis, root)
    psi = basis.values(z)
    matrix = (image * mass) @ psi.T
    # A moment of order k exists only if the polynomials of degree ≤ k relax: their block has no growing mode.
    growth = {}
    for order in (2, 3, 4):
        block = (basis.total > 0) & (basis.total <= order)
        growth[order] = float(np.linalg.eigvals(matrix[np.ix_(block, block)]).real.max())
    if not growth[2] < 0:
        raise NotConverged(
            f"Hermite moments: expected second moments that relax, got one growing at rate {growth[2]:.3g} per unit "
            "time: the covariance is infinite (step or noise too large), or the guess sits at an unstable point"
        )
    scale = np.abs(matrix[1:]).max(axis=1, keepdims=True)  # else rows of high degree swamp those of low degree
    c = np.concatenate([[1.0], np.linalg.solve(matrix[1:, 1:] / scale, -matrix[1:, 0] / scale[:, 0])])
    p = mass * (c @ psi)  # polynomials up to degree K + 24 are integrated exactly
    shift = (root @ z) @ p
    x = root @ z - shift[:, None]
    spread = (x * p) @ x.T
    if not np.linalg.eigvalsh(spread)[0] > 0:
        raise NotConverged(
            f"Hermite moments: expected a positive definite covariance at degree {degree}, got {spread.tolist()}. "
            "The tails are too heavy for the expansion, or the guess is too far off; try other mean and covariance"
        )
    flow = (x * p) @ drift.T
    width = np.sqrt(np.diag(spread))
    skewness = x**3 @ p / width**3 if growth[3] < 0 else np.full(mean.size, np.nan)
    kurtosis = x**4 @ p / width**4 - 3 if growth[4] < 0 else np.full(mean.size, np.nan)
    kurtosis = np.where(kurtosis < skewness**2 - 2, np.nan, kurtosis)  # below Pearson's bound: no such density
    entropy = math.nan if production is None else float(production @ p)
    return Moments(mean + shift, spread, 0.5 * (flow - flow.T), skewness, kurtosis, entropy), -growth[2]
