"""Dynamics on stretched axes against what is known exactly: moments in time, rates, first passages, splitting."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm, solve_continuous_lyapunov

import fokkerplanck as fp

LINE = fp.DiffusionProcess(lambda x: -x, 1.0, dim=1)  # U = x²/2
HEAVY = fp.DiffusionProcess(lambda x: -x, lambda x: (0.25 * (1 + x**2))[None], dim=1)  # p ∝ (1 + x²)⁻³
DRIFT = np.array([[1.0, -2.0], [2.0, 1.5]])
NOISE = np.array([[0.5, 0.2], [0.2, 0.3]])
SPIRAL = fp.DiffusionProcess(lambda x: -np.einsum("ij,j...->i...", DRIFT, x), NOISE, dim=2)


def orders(misses):
    """Between the last two of three grids."""
    return np.log2(np.divide(misses[-2], misses[-1]))


def cell(grid, place):
    return int(np.argmin(np.abs(grid.centers(0) - place)))


def passage(grid, process, peak, potential, density):
    """Relative error of the mean time from about −1 to the centre of a cell: τ = ∫ 1/(D p) ∫ p, with e^U = 1/(D p)."""
    start, end = cell(grid, -1.0), cell(grid, peak)
    x = grid.centers(0)
    tau = fp.mean_first_passage_time(process, grid, lambda y: y[0] > x[end] - 1e-9 * (x[end] - x[start]))
    before = lambda y: quad(density, grid.box.lower[0], y, points=[-2, 0], limit=200)[0]  # noqa: E731
    exact = quad(lambda y: np.exp(potential(y)) * before(y), x[start], x[end])[0]
    assert (tau.values[:end] > 0).all()
    return abs(float(tau[start]) / exact - 1)


@pytest.mark.parametrize(
    "curve",
    [fp.Sinh(scale=2.0), fp.Sinh(0.3, scale=0.7), fp.Algebraic(0.2, scale=3.0)],
    ids=["sinh", "off", "algebraic"],
)
def test_a_linear_process_in_one_dimension(curve):
    """Mean μe⁻ᵗ and variance 1 + (v − 1)e⁻²ᵗ, rates 1, 2, 3, and a passage: all of second order, and good ones."""
    misses, mean, variance, t = [], 1.5, 0.3, 0.7
    for n in (40, 80, 160):
        grid = fp.Grid(fp.Box([-7], [7]), (n,), maps=curve)
        x = grid.centers(0)
        density = fp.evolve(LINE, grid, lambda x: np.exp(-0.5 * (x[0] - mean) ** 2 / variance), [t], rtol=1e-7).density
        assert density.values.min() > 0.0
        p = density.values[0] * grid.cell_volumes
        assert p.sum() == pytest.approx(1.0, abs=1e-13)
        found = [x @ p, (x - x @ p) ** 2 @ p, *fp.relaxation_modes(fp.generator(LINE, grid), 4).rates[1:].real]
        exact = [mean * np.exp(-t), 1 + (variance - 1) * np.exp(-2 * t), 1.0, 2.0, 3.0]
        late = passage(grid, LINE, 1.0, lambda y: y**2 / 2, lambda y: np.exp(-(y**2) / 2))
        misses.append([*np.abs(np.subtract(found, exact)), late])
    assert ((orders(misses) > 1.85) & (orders(misses) < 2.2)).all(), misses
    assert max(misses[2]) < 6e-3  # of 3; equal cells leave 8e-3


def test_a_density_that_decays_as_a_power():
    """⟨x²⟩ = ⅓ + (m₂ − ⅓)e^(−3t/2) and the rates 1 and 3/2 of the polynomials, in a box of ±1000."""
    misses, mean, variance, t = [], 1.0, 0.25, 0.8
    for n in (64, 128, 256):
        grid = fp.Grid(fp.Box([-1000], [1000]), (n,), maps=fp.Sinh(scale=1.0))
        x = grid.centers(0)
        start = lambda x: np.exp(-0.5 * (x[0] - mean) ** 2 / variance)  # noqa: E731
        p = fp.evolve(HEAVY, grid, start, [t], rtol=1e-6).density.values[0] * grid.cell_volumes
        rates = fp.relaxation_modes(fp.generator(HEAVY, grid), 3).rates.real
        found = [x @ p, x**2 @ p, *rates[1:]]
        exact = [mean * np.exp(-t), 1 / 3 + (mean**2 + variance - 1 / 3) * np.exp(-1.5 * t), 1.0, 1.5]
        late = passage(grid, HEAVY, 3.0, lambda y: np.log(4 * (1 + y**2) ** 2), lambda y: (1 + y**2) ** -3)
        misses.append([*np.abs(np.subtract(found, exact)), late])
    assert ((orders(misses) > 1.8) & (orders(misses) < 2.3)).all(), misses
    assert max(misses[2]) < 4e-3


def test_splitting_between_the_centres_of_two_cells():
    misses = []
    weight = lambda a, b: quad(lambda y: np.exp(y**2 / 2), a, b)[0]  # noqa: E731
    for n in (41, 123):  # thirds keep the centres
        grid = fp.Grid(fp.Box([-7], [7]), (n,), maps=fp.Sinh(0.4, scale=1.0))
        x, step = grid.centers(0), n // 41
        low, high = 12 * step + step // 2, 28 * step + step // 2
        q = fp.splitting_probability(LINE, grid, np.arange(n) >= high, np.arange(n) <= low).values
        assert q.min() >= 0.0
        assert q.max() <= 1.0
        exact = [weight(x[low], y) / weight(x[low], x[high]) for y in x[low : high + 1]]
        misses.append(np.abs(q[low : high + 1] - exact).max())
    assert 1.7 < np.log(misses[0] / misses[1]) / np.log(3) < 2.3, misses
    assert misses[1] < 1e-3


ROUGH = np.cumsum(np.concatenate([[0.0], 0.5 + np.random.default_rng(3).random(16)]))
ROUGH = -5.0 + 10.0 * ROUGH / ROUGH[-1]
ROUGH[[0, -1]] = -5.0, 5.0


@pytest.mark.parametrize(
    "maps",
    [(fp.Sinh(0.3, scale=1.5), fp.Algebraic(-0.2, scale=2.5)), (ROUGH, fp.Sinh(scale=2.0))],
    ids=["smooth", "edges"],
)
def test_a_spiral_in_the_plane(maps):
    """Mean e^(−Bt)m, covariance S + e^(−Bt)(C − S)e^(−Bᵀt), and the rates: a complex pair and the sum of it."""
    S = solve_continuous_lyapunov(DRIFT, 2 * NOISE)
    m, C, t = np.array([1.0, 0.5]), np.diag([0.15, 0.1]), 0.4
    decay = expm(-DRIFT * t)

    def start(x):
        offset = x - m[:, None, None]
        return np.exp(-0.5 * np.einsum("i...,ij,j...->...", offset, np.linalg.inv(C), offset))

    misses = []
    for n in (32, 64):
        grid = fp.Grid(fp.Box([-5, -5], [5, 5]), (n, n), maps=maps)
        G = fp.generator(SPIRAL, grid)
        # Sums of a dozen rates, in units of the largest.
        assert np.abs(G.sum(axis=0)).max() < 1e-14 * np.abs(G.diagonal()).max()
        density = fp.evolve(SPIRAL, grid, start, [t], rtol=1e-5).density.values[0]
        assert density.min() >= 0.0
        p = (density * grid.cell_volumes).ravel()
        assert p.sum() == pytest.approx(1.0, abs=1e-13)
        x = grid.cell_points().reshape(2, -1)
        mean = x @ p
        covariance = (x - mean[:, None]) * p @ (x - mean[:, None]).T
        rates = fp.relaxation_modes(G, 4, grid=grid).rates
        misses.append(
            [
                np.abs(mean - decay @ m).max(),
                np.abs(covariance - (S + decay @ (C - S) @ decay.T)).max(),
                max(np.abs(rates - z).min() for z in np.linalg.eigvals(DRIFT)),
            ]
        )
    assert (orders(misses) > (1.8 if maps[0] is not ROUGH else 1.2)).all(), (
        misses
    )  # 32 cells of ROUGH differ by factors
    assert max(misses[1]) < (2e-2 if maps[0] is not ROUGH else 6e-2), misses


def test_long_times_reach_the_stationary_law_and_a_given_density_is_kept():
    grid = fp.Grid(fp.Box([-5, -5], [5, 5]), (32, 32), maps=(fp.Sinh(scale=1.0), fp.Algebraic(scale=2.5)))
    law = fp.stationary_distribution(fp.generator(SPIRAL, grid), grid=grid).reshape(grid.shape)
    flat = np.full(grid.shape, 1 / grid.cell_volumes.sum())
    later = fp.evolve(SPIRAL, grid, flat, [0.0, 1e4]).density.values
    np.testing.assert_allclose(later[0], flat, rtol=1e-13)
    assert np.abs(later[1] * grid.cell_volumes - law).sum() < 1e-4  # rtol
    sol = fp.solve_stationary(SPIRAL, grid.box, shape=(64, 64), maps=grid.maps)
    kept = fp.evolve(SPIRAL, sol.grid, sol.density.values, [3.0]).density.values[0]
    # The generator's own law is of second order; the solution is of fourth.
    assert np.abs(kept - sol.density.values).ravel() @ sol.grid.cell_volumes.ravel() < 1e-2
