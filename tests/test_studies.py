"""Studies: which points there are, what is stored of them, and that neither failures nor interruptions lose any."""

import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import fokkerplanck as fp
from fokkerplanck.progress import points_bar, points_text
from fokkerplanck.studies import read
from fokkerplanck.studies import store as stores
from fokkerplanck.studies.identity import identity
from fokkerplanck.studies.points import seed_of

GRID = {"rate": [1.0, 2.0, 3.0], "batch": [1, 2]}
OPEN, DONE, FAILED = 0, 1, 2


def pair(rate, batch):
    return rate, batch


def numbers(problem):
    rate, batch = problem
    field = xr.DataArray([rate, batch], dims="side", coords={"side": [0.25, 0.75]}, attrs={"units": "m"})
    return {"total": rate + batch, "field": field, "word": f"B={batch}", "even": batch % 2 == 0}


def counted(folder, problem):
    """Leaves a file for every time a point is measured."""
    rate, batch = problem
    (Path(folder) / f"{time.monotonic_ns():020d} {rate:g} {batch}").touch()
    return numbers(problem)


def fragile(folder, problem):
    """As long as there is a file named "broken", a rate of 2 fails."""
    if problem[0] == 2.0 and (Path(folder).parent / "broken").exists():
        raise fp.NotConverged("no answer")
    warnings.warn("a thin wall", fp.BoxWarning, stacklevel=1)
    return counted(folder, problem)


def calls(folder):
    return [path.name.split(" ", 1)[1] for path in sorted(Path(folder).iterdir())]


@pytest.fixture
def store(tmp_path):
    return tmp_path / "study.zarr"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "calls").mkdir()
    return tmp_path / "calls"


def test_a_grid_becomes_a_dataset_with_its_dimensions(store):
    labelled = {"rate": xr.DataArray(GRID["rate"], attrs={"units": "1/s"}), "batch": GRID["batch"]}
    attributes = {"total": {"units": "m", "long_name": "sum"}, "batch": {"long_name": "size"}}
    found = fp.study(pair, labelled, numbers, store=store, workers=0, attributes=attributes)
    assert dict(found.sizes) == {"rate": 3, "batch": 2, "side": 2}
    assert found.total.dims == ("rate", "batch")
    np.testing.assert_array_equal(found.total, [[2, 3], [3, 4], [4, 5]])
    np.testing.assert_array_equal(found.field.sel(rate=3.0, batch=2, side=[0.25, 0.75]), [3.0, 2.0])
    np.testing.assert_array_equal(found.even, [[0, 1]] * 3)
    assert found.word.sel(rate=1.0, batch=2) == "B=2"
    assert found.rate.attrs == {"units": "1/s"}
    assert found.batch.attrs == {"long_name": "size"}
    assert found.total.attrs == attributes["total"]
    assert found.field.attrs == {"units": "m"}
    assert (found.status == DONE).all()
    assert (found.seconds >= 0.0).all()
    assert found.attrs["version_fokkerplanck"]
    xr.testing.assert_identical(read(store), found)


def test_a_list_becomes_points_and_goes_to_netcdf_and_to_plain_zarr(store, tmp_path):
    points = [{"rate": 0.5, "batch": 4}, {"rate": 0.25, "batch": 8}, {"rate": 2.0, "batch": 1}]
    found = fp.study(pair, points, numbers, store=store, workers=0)
    assert found.total.dims == ("point",)
    np.testing.assert_array_equal(found.total, [4.5, 8.25, 3.0])
    np.testing.assert_array_equal(found.batch, [4, 8, 1])
    found.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as again:
        xr.testing.assert_equal(again.load(), found)
    raw = xr.open_zarr(store, consolidated=False, chunks=None)
    np.testing.assert_array_equal(raw.total, found.total)
    assert set(raw.coords) == {"rate", "batch", "side"}


def test_finished_points_are_never_computed_again_and_a_study_can_be_extended(store, folder):
    measure = partial(counted, str(folder))
    first = fp.study(pair, GRID, measure, store=store, workers=0)
    assert calls(folder) == ["1 1", "1 2", "2 1", "2 2", "3 1", "3 2"]
    xr.testing.assert_identical(first, fp.study(pair, GRID, measure, store=store, workers=0))
    assert len(calls(folder)) == 6
    wider = fp.study(pair, {"batch": [2, 3], "rate": [3.0, 0.5]}, measure, store=store, workers=0)
    assert calls(folder)[6:] == ["0.5 2", "3 3", "0.5 3"]
    assert dict(wider.sizes) == {"batch": 2, "rate": 2, "side": 2}
    np.testing.assert_array_equal(wider.total, [[5.0, 2.5], [6.0, 3.5]])
    assert read(store).sizes["point"] == 9  # no grid any more


