"""Helmholtz–Hodge decomposition of a face field: gradient + curl + harmonic, exact on the staggered grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import polynomial

from .errors import InvalidInput
from .fields import EdgeField, FaceField
from .grid import Array, Grid
from .poisson import vector_potential, without_gradient
from .results import Solution
from .threads import one_blas_thread

if TYPE_CHECKING:
    import xarray as xr

# Difference of the two copies of a periodic face, as a share of the largest face value, that counts as none
ROUND_OFF = 1e-12

NEWTON_STEPS = 5  # from less than a cell away: the error is squared every time


@dataclass(frozen=True)
class Extremum:
    """Where a stream function is farthest from zero: the centre of the strongest vortex.

    Attributes
    ----------
    value : float
        ψ there, 1/time for a probability current: the probability per time that circulates around the place. Positive is
        anticlockwise.
    position : tuple of 2 floats

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> sol = fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64))
    >>> bool(np.abs(fp.helmholtz(sol).extremum.position).max() < 1e-6)  # in the middle of the only vortex
    True
    """

    value: float
    position: tuple[float, float]


@dataclass(frozen=True, repr=False)
class HelmholtzSplit:
    r"""The parts of a vector field, :math:`F = \nabla\chi + \nabla\times A + H`, orthogonal to each other.

    Attributes
    ----------
    gradient_faces, curl_faces, harmonic_faces : FaceField
        The parts on the faces, where the identities hold to round-off: they sum to F, the curl and harmonic parts have no
        divergence, the gradient part no curl around any edge inside the box, and they are orthogonal in ``FaceField.inner``.
    names : tuple of str
        Names of the axes.
    chi : ndarray, shape ``grid.shape``
        Potential at the cell centres, of zero mean over the box.

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> sol = fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64))
    >>> split = fp.helmholtz(sol)
    >>> split
    <HelmholtzSplit: gradient 0.0%, curl 100.0%, harmonic 0.0%>
    >>> split.stream_function.shape  # on the nodes
    (65, 65)
    """

    gradient_faces: FaceField
    curl_faces: FaceField
    harmonic_faces: FaceField
    names: tuple[str, ...]
    chi: Array

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
        return _labelled(self.chi, coordinates, "potential of the gradient part", "density × state² / time")

    @cached_property
    def potential_edges(self) -> EdgeField | None:
        r"""A on the edges, with :math:`\nabla\times A` the curl part to round-off; in two dimensions ψ; None in one.

        The gauge is Coulomb's: no divergence at any node, no tangential component on reflecting walls, no constant. Computed
        when first asked for.
        """
        return None if self.grid.dim == 1 else vector_potential(self.curl_faces)

    @property
    def psi(self) -> Array | None:
        r"""ψ at the nodes in two dimensions, shape (n0 + 1, n1 + 1), else None.

        :math:`F_\text{curl} = (\partial_y\psi, -\partial_x\psi)`; zero on a reflecting wall, of zero mean on a torus.
        """
        return self.potential_edges.components[0] if self.grid.dim == 2 and self.potential_edges is not None else None

    @cached_property
    def stream_function(self) -> xr.DataArray | None:
        """ψ at the nodes in two dimensions, else None; probability circulates along its level lines."""
        if self.psi is None:
            return None
        return self._on_edges(self.psi, None, "stream function of the curl part", "1/time")

    @cached_property
    def extremum(self) -> Extremum | None:
        """The largest |ψ| and where it is, between the nodes by a polynomial through 5 × 5 of them; None where ψ is zero."""
        if self.psi is None or not self.psi.any():
            return None
        return _extremum(self.psi, self.grid)

    @cached_property
    def vector_potential(self) -> xr.Dataset | None:
        """A of :attr:`potential_edges` in three dimensions, else None: a variable ``A_name`` for every axis, on its edges."""
        if self.grid.dim != 3 or self.potential_edges is None:
            return None
        import xarray as xr

        variables = {}
        for axis, values in enumerate(self.potential_edges.components):
            long_name = f"vector potential of the curl part along {self.names[axis]}"
            variables[f"A_{self.names[axis]}"] = self._on_edges(values, axis, long_name, "density × state² / time")
        return xr.Dataset(variables, attrs={"gauge": "Coulomb; tangential components zero on reflecting walls"})

    @cached_property
    def harmonic_flux(self) -> dict[str, float]:
        """Total flux of the field through a cross-section of each periodic axis, by name; probability per time for a current.

        The harmonic part carries all of it: the mean over x of the flux through the section at x. For a divergence-free field
        every section has the same.
        """
        widths = self.grid.box.widths
        return {
            name: float(
                self.harmonic_faces.components[a].flat[0] * prod(widths[b] for b in range(self.grid.dim) if b != a)
            )
            for a, name in enumerate(self.names)
            if self.grid.periodic[a]
        }

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
        return _labelled(faces.centered(), coordinates, long_name, "density × state / time")

    def _on_edges(self, values: Array, along: int | None, long_name: str, units: str) -> xr.DataArray:
        """Label values at the nodes of every axis but ``along``, in the cells of that one."""
        coordinates = {
            name if a == along else f"{name}_edge": self.grid.centers(a) if a == along else self.grid.edges(a)
            for a, name in enumerate(self.names)
        }
        return _labelled(values, coordinates, long_name, units)


def _labelled(values: Array, coordinates: dict[str, Any], long_name: str, units: str) -> xr.DataArray:
    import xarray as xr  # slow to import, and not needed to solve

    attributes = {"long_name": long_name, "units": units}
    return xr.DataArray(values, dims=tuple(coordinates), coords=coordinates, attrs=attributes)


@one_blas_thread()
def helmholtz(field: Solution | FaceField, *, names: Sequence[str] | None = None) -> HelmholtzSplit:
    r"""Split a vector field into gradient, curl and harmonic part.

    .. math::

        F = \nabla\chi + \nabla\times A + H,\qquad \nabla^2\chi = \nabla\cdot F,\quad \partial_n\chi = F\cdot n,\qquad
        -\nabla^2 A = \nabla\times F,\quad A_\parallel = 0 \text{ on walls.}

    The Laplacian is the product of the staggered divergence and gradient, inverted by fast transforms, or on a stretched grid
    by the eigenvectors of every axis but one and elimination along that one, so every identity holds to round-off. H is
    constant along periodic axes and absent on a box: one dimension of harmonic fields for every periodic axis. What passes a
    reflecting wall belongs to the gradient part. A stationary current has no gradient part; what is found there is the
    imbalance the solver left.

    Parameters
    ----------
    field : Solution or FaceField
        A solution (its face current) or any face field: a transient current (:func:`fokkerplanck.current`), a function or
        arrays of one's own (:meth:`FaceField.from_function`, :meth:`FaceField.from_centers`).
    names : sequence of str, optional
        Names of the axes of a bare field.

    Returns
    -------
    HelmholtzSplit

    Raises
    ------
    InvalidInput
        If the field is not finite, or the first and the last face of a periodic axis, which are one, differ.

    Notes
    -----
    Fast transforms run on one thread; inside ``with scipy.fft.set_workers(n):`` on n.

    References
    ----------
    H. Bhatia et al., IEEE Trans. Vis. Comput. Graph. 19, 1386 (2013), doi:10.1109/TVCG.2012.316; R. E. Lynch, J. R. Rice and
    D. H. Thomas, Numer. Math. 6, 185 (1964), doi:10.1007/BF01386067 (stretched grids).

    Examples
    --------
    >>> from fokkerplanck import Box, Grid
    >>> grid = Grid(Box([-1, 0], [1, 2], boundary=["reflecting", "periodic"]), (16, 16))
    >>> split = helmholtz(FaceField.from_function(grid, lambda x: [0, 1 + x[0]]))
    >>> {name: round(share, 3) for name, share in split.shares.items()}
    {'gradient': 0.0, 'curl': 0.249, 'harmonic': 0.751}
    >>> {name: round(flux, 12) for name, flux in split.harmonic_flux.items()}
    {'y': 2.0}
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
    curl, gradient, chi = without_gradient(faces)
    means = [_mean(component, axis, grid) for axis, component in enumerate(curl.components)]
    harmonic = FaceField(grid, tuple(np.broadcast_to(m, c.shape) for m, c in zip(means, curl.components, strict=True)))
    for component, mean in zip(curl.components, means, strict=True):
        if mean != 0.0:
            component -= mean
    return HelmholtzSplit(gradient, curl, harmonic, labels, chi)


