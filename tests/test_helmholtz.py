"""The decomposition on fields whose parts are known: stationary and transient currents, exact potentials."""

from functools import reduce

import numpy as np
import pytest

import fokkerplanck as fp

RNG = np.random.default_rng(23)


def volumes(grid):
    """Of the cells, by which flows through faces are divided; `grid.cell_volumes` is what values at centres count."""
    return reduce(np.multiply, (grid.along(grid.widths(a), a) for a in range(grid.dim)))


def test_stationary_current_is_all_curl_with_the_exact_stream_function():
    case = fp.cases.get("four-vortices")
    sol = fp.solve_stationary(case.process, case.box, shape=(128, 128))
    split = fp.helmholtz(sol)
    assert split.shares["gradient"] < 1e-20
    x, y = np.meshgrid(sol.grid.edges(0), sol.grid.edges(1), indexing="ij")
    exact = -0.5 * x * y * np.exp(-0.5 * (x**2 + y**2)) / (2 * np.pi)
    np.testing.assert_allclose(split.psi, exact, atol=1e-3 * np.abs(exact).max())
    assert split.stream_function.dims == ("x_edge", "y_edge")
    assert np.abs(split.psi).max() == pytest.approx(
        case.exact.scalars["largest_stream_function"], rel=3e-3
    )  # its place lies between nodes
    np.testing.assert_allclose(split.curl.values, sol.current.values, atol=1e-12)


def test_a_gradient_is_found_whole():
    grid = fp.Grid(fp.Box([0, 0], [1, 1]), (16, 20))
    chi = RNG.normal(size=grid.shape)
    chi -= chi.mean()
    fx, fy = np.zeros((17, 20)), np.zeros((16, 21))
    fx[1:-1], fy[:, 1:-1] = np.diff(chi, axis=0) * 16, np.diff(chi, axis=1) * 20
    split = fp.helmholtz(fp.FaceField(grid, (fx, fy)))
    np.testing.assert_allclose(split.potential.values, chi, atol=1e-11)
    assert split.shares["gradient"] == pytest.approx(1.0, abs=1e-12)


def test_bad_fields():
    grid = fp.Grid(fp.Box([0], [1]), (8,))
    ring = fp.Grid(fp.Box([0], [1], boundary="periodic"), (8,))
    with pytest.raises(
        fp.InvalidInput, match="first and the last face along the periodic axis 0, which are one, got a diff"
    ):
        fp.helmholtz(fp.FaceField(ring, (np.arange(9.0),)))
    with pytest.raises(fp.InvalidInput, match="expected a finite field"):
        fp.helmholtz(fp.FaceField(grid, (np.full(9, np.nan),)))
    with pytest.raises(fp.InvalidInput, match=r"face components: expected shapes \(\(9,\),\), got \(\(8,\),\)"):
        fp.FaceField(grid, (np.zeros(8),))
    plane = fp.Grid(fp.Box([0, 0], [1, 1]), (4, 4))
    with pytest.raises(fp.InvalidInput, match="expected a finite field"):
        fp.helmholtz(fp.FaceField(plane, (np.zeros((5, 4)), np.full((4, 5), np.nan))))
    with pytest.raises(fp.InvalidInput, match="names: expected 1 names"):
        fp.helmholtz(fp.FaceField(grid, (np.zeros(9),)), names=("a", "b"))


def test_zero_field_has_no_shares():
    grid = fp.Grid(fp.Box([0], [1]), (8,))
    assert set(fp.helmholtz(fp.FaceField(grid, (np.zeros(9),))).shares.values()) == {0.0}


def test_what_passes_the_walls_is_gradient():
    """A constant field on a box is the gradient of a linear function."""
    grid = fp.Grid(fp.Box([0, 0], [1, 2]), (8, 12), maps=(fp.Sinh(scale=0.2), None))
    split = fp.helmholtz(fp.FaceField.from_function(grid, lambda x: [1.0, -0.5]))
    assert split.shares["gradient"] == pytest.approx(1.0, abs=1e-14)
    x, y = grid.cell_points()
    linear = x - 0.5 * y
    linear -= np.average(linear, weights=volumes(grid))
    np.testing.assert_allclose(split.potential.values, linear, atol=1e-13)


