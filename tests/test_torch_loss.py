"""Losses in PyTorch: the built-in ones again, to round-off, derivatives included; and what cannot be mapped is refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from test_sgd_model import CLASSES, FEATURES, NOISE

import fokkerplanck as fp
from fokkerplanck.errors import InvalidInput
from fokkerplanck.sgd import SGD, logistic_regression, tanh_neuron, torch_loss

X1, Y1 = FEATURES[:, 0], np.tanh(1.5 * FEATURES[:, 0]) + 0.3 * NOISE
ROWS = np.column_stack([X1, Y1])


def test_without_the_package_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InvalidInput, match=r"expected the package torch, .* pip install 'fokkerplanck\[torch\]'"):
        torch_loss(lambda theta, row: theta[0], ROWS, start=[1.0])


def neuron(theta: Any, row: Any) -> Any:
    import torch

    return (theta[0] * torch.tanh(theta[1] * row[0]) - row[1]) ** 2 / 2


def logistic(theta: Any, row: Any) -> Any:
    import torch

    return torch.nn.functional.softplus(-row[-1] * (row[:-1] @ theta))


def test_derivatives_are_those_of_the_built_in_losses() -> None:
    pytest.importorskip("torch")
    loss = torch_loss(neuron, ROWS, start=[1.0, 1.0], l2=0.2, names=["a", "w"])
    known = tanh_neuron(X1, Y1, l2=0.2)
    np.testing.assert_allclose(loss.minimum, known.minimum, rtol=1e-12)
    points = np.random.default_rng(63).normal(size=(2, 4, 3))
    averages = ("loss", "gradient", "sample_gradients", "noise_covariance", "hessian", "noise_divergence")
    for name in (*averages, "noise_third_moment"):
        got, exact = (getattr(each, name)(points) for each in (loss, known))
        np.testing.assert_allclose(got, exact, rtol=1e-12, atol=1e-13 * np.abs(exact).max(), err_msg=name)
    for name in ("slope", "drift_bend", "noise_bend"):  # third derivatives, where differences are good to 1e-6
        got, exact = (getattr(each.expansion(points), name) for each in (loss, known))
        np.testing.assert_allclose(got, exact, rtol=1e-11, atol=1e-12 * np.abs(exact).max(), err_msg=name)


def test_the_whole_way_is_that_of_the_built_in_loss() -> None:
    """Process, density and current; and chains, to which PyTorch gives the same gradients up to the order of a sum."""
    pytest.importorskip("torch")
    loss = torch_loss(logistic, np.column_stack([FEATURES[:, :2], CLASSES]), start=[0.0, 0.0], l2=0.2)
    known = logistic_regression(FEATURES[:, :2], CLASSES, l2=0.2)
    ours, theirs = (SGD(each, learning_rate=0.2, batch_size=3) for each in (loss, known))
    box = theirs.box()
    a, b = (fp.solve_stationary(each.process(), box, shape=(16, 16), progress=False) for each in (ours, theirs))
    np.testing.assert_allclose(
        a.phi, b.phi, rtol=0, atol=1e-9
    )  # coefficients to 1e-13, times the condition of the system
    runs = [each.simulate(chains=32, steps=16, groups=16, burn_in=5, rng=11, progress=False) for each in (ours, theirs)]
    np.testing.assert_allclose(runs[0].mean, runs[1].mean, rtol=0, atol=1e-12)


def test_a_module_takes_its_parameters_from_theta() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(1, 1).double()

    def loss(theta: Any, row: Any) -> Any:
        given = {"weight": theta[:1].reshape(1, 1), "bias": theta[1:]}
        return (torch.func.functional_call(module, given, (row[:1],))[0] - row[1]) ** 2 / 2

    fitted = torch_loss(loss, ROWS, start=[0.0, 0.0]).minimum
    np.testing.assert_allclose(fitted, np.polyfit(X1, Y1, 1), rtol=1e-12)


def branching(theta: Any, row: Any) -> Any:
    return theta[0] ** 2 if theta[0] > row[0] else theta[0]


def dropping(theta: Any, row: Any) -> Any:
    import torch

    return torch.nn.functional.dropout(theta * row[0], 0.5).sum() ** 2


def single(theta: Any, row: Any) -> Any:
    return (theta[0].float() - row[0].float()) ** 2


def infinite(theta: Any, row: Any) -> Any:
    return theta[0] ** 2 / (row[0] - row[0])


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (branching, r"that torch.func maps and differentiates, got RuntimeError: .*No branches on values"),
        (dropping, r"that torch.func maps and differentiates, got RuntimeError: .*no randomness"),
        (single, r"a tensor of shape \(\) and torch.float64, got shape \(\) and torch.float32"),
        (lambda theta, row: theta * row[0], r"a tensor of shape \(\) and torch.float64, got shape \(1,\)"),
        (lambda theta, row: 1.0, r"expected one number, .* got 1.0"),
        (lambda theta, row: theta[3], "got IndexError"),
        (infinite, r"gradient: expected finite numbers, got \[(nan|inf)\]"),
        (None, r"loss: expected a function loss\(theta, row\), got None"),
    ],
)
def test_functions_that_are_no_loss_are_refused(loss: Any, message: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(InvalidInput, match=f"(?s){message}"):
        torch_loss(loss, ROWS, start=[1.0])