@pytest.mark.parametrize("retry", [True, False])
def test_failed_points_are_recorded_and_tried_again_if_wanted(store, folder, retry):
    measure = partial(fragile, str(folder))
    (folder.parent / "broken").touch()
    with pytest.warns(fp.FailedPointsWarning, match="2 of 6 points failed, the first with NotConverged: no answer"):
        found = fp.study(pair, GRID, measure, store=store, workers=0)
    np.testing.assert_array_equal(found.status, [[1, 1], [2, 2], [1, 1]])
    assert found.failure.sel(rate=2.0, batch=1) == "NotConverged: no answer"
    assert found.remark.sel(rate=1.0, batch=1) == "BoxWarning: a thin wall"
    assert np.isnan(found.total.sel(rate=2.0)).all()
    assert np.isnan(found.field.sel(rate=2.0)).all()
    (folder.parent / "broken").unlink()
    if retry:
        again = fp.study(pair, GRID, measure, store=store, workers=0)
        assert calls(folder)[4:] == ["2 1", "2 2"]
        assert (again.failure == "").all()
        np.testing.assert_array_equal(again.total, [[2, 3], [3, 4], [4, 5]])
    else:
        with pytest.warns(fp.FailedPointsWarning):
            fp.study(pair, GRID, measure, store=store, workers=0, retry=False)
        assert len(calls(folder)) == 4


def test_a_study_of_failures_only_is_an_error():
    def wrong(problem):
        return {"total": problem.sum}

    with pytest.raises(fp.NotConverged, match="6 that failed, the first with AttributeError: 'tuple' object has no"):
        fp.study(pair, GRID, wrong, workers=0)


def shifted(problem):
    rate, batch = problem
    x = np.linspace(0.0, rate, 4) if batch == 1 else np.linspace(0.0, 1.0, 4)
    return {"p": xr.DataArray(np.ones(4), dims="x", coords={"x": x})}


def longer(problem):
    return {"p": xr.DataArray(np.ones(problem[1]), dims="x")}


def sides(problem):
    """Two arrays along one dimension, of different sizes at some points."""
    return {"p": xr.DataArray(np.ones(2), dims="x"), "q": xr.DataArray(np.ones(problem[1]), dims="x")}


def missing(problem):
    return {"a": 1.0} if problem[1] == 1 else {"b": 1.0}


@pytest.mark.parametrize(
    ("measure", "text", "failures"),
    [
        (shifted, r"coordinate x at every point, \[0.0, 0.333.*Solve in the same box, or leave the coordinate out", 2),
        (longer, r"shape of p at every point, {'x': 1} as before, got {'x': 2}. Interpolate, or solve with shape=", 3),
        (missing, r"names at every point, \['a'\] as before, got \['b'\]. Give what is missing as nan", 3),
        (lambda p: {"a": [1.0]} if p[1] == 1 else {"a": 2.0}, r"DataArray for 'a', got list. Label an array", 3),
        (lambda p: {"rate": 1.0} if p[1] == 1 else {"a": 2.0}, r"other names than \['rate'\]", 3),
        (lambda p: {"a": None} if p[1] == 1 else {"a": 2.0}, "DataArray for 'a', got NoneType", 3),
        (lambda p: {"a/b" if p[1] == 1 else "a": 2.0}, "names without slashes .* got 'a/b'", 3),
        (
            lambda p: {"a": xr.DataArray(1.0, attrs={"by": object()} if p[1] == 1 else {})},
            "attributes of 'a' that are",
            3,
        ),
        (sides, "arrays that fit into one dataset", 3),
        (
            lambda p: {"a": 1.0, "b": xr.DataArray([1.0], {"a" if p[1] == 1 else "c": [2]})},
            r"dimensions .* \['a'\] for",
            3,
        ),
    ],
)
def test_values_that_do_not_fit_are_failures_of_their_points(measure, text, failures):
    with pytest.warns(fp.FailedPointsWarning, match=text):
        found = fp.study(pair, GRID, measure, workers=0, identity="misfit")
    assert (found.status == FAILED).sum() == failures


