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

POSITIVE = 1e-9  # smallest eigenvalue of D̃, in units of D, that counts as positive: that of rank-deficient noise is round-off


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
    """

    loss: Loss
    learning_rate: float
    scale: float
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
        turned = np.einsum("ik...,kj...->ij...", e.hessian, e.covariance)
        change = np.einsum("ijk...,k...->ij...", e.slope, e.gradient) + turned + np.swapaxes(turned, 0, 1)
        change -= self.scale * e.noise_bend
        tensor = self.scale * (e.covariance + 0.5 * self.learning_rate * change)
        self._check(x, tensor, self.scale * e.covariance)
        return np.asarray(tensor)

    def third_cumulant(self, x: Array) -> Array:
        r"""Third cumulant of a step per unit of time, c, shape (d, d, d, ...): :math:`\mathcal L \ni \tfrac16 c_{ijk}\partial_i\partial_j\partial_k`.

        What is left of the expansion above, :math:`-2\eta\,(D_{kl}\partial_lD_{ij} + \text{two permutations})`; the skewness of
        the gradient noise comes on top of it.
        """
        e = self._expansion(x)
        part = np.einsum("kl...,ijl...->ijk...", e.covariance, e.slope)
        whole = part + np.moveaxis(part, 2, 0) + np.moveaxis(part, 2, 1)
        return np.asarray(-2.0 * self.learning_rate * self.scale**2 * whole)

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
