"""Which axis of a recorded trajectory is which: exchanged ones are found, right ones never refused, named ones put in order."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import fokkerplanck as fp
from fokkerplanck.errors import InvalidInput
from fokkerplanck.recorded import AXES, in_order
from fokkerplanck.sgd import SGD, from_trajectory, linear_regression

CHAINS, POINTS = 64, 300
EXCHANGED = [axes for axes in permutations(range(3)) if axes != (0, 1, 2)]


def chains(keeps: float, dim: int = 2, *, shape: tuple[int, int] = (CHAINS, POINTS), seed: int = 905) -> np.ndarray:
    """Stationary chains of variance 1 of which a step keeps that share."""
    rng = np.random.default_rng(seed)
    theta = np.empty((*shape, dim))
    theta[:, 0] = rng.normal(size=(shape[0], dim))
    for k in range(1, shape[1]):
        theta[:, k] = keeps * theta[:, k - 1] + np.sqrt(1.0 - keeps**2) * rng.normal(size=(shape[0], dim))
    return theta


@pytest.mark.parametrize("axes", EXCHANGED)
@pytest.mark.parametrize("keeps", [0.85, 0.99])
def test_every_exchange_of_axes_is_refused(axes: tuple[int, int, int], keeps: float) -> None:
    wrong = (chains(keeps) + np.array([1.0, -2.0])).transpose(axes)
    message = r"axes \(chains, points, d\), got shape|got 2 chains, 1 groups and \d+ points of \d+ parameters"
    with pytest.raises(InvalidInput, match=message):
        from_trajectory(wrong, learning_rate=0.1)


def test_the_message_says_what_the_shape_would_mean() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"got shape \(300, 64, 2\), as of 300 independent chains of 64 successive points of 2 parameters, but neighbours "
        r"along the first differ by less than successive points do\. Exchange the axes; if they are right, say so by xarray",
    ):
        fp.swept_areas(chains(0.9).transpose(1, 0, 2), time_step=0.1)
    with pytest.raises(InvalidInput, match=r"got 2: shape \(2, 300\) is that of 2 points of 300 parameters"):
        from_trajectory(chains(0.9)[0].T, learning_rate=0.1)


@pytest.mark.parametrize("keeps", [-0.99, -0.5, 0.0, 0.5, 0.99])
@pytest.mark.parametrize("shape", [(16, 2), (16, 12), (32, 3), (64, 50)])
def test_right_axes_are_never_refused(keeps: float, shape: tuple[int, int]) -> None:
    for seed in range(2000, 2040):
        in_order(chains(keeps, shape=shape, seed=seed), None)


def test_nor_are_odd_ones() -> None:
    rng = np.random.default_rng(906)
    wells = 0.01 * chains(0.0)
    wells[: CHAINS // 2] += 1.0  # started in two wells, one after the other
    settling = 10.0 * 0.9 ** np.arange(POINTS)[:, None] + 1e-3 * chains(0.9)  # all from one start, far away
    alike = 0.01 * chains(
        0.0, dim=12
    )  # parameters that are nearly one, in many short chains: more points than parameters
    alike += chains(0.5, dim=1)
    outlier = rng.standard_cauchy(size=(CHAINS, POINTS, 2))
    many = chains(0.9, dim=40, shape=(64, 30))  # more parameters than points
    for theta in (wells, settling, alike, outlier, many, np.zeros((20, 30, 2))):
        array, names = in_order(theta, ["any", "names"])
        assert array is theta
        assert names == ("any", "names")


@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_named_axes_come_in_any_order(axes: tuple[int, int, int]) -> None:
    theta = chains(0.9)
    named = xr.DataArray(theta, {"parameter": ["w", "b"]}, AXES).transpose(*(AXES[a] for a in axes))
    run = from_trajectory(named, learning_rate=0.1)
    plain = from_trajectory(theta, learning_rate=0.1)
    np.testing.assert_array_equal(run.chain_circulation, plain.chain_circulation)
    assert run.names == ("w", "b")
    assert plain.names == ("theta0", "theta1")
    areas = fp.swept_areas(named, time_step=0.1)
    np.testing.assert_array_equal(areas.rates, fp.swept_areas(theta, time_step=0.1).rates)
    assert areas.names == ("w", "b")


def test_what_is_named_is_believed() -> None:
    """A way round the check, for those who know better: chains in an order that makes neighbours alike."""
    ordered = np.sort(chains(0.0), axis=0)
    with pytest.raises(InvalidInput, match="neighbours along the first"):
        from_trajectory(ordered, learning_rate=0.1)
    run = from_trajectory(xr.DataArray(ordered, dims=AXES), learning_rate=0.1, names=["c", "d"])
    assert run.names == ("c", "d")


def test_a_single_named_trajectory() -> None:
    theta = chains(0.5, shape=(1, 4000))[0]
    named = xr.DataArray(theta.T, dims=("parameter", "point"))
    np.testing.assert_array_equal(
        from_trajectory(named, learning_rate=0.1).chain_mean, from_trajectory(theta, learning_rate=0.1).chain_mean
    )


def test_the_file_of_a_simulation_is_read_back(tmp_path: Path) -> None:
    X = np.random.default_rng(907).normal(size=(30, 2))
    sgd = SGD(linear_regression(X, X[:, 0] - X[::-1, 1], names=("slope", "other")), learning_rate=0.2, batch_size=2)
    run = sgd.simulate(chains=64, steps=200, rng=908, trajectories=tmp_path / "path.nc", every=1, progress=False)
    with xr.open_dataset(tmp_path / "path.nc") as file:
        again = from_trajectory(file.theta, learning_rate=0.2)
    assert again.names == run.names
    np.testing.assert_allclose(again.mean, run.mean, atol=4 * run.mean_error.max())  # less the first point of each


def test_other_names_of_axes_are_refused() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"expected dimensions 'point', 'parameter' and perhaps 'chain', in any order, got \('chain', 'draw', 'x'\) of "
        r"shape \(64, 300, 2\)\. Rename them, or pass \.values",
    ):
        from_trajectory(xr.DataArray(chains(0.5), dims=("chain", "draw", "x")), learning_rate=0.1)
