r"""Eigenmodes of SGD on a quadratic loss: with a symmetric Hessian and learning rate every mode is a map of two numbers.

.. math:: m' = \mu m + K\theta + n,\qquad \theta' = \theta - \Lambda m'

Nesterov's rule has the gradient at :math:`\theta - \mu\Lambda m`, where the old m would lead, in place of θ.

With :math:`\Lambda^{1/2} K \Lambda^{1/2} = V\,\mathrm{diag}(k)\,V^\top` and :math:`\theta = Wz`, :math:`W = \Lambda^{1/2}V`,
mode i obeys :math:`(z_i, m_i)' = T_i\,(z_i, m_i) + b\,n_i`, with noise :math:`W^\top n`. Covariances of two modes follow from
four equations. Nothing has to commute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInput
from .matrices import Array

# Eigenvalues of a symmetric matrix are known to ~1e-16 of the largest, so one of 1e-10 of it to six digits.
FLAT = 1e-10


@dataclass(frozen=True, eq=False)
class Modes:
    """Modes of a stable or unstable chain; ``stable`` tells.

    Attributes
    ----------
    k : ndarray, shape (d,)
        Eigenvalues of Λ½KΛ½, ascending, dimensionless: learning rate times curvature.
    W : ndarray, shape (d, d)
        θ = Wz, the modes in columns.
    inverse : ndarray, shape (d, d)
        W⁻¹.
    momentum : float
    nesterov : bool
    continuous : bool
        Whether time is, as in a diffusion: modes decay as exp(−kt) with t in steps.
    """

    k: Array
    W: Array
    inverse: Array
    momentum: float
    nesterov: bool
    continuous: bool = False

    @property
    def limit(self) -> float:
        """Largest k of a stable mode: 2(1+μ), and 2(1+μ)/(1+2μ) with Nesterov's rule; none in continuous time."""
        if self.continuous:
            return math.inf
        mu = self.momentum
        return 2.0 * (1.0 + mu) / (1.0 + 2.0 * mu) if self.nesterov else 2.0 * (1.0 + mu)

    @property
    def stable(self) -> bool:
        """Whether the mean converges: 0 < k < limit."""
        return bool(self.k[0] > 0.0 and self.k[-1] < self.limit)

    def scaled(self, factor: float) -> Modes:
        """The modes at ``factor`` times the learning rate."""
        root = float(np.sqrt(factor))
        return replace(self, k=factor * self.k, W=root * self.W, inverse=self.inverse / root)

    def check(self) -> None:
        """Refuse modes that do not settle, naming the eigenvalue and the limit."""
        lowest, highest = float(self.k[0]), float(self.k[-1])
        if lowest <= FLAT * max(highest, 0.0):
            raise InvalidInput(
                f"hessian: expected curvature along every direction, got learning rate × curvature from {lowest:.3g} to "
                f"{highest:.3g} (the smallest has to exceed {FLAT:g} of the largest). θ diffuses along the flat direction for "
                "ever, or falls; add an L2 term or leave the direction out"
            )
        if highest >= self.limit:
            raise InvalidInput(
                f"learning_rate: expected learning rate × curvature below {self.limit:.6g} in every mode, got {highest:.6g} "
                f"(mode {len(self.k) - 1} of {len(self.k)}, momentum {self.momentum:g}): steps overshoot further every time. "
                f"Multiply the learning rate by less than {self.limit / highest:.6g}"
            )

    @cached_property
    def maps(self) -> Array:
        """T of every mode, shape (d, 2, 2)."""
        kept = self.momentum * (1.0 - self.k) if self.nesterov else np.full_like(self.k, self.momentum)
        return np.stack([np.stack([1.0 - self.k, -kept], axis=1), np.stack([self.k, kept], axis=1)], axis=1)

    @property
    def kick(self) -> Array:
        """How unit gradient noise enters (z, m), shape (2,)."""
        return np.array([-1.0, 1.0])

    @property
    def ahead(self) -> Array:
        """Where the gradient is taken, in terms of (z, m), shape (2,)."""
        return np.array([1.0, -self.momentum if self.nesterov else 0.0])

    @cached_property
    def multipliers(self) -> NDArray[np.complex128]:
        """Complex eigenvalues of the map, per step, shape (d,) without momentum and (2d,) with."""
        if self.momentum == 0.0:
            return (1.0 - self.k).astype(np.complex128)
        return np.linalg.eigvals(self.maps).ravel().astype(np.complex128)

    @cached_property
    def response(self) -> Array:
        r"""Stationary covariance of (z_i, m_i) and (z_j, m_j) per unit noise covariance, shape (d, d, 2, 2).

        :math:`X_{ij} = T_i X_{ij} T_j^\top + b b^\top`.
        """
        d, T = len(self.k), self.maps
        b = self.kick
        kronecker = np.einsum("iab,jce->ijacbe", T, T).reshape(d, d, 4, 4)
        source = np.broadcast_to(np.outer(b, b).reshape(4, 1), (d, d, 4, 1))
        return np.asarray(np.linalg.solve(np.eye(4) - kronecker, source).reshape(d, d, 2, 2))

    @cached_property
    def position_response(self) -> Array:
        """Stationary covariance of (z_i, z_j) per unit noise covariance, shape (d, d): `response` [0, 0] by its formula."""
        return (1.0 - (self.momentum**2 if self.nesterov else 0.0) * self._left) / self._decay

    @cached_property
    def ahead_response(self) -> Array:
        """The same where the gradient is taken; it differs from ``position_response`` for Nesterov's rule only."""
        if not self.nesterov:
            return self.position_response
        mu, total, product = self.momentum, self.k[:, None] + self.k[None, :], np.outer(self.k, self.k)
        kicks = 1.0 + mu * total - mu**2 * (1.0 - total - product) - mu**3 * (total - 2.0 * product)
        return np.asarray(kicks / self._decay)

    @property
    def _left(self) -> Array:
        return np.outer(1.0 - self.k, 1.0 - self.k)

    @cached_property
    def _decay(self) -> Array:
        mu, one, other = self.momentum, self.k[:, None], self.k[None, :]
        total, product = one + other, one * other
        if self.continuous:
            return np.asarray(total)
        if not self.nesterov:  # written so that nothing cancels for small k
            return (1.0 - mu) * (total - product / (1.0 + mu)) + mu / (1.0 - mu**2) * (one - other) ** 2
        kept = mu * total + mu**2 * (total + product) - mu**3 * (total - 2.0 * product)
        return np.asarray(total - product - self._left * kept)


def modes(hessian: Array, learning_rate: Array, momentum: float, nesterov: bool) -> Modes:
    """The modes for a symmetric Hessian and a symmetric positive definite learning rate."""
    rates, axes = np.linalg.eigh(learning_rate)
    if rates[0] <= 0.0:
        raise InvalidInput(f"learning_rate: expected a positive definite matrix, got the eigenvalue {rates[0]:.6g}")
    root = (axes * np.sqrt(rates)) @ axes.T
    k, V = np.linalg.eigh(root @ hessian @ root)
    inverse = V.T @ ((axes / np.sqrt(rates)) @ axes.T)
    return Modes(np.asarray(k), np.asarray(root @ V), np.asarray(inverse), momentum, nesterov)
