"""FiPy, an independent discretisation, on the same problems with diagonal noise (its tensor term is explicit and leaks)."""

import sys
import warnings

import numpy as np
import pytest

import fokkerplanck as fp


@pytest.fixture(scope="module")
def fipy():
    """FiPy reads the command line and picks its solvers when it is imported; both are pinned here."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports, not ours
        patch.setattr(sys, "argv", ["fipy"])
        patch.setenv("FIPY_SOLVERS", "scipy")
        import fipy

        return fipy


def fipy_density(fipy, process, grid):
    """March ∂p/∂t = ∇·(D∇p − u p) to its steady state with FiPy's exponential scheme."""
    mesh = fipy.Grid2D(nx=grid.shape[0], ny=grid.shape[1], dx=grid.spacing[0], dy=grid.spacing[1])
    origin = np.array(grid.box.lower)[:, None]
    points = mesh.faceCenters.value + origin
    tensor = process.diffusion(points)
    assert np.abs(tensor[0, 1]).max() == 0.0
    velocity = process.current_velocity(points, grid.box.widths)
    velocity = np.where(mesh.exteriorFaces.value, 0.0, velocity)
    p = fipy.CellVariable(mesh=mesh, value=1.0 / np.prod(grid.box.widths))
    u = fipy.FaceVariable(mesh=mesh, rank=1, value=velocity)
    d = fipy.FaceVariable(mesh=mesh, rank=2, value=tensor)
    equation = fipy.TransientTerm() == fipy.DiffusionTerm(coeff=d) - fipy.ExponentialConvectionTerm(coeff=u)
    solver = fipy.LinearLUSolver(tolerance=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy's remarks on FiPy's choice of sparse formats
        for _ in range(12):  # steps of ten relaxation times each: e⁻¹²⁰ of the start is left
            equation.solve(var=p, dt=10.0, solver=solver)
    return p.value.reshape(grid.shape[::-1]).T


@pytest.mark.parametrize("name", ["ornstein-uhlenbeck", "four-vortices"])
def test_densities_agree_to_fipys_order(fipy, name):
    case = fp.cases.get(name)
    distances = []
    for n in (64, 128):
        sol = fp.solve_stationary(case.process, case.box, shape=(n, n))
        theirs = fipy_density(fipy, case.process, sol.grid)
        assert theirs.sum() * sol.grid.cell_volume == pytest.approx(1.0, abs=1e-6)
        distances.append(float(np.abs(theirs - sol.density.values).sum()) * sol.grid.cell_volume)
    assert distances[1] < 0.002
    assert 1.7 < np.log2(distances[0] / distances[1]) < 2.5  # both are second order, so their distance is
