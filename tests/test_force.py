"""The force of a process, its curl with an error, and the parts of drift and entropy production."""

import numpy as np
import pytest
import sympy
from exact_processes import label_noise, linear, ring, swirl, tangential, tensor, vortices

import fokkerplanck as fp
from fokkerplanck import hodge
from fokkerplanck.dissipation import _face_force
from fokkerplanck.force import period

X, Y, Z = sympy.symbols("x y z", real=True)


def on(process, box, n):
    return fp.force(process, fp.Grid(box, (n,) * process.dim))


def vortices_curl(x):
    return -x[0] * x[1] - 2 * x[0] * x[1] / (1 + x[1] ** 2) ** 2


@pytest.mark.parametrize("n", [8, 16, 32, 64])
def test_curl_is_within_its_error(n):
    found = on(*vortices(), n)
    miss = np.abs(found.curl.values - vortices_curl(found.grid.cell_points()))
    assert (miss <= found.curl_error.values).all()
    assert found.curl.dims == ("x", "y")
    assert found.field.dims == ("component", "x", "y")
    linear_one = on(*linear(), n)
    assert (np.abs(linear_one.curl.values + 1.0) <= linear_one.curl_error.values).all()
    assert linear_one.curl_error.values.max() < 1e-9


def test_error_of_the_curl_is_of_fourth_order_and_sees_roundings():
    coarse, fine = (float(on(*tangential(), n).curl_error.max()) for n in (32, 64))
    assert 8 < coarse / fine < 32
    process, box = vortices()
    single = fp.DiffusionProcess(
        lambda x: process.drift(x).astype(np.float32), lambda x: process.diffusion(x).astype(np.float32), dim=2
    )
    found = on(single, box, 64)
    miss = np.abs(found.curl.values - vortices_curl(found.grid.cell_points()))
    assert miss.max() > 1e-4  # differences of seven digits
    assert (miss <= 4 * found.curl_error.values).all()


def test_functions_are_asked_inside_the_cells_only():
    low, high = np.full(2, np.inf), np.full(2, -np.inf)

    def diffusion(x):
        flat = x.reshape(2, -1)
        np.minimum(low, flat.min(1), out=low)
        np.maximum(high, flat.max(1), out=high)
        return tensor(2 + np.sin(x[0]), 0.0, 2 + np.cos(x[1]))

    grid = fp.Grid(fp.Box([-2, 0], [2, 5]), (16, 16), maps=(fp.Sinh(scale=0.5), None))
    fp.force(fp.DiffusionProcess(lambda x: -x, diffusion, dim=2), grid)
    assert (low > [-2, 0]).all()
    assert (high < [2, 5]).all()


def test_three_planes_of_a_curl():
    turn = np.array([[0.0, -1.0, 0.3], [1.0, 0.0, -0.5], [-0.3, 0.5, 0.0]])
    process = fp.DiffusionProcess(lambda x: -x + np.tensordot(turn, x, 1), 0.5, dim=3)
    curl = on(process, fp.Box([-1] * 3, [1] * 3), 4).curl
    assert curl.plane.values.tolist() == ["x y", "x z", "y z"]
    assert np.allclose(curl, np.array([4.0, -1.2, 2.0]).reshape(3, 1, 1, 1))
    with pytest.raises(fp.InvalidInput, match="curl: expected two or three state variables, got one"):
        _ = on(*ring(), 16).curl


def test_formulas_and_functions_agree():
    quartic = sympy.Rational(3, 4) * X**2 + Y**2 / 4 + X**2 * Y**2 / 4
    given = fp.DiffusionProcess.from_sympy(
        [-sympy.diff(quartic, X), -sympy.diff(quartic, Y)], sympy.diag(1 + Y**2, 1), symbols=(X, Y)
    )
    process, box = vortices()
    exact, numeric = on(given, box, 32), on(process, box, 32)
    assert np.allclose(exact.omega, numeric.omega, rtol=1e-9)
    assert (exact.curl_error == 0).all()
    assert (np.abs(exact.curl - numeric.curl) <= numeric.curl_error).all()
    assert sympy.simplify(given.formulas.curl[0, 1] + X * Y + 2 * X * Y / (1 + Y**2) ** 2) == 0
    solutions = [fp.solve_stationary(p, box, shape=(32, 32)) for p in (given, process)]
    assert np.allclose(solutions[0].phi, solutions[1].phi, atol=1e-8)


