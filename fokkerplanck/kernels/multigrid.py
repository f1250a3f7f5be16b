"""Multigrid on stencils: smoothing, residuals and transfers between a grid and its aggregates of 2^d cells.

Cells are counted [z, y, x] with x contiguous; a two-dimensional grid has one layer in y. Rows are divided by their diagonal;
``links[z, y, x, s]`` is the coefficient of the cell at the flat distance ``offsets[s]``, entry 0 the cell itself. Unknowns are
stored with one layer of ghost cells round every axis that has neighbours (``pad``), right-hand sides without. Every kernel
works on the planes ``start ≤ z < stop`` only, so that two threads can share one grid; none writes into a plane of the other.
"""

import math

import numpy as np
from numba import njit

# Eliminating along a line of a Markov chain leaves pivots of ½ and more, less only at the end of one that exchanges nothing
# with others, or where cells are upwinded against each other; there relaxation would diverge.
LEAST_PIVOT = 0.5
OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**OPTIONS)
def fill_ghosts(v, pad, periodic):
    """Copy the last plane of a periodic axis before its first one and the first behind its last; walls keep their zeros."""
    if pad[0] == 1 and periodic[0]:
        v[0] = v[-2]
        v[-1] = v[1]
    if pad[1] == 1 and periodic[1]:
        v[:, 0] = v[:, -2]
        v[:, -1] = v[:, 1]
    if pad[2] == 1 and periodic[2]:
        v[:, :, 0] = v[:, :, -2]
        v[:, :, -1] = v[:, :, 1]


@njit(**OPTIONS)
def apply(links, offsets, v, pad, out, start, stop):
    """out = K v."""
    ny, nx = links.shape[1], links.shape[2]
    flat = v.reshape(-1)
    for z in range(start, stop):
        for y in range(ny):
            first = ((z + pad[0]) * v.shape[1] + y + pad[1]) * v.shape[2] + pad[2]
            for x in range(nx):
                here = first + x
                total = 0.0
                for s in range(len(offsets)):
                    total += links[z, y, x, s] * flat[here + offsets[s]]
                out[z, y, x] = total


@njit(**OPTIONS)
def relax_points(links, offsets, rhs, v, pad, parity, forward, start, stop):
    """Gauss–Seidel on the planes z of one parity, cell after cell inside a plane, forwards or backwards; needs entry 0 = 1."""
    ny, nx = links.shape[1], links.shape[2]
    flat = v.reshape(-1)
    for z in range(start + (start + parity) % 2, stop, 2):
        for j in range(ny):
            y = j if forward else ny - 1 - j
            first = ((z + pad[0]) * v.shape[1] + y + pad[1]) * v.shape[2] + pad[2]
            for i in range(nx):
                x = i if forward else nx - 1 - i
                here = first + x
                total = rhs[z, y, x]
                for s in range(1, len(offsets)):
                    total -= links[z, y, x, s] * flat[here + offsets[s]]
                flat[here] = total


@njit(**OPTIONS)
def relax_rows(links, offsets, ends, rhs, v, pad, parity, start, stop):
    """In the plane, solve for all cells of a row (along x) at once, on the rows z of one parity; needs entry 0 = 1.

    ``ends`` are the entries of the cells before and behind. Round a ring the first and the last cell take each other as they
    were.
    """
    nx = links.shape[2]
    flat = v.reshape(-1)
    back, forth = np.empty(nx), np.empty(nx)
    for z in range(start + (start + parity) % 2, stop, 2):
        first = (z + pad[0]) * v.shape[2] + pad[2]
        for x in range(nx):
            here = first + x
            total = rhs[z, 0, x]
            for s in range(1, len(offsets)):
                total -= links[z, 0, x, s] * flat[here + offsets[s]]
            if x < nx - 1:
                total += links[z, 0, x, ends[1]] * flat[here + 1]
            pivot = 1.0
            if x > 0:
                before = links[z, 0, x, ends[0]]
                pivot = max(1.0 - before * back[x - 1], LEAST_PIVOT)
                total += before * (flat[here - 1] - forth[x - 1])
            back[x] = links[z, 0, x, ends[1]] / pivot
            forth[x] = total / pivot
        flat[first + nx - 1] = forth[nx - 1]
        for x in range(nx - 2, -1, -1):
            flat[first + x] = forth[x] - back[x] * flat[first + x + 1]


@njit(**OPTIONS)
def relax_columns(links, offsets, ends, rhs, v, pad, parity, start, stop):
    """The same along z, on the columns x of one parity; the range counts columns."""
    nz, row = links.shape[0], v.shape[2]
    flat = v.reshape(-1)
    back, forth = np.empty((nz, stop - start)), np.empty((nz, stop - start))
    left = start + (start + parity) % 2
    for z in range(nz):
        first = (z + pad[0]) * row + pad[2]
        for x in range(left, stop, 2):
            here = first + x
            total = rhs[z, 0, x]
            for s in range(1, len(offsets)):
                total -= links[z, 0, x, s] * flat[here + offsets[s]]
            if z < nz - 1:
                total += links[z, 0, x, ends[1]] * flat[here + row]
            pivot = 1.0
            if z > 0:
                before = links[z, 0, x, ends[0]]
                pivot = max(1.0 - before * back[z - 1, x - start], LEAST_PIVOT)
                total += before * (flat[here - row] - forth[z - 1, x - start])
            back[z, x - start] = links[z, 0, x, ends[1]] / pivot
            forth[z, x - start] = total / pivot
    for z in range(nz - 1, -1, -1):
        first = (z + pad[0]) * row + pad[2]
        for x in range(left, stop, 2):
            flat[first + x] = forth[z, x - start]
            if z < nz - 1:
                flat[first + x] -= back[z, x - start] * flat[first + x + row]


