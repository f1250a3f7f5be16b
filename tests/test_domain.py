"""Boxes found hold the density, whatever its place, scale and shape; what has no box is refused with the reason."""

import warnings

import numpy as np
import pytest
from scipy.special import ndtr

import fokkerplanck as fp
from fokkerplanck.solvers import attractors


def linear(H, center):
    return lambda x: -np.einsum("ij,j...->i...", np.asarray(H, float), (x.T - np.asarray(center, float)).T)


def strips(domain):
    """Largest and smallest of the masses at the walls."""
    return max(domain.wall_masses.values()), min(domain.wall_masses.values())


@pytest.mark.parametrize(
    ("H", "D", "center", "deviation"),
    [
        ([[1, 0], [0, 5]], np.diag([1e-6, 500]), [1e3, -2e4], [1e-3, 10]),
        ([[2, 1], [1, 1]], np.diag([1, 0.5]), [0, 0], np.sqrt([5 / 6, 7 / 6])),
        ([[1, 0], [0, 1]], [[1, 0.999], [0.999, 1]], [0, 3], [1, 1]),  # a ridge
        (
            [[0, -1], [1, 0.5]],
            np.diag([0, 0.25]),
            [7, 0],
            np.sqrt([0.5, 0.5]),
        ),  # damped oscillator, noise on the velocity
        ([[1, -100], [100, 1]], 0.5, [0, 0], np.sqrt([0.5, 0.5])),  # an end reached after turning a hundred times
        (np.diag([1, 2, 1e4]), np.diag([1, 2, 1]), [5, -1000, 0.1], [1, 1, 1e-2]),
    ],
)
def test_linear_processes_are_boxed_exactly(H, D, center, deviation):
    domain = fp.find_box(fp.DiffusionProcess(linear(H, center), D, dim=len(center)))
    lower, upper = np.array(domain.box.lower), np.array(domain.box.upper)
    np.testing.assert_allclose(domain.attractors, [center], rtol=1e-9, atol=1e-9 * np.max(deviation))
    np.testing.assert_allclose(0.5 * (lower + upper), center, rtol=1e-9, atol=1e-6 * np.max(deviation))
    # differences of the drift over a deviation lose what round-off at a position 10⁶ deviations off leaves: 10⁻⁸
    reach = (upper - lower) / (2 * np.asarray(deviation))
    np.testing.assert_allclose(reach, reach[0], rtol=1e-6)
    assert ndtr(-reach[0] * (1 - 2 / 32)) == pytest.approx(strips(domain)[0], rel=1e-4)
    assert 1e-9 < strips(domain)[0] <= 1e-6
    assert "linear" in domain.reason


def test_units_and_place_do_not_matter():
    """The same wells in other units, elsewhere: the same box, transformed."""
    wells = fp.find_box(fp.DiffusionProcess(lambda x: x - x**3, 0.1, dim=1))
    scale, shift = 1e-6, 3e-5
    moved = fp.DiffusionProcess(lambda x: scale * ((y := (x - shift) / scale) - y**3), 0.1 * scale**2, dim=1)
    box = fp.find_box(moved).box
    np.testing.assert_allclose(
        (np.r_[box.lower, box.upper] - shift) / scale, np.r_[wells.box.lower, wells.box.upper], rtol=0.05
    )
    np.testing.assert_allclose(np.sort(wells.attractors.ravel()), [-1, 1], atol=1e-8)
    assert wells.reason.startswith("2 attractors with the linearised noise about them")


def maier_stein(x):
    return np.stack([x[0] - x[0] ** 3 - 10 * x[0] * x[1] ** 2, -(1 + x[0] ** 2) * x[1]])


def ring(x):
    return x * (1 - (x**2).sum(0))


def underdamped_wells(x):
    return np.stack([x[1], x[0] - x[0] ** 3 - 0.5 * x[1]])


def van_der_pol(x):
    return np.stack([x[1], 2 * (1 - x[0] ** 2) * x[1] - x[0]])


def turning(x):
    """A cycle of radius 1 with its exact radial density e^{−(r²−1)²/4D}."""
    return ring(x) + 5 * np.stack([-x[1], x[0]])


