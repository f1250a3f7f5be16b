"""Identities of the staggered operators and of the decomposition, on random fields, shapes, cells and boundaries."""

from functools import reduce
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fokkerplanck as fp

# Relative to the largest value, in units of the narrowest cell. A solve leaves eps × (width of the box / narrowest cell)², up
# to 1e6 here; taking the gradient off a second time leaves roundings, and a potential keeps one of the two powers: 1e-13.
ROUND_OFF = 1e-12

few = settings(max_examples=25, derandomize=True, deadline=None, database=None)


def volumes(grid):
    """Of the cells, by which flows through faces are divided; `grid.cell_volumes` is what values at centres count."""
    return reduce(np.multiply, (grid.along(grid.widths(a), a) for a in range(grid.dim)))


@st.composite
def grids(draw, dims=(1, 2, 3), closed=False, stretched=None):
    """Boxes of any size and boundary, equal cells or cells of widths in proportion to 1 … 8."""
    dim = draw(st.sampled_from(dims))
    shape = tuple(draw(st.lists(st.integers(4, {1: 30, 2: 14, 3: 8}[dim]), min_size=dim, max_size=dim)))
    kinds = ["reflecting"] if closed else ["reflecting", "periodic"]
    boundary = [draw(st.sampled_from(kinds)) for _ in shape]
    lower = [draw(st.sampled_from([-3.0, 0.0, 0.25])) for _ in shape]
    upper = [x + draw(st.sampled_from([0.1, 1.0, 7.0])) for x in lower]
    maps = [None] * dim
    for a in range(dim):
        if boundary[a] == "periodic" or stretched is False:
            continue
        kind = draw(st.sampled_from(["edges", "sinh", "algebraic"] + ([] if stretched else ["equal"] * 3)))
        if kind == "edges":
            widths = draw(st.lists(st.integers(1, 8), min_size=shape[a], max_size=shape[a]))
            edges = lower[a] + (upper[a] - lower[a]) * np.concatenate([[0], np.cumsum(widths)]) / sum(widths)
            edges[-1] = upper[a]
            maps[a] = fp.Edges(edges)
        elif kind != "equal":
            curve = {"sinh": fp.Sinh, "algebraic": fp.Algebraic}[kind]
            maps[a] = curve(scale=(upper[a] - lower[a]) * draw(st.sampled_from([0.2, 1.0])))
    return fp.Grid(fp.Box(lower, upper, boundary=boundary), shape, maps=maps)


seeds = st.integers(2, 10**6)


def random_faces(grid, rng, closed=False):
    """Independent normal numbers; on the walls too, unless closed."""
    components = []
    for a in range(grid.dim):
        values = np.moveaxis(rng.normal(size=grid.face_shape(a)), a, 0)
        if grid.periodic[a]:
            values[-1] = values[0]
        elif closed:
            values[[0, -1]] = 0.0
        components.append(np.moveaxis(values, 0, a))
    return fp.FaceField(grid, tuple(components))


def random_edges(grid, rng):
    """Independent normal numbers, zero on walls."""
    components = []
    for k in range(3) if grid.dim == 3 else (2,):
        values = rng.normal(size=grid.edge_shape(k))
        for a in range(grid.dim):
            ends = np.moveaxis(values, a, 0)
            if grid.dim == 3 and a == k:
                continue
            if grid.periodic[a]:
                ends[-1] = ends[0]
            else:
                ends[[0, -1]] = 0.0
        components.append(values)
    return fp.EdgeField(grid, tuple(components))


def narrowest(grid):
    return min(grid.widths(a).min() for a in range(grid.dim))


@few
@given(grids(), seeds)
def test_the_parts_sum_to_the_field_and_are_orthogonal(grid, seed):
    field = random_faces(grid, np.random.default_rng(seed))
    split = fp.helmholtz(field)
    parts = (split.gradient_faces, split.curl_faces, split.harmonic_faces)
    assert (field - parts[0] - parts[1] - parts[2]).largest() < 1e-14 * field.largest()  # two additions
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert abs(parts[i].inner(parts[j])) < ROUND_OFF * field.inner(field)
    assert sum(split.shares.values()) == pytest.approx(1.0, abs=1e-14)
    assert sum(part.inner(part) for part in parts) == pytest.approx(field.inner(field), rel=ROUND_OFF)  # Pythagoras


