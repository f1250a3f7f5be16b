"""Does detailed balance hold? A verdict that the numbers can carry, on a process, a solution or a simulation."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .area import area_test
from .errors import InvalidInput
from .force import Force, NoForce, force, period, sampled, scattered
from .grid import Box, Grid
from .nonequilibrium import entropy_production
from .process import DiffusionProcess
from .results import Solution
from .solvers.domain import find_box
from .sweeps import DRIFTING

if TYPE_CHECKING:
    from .sgd import Run

# Errors by which a number must exceed zero: the error itself is known to about a factor of two.
BROKEN = 2.0
TURNING = 4.0  # and for the largest of the many of a curl
# Probability that the chains of a balanced process sweep so large an area: one false alarm in a thousand
SIGNIFICANT = 1e-3
SAMPLES = {1: 256, 2: 64, 3: 24}  # cells per axis on which a process is examined, if no grid is given


@dataclass(frozen=True)
class DetailedBalance:
    """The verdict and what it rests on.

    Attributes
    ----------
    verdict : {"holds", "broken", "undecided"}
    quantity : str
        What was measured.
    value, error : float
        Its value, and its numerical (for a simulation: standard) error.
    scale : float
        What it is compared with: by how much detailed balance could be broken.
    reasoning : str
        One sentence.

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> sol = fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64))
    >>> found = fp.detailed_balance(sol)
    >>> found.verdict, round(found.entropy_production, 4)  # exactly 2
    ('broken', 2.0)
    """

    verdict: str
    quantity: str
    value: float
    error: float
    scale: float
    reasoning: str

    @property
    def entropy_production(self) -> float:
        """∫ Jᵀ D⁻¹ J / p per unit time in units of k_B, of the verdict on a solution; zero may come out negative."""
        self._of_solution()
        return self.value

    @property
    def entropy_production_error(self) -> float:
        """Estimated numerical error, from nested grids."""
        self._of_solution()
        return self.error

    @property
    def drift_entropy(self) -> float:
        """∫ p uᵀ D⁻¹ u: what the entropy production would be if nothing balanced the drift."""
        self._of_solution()
        return self.scale

    def _of_solution(self) -> None:
        if self.quantity != PRODUCTION:
            raise InvalidInput(f"expected the verdict on a solution, got one that rests on the {self.quantity}")


PRODUCTION, ROTATION, PERIOD = "entropy production", "rotation of the force", "work of the force round a periodic axis"
AREA, OUTSIDE = "area rate", "velocity along a direction without noise"


def detailed_balance(
    subject: DiffusionProcess | Solution | Run, where: Box | Grid | None = None, *, tolerance: float = 0.01
) -> DetailedBalance:
    r"""Decide detailed balance, J = 0 everywhere.

    *A process* is judged before anything is solved, by its force :math:`\omega = D^{-1}(b-\nabla\cdot D)`: J = 0 is possible
    if and only if ω is a gradient, that is if its curl vanishes, and its integral round every periodic axis too. By algebra,
    where the process was made from formulas. Otherwise at the cell centres, with the error of :func:`force`: broken if the curl
    exceeds four times its error anywhere; holds if it is nowhere larger than that and bounded by ``tolerance`` of the slopes
    of ω, there and at a point at random in the middle of each of the N cells. What turns in a share f of the box is missed
    with a probability of about :math:`(1 - f)^N`.

    *A solution* is judged by its entropy production :math:`\sigma = \int J^\top D^{-1}J/p` with error ε, on the scale
    :math:`\sigma_0 = \int p\,u^\top D^{-1}u`: broken, if σ > 2ε and the current itself is resolved (relative error below 1);
    holds, if σ ≤ ε and :math:`\sqrt{(\sigma + ε)/\sigma_0} \le` ``tolerance``: any irreversible velocity is then at
    most that share of the drift, root mean square in the metric of D. No finite resolution can say more.

    *A simulation* is judged by the area its chains sweep (:func:`area_test`), whose mean vanishes in detailed balance: broken
    if that has a probability below 1/1000 and the chains have settled. It never holds, because vortices may cancel each other.

    Everything else is undecided.

    Parameters
    ----------
    subject : DiffusionProcess, Solution or Run
    where : Box or Grid, optional
        Where to examine a process; by default in the box that :func:`find_box` finds.
    tolerance : float
        Largest irreversible share of the drift, or turning share of the force, that still counts as detailed balance.

    Returns
    -------
    DetailedBalance

    Raises
    ------
    InvalidInput
        If the arguments do not fit, or the diffusion tensor of a solution is singular, where entropy production is not defined
        by this formula.

    References
    ----------
    U. Seifert, Rep. Prog. Phys. 75, 126001 (2012), doi:10.1088/0034-4885/75/12/126001 (entropy production);
    H. Risken, *The Fokker–Planck Equation*, Springer 1996, §6.4, doi:10.1007/978-3-642-61544-3 (potential conditions);
    J. P. Gonzalez, J. C. Neu, S. W. Teitsworth, Phys. Rev. E 99, 022143 (2019), doi:10.1103/PhysRevE.99.022143 (area).

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> box = fp.Box([-5, -5], [5, 5])
    >>> fp.detailed_balance(fp.solve_stationary(swirl, box, shape=(64, 64))).verdict
    'broken'
    >>> fp.detailed_balance(swirl, box).verdict  # nothing is solved
    'broken'
    """
    if not (isinstance(tolerance, Real) and 0.0 < tolerance < 1.0):
        raise InvalidInput(f"tolerance: expected a share of the drift between 0 and 1, got {tolerance!r}")
    if isinstance(subject, DiffusionProcess):
        return _of_process(subject, where, float(tolerance))
    if where is not None:
        raise InvalidInput(
            f"where: expected only with a process, got it with a {type(subject).__name__}, which has its grid"
        )
    from .sgd import Run  # its compiled loops take time to load, and are not needed to judge the rest

    if isinstance(subject, Run):
        return _of_run(subject)
    if isinstance(subject, Solution):
        return _of_solution(subject, float(tolerance))
    raise InvalidInput(f"expected a DiffusionProcess, a Solution or a Run, got {type(subject).__name__}")


def _of_solution(solution: Solution, tolerance: float) -> DetailedBalance:
    production = entropy_production(solution)
    sigma, error = production.value, production.error
    scale = solution.diagnostics["drift_entropy"]
    bound = sqrt(max(sigma + error, 0.0) / scale) if scale > 0.0 else 0.0
    numbers = f"entropy production {sigma:.3g} ± {error:.1g}"
    if isfinite(error) and sigma > BROKEN * error and solution.current_error < 1.0:
        share = sqrt(sigma / scale)
        reasoning = f"{numbers} is not zero: {share:.1%} of the drift (rms) is not balanced by noise."
        return DetailedBalance("broken", PRODUCTION, sigma, error, scale, reasoning)
    if isfinite(error) and sigma <= error and bound <= tolerance:
        reasoning = f"{numbers} is zero within its error, which bounds the unbalanced drift by {bound:.2g} of it (rms)."
        return DetailedBalance("holds", PRODUCTION, sigma, error, scale, reasoning)
    why = "has no error estimate yet" if not isfinite(error) else "cannot be told from zero, nor bounded well enough"
    reasoning = f"{numbers} {why} at this resolution; refine the grid."
    return DetailedBalance("undecided", PRODUCTION, sigma, error, scale, reasoning)


def _of_process(process: DiffusionProcess, where: Box | Grid | None, tolerance: float) -> DetailedBalance:
    grid = _grid(process, where)
    try:
        verdict = _by_algebra(process, grid) or _by_points(process, grid, tolerance)
        rings = [_by_period(process, grid, a, tolerance) for a in range(grid.dim) if grid.periodic[a]]
    except NoForce as error:
        reasoning = (
            f"Where p > 0 there is a current along a direction without noise that carries {error.share:.1%} of the velocity "
            "(detailed balance for variables that do not change sign when time is reversed)."
        )
        return DetailedBalance("broken", OUTSIDE, error.share, RANGE_ERROR, 1.0, reasoning)
    for wanted in ("broken", "undecided"):  # one that is broken decides, and all have to hold
        for one in (verdict, *rings):
            if one.verdict == wanted:
                return one
    if grid.dim == 1 and rings:
        return rings[0]
    return verdict


RANGE_ERROR = 1e-9  # of the share: what differences of D leave, see ``force``


def _grid(process: DiffusionProcess, where: Box | Grid | None) -> Grid:
    box = find_box(process).box if where is None else where
    if not isinstance(box, Box | Grid) or box.dim != process.dim:
        raise InvalidInput(f"where: expected a Box or Grid of {process.dim} axes, got {where!r}")
    if isinstance(box, Grid):
        return box
    return Grid(box, (SAMPLES[box.dim],) * box.dim)


def _by_algebra(process: DiffusionProcess, grid: Grid) -> DetailedBalance | None:
    """None where algebra does not decide."""
    given = process.formulas
    if given is None or process.dim == 1:
        return None
    found = given.rotates(grid.box.lower, grid.box.upper)
    if found is None:
        return None
    if isinstance(found, tuple):
        value, point = found
        reasoning = (
            f"The force turns: by its formula its curl at {_place(point)} is {value:.4g}, so no density balances it."
        )
        return DetailedBalance("broken", ROTATION, abs(value), 0.0, abs(value), reasoning)
    reasoning = (
        "The curl of the force simplifies to zero, so the force is a gradient and a density without current exists."
    )
    return DetailedBalance("holds", ROTATION, 0.0, 0.0, 1.0, reasoning)


def _by_points(process: DiffusionProcess, grid: Grid, tolerance: float) -> DetailedBalance:
    """At the cell centres; where it holds there, also at a point at random in every cell, which no pattern can avoid."""
    if process.dim == 1:
        force(process, grid)  # refuses what has none
        reasoning = (
            "In one dimension without a periodic axis nothing can circulate: between two walls the current is zero."
        )
        return DetailedBalance("holds", ROTATION, 0.0, 0.0, 1.0, reasoning)
    at_centers = _by_curl(force(process, grid), tolerance)
    return at_centers if at_centers.verdict != "holds" else _by_curl(sampled(process, grid, scattered(grid)), tolerance)


def _by_curl(found: Force, tolerance: float) -> DetailedBalance:
    turn, error = found.rotation, found.rotation_error
    steep = np.maximum(found.steepness, found.steepness.mean())  # the slopes may vanish at a point
    doubt = np.divide(turn, error, out=np.where(turn > 0.0, np.inf, 0.0), where=error > 0.0)
    turns = not found.singular and doubt.max() > TURNING
    flat = int(np.argmax(np.where(doubt > TURNING, turn, -1.0) if turns else turn + error))
    value, uncertain, scale = float(turn.flat[flat]), float(error.flat[flat]), float(steep.flat[flat])
    if turns:
        place = _place([float(c.flat[flat]) for c in found.points])
        planes, errors = (field.values.reshape(-1, turn.size)[:, flat] for field in (found.curl, found.curl_error))
        plane = int(np.argmax(np.abs(planes)))
        shown = f"{planes[plane]:.4g}" + (f" ± {errors[plane]:.0e}" if errors[plane] > 0.0 else "")
        reasoning = f"The force turns: its curl at {place} is {shown}, not zero, so no density balances it."
        return DetailedBalance("broken", ROTATION, value, uncertain, scale, reasoning)
    bound = np.divide(turn + error, steep, out=np.zeros_like(turn), where=turn + error > 0.0).max()
    if bound <= tolerance:
        also = " (D is singular: where the density does not fill the box, see there)" if found.singular else ""
        reasoning = (
            f"The curl of the force is zero within its error at {turn.size} cell centres and as many points at random{also}, "
            f"and at most {bound:.1g} of its slopes: it is a gradient, unless it turns in a small part of the box only."
        )
        return DetailedBalance("holds", ROTATION, value, uncertain, scale, reasoning)
    why = (
        "cannot be told from zero, nor bounded well enough"
        if doubt.max() <= TURNING
        else "means little for a singular D"
    )
    reasoning = (
        f"The curl of the force, at most {bound:.1g} of its slopes, {why}; take smaller cells or smoother functions."
    )
    return DetailedBalance("undecided", ROTATION, value, uncertain, scale, reasoning)


def _by_period(process: DiffusionProcess, grid: Grid, axis: int, tolerance: float) -> DetailedBalance:
    value, error, total = period(process, grid, axis)
    name, numbers = process.names[axis], f"{value:.4g} ± {error:.0e}"
    if abs(value) > TURNING * error:
        reasoning = f"Once round {name} the force does work, {numbers}, so no periodic density balances it."
        return DetailedBalance("broken", PERIOD, value, error, total, reasoning)
    if abs(value) + error <= tolerance * total or total == 0.0:
        reasoning = f"The work of the force once round {name}, {numbers}, is zero within its error."
        return DetailedBalance("holds", PERIOD, value, error, total, reasoning)
    reasoning = f"The work of the force once round {name}, {numbers}, cannot be told from zero; take smaller cells."
    return DetailedBalance("undecided", PERIOD, value, error, total, reasoning)


def _of_run(run: Run) -> DetailedBalance:
    if run.dim < 2:
        reasoning = "In one dimension a chain sweeps no area: a simulation says nothing about detailed balance."
        return DetailedBalance("undecided", AREA, 0.0, 0.0, 0.0, reasoning)
    test = area_test(run)
    k = test.strongest
    scale = float(np.sqrt(np.prod(np.diag(run.covariance)[list(test.pairs[k])])))
    broken = test.p_value < SIGNIFICANT
    reasoning = test.sentence if broken else f"{test.sentence[:-1]}, but vortices may cancel each other."
    if test.drift is not None and test.drift < DRIFTING:  # what settles sweeps area in balance too
        broken = False
    reasoning = " ".join([reasoning, *test.remarks])
    verdict = "broken" if broken else "undecided"
    return DetailedBalance(verdict, AREA, float(test.measured[k]), float(test.error[k]), scale, reasoning)


def _place(point: Any) -> str:
    return "(" + ", ".join(f"{c:.4g}" for c in point) + ")"
