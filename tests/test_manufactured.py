"""The random problems of the benchmarks are what they say: their exact answers solve their equations."""

import numpy as np
import pytest
from known import PLANE, smooth_three
from manufactured import STEEPEST_RATIO, STRONGEST, draw

import fokkerplanck as fp

CELLS = {1: 256, 2: 48, 3: 16}
SEEDS = {1: range(7300, 7324), 2: range(7300, 7312), 3: range(7300, 7304)}


def derivative(field, x, axis, width):
    """Fourth-order central difference; with steps of 5e-4 of the box it is good to 1e-6 of these fields."""
    step, total = 5e-4 * width, 0.0
    for reach, weight in ((1, 8 / 12), (2, -1 / 12)):
        ahead, behind = x.copy(), x.copy()
        ahead[axis] += reach * step
        behind[axis] -= reach * step
        total = total + weight / step * (field(ahead) - field(behind))
    return total


def sampled(problem):
    """Points, and the velocity and current with lengths in units of the box."""
    grid = fp.Grid(problem.box, (CELLS[problem.box.dim],) * problem.box.dim)
    return grid.cell_points(), problem.box.widths.reshape((-1,) + (1,) * grid.dim)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_current_is_that_of_the_density_and_divergence_free(dim):
    flowing = 0
    for seed in SEEDS[dim]:
        problem = draw(np.random.default_rng(seed), dim)
        x, widths = sampled(problem)
        p, current = problem.density(x), problem.current(x)
        velocity = problem.process.current_velocity(x, problem.box.widths)  # from drift, interpretation and ∇·D
        slope = np.stack([derivative(problem.density, x, a, w) for a, w in enumerate(problem.box.widths)])
        implied = velocity * p - np.einsum("ij...,j...->i...", problem.process.diffusion(x), slope)
        scale = np.abs(velocity * p / widths).max()
        assert np.abs(velocity - problem.velocity(x)).max() < 1e-7 * np.abs(velocity).max()
        assert np.abs((implied - current) / widths).max() < 1e-6 * scale, problem.description
        slopes = [derivative(problem.current, x, a, w)[a] for a, w in enumerate(problem.box.widths)]
        assert np.abs(sum(slopes)).max() < 1e-5 * scale, problem.description
        if current.any():  # a negative control: the reversed current is not the density's
            flowing += 1
            assert np.abs((implied + current) / widths).max() > 1e-3 * scale
    assert flowing >= {1: 3, 2: 8, 3: 2}[dim]


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_density_is_normalised_and_keeps_off_the_walls(dim):
    for seed in SEEDS[dim]:
        problem = draw(np.random.default_rng(seed), dim)
        n = {1: 8192, 2: 320, 3: 80}[dim]  # not the cells of the normalisation
        grid = fp.Grid(problem.box, (n,) * dim)
        p = problem.density(grid.cell_points()) * grid.cell_volume
        assert p.sum() == pytest.approx(1.0, abs=1e-9)  # the tail cut off by the walls enters at its slope times h²/24
        for axis, periodic in enumerate(grid.periodic):
            if not periodic:
                profile = p.sum(axis=tuple(a for a in range(dim) if a != axis))
                assert max(profile[: n // 32].sum(), profile[-(n // 32) :].sum()) < 1.1e-7


def test_no_probability_crosses_a_reflecting_wall():
    for seed in SEEDS[2]:
        problem = draw(np.random.default_rng(seed), 2)
        grid = fp.Grid(problem.box, (64, 64))
        for axis, periodic in enumerate(grid.periodic):
            faces = problem.current(grid.face_points(axis))[axis]
            if not periodic:
                ends = np.take(faces, [0, -1], axis)
                assert np.abs(ends).max() <= 1e-14 * max(np.abs(faces).max(), 1e-300)


def test_tensors_and_currents_cover_what_is_claimed():
    ratios, strengths = [], []
    for seed in range(8100, 8140):
        problem = draw(np.random.default_rng(seed), 2)
        x, widths = sampled(problem)
        D = problem.process.diffusion(x) / (widths[:, None] * widths[None])  # in units of the box, as it was drawn
        values = np.linalg.eigvalsh(np.moveaxis(D, (0, 1), (-2, -1)))
        ratios.append((values[..., 1] / values[..., 0]).max())
        p = problem.density(x)
        swirl = np.where(p > 0.0, problem.current(x) / np.where(p > 0.0, p, 1.0), 0.0) / widths
        mean_square = lambda v, p=p: float(np.sum(p * (v**2).sum(axis=0)))  # noqa: E731
        strengths.append(np.sqrt(mean_square(swirl) / mean_square(problem.velocity(x) / widths - swirl)))
    assert max(ratios) <= STEEPEST_RATIO * (1 + 1e-9)
    assert max(ratios) > 0.6 * STEEPEST_RATIO
    assert min(ratios) < 2.0
    assert max(strengths) > 0.5 * STRONGEST
    assert strengths.count(0.0) >= 2


@pytest.mark.parametrize("make", [*PLANE.values(), smooth_three])
def test_the_fixed_problems_are_exact_too(make):
    problem = make()
    x, _ = sampled(problem)
    p, current, widths = problem.density(x), problem.current(x), problem.box.widths
    velocity = problem.process.current_velocity(x, widths)
    slope = np.stack([derivative(problem.density, x, a, w) for a, w in enumerate(widths)])
    implied = velocity * p - np.einsum("ij...,j...->i...", problem.process.diffusion(x), slope)
    scale = np.abs(velocity * p).max()
    assert np.allclose(velocity, problem.velocity(x), rtol=0.0, atol=1e-12 * np.abs(velocity).max())
    assert np.abs(implied - current).max() < 1e-6 * scale
    assert np.abs(sum(derivative(problem.current, x, a, w)[a] for a, w in enumerate(widths))).max() < 1e-5 * scale
    cell = float(np.prod(widths / x.shape[1:]))
    # the walls cut 3e-6 of problem (b); the coarse sums over the others are good to 1e-5
    assert p.sum() * cell == pytest.approx(1.0, abs=1e-5)


def test_a_seed_is_a_problem():
    first, again, other = (draw(np.random.default_rng(seed), 2) for seed in (7301, 7301, 7302))
    x = fp.Grid(first.box, (8, 8)).cell_points()
    assert first.description == again.description
    assert np.array_equal(first.process.drift(x), again.process.drift(x))
    assert first.box != other.box
