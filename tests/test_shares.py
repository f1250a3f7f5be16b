"""A simulation whose groups walk in other processes or threads is bitwise that of one process."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import numpy as np
import pytest

import fokkerplanck as fp
from fokkerplanck.sgd import SGD, linear_regression, numpy_loss

X = np.random.default_rng(5).normal(size=(24, 2)) * [1.0, 0.6]
Y = X @ [1.0, -0.5] + np.random.default_rng(6).normal(size=24)


def assert_same(run, other):
    for field in fields(run):
        one, two = getattr(run, field.name), getattr(other, field.name)
        if field.name == "crossings":
            for a, b in zip(one, two, strict=True):
                np.testing.assert_array_equal(a, b)
        elif isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, two, err_msg=field.name)
            assert one.dtype == two.dtype, field.name
        else:
            assert one is two or one == two, field.name


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 0.1, "batch_size": 3},
        {"learning_rate": 0.1, "batch_size": 5, "sampling": "epoch"},
        {"learning_rate": 0.05, "batch_size": 2, "momentum": 0.8, "injected_noise": 0.01, "label_noise": 0.3},
    ],
    ids=["minibatches", "epochs", "momentum and other noise"],
)
@pytest.mark.parametrize("counted", [True, False], ids=["grid", "moments"])
def test_shares_are_bitwise_the_whole(settings, counted):
    sgd = SGD(linear_regression(X, Y), **settings)
    arguments = {
        "grid": fp.Grid(sgd.box(), (24, 20)) if counted else None,
        "chains": 131,
        "steps": 700,
        "rng": 17,
        "groups": 16,
    }
    alone = sgd.simulate(**arguments)
    with ThreadPoolExecutor(3) as pool:
        assert_same(alone, sgd.simulate(**arguments, executor=pool))


def test_chains_that_are_lost_are_lost_in_shares_as_well():
    sgd = SGD(linear_regression(X, Y), learning_rate=0.3, batch_size=1)
    arguments = {
        "grid": fp.Grid(sgd.box(), (16, 16)),
        "chains": 96,
        "steps": 400,
        "rng": 23,
        "groups": 16,
        "bound": 1.5,
    }
    with pytest.warns(fp.DivergedWarning, match="ran away"):
        alone = sgd.simulate(**arguments)
    assert 0 < alone.diverged.size < 48
    with ThreadPoolExecutor(2) as pool, pytest.warns(fp.DivergedWarning, match="ran away") as caught:
        assert_same(alone, sgd.simulate(**arguments, executor=pool))
    assert len(caught) == 1


def test_a_gradient_of_ones_own_goes_along_and_its_errors_come_back():
    def broken(theta, rows):
        return np.full((len(rows), 1), np.nan) if theta[0] > 1.0 else 2.0 * (theta - rows)

    good = numpy_loss(lambda theta, rows: theta - rows, np.linspace(-1.0, 1.0, 9)[:, None], start=[0.3])
    sgd = SGD(good, learning_rate=0.2, batch_size=2)
    arguments = {"chains": 32, "steps": 40, "rng": 29, "groups": 16}
    with ThreadPoolExecutor(1) as pool:
        assert_same(sgd.simulate(**arguments), sgd.simulate(**arguments, executor=pool))
    sgd = SGD(numpy_loss(broken, np.linspace(-1.0, 1.0, 9)[:, None], start=[0.3]), learning_rate=0.3, batch_size=1)
    with ThreadPoolExecutor(1) as pool, pytest.raises(fp.InvalidInput, match="finite"):
        sgd.simulate(**arguments, start=[1.5], executor=pool)


def test_files_belong_to_one_process(tmp_path):
    sgd = SGD(linear_regression(X, Y), learning_rate=0.1, batch_size=3)
    with ThreadPoolExecutor(1) as pool, pytest.raises(fp.InvalidInput, match="neither checkpoint nor trajectories"):
        sgd.simulate(chains=64, steps=10, rng=3, executor=pool, checkpoint=tmp_path / "state.npz")
