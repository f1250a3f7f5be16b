"""Tests of a zero mean, and distances between laws, on replicates whose law is known."""

import numpy as np
import pytest
from scipy import stats

import fokkerplanck as fp
from fokkerplanck.replicates import (
    Interval,
    check_rows,
    chi_square,
    hellinger,
    mean_test,
    needed_noncentrality,
    noncentrality,
    pooled,
    sign_flip,
    square_norm,
    t_squared,
    total_variation,
)


def groups_of(probability, samples, groups, rng):
    return rng.multinomial(samples, probability, size=groups) / samples


def binomial_band(share, count, sigmas=3.5):
    return sigmas * np.sqrt(share * (1 - share) / count)


@pytest.mark.parametrize("q", [1, 3])
def test_mean_test_is_calibrated(q):
    """p-values of the null are uniform (Kolmogorov–Smirnov at 1e-3), those of a shift are not."""
    rng = np.random.default_rng(103)
    mix = rng.normal(size=(q, q))
    null = [mean_test(rng.normal(size=(32, q)) @ mix) for _ in range(1000)]
    assert stats.kstest(null, "uniform").pvalue > 1e-3
    shifted = [mean_test(rng.normal(size=(32, q)) @ mix + mix.sum(axis=0)) for _ in range(100)]
    assert np.mean(np.array(shifted) < 0.05) > 0.9


def test_mean_test_is_students():
    rows = np.random.default_rng(104).normal(0.2, 1.0, size=(12, 1))
    expected = stats.ttest_1samp(rows[:, 0], 0.0)
    assert mean_test(rows) == pytest.approx(expected.pvalue, rel=1e-12)
    assert t_squared(rows) == pytest.approx(expected.statistic**2, rel=1e-12)
    one_sided = stats.ttest_1samp(rows[:, 0], 0.0, alternative="greater").pvalue
    assert mean_test(rows, tail=1) == pytest.approx(one_sided, rel=1e-12)


def test_statistic_does_not_know_the_units():
    rng = np.random.default_rng(105)
    rows, mix = rng.normal(size=(20, 3)) + 0.3, rng.normal(size=(3, 3)) * [1e-9, 1.0, 1e9]
    assert t_squared(rows @ mix) == pytest.approx(
        t_squared(rows), rel=1e-6
    )  # mix has a condition of 1e18 but for scale


@pytest.mark.parametrize("chains", [10, 40])  # all flips, and random ones
@pytest.mark.parametrize("q", [1, 3])
def test_sign_flips_are_exact_for_any_distribution(q, chains):
    """Rows of wildly different sizes and random signs: size at 5 % within binomial error; Student's t here is far off it."""
    rng = np.random.default_rng(106)
    sizes = rng.pareto(0.8, size=(200, chains, 1)) * (1.0 + rng.random((200, chains, q)))
    rows = sizes * rng.choice([-1.0, 1.0], size=(200, chains, 1)) * np.sign(rng.normal(size=q))
    found = np.array([sign_flip(one, rng) for one in rows])
    assert np.mean(found <= 0.05) == pytest.approx(0.05, abs=binomial_band(0.05, len(found)))
    assert sign_flip(1.0 + rng.random((chains, q)), rng) < 0.01


def test_flips_of_few_rows_are_all_of_them():
    assert sign_flip(np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]]), np.random.default_rng(3)) == 2 / 2**6
    # of ±1 ± 2 ± 3 four are at least 4 in size: ±6 and ±4
    assert sign_flip(np.array([[-1.0], [2.0], [3.0]]), np.random.default_rng(3)) == 4 / 8


def test_noncentrality_is_unbiased_and_covered():
    rng = np.random.default_rng(107)
    shift = np.array([0.3, -0.2, 0.4])
    mix = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 2.0]])
    true = 32 * float(shift @ np.linalg.solve(mix.T @ mix, shift))
    found = [noncentrality(rng.normal(size=(32, 3)) @ mix + shift) for _ in range(400)]
    values = np.array([one.value for one in found])
    assert values.mean() == pytest.approx(true, abs=4 * values.std() / 20)
    inside = np.mean([one.low <= true <= one.high for one in found])
    assert inside == pytest.approx(0.95, abs=binomial_band(0.95, 400))


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_noncentrality_of_a_large_effect(size):
    """Where scipy's own inverse stops at 1e4: the bounds are those of a scaled χ² of the denominator."""
    rows = np.random.default_rng(108).normal(size, 1.0, size=(40, 1))
    found = noncentrality(rows)
    expected = 40 * size**2 / rows.var(ddof=1) * np.array(stats.chi2.ppf([0.025, 0.975], 39)) / 39
    np.testing.assert_allclose([found.low, found.high], expected, rtol=2e-2 if size < 1e3 else 2e-3)


def test_needed_noncentrality():
    assert needed_noncentrality(1, power=0.8, level=0.05) == pytest.approx((1.959964 + 0.841621) ** 2, rel=1e-4)
    assert stats.ncx2.sf(stats.chi2.isf(0.01, 3), 3, needed_noncentrality(3, power=0.9, level=0.01)) == pytest.approx(
        0.9
    )


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
def shifted():
    x = np.linspace(-6, 6, 90)
    p, q = np.exp(-0.5 * x**2), np.exp(-0.5 * (x - 0.15) ** 2)
    p, q = p / p.sum(), q / q.sum()
    rng = np.random.default_rng(109)
    return p, q, [groups_of(p, 1000, 32, rng) for _ in range(300)]


