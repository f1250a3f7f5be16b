"""Does the solver converge to the exact answer of a case, at the order it declares?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import currents
from ..errors import InvalidInput
from ..grid import Array
from ..results import Solution
from ..solvers.stationary import solve_stationary
from .case import Case

SECOND = 1.9  # least observed order of the second-order method; the next term of its error is still seen on these grids


@dataclass(frozen=True)
class Convergence:
    r"""One number's errors on three nested grids.

    Attributes
    ----------
    scheme : {2, 4}
        Order of the method, see :func:`fokkerplanck.solve_stationary`.
    quantity : str
    spacing : tuple of float
        Width of the cells along the first axis, in its reference coordinate, from coarse to fine.
    errors : tuple of float
        :math:`\int|p - p_\text{exact}|`, :math:`\int|J - J_\text{exact}|/\int|J_\text{exact}|`, and of numbers the relative
        difference. In equilibrium J and entropy production are relative to what the drift would cause if nothing balanced it.
    declared : float
        Least order that passes.
    level : float
        Error that passes at any order.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> row = fp.cases.verify(fp.cases.get("double-well"), shape=(128,)).rows[0]
    >>> row.quantity, len(row.errors), row.passed
    ('p', 3, True)
    """

    scheme: int
    quantity: str
    spacing: tuple[float, ...]
    errors: tuple[float, ...]
    declared: float
    level: float

    @property
    def ratios(self) -> tuple[float, ...]:
        """Error on a grid over that on the next finer one; errors of zero count as the smallest positive number."""
        tiny = np.finfo(float).tiny
        coarse, fine = np.maximum(self.errors[:-1], tiny), np.maximum(self.errors[1:], tiny)
        return tuple((coarse / fine).tolist())

    @property
    def order(self) -> float:
        """Observed order: of the last halving, or the mean of both where that is more.

        The coarsest grid may still be too coarse for any order, which spoils the mean; an error that changes its sign on the
        way spoils the last halving.
        """
        first, last = self.ratios
        return float(np.log2(max(last, np.sqrt(first * last))))

    @property
    def passed(self) -> bool:
        return self.errors[-1] <= self.level or self.order >= self.declared


@dataclass(frozen=True)
class Verification:
    """What :func:`verify` found.

    Attributes
    ----------
    case : Case
    rows : tuple of Convergence
        Empty where nothing is known exactly.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> found = fp.cases.verify(fp.cases.get("double-well"))
    >>> found.passed, found.case.name
    (True, 'double-well')
    """

    case: Case
    rows: tuple[Convergence, ...]

    @property
    def passed(self) -> bool | None:
        """Whether every row passed; None where nothing is known to compare with, which is no pass."""
        return all(row.passed for row in self.rows) if self.rows else None


def verify(case: Case, *, shape: tuple[int, ...] | None = None, orders: tuple[int, ...] = (2, 4)) -> Verification:
    """Solve a case on three nested grids and compare it with its exact answer.

    Parameters
    ----------
    case : Case
    shape : tuple of int, optional
        Cells of the finest grid; by default what the case declares.
    orders : tuple of {2, 4}
        Methods to check.

    Returns
    -------
    Verification

    Raises
    ------
    InvalidInput
        If the case has an exact answer and neither it nor ``shape`` says on which grid to compare.
    NotConverged
        If a grid cannot be solved.

    References
    ----------
    P. J. Roache, J. Fluids Eng. 124, 4 (2002), doi:10.1115/1.1436090 (code verification by exact solutions).

    Examples
    --------
    >>> from fokkerplanck import cases
    >>> study = verify(cases.get("double-well"), orders=(4,))
    >>> study.passed, [row.quantity for row in study.rows]
    (True, ['p', 'J', 'entropy production'])
    """
    if case.exact is None and not case.moments:
        return Verification(case, ())
    finest = case.finest if shape is None else shape
    if finest is None:
        raise InvalidInput(f"shape: expected the finest grid for {case.name!r}, which declares none, got None")
    rows: list[Convergence] = []
    for scheme in orders:
        solution = solve_stationary(
            case.process, case.box, shape=finest, maps=case.maps, order=scheme, max_wall_mass=1, progress=False
        )
        grids = (*solution.coarser[::-1], solution)
        found = [_errors(case, grid, solution) for grid in grids]
        spacing = tuple(float(grid.grid.spacing[0]) for grid in grids)
        for quantity in found[0]:
            errors = tuple(errors[quantity] for errors in found)
            declared = SECOND if scheme == 2 else case.order
            rows.append(Convergence(scheme, quantity, spacing, errors, declared, case.level))
    return Verification(case, tuple(rows))


def _errors(case: Case, solution: Solution, finest: Solution) -> dict[str, float]:
    """Errors of one grid by quantity, on the scales of the finest."""
    grid, exact, errors = solution.grid, case.exact, {}
    points, volumes = grid.cell_points(), grid.cell_volumes
    density = np.exp(-solution.phi)
    if exact is not None:
        errors["p"] = float(np.sum(np.abs(density - exact.density(points)) * volumes))
        answer = exact.current(points)
        total = _length(answer, volumes)
        missing = _length(solution.flux.centered() - answer, volumes)
        errors["J"] = missing / (total if total > 0.0 else finest.diagnostics["drift_scale"])
    if exact is not None and "entropy_production" in exact.scalars and solution.force is not None:
        production = exact.scalars["entropy_production"]
        scale = production if production != 0.0 else finest.diagnostics["drift_entropy"]
        errors["entropy production"] = abs(
            (currents.entropy_production(solution.flux, solution.force) - production) / scale
        )
    if exact is not None:
        return errors  # one moment's error may change its sign on the way, and then has no order; the density's cannot
    for powers, moment in case.moments.items():
        label = "".join(f"{n}^{k}" for n, k in zip(solution.names, powers, strict=True) if k)
        monomial = np.prod([x**k for x, k in zip(points, powers, strict=True)], axis=0)
        errors[f"⟨{label}⟩"] = abs(float(np.sum(monomial * density * volumes)) / moment - 1.0)
    return errors


def _length(vectors: Array, volumes: Array) -> float:
    """∫|v|."""
    return float(np.sum(np.sqrt(np.sum(vectors**2, axis=0)) * volumes))
