"""Physics: conventions by identity, and every misuse by its message."""

import math
from functools import partial

import numpy as np
import pytest

import fokkerplanck as fp
from fokkerplanck.tensors import PLAINLY, plainly_definite, smallest_correlation


def rotating(x):
    """A noise matrix that varies with position, shape (2, 2, ...)."""
    a = 0.3 * x[0] - 0.2 * x[1]
    c, s = np.cos(a), np.sin(a)
    return np.stack([np.stack([1.0 * c, -0.5 * s]), np.stack([1.0 * s, 0.5 * c])])


POINTS = np.random.default_rng(5).normal(size=(2, 40))
SCALE = np.array([10.0, 10.0])


def divergence(tensor, x, step=1e-4):
    """∂_j T_ij by sixth-order differences, independent of the package's own."""
    total = np.zeros_like(x)
    for j in range(2):
        for k, w in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60)):
            e = np.zeros((2, 1))
            e[j] = k * step
            total += w * (tensor(x + e)[:, j] - tensor(x - e)[:, j]) / step
    return total


def tensor(x):
    sigma = rotating(x)
    return 0.5 * np.einsum("ik...,jk...->ij...", sigma, sigma)


def test_velocity_of_each_interpretation():
    drift = -POINTS
    ito = fp.DiffusionProcess(lambda x: -x, tensor, dim=2)
    isothermal = fp.DiffusionProcess(lambda x: -x, tensor, dim=2, interpretation="isothermal")
    # Differences with step 1e-2 of coefficients that vary on a length of 3 leave about 1e-9.
    np.testing.assert_allclose(ito.current_velocity(POINTS, SCALE), drift - divergence(tensor, POINTS), atol=1e-8)
    np.testing.assert_array_equal(isothermal.current_velocity(POINTS, SCALE), drift)


def test_stratonovich_is_ito_with_the_corrected_drift():
    def corrected(x):
        sigma, step = rotating(x), 1e-4
        slope = np.stack(
            [(rotating(x + step * e) - rotating(x - step * e)) / (2 * step) for e in np.eye(2)[:, :, None]], axis=-2
        )  # ∂_j σ_ik at [i, k, j]
        return -x + 0.5 * np.einsum("jk...,ikj...->i...", sigma, slope)

    stratonovich = fp.DiffusionProcess(lambda x: -x, noise=rotating, dim=2, interpretation="stratonovich")
    ito = fp.DiffusionProcess(corrected, noise=rotating, dim=2)
    # The hand-written correction is a second-order difference with step 1e-4: good to 1e-8.
    np.testing.assert_allclose(
        stratonovich.current_velocity(POINTS, SCALE), ito.current_velocity(POINTS, SCALE), atol=1e-7
    )


def test_stratonovich_in_one_dimension_needs_only_the_tensor():
    x = np.linspace(-1.0, 1.0, 9)[None]
    given = fp.DiffusionProcess(lambda x: -x, lambda x: (1.0 + x**2)[None], dim=1, interpretation="stratonovich")
    np.testing.assert_allclose(given.current_velocity(x, np.array([2.0])), -x - x, atol=1e-10)  # b − ½D', D' = 2x
    sigma = fp.DiffusionProcess(
        lambda x: -x, noise=lambda x: np.sqrt(2.0 + 2.0 * x**2)[None], dim=1, interpretation="stratonovich"
    )
    np.testing.assert_allclose(sigma.current_velocity(x, np.array([2.0])), -2.0 * x, atol=1e-9)


def test_analytic_divergence_is_used():
    exact = fp.DiffusionProcess(lambda x: -x, tensor, dim=2, divergence=lambda x: np.full_like(x, 7.0))
    np.testing.assert_array_equal(exact.current_velocity(POINTS, SCALE), -POINTS - 7.0)


