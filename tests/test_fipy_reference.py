"""FiPy as an independent discretisation: it agrees to its order, says when it does not settle, and leaves us alone."""

import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from scipy.integrate import cumulative_simpson

import fokkerplanck as fp
from fokkerplanck.solvers.fipy_reference import _Equation, _pinned, solve_fipy

H, D = np.array([[2.0, 1.0], [1.0, 1.0]]), np.diag([1.0, 0.5])  # E1: covariance and current in closed form
S = np.array([[5 / 6, -2 / 3], [-2 / 3, 7 / 6]])
TILT = 1.0
FULL = np.array([[0.5, 0.2], [0.2, 0.3]])
HOSTILE = """
import os, sys
import fokkerplanck as fp
assert "fipy" not in sys.modules
from fokkerplanck.solvers.fipy_reference import solve_fipy
assert "fipy" not in sys.modules
sys.argv = arguments = ["prog", "--petsc", "--trilinos", "--pysparse", "--inline", "--no-cache=7"]
before = dict(os.environ)
process = fp.DiffusionProcess(lambda x: -x, 0.5, dim=1)
solve_fipy(process, fp.Grid(fp.Box([-4], [4]), (32,)))
assert sys.argv is arguments and arguments[1:] == ["--petsc", "--trilinos", "--pysparse", "--inline", "--no-cache=7"]
assert dict(os.environ) == before
import fipy
print(fipy.solvers.solver_suite)
"""


@dataclass(frozen=True)
class Case:
    """A process, and how far FiPy may be from the truth and from us: twice what second order left when this was written."""

    process: fp.DiffusionProcess
    box: fp.Box
    shape: tuple[int, ...]
    density: object  # of the cell centres, up to a factor
    from_exact: float
    from_ours: float
    current: float | None = None  # ∫|J_fipy − J_ours| / ∫|J_ours|; None where J = 0


def gaussian(covariance):
    precision = np.linalg.inv(covariance)
    return lambda x: np.exp(-0.5 * np.einsum("i...,ij,j...->...", x, precision, x))


def tilted(x):
    """p ∝ e^{−V}(∫₀^{2π} e^V − (1 − e^{−2πF/D}) ∫₀ˣ e^V) on the ring, V = (2(1 − cos x) − x)/D, by Simpson's rule."""
    fine = np.linspace(0, 2 * np.pi, 64 * x.size + 1)
    potential = (2 * (1 - np.cos(fine)) - TILT * fine) / 0.5
    integral = cumulative_simpson(np.exp(potential), x=fine, initial=0)
    share = 1 - np.exp(-2 * np.pi * TILT / 0.5)
    return (np.exp(-potential) * (integral[-1] - share * integral))[32::64]


def rotating(ratio, potential_gradient=lambda x: x, strength=1.0):
    """p = e^{−U/strength}, J = −Q∇U p, with axes of D that turn with x + y and eigenvalues 1 and ``ratio``."""

    def diffusion(x):
        c, s = np.cos(x[0] + x[1]), np.sin(x[0] + x[1])
        off = (1 - ratio) * c * s
        return strength * np.array([[c**2 + ratio * s**2, off], [off, s**2 + ratio * c**2]])

    def velocity(x):
        slope = potential_gradient(x)
        turn = 0.5 * np.stack([slope[1], -slope[0]])
        return -np.einsum("ij...,j...->i...", diffusion(x), slope) / strength - turn

    return fp.DiffusionProcess(velocity, diffusion, dim=2, interpretation="isothermal")


def linear(matrix, tensor):
    return fp.DiffusionProcess(lambda x: np.tensordot(np.asarray(matrix), x, 1), tensor, dim=len(matrix))


