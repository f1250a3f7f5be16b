"""Runs that are cut short, resumed, recorded or partly lost; losses of one's own; many parameters."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from test_sgd_simulation import cells, outflow, same, small

from fokkerplanck.errors import DivergedWarning, InvalidInput
from fokkerplanck.grid import Box, Grid
from fokkerplanck.kernels.draws import random_words
from fokkerplanck.kernels.streams import seed_streams
from fokkerplanck.sgd import (
    SGD,
    custom_loss,
    deep_linear,
    from_trajectory,
    linear_regression,
    logistic_regression,
    numpy_loss,
    phase_retrieval,
    shares,
    tanh_neuron,
)
from fokkerplanck.sgd.ensemble import Ensemble

SIGMAS = 4  # a two-sided normal deviation beyond it has probability 6e-5; the seeds are fixed
SHORT: dict[str, Any] = {"chains": 64, "groups": 16, "progress": False}


# --- lost chains -----------------------------------------------------------------------------------------------------


def fragile() -> SGD:
    """Phase retrieval with steps so long that a chain runs away now and then."""
    rng = np.random.default_rng(1861)
    X = rng.normal(size=(30, 2))
    return SGD(phase_retrieval(X, (X @ [1.0, 0.5]) ** 2 + rng.normal(size=30)), learning_rate=0.026, batch_size=2)


def test_lost_chains_are_counted_and_the_others_are_as_if_they_had_never_been() -> None:
    sgd = fragile()
    grid = Grid(Box([-1, -1], [2, 2]), (20, 20))
    with pytest.warns(
        DivergedWarning, match=r"simulate: \d+ of 64 chains that ran away, the first at step \d+ \(burn-in"
    ):
        run = sgd.simulate(grid=grid, steps=500, burn_in=10, rng=19, **SHORT)
    lost = run.diverged.size
    assert 0 < lost < 40
    assert f"chains={64 - lost}, diverged={lost}" in repr(run)
    assert len(run.start) == len(run.chain_mean) == 64 - lost
    assert run.samples == (64 - lost) * 500
    assert np.isfinite(run.covariance).all()
    assert (run.histogram >= 0).all()
    np.testing.assert_array_equal(run.histogram.sum() + run.outside_samples.sum(), run.samples)
    np.testing.assert_array_equal(outflow(run), cells(grid, run.start) - cells(grid, run.end))


def test_a_bound_finds_them_earlier() -> None:
    sgd = fragile()
    runs = []
    for bound in (np.inf, 50.0):
        with pytest.warns(DivergedWarning):
            runs.append(sgd.simulate(steps=500, burn_in=10, rng=19, bound=bound, **SHORT))
    assert runs[1].diverged.size == runs[0].diverged.size
    assert (runs[1].diverged <= runs[0].diverged).all()
    assert runs[1].diverged.sum() < runs[0].diverged.sum()
    np.testing.assert_array_equal(runs[0].end, runs[1].end)


def test_a_gradient_that_fails_away_from_the_start_is_blamed() -> None:
    def gradient(theta: Any, row: Any, out: Any) -> None:
        out[0] = theta[0] - row[0] if abs(theta[0]) < 0.93 else np.nan

    loss = custom_loss(gradient, np.linspace(-1, 1, 9)[:, None], start=[0.1])
    with pytest.raises(
        InvalidInput, match=r"gradient: expected finite numbers, got \[nan\] at θ = \[-?0\.9\d+\] for row"
    ):
        SGD(loss, learning_rate=0.9, batch_size=1).simulate(steps=300, rng=3, **SHORT)


# --- losses ----------------------------------------------------------------------------------------------------------


def one_dimensional() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(611)
    x = rng.normal(size=25)
    return x, 0.9 * np.tanh(1.2 * x) + 0.3 * rng.normal(size=25)


def plain_steps(sgd: SGD, draws: np.ndarray) -> np.ndarray:
    """One chain from its samples, with the gradients that the loss gives."""
    theta = np.array(sgd.model.minimum)
    for batch in draws.reshape(-1, sgd.batch_size):
        theta = theta - sgd.learning_rate * sgd.model.sample_gradients(theta)[batch].mean(axis=0)
    return theta


@pytest.mark.parametrize("kind", ["phase", "tanh", "deep", "custom", "numpy"])
def test_every_loss_is_simulated(kind: str) -> None:
    x, y = one_dimensional()
    X = np.column_stack([x, y])

    def gradient(theta: Any, row: Any, out: Any) -> None:
        error = theta[0] * row[0] + theta[1] ** 3 + theta[1] - row[1]
        out[0] = error * row[0]
        out[1] = error * (3 * theta[1] ** 2 + 1)

    def gradients(theta: Any, rows: Any) -> Any:
        error = theta[0] * rows[:, 0] + theta[1] ** 3 + theta[1] - rows[:, 1]
        return np.column_stack([error * rows[:, 0], error * (3 * theta[1] ** 2 + 1)])

    losses: dict[str, Callable[[], Any]] = {
        "phase": lambda: phase_retrieval(X, np.abs(x)),
        "tanh": lambda: tanh_neuron(x, y, l2=0.05),
        "deep": lambda: deep_linear(x, y, l2=0.05),
        "custom": lambda: custom_loss(gradient, X, start=[0.1, 0.2]),
        "numpy": lambda: numpy_loss(gradients, X, start=[0.1, 0.2]),
    }
    sgd = SGD(losses[kind](), learning_rate=0.02, batch_size=3)
    run = sgd.simulate(steps=20, burn_in=0, rng=88, **SHORT)
    streams = np.empty((64, 4), np.uint64)
    seed_streams(np.uint64(run.seed), 0, streams)
    for c in (0, 5, 63):
        words = np.empty(30, np.uint64)
        random_words(streams[c], words)
        halves = np.stack([words >> np.uint64(32), words & np.uint64(2**32 - 1)], axis=1).ravel()
        indices = (halves * np.uint64(25) >> np.uint64(32)).astype(int)
        np.testing.assert_allclose(run.end[c], plain_steps(sgd, indices), rtol=1e-12)


def test_numpy_errors_come_through() -> None:
    calls = [0]

    def gradients(theta: Any, rows: Any) -> Any:
        calls[0] += 1
        if calls[0] > 200:
            raise RuntimeError("the disk is full")
        return theta[None] - rows

    sgd = SGD(numpy_loss(gradients, np.linspace(-1, 1, 9)[:, None], start=[0.1]), learning_rate=0.1, batch_size=2)
    with pytest.raises(RuntimeError, match="the disk is full"):
        sgd.simulate(steps=100, rng=3, **SHORT)


def test_many_parameters_have_moments_and_circulation() -> None:
    rng = np.random.default_rng(404)
    d = 12
    X = rng.normal(size=(300, d)) * np.linspace(0.5, 1.5, d)
    sgd = SGD(linear_regression(X, X @ np.ones(d) + rng.standard_t(5, 300)), learning_rate=0.02, batch_size=8)
    run = sgd.simulate(steps=2000, rng=29, **SHORT)
    moments = sgd.covariance()
    # the diffusion is off by about η h/2 = 2 %, and 78 entries have some larger deviations
    assert np.abs(run.covariance - moments).max() < 0.05 * moments.max() + SIGMAS * run.covariance_error.max()
    H = sgd.model.hessian(sgd.model.minimum)
    area = 0.5 * (H @ moments - moments @ H)
    np.testing.assert_array_equal(run.circulation, -run.circulation.T)
    assert np.abs(run.circulation - area).max() < 0.1 * np.abs(area).max() + 5 * run.circulation_error.max()
    with pytest.raises(InvalidInput, match="got one without a grid, of moments and circulation only"):
        _ = run.density
    with pytest.raises(InvalidInput, match="grid: expected 12 dimensions"):
        sgd.simulate(grid=Grid(Box(0, 1), (8,)), **SHORT)


def test_without_current_there_is_a_density_only() -> None:
    sgd = SGD(small(2), learning_rate=0.3, batch_size=1)
    grid = Grid(sgd.box(), (16, 16))
    both = [sgd.simulate(grid=grid, steps=300, rng=10, current=current, **SHORT) for current in (True, False)]
    np.testing.assert_array_equal(both[0].histogram, both[1].histogram)
    with pytest.raises(InvalidInput, match="expected one with a current, got one simulated with current=False"):
        _ = both[1].current


# --- checkpoints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["with_replacement", "epoch"])
def test_a_run_in_pieces_is_the_run_in_one_piece(sampling: str, tmp_path: Path) -> None:
    sgd = SGD(small(2), learning_rate=0.3, batch_size=3, sampling=sampling, injected_noise=0.01, momentum=0.3)
    grid = Grid(sgd.box(), (16, 16))
    whole = sgd.simulate(grid=grid, steps=1000, rng=9, **SHORT)
    for steps in (100, 256, 555, 1000):  # 256: whole blocks
        run = sgd.simulate(grid=grid, steps=steps, rng=9, checkpoint=tmp_path / "run.npz", **SHORT)
    assert same(whole, run)
    assert same(whole, sgd.simulate(grid=grid, steps=1000, rng=9, checkpoint=tmp_path / "run.npz", **SHORT))
    with pytest.raises(
        InvalidInput, match=r"steps: expected at least the 960 that the checkpoint .* has recorded, got 20"
    ):
        sgd.simulate(grid=grid, steps=20, rng=9, checkpoint=tmp_path / "run.npz", **SHORT)
    with pytest.raises(InvalidInput, match=r"got that of another: rng = 9 there and 10 here\. Use another file"):
        sgd.simulate(grid=grid, steps=1000, rng=10, checkpoint=tmp_path / "run.npz", **SHORT)
    (tmp_path / "other").write_text("something else")
    with pytest.raises(InvalidInput, match=r"checkpoint: expected a file that simulate wrote, got .*other"):
        sgd.simulate(grid=grid, steps=20, rng=9, checkpoint=tmp_path / "other", **SHORT)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_checkpoint_of_another_gradient_is_not_continued(compiled: bool, tmp_path: Path) -> None:
    """The same data, start and burn-in; only what the function does has changed."""

    def of(power: float) -> SGD:
        def gradient(theta: Any, row: Any, out: Any) -> None:
            e = theta[0] * row[0] - row[1]
            out[0] = e * (1.0 + e * e) ** power * row[0]

        def gradients(theta: Any, rows: Any) -> Any:
            e = theta[0] * rows[:, 0] - rows[:, 1]
            return (e * (1.0 + e * e) ** power * rows[:, 0])[:, None]

        data = np.random.default_rng(83).normal(size=(30, 2))
        loss = custom_loss(gradient, data, start=[0.0]) if compiled else numpy_loss(gradients, data, start=[0.0])
        return SGD(loss, learning_rate=0.1, batch_size=2)

    options: dict[str, Any] = {"start": [0.1], "burn_in": 20, "rng": 22, "checkpoint": tmp_path / "run.npz", **SHORT}
    of(-0.5).simulate(steps=256, **options)
    with pytest.raises(
        InvalidInput, match=r"that of another: gradient = \['.*'\] there and \['.*'\] here\. Use another"
    ):
        of(-0.4).simulate(steps=512, **options)
    again = of(-0.5).simulate(steps=512, **options)  # a function compiled anew is the same function
    del options["checkpoint"]
    assert same(of(-0.5).simulate(steps=512, **options), again)


def test_an_interruption_leaves_a_checkpoint_and_a_file_to_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sgd = SGD(small(2), learning_rate=0.3, batch_size=2)
    arguments: dict[str, Any] = {"steps": 1500, "burn_in": 40, "rng": 21, "every": 7, **SHORT}
    whole = sgd.simulate(trajectories=tmp_path / "whole.nc", **arguments)
    monkeypatch.setattr(shares, "GRADIENTS_PER_SLICE", 1)
    kept, calls = Ensemble.advance, [0]

    def interrupted(*given: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return kept(*given, **named)

    monkeypatch.setattr(Ensemble, "advance", interrupted)
    files = {"checkpoint": tmp_path / "run.npz", "trajectories": tmp_path / "run.nc"}
    with pytest.raises(KeyboardInterrupt, match=r"after \d+ of 1540 steps.*saved in .*run\.npz.*the same call goes on"):
        sgd.simulate(**files, **arguments)
    assert calls[0] == 4
    run = sgd.simulate(**files, **arguments)
    assert same(whole, run)
    assert calls[0] == 25  # what was done was not done again: the burn-in, 23 blocks and a part of one
    with xr.open_dataset(tmp_path / "whole.nc") as one, xr.open_dataset(tmp_path / "run.nc") as two:
        np.testing.assert_array_equal(one.theta, two.theta)
        assert one.theta.dims == ("chain", "point", "parameter")
        assert one.theta.shape == (64, 1500 // 7, 2)
    with pytest.raises(
        InvalidInput, match=r"trajectories: expected the name of a NetCDF file, such as run\.nc, got .*run\.zarr"
    ):
        sgd.simulate(trajectories=tmp_path / "run.zarr", **arguments)
    (tmp_path / "run.nc").unlink()
    with pytest.raises(InvalidInput, match="expected the file that the checkpoint goes with, got no file"):
        sgd.simulate(**files, **arguments)


# --- trajectories ----------------------------------------------------------------------------------------------------


def test_a_recorded_trajectory_makes_the_run_it_came_from(tmp_path: Path) -> None:
    sgd = SGD(logistic_regression(np.random.default_rng(8).normal(size=(40, 2)), np.arange(40) % 2), **BASIC)
    grid = Grid(sgd.box(widths=2), (10, 11))
    run = sgd.simulate(grid=grid, steps=300, rng=77, trajectories=tmp_path / "all.nc", every=1, **SHORT)
    with xr.open_dataset(tmp_path / "all.nc") as file:
        theta = np.concatenate([run.start[:, None], file.theta.values], axis=1)
        assert [str(name) for name in file.parameter.values.astype(str)] == list(run.names)
    again = from_trajectory(theta, learning_rate=0.2, grid=grid, groups=16)
    np.testing.assert_array_equal(again.histogram, run.histogram)
    for ours, theirs in zip(again.crossings, run.crossings, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(again.mean, run.mean, rtol=1e-12)
    np.testing.assert_allclose(again.covariance, run.covariance, rtol=1e-11)
    # about another centre the circulation of a chain differs by a boundary term, of which there is none in the closed sum
    shift = np.einsum("i,cj->cij", again.centre - run.centre, run.end - run.start)
    boundary = (shift - shift.transpose(0, 2, 1)) / (2 * 300 * 0.2)
    np.testing.assert_allclose(again.chain_circulation, run.chain_circulation - boundary, atol=1e-14)


BASIC: dict[str, Any] = {"learning_rate": 0.2, "batch_size": 2}


def test_a_single_trajectory_is_cut_into_pieces() -> None:
    rng = np.random.default_rng(23)
    theta = np.zeros((32_001, 2))
    step = np.array([[0.9, 0.05], [-0.05, 0.8]])
    for k in range(32_000):
        theta[k + 1] = step @ theta[k] + 0.1 * rng.normal(size=2)
    run = from_trajectory(theta, learning_rate=0.1)
    assert len(run.chain_mean) == 32
    S = np.linalg.solve(np.eye(4) - np.kron(step, step), 0.01 * np.eye(2).ravel()).reshape(2, 2)
    forward = step @ S / 0.1
    assert (np.abs(run.mean) < SIGMAS * run.mean_error).all()
    assert (np.abs(run.covariance - S) < SIGMAS * run.covariance_error).all()
    exact = (forward.T - forward)[0, 1] / 2
    assert abs(run.circulation[0, 1] - exact) < SIGMAS * run.circulation_error[0, 1] < abs(exact)


@pytest.mark.parametrize(
    ("trajectory", "message"),
    [
        (np.zeros(5), r"trajectory: expected real numbers of shape \(chains, points, d\) or \(points, d\), got \(5,\)"),
        (np.zeros((40, 2)), "trajectory: expected at least 65 points of a single chain, got 40"),
        (
            np.zeros((10, 50, 2)),
            "trajectory: expected at least 2 chains in each of at least 16 groups .* got 10 chains",
        ),
        (np.full((40, 50, 2), np.nan), r"trajectory: expected finite numbers, got \[nan, nan\] at point 0 of chain 0"),
    ],
)
def test_trajectories_are_checked(trajectory: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        from_trajectory(trajectory, learning_rate=0.1)


def test_a_loop_of_pytorch() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its import
        torch = pytest.importorskip("torch")
    model = small(2)
    torch.manual_seed(733)
    X, y = torch.tensor(np.array(model.X)), torch.tensor(np.array(model.y))
    chains, burn_in, steps, eta = 64, 60, 150, 0.2
    theta = torch.tensor(np.tile(model.minimum, (chains, 1)), requires_grad=True)
    optimiser = torch.optim.SGD([theta], lr=eta, weight_decay=model.l2)
    path = []
    for k in range(burn_in + steps + 1):
        if k >= burn_in:
            path.append(theta.detach().numpy().copy())
        batch = torch.randint(len(X), (chains, 2))
        optimiser.zero_grad()
        loss = (((X[batch] * theta[:, None]).sum(-1) - y[batch]) ** 2).mean(1).sum() / 2
        loss.backward()
        optimiser.step()
    recorded = from_trajectory(np.stack(path, axis=1), learning_rate=eta, names=model.names)
    ours = SGD(model, learning_rate=eta, batch_size=2).simulate(steps=2000, rng=734, **SHORT)
    for name in ("mean", "covariance", "circulation"):
        error = np.hypot(getattr(recorded, name + "_error"), getattr(ours, name + "_error"))
        assert (np.abs(getattr(recorded, name) - getattr(ours, name)) <= SIGMAS * error).all()