@pytest.mark.parametrize("interpretation", ["ito", "stratonovich", "isothermal"])
def test_formulas_know_the_velocity_of_every_interpretation(interpretation):
    sigma = sympy.Matrix([[1 + X**2 / 4, Y / 3], [sympy.sin(X), 2]])
    given = fp.DiffusionProcess.from_sympy([-X, -Y], noise=sigma, symbols=(X, Y), interpretation=interpretation)

    def noise(x):
        return np.stack([np.stack([1 + x[0] ** 2 / 4, x[1] / 3]), np.stack([np.sin(x[0]), 2 + 0 * x[0]])])

    by_hand = fp.DiffusionProcess(lambda x: -x, noise=noise, dim=2, interpretation=interpretation)
    x = np.random.default_rng(7).normal(size=(2, 50))
    scale = np.ones(2)
    assert np.allclose(given.current_velocity(x, scale), by_hand.current_velocity(x, scale), atol=1e-10)
    assert np.allclose(given.noise(x), by_hand.noise(x))
    assert given.names == ("x", "y")


def test_decimal_numbers_in_formulas_are_what_they_stand_for():
    process = fp.DiffusionProcess.from_sympy([-0.1 * X, -0.1 * Y], 0.3, symbols=(X, Y))
    assert process.formulas.diffusion[0, 0] == sympy.Rational(3, 10)
    assert process.formulas.curl == {(0, 1): 0}


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([-X, -Y], 1), {"symbols": (X, X)}, "symbols: expected different SymPy symbols"),
        ((-X, 1), {"symbols": [X]}, r"drift: expected a sequence .*, got -x alone; try \[-x\]"),
        (([-X], 1), {"symbols": X}, r"symbols: expected a sequence .*, got x alone; try \[x\]"),
        (([-X, -Y * Z], 1), {"symbols": (X, Y)}, "expected formulas in x, y only, got z"),
        (([-X], 1), {"symbols": (X, Y)}, r"expected a drift of 2 formulas and a tensor of shape \(2, 2\)"),
        (([-X, -Y],), {"symbols": (X, Y)}, r"expected either diffusion \(D\) or noise \(σ\), got neither"),
        (([-X, -Y], 1), {"symbols": (X, Y), "interpretation": "stratonovich"}, "expected noise=σ, got diffusion=D"),
    ],
)
def test_formulas_that_do_not_fit(arguments, options, message):
    with pytest.raises(fp.InvalidInput, match=message):
        fp.DiffusionProcess.from_sympy(*arguments, **options)


def test_velocity_without_noise_has_no_force():
    underdamped = fp.DiffusionProcess(lambda x: np.stack([x[1], -x[0] - x[1]]), np.diag([0.0, 1.0]), dim=2)
    with pytest.raises(fp.InvalidInput, match=r"expected b − ∇·D in the range of D, got a velocity with 100\.0%"):
        on(underdamped, fp.Box([-3, -3], [3, 3]), 16)


def test_velocity_in_the_range_of_a_singular_tensor():
    along = np.array([0.6, 0.8])
    process = fp.DiffusionProcess(
        lambda x: -along[:, None, None] * np.tensordot(along, x, 1), np.outer(along, along), dim=2
    )
    found = on(process, fp.Box([-3, -3], [3, 3]), 16)
    assert found.singular
    x = found.grid.cell_points()
    back = np.einsum("ij,j...->i...", np.outer(along, along), found.omega)
    assert np.allclose(back, -along[:, None, None] * np.tensordot(along, x, 1))


