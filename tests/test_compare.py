"""Statistics on synthetic runs whose law is known, then on real chains."""

import re
from dataclasses import replace

import numpy as np
import pytest

import fokkerplanck as fp
from fokkerplanck.compare import compare


@pytest.fixture(scope="module")
def diabetes():
    case = fp.cases.get("diabetes")
    sol = fp.solve_stationary(case.process, case.box, shape=(128, 128))
    return case, sol, case.sgd.simulate(grid=sol.grid, chains=1024, steps=4000, rng=20262)


def ideal(run, sol, rng, amplitude=1.0):
    """A run drawn from the solution itself: multinomial cells, currents with independent noise."""
    weight = np.exp(-sol.phi).ravel() * sol.grid.cell_volume
    per_group = int(run.group_samples[0])
    histogram = rng.multinomial(per_group, weight, size=len(run.group_samples)).reshape(-1, *sol.grid.shape)
    crossings = []
    for axis, component in enumerate(sol.flux.components):
        size = run.learning_rate * sol.grid.cell_volume / sol.grid.spacing[axis]
        crossings.append(
            rng.poisson(50, (len(histogram), *component.shape)) - 50 + amplitude * component * per_group * size
        )
    return replace(run, histogram=histogram, crossings=tuple(crossings), outside_samples=0 * run.outside_samples)


def test_a_run_drawn_from_the_solution_agrees_with_it(diabetes):
    _, sol, run = diabetes
    # over 100 samples a group in each of these bins
    busy = np.exp(-sol.phi).reshape(32, 4, 32, 4).mean(axis=(1, 3)) > 1.0
    squares = []
    for seed in range(201, 209):
        comparison = compare(sol, ideal(run, sol, np.random.default_rng(seed)))
        assert comparison.total_variation.low < 2e-4  # a tenth of the noise floor
        assert comparison.density_p_value > 1e-3
        assert comparison.current_p_value > 1e-3
        assert comparison.chi_square.low < 0.0 < comparison.chi_square.high
        assert comparison.hellinger.low == 0.0
        assert comparison.current_distance.low == 0.0
        squares.append(np.mean(comparison.density_difference.values[busy] ** 2))
    assert comparison.density_difference.shape == (32, 32)
    assert ("agrees with the solved one within statistics" in comparison.sentence) == (
        comparison.total_variation.low == 0.0
    )
    # Student's t with 31 degrees of freedom has variance 31/29; 8 × 121 squares of it scatter by 5 %.
    assert np.mean(squares) == pytest.approx(31 / 29, abs=0.15)


def test_current_amplitude_is_recovered(diabetes):
    _, sol, run = diabetes
    for amplitude in (0.7, 1.0):
        interval = compare(sol, ideal(run, sol, np.random.default_rng(105), amplitude)).current_amplitude
        assert interval.low < amplitude < interval.high
        assert interval.high - interval.low < 0.2


def test_current_is_compared_face_by_face(diabetes):
    """Of a run whose current is the solved one turned round: every face differs by twice itself, and twice is the distance."""
    _, sol, run = diabetes
    same, back = (compare(sol, ideal(run, sol, np.random.default_rng(107), amplitude)) for amplitude in (1.0, -1.0))
    assert same.current_difference.grid.shape == (32, 32)
    z = np.concatenate([c[np.isfinite(c)] for c in same.current_difference.components])
    assert np.mean(z**2) == pytest.approx(31 / 29, abs=0.15)  # Student's t with 31 degrees of freedom
    assert back.current_distance.low < 2.0 < back.current_distance.high
    assert back.current_p_value < 1e-3
    assert "and its current differs by" in back.sentence
    assert "and its current agrees on the faces within statistics" in same.sentence


