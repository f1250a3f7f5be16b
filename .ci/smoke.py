"""What an installed package has to be able to do, away from the files it was built from; warnings are errors."""

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np

import fokkerplanck as fp

home = Path(fp.__file__).resolve().parent
assert home.is_relative_to(Path(sys.prefix).resolve()), f"expected the installed package, got {home}"
assert fp.__version__ == version("fokkerplanck"), (fp.__version__, version("fokkerplanck"))
assert (home / "py.typed").is_file()
tables = {entry.name for entry in files("fokkerplanck.cases").joinpath("data").iterdir()}
assert {"breast_cancer.csv", "diabetes.csv", "iris.csv"} <= tables, tables
assert all(getattr(fp, name) is not None for name in fp.__all__)

process = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
sol = fp.solve_stationary(process, fp.Box([-4, -4], [4, 4]), shape=(32, 32))
# p = exp(−|x|²)/π, and the current circulates at one turn per 2π of time; errors of fourth order on cells of ¼
exact = np.exp(-(sol.grid.cell_points() ** 2).sum(axis=0)) / np.pi
assert abs(sol.density.values - exact).max() < 1e-3, abs(sol.density.values - exact).max()
assert fp.detailed_balance(sol).verdict == "broken"

with tempfile.TemporaryDirectory() as folder:
    sol.save(f"{folder}/sol.nc")
    assert np.array_equal(fp.load(f"{folder}/sol.nc").phi, sol.phi)
    command = [sys.executable, "-I", "-m", "fokkerplanck"]
    options = ["--rtol", "0.05", "--chains", "64", "--steps", "200", "--output", folder, "--json"]
    done = subprocess.run([*command, "run", "breast-cancer", *options], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["case"]
    assert {"result.nc", "summary.json", "figure.png"} <= {path.name for path in Path(folder).iterdir()}
script = Path(sys.executable).with_name("fokkerplanck")
assert "run" in subprocess.run([script, "--help"], capture_output=True, text=True, check=True).stdout

print(f"fokkerplanck {fp.__version__} on Python {sys.version.split()[0]}: installed and well")
