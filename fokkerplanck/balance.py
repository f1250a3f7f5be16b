"""Does detailed balance hold? The entropy production rate with its error, and a verdict that the numbers can carry."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, sqrt
from numbers import Real

from .errors import InvalidInput
from .results import Solution
from .solvers.richardson import SECOND_ORDER, UNORDERED, estimated_error

# Errors by which the entropy production must exceed zero: the error itself is known to about a factor of two.
BROKEN = 2.0
ROUND_OFF = 1e-14  # of the scale: ∫J·ω of a current that is zero, with one-way fluxes a hundred times the drift's


@dataclass(frozen=True)
class DetailedBalance:
    """The verdict on a solution and what it rests on.

    Attributes
    ----------
    verdict : {"holds", "broken", "undecided"}
    entropy_production : float
        ∫ Jᵀ D⁻¹ J / p per unit time, in units of k_B. Where the exact value is zero it may come out negative, within its error.
    entropy_production_error : float
        Estimated numerical error, from nested grids.
    drift_entropy : float
        ∫ p uᵀ D⁻¹ u: what the entropy production would be if nothing balanced the drift; the scale of comparison.
    reasoning : str
        One sentence.
    """

    verdict: str
    entropy_production: float
    entropy_production_error: float
    drift_entropy: float
    reasoning: str


def detailed_balance(solution: Solution, *, tolerance: float = 0.01) -> DetailedBalance:
    r"""Decide detailed balance from the entropy production rate :math:`\sigma = \int J^\top D^{-1}J/p`.

    σ is zero exactly when detailed balance holds. With its error ε from nested grids and the scale
    :math:`\sigma_0 = \int p\,u^\top D^{-1}u`:

    - broken, if σ > 2ε and the current itself is resolved (relative error below 1);
    - holds, if σ ≤ ε and :math:`\sqrt{(\sigma + ε)/\sigma_0} \le` ``tolerance``: any irreversible velocity is then at
      most that share of the drift, root mean square in the metric of D. No finite resolution can say more;
    - undecided otherwise.

    Parameters
    ----------
    solution : Solution
    tolerance : float
        Largest irreversible share of the drift that still counts as detailed balance, dimensionless.

    Returns
    -------
    DetailedBalance

    Raises
    ------
    InvalidInput
        If the diffusion tensor is singular, where entropy production is not defined by this formula.

    References
    ----------
    U. Seifert, Rep. Prog. Phys. 75, 126001 (2012), doi:10.1088/0034-4885/75/12/126001.

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> fp.detailed_balance(fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64))).verdict
    'broken'
    """
    if not (isinstance(tolerance, Real) and 0.0 < tolerance < 1.0):
        raise InvalidInput(f"tolerance: expected a share of the drift between 0 and 1, got {tolerance!r}")
    values = entropy_productions(solution)
    sigma = values[-1]
    scale = solution.diagnostics["drift_entropy"]
    level = next(
        level for level in solution.diagnostics["levels"][::-1] if tuple(level["shape"]) == solution.grid.shape
    )
    known = level.get("entropy_production_error")
    error = _error(values, ROUND_OFF * scale) if known is None else max(known, ROUND_OFF * scale)
    bound = sqrt(max(sigma + error, 0.0) / scale) if scale > 0.0 else 0.0
    numbers = f"entropy production {sigma:.3g} ± {error:.1g}"
    if isfinite(error) and sigma > BROKEN * error and solution.current_error < 1.0:
        share = sqrt(sigma / scale)
        reasoning = f"{numbers} is not zero: {share:.1%} of the drift (rms) is not balanced by noise."
        return DetailedBalance("broken", sigma, error, scale, reasoning)
    if isfinite(error) and sigma <= error and bound <= tolerance:
        reasoning = f"{numbers} is zero within its error, which bounds the unbalanced drift by {bound:.2g} of it (rms)."
        return DetailedBalance("holds", sigma, error, scale, reasoning)
    why = "has no error estimate yet" if not isfinite(error) else "cannot be told from zero, nor bounded well enough"
    return DetailedBalance("undecided", sigma, error, scale, f"{numbers} {why} at this resolution; refine the grid.")


def _error(values: list[float], floor: float) -> float:
    """Error of the last of a sequence from nested grids, on the side of caution: it may cross its limit by accident."""
    changes = [b - a for a, b in pairwise(values)]
    if len(changes) < 2:
        return float("inf")
    before, last = changes[-2:]
    if before * last < 0.0:
        return max(UNORDERED * max(abs(before), abs(last)), floor)
    return estimated_error([abs(before), max(abs(last), abs(before) / SECOND_ORDER)], floor)


def entropy_productions(solution: Solution) -> list[float]:
    """Entropy production on the nested grids behind a solution, coarse to fine, since the last grid that failed."""
    values: list[float] = []
    for level in solution.diagnostics["levels"]:
        if "stalled" in level:
            values.clear()
        elif level["entropy_production"] is None:
            raise InvalidInput(
                "expected an invertible diffusion tensor in every cell, got one with a zero eigenvalue: ∫JᵀD⁻¹J/p is not "
                "defined there. Judge this process by its current, or add noise to the noiseless direction"
            )
        else:
            values.append(level["entropy_production"])
            if tuple(level["shape"]) == solution.grid.shape:
                break
    return values