def test_chi_square_is_unbiased_and_covered(shifted):
    p, q, repetitions = shifted
    rng = np.random.default_rng(110)
    q_bins, p_bins = pooled(q, p[None])
    true = float(np.sum((p_bins[0] - q_bins) ** 2 / q_bins))
    assert true == pytest.approx(np.sum((p - q) ** 2 / q), rel=0.02)  # pooling the tails costs little
    found = [
        square_norm((seen_bins - q_bins) / np.sqrt(q_bins))[0] for seen_bins in (pooled(q, s)[1] for s in repetitions)
    ]
    assert found[0] == chi_square(q, repetitions[0], rng)[0]
    values = np.array([one.value for one in found])
    assert values.mean() == pytest.approx(true, abs=4 * values.std() / np.sqrt(len(values)))
    plug_in = np.mean([np.sum((seen.mean(axis=0) - q) ** 2 / q) for seen in repetitions])
    assert plug_in > 1.1 * true  # what the plain estimate makes of it
    assert np.mean([one.low <= true <= one.high for one in found]) > 0.95 - binomial_band(0.95, 300) - 0.02


def test_hellinger_is_covered(shifted):
    p, q, repetitions = shifted
    true = np.sqrt(1 - np.sum(np.sqrt(p * q)))
    found = [hellinger(q, seen) for seen in repetitions]
    assert np.mean([one.value for one in found]) == pytest.approx(true, rel=0.02)
    assert np.mean([one.low <= true <= one.high for one in found]) > 0.95 - binomial_band(0.95, 300) - 0.02


def test_equal_laws_are_seldom_told_apart(shifted):
    p, _, repetitions = shifted
    rng = np.random.default_rng(111)
    found = np.array([chi_square(p, seen, rng)[1] for seen in repetitions[:100]])
    assert np.mean(found < 0.05) == pytest.approx(0.05, abs=binomial_band(0.05, 100))


def test_pooling_keeps_all_probability():
    expected = np.array([0.5, 0.4, 0.0999, 6e-5, 4e-5, 0.0])
    seen = np.full((3, 6), 1 / 6)
    q, p = pooled(expected, seen)
    assert q.tolist() == pytest.approx(
        [0.5, 0.4, 0.1]
    )  # what is expected less than 1e-4 together joins the smallest bin
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    q, p = pooled(np.array([0.6, 0.3998, 9e-5, 9e-5, 2e-5]), np.full((3, 5), 0.2))
    assert q.tolist() == pytest.approx([0.6, 0.3998, 2e-4])
    np.testing.assert_allclose(p[:, -1], 0.6)
    assert expected[2] == 0.0999  # and the argument stays as it was


def test_refused_replicates():
    rng = np.random.default_rng(112)
    with pytest.raises(fp.InvalidInput, match=r"expected more than 7 independent replicates for 3 areas, got 7"):
        check_rows(rng.normal(size=(7, 3)), "areas")
    with pytest.raises(fp.InvalidInput, match="expected finite areas, got 1 that are not"):
        check_rows(np.array([[np.nan], *[[k] for k in range(9)]]), "areas")
    with pytest.raises(fp.InvalidInput, match="that differ between replicates, got standard deviations"):
        check_rows(np.ones((9, 1)), "areas")
    rows = rng.normal(size=(30, 2))
    with pytest.raises(fp.InvalidInput, match="some are sums of others"):
        check_rows(np.column_stack([rows, rows.sum(axis=1)]), "areas")


def test_intervals_are_readable():
    assert str(Interval(0.0123, 0.01, 0.02)) == "0.0123 [0.0100, 0.0200]"
    assert str(Interval(1.234e-6, 1e-6, 2e-6)) == "1.234e-06 [1e-06, 2e-06]"


@pytest.mark.parametrize(("length", "direction"), [(0.0, 0), (0.25, 0), (0.5, 0), (1.0, 0), (0.5, 5), (2.0, 1)])
def test_intervals_of_a_squared_norm_cover_it_where_noise_is_strong_in_few_directions(length, direction):
    """Near zero the estimate is skewed, and symmetric bounds missed it above in up to a tenth of all cases, and never below."""
    rng, count, repeats = np.random.default_rng(105), 32, 1500
    scales = 0.6 ** np.arange(20)
    mean = np.zeros(20)
    mean[direction] = length * scales[direction] / np.sqrt(count) * 4.0
    low, high = [], []
    for _ in range(repeats):
        interval, _ = square_norm(mean + scales * rng.standard_normal((count, 20)))
        low.append(interval.low > mean @ mean)
        high.append(interval.high < mean @ mean)
    band = binomial_band(0.05, repeats)
    assert np.mean(low) + np.mean(high) < 0.05 + 0.02 + band
    assert np.mean(low) < 0.045 + binomial_band(0.045, repeats)
    assert np.mean(low) + np.mean(high) > (0.03 if direction == 0 else 0.0) - band
