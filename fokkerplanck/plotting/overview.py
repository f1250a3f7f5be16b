"""The page: everything about one problem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..balance import DetailedBalance
from ..compare import Comparison
from ..errors import InvalidInput
from ..helmholtz import HelmholtzSplit
from ..replicates import NORMAL_95
from ..results import Solution
from ..sgd import Run
from . import colours, frame, numbers
from .fields import ROUND_OFF, current, density, difference, draw_parts, stream_function
from .planes import plane

EQUAL_PANEL = 1.5  # axes have the same scale within this factor; narrow pictures would leave most of their panels empty


def overview(
    solution: Solution,
    split: HelmholtzSplit | None,
    balance: DetailedBalance | None,
    run: Run | None = None,
    comparison: Comparison | None = None,
    *,
    title: str | None = None,
    vmax: float | None = None,
    widest: float | None = None,
) -> Figure:
    """Everything about one problem on a page, without a trace in pyplot.

    In two dimensions: density with streamlines, stream function, curl and gradient part; the same of the simulation, the
    difference in standard errors, and a panel with the verdict and the circulations. Panels without data are left out; in one
    dimension there are densities and the verdict, in three the marginals of every two variables with their currents.

    Parameters
    ----------
    solution : Solution
    split : HelmholtzSplit or None
    balance : DetailedBalance or None
        None where entropy production is not defined, or nothing was judged.
    run : Run, optional
    comparison : Comparison, optional
    title : str, optional
        Description of the case.
    vmax, widest : float, optional
        Of densities and of the currents over them, as for :func:`current`; by default what the solution reaches in a panel. The
        same for two pages puts them on one scale.

    Returns
    -------
    Figure
        15 × 9 inch when all panels are there, 120 dpi; ``figure.savefig(path)`` writes it.

    Raises
    ------
    InvalidInput
        If there is no Solution, or a scale is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> sol = fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64))
    >>> figure = overview(sol, fp.helmholtz(sol), fp.detailed_balance(sol), title="A swirl")
    >>> figure.get_suptitle()
    'A swirl'
    """
    if not isinstance(solution, Solution):
        raise InvalidInput(f"expected a Solution, got {frame.kind(solution)}")
    frame.check_scale("vmax", vmax)
    frame.check_scale("widest", widest)
    dim = solution.grid.dim
    views = [plane(solution, over=name) for name in (solution.names[::-1] if dim == 3 else (None,))]
    pages = [("density", view) for view in views]
    if dim == 2:
        named = ["stream function", "parts"] if split is not None and solution.current_error < 1.0 else []
        pages += [(name, views[0]) for name in named]
    if run is not None and dim > 1:
        pages += [("run", view) for view in views]
    if comparison is not None and dim < 3:
        pages.append(("difference", views[0]))
    pages.append(("verdict", views[0]))
    columns = min(len(pages), 2 if len(pages) == 4 else 3)
    rows = math.ceil(len(pages) / columns)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.03, hspace=0.03)
    figure = Figure(figsize=(5.0 * columns, 4.5 * rows), dpi=120, layout=layout)
    if title:
        figure.suptitle(frame.plain(frame.lines(title, 45 * columns)), fontsize=13)
    panels = figure.add_gridspec(rows, columns)
    for k, (name, view) in enumerate(pages):
        p = view.scalar(solution.density)
        window = frame.window(p, view.grid)
        sides = [upper - lower for lower, upper in window]
        aspect: Any = "equal" if max(sides) <= EQUAL_PANEL * min(sides) else "auto"
        # The verdict is a text and takes what is left of its row.
        cell: Any = panels[k // columns, k % columns if name != "verdict" else slice(k % columns, None)]
        if name == "verdict":
            _draw_verdict(figure, cell, solution, split, balance, comparison, wide=columns == 3 and k % 3 == 0)
        elif name == "parts":
            assert split is not None
            kinds = [kind for kind in ("curl", "harmonic", "gradient") if split.shares[kind] >= ROUND_OFF]
            if len(kinds) == 1:
                kinds.append("gradient")  # that it is nothing next to the curl part is the point
            stack = cell.subgridspec(len(kinds), 1)
            first = figure.add_subplot(stack[0])
            rest = [figure.add_subplot(stack[i], sharex=first) for i in range(1, len(kinds))]
            draw_parts(split, kinds, [first, *rest], window, plane(split))
        else:
            ax = figure.add_subplot(cell)
            if name == "stream function":
                assert split is not None
                stream_function(split, ax=ax)
            elif name == "difference":
                assert comparison is not None
                difference(comparison, ax=ax)
            else:
                drawn = run if name == "run" and run is not None else solution
                if dim > 1:
                    current(drawn, ax=ax, over=view.over, vmax=vmax or float(p.max()), widest=widest)
                else:
                    density(drawn, ax=ax, vmax=vmax)
            if dim == 1 and run is not None and name == "density":
                density(run, ax=ax, vmax=vmax)
                ax.legend(frameon=False)
                ax.set_title("stationary density")
            ax.set_xlim(*window[0])
            if dim > 1:
                ax.set_ylim(*window[1])
                ax.set_aspect(aspect)
    return figure


def _draw_verdict(
    figure: Figure,
    cell: Any,
    solution: Solution,
    split: HelmholtzSplit | None,
    balance: DetailedBalance | None,
    comparison: Comparison | None,
    *,
    wide: bool,
) -> None:
    """Text, and under it (with a row for itself, beside it) the circulations where there is something to compare."""
    chart = comparison is not None and bool(comparison.circulation.pairs)
    lines = _verdict_lines(solution, split, balance, comparison)
    below: Any = {"nrows": 2, "ncols": 1, "height_ratios": (max(6, len(lines)), 6)}
    beside: Any = {"nrows": 1, "ncols": 2, "width_ratios": (1, 2)}
    halves = cell.subgridspec(**(beside if wide else below)) if chart else None
    ax = figure.add_subplot(halves[0] if halves is not None else cell)
    ax.axis("off")
    if balance is not None:
        verdict = balance.verdict
    else:
        verdict = "not defined for a singular D" if solution.force is None else "not judged"
    heading = f"Detailed balance {verdict}" if verdict == "holds" else f"Detailed balance: {verdict}"
    heading = frame.lines(heading, 34)
    # The layout would narrow the column to the text; instead, what does not fit onto the page is wrapped.
    text: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top", "in_layout": False}
    ax.annotate(heading, (0.0, 1.0), (0.0, 0.0), fontsize=13, weight="bold", wrap=True, **text)
    spacing = 1.5 if len(lines) < 8 else 1.3
    ax.annotate(
        "\n".join(lines),
        (0.0, 1.0),
        (0.0, -20.0 * (1 + heading.count("\n"))),
        linespacing=spacing,
        fontsize=9.5,
        wrap=True,
        **text,
    )
    if chart and comparison is not None and halves is not None:
        _draw_circulation(figure.add_subplot(halves[1]), comparison, solution.names)


def _verdict_lines(
    solution: Solution, split: HelmholtzSplit | None, balance: DetailedBalance | None, comparison: Comparison | None
) -> list[str]:
    lines = []
    if balance is not None:
        sigma, error = balance.entropy_production, balance.entropy_production_error
        lines.append(f"entropy production {numbers.plus_minus(sigma, error)} per time")
        if balance.verdict == "broken" and balance.drift_entropy > 0.0:
            lines.append(f"unbalanced drift (rms) {math.sqrt(sigma / balance.drift_entropy):.1%} of all drift")
    resolved = solution.current_error < 1.0
    current_error = f"current {numbers.written(solution.current_error, 2)}" if resolved else "no current resolved"
    lines.append(f"numerical error: density {numbers.written(solution.error, 2)}, {current_error}")
    if split is not None and resolved and (solution.grid.dim == 3 or any(solution.grid.periodic)):
        lines.append("shares of ∫|J|²:")
        small = {name: " (round-off)" if 0.0 < share < ROUND_OFF else "" for name, share in split.shares.items()}
        shares = [f"{name} {numbers.share(share)}{small[name]}" for name, share in split.shares.items()]
        # Under each other where there is room.
        lines += [f"    {', '.join(shares)}"] if comparison is not None else [f"    {share}" for share in shares]
    if comparison is None:
        if solution.grid.dim == 2 and resolved and not any(solution.grid.periodic):
            lines.append(f"circulation {numbers.written(float(solution.circulation[0, 1]))} state² per unit time")
        return lines
    distance = comparison.total_variation
    lines.append(f"total variation from the simulation {distance.value:.4f},")
    lines.append(f"    95 %: [{distance.low:.4f}, {distance.high:.4f}]; noise alone: {comparison.noise_floor:.4f}")
    if comparison.p_value is not None:
        p = comparison.p_value
        lines.append(
            "hypothesis of no circulation: " + (f"p = {numbers.written(p, 2)}" if p > 1e-15 else r"p < $10^{-15}$")
        )
    return lines


def _draw_circulation(ax: Axes, comparison: Comparison, names: Sequence[str]) -> None:
    """Measured, predicted and exact circulation of every pair, with the zero of detailed balance on the axis."""
    c = comparison.circulation
    power = numbers.exponent(max(float(np.abs(v).max()) for v in (c.measured, c.predicted)))
    rows: list[tuple[float, float, str, str, str]] = []
    for k, (i, j) in enumerate(c.pairs):
        pair = "" if len(c.pairs) == 1 else f"$A_{{{i}{j}}}$ "
        rows.append((c.measured[k], c.error[k], f"{pair}simulated", colours.SECOND, "o"))
        if c.finite is not None:
            rows.append((c.finite[k], 0.0, f"{pair}exact at this η", "0.25", "D"))
        rows.append((c.predicted[k], 0.0, f"{pair}diffusion limit", colours.LINE, "s"))
    unit = 10.0**power
    reach = [0.0] + [(v + s * NORMAL_95 * e) / unit for v, e, *_ in rows for s in (-1.0, 1.0)]
    low, high = min(reach), max(reach)
    ax.axvline(0.0, color="0.4", lw=0.8)
    for row, (value, error, label, colour, marker) in enumerate(rows):
        v, e = value / unit, error / unit
        ax.errorbar(v, row, xerr=NORMAL_95 * e, fmt=marker, color=colour, ms=5, capsize=3 if e > 0.0 else 0)
        digits = max(0, 1 - math.floor(math.log10(e))) if 0.0 < e < math.inf else 3
        number = f"{v:.{digits}f} ± {e:.{digits}f}" if e > 0.0 else f"{v:.3f}"
        ax.annotate(
            f"{label} {number.replace('-', numbers.MINUS)}",
            (v, row),
            (0, 4),
            textcoords="offset points",
            ha="right" if v > 0.5 * (low + high) else "left",
            va="bottom",
            fontsize=8.5 if len(rows) < 5 else 7,
            color=colour,
        )
    ax.set(yticks=[], ylim=(len(rows) - 0.6, -0.9))
    margin = 0.06 * (high - low) or 1.0
    ax.set_xlim(low - margin, high + margin)
    ax.spines[["left", "right", "top"]].set_visible(False)
    planes = ", ".join(f"{name} ({i})" for i, name in enumerate(names)) if len(c.pairs) > 1 else ""
    title = "circulation" + (f" in the planes of {planes}" if planes else "")
    ax.set_title(frame.plain(frame.lines(title, 48)), fontsize=10)
    factor = f"$10^{{{power}}}$ " if power else ""
    ax.set_xlabel(f"½⟨x × dx/dt⟩, {factor}state²/time\n± standard error, bars: 95 %", fontsize=9)
