"""What an installed package has to be able to do, away from the files it was built from; warnings are errors."""

import json
import subprocess
import sys
import tempfile
from importlib.metadata import files
from pathlib import Path

import numpy as np

import fokkerplanck as fp

home = Path(fp.__file__).resolve().parent
assert home.is_relative_to(Path(sys.prefix).resolve()), f"expected the installed package, got {home}"
shipped = {"py.typed", "cases/data/breast_cancer.csv", "cases/data/diabetes.csv", "cases/data/iris.csv"}
shipped |= {"claims/expected.json", "report/report.html", "report/style.css", "studies/ready/sampling.toml"}
assert shipped <= {str(path.relative_to(home)) for path in home.rglob("*")}, "a file of the package was left out"
tops = {path.parts[0] for path in files("fokkerplanck") or ()} - {".."}
assert tops == {"fokkerplanck", f"fokkerplanck-{fp.__version__}.dist-info"}, f"expected the package only, got {tops}"
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
    # No simulation: its kernels take as long to compile as all the rest of this, and the tests have them.
    options = ["--rtol", "0.05", "--chains", "0", "--report", "--output", folder, "--json"]
    done = subprocess.run([*command, "run", "breast-cancer", *options], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["case"]
    assert {"result.nc", "summary.json", "figure.png", "report.html"} <= {path.name for path in Path(folder).iterdir()}
script = Path(sys.executable).with_name("fokkerplanck")
assert "run" in subprocess.run([script, "--help"], capture_output=True, text=True, check=True).stdout

print(f"fokkerplanck {fp.__version__} on Python {sys.version.split()[0]}: installed and well")
