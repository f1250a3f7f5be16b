"""Stationary states of Fokker–Planck equations: densities, probability currents, detailed balance.

Importing this package loads next to nothing; its names are loaded when first used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import cases, claims, sgd, solvers, studies
    from . import plotting as plot
    from .analysis import Analysis, analyse
    from .area import AreaTest, area_test, steps_needed
    from .balance import DetailedBalance, detailed_balance
    from .compare import Comparison, compare
    from .directed import DirectedTest, directed_test
    from .dissipation import EntropySplit, drift_split, entropy_split
    from .errors import (
        BoxNotFound,
        BoxWarning,
        DivergedWarning,
        FailedPointsWarning,
        FokkerPlanckError,
        HeavyTails,
        InvalidInput,
        MismatchWarning,
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
    from .report import write_report
    from .results import Solution, load
    from .solvers.chain import stationary_distribution
    from .solvers.domain import Domain, check_box, find_box
    from .solvers.escape import mean_first_passage_time, splitting_probability
    from .solvers.evolve import evolve
    from .solvers.generator import current, generator
    from .solvers.spectrum import RelaxationModes, relaxation_modes
    from .solvers.stationary import solve_stationary
    from .studies import study
    from .sweeps import Areas, extrapolated_areas, swept_areas

    __version__: str

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
    "FailedPointsWarning",
    "FokkerPlanckError",
    "Force",
    "Grid",
    "HeavyTails",
    "HelmholtzSplit",
    "InvalidInput",
    "Measured",
    "MismatchWarning",
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
    "solvers",
    "splitting_probability",
    "stationary_distribution",
    "steps_needed",
    "studies",
    "study",
    "swept_areas",
    "total_variation",
    "write_report",
]


# What is loaded when first used: the module itself, or the name in it.
_MODULES = {
    "cases": ".cases",
    "claims": ".claims",
    "plot": ".plotting",
    "sgd": ".sgd",
    "solvers": ".solvers",
    "studies": ".studies",
}
_HOMES = {
    "Algebraic": ".maps",
    "Analysis": ".analysis",
    "AreaTest": ".area",
    "Areas": ".sweeps",
    "Box": ".grid",
    "BoxNotFound": ".errors",
    "BoxWarning": ".errors",
    "Comparison": ".compare",
    "DetailedBalance": ".balance",
    "DiffusionProcess": ".process",
    "DirectedTest": ".directed",
    "DivergedWarning": ".errors",
    "Domain": ".solvers.domain",
    "EdgeField": ".fields",
    "Edges": ".maps",
    "EntropySplit": ".dissipation",
    "Extremum": ".helmholtz",
    "FaceField": ".fields",
    "FailedPointsWarning": ".errors",
    "FokkerPlanckError": ".errors",
    "Force": ".force",
    "Grid": ".grid",
    "HeavyTails": ".errors",
    "HelmholtzSplit": ".helmholtz",
    "InvalidInput": ".errors",
    "Measured": ".measured",
    "MismatchWarning": ".errors",
    "NoStationaryState": ".errors",
    "NonEquilibrium": ".nonequilibrium",
    "NotConverged": ".errors",
    "RelaxationModes": ".solvers.spectrum",
    "Sinh": ".maps",
    "Solution": ".results",
    "Uniform": ".maps",
    "analyse": ".analysis",
    "area_test": ".area",
    "check_box": ".solvers.domain",
    "compare": ".compare",
    "current": ".solvers.generator",
    "current_fields": ".measured",
    "cycle_affinity": ".nonequilibrium",
    "density_error": ".measured",
    "detailed_balance": ".balance",
    "directed_test": ".directed",
    "drift_split": ".dissipation",
    "entropy_split": ".dissipation",
    "evolve": ".solvers.evolve",
    "extrapolated_areas": ".sweeps",
    "find_box": ".solvers.domain",
    "force": ".force",
    "generator": ".solvers.generator",
    "helmholtz": ".helmholtz",
    "load": ".results",
    "mean_first_passage_time": ".solvers.escape",
    "measure": ".measured",
    "nonequilibrium": ".nonequilibrium",
    "relaxation_modes": ".solvers.spectrum",
    "solve_stationary": ".solvers.stationary",
    "splitting_probability": ".solvers.escape",
    "stationary_distribution": ".solvers.chain",
    "steps_needed": ".area",
    "study": ".studies",
    "swept_areas": ".sweeps",
    "total_variation": ".measured",
    "write_report": ".report",
}


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        """A function that has the name of its module stays that function when the module is loaded."""
        if isinstance(value, ModuleType) and _HOMES.get(name) == f".{name}":
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Functions that use the package, sent to another process, import it there."""
        return import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = import_module(_MODULES[name], __name__)
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name], __name__), name)
    elif name == "__version__":
        value = import_module("importlib.metadata").version(__name__)  # that of pyproject.toml
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