def test_explanations_take_their_share(diabetes):
    """Of a run drawn from another density: that density explains all of the difference, half of the way about half."""
    _, sol, run = diabetes
    x = (sol.grid.cell_points() - sol.mean[:, None, None]) / np.sqrt(np.diag(sol.covariance))[:, None, None]
    p = np.exp(-sol.phi)
    tilted, half = (p * (1.0 + strength * np.tanh(x[0])) for strength in (0.2, 0.1))
    tilted, half = (q / (q.sum() * sol.grid.cell_volume) for q in (tilted, half))
    drawn = ideal(run, replace(sol, phi=-np.log(tilted)), np.random.default_rng(108))
    comparison = compare(sol, drawn, explanations={"half a tilt": half, "all of it": tilted})
    true = 0.5 * np.abs(tilted - p).sum() * sol.grid.cell_volume
    assert comparison.total_variation.low < true < comparison.total_variation.high
    assert comparison.explained["half a tilt"].value == pytest.approx(0.5 * true, rel=0.15)
    assert comparison.explained["all of it"].low == 0.0
    assert comparison.density_p_value < 1e-3
    assert "by half a tilt and" in comparison.sentence
    assert "leaving nothing beyond noise" in comparison.sentence
    assert comparison.hellinger.low < np.sqrt(0.5 * np.sum((np.sqrt(tilted) - np.sqrt(p)) ** 2) * sol.grid.cell_volume)
    with pytest.raises(fp.InvalidInput, match="explanations: expected 'x' to be a density, whose integral is 1, got 2"):
        compare(sol, run, explanations={"x": 2.0 * p})
    with pytest.raises(fp.InvalidInput, match=r"explanations: expected 'x' of shape \(128, 128\), one value a cell"):
        compare(sol, run, explanations={"x": p[1:]})
    with pytest.raises(fp.InvalidInput, match="explanations: expected 'x' on the grid of the run"):
        compare(sol, run, explanations={"x": sol.coarser[0]})


def test_real_chains_agree_with_the_exact_chain(diabetes):
    case, sol, run = diabetes
    comparison = compare(sol, run, finite=case.sgd.chain_moments())
    area = comparison.circulation
    assert abs(area.z_finite[0]) < 3
    assert abs(area.z_predicted[0]) < 3  # 1.8 % of finite learning rate is below this run's error
    assert area.measured[0] * area.predicted[0] > 0
    assert comparison.p_value < 1e-6
    assert comparison.total_variation.low > 2 * comparison.noise_floor  # the noise of minibatches is skewed
    amplitude = comparison.current_amplitude
    # The chain circulates 1.018 of the limit; line crossings of finite steps add a fraction of η λ_max = 0.1.
    assert amplitude.low - 0.03 < 1.018 < amplitude.high + 0.03
    assert np.all(np.abs(comparison.mean_z) < 4)


def test_a_circulation_below_its_error_is_not_put_as_a_ratio():
    """Phase retrieval: mirror symmetry cancels the area to 1e-8, of which a short run knows nothing."""
    case = fp.cases.get("phase-retrieval")
    sol = fp.solve_stationary(case.process, case.box, shape=(32, 32), max_wall_mass=1)
    run = case.sgd.simulate(grid=sol.grid, chains=64, steps=400, rng=84)
    assert run.circulation_error[0, 1] > abs(sol.circulation[0, 1])
    sentence = fp.compare(sol, run, finite=case.sgd.chain_moments()).sentence
    assert "of the rate of the diffusion limit" not in sentence
    assert re.search(
        r"circulates at \S+ ± \S+ per unit time, the diffusion limit at \S+ \(z = [+-]\d\.\d\), where", sentence
    )


def test_one_dimension_has_no_area():
    data = np.random.default_rng(106).normal(size=(60, 1))
    sgd = fp.sgd.SGD(fp.sgd.linear_regression(data, data[:, 0] + 0.5 * data[::-1, 0]), learning_rate=0.1, batch_size=4)
    sol = fp.solve_stationary(sgd.process(), sgd.box(), shape=(128,))
    comparison = compare(sol, sgd.simulate(grid=sol.grid, chains=64, steps=2000, rng=9))
    assert comparison.p_value is None
    assert comparison.circulation.pairs == ()
    assert comparison.current_p_value is None
    assert comparison.sentence.endswith(".")


def test_grids_must_agree(diabetes):
    case, sol, _ = diabetes
    other = fp.Grid(case.box, (64, 64))
    run = case.sgd.simulate(grid=other, chains=64, steps=10, rng=9)
    with pytest.raises(fp.InvalidInput, match=r"expected a run on the solution's grid \(128, 128\)"):
        compare(sol, run)


