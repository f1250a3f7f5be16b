"""Helmholtz–Hodge decomposition of a face field: gradient + curl + harmonic, exact on the staggered grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from .errors import InvalidInput
from .fields import FaceField
from .grid import Array, Grid
from .poisson import gradient_part
from .results import Solution

ROUND_OFF = 1e-12  # wall-normal flux below this share of the largest face value is zero


@dataclass(frozen=True, repr=False)
class HelmholtzSplit:
    r"""The parts of a vector field, :math:`F = \nabla\chi + \operatorname{rot}\psi + H`, orthogonal to each other.

    Attributes
    ----------
    gradient_faces, curl_faces, harmonic_faces : FaceField
        The parts on the faces, where the identities hold to round-off: they sum to F, the curl and harmonic parts have no
        divergence, the gradient part has no circulation around any node, and they are orthogonal in ``FaceField.inner``.
    names : tuple of str
        Names of the axes.
    chi : ndarray, shape ``grid.shape``
        Potential at the cell centres, of zero mean over the box.
    psi : ndarray or None, shape (n0 + 1, n1 + 1)
        Stream function at the nodes, in two dimensions, with :math:`F_\text{curl} = (\partial_y\psi, -\partial_x\psi)`; zero
        on a reflecting wall, of zero mean on a torus.
    """

    gradient_faces: FaceField
    curl_faces: FaceField
    harmonic_faces: FaceField
    names: tuple[str, ...]
    chi: Array
    psi: Array | None

    def __repr__(self) -> str:
        return "<HelmholtzSplit: " + ", ".join(f"{name} {share:.1%}" for name, share in self.shares.items()) + ">"

    @property
    def grid(self) -> Grid:
        return self.curl_faces.grid

    @cached_property
    def gradient(self) -> xr.DataArray:
        """∇χ at cell centres, leading dimension ``component``."""
        return self._vector(self.gradient_faces, "gradient part of the probability current")

    @cached_property
    def curl(self) -> xr.DataArray:
        """The divergence-free part with no net flux through the box, at cell centres."""
        return self._vector(self.curl_faces, "curl part of the probability current")

    @cached_property
    def harmonic(self) -> xr.DataArray:
        """The constant flux round periodic axes, at cell centres; zero on a box."""
        return self._vector(self.harmonic_faces, "harmonic part of the probability current")

    @cached_property
    def potential(self) -> xr.DataArray:
        """χ at cell centres."""
        coordinates = {name: self.grid.centers(a) for a, name in enumerate(self.names)}
        attributes = {"long_name": "potential of the gradient part", "units": "density × state² / time"}
        return xr.DataArray(self.chi, dims=self.names, coords=coordinates, attrs=attributes)

    @cached_property
    def stream_function(self) -> xr.DataArray | None:
        """ψ at the nodes in two dimensions, else None; probability circulates along its level lines."""
        if self.psi is None:
            return None
        coordinates = {f"{name}_edge": self.grid.edges(a) for a, name in enumerate(self.names)}
        attributes = {"long_name": "stream function of the curl part", "units": "1/time"}
        return xr.DataArray(self.psi, dims=tuple(coordinates), coords=coordinates, attrs=attributes)

    @cached_property
    def shares(self) -> dict[str, float]:
        """Share of ∫|F|² in each part; they sum to 1. All zero for a field that is zero."""
        parts = {"gradient": self.gradient_faces, "curl": self.curl_faces, "harmonic": self.harmonic_faces}
        squares = {name: part.inner(part) for name, part in parts.items()}
        total = sum(squares.values())
        return {name: square / total if total > 0.0 else 0.0 for name, square in squares.items()}

    def _vector(self, faces: FaceField, long_name: str) -> xr.DataArray:
        coordinates: dict[str, Any] = {"component": list(self.names)}
        coordinates |= {name: self.grid.centers(a) for a, name in enumerate(self.names)}
        attributes = {"long_name": long_name, "units": "density × state / time"}
        return xr.DataArray(faces.centered(), dims=("component", *self.names), coords=coordinates, attrs=attributes)


def helmholtz(field: Solution | FaceField, *, names: Sequence[str] | None = None) -> HelmholtzSplit:
    r"""Split a current into gradient, curl and harmonic part.

    .. math::

        F = \nabla\chi + F_\text{curl} + H,\qquad \nabla^2\chi = \nabla\cdot F,\qquad \nabla\cdot F_\text{curl} = 0.

    The Laplacian is the product of the staggered divergence and gradient, inverted by fast transforms, or on a stretched grid
    by the eigenvectors of every axis but one and elimination along that one, so every identity holds to round-off. H is
    constant along periodic axes and absent on a box. A stationary current has no gradient part; what is found there is the
    imbalance the solver left.

    Parameters
    ----------
    field : Solution or FaceField
        A solution (its face current) or any face field with no flux through reflecting walls.
    names : sequence of str, optional
        Names of the axes of a bare field.

    Returns
    -------
    HelmholtzSplit

    Raises
    ------
    InvalidInput
        If the field crosses a reflecting wall or is not finite.

    References
    ----------
    H. Bhatia et al., IEEE Trans. Vis. Comput. Graph. 19, 1386 (2013), doi:10.1109/TVCG.2012.316; R. E. Lynch, J. R. Rice and
    D. H. Thomas, Numer. Math. 6, 185 (1964), doi:10.1007/BF01386067 (stretched grids).

    Examples
    --------
    >>> from fokkerplanck import Box, Grid
    >>> grid = Grid(Box([0], [1], boundary="periodic"), (8,))
    >>> split = helmholtz(FaceField(grid, (np.full(9, 2.0),)))
    >>> {name: round(share, 6) for name, share in split.shares.items()}
    {'gradient': 0.0, 'curl': 0.0, 'harmonic': 1.0}
    """
    if isinstance(field, Solution):
        faces, labels = field.flux, field.names
    else:
        faces = field
        labels = tuple(names) if names is not None else ("x", "y", "z")[: field.grid.dim]
    if len(labels) != faces.grid.dim:
        raise InvalidInput(f"names: expected {faces.grid.dim} names, got {names!r}")
    _check(faces)
    grid = faces.grid
    gradient, chi = gradient_part(faces)
    rest = faces - gradient
    harmonic = FaceField(grid, tuple(_mean(c, axis, grid) for axis, c in enumerate(rest.components)))
    curl = rest - harmonic
    psi = _stream_function(curl) if grid.dim == 2 else None
    return HelmholtzSplit(gradient, curl, harmonic, labels, chi, psi)


def _check(faces: FaceField) -> None:
    largest = faces.largest()
    if not np.isfinite(largest):
        raise InvalidInput("expected a finite field, got infinite or NaN face values")
    for axis, component in enumerate(faces.components):
        if faces.grid.periodic[axis]:
            continue
        leak = float(np.abs(np.take(component, [0, -1], axis)).max())
        if leak > ROUND_OFF * largest:
            raise InvalidInput(
                f"expected no flux through the reflecting walls of axis {axis}, got {leak:.3g} (largest face value "
                f"{largest:.3g}). The decomposition is unique only when the wall-normal component is given; subtract it first"
            )


def _mean(component: Array, axis: int, grid: Grid) -> Array:
    """The constant with the same flux through the box along a periodic axis."""
    if not grid.periodic[axis]:
        return np.zeros_like(component)
    return np.full_like(
        component, np.average(np.moveaxis(np.moveaxis(component, axis, 0)[:-1], 0, axis), weights=grid.cell_volumes)
    )


def _stream_function(curl: FaceField) -> Array:
    """ψ at the nodes by summing F_y along the lower edge and F_x upwards from it."""
    grid = curl.grid
    (wx, wy), (fx, fy) = (grid.widths(a) for a in range(2)), curl.components
    psi = np.zeros((grid.shape[0] + 1, grid.shape[1] + 1))
    psi[1:, 0] = -np.cumsum(wx * fy[:, 0])
    psi[:, 1:] = psi[:, :1] + np.cumsum(wy * fx, axis=1)
    if all(grid.periodic):
        psi -= psi[:-1, :-1].mean()
    elif grid.periodic[1]:
        psi -= psi[0, 0]
    return psi
