"""Numbers as they are written in pictures: three digits, or as many as their errors allow."""

from __future__ import annotations

import math

MINUS = "−"


def exponent(value: float) -> int:
    """The power of ten to write apart: none from 0.01 to 1000."""
    if value == 0.0 or not math.isfinite(value) or 0.01 <= value < 1000.0:
        return 0
    return math.floor(math.log10(value))


def written(value: float, digits: int = 3) -> str:
    rounded = float(f"{value:.{digits - 1}e}")
    power = exponent(abs(rounded))
    if power == 0:
        return f"{rounded:g}".replace("-", MINUS)
    return rf"{rounded / 10.0**power:.{digits - 1}f}$\times10^{{{power}}}$".replace("-", MINUS, rounded < 0.0)


def share(of_one: float) -> str:
    return f"{100.0 * of_one:.3g}%" if of_one >= 0.0005 or of_one == 0.0 else written(of_one, 1)


def plus_minus(value: float, error: float) -> str:
    """(1.23 ± 0.02)×10⁻³: one digit of the error, as it is an estimate; the same power of ten for both."""
    if not (math.isfinite(error) and error > 0.0):
        return f"{written(value)} (error unknown)"
    error = float(f"{error:.0e}")
    power = exponent(max(abs(value), error))
    v, e = value / 10.0**power, error / 10.0**power
    digits = max(0, -math.floor(math.log10(e) + 1e-9))
    text = f"{round(v, digits) + 0.0:.{digits}f} ± {e:.{digits}f}".replace("-", MINUS)
    return rf"({text})$\times10^{{{power}}}$" if power else text
