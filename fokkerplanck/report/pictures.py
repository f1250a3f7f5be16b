"""The pictures of a page, each with what it shows in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .. import plotting
from ..compare import Comparison
from ..helmholtz import HelmholtzSplit
from ..plotting.fields import ROUND_OFF
from ..plotting.picture import picture
from ..results import Solution
from ..sgd import Run
from .blocks import Picture, Pictures
from .markup import embedded, number, percent

WIDE, LOW = (5.0, 4.0), (5.0, 3.2)  # inches: on a phone, letters of ten points are still read


def state(solution: Solution) -> Pictures:
    """Density and current: as lines, on a plane, or as marginals of every two variables."""
    names, resolved = solution.names, solution.current_error < 1.0
    means = zip(names, solution.mean, strict=True)
    centre = f"its mean is at {', '.join(f'{name} = {number(float(mean))}' for name, mean in means)}"
    if solution.grid.dim == 1:
        draw: Callable[..., object] = partial(plotting.density, solution)
        alt, caption = (
            f"Probability density over {names[0]}; {centre}.",
            "Stationary density, with the band of its error.",
        )
        shown = [_line(draw, alt, caption)]
        if resolved:
            draw = partial(plotting.current, solution)
            alt, caption = f"Probability current over {names[0]}.", "Probability current, with the band of its error."
            shown.append(_line(draw, alt, caption))
        return Pictures(shown)
    lines = "White lines follow the current and are as wide as it is strong." if resolved else "No current is resolved."
    shown = []
    for gone in names[::-1] if solution.grid.dim == 3 else (None,):
        where, plane = _over(gone), " and ".join(name for name in names if name != gone)
        alt, caption = (
            f"Probability density over {plane}{where}; {centre}. {lines}",
            f"Stationary density{where}. {lines}",
        )
        shown.append(_field(partial(plotting.current, solution, over=gone), alt, caption))
    return Pictures(shown)


def streams(split: HelmholtzSplit) -> Pictures:
    """The stream function."""
    top = split.extremum
    alt = "Filled contours of the stream function."
    if top is not None:
        alt += f" Its largest value is {number(top.value)} at ({', '.join(number(float(x)) for x in top.position)})."
    caption = (
        "Stream function ψ. Probability flows along its contours, the larger values to the left; the same amount passes "
        "between any two neighbours."
    )
    return Pictures([_field(partial(plotting.stream_function, split), alt, caption)])


def parts(split: HelmholtzSplit) -> Pictures:
    """The parts of a current in the plane, where there is more than one."""
    found = {name: getattr(split, name) for name, share in split.shares.items() if share >= ROUND_OFF}
    if split.grid.dim != 2 or len(found) < 2:
        return Pictures(())
    shown = []
    for name, part in found.items():
        alt = f"Streamlines of the {name} part of the current."
        caption = f"The {name} part, {percent(split.shares[name])} of ∫|J|²."
        shown.append(_line(partial(plotting.current, part), alt, caption, size=WIDE))
    return Pictures(shown)


def production(solution: Solution, total: str) -> Pictures:
    """Where entropy is produced."""
    over = solution.names[-1] if solution.grid.dim == 3 else None
    draw = partial(plotting.entropy_production, solution, over=over)
    alt = f"Entropy production in every place{_over(over)}; its integral is {total} per unit time."
    caption = f"Where entropy is produced{_over(over)}, per volume and unit time, in units of k_B."
    return Pictures([_line(draw, alt, caption) if solution.grid.dim == 1 else _field(draw, alt, caption)])


def simulated(solution: Solution, run: Run, comparison: Comparison | None) -> Pictures:
    """The simulation, and its difference from the solution."""
    dim = solution.grid.dim
    if dim == 1:
        alt = "Simulated and solved density as lines."
        caption = "Simulated and solved density, the simulated one with its band of 95 %."
        shown = [_line(partial(_both, solution, run), alt, caption)]
    else:
        over = solution.names[-1] if dim == 3 else None
        alt = f"Simulated probability density and current{_over(over)}."
        caption = f"Simulated density and current{_over(over)}; lines where the current exceeds three standard errors."
        shown = [_field(partial(plotting.current, run, over=over), alt, caption)]
    if comparison is not None and dim < 3:
        draw = partial(plotting.difference, comparison)
        distance = number(comparison.total_variation.value)
        alt = f"Difference of the simulated from the solved density, bin by bin; total variation {distance}."
        caption = (
            "Simulated less solved density in standard errors of each bin: noise alone is within ±2 in 95 % of them."
        )
        shown.append(_line(draw, alt, caption) if dim == 1 else _field(draw, alt, caption))
    return Pictures(shown)


def _both(solution: Solution, run: Run, *, ax: Any) -> None:
    plotting.density(solution, ax=ax)
    plotting.density(run, ax=ax)
    ax.set_title("stationary density")
    ax.legend(frameon=False)


def _over(gone: str | None) -> str:
    return "" if gone is None else f", integrated over {gone}"


def _field(draw: Callable[..., object], alt: str, caption: str) -> Picture:
    return Picture(embedded(picture(draw, size=WIDE)), alt, caption)


def _line(draw: Callable[..., object], alt: str, caption: str, *, size: tuple[float, float] = LOW) -> Picture:
    return Picture(embedded(picture(draw, size=size, lines=True)), alt, caption)
