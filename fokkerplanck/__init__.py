"""Stationary states of Fokker–Planck equations: densities, probability currents, detailed balance.

Importing this package loads neither matplotlib nor the command line; ``fokkerplanck.plot`` is loaded when first used.
"""

from .errors import DensityCutByWall, FokkerPlanckError, InvalidInput, NotConverged
from .grid import Box, Grid
from .operators import FaceField
from .process import DiffusionProcess
from .results import Solution, load
from .solvers.stationary import solve_stationary
