"""A number and its numerical error, from its values on nested grids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from . import currents
from .errors import InvalidInput
from .grid import Array
from .maps import Edges
from .results import Solution
from .solvers.richardson import ASYMPTOTIC, SAFETY, SECOND_ORDER, UNORDERED, estimated_error
from .solvers.transfer import restrict_cells

if TYPE_CHECKING:
    import xarray as xr

# Times the difference to values of higher order. Where these are much better the difference is the error, but two numbers may
# agree by accident, or both miss what the cells do not resolve: of the random problems of `make bench-calibration` 1.25 times
# the difference holds 94 % of the errors, twice 98 %, four times 99 % and six times hardly more.
CHECKED = 4.0
FOURTH_ORDER = 16.0  # ratio of successive changes of checked values; faster is not assumed
ROUND_OFF = 1e-14  # of the largest value: sums over a million cells lose no more


@dataclass(frozen=True)
class Measured:
    """A number, or an array of them, and its estimated numerical error.

    Attributes
    ----------
    value : float or ndarray
    error : float or ndarray
        Of the same shape; infinite where there are too few grids to tell.

    Examples
    --------
    >>> print(Measured(0.16667, 2e-5))
    0.16667 ± 2e-05
    >>> Measured(0.001, 0.002).zero
    True
    """

    value: Any
    error: Any

    @property
    def zero(self) -> bool:
        """Whether all of it is zero within its error, which is not to say that it is zero."""
        return bool(np.all(np.abs(self.value) <= self.error))

    def __str__(self) -> str:
        if np.ndim(self.value):
            pairs = zip(np.ravel(self.value), np.ravel(self.error), strict=True)
            return "(" + ", ".join(str(Measured(float(v), float(e))) for v, e in pairs) + ")"
        return f"{self.value:.5g} ± {self.error:.1g}"


def measure(
    solution: Solution, number: Callable[[Solution], Any], *, floor: float = 0.0, smooth: bool = True
) -> Measured:
    r"""A number N of a solution, with the error that its values on the nested grids behind the solution imply.

    Where there are values of higher order on the same grid (``solution.check``), the error is four times the difference of N to
    theirs, but at least 4/15 of its change from the grid before, because two numbers may agree by accident.

    Without them, and for integrals of what is not smooth, or along axes of given edges, whose sums over cells are of second
    order whatever the values are, it is :math:`1.25\,c_2/(\rho-1)` with the changes :math:`c_1, c_2` of N between three grids,
    :math:`\rho = c_1/c_2` the observed ratio, at most 4. :math:`c_2` counts for at least :math:`c_1/4`, and changes of opposite
    sign, or that do not halve, count three times in full.

    Parameters
    ----------
    solution : Solution
    number : callable
        From a solution, which may be a coarser one, to a number or an array of fixed shape.
    floor : float
        Least error: what round-off leaves of the number.
    smooth : bool
        Whether N is an integral of smooth functions; one of :math:`|J|` is not.

    Returns
    -------
    Measured
        Its error is infinite where the solution has no check and fewer than two coarser grids behind it.

    References
    ----------
    P. J. Roache, J. Fluids Eng. 116, 405 (1994), doi:10.1115/1.2910291.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> well = fp.DiffusionProcess(lambda x: -(x**3), 1.0, dim=1)
    >>> variance = measure(fp.solve_stationary(well, fp.Box([-4], [4])), lambda s: s.covariance[0, 0])
    >>> round(variance.value, 5), bool(variance.error < 1e-5)  # exactly 2Γ(3/4)/Γ(1/4)
    (0.67598, True)
    """
    values = [np.asarray(number(s), dtype=float) for s in (*solution.coarser[::-1], solution)]
    least = max(floor, ROUND_OFF * max(float(np.abs(v).max()) for v in values))
    changes = np.abs(values[-1] - values[-2]) if len(values) > 1 else np.full(values[-1].shape, np.inf)
    if solution.check is None:
        error = sequence_error(values, least)
    else:
        error = np.abs(values[-1] - np.asarray(number(solution.check), dtype=float))
        if len(values) > 1:
            error = np.maximum(error, changes / (FOURTH_ORDER - 1.0))
        error = np.maximum(CHECKED * error, least)
        if not smooth or any(
            isinstance(curve, Edges) for curve in solution.grid.maps
        ):  # sums over cells of second order
            error = np.maximum(error, sequence_error(values, least) if len(values) > 2 else UNORDERED * changes)
    if not smooth:  # sums over cells of what has kinks do not settle steadily
        error = np.maximum(error, changes)
    if values[-1].ndim == 0:
        return Measured(float(values[-1]), float(error))
    return Measured(values[-1], error)


def sequence_error(values: list[Any], floor: float) -> Array:
    """Error of the last of a sequence of numbers (or arrays of them) from nested grids, on the side of caution."""
    if len(values) < 3:
        return np.full(np.shape(values[-1]), np.inf)
    before, last = np.subtract(values[-2], values[-3]), np.subtract(values[-1], values[-2])
    larger = np.maximum(np.abs(before), np.abs(last))
    least = np.maximum(np.abs(last), np.abs(before) / SECOND_ORDER)
    ratio = np.divide(np.abs(before), least, out=np.full(np.shape(least), SECOND_ORDER), where=least > 0.0)
    steady = (before * last >= 0.0) & (ratio >= ASYMPTOTIC)
    error = np.where(steady, SAFETY * least / (np.clip(ratio, ASYMPTOTIC, SECOND_ORDER) - 1.0), UNORDERED * larger)
    return np.maximum(error, floor)


def current_fields(solution: Solution) -> xr.Dataset:
    r"""The current J and the probability velocity J/p at the cell centres, each with its pointwise error.

    The error estimated for :math:`\int|J - J_\text{exact}|` is shared out in proportion to the difference of J to the values of
    higher order (``solution.check``), or to its change from the grid before, and for J/p likewise with
    :math:`\int p\,|\delta(J/p)|`. In the tails J/p is the ratio of two small numbers, and its error there says so.

    Parameters
    ----------
    solution : Solution

    Returns
    -------
    xarray.Dataset
        ``current``, ``velocity`` (component, *names) in density × state/time and state/time, and ``current_error``,
        ``velocity_error`` (\*names), absolute errors of the vectors; infinite with fewer than three grids.

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> fields = current_fields(fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64)))
    >>> v = fields.velocity.sel(x=1, y=0.5, method="nearest")  # (y, −x) at the centre of that cell
    >>> v.values.round(3).tolist()
    [0.547, -1.016]
    """
    import xarray as xr  # slow to import, and not needed to solve

    fields: dict[str, xr.DataArray] = {"current": solution.current, "velocity": solution.velocity}
    units = {name: field.attrs["units"] for name, field in fields.items()}
    known = solution.current_error * currents.total_current(solution.flux)
    error = _pointwise(solution, _current, weighted=False, known=known)
    fields["current_error"] = solution.on_cells(error, "error of the current", units["current"])
    error = _pointwise(solution, lambda s: s.velocity.values, weighted=True, known=known, shared=_current)
    fields["velocity_error"] = solution.on_cells(error, "error of the velocity", units["velocity"])
    return xr.Dataset(fields)


def _current(solution: Solution) -> Array:
    return solution.flux.centered()


def density_error(solution: Solution) -> xr.DataArray:
    r"""Pointwise error of the density at the cell centres.

    The error estimated for :math:`\int|p - p_\text{exact}|` is shared out as that of the current by :func:`current_fields`.

    Parameters
    ----------
    solution : Solution

    Returns
    -------
    DataArray
        Absolute errors in units of the density; infinite with fewer than three grids.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> well = fp.solve_stationary(fp.DiffusionProcess(lambda x: -(x**3), 1.0, dim=1), fp.Box([-4], [4]), shape=(64,))
    >>> error = density_error(well)
    >>> bool((error * well.grid.cell_volumes).sum() > 0.999 * well.error)
    True
    """
    values = _pointwise(solution, lambda s: np.exp(-s.phi)[None], weighted=False, known=solution.error)
    return solution.on_cells(values, "error of the probability density", solution.density.attrs["units"])


def total_variation(solution: Solution, other: Solution | Callable[[Array], ArrayLike]) -> Measured:
    r"""How far two densities are apart: :math:`\tfrac12\int|p - q|`, between 0 and 1.

    Parameters
    ----------
    solution : Solution
        p.
    other : Solution or callable
        q: another solution, on the same grids, or ln q up to a constant, from points (d, ...) to (...). A formula is
        normalised in the box (:meth:`Grid.normalised`), and has to fit in it as p does.

    Returns
    -------
    Measured
        The error is that of the solutions and of sums over cells; what a wall cuts off is not in it.

    Raises
    ------
    InvalidInput
        If the grids of two solutions differ, and as :meth:`Grid.normalised`.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> noise = fp.DiffusionProcess(lambda w: -w, lambda w: 0.1 * (1 + w[None] ** 2), dim=1)
    >>> sol = fp.solve_stationary(noise, fp.Box([-6], [6]), shape=(256,))
    >>> total_variation(sol, lambda w: -6 * np.log1p(w[0] ** 2)).zero  # exactly p
    True
    >>> round(total_variation(sol, lambda w: -0.5 * w[0] ** 2 / 0.1).value, 3)  # exp(−L/T)
    0.021
    """

    def density(s: Solution) -> Array:
        if not isinstance(other, Solution):
            return s.grid.normalised(other)
        if s is solution.check and other.check is not None:
            return np.exp(-other.check.phi)
        return np.exp(-next(level.phi for level in (other, *other.coarser) if level.grid.shape == s.grid.shape))

    def distance(s: Solution) -> float:
        return 0.5 * float((np.abs(np.exp(-s.phi) - density(s)) * s.grid.cell_volumes).sum())

    if isinstance(other, Solution):
        _check_grids(solution, other)
    return measure(solution, distance, smooth=False)


def _check_grids(solution: Solution, other: Solution) -> None:
    (edges, shapes), (others, other_shapes) = (
        ([s.grid.edges(a) for a in range(s.grid.dim)], [s.grid.shape, *(c.grid.shape for c in s.coarser)])
        for s in (solution, other)
    )
    same = shapes == other_shapes and all(map(np.array_equal, edges, others))
    if not same:
        raise InvalidInput(
            f"other: expected a solution on the same grids, {shapes} in {solution.grid.box}, got {other_shapes} in "
            f"{other.grid.box}. Solve both with the same box, shape= and maps="
        )


def _pointwise(
    solution: Solution,
    field: Callable[[Solution], Array],
    *,
    weighted: bool,
    known: float,
    shared: Callable[[Solution], Array] | None = None,
) -> Array:
    """Error of a field in every cell: the change from the grid before, scaled to the L1 error it implies.

    Where there are values of higher order, scaled to the L1 error that is known of the field, or of the one that is ``shared``.
    """
    if solution.check is not None:
        check = solution.check
        change = np.sqrt(np.sum((field(check) - field(solution)) ** 2, axis=0))
        of = shared or field
        sizes = np.sqrt(np.sum((of(check) - of(solution)) ** 2, axis=0))
        total = float(np.sum(sizes * solution.grid.cell_volumes))
        return change * max(SAFETY, known / total if total > 0.0 else 0.0)
    if len(solution.coarser) < 2:
        return np.full(solution.grid.shape, np.inf)
    changes, totals = [], []
    for fine, coarse in ((solution.coarser[0], solution.coarser[1]), (solution, solution.coarser[0])):
        on_coarse = np.stack([restrict_cells(c, fine.grid) for c in field(fine)])
        change = np.sqrt(np.sum((on_coarse - field(coarse)) ** 2, axis=0))
        changes.append(change)
        weight = np.exp(-coarse.phi) if weighted else 1.0
        totals.append(float(np.sum(change * weight * coarse.grid.cell_volumes)))
    factor = estimated_error(list(totals), 0.0) / totals[1] if totals[1] > 0.0 else 0.0
    error = factor * changes[1]
    for axis in range(error.ndim):
        error = np.repeat(error, 2, axis=axis)
    return np.asarray(error)
