r"""FiPy: the same equation by a discretisation and linear solvers written by others.

.. math::

    \frac{p^{k+1} - p^k}{\Delta t} = \nabla\cdot\bigl(D_\parallel\nabla p^{k+1} - u\,p^{k+1}\bigr)
        + \nabla\cdot\bigl(D_\times\nabla p^k\bigr)

is swept to its steady state. :math:`D_\parallel` is the diagonal of D, with u discretised by FiPy's exponential scheme;
:math:`D_\times` is the rest, which FiPy takes explicitly and from harmonic means of cell gradients, that is nonlinearly.

When to trust it: see docs/theory/method.md, "FiPy as a reference".

Reference: J. E. Guyer, D. Wheeler and J. A. Warren, Comput. Sci. Eng. 11(3), 6 (2009), doi:10.1109/MCSE.2009.52.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput, NotConverged
from ..fields import FaceField
from ..grid import Array, Grid
from ..operators import face_coefficients
from ..process import DiffusionProcess
from ..progress import progress_bar

# Sweeps without progress, that is without a change below 0.95 of the one that counted last, before the step is halved: those
# of a stable step may grow at first, those of an unstable one grow for good or go round in a cycle.
PATIENCE, PROGRESS = 10, 0.95
HALVINGS = 20  # 1e-6 of the diffusion time of the box, which is h² / D on a thousand cells along an axis
EXPLODED = 10.0  # Σ|p|ΔV of a density is 1, and a few where a sweep overshoots on its way
WINDOW = 4  # sweeps over which the rate of convergence is measured: alternating changes average out
# A sweep loses round-off × Δt × (fastest rate) of the mass: about 1e-13 on small grids. Steps so long that it is more than
# LOSS are halved, and a hundred sweeps together stay below MASS, far below any discretisation error.
LOSS, MASS = 1e-10, 1e-8
# Changes that shrink by less than SLOW are those of a slow mode if all of them shrink alike (their factors agree to a share
# SINGLE of 1 − factor). Then a LONGER step is tried, and again while that brings 1 − factor up; a slow mode alone would bring
# it up by LONGER, the explicit part of the scheme not at all.
SLOW, SINGLE, LONGER, HELPED = 0.8, 0.2, 4.0, 1.5
SIDES = ("LeftRight", "TopBottom", "FrontBack")  # FiPy's words for axes 0, 1, 2


@dataclass(frozen=True)
class FipyDensity:
    """What FiPy returns: a density that may be negative, so it is kept as it is and not as a logarithm.

    Attributes
    ----------
    grid : Grid
    density : ndarray, shape ``grid.shape``
        p at the cell centres, as FiPy has it, divided by its mass; of either sign.
    flux : FaceField
        The flux that FiPy balances; its divergence is FiPy's own residual, to round-off.
    diagnostics : dict
        ``sweeps``, ``halvings``, ``time_step`` (the last Δt), ``change`` (Σ|Δp|ΔV of the last sweep), ``remaining`` (estimated
        distance in L1 to the steady state of FiPy's scheme, not to the exact density), ``mass`` before division, ``smallest``
        (min p / max p), ``negative_mass`` (Σ|p|ΔV over negative cells), ``divergence`` (largest |∇·J|), ``largest_flux``,
        ``seconds``, ``fipy`` (its version).
    """

    grid: Grid
    density: Array
    flux: FaceField
    diagnostics: Mapping[str, Any]


def solve_fipy(
    process: DiffusionProcess,
    grid: Grid,
    *,
    tolerance: float = 1e-10,
    max_sweeps: int = 1000,
    max_seconds: float = 300.0,
    progress: bool | None = None,
) -> FipyDensity:
    r"""Stationary density of :math:`\partial_t p = \nabla\cdot(D\nabla p - u\,p)` on one grid, by FiPy.

    Starts from the uniform density with one diffusion time of the box as pseudo-time step; a step that does not converge is
    halved and the last good density taken up again, and lengthened for a slow mode where that helps. On reflecting walls the
    off-diagonal elements of D are set to zero: FiPy would let the tangential part of the flux through the wall.

    Parameters
    ----------
    process : DiffusionProcess
    grid : Grid
        FiPy factorises its matrix anew in every sweep: 128² and 16³ cells are comfortable, 256² takes minutes.
    tolerance : float
        :math:`\sum|p - p_\infty|\,\Delta V \le` tolerance by estimate, :math:`p_\infty` the steady state on this grid. The
        discretisation error, which is much larger, is not estimated.
    max_sweeps : int
    max_seconds : float
    progress : bool, optional
        Progress bar on stderr; by default only on a terminal.

    Returns
    -------
    FipyDensity

    Raises
    ------
    InvalidInput
        For arguments that do not fit, or faces with neither drift nor noise across them, where FiPy divides zero by zero.
    NotConverged
        If the sweeps do not settle within the limits or at any step, or probability is lost; ``best`` is the last
        FipyDensity that was still finite.

    Examples
    --------
    >>> from fokkerplanck.grid import Box
    >>> process = DiffusionProcess(lambda x: -x, 0.5, dim=1)
    >>> result = solve_fipy(process, Grid(Box([-4], [4]), (64,)))
    >>> bool(abs(result.density.max() - np.pi**-0.5) < 5e-3)
    True
    """
    if not isinstance(process, DiffusionProcess) or not isinstance(grid, Grid):
        raise InvalidInput(
            f"expected a DiffusionProcess and a Grid, got {type(process).__name__} and {type(grid).__name__}"
        )
    if not grid.uniform:
        raise InvalidInput(f"grid: expected equal cells along every axis, got maps {grid.maps}")
    if not (isinstance(tolerance, Real) and 1e-10 <= tolerance < 1):
        raise InvalidInput(
            f"tolerance: expected a number from 1e-10 (round-off of the sweeps) to below 1, got {tolerance!r}"
        )
    if not isinstance(max_sweeps, (int, np.integer)) or max_sweeps < 1:
        raise InvalidInput(f"max_sweeps: expected a positive whole number, got {max_sweeps!r}")
    if not (isinstance(max_seconds, Real) and max_seconds > 0):
        raise InvalidInput(f"max_seconds: expected a positive number, got {max_seconds!r}")
    march = _March(_Equation(process, grid), tolerance)
    with progress_bar("FiPy", -np.log10(tolerance), show=progress) as advance:
        while not march.settled:
            if march.sweeps == max_sweeps:
                raise march.failure(f"max_sweeps={max_sweeps} sweeps were not enough")
            if time.perf_counter() - march.started > max_seconds:
                raise march.failure(f"max_seconds={max_seconds:g} have passed after {march.sweeps} sweeps")
            if march.halvings == HALVINGS:
                raise march.failure(f"no pseudo-time step down to {march.step:.1e} converges")
            advance(march.sweep())
    result = march.result()
    lost = 1.0 - result.diagnostics["mass"]
    if not abs(lost) <= MASS:
        raise NotConverged(
            f"FiPy's density lost {lost:.2e} of the probability, more than round-off does. Its density is in this "
            "exception's .best, divided by the mass that is left",
            best=result,
        )
    return result


class _March:
    """Sweeps in pseudo-time, with the step that they bear."""

    def __init__(self, equation: _Equation, tolerance: float) -> None:
        self.equation = equation
        self.tolerance = tolerance
        self.started = time.perf_counter()
        self.sweeps = self.halvings = 0
        self.step = equation.diffusion_time
        self.ceiling = np.inf  # the shortest step that did not converge
        self.gap = 0.0  # 1 − rate when the step was last lengthened
        self.change = np.inf
        self.decades = 0.0
        self._restart(equation.p.value.copy())

    def _restart(self, start: Array) -> None:
        self.good = start  # after the sweep that changed least
        self.smallest, self.mark, self.since = np.inf, np.inf, 0
        self.changes: list[float] = []
        self.previous: Array | None = None

    def sweep(self) -> float:
        """One more, at half the step where the last ones led nowhere; the decades of accuracy it has gained."""
        old = self.equation.p.value.copy()
        self.equation.sweep(self.step)
        self.sweeps += 1
        p = self.equation.p.value
        exploded = not float(np.abs(p).sum()) * self.equation.grid.cell_volume < EXPLODED
        if exploded or abs(float(p.sum() / old.sum()) - 1.0) > LOSS:
            self._shorten()
            return 0.0
        # Without the loss of mass, which is round-off that a long step amplifies and that never ends.
        difference = (p * (old.sum() / p.sum()) - old) * self.equation.grid.cell_volume
        change = float(np.abs(difference).sum())
        self.change = change
        self.changes.append(change)
        if change < self.smallest:
            self.smallest, self.good = change, p.copy()
        self.mark, self.since = (change, 0) if change < PROGRESS * self.mark else (self.mark, self.since + 1)
        if self.since == PATIENCE and not self.settled:
            self._shorten()
            return 0.0
        self._lengthen(difference)
        before = self.decades
        if 0.0 < self.remaining < np.inf:
            self.decades = min(max(before, -np.log10(self.remaining)), -np.log10(self.tolerance))
        return self.decades - before

    def _shorten(self) -> None:
        self.ceiling = self.step
        self.step *= 0.5
        self.halvings += 1
        self.equation.p.setValue(self.good)
        self._restart(self.good)

    def _lengthen(self, difference: Array) -> None:
        """A longer step for a slow mode, unless that is known not to help."""
        before, self.previous = self.previous, difference
        rate, trend = self.rate, self.trend
        if before is None or not SLOW < rate < 1.0 or self.settled or LONGER * self.step >= self.ceiling:
            return
        # A single mode shrinks by the same factor in every sweep, and does not change sign.
        if float(difference @ before) < 0.0 or abs(self.changes[-1] / self.changes[-2] - trend) > SINGLE * (1.0 - rate):
            return
        if 1.0 - rate < HELPED * self.gap:
            self.ceiling = self.step
            return
        self.gap = 1.0 - rate
        self.step *= LONGER
        self._restart(self.equation.p.value.copy())

    @property
    def trend(self) -> float:
        """Mean factor from one change to the next."""
        if len(self.changes) <= WINDOW:
            return np.inf
        return (self.changes[-1] / self.changes[-1 - WINDOW]) ** (1 / WINDOW) if self.changes[-1] > 0.0 else 0.0

    @property
    def rate(self) -> float:
        """The larger of the trend and the last factor, so that one lucky sweep does not count."""
        trend = self.trend
        return max(trend, self.changes[-1] / self.changes[-2]) if 0.0 < trend < np.inf else trend

    @property
    def remaining(self) -> float:
        """The changes still to come, summed as a geometric series."""
        rate = self.rate
        return self.change * rate / (1.0 - rate) if rate < 1.0 else np.inf

    @property
    def settled(self) -> bool:
        return self.remaining <= self.tolerance

    def result(self) -> FipyDensity:
        """The density as it stands."""
        grid, p = self.equation.grid, self.equation.cells(self.equation.p.value)
        mass = float(p.sum()) * grid.cell_volume
        flux = FaceField(grid, tuple(c / mass for c in self.equation.flux()))
        diagnostics = {
            "method": "FiPy finite volumes",
            "fipy": self.equation.version,
            "tolerance": self.tolerance,
            "sweeps": self.sweeps,
            "halvings": self.halvings,
            "time_step": self.step,
            "change": self.change,
            "remaining": self.remaining,
            "mass": mass,
            "smallest": float(p.min() / p.max()),
            "negative_mass": float(np.abs(p[p < 0]).sum()) * grid.cell_volume / mass,
            "divergence": float(np.abs(flux.divergence()).max()),
            "largest_flux": flux.largest(),
            "seconds": time.perf_counter() - self.started,
        }
        return FipyDensity(grid, p / mass, flux, diagnostics)

    def failure(self, reason: str) -> NotConverged:
        """What to raise, with the last good density."""
        self.equation.p.setValue(self.good)
        return NotConverged(
            f"FiPy did not reach its steady state on {self.equation.grid.shape} cells: {reason}; the last sweep moved "
            f"{self.change:.1e} of the probability at a pseudo-time step of {self.step:.1e} ({self.halvings} halvings). "
            "Correlated noise, which FiPy takes explicitly, and barriers slow it down: take fewer cells, a smaller box or more "
            "sweeps. What there was is in this exception's .best and is no stationary density",
            best=self.result() if self.sweeps else None,
        )


class _Equation:
    """Mesh, coefficients and terms of FiPy, and where its faces are on our grid."""

    def __init__(self, process: DiffusionProcess, grid: Grid) -> None:
        coefficients = face_coefficients(process, grid)
        self.grid = grid
        widths = grid.box.widths
        mean = np.array([np.mean(d[a]) for a, d in enumerate(coefficients.diffusion)])
        if not (mean > 0).any():
            raise InvalidInput("diffusion: expected noise somewhere in the box, got D = 0 on every face")
        self.diffusion_time = float((widths**2 / np.where(mean > 0, mean, np.inf)).max())
        fipy = _import_fipy()
        from fipy.solvers.scipy.linearLUSolver import LinearLUSolver  # whatever suite FiPy was imported with

        self.version = str(fipy.__version__)
        around = "".join(side for side, periodic in zip(SIDES, grid.periodic, strict=False) if periodic)
        kind = "PeriodicGrid" if around else "Grid"
        make = getattr(fipy, f"{kind}{grid.dim}D" + ("" if all(grid.periodic) else around))
        cells = {f"n{axis}": n for axis, n in zip("xyz", grid.shape, strict=False)}
        sizes = {f"d{axis}": float(h) for axis, h in zip("xyz", grid.spacing, strict=False)}
        self.mesh = make(**cells, **sizes)
        self.normal = np.asarray(self.mesh.faceNormals, dtype=float)
        self.faces = [self._faces(axis) for axis in range(grid.dim)]
        self.u, self.d = self._sample(coefficients.velocity, coefficients.diffusion)
        self.p = fipy.CellVariable(mesh=self.mesh, value=1.0 / float(np.prod(widths)))
        self.convection = fipy.ExponentialConvectionTerm(coeff=fipy.FaceVariable(mesh=self.mesh, rank=1, value=self.u))
        tensor = fipy.FaceVariable(mesh=self.mesh, rank=2, value=self.d)
        self.equation = fipy.TransientTerm() + self.convection - fipy.DiffusionTerm(coeff=tensor)
        # One solve and one refinement of it. FiPy's default stops where the residual is small against a right-hand side that
        # is no scale here; it then stops too early.
        self.solver = LinearLUSolver(tolerance=0.0, criterion="unscaled", iterations=2)

    def _faces(self, axis: int) -> tuple[NDArray[np.intp], tuple[NDArray[np.intp], ...]]:
        """FiPy's faces normal to an axis, and their indices in an array of shape ``grid.face_shape(axis)``."""
        faces = np.flatnonzero(np.abs(self.normal[axis]) > 0.5)
        place = np.asarray(self.mesh.faceCenters.value, dtype=float)[:, faces] / self.grid.spacing[:, None]
        index = [np.rint(x) if a == axis else np.floor(x) for a, x in enumerate(place)]
        return faces, tuple(i.astype(np.intp) for i in index)

    def _sample(self, velocity: tuple[Array, ...], diffusion: tuple[Array, ...]) -> tuple[Array, Array]:
        """u and D on FiPy's faces: only u_a and row a of D where the normal is along a, for nothing else is used there."""
        dim, count = self.normal.shape
        u, d = np.zeros((dim, count)), np.zeros((dim, dim, count))
        for a, (faces, index) in enumerate(self.faces):
            u[a, faces] = velocity[a][index]
            for m in range(dim):
                d[a, m, faces] = diffusion[a][m][index]
            inside = np.ones(faces.size, dtype=bool)
            if not self.grid.periodic[a]:
                # On walls u and row a of D are zero already, so nothing leaks; FiPy's Péclet number there, which it computes
                # and does not use, needs a D_aa that is not zero.
                inside = (index[a] > 0) & (index[a] < self.grid.shape[a])
                d[a, a, faces[~inside]] = 1.0
            still = inside & (u[a, faces] == 0.0) & (d[a, a, faces] == 0.0)
            if still.any():
                where = np.asarray(self.mesh.faceCenters.value)[:, faces[still][0]] + self.grid.box.lower
                raise InvalidInput(
                    f"expected drift or noise across every face, got neither at {where.tolist()} ({int(still.sum())} faces), "
                    "where FiPy divides zero by zero. Shift the box by a fraction of a cell, or use the default method"
                )
        return u, d

    def sweep(self, step: float) -> None:
        """p after one pseudo-time step."""
        with warnings.catch_warnings():
            # FiPy's tangents of the faces normal to z are 0/0 before it replaces them.
            warnings.filterwarnings(
                "ignore",
                "(divide by zero|invalid value) encountered in divide",
                RuntimeWarning,
                r"fipy\.variables\.variable",
            )
            self.equation.solve(var=self.p, dt=step, solver=self.solver)

    def cells(self, values: Array) -> Array:
        """FiPy's cell values, x fastest, as an array of shape ``grid.shape``."""
        return np.asarray(values).reshape(self.grid.shape[::-1]).T

    def flux(self) -> list[Array]:
        """u(αp₁ + (1 − α)p₂) − D∇p on our faces, with FiPy's own weights α and its harmonic means of the gradient."""
        p = np.asarray(self.p.value)
        first, second = np.ma.filled(np.ma.asarray(self.mesh.faceCellIDs), -1)
        weight = np.asarray(self.convection.stencil["implicit"]["cell 1 diag"].value)
        gradient = np.asarray(self.p.grad.harmonicFaceValue.value)
        components = []
        for a, (faces, index) in enumerate(self.faces):
            lower, upper, alpha = p[first[faces]], p[second[faces]], weight[faces]
            across = self.normal[a, faces] * (upper - lower) / self.grid.spacing[a]
            flux = self.u[a, faces] * (alpha * lower + (1.0 - alpha) * upper) - self.d[a, a, faces] * across
            for m in range(self.grid.dim):
                if m != a:
                    flux -= self.d[a, m, faces] * gradient[m, faces]
            component = np.zeros(self.grid.face_shape(a))
            component[index] = np.where(second[faces] >= 0, flux, 0.0)  # a wall, or the unused copy of a periodic face
            if self.grid.periodic[a]:
                ends = np.moveaxis(component, a, 0)
                ends[-1] = ends[0]
            components.append(component)
        return components


def _import_fipy() -> Any:
    """FiPy with its SciPy solvers; it reads the command line and the environment when imported, and sees neither."""
    with _pinned(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"numpy\.core is deprecated", DeprecationWarning)  # a name it imports
        import fipy
    return fipy


@contextmanager
def _pinned() -> Iterator[None]:
    argv, ours = sys.argv, {key: value for key, value in os.environ.items() if key.startswith("FIPY_")}
    for key in ours:
        del os.environ[key]
    sys.argv, os.environ["FIPY_SOLVERS"] = ["fipy"], "scipy"
    try:
        yield
    finally:
        sys.argv = argv
        del os.environ["FIPY_SOLVERS"]
        os.environ.update(ours)
