"""The command line as a user meets it: files, table, JSON, exit codes and messages."""

import csv
import json
import subprocess
import sys
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import xarray as xr

import fokkerplanck as fp
from fokkerplanck import cli

matplotlib.use("Agg")
QUICK = ["--rtol", "0.02", "--chains", "64", "--steps", "400"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Results go to out/ in the current directory unless told otherwise."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def run(capsys, *arguments):
    """Exit code, stdout and stderr of the command."""
    with pytest.raises(SystemExit) as stop:
        cli.main(list(arguments))
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


@pytest.fixture
def table(tmp_path):
    """A CSV file of one's own: two features, a column of text, classes and a number."""
    rng = np.random.default_rng(61)
    rows = [["a", "b", "c", "d", "colour", "kind", "level"]]
    for _ in range(80):
        x = rng.normal(size=4)
        label = "good" if x[0] + 0.5 * rng.normal() > 0 else "bad"
        rows.append([*(f"{v:.6f}" for v in x), "red", label, f"{x[0] - x[1] + rng.normal():.6f}"])
    path = tmp_path / "mine.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def edit(path, row, column, value):
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    rows[row][rows[0].index(column)] = value
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def test_a_case_ends_in_a_table_and_three_files(capsys, tmp_path):
    code, out, _ = run(capsys, "run", "breast-cancer", *QUICK)
    assert code == 0
    for word in ("entropy production", "broken", "total variation", "Hellinger distance", "current distance"):
        assert word in out
    for word in ("circulation", "area test", "sweep an area rate", "result.nc"):
        assert word in out
    assert sorted(p.name for p in (tmp_path / "cwd" / "out").iterdir()) == ["figure.png", "result.nc", "summary.json"]
    summary = json.loads((tmp_path / "cwd" / "out" / "summary.json").read_text())
    assert summary["settings"]["learning_rate"] == 0.5
    assert summary["detailed_balance"]["verdict"] == "broken"
    simulation = summary["simulation"]
    assert simulation["circulation"]["measured"][0] > 0
    assert simulation["area_test"]["p_value"] == simulation["p_value"]
    assert simulation["area_test"]["steps_needed"] == pytest.approx(15.7 / (0.5 * 0.00716), rel=0.02)
    assert simulation["hellinger"]["low"] <= simulation["hellinger"]["value"] <= simulation["hellinger"]["high"]
    left = [step["value"] for step in simulation["explained"].values()]
    assert simulation["total_variation"]["value"] > left[0] > left[1]  # 0.067, 0.061, 0.011
    assert "explained" in simulation["sentence"]
    assert (tmp_path / "cwd" / "out" / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_result_file_holds_everything_labelled(capsys, tmp_path):
    run(capsys, "run", "diabetes", "--output", str(tmp_path), *QUICK)
    with xr.open_dataset(tmp_path / "result.nc", engine="h5netcdf") as data:
        assert data["density"].dims == ("bmi", "s5")
        names = {"log_density", "current", "current_gradient", "current_curl", "current_harmonic", "potential", "force"}
        names |= {"stream_function", "simulated_density", "simulated_density_error", "simulated_current"}
        assert names | {"simulated_current_error", "density_difference"} <= set(data.data_vars)
        assert all("units" in v.attrs and "long_name" in v.attrs for v in data.data_vars.values())
        volume = float(np.prod([np.diff(data[n])[0] for n in ("bmi", "s5")]))
        assert float(data["density"].sum()) * volume == pytest.approx(1.0, abs=1e-12)
        assert float(data["simulated_density"].sum()) * volume == pytest.approx(1.0, abs=1e-3)  # the rest is outside
        assert json.loads(data.attrs["summary"])["simulation"]["seed"] > 0
    assert fp.load(tmp_path / "result.nc").names == ("bmi", "s5")


def test_own_data_logistic(capsys, table):
    arguments = ["run", "--data", str(table), "--target", "kind", "--features", "a,b", "--json", *QUICK]
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    summary = json.loads(out)
    assert summary["case"] == "mine"
    assert summary["variables"] == ["a", "b"]
    assert summary["settings"]["samples"] == 80


def test_own_data_says_which_label_is_which(capsys, tmp_path, table):
    """In the title, whatever brackets the label has; and the weight of a grows the odds of that label."""
    edit(table, 0, "kind", "[quality]")
    arguments = ["--data", str(table), "--target", "[quality]", "--features", "a", "--output", str(tmp_path)]
    code, out, _ = run(capsys, "run", *arguments, "--chains", "0")
    assert code == 0
    assert "Logistic regression of [quality] in mine.csv (+1: good, −1: bad)" in " ".join(out.split())
    assert json.loads((tmp_path / "summary.json").read_text())["density"]["mean"][0] > 0  # good where a > 0


def test_labels_that_are_numbers_are_named_unless_they_are_signs(capsys, tmp_path):
    rng = np.random.default_rng(67)
    x = rng.normal(size=60)
    above = x + rng.normal(size=60) > 0
    for labels, said in (((0, 3), "(+1: 3, −1: 0)"), ((-1, 1), "mine.csv")):
        rows = np.column_stack([x, np.where(above, labels[1], labels[0])])
        np.savetxt(tmp_path / "mine.csv", rows, delimiter=",", header="x,y", comments="")
        arguments = ["--data", str(tmp_path / "mine.csv"), "--target", "y", "--features", "x"]
        _, out, err = run(capsys, "run", *arguments, "--chains", "0", "--json")
        assert json.loads(out)["title"].endswith(said), err


def test_own_data_linear_in_one_and_three_dimensions(capsys, table):
    for features in ("a", "a,b,c"):
        arguments = ["run", "--data", str(table), "--target", "level", "--features", features, "--model", "linear"]
        code, out, err = run(capsys, *arguments, "--rtol", "0.2", "--chains", "64", "--steps", "400", "--json")
        assert code == 0, err
        assert len(json.loads(out)["density"]["mean"]) == len(features.split(","))


def test_a_table_in_the_place_of_a_case_is_told_the_option(capsys):
    code, _, err = run(capsys, "run", "mine.csv")
    assert code == 2
    assert "got the file 'mine.csv'. Data of your own: --data mine.csv --target COLUMN" in err


def test_help_has_the_settings_for_own_data(capsys):
    from fokkerplanck.cli import MODELS, OWN_DATA

    text = " ".join(run(capsys, "run", "--help")[1].replace("│", " ").split())
    assert f"η; for --data {OWN_DATA['learning_rate']}." in text
    assert f"B; for --data {OWN_DATA['batch_size']}." in text
    assert f"for --data {MODELS['logistic']} if logistic, else {MODELS['linear']:.0f}." in text


def test_exact_cases_run_without_simulation(capsys, tmp_path):
    code, out, _ = run(capsys, "run", "four-vortices", "--rtol", "0.02", "--output", str(tmp_path))
    assert code == 0
    assert "broken" in out
    assert "simulated" not in out
    assert (tmp_path / "figure.png").exists()


def test_epoch_shuffling_says_what_it_is_compared_with(capsys):
    code, out, _ = run(capsys, "run", "breast-cancer", "--sampling", "epoch", *QUICK)
    assert code == 0
    assert "independent batches" in out
    assert "No exact moments" in out


def test_the_seed_decides_the_run(capsys):
    results = [json.loads(run(capsys, "run", "diabetes", "--json", *QUICK, "--seed", s)[1]) for s in ("3", "3", "4")]
    assert [r["simulation"]["rng"] for r in results] == [3, 3, 4]
    measured = [r["simulation"]["circulation"]["measured"] for r in results]
    assert measured[0] == measured[1] != measured[2]


def test_list(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert all(name in out for name in fp.cases.names())


def test_list_says_what_is_exact_and_what_balances(capsys):
    lines = run(capsys, "list")[1].splitlines()
    row = {line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")] for line in lines if "│" in line}
    assert row["label-noise"][2:4] == ["2", "yes"]
    assert row["swirl"][2:4] == ["2", "no"]
    assert row["swirl"][4].startswith("p, J")
    assert row["diabetes"][3:5] == ["?", "nothing"]


def test_parameters_of_a_case(capsys):
    code, out, _ = run(capsys, "run", "ring", "-p", "interpretation=isothermal", "-p", "sine=0.4", "--json")
    assert code == 0
    summary = json.loads(out)
    assert summary["settings"] == {"interpretation": "isothermal", "sine": 0.4, "cosine": 0.25}
    exact = fp.cases.get("ring", interpretation="isothermal", sine=0.4).exact.scalars["flux"]
    assert summary["current"]["harmonic_flux"]["x"] == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "ring", "-p", "sine"], "-p: expected KEY=VALUE, got 'sine'"),
        (["run", "ring", "-p", "sine=much"], "expected a finite number for sine, by default 0.5, got 'much'"),
        (["run", "ring", "-p", "cosinus=1"], "expected parameters among interpretation, sine, cosine; got cosinus"),
        (["run", "--data", "x.csv", "-p", "sine=1"], "expected -p with a case of the gallery"),
        (["verify", "-p", "sine=1"], "expected the name of one case with -p, got none with 'sine=1'"),
        (["verify", "ring", "blowtorch", "-p", "sine=1"], "one case with -p, got ['ring', 'blowtorch'] with 'sine=1'"),
        (["verify", "ring", "triangle"], "expected the name of a case, one of"),
        (["verify", "triangle"], "expected the name of a case, one of"),
    ],
)
def test_parameters_that_do_not_fit_exit_2(capsys, arguments, message):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert message in err


