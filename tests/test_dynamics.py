"""Densities in time, relaxation rates, passage times and splitting probabilities against exact results."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.integrate import quad
from scipy.linalg import expm, solve_continuous_lyapunov

import fokkerplanck as fp
from fokkerplanck.solvers import evolve as integration

DRIFT = np.array([[1.0, -2.0], [2.0, 1.5]])
NOISE = np.array([[0.5, 0.2], [0.2, 0.3]])


@pytest.fixture(scope="module")
def spiral():
    return fp.DiffusionProcess(lambda x: -np.einsum("ij,j...->i...", DRIFT, x), NOISE, dim=2)


@pytest.fixture(scope="module")
def ornstein_uhlenbeck():
    return fp.DiffusionProcess(lambda x: -x, 1.0, dim=1)


def well(height):
    """Potential height (x² − 1)², noise 1: minima at ±1."""
    return fp.DiffusionProcess(lambda x: -4 * height * x * (x**2 - 1), 1.0, dim=1)


# ---- time ----


def test_method_is_of_fifth_order_and_stable():
    c = integration.weights(integration.STAGES)
    factor = lambda z: sum(w * (1 - integration.POLE * z) ** -(k + 1) for k, w in enumerate(c))  # noqa: E731
    z = np.array([-0.2, -0.1])
    misses = np.abs(factor(z) - np.exp(z))
    assert np.log2(misses[0] / misses[1]) == pytest.approx(6.0, abs=0.4)  # of one step
    # on the imaginary axis, and so in the left half plane; 1e-12: the weights are up to 34, with cancellation
    assert np.abs(factor(1j * np.logspace(-3, 6, 4000))).max() <= 1 + 1e-12
    assert abs(factor(-1e12)) < 1e-10


@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-7])
def test_error_in_time_is_below_what_was_asked(ornstein_uhlenbeck, rtol):
    grid = fp.Grid(fp.Box([-6], [6]), (80,))
    G = fp.generator(ornstein_uhlenbeck, grid).toarray()
    times = np.array([0.01, 0.3, 10.0])
    p = fp.evolve(ornstein_uhlenbeck, grid, [2.03], times, rtol=rtol)
    start = np.zeros(80)
    start[np.argmin(np.abs(grid.centers(0) - 2.03))] = 1.0
    for i, t in enumerate(times):
        miss = np.abs(expm(t * G) @ start - p.density.values[i] * grid.cell_volume).sum()
        # 1e-11: round-off of the reference, a matrix exponential of norm 1e4
        assert miss <= p.time_error.values[i] + 1e-11
    assert p.time_error.values[-1] <= rtol


@pytest.mark.parametrize("anisotropy", [0.5, 1e-3])
def test_positive_and_conservative_from_a_point(anisotropy):
    case = fp.cases.get("ornstein-uhlenbeck", anisotropy=anisotropy)
    grid = fp.Grid(case.box, (48, 48))
    p = fp.evolve(case.process, grid, [0.3, -0.2], [0.0, 1e-3, 0.1, 2.0], rtol=1e-3).density
    assert p.dims == ("time", "x", "y")
    assert p.values.min() >= 0.0
    np.testing.assert_allclose(p.values.sum(axis=(1, 2)) * grid.cell_volume, 1.0, atol=1e-13)
    assert np.count_nonzero(p.values[0]) == 1


def test_limiter_keeps_sum_and_sign():
    rng = np.random.default_rng(11)
    euler = rng.exponential(size=50) ** 4
    correction = rng.normal(size=50)
    correction -= correction.mean()
    out, moved = integration.limit(euler, correction)
    assert (euler + correction).min() < 0.0  # there is something to limit
    assert out.min() >= 0.0
    assert out.sum() == pytest.approx(euler.sum(), rel=1e-14)
    assert np.abs(out - euler - correction).sum() == pytest.approx(moved, rel=1e-12)
    same, unmoved = integration.limit(euler + 10.0, correction)
    np.testing.assert_array_equal(same, euler + 10.0 + correction)
    assert unmoved == 0.0


def test_moments_of_a_decaying_gaussian(spiral):
    """Mean e^{−Bt}m and covariance S + e^{−Bt}(C − S)e^{−Bᵀt}, second order in the cell."""
    S = solve_continuous_lyapunov(DRIFT, 2 * NOISE)
    m, C = np.array([1.0, 0.5]), np.diag([0.15, 0.1])
    t = 0.4
    decay = expm(-DRIFT * t)
    exact_mean, exact_covariance = decay @ m, S + decay @ (C - S) @ decay.T

    def start(x):
        offset = x - m[:, None, None]
        return np.exp(-0.5 * np.einsum("i...,ij,j...->...", offset, np.linalg.inv(C), offset))

    misses = []
    for n in (32, 64):
        grid = fp.Grid(fp.Box([-4, -4], [4, 4]), (n, n))
        p = fp.evolve(spiral, grid, start, [t], rtol=1e-5).density.values[0].ravel() * grid.cell_volume
        x = grid.cell_points().reshape(2, -1)
        mean = x @ p
        covariance = (x - mean[:, None]) * p @ (x - mean[:, None]).T
        misses.append([np.abs(mean - exact_mean).max(), np.abs(covariance - exact_covariance).max()])
    order = np.log2(np.divide(*misses))
    assert (order > 1.7).all(), (order, misses)
    assert max(misses[1]) < 2e-2


def test_long_times_reach_the_stationary_law(spiral):
    grid = fp.Grid(fp.Box([-4, -4], [4, 4]), (32, 32))
    law = fp.stationary_distribution(fp.generator(spiral, grid), grid=grid)
    p = fp.evolve(spiral, grid, np.full(grid.shape, 1 / 64), [1e4]).density.values.ravel() * grid.cell_volume
    assert np.abs(p - law).sum() < 1e-4  # rtol


def test_times_in_between_change_nothing_beyond_rtol(ornstein_uhlenbeck):
    grid = fp.Grid(fp.Box([-6], [6]), (64,))
    one = fp.evolve(ornstein_uhlenbeck, grid, [1.0], [1.0], rtol=1e-6).density.values[-1]
    two = fp.evolve(ornstein_uhlenbeck, grid, [1.0], [0.013, 0.5, 1.0], rtol=1e-6).density.values[-1]
    assert np.abs(one - two).sum() * grid.cell_volume < 2e-6


@pytest.mark.parametrize(
    ("p0", "times", "options", "message"),
    [
        ([9.0], [1.0], {}, "a point in the box"),
        (np.ones(5), [1.0], {}, "a density of shape"),
        (np.ones(20), [1.0], {}, "sum times the cell volumes is 1, got 4"),
        (-np.ones(20), [1.0], {}, "finite values ≥ 0, got -1"),
        (lambda x: x, [1.0], {}, r"p0\(x\): expected shape"),
        (lambda x: 0 * x[0], [1.0], {}, "zero in every cell"),
        ([0.0], [1.0, 0.5], {}, "increasing"),
        ([0.0], [-1.0], {}, "none negative"),
        ([0.0], [1.0], {"rtol": 0.0}, "rtol: expected"),
    ],
)
def test_what_cannot_be_evolved(ornstein_uhlenbeck, p0, times, options, message):
    with pytest.raises(fp.InvalidInput, match=message):
        fp.evolve(ornstein_uhlenbeck, fp.Grid(fp.Box([-2], [2]), (20,)), p0, times, **options)


# ---- spectrum ----


def test_rates_of_a_linear_process(spiral):
    """λ = n₁λ₁ + n₂λ₂ with λ₁, λ₂ the eigenvalues of the drift matrix, a complex pair."""
    pair = np.linalg.eigvals(DRIFT)
    exact = sorted(
        (i * pair[0] + j * pair[1] for i in range(3) for j in range(3) if i + j < 3), key=lambda z: (z.real, z.imag)
    )
    misses = []
    for n in (32, 64, 128):
        grid = fp.Grid(fp.Box([-3, -3], [3, 3]), (n, n))
        G = fp.generator(spiral, grid)
        modes = fp.relaxation_modes(G, 8, grid=grid)
        assert modes.rates[0] == 0.0
        misses.append([np.abs(modes.rates - z).min() for z in exact[1:]])
        np.testing.assert_allclose(modes.left.T @ modes.right, np.eye(8), atol=1e-9)
        assert (modes.residuals < 1e-8 * np.abs(modes.rates) + 1e-9).all()
        left_residual = np.abs(G.T @ modes.left + modes.left * modes.rates).max()
        assert left_residual < 1e-7 * np.abs(modes.left).max()
    order = np.log2(np.divide(misses[1], misses[2]))
    assert ((order > 1.8) & (order < 2.2)).all(), (order, misses)
    assert max(misses[2]) < 0.03  # of 2.5: measured 0.02


def test_modes_propagate_a_density(ornstein_uhlenbeck):
    """Two answers to one question: Σ e^{−λt} r (l·P) and the integration in time."""
    grid = fp.Grid(fp.Box([-5], [5]), (60,))
    modes = fp.relaxation_modes(fp.generator(ornstein_uhlenbeck, grid), 12)
    start = np.zeros(60)
    start[36] = 1.0
    by_modes = (modes.right * np.exp(-modes.rates * 2.0)) @ (modes.left.T @ start)
    by_steps = fp.evolve(ornstein_uhlenbeck, grid, [grid.centers(0)[36]], [2.0], rtol=1e-8).density.values[0]
    assert np.abs(by_modes.imag).max() < 1e-12
    # e^{−12·2} of what was left out, times its size
    assert np.abs(by_modes.real - by_steps * grid.cell_volume).sum() < 1e-7


def test_metastable_rate_is_resolved():
    """A rate millions of times below the next is twice Kramers' rate of escape; a barrier of 25 is refused, not guessed."""
    height = 16.0
    grid = fp.Grid(fp.Box([-1.8], [1.8]), (800,))
    rate = fp.relaxation_modes(fp.generator(well(height), grid), 2).rates[1].real
    kramers = 2 * np.sqrt(8 * height * 4 * height) / (2 * np.pi) * np.exp(-height)
    assert rate == pytest.approx(kramers, rel=0.06)  # Kramers' next term is about 1/height
    with pytest.raises(fp.NotConverged, match="double precision cannot resolve"):
        fp.relaxation_modes(fp.generator(well(25.0), grid), 2)


