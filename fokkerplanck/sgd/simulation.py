"""Direct simulation of SGD with exact minibatches: density, current and moments, with their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import InvalidInput, NotConverged
from ..grid import Grid
from ..kernels.chains import advance, seed_streams
from ..progress import progress_bar
from .models import KINDS

if TYPE_CHECKING:
    from .descent import SGD

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Randomness = int | np.random.Generator | np.random.SeedSequence | None

FEWEST_GROUPS = 16  # a standard error from G groups is itself uncertain by 1/√(2G): 18 % here
RELAXATION_TIMES = 10  # the start is forgotten to e⁻¹⁰ = 5e-5 of its distance, below the statistical error of a run
GRADIENTS_PER_SLICE = 10_000_000  # about 0.2 s of one core between two movements of the progress bar
PAIRS = ((0, 1), (0, 2), (1, 2))
SQUARES = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


@dataclass(frozen=True, eq=False)
class Run:
    r"""What was counted along the chains of a simulation, and the estimates made of it.

    Counts are kept per group of chains and sums per chain; both are independent, so their scatter gives the standard
    errors. The time of step k is t = kη.

    Parameters
    ----------
    grid : Grid
        Where was counted.
    names : tuple of str, length d
    learning_rate, batch_size, sampling, n
        The settings of the SGD and the number of its samples.
    steps, burn_in, seed : int
        Recorded steps per chain, steps before them, and the seed of the streams of all chains.
    minimum : ndarray, shape (d,)
        θ*, the start of every chain and the centre of its moments.
    group_samples : ndarray of int, shape (groups,)
        Recorded steps of each group.
    histogram : ndarray of int, shape (groups, *grid.shape)
        Samples in each cell.
    outside_samples : ndarray of int, shape (groups,)
        Samples outside the grid.
    crossings : tuple of ndarray of int, shape (groups, *grid.face_shape(axis))
        Net number of times (upward less downward) that the straight lines between successive points crossed each
        face, walls included. Their difference over a cell is exactly its first less its last occupation.
    chain_mean : ndarray, shape (chains, d)
    chain_second : ndarray, shape (chains, d, d)
        :math:`\langle(\theta-\theta^*)(\theta-\theta^*)^\top\rangle` of each chain.
    chain_circulation : ndarray, shape (chains, d, d)
        :math:`\langle\theta_i\,\Delta\theta_j - \theta_j\,\Delta\theta_i\rangle/2\eta` of each chain, about θ*,
        per unit of time.
    start, end : ndarray, shape (chains, d)
        First (not recorded) and last point of each chain.
    """

    grid: Grid
    names: tuple[str, ...]
    learning_rate: float
    batch_size: int
    sampling: str
    n: int
    steps: int
    burn_in: int
    seed: int
    minimum: Array
    group_samples: Ints
    histogram: Ints
    outside_samples: Ints
    crossings: tuple[Ints, ...]
    chain_mean: Array
    chain_second: Array
    chain_circulation: Array
    start: Array
    end: Array

    def __repr__(self) -> str:
        return (
            f"Run(chains={len(self.start)}, steps={self.steps}, learning_rate={self.learning_rate:g}, "
            f"batch_size={self.batch_size}, sampling={self.sampling!r}, outside={self.outside:.3g}, seed={self.seed})"
        )

    @property
    def samples(self) -> int:
        """Recorded steps of all chains."""
        return int(self.group_samples.sum())

    @property
    def outside(self) -> float:
        """Fraction of the samples outside the grid."""
        return float(self.outside_samples.sum() / self.samples)

    @property
    def density(self) -> xr.DataArray:
        """Probability per volume of θ in each cell; its integral is 1 − ``outside``."""
        return self._on_cells(self.histogram.sum(axis=0) / (self.samples * self.grid.cell_volume), "density")

    @property
    def density_error(self) -> xr.DataArray:
        """Standard error of ``density``, from the scatter between groups."""
        return self._on_cells(self._spread(self.histogram) / self.grid.cell_volume, "density_error")

    @property
    def face_current(self) -> tuple[Array, ...]:
        """Probability current through the faces normal to each axis: per unit time and unit area of the face."""
        return tuple(
            count.sum(axis=0) / (self.samples * size)
            for count, size in zip(self.crossings, self._face_sizes, strict=True)
        )

    @property
    def face_current_error(self) -> tuple[Array, ...]:
        """Standard error of ``face_current``, from the scatter between groups."""
        return tuple(self._spread(count) / size for count, size in zip(self.crossings, self._face_sizes, strict=True))

    @property
    def face_current_groups(self) -> tuple[Array, ...]:
        """``face_current`` of each group by itself, shape (groups, *grid.face_shape(axis))."""
        weights = self.group_samples.reshape(-1, *(1,) * self.grid.dim)
        return tuple(count / (weights * size) for count, size in zip(self.crossings, self._face_sizes, strict=True))

    @property
    def current(self) -> xr.DataArray:
        """Probability current J, with a leading dimension "component": in each cell the mean of two opposite faces."""
        return self._on_cells(
            np.stack([_between(face, axis) for axis, face in enumerate(self.face_current)]), "current"
        )

    @property
    def current_error(self) -> xr.DataArray:
        """Standard error of ``current``, from the scatter between groups."""
        errors = [
            self._spread(_between(count, axis + 1)) / size
            for axis, (count, size) in enumerate(zip(self.crossings, self._face_sizes, strict=True))
        ]
        return self._on_cells(np.stack(errors), "current_error")

    @property
    def mean(self) -> Array:
        """⟨θ⟩, shape (d,)."""
        return np.asarray(self.chain_mean.mean(axis=0))

    @property
    def mean_error(self) -> Array:
        """Standard error of ``mean``, from the scatter between chains."""
        return _standard_error(self.chain_mean)

    @property
    def covariance(self) -> Array:
        """Covariance of θ over all chains and steps, shape (d, d)."""
        shift = self.mean - self.minimum
        return np.asarray(self.chain_second.mean(axis=0) - np.outer(shift, shift))

    @property
    def covariance_error(self) -> Array:
        """Standard error of ``covariance``, by the jackknife over chains."""
        chains = len(self.start)
        shift = self.chain_mean - self.minimum
        second = (self.chain_second.sum(axis=0) - self.chain_second) / (chains - 1)
        first = (shift.sum(axis=0) - shift) / (chains - 1)
        without = second - first[:, :, None] * first[:, None, :]
        return np.asarray(np.sqrt((chains - 1) * without.var(axis=0)))

    @property
    def circulation(self) -> Array:
        r"""The antisymmetric tensor :math:`A_{ij} = \tfrac12\langle\theta_i v_j - \theta_j v_i\rangle`, shape (d, d).

        In two dimensions :math:`\int (x_0 J_1 - x_1 J_0)\,dx = 2A_{01}`.
        """
        return np.asarray(self.chain_circulation.mean(axis=0))

    @property
    def circulation_error(self) -> Array:
        """Standard error of ``circulation``, from the scatter between chains."""
        return _standard_error(self.chain_circulation)

    @cached_property
    def _face_sizes(self) -> Array:
        """η × area of the faces normal to each axis."""
        return self.learning_rate * self.grid.cell_volume / self.grid.spacing

    def _spread(self, counts: Any) -> Array:
        """Standard error of Σ counts / Σ samples over groups that may differ in size by a chain."""
        weights = self.group_samples.reshape(-1, *(1,) * (counts.ndim - 1))
        residual = counts - weights * (counts.sum(axis=0) / self.samples)
        groups = len(self.group_samples)
        return np.asarray(np.sqrt((residual**2).sum(axis=0) * groups / (groups - 1)) / self.samples)

    def _on_cells(self, values: Array, name: str) -> xr.DataArray:
        coords: dict[str, Any] = {label: self.grid.centers(axis) for axis, label in enumerate(self.names)}
        dims = self.names
        if values.ndim > self.grid.dim:
            coords = {"component": list(self.names), **coords}
            dims = ("component", *dims)
        return xr.DataArray(values, dims=dims, coords=coords, name=name)


def simulate(
    sgd: SGD,
    *,
    grid: Grid,
    chains: int = 1000,
    steps: int = 20_000,
    rng: Randomness = None,
    burn_in: int | None = None,
    groups: int = 32,
    progress: bool | None = None,
) -> Run:
    r"""Run independent chains :math:`\theta_{k+1} = \theta_k - \eta\,\nabla L_B(\theta_k)` and count on a grid.

    Minibatches are drawn exactly; nothing is approximated but the averages by finite samples. Memory does not grow with
    the number of steps: ``groups`` × (1 + d) integers per cell. The number of threads does not change the result.

    Parameters
    ----------
    sgd : SGD
    grid : Grid
        Of as many dimensions as the model has parameters, without periodic axes. What leaves it is counted as outside.
    chains, steps : int
        Number of independent chains and of recorded steps of each.
    rng : int, Generator, SeedSequence or None
        Passed to `numpy.random.default_rng`, from which the seed of all streams is drawn once.
    burn_in : int, optional
        Steps from θ* that are not recorded; by default 10 relaxation times.
    groups : int
        Into how many parts, at least 16, the chains are split for the errors of density and current; at least 2 chains
        in each.
    progress : bool, optional
        Show a progress bar; by default if stderr is a terminal.

    Returns
    -------
    Run

    Raises
    ------
    InvalidInput
        If the arguments do not fit each other.
    NotConverged
        If a chain is no longer finite.

    References
    ----------
    D. Blackman, S. Vigna, *ACM Trans. Math. Softw.* 47 (2021) 36, doi:10.1145/3460772 (xoshiro256++).

    Examples
    --------
    >>> from fokkerplanck.grid import Grid
    >>> from fokkerplanck.sgd import SGD, linear_regression
    >>> sgd = SGD(linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.1, batch_size=1)
    >>> run = simulate(sgd, grid=Grid(sgd.box(), (40,)), chains=64, steps=1000, rng=7)
    >>> bool(abs(run.mean - sgd.model.minimum)[0] < 4 * run.mean_error[0])
    True
    """
    _check(sgd, grid, chains, steps, burn_in, groups)
    seed = _draw_seed(rng)
    if burn_in is None:
        burn_in = math.ceil(RELAXATION_TIMES * sgd.relaxation_time / sgd.learning_rate)
    model, d = sgd.model, grid.dim
    n, B = model.n, sgd.batch_size
    period = {"with_replacement": 0, "without_replacement": B, "epoch": (n // B) * B}[sgd.sampling]

    bounds = np.arange(groups + 1) * chains // groups
    shape = grid.shape + (1,) * (3 - d)
    lower, spacing = np.full(3, -0.5), np.ones(3)
    lower[:d], spacing[:d] = grid.box.lower, grid.spacing
    centre = _pad(model.minimum)
    theta = np.tile(centre, (chains, 1))
    state = np.empty((chains, 4), np.uint64)
    seed_streams(np.uint64(seed), state)
    order = np.tile(np.arange(n if period else 0), (chains, 1))
    position = np.zeros(chains, np.int64)
    failed = np.zeros(chains, np.int64)
    histogram = np.zeros((groups, *shape), np.int64)
    faces = [np.zeros((groups, *(s + (a == axis) for a, s in enumerate(shape))), np.int64) for axis in range(3)]
    outside = np.zeros((groups, 1), np.int64)
    sums = np.zeros((chains, 12))

    start = theta.copy()
    X = _pad(model.X)
    piece = max(1, GRADIENTS_PER_SLICE // (chains * B))
    with progress_bar("SGD chains", total=burn_in + steps, show=progress) as moved:
        for first, count, record in _slices(burn_in, steps, piece):
            if record and first == burn_in:
                start = theta.copy()
            advance(
                bounds,
                KINDS[model.kind],
                X,
                model.y,
                model.l2,
                sgd.learning_rate,
                B,
                period,
                first,
                count,
                record,
                centre,
                lower,
                spacing,
                theta,
                state,
                order,
                position,
                failed,
                histogram,
                *faces,
                outside,
                sums,
            )
            if failed.any():
                lost = failed[failed > 0]
                raise NotConverged(
                    f"expected finite parameters, got {lost.size} of {chains} chains that are not, the first at step "
                    f"{lost.min()} (burn-in of {burn_in} included). Minibatches are steeper than the whole loss: "
                    f"lower learning_rate = {sgd.learning_rate:g} or raise batch_size = {B}"
                )
            moved(count)

    mean, second, area = sums[:, :d] / steps, np.zeros((chains, 3, 3)), np.zeros((chains, 3, 3))
    for k, (i, j) in enumerate(SQUARES):
        second[:, i, j] = second[:, j, i] = sums[:, 3 + k] / steps
    for k, (i, j) in enumerate(PAIRS):
        area[:, i, j] = sums[:, 9 + k] / (2.0 * sgd.learning_rate * steps)
        area[:, j, i] = -area[:, i, j]
    return Run(
        grid=grid,
        names=model.names,
        learning_rate=sgd.learning_rate,
        batch_size=B,
        sampling=sgd.sampling,
        n=n,
        steps=int(steps),
        burn_in=int(burn_in),
        seed=seed,
        minimum=model.minimum,
        group_samples=np.diff(bounds) * steps,
        histogram=histogram.reshape(groups, *grid.shape),
        outside_samples=outside[:, 0],
        crossings=tuple(faces[axis].reshape(groups, *grid.face_shape(axis)) for axis in range(d)),
        chain_mean=model.minimum + mean,
        chain_second=second[:, :d, :d],
        chain_circulation=area[:, :d, :d],
        start=start[:, :d],
        end=theta[:, :d],
    )


def _check(sgd: SGD, grid: Grid, chains: int, steps: int, burn_in: int | None, groups: int) -> None:
    if grid.dim != sgd.model.dim:
        raise InvalidInput(
            f"grid: expected {sgd.model.dim} dimensions, one per parameter {sgd.model.names}, got {grid.dim}. "
            "Densities are gridded in at most 3 dimensions"
        )
    if any(grid.periodic):
        raise InvalidInput(
            f"grid: expected no periodic axis, got boundary = {grid.box.boundary}. Parameters do not wrap round; "
            "a simulation ignores walls, so use reflecting ones"
        )
    check_counts(chains=chains, steps=steps, burn_in=burn_in, groups=groups)


def check_counts(*, chains: int, steps: int, burn_in: int | None = None, groups: int = 32) -> None:
    """Refuse numbers of chains, steps and groups that a simulation cannot use.

    Raises
    ------
    InvalidInput
    """
    smallest = {"chains": 2 * FEWEST_GROUPS, "steps": 1, "groups": FEWEST_GROUPS, "burn_in": 0}
    given = {"chains": chains, "steps": steps, "groups": groups, "burn_in": 0 if burn_in is None else burn_in}
    for name, value in given.items():
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or value < smallest[name]:
            raise InvalidInput(f"{name}: expected a whole number of at least {smallest[name]}, got {value!r}")
    if chains < 2 * groups:
        raise InvalidInput(
            f"chains: expected at least 2 for each of the {groups} groups, got {chains}. Standard errors come from the "
            f"scatter between groups; take more chains, or at least {FEWEST_GROUPS} groups"
        )


def _draw_seed(rng: Randomness) -> int:
    try:
        return int(np.random.default_rng(rng).integers(2**63))
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"rng: expected a non-negative whole number, Generator, SeedSequence or None, got {rng!r}"
        ) from error


def _slices(burn_in: int, steps: int, piece: int) -> list[tuple[int, int, bool]]:
    """(first step, number of steps, recorded?) of slices that do not mix burn-in and record."""
    parts = [(k, min(piece, burn_in - k), False) for k in range(0, burn_in, piece)]
    return parts + [(burn_in + k, min(piece, steps - k), True) for k in range(0, steps, piece)]


def _pad(values: Array) -> Array:
    """Zeros along the last axis up to a length of three."""
    width = [(0, 0)] * (values.ndim - 1) + [(0, 3 - values.shape[-1])]
    return np.ascontiguousarray(np.pad(values, width))


def _between(faces: Any, axis: int) -> Array:
    """Mean of the two opposite faces of every cell."""
    low = np.take(faces, range(faces.shape[axis] - 1), axis=axis)
    high = np.take(faces, range(1, faces.shape[axis]), axis=axis)
    return np.asarray(0.5 * (low + high))


def _standard_error(values: Array) -> Array:
    return np.asarray(values.std(axis=0, ddof=1) / math.sqrt(len(values)))
