"""The same stationary problem in the words of scikit-fem, FiPy and py-pde, each as its own users would solve it.

A run returns its time without imports, compilation and the comparison with the exact answer. Where a method leaves a choice,
the one that suits it best is taken, and the better of two ways to measure its error.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
import warnings
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from manufactured import Problem

import fokkerplanck as fp


@dataclass(frozen=True)
class Run:
    seconds: float
    density_error: float  # ∫|p − p_exact|
    current_error: float  # ∫|J − J_exact| / ∫|J_exact|
    smallest: float  # density anywhere it was looked at
    cells: int  # along an axis


class Capped(Exception):
    """A run that was stopped because it took too long or would not settle; ``seconds`` is how long it was given."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


def load(module: str) -> ModuleType:
    """Import a peer. FiPy reads the command line and chooses its solvers while it is imported; both are pinned."""
    arguments = sys.argv
    try:
        sys.argv = arguments[:1]
        os.environ.setdefault("FIPY_SOLVERS", "scipy")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its imports
            return importlib.import_module(module)
    finally:
        sys.argv = arguments


# ---- scikit-fem: biquadratic elements, no-flux walls are natural ----


def skfem_run(problem: Problem, n: int, cap: float, *, everywhere: bool = False) -> Run:
    """∫(u p − D∇p)·∇v = 0 for all v on n × n elements, one unknown pinned, normalised, SuperLU.

    Both orderings are timed and the faster counts. The error of p is the smaller of the integrated and the nodal one, that
    of J the smaller of those at 3 × 3 and at 2 × 2 Gauss points, where gradients of biquadratics converge faster;
    ``everywhere`` takes the integrals over the elements for both, which is what a user gets who evaluates the answer anywhere.
    """
    skfem = load("skfem")
    from scipy.sparse.linalg import splu

    lower, upper = problem.box.lower, problem.box.upper
    axes = [np.linspace(low, high, n + 1) for low, high in zip(lower, upper, strict=True)]

    @skfem.BilinearForm
    def form(p, v, w):  # type: ignore[no-untyped-def]
        fluxes = (
            w["D"][0, 0] * p.grad[0] + w["D"][0, 1] * p.grad[1] - w["u"][0] * p,
            w["D"][1, 0] * p.grad[0] + w["D"][1, 1] * p.grad[1] - w["u"][1] * p,
        )
        return fluxes[0] * v.grad[0] + fluxes[1] * v.grad[1]

    started = time.perf_counter()
    basis = skfem.Basis(skfem.MeshQuad.init_tensor(*axes), skfem.ElementQuad2(), intorder=5)
    x = np.asarray(basis.global_coordinates())
    matrix = form.assemble(basis, u=problem.velocity(x), D=problem.process._diffusion(x)).tocsc()
    assembled = time.perf_counter() - started
    pin = int(np.argmax(problem.density(basis.doflocs)))  # the likeliest node, which a user would have to guess
    keep = np.delete(np.arange(basis.N), pin)
    inner, column = matrix[keep][:, keep], -matrix[keep][:, [pin]].toarray().ravel()
    solves = []
    for order, options in (("COLAMD", {}), ("MMD_AT_PLUS_A", {"SymmetricMode": True})):
        begun = time.perf_counter()
        p = np.ones(basis.N)
        threshold = 0.01 if options else 1.0
        p[keep] = splu(inner, permc_spec=order, diag_pivot_thresh=threshold, options=options).solve(column)
        residual = np.abs(matrix @ p)[keep].max() / np.abs(matrix).dot(np.abs(p)).max()
        solves.append((residual > 1e-10, time.perf_counter() - begun, p))
    bad, solving, p = min(solves, key=lambda s: s[:2])
    if bad:
        raise Capped("was lost by SuperLU to round-off", assembled + solving)
    if assembled + solving > cap:
        raise Capped(f"took {assembled + solving:.0f} s", assembled + solving)
    begun = time.perf_counter()
    p /= float(np.sum(basis.dx * np.asarray(basis.interpolate(p))))
    seconds = assembled + solving + time.perf_counter() - begun

    nodal = float(np.mean(np.abs(p - problem.density(basis.doflocs)))) * float(problem.box.widths.prod())
    coarse = skfem.Basis(basis.mesh, skfem.ElementQuad2(), intorder=3)
    densities, currents, smallest = [nodal], [], float(p.min())
    for rule in (basis, coarse):
        y = np.asarray(rule.global_coordinates())
        field = rule.interpolate(p)
        value, slope = np.asarray(field), field.grad
        J = problem.velocity(y) * value - np.einsum("ij...,j...->i...", problem.process._diffusion(y), slope)
        exact = problem.current(y)
        size = lambda f, rule=rule: float(np.sum(np.sqrt(np.sum(f**2, axis=0)) * rule.dx))  # noqa: E731
        densities.append(float(np.sum(np.abs(value - problem.density(y)) * rule.dx)))
        currents.append(size(J - exact) / size(exact))
        smallest = min(smallest, float(value.min()))
    if everywhere:
        return Run(seconds, densities[1], currents[0], smallest, n)
    return Run(seconds, min(densities), min(currents), smallest, n)


# ---- FiPy: exponential convection, tensor diffusion, implicit steps of pseudo-time until nothing moves ----

STEPS = (10.0, 2.0, 0.5, 0.1, 0.02)  # pseudo-time steps; the off-diagonal part of D is explicit and bounds them
SETTLED = 1e-6  # change of the density per unit time, in L1: a hundredth of the accuracy asked for


def fipy_run(problem: Problem, n: int, cap: float) -> Run:
    """Only the largest step that does not diverge is timed; those tried before it are not."""
    load("fipy")
    given = time.perf_counter()
    for dt in STEPS:
        run = _fipy_march(problem, n, dt, given + 2.0 * cap, cap)
        if run is not None:
            return run
    raise Capped("diverged at every step size", time.perf_counter() - given)


