"""All chains of a simulation: their state, what was counted along them, and the run that is made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ..grid import Grid
from ..kernels.chain_state import Cells, Chains, Rule
from ..kernels.chains import advance
from ..kernels.lanes import LANES
from ..kernels.streams import seed_streams
from ..threads import each

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

PIECES = 16  # of the chains, shared between threads: the last thread to finish works for a sixteenth longer at most


@dataclass(frozen=True, eq=False)
class Setup:
    """What does not change during a simulation.

    Parameters
    ----------
    rule : Rule
    gradients : Gradients
        Rows of data, and a compiled function or None.
    rates : callable
        ``rates(first, count)``: the learning rates of steps.
    grid : Grid or None
    current : bool
        Are crossings counted?
    bounds : ndarray, shape (groups + 1,)
        First chains of the groups, and the number of chains.
    burn_in : int
    first : ndarray, shape (chains, d)
        Where the chains begin.
    centre : ndarray, shape (d,)
        Of the moments.
    bound : float
    place : tuple of int
        Of the first of these chains among all there are, and how many those are: each has random streams of its own.
    """

    rule: Rule
    gradients: Any
    rates: Callable[[int, int], Array]
    grid: Grid | None
    current: bool
    bounds: Ints
    burn_in: int
    first: Array
    centre: Array
    bound: float
    place: tuple[int, int]


@dataclass(eq=False)
class Counts:
    """Counts of every group on a grid: axes that are missing have one cell, and places beyond the grid are kept too."""

    groups: Ints
    histogram: Ints
    faces: Ints
    lower: Array
    spacing: Array
    axes: int
    current: bool

    @classmethod
    def on(cls, grid: Grid | None, bounds: Ints, current: bool) -> Counts:
        shape: tuple[int, ...] = () if grid is None else grid.shape
        d = len(shape)
        cells = (*shape, *(1,) * (3 - d))
        lower, spacing = np.zeros(3), np.ones(3)
        if grid is not None:
            lower[:d], spacing[:d] = grid.box.lower, grid.spacing
        places = tuple(n + 2 * (a < d) for a, n in enumerate(cells))
        groups = len(bounds) - 1
        return cls(
            np.repeat(np.arange(groups), np.diff(bounds)),
            np.zeros((groups if d else 1, *places), np.int64),
            np.zeros((groups, *places, d) if d and current else (1, 1, 1, 1, 1), np.int64),
            lower,
            spacing,
            d,
            bool(d and current),
        )

    @classmethod
    def joined(cls, parts: list[Counts]) -> Counts:
        """Those of several groups, one after the other."""
        one = parts[0]
        histogram = np.concatenate([part.histogram for part in parts]) if one.axes else one.histogram
        groups = np.repeat(np.arange(len(parts)), [len(part.groups) for part in parts])
        faces = np.concatenate([part.faces for part in parts]) if one.current else one.faces
        return replace(one, groups=groups, histogram=histogram, faces=faces)

    @property
    def cells(self) -> Cells:
        """As the kernels take them."""
        return Cells(self.groups, self.lower, self.spacing, self.axes, self.current, self.histogram, self.faces)

    @property
    def inside(self) -> Ints:
        """Counts of the cells, shape (groups, *grid.shape)."""
        window = (slice(None), *(slice(1, -1) if a < self.axes else 0 for a in range(3)))
        return self.histogram[window]

    @property
    def crossings(self) -> tuple[Ints, ...]:
        """Counts of the faces along every axis, shape (groups, *grid.face_shape(axis)); empty if there are none."""
        axes = range(self.axes if self.current else 0)
        windows = [[0 if a >= self.axes else slice(int(a != axis), -1) for a in range(3)] for axis in axes]
        return tuple(self.faces[(slice(None), *window, axis)] for axis, window in enumerate(windows))


@dataclass(eq=False)
class Ensemble:
    """The state of all chains after ``taken`` steps each, and what was counted so far; it changes in place."""

    seed: int
    taken: int
    chains: Chains
    start: Array
    counts: Counts

    @classmethod
    def seeded(cls, seed: int, setup: Setup) -> Ensemble:
        """At its beginning."""
        chains, d = setup.first.shape
        words, noise = np.zeros((chains, 5), np.uint64), np.empty((chains, 4), np.uint64)
        streams = np.empty((chains, 4), np.uint64)
        place, total = setup.place
        seed_streams(np.uint64(seed), place, streams)
        seed_streams(np.uint64(seed), total + place, noise)
        words[:, :4] = streams
        order = np.arange(len(setup.gradients.rows) if setup.rule.period and setup.rule.noise == 0 else 0)
        state = Chains(
            theta=setup.first.copy(),
            velocity=np.zeros((chains, d)),
            batch_words=words,
            noise_words=noise,
            order=np.tile(order.astype(np.int32), (chains, 1)),
            position=np.zeros(chains, np.int64),
            lost=np.zeros(chains, np.int64),
            first=np.zeros((chains, d)),
            second=np.zeros((chains, d, d)),
        )
        counts = Counts.on(setup.grid, setup.bounds, setup.current)
        return cls(seed, 0, state, setup.first.copy(), counts)

    def advance(self, setup: Setup, steps: int, *, every: int = 0) -> Array:
        """Take ``steps`` steps, all in the burn-in or all after it; returns every ``every``-th point, (chains, points, d)."""
        recorded = self.taken >= setup.burn_in
        if self.taken == setup.burn_in:
            self.start[:] = self.chains.theta
        phase = (self.taken - setup.burn_in) % every if every and recorded else 0
        points = (phase + steps) // every if every and recorded else 0
        kept = np.full((len(self.start), points, setup.centre.size), np.nan)
        self._advance(setup, steps, int(recorded), pieces_of(setup.bounds), max(every, 1), phase, kept)
        return kept

    def without_lost(self, setup: Setup) -> Counts:
        """The counts less those of the chains that were lost, which walk once more to be counted down."""
        lost = np.flatnonzero(self.chains.lost)
        if not lost.size or not self.counts.axes:
            return self.counts
        again = Ensemble.seeded(self.seed, setup)
        again.counts = replace(
            self.counts,
            histogram=self.counts.histogram.copy(),
            faces=self.counts.faces.copy(),
        )
        end = int(self.chains.lost.max())
        for steps in (min(setup.burn_in, end), end - setup.burn_in):
            if steps > 0:
                weight = -1 if again.taken >= setup.burn_in else 0
                again._advance(setup, steps, weight, [lost], 1, 0, np.empty((0, 0, setup.centre.size)))
        return again.counts

    def _advance(
        self,
        setup: Setup,
        steps: int,
        weight: int,
        pieces: list[Ints],
        every: int,
        phase: int,
        kept: Array,
    ) -> None:
        rates, cells = setup.rates(self.taken, steps), self.counts.cells

        def walk(which: Ints) -> None:
            advance(
                which,
                setup.rule,
                setup.gradients.function,
                setup.gradients.rows,
                rates,
                self.taken,
                weight,
                setup.centre,
                setup.bound,
                every,
                phase,
                self.chains,
                cells,
                kept,
            )

        shared(walk, pieces)
        setup.gradients.check()
        self.taken += steps


def pieces_of(bounds: Ints) -> list[Ints]:
    """All chains, in pieces of whole groups, so that no two write to the same counts, with work for all lanes if possible."""
    groups, chains = len(bounds) - 1, int(bounds[-1])
    count = min(PIECES, groups, max(1, chains // LANES))
    return np.split(np.arange(chains), bounds[np.arange(1, count) * groups // count])


def shared(work: Callable[[Ints], None], pieces: list[Ints]) -> None:
    """Call ``work`` on every piece, on as many threads as Numba uses: kernels release the interpreter's lock."""
    work(pieces[0][:0])  # on nothing, because it may have to be compiled
    each(work, pieces, numba.get_num_threads())
