"""Stretched axes: the change of variables by identities and order, and everything downstream of it."""

from dataclasses import replace
from functools import reduce

import matplotlib.pyplot as plt
import numpy as np
import pytest

import fokkerplanck as fp
from fokkerplanck import currents
from fokkerplanck.operators import (
    difference_scale,
    face_coefficients,
    physical_flux,
    physical_log_density,
    reference_log_density,
)
from fokkerplanck.plotting import streams

RNG = np.random.default_rng(29)


def volumes(grid):
    """Of the cells, by which flows through faces are divided; `grid.cell_volumes` is what values at centres count."""
    return reduce(np.multiply, (grid.along(grid.widths(a), a) for a in range(grid.dim)))


def tensor(x):
    """A full tensor with eigenvalues 1 and ¼ that turns with position, shape (2, 2, ...)."""
    a = 0.4 * x[0] - 0.3 * x[1]
    c, s = np.cos(a), np.sin(a)
    return np.stack([np.stack([c**2 + s**2 / 4, 0.75 * s * c]), np.stack([0.75 * s * c, s**2 + c**2 / 4])])


H = np.array([[1.0, 0.3], [0.3, 0.7]])  # Φ = ½ xᵀHx + const


def turning(x):
    """Isothermal drift of a stationary density exp(−½ xᵀHx): −D∇Φ, plus a rotation along its level lines."""
    slope = np.einsum("ij,j...->i...", H, x)
    return -np.einsum("ij...,j...->i...", tensor(x), slope) + np.stack([-slope[1], slope[0]])


PROCESS = fp.DiffusionProcess(turning, tensor, dim=2, interpretation="isothermal")


def phi_exact(x):
    return 0.5 * np.einsum("i...,ij,j...->...", x, H, x) - np.log(np.sqrt(np.linalg.det(H)) / (2 * np.pi))


def current_exact(x):
    """Row by row: J = p × the rotation."""
    slope = np.einsum("ij,j...->i...", H, x)
    return np.stack([-slope[1], slope[0]]) * np.exp(-phi_exact(x))


def reference_currents(coefficients, psi):
    """The regular flux of docs/theory/method.md between the cells of a box, by itself: J' = √(P_l P_r) (u'' + D' ∂Ψ)."""
    grid, out = coefficients.grid, []
    for axis in range(grid.dim):
        low, high = (np.moveaxis(psi, axis, 0)[cut] for cut in (slice(None, -1), slice(1, None)))
        u = np.moveaxis(coefficients.velocity[axis], axis, 0)[1:-1]
        d = np.moveaxis(coefficients.diffusion[axis], axis + 1, 1)[:, 1:-1]
        v = u + d[axis] * (high - low) / grid.spacing[axis]
        for m in range(grid.dim):
            if m != axis:
                slope = np.moveaxis(np.gradient(psi, grid.spacing[m], axis=m, edge_order=2), axis, 0)
                v = v + d[m] * 0.5 * (slope[1:] + slope[:-1])
        component = np.zeros((psi.shape[axis] + 1, *v.shape[1:]))
        component[1:-1] = v * np.exp(-0.5 * (low + high))
        out.append(np.moveaxis(component, 0, axis))
    return fp.FaceField(grid, tuple(out))


def grid_2d(n):
    maps = (fp.Sinh(0.3, scale=1.0), fp.Algebraic(-0.2, scale=3.0))
    return fp.Grid(fp.Box([-6.0, -7.0], [6.0, 7.0]), (n, n), maps=maps)


def test_uniform_coefficients_are_the_sampled_ones_bit_for_bit():
    grid = fp.Grid(fp.Box([-3.0, -1.0], [2.0, 4.0], boundary=("reflecting", "reflecting")), (12, 9), maps=fp.Uniform())
    coefficients = face_coefficients(PROCESS, grid)
    assert coefficients.grid is grid
    scale = np.minimum(grid.box.widths, 100 * grid.spacing)
    for axis, inside in enumerate((np.s_[1:-1, :], np.s_[:, 1:-1])):
        points = grid.face_points(axis)[(slice(None), *inside)]
        np.testing.assert_array_equal(
            coefficients.velocity[axis][inside], PROCESS.current_velocity(points, scale)[axis]
        )
        np.testing.assert_array_equal(
            coefficients.diffusion[axis][(slice(None), *inside)], PROCESS.diffusion(points)[axis]
        )
    psi = RNG.normal(size=grid.shape)
    assert physical_log_density(psi, grid) is psi
    field = reference_currents(coefficients, psi)
    for a in range(2):
        np.testing.assert_array_equal(physical_flux(field, grid).components[a], field.components[a])


