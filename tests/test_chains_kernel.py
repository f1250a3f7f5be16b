"""Random streams and minibatch draws: published vectors, exact combinatorics, uniformity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fokkerplanck.kernels.draws import draw_samples, normals, random_words, stretch
from fokkerplanck.kernels.lanes import LANES
from fokkerplanck.kernels.streams import seed_streams

MASK = 2**64 - 1
SIGMAS = 4  # a two-sided normal deviation beyond it has probability 6e-5; the seeds are fixed


def rotate(x: int, k: int) -> int:
    return (x << k | x >> 64 - k) & MASK


class Words:
    """xoshiro256++ in Python's integers."""

    def __init__(self, state: Any) -> None:
        self.s = [int(word) for word in state]

    def __call__(self) -> int:
        s = self.s
        result = (rotate((s[0] + s[3]) & MASK, 23) + s[0]) & MASK
        t = s[1] << 17 & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotate(s[3], 45)
        return result


def mix(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def test_xoshiro_against_the_published_vector() -> None:
    # state 1, 2, 3, 4: the vector of the reference implementation, as in the tests of the Rust crate rand_xoshiro
    published = [
        41943041,
        58720359,
        3588806011781223,
        3591011842654386,
        9228616714210784205,
        9973669472204895162,
        14011001112246962877,
        12406186145184390807,
        15849039046786891736,
        10450023813501588000,
    ]
    state, out = np.array([1, 2, 3, 4], np.uint64), np.empty(10, np.uint64)
    random_words(state, out)
    assert out.tolist() == published
    twin = Words([1, 2, 3, 4])
    assert [twin() for _ in range(10)] == published
    assert state.tolist() == twin.s


def test_streams_are_seeded_by_splitmix() -> None:
    golden = 0x9E3779B97F4A7C15
    # SplitMix64 from 1234567, published with the reference implementation
    assert [mix(1234567 + k * golden & MASK) for k in (1, 2, 3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]
    seed, state = 987654321, np.empty((5, 4), np.uint64)
    seed_streams(np.uint64(seed), 3, state)
    for c in range(5):
        z = mix(seed + golden & MASK) ^ mix((c + 4) * 0xD1342543DE82EF95 & MASK)
        assert state[c].tolist() == [mix(z + k * golden & MASK) for k in (1, 2, 3, 4)]


def generators(first: int, count: int) -> np.ndarray:
    words = np.empty((count, 4), np.uint64)
    seed_streams(np.uint64(31), first, words)
    return words


def all_draws(n: int, period: int, pieces: list[int]) -> np.ndarray:
    """By chains 0 … LANES − 1, shape (LANES, draws)."""
    states = np.concatenate([generators(0, LANES).T.ravel(), np.zeros(LANES, np.uint64)])
    chosen, order, position = np.arange(LANES), np.tile(np.arange(n, dtype=np.int32), (LANES, 1)), np.zeros(LANES, int)
    out = []
    for size in pieces:
        drawn = np.empty((size + 1) * LANES, np.uint32)
        draw_samples(states, size, period, n, chosen, order, position, drawn)
        out.append(drawn.reshape(-1, LANES)[:-1].T.astype(int))
    return np.concatenate(out, axis=1)


def draws(n: int, period: int, pieces: list[int]) -> np.ndarray:
    return all_draws(n, period, pieces)[0]


def batches(n: int, size: int, period: int, count: int) -> np.ndarray:
    return draws(n, period, [size] * count).reshape(count, size)


@pytest.mark.parametrize("period", [0, 3, 6])
def test_how_many_are_drawn_at_a_time_does_not_matter(period: int) -> None:
    pieces = [1, 1, 0, 4, 7, 2, 3, 12]
    np.testing.assert_array_equal(all_draws(7, period, pieces), all_draws(7, period, [30]))


def test_every_lane_draws_from_its_own_generator() -> None:
    drawn = all_draws(7, 0, [31])
    for words, lane in zip(generators(0, LANES), drawn, strict=True):
        out = np.empty(16, np.uint64)
        random_words(words, out)
        halves = [int(half) for word in out.tolist() for half in (word >> 32, word & 2**32 - 1)]
        assert lane.tolist() == [half * 7 >> 32 for half in halves[:31]]


def test_normal_numbers() -> None:
    state, words, out = generators(0, 1)[0], np.empty(40_000, np.uint64), np.empty(39_999)
    normals(state, words, out)
    for power, (mean, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], 1):
        assert abs((out**power).mean() - mean) < SIGMAS * np.sqrt(variance / out.size)
    assert abs(np.corrcoef(out[:-1:2], out[1::2])[0, 1]) < SIGMAS / np.sqrt(out.size / 2)


@pytest.mark.parametrize("alpha", [0.8, 1.0, 1.5, 1.9])
def test_stretched_normal_numbers_are_stable(alpha: float) -> None:
    state, words, z = generators(1, 1)[0], np.empty(4, np.uint64), np.empty(1)
    x = np.empty(20_000)
    for k in range(x.size):
        normals(state, words, z)
        x[k] = stretch(state, words, alpha) * z[0]
    for t in (0.5, 1.0, 2.0):  # the characteristic function
        wave = np.cos(t * x)
        exact = np.exp(-((0.5 * t * t) ** (alpha / 2)))
        assert abs(wave.mean() - exact) < SIGMAS * wave.std() / np.sqrt(x.size)
    assert stretch(state, words, 2.0) == 1.0


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_without_replacement_every_batch_is_distinct(size: int) -> None:
    drawn = batches(7, size, size, 500)
    assert all(len(set(batch)) == size for batch in drawn.tolist())


@pytest.mark.parametrize("size", [1, 2, 3])
def test_an_epoch_holds_every_sample_once(size: int) -> None:
    per_epoch = 6 // size
    epochs = batches(6, size, 6, 200 * per_epoch).reshape(200, 6)
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) > 100  # of 720 orders


@pytest.mark.parametrize(("size", "period"), [(3, 0), (3, 3), (2, 4), (5, 0), (5, 5)])
def test_samples_are_drawn_uniformly(size: int, period: int) -> None:
    counts = np.bincount(batches(5, size, period, 20_000).ravel(), minlength=5)
    # without replacement the counts scatter less than the binomial law allows
    assert np.abs(counts - counts.mean()).max() <= SIGMAS * np.sqrt(counts.mean())


@pytest.mark.parametrize(("size", "period"), [(2, 2), (2, 4)])
def test_pairs_are_drawn_uniformly(size: int, period: int) -> None:
    drawn = batches(5, size, period, 20_000)
    counts = np.bincount(drawn[:, 0] * 5 + drawn[:, 1], minlength=25).reshape(5, 5)
    assert np.diag(counts).sum() == 0
    assert np.abs(counts[~np.eye(5, dtype=bool)] - 1000).max() <= SIGMAS * np.sqrt(1000)
