"""The audit of the theory: claims about the stationary state of SGD, each a record with a check that decides it.

The module docstring of `claim` says how findings become a verdict. Themes are modules; importing one enters its claims.
"""

from . import (  # noqa: F401  each enters its claims
    approximations,
    circulation,
    conventions,
    fluctuations,
    gibbs,
    gradient_noise,
    increments,
    langevin,
    limits,
    recursion,
    sampling,
    stability,
    subsets,
    tails,
    weight_decay,
)
from .audit import AuditReport, audit
from .claim import Claim, Decision, Finding
from .registry import expected, get, ids

__all__ = ["AuditReport", "Claim", "Decision", "Finding", "audit", "expected", "get", "ids"]