def other_run(case, grid, **changes):
    settings = {"learning_rate": 0.1, "batch_size": 4} | changes
    return fp.sgd.SGD(case.sgd.model, **settings).simulate(grid=grid, chains=64, steps=256, rng=811, burn_in=100)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"momentum": 0.5}, "momentum 0.5, where the solution has none"),
        ({"batch_size": 8}, r"batch size 8 \(with_replacement\), where the solution has 0.1 and 4"),
        ({"learning_rate": 0.05}, "learning rate 0.05, batch size 4"),
        ({"sampling": "without_replacement"}, "without_replacement"),
        ({"sampling": "epoch"}, "epochs, whose batches cancel"),
        ({"label_noise": 0.5}, r"got one with label noise 0\.5, where the solution has 0\. What differs shows in"),
        ({"injected_noise": 1e-4}, r"got one with injected noise 0\.0001, where the solution has 0\. What"),
        (
            {"schedule": lambda k: 101 / (k + 1)},
            r"learning rates from 0\.02\d+ to 0\.1, where the solution has 0\.1 throughout",
        ),
        ({"schedule": [1.0, 0.5]}, "got one with learning rate 0.05, batch size 4"),  # after the burn-in
        (
            {"noise": "stable", "alpha": 1.7},
            r"stable noise of exponent 1\.7, where that of the solution has a variance",
        ),
    ],
)
def test_a_run_of_something_else_is_warned_of(diabetes, changes, message):
    case, sol, _ = diabetes
    with pytest.warns(fp.MismatchWarning, match=message):
        compare(sol, other_run(case, sol.grid, **changes))


def regression(case, l2=0.0, y=None):
    return fp.sgd.linear_regression(case.sgd.model.X, case.sgd.model.y if y is None else y, l2=l2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"l2": 0.05}, r"got one with weight decay 0\.05, where the solution has 0\. What"),
        ({"y": "reversed"}, r"got one with another loss, other data, or another of several minima: \[-?0\.\d+, "),
    ],
)
def test_another_loss_is_warned_of(diabetes, changes, message):
    case, sol, _ = diabetes
    if "y" in changes:
        changes = {"y": case.sgd.model.y[::-1]}
    sgd = replace(case.sgd, model=regression(case, **changes))
    with pytest.warns(fp.MismatchWarning, match=message):
        compare(sol, sgd.simulate(grid=sol.grid, chains=64, steps=256, rng=815))


@pytest.mark.parametrize("settings", [{"label_noise": 0.5}, {"injected_noise": 1e-3}, {"l2": 0.05}])
def test_what_the_solution_has_too_is_not_warned_of(diabetes, settings):
    """The same noise on both sides is silent; the solution with it and a run without, or with more, is not."""
    case, _, _ = diabetes

    def changed(factor):
        given = {key: factor * value for key, value in settings.items()}
        return replace(case.sgd, model=regression(case, given.pop("l2", 0.0)), **given)

    sgd = changed(1.0)
    sol = fp.solve_stationary(sgd.process(), sgd.box(), shape=(64, 64))
    options = {"grid": sol.grid, "chains": 64, "steps": 256, "rng": 816}
    compare(sol, sgd.simulate(**options))
    compare(sol, replace(sgd, learning_rate=0.05, batch_size=2).simulate(**options))  # the same limit
    for factor in (0.0, 2.0):
        with pytest.warns(
            fp.MismatchWarning, match=f"{0.0 if not factor else 2 * next(iter(settings.values())):g}, where"
        ):
            compare(sol, changed(factor).simulate(**options))


def test_a_penalty_within_a_loss_of_ones_own_is_that_of_the_loss():
    rng = np.random.default_rng(108)
    data = np.column_stack([rng.normal(size=(50, 1)), rng.normal(size=50)])

    def gradients(penalty):
        return lambda theta, rows: (rows[:, :1] @ theta - rows[:, 1])[:, None] * rows[:, :1] + penalty * theta

    inside = fp.sgd.numpy_loss(gradients(0.3), data, start=[0.0])
    outside = fp.sgd.linear_regression(data[:, :1], data[:, 1], l2=0.3)
    without = fp.sgd.linear_regression(data[:, :1], data[:, 1])
    solved, own, other = (fp.sgd.SGD(model, learning_rate=0.1, batch_size=2) for model in (outside, inside, without))
    sol = fp.solve_stationary(solved.process(), solved.box(), shape=(64,))
    options = {"grid": sol.grid, "chains": 64, "steps": 64, "rng": 817}
    compare(sol, own.simulate(**options))
    with pytest.warns(fp.MismatchWarning, match=r"weight decay 0, where the solution has 0\.3"):
        compare(sol, other.simulate(**options))


