"""The Laplacian that is the staggered divergence of the staggered gradient, inverted."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft

from .grid import Array, Grid
from .operators import FaceField


def divergence_free(field: FaceField) -> FaceField:
    """The nearest field without divergence: ``field`` minus its gradient part."""
    chi = inverse_laplacian(field.divergence(), field.grid)
    return field - FaceField(field.grid, tuple(gradient_on_faces(chi, a, field.grid) for a in range(field.grid.dim)))


def gradient_on_faces(chi: Array, axis: int, grid: Grid) -> Array:
    """∂χ on the faces normal to one axis; zero on reflecting walls."""
    out = np.zeros(grid.face_shape(axis))
    values, target = np.moveaxis(chi, axis, 0), np.moveaxis(out, axis, 0)
    target[1:-1] = np.diff(values, axis=0) / grid.spacing[axis]
    if grid.periodic[axis]:
        target[0] = target[-1] = (values[0] - values[-1]) / grid.spacing[axis]
    return out


def inverse_laplacian(rhs: Array, grid: Grid) -> Array:
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
