"""What the kernels of chains are called with: rules, states and counts, as tuples of numbers and arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Indices = NDArray[np.int32]
Halves = NDArray[np.uint32]
Words = NDArray[np.uint64]


class Rule(NamedTuple):
    """How a chain moves: v' = βv − η(g + λθ) + √(2Tη) z, θ' = θ + v', g being a gradient at θ (Nesterov: at θ + βv)."""

    kind: int
    l2: float  # λ
    batch_size: int
    period: int  # draws after which the order of the samples starts anew; 0: with replacement
    momentum: float  # β
    nesterov: bool
    label_noise: float  # standard deviation of what is added to the target of every sample drawn
    temperature: float  # T
    noise: int  # MINIBATCH, or the full gradient with GAUSSIAN or STABLE noise
    share: float  # covariance of the noise of a step's gradient over that of a sample's
    label_share: float  # the same of its part from the labels
    stability: float  # α of the stable noise


class Chains(NamedTuple):
    """The state of all chains, one a row."""

    theta: Array  # (chains, d)
    velocity: Array  # (chains, d)
    batch_words: Words  # (chains, 5): a generator for the samples drawn, and a half word left over
    noise_words: Words  # (chains, 4): one for all other noise
    order: Indices  # (chains, n), or (chains, 0) with replacement
    position: Ints  # (chains,): in ``order``
    lost: Ints  # (chains,): the step at which a chain was lost, 0 for the others
    first: Array  # (chains, d): sums of the new points less ``centre``
    second: Array  # (chains, d, d): i ≤ j: of their products; i > j: of θ_j θ'_i − θ_i θ'_j


class Cells(NamedTuple):
    """Counts of groups of chains on a grid, padded to three axes by axes of one cell that is never left.

    Places 0 and n + 1 along an axis stand for all that lies below and above its n cells; a padding axis has one place.
    """

    groups: Ints  # (chains,): the group of a chain
    lower: Array  # (3,)
    spacing: Array  # (3,)
    axes: int  # how many are not padding; 0: nothing is counted
    crossings: bool  # are they counted?
    histogram: Ints  # (groups, n0 + 2, n1 + 2, n2 + 2), padding axes 1
    faces: Ints  # (groups, n0 + 2, n1 + 2, n2 + 2, axes): of each place, those towards the next along the axes
