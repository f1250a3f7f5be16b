"""A quartic loss whose position-dependent noise makes four vortices."""

from __future__ import annotations

import math

import numpy as np

from ..grid import Array, Box
from ..process import DiffusionProcess
from .case import Case, Exact


def four_vortices(*, noise: float = 1.0) -> Case:
    r"""Drift −∇L, :math:`L = \tfrac12(1+\tfrac s2)x^2 + \tfrac12(1-\tfrac s2)y^2 + \tfrac14x^2y^2`; D = s diag(1 + y², 1).

    Exactly :math:`p = N(0, sI)` and :math:`J = \tfrac12 p\,(-x(s - y^2),\; y(s - x^2))`: the gradient drift of a single well,
    isotropic Gaussian density, and yet no detailed balance.
    """
    s = noise

    def drift(x: Array) -> Array:
        return -np.stack(
            [(1.0 + 0.5 * s) * x[0] + 0.5 * x[0] * x[1] ** 2, (1.0 - 0.5 * s) * x[1] + 0.5 * x[0] ** 2 * x[1]]
        )

    def diffusion(x: Array) -> Array:
        zero = np.zeros_like(x[0])
        return s * np.stack([np.stack([1.0 + x[1] ** 2, zero]), np.stack([zero, 1.0 + zero])])

    def density(x: Array) -> Array:
        return np.asarray(np.exp(-(x[0] ** 2 + x[1] ** 2) / (2.0 * s)) / (2.0 * np.pi * s))

    def current(x: Array) -> Array:
        return 0.5 * density(x) * np.stack([-x[0] * (s - x[1] ** 2), x[1] * (s - x[0] ** 2)])

    scalars = {"circulation": 0.0, "largest_stream_function": 0.5 * s / (2.0 * math.pi * math.e)}
    if s == 1.0:
        scalars["entropy_production"] = math.sqrt(0.5 * math.pi * math.e) * math.erfc(math.sqrt(0.5))
    reach = 5.5 * math.sqrt(s)
    return Case(
        name="four-vortices",
        title="Four vortices in a single well",
        description="Gradient drift, diagonal noise that grows with the other variable; the density is an isotropic Gaussian.",
        process=DiffusionProcess(drift, diffusion, dim=2),
        box=Box([-reach, -reach], [reach, reach]),
        exact=Exact(density, current, scalars),
        settings={"noise": noise},
    )
