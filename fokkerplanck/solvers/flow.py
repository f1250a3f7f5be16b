r"""Trajectories of the flow :math:`\dot x = u(x)`, many at once: where they settle, cycle or escape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from ..grid import Array
from ..process import DiffusionProcess

Velocity = Callable[[Array, Array], Array]
STEPS = 320  # of a trajectory; one that ends in a point needs 20 to 100, the rest is for going round cycles
BEND = 0.1  # error of a step in units of the steps lately taken: enough to stay in a basin and on a cycle
UNSTABLE_STEP = 0.3  # times the growth time; beyond, an implicit step would settle on an unstable point
# The length of the steps lately taken is that of the last one, or this share of what it was before: short steps, where an orbit
# turns or rests, do not set the scale of all errors. Measured on the systems of the tests: 0.5 loses three of them, 0.9 none.
LATELY = 0.8
TOO_WIDE = 3.0  # times the error aimed at: a step with more is not taken; one between is, and the next one is shorter
CAREFUL = 0.8  # of the step that the error would just allow: most are taken at the first attempt then
CHANGE = (0.2, 4.0)  # of the step at most at once: the error of a step says little about one much shorter or longer
STILL = 1e-9  # a step this small against the whole path ends it
FINEST = 1e-6  # of the path so far: the smallest length on which the flow is differentiated
NARROWEST = 1e-12  # of the size of a position: lengths below are lost in double precision
# The region covered in the last quarter of the steps against that of the quarter before: a cycle stays between these.
SHRINKING, GROWING, SHIFTED = 0.98, 2.0, 0.3

SETTLED, MOVING, FALLING, ESCAPED, UNDEFINED = range(5)


@dataclass(frozen=True)
class Paths:
    """Where trajectories of the flow went.

    Attributes
    ----------
    end : ndarray, shape (d, n)
    lower, upper : ndarray, shape (d, n)
        The region covered late: a point for those that settled, the cycle for those that go round one.
    length : ndarray, shape (d, n)
        Smallest lengths on which the flow was differentiated near the end.
    status : ndarray of int, shape (n,)
        SETTLED, MOVING (going round a cycle, or as if), FALLING (into something not yet reached), ESCAPED or UNDEFINED (the
        process is not defined there).
    """

    end: Array
    lower: Array
    upper: Array
    length: Array
    status: NDArray[np.intp]


def velocity_of(process: DiffusionProcess) -> Velocity:
    """u at points of shape (d, n), NaN where the process is not defined; differences of D on lengths of shape (d, n)."""

    constant = process.interpretation == "ito" and _constant(process)

    def velocity(x: Array, length: Array) -> Array:
        try:
            with np.errstate(all="ignore"):  # far away on purpose: overflow there is an answer, not a mistake
                return process.drift(x) if constant else process.current_velocity(x, length)
        except (InvalidInput, ArithmeticError, LookupError):
            n = x.shape[1]
            if n <= 1:
                return np.full_like(x, np.nan)
            halves = np.array_split(np.arange(n), 2)
            return np.concatenate([velocity(x[:, h], length[:, h]) for h in halves], axis=1)

    return velocity


def _constant(process: DiffusionProcess) -> bool:
    """Whether D is the same to the last bit at places on all scales, so that there is nothing to differentiate."""
    places = np.logspace(-3, 5, 17) * np.array([[1.0], [-0.7], [0.4]])[: process.dim]
    try:
        with np.errstate(all="ignore"):
            tensor = process.diffusion(np.concatenate([places, -places[::-1]], axis=1))
    except (InvalidInput, ArithmeticError, LookupError):  # not defined everywhere, so not constant
        return False
    return bool((tensor == tensor[..., :1]).all())


def jacobian(velocity: Velocity, x: Array, length: Array, reach: float) -> tuple[Array, Array]:
    """u of shape (d, n) and ∂u_i/∂x_j of shape (n, d, d) by central differences over ``reach × length``."""
    d, n = x.shape
    step = reach * length
    shifts = np.eye(d)[:, :, None] * step[:, None, :]
    points = np.concatenate([x[:, None], x[:, None] + shifts, x[:, None] - shifts], axis=1)
    lengths = np.broadcast_to(length[:, None], points.shape)
    u = velocity(points.reshape(d, -1), lengths.reshape(d, -1)).reshape(d, 2 * d + 1, n)
    slopes = (u[:, 1 : d + 1] - u[:, d + 1 :]) / (2.0 * step)
    return u[:, 0], np.moveaxis(slopes, 2, 0)


def follow(velocity: Velocity, starts: Array, length: Array, *, farthest: float, steps: int = STEPS) -> Paths:
    """Follow dx/dt = u from many starts at once, each with a step of its own.

    Linearly implicit Euler, one step against two halves, extrapolated: near a stable point steps grow without bound and it
    becomes Newton's method, while stiffness costs nothing. Time itself is of no interest.

    Parameters
    ----------
    starts, length : ndarray, shape (d, n)
        Where to start, and on which length the first step is to be small.
    farthest : float
        Distance from the mean of the starts beyond which a trajectory has escaped.
    """
    d, n = starts.shape
    origin = starts.mean(axis=1, keepdims=True)
    x, usual, low, high = starts.copy(), length.copy(), starts.copy(), starts.copy()
    late = [(np.full((d, n), np.inf), np.full((d, n), -np.inf)) for _ in range(2)]
    status = np.full(n, MOVING)
    dt = np.zeros(n)
    for number in range(steps):
        go = np.flatnonzero(status == MOVING)
        if go.size == 0:
            break
        extent = high[:, go] - low[:, go]
        fine = np.maximum(np.maximum(usual[:, go], FINEST * extent), NARROWEST * (np.abs(x[:, go]) + length[:, go]))
        u, slopes = jacobian(velocity, x[:, go], fine, 1e-3)
        known = np.isfinite(u).all(axis=0) & np.isfinite(slopes).all(axis=(1, 2))
        status[go[~known]] = UNDEFINED
        go, u, slopes, fine = go[known], u[:, known], slopes[known], fine[:, known]
        if go.size == 0:
            break
        if number == 0:
            with np.errstate(divide="ignore"):
                dt[go] = np.min(0.1 * fine / np.abs(u), axis=0)
        growth = np.linalg.eigvals(slopes).real.max(axis=1)
        with np.errstate(divide="ignore"):
            longest = np.where(growth > 0.0, UNSTABLE_STEP / growth, np.inf)
        dt[go] = np.minimum(np.minimum(dt[go], longest), 1e300)
        status[go[(u == 0.0).all(axis=0)]] = SETTLED
        whole = x[:, go] + _implicit(slopes, u, dt[go])
        half = x[:, go] + _implicit(slopes, u, 0.5 * dt[go])
        final = half + _implicit(slopes, velocity(half, fine), 0.5 * dt[go])
        moved = 2.0 * final - whole - x[:, go]
        reference = np.maximum(np.maximum(np.abs(moved), LATELY * usual[:, go]), fine)
        error = np.max(np.abs(final - whole) / reference, axis=0)
        taken = np.isfinite(error) & (error < TOO_WIDE * BEND)
        ok = go[taken]
        x[:, ok] += moved[:, taken]
        usual[:, ok] = np.maximum(np.abs(moved[:, taken]), LATELY * usual[:, ok])
        low[:, ok], high[:, ok] = np.minimum(low[:, ok], x[:, ok]), np.maximum(high[:, ok], x[:, ok])
        quarter = 4 * number // steps - 2
        if quarter >= 0:
            np.minimum(late[quarter][0], x, out=late[quarter][0])
            np.maximum(late[quarter][1], x, out=late[quarter][1])
        tolerance = STILL * (high[:, ok] - low[:, ok]) + NARROWEST * (np.abs(x[:, ok]) + length[:, ok])
        rest = (np.abs(moved[:, taken]) <= tolerance).all(axis=0) & (usual[:, ok] <= 1e3 * tolerance).all(axis=0)
        status[ok[rest]] = SETTLED
        status[ok[(np.abs(x[:, ok] - origin) > farthest).any(axis=0)]] = ESCAPED
        with np.errstate(all="ignore"):
            change = np.where(np.isfinite(error), np.clip(CAREFUL * BEND / error, *CHANGE), CHANGE[0])
        dt[go] *= change
    fine = np.maximum(usual, FINEST * (high - low))
    lower, upper = x.copy(), x.copy()
    for i in np.flatnonzero(status == MOVING):
        (low3, high3), (low4, high4) = ((low[:, i], high[:, i]) for low, high in late)
        ratio = float(np.max((high4 - low4) / np.maximum(high3 - low3, NARROWEST * (1.0 + np.abs(x[:, i])))))
        if ratio > GROWING:
            status[i] = ESCAPED
        elif ratio < SHRINKING or _shifted(low3, high3, low4, high4):  # on its way into a focus, round and round
            point = stable_point(velocity, x[:, i], np.maximum(high4 - low4, fine[:, i]))
            status[i] = FALLING if point is None else SETTLED
            if point is not None:
                x[:, i] = lower[:, i] = upper[:, i] = point
        if status[i] == MOVING:
            lower[:, i], upper[:, i] = low4, high4
    return Paths(x, lower, upper, fine, status)


def _shifted(low3: Array, high3: Array, low4: Array, high4: Array) -> bool:
    """Whether the region covered moved on along some axis."""
    slack = SHIFTED * (high4 - low4)
    return bool(((np.abs(low4 - low3) > slack) | (np.abs(high4 - high3) > slack)).any())


def stable_point(velocity: Velocity, x: Array, length: Array) -> Array | None:
    """The stable zero of u close to x (within ten lengths), if there is one."""
    from scipy.optimize import root  # slow to import, and not needed in a given box

    found = root(lambda y: velocity((x + length * y)[:, None], length[:, None])[:, 0], np.zeros_like(x))
    if not found.success or np.abs(found.x).max() > 10.0:
        return None
    point = x + length * found.x
    _, slopes = jacobian(velocity, point[:, None], length[:, None], 1e-3)
    return point if np.isfinite(slopes).all() and np.linalg.eigvals(slopes[0]).real.max() < 0.0 else None


def _implicit(slopes: Array, u: Array, dt: Array) -> Array:
    """The step δ of (1/dt − A) δ = u, shape (d, n); infinite steps are Newton's."""
    d = u.shape[0]
    with np.errstate(all="ignore"):
        matrix = np.eye(d) / dt[:, None, None] - slopes
        try:
            step = np.linalg.solve(matrix, u.T[:, :, None])[:, :, 0].T
        except np.linalg.LinAlgError:  # one of them is singular: a flat direction, in which nothing moves
            step = np.einsum("nij,jn->in", np.linalg.pinv(matrix), u)
    return np.asarray(step, dtype=np.float64)
