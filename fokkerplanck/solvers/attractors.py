r"""Where the deterministic part of a process settles, and how far the noise spreads it there.

The flow is :math:`\dot x = u(x)` with the current velocity u of :math:`J = u\,p - D\nabla p`, not the drift b: under detailed
balance :math:`D\nabla\ln p = u`, so the stable points of u are the maxima of the density, in every interpretation and
for noise that depends on position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_continuous_lyapunov

from ..errors import BoxNotFound, InvalidInput, NoStationaryState
from ..grid import Array
from ..process import DiffusionProcess
from .flow import (
    ESCAPED,
    FALLING,
    MOVING,
    NARROWEST,
    SETTLED,
    UNDEFINED,
    Paths,
    follow,
    jacobian,
    stable_point,
    velocity_of,
)

SCALES = 10.0 ** np.arange(-2, 6)  # distances from the guess at which trajectories start
LONGER = 4  # times that trajectories are followed on if none has reached anything
AGAIN = 3  # times at most that the neighbourhood of what was found is searched for more
SHELLS = (1.0, 2.0, 5.0, 20.0)  # distances of starts about that neighbourhood, in units of its width
OUTER = 3.0  # times as wide as a cycle it goes round, a trajectory has not arrived yet
FARTHEST = 1e25  # where a trajectory has escaped; fast variables overshoot by the third power of where they start
BACK = 0.5  # a trajectory that ends farther from the guess than this share of where it started was not drawn in
WALKERS, WALK = 256, 2000  # walkers of a simulation and their steps: extremes among 10⁵ positions
STEP = 0.1  # of a walker, in units of the fastest rate: Heun's method then gains less than 1e-4 of the energy per turn
UNSURE = 1e-8  # of the largest entry of a covariance: negative variances above that are not round-off, MARGINAL rates included
MARGINAL = 1e-5  # real parts this small against the largest eigenvalue are differences' noise, not a rate


@dataclass(frozen=True)
class Attractor:
    """A stable point (``lower == upper``) or the box of a cycle, with the standard deviation of the noise about it.

    ``linear`` says that the drift is linear and the noise constant as far as was looked: the density is Gaussian.
    """

    lower: Array
    upper: Array
    deviation: Array
    linear: bool = False

    @property
    def middle(self) -> Array:
        return 0.5 * (self.lower + self.upper)


def spread(process: DiffusionProcess, x: Array, length: Array) -> Array | None:
    r"""Standard deviations of the density about a stable point, shape (d,); None where the point is not stable.

    Solves :math:`AC + CA^\top + 2D = 0` with the slopes A of u taken over ± one standard deviation, and D averaged over the
    same points, until C does not change: at a plain stable point that is the linearisation, and where the linearisation is
    degenerate (a quartic well, the direction along a ring) it is the scale on which the well holds the noise.
    """
    velocity = velocity_of(process)
    d = x.size
    at = x[:, None]

    def solve(reach: Array) -> Array | None:
        _, slopes = jacobian(velocity, at, reach[:, None], 1.0)
        a = slopes[0]
        if not np.isfinite(a).all():
            return None
        unit = np.sqrt(reach[:, None] / reach[None])  # rates do not depend on the units of the variables, entries do
        rates = np.linalg.eigvals(a).real
        if rates.max() > -MARGINAL * np.abs(a / unit**2).max() or rates.max() == 0.0:
            return None
        shifts = np.concatenate([np.zeros((d, 1)), np.diag(reach), -np.diag(reach)], axis=1)
        try:
            tensor = process.diffusion(at + shifts).mean(axis=-1)
        except InvalidInput:
            return None
        # In units of the reach, so that entries of C of different axes can be compared.
        c = solve_continuous_lyapunov(a * reach[None] / reach[:, None], -2.0 * tensor / (reach[:, None] * reach[None]))
        variance = np.diag(c)
        if not (variance >= -UNSURE * np.abs(c).max()).all():
            return None  # no covariance: the equation is too close to singular to have been solved
        # Negative by round-off only: there is no noise in that direction.
        deviation: Array = reach * np.sqrt(np.maximum(variance, 0.0))
        return deviation

    smallest = np.maximum(length, NARROWEST * (1.0 + np.abs(x)))
    reach, found = smallest, None
    _, slopes = jacobian(velocity, at, smallest[:, None], 1.0)
    if not np.isfinite(slopes).all() or np.linalg.eigvals(slopes[0]).real.max() > 1e-3 * np.abs(slopes[0]).max():
        return None
    for _ in range(120):  # 60 doublings span 18 decades
        new = solve(reach)
        if new is None:
            if found is not None:
                return found  # stable close by, and not over a whole deviation: a shallow well
            reach = 2.0 * reach
            continue
        found = new
        if (new <= NARROWEST * np.abs(x)).any() or (new == 0.0).any():
            return found
        if np.abs(np.log(new / reach)).max() < 0.05:
            return found
        reach = np.sqrt(reach * new)
    return found


def is_linear(process: DiffusionProcess, x: Array, deviation: Array) -> bool:
    """Whether u is linear and D constant, to 1e-6, at points up to 30 000 deviations away: another well may be anywhere."""
    velocity = velocity_of(process)
    d = x.size
    at, reach = x[:, None], deviation[:, None]
    u, slopes = jacobian(velocity, at, reach, 1.0)
    signs = np.stack(np.meshgrid(*[[-3.0, 0.0, 2.0]] * d, indexing="ij")).reshape(d, -1)
    steps = reach * np.concatenate([signs * 10.0**k for k in range(5)], axis=1)
    points = at + steps
    actual = velocity(points, np.broadcast_to(reach, points.shape))
    expected = u + slopes[0] @ steps
    size = np.abs(slopes[0]) @ np.abs(steps) + np.abs(u)
    if (
        not np.isfinite(actual).all()
        or (np.abs(actual - expected) > 1e-6 * size + 1e-14 * np.abs(slopes[0]) @ np.abs(points)).any()
    ):
        return False
    tensor = process.diffusion(points)
    return bool(np.abs(tensor - tensor[..., :1]).max() <= 1e-6 * np.abs(tensor).max())


def extremes(
    process: DiffusionProcess, starts: Array, lower: Array, upper: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Smallest and largest coordinates that walkers visit, each of shape (d,).

    Parameters
    ----------
    starts : ndarray, shape (d, k)
    lower, upper : ndarray, shape (d,)
        Where the slopes of the drift are sampled to choose the step.

    Raises
    ------
    BoxNotFound
        If the walkers do not stay finite.
    """
    d, width = process.dim, upper - lower
    lattice = np.stack(np.meshgrid(*[[0.05, 0.5, 0.95]] * d, indexing="ij")).reshape(d, -1)
    places = np.concatenate([starts, lower[:, None] + width[:, None] * lattice], axis=1)
    velocity, length = velocity_of(process), np.broadcast_to(0.1 * width[:, None], places.shape)
    _, slopes = jacobian(velocity, places, length, 1e-2)
    tensor = process.diffusion(places)
    constant = bool((tensor == tensor[..., :1]).all())
    rate = float(np.abs(np.linalg.eigvals(slopes)).max()) if np.isfinite(slopes).all() else 0.0

    def drift(x: Array) -> Array:
        """The Itô drift u + ∇·D."""
        if constant or process.interpretation == "ito":
            return process.drift(x)
        total = process.current_velocity(x, width)
        for a in range(d):
            shift = 1e-4 * width[a] * np.eye(d)[:, [a]]
            rise = process.diffusion(x + shift)[:, a] - process.diffusion(x - shift)[:, a]
            total = total + rise / (2e-4 * width[a])
        return total

    def amplitude(x: Array) -> Array:
        """Some σ with ½σσᵀ = D, shape (n, d, d)."""
        values, vectors = np.linalg.eigh(np.moveaxis(process.diffusion(x), 2, 0))
        return vectors * np.sqrt(2.0 * np.maximum(values, 0.0))[:, None, :]

    begin = starts[:, np.arange(WALKERS) % starts.shape[1]]
    fixed = amplitude(begin) if constant else None
    for refinement in range(4 if rate > 0.0 else 0):
        dt, x = STEP / rate / 4**refinement, begin
        low, high = x.min(axis=1), x.max(axis=1)
        try:
            with np.errstate(all="ignore"):
                for _ in range(WALK):
                    sigma = amplitude(x) if fixed is None else fixed
                    noise = np.sqrt(dt) * np.einsum("nij,jn->in", sigma, rng.standard_normal((d, WALKERS)))
                    before = drift(x)
                    x = x + noise + 0.5 * dt * (before + drift(x + noise + dt * before))
                    low, high = np.minimum(low, x.min(axis=1)), np.maximum(high, x.max(axis=1))
        except InvalidInput:  # they left for where the process is not defined: too long a step, or too short a life
            continue
        if np.isfinite(x).all():
            return low, high
    raise BoxNotFound("a simulation of the process does not stay finite, however small its steps. Pass a box")


