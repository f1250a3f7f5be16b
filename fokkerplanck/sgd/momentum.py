"""SGD with momentum as a damped particle: the diffusion in position and velocity that it is close to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from ..grid import Box
from ..process import DiffusionProcess
from .descent import SGD, STILL
from .quadratic import Stationary, ornstein_uhlenbeck

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Underdamped:
    r"""Heavy-ball SGD, :math:`m' = \beta m + \nabla L_B(\theta),\ \theta' = \theta - \eta m'`, as a diffusion in (θ, v).

    .. math::

        d\theta = v\,dt,\qquad dv = -\gamma v\,dt - \nabla L(\theta)\,dt + \sqrt{2 D_v(\theta)}\,dW,

    where one step lasts the time τ and

    .. math::

        \tau = \sqrt{\frac{2\eta}{1+\beta}},\qquad \gamma\tau = 2\,\frac{1-\beta}{1+\beta},\qquad
        D_v = \frac{\tau}{2}C(\theta),\qquad T = \frac{D_v}{\gamma} = \frac{\eta\,C}{2(1-\beta)},

    with C the covariance of a minibatch gradient, Σ/B with replacement. With these values heavy ball *is* the central
    difference scheme of the equation,

    .. math::

        \frac{\theta_{k+1} - 2\theta_k + \theta_{k-1}}{\tau^2} + \gamma\,\frac{\theta_{k+1} - \theta_{k-1}}{2\tau}
        = -\nabla L_B(\theta_k),

    whose errors are of order τ². The state to compare is the midpoint of a step and the velocity in it,
    :math:`\tfrac12(\theta_{k+1} + \theta_k)` and :math:`(\theta_{k+1} - \theta_k)/\tau`: on a quadratic loss of curvature h
    with constant noise the midpoint has the variance T/h of the diffusion exactly, at any η and β, the velocity has
    T/(1 − τ²h/4) in place of T, and the two are uncorrelated.

    The noise acts on v alone and does not depend on it: D has rank d of 2d, and Itô, Stratonovich and isothermal agree.

    Parameters
    ----------
    sgd : SGD
        Learning rate η, momentum β, batch size and sampling; label noise of a linear regression and injected noise are part
        of C. The gradient is not multiplied by 1 − β.

    Raises
    ------
    InvalidInput
        With Nesterov's rule, for ``sampling="epoch"``, a schedule, stable noise, label noise except for linear regression, and
        where the minibatch is all of the data, so that there is no noise.

    Notes
    -----
    It holds where ηh ≪ 2(1 + β) at every curvature h that θ meets. The density of v also needs many gradients in a velocity,
    1 − β ≪ 1, or large batches: its skewness is :math:`(1-\beta^2)^{3/2}/(1-\beta^3)` times that of a minibatch gradient, and
    that of a diffusion with constant noise is zero.

    References
    ----------
    N. Qian, *Neural Networks* 12 (1999) 145, doi:10.1016/S0893-6080(98)00116-6 (momentum as a damped particle).
    A. Brünger, C. L. Brooks, M. Karplus, *Chem. Phys. Lett.* 105 (1984) 495, doi:10.1016/0009-2614(84)80098-6 (the scheme).
    H. Risken, *The Fokker–Planck Equation*, Springer 1996, doi:10.1007/978-3-642-61544-3, ch. 10 (Kramers' equation).

    Examples
    --------
    >>> from fokkerplanck.sgd import SGD, linear_regression
    >>> model = linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0])
    >>> particle = Underdamped(SGD(model, learning_rate=0.05, batch_size=1, momentum=0.8))
    >>> round(particle.time_step, 6), round(particle.friction, 6), particle.process().names
    (0.235702, 0.942809, ('theta0', 'theta0_velocity'))
    """

    sgd: SGD

    def __post_init__(self) -> None:
        if self.sgd.nesterov:
            raise InvalidInput(
                "nesterov: expected heavy ball, got Nesterov's rule: its gradient is taken ahead of θ, which adds a friction "
                "that depends on the curvature. Use quadratic.linearise, or simulate"
            )
        self._noise(self.sgd.model.minimum)

    @property
    def momentum(self) -> float:
        """β of the SGD."""
        return self.sgd.momentum

    @property
    def time_step(self) -> float:
        """τ, the time of one step, in units of 1/√curvature."""
        return math.sqrt(2.0 * self.sgd.learning_rate / (1.0 + self.momentum))

    @property
    def friction(self) -> float:
        """γ, per unit of that time."""
        return 2.0 * (1.0 - self.momentum) / (1.0 + self.momentum) / self.time_step

    @property
    def temperature(self) -> Array:
        """T = ηC/2(1 − β) at the minimum, shape (d, d), in units of the loss. Positions spread as T/h."""
        minimum = self.sgd.model.minimum
        return np.asarray(self._noise(minimum) / self.friction)

    def process(self) -> DiffusionProcess:
        """The diffusion in (θ, v), of 2d variables, named like the parameters and ``…_velocity``."""
        model, d, friction = self.sgd.model, self.sgd.model.dim, self.friction

        def drift(x: Array) -> Array:
            return np.concatenate([x[d:], -friction * x[d:] - model.gradient(x[:d])])

        def diffusion(x: Array) -> Array:
            tensor = np.zeros((2 * d, 2 * d, *x.shape[1:]))
            tensor[d:, d:] = self._noise(x[:d])
            return tensor

        names = (*model.names, *(f"{name}_velocity" for name in model.names))
        return DiffusionProcess(drift, diffusion, dim=2 * d, divergence=np.zeros_like, names=names)

    def linearised(self) -> Stationary:
        r"""Stationary state of the diffusion linearised at θ*, in the variables (θ, v), in units of t = kτ."""
        model, d = self.sgd.model, self.sgd.model.dim
        drift, diffusion = np.zeros((2 * d, 2 * d)), np.zeros((2 * d, 2 * d))
        drift[:d, d:] = -np.eye(d)
        drift[d:, :d], drift[d:, d:] = model.hessian(model.minimum), self.friction * np.eye(d)
        diffusion[d:, d:] = self._noise(model.minimum)
        names = (*model.names, *(f"{name}_velocity" for name in model.names))
        return ornstein_uhlenbeck(drift, diffusion, names=names)

    def box(self, *, widths: float = 7.0) -> Box:
        """Reflecting box (θ*, 0) ± ``widths`` standard deviations of the linearised diffusion along every axis.

        Raises
        ------
        InvalidInput
            For more than one parameter, as densities are gridded in at most 3 dimensions; for widths that are not positive, or
            no noise.
        """
        model = self.sgd.model
        if model.dim != 1:
            raise InvalidInput(
                f"box: expected a model of one parameter, got {model.dim}: positions and velocities are {2 * model.dim}, "
                "and densities are gridded in at most 3 dimensions. Use linearised(), or keep one feature"
            )
        if not (math.isfinite(widths) and widths > 0.0):
            raise InvalidInput(f"widths: expected a positive number of standard deviations, got {widths!r}")
        reach = widths * np.sqrt(np.diag(self.linearised().covariance))
        middle = np.concatenate([model.minimum, np.zeros(model.dim)])
        if not (reach > STILL * np.abs(middle)).all():
            raise InvalidInput("box: expected gradient noise at the minimum, got none: an exact fit stops SGD")
        return Box(middle - reach, middle + reach)

    def states(self, path: ArrayLike) -> Array:
        """Midpoints and velocities of a path of the chain, to compare with the diffusion.

        Parameters
        ----------
        path : array_like, shape (d, steps, ...)
            Successive θ_k, at least two.

        Returns
        -------
        ndarray, shape (2d, steps − 1, ...)
        """
        theta = np.asarray(path, dtype=float)
        d = self.sgd.model.dim
        if theta.ndim < 2 or theta.shape[0] != d or theta.shape[1] < 2:
            raise InvalidInput(f"path: expected shape ({d}, steps, ...) with at least two steps, got {theta.shape}")
        before, after = theta[:, :-1], theta[:, 1:]
        return np.concatenate([0.5 * (before + after), (after - before) / self.time_step])

    def _noise(self, theta: Array) -> Array:
        """D_v = τC/2."""
        return 0.5 * self.time_step * self.sgd.gradient_covariance(theta)
