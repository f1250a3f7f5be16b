"""Every identity of the decomposition at round-off, on random fields, and a negative control."""

import numpy as np
import pytest

import fokkerplanck as fp

RNG = np.random.default_rng(23)
# Relative round-off of a fast Poisson solve and a difference of it: eps × condition of the Laplacian on these grids (~1e3).
TOLERANCE = 1e-12


def random_field(shape, boundary):
    grid = fp.Grid(fp.Box([0.0] * len(shape), [1.0, 2.0, 0.7][: len(shape)], boundary=boundary), shape)
    components = []
    for axis in range(grid.dim):
        values = np.moveaxis(RNG.normal(size=grid.face_shape(axis)), axis, 0)
        if grid.periodic[axis]:
            values[-1] = values[0]
        else:
            values[[0, -1]] = 0.0
        components.append(np.moveaxis(values, 0, axis))
    return fp.FaceField(grid, tuple(components))


FIELDS = [
    ((24,), "reflecting"),
    ((24,), "periodic"),
    ((16, 12), "reflecting"),
    ((15, 12), "periodic"),
    ((16, 13), ("periodic", "reflecting")),
    ((9, 12), ("reflecting", "periodic")),
    ((8, 6, 10), "reflecting"),
    ((8, 6, 5), ("periodic", "reflecting", "periodic")),
]


@pytest.mark.parametrize(("shape", "boundary"), FIELDS)
def test_identities(shape, boundary):
    field = random_field(shape, boundary)
    split = fp.helmholtz(field)
    parts = (split.gradient_faces, split.curl_faces, split.harmonic_faces)
    h = field.grid.spacing.min()
    for a, component in enumerate(field.components):
        np.testing.assert_allclose(sum(part.components[a] for part in parts), component, atol=TOLERANCE)
    assert np.abs(split.curl_faces.divergence()).max() * h < TOLERANCE * field.largest()
    assert np.abs(split.harmonic_faces.divergence()).max() * h < TOLERANCE * field.largest()
    np.testing.assert_allclose(
        split.gradient_faces.divergence(), field.divergence(), atol=TOLERANCE * field.largest() / h
    )
    for i in range(3):
        for j in range(i):
            assert abs(parts[i].inner(parts[j])) < TOLERANCE * field.inner(field)
    assert sum(split.shares.values()) == pytest.approx(1.0, abs=TOLERANCE)
    assert (split.shares["harmonic"] > 1e-8) == any(field.grid.periodic)  # one dimension of them per periodic axis
    if field.grid.dim == 1:
        assert split.curl_faces.largest() < TOLERANCE


def node_curl(field):
    """∂_x F_y − ∂_y F_x at the inner nodes of a two-dimensional grid."""
    fx, fy = field.components
    hx, hy = field.grid.spacing
    return np.diff(fy, axis=0)[:, 1:-1] / hx - np.diff(fx, axis=1)[1:-1] / hy


@pytest.mark.parametrize(("shape", "boundary"), [f for f in FIELDS if len(f[0]) == 2])
def test_gradient_part_has_no_curl_and_the_stream_function_gives_the_curl_part(shape, boundary):
    field = random_field(shape, boundary)
    split = fp.helmholtz(field)
    h = field.grid.spacing
    assert np.abs(node_curl(split.gradient_faces)).max() * h.min() < TOLERANCE * field.largest()
    np.testing.assert_allclose(np.diff(split.psi, axis=1) / h[1], split.curl_faces.components[0], atol=1e-11)
    np.testing.assert_allclose(-np.diff(split.psi, axis=0) / h[0], split.curl_faces.components[1], atol=1e-11)
    for axis in range(2):
        ends = np.take(split.psi, [0, -1], axis)
        if field.grid.periodic[axis]:
            np.testing.assert_allclose(np.take(ends, 0, axis), np.take(ends, 1, axis), atol=1e-11)
        else:
            np.testing.assert_allclose(ends, 0.0, atol=1e-11)


def test_collocated_operators_would_fail():
    """Negative control: central differences at cell centres with a compact Laplacian leave a divergence."""
    n = 32
    x = np.arange(n) * 2 * np.pi / n
    X, Y = np.meshgrid(x, x, indexing="ij")
    fx, fy = np.sin(X) * np.cos(2 * Y), np.exp(np.sin(Y)) * np.cos(X)
    central = lambda f, a: (np.roll(f, -1, a) - np.roll(f, 1, a)) / (2 * x[1])  # noqa: E731
    divergence = central(fx, 0) + central(fy, 1)
    k = (2 * np.sin(np.arange(n) * np.pi / n) / x[1]) ** 2
    eigenvalue = -(k[:, None] + k[None])
    eigenvalue[0, 0] = 1.0
    chi = np.fft.ifft2(np.fft.fft2(divergence) / eigenvalue).real
    left = central(fx - central(chi, 0), 0) + central(fy - central(chi, 1), 1)
    assert np.abs(left).max() > 1e-3 * np.abs(divergence).max()


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
    with pytest.raises(fp.InvalidInput, match="no flux through the reflecting walls of axis 0, got 1"):
        fp.helmholtz(fp.FaceField(grid, (np.ones(9),)))
    with pytest.raises(fp.InvalidInput, match="expected a finite field"):
        fp.helmholtz(fp.FaceField(grid, (np.full(9, np.nan),)))
    with pytest.raises(fp.InvalidInput, match=r"face components: expected shapes \(\(9,\),\), got \(\(8,\),\)"):
        fp.FaceField(grid, (np.zeros(8),))
    with pytest.raises(fp.InvalidInput, match="names: expected 1 names"):
        fp.helmholtz(fp.FaceField(grid, (np.zeros(9),)), names=("a", "b"))


def test_zero_field_has_no_shares():
    grid = fp.Grid(fp.Box([0], [1]), (8,))
    assert set(fp.helmholtz(fp.FaceField(grid, (np.zeros(9),))).shares.values()) == {0.0}
