"""Multigrid on stencils: smoothing, residuals and transfers between a grid and its aggregates of 2^d cells.

Cells are counted [z, y, x] with x contiguous; a two-dimensional grid has one layer in y. Rows are divided by their diagonal;
``links[z, y, s, x]`` is the coefficient of the cell at the flat distance ``offsets[s]``, entry 0 the cell itself, so that a
row of cells meets each of its neighbouring rows in one loop of independent products. The last two entries, the cells ahead and
behind along x, are what makes a sweep along a row a recursion. Unknowns are stored with one layer of ghost cells round every
axis that has neighbours (``pad``), right-hand sides without. Every kernel works on the planes ``start ≤ z < stop`` only, so
that two threads can share one grid; none writes into a plane of the other.
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
def subtract(total, row, flat, here, offsets, entries, begin=0):
    """total −= Σ over ``entries`` of coefficients × neighbours, for cells of a row from ``begin`` on; two entries at a time."""
    n = len(total)
    for e in range(0, len(entries) - 1, 2):
        s, t = entries[e], entries[e + 1]
        first, second = row[s][begin : begin + n], row[t][begin : begin + n]
        left = flat[here + offsets[s] : here + offsets[s] + n]
        right = flat[here + offsets[t] : here + offsets[t] + n]
        for x in range(n):
            total[x] = total[x] - first[x] * left[x] - second[x] * right[x]
    if len(entries) % 2:
        s = entries[-1]
        first, left = row[s][begin : begin + n], flat[here + offsets[s] : here + offsets[s] + n]
        for x in range(n):
            total[x] -= first[x] * left[x]


@njit(**OPTIONS)
def apply(links, offsets, v, pad, out, start, stop):
    """out = K v."""
    flat, entries = v.reshape(-1), np.arange(len(offsets))
    for z in range(start, stop):
        for y in range(links.shape[1]):
            here = ((z + pad[0]) * v.shape[1] + y + pad[1]) * v.shape[2] + pad[2]
            total = out[z, y]
            total[:] = 0.0
            subtract(total, links[z, y], flat, here, offsets, entries)
            for x in range(len(total)):
                total[x] = -total[x]


@njit(**OPTIONS)
def relax_points(links, offsets, entries, rhs, v, pad, parity, forward, start, stop):
    """Gauss–Seidel on the planes z of one parity, cell after cell inside a plane, forwards or backwards; needs entry 0 = 1.

    ``entries`` are those of neighbours in other rows that may not be zero.
    """
    ny, nx = links.shape[1], links.shape[3]
    ahead, behind = len(offsets) - 2, len(offsets) - 1
    flat = v.reshape(-1)
    total = np.empty(nx)
    for z in range(start + (start + parity) % 2, stop, 2):
        for j in range(ny):
            y = j if forward else ny - 1 - j
            here = ((z + pad[0]) * v.shape[1] + y + pad[1]) * v.shape[2] + pad[2]
            row, cells = links[z, y], flat[here : here + nx]
            total[:] = rhs[z, y]
            subtract(total, row, flat, here, offsets, entries)
            if forward:
                coupling, old = row[ahead], flat[here + 1 : here + 1 + nx]
                for x in range(nx):
                    total[x] -= coupling[x] * old[x]
                coupling, last = row[behind], flat[here - 1]
                for x in range(nx):
                    last = total[x] - coupling[x] * last
                    cells[x] = last
            else:
                coupling, old = row[behind], flat[here - 1 : here - 1 + nx]
                for x in range(nx):
                    total[x] -= coupling[x] * old[x]
                coupling, last = row[ahead], flat[here + nx]
                for x in range(nx - 1, -1, -1):
                    last = total[x] - coupling[x] * last
                    cells[x] = last


@njit(**OPTIONS)
def row_pivots(links, out, start, stop):
    """One over the pivots of elimination along every row; needs entry 0 = 1."""
    nx = links.shape[3]
    ahead, behind = links.shape[2] - 2, links.shape[2] - 1
    for z in range(start, stop):
        out[z, 0] = 1.0
        for x in range(1, nx):
            pivot = 1.0 - links[z, 0, behind, x] * links[z, 0, ahead, x - 1] * out[z, x - 1]
            out[z, x] = 1.0 / max(pivot, LEAST_PIVOT)


@njit(**OPTIONS)
def relax_rows(links, offsets, entries, pivots, rhs, v, pad, parity, start, stop):
    """In the plane, solve for all cells of a row (along x) at once, on the rows z of one parity; needs entry 0 = 1.

    ``entries`` are those of neighbours in other rows, ``pivots`` from :func:`row_pivots`. Round a ring the first and the last
    cell take each other as they were.
    """
    nx = links.shape[3]
    ahead, behind = len(offsets) - 2, len(offsets) - 1
    flat = v.reshape(-1)
    total = np.empty(nx)
    for z in range(start + (start + parity) % 2, stop, 2):
        here = (z + pad[0]) * v.shape[2] + pad[2]
        row, cells, pivot = links[z, 0], flat[here : here + nx], pivots[z]
        total[:] = rhs[z, 0]
        subtract(total, row, flat, here, offsets, entries)
        total[0] -= row[behind, 0] * flat[here - 1]
        total[nx - 1] -= row[ahead, nx - 1] * flat[here + nx]
        coupling, last = row[behind], 0.0
        for x in range(nx):
            last = pivot[x] * total[x] - (pivot[x] * coupling[x] * last if x else 0.0)
            total[x] = last
        coupling, cells[nx - 1] = row[ahead], last
        for x in range(nx - 2, -1, -1):
            last = total[x] - pivot[x] * coupling[x] * last
            cells[x] = last


@njit(**OPTIONS)
def column_pivots(links, ends, out, start, stop):
    """The same along z; ``ends`` are the entries of the cells before and behind, and the range counts columns."""
    out[0, start:stop] = 1.0
    for z in range(1, links.shape[0]):
        behind, ahead = links[z, 0, ends[0]], links[z - 1, 0, ends[1]]
        for x in range(start, stop):
            out[z, x] = 1.0 / max(1.0 - behind[x] * ahead[x] * out[z - 1, x], LEAST_PIVOT)


@njit(**OPTIONS)
def relax_columns(links, offsets, entries, ends, pivots, rhs, v, pad, parity, start, stop):
    """As :func:`relax_rows` along z, on the columns x of one parity; the range counts columns.

    What is eliminated waits in v itself: columns of one parity do not meet.
    """
    nz, width = links.shape[0], v.shape[2]
    flat = v.reshape(-1)
    total = np.empty(stop - start)
    for z in range(nz):
        here = (z + pad[0]) * width + pad[2] + start
        row = links[z, 0]
        total[:] = rhs[z, 0][start:stop]
        subtract(total, row, flat, here, offsets, entries, start)
        if z == nz - 1:
            for x in range(stop - start):
                total[x] -= row[ends[1], start + x] * flat[here + width + x]
        coupling, pivot = row[ends[0]][start:stop], pivots[z][start:stop]
        for x in range((start + parity) % 2, stop - start, 2):
            flat[here + x] = pivot[x] * (total[x] - coupling[x] * flat[here - width + x])
    for z in range(nz - 2, -1, -1):
        here = (z + pad[0]) * width + pad[2] + start
        coupling, pivot = links[z, 0, ends[1]][start:stop], pivots[z][start:stop]
        for x in range((start + parity) % 2, stop - start, 2):
            flat[here + x] -= pivot[x] * coupling[x] * flat[here + width + x]


@njit(**OPTIONS)
def restrict_residual(links, offsets, rhs, v, pad, weight, step, out, start, stop):
    """out = Σ over the cells of each aggregate of weight × (rhs − K v); the range counts planes of aggregates."""
    ny, nx = links.shape[1], links.shape[3]
    flat, entries, total = v.reshape(-1), np.arange(len(offsets)), np.empty(nx)
    out[start:stop] = 0.0
    for z in range(start * step[0], stop * step[0]):
        for y in range(ny):
            here = ((z + pad[0]) * v.shape[1] + y + pad[1]) * v.shape[2] + pad[2]
            total[:] = rhs[z, y]
            subtract(total, links[z, y], flat, here, offsets, entries)
            coarse, share = out[z // step[0], y // step[1]], weight[z, y]
            if step[2] == 2:
                for x in range(nx // 2):
                    coarse[x] += share[2 * x] * total[2 * x] + share[2 * x + 1] * total[2 * x + 1]
            else:
                for x in range(nx):
                    coarse[x] += share[x] * total[x]


@njit(**OPTIONS)
def add_prolonged(coarse, coarse_pad, v, pad, step, start, stop):
    """v += the value of the aggregate of each cell; ``start`` and ``stop`` count planes of cells."""
    ny, nx = v.shape[1] - 2 * pad[1], v.shape[2] - 2 * pad[2]
    for z in range(start, stop):
        for y in range(ny):
            cells = v[z + pad[0], y + pad[1], pad[2] : pad[2] + nx]
            values = coarse[z // step[0] + coarse_pad[0], y // step[1] + coarse_pad[1], coarse_pad[2] :]
            if step[2] == 2:
                for x in range(nx // 2):
                    cells[2 * x] += values[x]
                    cells[2 * x + 1] += values[x]
            else:
                for x in range(nx):
                    cells[x] += values[x]


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
                            k, j, i = z * step[0] + c, y * step[1] + b, x * step[2] + a
                            weight[k, j, i] = math.exp(least - phi[k, j, i])
                            total += weight[k, j, i]
                coarse[z, y, x] = least - math.log(total)
                for c in range(step[0]):
                    for b in range(step[1]):
                        for a in range(step[2]):
                            k, j, i = z * step[0] + c, y * step[1] + b, x * step[2] + a
                            share = weight[k, j, i] / total
                            weight[k, j, i] = share if share > smallest else 0.0


@njit(**OPTIONS)
def coarsen(links, diagonal, share, step, target, out, start, stop):
    """Galerkin exchange between aggregates: rows averaged by share, columns summed.

    ``target[child, s]`` is the coarse entry of entry s of a cell at place ``child`` of its aggregate.
    """
    nx = links.shape[3]
    factor = np.empty(nx)
    out[start:stop] = 0.0
    for z in range(start * step[0], stop * step[0]):
        for y in range(links.shape[1]):
            coarse, child = out[z // step[0], y // step[1]], (z % step[0] * 2 + y % step[1]) * 2
            for x in range(nx):
                factor[x] = share[z, y, x] * diagonal[z, y, x]
            for s in range(links.shape[2]):
                row = links[z, y, s]
                for a in range(step[2]):
                    to = coarse[target[child + a, s]]
                    for x in range(len(to)):
                        i = x * step[2] + a
                        to[x] += factor[i] * row[i] if factor[i] != 0.0 else 0.0


@njit(**OPTIONS)
def soften(galerkin, phi, offsets, opposite, least, periodic, links, diagonal, start, stop):
    """Scale the symmetric part of every exchange between aggregates by ``least``, or by as much as keeps its entries' signs.

    Constants over an aggregate exaggerate the gradient between neighbours twofold; the exchange by net current they get
    right. Row sums stay what they are. Writes rows divided by their diagonal, which is at least a quarter of the rest: a row
    whose cells are upwinded against each other can lose it, and relaxation would diverge there.
    """
    nz, ny, nx = phi.shape
    for z in range(start, stop):
        for y in range(ny):
            for x in range(nx):
                centre, others = galerkin[z, y, 0, x], 0.0
                for s in range(1, len(offsets)):
                    k, j, i = z + offsets[s][0], y + offsets[s][1], x + offsets[s][2]
                    if periodic[0]:
                        k %= nz
                    if periodic[1]:
                        j %= ny
                    if periodic[2]:
                        i %= nx
                    links[z, y, s, x] = 0.0
                    if k < 0 or j < 0 or i < 0 or k >= nz or j >= ny or i >= nx:
                        continue
                    there = galerkin[z, y, s, x]
                    # the exponent only has to stay finite: beyond e³⁰⁰ the share is 1 and ``back`` drops out
                    back = galerkin[k, j, opposite[s], i] * math.exp(min(phi[z, y, x] - phi[k, j, i], 300.0))
                    even, odd = 0.5 * abs(there + back), 0.5 * abs(there - back)
                    share = least[s]
                    if odd > share * even:
                        share = odd / even if odd < even else 1.0
                    softer = 0.5 * (there * (share + 1.0) + back * (share - 1.0))
                    links[z, y, s, x] = softer
                    centre += there - softer
                    others += abs(softer)
                centre = max(centre, 0.25 * others)
                if centre == 0.0:  # nothing is exchanged
                    centre = 1.0
                diagonal[z, y, x] = centre
                links[z, y, 0, x] = 1.0
                for s in range(1, len(offsets)):
                    links[z, y, s, x] /= centre


@njit(**OPTIONS)
def weigh(share, fine, coarse, step, start, stop):
    """share × fine / coarse: what a cell's residual, over its diagonal, counts in that of its aggregate, over its own."""
    for z in range(start, stop):
        for y in range(share.shape[1]):
            over = coarse[z // step[0], y // step[1]]
            for x in range(share.shape[2]):
                share[z, y, x] *= fine[z, y, x] / over[x // step[2]]
