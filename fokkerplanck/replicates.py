"""What independent repetitions of a measurement say: is their mean zero, how far is their law from another."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, chndtr, fdtrc, gammaincinv, ncfdtr, ndtri, stdtr, stdtrit

from .errors import InvalidInput

Array = NDArray[np.float64]

NORMAL_95 = 1.96  # half width of a 95 % interval in standard errors
CONFIDENCE = 0.95
SPARE = 4  # replicates beyond the number of components: with fewer the estimated covariance is hardly one
DEPENDENT = 1e-10  # smallest eigenvalue of the correlations of the components below which they are one another's sums
FLIPS, ALL_FLIPS = 19_999, 15  # random sign flips; with up to 15 replicates all 2¹⁴ of them
CHUNK = 2**20  # signs at a time: 8 MB
SYMMETRIC = 1e-3  # skewness below which the quantiles of the gamma law are those of the normal one to 1e-3
UNDERFLOW = 1e-300  # of a p-value, which cannot be told from zero below 1e-308
LEAST = 1e-4  # probability of a bin below which it is pooled: χ² would be its noise divided by nothing


@dataclass(frozen=True)
class Interval:
    """An estimate between bounds at 95 % confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = ".4f" if 1e-3 <= abs(self.value) < 1e3 or self.value == 0.0 else ".4g"
        return f"{self.value:{digits}} [{self.low:{digits}}, {self.high:{digits}}]"


def in_words(p_value: float) -> str:
    """``p = 0.03``, and not ``p = 0`` where it is below the smallest double.

    Examples
    --------
    >>> in_words(0.0312), in_words(0.0)
    ('p = 0.031', 'p < 1e-300')
    """
    return f"p = {p_value:.2g}" if p_value > UNDERFLOW else f"p < {UNDERFLOW:.0e}"


def check_rows(rows: Array, of: str) -> None:
    """Refuse replicates too few, or too alike, for a test of their mean.

    Raises
    ------
    InvalidInput
    """
    count, q = rows.shape
    if count <= q + SPARE:
        raise InvalidInput(
            f"expected more than {q + SPARE} independent replicates for {q} {of}, got {count}: the test estimates their "
            "covariance from the replicates. Take more chains, or more blocks of a long one; the work of a linear force "
            "(directed_test) is one number, however many parameters there are"
        )
    if not np.isfinite(rows).all():
        raise InvalidInput(f"expected finite {of}, got {np.count_nonzero(~np.isfinite(rows))} that are not")
    spread = rows.std(axis=0)
    if not (spread > 0.0).all():
        raise InvalidInput(f"expected {of} that differ between replicates, got standard deviations {spread.tolist()}")
    if q > 1:
        lowest = float(np.linalg.eigvalsh(np.corrcoef(rows.T))[0])
        if lowest < DEPENDENT:
            raise InvalidInput(
                f"expected {of} that vary independently, got correlations with the smallest eigenvalue {lowest:.1g}: some "
                "are sums of others, as where the chains do not fill the space. Leave parameters out"
            )


def blocks(trajectory: Array, count: int) -> Array:
    """One trajectory, shape (points, d), as pieces that share their ends, shape (count, steps + 1, d)."""
    steps = (len(trajectory) - 1) // count
    return np.stack([trajectory[k * steps : (k + 1) * steps + 1] for k in range(count)])


def t_squared(rows: Array) -> float:
    r"""Hotelling's :math:`T^2 = M\,\bar a^\top C^{-1}\bar a` of M rows with covariance C; Student's t², for one component."""
    count = len(rows)
    mean, scale = rows.mean(axis=0), rows.std(axis=0, ddof=1)
    z = mean / scale
    return count * float(z @ np.linalg.solve(np.atleast_2d(np.corrcoef(rows.T)), z))


