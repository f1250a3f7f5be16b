"""Processes given by arrays and by formulas with parameters: the same as those given by functions, as far as is promised."""

import numpy as np
import pytest

import fokkerplanck as fp

PERIOD = 2 * np.pi
CYLINDER = fp.Box([0.0, -3.0], [PERIOD, 3.0], boundary=["periodic", "reflecting"])


def drift(x):
    return np.stack([0.7 + np.sin(x[0]), -np.sinh(x[1]) + 0.3 * np.cos(x[0])])


def tensor(x):
    one = np.ones_like(x[0])
    return np.array(
        [[1.0 + 0.3 * np.sin(x[0]) * np.exp(-(x[1] ** 2)), 0.2 * one], [0.2 * one, 0.8 + 0.2 * np.cos(x[0])]]
    )


def tensor_divergence(x):
    across = np.zeros_like(x[0])
    return np.stack([0.3 * np.cos(x[0]) * np.exp(-(x[1] ** 2)), across])


def lattice(n, m):
    """Points of unequal distances along the second axis."""
    points = [np.linspace(0.0, PERIOD, n + 1), 3.0 * np.sinh(np.linspace(-1.0, 1.0, m + 1)) / np.sinh(1.0)]
    return points, np.stack(np.meshgrid(*points, indexing="ij"))


def of_samples(n, m, **options):
    points, x = lattice(n, m)
    return fp.DiffusionProcess.from_samples(points, drift(x), tensor(x), periodic=[True, False], **options)


def test_splines_pass_through_the_samples_and_close():
    process = of_samples(12, 10, names=["angle", "y"])
    _, x = lattice(12, 10)
    np.testing.assert_allclose(process.drift(x), drift(x), rtol=0, atol=2e-14)  # a banded solve
    np.testing.assert_allclose(process.diffusion(x), tensor(x), rtol=0, atol=5e-15)
    round_once = x + np.array([PERIOD, 0.0])[:, None, None]
    np.testing.assert_allclose(process.drift(round_once), drift(x), rtol=0, atol=3e-14)
    assert process.names == ("angle", "y")
    assert not process.differenced


def test_a_report_says_that_there_were_samples(tmp_path):
    x = np.linspace(-4.0, 4.0, 17)
    process = fp.DiffusionProcess.from_samples(x, -x[None], 0.5)
    sol = fp.solve_stationary(process, fp.Box([-4], [4]), shape=(32,))
    fp.write_report(tmp_path / "report.html", sol, problem=process)
    assert "b is given by cubic splines through 17 samples." in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_orders_between_the_samples():
    """Four of the values, three of the divergence at least; and it is that of the spline, which differences confirm."""
    x = np.random.default_rng(9105).uniform([[0.0], [-3.0]], [[PERIOD], [3.0]], size=(2, 400))
    scale = CYLINDER.widths
    errors = []
    for n in (16, 32, 64, 128):
        process = of_samples(n, n)
        u = process.current_velocity(x, scale)
        exact = drift(x) - tensor_divergence(x)
        errors.append(
            [abs(process.drift(x) - drift(x)).max(), abs(process.diffusion(x) - tensor(x)).max(), abs(u - exact).max()]
        )
    orders = np.log2(np.array(errors[:-1]) / errors[1:])[-1]
    assert (orders[:2] > 3.5).all()
    assert (orders[:2] < 5.0).all()
    assert 2.6 < orders[2] < 5.0
    assert (np.array(errors[-1]) < [2e-5, 1e-6, 3e-5]).all()
    inside = np.clip(x, 0.05, None)  # the stencil stays on one side of no wall
    inside[1] = np.clip(x[1], -2.9, 2.9)
    coarse = of_samples(16, 16)
    by_differences = fp.DiffusionProcess(coarse.drift, coarse.diffusion, dim=2).current_velocity(inside, scale)
    # the third derivative of a cubic spline jumps: differences are of third order there
    np.testing.assert_allclose(coarse.current_velocity(inside, scale), by_differences, rtol=0, atol=1e-5)


def test_arrays_in_and_arrays_out_are_those_of_the_functions():
    exact = fp.solve_stationary(fp.DiffusionProcess(drift, tensor, dim=2), CYLINDER, shape=(32, 32), progress=False)
    distances = []
    for n in (16, 32):
        sol = fp.solve_stationary(of_samples(n, n), CYLINDER, shape=(32, 32), progress=False)
        p, J = sol.density.values, sol.current.values
        assert type(p) is np.ndarray
        assert J.shape == (2, 32, 32)
        distances.append(
            [
                abs(p - exact.density.values).sum() * sol.grid.cell_volume,
                abs(J - exact.current.values).sum() / abs(exact.current.values).sum(),
            ]
        )
    assert (np.array(distances[0]) > 8.0 * np.array(distances[1])).all()  # 16 for fourth order, 8 for third
    assert max(distances[1]) < 1e-3


