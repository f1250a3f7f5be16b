"""The box: finding one that holds the density where none is given, and checking the one that is."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from ..errors import BoxNotFound, BoxWarning, HeavyTails, InvalidInput, NoStationaryState
from ..grid import Array, Box, Grid
from ..operators import face_coefficients
from ..process import DiffusionProcess
from .attractors import Attractor, extremes, find_attractors, show, spread
from .flow import SETTLED, follow, velocity_of
from .newton import Stalled, monotone_start

COARSE = {1: 128, 2: 32, 3: 10}  # cells per axis of the coarse solves, 0.1 s each
STRIP = 1 / 32  # of the box along each wall, as in the check of a solution
MARGIN = 1.2  # on the deviations of a Gaussian: 1/(1 − 2/32) puts its strips at the mass allowed, the rest is for the curvature
CYCLE_MARGIN = 0.15  # of a cycle's extent, to start with; a coarse solve corrects it
ROUNDS = 20  # boxes tried; plain problems take 1 to 4
IDLE = 0.12  # of the width that may lie empty at a wall before the wall is moved in
EMPTY = 1e-3  # of the mass allowed at a wall: beyond that much a part of the box counts as empty
LARGEST_GROWTH = 16.0  # of the width about the attractors; on uniform cells the core is lost beyond that
# Of what the walkers covered: that much is left beyond them where an attractor is their extreme (a wall of the noise's own).
NARROWEST_GAP = 0.02
SPREAD = 2.0  # times the box about the attractors: walkers that stay in this are held by the process
LEAST = 4.0  # deviations about every attractor that are in the box whatever the walkers did
FLAT = 0.3  # power of the width: wall mass that falls more slowly than this is not falling
DROWNED = 1.0  # numerical against true noise: below, coarse solves widen a density by at most √2
BEYOND = 1.5  # sampled extremes, 4.3 deviations among 10⁵ positions, to the 5 deviations of 1 in 10⁶ with a margin


@dataclass(frozen=True)
class Domain:
    """A box that holds the density of a process, and how it was found.

    Attributes
    ----------
    box : Box
    attractors : ndarray, shape (k, d)
        Stable points of the flow dx/dt = u (see :meth:`DiffusionProcess.current_velocity`), and the middles of cycles.
    wall_masses : dict[str, float]
        Probability within 1/32 of the box of every wall, by a coarse solve; empty where the box came from a simulation.
    history : tuple of dict
        Boxes tried, with ``lower``, ``upper`` and ``wall_mass``.
    reason : str
        One sentence on where the box comes from.

    Examples
    --------
    >>> domain = find_box(DiffusionProcess(lambda x: -x, 0.5, dim=1))
    >>> domain.box.lower[0] < -3, domain.attractors.tolist(), domain.reason[:21]
    (True, [[0.0]], 'the drift is linear a')
    """

    box: Box
    attractors: Array
    wall_masses: dict[str, float]
    history: tuple[dict[str, Any], ...] = field(repr=False)
    reason: str


def find_box(
    process: DiffusionProcess,
    *,
    wall_mass: float = 1e-6,
    guess: ArrayLike | None = None,
    rng: np.random.Generator | int | None = 20240229,
) -> Domain:
    r"""A reflecting box that holds the stationary density of a process on the whole space.

    Attractors of :math:`\dot x = u(x)`, :math:`J = u\,p - D\nabla p`, are looked for from points at distances 10⁻² to 10⁵
    from ``guess``. About a stable point the covariance C of

    .. math:: A C + C A^\top + 2 D = 0, \qquad A = \partial u/\partial x

    gives the first box; coarse solves then move every wall until the strip of 1/32 of the box along it holds at most
    ``wall_mass`` of the probability, and no wall has an empty eighth of the box before it.

    Parameters
    ----------
    process : DiffusionProcess
        In one to three dimensions. Angles and walls that are real cannot be found: those need a box of your own.
    wall_mass : float
        Largest probability, dimensionless, along each wall.
    guess : array_like, shape (d,), optional
        Where to look first; by default the origin. Only needed where the density is out of reach of the search.
    rng : Generator or int, optional
        Directions of the starts, and the simulation that takes the place of coarse solves where D is singular.

    Returns
    -------
    Domain

    Raises
    ------
    InvalidInput
        For arguments that do not fit, or a process that returns unusable values everywhere.
    NoStationaryState
        If trajectories run away or stay wherever they are put, or the mass at the walls does not fall as the box grows.
    HeavyTails
        If the mass at the walls falls so slowly, like a power of the distance, that uniform cells cannot follow.
    BoxNotFound
        If there is no attractor, the noise vanishes on it, or the process is not defined where the density reaches; parent
        of the two above.

    References
    ----------
    C. W. Gardiner, *Stochastic Methods*, Springer 2009, section 4.5 (the linearised covariance).

    Examples
    --------
    >>> process = DiffusionProcess(lambda x: 1e3 - x, 0.5, dim=1)
    >>> domain = find_box(process)
    >>> domain.attractors.round(6).tolist(), bool(994 < domain.box.lower[0] < 996)
    ([[1000.0]], True)
    """
    if not isinstance(process, DiffusionProcess) or process.dim > 3:
        raise InvalidInput(f"process: expected a DiffusionProcess in one to three dimensions, got {process!r}")
    if not (isinstance(wall_mass, Real) and 1e-12 <= wall_mass < 0.1):
        raise InvalidInput(f"wall_mass: expected a probability from 1e-12 to below 0.1, got {wall_mass!r}")
    origin = np.zeros(process.dim) if guess is None else np.atleast_1d(np.asarray(guess, dtype=float))
    if origin.shape != (process.dim,) or not np.isfinite(origin).all():
        raise InvalidInput(f"guess: expected {process.dim} finite numbers, got {guess!r}")
    generator = np.random.default_rng(rng)
    attractors = find_attractors(process, origin, generator)
    points = np.stack([a.middle for a in attractors])
    reach = MARGIN * -float(ndtri(0.5 * wall_mass))
    margin = [reach * a.deviation + CYCLE_MARGIN * (a.upper - a.lower) for a in attractors]
    lower = np.min([a.lower - m for a, m in zip(attractors, margin, strict=True)], axis=0)
    upper = np.max([a.upper + m for a, m in zip(attractors, margin, strict=True)], axis=0)
    count = "one attractor" if len(attractors) == 1 else f"{len(attractors)} attractors"
    if len(attractors) == 1 and attractors[0].linear:
        masses = dict.fromkeys(_walls(process, lower, upper), float(ndtr(-reach * (1.0 - 2.0 * STRIP))))
        trial = {"lower": lower.tolist(), "upper": upper.tolist(), "wall_mass": masses}
        reason = f"the drift is linear and the noise constant: ± {reach:.2g} standard deviations of the exact Gaussian"
        return Domain(Box(lower, upper), points, masses, (trial,), reason)
    search = _Search(process, attractors, float(wall_mass))
    lower, upper = search.defined(lower, upper, *search.small(lower, upper))
    failure: BoxNotFound | None = None
    if not (_singular(process, attractors) or search.noisy(lower, upper)):
        try:
            return search.settle(lower, upper, points, count)
        except (NoStationaryState, HeavyTails) as error:
            last = error.history[-1]
            if process.dim == 1 or not search.noisy(np.array(last["lower"]), np.array(last["upper"])):
                raise
            failure = error  # on cells that wide what spreads may be the noise of upwinding: see whether walkers do
    low, high = extremes(process, np.stack([a.upper for a in attractors], axis=1), lower, upper, generator)
    inner = search.inner
    # A gap is negative where no walker got as far as the attractor: the box keeps the attractor, and the least beyond it.
    beyond = [np.maximum(BEYOND * gap, NARROWEST_GAP * (high - low)) for gap in (inner[0] - low, high - inner[1])]
    least = [LEAST * a.deviation for a in attractors]  # walkers may not have been to every well often enough
    wide = (
        np.min([inner[0] - beyond[0], *(a.lower - m for a, m in zip(attractors, least, strict=True))], axis=0),
        np.max([inner[1] + beyond[1], *(a.upper + m for a, m in zip(attractors, least, strict=True))], axis=0),
    )
    if failure is not None and (wide[1] - wide[0] > SPREAD * (upper - lower)).any():
        raise failure
    lower, upper = search.defined(*wide, low, high)
    it = "it" if len(points) == 1 else "them"
    reason = f"{count}; a simulation about {it} reached 1/{BEYOND:g} as far, where coarse cells add too much noise"
    history = (*search.history, {"lower": lower.tolist(), "upper": upper.tolist()})
    return Domain(Box(lower, upper), points, {}, history, reason)


def check_box(process: DiffusionProcess, box: Box, *, stacklevel: int = 2) -> None:
    """Warn where the flow leaves a box, from all of it, for an attractor outside.

    A real wall that holds back a flow to infinity (sediment on a floor) does not warn, nor does a box round one of two
    wells. A wall that keeps a process away from its only attractor does: such a box is more often a mistake.

    Warns
    -----
    BoxWarning
        Naming the attractor and the wall before it.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     check_box(DiffusionProcess(lambda x: 7.0 - x, 0.1, dim=1), Box([-2], [2]))
    >>> print(caught[0].message.args[0].split(";")[0])
    the box misses the attractor at (7), beyond the wall x = 2
    """
    widths, lower, upper = box.widths, np.array(box.lower), np.array(box.upper)
    inner = np.stack(np.meshgrid(*[[0.2, 0.55, 0.85]] * box.dim, indexing="ij")).reshape(box.dim, -1)
    starts = lower[:, None] + widths[:, None] * inner
    lengths = np.broadcast_to(0.1 * widths[:, None], starts.shape)
    paths = follow(velocity_of(process), starts, lengths, farthest=1e6 * float(widths.max()), steps=120)
    walls = ~np.array(box.periodic)
    slack = 1e-6 * widths  # where a trajectory that ends on a wall may be
    outside = ((paths.upper < (lower - slack)[:, None]) | (paths.lower > (upper + slack)[:, None])) & walls[:, None]
    if not ((paths.status == SETTLED) & outside.any(axis=0)).all():
        return
    end = paths.end[:, 0]
    if spread(process, end, 1e-3 * widths) is None:  # not a stable point after all
        return
    beyond = np.where(walls, np.maximum(lower - end, end - upper) / widths, -np.inf)
    axis = int(np.argmax(beyond))
    wall = f"{process.names[axis]} = {(upper if end[axis] > upper[axis] else lower)[axis]:g}"
    warnings.warn(
        f"the box misses the attractor at {show(end)}, beyond the wall {wall}; the flow leaves for it from everywhere in the "
        "box. Move the box there, or leave it out to have one found; if the wall is real, ignore this warning",
        BoxWarning,
        stacklevel=stacklevel,
    )


def _singular(process: DiffusionProcess, attractors: list[Attractor]) -> bool:
    """Whether D has a vanishing eigenvalue at every attractor (in units of √(D_ii D_jj))."""
    points = np.stack([a.middle for a in attractors], axis=1)
    tensor = np.moveaxis(process.diffusion(points), 2, 0)
    diagonal = np.einsum("nii->ni", tensor)
    if (diagonal <= 0.0).any(axis=1).all():
        return True
    root = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    return bool((np.linalg.eigvalsh(tensor / (root[:, :, None] * root[:, None]))[:, 0] < 1e-9).all())


class _Search:
    """Moves the walls, coarse solve by coarse solve."""

    def __init__(self, process: DiffusionProcess, attractors: list[Attractor], allowed: float) -> None:
        self.process, self.attractors, self.allowed = process, attractors, allowed
        self.inner = np.min([a.lower for a in attractors], axis=0), np.max([a.upper for a in attractors], axis=0)
        self.history: list[dict[str, Any]] = []

    def settle(self, lower: Array, upper: Array, points: Array, count: str) -> Domain:
        first = upper - lower
        for number in range(ROUNDS):
            profiles = self._profiles(lower, upper)
            strips = np.array([[_strip(m), _strip(m[::-1])] for m in profiles])
            masses = dict(zip(_walls(self.process, lower, upper), strips.ravel().tolist(), strict=True))
            strips *= np.array([[_beyond(m), _beyond(m[::-1])] for m in profiles])
            self.history.append({"lower": lower.tolist(), "upper": upper.tolist(), "wall_mass": masses})
            self._check_tails(lower, upper, first)
            target = self._moved(lower, upper, profiles, strips)
            if np.array_equal(target, (lower, upper)):
                it = "it" if len(points) == 1 else "them"
                grown = "" if number == 0 else f", and {number} coarse solves that moved the walls"
                reason = f"{count} with the linearised noise about {it}{grown}"
                return Domain(Box(lower, upper), points, masses, tuple(self.history), reason)
            moved = self.defined(*target, lower, upper)
            stuck = [
                strips[a, s] > self.allowed and moved[s][a] == (lower, upper)[s][a]
                for a in range(lower.size)
                for s in (0, 1)
            ]
            if any(stuck):
                wall = list(masses)[stuck.index(True)]
                raise BoxNotFound(
                    f"the process is not defined beyond {wall}, where {masses[wall]:.2g} of the probability sits (at most "
                    f"{self.allowed:g} expected). If that wall is real, pass a box that ends there",
                    history=tuple(self.history),
                )
            lower, upper = moved
        raise BoxNotFound(
            f"the walls did not settle in {ROUNDS} coarse solves; the last box was {show(lower)} … {show(upper)} with "
            f"{max(masses.values()):.2g} of the probability at a wall. Pass a box",
            history=tuple(self.history),
        )

    def small(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """A box about the attractors in which the process is certainly defined."""
        return self.inner[0] - 1e-3 * (self.inner[0] - lower), self.inner[1] + 1e-3 * (upper - self.inner[1])

    def defined(self, lower: Array, upper: Array, safe_lower: Array, safe_upper: Array) -> tuple[Array, Array]:
        """The box asked for, or as far towards it from a safe one as the process is defined, wall by wall."""
        if self._usable(lower, upper):
            return lower, upper
        low, high = np.maximum(lower, safe_lower), np.minimum(upper, safe_upper)
        for a in range(low.size):
            for corner, goal in ((low, lower[a]), (high, upper[a])):
                start = corner[a]
                for share in np.linspace(1.0, 0.0, 65):
                    corner[a] = start + share * (goal - start)
                    if self._usable(low, high):
                        break
        return low, high

    def _usable(self, lower: Array, upper: Array) -> bool:
        x = Grid(Box(lower, upper), (9,) * lower.size).cell_points().reshape(lower.size, -1)
        x = lower[:, None] + (x - lower[:, None]) * 9 / 8 - (upper - lower)[:, None] / 16  # on the walls too
        length = np.broadcast_to((upper - lower)[:, None] / 100, x.shape)
        return bool(np.isfinite(velocity_of(self.process)(x, length)).all())

    def noisy(self, lower: Array, upper: Array) -> bool:
        """Whether upwinding on coarse cells, whose noise is |u|h/2, would drown D at the attractors' deviations."""
        h = (upper - lower) / COARSE[lower.size]
        for a in self.attractors:
            reach = np.where(a.deviation > 0.0, a.deviation, 0.5 * (a.upper - a.lower))
            signs = np.stack(np.meshgrid(*[[-0.7, 0.0, 0.7]] * lower.size, indexing="ij")).reshape(lower.size, -1)
            x = a.middle[:, None] + reach[:, None] * signs
            u = velocity_of(self.process)(x, np.broadcast_to(0.1 * reach[:, None], x.shape))
            noise = np.einsum("iin->in", self.process.diffusion(x))
            if (np.abs(u).mean(axis=1) * h > DROWNED * 2.0 * noise.mean(axis=1)).any():
                return True
        return False

    def _profiles(self, lower: Array, upper: Array) -> list[Array]:
        """Probability by cell along every axis, summed over the others."""
        d = lower.size
        try:
            with np.errstate(all="ignore"):
                phi = monotone_start(face_coefficients(self.process, Grid(Box(lower, upper), (COARSE[d],) * d)))
        except (InvalidInput, Stalled) as error:
            raise BoxNotFound(
                f"no density was found between {show(lower)} and {show(upper)}: {error}. Singularities and vanishing noise "
                "split the space; pass a box on one side",
                history=tuple(self.history),
            ) from error
        p = np.exp(phi.min() - phi)
        p /= p.sum()
        return [p.sum(axis=tuple(b for b in range(d) if b != a)) for a in range(d)]

    def _moved(self, lower: Array, upper: Array, profiles: list[Array], strips: Array) -> tuple[Array, Array]:
        """Walls with too much mass out, walls before an empty part in."""
        low, high = lower.copy(), upper.copy()
        for a, profile in enumerate(profiles):
            n = profile.size
            h = (upper[a] - lower[a]) / n
            for side, m in ((0, profile), (1, profile[::-1])):
                if strips[a, side] > self.allowed:
                    k = max(1, n // 8)
                    decay = np.log(m[k] / m[0]) / k if m[0] > 0.0 else 0.0
                    cells = np.log(strips[a, side] / self.allowed) / decay if decay > 0.0 else n
                    shift = -float(np.clip(1.1 * cells, 1.0, n))
                else:
                    occupied = int(np.argmax(np.cumsum(m) > EMPTY * self.allowed)) - 1
                    kept = min(self._distance(a, side, lower, upper) / h, n)  # cells from the wall to what must stay in
                    shift = float(np.floor(min(occupied, kept)))
                    if shift < IDLE * n:
                        continue
                if side == 0:
                    low[a] += shift * h
                else:
                    high[a] -= shift * h
        return low, high

    def _distance(self, axis: int, side: int, lower: Array, upper: Array) -> float:
        """From a wall to the nearest attractor's six deviations that coarse cells cannot weigh."""
        nearest = np.inf
        h = (upper[axis] - lower[axis]) / COARSE[lower.size]
        for a in self.attractors:
            if (a.deviation < h * (upper - lower) / (upper - lower)[axis]).any():
                reach = 6.0 * a.deviation[axis]
                gap = a.lower[axis] - reach - lower[axis] if side == 0 else upper[axis] - a.upper[axis] - reach
                nearest = min(nearest, float(max(gap, 0.0)))
        return nearest

    def _check_tails(self, lower: Array, upper: Array, first: Array) -> None:
        """Give up where the mass at the walls falls like a power of the width, or not at all."""
        if len(self.history) < 3:
            return
        masses = [max(h["wall_mass"].values()) for h in self.history[-3:]]
        sizes = [float(np.prod(np.subtract(h["upper"], h["lower"]))) ** (1 / lower.size) for h in self.history[-3:]]
        if masses[-1] <= self.allowed or not sizes[0] < sizes[1] < sizes[2]:
            return
        before, last = (np.log(masses[i] / masses[i + 1]) / np.log(sizes[i + 1] / sizes[i]) for i in (0, 1))
        growth = float(np.max((upper - lower) / first))
        if growth < 4.0 or last > 1.5 * max(before, FLAT):
            return
        where = f"in a box {growth:.3g} times as wide as the attractors need, {masses[-1]:.2g} of the probability is at a wall"
        if last < FLAT:
            raise NoStationaryState(
                f"no normalisable state was found: {where}, and that falls like (width)^{-last:.2g}. The mass piles up at the "
                "walls at every size: there is no stationary density on the whole space, or one with tails that no box holds. "
                "Pass a box if its walls are real",
                history=tuple(self.history),
            )
        if growth > LARGEST_GROWTH:
            needed = growth * (masses[-1] / self.allowed) ** (1.0 / last)
            raise HeavyTails(
                f"heavy tails: {where}, and that falls like (width)^{-last:.2g}; wall_mass={self.allowed:g} would take a box "
                f"{needed:.2g} times as wide. Pass a box with stretched axes (maps=[Sinh(...)]), or accept a larger wall_mass",
                history=tuple(self.history),
            )


def _strip(profile: Array) -> float:
    """Mass in the first 1/32 of the box; inside a cell the density is taken to vary like an exponential."""
    width = STRIP * profile.size
    whole = int(width)
    total, part = float(profile[:whole].sum()), width - whole
    if part > 0.0 and profile[whole] > 0.0 and profile[whole + 1] > 0.0:
        rise = float(np.log(profile[whole + 1] / profile[whole]))
        share = part if abs(rise) < 1e-6 else np.expm1(rise * part) / np.expm1(rise)
        total += share * float(profile[whole])
    return total


def _beyond(profile: Array) -> float:
    """Mass beyond the wall against that in the strip before it, from the decay along the outer eighth; at least 1."""
    k = max(1, profile.size // 8)
    if not (profile[0] > 0.0 and profile[k] > profile[0]):
        return 1.0
    decay = float(np.log(profile[k] / profile[0])) / k * STRIP * profile.size
    return max(1.0, 1.0 / float(np.expm1(decay)))


def _walls(process: DiffusionProcess, lower: Array, upper: Array) -> list[str]:
    return [f"{name} = {x:g}" for name, *pair in zip(process.names, lower, upper, strict=True) for x in pair]