def test_verify_prints_errors_ratios_and_orders(capsys):
    code, out, _ = run(capsys, "verify", "blowtorch", "-p", "contrast=0.4")
    assert code == 0
    assert "1 verified, 0 missed, 0 without an exact answer" in out
    assert out.count("≥ 3.5") == 3
    assert out.count("≥ 1.9") == 3
    assert "16.0" in out


def test_verify_takes_several_names(capsys):
    code, out, _ = run(capsys, "verify", "ring", "blowtorch")
    assert code == 0
    assert out.index("│ ring") < out.index("│ blowtorch")
    assert "2 verified, 0 missed, 0 without an exact answer" in out


def test_verify_of_a_case_without_an_answer_says_so(capsys):
    code, out, _ = run(capsys, "verify", "maier-stein")
    assert code == 0
    assert "nothing exact to compare with" in out
    assert "0 verified, 0 missed, 1 without an exact answer" in out


def test_verify_of_a_wrong_answer_exits_1(capsys, monkeypatch):
    case = fp.cases.get("ring")
    wrong = replace(case.exact, current=lambda x: 1.001 * case.exact.current(x))
    monkeypatch.setitem(fp.cases.GALLERY, "ring", lambda: replace(case, exact=wrong))
    code, out, err = run(capsys, "verify", "ring")
    assert code == 1
    assert "MISSED 3.5" in out
    assert "missed: ring" in err


