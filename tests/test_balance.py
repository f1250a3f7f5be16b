"""Verdicts on processes whose answer is known, and the refusal to claim what the grid cannot see."""

import numpy as np
import pytest

import fokkerplanck as fp
from fokkerplanck.measured import sequence_error


def verdict(process, box, n, **options):
    return fp.detailed_balance(fp.solve_stationary(process, box, shape=(n, n)), **options)


def diagonal(a, b):
    return np.stack([np.stack([a, 0 * a]), np.stack([0 * a, b])])


BOX = fp.Box([-6, -6], [6, 6])
BALANCED = {
    "isotropic": fp.DiffusionProcess(lambda x: -x, 1.0, dim=2),
    "commuting anisotropy": fp.DiffusionProcess(
        lambda x: -np.array([1.0, 2.0])[:, None, None] * x, np.diag([1.5, 1.0]), dim=2
    ),
    "position-dependent and anisotropic": fp.DiffusionProcess(
        lambda x: -np.stack([x[0] * (1 + x[1] ** 2), x[1] * (1 + x[0] ** 2)]),
        lambda x: diagonal(1 + x[1] ** 2, 1 + x[0] ** 2),
        dim=2,
    ),
}
BROKEN = {
    "swirl": fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 1.0, dim=2),
    "rotated anisotropy": fp.DiffusionProcess(
        lambda x: -np.stack([2 * x[0] + x[1], x[0] + x[1]]), np.diag([1.0, 0.5]), dim=2
    ),
    "isotropic, position-dependent": fp.DiffusionProcess(
        lambda x: -np.stack([x[0], 2 * x[1]]), lambda x: diagonal(1 + 0.5 * np.sin(x[0]), 1 + 0.5 * np.sin(x[0])), dim=2
    ),
    "noise across the gradient of its own": fp.DiffusionProcess(
        lambda x: -np.stack([x[0], 2 * x[1]]),
        lambda x: diagonal(1 + 0.3 * x[0] * x[1] / (1 + (x**2).sum(0)), 1 + 0 * x[0]),
        dim=2,
    ),
}


@pytest.mark.parametrize("n", [32, 64, 128])
@pytest.mark.parametrize("name", BALANCED)
def test_balanced(name, n):
    balance = verdict(BALANCED[name], BOX, n)
    assert balance.verdict in (("holds", "undecided") if n < 128 else ("holds",)), balance.reasoning


@pytest.mark.parametrize("n", [32, 64, 128])
@pytest.mark.parametrize("name", BROKEN)
def test_broken(name, n):
    balance = verdict(BROKEN[name], BOX, n)
    assert balance.verdict in (("broken", "undecided") if n < 128 else ("broken",)), balance.reasoning


def test_swirl_has_its_exact_entropy_production():
    """J = ω(y, −x)p with ω = 1, D = 1: σ = ω²⟨r²⟩/D = 2."""
    balance = verdict(BROKEN["swirl"], fp.Box([-7, -7], [7, 7]), 128)  # beyond ±5 are 5e-6 of the spread
    assert balance.entropy_production == pytest.approx(2.0, abs=balance.entropy_production_error)
    assert balance.drift_entropy == pytest.approx(4.0, rel=1e-3)  # ⟨|u|²⟩/D = 2⟨r²⟩


def test_unseen_current_is_undecided_not_absent():
    """A current of 1e-5 of the drift on a grid whose error is larger: never 'holds' at a tolerance finer than the error."""
    case = fp.cases.get("label-noise")
    faint = fp.DiffusionProcess(lambda x: -x + 1e-5 * np.stack([x[1], -x[0]]), case.process.diffusion, dim=2)
    assert verdict(faint, case.box, 128, tolerance=1e-5).verdict == "undecided"
    # and says so: within one per cent of the drift
    assert verdict(faint, case.box, 128, tolerance=1e-2).verdict == "holds"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0], np.inf),
        ([1.0, 0.5, 0.375], 1.25 * 0.125 / 3),  # second order
        ([1.0, 0.5, 0.499], 1.25 * 0.125 / 3),  # faster by accident is not believed
        ([1.0, 0.5, 0.51], 1.5),  # crossing the limit
    ],
)
def test_error_of_entropy_production(values, expected):
    assert sequence_error(values, 1e-14) == pytest.approx(expected)


def test_singular_noise_is_refused():
    underdamped = fp.DiffusionProcess(lambda x: np.stack([x[1], -x[0] - x[1]]), np.diag([0.0, 1.0]), dim=2)
    sol = fp.solve_stationary(underdamped, BOX, shape=(64, 64))
    assert sol.force is None
    with pytest.raises(fp.InvalidInput, match="expected an invertible diffusion tensor"):
        fp.detailed_balance(sol)


def test_bad_tolerance():
    with pytest.raises(fp.InvalidInput, match="tolerance: expected a share"):
        verdict(BALANCED["isotropic"], BOX, 16, tolerance=0)