def mean_test(rows: Array, *, tail: int = 0) -> float:
    """p-value for zero mean of independent rows, shape (replicates, q): Student's t for q = 1, Hotelling's T² beyond.

    Parameters
    ----------
    rows : ndarray, shape (replicates, q)
    tail : {0, 1}, keyword only
        1 asks for a positive mean, for q = 1 only; 0 for any other than zero.
    """
    count, q = rows.shape
    if q == 1:
        t = float(rows.mean() / (rows.std(ddof=1) / sqrt(count)))
        return float(stdtr(count - 1, -t)) if tail else float(2.0 * stdtr(count - 1, -abs(t)))
    return float(fdtrc(q, count - q, t_squared(rows) * (count - q) / (q * (count - 1))))


def noncentrality(rows: Array) -> Interval:
    r"""The mean in standard errors, squared: :math:`\delta = M\,a^\top C^{-1} a` with the true mean and covariance.

    Unbiased, and between bounds that hold it in 95 % of all cases where the rows are Gaussian, by the noncentral F
    distribution; a value below zero says that the mean is smaller than its noise.
    """
    count, q = rows.shape
    squared = t_squared(rows)
    value = squared * (count - q - 2) / (count - 1) - q
    ratio, tails = squared * (count - q) / (q * (count - 1)), 0.5 * (1.0 - CONFIDENCE)
    low, high = (_solve_noncentrality(ratio, q, count - q, p) for p in (1.0 - tails, tails))
    return Interval(value, low, high)


def _solve_noncentrality(ratio: float, q: int, rest: int, probability: float) -> float:
    """δ for which F ≤ ``ratio`` has this probability; 0 where even δ = 0 makes it less. It falls with δ."""
    from scipy.optimize import brentq  # slow to import, and not needed to solve

    if ncfdtr(q, rest, 0.0, ratio) <= probability:
        return 0.0
    high = q * (ratio + 1.0)
    while ncfdtr(q, rest, high, ratio) > probability:
        high *= 2.0
    # not scipy's ncfdtrinc, which stops at 1e4 without a word
    return float(brentq(lambda d: ncfdtr(q, rest, d, ratio) - probability, 0.0, high, rtol=1e-6))


def needed_noncentrality(q: int, *, power: float, level: float) -> float:
    """δ at which a test of q components rejects with this power, as the number of replicates grows: 7.85 for one, at 80 %."""
    from scipy.optimize import brentq  # as above

    critical = chdtri(q, level)
    high = 10.0 * critical
    while chndtr(critical, q, high) > 1.0 - power:
        high *= 2.0
    return float(brentq(lambda d: chndtr(critical, q, d) - (1.0 - power), 0.0, high, rtol=1e-9))


def sign_flip(rows: Array, rng: np.random.Generator) -> float:
    r"""p-value for rows whose sign is an accident, each for itself: exact whatever their distribution.

    The statistic is :math:`s^\top a R^{-1} a^\top s` with signs s = ±1 and :math:`R = a^\top a`, the square about zero, which
    no flip changes. (The covariance about the mean does change; with it this test is no longer exact.)

    Parameters
    ----------
    rows : ndarray, shape (replicates, q)
    rng : Generator
        For the flips, unless there are at most 15 replicates and all are tried.
    """
    scaled = rows / np.sqrt(np.mean(rows**2, axis=0))
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    return _flipped(scaled @ vectors / np.sqrt(values), rng)


