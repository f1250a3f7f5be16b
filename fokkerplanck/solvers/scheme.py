"""The log-density scheme on one grid: fluxes, balances and their derivatives, in the layout of the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..fields import FaceField
from ..grid import Array
from ..kernels import flux as kernel
from ..operators import FaceCoefficients
from ..threads import in_pieces, in_planes, shared, summed

# Two axes of a plane are the first and the last of the kernels' three, so that the innermost loop is long.
AXES = {1: (2,), 2: (0, 2), 3: (0, 1, 2)}


def _offsets(axes: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    """The cell and those that exchange probability with it, across faces and edges; those ahead and behind along x last."""
    near = [(i - 1, j - 1, k - 1) for i, j, k in np.ndindex(3, 3, 3)]
    near = [o for o in near if sum(map(abs, o)) < 3 and all(o[a] == 0 for a in range(3) if a not in axes)]
    return tuple(sorted(near, key=lambda o: (o != (0, 0, 0), o[:2] == (0, 0), -o[2])))


OFFSETS = {dim: _offsets(axes) for dim, axes in AXES.items()}


class Scheme:
    """Coefficients of a grid in the three-axis layout of the kernels, and the form of the flux on every face."""

    def __init__(self, coefficients: FaceCoefficients) -> None:
        grid = coefficients.grid
        self.grid = grid
        self.axes = AXES[grid.dim]
        self.shape = self._spread(grid.shape, 1)
        self.periodic = self._spread(grid.periodic, False)
        self.spacing = self._spread(grid.spacing.tolist(), 1.0)
        self.offsets = OFFSETS[grid.dim]
        self.slot = np.full(27, -1)
        for s, (a, b, c) in enumerate(self.offsets):
            self.slot[((a + 1) * 3 + b + 1) * 3 + c + 1] = s
        faces = [tuple(n + (a == axis and axis in self.axes) for a, n in enumerate(self.shape)) for axis in range(3)]
        if grid.dim == 3:
            self.u, self.d = coefficients.velocity, coefficients.diffusion
        else:
            u, self.d = [np.zeros(f) for f in faces], tuple(np.zeros((3, *f)) for f in faces)
            for a, axis in enumerate(self.axes):
                u[axis] = coefficients.velocity[a].reshape(faces[axis])
                for m, other in enumerate(self.axes):
                    shared(np.positive, coefficients.diffusion[a][m].reshape(faces[axis]), out=self.d[axis][other])
            self.u = tuple(u)
        self.regular = tuple(np.zeros(f, dtype=np.bool_) for f in faces)
        self.w = tuple(np.zeros(f) for f in faces)
        self._slope = np.zeros((3, *self.shape))

    def _spread(self, values: Any, filler: Any) -> tuple[Any, ...]:
        out = [filler] * 3
        for axis, value in zip(self.axes, values, strict=True):
            out[axis] = value
        return tuple(out)

    def _slopes(self, phi: Array) -> Array:
        in_planes(kernel.slopes, self.shape[0], phi.size, phi, self.spacing, self.periodic, self._slope)
        return self._slope

    def freeze(self, phi: Array, steepest: float, fastest: float, limit: float) -> None:
        """Choose the form of the flux on every face, and the cross drift of the linear ones, from a reference Φ."""
        phi = phi.reshape(self.shape)
        forms = (steepest, fastest, limit, self.regular, self.w)
        self._over(kernel.freeze, phi, self._slopes(phi), self.u, self.d, self.spacing, self.periodic, *forms)

    def freeze_around(self, cells: NDArray[np.bool_]) -> None:
        """Give the faces of some cells the frozen form."""
        cells = cells.reshape(self.shape)
        for axis in self.axes:
            regular, inside = np.moveaxis(self.regular[axis], axis, 0), np.moveaxis(cells, axis, 0)
            regular[:-1][inside] = False
            regular[1:][inside] = False
            if self.periodic[axis]:  # the kernels read the first face of a ring, never the last
                regular[0][inside[-1]] = False

    def slower(self, phi: Array, fastest: float) -> tuple[Any, Any]:
        """Forms and cross drift with faces above the cell Péclet number ``fastest`` linear too; the own where none is."""
        phi = phi.reshape(self.shape)
        regular, w = tuple(np.zeros(r.shape, np.bool_) for r in self.regular), tuple(np.zeros(w.shape) for w in self.w)
        forms = (np.inf, fastest, np.inf, regular, w)
        self._over(kernel.freeze, phi, self._slopes(phi), self.u, self.d, self.spacing, self.periodic, *forms)
        if not any((own > slow).any() for own, slow in zip(self.regular, regular, strict=True)):
            return self.regular, self.w
        for axis in self.axes:
            np.copyto(w[axis], self.w[axis], where=~self.regular[axis])
            np.logical_and(regular[axis], self.regular[axis], out=regular[axis])
        return regular, w

    def _over(self, function: Any, phi: Array, *arguments: Any) -> None:
        in_planes(function, self.shape[0], phi.size, phi, *arguments)

    def probability(self, phi: Array) -> Array:
        """e^{−Φ} × cell volume."""
        out, volume = np.empty(phi.shape), self.grid.cell_volume

        def piece(rows: slice) -> None:
            np.exp(-phi[rows], out=out[rows])
            out[rows] *= volume

        in_pieces(piece, phi.shape[0], phi.size)
        return out

    def regular_mass(self, probability: Array) -> float:
        """Mean over a cell's faces of whether they are regular, weighted with probability."""
        probability = probability.reshape(self.shape)
        total = 0.0
        for axis in self.axes:
            forms = np.moveaxis(self.regular[axis], axis, 0).copy(order="K")
            forms[-1] = forms[0] if self.periodic[axis] else True  # a wall face carries exactly nothing
            forms[0] = forms[-1]
            before, behind = (np.moveaxis(f, 0, axis) for f in (forms[:-1], forms[1:]))

            def piece(rows: slice, before: Any = before, behind: Any = behind) -> float:
                p = probability[rows]
                return float(np.sum(p * before[rows]) + np.sum(p * behind[rows]))

            total += 0.5 * summed(piece, self.shape[0], probability.size)
        return total / len(self.axes)

    def flux(self, phi: Array, s: Array) -> FaceField:
        """J(Φ) + J'(Φ)s, exactly the flux whose balance ``balance`` linearises."""
        return self._fluxes(phi, s, 1.0)

    def change(self, phi: Array, s: Array) -> FaceField:
        """J'(Φ)s."""
        return self._fluxes(phi, s, 0.0)

    def _fluxes(self, phi: Array, s: Array, own: float) -> FaceField:
        phi, s = phi.reshape(self.shape), s.reshape(self.shape)
        currents = tuple(np.zeros(u.shape) for u in self.u)
        arguments = (s, self.u, self.d, self.spacing, self.periodic, self.regular, self.w, own, currents)
        self._over(kernel.fluxes, phi, self._slopes(phi), *arguments)
        return FaceField(
            self.grid, tuple(currents[a].reshape(self.grid.face_shape(i)) for i, a in enumerate(self.axes))
        )

    def balance(self, phi: Array, forms: tuple[Any, Any] | None = None) -> tuple[Array, Array]:
        """Outflow over density of every cell, and its derivative by s = δp/p: rows[z, y, s, x], the cell itself entry 0."""
        phi = phi.reshape(self.shape)
        regular, w = forms or (self.regular, self.w)
        residual, rows = np.empty(self.shape), np.empty((*self.shape[:2], len(self.offsets), self.shape[2]))
        arguments = (self.u, self.d, self.spacing, self.periodic, regular, w, self.slot, residual, rows)
        self._over(kernel.balance, phi, self._slopes(phi), *arguments)
        return residual, rows
