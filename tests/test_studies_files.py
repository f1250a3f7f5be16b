"""Studies from files: what they may say, and those that come with the package."""

import numpy as np
import pytest

import fokkerplanck as fp
from fokkerplanck.studies import specification

FILE = """
title = "Two temperatures"
case = "label-noise-1d"
measure = ["moments", "fields"]
[parameters]
temperature = {values = [0.05, 0.1], units = "time"}
half = [0.5]
[settings]
spread = "$half"
[solve]
shape = [64]
"""


def test_a_file_names_a_case_parameters_and_measurements(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(FILE)
    found = specification(path).run(workers=0)
    assert found.attrs["title"] == "Two temperatures"
    assert found.temperature.attrs == {"units": "time"}
    for temperature in (0.05, 0.1):  # Student's law, whose variance is known
        case = fp.cases.get("label-noise-1d", temperature=temperature, spread=0.5)
        here = found.sel(temperature=temperature, half=0.5)
        assert here.spread.item() == pytest.approx(case.exact.scalars["variance"], rel=2e-3)  # of 64 cells
    assert found.density.sizes == {"temperature": 2, "half": 1, "cell_x": 64}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (('case = "label-noise-1d"', ""), "two.toml: expected the key 'case'"),
        (("label-noise-1d", "label"), "expected the name of a case"),
        (('"fields"', '"colour"'), "measure: expected some of moments, .*; got 'colour'"),
        (('"fields"', '["fields"]'), r"measure: expected some of moments, .*; got \['fields'\]"),
        (('"fields"', '"simulation"'), "seed: expected a whole number if, and only if"),
        (("title", "titel"), "expected keys among title, .*; got 'titel'"),
        (("[solve]", "[solve"), "expected TOML in"),
        (("$half", "$third"), r"a parameter after \$, one of temperature, half; got '\$third'"),
        (("temperature =", "heat ="), "expected parameters of 'label-noise-1d', .*; got .*heat"),
        (("[parameters]", "[points]"), r"lists of equal length, got \[2, 1\]"),
        (("shape =", "shapes ="), "two.toml: solve: expected options among rtol, shape, method, .*; got 'shapes'"),
        (("shape = [64]", "box = [1]"), "solve: expected options among rtol, shape, .*; got 'box'"),
        (("[solve]\nshape", "[simulate]\nchain"), "simulate: expected options among chains, steps, .*; got 'chain'"),
        (("[0.5]", "0.5"), "half: expected a list, or a table with values"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_name(tmp_path, change, text):
    path = tmp_path / "two.toml"
    path.write_text(FILE.replace(*change))
    with pytest.raises(fp.InvalidInput, match=text):
        specification(path)


def test_files_that_are_no_text_or_measure_nothing(tmp_path):
    (tmp_path / "two.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(fp.InvalidInput, match=r"expected TOML in .*two.toml, got 'utf-8' codec"):
        specification(tmp_path / "two.toml")
    (tmp_path / "two.toml").write_text('case = "ring"\nmeasure = []\n[parameters]\ntemperature = [1.0]')
    with pytest.raises(fp.InvalidInput, match=r"measure: expected some of moments, .*; got None"):
        specification(tmp_path / "two.toml")


def test_those_that_are_shipped_can_be_read_and_the_first_point_of_each_be_built():
    assert set(fp.studies.names()) == {"diffusion-limit", "label-noise", "sampling", "scaling-law"}
    for name in fp.studies.names():
        found = specification(name)
        points = list(fp.studies.points.Points.of(found.parameters))
        assert found.work(**points[0]).case.name == found.case
        assert found.question.endswith("?")


def test_the_scaling_law_fails_as_the_paper_says():
    """Exact second moments: at a given η/B they grow with η, by ηtr(H)/2 and more, and the linear theory does not see it."""
    ready = specification("scaling-law")
    held = fp.study(ready.work, ready.parameters[:7:2], ready.measured, workers=0)  # η/B = 0.005
    assert np.ptp(held.linear_spread.values) < 1e-12
    excess = (held.chain_spread / held.linear_spread - 1.0).values
    assert (np.diff(excess) > 0.0).all()
    slope = (excess[1] - excess[0]) / (held.learning_rate.values[1] - held.learning_rate.values[0])
    hessian = fp.cases.get("diabetes").sgd.model.hessian(np.zeros(2))
    assert slope == pytest.approx(
        0.5 * np.linalg.eigvalsh(hessian)[-1], rel=0.5
    )  # between the halves of both curvatures


def test_a_file_that_was_wrong_at_every_point_is_mended_and_run_again(tmp_path):
    path, store = tmp_path / "two.toml", tmp_path / "two.zarr"
    path.write_text(FILE.replace("shape = [64]", "shape = [64, 64]"))
    with pytest.raises(fp.NotConverged, match="2 that failed"):
        specification(path).run(store=store, workers=0)
    path.write_text(FILE.replace("0.05, 0.1", "0.1, 0.2"))
    found = specification(path).run(store=store, workers=0)
    assert found.status.values.ravel().tolist() == [1, 1]
    path.write_text(FILE.replace("shape = [64]", "shape = [32]"))
    with pytest.raises(fp.InvalidInput, match="got those of another"):  # of this one there is something to lose
        specification(path).run(store=store, workers=0)


def test_currents_have_the_flux_round_a_periodic_axis(tmp_path):
    path = tmp_path / "ring.toml"
    path.write_text('case = "ring"\nmeasure = ["current"]\nparameters = {sine = [0.3]}\nsolve = {shape = [128]}')
    found = specification(path).run(workers=0)
    exact = fp.cases.get("ring", sine=0.3).exact.scalars["flux"]
    (flux,) = [name for name in found if name.startswith("flux") and not name.endswith("error")]
    assert abs(found[flux].item() - exact) <= 1e-3 * abs(exact)  # fourth order on 128 cells is far below
    assert found[f"{flux}_error"].item() > 0