@few
@given(grids(), seeds)
def test_every_part_is_what_it_is_called(grid, seed):
    field = random_faces(grid, np.random.default_rng(seed))
    split, h, size = fp.helmholtz(field), narrowest(grid), field.largest()
    for part in (split.curl_faces, split.harmonic_faces):
        assert np.abs(part.divergence()).max() * h < ROUND_OFF * size
        for a in (a for a in range(grid.dim) if not grid.periodic[a]):
            assert not np.take(part.components[a], [0, -1], a).any()  # nothing through walls
    assert np.abs(split.gradient_faces.divergence() - field.divergence()).max() * h < ROUND_OFF * size
    inside = fp.FaceField.from_potential(grid, split.chi)
    for a, (component, slope) in enumerate(zip(split.gradient_faces.components, inside.components, strict=True)):
        between = slice(None) if grid.periodic[a] else slice(1, -1)
        np.testing.assert_allclose(
            np.moveaxis(component, a, 0)[between], np.moveaxis(slope, a, 0)[between], atol=ROUND_OFF * size
        )
        if not grid.periodic[a]:  # what passes the walls is gradient
            np.testing.assert_array_equal(np.take(component, [0, -1], a), np.take(field.components[a], [0, -1], a))
    if grid.dim > 1:
        for part in (split.gradient_faces, split.harmonic_faces):
            assert part.curl().largest() * h < ROUND_OFF * size
    else:
        assert split.curl_faces.largest() < ROUND_OFF * size
    for a, component in enumerate(split.harmonic_faces.components):
        assert np.ptp(component) == 0.0
        assert grid.periodic[a] or component.flat[0] == 0.0
    assert list(split.harmonic_flux) == [name for name, ring in zip(split.names, grid.periodic, strict=True) if ring]
    assert abs(np.sum(split.chi * volumes(grid))) < ROUND_OFF * np.abs(split.chi).max() * grid.box.widths.prod()


@few
@given(grids(dims=(2, 3)), seeds)
def test_curl_of_the_potential_is_the_curl_part(grid, seed):
    split = fp.helmholtz(random_faces(grid, np.random.default_rng(seed)))
    potential, curl = split.potential_edges, split.curl_faces
    assert (potential.curl() - curl).largest() < ROUND_OFF * curl.largest()
    h = narrowest(grid)
    assert np.abs(potential.divergence()).max() * h < ROUND_OFF * potential.largest()  # the gauge
    for k, component in zip(range(3) if grid.dim == 3 else (2,), potential.components, strict=True):
        for a in (a for a in range(grid.dim) if a != k):
            ends = np.take(component, [0, -1], a)
            if grid.periodic[a]:
                np.testing.assert_array_equal(np.take(ends, 0, a), np.take(ends, 1, a))
            else:
                assert not ends.any()  # no tangential component on walls
        if all(grid.periodic[a] for a in range(grid.dim) if a != k):  # A_k could be any constant: it is zero
            places = tuple(slice(None) if a == k else slice(None, -1) for a in range(grid.dim))
            lines = [grid.widths(a) / grid.box.widths[a] for a in range(grid.dim)]
            mean = component[places]
            for line in reversed(lines):
                mean = mean @ line
            assert abs(mean) < ROUND_OFF * potential.largest()


@few
@given(grids(), seeds)
def test_operators_are_adjoint_and_their_products_vanish(grid, seed):
    rng = np.random.default_rng(seed)
    field, chi = random_faces(grid, rng, closed=True), rng.normal(size=grid.shape)
    gradient = fp.FaceField.from_potential(grid, chi)
    scale = gradient.norm() * field.norm()
    work = np.sum(chi * field.divergence() * volumes(grid))
    assert abs(gradient.inner(field) + work) < 1e-13 * scale
    if grid.dim == 1:
        return
    potential, h = random_edges(grid, rng), narrowest(grid)
    assert (
        abs(potential.curl().inner(field) - potential.inner(field.curl()))
        < 1e-13 * potential.curl().norm() * field.norm()
    )
    # A curl is in units of A/h, its divergence of A/h²; a telescoping sum of at most 24 terms.
    assert np.abs(potential.curl().divergence()).max() * h**2 < 1e-13
    assert gradient.curl().largest() * h < 1e-13 * gradient.largest()


