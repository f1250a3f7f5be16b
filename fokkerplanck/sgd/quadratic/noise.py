"""Covariance of minibatch gradients from that of one sample, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...errors import InvalidInput
from .matrices import Array, fraction, labels, positive, semidefinite, symmetric, whole
from .modes import modes

SAMPLINGS = ("with_replacement", "without_replacement")


def batch_factor(batch_size: int, n: int | None, sampling: str) -> float:
    r"""Covariance of a minibatch mean in units of that of one sample.

    .. math:: \frac1B \text{ with replacement},\qquad \frac1B\,\frac{n-B}{n-1} \text{ without}

    Parameters
    ----------
    batch_size : int
        B.
    n : int or None
        Number of samples; None for fresh samples in every step, which are always with replacement.
    sampling : {"with_replacement", "without_replacement"}

    Raises
    ------
    InvalidInput
        For a batch that is no whole number from 1 to n, and an unknown sampling.

    Examples
    --------
    >>> batch_factor(2, 6, "without_replacement")
    0.4
    """
    if sampling not in SAMPLINGS:
        raise InvalidInput(f"sampling: expected one of {SAMPLINGS}, got {sampling!r}. For epochs see epoch_shuffling")
    replaced = sampling == "with_replacement"
    batch = whole(batch_size, "batch_size", most=None if replaced else n)
    if replaced:
        return 1.0 / batch
    if n is None or n < 2:
        raise InvalidInput(f"n: expected at least 2 samples for sampling={sampling!r}, got {n!r}")
    return (n - batch) / (n - 1) / batch


def minibatch_covariance(
    sample_covariance: ArrayLike, *, batch_size: int, n: int | None = None, sampling: str = "with_replacement"
) -> Array:
    r"""Covariance C of a minibatch gradient, shape (d, d): `batch_factor` times Σ.

    Parameters
    ----------
    sample_covariance : array_like, shape (d, d)
        :math:`\Sigma = \frac1n\sum_k(g_k - \bar g)(g_k - \bar g)^\top`, normalised by **1/n**.
    batch_size, n, sampling
        As for `batch_factor`.

    Raises
    ------
    InvalidInput
        As `batch_factor`, and for a matrix that is no covariance.

    References
    ----------
    W. G. Cochran, *Sampling Techniques*, Wiley 1977, §2.6 (finite populations).

    Examples
    --------
    >>> minibatch_covariance([[3.0]], batch_size=2, n=6, sampling="without_replacement").round(12).tolist()
    [[1.2]]
    """
    return semidefinite(sample_covariance, "sample_covariance") * batch_factor(batch_size, n, sampling)


def sample_covariance(
    batch_gradients: ArrayLike, *, batch_size: int, n: int | None = None, sampling: str = "with_replacement"
) -> Array:
    r"""Unbiased estimate of Σ, shape (d, d), from m independent minibatch gradients at one θ.

    .. math:: \hat\Sigma = \frac{1}{f}\,\frac1{m-1}\sum_j (g_{B_j} - \bar g)(g_{B_j} - \bar g)^\top

    with f from `batch_factor`. Batches of one epoch are not independent of each other; draw each from all of the data.

    Parameters
    ----------
    batch_gradients : array_like, shape (m, d)
        At least two.
    batch_size, n, sampling
        As for `batch_factor`.

    Raises
    ------
    InvalidInput
        As `batch_factor`; for fewer than two gradients, numbers that are not finite, and batches of all the data without
        replacement, which do not differ.

    Examples
    --------
    >>> sample_covariance([[0.0], [2.0]], batch_size=3).tolist()
    [[6.0]]
    """
    g = np.asarray(batch_gradients, dtype=float)
    if g.ndim != 2 or len(g) < 2:
        raise InvalidInput(f"batch_gradients: expected shape (m, d) with m of at least 2, got {g.shape}")
    if not np.isfinite(g).all():
        row = int(np.argmin(np.isfinite(g).all(axis=1)))
        raise InvalidInput(f"batch_gradients: expected finite numbers, got {g[row].tolist()} in row {row}")
    factor = batch_factor(batch_size, n, sampling)
    if factor == 0.0:
        raise InvalidInput(f"batch_size: expected fewer than all n = {n} samples without replacement, got {batch_size}")
    return np.asarray(np.atleast_2d(np.cov(g.T)) / factor)


@dataclass(frozen=True, eq=False)
class EpochCovariance:
    r"""Stationary covariances of SGD that goes through the data in shuffled epochs, from `epoch_shuffling`.

    Attributes
    ----------
    names : tuple of str, length d
    positions : ndarray, shape (M, d, d)
        After m = 0, …, M − 1 batches of an epoch. Position 0 is the boundary between epochs.
    independent : ndarray, shape (d, d)
        With independent batches drawn without replacement instead.

    Examples
    --------
    >>> state = epoch_shuffling([[1.0]], [[1.0]], n=1000, batch_size=10, learning_rate=0.01)
    >>> state.positions.shape, (state.mean / state.independent).round(4).item()
    ((100, 1, 1), 0.2679)
    """

    names: tuple[str, ...]
    positions: Array
    independent: Array

    @property
    def boundary(self) -> Array:
        """Covariance between epochs, shape (d, d)."""
        return np.asarray(self.positions[0])

    @property
    def mean(self) -> Array:
        """Average over the positions in an epoch, shape (d, d)."""
        return np.asarray(self.positions.mean(axis=0))


def epoch_shuffling(
    hessian: ArrayLike,
    sample_covariance: ArrayLike,
    *,
    n: int,
    batch_size: int,
    learning_rate: float,
    names: Sequence[str] | None = None,
) -> EpochCovariance:
    r"""Stationary covariance when every epoch is a new random order of the data, for noise that does not depend on θ.

    For losses :math:`\tfrac12(\theta - z_k)^\top H(\theta - z_k)`. With :math:`\rho_i = 1 - \eta h_i` in the eigenbasis of H,
    :math:`M = \lfloor n/B\rfloor`, :math:`S^2 = \frac{n}{n-1}\Sigma` and batches that covary as
    :math:`v = \frac1B(1 - \frac Bn)S^2` each and :math:`c = -\frac1nS^2` between two of an epoch,

    .. math::

        q_{ij}(m) = \eta^2\Big[(v - c)_{ij}\sum_{l<m}(\rho_i\rho_j)^l + c_{ij}\sum_{l<m}\rho_i^l\sum_{l<m}\rho_j^l\Big],\quad
        V_{ij}(0) = \frac{q_{ij}(M)}{1 - (\rho_i\rho_j)^M},\quad V(m) = (\rho_i\rho_j)^m V(0) + q(m).

    Where an epoch is short compared with relaxation, Mηh ≪ 1, noise is suppressed: by ηh(M + 1)/3 on average and by
    (ηh)²M(M + 1)/12 between epochs.

    Parameters
    ----------
    hessian : array_like, shape (d, d)
        H, symmetric.
    sample_covariance : array_like, shape (d, d)
        Σ of the gradient of one sample, normalised by 1/n.
    n, batch_size : int
    learning_rate : float
        η.
    names : sequence of str, optional

    Raises
    ------
    InvalidInput
        For arguments that do not fit, and a learning rate beyond stability.

    Examples
    --------
    >>> state = epoch_shuffling([[1.0]], [[0.95]], n=20, batch_size=2, learning_rate=0.05)
    >>> float(state.boundary[0, 0].round(10)), float(state.independent[0, 0].round(9))
    (0.0002711355, 0.011538462)
    """
    H = symmetric(hessian, "hessian")
    d = len(H)
    Sigma = semidefinite(sample_covariance, "sample_covariance", d)
    count = whole(n, "n")
    if count < 2:
        raise InvalidInput(f"n: expected at least 2 samples, got {n}")
    batch = whole(batch_size, "batch_size", most=count)
    chain = modes(H, positive(learning_rate, "learning_rate") * np.eye(d), fraction(0.0, "momentum"), False)
    chain.check()
    spread = chain.W.T @ Sigma @ chain.W * (count / (count - 1))
    v, c = spread * (1.0 / batch - 1.0 / count), -spread / count
    rho, M = 1.0 - chain.k, count // batch
    pair = np.outer(rho, rho)
    squares, sums = np.zeros((d, d)), np.zeros(d)
    q = np.empty((M + 1, d, d))
    for m in range(M + 1):
        q[m] = (v - c) * squares + c * np.outer(sums, sums)
        squares, sums = 1.0 + pair * squares, 1.0 + rho * sums
    start = q[M] / (1.0 - pair**M)
    positions = pair ** np.arange(M)[:, None, None] * start + q[:M]
    independent = v * chain.position_response
    return EpochCovariance(labels(names, d), chain.W @ positions @ chain.W.T, chain.W @ independent @ chain.W.T)
