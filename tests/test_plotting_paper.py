"""Pictures for a paper: one scale for two of them, letters that stay letters, sizes that follow the user's, nothing changed."""

from functools import partial

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.figure import Figure

import fokkerplanck as fp

NAMES = ("position (µm)", "angle")


@pytest.fixture(scope="module")
def pair():
    """The same swirl at two temperatures."""
    box = fp.Box([-4, -4], [4, 4])
    return [
        fp.solve_stationary(
            fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), T, dim=2, names=NAMES),
            box,
            shape=(32, 32),
            progress=False,
        )
        for T in (0.3, 0.6)
    ]


@pytest.fixture(scope="module")
def turning():
    B = np.array([[1.0, 0.8, 0.0], [-0.8, 1.5, 0.5], [0.3, -0.5, 0.7]])
    process = fp.DiffusionProcess(lambda x: -np.tensordot(B, x, 1), 0.5, dim=3)
    return fp.solve_stationary(process, fp.Box([-4] * 3, [4] * 3), shape=(16,) * 3, progress=False)


def axes():
    return Figure(layout="constrained").add_subplot()


def test_two_densities_and_two_currents_on_one_scale(pair):
    top = max(float(sol.density.max()) for sol in pair)
    widest = max(float(np.hypot(*sol.current.values).max()) for sol in pair)
    panels = [axes() for _ in pair]
    for ax, sol in zip(panels, pair, strict=True):
        assert fp.plot.density(sol, ax=axes(), vmax=top).get_clim() == (0.0, top)
        lines = fp.plot.current(sol, ax=ax, vmax=top, widest=widest).lines
        assert ax.collections[0].get_clim() == (0.0, top)
        alone = fp.plot.current(sol, ax=axes()).lines
        ratio = float(np.hypot(*sol.current.values).max()) / widest
        widths = [np.ravel(each.get_linewidth()).max() for each in (lines, alone)]
        assert widths[0] == pytest.approx(widths[1] * ratio, rel=1e-12)
    field = fp.helmholtz(pair[0]).curl
    widths = [
        np.ravel(fp.plot.current(field, ax=axes(), widest=w * widest).lines.get_linewidth()).max() for w in (1.0, 4.0)
    ]
    assert widths[0] == pytest.approx(4.0 * widths[1], rel=1e-12)
    assert isinstance(lines, LineCollection)


def test_what_is_beyond_a_scale_is_said_by_the_colour_bar(pair):
    sol = pair[0]
    top = float(sol.density.max())
    for vmax, extend in ((0.5 * top, "max"), (2.0 * top, "neither"), (None, "neither")):
        assert fp.plot.density(sol, ax=axes(), vmax=vmax).colorbar.extend == extend
    sigma = fp.plot.entropy_production(sol, ax=axes())
    limit = sigma.get_clim()[1]
    assert fp.plot.entropy_production(sol, ax=axes(), vmax=0.5 * limit).colorbar.extend == "max"
    psi = fp.plot.stream_function(fp.helmholtz(sol), ax=axes(), vmax=1.0)
    assert (psi.levels[0], psi.levels[-1], psi.extend) == (-1.0, 1.0, "neither")
    assert fp.plot.stream_function(fp.helmholtz(sol), ax=axes(), vmax=1e-3).extend == "both"
    curl = fp.plot.force_curl(fp.force(fp.cases.get("four-vortices").process, sol.grid), ax=axes(), vmax=3.0)
    assert curl.get_clim() == (-3.0, 3.0)


