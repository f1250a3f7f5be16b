"""Slices, projections, lines with their errors, and the maps of what drives a current: what is drawn is what was computed."""

from dataclasses import replace

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.streamplot import StreamplotSet
from matplotlib.text import Text

import fokkerplanck as fp
from fokkerplanck import plotting
from fokkerplanck.errors import InvalidInput
from fokkerplanck.plotting import colours, frame, streams
from fokkerplanck.plotting.planes import mode, plane
from fokkerplanck.sgd import SGD, linear_regression

pytestmark = pytest.mark.usefixtures("closed")

B = np.array([[1.0, 0.8, 0.0], [-0.8, 1.5, 0.5], [0.3, -0.5, 0.7]])


@pytest.fixture(scope="module")
def space():
    process = fp.DiffusionProcess(
        lambda x: -np.tensordot(B, x, 1), np.diag([1.0, 0.5, 0.3]), dim=3, names=("a_$", "b", "c")
    )
    maps = (None, None, fp.Sinh(scale=1.0))
    return process, fp.solve_stationary(process, fp.Box([-5, -4, -5], [5, 4, 5]), shape=(16, 20, 24), maps=maps)


@pytest.fixture(scope="module")
def swirl():
    process = fp.DiffusionProcess(
        lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2, names=("x (µm)", "speed (µm s⁻¹)")
    )
    return process, fp.solve_stationary(process, fp.Box([-5, -5], [5, 5]), shape=(32, 32))


@pytest.fixture(scope="module")
def vortices():
    case = fp.cases.get("four-vortices")
    return case.process, fp.solve_stationary(case.process, case.box, shape=(32, 32))


@pytest.fixture(scope="module")
def well():
    return fp.solve_stationary(fp.DiffusionProcess(lambda x: x - x**3, 0.5, dim=1), fp.Box([-4], [4]), shape=(64,))


@pytest.fixture(scope="module")
def ring():
    process = fp.DiffusionProcess(lambda x: 0.7 + np.sin(x), 0.5, dim=1, names=("angle",))
    return fp.solve_stationary(process, fp.Box([0], [2 * np.pi], boundary="periodic"), shape=(64,))


@pytest.fixture(scope="module")
def run():
    X = np.random.default_rng(5).normal(size=(60, 3))
    sgd = SGD(linear_regression(X, X @ [1.0, 0.5, -1.0] + 0.3), learning_rate=0.1, batch_size=4)
    return sgd.simulate(grid=fp.Grid(sgd.box(), (12, 10, 8)), chains=64, steps=500, rng=7)


def test_equal_steps_of_the_diverging_map_are_equal_steps_in_cielab():
    inverse = np.linalg.inv(colours.TO_RGB)
    shown = np.array(colours.DIVERGING.colors)
    assert shown.min() >= 0.0
    assert shown.max() <= 1.0
    linear = np.where(shown > 0.04045, ((shown + 0.055) / 1.055) ** 2.4, shown / 12.92)
    xyz = linear @ inverse.T / colours.WHITE_POINT
    roots = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    lab = np.stack(
        [116 * roots[:, 1] - 16, 500 * (roots[:, 0] - roots[:, 1]), 200 * (roots[:, 1] - roots[:, 2])], axis=1
    )
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps.mean(), rtol=2e-3)  # sRGB's two pieces do not quite meet
    np.testing.assert_allclose(lab[:, 0], lab[::-1, 0], atol=0.01)  # as dark on one side as on the other
    np.testing.assert_allclose(lab[len(lab) // 2], colours.WHITE, atol=0.05)


def test_a_slice_holds_the_nearest_cells_and_says_where(space, ax):
    _, solution = space
    image = plotting.density(solution, ax=ax, at={"b": 0.7})
    cell = int(np.argmin(np.abs(solution.grid.centers(1) - 0.7)))
    np.testing.assert_array_equal(image.get_array(), solution.density.values[:, cell, :].T)
    corners = image.get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], solution.grid.edges(0), atol=1e-12)
    np.testing.assert_allclose(corners[:, 0, 1], solution.grid.edges(2), atol=1e-12)
    assert f"at b = {solution.grid.centers(1)[cell]:.3g}" in ax.get_title()
    assert (ax.get_xlabel(), ax.get_ylabel()) == (r"a_\$", "c")
    assert ax.child_axes[0].get_ylabel().endswith(r"1/(a_\$ b c)")


