"""Richardson extrapolation of a second-order scheme on nested grids, and the errors it is trusted with."""

from __future__ import annotations

from ..fields import FaceField
from ..grid import Array

SAFETY = 1.25  # Roache's factor for an error estimate from three grids
# Ratios of successive changes of plain and of extrapolated values; faster is never assumed. The extrapolated current is of
# fourth order too, but its changes are measured on coarse cells and miss what interpolation to the fine ones adds.
SECOND_ORDER, FOURTH_ORDER, FOURTH_ORDER_CURRENT = 4.0, 16.0, 8.0
ASYMPTOTIC = 2.0  # below this ratio the changes do not shrink like an order at all
UNORDERED = 3.0  # Roache's factor where no order is observed, applied to the larger of the last two changes


def estimated_error(changes: list[float | None], floor: float, order: float = SECOND_ORDER) -> float:
    """Error of the finest of nested grids from the changes between them (None: nothing to compare with).

    With changes c₁, c₂ between successive grids the error of the finest is c₂/(ρ − 1), ρ = c₁/c₂ the observed ratio, held
    between 2 (order one) and ``order`` (4 for a second-order scheme), times a safety factor
    of 1.25. Where the changes do not shrink by at least 2 there is no order to extrapolate with, and the error is three times
    the larger change. Infinite with fewer than two changes. A change below ``floor`` is round-off, and the error is that floor.

    P. J. Roache, J. Fluids Eng. 116, 405 (1994), doi:10.1115/1.2910291.
    """
    known = [c for c in changes if c is not None]
    if len(known) < 2:
        return float("inf")
    before, last = known[-2:]
    if last <= floor:
        return floor
    ratio = before / last
    if ratio < ASYMPTOTIC:
        return UNORDERED * max(before, last)
    return SAFETY * last / (min(ratio, order) - 1.0)


def log_density_correction(fine: Array, coarse: Array) -> Array:
    """A third of Φ_fine − Φ_coarse: what Φ_fine still lacks, if its error is O(h²).

    Where the grids differ by more than a factor e they are not near their limit, and the difference is bounded by 1.
    """
    difference = fine - coarse
    return difference / (3.0 * (1.0 + difference**4) ** 0.25)


def flux_correction(fine: FaceField, coarse: FaceField) -> FaceField:
    """A third of J_fine − J_coarse; without divergence, as both are."""
    return (fine - coarse) * (1.0 / 3.0)