def data_arguments(path, **changes):
    settings = {"data": str(path), "target": "kind", "features": "a,b"} | changes
    return [word for key, value in settings.items() for word in (f"--{key}", value)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "sort"}, "sort"),
        ({"features": "a,e"}, "e"),
        ({"features": "a,colour"}, "colour"),
        ({"features": "a,a"}, "a"),
        ({"features": "a,b,c,d"}, "at most 3 parameters, got 4"),
        ({"features": "a,b,c,d"}, "SGD.simulate() without grid= and area_test of what it returns"),
        ({"target": "colour"}, "two different labels"),
        ({"model": "quadratic"}, "--model: expected one of logistic, linear"),
        ({"batch-size": "81"}, "batch larger than the data"),
        ({"learning-rate": "0"}, "learning_rate: expected a positive number"),
        ({"learning-rate": "50"}, "beyond linear stability"),
        ({"sampling": "random"}, "sampling: expected one of"),
        ({"l2": "-1"}, "l2"),
        ({"rtol": "2"}, "rtol: expected a number"),
        ({"chains": "5"}, "chains: expected"),
        ({"steps": "0"}, "steps: expected"),
    ],
)
def test_bad_usage_exits_2_with_the_reason(capsys, table, changes, message):
    code, out, err = run(capsys, "run", *data_arguments(table, **changes))
    assert (code, out) == (2, "")
    assert err.startswith("InvalidInput: ")
    assert message in err
    assert "Traceback" not in err


def test_bad_values_name_their_line(capsys, table):
    for value in ("nan", "inf", "", "many"):
        edit(table, 17, "b", value)
        code, _, err = run(capsys, "run", *data_arguments(table))
        assert code == 2
        assert "18" in err  # line of the file: the header is line 1
        assert "'b'" in err or " b" in err


def test_missing_file_and_stray_options(capsys, tmp_path, table):
    assert "expected a readable CSV file" in run(capsys, "run", *data_arguments(tmp_path / "none.csv"))[2]
    said = run(capsys, "run", "--data", str(table))[2]
    assert "--data: expected also --target and --features, got none. The columns are ['a', 'b', 'c', 'd'," in said
    said = run(capsys, "run", "--data", str(table), "--target", "kind")[2]
    assert "expected also --features, got none. The columns are ['a'," in said
    assert "expected a readable CSV file" in run(capsys, "run", "--data", str(tmp_path / "none.csv"))[2]
    assert "got both" in run(capsys, "run", "diabetes", *data_arguments(table))[2]
    assert "got no --data" in run(capsys, "run", "diabetes", "--target", "x")[2]
    assert "got neither" in run(capsys, "run")[2]
    assert "expected parameters among noise, alpha" in run(capsys, "run", "four-vortices", "--learning-rate", "1")[2]
    assert run(capsys, "run", "--nonsense")[0] == 2
    (tmp_path / "file").write_text("")
    assert "expected a directory" in run(capsys, "run", "diabetes", "--output", str(tmp_path / "file"))[2]