def test_marginals_of_a_stretched_grid_integrate_to_one(space, ax):
    _, solution = space
    image = plotting.density(solution, ax=ax, over="b", colorbar=False)
    shown = plane(solution, over="b")
    assert float((image.get_array().T * shown.grid.cell_volumes).sum()) == pytest.approx(1.0, abs=1e-12)
    ax.clear()
    line = plotting.density(solution, ax=ax, over=("a_$", "b"))
    assert isinstance(line, Line2D)
    assert float(line.get_ydata() @ solution.grid.weights(2)) == pytest.approx(1.0, abs=1e-12)
    assert ax.get_ylabel() == "probability density, 1/c"


def test_the_current_of_a_marginal_is_the_integral_of_the_components_along_it(space):
    _, solution = space
    shown = plane(solution, over="c")
    field = shown.vector(solution.current)
    volumes = solution.grid.weights(2)
    np.testing.assert_allclose(field.values, np.einsum("iabc,c->iab", solution.current.values[:2], volumes), atol=1e-15)
    # Of a linear process E[b | x, y] is linear: J = (B' x − D∇ ln p) p of the marginal covariance.
    S = solution.covariance
    conditional = -B[:2] @ S[:, :2] @ np.linalg.inv(S[:2, :2]) + np.diag([1.0, 0.5]) @ np.linalg.inv(S[:2, :2])
    points, p = shown.grid.cell_points(), shown.scalar(solution.density).values
    exact = np.einsum("ij,jab->iab", conditional, points) * p
    assert np.abs(field.values - exact).max() < 0.02 * np.abs(exact).max()  # of second order on 16 × 20 × 24 cells


def test_streamlines_in_a_plane_are_as_wide_as_the_strongest_current_anywhere_allows(space, ax):
    _, solution = space
    drawn = plotting.current(solution, ax=ax, at={"c": 2.0})
    assert isinstance(drawn, StreamplotSet)
    here = np.hypot(*plane(solution, {"c": 2.0}).vector(solution.current).values).max()
    everywhere = np.sqrt((solution.current**2).sum("component")).values.max()
    assert 0.0 < here < 0.5 * everywhere
    assert np.max(drawn.lines.get_linewidths()) <= streams.WIDEST * here / everywhere * (1.0 + 1e-9)
    assert "and current\n(at c = " in ax.get_title()


def test_a_plane_without_current_says_so(ax):
    process = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0], -x[2]]), 0.5, dim=3)
    solution = fp.solve_stationary(process, fp.Box([-4] * 3, [4] * 3), shape=(16, 16, 16))
    assert isinstance(plotting.current(solution, ax=ax, over="z"), StreamplotSet)
    ax.clear()
    drawn = plotting.current(solution, ax=ax, over="x")
    assert isinstance(drawn, Text)
    assert drawn.get_text() == "no current in this plane"


