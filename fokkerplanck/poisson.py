"""The Laplacian that is the staggered divergence of the staggered gradient, inverted."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from scipy.linalg import solveh_banded

from .fields import FaceField
from .grid import Array, Grid
from .maps import Uniform


def gradient_part(field: FaceField) -> tuple[FaceField, Array]:
    """∇χ and χ with ∇²χ = ∇·F: what is left of the field without it has no divergence."""
    grid = field.grid
    if grid.uniform:
        chi = _poisson(field.divergence(), grid)
    else:
        chi = _stretched_poisson(field.divergence(), grid)
        # Once more for what is left: narrow cells amplify the round-off of wide ones.
        chi = chi + _stretched_poisson((field - gradient(chi, grid)).divergence(), grid)
    return gradient(chi, grid), chi


def gradient(chi: Array, grid: Grid) -> FaceField:
    """∇χ on the faces of cells with the values χ; zero on reflecting walls."""
    return FaceField(grid, tuple(_difference(chi, axis, grid) for axis in range(grid.dim)))


def _difference(chi: Array, axis: int, grid: Grid) -> Array:
    """∂χ on the faces normal to one axis; zero on reflecting walls."""
    out = np.zeros(grid.face_shape(axis))
    values, target = np.moveaxis(chi, axis, 0), np.moveaxis(out, axis, 0)
    distances = grid.distances(axis).reshape(-1, *(1,) * (grid.dim - 1))
    target[1:-1] = np.diff(values, axis=0) / distances[1:-1]
    if grid.periodic[axis]:
        target[0] = target[-1] = (values[0] - values[-1]) / distances[0]
    return out


def _poisson(rhs: Array, grid: Grid) -> Array:
    """χ with div grad χ = rhs and zero mean: cosine transforms between walls, Fourier round periodic axes."""
    walls = [a for a in range(grid.dim) if not grid.periodic[a]]
    rings = [a for a in range(grid.dim) if grid.periodic[a]]
    spectrum: Any = scipy.fft.dctn(rhs, type=2, axes=walls) if walls else rhs
    spectrum = scipy.fft.fftn(spectrum, axes=rings) if rings else spectrum
    eigenvalue = np.zeros(grid.shape)
    for axis, n in enumerate(grid.shape):
        waves = np.arange(n) * np.pi / n * (1.0 if grid.periodic[axis] else 0.5)
        line = -((2.0 * np.sin(waves) / grid.spacing[axis]) ** 2)
        eigenvalue += line.reshape([-1 if a == axis else 1 for a in range(grid.dim)])
    origin = (0,) * grid.dim
    eigenvalue[origin] = 1.0
    spectrum = spectrum / eigenvalue
    spectrum[origin] = 0.0  # the mean of χ is free, and the mean of a divergence is zero
    if rings:
        spectrum = scipy.fft.ifftn(spectrum, axes=rings).real
    return scipy.fft.idctn(spectrum, type=2, axes=walls) if walls else np.asarray(spectrum)


def _stretched_poisson(rhs: Array, grid: Grid) -> Array:
    r"""χ with div grad χ = rhs and zero mean on a stretched grid, which has a reflecting axis.

    With the widths :math:`M_a` and the one-dimensional :math:`K_a = -M_a\,\mathrm{div}\,\mathrm{grad}` the equation is
    :math:`\sum_a K_a \prod_{b\ne a} M_b\,\chi = -V\,\mathrm{rhs}`. The eigenvectors :math:`K_a v = \lambda M_a v` of all axes
    but the longest stretched one leave a tridiagonal system along that one for every mode, and all of them are one long one.
    """
    long = max((a for a, curve in enumerate(grid.maps) if not isinstance(curve, Uniform)), key=lambda a: grid.shape[a])
    modes, spectrum = -rhs, np.zeros((1,) * grid.dim)
    vectors = {}
    for a in (a for a in range(grid.dim) if a != long):
        values, vectors[a] = _eigenvectors(grid, a)
        spectrum = spectrum + grid.along(values, a)
        modes = _along_axis(vectors[a].T * grid.widths(a), modes, a)
    modes = np.moveaxis(modes, long, -1)
    stretched = np.moveaxis(np.broadcast_to(spectrum, grid.shape), long, -1)
    widths, links = grid.widths(long), 1.0 / grid.distances(long)[1:-1]
    band = np.zeros((2, *modes.shape))  # SciPy's upper form: the coupling to the entry before, and the diagonal
    band[0, ..., 1:] = -links
    band[1] = np.append(links, 0.0) + np.append(0.0, links) + stretched * widths
    # The constant mode is the first: λ = 0 along every axis. With its first unknown pinned to zero the rest is definite.
    load = modes.reshape(-1, widths.size) * widths
    load[0, 0] = 0.0
    band = band.reshape(2, -1)
    band[0, 1], band[1, 0] = 0.0, 1.0
    chi = np.moveaxis(solveh_banded(band, load.ravel()).reshape(modes.shape), -1, long)
    for a, v in vectors.items():
        chi = _along_axis(v, chi, a)
    return np.asarray(chi - np.average(chi, weights=grid.cell_volumes))


def _eigenvectors(grid: Grid, axis: int) -> tuple[Array, Array]:
    """λ ascending, and the columns v with K v = λ M v and vᵀ M v = 1; the first pair is zero and the constant."""
    n, widths, links = grid.shape[axis], grid.widths(axis), 1.0 / grid.distances(axis)
    if not grid.periodic[axis]:
        links[[0, -1]] = 0.0
    stiffness = np.diag(links[:-1] + links[1:])
    k = np.arange(n)
    np.add.at(stiffness, (k, k - 1), -links[:-1])
    np.add.at(stiffness, (k - 1, k), -links[:-1])
    root = np.sqrt(widths)
    values, vectors = np.linalg.eigh(stiffness / np.outer(root, root))
    vectors /= root[:, None]
    values[0], vectors[:, 0] = 0.0, 1.0 / np.sqrt(widths.sum())  # known exactly
    return values, vectors


def _along_axis(matrix: Array, values: Array, axis: int) -> Array:
    return np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)
