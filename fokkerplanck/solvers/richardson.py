"""Errors of a second-order scheme from the changes between nested grids."""

from __future__ import annotations

SAFETY = 1.25  # Roache's factor for an error estimate from three grids
SECOND_ORDER = 4.0  # ratio of successive changes; faster is never assumed
ASYMPTOTIC = 2.0  # below this ratio the changes do not shrink like an order at all
UNORDERED = 3.0  # Roache's factor where no order is observed, applied to the larger of the last two changes


def estimated_error(changes: list[float | None], floor: float) -> float:
    """Error of the finest of nested grids from the changes between them (None: nothing to compare with).

    With changes c₁, c₂ between successive grids the error of the finest is c₂/(ρ − 1), ρ = c₁/c₂ the observed ratio, held
    between 2 (order one) and 4 (order two), times a safety factor of 1.25. Where the changes do not shrink by at least 2 there
    is no order to extrapolate with, and the error is three times the larger change. Infinite with fewer than two changes. A
    change below ``floor`` is round-off, and the error is that floor.

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
    return SAFETY * last / (min(ratio, SECOND_ORDER) - 1.0)