def test_what_has_no_modes(ornstein_uhlenbeck):
    G = fp.generator(ornstein_uhlenbeck, fp.Grid(fp.Box([-2], [2]), (20,)))
    for k in (0, 15, 2.0, True):
        with pytest.raises(fp.InvalidInput, match="k: expected a whole number from 1 to 14"):
            fp.relaxation_modes(G, k)
    with pytest.raises(fp.InvalidInput, match="disconnected"):
        fp.relaxation_modes(sp.block_diag([G, G], format="csc"), 2)


# ---- escape ----


def passage_by_quadrature(height, start, wall, end):
    """τ = ∫ₓᵇ e^{U(y)} ∫ₐʸ e^{−U(z)} dz dy, reflecting at a, arriving at b."""
    U = lambda x: height * (x**2 - 1) ** 2  # noqa: E731
    inner = lambda y: quad(lambda z: np.exp(-U(z)), wall, y, epsrel=1e-9)[0]  # noqa: E731
    return quad(lambda y: np.exp(U(y)) * inner(y), start, end, epsrel=1e-7)[0]


def test_passage_time_against_quadrature():
    """The target begins at a cell centre, so that the end is the same on both grids."""
    height, misses = 3.0, []
    for n in (81, 243):
        grid = fp.Grid(fp.Box([-1.8], [1.8]), (n,))
        tau = fp.mean_first_passage_time(well(height), grid, lambda x: x[0] > -1e-9)
        start = grid.centers(0)[n // 6]  # −1.2 on both
        exact = passage_by_quadrature(height, start, -1.8, 0.0)
        misses.append(abs(float(tau[n // 6]) / exact - 1))
        assert (tau.values[: n // 2] > 0).all()
        assert (tau.values[n // 2 :] == 0).all()
    assert misses[1] < 2e-3
    assert 1.7 < np.log(misses[0] / misses[1]) / np.log(3) < 2.3, misses


def test_kramers_law():
    height = 12.0
    grid = fp.Grid(fp.Box([-1.8], [1.8]), (400,))
    tau = float(fp.mean_first_passage_time(well(height), grid, lambda x: x[0] > 0.99).sel(x=-1, method="nearest"))
    assert tau == pytest.approx(
        2 * np.pi / np.sqrt(8 * height * 4 * height) * np.exp(height), rel=0.08
    )  # corrections of 1/height


def test_passage_time_in_the_plane_decouples():
    """Independent variables: the second one changes nothing."""
    line = fp.mean_first_passage_time(well(2.0), fp.Grid(fp.Box([-1.8], [1.8]), (45,)), lambda x: x[0] > 0)
    both = fp.DiffusionProcess(lambda x: np.stack([-8 * x[0] * (x[0] ** 2 - 1), -x[1]]), 1.0, dim=2)
    plane = fp.mean_first_passage_time(both, fp.Grid(fp.Box([-1.8, -3], [1.8, 3]), (45, 12)), lambda x: x[0] > 0)
    np.testing.assert_allclose(plane.values, np.broadcast_to(line.values[:, None], (45, 12)), rtol=1e-10)


def test_splitting_against_quadrature():
    U = lambda x: 1.5 * (x**2 - 1) ** 2 + 0.4 * x  # noqa: E731
    process = fp.DiffusionProcess(lambda x: -6.0 * x * (x**2 - 1) - 0.4, 1.0, dim=1)
    weight = lambda a, b: quad(lambda y: np.exp(U(y)), a, b)[0]  # noqa: E731
    misses = []
    for n in (41, 123):
        grid = fp.Grid(fp.Box([-2.05], [2.05]), (n,))
        x = grid.centers(0)
        q = fp.splitting_probability(process, grid, lambda x: x[0] > 1 - 1e-9, lambda x: x[0] < -1 + 1e-9)
        exact = np.array([weight(-1, y) / weight(-1, 1) if abs(y) < 1 else float(y > 0) for y in x])
        assert q.values.min() >= 0.0
        assert q.values.max() <= 1.0
        misses.append(np.abs(q.values - exact).max())
    assert 1.7 < np.log(misses[0] / misses[1]) / np.log(3) < 2.3, misses


def test_splitting_probabilities_add_up(spiral):
    grid = fp.Grid(fp.Box([-4, -4], [4, 4]), (40, 40))
    one, two = (lambda x: x[0] > 2), (lambda x: x[0] < -1.5)
    total = fp.splitting_probability(spiral, grid, one, two) + fp.splitting_probability(spiral, grid, two, one)
    np.testing.assert_allclose(total.values, 1.0, rtol=1e-13)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.zeros(20, dtype=bool), "target: expected at least one cell"),
        (np.ones(20, dtype=bool), "got every cell"),
        (np.ones(7, dtype=bool), r"booleans of shape \(20,\).*of shape \(7,\)"),
        (lambda x: x[0], "got float64"),
    ],
)
def test_what_is_no_target(ornstein_uhlenbeck, target, message):
    with pytest.raises(fp.InvalidInput, match=message):
        fp.mean_first_passage_time(ornstein_uhlenbeck, fp.Grid(fp.Box([-2], [2]), (20,)), target)


def test_regions_that_overlap_or_fill(ornstein_uhlenbeck):
    grid = fp.Grid(fp.Box([-2], [2]), (20,))
    with pytest.raises(fp.InvalidInput, match="do not overlap, got 5 cells in both"):
        fp.splitting_probability(ornstein_uhlenbeck, grid, lambda x: x[0] > 0, lambda x: x[0] < 1)
    with pytest.raises(fp.InvalidInput, match="fill the grid"):
        fp.splitting_probability(ornstein_uhlenbeck, grid, lambda x: x[0] > 0, lambda x: x[0] < 0)


def test_target_out_of_reach():
    blocked = fp.DiffusionProcess(
        lambda x: 0 * x, lambda x: np.where(np.abs(x) < 0.5, 0.0, 1.0)[None], dim=1, interpretation="isothermal"
    )
    grid = fp.Grid(fp.Box([-2], [2]), (40,))
    with pytest.raises(fp.InvalidInput, match=r"cannot be reached from \d+ of 40 cells"):
        fp.mean_first_passage_time(blocked, grid, lambda x: x[0] > 1)
    with pytest.raises(fp.InvalidInput, match="target nor other: cannot be reached"):
        fp.splitting_probability(blocked, grid, lambda x: x[0] > 1, lambda x: (x[0] > 0.7) & (x[0] < 0.9))


def test_passage_too_long_for_double_precision():
    with pytest.raises(fp.NotConverged, match="too long for double precision"):
        fp.mean_first_passage_time(well(45.0), fp.Grid(fp.Box([-1.6], [1.6]), (200,)), lambda x: x[0] > 0.9)
