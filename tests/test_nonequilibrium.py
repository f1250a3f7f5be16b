"""Numbers of exact currents within the errors reported for them, and the order at which these shrink."""

import numpy as np
import pytest
from exact_processes import (
    S1,
    heavy_swirl,
    linear,
    linear_current,
    ring,
    swirl,
    swirl_angular,
    tangential,
    vortices,
    vortices_loss,
)
from scipy.interpolate import RegularGridInterpolator, make_interp_spline
from scipy.optimize import brentq

import fokkerplanck as fp
from fokkerplanck import currents
from fokkerplanck.measured import sequence_error
from fokkerplanck.nonequilibrium import cell_gradient, cosine


def solved(problem, n=128, **options):
    process, box = problem
    return fp.solve_stationary(process, box, shape=(n,) * process.dim, max_wall_mass=1, **options)


def within(measured, exact):
    return abs(measured.value - exact) <= measured.error + 6e-11  # some exact numbers have ten digits


E5A = np.sqrt(np.pi * np.e / 2) * 0.31731050786291415  # erfc(1/√2)
# Entropy production, ∫|J|, ∫x∧J (twice the area rate), largest |ψ|, from quadrature of the exact current
CASES = {
    "linear": (linear(), {}, 1 / 6, None, -1 / 3, np.sqrt(19 / 36) / (2 * np.pi) * 6 / 19),
    "swirl": (swirl(), {}, 0.4184337444098556, 0.35377738395, 0.0, None),
    "swirl, isothermal": (swirl("isothermal"), {}, 0.7257238788257903, None, 0.4770778898585553, None),
    "heavy swirl": (heavy_swirl(), {"maps": fp.Sinh(scale=1)}, 0.020936308072382746, 0.039658307942, None, None),
    "tangential": (tangential(), {}, 0.049749622712418465, None, -1 / 3, None),
    "vortices a": (vortices(), {}, E5A, 0.6256574119629931, 0.0, 0.029274915762159584),
    "vortices b": (vortices(4.0), {}, 9.488638926419004, 2.5026296478519723, 0.0, 0.11709966304863834),
    "vortices c": (vortices(1.8, 0.2), {}, 1.0565840474269017, 1.0010518591407886, 0.0, 0.04683985521945533),
    "vortices d": (vortices(1.0, 1.0), {}, 0.0, 0.0, 0.0, 0.0),
}


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("name", CASES)
def test_numbers_of_exact_currents_are_within_their_errors(name, order):
    problem, options, production, total, wedge, stream = CASES[name]
    numbers = fp.nonequilibrium(solved(problem, order=order, **options))
    assert within(numbers.entropy_production, production)
    assert numbers.entropy_production.error <= 0.02 * max(production, 1e-6) or order == 4
    if total is not None:
        assert within(numbers.total_current, total)
    if wedge is not None:
        doubled = fp.Measured(2 * numbers.circulation.value, 2 * numbers.circulation.error)
        assert within(doubled, wedge)
    if stream is not None:
        size = fp.Measured(abs(numbers.stream_function.value), numbers.stream_function.error)
        assert within(size, stream)


@pytest.mark.parametrize("curve", ["sinh", "algebraic", "edges"])
def test_numbers_on_stretched_axes_are_within_their_errors(curve):
    """On given edges the sums over cells are of second order, and the errors say so; on smooth maps of sixth and better."""
    process, box = linear()
    wavy = np.cumsum(np.concatenate([[0.0], 1.0 + 0.3 * np.sin(np.arange(16))]))
    maps = {
        "sinh": [fp.Sinh(0.3, scale=2.0), fp.Sinh(scale=3.0)],
        "algebraic": [fp.Algebraic(-0.2, scale=3.0), fp.Algebraic(scale=4.0)],
        "edges": [low + (high - low) * wavy / wavy[-1] for low, high in zip(box.lower, box.upper, strict=True)],
    }[curve]
    sol = solved((process, box), 64, maps=maps)
    numbers = fp.nonequilibrium(sol)
    assert within(numbers.entropy_production, 1 / 6)
    assert within(numbers.circulation, -1 / 6)
    assert within(numbers.stream_function, -CASES["linear"][-1])
    for i, j in ((0, 0), (0, 1), (1, 1)):
        entry = fp.measure(sol, lambda s, i=i, j=j: s.covariance[i, j])
        assert within(entry, S1[i, j])
        assert entry.error < (
            0.2 if curve == "edges" else 2e-4
        )  # which 16² cells, hardly converged, have their part in


def test_numbers_stand_apart_from_the_longest_label():
    process = fp.DiffusionProcess(lambda x: 0.7 - np.sin(x), 0.5, dim=1, names=("phase of the rotor",))
    sol = fp.solve_stationary(process, fp.Box([0], [2 * np.pi], boundary="periodic"), shape=(32,))
    assert "\nflux round phase of the rotor  0.05" in repr(fp.nonequilibrium(sol))


