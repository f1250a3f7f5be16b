"""Cycles on aggregates: lines are solved exactly, and anisotropy costs no cycles."""

import numpy as np
import pytest

import fokkerplanck as fp
from fokkerplanck.kernels import multigrid as kernel
from fokkerplanck.operators import face_coefficients
from fokkerplanck.solvers.correction import Jacobian
from fokkerplanck.solvers.multigrid import Stencil, _Grade
from fokkerplanck.solvers.newton import normalise
from fokkerplanck.solvers.scheme import OFFSETS, Scheme


def chain(shape, periodic, rng):
    """A random matrix whose rows are those of a Markov chain with a little loss, over its diagonal."""
    offsets = OFFSETS[2]
    links = -rng.random((*shape[:2], len(offsets), shape[2]))
    for s, offset in enumerate(offsets):
        for axis in (a for a in (0, 2) if offset[a] and not periodic[a]):
            np.moveaxis(links[:, :, s], axis, 0)[0 if offset[axis] < 0 else -1] = 0.0
    links[:, :, 0] = 0.0
    links /= -1.02 * links.sum(axis=2, keepdims=True)
    links[:, :, 0] = 1.0
    return Stencil(links, np.ones(shape), offsets, periodic)


@pytest.mark.parametrize("periodic", [(False, False, False), (True, False, True)])
@pytest.mark.parametrize("axis", [2, 0])
def test_relaxation_leaves_no_residual_on_the_lines_it_solved(axis, periodic):
    rng = np.random.default_rng(2711)
    m = chain((7, 1, 9), periodic, rng)
    rhs, before = rng.normal(size=m.shape), rng.normal(size=m.shape)
    m.cells[...] = before
    m.fill_ghosts()
    grade, system = _Grade(m), (rhs, m.vector, m.pad, 1, 0, m.shape[2 - axis])
    if axis == 2:
        kernel.relax_rows(m.links, m.strides, grade.others, grade.pivots[0], *system)
    else:
        kernel.relax_columns(m.links, m.strides, grade.beside, grade.ends, grade.pivots[1], *system)
    after = m.cells.copy()
    lines = (slice(1, None, 2), slice(None)) if axis == 2 else (slice(None), slice(1, None, 2))
    others = np.ones((7, 9), dtype=bool)
    others[lines] = False
    np.testing.assert_array_equal(after[:, 0][others], before[:, 0][others])
    # the ends of a line take each other round a ring as they were: the matrix without those entries, and what they had
    ends = (slice(None), 0, [0, -1]) if axis == 2 else ([0, -1], 0, slice(None))
    residual = rhs - m(after)
    steps = ((0, 0, -1), (0, 0, 1)) if axis == 2 else ((-1, 0, 0), (1, 0, 0))
    for end, entry in zip((0, -1), map(m.offsets.index, steps), strict=True):
        place = (slice(None), 0, end) if axis == 2 else (end, 0, slice(None))
        far = (slice(None), 0, -1 - end) if axis == 2 else (-1 - end, 0, slice(None))
        if periodic[axis]:
            residual[place] += m.links[:, :, entry][place] * (after - before)[far]
    assert np.abs(residual[:, 0][lines]).max() < 1e-13
    assert np.abs(rhs - m(before))[ends].max() > 0.1


@pytest.mark.parametrize(("diffusion", "most"), [((1.0, 1.0), 6), ((1.0, 0.01), 6), ((0.01, 1.0), 6)])
def test_noise_across_either_axis_costs_no_cycles(diffusion, most):
    """Six digits for D∇ln p with D diagonal and p Gaussian: 5, 4 and 5 cycles; by points the last two take 26 and 32."""
    grid = fp.Grid(fp.Box([-5, -5], [5, 5]), (128, 128))
    process = fp.DiffusionProcess(
        lambda x: -x * np.reshape(diffusion, (2,) + (1,) * (x.ndim - 1)), np.diag(diffusion), dim=2
    )
    x = grid.cell_points()
    phi = normalise(0.5 * np.sum(x**2, axis=0) + 0.1 * np.sin(2.0 * x[0] + x[1]), grid)
    scheme = Scheme(face_coefficients(process, grid))
    scheme.freeze(phi, 1.0, 10.0, 3.0)
    jacobian = Jacobian(scheme, phi, np.zeros(grid.shape, dtype=bool), "multigrid")
    correction = jacobian.solve(jacobian.residual, reduction=1e-6)
    assert correction.reduction < 1e-6
    assert correction.cycles <= most
