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
from scipy.interpolate import RectBivariateSpline

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

CUT = 1e-6  # of J, beyond walls at six deviations; no estimate sees that
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
    assert errors[2, 0] <= finest.current_error + CUT
    if order == 4:
        orders = 0.5 * np.log2(errors[0] / errors[2])
        assert (errors[2] < 1e-4).all(), errors
        assert ((orders > 3.5) | (errors[2] < FLOOR)).all(), (orders, errors)
    else:
        orders = np.log2(errors[1] / errors[2])
        assert (orders > 1.9).all(), (orders, errors)
        assert (errors[2] < 2e-3).all(), errors


POINTS = [
    (linear(), {}, (1.0, 0.5), (0.0108327165, -0.0149991460)),
    (tangential(), {}, (1.0, 0.5), (0.0108327165, -0.0149991460)),
    (vortices(), {}, (1.0, 0.5), (-0.0319460633, 0.0)),
    (swirl(), {}, (0.6, 0.8), (0.8 * 0.0234199326, -0.6 * 0.0234199326)),
    (swirl("isothermal"), {}, (0.6, 0.8), (-0.8 * 0.0468398652, 0.6 * 0.0468398652)),
    (heavy_swirl(), {"maps": fp.Sinh(scale=1)}, (0.6, 0.8), (-0.8 * 0.0024701566, 0.6 * 0.0024701566)),
]


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize(
    ("problem", "options", "point", "exact"),
    POINTS,
    ids=["linear", "tangential", "vortices", "swirl", "isothermal", "heavy"],
)
def test_currents_at_a_point_are_within_their_local_errors(problem, options, point, exact, order):
    """At (1, ½), or at radius one; a wrong interpretation has the other sign there."""
    sol = fp.solve_stationary(problem[0], problem[1], shape=(128, 128), order=order, max_wall_mass=1, **options)
    fields = fp.current_fields(sol)
    axes = [sol.grid.centers(a) for a in range(2)]
    found = [float(RectBivariateSpline(*axes, c, kx=5, ky=5)(*point)[0, 0]) for c in fields.current.values]
    cells = [
        slice(np.searchsorted(axis, x) - 2, np.searchsorted(axis, x) + 2) for axis, x in zip(axes, point, strict=True)
    ]
    local = float(fields.current_error.values[tuple(cells)].max())  # of the cells about the point
    assert (
        np.hypot(*np.subtract(found, exact)) <= local + 1e-9
    )  # what the splines leave, and the digits of the exact values
    assert local < 0.05 * np.hypot(*exact)
