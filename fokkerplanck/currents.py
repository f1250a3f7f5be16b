"""Numbers of the probability current, all from the face flux that the scheme balances."""

from __future__ import annotations

import numpy as np

from .fields import FaceField
from .grid import Array
from .tensors import BLOCK, plainly_definite, smallest_correlation
from .threads import summed

SINGULAR = 1e-12  # smallest eigenvalue of D/√(D_ii D_jj) below which D⁻¹ is round-off of D


def thermodynamic_force(velocity: Array, diffusion: Array) -> Array | None:
    r"""ω = D⁻¹u of each cell, where :math:`J = u p - D\nabla p`; for Itô :math:`\omega = D^{-1}(b - \nabla\cdot D)`.

    Detailed balance holds exactly when ω is a gradient. Returns None where D is singular in some cell, for then ω is not
    defined there.

    Parameters
    ----------
    velocity : ndarray, shape (d, ...)
    diffusion : ndarray, shape (d, d, ...)

    Returns
    -------
    ndarray, shape (d, ...), or None
    """
    if not plainly_definite(diffusion) and not (smallest_correlation(diffusion) > SINGULAR).all():
        return None
    if diffusion.shape[0] == 1:
        return np.asarray(velocity / diffusion[0])
    d = diffusion.shape[0]
    if d <= 3:
        force = np.empty((d, velocity[0].size))
        u, D = velocity.reshape(d, -1), diffusion.reshape(d, d, -1)
        for block in (slice(i, i + BLOCK) for i in range(0, force.shape[1], BLOCK)):
            force[:, block] = _cramer(u[:, block], D[..., block])
        return force.reshape(velocity.shape)
    tensor = np.moveaxis(diffusion, (0, 1), (-2, -1))
    force = np.linalg.solve(tensor, np.moveaxis(velocity, 0, -1)[..., None])[..., 0]
    return np.asarray(np.moveaxis(force, -1, 0), dtype=float)


def _cramer(velocity: Array, diffusion: Array) -> Array:
    """D⁻¹u of two or three components by Cramer's rule: a hundred times faster than a million small factorisations."""
    if diffusion.shape[0] == 2:
        determinant = diffusion[0, 0] * diffusion[1, 1] - diffusion[0, 1] ** 2
        first = diffusion[1, 1] * velocity[0] - diffusion[0, 1] * velocity[1]
        second = diffusion[0, 0] * velocity[1] - diffusion[0, 1] * velocity[0]
        return np.stack([first, second]) / determinant
    rows = [np.cross(diffusion[i], diffusion[j], axis=0) for i, j in ((1, 2), (2, 0), (0, 1))]
    determinant = np.einsum("i...,i...->...", diffusion[0], rows[0])
    return np.stack([np.einsum("i...,i...->...", row, velocity) for row in rows]) / determinant


def entropy_production_density(flux: FaceField, force: Array) -> Array:
    r"""J·ω of each cell, per volume and time.

    Its integral is the entropy production rate :math:`\int J^\top D^{-1}J/p`: the two integrands differ by
    :math:`J\cdot\nabla\ln p`, which a divergence-free current integrates to zero. Linear in J and free of 1/p, it does not
    amplify the tails.
    """
    return np.einsum("i...,i...->...", flux.centered(), force)


def entropy_production(flux: FaceField, force: Array) -> float:
    """∫ J·ω, per unit time; dimensionless entropy in units of k_B."""
    return float(np.sum(entropy_production_density(flux, force) * flux.grid.cell_volumes))


def circulation(flux: FaceField) -> Array:
    r"""Antisymmetric area rate :math:`A_{ij} = \tfrac12\int (x_i J_j - x_j J_i)\,dx`, state² per time, shape (d, d).

    The mean area that the process sweeps per unit time in the plane (i, j); in two dimensions :math:`\int x\wedge J = 2A_{01}`.
    Not meaningful along a periodic axis, where x jumps.
    """
    d = flux.grid.dim
    moment = flux.grid.cell_points().reshape(d, -1) @ (flux.centered() * flux.grid.cell_volumes).reshape(d, -1).T
    return 0.5 * (moment - moment.T)


def total_current(flux: FaceField) -> float:
    """∫|J| over the box."""
    vectors, volumes = flux.centered(), flux.grid.cell_volumes

    def piece(rows: slice) -> float:
        part = vectors[:, rows]
        part *= part
        size = np.sum(part, axis=0)
        np.sqrt(size, out=size)
        size *= volumes[rows]
        return float(np.sum(size))

    return summed(piece, flux.grid.shape[0], flux.grid.size)


def harmonic_flux(flux: FaceField, axis: int) -> float:
    """Probability per unit time that goes round a periodic axis: through any section across it.

    The mean over all sections, which are equal for a current without divergence.
    """
    grid = flux.grid
    passing = np.moveaxis(flux.components[axis], axis, 0)[:-1].mean(axis=0)
    for other in reversed([a for a in range(grid.dim) if a != axis]):
        passing = passing @ grid.widths(other)
    return float(passing)


def curl(flux: FaceField) -> dict[tuple[int, int], Array]:
    r""":math:`\partial_i F_j - \partial_j F_i` for every pair i < j, where four faces meet.

    Between the cells along i and along j, without walls: in two dimensions at the inner nodes. A ring is cut at its seam.

    Returns
    -------
    dict of (int, int) to ndarray
        One fewer than cells along axes i and j, as many as cells along others.
    """
    grid, out = flux.grid, {}
    for i in range(grid.dim):
        for j in range(i + 1, grid.dim):
            slopes = []
            for along, component in ((i, j), (j, i)):
                inside = [slice(None)] * grid.dim
                inside[component] = slice(1, -1)
                rise = np.diff(flux.components[component][tuple(inside)], axis=along)
                slopes.append(rise / grid.along(grid.distances(along)[1:-1], along))
            out[i, j] = slopes[0] - slopes[1]
    return out