def test_pictures_of_several_panels_on_one_scale(pair):
    sol = pair[0]
    split = fp.helmholtz(sol)
    strongest = float((split.curl**2).sum("component").max()) ** 0.5
    by_default, narrow = (Figure().subplots(1, 3) for _ in range(2))
    fp.plot.parts(split, axes=by_default)
    images = fp.plot.parts(split, axes=narrow, vmax=2.0 * strongest)
    assert {image.get_clim() for image in images} == {(0.0, 2.0 * strongest)}
    widths = [max(float(np.max(c.get_linewidth())) for c in each[1].collections[1:]) for each in (by_default, narrow)]
    assert widths[1] == pytest.approx(0.5 * widths[0], rel=1e-12)
    assert fp.plot.parts(split, axes=Figure().subplots(1, 3), vmax=0.5 * strongest)[2].colorbar.extend == "max"
    figure = fp.plot.overview(sol, split, None, vmax=3.0)
    assert (0.0, 3.0) in [drawn.get_clim() for drawn in figure.axes[0].collections]


def test_space_on_one_scale(turning):
    top = float(turning.density.max())
    widest = float((turning.current**2).sum("component").max()) ** 0.5
    for vmax, extend in ((None, "neither"), (2.0 * top, "neither"), (0.5 * top, "max")):
        images = fp.plot.slices(turning, axes=Figure().subplots(1, 3), vmax=vmax)
        assert {image.get_clim() for image in images} == {(0.0, vmax or top)}
        assert images[2].colorbar.extend == extend
    assert {image.get_clim() for image in fp.plot.projections(turning, axes=Figure().subplots(1, 3), vmax=3.0)} == {
        (0.0, 3.0)
    }
    widths = []
    for draw in (fp.plot.slices, fp.plot.projections):
        for scale in (1.0, 2.0):
            axes = Figure().subplots(1, 3)
            draw(turning, axes=axes, widest=scale * widest)
            widths.append(max(float(np.max(c.get_linewidth())) for c in axes[0].collections[1:]))
    assert widths[1] == pytest.approx(0.5 * widths[0], rel=1e-12)
    assert widths[3] == pytest.approx(0.5 * widths[2], rel=1e-12)
    page = fp.plot.overview(turning, None, None, vmax=3.0, widest=widest)
    assert [ax.collections[0].get_clim() for ax in page.axes[:3]] == [(0.0, 3.0)] * 3


def test_a_current_is_drawn_over_the_density_that_is_there(pair):
    sol, other = pair
    ax = axes()
    image = fp.plot.density(sol, ax=ax, vmax=2.0)
    fp.plot.current(sol, ax=ax)
    assert [drawn for drawn in ax.collections if isinstance(drawn, QuadMesh)] == [image]
    assert image.get_clim() == (0.0, 2.0)
    assert ax.child_axes == [image.colorbar.ax]
    assert ax.get_title() == "stationary density and current"
    bare = axes()
    fp.plot.density(sol, ax=bare, colorbar=False)
    fp.plot.current(sol, ax=bare)
    assert bare.child_axes == []  # nor is a bar drawn that was not wanted
    for again in (
        {"x": other},
        {"x": sol, "vmax": 1.0},
    ):  # another density, or another scale: the last bar is that of the last
        fp.plot.current(**again, ax=ax)
        last = [drawn for drawn in ax.collections if isinstance(drawn, QuadMesh)][-1]
        assert last is not image
        assert ax.child_axes == [last.colorbar.ax]
    ax.figure.draw_without_rendering()


def test_lines_on_one_scale():
    case = fp.cases.get("tilted-ratchet")
    sol = fp.solve_stationary(case.process, case.box, shape=(64,), progress=False)
    ax = axes()
    fp.plot.density(sol, ax=ax, vmax=2.0)
    assert ax.get_ylim() == (0.0, 2.0)
    ax = axes()
    fp.plot.current(sol, ax=ax, widest=0.1)
    assert ax.get_ylim() == (0.0, 0.1)
    ax = axes()
    fp.plot.entropy_production(sol, ax=ax, vmax=3.0)
    assert ax.get_ylim()[1] == 3.0


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, "large"])
def test_scales_that_are_none_are_refused(pair, turning, value):
    with pytest.raises(fp.InvalidInput, match="vmax: expected a positive number, or None"):
        fp.plot.density(pair[0], ax=axes(), vmax=value)
    with pytest.raises(fp.InvalidInput, match="widest: expected a positive number, or None"):
        fp.plot.current(pair[0], ax=axes(), widest=value)
    split = fp.helmholtz(pair[0])
    with pytest.raises(fp.InvalidInput, match="vmax: expected a positive number, or None"):
        fp.plot.parts(split, vmax=value)
    for draw in (
        partial(fp.plot.overview, pair[0], split, None),
        partial(fp.plot.slices, turning),
        partial(fp.plot.projections, turning),
    ):
        for name in ("vmax", "widest"):
            with pytest.raises(fp.InvalidInput, match=f"{name}: expected a positive number, or None"):
                draw(**{name: value})