def test_slices_go_through_the_mode_on_one_scale(space):
    _, solution = space
    figure = Figure(figsize=(13, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    images = plotting.slices(solution, axes=axes)
    figure.draw_without_rendering()
    assert {image.get_clim() for image in images} == {(0.0, float(solution.density.max()))}
    assert all(float(image.get_array().max()) == float(solution.density.max()) for image in images)
    here = mode(solution)
    for ax, (first, second) in zip(axes, (("a_$", "b"), ("a_$", "c"), ("b", "c")), strict=True):
        assert (ax.get_xlabel(), ax.get_ylabel()) == (frame.plain(first), second)
        vertical, horizontal = ax.lines
        assert vertical.get_xdata()[0] == here[first]
        assert horizontal.get_ydata()[0] == here[second]
    assert [bool(ax.child_axes) for ax in axes] == [False, False, True]
    assert plt.get_fignums() == []


def test_projections_of_a_solution_and_of_a_simulation_are_its_marginals(space, run):
    for x in (space[1], run):
        axes = Figure(layout="constrained").subplots(1, 3)
        volumes = x.grid.widths(0)[:, None, None]
        image = plotting.projections(x, axes=axes)[2]
        np.testing.assert_allclose(image.get_array(), (x.density.values * volumes).sum(axis=0).T, rtol=1e-12)
        axes[0].figure.draw_without_rendering()


def test_a_projected_simulation_counts_what_passed_whatever_the_other_variable_was(run):
    flat = plane(run, over=run.names[0]).projected(run)
    np.testing.assert_array_equal(flat.histogram, run.histogram.sum(axis=1))
    divergence = np.diff(flat.crossings[0], axis=1) + np.diff(flat.crossings[1], axis=2)
    whole = sum(np.diff(c, axis=a + 1) for a, c in enumerate(run.crossings))
    through_walls = run.crossings[0][:, -1] - run.crossings[0][:, 0]
    np.testing.assert_array_equal(divergence + through_walls, whole.sum(axis=1))


def test_a_line_has_the_band_of_its_error(well, ax):
    line = plotting.density(well, ax=ax)
    error = fp.density_error(well)
    (band,) = (c for c in ax.collections if isinstance(c, PolyCollection))
    ends = band.get_paths()[0].vertices[:, 1]
    assert ends.max() >= line.get_ydata().max()
    for values in (well.density + error, well.density - error):
        assert np.isin(values.values[20:40], ends).all()
    assert "error at most" in ax.get_title()
    ax.clear()
    plotting.density(replace(well, check=None, coarser=()), ax=ax)  # an error that is not known has no band
    assert not ax.collections
    assert "error" not in ax.get_title()


def test_the_band_adds_up_to_the_error_of_the_density(well, vortices):
    for solution in (well, vortices[1]):
        total = float((fp.density_error(solution) * solution.grid.cell_volumes).sum())
        assert 0.999 * solution.error <= total < 2.0 * solution.error


def test_the_current_round_a_ring_is_a_flat_line_that_is_seen_against_zero(ring, ax):
    line = plotting.current(ring, ax=ax)
    np.testing.assert_array_equal(line.get_ydata(), ring.current.values[0])
    low, high = ax.get_ylim()
    assert low == 0.0
    assert high == pytest.approx(1.25 * ring.current.values.max())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("angle", "probability current, 1/time")


def test_where_no_current_is_resolved_nothing_is_drawn(well, ax):
    assert plotting.current(well, ax=ax).get_text() == "no current resolved"
    ax.clear()
    assert plotting.entropy_production(well, ax=ax).get_text() == "zero within its error"


def test_the_entropy_production_is_its_map_and_its_integral_in_the_title(vortices, ax):
    _, solution = vortices
    numbers = fp.nonequilibrium(solution)
    image = plotting.entropy_production(solution, ax=ax)
    np.testing.assert_array_equal(image.get_array(), numbers.entropy_production_map.values.T)
    assert image.get_clim() == (0.0, float(numbers.entropy_production_map.max()))
    assert (
        plotting.driving.numbers.plus_minus(numbers.entropy_production.value, numbers.entropy_production.error)
        in ax.get_title()
    )
    ax.clear()
    again = plotting.entropy_production(numbers, ax=ax)
    np.testing.assert_array_equal(again.get_array(), image.get_array())
    np.testing.assert_allclose(again.get_coordinates(), image.get_coordinates(), atol=1e-12)  # equal cells


def test_a_map_that_falls_below_zero_says_so_at_its_colour_bar(vortices, ax):
    found = fp.nonequilibrium(vortices[1])
    values = found.entropy_production_map
    assert plotting.entropy_production(found, ax=ax).colorbar.extend == "neither"
    lowered = replace(found, entropy_production_map=values - 0.1 * values.max())
    ax.clear()
    assert plotting.entropy_production(lowered, ax=ax).colorbar.extend == "min"


def test_the_entropy_production_of_a_marginal_has_the_same_integral(space, ax):
    _, solution = space
    image = plotting.entropy_production(solution, ax=ax, over="c")
    total = float((image.get_array().T * plane(solution, over="c").grid.cell_volumes).sum())
    assert total == pytest.approx(fp.nonequilibrium(solution).entropy_production.value, rel=0.02)  # of other order
    assert ax.child_axes[0].get_ylabel().endswith(r"1/(a_\$ b time)")


def test_the_curl_of_the_force_is_centred_at_zero_and_reaches_what_the_density_holds(vortices, ax):
    process, solution = vortices
    found = fp.force(process, solution.grid)
    image = plotting.force_curl(found, ax=ax, within=solution)
    low, high = image.get_clim()
    assert low == -high
    held = solution.density.values > plotting.driving.LEVELS[0] * float(solution.density.max())
    assert high == np.abs(found.curl.values)[held].max()
    np.testing.assert_array_equal(image.get_array().filled(np.nan), found.curl.values.T)
    assert "of its maximum" in ax.child_axes[0].get_ylabel()
    assert image.get_cmap()(0.5) == pytest.approx([*colours.rgb(colours.WHITE), 1.0], abs=0.01)


def test_a_curl_that_is_not_told_from_zero_is_grey(ax):
    def drift(x):
        return -x + 1e-3 * np.exp(-8 * (x**2).sum(0)) * np.stack([-x[1], x[0]])

    found = fp.force(fp.DiffusionProcess(drift, 0.5, dim=2), fp.Grid(fp.Box([-4, -4], [4, 4]), (32, 32)))
    image = plotting.force_curl(found, ax=ax)
    blank = np.abs(found.curl.values) <= found.curl_error.values
    assert 0.1 < blank.mean() < 0.9
    np.testing.assert_array_equal(np.ma.getmaskarray(image.get_array()), blank.T)
    assert ax.get_facecolor()[:3] == pytest.approx([float(colours.BLANK)] * 3)
    assert "grey: not told from zero" in ax.child_axes[0].get_ylabel()
    ax.clear()
    balanced = fp.DiffusionProcess(lambda x: -x, 0.5, dim=2)
    assert plotting.force_curl(fp.force(balanced, found.grid), ax=ax).get_text() == "zero within its error"
    assert ax.get_xlim() == (-4.0, 4.0)


def test_a_curl_that_is_the_same_everywhere_is_said_in_the_title(swirl, ax):
    process, solution = swirl
    image = plotting.force_curl(fp.force(process, solution.grid), ax=ax)
    assert ax.get_title() == "curl of the force, everywhere −4"
    assert image.get_clim() == pytest.approx((-8.0, 8.0))


def test_the_curl_in_space_is_that_in_the_plane_of_the_other_variables(space, ax):
    process, solution = space
    found = fp.force(process, solution.grid)
    image = plotting.force_curl(found, ax=ax, at={"b": 0.0}, within=solution)
    component = found.curl.sel(plane="a_$ c").isel(b=9)
    np.testing.assert_allclose(image.get_array(), component.values.T)
    assert component.values == pytest.approx(-B[2, 0] / 0.3 + B[0, 2] / 1.0)


def test_units_are_the_brackets_of_a_name(swirl, ax):
    plotting.density(swirl[1], ax=ax)
    assert ax.get_xlabel() == "x (µm)"
    assert ax.child_axes[0].get_ylabel().endswith("1/(µm µm s⁻¹)")
    ax.clear()
    plotting.density(swirl[1], ax=ax, over="speed (µm s⁻¹)")
    assert ax.get_title().startswith("stationary density\n(integrated over speed)\n(error at most")
    ax.clear()
    plotting.density(swirl[1], ax=ax, at={"x (µm)": 0.1})
    assert "(at x = 0.156 µm" in ax.get_title()
    assert [frame.unit(name) for name in ("mean_radius", "f(x)", "T (K)", "(K)")] == ["mean_radius", "f(x)", "K", "(K)"]


def test_parts_in_space_are_those_along_a_plane(space):
    split = fp.helmholtz(space[1])
    axes = Figure(layout="constrained").subplots(1, 3)
    _, curl, _ = plotting.parts(split, at={"b": 0.5}, axes=axes)
    field = split.curl.sel(b=0.5, method="nearest").isel(component=[0, 2])
    np.testing.assert_allclose(curl.get_array(), np.hypot(*field.values).T, rtol=1e-12)
    assert "100%\n(at b = 0.6)" in axes[1].get_title()


def test_parts_of_a_torus_carry_their_shares_and_the_harmonic_one_is_constant():
    process = fp.DiffusionProcess(lambda x: np.stack([1 + np.sin(x[0]), 0.3 + np.cos(x[1]) + np.sin(x[0])]), 0.5, dim=2)
    box = fp.Box([0, 0], [2 * np.pi, 2 * np.pi], boundary="periodic")
    split = fp.helmholtz(fp.solve_stationary(process, box, shape=(32, 32)))
    axes = Figure(layout="constrained").subplots(1, 3)
    images = plotting.parts(split, axes=axes)
    axes[0].figure.draw_without_rendering()
    assert split.shares["harmonic"] > 0.1
    assert f"{100 * split.shares['harmonic']:.3g}%" in axes[2].get_title()
    assert np.ptp(images[2].get_array()) < 1e-12
    assert axes[2].patches  # arrows
    assert len({image.get_clim() for image in images}) == 1


def test_a_weak_part_has_arrows_and_one_drawing_leaves_every_word_on_the_page():
    """A current on its way down a channel, its harmonic part a few percent, on panels that keep their aspect."""
    process = fp.DiffusionProcess(
        lambda x: np.stack([0.8 + 0.5 * np.sin(x[0]), 0.5 * np.cos(x[0]) - x[1]]), 0.3, dim=2, names=("angle", "height")
    )
    grid = fp.Grid(fp.Box([0, -3], [2 * np.pi, 3], boundary=["periodic", "reflecting"]), (32, 32))
    x, y = grid.cell_points()
    p = np.exp(-3.0 * ((x - 2.6) ** 2 + (y - 0.2) ** 2))
    split = fp.helmholtz(fp.current(process, grid, p / p.sum() / grid.cell_volume), names=process.names)
    assert 0.01 < split.shares["harmonic"] < 0.06
    panels = [image.axes for image in plotting.parts(split)]
    page = panels[0].figure
    page.draw_without_rendering()
    for ax in panels:
        assert any(arrow.get_visible() for arrow in ax.patches)
        for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
            box = text.get_window_extent()
            assert box.width == 0.0 or page.bbox.y0 <= box.y0 <= box.y1 <= page.bbox.y1, text.get_text()


def test_without_axes_pyplot_figures_are_made(space, vortices):
    process, solution = vortices
    plotting.entropy_production(solution)
    plotting.force_curl(fp.force(process, solution.grid))
    plotting.slices(space[1], at={"c": 1.0})
    plotting.projections(space[1])
    assert len(plt.get_fignums()) == 4
    assert any(isinstance(c, QuadMesh) for c in plt.gcf().axes[0].collections)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s, f, w, r, ax: plotting.density(s, ax=ax, at={"z": 0.0}), "expected names among"),
        (lambda s, f, w, r, ax: plotting.density(s, ax=ax, at=0.0), "at: expected where variables are held"),
        (lambda s, f, w, r, ax: plotting.density(s, ax=ax, at={"c": 9.0}), "expected c in the box, -5 to 5, got 9"),
        (lambda s, f, w, r, ax: plotting.density(s, ax=ax, at={"c": "middle"}), "expected a number for c"),
        (lambda s, f, w, r, ax: plotting.density(s, ax=ax, at={"c": float("nan")}), "expected c in the box"),
        (lambda s, f, w, r, ax: plotting.density(s, ax=ax, at={"c": 0.0}, over="c"), "once"),
        (lambda s, f, w, r, ax: plotting.density(s, ax=ax, over=s.names), "expected 1 or 2 variables"),
        (lambda s, f, w, r, ax: plotting.current(s, ax=ax, over=("b", "c")), "expected 2 variables"),
        (lambda s, f, w, r, ax: plotting.current(r, ax=ax, at={r.names[0]: 0.9}), "too few"),
        (lambda s, f, w, r, ax: plotting.current(s.current, ax=ax, at={"c": 0.0}), "with a Solution"),
        (lambda s, f, w, r, ax: plotting.force_curl(s, ax=ax), "expected a Force"),
        (lambda s, f, w, r, ax: plotting.force_curl(f, ax=ax), "each of three planes"),
        (lambda s, f, w, r, ax: plotting.force_curl(f, ax=ax, at={"c": 0.0}, within=w), "within: expected a Solution"),
        (lambda s, f, w, r, ax: plotting.entropy_production(f, ax=ax), "expected a Solution or a NonEq"),
        (lambda s, f, w, r, ax: plotting.entropy_production(replace(w, force=None), ax=ax), "invertible"),
        (lambda s, f, w, r, ax: plotting.parts(fp.helmholtz(s)), "at: expected the variable"),
        (lambda s, f, w, r, ax: plotting.slices(w), "expected three dimensions, got 1"),
        (lambda s, f, w, r, ax: plotting.slices(r), "expected a Solution"),
        (lambda s, f, w, r, ax: plotting.slices(s, at={"z": 1.0}), "expected names among"),
        (lambda s, f, w, r, ax: plotting.slices(s, axes=[ax]), "three matplotlib Axes"),
        (lambda s, f, w, r, ax: plotting.projections(s.density), "expected a Solution or a Run"),
        (lambda s, f, w, r, ax: plotting.projections(w), "expected three dimensions"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(call, words, space, well, run, ax):
    process, solution = space
    with pytest.raises(InvalidInput, match=words):
        call(solution, fp.force(process, solution.grid), well, run, ax)


def test_a_force_on_a_line_has_no_curl(ax):
    found = fp.force(fp.DiffusionProcess(lambda x: -x, 0.5, dim=1), fp.Grid(fp.Box([-3], [3]), (16,)))
    with pytest.raises(InvalidInput, match="nothing to turn in"):
        plotting.force_curl(found, ax=ax)
