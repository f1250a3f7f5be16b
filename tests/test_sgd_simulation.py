"""Chains with exact minibatches: their generator, batches, counts and moments."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import combinations, permutations, product
from typing import Any

import numba
import numpy as np
import pytest
from test_chains_kernel import Words
from test_sgd_model import breast_cancer, diabetes, linear, logistic

from fokkerplanck.errors import InvalidInput, NotConverged
from fokkerplanck.grid import Box, Grid
from fokkerplanck.kernels.counts import cross_in_space
from fokkerplanck.kernels.streams import seed_streams
from fokkerplanck.sgd import shares
from fokkerplanck.sgd.descent import SGD
from fokkerplanck.sgd.models import LossModel, linear_regression
from fokkerplanck.sgd.run import Run

SIGMAS = 4  # a two-sided normal deviation beyond it has probability 6e-5; the seeds are fixed


# --- chains against a twin -------------------------------------------------------------------------------------------


def words_of(run: Run, stream: int) -> Words:
    state = np.empty((1, 4), np.uint64)
    seed_streams(np.uint64(run.seed), stream, state)
    return Words(state[0])


def halves(draw: Words) -> Iterator[int]:
    while True:
        word = draw()
        yield word >> 32
        yield word & 2**32 - 1


def normal(draw: Words, size: int) -> np.ndarray:
    """Box and Muller; of an odd number the last partner is dropped."""
    u = [((draw() >> 11) + 1) / 2**53 for _ in range(size + size % 2)]
    pairs = [np.sqrt(-2 * np.log(u[k])) * np.exp(2j * np.pi * u[k + 1]) for k in range(0, size, 2)]
    return np.ravel([[pair.real, pair.imag] for pair in pairs])[:size]


def twin(sgd: SGD, run: Run, chain: int, chains: int = 32) -> np.ndarray:
    """The path of one chain, burn-in included, in plain Python."""
    model, size, n, beta = sgd.model, sgd.batch_size, sgd.model.n, sgd.momentum
    half, noise = halves(words_of(run, chain)), words_of(run, chains + chain)
    theta, velocity, ahead = model.minimum.copy(), np.zeros(model.dim), beta * sgd.nesterov
    order, place, path = list(range(n)), 0, [theta]
    period = {"without_replacement": size, "epoch": n // size * size}.get(sgd.sampling)
    for k in range(run.burn_in + run.steps):
        batch = []
        for _ in range(size):
            place = 0 if place == period else place
            if period is None:
                batch.append(next(half) * n >> 32)
            else:
                j = place + (next(half) * (n - place) >> 32)
                order[place], order[j] = order[j], order[place]
                batch.append(order[place])
                place += 1
        eta = sgd.learning_rate * (1.0 if sgd.schedule is None else sgd.schedule(k))
        shifts = sgd.label_noise * normal(noise, size) if sgd.label_noise else np.zeros(size)
        x, y, at = model.X[batch], model.y[batch] + shifts, theta + ahead * velocity
        slope = x @ at - y if model.kind == "linear" else -y / (1 + np.exp(y * (x @ at)))
        velocity = beta * velocity - eta * ((slope[:, None] * x).mean(axis=0) + model.l2 * at)
        if sgd.injected_noise:
            velocity = velocity + np.sqrt(2 * sgd.injected_noise * eta) * normal(noise, model.dim)
        theta = theta + velocity
        path.append(theta)
    return np.array(path)


def cells(grid: Grid, points: np.ndarray) -> np.ndarray:
    """Number of points in each cell."""
    index = np.floor((points - grid.box.lower) / grid.spacing).astype(int)
    inside = ((index >= 0) & (index < grid.shape)).all(axis=1)
    counts = np.zeros(grid.shape, np.int64)
    np.add.at(counts, tuple(index[inside].T), 1)
    return counts


def outflow(run: Run) -> np.ndarray:
    """Crossings out of each cell less those into it."""
    return sum(np.diff(count.sum(axis=0), axis=axis) for axis, count in enumerate(run.crossings))


OPTIONS: list[dict[str, Any]] = [
    {},
    {"momentum": 0.6},
    {"momentum": 0.6, "nesterov": True, "injected_noise": 0.03},
    {"schedule": lambda k: 1 / (1 + k / 20)},
]


def check_against_twin(sgd: SGD, paths: np.ndarray, run: Run, grid: Grid) -> None:
    steps, d = run.steps, run.dim
    tight = {"rtol": 1e-11, "atol": 1e-12}  # some fifty contracting steps of round-off 1e-16
    np.testing.assert_allclose(run.start, paths[:, -steps - 1], **tight)
    np.testing.assert_allclose(run.end, paths[:, -1], **tight)
    before, after = paths[:, -steps - 1 : -1] - run.centre, paths[:, -steps:] - run.centre
    np.testing.assert_allclose(run.chain_mean, paths[:, -steps:].mean(axis=1), **tight)
    np.testing.assert_allclose(run.chain_second, np.einsum("cki,ckj->cij", after, after) / steps, **tight)
    moment = np.einsum("cki,ckj->cij", before, after - before) / steps
    circulation = (moment - np.swapaxes(moment, 1, 2)) / (2 * run.time_step)
    np.testing.assert_allclose(run.chain_circulation, circulation, **tight)
    counts = cells(grid, paths[:, -steps:].reshape(-1, d))
    np.testing.assert_array_equal(run.histogram.sum(axis=0), counts)
    assert run.outside == pytest.approx(1 - counts.sum() / run.samples)
    assert 0 < run.outside < 1


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("make", [linear, logistic])
@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement", "epoch"])
def test_chains_agree_with_a_twin(make: Any, sampling: str, options: dict[str, Any]) -> None:
    sgd = SGD(make(), learning_rate=0.2, batch_size=3, sampling=sampling, **options)
    grid = Grid(sgd.box(widths=1.5), (5, 6, 7))
    run = sgd.simulate(grid=grid, chains=32, groups=16, steps=40, burn_in=7, rng=2718, progress=False)
    check_against_twin(sgd, np.array([twin(sgd, run, c) for c in range(32)]), run, grid)


@pytest.mark.parametrize("options", [*OPTIONS, {"label_noise": 0.7}])
@pytest.mark.parametrize("batch", [1, 4])
def test_chains_side_by_side_agree_with_a_twin(batch: int, options: dict[str, Any]) -> None:
    # 100 chains: six times sixteen, and four with idle lanes beside them; 301 steps: blocks of 64, and a part of one
    sgd = SGD(small(2), learning_rate=0.2, batch_size=batch, **options)
    grid = Grid(sgd.box(widths=1.5), (5, 6))
    run = sgd.simulate(grid=grid, chains=100, groups=16, steps=301, burn_in=5, rng=2719, progress=False)
    some = [0, 15, 16, 95, 96, 99]
    paths = np.array([twin(sgd, run, c, 100) for c in some])
    np.testing.assert_allclose(run.end[some], paths[:, -1], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(run.chain_mean[some], paths[:, 6:].mean(axis=1), rtol=1e-11, atol=1e-12)


# --- crossings -------------------------------------------------------------------------------------------------------


def crossed(a: np.ndarray, b: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Signed crossings of the segment a → b with the faces of unit cells, plane by plane."""
    faces = [np.zeros([n + (k == axis) for k, n in enumerate(shape)], int) for axis in range(len(shape))]
    for axis, n in enumerate(shape):
        for plane in range(n + 1):
            if (a[axis] < plane) != (b[axis] < plane):
                point = np.floor(a + (plane - a[axis]) / (b[axis] - a[axis]) * (b - a)).astype(int)
                point[axis] = plane
                if all(0 <= point[k] < shape[k] for k in range(len(shape)) if k != axis):
                    faces[axis][tuple(point)] += 1 if b[axis] > a[axis] else -1
    return faces