def find_attractors(process: DiffusionProcess, origin: Array, generator: np.random.Generator) -> list[Attractor]:
    """Stable points and cycles, from far starts and then from all over the box of those found."""
    d = process.dim
    directions = [_directions(d, generator) for _ in SCALES]
    starts = origin[:, None] + np.concatenate([s * v for s, v in zip(SCALES, directions, strict=True)], axis=1)
    distance = np.repeat(SCALES, directions[0].shape[1])
    velocity = velocity_of(process)
    paths = follow(velocity, starts, np.broadcast_to(distance, starts.shape), farthest=FARTHEST)
    if not np.isfinite(velocity(starts, np.broadcast_to(distance, starts.shape))).all(axis=0).any():
        process.current_velocity(starts, np.ones(d))  # raises what the matter is
    _check_confined(process, paths, starts, origin, distance)
    found = _distinct(process, paths, [])
    for _ in range(LONGER):
        if found or not (paths.status == FALLING).any():
            break
        paths = follow(velocity, paths.end, paths.length, farthest=FARTHEST)
        found = _distinct(process, paths, [])
    _check_noise(process, found)
    for _ in range(AGAIN if found else 0):
        before = len(found)
        cycles = [a for a in found if (a.upper > a.lower).any()]
        near, lengths = _near(found, generator)
        sharper = _distinct(process, follow(velocity, near, lengths, farthest=FARTHEST), cycles)
        found = _distinct(process, paths, sharper)
        if len(found) == before:
            break
    if not found:
        raise BoxNotFound(
            f"no attractor was found: trajectories of dx/dt = u from {starts.shape[1]} points at distances {SCALES[0]:g} to "
            f"{SCALES[-1]:g} from {show(origin)} end in no stable point or cycle ({_tally(paths)}). Pass guess= near the "
            "density, or a box"
        )
    _check_noise(process, found)
    return found


