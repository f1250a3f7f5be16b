"""What is drawn is what was computed: arrays, limits, widths and words."""

from dataclasses import replace

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.streamplot import StreamplotSet
from matplotlib.text import Text

import fokkerplanck as fp
from fokkerplanck import plotting
from fokkerplanck.compare import compare
from fokkerplanck.errors import InvalidInput
from fokkerplanck.fields import FaceField
from fokkerplanck.plotting import frame, numbers, streams
from fokkerplanck.sgd import SGD, linear_regression, logistic_regression

pytestmark = pytest.mark.usefixtures("closed")


@pytest.fixture(scope="module")
def swirl():
    process = fp.DiffusionProcess(
        lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2, names=("left_$hand", "right")
    )
    return fp.solve_stationary(process, fp.Box([-5, -6], [5, 6]), shape=(64, 96))


@pytest.fixture(scope="module")
def balanced():
    return fp.solve_stationary(fp.DiffusionProcess(lambda x: -x, 0.5, dim=2), fp.Box([-5, -5], [5, 5]), shape=(32, 32))


@pytest.fixture(scope="module")
def line():
    return fp.solve_stationary(fp.DiffusionProcess(lambda x: -x, 0.5, dim=1), fp.Box([-5], [5]), shape=(128,))


@pytest.fixture(scope="module")
def torus():
    process = fp.DiffusionProcess(lambda x: np.stack([1 + np.sin(x[0]), 0.3 + np.cos(x[1]) + np.sin(x[0])]), 0.5, dim=2)
    return fp.solve_stationary(process, fp.Box([0, 0], [2 * np.pi, 2 * np.pi], boundary="periodic"), shape=(32, 32))


@pytest.fixture(scope="module")
def space():
    process = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0], -x[2]]), 0.5, dim=3)
    return fp.solve_stationary(process, fp.Box([-4] * 3, [4] * 3), shape=(16, 16, 16))


@pytest.fixture(scope="module")
def descent():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(100, 2)) * [1.0, 2.0]
    y = (X @ [1.0, -0.5] + rng.normal(size=100) > 0).astype(float)
    sgd = SGD(logistic_regression(X, y, l2=0.1, names=("first", "second")), learning_rate=0.3, batch_size=4)
    solution = fp.solve_stationary(sgd.process(), sgd.box(), shape=(64, 64))
    run = sgd.simulate(grid=solution.grid, chains=64, steps=3000, rng=7)
    return solution, run, compare(solution, run)


def words(figure):
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_a_density_in_the_plane_is_its_transposed_array_on_the_cell_edges(swirl, ax):
    image = plotting.density(swirl, ax=ax)
    np.testing.assert_array_equal(image.get_array(), swirl.density.values.T)
    corners = image.get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], swirl.grid.edges(0), atol=1e-12)
    np.testing.assert_allclose(corners[:, 0, 1], swirl.grid.edges(1), atol=1e-12)
    assert image.get_clim() == (0.0, swirl.density.values.max())
    assert ax.get_xlabel() == r"left_\$hand"
    assert ax.get_ylabel() == "right"
    assert ax.get_aspect() == 1.0
    (bar,) = ax.child_axes
    assert bar.get_ylabel() == "probability density\n" + r"1/(left_\$hand right)"


def test_the_view_ends_where_the_density_does(swirl, torus, ax):
    plotting.density(swirl, ax=ax, colorbar=False)
    low, high = ax.get_xlim()
    assert -5 < low < -2
    assert 2 < high < 5
    inside = (swirl.grid.centers(0) > low) & (swirl.grid.centers(0) < high)
    p = swirl.density.values
    assert p[~inside].max() <= frame.WINDOW * p.max() < p[inside].max(axis=1).min()
    assert not ax.child_axes
    plotting.density(torus, ax=ax, colorbar=False)
    assert ax.get_xlim() == pytest.approx((0.0, 2 * np.pi))