def test_work_round_a_ring():
    for interpretation in ("ito", "isothermal", "stratonovich"):
        process, box = ring(interpretation)
        value, error, total = period(process, fp.Grid(box, (32,)), 0)
        assert abs(value - np.pi / 2) <= error < 1e-9
        assert total > 3


def test_drift_is_the_sum_of_its_parts():
    process, box = swirl()
    sol = fp.solve_stationary(process, box, shape=(128, 128), order=4, max_wall_mass=1)
    parts = fp.drift_split(process, sol)
    drift = process.drift(sol.grid.cell_points())
    size = np.abs(parts.drift_irreversible.values).max()  # in the tails J/p is a ratio of round-offs
    assert np.allclose(parts.drift_reversible + parts.drift_irreversible, drift, rtol=0, atol=1e-15 * size)
    assert np.array_equal(parts.drift_irreversible, sol.velocity)
    # p = N(0, I/2): D∇ln p + ∇·D = −2Dx + (b − u), in whatever interpretation
    x = sol.grid.cell_points()
    spread = drift - process.current_velocity(x, np.ones(2))
    exact = -2 * np.einsum("ij...,j...->i...", process.diffusion(x), x) + spread
    near = np.hypot(*x) < 1.5
    assert np.abs(parts.drift_reversible.values - exact)[:, near].max() < 2e-3
    other, _ = swirl("isothermal")
    thermal = fp.drift_split(other, np.exp(-sol.phi), sol.grid)
    assert np.abs(thermal.drift_reversible.values - (exact - spread))[:, near].max() < 2e-3


@pytest.mark.parametrize(
    ("problem", "exact"),
    [(linear(), 1 / 6), (swirl(), 0.4184337444098556), (tangential(), 0.049749622712418465), (ring(), 0.046175657)],
)
def test_stationary_states_have_no_excess(problem, exact):
    process, box = problem
    shape = (128,) * 2 if process.dim == 2 else (256,)
    split = fp.entropy_split(process, fp.solve_stationary(process, box, shape=shape, max_wall_mass=1))
    assert abs(split.total.value - exact) <= split.total.error
    assert abs(split.housekeeping.value - exact) <= split.housekeeping.error
    assert 0 <= split.excess.value <= split.excess.error < 1e-3
    assert split.total.value == pytest.approx(split.housekeeping.value + split.excess.value, rel=1e-13)


def turning(spin=1.0):
    return fp.DiffusionProcess(lambda x: np.stack([-x[0] + spin * x[1], -x[1] - spin * x[0]]), 1.0, dim=2)


def gaussian(grid, variance):
    x = grid.cell_points()
    v = np.array(variance).reshape(-1, *(1,) * grid.dim)
    return np.exp(-0.5 * np.sum(x**2 / v, axis=0)) / np.sqrt(np.prod(2 * np.pi * v))


@pytest.mark.parametrize("maps", [None, fp.Sinh(scale=2.0)])
def test_a_gaussian_on_its_way_has_both_parts(maps):
    """F = (1/s − 1)x + Rx at p = N(0, sI): both are exact parts, σ_hk = 2s and σ_ex = 2s(1/s − 1)²; s = ½."""
    grid = fp.Grid(fp.Box([-7, -7], [7, 7]), (128, 128), maps=maps)
    p = gaussian(grid, [0.5, 0.5])
    split = fp.entropy_split(turning(), p / np.sum(p * grid.cell_volumes), grid)
    assert abs(split.housekeeping.value - 1.0) <= split.housekeeping.error
    assert abs(split.excess.value - 1.0) <= split.excess.error
    assert split.total.value == pytest.approx(split.housekeeping.value + split.excess.value, rel=1e-12)
    # φ = (1/s − 1)r²/2 where the density is
    x = grid.cell_points()
    near = np.hypot(*x) < 1.5
    difference = split.potential.values - 0.5 * np.sum(x**2, axis=0)
    assert np.ptp(difference[near]) < 0.02