def test_a_map_that_is_the_identity_changes_round_off_only():
    box = fp.Box([-3.0, -1.0], [2.0, 4.0])
    plain = face_coefficients(PROCESS, fp.Grid(box, (12, 10)))
    mapped = face_coefficients(PROCESS, fp.Grid(box, (12, 10), maps=(np.linspace(-3, 2, 13), np.linspace(-1, 4, 11))))
    assert mapped.grid == plain.grid
    for a in range(2):
        # ln w of cells that differ by their round-off, over h.
        np.testing.assert_allclose(mapped.velocity[a], plain.velocity[a], atol=1e-12)
        np.testing.assert_allclose(mapped.diffusion[a], plain.diffusion[a], atol=1e-13)


def errors_of_exact_density(process, grid, phi, current):
    """Largest errors of J on faces and ∫|∇·J| over the box, which is zero for the stationary density."""
    flux = physical_flux(reference_currents(face_coefficients(process, grid), reference_log_density(phi, grid)), grid)
    worst = max(np.abs(c - current(grid.face_points(a))[a]).max() for a, c in enumerate(flux.components))
    return worst, float(np.sum(np.abs(flux.divergence()) * grid.cell_volumes))


def test_full_tensor_on_stretched_axes_is_second_order():
    errors = np.array(
        [
            errors_of_exact_density(PROCESS, g, phi_exact(g.cell_points()), current_exact)
            for g in map(grid_2d, (64, 128, 256))
        ]
    )
    order = np.log2(errors[:-1] / errors[1:])
    assert np.all((order > 1.85) & (order < 2.3)), order
    assert errors[-1, 0] < 2e-4  # 1 % of the largest current, .09, is 45 times more


def test_without_the_volumes_it_would_not_converge():
    """Negative control: Φ in place of Ψ leaves the slope of ln V in the current."""
    errors = []
    for grid in map(grid_2d, (64, 128)):
        wrong = reference_currents(face_coefficients(PROCESS, grid), phi_exact(grid.cell_points()))
        right = reference_currents(
            face_coefficients(PROCESS, grid), reference_log_density(phi_exact(grid.cell_points()), grid)
        )
        errors.append((wrong - right).largest())
    assert errors[1] > 0.7 * errors[0]


def test_reversible_current_vanishes_at_second_order_in_one_dimension():
    """Itô with position-dependent noise, p ∝ (1 + x²)^(−3): D = (1 + x²)/4, b = −x, so u = −3x/2 = −D Φ'."""
    process = fp.DiffusionProcess(lambda x: -x, lambda x: (0.25 * (1 + x**2))[None], dim=1)
    largest = []
    for n in (64, 128, 256):
        grid = fp.Grid(fp.Box([-200.0], [200.0]), (n,), maps=fp.Sinh(scale=1.0))
        phi = 3.0 * np.log1p(grid.cell_points()[0] ** 2) - np.log(8 / (3 * np.pi))
        error, _ = errors_of_exact_density(process, grid, phi, lambda x: 0 * x)
        largest.append(error)
    order = np.log2(np.divide(largest[:-1], largest[1:]))
    assert np.all((order > 1.8) & (order < 2.2)), order
    assert largest[-1] < 1e-3  # one-way fluxes pD/h are about .2/.05 there


def heavy_tail(n, maps):
    """L1 error of the density without flux through any face: P_r/P_l = exp(u'' h/D') for either form of the flux."""
    process = fp.DiffusionProcess(lambda x: -x, lambda x: (0.25 * (1 + x**2))[None], dim=1)
    grid = fp.Grid(fp.Box([-200.0], [200.0]), (n,), maps=maps)
    c = face_coefficients(process, grid)
    steps = c.velocity[0][1:-1] * c.grid.spacing[0] / c.diffusion[0][0, 1:-1]
    psi = -np.concatenate([[0.0], np.cumsum(steps)])
    phi = physical_log_density(psi, grid)
    phi += np.log(np.sum(np.exp(-phi) * grid.cell_volumes))
    exact = 8 / (3 * np.pi) * (1 + grid.cell_points()[0] ** 2) ** -3
    return float(np.sum(np.abs(np.exp(-phi) - exact) * grid.cell_volumes))


def test_a_heavy_tail_needs_the_map():
    errors = [heavy_tail(n, fp.Sinh(scale=1.0)) for n in (64, 128, 256)]
    order = np.log2(np.divide(errors[:-1], errors[1:]))
    assert np.all((order > 1.8) & (order < 2.2)), order
    assert errors[1] < 5e-3
    assert heavy_tail(128, None) > 20 * errors[1]  # cells of 3 over a core of width 1