@few
@given(grids(), seeds)
def test_a_split_is_linear_and_every_part_is_its_own(grid, seed):
    rng = np.random.default_rng(seed)
    first, second = random_faces(grid, rng), random_faces(grid, rng)
    one, two = fp.helmholtz(first), fp.helmholtz(second)
    both = fp.helmholtz(first * 3.0 - second)
    for name in ("gradient_faces", "curl_faces", "harmonic_faces"):
        expected = getattr(one, name) * 3.0 - getattr(two, name)
        assert (getattr(both, name) - expected).largest() < ROUND_OFF * 4.0 * first.largest()
        part = getattr(one, name)
        again = fp.helmholtz(part)
        assert (getattr(again, name) - part).largest() < ROUND_OFF * first.largest()


@few
@given(grids(dims=(2, 3)), seeds)
def test_axes_in_another_order_are_the_same_split(grid, seed):
    field = random_faces(grid, np.random.default_rng(seed))
    order = tuple(range(grid.dim))[::-1]
    box = fp.Box(
        [grid.box.lower[a] for a in order],
        [grid.box.upper[a] for a in order],
        boundary=[grid.box.boundary[a] for a in order],
    )
    turned_grid = fp.Grid(box, tuple(grid.shape[a] for a in order), maps=[grid.maps[a] for a in order])
    turn = lambda faces: fp.FaceField(turned_grid, tuple(faces.components[a].transpose(order) for a in order))  # noqa: E731
    split, turned = fp.helmholtz(field), fp.helmholtz(turn(field))
    for name in ("gradient_faces", "curl_faces", "harmonic_faces"):
        assert (turn(getattr(split, name)) - getattr(turned, name)).largest() < ROUND_OFF * field.largest()
    # Reversing two or three axes is a reflection, under which the potential of a curl changes sign.
    reflected = [-c.transpose(order) for c in split.potential_edges.components][::-1]
    for component, expected in zip(turned.potential_edges.components, reflected, strict=True):
        np.testing.assert_allclose(component, expected, atol=ROUND_OFF * split.potential_edges.largest())


@pytest.mark.parametrize("boundary", ["reflecting", "periodic"])
def test_axes_in_units_a_million_times_apart(boundary):
    """One solve leaves 1e-10 here; the parts keep their identities, and the potential is as good as its own rounding allows."""
    grid = fp.Grid(fp.Box([0, 0], [1e-3, 1e3], boundary=boundary), (64, 48))
    field = random_faces(grid, np.random.default_rng(31415))
    split, h = fp.helmholtz(field), grid.spacing.min()
    assert np.abs(split.curl_faces.divergence()).max() * h < 1e-14 * field.largest()
    assert split.gradient_faces.curl().largest() * h < 1e-14 * field.largest()
    assert abs(split.gradient_faces.inner(split.curl_faces)) < 1e-14 * field.inner(field)
    rounding = np.finfo(float).eps * 1e3 / h
    assert (split.potential_edges.curl() - split.curl_faces).largest() < rounding * field.largest()


def as_matrix(function, grid):
    """Columns: the function of every unit field that passes no wall, a periodic face counted once."""
    columns = []
    for a in range(grid.dim):
        faces = range(grid.shape[a]) if grid.periodic[a] else range(1, grid.shape[a])
        others = [range(n) if b != a else faces for b, n in enumerate(grid.shape)]
        for place in product(*others):
            components = [np.zeros(grid.face_shape(b)) for b in range(grid.dim)]
            components[a][place] = 1.0
            if grid.periodic[a] and place[a] == 0:
                components[a][(*place[:a], -1, *place[a + 1 :])] = 1.0
            columns.append(function(fp.FaceField(grid, tuple(components))))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("boundary", [b for d in (1, 2, 3) for b in product(["reflecting", "periodic"], repeat=d)])