def test_parts_of_an_anisotropic_gaussian():
    """p = N(0, S) not round: the rotation alone changes p, so both parts mix; ∇·(pD∇φ) = ∇·J has a quadratic solution."""
    s = np.array([0.5, 1.5])
    slope = np.array([[-1.0, 1.0], [-1.0, -1.0]]) + np.diag(1 / s)  # F = Mx
    # φ = ½xᵀKx with SK + KS = SM + MᵀS, because ∇·(p Kx) = ∇·(p Mx) for symmetric K
    M = slope
    lhs = np.linalg.inv(np.diag(s))
    rhs = lhs @ M + (lhs @ M).T
    K = rhs / (1 / s[:, None] + 1 / s[None])
    excess, total = np.sum(K**2 * s), np.sum(M**2 * s)
    grid = fp.Grid(fp.Box([-6, -9], [6, 9]), (128, 128))
    split = fp.entropy_split(turning(), gaussian(grid, s), grid)
    assert abs(split.total.value - total) <= split.total.error
    assert abs(split.excess.value - excess) <= split.excess.error
    assert split.excess.value > 0.1
    assert abs(split.housekeeping.value - (total - excess)) <= split.housekeeping.error


def test_relaxation_gives_off_excess_until_it_is_stationary():
    process = turning()
    grid = fp.Grid(fp.Box([-5, -5], [5, 5]), (32, 32))
    times = [0.2, 0.6, 6.0]
    densities = fp.evolve(process, grid, [1.4, 0.1], times).density
    splits = [fp.entropy_split(process, densities.isel(time=k), grid) for k in range(3)]
    excess = [s.excess.value for s in splits]
    assert excess[0] > excess[1] > 10 * abs(excess[2])
    assert splits[2].housekeeping.value == pytest.approx(2.0, rel=0.1)


def test_walls_that_cut_correlated_noise_let_nothing_through():
    """A uniform density between walls, D constant and full, no drift: F = 0 and no part; a gradient drift is all excess."""
    D = np.array([[1.0, 0.8], [0.8, 1.0]])
    grid = fp.Grid(fp.Box([0, 0], [1, 2]), (32, 32))
    flat = np.full(grid.shape, 0.5)
    still = fp.entropy_split(fp.DiffusionProcess([0.0, 0.0], D, dim=2), flat, grid)
    assert still.total.value == 0.0
    pushed = fp.entropy_split(fp.DiffusionProcess(D @ [1.0, 0.0], D, dim=2), flat, grid)
    # F = (1, 0) = ∇x, but for the walls, through which nothing passes
    assert pushed.housekeeping.value == pytest.approx(0.0, abs=1e-12)
    assert pushed.excess.value == pytest.approx(pushed.total.value, rel=1e-12)
    assert pushed.total.value == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("boundary", ["reflecting", ["periodic", "reflecting"], "periodic"])
def test_parts_are_orthogonal_and_the_rest_is_balanced_whatever_the_force(boundary):
    rng = np.random.default_rng(31)
    grid = fp.Grid(fp.Box([0, 0], [1, 2], boundary=boundary), (12, 20))
    root = rng.normal(size=(2, 2, *grid.shape))
    D = np.einsum("ik...,jk...->ij...", root, root)
    phi = 3 * rng.normal(size=grid.shape)
    corners = hodge.corners_of(grid, D, phi)
    faces = [rng.normal(size=grid.face_shape(a)) for a in range(2)]
    for a in range(2):
        if grid.periodic[a]:
            lines = np.moveaxis(faces[a], a, 0)
            lines[-1] = lines[0]
    potential = hodge.project(faces, corners, grid, phi)
    total = sum(c.energy(c.at_cells(faces)) for c in corners)
    excess = sum(c.energy(c.gradient(potential)) for c in corners)
    rest = sum(c.energy(c.at_cells(faces) - c.gradient(potential)) for c in corners)
    assert total == pytest.approx(excess + rest, rel=1e-10)
    left, load = np.zeros(grid.size), np.zeros(grid.size)
    for c in corners:
        c.add_divergence(c.at_cells(faces) - c.gradient(potential), left)
        c.add_divergence(c.at_cells(faces), load)
    assert np.abs(left).max() < 1e-9 * np.abs(load).max()