def test_kinks_of_given_edges_do_not_spoil_the_order():
    rough = np.cumsum(np.concatenate([[0.0], 0.5 + RNG.random(16)]))
    rough = -200.0 + 400.0 * rough / rough[-1]
    rough = np.sinh(np.arcsinh(200.0) * rough / 200.0)
    rough[[0, -1]] = -200.0, 200.0
    errors = [heavy_tail(n, rough) for n in (128, 256, 512)]
    order = np.log2(np.divide(errors[:-1], errors[1:]))
    assert np.all((order > 1.7) & (order < 2.4)), order


def random_field(grid):
    components = []
    for axis in range(grid.dim):
        values = np.moveaxis(RNG.normal(size=grid.face_shape(axis)), axis, 0)
        if grid.periodic[axis]:
            values[-1] = values[0]
        else:
            values[[0, -1]] = 0.0
        components.append(np.moveaxis(values, 0, axis))
    return fp.FaceField(grid, tuple(components))


SINH, SKEW = fp.Sinh(0.1, scale=0.2), np.array([0.0, 0.05, 0.2, 0.3, 0.7, 1.0, 1.2, 1.3, 2.0])
FIELDS = [
    ((24,), ("reflecting",), (SINH,)),
    ((16, 12), ("reflecting", "reflecting"), (SINH, None)),
    ((16, 8), ("reflecting", "reflecting"), (fp.Algebraic(scale=0.5), SKEW)),
    ((13, 16), ("periodic", "reflecting"), (None, SKEW)),
    ((16, 9), ("reflecting", "periodic"), (SINH, None)),
    ((9, 8, 10), ("reflecting", "reflecting", "reflecting"), (SINH, SKEW, fp.Algebraic(scale=0.4))),
    ((8, 8, 5), ("periodic", "reflecting", "periodic"), (None, SKEW, None)),
]


def make_grid(shape, boundary, maps):
    return fp.Grid(fp.Box([0.0] * len(shape), [1.0, 2.0, 0.7][: len(shape)], boundary=boundary), shape, maps=maps)


@pytest.mark.parametrize(("shape", "boundary", "maps"), FIELDS)
def test_divergence_of_the_physical_flux_is_the_reference_one_over_the_volume(shape, boundary, maps):
    grid = make_grid(shape, boundary, maps)
    field = random_field(grid.reference)
    assert volumes(grid).sum() == pytest.approx(grid.box.widths.prod(), rel=1e-13)
    flux = physical_flux(field, grid)
    np.testing.assert_allclose(
        flux.divergence() * (volumes(grid) / grid.reference.cell_volume),
        field.divergence(),
        atol=1e-13 * np.abs(field.divergence()).max(),
    )
    # Telescoping: what leaves every cell enters another.
    np.testing.assert_allclose(np.sum(flux.divergence() * volumes(grid)), 0.0, atol=1e-13 * field.largest())
    psi = RNG.normal(size=grid.shape)
    phi = physical_log_density(psi, grid)
    assert np.sum(np.exp(-phi) * grid.cell_volumes) == pytest.approx(
        np.sum(np.exp(-psi)) * grid.reference.cell_volume, rel=1e-13
    )
    np.testing.assert_allclose(reference_log_density(phi, grid), psi, atol=1e-14)


@pytest.mark.parametrize(("shape", "boundary", "maps"), FIELDS)
def test_helmholtz_identities(shape, boundary, maps):
    grid = make_grid(shape, boundary, maps)
    field = random_field(grid)
    split = fp.helmholtz(field)
    parts = (split.gradient_faces, split.curl_faces, split.harmonic_faces)
    # Round-off of a Poisson solve and a difference of it: eps × condition (widest over narrowest squared, at most 1e4 here).
    tolerance, h = 1e-12, min(grid.widths(a).min() for a in range(grid.dim))
    for a, component in enumerate(field.components):
        np.testing.assert_allclose(sum(part.components[a] for part in parts), component, atol=tolerance)
    for part in parts[1:]:
        assert np.abs(part.divergence()).max() * h < tolerance * field.largest()
    for i in range(3):
        for j in range(i):
            assert abs(parts[i].inner(parts[j])) < tolerance * field.inner(field)
    assert sum(split.shares.values()) == pytest.approx(1.0, abs=tolerance)
    assert (split.shares["harmonic"] > 1e-8) == any(grid.periodic)
    assert np.sum(split.chi * volumes(grid)) == pytest.approx(0.0, abs=tolerance)
    if grid.dim == 1:
        assert split.curl_faces.largest() < tolerance
    if grid.dim == 2:
        wx, wy = grid.widths(0)[:, None], grid.widths(1)
        np.testing.assert_allclose(np.diff(split.psi, axis=1) / wy, split.curl_faces.components[0], atol=1e-11)
        np.testing.assert_allclose(-np.diff(split.psi, axis=0) / wx, split.curl_faces.components[1], atol=1e-11)
        gx, gy = split.gradient_faces.components
        dx, dy = grid.distances(0)[1:-1, None], grid.distances(1)[1:-1]
        around = np.diff(gy[:, 1:-1], axis=0) * dy[None] - np.diff(gx[1:-1], axis=1) * dx
        assert np.abs(around).max() < tolerance * field.largest()


