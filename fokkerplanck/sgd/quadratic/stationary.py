"""Stationary covariance, area rate, entropy production and relaxation times of linear processes in any dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import schur
from scipy.linalg.lapack import dtrsyl

from ...errors import InvalidInput, NotConverged
from .matrices import ROUND_OFF, Array, fraction, labels, semidefinite, square
from .modes import modes

if TYPE_CHECKING:
    import xarray as xr

    from ..descent import SGD

# Relative change of the covariance under one step of refinement. A well-conditioned problem of 500 parameters is at 1e-13;
# six digits are what a simulation of 1e12 steps could tell.
ACCURACY = 1e-6


@dataclass(frozen=True, eq=False)
class Stationary:
    r"""Stationary state of a linear process, from `ornstein_uhlenbeck`, `linear_chain` or `linear_sgd`.

    Attributes
    ----------
    names : tuple of str, length d
    covariance : ndarray, shape (d, d)
        Of θ about its mean, state².
    area : ndarray, shape (d, d)
        :math:`A_{ij} = \tfrac12\langle\theta_i\dot\theta_j - \theta_j\dot\theta_i\rangle`, antisymmetric, state² per unit of
        time; for chains :math:`\tfrac12\langle\theta_i\theta_j' - \theta_j\theta_i'\rangle` per step. Zero under detailed
        balance.
    entropy_production : float or None
        Of the Gaussian process, in units of k_B, per unit of time or per step. None where the noise is singular, as it is
        with momentum.
    multipliers : ndarray of complex
        Eigenvalues of the relaxation: of the drift matrix (per time), or of the map (per step).
    relaxation_times : ndarray
        1/Re of these eigenvalues, or −1/ln|·| steps, ascending.
    unit : {"time", "step"}
    error : float
        Relative change of the covariance under one step of iterative refinement.
    momentum_covariance, cross_covariance : ndarray, shape (d, d), or None
        Of the accumulated gradient m, and of θ (rows) with m (columns).

    Examples
    --------
    >>> state = ornstein_uhlenbeck([[2.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 0.5]])
    >>> round(state.entropy_production, 6), state.area.round(6).tolist(), state.unit
    (0.166667, [[0.0, -0.166667], [0.166667, 0.0]], 'time')
    """

    names: tuple[str, ...]
    covariance: Array
    area: Array
    entropy_production: float | None
    multipliers: NDArray[np.complex128]
    relaxation_times: Array
    unit: str
    error: float
    momentum_covariance: Array | None = None
    cross_covariance: Array | None = None

    def to_dataset(self) -> xr.Dataset:
        """Covariance and area with the names of the parameters, the relaxation times, and the numbers as attributes."""
        import xarray as xr  # slow to import, and not needed to compute

        pair = ("parameter", "other")
        return xr.Dataset(
            {
                "covariance": (pair, self.covariance),
                "area": (pair, self.area, {"units": f"state²/{self.unit}"}),
                "relaxation_time": ("mode", self.relaxation_times, {"units": self.unit}),
            },
            coords={"parameter": list(self.names), "other": list(self.names)},
            attrs={} if self.entropy_production is None else {"entropy_production": self.entropy_production},
        )


def ornstein_uhlenbeck(drift: ArrayLike, diffusion: ArrayLike, *, names: Sequence[str] | None = None) -> Stationary:
    r"""Stationary state of :math:`d\theta = -H\theta\,dt + \sqrt{2D}\,dW`.

    .. math::

        HS + SH^\top = 2D,\qquad A = \tfrac12(HS - SH^\top),\qquad J = -A S^{-1}\theta\,p,\qquad
        \dot s = \mathrm{Tr}[D^{-1} A S^{-1} A^\top].

    Parameters
    ----------
    drift : array_like, shape (d, d)
        H, per time; eigenvalues with positive real parts. It need not be symmetric.
    diffusion : array_like, shape (d, d)
        D, state² per time; it may be singular.
    names : sequence of str, optional

    Returns
    -------
    Stationary

    Raises
    ------
    InvalidInput
        For matrices that do not fit, and a drift that does not confine, naming the eigenvalue.
    NotConverged
        If the equation is too ill-conditioned for six digits.

    References
    ----------
    H. Risken, *The Fokker–Planck Equation*, Springer 1996, doi:10.1007/978-3-642-61544-3, §6.5.

    Examples
    --------
    >>> state = ornstein_uhlenbeck([[2.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 0.5]])
    >>> (6 * state.covariance).round(9).tolist(), round(state.entropy_production, 9)
    ([[5.0, -4.0], [-4.0, 7.0]], 0.166666667)
    """
    H = square(drift, "drift")
    D = semidefinite(diffusion, "diffusion", len(H))
    rates = np.linalg.eigvals(H).astype(np.complex128)
    slowest = rates[np.argmin(rates.real)]
    if slowest.real <= ROUND_OFF * np.abs(rates).max():
        raise InvalidInput(
            f"drift: expected eigenvalues with positive real parts, got {slowest:.6g}: θ leaves along that direction and "
            "has no stationary covariance"
        )
    S, error = _refined(_lyapunov(H), lambda S: H @ S + S @ H.T, 2.0 * D)
    area = 0.5 * (H @ S - S @ H.T)
    production = None
    if _definite(D) and _definite(S):
        production = float(np.trace(np.linalg.solve(D, area) @ np.linalg.solve(S, area.T)))
    times = np.sort(1.0 / rates.real)
    return Stationary(labels(names, len(H)), S, area, production, rates, times, "time", error)


def linear_chain(map: ArrayLike, noise: ArrayLike, *, names: Sequence[str] | None = None) -> Stationary:
    r"""Stationary state of the chain :math:`\theta' = M\theta + \xi`, with independent noise of covariance N.

    .. math::

        S = MSM^\top + N,\qquad A = \tfrac12(SM^\top - MS),\qquad
        \dot s = \tfrac12\big\{\mathrm{Tr}\,N_r^{-1}[N + (M - M_r)S(M - M_r)^\top] - d\big\},

    where :math:`M_r = SM^\top S^{-1}` and :math:`N_r = S - M_rSM_r^\top` belong to the chain that runs backwards. The
    entropy production is the Kullback–Leibler divergence of one step from its reversal for Gaussian noise; noise that is
    not Gaussian adds to it.

    Parameters
    ----------
    map : array_like, shape (d, d)
        M, with eigenvalues inside the unit circle.
    noise : array_like, shape (d, d)
        N, state² per step.
    names : sequence of str, optional

    Returns
    -------
    Stationary
        In units of steps.

    Raises
    ------
    InvalidInput
        For matrices that do not fit, and a map that does not contract, naming the eigenvalue.
    NotConverged
        If the equation is too ill-conditioned for six digits.

    References
    ----------
    L. Ziyin, K. Liu, T. Mori, M. Ueda, *ICLR* 2022, arXiv:2102.05375 (SGD as such a chain).
    G. Weiss, *J. Appl. Probab.* 12 (1975) 831, doi:10.2307/3212735 (reversible linear chains are Gaussian).

    Examples
    --------
    >>> round(float(linear_chain([[0.5]], [[3.0]]).covariance[0, 0]), 12)
    4.0
    """
    M = square(map, "map")
    N = semidefinite(noise, "noise", len(M))
    multipliers = np.linalg.eigvals(M).astype(np.complex128)
    largest = multipliers[np.argmax(np.abs(multipliers))]
    if np.abs(largest) >= 1.0 - ROUND_OFF:
        raise InvalidInput(
            f"map: expected eigenvalues inside the unit circle, got {largest:.6g} of modulus {np.abs(largest):.6g}: "
            "the chain has no stationary covariance. Lower the learning rate"
        )
    inverse = np.linalg.inv(np.eye(len(M)) + M)
    continuous = _lyapunov(inverse @ (np.eye(len(M)) - M))  # Cayley's transform of the map
    S, error = _refined(lambda source: continuous(2.0 * inverse @ source @ inverse.T), lambda S: S - M @ S @ M.T, N)
    area = 0.5 * (S @ M.T - M @ S)
    return Stationary(
        labels(names, len(M)), S, area, _irreversibility(M, N, S), multipliers, _steps(multipliers), "step", error
    )


def linear_sgd(
    hessian: ArrayLike,
    noise: ArrayLike,
    *,
    learning_rate: ArrayLike,
    momentum: float = 0.0,
    nesterov: bool = False,
    names: Sequence[str] | None = None,
) -> Stationary:
    r"""Stationary state of SGD with momentum on the quadratic loss :math:`\tfrac12\theta^\top K\theta`.

    .. math::

        m' = \mu m + K\theta + n \quad\text{or, with Nesterov's rule,}\quad m' = \mu m + K(\theta - \mu\Lambda m) + n;\qquad
        \theta' = \theta - \Lambda m'.

    The covariance S of heavy ball obeys, for any K and Λ,

    .. math::

        (1-\mu)(\Lambda KS + SK^\top\Lambda^\top) - \tfrac{1+\mu^2}{1-\mu^2}\Lambda KSK^\top\Lambda^\top
        + \tfrac{\mu}{1-\mu^2}\big(\Lambda K\Lambda KS + S(\Lambda K\Lambda K)^\top\big) = \Lambda C\Lambda^\top .

    It is exact also for noise that depends on θ, if C is its stationary mean. A symmetric Hessian with a symmetric positive
    learning rate is solved in its eigenmodes, at the cost of a few products of matrices; anything else by a Schur form.

    Parameters
    ----------
    hessian : array_like, shape (d, d)
        K, loss per state²; the matrix of any linear drift, symmetric or not.
    noise : array_like, shape (d, d)
        C, the covariance of the gradient of a **minibatch** (of one sample: `minibatch_covariance`).
    learning_rate : float or array_like, shape (d, d)
        η, or the matrix Λ of a preconditioned step.
    momentum : float
        μ, from 0 to below 1. The gradient is not multiplied by 1 − μ.
    nesterov : bool
        The gradient is taken at θ − μΛm, where the old m leads. PyTorch's optimiser stores that point and not θ; its covariance
        is :math:`S - \mu(\Lambda X^\top + X\Lambda) + \mu^2\Lambda S_m\Lambda` with X the ``cross_covariance`` and
        :math:`S_m` the ``momentum_covariance``.
    names : sequence of str, optional

    Returns
    -------
    Stationary
        In units of steps; divide area and entropy production by η to have them per unit of t = kη.

    Raises
    ------
    InvalidInput
        For matrices that do not fit, a flat or falling direction, and a learning rate beyond stability, with the limit.
    NotConverged
        If the equations are too ill-conditioned for six digits.

    References
    ----------
    L. Ziyin, K. Liu, T. Mori, M. Ueda, *ICLR* 2022, arXiv:2102.05375, Theorem 1.
    B. T. Polyak, *USSR Comput. Math. Math. Phys.* 4 (1964) 1, doi:10.1016/0041-5553(64)90137-5 (heavy ball).
    I. Sutskever, J. Martens, G. Dahl, G. Hinton, *ICML* 2013, PMLR 28:1139 (Nesterov's rule with a velocity).

    Examples
    --------
    >>> state = linear_sgd([[2.0]], [[1.0]], learning_rate=0.5, momentum=0.5)  # ηC/(k(1−μ)(2 − ηk/(1+μ)))
    >>> round(float(state.covariance[0, 0]), 12)
    0.375
    """
    K = square(hessian, "hessian")
    d = len(K)
    C = semidefinite(noise, "noise", d)
    rate = square(learning_rate, "learning_rate", d)
    mu = fraction(momentum, "momentum")
    if not _is_symmetric(K) or not _is_symmetric(rate):
        return _general(K, C, rate, mu, nesterov, labels(names, d))
    chain = modes(0.5 * (K + K.T), 0.5 * (rate + rate.T), mu, nesterov)
    chain.check()
    if mu == 0.0:
        S, error = _refined(
            lambda source: chain.W @ (chain.position_response * (chain.inverse @ source @ chain.inverse.T)) @ chain.W.T,
            lambda S: rate @ K @ S + S @ K @ rate - rate @ K @ S @ K @ rate,
            rate @ C @ rate,
        )
        M = np.eye(d) - rate @ K
        area, production = 0.5 * (S @ M.T - M @ S), _irreversibility(M, rate @ C @ rate, S)
        return Stationary(
            labels(names, d), S, area, production, chain.multipliers, _steps(chain.multipliers), "step", error
        )
    noise_of_modes = chain.W.T @ C @ chain.W
    X = chain.response * noise_of_modes[:, :, None, None]
    # what the maps leave of X is rounding; its own response tells what that does to the covariance
    moved = np.einsum("iab,ijbc,jec->ijae", chain.maps, X, chain.maps, optimize=True)
    kicked = noise_of_modes[:, :, None, None] * np.outer(chain.kick, chain.kick)
    residual = float(np.linalg.norm(kicked + moved - X) * np.abs(chain.response).max())
    error = _judged(residual / max(float(np.linalg.norm(X)), np.finfo(float).tiny))
    lag = np.einsum("ijb,jb->ij", X[:, :, 0, :], chain.maps[:, 0, :])  # of z_i with the next z_j
    W, inverse = chain.W, chain.inverse
    S = W @ (chain.position_response * noise_of_modes) @ W.T
    return Stationary(
        labels(names, d),
        0.5 * (S + S.T),
        W @ (0.5 * (lag - lag.T)) @ W.T,
        None,
        chain.multipliers,
        _steps(chain.multipliers),
        "step",
        error,
        momentum_covariance=inverse.T @ X[:, :, 1, 1] @ inverse,
        cross_covariance=W @ X[:, :, 0, 1] @ inverse,
    )


def linearise(sgd: SGD) -> Stationary:
    r"""`linear_sgd` with the Hessian, gradient noise and momentum of ``sgd`` at its minimum, in any number of parameters.

    What is left out is of the order of η/B relative to the covariance: the noise away from the minimum (for least squares see
    `second_moments`, which is exact) and higher derivatives of the loss.

    Parameters
    ----------
    sgd : SGD
        With independent batches; label noise and injected noise are counted.

    Returns
    -------
    Stationary
        In units of steps.

    Raises
    ------
    InvalidInput
        For ``sampling="epoch"``, a schedule, stable noise, or label noise except for linear regression; and as `linear_sgd`.

    Examples
    --------
    >>> from fokkerplanck.sgd import SGD, linear_regression
    >>> sgd = SGD(linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.01, batch_size=1)
    >>> ratio = linearise(sgd).covariance / sgd.covariance()  # 1/(1 − ηh/2) of the diffusion's
    >>> round(float(ratio[0, 0]), 6)
    1.023891
    """
    model = sgd.model
    minimum = model.minimum
    return linear_sgd(
        model.hessian(minimum),
        sgd.gradient_covariance(minimum),
        learning_rate=sgd.learning_rate,
        momentum=sgd.momentum,
        nesterov=sgd.nesterov,
        names=model.names,
    )


def _general(K: Array, C: Array, rate: Array, mu: float, nesterov: bool, names: tuple[str, ...]) -> Stationary:
    """Without symmetry: the chain of (θ, m)."""
    d = len(K)
    eye = np.eye(d)
    if mu == 0.0:
        return linear_chain(eye - rate @ K, rate @ C @ rate.T, names=names)
    kept = mu * (eye - K @ rate) if nesterov else mu * eye
    M = np.block([[eye - rate @ K, -rate @ kept], [K, kept]])
    kick = np.concatenate([-rate, eye])
    both = linear_chain(M, kick @ C @ kick.T)
    S = both.covariance
    return Stationary(
        names,
        S[:d, :d],
        both.area[:d, :d],
        None,
        both.multipliers,
        both.relaxation_times,
        "step",
        both.error,
        momentum_covariance=S[d:, d:],
        cross_covariance=S[:d, d:],
    )


def _lyapunov(A: Array) -> Callable[[Array], Array]:
    """Solver of AX + XAᵀ = Q: one Schur form for all right-hand sides."""
    T, U = schur(A, output="real")

    def solve(source: Array) -> Array:
        X, scale, perturbed = dtrsyl(T, T, U.T @ source @ U, tranb="T")
        if perturbed:
            raise NotConverged(
                "covariance: expected a Lyapunov equation of full rank, got two eigenvalues whose sum is zero to round-off. "
                "Some direction relaxes too slowly to be told from one that does not; leave it out or add an L2 term"
            )
        return np.asarray(scale * (U @ X @ U.T))

    return solve


def _refined(solve: Callable[[Array], Array], apply: Callable[[Array], Array], source: Array) -> tuple[Array, float]:
    """The solution after one step of refinement, and the relative size of that step."""
    if not source.any():
        return np.zeros_like(source), 0.0
    S = solve(source)
    correction = solve(source - apply(S))
    error = _judged(float(np.linalg.norm(correction) / np.linalg.norm(S)))
    S = S + correction
    return np.asarray(0.5 * (S + S.T)), error


def _judged(error: float) -> float:
    if not error <= ACCURACY:  # NaN too
        raise NotConverged(
            f"covariance: expected a Lyapunov equation that is solved to {ACCURACY:g}, got {error:.3g} from its residual. Some "
            "direction relaxes so slowly, or modes are so nearly parallel, that rounding decides; leave it out or add L2"
        )
    return error


def _irreversibility(M: Array, N: Array, S: Array) -> float | None:
    """Kullback–Leibler divergence of a step from its reversal; None for singular noise."""
    if not _definite(N) or not _definite(S):
        return None
    backward = np.linalg.solve(S, M @ S).T
    reversed_noise = S - backward @ S @ backward.T
    gap = M - backward
    excess = N + gap @ S @ gap.T - reversed_noise
    return float(0.5 * np.trace(np.linalg.solve(reversed_noise, excess)))


def _steps(multipliers: NDArray[np.complex128]) -> Array:
    """−1/ln|·|, ascending; a multiplier of zero is forgotten at once."""
    size = np.abs(multipliers)
    with np.errstate(divide="ignore"):
        return np.sort(np.where(size > 0.0, -1.0 / np.log(size), 0.0))


def _definite(matrix: Array) -> bool:
    eigenvalues = np.linalg.eigvalsh(matrix)
    return bool(eigenvalues[0] > ROUND_OFF * eigenvalues[-1])


def _is_symmetric(matrix: Array) -> bool:
    return bool(np.abs(matrix - matrix.T).max() <= ROUND_OFF * np.abs(matrix).max())