vortices = fp.cases.get("four-vortices")
CASES = {
    "ornstein-uhlenbeck-1d": Case(
        linear([[-1.0]], 0.5), fp.Box([-4], [4]), (128,), lambda x: np.exp(-(x[0] ** 2)), 1e-6, 1e-3
    ),
    "tilted-ring": Case(
        fp.DiffusionProcess(lambda x: TILT - 2 * np.sin(x), 0.5, dim=1),
        fp.Box([0], [2 * np.pi], boundary="periodic"),
        (128,),
        lambda x: tilted(x[0]),
        2e-3,
        2e-3,
        2e-3,
    ),
    "stratonovich-1d": Case(  # J = −xp − ½σ(σp)', σ² = 1 + x²/4: p ∝ (1 + x²/4)^{−1/2 − 4}
        fp.DiffusionProcess(
            lambda x: -x, noise=lambda x: np.sqrt(1 + x**2 / 4)[None], dim=1, interpretation="stratonovich"
        ),
        fp.Box([-8], [8]),
        (128,),
        lambda x: (1 + x[0] ** 2 / 4) ** -4.5,
        5e-3,
        5e-3,
    ),
    "correlated-noise": Case(
        linear([[-1.0, 1.0], [-2.0, -1.5]], FULL),
        fp.Box([-3.5, -3], [3.5, 3]),
        (48, 48),
        gaussian([[0.4314285714, -0.0685714286], [-0.0685714286, 0.2914285714]]),
        1e-2,
        1e-2,
        3e-2,
    ),
    "unequal-noise": Case(linear(-H, D), fp.Box([-5, -6], [5, 6]), (48, 48), gaussian(S), 1e-2, 1e-2, 3e-2),
    "four-vortices": Case(vortices.process, vortices.box, (48, 48), vortices.exact.density, 5e-3, 1e-2, 3e-2),
    "rotating-axes": Case(rotating(0.2), fp.Box([-5, -5], [5, 5]), (48, 48), gaussian(np.eye(2)), 1.2e-2, 1.5e-2, 4e-2),
    "three-variables": Case(
        linear(-np.eye(3), 0.5), fp.Box([-3] * 3, [3] * 3), (16,) * 3, lambda x: np.exp(-(x**2).sum(0)), 1e-3, 2e-2
    ),
}


def exact(case, grid):
    density = case.density(grid.cell_points())
    return density / (density.sum() * grid.cell_volume)


def distance(p, q, grid):
    return float(np.abs(p - q).sum()) * grid.cell_volume


@pytest.mark.parametrize("name", CASES)
def test_fipy_agrees_with_exact_answers_and_with_us(name):
    case = CASES[name]
    ours = fp.solve_stationary(case.process, case.box, shape=case.shape, max_wall_mass=1.0)
    theirs = solve_fipy(case.process, ours.grid)
    assert theirs.density.sum() * ours.grid.cell_volume == pytest.approx(1.0, abs=1e-13)
    assert distance(theirs.density, exact(case, ours.grid), ours.grid) < case.from_exact
    assert distance(theirs.density, ours.density.values, ours.grid) < case.from_ours
    gap = sum(np.abs(c).sum() for c in (theirs.flux - ours.flux).components)
    total = sum(np.abs(c).sum() for c in ours.flux.components)
    if case.current is None:
        assert theirs.flux.largest() < 1e-9  # what a density within 1e-10 of its limit leaves
    else:
        assert gap < case.current * total
        # the flux of a density that is 1e-10 from its limit, on rates of up to D/h² = 10³
        assert theirs.diagnostics["divergence"] < 1e-7 * theirs.flux.largest() / ours.grid.spacing.min()


@pytest.mark.parametrize("name", ["correlated-noise", "rotating-axes"])
def test_second_order_where_walls_hold_nothing(name):
    case = CASES[name]
    errors = []
    for n in (24, 48):
        grid = fp.Grid(case.box, (n, n))
        errors.append(distance(solve_fipy(case.process, grid).density, exact(case, grid), grid))
    assert 1.7 < np.log2(errors[0] / errors[1]) < 2.6


def test_walls_through_the_bulk_keep_all_mass_at_first_order():
    tensor = np.array([[0.6, 0.4], [0.4, 0.6]])
    case = Case(linear(-tensor, tensor), fp.Box([-1, -1], [1, 1]), (16, 16), gaussian(np.eye(2)), 0, 0)
    errors = []
    for n in (16, 32):
        grid = fp.Grid(case.box, (n, n))
        result = solve_fipy(case.process, grid)
        assert result.diagnostics["mass"] == pytest.approx(1.0, abs=1e-10)  # FiPy left alone loses a quarter by t = 4
        errors.append(distance(result.density, exact(case, grid), grid))
    assert 0.7 < np.log2(errors[0] / errors[1]) < 1.4  # one-sided gradients in a strip as wide as a cell
    assert errors[1] < 0.04


