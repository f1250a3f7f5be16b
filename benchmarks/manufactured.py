"""Random problems whose stationary density and current are known exactly.

Choose a density p = exp(−U)/Z, a diffusion tensor D and an antisymmetric tensor A, all varying with x. Then

    J = ∇·(A p)             is divergence-free because A is antisymmetric,
    u = J/p + D ∇ln p = ∇·A − (D + A)∇U        gives J = u p − D∇p,
    b = u + ∇·D             is the Itô drift,

so p is stationary with current J. A vanishes on reflecting walls; hence J·n = 0 there and the box has this stationary law
exactly, with p normalised in the box. Along periodic axes a current through the box, constant along them, is added.
Every derivative is a formula written out, exact to round-off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ortho_group

import fokkerplanck as fp

Array = NDArray[np.float64]
Scalar = Callable[[Array], tuple[Array, Array]]  # x of shape (d, ...) to a value and its gradient (d, ...)
Tensor = Callable[[Array], tuple[Array, Array]]  # D (d, d, ...) and ∂_j D_ij (d, ...)

# Cells per axis of the sums for Z and for mean squares. The midpoint rule is spectral for a smooth density that vanishes
# at the walls or is periodic: 64 cells over a density of 1/35 of the box, the narrowest drawn, leave exp(−2π²(64/35)²).
QUADRATURE = {1: 4096, 2: 256, 3: 64}
STRIP = 1 / 32  # of the box along each wall
WALL_MASS = 1e-7  # largest probability in a strip
STEEPEST_RATIO = 50.0  # of the tensor's eigenvalues
STRONGEST = 10.0  # root mean square of J/p in units of that of D∇ln p


@dataclass(frozen=True)
class Problem:
    """A process in a box, the velocity u (d, ...) of its current u p − D∇p, and its exact stationary density (...) and
    current (d, ...), functions of points (d, ...)."""

    process: fp.DiffusionProcess
    box: fp.Box
    velocity: Callable[[Array], Array]
    density: Callable[[Array], Array]
    current: Callable[[Array], Array]
    description: str


def draw(rng: np.random.Generator, dim: int) -> Problem:
    """One random problem: a density, a tensor and a current, in a box of random place and size.

    Densities are mixtures of Gaussians, double wells, rings and shells, plateaus, and waves on periodic axes; the narrowest
    single well is 1/18 of the box; parts of a mixture go down to 1/27 of it, rings to 1/38, and double wells to where they
    bend most to 1/47.
    The eigenvalues of D differ by a factor of 1 to 50 and its axes turn by up to ±1.5 rad; the irreversible part of the
    velocity is 0.1 to 10 times the reversible one in root mean square, or zero. In one dimension only a ring has a current.
    """
    names = ["mixture", "well", "double well", "plateau", "periodic"]
    names += {1: ["periodic", "mixture"], 2: ["ring"], 3: ["ring", "shell"]}[dim]
    name = str(rng.choice(names))
    periodic = np.zeros(dim, dtype=bool)
    if name == "periodic":
        periodic = rng.random(dim) < 0.6
        periodic[rng.integers(dim)] = True
    turn = np.eye(dim) if dim == 1 or name == "periodic" else ortho_group.rvs(dim, random_state=rng)
    shape = _SHAPES[name](rng, periodic)
    # a plateau is wide as it stands; the others get up to a third more room than the walls ask for
    room = rng.uniform(1.0, 1.0 if name == "plateau" else 1.33)
    stretch = np.where(periodic, 1.0, _stretch(shape, turn, periodic) * room)
    potential = linear_map(shape, turn * stretch)
    ratio = float(np.exp(rng.uniform(0.0, np.log(STEEPEST_RATIO)))) if dim > 1 else 1.0
    still = rng.random() < 0.15 or (dim == 1 and not periodic.any())
    strength = 0.0 if still else float(np.exp(rng.uniform(np.log(0.01 * STRONGEST), np.log(STRONGEST))))
    swirl = {(i, j): _walled(_wave(rng, periodic, 1.0, rng.normal()), periodic) for i in range(dim) for j in range(i)}
    through = np.where(periodic, rng.normal(size=dim), 0.0)
    interpretation = str(rng.choice(["ito", "isothermal"], p=[0.75, 0.25]))
    given = bool(rng.random() < 2 / 3)
    box = fp.Box([-1.0] * dim, [1.0] * dim, boundary=["periodic" if p else "reflecting" for p in periodic])
    problem = compose(
        potential,
        _turning_tensor(rng, periodic, ratio),
        box,
        swirl=swirl,
        through=lambda x: (through, -0.5 * np.einsum("i,i...->...", np.where(periodic, 0.0, stretch**2), x**2)),
        strength=strength,
        interpretation=interpretation,
        divergence=given,
        description=f"{name}{_axes(periodic)}, {f'eigenvalues of D 1:{ratio:.0f}, ' if dim > 1 else ''}"
        f"irreversible part {strength:.2g}, {interpretation}{', ∇·D given' if given and interpretation == 'ito' else ''}",
    )
    half = np.exp(rng.uniform(-1.0, 1.0, dim))
    return rescaled(problem, rng.normal(size=dim) - half, half)


def remembered(field: Tensor) -> Tensor:
    """Drift, tensor and divergence are asked for at the same points one after the other, and all contain D."""
    last: list[tuple[Array, tuple[Array, Array]]] = []

    def again(x: Array) -> tuple[Array, Array]:
        if not last or not np.array_equal(last[0][0], x):
            last[:] = [(x.copy(), field(x))]
        return last[0][1]

    return again


def compose(
    potential: Scalar,
    tensor: Tensor,
    box: fp.Box,
    *,
    swirl: dict[tuple[int, int], Scalar] | None = None,
    through: Callable[[Array], tuple[Array, Array]] | None = None,
    strength: float | None = None,
    interpretation: str = "ito",
    divergence: bool = True,
    description: str = "",
) -> Problem:
    """A problem from U, D and the entries A_ij of the antisymmetric tensor.

    Parameters
    ----------
    swirl : dict
        Entry (i, j) is A_ij = −A_ji as a function. It (times p) has to vanish on reflecting walls.
    through : callable, optional
        x → c (d,) and ln f (…): adds the current c f, which has to be divergence-free.
    strength : float, optional
        Scales the current so that √∫|J/p|²p is this many times √∫|D∇U|²p, or √∫(tr D)²p over half the smallest
        width of the box where that is more (a flat density has no reversible part).
    divergence : bool
        Whether the process is given ∇·D as a function (Itô only); otherwise the solver differentiates D.
    """
    swirl = {} if swirl is None else swirl
    tensor = remembered(tensor)
    points = fp.Grid(box, (QUADRATURE[box.dim],) * box.dim)
    x = points.cell_points()
    u, slope = potential(x)
    lowest = float(u.min())
    log_z = float(np.log(np.sum(np.exp(lowest - u)) * points.cell_volume)) - lowest

    def irreversible(x: Array, u: Array, slope: Array) -> Array:
        """J/p."""
        velocity = np.zeros_like(x)
        for (i, j), entry in swirl.items():
            a, gradient = entry(x)
            velocity[i] += gradient[j] - a * slope[j]
            velocity[j] -= gradient[i] - a * slope[i]
        if through is not None:
            c, log_f = through(x)
            if c.any():
                velocity += np.multiply.outer(c, np.exp(log_f + u + log_z))
        return velocity

    scale = 1.0
    if strength is not None:
        p = np.exp(-u - log_z)
        D, _ = tensor(x)
        root = lambda field: float(np.sqrt(np.sum(field**2 * p) * points.cell_volume))  # noqa: E731
        reversible = root(np.sqrt(np.sum(_dot(D, slope) ** 2, axis=0)))
        spread = root(np.einsum("ii...->...", D)) * 2.0 / float(box.widths.min())
        present = root(np.sqrt(np.sum(irreversible(x, u, slope) ** 2, axis=0)))
        scale = strength * max(reversible, spread) / present if strength > 0.0 else 0.0

    def density(x: Array) -> Array:
        return np.exp(-potential(x)[0] - log_z)

    def current(x: Array) -> Array:
        if scale == 0.0:
            return np.zeros_like(x)
        u, slope = potential(x)
        return scale * np.exp(-u - log_z) * irreversible(x, u, slope)

    def drift(x: Array, ito: bool = interpretation == "ito") -> Array:
        u, slope = potential(x)
        D, divergence_of_d = tensor(x)
        b = -_dot(D, slope)
        if scale != 0.0:
            b += scale * irreversible(x, u, slope)
        return b + divergence_of_d if ito else b

    process = fp.DiffusionProcess(
        drift,
        lambda x: tensor(x)[0],
        dim=box.dim,
        interpretation=interpretation,
        divergence=(lambda x: tensor(x)[1]) if divergence and interpretation == "ito" else None,
    )
    return Problem(process, box, lambda x: drift(x, ito=False), density, current, description)


def rescaled(problem: Problem, lower: Array, half: Array) -> Problem:
    """The problem in other units: a box from [−1, 1]^d moved to [lower, lower + 2 half]."""
    dim, old = problem.box.dim, problem.process
    column = lambda v, x: v.reshape((-1,) + (1,) * (x.ndim - 1))  # noqa: E731
    back = lambda x: (x - column(lower, x)) / column(half, x) - 1.0  # noqa: E731
    given = old._divergence
    process = fp.DiffusionProcess(
        lambda x: column(half, x) * old._drift(back(x)),
        lambda x: np.multiply.outer(half, half).reshape((dim, dim) + (1,) * (x.ndim - 1)) * old._diffusion(back(x)),
        dim=dim,
        interpretation=old.interpretation,
        divergence=None if given is None else lambda x: column(half, x) * given(back(x)),
    )
    volume = float(np.prod(half))
    return Problem(
        process,
        fp.Box(lower, lower + 2.0 * half, boundary=problem.box.boundary),
        lambda x: column(half, x) * problem.velocity(back(x)),
        lambda x: problem.density(back(x)) / volume,
        lambda x: column(half, x) * problem.current(back(x)) / volume,
        problem.description,
    )


# ---- potentials: U and its gradient, in coordinates z of order one ----


def mixture(log_weights: Array, means: Array, precisions: Array) -> Scalar:
    """U = −ln Σ_k w_k exp(−½(z − m_k)ᵀP_k(z − m_k)): weights (k,), means (k, d), precisions (k, d, d)."""

    def potential(z: Array) -> tuple[Array, Array]:
        offsets = [z - m.reshape((-1,) + (1,) * (z.ndim - 1)) for m in means]
        slopes = [_dot(P, offset) for P, offset in zip(precisions, offsets, strict=True)]
        logs = [w - 0.5 * np.sum(o * s, axis=0) for w, o, s in zip(log_weights, offsets, slopes, strict=True)]
        top = np.max(logs, axis=0)
        shares = np.exp(logs - top)
        total = shares.sum(axis=0)
        return -top - np.log(total), sum(q * s for q, s in zip(shares, slopes, strict=True)) / total

    return potential


def double_well(barrier: float, tilt: float, bend: float, widths: Array) -> Scalar:
    """U = barrier (z₀² − 1)² + tilt z₀ + ½ Σ_k ((z_k − bend z₀²)/width_k)², k ≥ 1."""

    def potential(z: Array) -> tuple[Array, Array]:
        well = z[0] ** 2 - 1.0
        u = barrier * well**2 + tilt * z[0]
        slope = np.empty_like(z)
        slope[0] = 4.0 * barrier * z[0] * well + tilt
        for k, width in enumerate(widths, start=1):
            pull = (z[k] - bend * z[0] ** 2) / width**2
            u = u + 0.5 * width**2 * pull**2
            slope[k] = pull
            slope[0] -= 2.0 * bend * z[0] * pull
        return u, slope

    return potential


def ring(width: float, tilt: float, axes: int, widths: Array) -> Scalar:
    """U = (r² − 1)²/(8 width²) + tilt z₀ with r the radius in the first ``axes`` coordinates; Gaussian in the others."""

    def potential(z: Array) -> tuple[Array, Array]:
        inner = np.sum(z[:axes] ** 2, axis=0) - 1.0
        u = inner**2 / (8.0 * width**2) + tilt * z[0]
        slope = np.empty_like(z)
        slope[:axes] = inner * z[:axes] / (2.0 * width**2)
        slope[0] += tilt
        for k, w in enumerate(widths, start=axes):
            u = u + 0.5 * (z[k] / w) ** 2
            slope[k] = z[k] / w**2
        return u, slope

    return potential


def plateau(tilt: Array) -> Scalar:
    """U = 12 |z|⁶ + tilt·z: flat in the middle, steep at the rim."""

    def potential(z: Array) -> tuple[Array, Array]:
        square = np.sum(z**2, axis=0)
        slope = 72.0 * square**2 * z + tilt.reshape((-1,) + (1,) * (z.ndim - 1))
        return 12.0 * square**3 + np.einsum("i,i...->...", tilt, z), slope

    return potential


def wave_in_a_trough(wave: Scalar, periodic: NDArray[np.bool_]) -> Scalar:
    """U = wave(z) + ½|z|² over the axes that are not periodic."""

    def potential(z: Array) -> tuple[Array, Array]:
        u, slope = wave(z)
        free = np.where(periodic, 0.0, 1.0).reshape((-1,) + (1,) * (z.ndim - 1)) * z
        return u + 0.5 * np.sum(free * z, axis=0), slope + free

    return potential


def linear_map(field: Scalar, matrix: Array) -> Scalar:
    """x → field(matrix x) with its gradient in x."""

    def mapped(x: Array) -> tuple[Array, Array]:
        value, gradient = field(_dot(matrix, x))
        return value, _dot(matrix.T, gradient)

    return mapped


# ---- fields that vary over the box ----


@dataclass(frozen=True)
class Wave:
    """offset + Σ_m amplitude_m sin(k_m·x + phase_m): amplitudes (m,), wave vectors (m, d), phases (m,)."""

    offset: float
    amplitudes: Array
    vectors: Array
    phases: Array

    def __call__(self, x: Array) -> tuple[Array, Array]:
        value, gradient = np.full(x.shape[1:], self.offset), np.zeros_like(x)
        for a, k, phase in zip(self.amplitudes, self.vectors, self.phases, strict=True):
            angle = np.einsum("i,i...->...", k, x) + phase
            value += a * np.sin(angle)
            slope = a * np.cos(angle)
            for i in np.flatnonzero(k):
                gradient[i] += k[i] * slope
        return value, gradient


@dataclass(frozen=True)
class TurningTensor:
    """D = R Λ Rᵀ with R = frame · turn₀₁(angle 0) · turn₁₂(angle 1) and Λ_k = exp(scale + spread × logs_k).

    ``scale``, ``spread`` and ``angles`` are fields; there are none, one or two angles in one, two and three dimensions.
    """

    frame: Array
    logs: Array
    scale: Scalar
    spread: Scalar
    angles: tuple[Scalar, ...]

    def __call__(self, x: Array) -> tuple[Array, Array]:
        dim = len(self.logs)
        angles = [angle(x) for angle in self.angles]
        turns = [_turn(a, value, dim) for a, (value, _) in enumerate(angles)]
        R = self._chain([turn for turn, _ in turns])
        moved = [  # R as each angle turns
            self._chain([turn[1] if b == a else turn[0] for b, turn in enumerate(turns)]) for a in range(len(turns))
        ]
        scale, scale_slope = self.scale(x)
        spread, spread_slope = self.spread(x)
        D, divergence = np.zeros((dim, *x.shape)), np.zeros_like(x)
        for k in range(dim):
            size = np.exp(scale + self.logs[k] * spread)
            axis = [R[i][k] for i in range(dim)]
            for i in range(dim):
                longer = size * axis[i]
                for j in range(i, dim):
                    D[i, j] += longer * axis[j]
            along = sum(axis[j] * (scale_slope[j] + self.logs[k] * spread_slope[j]) for j in range(dim))
            for i in range(dim):
                divergence[i] += size * axis[i] * along
            for a, (_, slope) in enumerate(angles):  # the axis turns: ∂_j(axis_i axis_j) by the product rule
                change = [moved[a][i][k] for i in range(dim)]
                ahead = sum(axis[j] * slope[j] for j in range(dim))
                aside = sum(change[j] * slope[j] for j in range(dim))
                for i in range(dim):
                    divergence[i] += size * (change[i] * ahead + axis[i] * aside)
        for i, j in combinations(range(dim), 2):
            D[j, i] = D[i, j]
        return D, divergence

    def _chain(self, turns: list[list[list[Array | float]]]) -> list[list[Array | float]]:
        R = self.frame.tolist()
        for turn in turns:
            R = [[_sum_of_products(row, [line[k] for line in turn]) for k in range(len(R))] for row in R]
        return R


def _sum_of_products(one: list[Array | float], other: list[Array | float]) -> Array | float:
    """Without the products of zeros, of which rotations in a plane are full."""
    zero = lambda f: isinstance(f, float) and f == 0.0  # noqa: E731
    return sum((a * b for a, b in zip(one, other, strict=True) if not (zero(a) or zero(b))), start=0.0)


def _turn(first: int, angle: Array, dim: int) -> tuple[list[list[Array | float]], list[list[Array | float]]]:
    """Rotation in the plane of axes ``first`` and the next, and its derivative in the angle."""
    c, s = np.cos(angle), np.sin(angle)
    turn: list[list[Array | float]] = [[float(i == j) for j in range(dim)] for i in range(dim)]
    moved: list[list[Array | float]] = [[0.0] * dim for _ in range(dim)]
    a, b = first, first + 1
    turn[a][a], turn[a][b], turn[b][a], turn[b][b] = c, -s, s, c
    moved[a][a], moved[a][b], moved[b][a], moved[b][b] = -s, -c, c, -s
    return turn, moved


def _turning_tensor(rng: np.random.Generator, periodic: NDArray[np.bool_], ratio: float) -> TurningTensor:
    dim = len(periodic)
    middle = rng.uniform(-1.0, 1.0, max(dim - 2, 0))
    logs = 0.5 * np.log(ratio) * np.concatenate([[1.0], middle, [-1.0]]) if dim > 1 else np.zeros(1)
    return TurningTensor(
        frame=np.eye(1) if dim == 1 else ortho_group.rvs(dim, random_state=rng),
        logs=logs,
        scale=_wave(rng, periodic, 0.5, 0.0),
        spread=_wave(rng, periodic, 0.25, 0.75),
        angles=tuple(_wave(rng, periodic, rng.uniform(0.0, 1.5), rng.uniform(0.0, np.pi)) for _ in range(dim - 1)),
    )


def _wave(rng: np.random.Generator, periodic: NDArray[np.bool_], amplitude: float, offset: float) -> Wave:
    """Two waves of together at most this amplitude, up to two periods over a periodic box [−1, 1]^d, else about 2/3."""
    vectors = np.where(
        periodic, np.pi * rng.integers(-2, 3, (2, len(periodic))), rng.uniform(-2, 2, (2, len(periodic)))
    )
    first = np.flatnonzero(periodic)[:1]
    vectors[:, first] = np.where(vectors[:, first] == 0.0, np.pi, vectors[:, first])
    share = rng.uniform(0.2, 0.8)
    amplitudes = amplitude * np.array([share, 1.0 - share])
    return Wave(offset, amplitudes, vectors, rng.uniform(0.0, 2.0 * np.pi, 2))


def _walled(field: Scalar, periodic: NDArray[np.bool_]) -> Scalar:
    """The field times Π(1 − x_a⁸) over the reflecting axes of [−1, 1]^d: zero on the walls, flat in the middle."""
    walls = np.flatnonzero(~periodic)

    def product(x: Array) -> tuple[Array, Array]:
        value, gradient = field(x)
        for a in walls:
            seventh = x[a] ** 2 * x[a]
            seventh = seventh * seventh * x[a]
            fall = 1.0 - seventh * x[a]
            gradient = gradient * fall
            gradient[a] -= 8.0 * seventh * value
            value = value * fall
        return value, gradient

    return product


# ---- drawing a shape and fitting the box to it ----


def _draw_mixture(rng: np.random.Generator, periodic: NDArray[np.bool_], count: int | None = None) -> Scalar:
    dim = len(periodic)
    count = int(rng.integers(2, 5)) if count is None else count
    precisions = []
    for _ in range(count):
        frame = np.eye(1) if dim == 1 else ortho_group.rvs(dim, random_state=rng)
        precisions.append(frame @ np.diag(rng.uniform(0.6 if dim < 3 else 0.8, 1.2, dim) ** -2.0) @ frame.T)
    reach = 2.0 if dim < 3 else 1.3
    means = rng.uniform(-reach, reach, (count, dim)) if count > 1 else np.zeros((1, dim))
    return mixture(np.log(rng.uniform(0.2, 1.0, count)), means, np.array(precisions))


def _draw_double_well(rng: np.random.Generator, periodic: NDArray[np.bool_]) -> Scalar:
    widths = rng.uniform(0.35, 0.6, len(periodic) - 1)
    highest = 4.0 if len(periodic) < 3 else 1.5
    return double_well(rng.uniform(1.0, highest), rng.uniform(-1.0, 1.0), rng.uniform(-0.3, 0.3), widths)


def _draw_ring(rng: np.random.Generator, periodic: NDArray[np.bool_], axes: int = 2) -> Scalar:
    widths = rng.uniform(0.2, 0.5, len(periodic) - axes)
    return ring(rng.uniform(0.12 if len(periodic) < 3 else 0.2, 0.3), rng.uniform(-1.0, 1.0), axes, widths)


_SHAPES: dict[str, Callable[[np.random.Generator, NDArray[np.bool_]], Scalar]] = {
    "mixture": _draw_mixture,
    "well": lambda rng, periodic: _draw_mixture(rng, periodic, count=1),
    "double well": _draw_double_well,
    "ring": _draw_ring,
    "shell": lambda rng, periodic: _draw_ring(rng, periodic, axes=3),
    "plateau": lambda rng, periodic: plateau(rng.uniform(-1.0, 1.0, len(periodic))),
    "periodic": lambda rng, periodic: wave_in_a_trough(
        _wave(rng, periodic, float(np.exp(rng.uniform(np.log(0.1), np.log(3.0)))), 0.0), periodic
    ),
}


def _stretch(shape: Scalar, turn: Array, periodic: NDArray[np.bool_]) -> Array:
    """Half widths of the smallest box (to a tenth) with less than ``WALL_MASS`` along each reflecting wall."""
    dim = len(periodic)
    cells = QUADRATURE[dim]
    strip = max(1, int(np.ceil(STRIP * cells)))
    x = fp.Grid(fp.Box([-1.0] * dim, [1.0] * dim), (cells,) * dim).cell_points()
    half = np.ones(dim)
    while True:
        u, _ = linear_map(shape, turn * half)(x)
        p = np.exp(u.min() - u)
        profiles = [p.sum(axis=tuple(b for b in range(dim) if b != a)) / p.sum() for a in range(dim)]
        heavy = np.array([max(q[:strip].sum(), q[-strip:].sum()) > WALL_MASS for q in profiles]) & ~periodic
        if not heavy.any():
            return half
        half = np.where(heavy, 1.1 * half, half)


def _axes(periodic: NDArray[np.bool_]) -> str:
    return f" along {', '.join('xyz'[a] for a in np.flatnonzero(periodic))}" if periodic.any() else ""


def _dot(matrix: Array, vector: Array) -> Array:
    """Matrix (d, d, ...) or (d, d) times vector (d, ...)."""
    dim = len(vector)
    return np.stack([sum(matrix[i][j] * vector[j] for j in range(dim)) for i in range(dim)])