def test_constants_are_accepted():
    process = fp.DiffusionProcess([0.0, 1.0], 0.5, dim=2)
    assert process.drift(POINTS).shape == (2, 40)
    np.testing.assert_array_equal(process.diffusion(POINTS)[..., 3], 0.5 * np.eye(2))
    np.testing.assert_array_equal(process.current_velocity(POINTS, SCALE)[1], 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 2}, "either diffusion .* or noise .* got neither"),
        ({"dim": 2, "diffusion": 1.0, "noise": np.eye(2)}, "got both"),
        ({"dim": 0, "diffusion": 1.0}, "dim: expected a positive whole number"),
        ({"dim": 2, "diffusion": 1.0, "interpretation": "Ito"}, "interpretation: expected one of"),
        ({"dim": 2, "diffusion": 1.0, "interpretation": "stratonovich"}, "D alone does not define the process"),
        ({"dim": 2, "diffusion": np.eye(3)}, r"constant of shape \(2, 2\), got shape \(3, 3\)"),
        ({"dim": 2, "diffusion": [0.5, 0.2]}, r"shape \(2, 2\), got shape \(2,\). Of a number per variable, np.diag"),
        ({"dim": 2, "noise": [0.5, 0.2]}, r"noise: .* constant of shape \(2, k\), got shape \(2,\).*np.diag"),
        ({"dim": 2, "noise": np.eye(3)}, r"noise: .* constant of shape \(2, k\), got shape \(3, 3\)$"),
        ({"dim": 2, "diffusion": np.nan}, "diffusion: expected finite numbers, got "),
        ({"dim": 2, "diffusion": -0.5}, r"diffusion: expected no negative eigenvalue, got -0.5\. A negative"),
        ({"dim": 1, "diffusion": -0.5}, r"diffusion: expected no negative eigenvalue, got -0.5\."),
        ({"dim": 3, "diffusion": np.diag([1.0, 0.0, -2.0])}, r"diffusion: expected no negative eigenvalue, got -2\."),
        ({"dim": 2, "diffusion": [[1.0, 0.2], [0.3, 1.0]]}, r"diffusion: expected a symmetric tensor, got \[\[1.0"),
        ({"dim": 2, "diffusion": lambda x, t: x}, r"diffusion: expected a function of x alone, got one of \(x, t\)"),
        ({"dim": 2, "noise": lambda: 1.0}, r"noise: expected a function of x alone, got one of \(\)"),
        ({"dim": 2, "diffusion": 1.0, "divergence": lambda x, y: x}, r"divergence: expected a function of x alone"),
        ({"dim": 2, "diffusion": "much"}, "expected a function of x or real numbers"),
        ({"dim": 2, "noise": np.eye(2), "divergence": lambda x: x}, "divergence: expected only with diffusion"),
        ({"dim": 2, "diffusion": 1.0, "names": ("a", "a")}, "expected 2 different non-empty names"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(fp.InvalidInput, match=message):
        fp.DiffusionProcess(lambda x: -x, **arguments)


def test_a_number_is_that_multiple_of_the_identity():
    process = fp.DiffusionProcess(lambda x: -x, noise=2.0, dim=3)
    np.testing.assert_array_equal(process.noise(np.zeros(3)), 2.0 * np.eye(3))
    np.testing.assert_array_equal(process.diffusion(np.zeros(3)), 2.0 * np.eye(3))  # ½σσᵀ
    sympy = pytest.importorskip("sympy")
    x, y, s = sympy.symbols("x y s", real=True)
    given = fp.DiffusionProcess.from_sympy([-x, -y], symbols=(x, y), noise=s, parameters={"s": 2})
    assert given.formulas.noise == 2 * sympy.eye(2)
    assert given.formulas.diffusion == 2 * sympy.eye(2)


def test_a_drift_of_time_or_of_single_coordinates_is_refused_when_the_process_is_made():
    with pytest.raises(
        fp.InvalidInput, match=r"drift: expected a function of x alone, got one of \(x, t\): missing .* 't'"
    ):
        fp.DiffusionProcess(lambda x, t: -x, 0.5, dim=2)
    with pytest.raises(
        fp.InvalidInput, match=r"got one of \(x, y\).*x has the shape \(2, \.\.\.\): its rows are the coordinates"
    ):
        fp.DiffusionProcess(lambda x, y: np.stack([-x, -y]), 0.5, dim=2)
    for allowed in (lambda x, rate=1.0: -rate * x, lambda *x: -x[0], partial(np.multiply, -1.0), np.negative):
        np.testing.assert_array_equal(fp.DiffusionProcess(allowed, 0.5, dim=2).drift(POINTS), -POINTS)


def varying(matrix):
    return lambda x: np.broadcast_to(np.reshape(matrix, (2, 2) + (1,) * (x.ndim - 1)), (2, 2, *x.shape[1:]))


def solve(drift=lambda x: -x, diffusion=0.5):
    return fp.solve_stationary(fp.DiffusionProcess(drift, diffusion, dim=2), fp.Box([-5, -5], [5, 5]), shape=(16, 16))


@pytest.mark.parametrize(
    ("drift", "diffusion", "message"),
    [
        (lambda x: -x[0], 0.5, r"drift\(x\): expected shape \(2, .* got"),
        (lambda x: -x * 1j, 0.5, r"drift\(x\): expected real numbers, got dtype complex"),
        (lambda x: np.where(x > 4.0, np.nan, -x), 0.5, r"drift\(x\): expected finite values, got nan at x = \("),
        (lambda x: -x, lambda x: np.ones_like(x), r"diffusion\(x\): expected shape \(2, 2, "),
        (
            lambda x: -x,
            varying([[1.0, 0.2], [0.3, 1.0]]),
            r"diffusion\(x\): expected a symmetric tensor, got .* at x = \(",
        ),
        (lambda x: -x, varying([[1.0, 2.0], [2.0, 1.0]]), "expected no negative eigenvalue, got -1 at x = "),
        (lambda x: [-math.sin(x[0]), -x[1]], 0.5, r"drift\(x\): failed for x of shape .*: only .* write it with NumPy"),
        (lambda x: -x[2] * x, 0.5, r"drift\(x\): failed for x of shape .*: index 2 is out of bounds"),
        (
            lambda x: -x,
            lambda x: np.full((2, 2, *x.shape[1:]), np.inf),
            r"diffusion\(x\): expected finite values, got inf",
        ),
    ],
)
def test_functions_that_misbehave(drift, diffusion, message):
    with pytest.raises(fp.InvalidInput, match=message):
        solve(drift, diffusion)


def test_a_function_that_works_in_place_changes_nothing():
    def in_place(x):
        return np.multiply(x, -1.0, out=x)

    diffusion = lambda x: (0.5 + 0.1 * x[0] ** 2) * np.eye(2).reshape(2, 2, *(1,) * (x.ndim - 1))  # noqa: E731
    clean, rude = solve(lambda x: -x, diffusion), solve(in_place, diffusion)
    np.testing.assert_array_equal(clean.density.values, rude.density.values)


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e-6])
def test_units_of_one_variable_do_not_make_a_tensor_singular(unit):
    process = fp.DiffusionProcess(lambda x: -x, np.diag([0.5, 0.5 * unit**2]), dim=2)
    sol = fp.solve_stationary(process, fp.Box([-5, -5 * unit], [5, 5 * unit]), shape=(32, 32))
    assert fp.detailed_balance(sol).verdict == "holds"
    with pytest.raises(fp.InvalidInput, match="expected no negative eigenvalue"):
        solve(diffusion=np.diag([0.5, -0.5 * unit**2]))