BOUNDARIES = [kinds for dim in (1, 2, 3) for kinds in product(("reflecting", "periodic"), repeat=dim)]


@pytest.mark.parametrize("boundary", BOUNDARIES, ids="-".join)
def test_our_flux_is_the_one_fipy_balances(boundary):
    """∇·J from the flux on our faces is the residual FiPy assembles, before anything has converged."""
    dim = len(boundary)
    shape = (5, 4, 6)[:dim]
    tensor = (np.eye(3) + np.array([[0, 0.3, -0.2], [0.3, 0, 0.1], [-0.2, 0.1, 0]]))[:dim, :dim]
    process = fp.DiffusionProcess(
        lambda x: np.stack([np.sin(2 * np.pi * (x.sum(axis=0) + 0.3 * a)) for a in range(dim)]),
        lambda x: tensor.reshape(dim, dim, *(1,) * (x.ndim - 1)) * (1.5 + np.cos(2 * np.pi * x.sum(axis=0))),
        dim=dim,
        interpretation="isothermal",
    )
    grid = fp.Grid(fp.Box([0.2, -0.1, 0.4][:dim], [1.2, 0.9, 1.4][:dim], boundary=boundary), shape)
    equation = _Equation(process, grid)
    equation.sweep(0.05)
    still = 1e300  # a time step at which ∂p/∂t is nothing
    residual = equation.equation.justResidualVector(var=equation.p, dt=still, solver=equation.solver)
    flux = fp.FaceField(grid, tuple(equation.flux()))
    divergence = flux.divergence()
    assert np.abs(divergence).max() > 1e-3
    assert np.allclose(equation.cells(residual) / grid.cell_volume, divergence, rtol=0, atol=1e-11)
    for axis, periodic in enumerate(grid.periodic):
        ends = np.moveaxis(flux.components[axis], axis, 0)[[0, -1]]
        assert np.array_equal(ends[0], ends[1])
        assert periodic or not ends.any()


def test_a_step_that_does_not_converge_is_halved():
    covariance = np.full((3, 3), 0.9) + 0.1 * np.eye(3)
    grid = fp.Grid(fp.Box([-3] * 3, [3] * 3), (8,) * 3)
    result = solve_fipy(linear(-np.eye(3), covariance), grid, tolerance=1e-3)
    assert result.diagnostics["halvings"] > 0
    assert result.diagnostics["remaining"] <= 1e-3
    assert result.diagnostics["mass"] == pytest.approx(1.0, abs=1e-10)


def test_a_step_so_long_that_round_off_loses_mass_is_halved():
    result = solve_fipy(linear([[-1.0]], 0.5), fp.Grid(fp.Box([-4], [4]), (4096,)))
    assert result.diagnostics["halvings"] > 0
    assert result.diagnostics["mass"] == pytest.approx(1.0, abs=1e-8)


def test_a_slow_mode_is_given_longer_steps():
    """Two unequal wells with 10 kT between them: relaxation takes 10⁴ times as long as within a well."""
    process = fp.DiffusionProcess(lambda x: 8 * (x - x**3) + 0.2, 0.2, dim=1)
    grid = fp.Grid(fp.Box([-2], [2]), (128,))
    result = solve_fipy(process, grid)
    assert result.diagnostics["time_step"] > 10 * 4**2 / 0.2  # where it started: one diffusion time of the box
    x = grid.centers(0)
    weight = np.exp((0.2 * x - 2 * (x**2 - 1) ** 2) / 0.2)
    right = float(result.density[x > 0].sum() * grid.cell_volume)
    assert right == pytest.approx(weight[x > 0].sum() / weight.sum(), abs=5e-3)


