"""SGD on a loss: its settings, and the diffusion process it is close to."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_continuous_lyapunov

from ..errors import InvalidInput, NotConverged
from ..grid import Box, Grid
from ..process import DiffusionProcess
from ..solvers.hermite import DEGREE, Moments, chain_moments
from .loss import Loss
from .rule import check_diffusion, check_noise, check_options, noisy_gradients, settings
from .run import Run
from .second_order import SecondOrder
from .simulation import Randomness, simulate

Array = NDArray[np.float64]

# Of a standard deviation, for the derivatives of what the second order adds to D: squared it is 1e-6 of a term of relative
# order η, and round-off is 1e-13 of that.
DIFFERENCE = 1e-3
# Smallest eigenvalue of the correlations of the linearised law, below which it has no width in some direction: differences
# leave 1e-11 in the Hessian of a loss of one's own; noise that is narrower by 1e5 in one direction than in another has 1e-10.
FLAT = 1e-10
# Of a parameter, below which its standard deviation is round-off: to this the gradient vanishes at the minimum. Cells as narrow
# could not be told apart.
STILL = 1e-12
SAMPLINGS = ("with_replacement", "without_replacement", "epoch")


@dataclass(frozen=True, eq=False)
class SGD:
    r"""Stochastic gradient descent :math:`\theta \leftarrow \theta - \eta\,\nabla L_B(\theta)` with minibatches of B.

    Close to the diffusion, in the time t = kη of step k,

    .. math::

        d\theta = -\nabla L\,dt + \sqrt{2D}\,dW,\qquad
        D = \frac{\eta}{2B}\,\Sigma \cdot \begin{cases} 1 & \text{with replacement}\\
        (n-B)/(n-1) & \text{without replacement}\end{cases} \quad\text{(Itô)}

    where Σ(θ) is the covariance of the gradient of one sample.

    Parameters
    ----------
    model : Loss
    learning_rate : float
        η > 0, below 2/λ_max of the Hessian at the minimum; in units of time.
    batch_size : int
        B, from 1 to n.
    sampling : {"with_replacement", "without_replacement", "epoch"}
        How the B samples of a minibatch are drawn: independently; all different; or as the next B of a random order of
        the data, shuffled again when fewer than B are left (these are skipped).
    momentum, nesterov
        β from 0 to below 1: :math:`v \leftarrow \beta v - \eta\,\nabla L_B(\theta),\ \theta \leftarrow \theta + v`
        (heavy ball), with the gradient at :math:`\theta + \beta v` if ``nesterov``.
    schedule : callable or array_like, optional
        Factors of η: ``schedule(k)`` of an array of step numbers, or one for each step, the last of which stays.
    label_noise : float
        Standard deviation of normal noise added to the target of every sample drawn, for losses that have one.
    injected_noise : float
        T ≥ 0, of isotropic noise :math:`\sqrt{2T\eta}\,\xi` added to every step: a diffusion T·I besides. With momentum it is
        added to v.
    noise : {"minibatch", "gaussian", "stable"}
        What is beside the mean gradient: exact minibatches; normal noise of the same covariance, at every θ; or the same with
        α-stable tails, :math:`\sqrt{W}` times it, W being one-sided stable with exponent α/2 (``alpha=2``: normal). The
        last two take all n gradients in every step.
    alpha : float, optional
        Of the stable noise, above 0 and at most 2.

    Raises
    ------
    InvalidInput
        For a learning rate beyond linear stability, a batch that is no whole number from 1 to n, an unknown sampling,
        or a loss without a minimum.

    References
    ----------
    Q. Li, C. Tai, W. E, *J. Mach. Learn. Res.* 20 (2019) 40, arXiv:1811.01558 (the diffusion).
    L. Ziyin, K. Liu, T. Mori, M. Ueda, *ICLR* 2022, arXiv:2102.05375 (the noise with and without replacement).

    Examples
    --------
    >>> from fokkerplanck.sgd import linear_regression
    >>> model = linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0])
    >>> sgd = SGD(model, learning_rate=0.1, batch_size=1)
    >>> sgd.process().dim
    1
    """

    model: Loss
    _: KW_ONLY
    learning_rate: float
    batch_size: int
    sampling: str = "with_replacement"
    momentum: float = 0.0
    nesterov: bool = False
    schedule: Callable[[NDArray[np.int64]], ArrayLike] | ArrayLike | None = None
    label_noise: float = 0.0
    injected_noise: float = 0.0
    noise: str = "minibatch"
    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLINGS:
            raise InvalidInput(f"sampling: expected one of {SAMPLINGS}, got {self.sampling!r}")
        n = self.model.n
        whole = isinstance(self.batch_size, (int, np.integer)) and not isinstance(self.batch_size, bool)
        if not whole or self.batch_size < 1:
            raise InvalidInput(f"batch_size: expected a whole number from 1 to n = {n}, got {self.batch_size!r}")
        if self.batch_size > n:
            raise InvalidInput(
                f"batch_size: expected at most n = {n}, got {self.batch_size}: a batch larger than the data"
            )
        real = isinstance(self.learning_rate, (int, float, np.integer, np.floating))
        if not real or not math.isfinite(self.learning_rate) or self.learning_rate <= 0.0:
            raise InvalidInput(f"learning_rate: expected a positive number, got {self.learning_rate!r}")
        check_options(self)
        beta = self.momentum
        factor = 2.0 * (1.0 + beta) / (1.0 + 2.0 * beta if self.nesterov else 1.0)
        limit = factor / float(self._curvatures[-1])
        if self.learning_rate >= limit:
            raise InvalidInput(
                f"learning_rate: expected less than {factor:g}/λ_max(H) = {limit:.6g}, got {self.learning_rate:g}, beyond "
                "linear stability: steps overshoot the minimum by more than they started from. Lower it"
            )
        object.__setattr__(self, "batch_size", int(self.batch_size))
        object.__setattr__(self, "learning_rate", float(self.learning_rate))

    @property
    def relaxation_time(self) -> float:
        """1/h_min, the slowest decay time towards the minimum, in units of t = kη."""
        return 1.0 / float(self._curvatures[0])

    def process(self, *, order: int = 1) -> DiffusionProcess:
        r"""The diffusion with the same drift −∇L and the same covariance per step, or with their next order in η.

        It is close where steps are small, η λ_max(H) ≪ 1, and batches average out the skewness of the gradient noise.
        ``order=2`` corrects for the first of the two,

        .. math::

            \tilde b = b - \tfrac\eta2[(b\cdot\nabla)b + D:\nabla\nabla b],\qquad
            \tilde D = D - \tfrac\eta2[(b\cdot\nabla)D + (Db' + (Db')^\top) + D:\nabla\nabla D],

        from formulas for the built-in losses; ∇·D̃ is taken by differences. The mean and covariance of the chain are those of
        this diffusion up to O(η²) instead of O(η). `skew_correction` corrects for the second.

        Parameters
        ----------
        order : {1, 2}
            2 for the noise of minibatches alone.

        Raises
        ------
        InvalidInput
            For ``sampling="epoch"``, where the minibatch is all of the data, so that there is no noise, with momentum, a
            schedule, stable noise, or label noise except for linear regression, and for a loss whose law has no density,
            because no noise acts in some direction; on evaluation where D̃ is not positive.

        References
        ----------
        Q. Li, C. Tai, W. E, *J. Mach. Learn. Res.* 20 (2019) 40, arXiv:1811.01558 (modified equations).
        """
        if order not in (1, 2):
            raise InvalidInput(f"order: expected 1 or 2, got {order!r}")
        model, scale, extra = self.model, self.noise_scale, self._constant_noise
        self._check_density("process")
        if order == 2:
            better = self.second_order()
            process = DiffusionProcess(
                better.drift, better.diffusion, dim=model.dim, divergence=better.divergence, names=model.names
            )
        else:
            moments = _OnPoints(model)
            process = DiffusionProcess(
                lambda x: -moments(x)[0],
                lambda x: scale * moments(x)[1] + extra.reshape(extra.shape + (1,) * (x.ndim - 1)),
                dim=model.dim,
                divergence=lambda x: scale * moments(x)[2],
                names=model.names,
            )
        process.origin = {**settings(self), "order": order}
        return process

    def second_order(self, skewness: float = 0.0) -> SecondOrder:
        """The coefficients behind ``process(order=2)``, and the third one, see `SecondOrder`.

        Raises
        ------
        InvalidInput
            As `process`.
        """
        check_diffusion(self)
        self._check_minibatches_alone("process(order=2)")
        deviations = np.sqrt(np.diag(self.covariance()))
        steps = DIFFERENCE * np.where(deviations > 0.0, deviations, 1.0)
        return SecondOrder(self.model, self.learning_rate, self.noise_scale, steps, skewness)

    def gradient_covariance(self, theta: ArrayLike) -> Array:
        r"""Covariance C of the gradient that a step takes, all its noise counted, shape (d, d, ...); without momentum, 2D/η.

        .. math:: C = \frac\Sigma B\Big[\cdot\frac{n-B}{n-1}\Big] + \frac{\sigma^2}B\langle xx^\top\rangle + \frac{2T}\eta I

        with the label noise σ of a linear regression and the injected noise T.

        Parameters
        ----------
        theta : array_like, shape (d, ...)

        Raises
        ------
        InvalidInput
            As `process`, but for momentum, which does not matter here.
        """
        scale = self._independent_scale
        check_noise(self)
        noise = self.model.noise_covariance(np.asarray(theta, dtype=float))
        extra = self._constant_noise.reshape(self.model.dim, self.model.dim, *[1] * (noise.ndim - 2))
        return np.asarray((scale * noise + extra) * (2.0 / self.learning_rate))

    def covariance(self) -> Array:
        r"""Covariance S of the diffusion linearised at θ*: :math:`HS + SH = 2D(\theta^*)`, shape (d, d).

        Raises
        ------
        InvalidInput
            As `process`.
        """
        return self._linear_covariance(self.noise_scale)

    def chain_moments(self, *, degree: int | None = None) -> Moments:
        """Stationary mean, covariance and circulation of the discrete chain itself, at this learning rate.

        Exact up to the truncation of a Hermite series, which its ``error`` tells; no diffusion limit is taken. Injected noise,
        and label noise of a linear regression, are counted.

        Raises
        ------
        InvalidInput
            As `process`, and for label noise on several samples drawn without replacement.
        NotConverged
            If the series does not converge, or the moments do not exist.
        """
        check_diffusion(self)
        self._check_density("chain_moments")
        independent = self.sampling == "with_replacement" or self.batch_size == 1
        if self.label_noise and not independent:
            raise InvalidInput(
                f"chain_moments: expected samples drawn with replacement, or one at a time, with label noise, got "
                f"{self.batch_size} drawn without. Simulate the chain, or leave the label noise out"
            )
        gradients, weights = noisy_gradients(self, degree or max(DEGREE.values()))
        return chain_moments(
            gradients,
            mean=self.model.minimum,
            covariance=self.covariance(),
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            sampling="with_replacement" if independent else self.sampling,
            noise="minibatch" if self.noise == "minibatch" else "gaussian",  # stable noise has alpha = 2, or is refused
            weights=weights,
            injected_noise=self.injected_noise,
            degree=degree,
        )

    def box(self, *, widths: float = 7.0) -> Box:
        """Reflecting box θ* ± ``widths`` standard deviations of the linearised diffusion along every axis.

        For ``sampling="epoch"`` the deviations are those of independent batches, which are larger: the batches of
        one epoch compensate each other. With momentum they are those of η/(1 − β).

        Raises
        ------
        InvalidInput
            For more than 3 parameters, widths that are not positive, or no noise.
        """
        if self.model.dim > 3:
            raise InvalidInput(
                f"box: expected a model of at most 3 parameters, got {self.model.dim}; densities are gridded in at "
                "most 3 dimensions. Keep fewer features, or do without a density: SGD.simulate() without grid= and area_test "
                "of what it returns give moments and a test of detailed balance in any number of parameters"
            )
        if not (math.isfinite(widths) and widths > 0.0):
            raise InvalidInput(f"widths: expected a positive number of standard deviations, got {widths!r}")
        covariance = self._linear_covariance(self._independent_scale) / (1.0 - self.momentum)
        variance = np.diag(covariance)
        if not (variance > (STILL * self.model.minimum) ** 2).all():
            raise InvalidInput(
                f"box: expected gradient noise along every axis at the minimum, got variances {variance.tolist()} for "
                f"{self.model.names} at {self.model.minimum.tolist()}: an exact fit stops SGD. Add noise with label_noise= or "
                "injected_noise="
            )
        reach = widths * np.sqrt(variance)
        return Box(self.model.minimum - reach, self.model.minimum + reach)

    def simulate(
        self,
        *,
        grid: Grid | None = None,
        chains: int = 1000,
        steps: int = 20_000,
        rng: Randomness = None,
        burn_in: int | None = None,
        groups: int = 32,
        start: ArrayLike | None = None,
        current: bool = True,
        euler_steps: int | None = None,
        bound: float = math.inf,
        checkpoint: str | Path | None = None,
        trajectories: str | Path | None = None,
        every: int = 100,
        executor: Executor | None = None,
        progress: bool | None = None,
    ) -> Run:
        """`fokkerplanck.sgd.simulate` of this SGD."""
        return simulate(
            self,
            grid=grid,
            chains=chains,
            steps=steps,
            rng=rng,
            burn_in=burn_in,
            groups=groups,
            start=start,
            current=current,
            euler_steps=euler_steps,
            bound=bound,
            checkpoint=checkpoint,
            trajectories=trajectories,
            every=every,
            executor=executor,
            progress=progress,
        )

    @property
    def _curvatures(self) -> Array:
        """Eigenvalues of the Hessian at the minimum, ascending."""
        return np.asarray(np.linalg.eigvalsh(self.model.hessian(self.model.minimum)))

    def _linear_covariance(self, scale: float) -> Array:
        minimum = self.model.minimum
        noise = 2.0 * (scale * self.model.noise_covariance(minimum) + self._constant_noise)
        S = solve_continuous_lyapunov(self.model.hessian(minimum), noise)
        if np.diag(S).min() < -FLAT * np.abs(S).max():
            raise NotConverged(
                f"covariance: expected variances that are not negative, got {np.diag(S).tolist()} for {self.model.names}: the "
                "Hessian at the minimum is too close to singular. Raise l2, or scale the features alike"
            )
        return np.asarray(0.5 * (S + S.T), dtype=float)

    @property
    def noise_scale(self) -> float:
        """D/Σ: η/2B with replacement.

        Raises
        ------
        InvalidInput
            As `process`.
        """
        scale = self._independent_scale
        check_diffusion(self)
        return scale

    @property
    def skewness_scale(self) -> float:
        """Third cumulant of a step per unit of time over that of the gradient of one sample: −η²/B² with replacement.

        Raises
        ------
        InvalidInput
            As `process`, and for noise other than that of minibatches.
        """
        check_diffusion(self)
        self._check_minibatches_alone("skewness")
        n, B = self.model.n, self.batch_size
        scale = -((self.learning_rate / B) ** 2)
        if self.sampling == "with_replacement":
            return scale
        return scale * (n - B) * (n - 2 * B) / ((n - 1) * (n - 2)) if n > 2 else 0.0

    @property
    def _independent_scale(self) -> float:
        """D/Σ of batches that are independent from step to step."""
        n, B = self.model.n, self.batch_size
        if self.sampling != "with_replacement" and n == B:
            raise InvalidInput(
                f"batch_size: expected fewer than all n = {n} samples for sampling={self.sampling!r}, got {B}. The "
                "whole data in every step is gradient descent without noise; lower the batch size"
            )
        scale = self.learning_rate / (2.0 * B)
        return scale * (n - B) / (n - 1) if self.sampling == "without_replacement" else scale

    @property
    def _constant_noise(self) -> Array:
        """What injected and label noise add to D at θ*, and of a linear regression everywhere, shape (d, d)."""
        model, eye = self.model, np.eye(self.model.dim)
        slopes = (
            model.hessian(model.minimum) - model.l2 * eye
        )  # ⟨∇f ∇fᵀ⟩ of the predictions f, where residuals are small
        labels = self.learning_rate * self.label_noise**2 / (2.0 * self.batch_size)
        return np.asarray(self.injected_noise * eye + labels * slopes)

    def _check_density(self, what: str) -> None:
        if self.model.kind == "deep_linear" and not self._constant_noise.any():
            raise InvalidInput(
                f"{what}: expected a law with a density in the plane, got a deep linear net. Its noise has rank one everywhere "
                "and w1² − w2² decays to 0, so all probability ends on the lines |w1| = |w2|. Reduce it to one weight "
                "(see deep_linear), or add isotropic noise with injected_noise="
            )
        covariance = self._linear_covariance(self._independent_scale)
        variance = np.diag(covariance)
        if not (variance > 0.0).all():
            return  # an exact fit: zero, or round-off of zero; a box round it is refused
        size = np.sqrt(variance)
        values, vectors = np.linalg.eigh(covariance / np.outer(size, size))
        if values[0] < FLAT:
            still = vectors[:, 0] / size
            raise InvalidInput(
                f"{what}: expected noise that spreads {self.model.names} in every direction, got none along "
                f"{(still / np.linalg.norm(still)).round(6).tolist()} at the minimum, neither at once nor through the Hessian: "
                "there the law keeps to a line or plane and has no density. Leave a parameter out, or add isotropic noise with "
                "injected_noise="
            )

    def _check_minibatches_alone(self, what: str) -> None:
        if self.label_noise or self.injected_noise or self.noise != "minibatch":
            raise InvalidInput(
                f"{what}: expected the noise of minibatches alone, got label_noise = {self.label_noise:g}, injected_noise = "
                f"{self.injected_noise:g}, noise = {self.noise!r}. Simulate the chain, or leave these out"
            )


class _OnPoints:
    """The moments of a model's gradient, kept for the points last asked for: drift, D and ∇·D are asked for in turn."""

    def __init__(self, model: Loss) -> None:
        self.model = model
        self.points: Array | None = None
        self.values: tuple[Array, Array, Array] | None = None

    def __call__(self, x: Array) -> tuple[Array, Array, Array]:
        if self.values is None or self.points is None or not np.array_equal(x, self.points):
            self.values = self.model.moments(x)
            self.points = x.copy()
        return self.values
