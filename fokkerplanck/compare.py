"""A solution against a simulation: densities, currents and circulation, each with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .balance import area_test
from .errors import InvalidInput
from .fields import FaceField
from .grid import Array, Grid
from .results import Solution

if TYPE_CHECKING:
    import xarray as xr

    from .sgd import Run
    from .solvers.hermite import Moments

BINS = {1: 64, 2: 32, 3: 16}  # per axis, at most: a bin then is about half a standard deviation of a well-fitting box
NORMAL_95 = 1.96  # half width of a 95 % interval in standard errors


@dataclass(frozen=True)
class Interval:
    """An estimate between bounds at 95 % confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Circulation:
    """Area rates A_ij = ½⟨θ_i v_j − θ_j v_i⟩ per unit time, one entry per pair i < j: (0,1) or (0,1), (0,2), (1,2).

    Attributes
    ----------
    pairs : tuple of (int, int)
    measured, error : ndarray
        From the chains, and its standard error.
    predicted : ndarray
        By the solution: the diffusion limit.
    finite : ndarray or None
        Exact for the discrete chain at its finite learning rate, where known.
    """

    pairs: tuple[tuple[int, int], ...]
    measured: Array
    error: Array
    predicted: Array
    finite: Array | None

    @property
    def z_predicted(self) -> Array:
        """(measured − diffusion limit) in standard errors; grows with the run as the finite learning rate shows."""
        return (self.measured - self.predicted) / self.error

    @property
    def z_finite(self) -> Array | None:
        """(measured − discrete chain) in standard errors; of order one."""
        return None if self.finite is None else (self.measured - self.finite) / self.error


@dataclass(frozen=True)
class Comparison:
    r"""How far a simulation is from a solution.

    Attributes
    ----------
    total_variation : Interval
        :math:`\tfrac12\sum|\hat p - p|` over bins. The value is cross-fitted: the sign of every bin's difference comes from the
        other half of the chains, so noise does not add up and the lower bound is a valid one; the upper bound is that of the
        plug-in distance, which noise biases upwards.
    noise_floor : float
        The plug-in distance expected from noise alone.
    density_difference : DataArray
        (simulated − solved) / standard error of each bin.
    current_amplitude : Interval
        :math:`\langle\hat J, J\rangle/\langle J, J\rangle` over bin faces: 1 where the simulated current is the solved one.
    circulation : Circulation
    p_value : float or None
        Of the hypothesis that the discrete chain has no stochastic area, which detailed balance implies: Student's t over
        independent chains in two dimensions, Hotelling's T² in three. None in one dimension, where there is no area.
    mean_z, covariance_z : ndarray
        (simulated − solved) / standard error.
    sentence : str
        The verdict.
    """

    total_variation: Interval
    noise_floor: float
    density_difference: xr.DataArray
    current_amplitude: Interval
    circulation: Circulation
    p_value: float | None
    mean_z: Array
    covariance_z: Array
    sentence: str


def compare(solution: Solution, run: Run, *, finite: Moments | None = None) -> Comparison:
    """Compare the solved density and current with simulated SGD on the same grid.

    The solution is the diffusion limit η → 0 of the chain at fixed η/B; a long enough run tells the two apart at any finite η.
    Pass the moments of the discrete chain as ``finite`` to learn whether that effect accounts for what is seen.

    Parameters
    ----------
    solution : Solution
    run : Run
        Simulated on ``solution.grid``.
    finite : Moments, optional
        From :func:`fokkerplanck.solvers.hermite.chain_moments`.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidInput
        If the grids differ, or are stretched: a simulation counts on equal cells.

    References
    ----------
    J. P. Gonzalez, J. C. Neu, S. W. Teitsworth, Phys. Rev. E 99, 022143 (2019), doi:10.1103/PhysRevE.99.022143 (stochastic
    area as a test of detailed balance).
    """
    if not solution.grid.uniform:
        raise InvalidInput(
            f"expected a solution on equal cells, on which a simulation counts, got maps {solution.grid.maps}. "
            "Solve without maps"
        )
    if run.grid != solution.grid:
        raise InvalidInput(
            f"expected a run on the solution's grid {solution.grid.shape} in {solution.grid.box}, got {run.grid.shape} in "
            f"{run.grid.box}. Simulate with grid=solution.grid"
        )
    expected, seen, bins = _binned(solution, run)
    distance, floor = total_variation(expected, seen)
    pairs = tuple((i, j) for i in range(run.grid.dim) for j in range(i + 1, run.grid.dim))
    rows, columns = [i for i, _ in pairs], [j for _, j in pairs]
    areas = run.chain_circulation[:, rows, columns]
    circulation = Circulation(
        pairs=pairs,
        measured=areas.mean(axis=0),
        error=run.circulation_error[rows, columns],
        predicted=solution.circulation[rows, columns],
        finite=None if finite is None else finite.circulation[rows, columns],
    )
    return Comparison(
        total_variation=distance,
        noise_floor=floor,
        density_difference=_difference(expected, seen, bins, solution.names),
        current_amplitude=_amplitude(solution, run, bins),
        circulation=circulation,
        p_value=area_test(areas),
        mean_z=(run.mean - solution.mean) / run.mean_error,
        covariance_z=(run.covariance - solution.covariance) / run.covariance_error,
        sentence=_sentence(distance, floor, circulation),
    )


