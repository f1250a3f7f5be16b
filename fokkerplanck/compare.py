"""A solution against a simulation: densities, currents and circulation, each with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .area import area_test
from .errors import InvalidInput
from .fields import FaceField
from .grid import Array, Grid
from .mismatch import warn_of_mismatch
from .replicates import (
    NORMAL_95,
    Interval,
    chi_square,
    hellinger,
    in_words,
    root,
    square_norm,
    standard_error,
    total_variation,
)
from .results import Solution

if TYPE_CHECKING:
    import xarray as xr

    from .sgd import Run
    from .solvers.hermite import Moments

BINS = {1: 64, 2: 32, 3: 16}  # per axis, at most: a bin then is about half a standard deviation of a well-fitting box
FLIP_SEED = 3141  # of the sign flips behind the p-values: the same comparison gives the same numbers
MASS = 1e-2  # of a density given as an explanation: what a box may have cut


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
    hellinger : Interval
        :math:`(1 - \sum\sqrt{\hat p\,p})^{1/2}` over bins, without the bias of noise.
    chi_square : Interval
        Unbiased :math:`\sum(\hat p - p)^2/p` over bins; about eight times the squared Hellinger distance where that is small.
        Negative where there is less than noise.
    density_p_value : float
        Of equal densities: by flipping the signs of the groups' differences.
    density_difference : DataArray
        (simulated − solved) / standard error of each bin.
    current_amplitude : Interval
        :math:`\langle\hat J, J\rangle/\langle J, J\rangle` over bin faces: 1 where the simulated current is the solved one.
    current_distance : Interval
        :math:`\|\hat J - J\|/\|J\|` over bin faces, freed of the bias of noise.
    current_p_value : float or None
        Of equal currents, as that of the densities. None in one dimension, where there is no current.
    current_difference : FaceField
        (simulated − solved current) / standard error of each face of the bins; both conserve probability exactly.
    circulation : Circulation
    p_value : float or None
        Of the hypothesis that the discrete chain has no stochastic area, which detailed balance implies (:func:`area_test`).
        None in one dimension, where there is no area.
    mean_z, covariance_z : ndarray
        (simulated − solved) / standard error.
    explained : dict of str to Interval
        For every explanation, the total variation that it leaves.
    sentence : str
        The verdict.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> sgd = fp.sgd.SGD(fp.sgd.linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.1, batch_size=1)
    >>> sol = fp.solve_stationary(sgd.process(), sgd.box(), shape=(64,))
    >>> comparison = fp.compare(sol, sgd.simulate(grid=sol.grid, chains=64, steps=500, rng=7))
    >>> comparison.total_variation.low < comparison.total_variation.value < comparison.total_variation.high
    True
    """

    total_variation: Interval
    noise_floor: float
    hellinger: Interval
    chi_square: Interval
    density_p_value: float
    density_difference: xr.DataArray
    current_amplitude: Interval
    current_distance: Interval
    current_p_value: float | None
    current_difference: FaceField
    circulation: Circulation
    p_value: float | None
    mean_z: Array
    covariance_z: Array
    explained: Mapping[str, Interval]
    sentence: str


