r"""The exact second moments of SGD on least squares.

With the modes of `modes` and the noise maps of `regression`, the covariance Z of the modes obeys

.. math:: Z_{ij} = G_{ij}\,[N(Z) + N_0]_{ij},

where G is the response of two modes to noise; for Nesterov's rule Z is the covariance where gradients are taken. N is
symmetric and maps covariances to covariances, so that :math:`R = \sqrt G \circ N(\sqrt G \circ\,\cdot\,)` is a symmetric
matrix, Z exists if and only if its largest eigenvalue is below one, and conjugate gradients find Z without any d² × d² array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, cg, eigs, eigsh

from ...errors import InvalidInput, NotConverged
from .matrices import Array, fraction, symmetric
from .modes import Modes, modes
from .regression import Regression
from .stationary import linear_sgd

if TYPE_CHECKING:
    import xarray as xr

DENSE = 256  # unknowns: up to 16 parameters the matrix is made and nothing iterates; a hundredth of a second
RESIDUAL = 1e-13  # of conjugate gradients; round-off leaves 1e-14
EIGENVALUE = 1e-12  # relative tolerance of eigenvalues, and of the limit of the learning rate
EDGE = 1e-9  # the response is infinite at the limit of the mean; this near to it no factor is told from it
SMALLEST = 1e-15  # of the limit of the mean; features of that kurtosis are none
STEPS = 500  # of the power method; 10 to 30 are usual
# Of the eigenvalue sought: one of the opposite sign and the same size does not keep the method from settling
SHIFT = 0.25


@dataclass(frozen=True, eq=False)
class SecondMoments:
    r"""Stationary second moments of SGD on least squares, from `second_moments`.

    Attributes
    ----------
    names : tuple of str, length d
    mean : ndarray, shape (d,)
        θ*, the minimum; the mean recursion is linear.
    covariance : ndarray, shape (d, d)
        Of θ.
    noise : ndarray, shape (d, d)
        C, the mean covariance of a minibatch gradient.
    train_loss, test_loss : float
        Means of the loss minimised, and of that without noise and penalty.
    area : ndarray, shape (d, d)
        :math:`A_{ij} = \tfrac12\langle\theta_i\theta_j' - \theta_j\theta_i'\rangle` per step.
    gain : float
        How much noise the variance makes in proportion to itself: the largest eigenvalue of R, below one. Second moments
        are infinite at one.

    Examples
    --------
    >>> from fokkerplanck.sgd.quadratic import gaussian_regression
    >>> state = second_moments(gaussian_regression([[1.0]], label_noise=1.0), learning_rate=0.1, batch_size=1)
    >>> round(state.covariance.item(), 6), round(state.gain, 6)  # η/(2 − 3η)
    (0.058824, 0.105263)
    """

    names: tuple[str, ...]
    mean: Array
    covariance: Array
    noise: Array
    train_loss: float
    test_loss: float
    area: Array
    gain: float

    def to_dataset(self) -> xr.Dataset:
        """Mean, covariance and noise with the names of the parameters, and the numbers as attributes."""
        import xarray as xr  # slow to import, and not needed to compute

        pair = ("parameter", "other")
        return xr.Dataset(
            {
                "mean": ("parameter", self.mean),
                "covariance": (pair, self.covariance),
                "noise": (pair, self.noise),
                "area": (pair, self.area, {"units": "state²/step"}),
            },
            coords={"parameter": list(self.names), "other": list(self.names)},
            attrs={"train_loss": self.train_loss, "test_loss": self.test_loss, "gain": self.gain},
        )


def second_moments(
    problem: Regression,
    *,
    learning_rate: ArrayLike,
    batch_size: int,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> SecondMoments:
    r"""Stationary covariance of SGD on least squares, with the noise of its own minibatches.

    Exact at any learning rate, for noise that grows with the distance from the minimum: the second moments of a linear
    regression close. For Gaussian features and label noise alone, with :math:`t = \mathrm{Tr}[\Lambda AG_\mu^{-1}]`,

    .. math::

        S = \frac{\sigma^2}B\,\frac{1}{1 - t/B}\,G_\mu^{-1}\Lambda,\qquad
        G_\mu = 2(1-\mu) - \Big(\frac{1-\mu}{1+\mu} + \frac1B\Big)\Lambda A .

    Parameters
    ----------
    problem : GaussianRegression or DataRegression
    learning_rate : float or array_like, shape (d, d)
        η, or a symmetric positive definite Λ; nothing has to commute.
    batch_size : int
        B.
    momentum, nesterov
        As for `linear_sgd`.

    Returns
    -------
    SecondMoments

    Raises
    ------
    InvalidInput
        For arguments that do not fit, a learning rate beyond the stability of the mean, and one beyond that of the
        mean square, with the limit.
    NotConverged
        If an iteration stalls.

    References
    ----------
    L. Ziyin, K. Liu, T. Mori, M. Ueda, *ICLR* 2022, arXiv:2102.05375, Theorems 2, 4, 8 and 9.

    Examples
    --------
    >>> from fokkerplanck.sgd.quadratic import gaussian_regression
    >>> state = second_moments(gaussian_regression([[1.0, 0.0], [0.0, 0.5]], label_noise=1.0), learning_rate=0.4, batch_size=2)
    >>> np.diag(state.covariance).round(9).tolist(), round(state.test_loss, 9)
    ([0.178947368, 0.147368421], 0.126315789)
    """
    chain = _chain(problem, learning_rate, momentum, nesterov)
    chain.check()
    S, C, gain = _stationary(problem, chain, batch_size)
    if S is None or C is None:
        limit = mean_square_limit(
            problem, batch_size=batch_size, learning_rate=learning_rate, momentum=momentum, nesterov=nesterov
        )
        raise InvalidInput(_infinite(gain, limit, batch_size))
    area = linear_sgd(problem.hessian, C, learning_rate=learning_rate, momentum=momentum, nesterov=nesterov).area
    return SecondMoments(problem.names, problem.minimum, S, C, problem.train_loss(S), problem.test_loss(S), area, gain)


def diffusion_moments(problem: Regression, *, learning_rate: ArrayLike, batch_size: int) -> SecondMoments:
    r"""Stationary second moments of the Itô diffusion that SGD on least squares is close to, exact.

    .. math:: \Lambda KS + SK\Lambda = \Lambda\,C(S)\,\Lambda,

    with C as in `second_moments`, to which this is the limit of small steps at fixed noise: the recursion has
    :math:`-\Lambda KSK\Lambda` on the left besides. What grids are compared with, where tails are powers.

    Parameters
    ----------
    problem, learning_rate, batch_size
        As for `second_moments`.

    Returns
    -------
    SecondMoments
        With the area per step; divide by η to have it per unit of t = kη.

    Raises
    ------
    InvalidInput
        For arguments that do not fit, and a learning rate for which second moments are infinite, with the limit.

    Examples
    --------
    >>> from fokkerplanck.sgd.quadratic import gaussian_regression
    >>> problem = gaussian_regression([[1.0, 0.0], [0.0, 0.5]], label_noise=1.0)
    >>> state = diffusion_moments(problem, learning_rate=0.2, batch_size=1)
    >>> (143 * np.diag(state.covariance)).round(9).tolist()
    [19.0, 18.0]
    """
    chain = replace(_chain(problem, learning_rate, 0.0, False), continuous=True)
    chain.check()
    S, C, gain = _stationary(problem, chain, batch_size)
    if S is None or C is None:  # the gain of a diffusion is proportional to the learning rate
        raise InvalidInput(_infinite(gain, 1.0 / gain, batch_size))
    drift = symmetric(learning_rate, "learning_rate", len(S)) @ problem.hessian
    area = 0.5 * (drift @ S - S @ drift.T)
    return SecondMoments(problem.names, problem.minimum, S, C, problem.train_loss(S), problem.test_loss(S), area, gain)


def mean_square_limit(
    problem: Regression,
    *,
    batch_size: int,
    learning_rate: ArrayLike = 1.0,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> float:
    r"""The factor by which ``learning_rate`` can be multiplied before second moments become infinite.

    With the default of one it is the learning rate itself. For isotropic Gaussian features
    :math:`\eta a < 2B(1-\mu)\big/\big(d + 1 + B\frac{1-\mu}{1+\mu}\big)`. Where the noise does not grow with the variance, it
    is the limit of the mean.

    Parameters
    ----------
    problem, batch_size, learning_rate, momentum, nesterov
        As for `second_moments`.

    Examples
    --------
    >>> from fokkerplanck.sgd.quadratic import gaussian_regression
    >>> round(mean_square_limit(gaussian_regression([[1.0]]), batch_size=1), 9)
    0.666666667
    """
    unit = _chain(problem, learning_rate, momentum, nesterov)
    if unit.k[0] <= 0.0:
        unit.check()
    mean = unit.limit / float(unit.k[-1])

    noise, _ = problem.noise_map(batch_size, unit.W)  # of the factor: its square times this

    def decay(factor: float) -> Array:
        return np.asarray(1.0 / unit.scaled(factor).ahead_response)

    # Z = factor² G∘N(Z) at the limit. Steps of the power method in Z, and between them the factor at which the Rayleigh
    # quotient of Z is one: it is wrong by the square of what is wrong with Z, and comes down to the limit from above.
    highest = mean * (1.0 - EDGE)
    Z, factor = np.eye(len(unit.k)), highest
    for step in range(STEPS):
        made = noise(Z)
        if step == 0 and not made.any():
            return mean
        amount, weight = float(np.sum(Z * made)), Z * Z

        def quotient(trial: float, amount: float = amount, weight: Array = weight) -> float:
            return trial**2 * amount / float(np.sum(weight * decay(trial)))

        last = factor
        if quotient(highest) <= 1.0:
            factor = highest
        else:
            factor = float(
                brentq(lambda trial: quotient(trial) - 1.0, SMALLEST * mean, highest, rtol=EIGENVALUE, xtol=1e-300)
            )
        if step and abs(factor - last) <= EIGENVALUE * factor:
            if factor < highest:
                return factor
            chain = unit.scaled(highest)
            if _largest(_gain_operator(chain, problem.noise_map(batch_size, chain.W)[0]), len(chain.k)) <= 1.0:
                return mean
        Z = factor**2 * made / decay(factor) + SHIFT * quotient(factor) * Z
        Z = (Z + Z.T) / float(np.linalg.norm(Z + Z.T))
    raise NotConverged(
        f"mean_square_limit: expected a factor that changes by less than {EIGENVALUE:g}, got {factor:.6g} after {last:.6g} "
        f"in {STEPS} steps: two ways to diverge are equally fast. Use second_moments at learning rates of interest"
    )


def second_moment_radius(
    problem: Regression,
    *,
    learning_rate: ArrayLike,
    batch_size: int,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> float:
    """Factor per step by which second moments about the minimum grow or decay in the end.

    Unlike `second_moments` it also takes learning rates that are not stable.

    Parameters
    ----------
    problem, learning_rate, batch_size, momentum, nesterov
        As for `second_moments`.

    Examples
    --------
    >>> from fokkerplanck.sgd.quadratic import gaussian_regression
    >>> round(second_moment_radius(gaussian_regression([[1.0]]), learning_rate=2 / 3, batch_size=1), 12)
    1.0
    """
    chain = _chain(problem, learning_rate, momentum, nesterov)
    noise, _ = problem.noise_map(batch_size, chain.W)
    d = len(chain.k)
    if chain.momentum == 0.0:
        decay = np.outer(1.0 - chain.k, 1.0 - chain.k)
        return _largest(lambda Z: decay * Z + noise(Z), d)
    kick = np.outer(chain.kick, chain.kick)

    def step(flat: Array) -> Array:
        X = flat.reshape(d, d, 2, 2)
        moved = np.einsum("iab,ijbc,jec->ijae", chain.maps, X, chain.maps, optimize=True)
        made = noise(np.einsum("ijab,a,b->ij", X, chain.ahead, chain.ahead))
        return np.asarray((moved + made[:, :, None, None] * kick).ravel())

    size = 4 * d * d
    if size <= DENSE:
        matrix = np.stack([step(unit) for unit in np.eye(size)], axis=1)
        return float(np.abs(np.linalg.eigvals(matrix)).max())
    start = np.einsum("ij,ab->ijab", np.eye(d), np.eye(2)).ravel()
    try:
        values = eigs(
            LinearOperator((size, size), matvec=step, dtype=float),
            k=1,
            v0=start,
            tol=EIGENVALUE,
            return_eigenvectors=False,
        )
    except ArpackNoConvergence as failure:
        raise NotConverged(f"second_moment_radius: expected a dominant eigenvalue, got {failure}") from failure
    return float(np.abs(values[0]))


def _stationary(problem: Regression, chain: Modes, batch_size: int) -> tuple[Array | None, Array | None, float]:
    """Covariance and mean noise, None where the gain, which comes third, reaches one."""
    noise, constant = problem.noise_map(batch_size, chain.W)
    operator = _gain_operator(chain, noise)
    gain = _largest(operator, len(chain.k))
    if gain >= 1.0:
        return None, None, gain
    root = np.sqrt(chain.ahead_response)
    made = noise(root * _settled(operator, root * constant)) + constant
    S = chain.W @ (chain.position_response * made) @ chain.W.T
    C = chain.inverse.T @ made @ chain.inverse
    return 0.5 * (S + S.T), 0.5 * (C + C.T), gain


def _infinite(gain: float, limit: float, batch_size: int) -> str:
    return (
        f"learning_rate: expected minibatch noise to grow slower than it decays, gain below 1, got {gain:.6g}: second moments "
        f"are infinite although the mean settles. Multiply the learning rate by less than {limit:.6g}, or raise the batch "
        f"size {batch_size}"
    )


def _chain(problem: Regression, learning_rate: ArrayLike, momentum: float, nesterov: bool) -> Modes:
    rate = symmetric(learning_rate, "learning_rate", len(problem.names))
    return modes(problem.hessian, rate, fraction(momentum, "momentum"), nesterov)


def _gain_operator(chain: Modes, noise: Callable[[Array], Array]) -> Callable[[Array], Array]:
    root = np.sqrt(chain.ahead_response)
    return lambda Y: root * noise(root * Y)


def _matrix(operator: Callable[[Array], Array], d: int) -> Array:
    return np.stack([operator(unit.reshape(d, d)).ravel() for unit in np.eye(d * d)], axis=1)


def _largest(operator: Callable[[Array], Array], d: int) -> float:
    """Largest eigenvalue of a symmetric operator on (d, d) that maps covariances to covariances."""
    size = d * d
    if size <= DENSE:
        matrix = _matrix(operator, d)
        return float(np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[-1])
    wrapped = LinearOperator((size, size), matvec=lambda flat: operator(flat.reshape(d, d)).ravel(), dtype=float)
    try:  # the eigenvector of the largest eigenvalue is a covariance, so the identity is not orthogonal to it
        values = eigsh(wrapped, k=1, which="LA", v0=np.eye(d).ravel(), tol=EIGENVALUE, return_eigenvectors=False)
    except ArpackNoConvergence as failure:
        raise NotConverged(f"second moments: expected a dominant eigenvalue, got {failure}") from failure
    return float(values[0])


def _settled(operator: Callable[[Array], Array], source: Array) -> Array:
    """Y = R(Y) + source."""
    d = len(source)
    size = d * d
    if size <= DENSE:
        return np.asarray(np.linalg.solve(np.eye(size) - _matrix(operator, d), source.ravel()).reshape(d, d))
    wrapped = LinearOperator((size, size), matvec=lambda flat: flat - operator(flat.reshape(d, d)).ravel(), dtype=float)
    flat, failed = cg(wrapped, source.ravel(), rtol=RESIDUAL, maxiter=2000)
    left = float(np.linalg.norm(wrapped.matvec(flat) - source.ravel()) / np.linalg.norm(source))
    if failed and left > 1e3 * RESIDUAL:  # near the limit round-off keeps the residual above the tolerance
        raise NotConverged(
            f"second moments: expected a residual of {RESIDUAL:g}, got {left:.3g} after 2000 iterations. The learning rate is "
            "within round-off of the limit of the mean square; lower it"
        )
    return np.asarray(flat.reshape(d, d))
