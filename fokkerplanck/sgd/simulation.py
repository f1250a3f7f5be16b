"""Direct simulation of SGD with exact minibatches, many chains at a time."""

from __future__ import annotations

import math
import time
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from ..grid import Grid
from ..kernels.counts import BLOCK
from ..progress import progress_bar
from .checkpoint import interruption_deferred, restore_checkpoint, save_checkpoint
from .custom import CustomLoss, NumpyLoss
from .ensemble import Counts, Ensemble, Setup
from .rule import Gradients, decay, learning_rates, settings, step_rule
from .run import FEWEST_GROUPS, Run, check_grid, run_of_sums
from .shares import gathered, slices
from .trajectories import TrajectoryFile

if TYPE_CHECKING:
    from .descent import SGD
    from .loss import Loss

Array = NDArray[np.float64]
Randomness = int | np.random.Generator | np.random.SeedSequence | None

RELAXATION_TIMES = 10  # the start is forgotten to e⁻¹⁰ = 5e-5 of its distance, below the statistical error of a run
SECONDS = 60.0  # between two checkpoints
DIGITS = 9  # of 16: sums of cosines lose a few, functions that add in another order a few more
OVERFLOW = 1e50  # a gradient that is not finite at such parameters overflowed; nearer, its function is to blame


def simulate(
    sgd: SGD,
    *,
    grid: Grid | None = None,
    chains: int = 1000,
    steps: int = 20_000,
    rng: Randomness = None,
    burn_in: int | None = None,
    groups: int = 32,
    start: ArrayLike | None = None,
    current: bool = True,
    euler_steps: int | None = None,
    bound: float = math.inf,
    checkpoint: str | Path | None = None,
    trajectories: str | Path | None = None,
    every: int = 100,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> Run:
    r"""Run independent chains :math:`\theta_{k+1} = \theta_k - \eta\,\nabla L_B(\theta_k)` and count on a grid.

    Minibatches are drawn exactly; nothing is approximated but the averages by finite samples. Memory does not grow with
    the number of steps: ``groups`` × (1 + d) integers per cell. The number of threads does not change the result.

    Parameters
    ----------
    sgd : SGD
    grid : Grid, optional
        Of as many dimensions as the model has parameters, at most 3, without periodic or stretched axes. What leaves it is
        counted as outside. Without a grid there are moments and circulation only, of any number of parameters.
    chains, steps : int
        Number of independent chains and of recorded steps of each.
    rng : int, Generator, SeedSequence or None
        Passed to `numpy.random.default_rng`, from which the seed of all streams is drawn once.
    burn_in : int, optional
        Steps that are not recorded; by default 10 relaxation times of the linear dynamics. Needed with a schedule.
    groups : int
        Into how many parts, at least 16, the chains are split for the errors of density and current; at least 2 chains
        in each.
    start : array_like, shape (d,) or (chains, d), optional
        First point of the chains; by default θ*.
    current : bool
        Count the crossings of faces. Without, there is a density but no current, in a fraction of the time where steps cross
        many cells.
    euler_steps : int, optional
        Instead of the chain, simulate its diffusion by the Euler–Maruyama scheme with this many steps per step of the chain;
        ``steps`` and ``burn_in`` are of the scheme then. One is ``SGD(noise="gaussian")``.
    bound : float
        A chain is lost when a parameter differs by more than this from its start, or is no longer finite.
    checkpoint : path, optional
        File that the state is saved in: every minute, on Ctrl-C, and at the end. If it exists, the simulation
        goes on from there, also to more ``steps`` than it was made for; the result is bitwise that of a run in one piece.
    trajectories : path, optional
        NetCDF file that every ``every``-th recorded point of every chain is written to.
    every : int
    executor : concurrent.futures.Executor, optional
        Whose processes take the groups, one at a time each; the result is bitwise the same. Of the standard library, or
        ``client.get_executor(pure=False)`` of a Dask client, see :func:`fokkerplanck.studies.connect`. Not with files.
    progress : bool, optional
        Show a progress bar; by default if stderr is a terminal.

    Returns
    -------
    Run

    Raises
    ------
    InvalidInput
        If the arguments do not fit each other, the checkpoint is of another simulation, or a function of the user's own
        gives NaN.
    NotConverged
        If so many chains were lost that too few are left for standard errors.

    Warns
    -----
    DivergedWarning
        If chains were lost. The run is that of the others, as if those had never been.

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
    if grid is not None:
        check_grid(grid, sgd.model.names)
    check_counts(chains=chains, steps=steps, burn_in=burn_in, groups=groups, every=every)
    shorter = _check_scheme(sgd, euler_steps)
    if not bound > 0.0:
        raise InvalidInput(f"bound: expected a positive number, got {bound!r}")
    if burn_in is None:
        burn_in = _default_burn_in(sgd, shorter)
    first = _first_points(sgd, start, chains)
    setup = Setup(
        rule=step_rule(sgd, shorter=shorter),
        gradients=Gradients(sgd.model),
        rates=partial(learning_rates, sgd, shorter=shorter),
        grid=grid,
        current=current,
        bounds=np.arange(groups + 1) * chains // groups,
        burn_in=int(burn_in),
        first=first,
        centre=np.array(sgd.model.minimum) if start is None else first.mean(axis=0),
        bound=float(bound),
        place=(0, chains),
    )
    if executor is not None:
        if checkpoint is not None or trajectories is not None:
            raise InvalidInput(
                f"executor: expected neither checkpoint nor trajectories, files of one process, got {checkpoint!r} and "
                f"{trajectories!r}. Leave them or the executor out"
            )
        seed = draw_seed(rng)
        with progress_bar("SGD chains", total=groups, show=progress) as moved:
            state, counts = gathered(sgd, setup, seed, steps, executor, moved)
        _blame_gradient(sgd, state)
        return _run(sgd, setup, state, counts, steps, shorter)
    state = Ensemble.seeded(draw_seed(rng), setup)
    settings = _settings(setup, sgd, rng)
    if checkpoint is not None and restore_checkpoint(checkpoint, state, settings):
        _check_progress(state, setup, steps, checkpoint)
    file = None
    if trajectories is not None:
        points = max(state.taken - burn_in, 0) // every
        file = TrajectoryFile(trajectories, sgd.model.names, chains, every, points=points)
    saved = time.monotonic()
    with (
        progress_bar("SGD chains", total=burn_in + steps, show=progress) as moved,
        interruption_deferred(checkpoint is not None or file is not None) as interrupted,
    ):
        moved(state.taken)
        for count in slices(setup, state.taken, steps):
            last = state.taken >= burn_in and count % BLOCK > 0  # sums of part of a block cannot be continued bitwise
            if checkpoint is not None and (last or interrupted() or time.monotonic() > saved + SECONDS):
                save_checkpoint(checkpoint, state, settings)
                saved = time.monotonic()
            if interrupted():
                raise KeyboardInterrupt(_interrupted(checkpoint, state.taken, burn_in + steps))
            kept = state.advance(setup, count, every=0 if file is None else every)
            if file is not None:
                file.append(kept)
            moved(count)
        if checkpoint is not None and steps % BLOCK == 0:
            save_checkpoint(checkpoint, state, settings)
    _blame_gradient(sgd, state)
    return _run(sgd, setup, state, state.without_lost(setup), steps, shorter)


def _interrupted(checkpoint: str | Path | None, taken: int, steps: int) -> str:
    stopped = f"SGD interrupted after {taken} of {steps} steps, the burn-in included"
    kept = "none of it is kept" if checkpoint is None else f"saved in {checkpoint}, from where the same call goes on"
    return f"{stopped}; {kept}"


def check_counts(*, chains: int, steps: int, burn_in: int | None = None, groups: int = 32, every: int = 1) -> None:
    """Refuse numbers of chains, steps and groups that a simulation cannot use.

    Raises
    ------
    InvalidInput
    """
    smallest = {"chains": 2 * FEWEST_GROUPS, "steps": 1, "groups": FEWEST_GROUPS, "burn_in": 0, "every": 1}
    burn = 0 if burn_in is None else burn_in
    given = {"chains": chains, "steps": steps, "groups": groups, "burn_in": burn, "every": every}
    for name, value in given.items():
        if not _whole(value) or value < smallest[name]:
            raise InvalidInput(f"{name}: expected a whole number of at least {smallest[name]}, got {value!r}")
    if chains < 2 * groups:
        raise InvalidInput(
            f"chains: expected at least 2 for each of the {groups} groups, got {chains}. Standard errors come from the "
            f"scatter between groups; take more chains, or at least {FEWEST_GROUPS} groups"
        )


def _run(sgd: SGD, setup: Setup, state: Ensemble, counts: Counts, steps: int, shorter: int) -> Run:
    """What is made of the chains at their end."""
    time_step = sgd.learning_rate / shorter
    span = (sgd.learning_rate, sgd.learning_rate)
    if sgd.schedule is not None:
        rates = setup.rates(setup.burn_in, steps)
        time_step, span = float(rates.mean()), (float(rates.min()), float(rates.max()))
    return run_of_sums(
        state.chains,
        counts,
        grid=setup.grid,
        names=sgd.model.names,
        learning_rate=sgd.learning_rate,
        momentum=sgd.momentum,
        time_step=time_step,
        batch_size=sgd.batch_size,
        sampling=sgd.sampling,
        n=sgd.model.n,
        steps=steps,
        burn_in=setup.burn_in,
        seed=state.seed,
        centre=setup.centre,
        origin={**settings(sgd), "learning_rates": span},
        bounds=setup.bounds,
        start=state.start,
    )


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _check_scheme(sgd: SGD, euler_steps: int | None) -> int:
    """Into how many steps a step of η is divided; refuse a scheme of a diffusion that does not hold."""
    if euler_steps is None:
        return 1
    if not _whole(euler_steps) or euler_steps < 1:
        raise InvalidInput(f"euler_steps: expected a whole number of at least 1, got {euler_steps!r}")
    if sgd.momentum > 0.0 or sgd.noise == "stable" or sgd.sampling == "epoch" or sgd.schedule is not None:
        raise InvalidInput(
            "euler_steps: expected an SGD with a diffusion, got momentum, a schedule, stable noise or epochs. Simulate the "
            "chain itself, or leave these out"
        )
    return int(euler_steps)


def _default_burn_in(sgd: SGD, shorter: int) -> int:
    if sgd.schedule is not None:
        raise InvalidInput("burn_in: expected a number of steps with a schedule, whose relaxation changes, got None")
    return math.ceil(RELAXATION_TIMES / -math.log(decay(sgd))) * shorter


def _first_points(sgd: SGD, start: ArrayLike | None, chains: int) -> Array:
    d = sgd.model.dim
    if start is None:
        return np.tile(sgd.model.minimum, (chains, 1))
    points = np.asarray(start, dtype=float)
    if points.shape not in ((d,), (chains, d)) or not np.isfinite(points).all():
        raise InvalidInput(f"start: expected finite numbers of shape ({d},) or ({chains}, {d}), got {points.shape}")
    return np.ascontiguousarray(np.broadcast_to(points, (chains, d)))


def draw_seed(rng: Randomness) -> int:
    """The seed of the streams of all chains, ``Run.seed``: the same one for the same whole number."""
    try:
        return int(np.random.default_rng(rng).integers(2**63))
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"rng: expected a non-negative whole number, Generator, SeedSequence or None, got {rng!r}"
        ) from error


def _settings(setup: Setup, sgd: SGD, rng: Randomness) -> dict[str, Any]:
    """What must be the same for a simulation to be continued; of data, schedule and gradient, sums that tell others apart."""
    grid = setup.grid
    return {
        "rng": rng if _whole(rng) else "drawn",
        "chains": len(setup.first),
        "groups": len(setup.bounds) - 1,
        "burn_in": setup.burn_in,
        "current": bool(setup.current),
        "bound": setup.bound,
        "start": [float(x) for x in np.cos(setup.first).sum(axis=0)],
        "learning_rate": sgd.learning_rate,
        "schedule": float(setup.rates(0, 1000).sum()),
        "data": [float(x) for x in np.cos(setup.gradients.rows).sum(axis=0)],
        "gradient": _fingerprint(sgd.model),
        "names": sgd.model.names,
        "grid": None if grid is None else [grid.box.lower, grid.box.upper, grid.shape],
        **setup.rule._asdict(),
    }


def _fingerprint(model: Loss) -> list[str] | None:
    """Sums over a gradient of the user's own at the minimum and on both sides of it, which change when the function does."""
    if not isinstance(model, (CustomLoss, NumpyLoss)):
        return None
    about = model.minimum + np.outer(
        [-2.0, 0.0, 2.0], model.steps[1]
    )  # where its derivatives are taken, so it is finite
    return [f"{x:.{DIGITS}g}" for x in np.cos(model.sample_gradients(about.T)).sum(axis=(0, 2))]


def _check_progress(state: Ensemble, setup: Setup, steps: int, path: str | Path) -> None:
    recorded = state.taken - setup.burn_in
    if recorded > steps:
        raise InvalidInput(
            f"steps: expected at least the {recorded} that the checkpoint {path} has recorded, got {steps}. Ask for more, or "
            "use another file"
        )


def _blame_gradient(sgd: SGD, state: Ensemble) -> None:
    """If a chain was lost near by, where a gradient of the user's own is not finite, say so: the loss raises."""
    if sgd.model.kind in ("custom", "numpy", "torch"):
        for theta in state.chains.theta[state.chains.lost > 0]:
            if np.abs(theta).max() < OVERFLOW:
                sgd.model.gradient(theta)