def parts_in_space(n, boundary=("reflecting", "reflecting", "periodic"), maps=None):
    """∇χ + ∇×A + H on the unit cube, periodic in z, with χ flat and A normal to the walls, and ∇·A = 0."""
    s, c, tau = np.sin, np.cos, 2 * np.pi
    chi = lambda x: c(np.pi * x[0]) * c(2 * np.pi * x[1]) * s(tau * x[2])  # noqa: E731
    gradient = lambda x: np.stack(  # noqa: E731
        [
            -np.pi * s(np.pi * x[0]) * c(tau * x[1]) * s(tau * x[2]),
            -tau * c(np.pi * x[0]) * s(tau * x[1]) * s(tau * x[2]),
            tau * c(np.pi * x[0]) * c(tau * x[1]) * c(tau * x[2]),
        ]
    )
    potential = (
        lambda x: c(np.pi * x[0]) * s(np.pi * x[1]) * s(tau * x[2]),
        lambda x: -s(np.pi * x[0]) * c(np.pi * x[1]) * s(tau * x[2]),
        lambda x: s(np.pi * x[0]) * s(tau * x[1]) + 0 * x[2],
    )
    curl = lambda x: np.stack(  # noqa: E731
        [
            tau * s(np.pi * x[0]) * c(tau * x[1]) + tau * s(np.pi * x[0]) * c(np.pi * x[1]) * c(tau * x[2]),
            tau * c(np.pi * x[0]) * s(np.pi * x[1]) * c(tau * x[2]) - np.pi * c(np.pi * x[0]) * s(tau * x[1]),
            -2 * np.pi * c(np.pi * x[0]) * c(np.pi * x[1]) * s(tau * x[2]),
        ]
    )
    grid = fp.Grid(fp.Box([0, 0, 0], [1, 1, 1], boundary=boundary), (n, n, n), maps=maps)
    field = fp.FaceField.from_function(
        grid, lambda x: gradient(x) + curl(x) + np.array([0, 0, 0.4])[:, None, None, None]
    )
    return grid, field, chi, potential


@pytest.mark.parametrize("maps", [None, (fp.Sinh(scale=0.4), fp.Sinh(0.3, scale=0.5), None)])
def test_known_parts_are_found_at_second_order(maps):
    errors = []
    for n in (8, 16, 32):
        grid, field, chi, potential = parts_in_space(n, maps=maps)
        split = fp.helmholtz(field)
        assert split.harmonic_flux["z"] == pytest.approx(
            0.4, abs=1e-12
        )  # the means of the others over a section are zero
        found = split.vector_potential
        assert list(found) == ["A_x", "A_y", "A_z"]
        worst = 0.0
        for a, (name, exact) in enumerate(zip(found, potential, strict=True)):
            lines = [grid.centers(b) if b == a else grid.edges(b) for b in range(3)]
            x = np.stack(np.meshgrid(*lines, indexing="ij"))
            worst = max(worst, np.abs(found[name].values - exact(x)).max())
            assert found[name].dims == tuple("xyz"[b] if b == a else "xyz"[b] + "_edge" for b in range(3))
        errors.append([np.abs(split.potential.values - chi(grid.cell_points())).max(), worst])
    errors = np.array(errors)
    order = np.log2(errors[1] / errors[2])
    assert (order > 1.8).all(), errors
    assert (order < 2.3).all(), errors
    assert (errors[2] < 1e-2).all(), errors


