"""SGD on real data: losses, minibatch noise, direct simulation, and the diffusion process SGD is close to."""

from . import quadratic
from .autograd import TorchLoss, torch_loss
from .custom import CustomLoss, NumpyLoss, custom_loss, numpy_loss
from .data import Dataset, read_csv
from .descent import SGD
from .loss import Expansion, Loss
from .models import LossModel, deep_linear, linear_regression, logistic_regression, phase_retrieval, tanh_neuron
from .momentum import Underdamped
from .run import Run
from .second_order import SecondOrder
from .simulation import simulate
from .skewness import SkewCorrection, skew_correction
from .step_law import transfer_operator
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
    "SecondOrder",
    "SkewCorrection",
    "TorchLoss",
    "Underdamped",
    "custom_loss",
    "deep_linear",
    "from_trajectory",
    "linear_regression",
    "logistic_regression",
    "numpy_loss",
    "phase_retrieval",
    "quadratic",
    "read_csv",
    "simulate",
    "skew_correction",
    "tanh_neuron",
    "torch_loss",
    "transfer_operator",
]