def test_crossings_agree_with_geometry() -> None:
    rng, shape = np.random.default_rng(515), (4, 5, 3)
    for _ in range(300):
        path = rng.uniform(-2, 7, (3, 2))
        places = 1 + np.clip(np.floor(path).astype(np.int32), -1, np.array(shape)[:, None])
        histogram = np.zeros([1, *(n + 2 for n in shape)], np.int64)
        faces = np.zeros((*histogram.shape, 3), np.int64)
        slab, row = (3 * int(np.prod(histogram.shape[k:])) for k in (2, 3))
        ones, flat = np.ones(3), faces.reshape(-1)
        cross_in_space(path[..., None], places.astype(np.int32)[..., None], 2, 0, 1, 0 * ones, ones, slab, row, flat)
        for axis, theirs in enumerate(crossed(*path.T, shape)):
            inside = tuple(slice(int(k != axis), -1) for k in range(3))
            np.testing.assert_array_equal(faces[0, ..., axis][inside], theirs)


def small(dim: int) -> LossModel:
    rng = np.random.default_rng(97 + dim)
    return linear_regression(rng.normal(size=(6, dim)), rng.normal(size=6), l2=0.1)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("widths", [0.7, 3.0, 50.0])
def test_crossings_and_occupation_balance_exactly(dim: int, widths: float) -> None:
    sgd = SGD(small(dim), learning_rate=0.3, batch_size=2)
    grid = Grid(sgd.box(widths=widths), (9, 8, 7)[:dim])
    run = sgd.simulate(grid=grid, chains=50, groups=16, steps=2000, rng=83, progress=False)
    assert (run.outside > 0) == (widths < 10)
    np.testing.assert_array_equal(outflow(run), cells(grid, run.start) - cells(grid, run.end))
    if widths > 10:
        assert all(count.take([0, -1], axis=axis + 1).any() is np.False_ for axis, count in enumerate(run.crossings))