def test_dual_volumes_fill_the_box():
    grid = make_grid(*FIELDS[5])
    one = fp.FaceField(grid, tuple(np.ones(grid.face_shape(a)) for a in range(3)))
    assert one.inner(one) == pytest.approx(3 * grid.box.widths.prod(), rel=1e-13)
    uniform = fp.FaceField(grid.reference, one.components)
    assert uniform.inner(uniform) == pytest.approx(3 * grid.box.widths.prod(), rel=1e-13)


def test_differences_of_the_tensor_stay_inside_the_cells():
    """A tensor that is undefined outside the box is never asked for there, nor across the neighbouring cell."""
    grid = fp.Grid(fp.Box([0.0, 0.0], [1.0, 2.0]), (8, 8), maps=(fp.Sinh(0.0, scale=1e-3), SKEW))
    assert difference_scale(grid).shape == (2, *grid.shape)
    assert difference_scale(grid.reference).shape == (2,)
    seen = []

    def inside(x):
        seen.append(x.copy())
        return (
            np.where((x[0] > 0) & (x[0] < 1) & (x[1] > 0) & (x[1] < 2), 1.0 + x[0], np.nan)
            * np.eye(2)[(..., *(None,) * (x.ndim - 1))]
        )

    process = fp.DiffusionProcess(lambda x: -x, inside, dim=2)
    face_coefficients(process, grid)
    velocity = process.current_velocity(grid.cell_points(), difference_scale(grid))
    np.testing.assert_allclose(velocity[0], -grid.cell_points()[0] - 1.0, rtol=1e-9)
    for points in seen[-8:]:  # two steps to both sides along both axes
        for a in range(2):
            cell = np.searchsorted(grid.edges(a), points[a]) - 1
            np.testing.assert_array_equal(cell, np.indices(grid.shape)[a])


@pytest.fixture(scope="module")
def stretched():
    """The exact solution sampled on a stretched grid, labelled as a solver would."""
    grid = grid_2d(64)
    phi = phi_exact(grid.cell_points())
    phi = phi + np.log(np.sum(np.exp(-phi) * grid.cell_volumes))
    flux = physical_flux(reference_currents(face_coefficients(PROCESS, grid), reference_log_density(phi, grid)), grid)
    x = grid.cell_points()
    force = currents.thermodynamic_force(PROCESS.current_velocity(x, difference_scale(grid)), PROCESS.diffusion(x))
    return fp.Solution(grid, ("x", "y"), phi, flux, force, 1e-3, 1e-2, {"levels": []})


def test_moments_and_numbers_of_the_current(stretched):
    np.testing.assert_allclose(stretched.mean, 0.0, atol=1e-3)
    np.testing.assert_allclose(stretched.covariance, np.linalg.inv(H), rtol=2e-3)
    # J = p (−Φ_y, Φ_x): A = ½⟨x·∇Φ⟩ = 1 in two dimensions, entropy production ⟨vᵀD⁻¹v⟩ by quadrature on equal cells.
    assert stretched.circulation[0, 1] == pytest.approx(1.0, rel=3e-3)
    x = fp.Grid(fp.Box([-7, -9], [7, 9]), (200, 200)).cell_points()
    p = np.exp(-phi_exact(x)) * (14 * 18 / 200**2)
    v = current_exact(x) / np.exp(-phi_exact(x))
    exact = np.sum(p * np.einsum("i...,i...->...", v, np.linalg.solve(tensor(x).T, v.T[..., None])[..., 0].T))
    assert currents.entropy_production(stretched.flux, stretched.force) == pytest.approx(exact, rel=5e-3)
    total = np.sum(np.linalg.norm(current_exact(x), axis=0)) * (14 * 18 / 200**2)
    assert currents.total_current(stretched.flux) == pytest.approx(total, rel=3e-3)