def test_one_dimension_three_dimensions_constants_and_interpretations():
    x = np.linspace(-4.0, 4.0, 33)
    D = (1.0 + 0.1 * x**2)[None, None]
    for interpretation in ("ito", "isothermal"):
        process = fp.DiffusionProcess.from_samples(x, -x[None], D, interpretation=interpretation)
        same = fp.DiffusionProcess(
            lambda x: -x, lambda x: 1.0 + 0.1 * x[None] ** 2, dim=1, interpretation=interpretation
        )
        a, b = (fp.solve_stationary(each, fp.Box([-4], [4]), shape=(32,), progress=False) for each in (process, same))
        np.testing.assert_allclose(
            a.phi, b.phi, rtol=0, atol=1e-9
        )  # cubics are cubics, derivatives by differences are not
    turned = process.interpreted("ito")
    np.testing.assert_allclose(turned.current_velocity(x[None], np.array([8.0])), -1.2 * x[None], atol=1e-12)
    points = [np.linspace(-4.0, 4.0, n) for n in (5, 6, 7)]
    lattice = np.stack(np.meshgrid(*points, indexing="ij"))
    space = fp.DiffusionProcess.from_samples(points, -lattice, np.diag([1.0, 2.0, 3.0]))
    at = np.random.default_rng(77).uniform(-4.0, 4.0, size=(3, 20))
    np.testing.assert_allclose(space.drift(at), -at, atol=1e-14)
    np.testing.assert_array_equal(np.diagonal(space.diffusion(at)), [[1.0, 2.0, 3.0]] * 20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"points": [[0, 1, 2]]},
            r"points: expected at least 4 finite, increasing numbers along axis 0, got \[0.0, 1.0, 2.0\]",
        ),
        ({"points": [[0, 2, 1, 3]]}, "points: expected at least 4 finite, increasing"),
        ({"points": 3.0}, "points: expected one increasing array per axis, got 3.0"),
        ({"points": [np.zeros((4, 4))]}, r"points: expected one increasing array per axis, .* got shapes \[\(4, 4\)\]"),
        ({"drift": np.zeros(4)}, r"drift: expected samples of shape \(1, 4\), components first .*, got \(4,\)"),
        ({"drift": [["a"] * 4]}, "drift: expected an array of real numbers"),
        ({"drift": [[1j] * 4]}, "drift: expected an array of real numbers"),
        ({"drift": [[0, 0, np.nan, 0]]}, r"drift: expected finite samples, got nan at index \(0, 2\)"),
        ({"periodic": True}, "drift: expected the same samples at both ends of the periodic axis 0, .* differ by 3"),
        ({"periodic": [True, False]}, r"periodic: expected True or False, or one of them per axis \(1 here\)"),
        ({"interpretation": "stratonovich"}, "expected 'ito' or 'isothermal' of samples, got 'stratonovich'"),
    ],
)
def test_samples_that_do_not_fit_are_refused(change, message):
    given = {"points": [[0, 1, 2, 3]], "drift": [[0, -1, -2, -3]], "diffusion": 1.0} | change
    with pytest.raises(fp.InvalidInput, match=message):
        fp.DiffusionProcess.from_samples(given.pop("points"), given.pop("drift"), given.pop("diffusion"), **given)


def test_samples_are_not_extrapolated_and_a_negative_tensor_is_refused():
    centers = np.linspace(-3.9, 3.9, 40)
    process = fp.DiffusionProcess.from_samples(centers, -centers[None], 0.5)
    same = fp.solve_stationary(fp.DiffusionProcess(lambda x: -x, 0.5, dim=1), fp.Box([-4], [4]), shape=(40,))
    own = fp.solve_stationary(process, fp.Box([-4], [4]), shape=(40,))  # the cells in whose centres the samples are
    np.testing.assert_allclose(own.phi, same.phi, rtol=0, atol=1e-11)  # a line is a cubic
    with pytest.raises(
        fp.InvalidInput, match=r"points from -3.9 to 3.9 along axis 0, got -3.95: samples are not extra"
    ):
        fp.solve_stationary(process, fp.Box([-4], [4]), shape=(80,))
    spike = np.where(abs(centers) < 0.15, 1.0, 1e-3)[None, None]  # a cubic swings below zero beside it
    with pytest.raises(fp.InvalidInput, match="expected no negative eigenvalue"):
        fp.solve_stationary(
            fp.DiffusionProcess.from_samples(centers, -centers[None], spike), fp.Box([-3.9], [3.9]), shape=(64,)
        )


def test_parameters_of_formulas():
    sympy = pytest.importorskip("sympy")
    x, y, k, T, w = sympy.symbols("x y k T w", real=True)
    b, D = [-k * x + w * y, -w * x - k * y], T * sympy.diag(1 + x**2, 1)
    given = {k: 2, "T": 0.1, w: sympy.Rational(1, 3)}
    process = fp.DiffusionProcess.from_sympy(b, D, symbols=(x, y), parameters=given)
    plain = fp.DiffusionProcess.from_sympy(
        [-2 * x + y / 3, -x / 3 - 2 * y], sympy.diag(1 + x**2, 1) / 10, symbols=(x, y)
    )
    assert process.formulas.velocity == plain.formulas.velocity
    assert process.interpreted("isothermal").formulas.velocity == plain.interpreted("isothermal").formulas.velocity
    noise = sympy.Matrix([[sympy.sqrt(2 * T) * x]])
    turned = fp.DiffusionProcess.from_sympy(
        [-k * x], symbols=[x], noise=noise, parameters={k: 1, T: 2}, interpretation="stratonovich"
    )
    assert turned.formulas.diffusion == sympy.Matrix([[2 * x**2]])
    with pytest.raises(fp.InvalidInput, match=r"formulas in x, y only, got T\. Give numbers for them as parameters="):
        fp.DiffusionProcess.from_sympy(b, D, symbols=(x, y), parameters={k: 2, w: 1})
    with pytest.raises(fp.InvalidInput, match="other than x, y, which are T, k, w; got gamma"):
        fp.DiffusionProcess.from_sympy(b, D, symbols=(x, y), parameters={**given, "gamma": 2})