def test_measured_numbers_bring_their_errors():
    found = fp.study(pair, {"rate": [1.0], "batch": [2]}, lambda p: {"a": fp.Measured(p[0], 0.25)}, workers=0)
    assert found.a.item() == 1.0
    assert found.a_error.item() == 0.25


def test_other_studies_are_refused_and_left_as_they_are(store, folder):
    fp.study(pair, GRID, numbers, store=store, workers=0)
    before = read(store)
    with pytest.raises(
        fp.InvalidInput, match=r"functions = .* there and .* here. Its points are not mixed.*another store"
    ):
        fp.study(pair, GRID, longer, store=store, workers=0)
    with pytest.raises(fp.InvalidInput, match="seed = None there and 5 here"):
        fp.study(pair, GRID, lambda problem, rng: {}, store=store, workers=0, seed=5)
    xr.testing.assert_identical(read(store), before)


def test_other_parameters_are_refused_and_left_as_they_are(store):
    fp.study(pair, GRID, numbers, store=store, workers=0, identity="mine")
    before = read(store)
    with pytest.raises(fp.InvalidInput, match=r"expected those of the points in .*\['batch', 'rate'\], got \['rate'\]"):
        fp.study(lambda rate: (rate, 1), {"rate": [1.0]}, numbers, store=store, workers=0, identity="mine")
    with pytest.raises(fp.InvalidInput, match="expected whole numbers for batch"):
        fp.study(pair, {"rate": [1.0], "batch": [0.5]}, numbers, store=store, workers=0, identity="mine")
    xr.testing.assert_identical(read(store), before)


def test_another_version_is_refused(store, monkeypatch):
    fp.study(pair, GRID, numbers, store=store, workers=0)
    monkeypatch.setattr("fokkerplanck.studies.driver.version", lambda name: "9.9")
    with pytest.raises(fp.InvalidInput, match=r"fokkerplanck = '.*' there and '9.9' here"):
        fp.study(pair, GRID, numbers, store=store, workers=0)


def test_one_study_at_a_time_writes_to_a_store(store):
    with stores.locked(store), pytest.raises(fp.InvalidInput, match="one study at a time"):
        fp.study(pair, GRID, numbers, store=store, workers=0)
    fp.study(pair, GRID, numbers, store=store, workers=0)


def test_seeds_belong_to_points_and_not_to_places():
    def drawn(problem, rng):
        return {"draw": np.random.default_rng(rng).random()}

    one = fp.study(pair, GRID, drawn, workers=0, seed=5)
    turned = fp.study(pair, {"batch": [2, 1], "rate": [3.0, 1.0]}, drawn, workers=0, seed=5)
    np.testing.assert_array_equal(turned.draw, one.draw.sel(batch=[2, 1], rate=[3.0, 1.0]).transpose("batch", "rate"))
    assert len(np.unique(one.draw)) == 6
    assert (one.draw != fp.study(pair, GRID, drawn, workers=0, seed=6).draw).all()
    assert seed_of(5, {"a": 1.0, "b": 2}) == seed_of(5, {"b": 2, "a": 1.0})


@pytest.mark.parametrize("last", ["total", "seconds", "status"])
def test_a_writer_that_dies_between_two_writes_leaves_no_point_done_without_its_numbers(store, monkeypatch, last):
    put, monkey = stores._put, {"left": 9}

    def dies(column, rows, values):
        monkey["left"] -= column.name.endswith(last)
        if monkey["left"] < 7:
            raise SystemExit("killed")
        put(column, rows, values)

    monkeypatch.setattr(stores, "PAUSE", 0.0)
    monkeypatch.setattr(stores, "_put", dies)
    with pytest.raises(SystemExit):
        fp.study(pair, GRID, numbers, store=store, workers=0)
    monkeypatch.undo()
    left = read(store)
    assert 0 < (left.status == DONE).sum() < 6
    assert left.total.where(left.status == DONE, 0.0).notnull().all()
    whole = fp.study(pair, GRID, numbers, store=store, workers=0)
    np.testing.assert_array_equal(whole.total, [[2, 3], [3, 4], [4, 5]])


def test_a_writer_that_dies_between_the_columns_of_the_first_point_leaves_a_store_to_go_on_with(store, monkeypatch):
    column = stores.Store._column

    def dies(self, name, *arguments, **named):
        if name == "even":
            raise SystemExit("killed")
        return column(self, name, *arguments, **named)

    monkeypatch.setattr(stores.Store, "_column", dies)
    with pytest.raises(SystemExit):
        fp.study(pair, GRID, numbers, store=store, workers=0)
    monkeypatch.undo()
    assert "total" in read(store)
    found = fp.study(pair, GRID, numbers, store=store, workers=0)
    np.testing.assert_array_equal(found.total, [[2, 3], [3, 4], [4, 5]])


