"""Reference moments of SGD on real data by the moment oracle: a small part of benchmarks/references.py."""

from __future__ import annotations

import numpy as np
import pytest
from references import NAMES, REFERENCES, descent, deterministic, oracle, reference_chains, root_mean_square


@pytest.mark.parametrize("law", ["fp", "em", "sgd"])
@pytest.mark.parametrize(
    "case",
    ["logistic_bc|eta=0.1|B=8", "tanh_bc|eta=0.02|B=8", "phase_iris|eta=0.0005|B=4", "logistic3_iris|eta=0.5|B=8"],
)
def test_the_oracle_has_the_reference_moments(case: str, law: str) -> None:
    chain = descent(case)
    found = list(deterministic(case, law, "oracle", oracle(chain, law), chain, tuple(NAMES)))
    assert len(found) == {2: 10, 3: 15 + 3}[chain.model.dim] + (law == "fp")
    assert max(abs(row.z) for row in found) < 4.0


def test_simulations_scatter_about_the_oracle_as_their_errors_say() -> None:
    found = []
    for case in REFERENCES:
        if "simulated" in REFERENCES[case]:
            found += reference_chains(case, oracle(descent(case), "sgd"))
    assert len(found) == 92
    # One seed for all of them: the deviations of the two step sizes of a problem go together, and with statistics of one chain
    # there are some twenty independent ones among the 92, whose rms has a standard deviation of 0.16.
    assert 0.6 < root_mean_square(found) < 1.4
    assert max(abs(row.z) for row in found) < 4.0


def test_the_diffusion_is_not_what_was_simulated() -> None:
    case = "logistic_bc|eta=0.5|B=8"
    found = list(reference_chains(case, oracle(descent(case), "fp")))
    assert root_mean_square(found) > 20.0
    assert np.isfinite([row.z for row in found]).all()