def test_one_harmonic_field_for_every_periodic_axis(boundary):
    """Counted by linear algebra: the kernel of divergence and curl together, without a word of the split."""
    grid = fp.Grid(
        fp.Box([0.0] * len(boundary), [1.0, 2.0, 0.7][: len(boundary)], boundary=boundary),
        (4, 5, 4)[: len(boundary)],
        maps=[fp.Sinh(scale=0.3) if kind == "reflecting" else None for kind in boundary],
    )

    def both(field):
        rows = [field.divergence().ravel()]
        return np.concatenate(rows + ([c.ravel() for c in field.curl().components] if grid.dim > 1 else []))

    matrix = as_matrix(both, grid)
    squares = np.linalg.eigvalsh(matrix.T @ matrix)
    dimension = np.count_nonzero(squares < 1e-9 * squares[-1])  # the smallest of the others is 1e-4 of the largest
    assert dimension == boundary.count("periodic")
    rng = np.random.default_rng(2718)
    found = np.stack(
        [
            np.concatenate([c.ravel() for c in fp.helmholtz(random_faces(grid, rng)).harmonic_faces.components])
            for _ in range(grid.dim + 2)
        ]
    )
    assert np.linalg.matrix_rank(found) == dimension


@few
@given(st.integers(8, 40), st.integers(8, 40), seeds)
def test_collocated_differences_leave_a_divergence(n, m, seed):
    """Negative control: central differences with a compact Laplacian leave more than 1 % of the divergence of smooth fields."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(n) / n, np.arange(m) / m, indexing="ij")
    waves = [(k, j, *rng.normal(size=4)) for k in (1, 2) for j in (1, 2)]
    phase = lambda k, j: 2.0 * np.pi * (k * x + j * y)  # noqa: E731
    fx = sum(a * np.sin(phase(k, j)) + b * np.cos(phase(k, j)) for k, j, a, b, _, _ in waves)
    fy = sum(c * np.sin(phase(k, j)) + d * np.cos(phase(k, j)) for k, j, _, _, c, d in waves)
    central = lambda f, a: (np.roll(f, -1, a) - np.roll(f, 1, a)) * (n, m)[a] / 2.0  # noqa: E731
    divergence = central(fx, 0) + central(fy, 1)
    lines = [(2.0 * np.sin(np.arange(k) * np.pi / k) * k) ** 2 for k in (n, m)]
    eigenvalue = -(lines[0][:, None] + lines[1])
    eigenvalue[0, 0] = 1.0
    chi = np.fft.ifft2(np.fft.fft2(divergence) / eigenvalue).real
    curl = fx - central(chi, 0), fy - central(chi, 1)
    left = central(curl[0], 0) + central(curl[1], 1)
    assert np.abs(left).max() > 1e-2 * np.abs(divergence).max()
    # The same samples on the staggered grid.
    grid = fp.Grid(fp.Box([0, 0], [1, 1], boundary="periodic"), (n, m))
    field = fp.FaceField(grid, (np.pad(fx, ((0, 1), (0, 0)), mode="wrap"), np.pad(fy, ((0, 0), (0, 1)), mode="wrap")))
    staggered = fp.helmholtz(field).curl_faces.divergence()
    assert np.abs(staggered).max() < 1e-12 * np.abs(field.divergence()).max()


@few
@given(grids(dims=(2,), stretched=True, closed=True), seeds)
def test_other_weights_of_the_faces_are_not_orthogonal(grid, seed):
    """Negative control: with the volumes of the reference cells the parts overlap by more than 1e-4 of the field."""
    field = random_faces(grid, np.random.default_rng(seed))
    split = fp.helmholtz(field)
    gradient, curl = (fp.FaceField(grid.reference, f.components) for f in (split.gradient_faces, split.curl_faces))
    overlap = abs(gradient.inner(curl)) / fp.FaceField(grid.reference, field.components).inner(
        fp.FaceField(grid.reference, field.components)
    )
    if max(np.ptp(grid.widths(a)) / grid.spacing[a] for a in range(2)) > 0.1:  # some drawn edges are equal
        assert overlap > 1e-4
