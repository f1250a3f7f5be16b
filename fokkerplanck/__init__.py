"""Stationary states of Fokker–Planck equations: densities, probability currents, detailed balance.

Importing this package loads neither matplotlib nor the command line; ``fokkerplanck.plot`` is loaded when first used.
"""

from types import ModuleType

from . import cases, sgd
from .analysis import Analysis, analyse
from .balance import DetailedBalance, detailed_balance
from .compare import Comparison, compare
from .errors import (
    BoxNotFound,
    BoxWarning,
    FokkerPlanckError,
    HeavyTails,
    InvalidInput,
    NoStationaryState,
    NotConverged,
)
from .fields import EdgeField, FaceField
from .grid import Box, Grid
from .helmholtz import Extremum, HelmholtzSplit, helmholtz
from .maps import Algebraic, Edges, Sinh, Uniform
from .process import DiffusionProcess
from .results import Solution, load
from .solvers.chain import stationary_distribution
from .solvers.domain import Domain, check_box, find_box
from .solvers.escape import mean_first_passage_time, splitting_probability
from .solvers.evolve import evolve
from .solvers.generator import current, generator
from .solvers.spectrum import RelaxationModes, relaxation_modes
from .solvers.stationary import solve_stationary

__version__ = "0.1.0"

__all__ = [
    "Algebraic",
    "Analysis",
    "Box",
    "BoxNotFound",
    "BoxWarning",
    "Comparison",
    "DetailedBalance",
    "DiffusionProcess",
    "Domain",
    "EdgeField",
    "Edges",
    "Extremum",
    "FaceField",
    "FokkerPlanckError",
    "Grid",
    "HeavyTails",
    "HelmholtzSplit",
    "InvalidInput",
    "NoStationaryState",
    "NotConverged",
    "RelaxationModes",
    "Sinh",
    "Solution",
    "Uniform",
    "analyse",
    "cases",
    "check_box",
    "compare",
    "current",
    "detailed_balance",
    "evolve",
    "find_box",
    "generator",
    "helmholtz",
    "load",
    "mean_first_passage_time",
    "plot",
    "relaxation_modes",
    "sgd",
    "solve_stationary",
    "splitting_probability",
    "stationary_distribution",
]


def __getattr__(name: str) -> ModuleType:
    if name == "plot":
        from . import plotting

        return plotting
    raise AttributeError(f"module 'fokkerplanck' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