@pytest.mark.parametrize(
    ("drift", "diffusion", "holds"),
    [
        (lambda x: x - x**3, 0.1, [1.7]),
        (lambda x: -(x**3), 0.1, [1.4]),  # its linearisation is degenerate
        (lambda x: -np.tanh(50 * x), 0.1, [1.2]),  # exponential tails, thirty times as wide as the linearisation says
        (lambda x: -np.sinh(x), 1.0, [3.3]),  # overflows at the outer starts
        (ring, 0.01, [1.25, 1.25]),
        (ring, 0.2, [1.8, 1.8]),
        (turning, 0.05, [1.5, 1.5]),
        (maier_stein, 0.05, [1.5, 0.6]),
        (van_der_pol, 0.05, [2.4, 4.5]),
        (underdamped_wells, np.diag([0, 0.1]), [1.7, 1.6]),
        (lambda x: np.stack([*underdamped_wells(x[:2]), -3 * x[2] + x[0]]), np.diag([0.02, 0.1, 0.1]), [1.7, 1.6, 1.0]),
    ],
)
def test_wells_rings_and_cycles(drift, diffusion, holds):
    """``holds``: at least that far on both sides of the origin, from the known density or a long simulation; and not thrice."""
    domain = fp.find_box(fp.DiffusionProcess(drift, diffusion, dim=len(holds)))
    reach = np.concatenate([-np.array(domain.box.lower), domain.box.upper]).reshape(2, -1)
    assert (reach > holds).all()
    assert (reach < 3 * np.array(holds)).all()
    assert all(mass <= 1e-6 for mass in domain.wall_masses.values())


def test_the_exact_mass_at_the_walls_of_a_double_well():
    domain = fp.find_box(fp.DiffusionProcess(lambda x: x - x**3, 0.4, dim=1), wall_mass=1e-5)
    x = np.linspace(-6, 6, 240_001)
    p = np.exp((x**2 / 2 - x**4 / 4) / 0.4)
    low, high = domain.box.lower[0], domain.box.upper[0]
    cut = p[(x < low + (high - low) / 32) | (x > high - (high - low) / 32)].sum() / p.sum()
    assert 1e-9 < cut < 2e-5  # two walls


def test_a_well_linear_as_far_as_the_noise_goes_may_have_a_neighbour():
    """b = −x below 30 and 60 − x above: sixty deviations apart, and both in the box."""
    domain = fp.find_box(fp.DiffusionProcess(lambda x: np.where(x < 30, -x, 60 - x), 1.0, dim=1))
    np.testing.assert_allclose(np.sort(domain.attractors.ravel()), [0, 60], atol=1e-6)
    assert domain.box.lower[0] < -4
    assert domain.box.upper[0] > 64


def test_the_solver_agrees_with_the_walls():
    process = fp.DiffusionProcess(turning, 0.05, dim=2)
    solution = fp.solve_stationary(process, fp.find_box(process).box, shape=(64, 64))
    assert max(solution.diagnostics["wall_mass"].values()) < 1e-5


@pytest.mark.parametrize("name", ["label-noise", "breast-cancer", "four-vortices"])
def test_cases(name):
    """The boxes that come with the cases hold better than 1e-4; those found are within a factor of two of them."""
    case = fp.cases.get(name)
    domain = fp.find_box(case.process)
    assert len(domain.attractors) == 1
    ratio = domain.box.widths / case.box.widths
    assert ((ratio > 0.5) & (ratio < 2)).all()


def test_power_tails_that_a_box_can_hold():
    """b = −x, D = 0.3(1 + x²): p ∝ (1 + x²)^(−1 − 1/0.6), whose mass beyond R is known."""
    domain = fp.find_box(fp.DiffusionProcess(lambda x: -x, lambda x: 0.3 * (1 + x**2)[None], dim=1), wall_mass=1e-5)
    x = np.sinh(np.linspace(-12, 12, 100_001))
    p = (1 + x**2) ** (-1 - 1 / 0.6) * np.cosh(np.arcsinh(x))
    cut = p[np.abs(x) > domain.box.upper[0]].sum() / p.sum()
    assert 1e-7 < cut < 1e-4
    assert len(domain.history) > 1