def _fipy_march(problem: Problem, n: int, dt: float, deadline: float, cap: float) -> Run | None:
    """March to the steady state; None if that diverges."""
    fipy = load("fipy")
    grid = fp.Grid(problem.box, (n, n))
    volume = grid.cell_volume
    started = time.perf_counter()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # SciPy's remarks on FiPy's choice of sparse formats
        mesh = fipy.Grid2D(nx=n, ny=n, dx=grid.spacing[0], dy=grid.spacing[1])
        points = mesh.faceCenters.value + np.array(problem.box.lower)[:, None]
        tensor = np.array(problem.process._diffusion(points))
        velocity = np.where(mesh.exteriorFaces.value, 0.0, problem.velocity(points))
        tensor[:, :, mesh.exteriorFaces.value] *= 0.0
        p = fipy.CellVariable(mesh=mesh, value=1.0 / float(problem.box.widths.prod()))
        u = fipy.FaceVariable(mesh=mesh, rank=1, value=velocity)
        D = fipy.FaceVariable(mesh=mesh, rank=2, value=tensor)
        equation = fipy.TransientTerm() == fipy.DiffusionTerm(coeff=D) - fipy.ExponentialConvectionTerm(coeff=u)
        solver = fipy.LinearLUSolver(tolerance=1e-12)
        previous = np.inf
        for step in range(10_000):
            before = p.value.copy()
            equation.solve(var=p, dt=dt, solver=solver)
            change = float(np.abs(p.value - before).sum()) * volume
            if not np.isfinite(change) or change > 10.0 or (step > 20 and change > 100.0 * previous):
                return None
            previous = min(previous, change)
            if change < SETTLED * min(dt, 1.0):
                break
            now = time.perf_counter()
            if now - started > cap or now > deadline:
                raise Capped(f"was stopped after {now - started:.0f} s", now - started)
        seconds = time.perf_counter() - started
        p /= float(p.value.sum()) * volume
        flux = (u * p.arithmeticFaceValue - (D * p.faceGrad[None]).sum(axis=1)).value
    inside = ~np.asarray(mesh.exteriorFaces.value)
    normal = np.asarray(mesh.faceNormals)
    theirs, exact = ((normal * field).sum(axis=0) for field in (flux, problem.current(points)))
    values = np.asarray(p.value)
    centers = mesh.cellCenters.value + np.array(problem.box.lower)[:, None]
    density = float(np.abs(values - problem.density(centers)).sum())
    current = float(np.abs(theirs - exact)[inside].sum() / np.abs(exact)[inside].sum())
    return Run(seconds, density * volume, current, float(values.min()), n)


# ---- py-pde: the Itô form as an expression, explicit Runge–Kutta steps; walls are faked by p = 0 there ----

CHUNK = 0.25  # of time between looks at the change and at the clock


def pypde_run(problem: Problem, n: int, cap: float) -> Run:
    """Time to the steady state with a stepper that is compiled before."""
    pde = load("pde")
    box = problem.box
    grid = pde.CartesianGrid([[low, high] for low, high in zip(box.lower, box.upper, strict=True)], [n, n])
    x = np.moveaxis(grid.cell_coords, -1, 0)
    b, D = np.asarray(problem.process.drift(x)), np.asarray(problem.process._diffusion(x))
    if problem.process.interpretation != "ito":
        raise ValueError("expected an Itô drift, which is what the expression below is written for")
    consts = {"b0": b[0], "b1": b[1], "D00": D[0, 0], "D01": D[0, 1], "D11": D[1, 1]}
    equation = pde.PDE(
        {"p": "-d_dx(b0*p) - d_dy(b1*p) + d2_dx2(D00*p) + 2*d_dx(d_dy(D01*p)) + d2_dy2(D11*p)"},
        bc={"value": 0.0},
        consts={name: pde.ScalarField(grid, np.array(values)) for name, values in consts.items()},
    )
    start = problem.density(0.9 * x)  # near the answer already, and given
    state = pde.ScalarField(grid, start / (start.sum() * grid.cell_volumes[0] * grid.cell_volumes[1]))
    h = (box.widths / n).min()
    # Runge and Kutta's stability ends where step × eigenvalue is 2.8, of diffusion and of advection
    dt = 2.0 / float((4.0 * (D[0, 0] + D[1, 1]) / h**2 + np.abs(b).sum(axis=0) / h).max())
    advance = pde.RungeKuttaSolver(equation).make_stepper(state, dt)
    time_reached = advance(state, 0.0, 2.0 * dt)  # compiles
    volume = float(np.prod(box.widths / n))
    started = time.perf_counter()
    change = np.inf
    while not change < SETTLED:
        before = state.data / state.data.sum()  # the walls leak
        time_reached = advance(state, time_reached, time_reached + CHUNK)
        change = float(np.abs(state.data / state.data.sum() - before).sum()) / CHUNK
        seconds = time.perf_counter() - started
        if not change < 1e3:
            raise Capped("diverged", seconds)
        if seconds > cap:
            raise Capped(f"was stopped after {seconds:.0f} s", seconds)
    p = state.data / (float(state.data.sum()) * volume)
    slope = np.stack(np.gradient(p, *(box.widths / n), edge_order=2))
    J = problem.velocity(x) * p - np.einsum("ij...,j...->i...", D, slope)
    exact = problem.current(x)
    size = lambda f: float(np.sum(np.sqrt(np.sum(f**2, axis=0))))  # noqa: E731
    return Run(
        seconds, float(np.abs(p - problem.density(x)).sum()) * volume, size(J - exact) / size(exact), float(p.min()), n
    )
