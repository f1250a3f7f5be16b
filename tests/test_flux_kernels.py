"""Kernels against independent computations: high precision, NumPy, finite differences, linear algebra."""

from fractions import Fraction

import numpy as np
import pytest

from fokkerplanck import Box, DiffusionProcess, Grid
from fokkerplanck.kernels import flux as kernel
from fokkerplanck.operators import face_coefficients
from fokkerplanck.solvers import newton
from fokkerplanck.solvers.linear import dissection, stencil_matrix
from fokkerplanck.solvers.scheme import Scheme


def bernoulli_by_series(x: float) -> float:
    """x/(eˣ − 1) in rational arithmetic: 1/Σ xᵏ/(k+1)!."""
    exact, term, total = Fraction(x), Fraction(1), Fraction(0)
    for k in range(200):
        total += term
        term = term * exact / (k + 2)
    return float(1 / total)


@pytest.mark.parametrize("x", [0.0, 1e-9, -1e-5, 9.9e-3, -9.9e-3, 1.01e-2, 0.5, -3.0, 12.0, -30.0])
def test_bernoulli(x):
    # a few roundings of expm1 and a quotient
    assert kernel.bernoulli(x) == pytest.approx(bernoulli_by_series(x), rel=4e-15)


def test_forward_rate_is_upwind_without_noise_and_central_without_drift():
    assert kernel.forward_rate(2.0, 0.0, 0.1) == 2.0
    assert kernel.forward_rate(-2.0, 0.0, 0.1) == 0.0
    assert kernel.forward_rate(0.0, 0.3, 0.1) == pytest.approx(3.0, rel=1e-15)
    forward, backward = kernel.forward_rate(1.5, 0.3, 0.1), kernel.forward_rate(-1.5, 0.3, 0.1)
    assert forward - backward == pytest.approx(1.5, rel=1e-13)  # a constant density is carried at the drift's speed
    assert forward / backward == pytest.approx(np.exp(1.5 * 0.1 / 0.3), rel=1e-13)  # equilibrium at the exact ratio


def swirl(x):
    return np.stack([-x[0] + 2.0 * x[1] + 0.3 * x[1] ** 2, -x[1] - 2.0 * x[0] + 0.1 * x[0] * x[1]])


def tensor(x):
    a = 0.4 * x[0] + 0.3 * x[1]
    return np.stack(
        [np.stack([1.0 + 0.5 * np.cos(a), 0.4 * np.sin(a)]), np.stack([0.4 * np.sin(a), 1.0 - 0.5 * np.cos(a)])]
    )


def waving(field, box):
    """A field made periodic on a box: a function of sines of the coordinates."""
    low, width = np.array(box.lower), box.widths

    def periodic(x):
        shape = (-1,) + (1,) * (x.ndim - 1)
        return field(1.8 * np.sin(2 * np.pi * (x - low.reshape(shape)) / width.reshape(shape) + 0.4))

    return periodic


def coefficients_on(grid):
    box = grid.box
    return face_coefficients(DiffusionProcess(waving(swirl, box), waving(tensor, box), dim=2), grid)


BOUNDARIES = ["reflecting", "periodic", ("reflecting", "periodic")]


@pytest.fixture(params=BOUNDARIES, ids=str)
def scheme(request):
    grid = Grid(Box([-2, -2], [2, 2.5], boundary=request.param), (10, 8))
    return Scheme(coefficients_on(grid))


def rough(shape, seed, size):
    return size * np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("steepest", [0.0, 0.8, 1e9], ids=["all frozen", "mixed", "all regular"])
def test_jacobian_is_the_derivative_of_the_balance(scheme, steepest):
    """Away from walls: next to them the Jacobian is compact and the balance is not, on purpose."""
    phi = rough(scheme.grid.shape, 11, 0.3)
    scheme.freeze(phi, steepest, 10.0, 3.0)
    s = rough(scheme.grid.shape, 12, 1.0)
    residual, rows = scheme.balance(phi)
    linear = (stencil_matrix(rows, scheme.offsets, scheme.periodic) @ s.ravel()).reshape(phi.shape)
    step = 1e-6
    ahead, behind = (scheme.balance(phi - sign * step * s)[0].reshape(phi.shape) for sign in (1, -1))
    # balance = outflow/p, so its change is that of the outflow plus s × balance
    change = (ahead - behind) / (2 * step) + s * residual.reshape(phi.shape)
    inside = tuple(slice(None) if ring else slice(2, -2) for ring in scheme.grid.periodic)
    # step² + round-off/step
    np.testing.assert_allclose(linear[inside], change[inside], atol=1e-7 * np.abs(linear).max())


