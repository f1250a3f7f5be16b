"""Shuffled epochs and minibatches against numbers that were computed elsewhere, by simulation and enumeration."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from fokkerplanck.sgd.quadratic import epoch_shuffling, minibatch_covariance

EXACT = 1e-11  # the numbers are printed to 16 digits; what is lost is round-off of both sides

EPOCHS = json.loads("""[
{"B": 1, "rate": 0.05, "mean": 0.0068942755749684505, "independent": 0.024358974358974356,
 "positions": [0.002029662909563593, 0.004206770775881143, 0.005934110625232731, 0.007267409839272539, 0.008256368629943467,
  0.008945277376023979, 0.00937357228498664, 0.009576335467669192, 0.009584744916016758, 0.009426479335328171,
  0.009126082296325567, 0.008705289733816122, 0.008183324423082238, 0.007577160708229248, 0.006901762434754541,
  0.006170296748164738, 0.0053943261584775085, 0.004583981034121836, 0.0037481144755860457,
  0.0028944413268929435]},
{"B": 2, "rate": 0.01, "mean": 8.12792669766604e-05, "independent": 0.0022613065326633135,
 "positions": [2.0916684428795174e-06, 4.705004424086622e-05, 8.121374836047298e-05, 0.00010489659476809956,
  0.00011840516253221437, 0.00012203894969782328, 0.00011609052399983664, 0.00010084567047922984,
  7.658353606461327e-05, 4.357677118056836e-05]},
{"B": 2, "rate": 0.05, "mean": 0.0019179392536964133, "independent": 0.011538461538461539,
 "positions": [0.0002711355304384899, 0.0013696998162207375, 0.0021236540841392156, 0.0025784728109356416,
  0.0027746029618694167, 0.0027479838605871487, 0.002530514887304901, 0.0021504761662614227,
  0.0016329068964962474, 0.0009999455227109092]},
{"B": 2, "rate": 0.2, "mean": 0.025391684835555567, "independent": 0.05000000000000003,
 "positions": [0.015251842872575088, 0.027761179438448066, 0.032567154840606766, 0.03308297909798834, 0.031365106622712545,
  0.028627268238536036, 0.025564331672663067, 0.022555476270504374, 0.019790948013122794, 0.017350561288398597]}]""")


@pytest.mark.parametrize("case", EPOCHS, ids=lambda case: f"B={case['B']}, η={case['rate']}")
def test_shuffled_epochs(case: dict[str, Any]) -> None:
    z = np.arange(1, 21) - 10.5
    spread = np.var(z) / np.var(z, ddof=1)  # targets of unit variance, normalised by 1/(n − 1)
    state = epoch_shuffling([[1.0]], [[spread]], n=20, batch_size=case["B"], learning_rate=case["rate"])
    np.testing.assert_allclose(
        state.positions[:, 0, 0], case["positions"], rtol=1e-11
    )  # differences of nearly equal sums
    assert state.mean[0, 0] == pytest.approx(case["mean"], rel=EXACT)
    assert state.independent[0, 0] == pytest.approx(case["independent"], rel=EXACT)


@pytest.mark.parametrize(
    ("batches", "step", "boundary", "mean"),
    [
        (100, 0.0001, 8.417424226528935e-06, 0.003358434309530759),
        (100, 0.001, 0.0008416665925154745, 0.03285758250599267),
        (100, 0.01, 0.07722483091019533, 0.26793531745354143),
        (100, 0.1, 0.8181920131954458, 0.8363631534291113),
        (10, 0.05, 0.023498412638002463, 0.16622140198702248),
    ],
)
def test_suppression_by_epochs(batches: int, step: float, boundary: float, mean: float) -> None:
    state = epoch_shuffling([[1.0]], [[1.0]], n=10 * batches, batch_size=10, learning_rate=step)
    # sums of M terms that cancel to (ηh)² M² /12 of themselves
    assert (state.boundary / state.independent).item() == pytest.approx(boundary, rel=1e-9)
    assert (state.mean / state.independent).item() == pytest.approx(mean, rel=1e-9)


def test_covariance_of_batches_without_replacement() -> None:
    gradients = np.array([[1, 0], [2, 1], [-1, 3], [0, -2], [4, 1], [0, 3]], dtype=float)
    Sigma = np.cov(gradients.T, ddof=0)
    traces = {1: 5.666666666666666, 2: 2.2666666666666666, 3: 1.1333333333333333, 6: 0.0}
    for batch, trace in traces.items():
        C = minibatch_covariance(Sigma, batch_size=batch, n=6, sampling="without_replacement")
        assert np.trace(C) == pytest.approx(trace, rel=EXACT)
    expected = [[1.0666666666666667, -0.2], [-0.2, 1.2]]
    C = minibatch_covariance(Sigma, batch_size=2, n=6, sampling="without_replacement")
    np.testing.assert_allclose(C, expected, rtol=EXACT)