@pytest.mark.parametrize("name", ["density", "flux_0", "a/b", "component", "x_edge"])
def test_names_that_a_file_cannot_hold(name):
    with pytest.raises(fp.InvalidInput, match="names that a result file can hold, got"):
        fp.DiffusionProcess(lambda x: -x, 1.0, dim=2, names=("x", name))


def test_ragged_results_are_named():
    with pytest.raises(fp.InvalidInput, match=r"drift\(x\): failed for x of shape"):
        solve(lambda x: [-x[0], 0.0])


@pytest.mark.parametrize(
    ("drift", "diffusion"), [(lambda x: -x, 1.0), (np.cos, lambda x: (1.5 + 0.1 * x)[None]), (np.sin, 1.0)]
)
def test_a_ring_must_close(drift, diffusion):
    process = fp.DiffusionProcess(drift, diffusion, dim=1)
    with pytest.raises(fp.InvalidInput, match="expected the same drift and diffusion at x = -3 and 3, got a jump"):
        fp.solve_stationary(process, fp.Box([-3], [3], boundary="periodic"), shape=(32,))


def test_round_off_asymmetry_is_no_error():
    tensor = np.array([[1.0, 0.1 + 0.2], [0.3, 1.0]])  # 0.1 + 0.2 ≠ 0.3 in double precision
    assert tensor[0, 1] != tensor[1, 0]
    assert solve(diffusion=tensor).error < 1.0


