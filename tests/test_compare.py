"""Statistics on synthetic runs whose law is known, then on real chains."""

from dataclasses import replace

import numpy as np
import pytest

import fokkerplanck as fp
from fokkerplanck.compare import compare
from fokkerplanck.replicates import total_variation


def groups_of(probability, samples, groups, rng):
    return rng.multinomial(samples, probability, size=groups) / samples


def test_total_variation_covers_the_truth():
    """Over 200 repetitions the interval misses the true distance at most as often as 95 % allows (plus 3 standard errors)."""
    rng = np.random.default_rng(101)
    x = np.linspace(-4, 4, 80)
    p, q = np.exp(-0.5 * x**2), np.exp(-0.5 * (x - 0.15) ** 2)
    p, q = p / p.sum(), q / q.sum()
    true = 0.5 * np.abs(p - q).sum()
    hits = 0
    for _ in range(200):
        interval, floor = total_variation(q, groups_of(p, 2000, 32, rng))
        assert floor < interval.high
        hits += interval.low <= true <= interval.high
    assert hits >= 200 * 0.95 - 3 * np.sqrt(200 * 0.95 * 0.05)


def test_total_variation_of_equal_laws_is_zero_within_noise():
    rng = np.random.default_rng(102)
    p = np.full(50, 0.02)
    results = [total_variation(p, groups_of(p, 1000, 32, rng)) for _ in range(100)]
    # 97.5 % expected of 100, less 3 standard errors
    assert np.mean([interval.low == 0.0 for interval, _ in results]) > 0.9
    plug_in = np.array([interval.high for interval, _ in results])
    floor = np.array([floor for _, floor in results])
    # cross-fitting removes the bias …
    assert abs(np.mean([interval.value for interval, _ in results])) < 0.1 * floor.mean()
    assert np.all(plug_in > floor)  # … which the plug-in distance has


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


def test_one_dimension_has_no_area():
    data = np.random.default_rng(106).normal(size=(60, 1))
    sgd = fp.sgd.SGD(fp.sgd.linear_regression(data, data[:, 0] + 0.5 * data[::-1, 0]), learning_rate=0.1, batch_size=4)
    sol = fp.solve_stationary(sgd.process(), sgd.box(), shape=(128,))
    comparison = compare(sol, sgd.simulate(grid=sol.grid, chains=64, steps=2000, rng=9))
    assert comparison.p_value is None
    assert comparison.circulation.pairs == ()
    assert comparison.sentence.endswith(".")


def test_grids_must_agree(diabetes):
    case, sol, _ = diabetes
    other = fp.Grid(case.box, (64, 64))
    run = case.sgd.simulate(grid=other, chains=64, steps=10, rng=9)
    with pytest.raises(fp.InvalidInput, match=r"expected a run on the solution's grid \(128, 128\)"):
        compare(sol, run)