def test_an_unfinished_march_raises_and_keeps_what_there_was():
    grid = fp.Grid(fp.Box([-5, -5], [5, 5]), (32, 32))
    with pytest.raises(fp.NotConverged, match=r"max_sweeps=8 sweeps were not enough.*no stationary density") as caught:
        solve_fipy(rotating(0.01), grid, max_sweeps=8)
    best = caught.value.best
    assert best.diagnostics["sweeps"] == 8
    assert best.diagnostics["remaining"] > 1e-10
    assert np.isfinite(best.density).all()
    with pytest.raises(fp.NotConverged, match=r"max_seconds=1e-09 have passed after [01] sweeps"):
        solve_fipy(rotating(0.01), grid, max_seconds=1e-9)


def test_negative_densities_come_back_as_they_are():
    """Small noise, coarse cells: FiPy's explicit cross part is no Markov chain."""
    process = rotating(0.01, lambda x: np.stack([x[0] ** 3 - x[0], x[1]]), strength=0.05)
    result = solve_fipy(process, fp.Grid(fp.Box([-2.2, -2.2], [2.2, 2.2]), (24, 24)))
    p = result.density
    assert result.diagnostics["smallest"] == pytest.approx(p.min() / p.max())
    assert p.min() < -1e-4 * p.max()
    assert result.diagnostics["negative_mass"] == pytest.approx(-p[p < 0].sum() * result.grid.cell_volume)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": 0.0}, "tolerance: expected a number from 1e-10"),
        ({"max_sweeps": 0}, "max_sweeps: expected a positive whole number, got 0"),
        ({"max_seconds": -1.0}, "max_seconds: expected a positive number, got -1.0"),
    ],
)
def test_unusable_arguments_are_refused(arguments, message):
    with pytest.raises(fp.InvalidInput, match=message):
        solve_fipy(linear([[-1.0]], 0.5), fp.Grid(fp.Box([-4], [4]), (16,)), **arguments)


def test_faces_without_drift_and_noise_are_refused():
    oscillator = linear([[0.0, 1.0], [-1.0, -1.0]], np.diag([0.0, 1.0]))
    with pytest.raises(fp.InvalidInput, match=r"expected drift or noise across every face, got neither at .* 0\.0\]"):
        solve_fipy(oscillator, fp.Grid(fp.Box([-4, -3.75], [4, 4.25]), (16, 16)))  # cell centres at velocity 0
    with pytest.raises(fp.InvalidInput, match="got D = 0 on every face"):
        solve_fipy(linear([[-1.0]], 0.0), fp.Grid(fp.Box([-4], [4]), (16,)))
    assert (
        solve_fipy(oscillator, fp.Grid(fp.Box([-4, -4], [4, 4]), (16, 16))).diagnostics["smallest"] > 0
    )  # upwinded, first order


def test_command_line_and_environment_are_neither_read_nor_changed():
    environment = os.environ | {"FIPY_SOLVERS": "trilinos", "FIPY_INLINE": "1"}
    done = subprocess.run([sys.executable, "-c", HOSTILE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "scipy"


def test_command_line_and_environment_are_restored_after_an_error(monkeypatch):
    monkeypatch.setenv("FIPY_SOLVERS", "petsc")
    monkeypatch.setattr(sys, "argv", ["prog", "--petsc"])
    before = dict(os.environ)

    def fail():
        with _pinned():
            assert (sys.argv, os.environ["FIPY_SOLVERS"]) == (["fipy"], "scipy")
            raise ImportError("on purpose")

    with pytest.raises(ImportError, match="on purpose"):
        fail()
    assert sys.argv == ["prog", "--petsc"]
    assert dict(os.environ) == before


def test_solvers_of_another_suite_are_not_used(monkeypatch):
    """As if the caller had imported FiPy with other solvers before."""
    import fipy

    for name in ("DefaultSolver", "DefaultAsymmetricSolver", "LinearLUSolver", "GeneralSolver"):
        monkeypatch.setattr(fipy.solvers, name, None)
        monkeypatch.setattr(fipy, name, None)
    result = solve_fipy(linear([[-1.0]], 0.5), fp.Grid(fp.Box([-4], [4]), (32,)))
    assert result.diagnostics["remaining"] < 1e-10
