r"""One parameter with random curvature, :math:`\theta' = (1 - \eta h)\theta + \xi`: does it settle, with what tails.

.. math::

    \text{mean: } |1 - \eta\,\mathrm E h| < 1,\qquad \text{mean square: } \mathrm E(1 - \eta h)^2 < 1,\qquad
    \text{almost surely: } \mathrm E\ln|1 - \eta h| < 0

in descending strictness of the last two. Where it settles almost surely, :math:`P(|\theta| > r) \sim r^{-\beta}` with
:math:`\mathrm E|1 - \eta h|^\beta = 1`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from ...errors import InvalidInput, NotConverged
from .matrices import Array, fraction, positive, whole

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
# Panels shrink by 4 towards the point where the integrand is a logarithm, down to 4^-18 ≈ 1e-11 of the range: the last one
# adds 1e-13 to the error, and 1 − ηh is still known to five digits there.
GRADING = 0.25 ** np.arange(18, -1, -1)
# Curvatures reach four times as far as where 1e-300 of the probability is left: |1 − ηh|^β weighs them up. The logarithm of the
# density is known there, the density is not.
NEGLIGIBLE, FURTHER = 1e-300, 4.0
# Factor |1 − ηh|^β p(h) at the end of the range, in units of its largest value: what is left out is below round-off.
LEFT_OUT = 1e-18
ROUND_OFF = 1e-18  # of the response of θ to a kick, below which the sum over its powers ends
LONGEST = 10**7  # steps of that sum: a tenth of a second


def gaussian_curvature(curvature: float, batch_size: int) -> Any:
    r"""Law of the curvature of a minibatch with one Gaussian feature: :math:`h = \frac aB\sum_{b\le B} x_b^2/a`.

    Parameters
    ----------
    curvature : float
        a = E x².
    batch_size : int
        B.

    Returns
    -------
    scipy.stats frozen distribution
        :math:`\frac aB\chi^2_B`.

    Examples
    --------
    >>> law = gaussian_curvature(2.0, 4)
    >>> float(law.mean()), float(law.var())
    (2.0, 2.0)
    """
    from scipy import stats  # slow to import, and needed here only

    batch = whole(batch_size, "batch_size")
    return stats.chi2(batch, scale=positive(curvature, "curvature") / batch)


def lyapunov_exponent(curvature: Any, learning_rate: float) -> float:
    r"""Growth :math:`\mathrm E\ln|1 - \eta h|` of ln|θ| per step; below zero θ settles almost surely.

    Parameters
    ----------
    curvature : scipy.stats frozen distribution or array_like, shape (n,)
        The law of h, or its values if all are equally probable. A continuous law has to be bounded below.
    learning_rate : float
        η.

    Returns
    -------
    float
        Per step; −∞ if a step can end exactly at the minimum.

    Raises
    ------
    InvalidInput
        For a law that is no such thing, or a learning rate that is not positive.

    References
    ----------
    H. Kesten, *Acta Math.* 131 (1973) 207, doi:10.1007/BF02392040.

    Examples
    --------
    >>> round(lyapunov_exponent([1.0, -1.5], 0.9), 9)  # the mean curvature is negative, a maximum, and θ settles there
    -0.724084882
    """
    return _Law(curvature, positive(learning_rate, "learning_rate")).mean_logarithm()


def almost_sure_limit(curvature: Any, *, relative: float = 1e-12) -> float:
    r"""The learning rate at which :math:`\mathrm E\ln|1 - \eta h|` crosses zero upwards.

    Parameters
    ----------
    curvature
        As for `lyapunov_exponent`; of positive mean.
    relative : float
        Relative tolerance of the root.

    Raises
    ------
    InvalidInput
        For a law of negative mean.

    Examples
    --------
    >>> round(almost_sure_limit(gaussian_curvature(1.0, 1)), 8)
    2.42124952
    """
    law = _Law(curvature, 1.0)
    if law.mean <= 0.0:
        raise InvalidInput(f"curvature: expected a positive mean, got {law.mean:.6g}")
    below = above = 1.0 / law.mean  # the exponent is negative for small rates, and grows like ln η for large ones
    while lyapunov_exponent(curvature, below) >= 0.0:
        below *= 0.5
    while lyapunov_exponent(curvature, above) <= 0.0:
        above *= 1.25

    def growth(rate: float) -> float:  # −∞ where a step can end at the minimum; the root is where it is zero
        return max(lyapunov_exponent(curvature, rate), -1.0)

    return float(brentq(growth, below, above, rtol=relative, xtol=1e-300))


def mean_square_factor(curvature: Any, learning_rate: float) -> float:
    r""":math:`\mathrm E(1 - \eta h)^2`: variances are finite below one.

    Parameters
    ----------
    curvature, learning_rate
        As for `lyapunov_exponent`.

    Examples
    --------
    >>> round(mean_square_factor(gaussian_curvature(1.0, 1), 2 / 3), 12)
    1.0
    """
    return math.exp(_Law(curvature, positive(learning_rate, "learning_rate")).logarithm_of_moment(2.0))


def tail_index(curvature: Any, learning_rate: float, *, relative: float = 1e-12) -> float:
    r"""The exponent β > 0 of :math:`P(|\theta| > r) \sim r^{-\beta}`: the root of :math:`\mathrm E|1 - \eta h|^\beta = 1`.

    β is the smallest moment that diverges. It belongs to the chain; no diffusion has it right for small learning rates,
    where tails are made by single large steps.

    Parameters
    ----------
    curvature, learning_rate
        As for `lyapunov_exponent`.
    relative : float
        Relative tolerance of the root.

    Returns
    -------
    float
        ∞ if no step can overshoot to more than its own distance, |1 − ηh| ≤ 1.

    Raises
    ------
    InvalidInput
        If θ does not settle: the exponent is not below zero.

    References
    ----------
    H. Kesten, *Acta Math.* 131 (1973) 207, doi:10.1007/BF02392040.
    C. M. Goldie, *Ann. Appl. Probab.* 1 (1991) 126, doi:10.1214/aoap/1177005985.
    M. Gürbüzbalaban, U. Şimşekli, L. Zhu, *ICML* 2021, arXiv:2006.04740 (SGD on least squares).

    Examples
    --------
    >>> round(tail_index(gaussian_curvature(1.0, 4), 1.0), 7)
    3.5046836
    """
    law = _Law(curvature, positive(learning_rate, "learning_rate"))
    growth = law.mean_logarithm()
    if growth >= 0.0:
        raise InvalidInput(
            f"learning_rate: expected E ln|1 − ηh| < 0, got {growth:.6g} at {learning_rate:g}: θ has no stationary law. "
            "Lower it"
        )
    if law.largest_factor <= 1.0:
        return math.inf
    below, above = 1e-3, 1.0
    while law.logarithm_of_moment(below) >= 0.0:
        below *= 0.5
    while law.logarithm_of_moment(above) <= 0.0:
        above *= 1.5
    return float(brentq(law.logarithm_of_moment, below, above, rtol=relative, xtol=1e-300))


def stable_scale(
    curvature: float, *, learning_rate: float, noise_scale: float, alpha: float, momentum: float = 0.0
) -> float:
    r"""Scale of the stationary law of one parameter under symmetric α-stable gradient noise, which is α-stable too.

    .. math::

        m' = \mu m + h\theta + s\zeta,\quad \theta' = \theta - \eta m',\qquad
        c^\alpha = (\eta s)^\alpha \sum_j |g_j|^\alpha,

    with :math:`\mathrm E e^{iq\zeta} = e^{-|q|^\alpha}` and g the response of θ to one kick. Without momentum
    :math:`c^\alpha = (\eta s)^\alpha/(1 - |1 - \eta h|^\alpha)`; α = 2 is normal noise of variance 2s².

    Parameters
    ----------
    curvature : float
        h > 0.
    learning_rate : float
        η, with ηh below 2(1 + μ).
    noise_scale : float
        s, of the gradient noise.
    alpha : float
        Above 0, at most 2.
    momentum : float
        μ, from 0 to below 1.

    Returns
    -------
    float
        c, in units of θ: :math:`\mathrm E e^{iq\theta} = e^{-|cq|^\alpha}`.

    Raises
    ------
    InvalidInput
        For numbers outside.

    References
    ----------
    G. Samorodnitsky, M. S. Taqqu, *Stable Non-Gaussian Random Processes*, Chapman & Hall 1994, §7.12 (moving averages).

    Examples
    --------
    >>> round(stable_scale(1.0, learning_rate=0.1, noise_scale=10.0, alpha=1.5) ** 1.5, 9)
    6.840645639
    """
    from scipy.signal import lfilter  # slow to import, and needed here only

    h, rate, scale = positive(curvature, "curvature"), positive(learning_rate, "learning_rate"), noise_scale
    mu = fraction(momentum, "momentum")
    positive(scale, "noise_scale")
    if not 0.0 < alpha <= 2.0:
        raise InvalidInput(f"alpha: expected a number above 0 and at most 2, got {alpha!r}")
    if rate * h >= 2.0 * (1.0 + mu):
        raise InvalidInput(f"learning_rate: expected less than 2(1 + μ)/h = {2.0 * (1.0 + mu) / h:.6g}, got {rate:g}")
    recursion = np.array([1.0, rate * h - 1.0 - mu, mu])  # θ'' − (1 + μ − ηh)θ' + μθ
    slowest = float(np.abs(np.roots(recursion)).max())
    count = 1 if slowest == 0.0 else math.ceil(math.log(ROUND_OFF) / (alpha * math.log(slowest))) + 1
    if count > LONGEST:
        raise InvalidInput(
            f"curvature: expected a response to a kick that is over after {LONGEST} steps, got {count}: ηh = {rate * h:.3g} is "
            "too small for the sum to be taken"
        )
    kick = np.zeros(max(count, 2))
    kick[0] = 1.0
    response = lfilter([1.0], recursion, kick)
    return float(rate * scale * np.sum(np.abs(response) ** alpha) ** (1.0 / alpha))


class _Law:
    """Nodes and weights of an average over factors |1 − ηh|, exact for values, Gaussian quadrature for densities."""

    def __init__(self, curvature: Any, rate: float) -> None:
        if hasattr(curvature, "logpdf"):
            h, log_weight = _nodes(curvature, 1.0 / rate)
            self.largest_factor, self.mean = math.inf, float(curvature.mean())
            self.continuous = True
        else:
            h, log_weight = _values(curvature)
            self.largest_factor, self.mean = float(np.abs(1.0 - rate * h).max()), float(h.mean())
            self.continuous = False
        with np.errstate(divide="ignore"):
            self.log_factor: Array = np.log(np.abs(1.0 - rate * h))
        self.log_weight = log_weight

    def mean_logarithm(self) -> float:
        weight = np.exp(self.log_weight)
        if np.isneginf(self.log_factor[weight > 0.0]).any():
            return -math.inf
        used = weight > 0.0
        return float(weight[used] @ self.log_factor[used])

    def logarithm_of_moment(self, order: float) -> float:
        """ln E|1 − ηh|^order, without overflow."""
        exponent = self.log_weight + order * self.log_factor
        largest = exponent.max()
        share = np.exp(exponent - largest)
        if self.continuous and share[-len(NODES) :].max() > LEFT_OUT * share.max():
            raise NotConverged(
                f"curvature: expected |1 − ηh|^{order:.6g} p(h) to be negligible at the end of the range of quadrature, got "
                f"{share[-len(NODES) :].max():.3g} of its largest value. The tail index is too large to be computed, and "
                "tails fall faster than any power that matters"
            )
        return float(largest + math.log(share.sum()))


def _nodes(law: Any, singular: float) -> tuple[Array, Array]:
    """Curvatures lowest + s², with panels graded towards s = 0 and to where 1 − ηh vanishes."""
    lowest = float(law.support()[0])
    if not math.isfinite(lowest):
        raise InvalidInput(
            f"curvature: expected a law that is bounded below, got support {law.support()}. Curvatures of a loss are"
        )
    highest = lowest + FURTHER * (float(law.isf(NEGLIGIBLE)) - lowest)
    end = math.sqrt(highest - lowest)
    special = math.sqrt(singular - lowest) if lowest < singular < highest else 0.5 * end
    middle = 0.5 * special
    edges = np.concatenate(
        [
            [0.0],
            middle * GRADING,
            special - (special - middle) * GRADING[-2::-1],
            [special],
            special + min(special, end - special) * GRADING,
            np.linspace(special + min(special, end - special), end, 200)[1:],
        ]
    )
    edges = edges[np.concatenate([[True], np.diff(edges) > 0.0])]
    half = 0.5 * np.diff(edges)[:, None]
    s = (edges[:-1, None] + half * (NODES + 1.0)).ravel()
    weight = (half * WEIGHTS).ravel()
    h = lowest + s**2
    with np.errstate(divide="ignore"):
        return np.asarray(h), np.asarray(law.logpdf(h) + np.log(2.0 * s * weight))


def _values(curvature: ArrayLike) -> tuple[Array, Array]:
    h: NDArray[Any] = np.asarray(curvature)
    if h.dtype.kind not in "iuf" or h.ndim != 1 or len(h) < 1 or not np.isfinite(h).all():
        raise InvalidInput(
            f"curvature: expected a frozen distribution of scipy.stats or finite values of shape (n,), got {curvature!r}"
        )
    return h.astype(float), np.full(len(h), -math.log(len(h)))
