"""SGD on real data: losses, minibatch noise, direct simulation, and the diffusion process SGD is close to."""

from .data import Dataset, read_csv
from .descent import SGD
from .models import LossModel, linear_regression, logistic_regression
from .run import Run
from .simulation import simulate

__all__ = [
    "SGD",
    "Dataset",
    "LossModel",
    "Run",
    "linear_regression",
    "logistic_regression",
    "read_csv",
    "simulate",
]
