"""Cases of SGD on data agree with independent reference moments; what cannot be a case is refused."""

import numpy as np
import pytest

import fokkerplanck as fp
from fokkerplanck import cases

# Stationary moments of the Fokker–Planck equation, computed independently by a Hermite–Galerkin method to 8 digits:
# mean, covariance (00, 01, 11), circulation A_01, entropy production.
REFERENCE = {
    "breast-cancer": (
        (-1.1691437366571265, -0.451459466208669),
        (0.0035166184969571157, -0.003065044024647605, 0.014569195370945242),
        0.0001831363641638475,
        0.007163837198740128,
    ),
    "diabetes": (
        (0.4169801792969866, 0.7596883179753717),
        (0.006614264363351019, -0.0008084917518284328, 0.006553721956032175),
        -0.00030993725465722975,
        0.015302601752203679,
    ),
}
# Exact moments of the discrete chain at the same settings, by the same method: the stated effect of the finite learning rate.
CHAIN = {
    "breast-cancer": ((0.003695709236192729, -0.003221559520512943, 0.015490041403388092), 0.00020035920250702344),
    "diabetes": ((0.006957866238499145, -0.0007467067094318569, 0.006638938900953734), -0.0003155878952808581),
}


@pytest.fixture(scope="module", params=REFERENCE)
def solved(request):
    case = cases.get(request.param)
    return request.param, case, fp.solve_stationary(case.process, case.box, rtol=1e-3)


def test_solution_has_the_reference_moments(solved):
    name, _, sol = solved
    mean, (c00, c01, c11), area, production = REFERENCE[name]
    deviation = np.sqrt([c00, c11])
    # A second-order scheme at L1 error 5e-5 moves the mean by less than that many deviations, the rest by its square's scale.
    assert np.all(np.abs(sol.mean - mean) < 1e-4 * deviation)
    np.testing.assert_allclose(sol.covariance, [[c00, c01], [c01, c11]], rtol=2e-4)
    assert sol.circulation[0, 1] == pytest.approx(area, rel=1e-3)
    balance = fp.detailed_balance(sol)
    assert balance.verdict == "broken"
    assert abs(balance.entropy_production - production) < 1.2 * balance.entropy_production_error
    assert sol.diagnostics["wall_mass"] == {wall: m for wall, m in sol.diagnostics["wall_mass"].items() if m < 1e-6}


def test_simulation_has_the_reference_moments_and_circulation(solved):
    name, case, sol = solved
    (c00, c01, c11), area = CHAIN[name]
    run = case.sgd.simulate(grid=sol.grid, chains=1024, steps=8000, rng=20263)
    z = (run.covariance - [[c00, c01], [c01, c11]]) / run.covariance_error
    assert np.abs(z).max() < 4
    comparison = fp.compare(sol, run, finite=case.sgd.chain_moments())
    circulation = comparison.circulation
    assert circulation.finite[0] == pytest.approx(area, rel=1e-8)
    assert abs(circulation.z_finite[0]) < 3
    assert circulation.measured[0] * REFERENCE[name][2] > 0
    assert comparison.p_value < 1e-12
    # The diffusion limit itself is off by the stated effect of the learning rate, 9 % and 2 %, and by no more.
    assert circulation.measured[0] == pytest.approx(
        circulation.predicted[0], abs=abs(area - REFERENCE[name][2]) + 3 * circulation.error[0]
    )


def test_epoch_shuffling_is_compared_with_independent_batches():
    case = cases.get("breast-cancer", sampling="epoch")
    independent = cases.get("breast-cancer", sampling="without_replacement")
    x = np.array(independent.box.lower)[:, None] + 0.1
    np.testing.assert_array_equal(case.process.diffusion(x), independent.process.diffusion(x))
    assert case.sgd.sampling == "epoch"


def test_sampling_without_replacement_scales_the_noise():
    with_, without = cases.get("breast-cancer"), cases.get("breast-cancer", sampling="without_replacement")
    x = np.array([[-1.0], [-0.4]])
    np.testing.assert_allclose(without.process.diffusion(x), with_.process.diffusion(x) * (569 - 8) / 568, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("wine", {}, "expected the name of a case, one of breast-cancer, .*got 'wine'"),
        (
            "four-vortices",
            {"learning_rate": 0.1},
            "expected parameters among noise, alpha, beta, gamma, delta; got learning_rate",
        ),
        ("four-vortices", {"noise": "much"}, "expected a finite number for noise, by default 1.0, got 'much'"),
        ("label-noise", {"temperature": 0.5}, "expected 0 < ε < 1/3"),
        ("swirl", {"temperature": -1.0}, "temperature: expected a positive number, got -1.0"),
        ("tilted-ratchet", {"temperature": 0.0}, "temperature: expected a positive number"),
        ("brownian-gyrator", {"cold": -1.0}, "hot, cold: expected temperatures of at least 0"),
        ("double-well", {"tilt": float("nan")}, "expected a finite number for tilt, by default 0.3, got nan"),
        ("double-well", {"tilt": 1e300}, "expected parameters of moderate size, .* got tilt = 1e\\+300: overflow"),
        ("ornstein-uhlenbeck", {"hessian": [[1, 2], [3]]}, "expected a list of finite numbers for hessian"),
        ("ornstein-uhlenbeck", {"hessian": [1, 2]}, "expected a list of finite numbers for hessian"),
        ("anisotropic-label-noise", {"curvatures": ["a", "b"]}, "expected a list of finite numbers for curvatures"),
        ("breast-cancer", {"batch_size": 1000}, "batch larger than the data"),
        ("breast-cancer", {"learning_rate": 10.0}, "beyond linear stability"),
        ("breast-cancer", {"learning_rate": -0.5}, "learning_rate: expected a positive number"),
    ],
)
def test_bad_requests(name, changes, message):
    with pytest.raises(fp.InvalidInput, match=message):
        cases.get(name, **changes)
