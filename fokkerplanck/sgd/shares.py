"""A simulation cut into pieces: into slices of its time, and into shares of its chains for other processes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, as_completed
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..kernels.chain_state import Chains
from ..kernels.chains import MINIBATCH
from ..kernels.counts import BLOCK
from .ensemble import Array, Counts, Ensemble, Setup
from .rule import Gradients

if TYPE_CHECKING:
    from .descent import SGD

GRADIENTS_PER_SLICE = 20_000_000  # about 0.2 s of one core between two movements of the progress bar


def gathered(
    sgd: SGD, setup: Setup, seed: int, steps: int, executor: Executor, moved: Callable[[float], None]
) -> tuple[Ensemble, Counts]:
    """The chains at their end, and their counts less those of lost ones, from processes that took a group at a time.

    A chain has streams of its own and sums of its own, and a group counts of its own, so nothing is added in another order.
    """
    bounds = [int(bound) for bound in setup.bounds]
    futures = {}
    for group, low in enumerate(bounds[:-1]):
        high = bounds[group + 1]
        share = replace(
            setup,
            gradients=None,  # compiled, or with pointers: made again where they are called
            bounds=np.array([0, high - low]),
            first=setup.first[low:high],
            place=(low, bounds[-1]),
        )
        futures[executor.submit(_walked, sgd, share, seed, steps)] = group
    parts: dict[int, tuple[Chains, Array, Counts]] = {}
    try:
        for future in as_completed(futures):
            parts[futures[future]] = future.result()
            moved(1)
    finally:
        for future in futures:
            future.cancel()
    ordered = [parts[group] for group in sorted(parts)]
    chains = Chains(*(np.concatenate(arrays) for arrays in zip(*(part[0] for part in ordered), strict=True)))
    start, counts = np.concatenate([part[1] for part in ordered]), Counts.joined([part[2] for part in ordered])
    return Ensemble(seed, setup.burn_in + steps, chains, start, counts), counts


def _walked(sgd: SGD, setup: Setup, seed: int, steps: int) -> tuple[Chains, Array, Counts]:
    """All steps of a share of the chains, in another process; streams and orders, which nobody needs any more, stay there."""
    setup = replace(setup, gradients=Gradients(sgd.model))
    state = Ensemble.seeded(seed, setup)
    for count in slices(setup, 0, steps):
        state.advance(setup, count)
    counts, few = state.without_lost(setup), np.s_[:, :0]
    chains = state.chains._replace(
        order=state.chains.order[few],
        batch_words=state.chains.batch_words[few],
        noise_words=state.chains.noise_words[few],
    )
    return chains, state.start, counts


def slices(setup: Setup, taken: int, steps: int) -> list[int]:
    """Numbers of steps to take at a time: not across the end of the burn-in, and after it whole blocks but for the last."""
    each = setup.rule.batch_size if setup.rule.noise == MINIBATCH else len(setup.gradients.rows)
    piece = BLOCK * max(1, GRADIENTS_PER_SLICE // (len(setup.first) * each * BLOCK))
    counts, end = [], setup.burn_in + steps
    while taken < end:
        count = min(piece, (setup.burn_in if taken < setup.burn_in else end) - taken)
        if taken >= setup.burn_in and count > BLOCK:
            count -= count % BLOCK
        counts.append(count)
        taken += count
    return counts
