"""Direct simulation of SGD with exact minibatches, many chains at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput, NotConverged
from ..grid import Grid
from ..kernels.chains import advance, seed_streams
from ..progress import progress_bar
from .models import KINDS, LossModel
from .run import Run

if TYPE_CHECKING:
    from .descent import SGD

Array = NDArray[np.float64]
Randomness = int | np.random.Generator | np.random.SeedSequence | None

FEWEST_GROUPS = 16  # a standard error from G groups is itself uncertain by 1/√(2G): 18 % here
RELAXATION_TIMES = 10  # the start is forgotten to e⁻¹⁰ = 5e-5 of its distance, below the statistical error of a run
GRADIENTS_PER_SLICE = 10_000_000  # about 0.2 s of one core between two movements of the progress bar
PAIRS = ((0, 1), (0, 2), (1, 2))
SQUARES = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


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
        Of as many dimensions as the model has parameters, without periodic or stretched axes. What leaves it is counted as
        outside.
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
    if not isinstance(model, LossModel) or model.kind not in ("linear", "logistic"):
        raise InvalidInput(f"simulate: expected linear or logistic regression, got {model!r}")
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
    if not grid.uniform:
        raise InvalidInput(
            f"grid: expected equal cells, got maps {grid.maps}. A point is counted in the cell that its coordinates divide "
            "into; leave the maps out"
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
