"""Maps of axes and the grids they make: exact ends, nested edges, and what is refused."""

import numpy as np
import pytest

import fokkerplanck as fp

UNEVEN = np.cumsum([0.0, 0.3, 0.2, 0.6, 1.0, 0.4, 0.7, 0.9, 1.1]) - 1.7  # eight cells from −1.7 to 3.5
MAPS = [fp.Sinh(scale=0.2), fp.Sinh(0.5, scale=2.0), fp.Algebraic(scale=1.0), fp.Algebraic(-3.0, scale=0.7)]
LOWER, UPPER = float(UNEVEN[0]), float(UNEVEN[-1])
BOX = fp.Box([LOWER], [UPPER])


@pytest.mark.parametrize("curve", [*MAPS, fp.Uniform(), fp.Edges(UNEVEN)])
@pytest.mark.parametrize("n", [4, 8, 37, 1000])
def test_ends_are_exact_and_edges_increase(curve, n):
    grid = fp.Grid(BOX, (n,), maps=curve)
    edges, centers = grid.edges(0), grid.centers(0)
    assert (edges[0], edges[-1]) == (LOWER, UPPER)
    assert (np.diff(edges) > 0).all()
    assert ((edges[:-1] < centers) & (centers < edges[1:])).all()
    np.testing.assert_array_equal(grid.widths(0), grid.spacing[0] if grid.uniform else np.diff(edges))
    # Sums of n roundings.
    assert grid.distances(0).sum() == pytest.approx(UPPER - LOWER, rel=1e-13)
    assert grid.widths(0).sum() == pytest.approx(UPPER - LOWER, rel=1e-13)


@pytest.mark.parametrize("curve", [*MAPS, fp.Edges(UNEVEN)])
def test_a_halved_grid_has_the_same_edges_and_the_centres_between_them(curve):
    coarse = fp.Grid(BOX, (24,), maps=curve)
    fine = coarse.refine()
    assert fine.maps == coarse.maps
    np.testing.assert_array_equal(fine.edges(0)[::2], coarse.edges(0))
    np.testing.assert_array_equal(fine.edges(0)[1::2], coarse.centers(0))


def test_edges_are_kept_by_the_grid_of_as_many_cells_and_halved_and_doubled():
    for n, given, kept in ((8, UNEVEN, slice(None)), (4, UNEVEN[::2], slice(None)), (16, UNEVEN, slice(None, None, 2))):
        np.testing.assert_array_equal(fp.Grid(BOX, (n,), maps=UNEVEN).edges(0)[kept], given)


@pytest.mark.parametrize(("curve", "shape"), [(fp.Sinh(1.0, scale=0.1), np.sinh), (fp.Algebraic(1.0, scale=0.1), None)])
def test_the_maps_are_those_of_their_names(curve, shape):
    edges = fp.Grid(fp.Box([-2.0], [3.0]), (50,), maps=curve).edges(0)
    y = (edges - 1.0) / 0.1
    t = np.arcsinh(y) if shape else y / np.hypot(1.0, y)
    np.testing.assert_allclose(np.diff(t), (t[-1] - t[0]) / 50, rtol=1e-10)  # 1 − t² is 1e-3 at the ends


def test_far_ends_lose_no_digits():
    """Algebraic, a million scales out: 1 − t² = 1e-12, of which subtraction would leave four digits."""
    s = np.array([0.0, 1.0 - 2.0**-44, 1.0])
    x = fp.Algebraic(0.0, scale=1.0).positions(s, 0.0, 1e6)
    end = 1.0 / (np.hypot(1, 1e6) * (np.hypot(1, 1e6) + 1e6))  # 1 − t at the upper end
    rest = end + (1 - end) * 2.0**-44
    assert x[1] == pytest.approx((1 - rest) / np.sqrt(rest * (2 - rest)), rel=1e-12)
    assert (x[0], x[2]) == (0.0, 1e6)


def test_one_map_or_one_per_axis_and_arrays_are_edges():
    box = fp.Box([LOWER, LOWER], [UPPER, UPPER])
    sinh = fp.Sinh(scale=1.0)
    assert fp.Grid(box, (8, 8), maps=sinh).maps == (sinh, sinh)
    assert fp.Grid(box, (8, 8), maps=(None, UNEVEN)).maps == (fp.Uniform(), fp.Edges(UNEVEN))
    assert fp.Grid(box, (8, 8), maps=UNEVEN) == fp.Grid(box, (8, 8), maps=[list(UNEVEN), fp.Edges(UNEVEN)])
    assert fp.Grid(BOX, (8,), maps=UNEVEN.tolist()).maps == (fp.Edges(UNEVEN),)
    assert fp.Grid(box, (8, 8)).uniform
    assert not fp.Grid(box, (8, 8), maps=(None, sinh)).uniform
    assert fp.Grid(box, (8, 8), maps=(None, sinh)).reference == fp.Grid(box, (8, 8), maps=fp.Uniform())
    assert (
        len({fp.Grid(box, (8, 8), maps=sinh), fp.Grid(box, (8, 8), maps=fp.Sinh(scale=1.0)), fp.Grid(box, (8, 8))}) == 2
    )
    assert repr(fp.Edges(UNEVEN)) == "Edges(<9 from -1.7 to 3.5>)"


