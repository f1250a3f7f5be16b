"""The tables of the page on linear theory are what the package computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fokkerplanck.sgd.quadratic import (
    almost_sure_limit,
    epoch_shuffling,
    gaussian_curvature,
    gaussian_regression,
    linear_sgd,
    mean_square_limit,
    tail_index,
)

PAGE = (Path(__file__).parents[1] / "docs" / "theory" / "linear.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("batch", [1, 2, 4, 8])
def test_limits_and_tails(batch: int) -> None:
    law, problem = gaussian_curvature(1.0, batch), gaussian_regression([[1.0]])
    cells = [
        f"{batch}",
        f"{mean_square_limit(problem, batch_size=batch):.4f}",
        "2",
        f"{almost_sure_limit(law):.4f}",
        f"{tail_index(law, 0.1):.3f}",
        f"{1 + batch / 0.1:g}",
        f"{tail_index(law, 1.0):.4f}",
        f"{1 + batch:g}",
    ]
    assert f"| {' | '.join(cells)} |" in PAGE


@pytest.mark.parametrize("step", [1e-4, 1e-3, 1e-2, 1e-1])
def test_epochs(step: float) -> None:
    state = epoch_shuffling([[1.0]], [[1.0]], n=1000, batch_size=10, learning_rate=step)
    boundary, mean = ((part / state.independent).item() for part in (state.boundary, state.mean))
    shown = f"{boundary:.3e}" if boundary < 1e-3 else f"{boundary:.4g}"
    assert f"| {np.format_float_positional(step)} | {shown} | {mean:.4g} |" in PAGE


@pytest.mark.parametrize(("beta", "step"), [(0.9, 0.01), (0.9, 0.1), (0.9, 1.0), (0.5, 0.1), (0.0, 0.1)])
def test_damped_particle(beta: float, step: float) -> None:
    """Midpoint and velocity from θ and the step that led to it, θ − ηm and −ηm."""
    tau, T = np.sqrt(2 * step / (1 + beta)), step / (2 * (1 - beta))
    state = linear_sgd([[1.0]], [[1.0]], learning_rate=step, momentum=beta)
    position = state.covariance.item()
    lag = position * (1 - step / (1 + beta))  # of θ with the next θ, from θ'' = (1 + β − ηh)θ' − βθ − ηn
    midpoint, velocity = 0.5 * (position + lag), 2 * (position - lag) / tau**2
    cells = (f"{beta:.1f}", f"{step:g}", f"{position / T:.4f}", f"{midpoint / T:.4f}", f"{velocity / T:.4f}")
    assert f"| {' | '.join(cells)} |" in PAGE
