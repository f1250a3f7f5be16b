"""Fields from functions and arrays, and the operators between faces, edges and cells."""

import numpy as np
import pytest

import fokkerplanck as fp

EDGES = np.array([0.0, 0.05, 0.2, 0.3, 0.7, 1.0, 1.2, 1.3, 2.0])


def test_means_of_polynomials_are_exact_so_the_divergence_is_the_mean_of_the_divergence():
    grid = fp.Grid(fp.Box([-1, 0, 0], [1, 2, 3]), (5, 8, 4), maps=(fp.Sinh(scale=0.3), EDGES, None))
    field = fp.FaceField.from_function(
        grid, lambda x: np.stack([x[0] ** 2 * x[1] ** 3, x[1] * x[2] ** 5 + x[0], x[0] ** 4 * x[1] * x[2]])
    )
    # ∇·F = 2 x y³ + z⁵ + x⁴ y, whose mean over a cell is a product of differences of monomials.
    means = lambda a, k: grid.along(np.diff(grid.edges(a) ** (k + 1)) / (k + 1) / grid.widths(a), a)  # noqa: E731
    exact = 2 * means(0, 1) * means(1, 3) + means(2, 5) + means(0, 4) * means(1, 1)
    np.testing.assert_allclose(field.divergence(), exact, atol=1e-11)  # 3⁵ and differences over 0.05


def test_curls_of_linear_fields_are_exact_inside_and_zero_on_walls():
    grid = fp.Grid(fp.Box([0, 0, 0], [1, 2, 3]), (4, 8, 5))
    curl = fp.FaceField.from_function(grid, lambda x: np.stack([x[1] - x[2], 3 * x[2], x[0] + 2 * x[1]])).curl()
    for k, expected in enumerate((2 - 3, -1 - 1, 0 - 1)):
        inside = tuple(slice(None) if a == k else slice(1, -1) for a in range(3))
        np.testing.assert_allclose(curl.components[k][inside], expected, atol=1e-13)
        for a in (a for a in range(3) if a != k):
            assert not np.take(curl.components[k], [0, -1], a).any()


def test_curl_of_edges_is_the_circulation_per_area():
    grid = fp.Grid(fp.Box([0, 0], [1, 2]), (4, 8), maps=(None, EDGES))
    x, y = np.meshgrid(grid.edges(0), grid.edges(1), indexing="ij")
    field = fp.EdgeField(grid, (x * y,)).curl()
    exact = fp.FaceField.from_function(grid, lambda x: [x[0], -x[1]])
    assert (field - exact).largest() < 1e-14


@pytest.mark.parametrize("boundary", ["reflecting", "periodic"])
def test_cell_vectors_become_face_means_at_sixth_order_and_go_back(boundary):
    vector = lambda x: np.stack([np.sin(x[0]) * np.cos(2 * x[1]), np.cos(x[0] + x[1])])  # noqa: E731
    errors, back = [], []
    for n in (32, 64):
        maps = fp.Sinh(scale=2.0) if boundary == "reflecting" else None
        grid = fp.Grid(fp.Box([0, 0], [2 * np.pi] * 2, boundary=boundary), (n, n), maps=maps)
        cells = vector(grid.cell_points())
        found, exact = fp.FaceField.from_centers(grid, cells), fp.FaceField.from_function(grid, vector, points=5)
        errors.append((found - exact).norm())
        back.append(np.abs(found.centered() - cells).max())
    assert 5.6 < np.log2(errors[0] / errors[1]) < 6.4
    assert errors[1] < 3e-5
    assert back[1] < 3e-7
    closed = fp.FaceField.from_centers(grid, cells, closed=True)
    assert np.array_equal(closed.components[0][0], found.components[0][0]) == (boundary == "periodic")
    if boundary == "reflecting":
        assert not closed.components[1][:, [0, -1]].any()


def test_a_labelled_current_is_accepted():
    case = fp.cases.get("ornstein-uhlenbeck")
    sol = fp.solve_stationary(case.process, case.box, shape=(64, 64))
    field = fp.FaceField.from_centers(sol.grid, sol.current, closed=True)
    assert (field - sol.flux).norm() < 1e-2 * sol.flux.norm()
    assert fp.helmholtz(field).shares["curl"] > 0.9999


def test_bad_input():
    line = fp.Grid(fp.Box([0], [1]), (8,))
    plane = fp.Grid(fp.Box([0, 0], [1, 1], boundary=["periodic", "reflecting"]), (8, 4))
    with pytest.raises(fp.InvalidInput, match="curl: expected a grid of two or three dimensions, got one"):
        fp.FaceField(line, (np.zeros(9),)).curl()
    with pytest.raises(fp.InvalidInput, match="curl: expected a grid of two or three dimensions"):
        fp.EdgeField(line, (np.zeros(9),))
    with pytest.raises(fp.InvalidInput, match=r"edge components: expected shapes \(\(9, 5\),\), got \(\(8, 4\),\)"):
        fp.EdgeField(plane, (np.zeros((8, 4)),))
    with pytest.raises(fp.InvalidInput, match=r"vectors: expected shape \(2, 8, 4\), .* got \(8, 4\)"):
        fp.FaceField.from_centers(plane, np.zeros((8, 4)))
    with pytest.raises(fp.InvalidInput, match=r"chi: expected shape \(8, 4\), .* got \(9, 4\)"):
        fp.FaceField.from_potential(plane, np.zeros((9, 4)))
    with pytest.raises(
        fp.InvalidInput, match="periodic axis 0: expected a function with the same values at 0 and 1, got"
    ):
        fp.FaceField.from_function(plane, lambda x: x)
    with pytest.raises(fp.InvalidInput, match=r"function: expected vectors of shape \(2, 9, 12\) .* got \(3, 9, 12\)"):
        fp.FaceField.from_function(plane, lambda x: [0, 0, 0])
    with pytest.raises(fp.InvalidInput, match=r"function: expected vectors of shape \(2, 9, 12\), got 1.0"):
        fp.FaceField.from_function(plane, lambda x: 1.0)
    with (
        np.errstate(divide="ignore"),
        pytest.raises(fp.InvalidInput, match=r"function: expected finite values, got inf at \[0.0, "),
    ):
        fp.FaceField.from_function(plane, lambda x: [1 / x[0], 0])