@pytest.mark.parametrize("curve", MAPS[:3])  # the last has cells of 0.4 where this density is
def test_values_at_centres_count_for_what_the_map_says(curve):
    """The midpoint rule in the reference coordinate: for a density that does not reach the walls better than any power of h."""
    box = fp.Box([-20.0], [21.0])
    grid = fp.Grid(box, (400,), maps=curve)
    x = grid.centers(0)
    p = np.exp(-0.5 * (x - 0.4) ** 2) / np.sqrt(2 * np.pi)
    assert p @ grid.weights(0) == pytest.approx(1.0, abs=1e-11)
    assert x**2 * p @ grid.weights(0) == pytest.approx(1.16, abs=1e-8)
    assert abs(p @ grid.widths(0) - 1.0) > 1e-6  # of second order
    misses = [np.abs(g.weights(0) / g.widths(0) - 1.0)[np.abs(g.centers(0)) < 2].max() for g in (grid, grid.refine())]
    assert misses[0] / misses[1] == pytest.approx(4.0, rel=0.05)
    edges, centers = (s * grid.spacing[0] for s in grid.stretch(0))
    np.testing.assert_allclose(centers, grid.weights(0), rtol=1e-14)
    # Simpson's rule on every cell: the derivative at faces and centres is that of the positions.
    inner = np.abs(x) < 2  # the outermost cells of Algebraic are too wide for that
    np.testing.assert_allclose(((edges[1:] + edges[:-1] + 4 * centers) / 6)[inner], grid.widths(0)[inner], rtol=1e-6)


def test_volumes_are_products_of_weights():
    grid = fp.Grid(fp.Box([LOWER, 0, -1], [UPPER, 2, 1]), (8, 6, 5), maps=(UNEVEN, None, fp.Sinh(scale=0.5)))
    expected = np.einsum("i,j,k->ijk", np.diff(UNEVEN), np.full(6, 1 / 3), grid.weights(2))
    np.testing.assert_allclose(grid.cell_volumes, expected, rtol=1e-14)
    with pytest.raises(fp.InvalidInput, match=r"cell_volume: expected a uniform grid, got maps .*Use cell_volumes"):
        _ = grid.cell_volume
    np.testing.assert_array_equal(grid.reference.cell_volumes, grid.reference.cell_volume)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fp.Sinh(scale=0.0), "Sinh: expected a positive scale, in the units of the axis, got 0.0"),
        (lambda: fp.Algebraic(scale=np.inf), "Algebraic: expected a positive scale"),
        (lambda: fp.Sinh(scale="1"), "Sinh: expected a positive scale"),
        (lambda: fp.Sinh(np.nan, scale=1.0), "Sinh: expected a finite center"),
        (lambda: fp.Edges([0, 1, 2, 3]), r"at least 5 edges \(of four cells\), got shape \(4,\)"),
        (lambda: fp.Edges(np.zeros((5, 2))), r"got shape \(5, 2\)"),
        (lambda: fp.Edges([0, 1, 2, 2, 3]), "strictly increasing numbers, got 2 followed by 2"),
        (lambda: fp.Edges([0, 1, np.nan, 2, 3]), "expected finite numbers, got nan"),
        (lambda: fp.Edges(["a"] * 5), "edges: expected numbers"),
        (lambda: fp.Grid(BOX, (8,), maps=[0, 1, 2, 3, 4]), "from the lower to the upper end of the axis, -1.7 to 3.5"),
        (lambda: fp.Grid(BOX, (8,), maps=(fp.Sinh(scale=1.0), None)), r"one per axis \(1 here\), got 2"),
        (lambda: fp.Grid(BOX, (8,), maps="sinh"), "maps: expected an axis map, one per axis or None, got 'sinh'"),
        (lambda: fp.Grid(BOX, (64,), maps=fp.Sinh(0.7, scale=1e-18)), "too narrow for double precision"),
        (
            lambda: fp.Grid(fp.Box([0], [6.28], boundary="periodic"), (8,), maps=fp.Sinh(scale=1.0)),
            "maps: expected equal cells along the periodic axis 0, got Sinh",
        ),
    ],
)
def test_misuse(make, message):
    with pytest.raises(fp.InvalidInput, match=message):
        make()
