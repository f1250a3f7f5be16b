r"""Eigenmodes of SGD on a quadratic loss: with a symmetric Hessian and learning rate every mode is a map of two numbers.

.. math:: m' = \mu m + K\theta + n,\qquad \theta' = \theta - \Lambda m'

With :math:`\Lambda^{1/2} K \Lambda^{1/2} = V\,\mathrm{diag}(k)\,V^\top` and :math:`\theta = Wz`, :math:`W = \Lambda^{1/2}V`,
mode i obeys :math:`(z_i, m_i)' = T_i\,(z_i, m_i) + b\,n_i`, with noise :math:`W^\top n`. Covariances of two modes follow from
four equations. Nothing has to commute.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

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
    """

    k: Array
    W: Array
    inverse: Array
    momentum: float
    nesterov: bool

    @property
    def limit(self) -> float:
        """Largest k of a stable mode: 2(1+μ), and 2(1+μ)/(1+2μ) with Nesterov's rule."""
        mu = self.momentum
        return 2.0 * (1.0 + mu) / (1.0 + 2.0 * mu) if self.nesterov else 2.0 * (1.0 + mu)

    @property
    def stable(self) -> bool:
        """Whether the mean converges: 0 < k < limit."""
        return bool(self.k[0] > 0.0 and self.k[-1] < self.limit)

    def scaled(self, factor: float) -> Modes:
        """The modes at ``factor`` times the learning rate."""
        root = float(np.sqrt(factor))
        return Modes(factor * self.k, root * self.W, self.inverse / root, self.momentum, self.nesterov)

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
        T, mu = np.empty((len(self.k), 2, 2)), self.momentum
        T[:, 1, 0], T[:, 1, 1] = self.k, mu
        if self.nesterov:  # θ' = θ − Λ(g + μ m')
            T[:, 0, 0], T[:, 0, 1] = 1.0 - (1.0 + mu) * self.k, -(mu**2)
        else:
            T[:, 0, 0], T[:, 0, 1] = 1.0 - self.k, -mu
        return T

    @property
    def kick(self) -> Array:
        """How unit gradient noise enters (z, m), shape (2,)."""
        return np.array([-(1.0 + self.momentum) if self.nesterov else -1.0, 1.0])

    @cached_property
    def multipliers(self) -> Array:
        """Complex eigenvalues of the map, per step, shape (d,) without momentum and (2d,) with."""
        if self.momentum == 0.0:
            return np.asarray(1.0 - self.k + 0j)
        return np.asarray(np.linalg.eigvals(self.maps).ravel() + 0j)

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
        """``response`` of (z_i, z_j) alone, shape (d, d)."""
        if self.momentum == 0.0:
            return np.asarray(1.0 / (self.k[:, None] + self.k[None, :] - np.outer(self.k, self.k)))
        return np.ascontiguousarray(self.response[:, :, 0, 0])


def modes(hessian: Array, learning_rate: Array, momentum: float, nesterov: bool) -> Modes:
    """The modes for a symmetric Hessian and a symmetric positive definite learning rate."""
    rates, axes = np.linalg.eigh(learning_rate)
    if rates[0] <= 0.0:
        raise InvalidInput(f"learning_rate: expected a positive definite matrix, got the eigenvalue {rates[0]:.6g}")
    root = (axes * np.sqrt(rates)) @ axes.T
    k, V = np.linalg.eigh(root @ hessian @ root)
    inverse = V.T @ ((axes / np.sqrt(rates)) @ axes.T)
    return Modes(np.asarray(k), np.asarray(root @ V), np.asarray(inverse), momentum, nesterov)
