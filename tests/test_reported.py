"""A small draw of benchmarks/reported.py: numbers of currents lie within their reported errors."""

import numpy as np
import pytest
from known import ornstein_uhlenbeck
from reported import Trial, exact_numbers, report, trials


def test_quadrature_knows_what_is_known_in_closed_form():
    numbers = exact_numbers(ornstein_uhlenbeck())
    assert numbers["entropy production"] == pytest.approx(1 / 6, rel=1e-6)  # the walls are at six deviations
    assert numbers["area rate"] == pytest.approx(-1 / 6, rel=1e-6)
    assert numbers["variance of x₀"] == pytest.approx(5 / 6, rel=1e-6)
    assert numbers["largest |ψ|"] == pytest.approx(np.sqrt(19 / 36) / (2 * np.pi) * 6 / 19, rel=1e-6)
    assert numbers["|cos(J, ∇p)|"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize(("dim", "count", "cells"), [(1, 6, (64, 128)), (2, 4, (32, 64))])
def test_numbers_lie_within_their_reported_errors(dim, count, cells, order):
    found = [trial for seed in range(8300, 8300 + count) for trial in trials(dim, seed, cells, order)]
    ratios = np.array([trial.ratio for trial in found])
    assert len(found) >= 20
    assert np.mean(ratios <= 1.0) >= 0.95
    assert ratios.max() <= 10.0  # three values of a number may agree by accident: here one of 200 does
    # They are no wild guesses either: in half of the cases where there is a number, within a factor of 500.
    assert np.median(ratios[[abs(t.value) > 1e-6 for t in found]]) > 2e-3


def test_the_report_counts_and_names_what_is_far_off():
    known = {"seed": 7, "shape": (32, 32), "order": 4, "value": 0.25}
    text = report(
        [Trial("area rate", true=1e-3, reported=4e-3, **known), Trial("area rate", true=3e-3, reported=1e-3, **known)],
        "two",
    )
    assert "| area rate | 2 | 50.0 % | 1.6, 2.9, 3 |" in text
    assert "seed 7 on (32, 32), order 4: area rate 0.25 ± 0.001 misses by 0.003" in text