def test_another_interpretation_is_the_process_that_would_have_been_made_with_it():
    by_noise = fp.DiffusionProcess(lambda x: -x, noise=rotating, dim=2, names=("a", "b"))
    by_tensor = fp.DiffusionProcess(lambda x: -x, tensor, dim=2, divergence=lambda x: divergence(tensor, x))
    for convention in ("ito", "isothermal", "stratonovich"):
        there = by_noise.interpreted(convention)
        made = fp.DiffusionProcess(lambda x: -x, noise=rotating, dim=2, interpretation=convention)
        assert (there.interpretation, there.names) == (convention, ("a", "b"))
        assert (there.current_velocity(POINTS, SCALE) == made.current_velocity(POINTS, SCALE)).all()
        back = there.interpreted("ito")
        assert (back.current_velocity(POINTS, SCALE) == by_noise.current_velocity(POINTS, SCALE)).all()
    assert by_tensor.interpreted("isothermal").interpreted("ito").differenced is False  # its divergence is kept
    with pytest.raises(fp.InvalidInput, match="expected noise=σ, got diffusion=D"):
        by_tensor.interpreted("stratonovich")
    with pytest.raises(fp.InvalidInput, match="expected one of"):
        by_tensor.interpreted("anti-Itô")


def test_another_interpretation_keeps_constant_noise_and_formulas():
    assert (
        fp.DiffusionProcess(lambda x: -x, 0.5, dim=2).interpreted("isothermal").interpreted("ito").differenced is False
    )
    sympy = pytest.importorskip("sympy")
    x, y = sympy.symbols("x y", real=True)
    process = fp.DiffusionProcess.from_sympy([-x, -y], sympy.diag(1 + x**2, 1), symbols=(x, y))
    there = process.interpreted("isothermal")
    assert sympy.Matrix([[-x, -y]]) == there.formulas.velocity.T
    assert sympy.Matrix([[-3 * x, -y]]) == process.formulas.velocity.T


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_tensor_that_is_plainly_definite_has_no_small_eigenvalue(dim):
    """Whatever its units; tensors close to singular, singular, indefinite or skew are left to the eigenvalues."""
    rng = np.random.default_rng(2311)
    roots = rng.normal(size=(2000, dim, dim)) * 10.0 ** rng.uniform(-8, 0, size=(2000, 1, dim))
    tensors = (roots @ roots.transpose(0, 2, 1)) * 10.0 ** rng.uniform(-40, 40, size=(2000, 1, 1))
    tensors = 0.5 * (tensors + tensors.transpose(0, 2, 1))
    plain = np.array([plainly_definite(t) for t in tensors])
    least = np.array([float(smallest_correlation(t)) for t in tensors])
    assert plain.any()
    assert plain[least > 1e-3].all()
    assert (least[plain] > PLAINLY / 3.0).all()
    if dim > 1:
        flat = np.ones((dim, dim))  # noise along one direction only
        skew = np.eye(dim)
        skew[0, 1] = 1e-3
        for other in (flat, -np.eye(dim), skew):
            assert not plainly_definite(other)


def test_a_process_knows_what_it_was_made_of():
    def pull(x):
        return -x

    process = fp.DiffusionProcess(pull, 0.5, dim=2)
    assert process.given == {"b": pull, "D": 0.5}
    assert process.interpreted("isothermal").given == process.given
    assert fp.DiffusionProcess(pull, noise=[[1.0]], dim=1).given == {"b": pull, "σ": [[1.0]]}
