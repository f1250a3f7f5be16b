r"""Densities in time: the equation ∂p/∂t = −∇·J integrated with the monotone generator, positive and conservative.

One step of length H takes six solves with the same factors, :math:`y_k = (1 - HG/5)^{-k}P`, k = 1 … 6. Each is positive and
sums to one; the combination :math:`\sum_k c_k y_k` approximates :math:`e^{HG}P` to fifth order and damps what is stiff.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb, factorial, frexp, log
from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
import xarray as xr
from numpy.typing import ArrayLike

from ..errors import InvalidInput, NotConverged
from ..grid import Array, Grid
from ..process import DiffusionProcess
from ..progress import progress_bar
from ..threads import one_blas_thread
from .chain import elimination_order, factorised
from .generator import generator

# Repeated pole at H/5: L-stable with six solves (between 0.184 and 0.334), and the fifth solve is five Euler steps ending at H.
STAGES, POLE = 6, 0.2
KEPT = 0.5  # share of the Euler value that the higher-order correction leaves in every cell
ORDER = STAGES - 2  # of the comparison solution, whose error is the estimate: it scales as H to the power of five
SAFETY = 2.0  # the next step is doubled where twice the error expected of it would be allowed
SMALLEST_STEP = 60  # halvings of an interval before giving up: 1e-18 of it
LOST = 1e-8  # of the mass in a solve: round-off times the stiffness; above this the factors are not to be trusted
MASS = 1e-6  # by which a given density may miss 1: it then was meant to be one, and is divided by its sum

Start = ArrayLike | Callable[[Array], Any]


@one_blas_thread()
def evolve(
    process: DiffusionProcess,
    grid: Grid,
    p0: Start,
    times: ArrayLike,
    *,
    rtol: float = 1e-4,
    progress: bool | None = None,
) -> xr.Dataset:
    r"""Density at later times: :math:`\partial_t p = -\nabla\cdot J`, :math:`J = u p - D\nabla p`, from p at time zero.

    In space the monotone :func:`fokkerplanck.generator`; in time an L-stable method of order five with steps chosen by its own
    error. Every step is a combination of implicit Euler steps, limited so that no cell loses more than half of its Euler value:
    the density is nowhere negative and its integral is one to round-off, however long the steps.

    Parameters
    ----------
    process : DiffusionProcess
    grid : Grid
        Its cells set the error in space, which is not controlled here; compare with ``grid.refine()``.
    p0 : array_like or callable
        Density at the cell centres, shape ``grid.shape``; or a point, shape (d,), whose cell starts with all probability; or a
        function that maps points (d, ...) to densities (...). A function is divided by its sum over the cells.
    times : array_like, shape (m,)
        Increasing, not negative.
    rtol : float
        Bound on :math:`\int|p - p_G|` at every time, p_G the exact solution of the chain :math:`\dot P = GP`: the estimated
        errors of all steps and what the limiter moves are added up, and the exact solution never enlarges them.
    progress : bool, optional
        Progress bar on stderr; by default only on a terminal.

    Returns
    -------
    xarray.Dataset
        ``density`` (time, *names) and ``time_error`` (time), the estimated :math:`\int|p - p_G|`.

    Raises
    ------
    InvalidInput
        For arguments that do not fit; a density that is negative or does not integrate to one; a point outside the box.
    NotConverged
        If steps of 1e-18 of an interval are not accurate enough, or a linear solve loses mass.

    References
    ----------
    S. P. Nørsett and A. Wolfbrandt, BIT 17, 200 (1977) (rational functions with one pole);
    E. Hairer and G. Wanner, *Solving Ordinary Differential Equations II*, table IV.6.4 (stability),
    doi:10.1007/978-3-642-05221-7.

    Examples
    --------
    >>> from fokkerplanck import Box, DiffusionProcess, Grid
    >>> process = DiffusionProcess(lambda x: -x, 1.0, dim=1)
    >>> p = evolve(process, Grid(Box([-6], [6]), (96,)), [1.03], [0.1, 1.0]).density
    >>> mean = (p * p.x).sum("x") * 0.125
    >>> mean.values.round(3).tolist()  # exactly 1.0625 e^−t, with the centre of the cell: 0.961, 0.391
    [0.962, 0.392]
    """
    at = _checked_times(times)
    if not (isinstance(rtol, Real) and 1e-10 <= rtol < 1):
        raise InvalidInput(f"rtol: expected a number from 1e-10 (round-off of the solves) to below 1, got {rtol!r}")
    G = generator(process, grid)
    probability = _start(p0, grid)
    integrator = _Integrator(G, grid, float(rtol), at[-1])
    densities, errors, now = [], [], 0.0
    with progress_bar("evolving", at[-1], show=progress) as advance:
        for t in at:
            probability = integrator.advance(probability, now, t, advance)
            densities.append(probability.reshape(grid.shape) / grid.cell_volumes)
            errors.append(integrator.error)
            now = t
    names = process.names
    dims = ("time", *names)
    coordinates = {"time": at} | {name: grid.centers(a) for a, name in enumerate(names)}
    units = "1/(" + " ".join(names) + ")"
    density = xr.DataArray(np.stack(densities), dims=dims, attrs={"long_name": "probability density", "units": units})
    error_label = {"long_name": "estimated L1 error of the integration in time", "units": "dimensionless"}
    error = xr.DataArray(np.array(errors), dims="time", attrs=error_label)
    return xr.Dataset({"density": density, "time_error": error}, coords=coordinates)


def weights(stages: int) -> Array:
    r"""c with :math:`\sum_k c_k (1 - z\gamma)^{-k} = e^z + O(z^m)`, k = 1 … m, γ = 1/5."""
    powers = [[comb(k + m - 1, m) * POLE**m for k in range(1, stages + 1)] for m in range(stages)]
    return np.linalg.solve(np.array(powers), np.array([1.0 / factorial(m) for m in range(stages)]))


class _Integrator:
    """Steps of a length that is the interval over a power of two; the factors are kept as long as the length stays."""

    def __init__(self, G: Any, grid: Grid, rtol: float, end: float) -> None:
        self.G = G
        self.order = elimination_order(G, grid)
        self.ordered = G[self.order][:, self.order].tocsc()
        self.rtol = rtol
        self.end = end
        self.error = 0.0
        self.fine = weights(STAGES)
        self.estimate = self.fine - np.append(weights(STAGES - 1), 0.0)
        # The first step is tried at the time in which the fastest cell empties, where the method is accurate without doubt.
        self.step = 1.0 / max(float(np.abs(G.diagonal()).max()), 1e-300)
        self.first = min(self.step, end) if end > 0 else 1.0
        self.length = 0.0
        self.factor: Any = None

    def advance(self, p: Array, start: float, end: float, report: Callable[[float], None]) -> Array:
        gap = end - start
        if gap == 0.0:
            return p
        level = max(0, frexp(gap / self.step)[1])
        done = 0  # in units of the current step, gap/2^level
        while done < 1 << level:
            length = gap / (1 << level)
            proposal, error = self._step(p, length)
            now = start + done * length
            if error > self._allowed(now, length):
                level, done = level + 1, 2 * done
                if now == 0.0:
                    self.first = min(self.first, 0.5 * length)
                if level > SMALLEST_STEP:
                    raise NotConverged(
                        f"the error of a step of {length:.1e} at time {now:g} is {error:.1e}; rtol={self.rtol:g} asks "
                        "for more than double precision can give here"
                    )
                continue
            p, done = proposal, done + 1
            self.error += error
            self.step = length
            report(length)
            while level > 0 and done % 2 == 0 and done < 1 << level:
                if SAFETY * error * 2.0 ** (ORDER + 1) > self._allowed(now + length, 2.0 * length):
                    break
                level, done, length, error = level - 1, done // 2, 2.0 * length, error * 2.0 ** (ORDER + 1)
        self.step = gap / (1 << level)
        return p

    def _allowed(self, now: float, length: float) -> float:
        """Steps get what they cover of the logarithm of time: Σ length/(now + length) ≤ 1 + ln(end/first)."""
        return self.rtol * length / (now + length) / (1.0 + log(max(self.end / self.first, 1.0)))

    def _step(self, p: Array, length: float) -> tuple[Array, float]:
        """Probabilities a step later, and the error: of the method, by estimate, plus what the limiter moved."""
        if length != self.length:
            self.factor = None  # frees the memory of the old factors before the new ones take theirs
            matrix = sp.eye_array(p.size, format="csc") - (POLE * length) * self.ordered
            self.factor, self.length = factorised(matrix.tocsc(), "NATURAL"), length
        y, fine, difference, euler = p[self.order], np.zeros_like(p), np.zeros_like(p), p
        for k in range(STAGES):
            y = self.factor.solve(y)
            mass = float(y.sum())
            if not abs(mass - 1.0) < LOST:
                raise NotConverged(f"a solve with a step of {length:.1e} returned a mass of {mass!r} instead of 1")
            y /= mass  # columns of the matrix sum to one, so this is round-off
            fine += self.fine[k] * y
            difference += self.estimate[k] * y
            if k == round(1 / POLE) - 1:
                euler = y
        limited, moved = limit(euler, fine - euler)
        out = np.empty_like(p)
        out[self.order] = limited
        return out, float(np.abs(difference).sum()) + moved


def limit(euler: Array, correction: Array) -> tuple[Array, float]:
    """euler + correction, where the correction takes at most half of any cell's Euler value.

    What it may not take there, it gives less elsewhere, so that the sum stays. Returns the result and the L1 norm of the
    change.
    """
    allowed = np.maximum(correction, -KEPT * euler)
    excess = float(np.sum(allowed - correction))
    gains = np.maximum(allowed, 0.0)
    total = float(gains.sum())
    if excess > 0.0:
        allowed -= gains * (excess / total)
    return euler + allowed, 2.0 * excess


def _checked_times(times: ArrayLike) -> Array:
    at = np.atleast_1d(np.asarray(times, dtype=float))
    if at.ndim != 1 or at.size == 0 or not np.isfinite(at).all() or at[0] < 0.0 or (np.diff(at) <= 0.0).any():
        raise InvalidInput(f"times: expected one or more increasing numbers, none negative, got {times!r}")
    return at


def _start(p0: Start, grid: Grid) -> Array:
    """Cell probabilities at time zero, shape (cells,)."""
    if callable(p0):
        density = np.asarray(p0(grid.cell_points()), dtype=float)
        if density.shape != grid.shape:
            raise InvalidInput(
                f"p0(x): expected shape {grid.shape} for x of shape {(grid.dim, *grid.shape)}, got {density.shape}"
            )
        _check_density(density, "p0(x)")
        if not density.any():
            raise InvalidInput(
                "p0(x): expected a density, got zero in every cell; it may lie between the centres of the cells"
            )
        return _probability(density, grid)
    given = np.asarray(p0, dtype=float)
    if given.shape == (grid.dim,) and given.shape != grid.shape:
        return _point(given, grid)
    if given.shape != grid.shape:
        raise InvalidInput(
            f"p0: expected a density of shape {grid.shape}, a point of shape {(grid.dim,)} or a function of x, "
            f"got shape {given.shape}"
        )
    _check_density(given, "p0")
    mass = float(np.sum(given * grid.cell_volumes))
    if abs(mass - 1.0) > MASS:
        raise InvalidInput(
            f"p0: expected a density whose sum times the cell volumes is 1, got {mass:.8g}. Divide it by that number"
        )
    return _probability(given, grid)


def _probability(density: Array, grid: Grid) -> Array:
    probability = density * grid.cell_volumes
    return np.asarray(probability / probability.sum()).ravel()


def _check_density(density: Array, name: str) -> None:
    if not np.isfinite(density).all() or density.min() < 0.0:
        worst = density[~np.isfinite(density)][0] if not np.isfinite(density).all() else density.min()
        raise InvalidInput(f"{name}: expected finite values ≥ 0, got {worst}")


def _point(point: Array, grid: Grid) -> Array:
    low, high = np.array(grid.box.lower), np.array(grid.box.upper)
    if not ((low <= point) & (point <= high)).all():
        raise InvalidInput(
            f"p0: expected a point in the box from {low.tolist()} to {high.tolist()}, got {point.tolist()}"
        )
    cell = [min(int(np.searchsorted(grid.edges(a), point[a], "right")) - 1, n - 1) for a, n in enumerate(grid.shape)]
    probability = np.zeros(grid.shape)
    probability[tuple(cell)] = 1.0
    return probability.ravel()