def _flipped(factor: Array, rng: np.random.Generator) -> float:
    """Share of the signs s with |s·factor|² at least that of s = 1, which is counted among them."""
    count = len(factor)
    observed = float(np.sum(factor.sum(axis=0) ** 2)) * (1.0 - 1e-12)  # ties up to round-off are ties
    if count <= ALL_FLIPS:  # the sign of all together changes nothing
        bits = np.arange(2 ** (count - 1))[:, None] >> np.arange(count) & 1
        return float(np.mean(np.sum(((1.0 - 2.0 * bits) @ factor) ** 2, axis=1) >= observed))
    exceeding, left = 0, FLIPS
    while left > 0:
        part = min(left, max(1, CHUNK // count))
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=(part, count), dtype=np.int8)
        exceeding += int(np.count_nonzero(np.sum((signs @ factor) ** 2, axis=1) >= observed))
        left -= part
    return (1 + exceeding) / (1 + FLIPS)


def square_norm(rows: Array, rng: np.random.Generator | None = None) -> tuple[Interval, float | None]:
    r"""The squared norm :math:`|a|^2` of the mean of independent rows with covariance C, without the bias of their noise.

    .. math::

        U = \frac1{M(M-1)}\sum_{k\neq l} a_k\cdot a_l, \qquad
        \operatorname{var} U = \frac4M a^\top C a + \frac{2\operatorname{tr} C^2}{M(M-1)}, \qquad
        \kappa_3(U) = \frac{24}{M^2} a^\top C^2 a + \frac{8\operatorname{tr} C^3}{M^3}

    The bounds are those :math:`|a|^2` from which U is on the 2.5 and 97.5 % points of a shifted gamma law with the mean,
    variance and third cumulant that belong to them. Near zero U is skewed, by a few directions in which the noise is large,
    and symmetric bounds miss too often on one side. What noise may have hidden of a is taken to lie in the direction of most
    noise. If ``rng`` is given, also the p-value of a = 0 by sign flips.
    """
    count, free = len(rows), len(rows) - 1
    gram = rows @ rows.T
    value = float(gram.sum() - np.trace(gram)) / (count * free)
    mean = rows.mean(axis=0)
    rest = rows - mean
    spread = rest @ rest.T / free  # of the same eigenvalues as C
    along, size = rest @ mean, float(mean @ mean) or 1.0
    first, second = float(along @ along) / (free * size), float(along @ spread @ along) / (free * size)
    largest = float(np.linalg.eigvalsh(spread)[-1])
    squared, cubed = _traces(spread, free)
    student = float(stdtrit(free, 0.5 * (1.0 + CONFIDENCE)) / ndtri(0.5 * (1.0 + CONFIDENCE)))  # C is estimated

    def quantile(square: float, probability: float) -> float:
        """Of U − |a|², where |a|² is ``square``."""
        shown = min(square, max(value, 0.0))
        hidden = square - shown
        variance = 4.0 * (first * shown + largest * hidden) / count + 2.0 * squared / (count * free)
        third = 24.0 * (second * shown + largest**2 * hidden) / count**2 + 8.0 * cubed / count**3
        return sqrt(variance) * student * _skewed_quantile(third, variance, probability)

    def bound(probability: float) -> float:
        from scipy.optimize import brentq  # slow to import, and not needed to solve

        if quantile(0.0, probability) >= value:  # as at zero, continued
            return value - quantile(0.0, probability)
        high = max(value, 0.0) + sqrt(squared) / count + largest / count
        while high + quantile(high, probability) < value:
            high *= 2.0
        return float(brentq(lambda square: square + quantile(square, probability) - value, 0.0, high, rtol=1e-6))

    tail = 0.5 * (1.0 - CONFIDENCE)
    interval = Interval(value, min(bound(1.0 - tail), value), max(bound(tail), value))
    if rng is None:
        return interval, None
    values, vectors = np.linalg.eigh(gram)
    return interval, _flipped(vectors * np.sqrt(np.maximum(values, 0.0)), rng)  # a Gram matrix, but for round-off


def _traces(spread: Array, free: int) -> tuple[float, float]:
    """tr C² and tr C³ from an estimate of C with so many degrees of freedom, without its bias (moments of Wishart's law)."""
    square = spread @ spread
    one, two, three = float(np.trace(spread)), float(np.trace(square)), float(np.sum(spread * square))
    n = float(free)
    means = np.array(
        [[n * n + 3 * n + 4, 3 * (n + 1), 1], [4 * (n + 1), n * n + n + 4, n], [8, 6 * n, n * n]]
    )  # of tr Ĉ³, tr Ĉ² tr Ĉ and (tr Ĉ)³, times n², by tr C³, tr C² tr C and (tr C)³
    cubed = float(np.linalg.solve(means / n**2, [three, two * one, one**3])[0])
    squared = (two - one**2 / n) * n**2 / ((n - 1.0) * (n + 2.0))
    return max(squared, 0.0), max(cubed, 0.0)


def _skewed_quantile(third: float, variance: float, probability: float) -> float:
    """Of the gamma law with mean 0, variance 1 and the skewness that third cumulant and variance make."""
    skewness = third / variance**1.5 if variance > 0.0 else 0.0
    if skewness < SYMMETRIC:
        return float(ndtri(probability))
    shape = 4.0 / skewness**2
    return float((gammaincinv(shape, probability) - shape) / sqrt(shape))


def root(square: Interval) -> Interval:
    """√ of a squared distance, whose unbiased estimate may be negative: then zero."""
    return Interval(*(sqrt(max(x, 0.0)) for x in (square.value, square.low, square.high)))


def pooled(expected: Array, seen: Array) -> tuple[Array, Array]:
    """Probabilities (bins,) and frequencies (groups, bins) with all bins expected below 1e-4 made one."""
    keep = expected > LEAST
    rest = float(expected[~keep].sum())
    p, q = seen[:, keep], expected[keep]
    more = seen[:, ~keep].sum(axis=1)
    if rest > LEAST:
        return np.append(q, rest), np.concatenate([p, more[:, None]], axis=1)
    smallest = int(np.argmin(q))
    q[smallest] += rest
    p[:, smallest] += more
    return q, p


def hellinger(expected: Array, seen: Array) -> Interval:
    r"""Hellinger distance of independent frequencies p to probabilities q, freed of the bias of noise.

    .. math:: H^2 = \frac12\sum(\sqrt p - \sqrt q)^2 = \frac12\sum\frac{(p - q)^2}{(\sqrt p + \sqrt q)^2}

    with products of different groups in the numerator and the mean of all in the denominator. Bins expected below 1e-4 count
    as one.

    Parameters
    ----------
    expected : ndarray, shape (bins,)
    seen : ndarray, shape (groups, bins)
    """
    q, p = pooled(expected, seen)
    return root(square_norm((p - q) / (sqrt(2.0) * (np.sqrt(p.mean(axis=0)) + np.sqrt(q))))[0])


def chi_square(expected: Array, seen: Array, rng: np.random.Generator) -> tuple[Interval, float]:
    r"""Unbiased :math:`\chi^2 = \sum (p - q)^2/q`, between bounds, and the p-value of p = q by sign flips.

    Bins expected below 1e-4 count as one.
    """
    q, p = pooled(expected, seen)
    interval, probability = square_norm((p - q) / np.sqrt(q), rng)
    assert probability is not None
    return interval, probability


def total_variation(expected: Array, seen: Array) -> tuple[Interval, float]:
    """Cross-fitted total variation between bin probabilities and independent estimates of them.

    Parameters
    ----------
    expected : ndarray, shape (bins,)
    seen : ndarray, shape (groups, bins)
        Frequencies in each group of chains, including whatever bins the expectation lacks.

    Returns
    -------
    interval : Interval
    floor : float
        Plug-in distance expected from noise if the two were equal.
    """
    groups, total = seen.shape[0], seen.mean(axis=0)
    halves = seen[::2], seen[1::2]
    values, spreads = [], []
    for fit, test in (halves, halves[::-1]):
        signs = np.sign(fit.mean(axis=0) - expected)
        fitted = 0.5 * np.sum(signs * (test - expected), axis=1)
        values.append(float(fitted.mean()))
        spreads.append(float(fitted.std(ddof=1)) / np.sqrt(len(test)))
    # The two halves' values are correlated (by 2/π where the laws are equal), so averaging them is not counted as a gain.
    value, spread = float(np.mean(values)), float(np.mean(spreads))
    plug_in = 0.5 * float(np.abs(total - expected).sum())
    noise = seen.std(axis=0, ddof=1) / np.sqrt(groups)
    floor = 0.5 * float(np.sqrt(2.0 / np.pi) * noise.sum())  # E|N(0, s²)| = s √(2/π)
    return Interval(value, max(0.0, value - NORMAL_95 * spread), plug_in + NORMAL_95 * spread), floor


def standard_error(rows: Any) -> Array:
    """Standard error of the mean of independent rows."""
    return np.asarray(np.std(rows, axis=0, ddof=1) / sqrt(len(rows)))
