"""Stationary states of Fokker–Planck equations: densities, probability currents, detailed balance.

Importing this package loads what it takes to solve, and neither matplotlib nor xarray nor the command line; the other names are
loaded when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .area import AreaTest, area_test, steps_needed
from .balance import DetailedBalance, detailed_balance

# Now, because these functions take the names of their modules.
from .compare import Comparison, compare
from .errors import (
    BoxNotFound,
    BoxWarning,
    DivergedWarning,
    FokkerPlanckError,
    HeavyTails,
    InvalidInput,
    NoStationaryState,
    NotConverged,
)
from .fields import EdgeField, FaceField
from .force import Force, force
from .grid import Box, Grid
from .helmholtz import Extremum, HelmholtzSplit, helmholtz
from .maps import Algebraic, Edges, Sinh, Uniform
from .measured import Measured, current_fields, density_error, measure, total_variation
from .nonequilibrium import NonEquilibrium, cycle_affinity, nonequilibrium
from .process import DiffusionProcess
from .results import Solution, load
from .solvers.chain import stationary_distribution
from .solvers.domain import Domain, check_box, find_box
from .solvers.generator import current, generator
from .solvers.stationary import solve_stationary
from .sweeps import Areas, extrapolated_areas, swept_areas

if TYPE_CHECKING:
    from . import cases, claims, sgd
    from . import plotting as plot
    from .analysis import Analysis, analyse
    from .directed import DirectedTest, directed_test
    from .dissipation import EntropySplit, drift_split, entropy_split
    from .solvers.escape import mean_first_passage_time, splitting_probability
    from .solvers.evolve import evolve
    from .solvers.spectrum import RelaxationModes, relaxation_modes

__version__ = "0.1.0"

__all__ = [
    "Algebraic",
    "Analysis",
    "AreaTest",
    "Areas",
    "Box",
    "BoxNotFound",
    "BoxWarning",
    "Comparison",
    "DetailedBalance",
    "DiffusionProcess",
    "DirectedTest",
    "DivergedWarning",
    "Domain",
    "EdgeField",
    "Edges",
    "EntropySplit",
    "Extremum",
    "FaceField",
    "FokkerPlanckError",
    "Force",
    "Grid",
    "HeavyTails",
    "HelmholtzSplit",
    "InvalidInput",
    "Measured",
    "NoStationaryState",
    "NonEquilibrium",
    "NotConverged",
    "RelaxationModes",
    "Sinh",
    "Solution",
    "Uniform",
    "analyse",
    "area_test",
    "cases",
    "check_box",
    "claims",
    "compare",
    "current",
    "current_fields",
    "cycle_affinity",
    "density_error",
    "detailed_balance",
    "directed_test",
    "drift_split",
    "entropy_split",
    "evolve",
    "extrapolated_areas",
    "find_box",
    "force",
    "generator",
    "helmholtz",
    "load",
    "mean_first_passage_time",
    "measure",
    "nonequilibrium",
    "plot",
    "relaxation_modes",
    "sgd",
    "solve_stationary",
    "splitting_probability",
    "stationary_distribution",
    "steps_needed",
    "swept_areas",
    "total_variation",
]


# What is loaded when first used: the module itself, or the name in it.
_MODULES = {"cases": ".cases", "claims": ".claims", "plot": ".plotting", "sgd": ".sgd"}
_HOMES = {
    "Analysis": ".analysis",
    "DirectedTest": ".directed",
    "EntropySplit": ".dissipation",
    "RelaxationModes": ".solvers.spectrum",
    "analyse": ".analysis",
    "directed_test": ".directed",
    "drift_split": ".dissipation",
    "entropy_split": ".dissipation",
    "evolve": ".solvers.evolve",
    "mean_first_passage_time": ".solvers.escape",
    "relaxation_modes": ".solvers.spectrum",
    "splitting_probability": ".solvers.escape",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = import_module(_MODULES[name], __name__)
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