@pytest.mark.parametrize("interpretation", ["ito", "stratonovich", "isothermal"])
def test_the_stable_points_are_those_of_the_density(interpretation):
    """b = −x, σ² = 2D = 2(0.1 + (x − 1)²/4): the maximum of p, where b = 0, D'/2 or D' (isothermal, Stratonovich, Itô)."""
    process = fp.DiffusionProcess(
        lambda x: 0.5 - x, lambda x: (0.1 + (x - 1) ** 2 / 4)[None], dim=1, interpretation=interpretation
    )
    share = {"ito": 0.5, "stratonovich": 0.25, "isothermal": 0.0}[interpretation]
    peak = (0.5 + share) / (1 + share)  # 0.5 − x = share (x − 1)
    np.testing.assert_allclose(fp.find_box(process, wall_mass=1e-3).attractors, [[peak]], atol=1e-6)


def test_noise_matrix_in_the_stratonovich_sense():
    def sigma(x):
        zero = 0 * x[0]
        return np.stack([np.stack([0.5 + zero, 0.3 * x[1]]), np.stack([zero, 0.4 + 0.1 * x[0] ** 2])])

    process = fp.DiffusionProcess(
        lambda x: np.stack([-x[0], -2 * x[1]]), noise=sigma, dim=2, interpretation="stratonovich"
    )
    domain = fp.find_box(process)
    assert strips(domain)[0] <= 1e-6
    assert (domain.box.widths > 2 * 5 * np.array([0.35, 0.2])).all()  # five deviations of the additive part


@pytest.mark.parametrize(
    ("drift", "diffusion", "dim", "text"),
    [
        (lambda x: 0 * x, 1, 2, "does not confine itself.*no nearer"),
        (lambda x: x, 1, 1, "runs away to infinity from 16 of 16 starts"),
        (lambda x: 1 + 0 * x, 1, 1, "runs away|no nearer"),
        (lambda x: -x + x**3, 0.01, 1, "runs away to infinity.*metastable"),
        (lambda x: 1 - 2 * np.sin(x), 1, 1, "no nearer.*angle"),
        (lambda x: -x / (1 + x**2), 1, 1, "no normalisable state.*piles up at the walls at every size"),
    ],
)
def test_no_stationary_state(drift, diffusion, dim, text):
    with pytest.raises(fp.NoStationaryState, match=text):
        fp.find_box(fp.DiffusionProcess(drift, diffusion, dim=dim))


def test_heavy_tails_say_how_heavy():
    """p ∝ (1 + x²)^(−4/3): the mass beyond R falls like R^(−5/3)."""
    process = fp.DiffusionProcess(lambda x: -x, lambda x: 1.5 * (1 + x**2)[None], dim=1)
    with pytest.raises(
        fp.HeavyTails, match=r"falls like \(width\)\^-1\.[4-7].*stretched axes.*larger wall_mass"
    ) as caught:
        fp.find_box(process)
    widths = [h["upper"][0] - h["lower"][0] for h in caught.value.history]
    assert widths == sorted(widths)
    assert len(widths) >= 3


@pytest.mark.parametrize(
    ("drift", "diffusion", "text"),
    [
        (lambda x: -np.log(x), 0.5, "not defined beyond x = .* of the probability sits"),
        (lambda x: -x, 0.0, "noise vanishes at the attractor"),
        (lambda x: x - x**3, lambda x: 0.1 * x[None] ** 2, r"no density was found .* never entered again"),
    ],
)
def test_where_no_box_can_be_found(drift, diffusion, text):
    with pytest.raises(fp.BoxNotFound, match=text):
        fp.find_box(fp.DiffusionProcess(drift, diffusion, dim=1))


def test_no_attractor_lists_what_was_tried():
    """The only rest is an unstable one, and the process is not defined where trajectories leave for."""
    process = fp.DiffusionProcess(lambda x: np.where(np.abs(x) < 5, x, np.nan), 0.1, dim=1)
    with pytest.raises(fp.BoxNotFound, match=r"no attractor was found.*16 left the region.*guess="):
        fp.find_box(process)


def test_a_log_drift_is_boxed_where_it_is_defined():
    """b = −ln x with little noise stays at positive x; the search may not."""
    domain = fp.find_box(fp.DiffusionProcess(lambda x: -np.log(x), 0.02, dim=1))
    assert domain.box.lower[0] > 0
    np.testing.assert_allclose(domain.attractors, [[1.0]], rtol=1e-8)