def test_a_long_box_is_not_drawn_to_scale(ax):
    process = fp.DiffusionProcess(lambda x: np.stack([-x[0], -x[1]]), np.diag([0.5, 0.005]), dim=2)
    solution = fp.solve_stationary(process, fp.Box([-5, -0.5], [5, 0.5]), shape=(32, 32))
    plotting.density(solution, ax=ax)
    assert ax.get_aspect() == "auto"


def test_a_density_on_a_line_is_a_line(line, ax):
    drawn = plotting.density(line, ax=ax)
    np.testing.assert_array_equal(drawn.get_xydata(), np.stack([line.grid.centers(0), line.density.values], axis=1))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "probability density, 1/x")
    assert ax.get_ylim()[0] == 0.0


def test_a_density_in_space_is_a_marginal_and_says_so(space, ax):
    image = plotting.density(space, ax=ax)
    marginal = space.density.values.sum(axis=2) * space.grid.spacing[2]
    np.testing.assert_allclose(image.get_array(), marginal.T, rtol=1e-12)
    assert "integrated over z" in ax.get_title()


def test_a_simulated_density_is_the_histogram(descent, ax):
    _, run, _ = descent
    np.testing.assert_array_equal(plotting.density(run, ax=ax).get_array(), run.density.values.T)
    assert "simulated" in ax.get_title()


def test_streamlines_are_as_wide_as_the_current_and_keep_out_of_the_tails(swirl, ax):
    drawn = plotting.current(swirl, ax=ax)
    assert isinstance(drawn, StreamplotSet)
    assert isinstance(ax.collections[0], QuadMesh)
    middle = np.array([segment.mean(axis=0) for segment in drawn.lines.get_segments()])
    at = {name: ("line", middle[:, a]) for a, name in enumerate(swirl.names)}
    size = np.sqrt((swirl.current**2).sum("component"))
    here = size.interp({name: xr.DataArray(v[1], dims="line") for name, v in at.items()}).values
    widths = np.asarray(drawn.lines.get_linewidths())
    np.testing.assert_allclose(widths / streams.WIDEST, here / size.values.max(), atol=0.04)
    p = swirl.density.interp({name: xr.DataArray(v[1], dims="line") for name, v in at.items()}).values
    assert p.min() > 0.3 * streams.TAIL * swirl.density.values.max()
    # J turns clockwise: dx/dt = y at the top points right.
    start, end = np.array([(s[0], s[-1]) for s in drawn.lines.get_segments()]).transpose(1, 0, 2)
    assert np.all(start[:, 0] * end[:, 1] - start[:, 1] * end[:, 0] <= 1e-9)


def test_a_current_that_was_not_resolved_is_not_drawn(balanced, ax):
    drawn = plotting.current(balanced, ax=ax)
    assert isinstance(drawn, Text)
    assert drawn.get_text() == "no current resolved"


def test_a_simulated_current_within_its_noise_is_not_drawn(descent, ax):
    _, run, _ = descent
    drawn = plotting.current(run, ax=ax)
    assert isinstance(drawn, StreamplotSet)
    rng = np.random.default_rng(0)
    noise = tuple(rng.integers(-5, 6, size=c.shape) for c in run.crossings)
    ax.clear()
    drawn = plotting.current(replace(run, crossings=noise), ax=ax)
    assert isinstance(drawn, Text)
    assert drawn.get_text() == "current within the noise of each bin"
    assert ax.get_title() == "simulated density"


def test_a_part_is_drawn_without_a_density(swirl, ax):
    part = fp.helmholtz(swirl).curl
    assert isinstance(plotting.current(part, ax=ax), StreamplotSet)
    assert not any(isinstance(c, QuadMesh) for c in ax.collections)
    assert isinstance(plotting.current(0.0 * part, ax=ax), Text)


