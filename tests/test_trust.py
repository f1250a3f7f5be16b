"""A small draw of benchmarks/trust.py: solved to the accuracy asked for or refused, never silently wrong."""

import numpy as np
import pytest
from manufactured import draw
from trust import CONVERGED, Trial, errors, judge, missed, report

import fokkerplanck as fp

RTOL = 1e-3


@pytest.mark.parametrize(("dim", "count", "max_cells", "fewest"), [(1, 12, None, 12), (2, 8, 2**14, 2)])
def test_converged_or_raised_and_never_silently_wrong(dim, count, max_cells, fewest):
    trials = [
        judge(draw(np.random.default_rng(seed), dim), seed, rtol=RTOL, max_cells=max_cells)
        for seed in range(5200, 5200 + count)
    ]
    for trial in trials:
        assert trial.outcome in (CONVERGED, "NotConverged"), trial
        assert not trial.wrong(RTOL), trial
        if trial.converged:
            assert np.isfinite(trial.log_smallest)  # ln p is finite everywhere: p > 0, be it below the smallest double
            assert trial.density_error <= RTOL
            assert trial.current_error <= RTOL
    assert sum(trial.converged for trial in trials) >= fewest


def test_errors_see_a_wrong_answer():
    problem = draw(np.random.default_rng(5203), 1)
    other = draw(np.random.default_rng(5204), 1)
    sol = fp.solve_stationary(problem.process, problem.box, rtol=RTOL)
    _, density, _, current, _ = errors(problem, sol)
    assert density <= RTOL
    assert current <= RTOL
    assert errors(other, sol)[1] > 0.1


def trial(**changes):
    known = {"seed": 77, "dim": 1, "description": "a well", "outcome": CONVERGED, "message": "", "shape": "64"}
    known |= {"seconds": 0.5, "log_smallest": -30.0, "density_error": 2e-4, "density_estimate": 4e-4}
    return Trial(**(known | {"current_error": 1e-16, "current_estimate": 1e-13} | changes))


def test_the_report_counts_and_names_what_failed():
    trials = [
        trial(),
        trial(seed=78, density_error=5e-3, density_estimate=5e-4),
        trial(seed=80, outcome="ZeroDivisionError", message="float division by zero"),
        trial(seed=79, outcome="NotConverged", message="rtol was not reached", density_error=1e-2),
    ]
    text = report(trials, RTOL)
    assert "| converged, the rest raised | 50.0 % (2 of 4) | ≥ 98 % |" in text
    assert "of those converged | 50.0 % (1 of 2) | ≥ 97 % |" in text
    assert "error of p within [1/4, 4] | 50.0 % (1 of 2) | ≥ 95 % |" in text
    assert "error of J within [1/4, 4] | none | ≥ 95 % |" in text
    assert "seed 78: WRONG on 64: error of p 5.00e-03 (estimated 5.00e-04)" in text
    assert "seed 80: CRASHED, ZeroDivisionError after" in text
    assert "seed 79: NotConverged after 0.5 s (a well): rtol was not reached" in text
    assert "seed 77" not in text


def test_three_of_a_hundred_may_be_wrong_and_none_may_crash():
    wrong = trial(density_error=5e-3)
    assert not missed([trial()] * 97 + [wrong] * 3, RTOL)
    assert missed([trial()] * 96 + [wrong] * 4, RTOL)
    assert missed([trial()] * 99 + [trial(outcome="ZeroDivisionError", message="float division by zero")], RTOL)
    assert not missed([trial()] * 9 + [trial(outcome="NotConverged", message="rtol was not reached")], RTOL)