def test_letters_stay_letters_in_every_format(pair, tmp_path):
    """TrueType in PDF and EPS, text in SVG; negative control: matplotlib's own defaults do neither."""
    before = dict(matplotlib.rcParams)
    lines = fp.plot.current(pair[0], ax=axes())
    for name in ("one", "two"):
        for ending in ("pdf", "svg", "eps"):
            assert fp.plot.save(lines, tmp_path / f"{name}.{ending}").name == f"{name}.{ending}"
    assert dict(matplotlib.rcParams) == before
    pdf = (tmp_path / "one.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"FontType 42" in (tmp_path / "one.eps").read_bytes()
    svg = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert "position (µm)</text>" in svg
    assert pdf == (tmp_path / "two.pdf").read_bytes()
    assert "<dc:date>" not in svg
    lines.lines.get_figure(root=True).savefig(tmp_path / "default.pdf")
    assert b"/Type3" in (tmp_path / "default.pdf").read_bytes()


def test_what_can_be_saved(pair, tmp_path):
    split = fp.helmholtz(pair[0])
    figure = Figure()
    for k, drawn in enumerate([figure, figure.add_subplot(), fp.plot.parts(split, axes=Figure().subplots(1, 3))]):
        assert fp.plot.save(drawn, tmp_path / f"{k}.png", dpi=40).stat().st_size > 0
    with pytest.raises(
        fp.InvalidInput, match=r"path: expected a name that ends in \.pdf, \.svg, \.eps, \.png, got 'a\.jpg'"
    ):
        fp.plot.save(figure, tmp_path / "a.jpg")
    with pytest.raises(fp.InvalidInput, match=r"drawn: expected a figure, or something that is in one, got 3\.0"):
        fp.plot.save(3.0, tmp_path / "a.pdf")


def test_nothing_is_cut_off_and_a_layout_keeps_its_size(pair, tmp_path):
    sizes = []
    for layout in (None, "constrained"):
        ax = Figure(figsize=(3.0, 2.5), layout=layout).add_subplot()
        fp.plot.stream_function(fp.helmholtz(pair[0]), ax=ax)
        fp.plot.save(ax, tmp_path / "a.png", dpi=100)
        sizes.append(matplotlib.image.imread(tmp_path / "a.png").shape[1::-1])
    assert sizes[0][0] > 300  # the colour bar stands outside of these axes
    assert sizes[1] == (300, 250)


def test_lines_are_thinner_in_small_axes(pair):
    widest = []
    for side in (4.0, 8.0, 2.0):
        ax = Figure(figsize=(side, side)).add_axes((0.1, 0.1, 0.8, 0.8))
        lines = fp.plot.current(pair[0], ax=ax).lines
        widest.append(np.ravel(lines.get_linewidth()).max())
        assert lines.get_capstyle() == "round"
    assert widest[0] == pytest.approx(widest[1])
    assert widest[2] == pytest.approx(widest[0] * 0.8 * 2.0 / 3.0)


def test_sizes_follow_those_of_the_user(pair):
    with matplotlib.rc_context({"font.size": 6.0}):
        image = fp.plot.density(pair[0], ax=axes())
        assert image.colorbar.ax.yaxis.label.get_fontsize() == pytest.approx(6.0 * 0.833)
        assert image.axes.xaxis.label.get_fontsize() == pytest.approx(6.0)
