"""The pictures of a page, each with what it shows in words."""

from __future__ import annotations

from collections.abc import Callable
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

LOW = (5.6, 3.4)  # inches, of a line


def state(solution: Solution) -> Pictures:
    """Density and current: as a line, on a plane, or as marginals of every two variables."""
    names, centre = solution.names, ", ".join(f"{n} = {number(float(m))}" for n, m in zip(solution.names, solution.mean, strict=True))
    resolved = solution.current_error < 1.0
    if solution.grid.dim == 1:
        shown = [
            _line(
                lambda ax: plotting.density(solution, ax=ax),
                f"Line of the probability density over {names[0]}; its mean is at {centre}.",
                "Stationary density, with the band of its numerical error.",
            )
        ]
        if resolved:
            shown.append(
                _line(
                    lambda ax: plotting.current(solution, ax=ax),
                    f"Line of the probability current over {names[0]}.",
                    "Probability current, with the band of its numerical error.",
                )
            )
        return Pictures(shown)
    lines = "White lines follow the current and are as wide as it is strong." if resolved else "No current is resolved."
    shown = []
    for gone in names[::-1] if solution.grid.dim == 3 else (None,):
        where = "" if gone is None else f", integrated over {gone}"
        plane = " and ".join(name for name in names if name != gone)
        shown.append(
            _picture(
                lambda ax, gone=gone: plotting.current(solution, ax=ax, over=gone),
                f"Probability density over {plane}{where}; its mean is at {centre}. {lines}",
                f"Stationary density{where}. {lines}",
            )
        )
    return Pictures(shown)


def streams(split: HelmholtzSplit) -> Pictures:
    """The stream function."""
    top = split.extremum
    at = "" if top is None else f" Its largest value is {number(top.value)} at ({', '.join(map(number, map(float, top.position)))})."
    caption = "Stream function ψ. Probability flows along its contours, the larger values to the left; the same amount passes between two neighbours."
    return Pictures([_picture(lambda ax: plotting.stream_function(split, ax=ax), f"Filled contours of the stream function.{at}", caption)])


def parts(split: HelmholtzSplit) -> Pictures:
    """The parts of a current in the plane, where there is more than one."""
    fields = {name: getattr(split, name) for name, share in split.shares.items() if share >= ROUND_OFF}
    if split.grid.dim != 2 or len(fields) < 2:
        return Pictures([])
    return Pictures(
        [
            _line(
                lambda ax, field=field: plotting.current(field, ax=ax),
                f"Streamlines of the {name} part of the current.",
                f"The {name} part, {percent(split.shares[name])} of ∫|J|².",
                size=(5.6, 4.4),
            )
            for name, field in fields.items()
        ]
    )


def production(solution: Solution, total: str) -> Pictures:
    """Where entropy is produced."""
    drawn = _line if solution.grid.dim == 1 else _picture
    over = solution.names[-1] if solution.grid.dim == 3 else None
    where = "" if over is None else f", integrated over {over}"
    return Pictures(
        [
            drawn(
                lambda ax: plotting.entropy_production(solution, ax=ax, over=over),
                f"Map of the entropy production{where}; its integral is {total} per unit time.",
                f"Where entropy is produced{where}, per volume and unit time, in units of k_B.",
            )
        ]
    )


def simulated(solution: Solution, run: Run, comparison: Comparison | None) -> Pictures:
    """The simulation, and its difference from the solution."""
    dim, last = solution.grid.dim, solution.names[-1]
    if dim == 1:

        def both(ax: Any) -> None:
            plotting.density(solution, ax=ax)
            plotting.density(run, ax=ax)
            ax.set_title("stationary density")
            ax.legend(frameon=False)

        shown = [_line(both, "Simulated and solved density as lines.", "Simulated and solved density, the simulated one with its 95 % band.")]
    else:
        over = last if dim == 3 else None
        where = "" if over is None else f", integrated over {over}"
        shown = [
            _picture(
                lambda ax: plotting.current(run, ax=ax, over=over),
                f"Simulated probability density and current{where}.",
                f"Simulated density and current{where}; lines where the current exceeds three standard errors.",
            )
        ]
    if comparison is not None and dim < 3:
        distance = comparison.total_variation
        alt = f"Difference of the simulated from the solved density, bin by bin; total variation {number(distance.value)}."
        caption = "Simulated less solved density in standard errors of each bin: noise alone stays within ±2 in 95 % of them."
        shown.append((_line if dim == 1 else _picture)(lambda ax: plotting.difference(comparison, ax=ax), alt, caption))
    return Pictures(shown)


def _picture(draw: Callable[[Any], object], alt: str, caption: str) -> Picture:
    return Picture(embedded(picture(draw)), alt, caption)


def _line(draw: Callable[[Any], object], alt: str, caption: str, *, size: tuple[float, float] = LOW) -> Picture:
    return Picture(embedded(picture(draw, size=size, lines=True)), alt, caption)