def compare(
    solution: Solution,
    run: Run,
    *,
    finite: Moments | None = None,
    explanations: Mapping[str, Solution | Array] | None = None,
) -> Comparison:
    r"""Compare the solved density and current with simulated SGD on the same grid.

    The solution is the diffusion limit η → 0 of the chain at fixed η/B; a long enough run tells the two apart at any finite η.
    Pass the moments of the discrete chain as ``finite``, and densities of better theories as ``explanations``, to learn what
    accounts for what is seen.

    Errors come from independent groups of chains; the points of one chain depend on one another.

    Parameters
    ----------
    solution : Solution
    run : Run
        Simulated on ``solution.grid``.
    finite : Moments, optional
        From :func:`fokkerplanck.solvers.hermite.chain_moments`.
    explanations : mapping of str to Solution or array_like, shape ``grid.shape``, optional
        Densities on the same grid under the name of what each accounts for, each including those before it: for example
        ``{"the finite learning rate": corrected, "skewed noise": transferred}``.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidInput
        If the grids differ, or are stretched: a simulation counts on equal cells.

    Warns
    -----
    MismatchWarning
        If the solution is of the process of an SGD, and the run is of another: with momentum, in epochs, with a learning rate
        that changes while it is recorded, with other label noise, injected noise or weight decay, with stable noise, of another
        loss or other data, or of a learning rate and batch size with another diffusion limit (equal ratios have the same).
        Chains recorded elsewhere say nothing of themselves.

    References
    ----------
    J. P. Gonzalez, J. C. Neu, S. W. Teitsworth, Phys. Rev. E 99, 022143 (2019), doi:10.1103/PhysRevE.99.022143 (stochastic
    area as a test of detailed balance).

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> sgd = fp.cases.get("diabetes").sgd
    >>> sol = fp.solve_stationary(sgd.process(), sgd.box(), shape=(64, 64))
    >>> comparison = compare(sol, sgd.simulate(grid=sol.grid, chains=128, steps=1000, rng=7))
    >>> 0.8 < comparison.current_amplitude.high, comparison.total_variation.value < 0.1
    (True, True)
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
    warn_of_mismatch("compare", solution, run)
    rng = np.random.default_rng(FLIP_SEED)
    grid, d = solution.grid, solution.grid.dim
    bins = Grid(grid.box, tuple(_coarser(n, BINS[d]) for n in grid.shape))
    expected, seen = _probabilities(np.exp(-solution.phi), bins, grid), _frequencies(run, bins)
    distance, floor = total_variation(expected, seen)
    squared, density_p = chi_square(expected, seen, rng)
    explained = {
        name: total_variation(_probabilities(_density(theory, grid, name), bins, grid), seen)[0]
        for name, theory in (explanations or {}).items()
    }
    pairs = tuple((i, j) for i in range(d) for j in range(i + 1, d))
    rows, columns = [i for i, _ in pairs], [j for _, j in pairs]
    circulation = Circulation(
        pairs=pairs,
        measured=run.circulation[rows, columns],
        error=run.circulation_error[rows, columns],
        predicted=solution.circulation[rows, columns],
        finite=None if finite is None else finite.circulation[rows, columns],
    )
    amplitude, apart, current_p, difference = _currents(solution, run, bins, rng)
    return Comparison(
        total_variation=distance,
        noise_floor=floor,
        hellinger=hellinger(expected, seen),
        chi_square=squared,
        density_p_value=density_p,
        density_difference=_difference(expected, seen, bins, solution.names),
        current_amplitude=amplitude,
        current_distance=apart,
        current_p_value=current_p,
        current_difference=difference,
        circulation=circulation,
        p_value=area_test(run).p_value if pairs else None,
        mean_z=(run.mean - solution.mean) / run.mean_error,
        covariance_z=(run.covariance - solution.covariance) / run.covariance_error,
        explained=explained,
        sentence=_density_verdict(distance, floor, density_p, explained) + _current_verdict(circulation, apart) + ".",
    )


def _density(theory: Any, grid: Grid, name: str) -> Array:
    """The density of an explanation at the cell centres of the grid."""
    if isinstance(theory, Solution):
        if theory.grid != grid:
            raise InvalidInput(
                f"explanations: expected {name!r} on the grid of the run, {grid.shape} in {grid.box}, got "
                f"{theory.grid.shape} in {theory.grid.box}"
            )
        return np.exp(-theory.phi)
    density = np.asarray(theory, dtype=float)
    if density.shape != grid.shape:
        raise InvalidInput(
            f"explanations: expected {name!r} of shape {grid.shape}, one value a cell, got {density.shape}"
        )
    mass = float(density.sum() * grid.cell_volume)
    if not abs(mass - 1.0) < MASS:
        raise InvalidInput(f"explanations: expected {name!r} to be a density, whose integral is 1, got {mass:.6g}")
    return density


def _probabilities(density: Array, bins: Grid, grid: Grid) -> Array:
    """Of bins that hold whole cells; outside comes last."""
    inside = _block_sum(density * grid.cell_volume, bins.shape).ravel()
    return np.append(inside, 0.0)


def _frequencies(run: Run, bins: Grid) -> Array:
    """Of every group of chains; outside comes last."""
    counts = np.stack([_block_sum(group, bins.shape).ravel() for group in run.histogram])
    return np.concatenate([counts, run.outside_samples[:, None]], axis=1) / run.group_samples[:, None]


def _coarser(n: int, most: int) -> int:
    """The largest number of bins up to ``most`` that divides n cells evenly."""
    return max(k for k in range(1, min(n, most) + 1) if n % k == 0)


def _block_sum(cells: Array, shape: tuple[int, ...]) -> Array:
    split = [m for n, k in zip(cells.shape, shape, strict=True) for m in (k, n // k)]
    return np.asarray(cells.reshape(split).sum(axis=tuple(range(1, 2 * len(shape), 2))))


def _difference(expected: Array, seen: Array, bins: Grid, names: tuple[str, ...]) -> xr.DataArray:
    import xarray as xr  # slow to import, and not needed to solve

    error = standard_error(seen)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A bin that no chain ever visited has no standard error, hence no difference in units of it: NaN, drawn blank.
        z = np.where(error > 0.0, (seen.mean(axis=0) - expected) / error, np.nan)[:-1].reshape(bins.shape)
    coordinates = {name: bins.centers(a) for a, name in enumerate(names)}
    attributes = {"long_name": "simulated minus solved density", "units": "standard errors"}
    return xr.DataArray(z, dims=names, coords=coordinates, attrs=attributes)


def _currents(
    solution: Solution, run: Run, bins: Grid, rng: np.random.Generator
) -> tuple[Interval, Interval, float | None, FaceField]:
    """Amplitude, relative distance and its p-value, and the difference in standard errors, of the currents on bin faces."""
    expected = _bin_fluxes(solution.flux.components, bins)
    groups = run.face_current_groups
    seen = [_bin_fluxes(tuple(axis[g] for axis in groups), bins) for g in range(len(run.group_samples))]
    z = []
    for axis, component in enumerate(expected.components):
        faces = np.stack([s.components[axis] for s in seen])
        error = standard_error(faces)
        with np.errstate(divide="ignore", invalid="ignore"):  # NaN where no chain ever passed, as for the density
            z.append(np.where(error > 0.0, (faces.mean(axis=0) - component) / error, np.nan))
    norm = expected.inner(expected)
    unknown = Interval(np.nan, np.nan, np.nan)
    if norm == 0.0 or bins.dim == 1:
        return unknown, unknown, None, FaceField(bins, tuple(z))
    shares = np.array([s.inner(expected) / norm for s in seen])
    value, spread = float(shares.mean()), float(standard_error(shares))
    size = 1.0 / np.sqrt(norm)
    scale = np.sqrt(bins.cell_volume)  # every face stands for the volume between two centres
    rows = np.stack([np.concatenate([c.ravel() for c in ((s - expected) * size).components]) for s in seen]) * scale
    squared, probability = square_norm(rows, rng)
    amplitude = Interval(value, value - NORMAL_95 * spread, value + NORMAL_95 * spread)
    return amplitude, root(squared), probability, FaceField(bins, tuple(z))


def _bin_fluxes(components: tuple[Array, ...], bins: Grid) -> FaceField:
    """Mean flux through the faces of bins."""
    means = []
    for axis, component in enumerate(components):
        step = (component.shape[axis] - 1) // bins.shape[axis]
        faces = np.take(component, np.arange(0, component.shape[axis], step), axis=axis)
        shape = bins.face_shape(axis)
        means.append(_block_sum(faces, shape) * (np.prod(shape) / faces.size))
    return FaceField(bins, tuple(means))


def _density_verdict(distance: Interval, floor: float, p: float, explained: Mapping[str, Interval]) -> str:
    if distance.low == 0.0:
        return (
            f"The simulated density agrees with the solved one within statistics (total variation below {distance.high:.3f}, "
            f"noise alone {floor:.3f}, {in_words(p)})"
        )
    reach = distance.value - distance.low
    words = (
        f"The simulated density differs from the solved one by a total variation of {distance.value:.3f} ± {reach:.3f} (noise "
        f"alone {floor:.3f})"
    )
    if not explained:
        return words
    parts, before = [], distance.value
    for name, left in explained.items():
        parts.append(f"{before - left.value:.3f} by {name}")
        before = left.value
    rest = "nothing beyond noise" if left.low == 0.0 else f"{left.value:.3f} ± {left.value - left.low:.3f}"
    return f"{words}, of which are explained {' and '.join(parts)}, leaving {rest}"


def _current_verdict(circulation: Circulation, apart: Interval) -> str:
    if not circulation.pairs:
        return ""
    strongest = int(np.argmax(np.abs(circulation.measured / circulation.error)))
    measured, error = circulation.measured[strongest], circulation.error[strongest]
    predicted = circulation.predicted[strongest]
    unit, digits = predicted, ".3f"
    if error < abs(predicted):
        words = f"; it circulates at {measured / unit:.3f} ± {abs(error / unit):.3f} of the rate of the diffusion limit"
    else:  # vortices that cancel, or a short run: a ratio would be noise
        unit, digits, z = 1.0, ".2g", circulation.z_predicted[strongest]
        words = f"; it circulates at {measured:.2g} ± {error:.1g} per unit time, "
        words += f"the diffusion limit at {predicted:.2g} (z = {z:+.1f})"
    if circulation.finite is not None and circulation.z_finite is not None:
        exact = circulation.finite[strongest] / unit
        words += (
            f", where the finite learning rate makes it {exact:{digits}} (z = {circulation.z_finite[strongest]:+.1f})"
        )
    if apart.low > 0.0:
        return f"{words}, and its current differs by {apart.value:.1%} [{apart.low:.1%}, {apart.high:.1%}] on the faces"
    return f"{words}, and its current agrees on the faces within statistics (below {apart.high:.0%})"
