"""What double precision leaves open where a density has several peaks: how much of it is behind which barrier."""

from __future__ import annotations

import numpy as np

from ..grid import Array, Grid
from ..kernels.saddles import uncertain_mass

# Round-off of a balance as a share of the largest flux in it. Weights of two wells on 128 to 1024 cells were wrong by up to
# half of this times e^barrier, with barriers of 24 to 35 kT, and mostly by far less.
EPSILON = 0.25 * float(np.finfo(float).eps)
ENOUGH = 2**17  # cells by which barriers are found; of larger grids every second, fourth … along every axis


def misplaced(phi: Array, grid: Grid) -> float:
    r"""∫|p − p'| by which round-off may have misplaced probability between the peaks of a density.

    A balance adds up to zero to a share ε of the largest fluxes in it, and what is left flows over the barriers between the
    peaks: where the density at the saddle is :math:`e^{-B}` of its largest value, the weight behind it is uncertain by
    :math:`\varepsilon e^{B}`, whatever the grid.

    Parameters
    ----------
    phi : ndarray, shape ``grid.shape``
        −ln p.
    grid : Grid
    """
    weight = np.exp(-phi) * grid.cell_volumes
    total = float(weight.sum())
    step = 1
    while phi[(slice(None, None, step),) * grid.dim].size > ENOUGH:
        step *= 2
    take = (slice(None, None, step),) * grid.dim
    cells, weight = np.ascontiguousarray(phi[take]), weight[take] * float(step**grid.dim)
    shape, periodic = np.ones(3, np.int64), np.zeros(3, np.bool_)
    shape[: grid.dim], periodic[: grid.dim] = cells.shape, grid.periodic
    order = np.argsort(cells, axis=None)
    share = uncertain_mass(order, cells.ravel(), weight.ravel(), shape, periodic, EPSILON)
    return 2.0 * share / total
