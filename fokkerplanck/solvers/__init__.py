"""Solvers, one method a file; what needs no grid is named here, the rest in `fokkerplanck` itself."""

from .hermite import Moments, chain_moments, hermite_moments

__all__ = ["Moments", "chain_moments", "hermite_moments"]