def test_streamlines_of_a_large_grid_are_traced_through_64_blocks():
    grid = fp.Grid(fp.Box([0, 0], [1, 1], boundary="periodic"), (500, 130))
    split = fp.helmholtz(FaceField(grid, (np.ones((501, 130)), np.full((500, 131), 2.0))))
    x, y, field = streams.traced(split.harmonic)
    assert field.shape == (2, 62, 43)
    np.testing.assert_allclose(field, np.array([1.0, 2.0])[:, None, None] * np.ones((62, 43)))
    np.testing.assert_allclose((x[0], y[0]), (4 / 500, 1.5 / 130))


def test_the_stream_function_is_symmetric_about_zero_and_its_extremum_marked(swirl, ax):
    split = fp.helmholtz(swirl)
    filled = plotting.stream_function(split, ax=ax)
    low, high = filled.get_clim()
    assert low == -high
    assert high == pytest.approx(np.abs(split.psi).max())
    (mark,) = ax.lines
    at = np.unravel_index(np.abs(split.psi).argmax(), split.psi.shape)
    np.testing.assert_allclose(mark.get_xydata()[0], [split.grid.edges(a)[at[a]] for a in range(2)], atol=1e-12)
    assert numbers.written(float(split.psi[at])) in ax.get_title()


def test_parts_share_a_scale_and_round_off_is_no_signal(swirl):
    axes = Figure().subplots(1, 3)
    images = plotting.parts(fp.helmholtz(swirl), axes=axes)
    assert len({image.get_clim() for image in images}) == 1
    gradient, curl, harmonic = axes
    assert np.all(images[0].get_array() == 0.0)
    assert "zero to round-off" in [text.get_text() for text in gradient.texts]
    assert not gradient.patches
    assert "100%" in curl.get_title()
    assert curl.patches
    assert [text.get_text() for text in harmonic.texts] == ["zero"]
    assert plt.get_fignums() == []


def test_a_difference_is_symmetric_and_blank_where_nothing_was_seen(descent, ax):
    _, _, comparison = descent
    z = comparison.density_difference.values
    image = plotting.difference(comparison, ax=ax)
    np.testing.assert_array_equal(np.ma.getmaskarray(image.get_array()), np.isnan(z).T)
    low, high = image.get_clim()
    assert low == -high
    assert high == pytest.approx(max(4.0, np.percentile(np.abs(z[np.isfinite(z)]), 99)))
    assert "standard errors" in ax.child_axes[0].get_ylabel()


def test_an_overview_shows_every_panel_within_the_page(descent):
    solution, run, comparison = descent
    split, balance = fp.helmholtz(solution), fp.detailed_balance(solution)
    figure = plotting.overview(solution, split, balance, run, comparison, title="A case of $5")
    assert tuple(figure.get_size_inches()) == (15.0, 9.0)
    figure.draw_without_rendering()
    said = words(figure)
    for expected in ("stationary density", "simulated density", "stream function", "curl part", "zero to round-off"):
        assert expected in said
    assert r"A case of \$5" in said
    assert f"Detailed balance: {balance.verdict}" in said
    assert "diffusion limit" in said
    outside = []
    for axes in figure.axes:
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts):
            box = text.get_window_extent()
            inside = min(box.x0, box.y0) >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
            if text.get_text() and not inside:
                outside.append(text.get_text())
    assert outside == []
    pictures = [axes for axes in figure.axes if "density and" in axes.get_title()]
    assert len(pictures) == 2
    clims = {c.get_clim() for axes in pictures for c in axes.collections if isinstance(c, QuadMesh)}
    assert clims == {(0.0, float(solution.density.max()))}
    assert plt.get_fignums() == []


def test_the_verdict_on_three_long_names_stays_on_the_page_and_off_the_chart():
    names = ("mean_radius", "mean_texture", "mean_smoothness")
    X = np.random.default_rng(5).normal(size=(100, 3))
    sgd = SGD(
        logistic_regression(X, (X[:, 0] > 0.3).astype(float), l2=0.1, names=names), learning_rate=0.3, batch_size=4
    )
    solution = replace(fp.solve_stationary(sgd.process(), sgd.box(), shape=(16, 16, 16)), current_error=0.5)
    run = sgd.simulate(grid=solution.grid, chains=32, groups=16, steps=500, rng=7)
    balance = fp.detailed_balance(solution)
    figure = plotting.overview(solution, fp.helmholtz(solution), balance, run, compare(solution, run))
    figure.draw_without_rendering()
    verdict, chart = figure.axes[-2:]
    title = chart.title.get_window_extent()
    assert title.x1 <= figure.bbox.x1
    for text in verdict.texts:
        box = text.get_window_extent()
        assert box.x1 <= figure.bbox.x1
        assert box.y0 >= title.y1 or box.x1 <= title.x0