def test_ring_and_channel_carry_the_harmonic_current_of_the_blowtorch():
    """E7: a gradient drift on a ring with noise that depends on position; beside it, on a channel, with an independent y."""
    noise = lambda x: 1.0 / (1.0 + 0.5 * np.sin(x) + 0.25 * np.cos(x))  # noqa: E731
    exact = 0.0293963367  # quadrature, with Itô noise
    ring = fp.Box([0], [2 * np.pi], boundary="periodic")
    process = fp.DiffusionProcess(lambda x: np.sin(x), lambda x: noise(x[0])[None, None], dim=1)
    sol = fp.solve_stationary(process, ring, shape=(128,))
    split = fp.helmholtz(sol)
    assert split.harmonic_flux["x"] == pytest.approx(exact, rel=max(sol.current_error, 1e-8))
    assert split.shares["harmonic"] == pytest.approx(1.0, abs=1e-12)

    def tensor(x):
        zero = np.zeros_like(x[0])
        return np.stack([np.stack([noise(x[0]), zero]), np.stack([zero, zero + 0.5])])

    channel = fp.Box([0, -4.5], [2 * np.pi, 4.5], boundary=["periodic", "reflecting"])
    process = fp.DiffusionProcess(lambda x: np.stack([np.sin(x[0]), -x[1]]), tensor, dim=2, names=("angle", "y"))
    sol = fp.solve_stationary(process, channel, shape=(64, 64))
    split = fp.helmholtz(sol)
    assert split.harmonic_flux == {"angle": pytest.approx(exact, rel=3 * sol.current_error)}
    # p depends on y, so the current does: what is not its mean over y is curl, with as much to the left as to the right.
    assert split.shares["gradient"] < 1e-20
    assert 0.1 < split.shares["harmonic"] < 0.9
    assert split.curl_faces.components[0][0] @ sol.grid.widths(1) == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize(("beta", "delta"), [(1.0, 0.0), (4.0, 0.0), (1.8, 0.2)])
def test_the_strongest_vortex_lies_between_the_nodes(beta, delta):
    """E5: ψ = κxy p with κ = (δ − β)/2, at (±1, ±1); the box has no nodes there."""
    kappa = 0.5 * (delta - beta)
    process = fp.DiffusionProcess(
        lambda x: np.stack(
            [
                -(1 - kappa) * x[0] - 0.5 * (beta + delta) * x[0] * x[1] ** 2,
                -(1 + kappa) * x[1] - 0.5 * (beta + delta) * x[0] ** 2 * x[1],
            ]
        ),
        lambda x: np.stack([np.stack([1 + beta * x[1] ** 2, 0 * x[0]]), np.stack([0 * x[0], 1 + delta * x[0] ** 2])]),
        dim=2,
    )
    sol = fp.solve_stationary(process, fp.Box([-5.8, -5.9], [6.1, 6.0]), shape=(96, 96))
    top = fp.helmholtz(sol).extremum
    assert abs(top.value) == pytest.approx(abs(kappa) / (2 * np.pi * np.e), rel=max(1e-4, sol.current_error))
    np.testing.assert_allclose(np.abs(top.position), 1.0, atol=1e-3)  # a hundredth of a cell
    assert np.sign(top.value) == np.sign(kappa * top.position[0] * top.position[1])


def test_extremum_on_a_torus_and_without_any():
    grid = fp.Grid(fp.Box([0, 0], [1, 2], boundary="periodic"), (40, 50))
    x, y = np.meshgrid(grid.edges(0), grid.edges(1), indexing="ij")
    psi = np.cos(2 * np.pi * (x - 0.993)) * (np.cos(np.pi * (y - 0.004)) + 0.2)
    top = fp.helmholtz(fp.EdgeField(grid, (psi,)).curl()).extremum
    assert top.value == pytest.approx(1.2, rel=1e-6)
    assert top.position == pytest.approx((0.993, 0.004), abs=1e-5)
    assert fp.helmholtz(fp.FaceField.from_function(grid, lambda x: [1, 0])).extremum is None
    line = fp.helmholtz(fp.FaceField(fp.Grid(fp.Box([0], [1]), (8,)), (np.zeros(9),)))
    assert line.extremum is None
    assert line.potential_edges is None
    assert line.stream_function is None
    assert line.vector_potential is None