def test_other_data_are_warned_of(diabetes):
    case, sol, _ = diabetes
    part = fp.sgd.linear_regression(case.sgd.model.X[:400], case.sgd.model.y[:400])
    run = fp.sgd.SGD(part, learning_rate=0.1, batch_size=4).simulate(grid=sol.grid, chains=64, steps=256, rng=812)
    with pytest.warns(fp.MismatchWarning, match="400 samples, where the solution has 442"):
        compare(sol, run)


def test_the_tests_on_chains_see_it_too(diabetes):
    case, sol, run = diabetes
    fp.area_test(run, predicted=sol)
    fp.directed_test(run, sol)
    other = other_run(case, sol.grid, label_noise=0.5)
    with pytest.warns(
        fp.MismatchWarning, match=r"^area_test: expected a run of .* label noise 0\.5, where the solution has 0"
    ):
        fp.area_test(other, predicted=sol)
    with pytest.warns(fp.MismatchWarning, match=r"^directed_test: expected a run of .* label noise 0\.5"):
        fp.directed_test(other, sol)
    fp.area_test(other, predicted=sol.circulation)  # a number is not of anything
    rng = np.random.default_rng(109)
    model = fp.sgd.linear_regression(rng.normal(size=(50, 3)), rng.normal(size=50))
    three = fp.sgd.SGD(model, learning_rate=0.1, batch_size=4).simulate(chains=64, steps=64, rng=818)
    with pytest.raises(fp.InvalidInput, match=r"predicted: expected an area rate of shape \(3, 3\), got \(2, 2\)"):
        fp.area_test(three, predicted=sol)


def path_of(case):
    """Of 64 chains with the mean and spread of the case, of points that owe nothing to each other."""
    root = np.linalg.cholesky(case.sgd.covariance())
    return case.sgd.model.minimum + np.random.default_rng(814).normal(size=(64, 50, 2)) @ root.T


def test_runs_of_the_same_diffusion_are_not_warned_of(diabetes):
    case, sol, run = diabetes  # warnings are errors here
    compare(sol, run)
    for changes in (
        {"learning_rate": 0.05, "batch_size": 2},
        {"noise": "gaussian"},
        {"noise": "stable", "alpha": 2.0},
        {"schedule": [0.5] * 50 + [1.0]},  # that of the solution as soon as the burn-in is over
    ):
        compare(sol, other_run(case, sol.grid, **changes))
    compare(sol, case.sgd.simulate(grid=sol.grid, chains=64, steps=512, rng=813, euler_steps=2))
    recorded = fp.sgd.from_trajectory(path_of(case), learning_rate=0.1, grid=sol.grid)  # says nothing of itself
    compare(sol, recorded)
    elsewhere = fp.solve_stationary(
        fp.DiffusionProcess(lambda x: -x, 0.5, dim=2), sol.grid.box, shape=(128, 128), max_wall_mass=1
    )
    compare(elsewhere, replace(run, momentum=0.9))  # a process of one's own may be meant for it
    second = fp.solve_stationary(case.sgd.process(order=2), sol.grid.box, shape=(32, 32))
    with pytest.warns(fp.MismatchWarning, match="learning rate 0.05, batch size 2"):  # which knows η itself
        compare(second, other_run(case, second.grid, learning_rate=0.05, batch_size=2))
    compare(second, other_run(case, second.grid, noise="gaussian"))
    with pytest.warns(
        fp.MismatchWarning, match=r"steps of 0\.05 of a scheme for its diffusion, where .* of steps of 0\.1"
    ):
        compare(second, case.sgd.simulate(grid=second.grid, chains=64, steps=512, rng=813, euler_steps=2))
