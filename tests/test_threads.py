"""Work shared between two threads: the same numbers as without, in the same order, with the caller's settings."""

import os
import signal
import threading

import numpy as np
import pytest

from fokkerplanck import Box, DiffusionProcess, FaceField, Grid, Sinh
from fokkerplanck import threads as threads_module
from fokkerplanck.kernels import along, high_order
from fokkerplanck.poisson import divergence_free, without_gradient
from fokkerplanck.threads import PIECE, each, in_pieces, shared, summed

RNG = np.random.default_rng(2207)


@pytest.mark.parametrize("shape", [(700, 300), (3, 90_000), (250_000,), (40, 50, 60), (5, 4), (0, 4)])
def test_pieces_cover_everything_once_and_in_order(shape):
    seen = np.zeros(shape, dtype=int)

    def piece(rows):
        seen[rows] += 1
        return rows.start

    starts = in_pieces(piece, shape[0], seen.size)
    assert (seen == 1).all()
    assert starts == sorted(starts)
    assert len(starts) == min(shape[0], -(-seen.size // PIECE))


def test_sums_do_not_depend_on_the_number_of_threads(monkeypatch):
    values = RNG.normal(size=(900, 500))
    total = lambda: summed(lambda rows: float(np.sum(np.exp(values[rows]))), *values.shape[:1], values.size)  # noqa: E731
    two = total()
    monkeypatch.setattr(threads_module, "_helpers", lambda: None)
    assert total() == two


@pytest.mark.parametrize("shape", [(900, 500), (6, 5)])
def test_shared_functions_are_those_of_numpy(shape):
    a, b = RNG.normal(size=shape), RNG.normal(size=shape)
    np.testing.assert_array_equal(shared(np.subtract, a, b), a - b)
    np.testing.assert_array_equal(shared(np.multiply, 3.0, a), 3.0 * a)
    expected = a / b
    assert shared(np.divide, a, b, out=a) is a
    np.testing.assert_array_equal(a, expected)


def test_the_other_thread_has_the_settings_of_the_caller_and_its_errors_arrive():
    names, zeros = set(), np.zeros((1000, 400))

    def divide(rows):
        names.add(threading.current_thread().name)
        return 1.0 / zeros[rows]

    with np.errstate(divide="ignore"):
        assert all(np.isinf(part).all() for part in in_pieces(divide, 1000, zeros.size))
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        in_pieces(divide, 1000, zeros.size)
    assert len(names) == (1 if threads_module._helpers() is None else 2)


def test_each_piece_is_worked_once_whatever_the_number_of_threads():
    for threads in (1, 2, 5):
        seen = []
        each(seen.append, range(40), threads)
        assert sorted(seen) == list(range(40))
    each(seen.append, [], 2)
    assert len(seen) == 40


def test_an_error_in_a_piece_arrives():
    def work(piece):
        if piece == 11:
            raise ValueError("eleven")

    with pytest.raises(ValueError, match="eleven"):
        each(work, range(20), 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings(
    "ignore:.*multi-threaded.*fork:DeprecationWarning"
)  # of Python 3.12 and later: what is tested
def test_a_forked_child_has_threads_of_its_own():
    work = lambda: summed(lambda rows: float(rows.stop - rows.start), 1000, 10**6)  # noqa: E731
    assert work() == 1000.0  # the helpers are there now
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # waiting for threads that did not come along would last for ever
        each(lambda piece: None, range(8), 2)
        os._exit(0 if work() == 1000.0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


WALLS, RINGS = "reflecting", "periodic"
PLACES = [((300, 256), None, WALLS), ((300, 256), None, RINGS), ((256, 24), Sinh(scale=1.0), WALLS)]
PLACES += [((40, 44, 48), None, WALLS), ((40, 44, 48), None, RINGS), ((20,), None, WALLS)]


@pytest.mark.parametrize(("shape", "maps", "boundary"), PLACES)
def test_a_gradient_is_taken_off_in_place(shape, maps, boundary):
    grid = Grid(Box([-2.0] * len(shape), [3.0] * len(shape), boundary=boundary), shape, maps=maps)
    components = [RNG.normal(size=grid.face_shape(a)) for a in range(grid.dim)]
    if boundary == "periodic":
        for a, c in enumerate(components):
            np.moveaxis(c, a, 0)[-1] = np.moveaxis(c, a, 0)[0]
    field = FaceField(grid, tuple(components))
    expected = without_gradient(field)[0]
    rest = divergence_free(field)
    for got, want in zip(rest.components, expected.components, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("period", [0, 30])
def test_sums_along_lines_may_be_cut_anywhere(period):
    values, out = RNG.normal(size=(5, 30, 3)), [np.empty((5, 31, 3)) for _ in range(2)]
    weights = RNG.normal(size=(2, 4)), RNG.normal(size=4), RNG.normal(size=(2, 4))
    along.weigh(values, *weights, -2, period, out[0], 0, 155)
    for start, stop in ((0, 40), (40, 41), (41, 155)):
        along.weigh(values, *weights, -2, period, out[1], start, stop)
    np.testing.assert_array_equal(*out)


@pytest.mark.parametrize("after", [1, 4])
@pytest.mark.parametrize("ring", [False, True])
def test_doubts_are_sixth_differences_wherever_they_are_cut(ring, after):
    before, count, first = 3, 14, 0 if ring else 1
    faces = count + 1 if ring else count + 2
    plain = RNG.normal(size=(before, faces, after))
    terms, weights = RNG.normal(size=(2, 2, before, faces, after))
    out = np.zeros_like(plain)
    for start, stop in ((0, 5), (5, 6), (6, 30), (30, before * count)):
        high_order.doubts(plain, terms, weights, first, first + count, ring, out, start, stop)
    expected = np.zeros_like(plain)
    for f in range(count) if ring else range(3, count - 3):
        taken = [first + (f + k) % count for k in range(-3, 4)]
        lines = plain[:, taken] + np.einsum("tbj,tbfj->bfj", weights[:, :, first + f], terms[:, :, taken])
        fourth = np.array([np.diff(lines[:, k : k + 5], 4, axis=1)[:, 0] for k in range(3)])
        sixth = np.abs(np.diff(fourth, 2, axis=0)[0])
        share = sixth / (np.abs(fourth[0]) + 2.0 * np.abs(fourth[1]) + np.abs(fourth[2]))
        expected[:, first + f] = sixth * share**8 / 64.0
    np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-14)  # the eighth power of a difference of differences


@pytest.mark.parametrize("maps", [None, Sinh(scale=1.0)])
def test_slabs_are_the_points(maps):
    grid = Grid(Box([-2.0, -1.0], [3.0, 4.0]), (600, 52), maps=maps)
    for axis, points in (
        (None, grid.cell_points()),
        (0, grid.face_points(0)[:, 1:-1]),
        (1, grid.face_points(1)[..., 1:-1]),
    ):
        slabs = [(planes, x.copy()) for planes, x in grid.slabs(axis)]
        assert len(slabs) > 1
        np.testing.assert_array_equal(np.concatenate([x for _, x in slabs], axis=1), points)
        assert [planes.start for planes, _ in slabs][1:] == [planes.stop for planes, _ in slabs][:-1]


def test_coefficients_are_velocity_and_diffusion():
    process = DiffusionProcess(lambda x: -x, lambda x: np.eye(2)[:, :, None] * (1.0 + x[0] ** 2), dim=2)
    x, scale = RNG.normal(size=(2, 50)), np.ones(2)
    velocity, diffusion = process.coefficients(x, scale)
    np.testing.assert_array_equal(velocity, process.current_velocity(x, scale))
    np.testing.assert_array_equal(diffusion, process.diffusion(x))