def test_failure_exits_1_and_keeps_the_best(capsys, tmp_path, monkeypatch):
    solve = fp.analysis.solve_stationary
    monkeypatch.setattr(fp.analysis, "solve_stationary", lambda *a, **k: solve(*a, **k, max_cells=1024))
    code, _, err = run(capsys, "run", "breast-cancer", "--output", str(tmp_path), "--rtol", "1e-6")
    assert code == 1
    assert "NotConverged: rtol=1e-06 was not reached" in err
    assert "partial.nc" in err
    assert fp.load(tmp_path / "partial.nc").grid.shape == (32, 32)
    assert not (tmp_path / "result.nc").exists()


def test_interruption_says_what_was_saved(capsys, tmp_path, monkeypatch):
    def interrupted(self, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fp.sgd.SGD, "simulate", interrupted)
    code, _, err = run(capsys, "run", "diabetes", "--rtol", "0.02", "--output", str(tmp_path))
    assert code == 1
    assert "interrupted" in err
    assert "partial.nc" in err
    assert fp.load(tmp_path / "partial.nc").error < 0.02


def test_a_box_that_cuts_heavy_tails_is_widened():
    case = fp.cases.get("diabetes")
    tight = fp.cases.from_sgd(case.sgd, name="tight", title="tight", description="", widths=1.5)
    analysis = fp.analyse(tight, rtol=0.01)
    assert analysis.solution.grid.box.widths[0] > tight.box.widths[0]
    assert "widened" in analysis.remarks[0]


def test_module_and_import_are_light():
    """``python -m`` works, and a solve loads nothing that is only needed for labels, pictures or data."""
    listing = subprocess.run([sys.executable, "-m", "fokkerplanck", "list"], capture_output=True, text=True, check=True)
    assert "diabetes" in listing.stdout
    assert listing.stderr == ""  # no progress bar where stderr is no terminal
    code = """if True:
        import sys
        import fokkerplanck as fp

        fp.solve_stationary(fp.DiffusionProcess(lambda x: -x, 0.5, dim=1), fp.Box([-4], [4]), shape=(64,))
        heavy = ["fipy", "matplotlib", "pandas", "rich", "typer", "xarray"]
        heavy += ["scipy.interpolate", "scipy.ndimage", "scipy.optimize", "scipy.stats"]
        heavy += [f"fokkerplanck.{name}" for name in ("analysis", "cases", "cli", "plotting", "sgd")]
        print([name for name in heavy if name in sys.modules])
    """
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


@pytest.mark.parametrize("code", ["import fokkerplanck", "from fokkerplanck.cli import main; main(['--help'])"])
def test_what_does_not_compute_loads_nothing_that_does(code):
    """Silent with warnings as errors; ``make bench-startup`` has the seconds."""
    heavy = "['numpy', 'numba', 'scipy', 'xarray', 'pandas', 'matplotlib']"
    code = (
        f"import atexit, sys\natexit.register(lambda: print([name for name in {heavy} if name in sys.modules]))\n{code}"
    )
    shown = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert shown.stderr == ""
    assert shown.stdout.splitlines()[-1] == "[]"


def test_names_do_not_depend_on_the_order_of_loading():
    """A submodule that is loaded does not take the place of a function with its name."""
    code = """if True:
        import fokkerplanck as fp
        import fokkerplanck.analysis, fokkerplanck.compare, fokkerplanck.helmholtz, fokkerplanck.solvers.evolve
        import fokkerplanck.force, fokkerplanck.nonequilibrium

        names = ("analyse", "compare", "force", "helmholtz", "nonequilibrium", "evolve", "generator", "load")
        print([type(getattr(fp, name)).__name__ for name in names], fp.analyse is fp.analysis.analyse, fp.sgd.SGD.__name__)
    """
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert shown == f"{['function'] * 8} True SGD"


def test_public_names():
    assert set(fp.__all__) <= set(dir(fp))
    assert all(getattr(fp, name) is not None for name in fp.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        fp.nonsense  # noqa: B018
