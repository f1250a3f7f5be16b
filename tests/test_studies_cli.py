"""`fokkerplanck study` as a user meets it: table, files, exit codes and messages, and what the second call does."""

import re

import numpy as np
import pytest
import xarray as xr

import fokkerplanck as fp
from fokkerplanck import cli
from fokkerplanck.studies import measurements

FILE = """
title = "Two temperatures"
case = "label-noise-1d"
measure = ["moments"]
[parameters]
temperature = [0.05, 0.1]
[solve]
shape = [64]
"""


@pytest.fixture
def solved(monkeypatch):
    """Processes that have been solved."""
    solve, processes = measurements.solve_stationary, []

    def counted(process, *arguments, **options):
        processes.append(process)
        return solve(process, *arguments, **options)

    monkeypatch.setattr(measurements, "solve_stationary", counted)
    return processes


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Exit code, stdout and stderr of a study of this text, in this process and in a directory of its own."""
    monkeypatch.chdir(tmp_path)

    def run(text, *options):
        (tmp_path / "two.toml").write_text(text)
        with pytest.raises(SystemExit) as stop:
            cli.main(["study", "two.toml", *(options or ("--workers", "0"))])
        said = capsys.readouterr()
        return stop.value.code or 0, said.out, " ".join(said.err.split())

    return run


def test_a_study_ends_in_a_table_and_two_files_and_the_same_command_computes_nothing_again(command, tmp_path, solved):
    code, out, errors = command(FILE)
    assert (code, errors, len(solved)) == (0, "", 2)
    assert "Two temperatures" in out
    with xr.open_dataset(tmp_path / "out" / "two.nc", engine="h5netcdf") as found:
        for temperature in (0.05, 0.1):  # Student's law, whose variance is known
            exact = fp.cases.get("label-noise-1d", temperature=temperature).exact.scalars["variance"]
            variance = found.spread.sel(temperature=temperature).item()
            assert variance == pytest.approx(exact, rel=2e-3)  # of 64 cells
            assert f"{variance:.5g}" in out
    again = command(FILE)
    assert again == (0, out, "")
    assert len(solved) == 2
    code, out, _ = command(FILE.replace("0.1]", "0.1, 0.2]"))
    assert (code, len(solved)) == (0, 3)
    assert fp.studies.read(tmp_path / "out" / "two.zarr").sizes == {"temperature": 3, "component": 1, "other": 1}


def test_points_that_fail_are_in_the_table_and_in_the_exit_code_and_are_tried_again(command, tmp_path, solved):
    text = FILE.replace("0.1]", "-1.0]")
    code, out, errors = command(text)
    assert code == 1
    assert "failed: InvalidInput: temperature: expected 0 < ε" in out
    assert "1 of 2 points failed" in errors
    assert "tries them again" in errors
    found = fp.studies.read(tmp_path / "out" / "two.zarr")
    np.testing.assert_array_equal(found.status, [1, 2])
    assert (tmp_path / "out" / "two.nc").exists()
    assert command(text)[0] == 1
    assert len(solved) == 1


def test_a_study_of_failures_only_says_the_first(command):
    code, out, errors = command(FILE.replace("0.05, 0.1", "-1.0"))
    assert (code, out) == (1, "")
    assert "1 that failed, the first with InvalidInput: temperature: expected 0 < ε < 0.5" in errors


@pytest.mark.parametrize(
    ("change", "options", "text"),
    [
        (("shape", "cells"), (), "two.toml: solve: expected options among rtol, shape, .*; got 'cells'"),
        (("", ""), ("--scheduler", "tcp://127.0.0.1:9"), "scheduler: expected the address of a running Dask scheduler"),
        (("", ""), ("--workers", "-1"), "workers: expected a whole number of at least 0, got -1"),
    ],
)
def test_what_cannot_begin_is_told_in_a_line(command, monkeypatch, change, options, text):
    monkeypatch.setattr("fokkerplanck.studies.workers.ANSWER", 0.3)
    code, out, errors = command(FILE.replace(*change), *options)
    assert (code, out) == (2, "")
    assert "Traceback" not in errors
    assert re.search(text, errors), errors
