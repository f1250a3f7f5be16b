"""Areas that chains sweep, from a simulation, from recorded trajectories, and extrapolated to small steps."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from . import replicates
from .errors import InvalidInput
from .grid import Array
from .recorded import in_order
from .replicates import DEPENDENT, in_words, mean_test

if TYPE_CHECKING:
    import xarray as xr

    from .sgd import Run

BLOCKS = 16  # of one trajectory: 10 to 20 keep a test at or below its level
DRIFTING = 1e-3  # probability of first and last points as different as these in a stationary chain
HALVED = 1e-9  # relative: learning rates are given, not computed


@dataclass(frozen=True, eq=False)
class Areas:
    r"""Area rates :math:`A_{ij} = \langle\theta_i\,\Delta\theta_j - \theta_j\,\Delta\theta_i\rangle/2\eta` of replicates.

    Attributes
    ----------
    rates : ndarray, shape (replicates, d, d)
        Antisymmetric, state² per unit time.
    names : tuple of str, length d
    time_step : float
        η, or whatever else is the time between two points.
    steps : int or None
        Steps of each replicate; None where the rates are differences of such.
    kind : str
        What the replicates are: "chains" or "blocks".
    drift : float or None
        p-value of the first and last points of the chains having the same mean and squares, as in a stationary state.
    memory : bool
        Whether steps are known to depend on more than where the chain is: with momentum, and under epoch shuffling.

    Examples
    --------
    >>> round_and_round = np.array([[0, 0], [1, 0], [1, 1], [0, 1]] * 64 + [[0, 0]])
    >>> areas = swept_areas(round_and_round, time_step=0.5)
    >>> areas.rates.shape, areas.kind
    ((16, 2, 2), 'blocks')
    """

    rates: Array
    names: tuple[str, ...]
    time_step: float
    steps: int | None
    kind: str = "chains"
    drift: float | None = None
    memory: bool = False

    @property
    def rows(self) -> Array:
        """The entries above the diagonal, shape (replicates, d(d − 1)/2)."""
        return self.rates[:, *np.triu_indices(self.rates.shape[-1], 1)]


def as_areas(chains: Run | Areas) -> Areas:
    """The areas of a simulation, and the check that it is stationary.

    Raises
    ------
    InvalidInput
        For anything else than a Run or Areas, and for chains that keep to a line or plane of fewer dimensions.
    """
    if isinstance(chains, Areas):
        return chains
    from .sgd import Run  # its compiled loops take time to load, and are not needed for trajectories

    if not isinstance(chains, Run):
        raise InvalidInput(
            f"expected a Run or Areas, got {type(chains).__name__}. Trajectories become areas by swept_areas(trajectory, "
            "time_step=…)"
        )
    _check_filled(chains.covariance, chains.names)
    return Areas(
        rates=chains.chain_circulation,
        names=chains.names,
        time_step=chains.time_step,
        steps=chains.steps,
        drift=_drift(chains.start, chains.end),
        memory=chains.momentum > 0.0 or chains.sampling == "epoch",
    )


def swept_areas(
    trajectory: ArrayLike | xr.DataArray,
    *,
    time_step: float,
    blocks: int = BLOCKS,
    names: tuple[str, ...] | None = None,
) -> Areas:
    r"""Area rates of recorded trajectories: of each chain, or of each block of a single one.

    .. math:: A_{ij} = \frac{1}{2N\eta}\sum_k (\theta_i\,\Delta\theta_j - \theta_j\,\Delta\theta_i)_k

    about the mean of all points. Leave the burn-in out. Blocks of one trajectory (batch means) count as independent, which
    takes a few relaxation times in each.

    Parameters
    ----------
    trajectory : array_like, shape (chains, steps + 1, d) or (steps + 1, d), or DataArray
        As for :func:`fokkerplanck.sgd.from_trajectory`.
    time_step : float
        Time between two points: η for SGD.
    blocks : int
        Into how many parts a single trajectory is cut; 10 to 20.
    names : tuple of str, optional
        Of the parameters; by default as there.

    Returns
    -------
    Areas

    Raises
    ------
    InvalidInput
        For another shape or other dimensions, axes that seem to be exchanged, values that are not finite, points on a line or
        plane of fewer dimensions, or fewer than two steps in a block.

    Examples
    --------
    >>> corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]] * 64 + [[0, 0]])
    >>> swept_areas(corners, time_step=0.5).rates[:, 0, 1].tolist() == [0.5] * 16  # in four steps, or 2 times, once round
    True
    """
    given, names = in_order(trajectory, names)
    theta = np.asarray(given, dtype=float)
    if theta.ndim not in (2, 3) or theta.shape[-2] < 3:
        raise InvalidInput(
            f"trajectory: expected shape (chains, steps + 1, d), or (steps + 1, d) for one chain, got {theta.shape}"
        )
    if not np.isfinite(theta).all():
        raise InvalidInput("trajectory: expected finite numbers, got some that are not; cut it where it diverged")
    if not (isfinite(time_step) and time_step > 0.0):
        raise InvalidInput(f"time_step: expected a positive number, got {time_step!r}")
    d = theta.shape[-1]
    theta = theta - theta.reshape(-1, d).mean(axis=0)
    drift = None
    if single := theta.ndim == 2:
        steps = (len(theta) - 1) // blocks if blocks > 0 else 0
        if steps < 2:
            raise InvalidInput(f"blocks: expected at least 2 steps in each, got {blocks} for {len(theta) - 1} steps")
        parts = replicates.blocks(theta, blocks)
    else:
        parts, steps = theta, theta.shape[1] - 1
        drift = _drift(theta[:, 0], theta[:, -1])
    forward = np.swapaxes(parts[:, :-1], 1, 2) @ parts[:, 1:] / (2.0 * time_step * steps)
    labels = tuple(f"theta{i}" for i in range(d)) if names is None else tuple(names)
    if len(labels) != d:
        raise InvalidInput(f"names: expected {d}, one per parameter, got {labels}")
    flat = theta.reshape(-1, d)
    _check_filled(flat.T @ flat / len(flat), labels)
    rates = forward - np.swapaxes(forward, 1, 2)
    return Areas(rates, labels, float(time_step), steps, "blocks" if single else "chains", drift)


def extrapolated_areas(run: Run, half: Run) -> Areas:
    r"""Area rates :math:`2A(\eta/2, B/2) - A(\eta, B)`: without the effect of the learning rate to first order.

    At fixed η/B the diffusion is the same, so what is left tells a current of the diffusion from one that finite steps make.
    Skewness of the noise, which depends on η/B alone, stays.

    Parameters
    ----------
    run, half : Run
        Of as many chains each, from the same loss, ``half`` with half the learning rate and half the batch size; of twice as
        many steps, for the same time.

    Returns
    -------
    Areas
        For :func:`area_test`.

    Raises
    ------
    InvalidInput
        If the two do not belong together.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> model = fp.cases.get("diabetes").sgd.model
    >>> whole, halved = (fp.sgd.SGD(model, learning_rate=0.05 * B, batch_size=B) for B in (4, 2))
    >>> run, half = (sgd.simulate(chains=64, steps=200, rng=7) for sgd in (whole, halved))
    >>> extrapolated_areas(run, half).rates.shape
    (64, 2, 2)
    """
    fits = abs(half.learning_rate / run.learning_rate - 0.5) < HALVED and 2 * half.batch_size == run.batch_size
    if not fits or half.momentum != run.momentum or half.names != run.names or half.n != run.n:
        raise InvalidInput(
            f"half: expected the same parameters, data and momentum, η = {run.learning_rate / 2:g} and "
            f"B = {run.batch_size / 2:g}, got {half.names}, n = {half.n}, momentum = {half.momentum:g}, "
            f"η = {half.learning_rate:g} and B = {half.batch_size}"
        )
    for key in ("weight_decay", "label_noise", "injected_noise", "alpha", "minimum"):
        ours, theirs = run.origin.get(key), half.origin.get(key)
        if ours != theirs:
            raise InvalidInput(
                f"half: expected the same {key.replace('_', ' ')} as of the other run, {ours}, got {theirs}"
            )
    if {run.sampling, half.sampling} != {"with_replacement"}:
        raise InvalidInput(
            f"sampling: expected with replacement in both, got {run.sampling!r} and {half.sampling!r}: the factor "
            "(n − B)/(n − 1) changes with B, and the diffusion with it"
        )
    if len(half.start) != len(run.start):
        raise InvalidInput(
            f"half: expected as many chains as the other run, {len(run.start)}, got {len(half.start)}: chains are paired"
        )
    rates = 2.0 * half.chain_circulation - run.chain_circulation
    drifts = [drift for r in (run, half) if (drift := _drift(r.start, r.end)) is not None]
    return Areas(
        rates, run.names, run.time_step, None, "pairs of chains", min(drifts, default=None), run.momentum > 0.0
    )


def _check_filled(covariance: Array, names: tuple[str, ...]) -> None:
    """Refuse points whose areas are round-off, because they keep to a line or plane."""
    if len(names) < 2:
        return
    size = np.sqrt(np.diag(covariance))
    lowest = float(np.linalg.eigvalsh(covariance / np.outer(size, size))[0]) if (size > 0.0).all() else 0.0
    if lowest < DEPENDENT:
        raise InvalidInput(
            f"expected chains that move in every direction of {names}, got standard deviations {size.tolist()} and "
            f"correlations with the smallest eigenvalue {lowest:.1g}: they keep to a line or plane, and what area they "
            "sweep is round-off. Leave parameters out"
        )


def settling(areas: Areas) -> list[str]:
    """What is to be said of chains whose ends differ from their starts."""
    if areas.drift is None or areas.drift >= DRIFTING:
        return []
    return [
        f"First and last points of the chains differ ({in_words(areas.drift)}): they were still settling, and sweep area by "
        "that. Lengthen the burn-in."
    ]


def _drift(start: Array, end: Array) -> float | None:
    """p-value of first and last points alike in mean and squares, by Hotelling's T² on their differences; None if too few."""
    middle = 0.5 * (start + end).mean(axis=0)
    change = np.concatenate([end - start, (end - middle) ** 2 - (start - middle) ** 2], axis=1)
    count, q = change.shape
    if count <= 2 * q or not (change.std(axis=0) > 0.0).all():
        return None
    if np.linalg.eigvalsh(np.corrcoef(change.T))[0] < DEPENDENT:  # a singular covariance says nothing either
        return None
    return mean_test(change)
