"""Random numbers of chains: samples, side by side in the lanes of ``chains``, and noise of one chain at a time.

In arrays of all lanes the lane comes last, and before it the number of the draw.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from .chain_state import Array, Halves, Indices, Ints, Words
from .lanes import LANES, fill, load, store

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}

# A uint64 mixed with a Python integer silently becomes a float in Numba; every constant is a uint64.
SPARE = np.uint64(1 << 32)  # marks a half word that was left over
NONE, U11, U17, U19, U23, U32, U41, U45 = (np.uint64(k) for k in (0, 11, 17, 19, 23, 32, 41, 45))


@njit(**OPTIONS)
def random_words(state: Words, out: Words) -> None:
    """Successive outputs of xoshiro256++ (Blackman and Vigna, doi:10.1145/3460772); ``state``, shape (4,), moves on."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    for k in range(out.size):
        x = s0 + s3
        out[k] = ((x << U23) | (x >> U41)) + s0
        shifted = s1 << U17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = (s3 << U45) | (s3 >> U19)
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3


@njit(**OPTIONS)
def half_words(states: Words, size: int, out: Halves) -> None:
    """``size`` half words of every lane, ``out`` (size + 1, LANES), from the generators in the rows of ``states`` (5, LANES).

    They are as in ``random_words``, the upper half of a word first. The last row of ``states`` keeps a lower half for the next
    call, so that how many are drawn at a time does not matter.
    """
    if size == 0:
        return
    start = 1 if states[4 * LANES] != NONE else 0
    if start == 1:
        store(out, 0, load(states, 4 * LANES))
    s0, s1, s2, s3 = load(states, 0), load(states, LANES), load(states, 2 * LANES), load(states, 3 * LANES)
    v17, v19, v23, v32, v41, v45 = fill(U17), fill(U19), fill(U23), fill(U32), fill(U41), fill(U45)
    for at in range(start * LANES, size * LANES, 2 * LANES):
        x = s0 + s3
        word = ((x << v23) | (x >> v41)) + s0
        store(out, at, word >> v32)
        store(out, at + LANES, word)
        shifted = s1 << v17
        s2 = s2 ^ s0
        s3 = s3 ^ s1
        s1 = s1 ^ s2
        s0 = s0 ^ s3
        s2 = s2 ^ shifted
        s3 = (s3 << v45) | (s3 >> v19)
    store(states, 0, s0)
    store(states, LANES, s1)
    store(states, 2 * LANES, s2)
    store(states, 3 * LANES, s3)
    left = (size - start) % 2 == 1
    for lane in range(LANES):
        states[4 * LANES + lane] = np.uint64(out[size * LANES + lane]) | SPARE if left else NONE


@njit(**OPTIONS)
def draw_samples(
    states: Words,
    size: int,
    period: int,
    n: int,
    chosen: Ints,
    order: Indices,
    position: Ints,
    out: Halves,
) -> None:
    """``size`` samples of every lane, of which the first are the chains ``chosen``; ``out`` has shape (size + 1, LANES).

    An index is the high word of 32 random bits times the number of choices (Lemire, doi:10.1145/3230636) without
    rejection, which leaves a relative bias of at most n/2³² in each probability: 1e-7 for hundreds of samples.
    With period = 0 samples are drawn with replacement. Otherwise Fisher–Yates continues through the ``order`` of a chain and
    starts again at its beginning after ``period`` draws: one batch, or an epoch.
    """
    half_words(states, size, out)
    if period == 0:
        choices = np.uint64(n)
        for k in range(size * LANES):
            out[k] = np.uint32((np.uint64(out[k]) * choices) >> U32)
        return
    for lane in range(chosen.size, LANES):  # idle ones walk along: 32 bits would be a row beyond the data
        for k in range(lane, size * LANES, LANES):
            out[k] = 0
    for lane in range(chosen.size):
        c = chosen[lane]
        at = position[c]
        for k in range(lane, size * LANES, LANES):
            if at == period:
                at = 0
            j = at + np.int64((np.uint64(out[k]) * np.uint64(n - at)) >> U32)
            drawn = order[c, j]
            order[c, j] = order[c, at]
            order[c, at] = drawn
            out[k] = drawn
            at += 1
        position[c] = at


@njit(**OPTIONS)
def uniform(word: np.uint64) -> float:
    """In (0, 1]."""
    return (np.float64(word >> U11) + 1.0) * 2.0**-53


@njit(**OPTIONS)
def normals(state: Words, words: Words, out: Array) -> None:
    """Independent standard normal numbers, two from two words (Box and Muller, doi:10.1214/aoms/1177706645)."""
    count = (out.size + 1) // 2 * 2
    random_words(state, words[:count])
    for q in range(0, out.size, 2):
        radius = math.sqrt(-2.0 * math.log(uniform(words[q])))
        angle = 2.0 * math.pi * uniform(words[q + 1])
        out[q] = radius * math.cos(angle)
        if q + 1 < out.size:
            out[q + 1] = radius * math.sin(angle)


@njit(**OPTIONS)
def stretch(state: Words, words: Words, stability: float) -> float:
    """√W with E exp(−sW) = exp(−s^{α/2}) (Kanter, doi:10.1214/aop/1176996309): √W times a normal vector is α-stable."""
    random_words(state, words[:2])
    g = 0.5 * stability
    angle, wait = math.pi * uniform(words[0]), max(-math.log(uniform(words[1])), 2.0**-53)
    if g == 1.0:
        return 1.0
    size = math.sin(g * angle) / math.sin(angle) ** (1.0 / g)
    return math.sqrt(size * (math.sin((1.0 - g) * angle) / wait) ** ((1.0 - g) / g))
