"""SGD where the loss is quadratic: covariance, area, stability and tails, without a grid and in any dimension."""

from .growth import (
    almost_sure_limit,
    gaussian_curvature,
    lyapunov_exponent,
    mean_square_factor,
    stable_scale,
    tail_index,
)
from .moments import SecondMoments, diffusion_moments, mean_square_limit, second_moment_radius, second_moments
from .noise import EpochCovariance, batch_factor, epoch_shuffling, minibatch_covariance, sample_covariance
from .regression import DataRegression, GaussianRegression, data_regression, gaussian_regression
from .stationary import Stationary, linear_chain, linear_sgd, linearise, ornstein_uhlenbeck

__all__ = [
    "DataRegression",
    "EpochCovariance",
    "GaussianRegression",
    "SecondMoments",
    "Stationary",
    "almost_sure_limit",
    "batch_factor",
    "data_regression",
    "diffusion_moments",
    "epoch_shuffling",
    "gaussian_curvature",
    "gaussian_regression",
    "linear_chain",
    "linear_sgd",
    "linearise",
    "lyapunov_exponent",
    "mean_square_factor",
    "mean_square_limit",
    "minibatch_covariance",
    "ornstein_uhlenbeck",
    "sample_covariance",
    "second_moment_radius",
    "second_moments",
    "stable_scale",
    "tail_index",
]
