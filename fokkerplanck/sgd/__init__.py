"""SGD on real data: losses, minibatch noise, direct simulation, and the diffusion process SGD is close to."""

from . import quadratic
from .data import Dataset, read_csv
from .descent import SGD
from .models import LossModel, linear_regression, logistic_regression
from .momentum import Underdamped
from .run import Run
from .simulation import simulate

__all__ = [
    "SGD",
    "Dataset",
    "LossModel",
    "Run",
    "Underdamped",
    "linear_regression",
    "logistic_regression",
    "quadratic",
    "read_csv",
    "simulate",
]