def test_flux_of_the_linearised_balance_has_that_balance(scheme):
    """div(J + J's)/p equals residual + K s in every cell, walls included: what makes the reported flux divergence-free."""
    phi, s = rough(scheme.grid.shape, 3, 0.3), rough(scheme.grid.shape, 4, 1.0)
    scheme.freeze(phi, 0.8, 10.0, 3.0)
    residual, rows = scheme.balance(phi)
    linear = stencil_matrix(rows, scheme.offsets, scheme.periodic) @ s.ravel() + residual.ravel()
    outflow = (scheme.flux(phi, s).divergence() * np.exp(phi)).ravel()
    np.testing.assert_allclose(linear, outflow, atol=1e-12 * np.abs(outflow).max())


def test_flux_matches_numpy_on_a_torus():
    grid = Grid(Box([0, 0], [2, 3], boundary="periodic"), (8, 6))
    coefficients = coefficients_on(grid)
    scheme = Scheme(coefficients)
    phi = rough(grid.shape, 21, 0.2)
    scheme.freeze(phi, 1e9, 10.0, 3.0)
    for forms in scheme.regular:
        forms[:] = True
    flux = scheme.flux(phi, np.zeros_like(phi))
    for a, b in ((0, 1), (1, 0)):
        slope = (np.roll(phi, -1, b) - np.roll(phi, 1, b)) / (2 * grid.spacing[b])
        left = np.roll(phi, 1, a)
        inner = [slice(None), slice(None)]
        inner[a] = slice(0, -1)
        u, d = coefficients.velocity[a][tuple(inner)], coefficients.diffusion[a][(slice(None), *inner)]
        v = u + d[a] * (phi - left) / grid.spacing[a] + d[b] * 0.5 * (slope + np.roll(slope, 1, a))
        expected = np.exp(-0.5 * (phi + left)) * v
        np.testing.assert_allclose(flux.components[a][tuple(inner)], expected, atol=1e-14 * np.abs(expected).max())
        np.testing.assert_array_equal(np.take(flux.components[a], 0, a), np.take(flux.components[a], -1, a))


def test_cells_are_left_alone_only_among_their_like():
    grid = Grid(Box([0, 0], [1, 1], boundary=("reflecting", "periodic")), (8, 8))
    phi = np.zeros(grid.shape)
    phi[4:, :] = 100.0
    phi[6, 0] = 10.0
    still = newton.negligible(phi, grid)
    assert not still[:5].any()  # row 4 touches row 3
    assert still[5, 2:7].all()
    assert not still[5:, [0, 1, 7]].any()  # neighbours of (6, 0), round the ring


@pytest.mark.parametrize(("periodic", "count"), [((False, False), 2), ((True, False), 1)])
def test_regions_are_joined_round_a_ring(periodic, count):
    active = np.ones((6, 5), dtype=bool)
    active[3] = False
    region, found = newton._regions(active, periodic)
    assert found == count
    assert (region == 0).sum() == 5
    assert set(region[active]) == set(range(1, count + 1))


def test_gth_solves_a_chain_spread_over_hundreds_of_decades():
    rng = np.random.default_rng(8)
    n = 30
    exact = np.sort(rng.uniform(-600, 0, n))[::-1]  # ln p
    exact -= exact[0]
    rates = np.zeros((n, n))
    for i in range(n - 1):  # a birth–death chain in detailed balance
        rates[i, i + 1], rates[i + 1, i] = np.exp(exact[i + 1] - exact[i]), 1.0
    log_p = np.empty(n)
    assert kernel.gth(rates, log_p)
    np.testing.assert_allclose(log_p, exact, rtol=1e-13)  # no subtraction: relative accuracy in every state


def test_gth_against_linear_algebra():
    rates = np.random.default_rng(9).uniform(0.1, 1.0, (12, 12))
    np.fill_diagonal(rates, 0.0)
    generator = rates - np.diag(rates.sum(axis=1))
    system = np.vstack([generator.T, np.ones(12)])
    exact = np.linalg.lstsq(system, np.append(np.zeros(12), 1.0), rcond=None)[0]
    log_p = np.empty(12)
    assert kernel.gth(rates.copy(), log_p)
    np.testing.assert_allclose(np.exp(log_p) / np.exp(log_p).sum(), exact, rtol=1e-12)


def test_gth_reports_a_chain_that_falls_apart():
    rates = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert not kernel.gth(rates, np.empty(3))


@pytest.mark.parametrize(
    ("shape", "periodic"), [((12, 9, 1), (False,) * 3), ((8, 8, 8), (True, False, True)), ((40, 1, 1), (True,) * 3)]
)
def test_dissection_is_an_order(shape, periodic):
    assert np.array_equal(np.sort(dissection(shape, periodic)), np.arange(np.prod(shape)))


def test_dissection_separates():
    """Neither half of a grid touches the other: factorising one fills nothing in the other."""
    shape = (16, 16, 1)
    order = dissection(shape, (False,) * 3)
    place = np.empty(256, int)
    place[order] = np.arange(256)
    place = place.reshape(16, 16)
    assert place[8].min() == 256 - 16  # the middle plane comes last
    assert place[:8].max() < place[9:].min()