# --- invariances -----------------------------------------------------------------------------------------------------


def same(a: Run, b: Run) -> bool:
    for field in dataclasses.fields(Run):
        one, two = getattr(a, field.name), getattr(b, field.name)
        pairs = zip(one, two, strict=True) if field.name == "crossings" else [(one, two)]
        if not all(np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y for x, y in pairs):
            return False
    return True


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement", "epoch"])
def test_slices_do_not_matter(sampling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sgd = SGD(small(2), learning_rate=0.3, batch_size=4, sampling=sampling)
    grid = Grid(sgd.box(), (16, 16))
    whole = sgd.simulate(grid=grid, chains=40, groups=16, steps=333, rng=9, progress=False)
    monkeypatch.setattr(shares, "GRADIENTS_PER_SLICE", 1)
    assert same(whole, sgd.simulate(grid=grid, chains=40, groups=16, steps=333, rng=9, progress=False))


def test_threads_do_not_matter() -> None:
    sgd = SGD(small(2), learning_rate=0.3, batch_size=1)
    grid = Grid(sgd.box(), (16, 16))
    most = numba.get_num_threads()
    if most < 2:
        pytest.skip("one thread only")
    runs = []
    try:
        for threads in (1, 2):
            numba.set_num_threads(threads)
            runs.append(sgd.simulate(grid=grid, chains=200, steps=300, rng=10, progress=False))
    finally:
        numba.set_num_threads(most)
    assert same(*runs)


def test_randomness_is_passed_in() -> None:
    sgd = SGD(small(1), learning_rate=0.3, batch_size=1)
    grid = Grid(sgd.box(), (8,))

    def run(rng: Any) -> Run:
        return sgd.simulate(grid=grid, chains=32, groups=16, steps=5, rng=rng, progress=False)

    assert same(run(11), run(np.random.default_rng(11)))
    assert same(run(11), run(np.random.SeedSequence(11)))
    assert run(11).seed != run(12).seed
    assert run(None).seed != run(None).seed
    generator = np.random.default_rng(13)
    assert run(generator).seed != run(generator).seed


def test_default_burn_in_is_ten_relaxation_times() -> None:
    sgd = SGD(breast_cancer(), learning_rate=0.5, batch_size=8)
    run = sgd.simulate(grid=Grid(sgd.box(), (8, 8)), chains=32, groups=16, steps=1, rng=3, progress=False)
    assert run.burn_in == 95  # 10 / −log(1 − 0.5 · 0.20003)


# --- moments against exact ones --------------------------------------------------------------------------------------


def worst(estimate: Any, exact: Any, error: Any) -> float:
    """Largest deviation in standard errors; entries that vanish by construction have none."""
    deviation, error = np.abs(np.subtract(estimate, exact)), np.asarray(error)
    assert not deviation[error == 0].any()
    return float((deviation[error > 0] / error[error > 0]).max(initial=0))


def triangle(c00: float, c01: float, c11: float) -> np.ndarray:
    return np.array([[c00, c01], [c01, c11]])


# references computed independently by a Hermite–Galerkin moment solver of the exact chain, to 1e-9 or better
CHAINS = [
    (
        diabetes,
        0.1,
        4,
        [0.4169801793015983, 0.7596883179837746],
        triangle(0.006957866238499145, -0.0007467067094318569, 0.006638938900953734),
        -0.0003155878952808581,
        triangle(0.006614264363351019, -0.0008084917518284328, 0.006553721956032175),
    ),
    (
        breast_cancer,
        0.5,
        8,
        [-1.169273200303415, -0.4515733315351796],
        triangle(0.003695709236192729, -0.003221559520512943, 0.015490041403388092),
        0.00020035920250702344,
        triangle(0.0035166184969571157, -0.003065044024647605, 0.014569195370945242),
    ),
]


@pytest.mark.parametrize(("make", "eta", "batch", "mean", "covariance", "area", "diffusive"), CHAINS)
def test_real_data(
    make: Any, eta: float, batch: int, mean: Any, covariance: np.ndarray, area: float, diffusive: np.ndarray
) -> None:
    sgd = SGD(make(), learning_rate=eta, batch_size=batch)
    grid = Grid(sgd.box(), (128, 128))
    run = sgd.simulate(grid=grid, rng=20261, progress=False)
    assert worst(run.mean, mean, run.mean_error) < SIGMAS
    assert worst(run.covariance, covariance, run.covariance_error) < SIGMAS
    circulation = np.array([[0, area], [-area, 0]])
    assert worst(run.circulation, circulation, run.circulation_error) < SIGMAS
    # negative control: the covariance of the diffusion, 1 to 6 % away, is told from that of the chain
    assert worst(run.covariance, diffusive, run.covariance_error) > 20
    # the moments of the fields are those of the chains: up to what a cell hides
    x = grid.cell_points() - run.centre[:, None, None]
    J, p = run.current.values, run.density.values
    assert (p.sum() * grid.cell_volume + run.outside) == pytest.approx(1, rel=1e-12)
    gridded = np.einsum("iab,jab,ab->ij", x, x, p) * grid.cell_volume
    centred = run.covariance + np.outer(run.mean - run.centre, run.mean - run.centre)
    cell = np.diag(grid.spacing**2 / 12)  # the variance of a cell; what is left is its error times the sampling noise
    np.testing.assert_allclose(gridded - cell, centred, atol=1e-3 * np.diag(centred).max())
    # a line of random position and the mean of two faces share the area but for the sampling noise inside a cell
    moment = (x[0] * J[1] - x[1] * J[0]).sum() * grid.cell_volume
    assert moment == pytest.approx(2 * run.circulation[0, 1], abs=2 * run.circulation_error[0, 1])
    assert moment == pytest.approx(2 * area, abs=2 * SIGMAS * run.circulation_error[0, 1])


def affine(model: LossModel, eta: float, draws: list[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """θ' = Aθ + c for each minibatch of a linear regression."""
    H = np.array([model.X[list(b)].T @ model.X[list(b)] / len(b) for b in draws])
    g = np.array([model.X[list(b)].T @ model.y[list(b)] / len(b) for b in draws])
    return np.eye(model.dim) * (1 - eta * model.l2) - eta * H, eta * g


def stationary(A: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean μ and second moment M of θ' = Aθ + c with all (A, c) equally likely, from their linear equations."""
    d = c.shape[1]
    mean = np.linalg.solve(np.eye(d) - A.mean(axis=0), c.mean(axis=0))
    cross = np.einsum("bij,j,bk->bik", A, mean, c).mean(axis=0)
    source = np.einsum("bi,bj->ij", c, c) / len(c) + cross + cross.T
    square = np.einsum("bik,bjl->ijkl", A, A).reshape(d * d, d * d) / len(c)
    return mean, np.linalg.solve(np.eye(d * d) - square, source.ravel()).reshape(d, d)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_exact_moments_of_linear_regression(dim: int, sampling: str) -> None:
    model, eta = small(dim), 0.3
    draws = list(product(range(6), repeat=3)) if sampling == "with_replacement" else list(combinations(range(6), 3))
    A, c = affine(model, eta, draws)
    mean, second = stationary(A, c)
    sgd = SGD(model, learning_rate=eta, batch_size=3, sampling=sampling)
    run = sgd.simulate(grid=Grid(sgd.box(), (10,) * dim), chains=256, steps=10_000, rng=6174, progress=False)
    covariance = second - np.outer(mean, mean)
    forward = A.mean(axis=0) @ covariance / eta  # ⟨θ'θᵀ⟩/η; its antisymmetric part is minus the circulation
    assert worst(run.mean, mean, run.mean_error) < SIGMAS
    assert worst(run.covariance, covariance, run.covariance_error) < SIGMAS
    assert worst(run.circulation, (forward.T - forward) / 2, run.circulation_error) < SIGMAS


def test_exact_moments_of_epochs() -> None:
    model, eta, size = small(1), 0.3, 2
    draws = list(permutations(range(6)))
    maps = [affine(model, eta, [draw[k : k + size] for draw in draws]) for k in (0, 2, 4)]
    a, c = [A[:, 0, 0] for A, _ in maps], [c[:, 0] for _, c in maps]
    composed = (a[2] * a[1] * a[0], a[2] * (a[1] * c[0] + c[1]) + c[2])
    first, second = stationary(composed[0][:, None, None], composed[1][:, None])
    means, squares, factor, shift = [], [], np.ones(len(draws)), np.zeros(len(draws))
    for k in range(3):  # step k of an epoch, from the stationary law of its start
        factor, shift = a[k] * factor, a[k] * shift + c[k]
        means.append((factor * first[0] + shift).mean())
        squares.append((factor**2 * second[0, 0] + 2 * factor * shift * first[0] + shift**2).mean())
    mean = np.mean(means)
    sgd = SGD(model, learning_rate=eta, batch_size=size, sampling="epoch")
    run = sgd.simulate(grid=Grid(sgd.box(), (10,)), chains=256, steps=9_999, rng=6174, progress=False)
    assert worst(run.mean, [mean], run.mean_error) < SIGMAS
    variance = np.mean(squares) - mean**2
    assert worst(run.covariance, [[variance]], run.covariance_error) < SIGMAS
    iid = SGD(model, learning_rate=eta, batch_size=size).covariance()[0, 0]
    assert variance < 0.9 * iid  # batches of an epoch compensate each other


# --- fields and their errors -----------------------------------------------------------------------------------------


def test_errors_predict_the_scatter_between_runs() -> None:
    sgd = SGD(breast_cancer(), learning_rate=0.5, batch_size=8)
    grid = Grid(sgd.box(widths=3), (12, 10))
    one, two = (sgd.simulate(grid=grid, chains=330, steps=2000, rng=rng, progress=False) for rng in (501, 502))
    assert {int(n) for n in one.group_samples} == {20_000, 22_000}  # groups of 10 and 11 chains
    many = one.histogram.sum(axis=0) > 1000
    for name in ("density", "current"):
        a, b = getattr(one, name), getattr(two, name)
        error = np.hypot(getattr(one, name + "_error"), getattr(two, name + "_error"))
        z = ((a - b) / error).values[..., many]
        # ⟨z²⟩ of t-like variables with 2·31 degrees of freedom is 1.03; neighbours are correlated
        assert 0.6 < (z**2).mean() < 1.6
    for axis in range(2):
        a, b = one.face_current[axis], two.face_current[axis]
        error = np.hypot(one.face_current_error[axis], two.face_current_error[axis])
        busy = error > 0.2 * error.max()  # elsewhere too few crossings for a normal law
        assert busy.sum() > 30
        assert 0.6 < (((a - b)[busy] / error[busy]) ** 2).mean() < 1.6


def test_fields_are_labelled_and_normalised() -> None:
    sgd = SGD(breast_cancer(), learning_rate=0.5, batch_size=8)
    grid = Grid(sgd.box(widths=2), (12, 10))
    run = sgd.simulate(grid=grid, chains=40, groups=16, steps=50, rng=70, progress=False)
    assert run.density.dims == ("mean_radius", "mean_texture")
    assert run.current.dims == ("component", "mean_radius", "mean_texture")
    assert run.current.component.values.tolist() == ["mean_radius", "mean_texture"]
    np.testing.assert_array_equal(run.density.mean_radius, grid.centers(0))
    assert run.density.shape == run.density_error.shape == grid.shape
    assert run.current.shape == run.current_error.shape == (2, *grid.shape)
    assert run.samples == 2000
    total = float(run.density.sum()) * grid.cell_volume
    assert 0 < run.outside < 1
    assert total + run.outside == pytest.approx(1, rel=1e-12)
    weights = run.group_samples / run.samples
    for axis, face in enumerate(run.face_current):
        assert face.shape == grid.face_shape(axis)
        np.testing.assert_allclose(np.tensordot(weights, run.face_current_groups[axis], 1), face, atol=1e-12)
        # the current through all faces at once: net displacement inside the grid per time, in cells
        counted = run.crossings[axis].sum()
        assert face.sum() * grid.cell_volume / grid.spacing[axis] == pytest.approx(counted / (2000 * 0.5), abs=1e-12)
    assert "chains=40, steps=50" in repr(run)


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_run_of_which_all_is_lost_is_refused() -> None:
    # stable on average, ηH = 1.5, but a step on the first sample multiplies the distance by −14: E ln|1 − ηx²| = 0.26
    X = np.full((10, 1), 0.1)
    X[0] = 10.0
    sgd = SGD(linear_regression(X, np.arange(10.0)), learning_rate=0.15, batch_size=1)
    with pytest.raises(
        NotConverged, match=r"at least 16 groups, .* got 32 of 32 chains that ran away, the first at step \d+ \("
    ):
        sgd.simulate(grid=Grid(sgd.box(), (8,)), chains=32, groups=16, steps=6000, rng=5, progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chains": 31}, "chains: expected a whole number of at least 32, got 31"),
        ({"chains": 63, "groups": 32}, "chains: expected at least 2 for each of the 32 groups, got 63"),
        ({"groups": 15}, "groups: expected a whole number of at least 16, got 15"),
        ({"steps": 0}, "steps: expected a whole number of at least 1, got 0"),
        ({"steps": 1.5}, r"steps: expected a whole number of at least 1, got 1\.5"),
        ({"burn_in": -1}, "burn_in: expected a whole number of at least 0, got -1"),
        ({"rng": "dice"}, "rng: expected a non-negative whole number, Generator, .* got 'dice'"),
        ({"rng": -5}, "rng: expected a non-negative whole number, Generator, .* got -5"),
        ({"grid": Grid(Box(0, 1), (8,))}, "grid: expected 2 dimensions, one per parameter .* got 1"),
        (
            {"grid": Grid(Box([0, 0], [1, 1], boundary="periodic"), (8, 8))},
            "grid: expected no periodic axis, got boundary = .* Parameters do not wrap round",
        ),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    sgd = SGD(small(2), learning_rate=0.1, batch_size=2)
    with pytest.raises(InvalidInput, match=message):
        sgd.simulate(**{"grid": Grid(sgd.box(), (8, 8)), "chains": 64, "steps": 5, "progress": False, **arguments})