@pytest.mark.parametrize("dim", [2, 3])
def test_cycles_and_factors_agree(monkeypatch, dim):
    n = {2: 64, 3: 16}[dim]
    process = turning() if dim == 2 else fp.DiffusionProcess(lambda x: -x + np.roll(x, 1, 0), 1.0, dim=3)
    grid = fp.Grid(fp.Box([-5] * dim, [5] * dim), (n,) * dim)
    p = gaussian(grid, [0.6, 1.2, 0.9][:dim])
    p /= p.sum() * grid.cell_volume
    direct = fp.entropy_split(process, p, grid)
    monkeypatch.setattr(hodge, "LARGEST_DIRECT", {2: 16, 3: 64})
    cycled = fp.entropy_split(process, p, grid)
    for part in ("total", "housekeeping", "excess"):
        assert getattr(cycled, part).value == pytest.approx(getattr(direct, part).value, rel=1e-8)
    monkeypatch.setattr(hodge, "CYCLES", 2)
    with pytest.raises(fp.NotConverged, match="2 cycles left"):
        fp.entropy_split(process, p, grid)


def test_densities_that_do_not_fit():
    process, box = label_noise()
    grid = fp.Grid(box, (16, 16))
    with pytest.raises(fp.InvalidInput, match="grid: expected the Grid of the density, got none with a ndarray"):
        fp.entropy_split(process, np.ones((16, 16)))
    with pytest.raises(fp.InvalidInput, match=r"density: expected shape \(16, 16\)"):
        fp.entropy_split(process, np.ones(16), grid)
    with pytest.raises(fp.InvalidInput, match=r"density: expected positive values, got 0\.0: ln p is not defined"):
        fp.drift_split(process, np.zeros((16, 16)), grid)
    with pytest.raises(fp.InvalidInput, match="density: expected the sum of p times the cell volumes to be 1, got 324"):
        fp.entropy_split(process, np.ones((16, 16)), grid)


def test_walls_through_the_bulk_with_correlated_noise():
    """The corner form of the force and the face flux of the solver agree on entropy production, and there is no excess."""
    D = np.array([[1.0, 0.7], [0.7, 1.0]])
    process = fp.DiffusionProcess(lambda x: np.stack([1 + x[1], -x[0]]), D, dim=2)
    sol = fp.solve_stationary(process, fp.Box([-1, -1], [1, 1]), shape=(64, 64), max_wall_mass=1)
    split, other = fp.entropy_split(process, sol), fp.nonequilibrium(sol).entropy_production
    assert abs(split.total.value - other.value) <= split.total.error + other.error
    assert split.total.error < 0.01
    assert split.excess.value <= split.excess.error < 1e-4


def test_divergence_of_the_force_is_what_the_generator_does_to_the_density():
    D = np.array([[1.0, 0.7], [0.7, 1.0]])
    process = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1] ** 2 / 4, -x[1] - x[0]]), D, dim=2)
    misses = []
    for n in (48, 96):
        grid = fp.Grid(fp.Box([-6, -6], [6, 6]), (n, n))
        x = grid.cell_points()
        p = np.exp(-((x[0] - 0.5) ** 2 + x[1] ** 2 - 0.8 * x[0] * x[1]) / 1.5)
        p /= p.sum() * grid.cell_volume
        forces = [_face_force(process, grid, -np.log(p), axis) for axis in range(2)]
        rate = np.zeros(grid.size)
        for corner in hodge.corners_of(grid, process.diffusion(x), -np.log(p)):
            corner.add_divergence(corner.at_cells(forces), rate)
        expected = fp.generator(process, grid) @ (p * grid.cell_volume).ravel()
        misses.append(np.abs(rate - expected).sum() / np.abs(expected).sum())
    assert misses[1] < 0.02
    assert (
        np.log2(misses[0] / misses[1]) > 1.5
    )  # both are of second order, the generator where its cells are fine enough