def _check_noise(process: DiffusionProcess, found: list[Attractor]) -> None:
    """A stable point without noise along some axis takes all probability that comes by."""
    for a in found:
        if (a.upper == a.lower).all() and (a.deviation <= 1e-12 * np.abs(a.middle)).any():
            raise BoxNotFound(
                f"the noise vanishes at the attractor {show(a.middle)}: the probability collapses onto it along "
                f"{process.names[int(np.argmin(a.deviation))]}, and there is no density. Add noise, or pass a box without it"
            )


def _near(found: list[Attractor], generator: np.random.Generator) -> tuple[Array, Array]:
    """Starts in and about the box of the attractors found, and the lengths of their first steps, each of shape (d, n)."""
    lower = np.min([a.lower - 3.0 * a.deviation for a in found], axis=0)
    width = np.max([a.upper + 3.0 * a.deviation for a in found], axis=0) - lower
    d = width.size
    lattice = np.stack(np.meshgrid(*[[-0.3, 0.1, 0.35, 0.6, 0.95, 1.3]] * d, indexing="ij")).reshape(d, -1)
    some = generator.permutation(lattice.shape[1])[:12]  # in three dimensions all 216 would cost more than they find
    shells = [0.5 + s * _directions(d, generator) for s in SHELLS]
    near = lower[:, None] + width[:, None] * np.concatenate([lattice[:, some], *shells], axis=1)
    return near, np.broadcast_to(0.1 * width[:, None], near.shape)