def test_files_keep_positions_to_the_last_bit(stretched, tmp_path):
    stretched.save(tmp_path / "a.nc")
    once = fp.load(tmp_path / "a.nc")
    once.save(tmp_path / "b.nc")
    twice = fp.load(tmp_path / "b.nc")
    assert twice.grid == once.grid == stretched.grid
    for a in range(2):
        for line in ("edges", "centers", "widths", "distances"):
            np.testing.assert_array_equal(getattr(once.grid, line)(a), getattr(stretched.grid, line)(a))
        np.testing.assert_array_equal(once.flux.components[a], stretched.flux.components[a])
    np.testing.assert_array_equal(once.phi, stretched.phi)
    np.testing.assert_array_equal(once.covariance, stretched.covariance)
    np.testing.assert_array_equal(fp.helmholtz(once).psi, fp.helmholtz(stretched).psi)


def test_mixed_axes_survive_a_file(tmp_path):
    grid = fp.Grid(
        fp.Box([0, -1], [6.28, 1], boundary=("periodic", "reflecting")), (8, 8), maps=(None, fp.Sinh(scale=0.1))
    )
    zero = fp.FaceField(grid, (np.zeros((9, 8)), np.zeros((8, 9))))
    phi = np.full(grid.shape, np.log(grid.cell_volumes.sum()))  # constant, with mass 1
    fp.Solution(grid, ("angle", "r"), phi, zero, None, 0.0, 1.0, {}).save(tmp_path / "mixed.nc")
    back = fp.load(tmp_path / "mixed.nc").grid
    assert back == grid
    np.testing.assert_array_equal(back.edges(1), grid.edges(1))


def test_pictures_have_the_edges_of_the_cells(stretched):
    grid = stretched.grid
    image = fp.plot.density(stretched)
    x, y = np.moveaxis(image.get_coordinates(), -1, 0)
    np.testing.assert_array_equal(x[0], grid.edges(0))
    np.testing.assert_array_equal(y[:, 0], grid.edges(1))
    drawn = fp.plot.current(stretched)
    assert len(drawn.lines.get_paths()) > 10
    split = fp.helmholtz(replace(stretched, flux=fp.helmholtz(stretched).curl_faces))
    fp.plot.stream_function(split)
    images = fp.plot.parts(split)
    np.testing.assert_array_equal(images[1].get_coordinates()[0, :, 0], grid.edges(0))
    x, y, field = streams.traced(stretched.current, stretched.density)
    np.testing.assert_allclose(
        np.diff(x), (x[-1] - x[0]) / (x.size - 1), rtol=1e-9
    )  # matplotlib insists on equal steps
    exact = current_exact(np.stack(np.meshgrid(x, y, indexing="ij")))
    inside = np.isfinite(field)
    # Linear interpolation between points .2 apart, of a current that varies on a length of 1.
    np.testing.assert_allclose(field[inside], exact[inside], atol=0.03 * np.abs(exact).max())
    plt.close("all")


def test_marginals_weigh_cells_by_their_width():
    grid = fp.Grid(fp.Box([-5] * 3, [5] * 3), (16, 16, 24), maps=fp.Sinh(scale=1.0))
    phi = 0.5 * np.sum(grid.cell_points() ** 2, axis=0) + 1.5 * np.log(2 * np.pi)
    zero = fp.FaceField(grid, tuple(np.zeros(grid.face_shape(a)) for a in range(3)))
    image = fp.plot.density(fp.Solution(grid, ("x", "y", "z"), phi, zero, None, 0.0, 1.0, {}))
    x = grid.cell_points()[:2, :, :, 0]
    np.testing.assert_allclose(
        np.asarray(image.get_array()).reshape(16, 16).T, np.exp(-0.5 * np.sum(x**2, axis=0)) / (2 * np.pi), rtol=5e-3
    )
    plt.close("all")


def test_what_needs_equal_cells_says_so(stretched):
    sgd = fp.sgd.SGD(fp.sgd.linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.1, batch_size=1)
    box = sgd.box()
    with pytest.raises(fp.InvalidInput, match=r"grid: expected equal cells, got maps \(Sinh.*leave the maps out"):
        fp.sgd.simulate(sgd, grid=fp.Grid(box, (40,), maps=fp.Sinh(scale=1.0)), chains=64, steps=10, rng=7)
    run = fp.sgd.simulate(sgd, grid=fp.Grid(box, (40,)), chains=64, steps=10, rng=7, burn_in=0)
    with pytest.raises(fp.InvalidInput, match=r"expected a solution on equal cells, .*Solve without maps"):
        fp.compare(stretched, run)
    with pytest.raises(fp.InvalidInput, match=r"expected a field on the reference grid, \(64, 64\) equal cells"):
        physical_flux(stretched.flux, stretched.grid)