def test_ring_carries_its_harmonic_flux_in_every_interpretation():
    for interpretation, flux in (("ito", 0.0293963367), ("isothermal", 0.0235375096), ("stratonovich", 0.0273307620)):
        numbers = fp.nonequilibrium(solved(ring(interpretation), 256))
        assert within(numbers.harmonic["x"], flux)
        assert numbers.harmonic["x"].error < 1e-5
        # σ = J·∮ω, with the same affinity ∮ω = π/2 in all of them
        assert numbers.entropy_production.value == pytest.approx(flux * np.pi / 2, abs=numbers.entropy_production.error)
        assert within(numbers.total_current, flux * 2 * np.pi)
        assert numbers.circulation is None
        assert numbers.stream_function is None


@pytest.mark.parametrize("interpretation", ["ito", "isothermal"])
def test_same_drift_and_noise_have_the_current_of_their_interpretation(interpretation):
    sol = solved(swirl(interpretation), order=4)
    fields, points = fp.current_fields(sol), sol.grid.cell_points()
    r = np.hypot(*points)
    angular = (points[0] * fields.current.values[1] - points[1] * fields.current.values[0]) / r
    exact = swirl_angular(r, interpretation)
    # Everywhere within ten of its local errors, and where most of the current is within one
    error = np.hypot(fields.current_error.values, 1e-5)
    assert (np.abs(angular - exact) < 10 * error).all()
    velocity = np.stack([-points[1], points[0]]) * exact / r * np.exp(r**2) * np.pi
    inside = r < 1.5
    assert np.abs(fields.velocity.values - velocity)[:, inside].max() < 5 * fields.velocity_error.values[inside].max()