def test_a_guess_reaches_what_the_search_does_not():
    """Defined only near 10⁹: no start from the origin is."""

    def drift(x):
        return np.where(np.abs(x - 1e9) < 1e3, 1e9 - x, np.nan)

    process = fp.DiffusionProcess(drift, 1.0, dim=1)
    with pytest.raises(fp.InvalidInput, match="finite"):
        fp.find_box(process)
    np.testing.assert_allclose(fp.find_box(process, guess=[1e9 + 10]).attractors, [[1e9]], rtol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"wall_mass": 0.5}, "wall_mass: expected"),
        ({"guess": [1, 2]}, "guess: expected 1"),
        ({"guess": np.nan}, "guess"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(fp.InvalidInput, match=text):
        fp.find_box(fp.DiffusionProcess(lambda x: -x, 1, dim=1), **arguments)
    with pytest.raises(fp.InvalidInput, match="one to three"):
        fp.find_box(fp.DiffusionProcess(lambda x: -x, 1, dim=4))


def test_random_streams_change_little():
    process = fp.DiffusionProcess(ring, 0.01, dim=2)
    same, again, other = (fp.find_box(process, rng=seed).box for seed in (7, 7, 8))
    assert same == again
    np.testing.assert_allclose(other.widths, same.widths, rtol=0.2)


@pytest.mark.parametrize(
    ("drift", "box", "text"),
    [
        (lambda x: 7 - x, fp.Box([-2], [2]), r"attractor at \(7\), beyond the wall x = 2"),
        (
            ring,
            fp.Box([-0.5, -0.5], [0.5, 0.5]),
            r"attractor at \(.*, beyond the wall [xy] = -?0\.5",
        ),  # a point of the ring
        (
            linear([[2, 1], [1, 1]], [0, -9]),
            fp.Box([-3, -4], [3, 4]),
            r"attractor at \(.*, -9\), beyond the wall y = -4",
        ),
    ],
)
def test_a_box_that_misses_the_attractor_warns(drift, box, text):
    with pytest.warns(fp.BoxWarning, match=text):
        fp.check_box(fp.DiffusionProcess(drift, 0.1, dim=box.dim), box)


@pytest.mark.parametrize(
    ("drift", "box"),
    [
        (lambda x: -x, fp.Box([-3], [3])),
        (lambda x: -x, fp.Box([0], [3])),  # half of a symmetric problem: the attractor is on the wall
        (lambda x: -1 + 0 * x, fp.Box([0], [9])),  # sediment on a floor
        (lambda x: x, fp.Box([-1], [1])),  # held by both walls
        (lambda x: x - x**3, fp.Box([0.2], [3])),  # one well of two
        (lambda x: np.where(x > 0, -1.0, np.nan), fp.Box([0], [1])),  # undefined outside
        (
            lambda x: np.stack([np.sin(x[0]) + 1.5, -x[1]]),
            fp.Box([0, -3], [2 * np.pi, 3], boundary=["periodic", "reflecting"]),
        ),
        (
            lambda x: np.stack([-np.sin(x[0]), -x[1]]),
            fp.Box([2, -3], [2 + 2 * np.pi, 3], boundary=["periodic", "reflecting"]),
        ),
    ],
)
def test_real_walls_do_not_warn(drift, box):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fp.check_box(fp.DiffusionProcess(drift, 0.1, dim=box.dim), box)


def test_a_covariance_with_a_negative_variance_is_none(monkeypatch):
    """What the Lyapunov equation returns where it is too close to singular is not cut off at zero."""
    process = fp.DiffusionProcess(lambda x: -x, 1.0, dim=2)
    at, length = np.zeros(2), np.full(2, 1e-3)
    np.testing.assert_allclose(attractors.spread(process, at, length), 1.0, rtol=1e-6)
    monkeypatch.setattr(attractors, "solve_continuous_lyapunov", lambda a, q: np.diag([1.0, -1e-3]))
    assert attractors.spread(process, at, length) is None
    monkeypatch.setattr(attractors, "solve_continuous_lyapunov", lambda a, q: np.diag([1.0, -1e-17]))
    assert attractors.spread(process, at, length)[1] == 0.0