@pytest.mark.parametrize(("name", "panels"), [("line", 1), ("balanced", 1), ("swirl", 4), ("torus", 4), ("space", 3)])
def test_an_overview_leaves_out_what_there_is_not(name, panels, request):
    solution = request.getfixturevalue(name)
    figure = plotting.overview(solution, fp.helmholtz(solution), fp.detailed_balance(solution))
    figure.draw_without_rendering()
    assert len([ax for ax in figure.axes if ax.axison and ax.get_xlim() and ax.get_title()]) == panels
    assert "Detailed balance" in words(figure)


def test_an_overview_in_one_dimension_lays_the_simulation_over_the_solution():
    sgd = SGD(linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.05, batch_size=1)
    solution = fp.solve_stationary(sgd.process(), sgd.box(), shape=(64,))
    run = sgd.simulate(grid=solution.grid, chains=32, groups=16, steps=500, rng=1)
    comparison = compare(solution, run)
    figure = plotting.overview(solution, None, None, run, comparison)
    figure.draw_without_rendering()
    assert len(figure.axes[0].lines) == 2
    assert "not judged" in words(figure)
    singular = plotting.overview(replace(solution, force=None), None, None, run, comparison)
    assert "not defined for a singular D" in " ".join(words(singular).split())
    assert "95 % of noise" in words(figure)


def test_without_axes_a_pyplot_figure_is_made(swirl, line):
    plotting.density(line)
    plotting.current(swirl)
    plotting.stream_function(fp.helmholtz(swirl))
    plotting.parts(fp.helmholtz(swirl))
    assert len(plt.get_fignums()) == 4


@pytest.mark.parametrize(
    "call",
    [
        lambda line, space, ax: plotting.density(3.0, ax=ax),
        lambda line, space, ax: plotting.density(line, ax="here"),
        lambda line, space, ax: plotting.current(line.density, ax=ax),
        lambda line, space, ax: plotting.current(space.density, ax=ax),
        lambda line, space, ax: plotting.current("J", ax=ax),
        lambda line, space, ax: plotting.stream_function(line, ax=ax),
        lambda line, space, ax: plotting.stream_function(fp.helmholtz(space), ax=ax),
        lambda line, space, ax: plotting.parts(fp.helmholtz(line)),
        lambda line, space, ax: plotting.difference(line, ax=ax),
        lambda line, space, ax: plotting.overview(line.density, None, None),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_what_was_expected(call, line, space, ax):
    with pytest.raises(InvalidInput, match="expected"):
        call(line, space, ax)


def test_parts_want_three_axes(swirl):
    with pytest.raises(InvalidInput, match="three"):
        plotting.parts(fp.helmholtz(swirl), axes=Figure().subplots(1, 2))


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (7.149817e-3, 1.76e-5, r"(7.15 ± 0.02)$\times10^{-3}$"),
        (-4.6e-29, 9.99999e-21, r"(0 ± 1)$\times10^{-20}$"),
        (1.38523, 0.00078, "1.3852 ± 0.0008"),
        (-2.0, np.inf, "−2 (error unknown)"),
    ],
)
def test_values_are_written_with_their_errors(value, error, text):
    assert numbers.plus_minus(value, error) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.5, "0.5"), (-4.52e-3, r"−4.52$\times10^{-3}$"), (123456.0, r"1.23$\times10^{5}$")],
)
def test_numbers_carry_three_digits(value, text):
    assert numbers.written(value) == text