@pytest.mark.parametrize(
    ("problem", "options", "radius"),
    [(swirl(), {}, 2**0.25), (heavy_swirl(), {"maps": fp.Sinh(scale=1)}, 0.6859943405700354)],
)
def test_radius_at_which_the_current_turns_round(problem, options, radius):
    def turning(sol):
        line = np.arange(sol.grid.shape[0] // 2, sol.grid.shape[0])
        x = sol.grid.centers(0)[line]
        along = (sol.current.values[1] - sol.current.values[0])[line, line] * np.exp(sol.phi[line, line])
        near = (np.sqrt(2) * x > 0.4) & (np.sqrt(2) * x < 2.0)
        return brentq(make_interp_spline(np.sqrt(2) * x[near], along[near], k=5), 0.5, 1.8, xtol=1e-14)

    for order in (2, 4):
        found = fp.measure(solved(problem, 256, order=order, **options), turning)
        assert within(found, radius)
        assert found.error < 0.01


def test_vortex_is_where_the_exact_one_is():
    numbers = fp.nonequilibrium(solved(vortices(), order=4))
    assert np.abs(np.abs(numbers.vortex.value) - 1.0).max() < 1e-4
    at_rest = fp.nonequilibrium(solved(vortices(1.0, 1.0)))
    assert at_rest.vortex is None
    assert at_rest.follows_density is None
    assert at_rest.total_current.zero
    assert at_rest.entropy_production.zero


def test_entropy_production_map_is_nowhere_negative_and_adds_up():
    sol = solved(linear())
    numbers = fp.nonequilibrium(sol)
    density = numbers.entropy_production_map.values
    x = sol.grid.cell_points()
    p = np.exp(-sol.phi)
    J = linear_current(x)
    exact = (J[0] ** 2 + 2 * J[1] ** 2) / p
    assert np.abs(density - exact).max() < 0.02 * exact.max()
    assert density.min() > -1e-3 * density.max()
    total = density.sum() * sol.grid.cell_volume
    assert total == pytest.approx(1 / 6, abs=2 * numbers.entropy_production.error)


def test_curl_of_the_current_is_not_that_of_the_forces_alone():
    """The antisymmetric part of D∇∇p, dropped in some derivations, changes even the sign (linear drift, constant D)."""
    sol = solved((linear()[0], fp.Box([-6, -6], [6, 6])), 192)
    at = (1.0, 0.5)
    nodes = tuple(sol.grid.edges(a)[1:-1] for a in range(2))
    rotation = currents.curl(sol.flux)[0, 1]
    assert float(RegularGridInterpolator(nodes, rotation, method="cubic")(at)) == pytest.approx(0.044865866, abs=5e-4)
    p = np.exp(-sol.phi)
    slope = cell_gradient(p, sol.grid)
    bend = np.stack([cell_gradient(s, sol.grid) for s in slope])
    x, y = sol.grid.cell_points()
    crossed = slope[0] * (x + y) - slope[1] * (2 * x + y)
    dropped = (0.5 - 1.0) * bend[0, 1]
    centres = tuple(sol.grid.centers(a) for a in range(2))
    values = [float(RegularGridInterpolator(centres, f, method="cubic")(at)) for f in (crossed, dropped)]
    assert values == pytest.approx([0.027498434, -0.072364301], abs=5e-4)
    assert -sum(values) == pytest.approx(0.044865866, abs=5e-4)


def test_linear_current_follows_the_density_and_not_the_loss():
    sol = solved(linear())
    loss = lambda x: x[0] ** 2 + x[0] * x[1] + 0.5 * x[1] ** 2  # noqa: E731
    numbers = fp.nonequilibrium(sol, loss=loss)
    assert numbers.follows_density.zero
    assert numbers.follows_density.error < 2e-3
    x = np.array([1.0, 0.5])
    J, slope = linear_current(x), np.array([2.5, 1.5])
    exact = J @ slope / np.hypot(*J) / np.hypot(*slope)
    found = cosine(sol, loss(sol.grid.cell_points())).interp(x=1.0, y=0.5)
    assert float(found) == pytest.approx(exact, abs=2e-3)
    assert J @ slope == pytest.approx(0.00458307, rel=1e-5)
    assert numbers.follows_loss.value > 0.1


@pytest.mark.parametrize(("s", "loss_cosine"), [(1.0, 0.7149342667), (0.1, 0.6591903056)])
def test_vortices_follow_neither(s, loss_cosine):
    sol = solved(vortices(s=s), order=4)
    numbers = fp.nonequilibrium(sol, loss=lambda x: vortices_loss(x, s=s))
    assert within(numbers.follows_density, np.sqrt(2 / np.pi) / (2 * 0.6256574119629931))  # ∫|cos 2θ| in closed form
    assert within(numbers.follows_loss, loss_cosine)
    if s == 0.1:
        assert float(cosine(sol, -sol.phi).interp(x=1.0, y=0.5)) == pytest.approx(0.141421, abs=5e-3)


@pytest.mark.parametrize(("s", "exact"), [(1.0, 0.894427), (0.1, 0.141421), (0.01, 0.0121942), (0.001, 0.00120192)])
def test_weak_noise_follows_the_density(s, exact):
    """At (1, ½), many deviations from the centre, from the exact density: there it is below e^(−600)."""
    process, _ = vortices(s=s)
    grid = fp.Grid(fp.Box([0.95, 0.45], [1.05, 0.55]), (5, 5))
    x = grid.cell_points()
    p = np.exp(-(np.sum(x**2, axis=0) - 1.25) / (2 * s))
    v = fp.drift_split(process, p, grid).drift_irreversible.values[:, 2, 2]
    assert abs(v @ x[:, 2, 2]) / np.hypot(*v) / np.hypot(*x[:, 2, 2]) == pytest.approx(exact, rel=1e-5)


def test_affinity_of_a_loop_is_the_flux_of_the_curl_through_it():
    sol = solved(linear(), 64)  # ω = −D⁻¹Hx, curl −1: minus the area
    square = [[-1, -1], [2, -1], [2, 1.5], [-1, 1.5]]
    assert fp.cycle_affinity(sol, square).value == pytest.approx(-7.5, rel=1e-9)
    assert fp.cycle_affinity(sol, square[::-1]).value == pytest.approx(7.5, rel=1e-9)
    circle = np.linspace(0, 2 * np.pi, 101)
    round_about = np.stack([np.cos(circle), np.sin(circle)], axis=1)
    balanced = fp.cycle_affinity(solved(vortices(1.0, 1.0), 64), round_about)
    assert balanced.zero
    assert balanced.error < 1e-4
    loop = fp.cycle_affinity(solved(vortices(), 64), [*round_about[:26].tolist(), [0.0, 0.0]])
    # ω = (−3x/2 − xy²/2)/(1+y²), −y/2 − x²y/2: its curl is −xy − 2xy/(1+y²)², through a quarter of the disc
    x, w = np.polynomial.legendre.leggauss(60)
    r, angle = 0.5 * (x + 1), 0.25 * np.pi * (x + 1)
    X, Y = r[:, None] * np.cos(angle), r[:, None] * np.sin(angle)
    exact = (np.outer(0.5 * w * r, 0.25 * np.pi * w) * (-X * Y - 2 * X * Y / (1 + Y**2) ** 2)).sum()
    assert loop.value == pytest.approx(exact, rel=2e-3)  # of the disc's polygon


def test_affinity_round_a_ring():
    sol = solved(ring(), 64)
    for start in (0.0, 1.3):
        once = fp.cycle_affinity(sol, [[start], [start + 2 * np.pi]])
        assert within(once, np.pi / 2)
        assert once.error < 1e-4
    assert fp.cycle_affinity(sol, [[0.5], [2.0]]).value == pytest.approx(0.0, abs=1e-12)  # there and back


def test_loops_that_cannot_be():
    sol = solved(linear(), 64)
    with pytest.raises(fp.InvalidInput, match=r"loop: expected the corners of a closed polygon, shape \(m, 2\)"):
        fp.cycle_affinity(sol, [1.0, 2.0])
    with pytest.raises(fp.InvalidInput, match="loop: expected corners between the walls of x"):
        fp.cycle_affinity(sol, [[0, 0], [7, 0], [0, 1]])
    with pytest.raises(fp.InvalidInput, match=r"loss\(x\): expected finite values of shape"):
        fp.nonequilibrium(sol, loss=lambda x: x)


def test_circulation_in_three_dimensions_is_a_tensor():
    turn = np.array([[0.0, -1.0, 0.3], [1.0, 0.0, -0.5], [-0.3, 0.5, 0.0]])
    process = fp.DiffusionProcess(lambda x: -x + np.tensordot(turn, x, 1), 0.5, dim=3)
    sol = fp.solve_stationary(process, fp.Box([-4] * 3, [4] * 3), shape=(24,) * 3, max_wall_mass=1)
    numbers = fp.nonequilibrium(sol)
    area = numbers.circulation
    assert [label for label, _ in numbers.rows()][2:5] == ["area rate x, y", "area rate x, z", "area rate y, z"]
    # ½⟨x_i v_j − x_j v_i⟩ with ⟨xxᵀ⟩ = I/2
    assert (np.abs(area.value - 0.5 * turn.T) <= area.error).all()
    assert area.error.max() < 0.1
    assert {k: v.shape for k, v in currents.curl(sol.flux).items()} == {
        (0, 1): (23, 23, 24),
        (0, 2): (23, 24, 23),
        (1, 2): (24, 23, 23),
    }


def test_few_grids_give_no_error():
    process, box = linear()
    sol = fp.solve_stationary(process, box, shape=(64, 64))
    alone = sol.coarser[1]
    numbers = fp.nonequilibrium(alone)
    assert np.isinf(numbers.total_current.error)
    assert np.isinf(fp.current_fields(alone).current_error.values).all()
    assert "± inf" in repr(numbers)


def test_numbers_survive_a_file(tmp_path):
    sol = solved(heavy_swirl(), 64, maps=fp.Sinh(scale=1))
    sol.save(tmp_path / "swirl.nc")
    back = fp.load(tmp_path / "swirl.nc")
    assert repr(fp.nonequilibrium(back)) == repr(fp.nonequilibrium(sol))
    with pytest.raises(fp.InvalidInput, match="names: expected names that a result file can hold"):
        fp.DiffusionProcess(lambda x: -x, 1.0, dim=1, names=["x_coarser_1"])


def test_errors_of_arrays_are_those_of_their_entries():
    values = [[1.0, 1.0], [0.5, 0.5], [0.375, 0.51]]
    assert sequence_error([np.array(v) for v in values], 1e-14) == pytest.approx([1.25 * 0.125 / 3, 1.5])


@pytest.mark.parametrize("n", [4, 5, 9])
def test_the_gradient_of_a_cubic_is_exact_on_the_fewest_cells_there_can_be(n):
    grid = fp.Grid(fp.Box([-1, 0], [2, 1]), (n, 4))
    x, y = grid.cell_points()
    slopes = cell_gradient(x**3 - 2 * x + y**3 * x, grid)
    np.testing.assert_allclose(slopes, [3 * x**2 - 2 + y**3, 3 * y**2 * x], atol=1e-12)


def test_numbers_have_errors_where_the_coarsest_grid_has_four_cells():
    process = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    numbers = fp.nonequilibrium(fp.solve_stationary(process, fp.Box([-3, -3], [3, 3]), shape=(16, 16), max_wall_mass=1))
    assert np.isfinite(numbers.follows_density.error)


def test_numbers_of_absolute_values_have_the_widest_errors_and_finer_grids_narrow_them():
    """As docs/howto/read_the_diagnostics.md says; the truth is nearer than that."""
    shares = []
    for n in (32, 128):
        numbers = fp.nonequilibrium(solved(vortices(), n))
        smooth, sized, turned = numbers.entropy_production, numbers.total_current, numbers.follows_density
        assert within(sized, 0.6256574119629931)
        shares.append([number.error / number.value for number in (smooth, sized, turned)])
        assert shares[-1][0] < min(shares[-1][1:])
    assert shares[0][2] > 0.1  # a tenth, where the current is known to a thousandth
    assert all(coarse > 8 * fine for coarse, fine in zip(*shares, strict=True))  # two halvings