def _directions(d: int, generator: np.random.Generator) -> Array:
    """A few random unit vectors and their opposites, shape (d, 2d) (the two directions in one dimension)."""
    v = generator.standard_normal((d, d))
    v /= np.linalg.norm(v, axis=0)
    return np.concatenate([v, -v], axis=1)


def _check_confined(process: DiffusionProcess, paths: Paths, starts: Array, origin: Array, distance: Array) -> None:
    """Trajectories from far away must come back."""
    advice = (
        "On the whole space it has no stationary density. If a wall is real, or a variable is an angle "
        "(boundary='periodic'), pass a box; a box round a metastable well gives the density of a process held in it"
    )
    escaped = np.flatnonzero(paths.status == ESCAPED)
    if escaped.size:
        first = escaped[np.argmin(distance[escaped])]
        raise NoStationaryState(
            f"the process does not confine itself: dx/dt = u runs away to infinity from {escaped.size} of {starts.shape[1]} "
            f"starts, the nearest at {show(starts[:, first])}. {advice}"
        )
    scales = np.unique(distance[paths.status != UNDEFINED])[-2:]
    far = np.isin(distance, scales) & (paths.status != UNDEFINED)
    middle = 0.5 * (paths.lower + paths.upper)
    left = np.linalg.norm(middle - starts, axis=0)
    stayed = (np.linalg.norm(middle - origin[:, None], axis=0) > BACK * distance) & (left < BACK * distance)
    stayed &= paths.status != FALLING
    if far.any() and stayed[far].mean() > 0.5:
        first = int(np.flatnonzero(far & stayed)[0])
        raise NoStationaryState(
            f"the process does not confine itself: from {show(starts[:, first])} dx/dt = u leads to {show(middle[:, first])} "
            f"and no nearer to {show(origin)}, and so it does from other places. {advice}"
        )


def _distinct(process: DiffusionProcess, paths: Paths, known: list[Attractor]) -> list[Attractor]:
    """The attractors that paths end in, points within a deviation and cycles that overlap taken for one."""
    found = list(known)
    for i in range(paths.status.size):
        low, high = paths.lower[:, i], paths.upper[:, i]
        if paths.status[i] == SETTLED:
            polished = stable_point(velocity_of(process), low, paths.length[:, i])
            low = high = low if polished is None else polished
            if any((np.abs(low - a.middle) <= a.deviation + 1e-6 * np.abs(low)).all() for a in found):
                continue
            deviation = spread(process, low, paths.length[:, i])
            if deviation is None:
                continue
            linear = (deviation > 0.0).all() and is_linear(process, low, deviation)
            found.append(Attractor(low, high, deviation, bool(linear)))
        elif paths.status[i] == MOVING:
            cycles = [a for a in found if (a.upper > a.lower).any()]
            if any((high - low > OUTER * (a.upper - a.lower)).all() and _holds(low, high, a) for a in cycles):
                continue  # from far away and still on its way to the cycle inside it
            same = [a for a in cycles if (low < a.upper).all() and (high > a.lower).all()]
            found = [a for a in found if not any(a is b for b in same)]
            low, high = (
                np.min([low, *(a.lower for a in same)], axis=0),
                np.max([high, *(a.upper for a in same)], axis=0),
            )
            found.append(Attractor(low, high, np.zeros_like(low)))
    return found


def _holds(low: Array, high: Array, attractor: Attractor) -> bool:
    return bool((low < attractor.lower).all() and (high > attractor.upper).all())


def _tally(paths: Paths) -> str:
    words = {
        SETTLED: "settled on points that are not stable",
        MOVING: "kept moving",
        FALLING: "kept falling",
        ESCAPED: "ran away",
        UNDEFINED: "left the region where the process is defined",
    }
    return ", ".join(f"{int((paths.status == s).sum())} {w}" for s, w in words.items() if (paths.status == s).any())


def show(x: Array) -> str:
    return "(" + ", ".join(f"{v:.6g}" for v in x) + ")"