def total_variation(expected: Array, seen: Array) -> tuple[Interval, float]:
    """Cross-fitted total variation between bin probabilities and independent estimates of them.

    Parameters
    ----------
    expected : ndarray, shape (bins,)
    seen : ndarray, shape (groups, bins)
        Frequencies in each group of chains, including whatever bins the expectation lacks.

    Returns
    -------
    interval : Interval
    floor : float
        Plug-in distance expected from noise if the two were equal.
    """
    groups, total = seen.shape[0], seen.mean(axis=0)
    halves = seen[::2], seen[1::2]
    values, spreads = [], []
    for fit, test in (halves, halves[::-1]):
        signs = np.sign(fit.mean(axis=0) - expected)
        fitted = 0.5 * np.sum(signs * (test - expected), axis=1)
        values.append(float(fitted.mean()))
        spreads.append(float(fitted.std(ddof=1)) / np.sqrt(len(test)))
    # The two halves' values are correlated (by 2/π where the laws are equal), so averaging them is not counted as a gain.
    value, spread = float(np.mean(values)), float(np.mean(spreads))
    plug_in = 0.5 * float(np.abs(total - expected).sum())
    noise = seen.std(axis=0, ddof=1) / np.sqrt(groups)
    floor = 0.5 * float(np.sqrt(2.0 / np.pi) * noise.sum())  # E|N(0, s²)| = s √(2/π)
    return Interval(value, max(0.0, value - NORMAL_95 * spread), plug_in + NORMAL_95 * spread), floor


def _binned(solution: Solution, run: Run) -> tuple[Array, Array, Grid]:
    """Probabilities of the solution and frequencies of every group, on bins that hold whole cells; outside comes last."""
    grid = solution.grid
    bins = Grid(grid.box, tuple(_coarser(n, BINS[grid.dim]) for n in grid.shape))
    probability = _block_sum(np.exp(-solution.phi) * grid.cell_volume, bins.shape)
    counts = np.stack([_block_sum(group, bins.shape) for group in run.histogram])
    counts = np.concatenate([counts.reshape(len(counts), -1), run.outside_samples[:, None]], axis=1)
    return np.append(probability.ravel(), 0.0), counts / run.group_samples[:, None], bins


def _coarser(n: int, most: int) -> int:
    """The largest number of bins up to ``most`` that divides n cells evenly."""
    return max(k for k in range(1, min(n, most) + 1) if n % k == 0)


def _block_sum(cells: Array, shape: tuple[int, ...]) -> Array:
    split = [m for n, k in zip(cells.shape, shape, strict=True) for m in (k, n // k)]
    return np.asarray(cells.reshape(split).sum(axis=tuple(range(1, 2 * len(shape), 2))))


def _difference(expected: Array, seen: Array, bins: Grid, names: tuple[str, ...]) -> xr.DataArray:
    import xarray as xr  # slow to import, and not needed to solve

    error = seen.std(axis=0, ddof=1) / np.sqrt(len(seen))
    with np.errstate(divide="ignore", invalid="ignore"):
        # A bin that no chain ever visited has no standard error, hence no difference in units of it: NaN, drawn blank.
        z = np.where(error > 0.0, (seen.mean(axis=0) - expected) / error, np.nan)[:-1].reshape(bins.shape)
    coordinates = {name: bins.centers(a) for a, name in enumerate(names)}
    attributes = {"long_name": "simulated minus solved density", "units": "standard errors"}
    return xr.DataArray(z, dims=names, coords=coordinates, attrs=attributes)


def _amplitude(solution: Solution, run: Run, bins: Grid) -> Interval:
    expected = _bin_fluxes(solution.flux.components, bins)
    norm = expected.inner(expected)
    if norm == 0.0:
        return Interval(np.nan, np.nan, np.nan)
    groups = run.face_current_groups
    shares = np.array(
        [_bin_fluxes(tuple(axis[g] for axis in groups), bins).inner(expected) / norm for g in range(len(groups[0]))]
    )
    value, spread = float(shares.mean()), float(shares.std(ddof=1)) / np.sqrt(len(shares))
    return Interval(value, value - NORMAL_95 * spread, value + NORMAL_95 * spread)


def _bin_fluxes(components: tuple[Array, ...], bins: Grid) -> FaceField:
    """Mean flux through the faces of bins."""
    means = []
    for axis, component in enumerate(components):
        step = (component.shape[axis] - 1) // bins.shape[axis]
        faces = np.take(component, np.arange(0, component.shape[axis], step), axis=axis)
        shape = bins.face_shape(axis)
        means.append(_block_sum(faces, shape) * (np.prod(shape) / faces.size))
    return FaceField(bins, tuple(means))


def _sentence(distance: Interval, floor: float, circulation: Circulation) -> str:
    density = (
        "The simulated density cannot be told from the solved one"
        if distance.low == 0.0
        else f"The simulated density differs from the solved one by a total variation of {distance.value:.3f}"
    )
    density += f" (noise alone: {floor:.3f})"
    if not circulation.pairs:
        return density + "."
    strongest = int(np.argmax(np.abs(circulation.measured / circulation.error)))
    measured, error = circulation.measured[strongest], circulation.error[strongest]
    ratio, ratio_error = measured / circulation.predicted[strongest], abs(error / circulation.predicted[strongest])
    sentence = f"{density}; it circulates at {ratio:.3f} ± {ratio_error:.3f} of the rate of the diffusion limit"
    if circulation.finite is not None and circulation.z_finite is not None:
        exact = circulation.finite[strongest] / circulation.predicted[strongest]
        sentence += (
            f", where the finite learning rate makes it {exact:.3f} (z = {circulation.z_finite[strongest]:+.1f})"
        )
    return sentence + "."