def test_a_writer_that_dies_while_points_are_entered_leaves_a_store_to_go_on_with(store, monkeypatch):
    fp.study(pair, GRID, numbers, store=store, workers=0)
    monkeypatch.setattr(stores.Store, "_resize", lambda self, size: (_ for _ in ()).throw(SystemExit("killed")))
    with pytest.raises(SystemExit):
        fp.study(pair, {"rate": [1.0, 7.0, 8.0], "batch": [2]}, numbers, store=store, workers=0)
    monkeypatch.undo()
    assert read(store).sizes["rate"] == 3
    found = fp.study(pair, {"rate": [9.0, 1.0], "batch": [2, 3]}, numbers, store=store, workers=0)
    np.testing.assert_array_equal(found.total, [[11, 12], [3, 4]])


SCRIPT = """
import signal, sys, time
import fokkerplanck as fp

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell switches off for what it starts in the background

def slow(step):
    time.sleep(0.1)
    return step

folder = sys.argv[1]
print("ready", flush=True)
steps = {"step": list(range(200))}
fp.study(slow, steps, lambda k: {"square": float(k * k)}, store=folder + "/s.zarr", workers=int(sys.argv[2]))
"""


@pytest.mark.parametrize(("stop", "workers"), [(signal.SIGINT, 1), (signal.SIGKILL, 0)], ids=["Ctrl-C", "killed"])
def test_a_script_that_is_stopped_leaves_a_store_to_go_on_with(tmp_path, stop, workers):
    """A script without a guard for its main part, stopped as a terminal stops it, workers included."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "error", str(script), str(tmp_path), str(workers)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 90.0  # a busy machine takes long to start three processes
    while time.monotonic() < until and process.poll() is None:
        time.sleep(0.1)
        if (tmp_path / "s.zarr" / "square").is_dir():
            break
    time.sleep(1.5)  # beyond the next write
    os.killpg(process.pid, stop)
    _, errors = process.communicate(timeout=60.0)
    assert process.returncode != 0
    assert ("KeyboardInterrupt" in errors) == (stop == signal.SIGINT), errors
    assert "bootstrapping" not in errors
    left = read(tmp_path / "s.zarr")
    done = left.status.values == DONE
    assert 2 < done.sum() < 200
    np.testing.assert_array_equal(left.square.values[done], left.step.values[done] ** 2.0)
    assert (left.status.values[~done] == OPEN).all()


def test_the_package_can_be_sent_to_another_process_by_name():
    assert pickle.loads(pickle.dumps(fp)) is fp


def test_identities_see_texts_defaults_and_what_is_enclosed():
    def made(power, values=(1.0,)):
        def inner(x):
            return x**power + values[0]

        return inner

    def other(power, values=(1.0,)):
        def inner(x):
            return x**power - values[0]

        return inner

    same = {identity(made(2)), identity(made(2))}
    assert len(same) == 1
    others = [
        made(3),
        made(2, (2.0,)),
        made(2, np.array([1.0])),
        made(2, np.array([2.0])),
        other(2),
        partial(made(2), 1.0),
    ]
    assert len(same | {identity(each) for each in others}) == 7
    assert identity(fp.studies.specification("sampling").work) == identity(fp.studies.specification("sampling").work)
    assert identity(eval("lambda x: x + 1")) != identity(eval("lambda x: x + 2"))
    with pytest.raises(fp.InvalidInput, match="an object of object, which cannot be told from another"):
        identity(made(object()))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"parameters": {}}, "at least one point"),
        ({"parameters": {"rate": [], "batch": [1]}}, "a list of numbers, words or truth values for rate"),
        ({"parameters": {"rate": [1.0, np.nan], "batch": [1]}}, "finite numbers for rate"),
        ({"parameters": {"rate": [1.0, 1.0], "batch": [1]}}, "every point once, got {'rate': 1.0, 'batch': 1} twice"),
        (
            {"parameters": [{"rate": 1.0}, {"batch": 1}]},
            r"points with the same names, \['rate'\]; got {'batch': 1} at place 1",
        ),
        ({"parameters": 3}, "values for each name"),
        (
            {"parameters": {"status": [1]}, "build": lambda **point: 1},
            "names .* other than point, status, .* got 'status'",
        ),
        (
            {"parameters": {"a b": [1]}, "build": lambda **point: 1},
            "names that a function's arguments can have, .* 'a b'",
        ),
        ({"parameters": {"rate": ["slow", 2.0], "batch": [1]}}, "either words or numbers for rate"),
        ({"parameters": {"rate": np.array([2**63], np.uint64), "batch": [1]}}, "a list of numbers, .* for rate"),
        (
            {"parameters": {"rate": [1.0]}},
            r"build: .* can be called with \(rate\): missing a required argument: 'batch'",
        ),
        ({"measure": lambda *, a: a}, r"measure: expected a function that can be called with \(problem\)"),
        ({"seed": 5}, r"measure: expected a function that can be called with \(problem, rng\)"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
        ({"workers": -1}, "workers: expected a whole number"),
        ({"build": None}, "build: expected a function, got None"),
        ({"attributes": {"rate": "1/s"}}, "attributes: expected"),
        ({"store": "nowhere/at/all.zarr"}, "an existing directory to put all.zarr into"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_any_work(arguments, text):
    given = {"build": pair, "parameters": GRID, "measure": numbers, "workers": 0} | arguments
    with pytest.raises(fp.InvalidInput, match=text):
        fp.study(given.pop("build"), given.pop("parameters"), given.pop("measure"), **given)


def test_a_directory_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "letter").touch()
    with pytest.raises(fp.InvalidInput, match=r"a new directory or one with a study, got .* other files"):
        fp.study(pair, GRID, numbers, store=tmp_path, workers=0)
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


@pytest.mark.parametrize(
    ("file", "text", "wanted"),
    [
        ("zarr.json", b'{"zarr_format": 3, "no', "expected JSON in .*s.zarr/zarr.json, got Unterminated string"),
        ("zarr.json", b"\xff\xfe", "expected JSON in .*s.zarr/zarr.json, got 'utf-8' codec"),
        ("zarr.json", b"[]", r"expected {'zarr_format': 3, 'node_type': 'group'} in .*s.zarr/zarr.json, got \[\]"),
        ("zarr.json", b'{"zarr_format": 2}', r'\'group\'} in .*s.zarr/zarr.json, got {"zarr_format": 2}'),
        (
            "zarr.json",
            b'{"zarr_format": 3, "node_type": "group", "attributes": {"study": "of bees"}}',
            "what a study is about in .*s.zarr/zarr.json, got 'of bees'",
        ),
        ("status/zarr.json", b"", "expected JSON in .*s.zarr/status/zarr.json, got Expecting value"),
        ("total/zarr.json", b'{"zarr_format": 3, "node_type": "array"}', "a Zarr array in .*s.zarr/total/zarr.json"),
        ("rate/zarr.json", None, "expected .*s.zarr/rate/zarr.json, got none"),
    ],
)
def test_a_file_of_a_store_that_is_damaged_is_named_and_the_store_left_alone(tmp_path, file, text, wanted):
    store = tmp_path / "s.zarr"
    fp.study(pair, GRID, numbers, store=store, workers=0)
    if text is None:
        (store / file).unlink()
    else:
        (store / file).write_bytes(text)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    for call in (lambda: read(store), lambda: fp.study(pair, GRID, numbers, store=store, workers=0)):
        with pytest.raises(fp.InvalidInput, match=f"{wanted}.* damaged, or of something else. Bring that file back"):
            call()
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_reading_what_is_no_study(tmp_path):
    with pytest.raises(fp.InvalidInput, match="a directory with a study, got none"):
        read(tmp_path / "no.zarr")
    xr.Dataset({"a": ("x", [1.0])}).to_zarr(tmp_path / "b.zarr", consolidated=False)
    with pytest.raises(fp.InvalidInput, match="a Zarr group of something else"):
        read(tmp_path / "b.zarr")
    with pytest.raises(fp.InvalidInput, match="a Zarr group of something else"):
        fp.study(pair, GRID, numbers, store=tmp_path / "b.zarr", workers=0)


def test_the_bar_says_what_is_done_what_failed_and_when_it_ends(capsys):
    assert points_text(0, 0, 6, 0.0) == "0 of 6 points done, 0 failed"
    with points_bar(3, show=True) as finished:
        finished(False)
        finished(True)
    with points_bar(3) as finished:  # no terminal
        finished(False)
    assert capsys.readouterr().out == ""


# --- from a file -----------------------------------------------------------------------------------------------------
