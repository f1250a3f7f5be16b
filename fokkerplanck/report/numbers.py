"""The numbers of a solution and of a comparison, as rows of tables with what they mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..balance import DetailedBalance
from ..cases import Case
from ..compare import Comparison
from ..helmholtz import HelmholtzSplit
from ..measured import ROUND_OFF, Measured, measure
from ..nonequilibrium import NonEquilibrium
from ..plotting.fields import ROUND_OFF as NO_PART
from ..results import Solution
from ..sgd import Run
from .blocks import Block, Table, Text
from .markup import number, percent, plus_minus

MEANING = {
    "error": "∫|p − p_exact|, estimated: twice the probability that is in the wrong place",
    "current_error": "∫|J − J_exact| / ∫|J|, estimated; 1 or more means that no current is resolved",
}
PARTS = {
    "gradient": "what spreads and collects; zero where the state is stationary and no wall is open",
    "curl": "what circulates in the box",
    "harmonic": "what passes round periodic axes",
}
ENDED = {"holds": "yes", "broken": "no", "undecided": "if"}


def moments(solution: Solution) -> Table:
    """Mean and covariance of the density, with their errors."""
    names, wide = solution.names, float(solution.grid.box.widths.max())
    mean = measure(solution, lambda s: s.mean, floor=ROUND_OFF * wide)
    covariance = measure(solution, lambda s: s.covariance, floor=ROUND_OFF * wide**2)
    spread = measure(solution, lambda s: np.sqrt(np.diag(s.covariance)), floor=ROUND_OFF * wide)
    rows = [
        (name, _entry(mean, a), _entry(spread, a), *(_entry(covariance, (a, b)) for b in range(len(names))))
        for a, name in enumerate(names)
    ]
    columns = ("", "mean", "standard deviation", *(f"covariance with {name}" for name in names))
    return Table("Moments of the density, with numerical errors", rows, columns)


def current(solution: Solution, found: NonEquilibrium) -> list[Block]:
    """Size and circulation of the current."""
    if not solution.current_error < 1.0:
        size = number(float(found.total_current.value), 2)
        return [
            Text(
                f"No current is resolved: what there is of one, ∫|J| = {size}, is not larger than its numerical error."
            )
        ]
    rows = [("∫|J|", _measured(found.total_current), "state per unit time")]
    area = found.circulation
    if area is not None and np.ndim(area.value) == 0:
        rows.append(("area rate ½∫(x∧J)", _measured(area), "state² per unit time; positive is anticlockwise"))
    elif area is not None:
        names, d = solution.names, solution.grid.dim
        for i in range(d):
            for j in range(i + 1, d):
                each = Measured(float(area.value[i, j]), float(area.error[i, j]))
                rows.append((f"area rate of {names[i]}, {names[j]}", _measured(each), "state² per unit time"))
    if found.follows_density is not None:
        rows.append(("mean of |cos(J, ∇p)|", _measured(found.follows_density), "0: along level sets of p"))
    return [Table("The current, with numerical errors", rows, ("", "value", "unit"))]


def stream(found: NonEquilibrium) -> Table:
    """The largest vortex."""
    rows = []
    if found.stream_function is not None:
        rows.append(
            (
                "ψ at its extremum",
                _measured(found.stream_function),
                "per unit time: what passes between there and the wall",
            )
        )
    if found.vortex is not None:
        place = ", ".join(
            plus_minus(float(v), float(e)) for v, e in zip(found.vortex.value, found.vortex.error, strict=True)
        )
        rows.append(("place of the extremum", f"({place})", "state"))
    return Table("The largest vortex", rows, ("", "value", "unit"))


def shares(split: HelmholtzSplit, found: NonEquilibrium) -> Table:
    """Of the three parts in the square of the current."""
    rows = [
        (name, "zero to round-off" if share < NO_PART else percent(share), PARTS[name])
        for name, share in split.shares.items()
    ]
    rows += [
        (f"flux round {name}", _measured(flux), "probability per unit time") for name, flux in found.harmonic.items()
    ]
    return Table("Shares of ∫|J|²", rows, ("part", "share", "what it is"))


def balance(judged: DetailedBalance) -> Table:
    """The numbers behind the verdict."""
    rows = [
        (
            "entropy production",
            plus_minus(judged.entropy_production, judged.entropy_production_error),
            "k_B per unit time",
        ),
        ("if nothing balanced the drift", number(judged.drift_entropy), "k_B per unit time: ∫ p uᵀD⁻¹u"),
    ]
    return Table("What the verdict rests on", rows, ("", "value", "unit"))


def exact(case: Case, solution: Solution, judged: DetailedBalance | None) -> list[Block]:
    """Against what is known exactly."""
    if case.exact is None:
        return []
    cells = solution.grid.cell_points()
    p = np.exp(-solution.phi)
    off = float(np.sum(np.abs(p - case.exact.density(cells)) * solution.grid.cell_volumes))
    rows = [("∫|p − p_exact|", number(off, 2), f"estimated {number(solution.error, 2)}")]
    produced = case.exact.scalars.get("entropy_production")
    if produced is not None and judged is not None:
        solved = plus_minus(judged.entropy_production, judged.entropy_production_error)
        rows.append(("entropy production", number(produced), f"solved {solved}"))
    return [
        Table("Against the exact answer, which is known here", rows, ("", "exact, or true error", "of this solution"))
    ]


def simulation(run: Run, comparison: Comparison) -> list[Block]:
    """How far the simulation is from the solution."""
    rows = [
        (
            "total variation",
            f"{comparison.total_variation}",
            f"½∫|p̂ − p|; noise alone makes {number(comparison.noise_floor)}",
        ),
        ("Hellinger distance", f"{comparison.hellinger}", "freed of the bias of noise"),
        ("p-value of equal densities", number(comparison.density_p_value, 2), ""),
    ]
    rows += [(f"left after {name}", f"{left}", "total variation") for name, left in comparison.explained.items()]
    if comparison.current_p_value is not None:
        rows += [
            ("current amplitude", f"{comparison.current_amplitude}", "1: as strong as the solved one"),
            ("current distance", f"{comparison.current_distance}", "‖Ĵ − J‖/‖J‖ on the faces of bins"),
            ("p-value of equal currents", number(comparison.current_p_value, 2), ""),
        ]
    blocks: list[Block] = [
        Text(comparison.sentence),
        Table("Distances, with intervals at 95 %", rows, ("", "value", "what it is")),
    ]
    area = comparison.circulation
    if area.pairs:
        columns: tuple[str, ...] = ("plane", "simulated", "diffusion limit", "standard errors apart")
        if area.finite is not None:
            columns += ("chain at this learning rate", "standard errors apart")
        rates: list[tuple[str, ...]] = []
        for k, (i, j) in enumerate(area.pairs):
            row: tuple[str, ...] = (
                f"{run.names[i]}, {run.names[j]}",
                plus_minus(float(area.measured[k]), float(area.error[k])),
                number(float(area.predicted[k])),
                f"{area.z_predicted[k]:+.1f}",
            )
            if area.finite is not None and area.z_finite is not None:
                row += (number(float(area.finite[k])), f"{area.z_finite[k]:+.1f}")
            rates.append(row)
        blocks.append(Table("Area rates ½⟨x × dx/dt⟩, state² per unit time", rates, columns))
    return blocks


def diagnostics(solution: Solution) -> list[Block]:
    """Error estimates with their meaning, what is at the walls, and the grids."""
    known = solution.diagnostics
    estimates = [
        ("density", _estimate(solution.error), MEANING["error"]),
        ("current", _relative(solution.current_error), MEANING["current_error"]),
    ]
    blocks: list[Block] = [Table("Error estimates", estimates, ("of the", "estimate", "meaning"))]
    walls = known.get("wall_mass") or {}
    if walls:
        rows = [(wall, number(float(mass), 2)) for wall, mass in walls.items()]
        blocks.append(Table("Probability at the walls", rows, ("wall", "in the outer 1/32 of the cells")))
        blocks.append(
            Text(
                "What a wall cuts off is in none of the error estimates; it is about what is found next to it.",
                tone="small",
            )
        )
    levels = [level for level in known.get("levels", ()) if "shape" in level]
    if levels:
        columns = ("cells", "error of p", "error of J", "Newton steps", "linear solver", "seconds", "")
        grids = [_level(level) for level in levels]
        total = known.get("seconds")
        taken = f"; {number(float(total), 2)} s in all" if total is not None else ""
        blocks.append(Table(f"The nested grids, from coarse to fine{taken}", grids, columns))
    return blocks


def settings(solution: Solution, run: Run | None, rng: int | None) -> list[tuple[str, str]]:
    """What was asked for."""
    known = solution.diagnostics
    grid = solution.grid
    stretched = "" if grid.uniform else ", stretched: " + ", ".join(str(each) for each in grid.maps)
    box = known.get("box", "given")
    rows = [
        ("method", f"{known.get('method', 'unknown')}, of order {known.get('order', '?')}"),
        ("accuracy asked for", "none: a fixed grid" if known.get("rtol") is None else f"rtol = {known['rtol']:g}"),
        ("grid", f"{' × '.join(map(str, grid.shape))} cells{stretched}"),
        ("box", "given" if box == "given" else f"found: {box}"),
        ("largest grid allowed", f"{known.get('max_cells', '?')} cells"),
        ("seconds allowed", "no limit" if known.get("max_seconds") is None else f"{known['max_seconds']:g}"),
    ]
    if run is not None:
        rows += [
            ("simulated chains", f"{len(run.start)}"),
            ("steps recorded of each", f"{run.steps}"),
            ("steps before that", f"{run.burn_in}"),
            ("seed", seed(run, rng)),
        ]
    return rows


def seed(run: Run, rng: int | None) -> str:
    """What to pass again to have the same run."""
    return f"{rng}" if rng is not None else f"not given; the streams of the chains began from {run.seed}"


def _level(level: Mapping[str, Any]) -> Sequence[str]:
    cells = " × ".join(map(str, level["shape"]))
    if "stalled" in level:
        return (
            cells,
            "–",
            "–",
            f"{level.get('newton_steps', '–')}",
            "–",
            number(level.get("seconds", 0.0), 2),
            str(level["stalled"]),
        )
    total, current = level.get("current_total"), level.get("current_error")
    return (
        cells,
        _estimate(level.get("density_error")),
        _relative(current / total if total and current is not None else None),
        f"{level.get('newton_steps', '–')}",
        str(level.get("linear_solver", "–")),
        number(level.get("seconds", 0.0), 2),
        "",
    )


def _estimate(value: float | None) -> str:
    return "unknown" if value is None or not math.isfinite(value) else number(value, 2)


def _relative(error: float | None) -> str:
    """Of a current, beyond whose own size the number means nothing."""
    return "not resolved" if error is not None and error >= 1.0 else _estimate(error)


def _measured(found: Measured) -> str:
    return plus_minus(float(found.value), float(found.error))


def _entry(found: Measured, at: Any) -> str:
    return plus_minus(float(found.value[at]), float(found.error[at]))
