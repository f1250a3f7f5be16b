"""The order at which currents and entropy productions of exact processes approach their limit."""

from functools import partial

import numpy as np
import pytest
from exact_processes import (
    heavy_swirl,
    heavy_swirl_current,
    linear,
    linear_current,
    swirl,
    swirl_current,
    tangential,
    vortices,
    vortices_current,
)

import fokkerplanck as fp
from fokkerplanck import currents

CASES = {
    "linear": (linear(), {}, linear_current, 1 / 6),
    "swirl": (swirl(), {}, swirl_current, 0.4184337444098556),
    "swirl, isothermal": (
        swirl("isothermal"),
        {},
        partial(swirl_current, interpretation="isothermal"),
        0.7257238788257903,
    ),
    "heavy swirl": (heavy_swirl(), {"maps": fp.Sinh(scale=1)}, heavy_swirl_current, 0.020936308072382746),
    "tangential": (tangential(), {}, linear_current, 0.049749622712418465),
    "vortices a": (vortices(), {}, vortices_current, 0.6556795424187984),
    "vortices b": (vortices(4.0), {}, partial(vortices_current, beta=4.0), 9.488638926419004),
    "vortices c": (vortices(1.8, 0.2), {}, partial(vortices_current, beta=1.8, delta=0.2), 1.0565840474269017),
}

FLOOR = 4e-6  # what the walls of these boxes cut off shows there


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("name", CASES)
def test_order(name, order):
    """From 128² to 256² cells at least 1.9; at fourth order, from 64² to 256², 3.5 or down to 3e-6 of the value."""
    (process, box), options, current, production = CASES[name]
    finest = fp.solve_stationary(process, box, shape=(256, 256), order=order, max_wall_mass=1, **options)
    errors = []
    for sol in (*finest.coarser[::-1], finest):
        miss = np.sqrt(((sol.current.values - current(sol.grid.cell_points())) ** 2).sum(0))
        errors.append(
            (
                float(np.sum(miss * sol.grid.cell_volumes)) / currents.total_current(sol.flux),
                abs(currents.entropy_production(sol.flux, sol.force) / production - 1),
            )
        )
    errors = np.array(errors)
    if order == 4:
        orders = 0.5 * np.log2(errors[0] / errors[2])
        assert (errors[2] < 1e-4).all(), errors
        assert ((orders > 3.5) | (errors[2] < FLOOR)).all(), (orders, errors)
    else:
        orders = np.log2(errors[1] / errors[2])
        assert (orders > 1.9).all(), (orders, errors)
        assert (errors[2] < 2e-3).all(), errors