def test_a_transient_current_has_the_gradient_part_that_moves_the_density():
    """A Gaussian on its way, under a drift that turns: ∇²χ = −∂p/∂t while it moves, and only the curl is left in the end."""
    H = np.array([[1.0, 1.5], [-1.5, 1.0]])
    process = fp.DiffusionProcess(lambda x: -np.einsum("ij,j...->i...", H, x), 0.5, dim=2)
    grid = fp.Grid(fp.Box([-4, -4], [4, 4]), (40, 40), maps=fp.Sinh(scale=3.0))
    densities = fp.evolve(process, grid, [1.5, 0.0], [0.1, 1.0, 14.0]).density
    rate = fp.generator(process, grid)
    shares = []
    for p in densities:
        flux = fp.current(process, grid, p)
        change = rate @ (p.values * grid.cell_volumes).ravel()
        moved = flux.divergence() * volumes(grid)
        np.testing.assert_allclose(moved.ravel(), -change, atol=1e-13 * np.abs(rate.diagonal()).max())
        split = fp.helmholtz(flux, names=process.names)
        np.testing.assert_allclose(
            split.gradient_faces.divergence() * volumes(grid), moved, atol=1e-12 * np.abs(rate.diagonal()).max()
        )
        shares.append(split.shares["gradient"])
    assert shares[0] > 0.3
    assert shares[0] > shares[1] > 1e-3
    assert shares[2] < 1e-8  # e^−14 of the start, squared, and what a relative 1e-4 of the integration leaves
    with pytest.raises(
        fp.InvalidInput, match=r"density: expected finite values at the cell centres, shape \(40, 40\), got"
    ):
        fp.current(process, grid, np.ones(40))


def test_curl_of_the_current_has_the_term_that_the_shortcut_drops():
    """C27: ∇×J of the rotated Ornstein–Uhlenbeck process is −(∇p×∇L + T), and T = (D₂₂ − D₁₁) p_xy is the larger of the two."""
    case = fp.cases.get("ornstein-uhlenbeck")
    grid = fp.Grid(fp.Box([-5, -5.5], [5, 5.5]), (80, 88))  # a node at (1, ½)
    field = fp.FaceField.from_function(grid, case.exact.current)
    vorticity = field.curl().components[0]
    i, j = (int(np.argmin(np.abs(grid.edges(a) - place))) for a, place in enumerate((1.0, 0.5)))
    shortcut, dropped = 0.027498434, -0.072364301
    tolerance = 1e-2  # differences over cells of 1/8; the two terms are larger than their sum
    assert -vorticity[i, j] == pytest.approx(shortcut + dropped, rel=tolerance)
    sol = fp.solve_stationary(case.process, grid.box, shape=grid.shape)
    assert -sol.flux.curl().components[0][i, j] == pytest.approx(shortcut + dropped, rel=tolerance)
    curl = fp.helmholtz(sol).curl_faces.curl().components[0]
    assert curl[i, j] == pytest.approx(sol.flux.curl().components[0][i, j], rel=1e-9)  # all of it is in the curl part
    p = sol.density.values
    mixed = (p[i, j] - p[i - 1, j] - p[i, j - 1] + p[i - 1, j - 1]) / sol.grid.spacing.prod()
    assert (0.5 - 1.0) * mixed == pytest.approx(dropped, rel=tolerance)


def test_anisotropic_noise_alone_makes_no_curl():
    """Position-dependent noise of two strengths, and detailed balance: nothing to split but round-off of the solve."""
    process = fp.DiffusionProcess(
        lambda x: np.stack([-(1 + x[1] ** 2) * x[0], -(1 + x[0] ** 2) * x[1]]),  # E5d: δ = β
        lambda x: np.stack([np.stack([1 + x[1] ** 2, 0 * x[0]]), np.stack([0 * x[0], 1 + x[0] ** 2])]),
        dim=2,
    )
    sol = fp.solve_stationary(process, fp.Box([-5, -5], [5, 5]), shape=(48, 48))
    top = fp.helmholtz(sol).extremum
    assert top is None or abs(top.value) < 1e-8
    vortices = fp.cases.get("four-vortices")
    turning = fp.helmholtz(fp.solve_stationary(vortices.process, fp.Box([-5, -5], [5, 5]), shape=(48, 48)))
    assert abs(turning.extremum.value) > 0.02
