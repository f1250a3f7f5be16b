"""SGD on real data: losses, minibatch noise, direct simulation, and the diffusion process SGD is close to."""

from .custom import CustomLoss, NumpyLoss, custom_loss, numpy_loss
from .data import Dataset, read_csv
from .descent import SGD
from .loss import Expansion, Loss
from .models import LossModel, deep_linear, linear_regression, logistic_regression, phase_retrieval, tanh_neuron
from .run import Run
from .simulation import simulate
from .trajectories import from_trajectory

__all__ = [
    "SGD",
    "CustomLoss",
    "Dataset",
    "Expansion",
    "Loss",
    "LossModel",
    "NumpyLoss",
    "Run",
    "custom_loss",
    "deep_linear",
    "from_trajectory",
    "linear_regression",
    "logistic_regression",
    "numpy_loss",
    "phase_retrieval",
    "read_csv",
    "simulate",
    "tanh_neuron",
]
