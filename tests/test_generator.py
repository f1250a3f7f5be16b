"""The monotone generator: signs, sums and equilibria at round-off, exact stationary laws and their order, currents on faces."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.linalg import solve_continuous_lyapunov

import fokkerplanck as fp
from fokkerplanck.kernels import offsets as kernel
from fokkerplanck.solvers import chain
from fokkerplanck.solvers.generator import chain_edges, solve_monotone


def turn(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def turning_tensor(x, ratio):
    c, s = np.cos(x[0] + x[1]), np.sin(x[0] + x[1])
    cross = (1 - ratio) * c * s
    return np.stack([np.stack([c * c + ratio * s * s, cross]), np.stack([cross, s * s + ratio * c * c])])


def quadratic(ratio, rotation=0.0):
    """Density exp(−r²/2) whatever the tensor; J = −rotation·(−y, x) p."""

    def drift(x):
        pull = np.einsum("ij...,j...->i...", turning_tensor(x, ratio), x)
        return -pull - rotation * np.stack([-x[1], x[0]])

    return fp.DiffusionProcess(drift, lambda x: turning_tensor(x, ratio), dim=2, interpretation="isothermal")


def linear(H, D):
    H = np.array(H, dtype=float)
    return fp.DiffusionProcess(lambda x: -np.einsum("ij,j...->i...", H, x), D, dim=len(H))


def gauss(x, inverse=None):
    inverse = np.eye(len(x)) if inverse is None else inverse
    return np.exp(-0.5 * np.einsum("i...,ij,j...->...", x, inverse, x))


def error(phi, grid, density):
    exact = density(grid.cell_points())
    return float(np.abs(np.exp(-phi) * grid.cell_volume - exact / exact.sum()).sum())


def assert_generator(G):
    off = G - sp.diags_array(G.diagonal())
    assert off.min() >= 0.0
    # a column sums a few dozen rates
    assert np.abs(G.sum(axis=0)).max() <= 1e-14 * np.abs(G.diagonal()).max()


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_selling_decomposes_any_tensor(dim):
    rng = np.random.default_rng(7)
    roots = rng.normal(size=(200, dim, dim)) * 10.0 ** rng.uniform(-2, 0, size=(200, 1, dim))
    tensor = np.zeros((200, 3, 3))
    tensor[:, :dim, :dim] = np.einsum("nij,nkj->nik", roots, roots)
    slots = {1: 1, 2: 3, 3: 6}[dim]
    offset, weight = np.zeros((200, slots, 3), dtype=np.int64), np.zeros((200, slots))
    assert kernel.selling(tensor, dim, offset, weight) == -1
    assert weight.min() >= 0.0
    again = np.einsum("ne,nei,nej->nij", weight, offset, offset)
    np.testing.assert_allclose(again, tensor, atol=1e-9)  # condition to 1e8 and offsets of hundreds: 1e-16 × 1e3² × 10


@pytest.mark.parametrize("ratio", [1.0, 1e-3, 1e-4])
@pytest.mark.parametrize("boundary", ["reflecting", "periodic", ["reflecting", "periodic"]])
def test_signs_and_sums_at_any_anisotropy(ratio, boundary):
    box = fp.Box([-np.pi, -np.pi], [np.pi, np.pi], boundary=boundary)
    process = fp.DiffusionProcess(
        lambda x: np.stack([30 * np.sin(x[0] + x[1]), 20 * np.cos(x[1])]), lambda x: turning_tensor(x, ratio), dim=2
    )
    assert_generator(fp.generator(process, fp.Grid(box, (24, 20))))


def test_signs_and_sums_where_noise_is_singular():
    along = np.array([np.cos(0.5), np.sin(0.5)])
    box = fp.Box([-3, -3], [3, 3])
    for D in (np.zeros((2, 2)), np.diag([0.0, 1.0]), np.outer(along, along)):
        assert_generator(fp.generator(linear([[1, -1], [1, 1]], D), fp.Grid(box, (20, 20))))


def test_detailed_balance_in_one_dimension():
    """Every edge balances by itself, with the potential by the trapezoid rule on D⁻¹u."""
    process = fp.DiffusionProcess(
        lambda x: -4 * x * (x**2 - 1), lambda x: (1 + 0.5 * np.sin(x))[None], dim=1, interpretation="isothermal"
    )
    grid = fp.Grid(fp.Box([-2], [2.2]), (60,))
    x = grid.centers(0)
    force = -4 * x * (x**2 - 1) / (1 + 0.5 * np.sin(x))
    law = np.exp(np.concatenate([[0.0], np.cumsum(0.5 * (force[1:] + force[:-1]) * grid.spacing[0])]))
    law /= law.sum()
    G = fp.generator(process, grid)
    flows = G.toarray() * law
    np.testing.assert_allclose(flows, flows.T, atol=1e-14 * np.abs(flows).max())
    np.testing.assert_allclose(fp.stationary_distribution(G), law, rtol=1e-11)  # 60 quotients of rates


@pytest.mark.parametrize("ratio", [1.0, 1e-2, 1e-3])
def test_equilibrium_in_a_quadratic_potential_is_exact(ratio):
    """With the tensor turning through the box and walls through the bulk, where the potential is resolved along offsets."""
    grid = fp.Grid(fp.Box([-1.5, -1.5], [1.5, 1.5]), (48, 48))
    phi, flux = solve_monotone(quadratic(ratio), grid)
    assert error(phi, grid, gauss) < 1e-11  # round-off of the elimination
    assert flux.largest() < 1e-11


@pytest.mark.parametrize("n", [32, 64])
def test_walls_through_the_bulk(n):
    """No flux with an oblique tensor: FiPy loses all mass here, finite elements go negative."""
    D = np.array([[0.505, 0.495], [0.495, 0.505]])
    grid = fp.Grid(fp.Box([-1, -1], [1, 1]), (n, n))
    phi, _ = solve_monotone(linear(D, D), grid)
    assert error(phi, grid, gauss) < 1e-12
    assert abs(np.exp(-phi).sum() * grid.cell_volume - 1) < 1e-13


@pytest.mark.parametrize("name", ["ornstein-uhlenbeck", "four-vortices"])
def test_second_order_with_a_current(name):
    case = fp.cases.get(name)
    density, current = [], []
    for n in (32, 64, 128):
        grid = fp.Grid(case.box, (n, n))
        phi, flux = solve_monotone(case.process, grid)
        exact = case.exact.current(grid.cell_points())
        density.append(error(phi, grid, case.exact.density))
        current.append(np.abs(flux.centered() - exact).sum() / np.abs(exact).sum())
        # round-off of the one-way fluxes, D/h² times larger than the net ones
        assert np.abs(flux.divergence()).max() * grid.spacing.min() < 1e-11 * flux.largest()
    for errors in (density, current):
        assert 1.85 < np.log2(errors[1] / errors[2]) < 2.2, errors
    assert density[-1] < 3e-4  # measured 1.6e-4 and 2.2e-4
    assert current[-1] < 4e-3  # measured 2.9e-3 and 2.1e-3


def test_second_order_with_a_current_along_walls():
    """Uniform density, J = rot ψ with ψ = sin²x sin²y in a box with an oblique tensor: the current runs along the walls."""

    def current(x):
        s, c = np.sin(x), np.cos(x)
        return np.stack([2 * s[0] ** 2 * s[1] * c[1], -2 * s[1] ** 2 * s[0] * c[0]])

    process = fp.DiffusionProcess(current, [[1.0, 0.6], [0.6, 0.8]], dim=2)
    errors = []
    for n in (16, 32, 64):
        grid = fp.Grid(fp.Box([0, 0], [np.pi, np.pi]), (n, n))
        errors.append(error(solve_monotone(process, grid)[0], grid, lambda x: np.ones(x.shape[1:])))
    assert np.log2(errors[1] / errors[2]) > 1.7, errors


def test_ring_with_a_current():
    """Drift sin x, 1/D = 1 + ½ sin x + ¼ cos x, Itô: the exact current by quadrature of the closed form."""
    process = fp.DiffusionProcess(np.sin, lambda x: 1 / (1 + 0.5 * np.sin(x) + 0.25 * np.cos(x))[None], dim=1)
    errors = []
    for n in (32, 64, 128):
        flux = solve_monotone(process, fp.Grid(fp.Box([0], [2 * np.pi], boundary="periodic"), (n,)))[1].components[0]
        np.testing.assert_allclose(flux, flux[0], rtol=1e-9)
        errors.append(abs(flux[0] - 0.0293963367))
    assert 1.9 < np.log2(errors[1] / errors[2]) < 2.1
    assert errors[2] < 3e-5


def test_circulation_across_little_noise_stays_in_place():
    """Two wells at small noise 1 : 0.01 that turns, with a circulation: coarse, first order, but where the density is.

    Carried by the long offsets alone, nearly all of the probability ended in a corner.
    """
    noise = 0.05

    def slope(x):
        return np.stack([x[0] * (x[0] ** 2 - 1), x[1]])

    def drift(x):
        g = slope(x)
        return -np.einsum("ij...,j...->i...", turning_tensor(x, 0.01), g) - 0.5 * np.stack([-g[1], g[0]])

    process = fp.DiffusionProcess(drift, lambda x: noise * turning_tensor(x, 0.01), dim=2, interpretation="isothermal")
    exact = lambda x: np.exp(-((x[0] ** 2 - 1) ** 2 / 4 + x[1] ** 2 / 2) / noise)  # noqa: E731
    errors = []
    for n in (64, 128):
        grid = fp.Grid(fp.Box([-2.2, -2.2], [2.2, 2.2]), (n, n))
        errors.append(error(solve_monotone(process, grid)[0], grid, exact))
    assert errors[0] < 0.5  # measured 0.45; upwinding everything gives 0.54
    assert errors[1] < errors[0]


def test_first_order_where_upwinded():
    """Negative control: without noise along one axis the same measure sees order one."""
    kinetic = linear([[0, -1], [1, 1]], np.diag([0.0, 1.0]))
    errors = []
    for n in (32, 64):
        grid = fp.Grid(fp.Box([-5, -5], [5, 5]), (n, n))
        errors.append(error(solve_monotone(kinetic, grid)[0], grid, gauss))
    assert 0.7 < np.log2(errors[0] / errors[1]) < 1.2


def test_three_dimensions():
    D = np.array([[1, 0.6, 0.3], [0.6, 0.8, -0.2], [0.3, -0.2, 0.9]])
    H = np.array([[1, 0.5, 0], [-0.5, 1.2, 0.3], [0.1, 0, 0.8]])
    S = solve_continuous_lyapunov(H, 2 * D)
    reach = 4.5 * np.sqrt(np.diag(S))
    errors = []
    for n in (10, 20):
        grid = fp.Grid(fp.Box(-reach, reach), (n, n, n))
        process = linear(H, D)
        assert_generator(fp.generator(process, grid))
        phi, flux = solve_monotone(process, grid)
        errors.append(error(phi, grid, lambda x: gauss(x, np.linalg.inv(S))))
        assert np.abs(flux.divergence()).max() * grid.spacing.min() < 1e-10 * flux.largest()
    assert 1.7 < np.log2(errors[0] / errors[1]) < 2.8
    assert errors[1] < 2e-2


@pytest.mark.parametrize("boundary", ["reflecting", "periodic"])
def test_flux_on_faces_is_what_the_cells_exchange(boundary):
    """∇·J = −G P / volume for any P, with offsets of several cells; a uniform drift on a torus is carried at its speed."""
    grid = fp.Grid(fp.Box([0, 0], [2 * np.pi, 2 * np.pi], boundary=boundary), (20, 16))
    D = turn(0.3) @ np.diag([1, 1e-3]) @ turn(0.3).T
    edges = chain_edges(fp.DiffusionProcess([0.3, -0.2], D, dim=2), grid)
    assert np.abs(edges.steps).max() > 2
    p = np.random.default_rng(3).uniform(size=grid.shape)
    flux = edges.flux(p)
    change = (edges.matrix() @ p.ravel()).reshape(grid.shape) / grid.cell_volume
    np.testing.assert_allclose(flux.divergence(), -change, atol=1e-12 * np.abs(change).max())
    if boundary == "periodic":
        uniform = edges.flux(np.full(grid.shape, grid.cell_volume))
        for component, speed in zip(uniform.components, (0.3, -0.2), strict=True):
            np.testing.assert_allclose(component, speed, rtol=1e-11)
    else:
        for axis, component in enumerate(flux.components):
            assert not np.take(component, [0, -1], axis).any()


def test_axes_can_be_swapped():
    process = quadratic(1e-2, 0.05)
    swapped = fp.DiffusionProcess(
        lambda x: process.drift(x[::-1])[::-1],
        lambda x: turning_tensor(x[::-1], 1e-2)[::-1, ::-1],
        dim=2,
        interpretation="isothermal",
    )
    box = fp.Box([-3, -3], [3, 3])
    one, _ = solve_monotone(process, fp.Grid(box, (24, 32)))
    two, _ = solve_monotone(swapped, fp.Grid(box, (32, 24)))
    np.testing.assert_allclose(np.exp(-one), np.exp(-two).T, atol=1e-11)


def test_elimination_orders_agree(monkeypatch):
    """Dense without subtraction, and sparse in logarithms."""
    process, grid = quadratic(0.1, 0.3), fp.Grid(fp.Box([-3, -3], [3, 3]), (20, 20))
    G = fp.generator(process, grid)
    dense = chain.log_stationary(G, None)
    monkeypatch.setattr(chain, "SMALLEST_CHAIN", 10)
    np.testing.assert_allclose(chain.log_stationary(G, None), dense, atol=1e-11)
    np.testing.assert_allclose(chain.log_stationary(G, grid), dense, atol=1e-11)


def test_two_regions_that_exchange_nothing():
    def noise(x):
        return np.where(np.abs(x[0]) < 0.5, 0.0, 1.0)[None, None]

    process = fp.DiffusionProcess(lambda x: 0 * x, noise, dim=1, interpretation="isothermal")
    grid = fp.Grid(fp.Box([-2], [2]), (40,))
    with pytest.raises(
        fp.InvalidInput, match=r"disconnected: \d+ regions are never left.*cells around \(-1\.25\)|cells around"
    ):
        solve_monotone(process, grid)


def test_states_that_are_left_for_good():
    drift_only = fp.DiffusionProcess(
        [1.0], lambda x: np.where(x[0] > 1.0, 1.0, 0.0)[None, None], dim=1, interpretation="isothermal"
    )
    with pytest.raises(fp.InvalidInput, match="left and never entered again"):
        fp.stationary_distribution(fp.generator(drift_only, fp.Grid(fp.Box([0], [2]), (20,))))


def test_wells_that_hardly_exchange():
    """Beyond about 30 kT the pivots cancel; that is seen and refused, not returned."""
    steep = fp.DiffusionProcess(lambda x: np.stack([-160 * x[0] * (x[0] ** 2 - 1) - 0.2, -x[1]]), 1.0, dim=2)
    with pytest.raises(fp.NotConverged, match="double precision"):
        solve_monotone(steep, fp.Grid(fp.Box([-1.6, -4], [1.6, 4]), (64, 32)))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(2), "square sparse matrix, got ndarray"),
        (sp.csc_array([[-1.0, 1.0], [2.0, -2.0]]), "columns that sum to zero"),
        (sp.csc_array([[1.0, -1.0], [-1.0, 1.0]]), "rates ≥ 0 off the diagonal"),
        (sp.csc_array([[np.nan, 1.0], [1.0, -1.0]]), "finite rates"),
    ],
)
def test_what_is_no_generator(matrix, message):
    with pytest.raises(fp.InvalidInput, match=message):
        fp.stationary_distribution(matrix)


def test_dimensions_have_to_fit():
    with pytest.raises(fp.InvalidInput, match="as many axes as the process has variables"):
        fp.generator(quadratic(1.0), fp.Grid(fp.Box([0], [1]), (8,)))


def test_paths_of_edges_are_symmetric():
    """The faces crossed forwards are those crossed backwards."""
    shape = (12, 12, 12)
    for step in itertools.product((-3, 0, 1, 2), repeat=3):
        there, back = (
            tuple(np.zeros([n + (a == axis) for a, n in enumerate(shape)]) for axis in range(3)) for _ in "ab"
        )
        start = np.array([5, 6, 5])
        end = start + step
        flat = [np.array([np.ravel_multi_index(c, shape)]) for c in (start, end)]
        kernel.carry_to_faces(flat[0], np.array([step]), np.ones(1), shape, (False,) * 3, there)
        kernel.carry_to_faces(flat[1], -np.array([step]), -np.ones(1), shape, (False,) * 3, back)
        for one, two in zip(there, back, strict=True):
            np.testing.assert_array_equal(one, two)
