r"""Drift and noise of the next order in η: the diffusion whose law after a time η is that of a step, to one order more.

A step has the mean ηb and the covariance 2ηD. Where one step is small, the generator of the chain is
:math:`\frac1\eta\ln(1 + \eta\mathcal L + \tfrac12\eta^2{:}\mathcal L^2{:} + \dots)` with :math:`\mathcal L = b\cdot\nabla +
D:\nabla\nabla`, where in :math:`{:}\mathcal L^2{:}` nothing acts on the coefficients. It is
:math:`\mathcal L - \tfrac\eta2(\mathcal L^2 - {:}\mathcal L^2{:}) + O(\eta^2)`, whose first and second derivatives have the
coefficients of this module. A third one is left, see `third_cumulant`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from .loss import Expansion, Loss

Array = NDArray[np.float64]

# Smallest eigenvalue of D̃, in units of D, that counts as positive: that of rank-deficient noise is round-off
POSITIVE = 1e-9


@dataclass
class SecondOrder:
    r"""The coefficients of the diffusion of second order, at points of shape (d, ...).

    .. math::

        \tilde b &= b - \tfrac\eta2\,[(b\cdot\nabla)b + D:\nabla\nabla b],\\
        \tilde D &= D - \tfrac\eta2\,[(b\cdot\nabla)D + (Db' + (Db')^\top) + D:\nabla\nabla D],\qquad
        (Db')_{ik} = D_{kj}\,\partial_jb_i .

    Parameters
    ----------
    loss : Loss
    learning_rate : float
        η.
    scale : float
        D/Σ.
    steps : ndarray, shape (d,)
        Of the differences for the derivatives of D̃ − D, small beside the lengths on which the noise varies.
    skewness : float
        Third cumulant of a step per unit of time over that of the gradient of one sample.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> sgd = fp.sgd.SGD(fp.sgd.linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.1, batch_size=1)
    >>> process = sgd.process(order=2)
    >>> first, second = (float(p.drift(sgd.model.minimum + 1.0)[0]) for p in (sgd.process(), process))
    >>> round(second / first, 9)  # 1 + ηh/2 with h = 14/3
    1.233333333
    """

    loss: Loss
    learning_rate: float
    scale: float
    steps: Array
    skewness: float = 0.0
    _points: Array | None = None
    _values: Expansion | None = None

    def drift(self, x: Array) -> Array:
        """b̃, shape (d, ...)."""
        e = self._expansion(x)
        along = np.einsum("ij...,j...->i...", e.hessian, e.gradient)
        return np.asarray(-e.gradient - 0.5 * self.learning_rate * (along - self.scale * e.drift_bend))

    def diffusion(self, x: Array) -> Array:
        """D̃, shape (d, d, ...).

        Raises
        ------
        InvalidInput
            Where it has a negative eigenvalue, naming the point and the eigenvalue in units of D.
        """
        e = self._expansion(x)
        first = self.scale * e.covariance
        tensor = first + self._change(e)
        self._check(x, tensor, first)
        return np.asarray(tensor)

    def divergence(self, x: Array) -> Array:
        r""":math:`\partial_j\tilde D_{ij}`, shape (d, ...): of D by formula, of D̃ − D by central differences."""
        total = self.scale * self.loss.noise_divergence(x)
        for j, step in enumerate(self.steps):
            ahead, behind = x.copy(), x.copy()
            ahead[j] += step
            behind[j] -= step
            rise = self._change(self.loss.expansion(ahead)) - self._change(self.loss.expansion(behind))
            total += rise[:, j] / (2.0 * step)
        return np.asarray(total)

    def _change(self, e: Expansion) -> Array:
        """D̃ − D."""
        turned = np.einsum("ik...,kj...->ij...", e.hessian, e.covariance)
        change = np.einsum("ijk...,k...->ij...", e.slope, e.gradient) + turned + np.swapaxes(turned, 0, 1)
        return np.asarray(0.5 * self.learning_rate * self.scale * (change - self.scale * e.noise_bend))

    def third_cumulant(self, x: Array) -> Array:
        r"""c̃ of the third-order term :math:`\tfrac16\tilde c_{ijk}\,\partial_i\partial_j\partial_k`, shape (d, d, d, ...).

        .. math::

            \tilde c = c - \tfrac\eta2\,[(b\cdot\nabla)c + c_{ijl}\,\partial_lb_k + \dots] -
            2\eta\,[D_{kl}\,\partial_lD_{ij} + \dots],

        with the two other choices of k for the dots and c the third cumulant of a step per unit of time,
        `skewness` × ⟨u ⊗ u ⊗ u⟩. (b·∇)c is the difference over a step's length, exact to the order needed.
        """
        e = self._expansion(x)
        part = np.einsum("kl...,ijl...->ijk...", e.covariance, e.slope)
        whole = part + np.moveaxis(part, 2, 0) + np.moveaxis(part, 2, 1)
        third, eta = self.loss.noise_third_moment(x), self.learning_rate
        turned = np.einsum("ijl...,kl...->ijk...", third, e.hessian)
        turned = turned + np.moveaxis(turned, 2, 0) + np.moveaxis(turned, 2, 1)
        step = 0.5 * eta * e.gradient
        along = 0.5 * (self.loss.noise_third_moment(x + step) - self.loss.noise_third_moment(x - step))
        return np.asarray(self.skewness * (third + along + 0.5 * eta * turned) - 2.0 * eta * self.scale**2 * whole)

    def _expansion(self, x: Array) -> Expansion:
        """Kept for the points last asked for: drift and D̃ are asked for in turn."""
        if self._values is None or self._points is None or not np.array_equal(x, self._points):
            self._values, self._points = self.loss.expansion(x), x.copy()
        return self._values

    def _check(self, x: Array, tensor: Array, first: Array) -> None:
        d = len(tensor)
        after, before = (np.moveaxis(a.reshape(d, d, -1), 2, 0) for a in (tensor, first))
        size = np.einsum("pii->p", before)[:, None]  # the tensors may differ by decades between points
        unit = np.divide(after, size[..., None], out=np.zeros_like(after), where=size[..., None] > 0.0)
        lowest = np.linalg.eigvalsh(unit)[:, 0]
        bad = lowest < -POSITIVE
        if bad.any():
            worst = int(np.argmin(lowest))
            place = x.reshape(d, -1)
            raise InvalidInput(
                f"process(order=2): expected a diffusion tensor without negative eigenvalues, got {lowest[worst]:.3g} of the "
                f"trace of D at θ = {place[:, worst].tolist()}, the worst of {int(bad.sum())} of {bad.size} points (from "
                f"{place[:, bad].min(axis=1).tolist()} to {place[:, bad].max(axis=1).tolist()}). Steps are too large there for "
                f"an expansion in η: lower learning_rate = {self.learning_rate:g}, take a smaller box, or use order=1"
            )