def _check(faces: FaceField) -> None:
    largest = faces.largest()
    if not np.isfinite(largest):
        raise InvalidInput("expected a finite field, got infinite or NaN face values")
    for axis, component in enumerate(faces.components):
        if not faces.grid.periodic[axis]:
            continue
        first, last = np.moveaxis(component, axis, 0)[[0, -1]]
        gap = float(np.abs(last - first).max())
        if gap > ROUND_OFF * largest:
            raise InvalidInput(
                f"expected the same values on the first and the last face along the periodic axis {axis}, which are one, got a "
                f"difference of {gap:.3g} (largest face value {largest:.3g}). Copy the first over the last"
            )


def _mean(component: Array, axis: int, grid: Grid) -> np.float64:
    """The constant with the same flux through the box along a periodic axis; zero along others."""
    if not grid.periodic[axis]:
        return np.float64(0.0)
    mean: Any = np.moveaxis(np.moveaxis(component, axis, 0)[:-1], 0, axis)
    for a in reversed(range(grid.dim)):
        mean = mean @ (grid.widths(a) / grid.box.widths[a])
    return np.float64(mean)


def _extremum(psi: Array, grid: Grid) -> Extremum:
    """The stationary point of the polynomial through 5 × 5 nodes near the one with the largest |ψ|; else that node."""
    node, scales, indices, bases = [], [], [], []
    for axis, k in enumerate(int(i) for i in np.unravel_index(int(np.argmax(np.abs(psi))), psi.shape)):
        n, edges, widths = grid.shape[axis], grid.edges(axis), grid.widths(axis)
        scale = float(max(widths[k - 1], widths[k % n]))
        if grid.periodic[axis]:
            steps = np.arange(-2, 3)
            index, offsets = (k + steps) % n, steps * scale
        else:
            index = np.clip(k - 2, 0, n - 4) + np.arange(5)
            offsets = edges[index] - edges[k]
        node.append(float(edges[k]))
        scales.append(scale)
        indices.append(index)
        bases.append(np.vander(offsets / scale, increasing=True))
    surface = np.linalg.solve(bases[1], np.linalg.solve(bases[0], psi[np.ix_(*indices)]).T).T
    slopes = [polynomial.polyder(surface, axis=a) for a in range(2)]
    bends = [[polynomial.polyder(slope, axis=a) for a in range(2)] for slope in slopes]
    sign, place = np.sign(surface[0, 0]), np.zeros(2)
    for _ in range(NEWTON_STEPS):
        gradient = np.array([polynomial.polyval2d(place[0], place[1], slope) for slope in slopes])
        curvature = np.array([[polynomial.polyval2d(place[0], place[1], bend) for bend in row] for row in bends])
        if not (np.linalg.eigvalsh(curvature) * sign < 0.0).all():
            return Extremum(float(surface[0, 0]), (node[0], node[1]))
        place = place - np.linalg.solve(curvature, gradient)
        if not (np.abs(place) <= 1.0).all():
            return Extremum(float(surface[0, 0]), (node[0], node[1]))
    x, y = (
        (start + scale * move - low) % width + low if ring else start + scale * move
        for start, scale, move, low, width, ring in zip(
            node, scales, place.tolist(), grid.box.lower, grid.box.widths.tolist(), grid.periodic, strict=True
        )
    )
    return Extremum(float(polynomial.polyval2d(place[0], place[1], surface)), (x, y))