@njit(**OPTIONS)
def restrict_residual(links, offsets, rhs, v, pad, weight, step, out, start, stop):
    """out = Σ over the cells of each aggregate of weight × (rhs − K v); the range counts planes of aggregates."""
    ny, nx = links.shape[1], links.shape[2]
    flat = v.reshape(-1)
    out[start:stop] = 0.0
    for z in range(start * step[0], stop * step[0]):
        for y in range(ny):
            first = ((z + pad[0]) * v.shape[1] + y + pad[1]) * v.shape[2] + pad[2]
            for x in range(nx):
                here = first + x
                total = rhs[z, y, x]
                for s in range(len(offsets)):
                    total -= links[z, y, x, s] * flat[here + offsets[s]]
                out[z // step[0], y // step[1], x // step[2]] += weight[z, y, x] * total


@njit(**OPTIONS)
def add_prolonged(coarse, coarse_pad, v, pad, step, start, stop):
    """v += the value of the aggregate of each cell; ``start`` and ``stop`` count planes of cells."""
    ny, nx = v.shape[1] - 2 * pad[1], v.shape[2] - 2 * pad[2]
    for z in range(start, stop):
        for y in range(ny):
            for x in range(nx):
                v[z + pad[0], y + pad[1], x + pad[2]] += coarse[
                    z // step[0] + coarse_pad[0], y // step[1] + coarse_pad[1], x // step[2] + coarse_pad[2]
                ]


@njit(**OPTIONS)
def aggregate(phi, step, smallest, coarse, weight, start, stop):
    """Φ of each aggregate from the probability in it, and the share of each of its cells (0 below ``smallest``)."""
    for z in range(start, stop):
        for y in range(coarse.shape[1]):
            for x in range(coarse.shape[2]):
                least = np.inf
                for c in range(step[0]):
                    for b in range(step[1]):
                        for a in range(step[2]):
                            least = min(least, phi[z * step[0] + c, y * step[1] + b, x * step[2] + a])
                total = 0.0
                for c in range(step[0]):
                    for b in range(step[1]):
                        for a in range(step[2]):
                            total += math.exp(least - phi[z * step[0] + c, y * step[1] + b, x * step[2] + a])
                coarse[z, y, x] = least - math.log(total)
                for c in range(step[0]):
                    for b in range(step[1]):
                        for a in range(step[2]):
                            k, j, i = z * step[0] + c, y * step[1] + b, x * step[2] + a
                            share = math.exp(least - phi[k, j, i]) / total
                            weight[k, j, i] = share if share > smallest else 0.0


@njit(**OPTIONS)
def coarsen(links, diagonal, share, step, target, out, start, stop):
    """Galerkin exchange between aggregates: rows averaged by share, columns summed.

    ``target[child, s]`` is the coarse entry of entry s of a cell at place ``child`` of its aggregate.
    """
    out[start:stop] = 0.0
    for z in range(start * step[0], stop * step[0]):
        for y in range(links.shape[1]):
            for x in range(links.shape[2]):
                factor = share[z, y, x] * diagonal[z, y, x]
                if factor == 0.0:
                    continue
                k, j, i = z // step[0], y // step[1], x // step[2]
                child = (z % step[0] * 2 + y % step[1]) * 2 + x % step[2]
                for s in range(links.shape[3]):
                    out[k, j, i, target[child, s]] += factor * links[z, y, x, s]


@njit(**OPTIONS)
def soften(galerkin, phi, offsets, opposite, least, periodic, links, diagonal, start, stop):
    """Scale the symmetric part of every exchange between aggregates by ``least``, or by as much as keeps its entries' signs.

    Constants over an aggregate exaggerate the gradient between neighbours twofold; the exchange by net current they get
    right. Row sums stay what they are. Writes rows divided by their diagonal, which is at least a quarter of the rest: a row
    whose cells are upwinded against each other can lose it, and relaxation would diverge there.
    """
    shape = galerkin.shape
    for z in range(start, stop):
        for y in range(shape[1]):
            for x in range(shape[2]):
                centre, others = galerkin[z, y, x, 0], 0.0
                for s in range(1, len(offsets)):
                    k, j, i = z + offsets[s][0], y + offsets[s][1], x + offsets[s][2]
                    if periodic[0]:
                        k %= shape[0]
                    if periodic[1]:
                        j %= shape[1]
                    if periodic[2]:
                        i %= shape[2]
                    links[z, y, x, s] = 0.0
                    if k < 0 or j < 0 or i < 0 or k >= shape[0] or j >= shape[1] or i >= shape[2]:
                        continue
                    there = galerkin[z, y, x, s]
                    # the exponent only has to stay finite: beyond e³⁰⁰ the share is 1 and ``back`` drops out
                    back = galerkin[k, j, i, opposite[s]] * math.exp(min(phi[z, y, x] - phi[k, j, i], 300.0))
                    even, odd = 0.5 * abs(there + back), 0.5 * abs(there - back)
                    share = least[s]
                    if odd > share * even:
                        share = odd / even if odd < even else 1.0
                    softer = 0.5 * (there * (share + 1.0) + back * (share - 1.0))
                    links[z, y, x, s] = softer
                    centre += there - softer
                    others += abs(softer)
                centre = max(centre, 0.25 * others)
                if centre == 0.0:  # nothing is exchanged
                    centre = 1.0
                diagonal[z, y, x] = centre
                links[z, y, x, 0] = 1.0
                for s in range(1, len(offsets)):
                    links[z, y, x, s] /= centre
