"""Exact answers of the gallery solve their own equations, have the printed numbers, and the solver converges to them."""

from dataclasses import replace

import numpy as np
import pytest

import fokkerplanck as fp
from fokkerplanck import cases

EXACT = [name for name in cases.names() if cases.get(name).exact]
STEP, WEIGHTS = 1e-3, ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))  # of a sixth-order difference
OTHER = [  # away from the defaults, where a formula that happens to be right at 1 is not
    ("ornstein-uhlenbeck", {"anisotropy": 0.2, "hessian": ((1.5, 0.4), (-0.3, 0.8))}),
    ("double-well", {"barrier": 2.0, "tilt": -0.4, "temperature": 0.7}),
    ("multiplicative-noise", {"temperature": 0.4}),
    ("label-noise", {"temperature": 0.15, "curvature": 0.7, "spread": 1.3}),
    ("label-noise-1d", {"temperature": 0.2, "curvature": 0.7, "spread": 1.3}),
    ("label-noise-1d", {"interpretation": "stratonovich", "spread": 0.8}),
    ("label-noise-1d", {"interpretation": "isothermal", "curvature": 1.4, "temperature": 0.05}),
    ("label-noise-3d", {"temperature": 0.08, "curvature": 1.2}),
    ("ring", {"interpretation": "stratonovich", "cosine": -0.4}),
    ("ring", {"interpretation": "isothermal"}),
    ("ring", {"sine": 0.0, "cosine": 0.5}),
    ("tilted-ratchet", {"tilt": -1.5, "temperature": 0.2}),
    ("tilted-ratchet", {"tilt": 0.0}),
    ("blowtorch", {"phase": 0.4, "temperature": 0.3}),
    ("brownian-gyrator", {"hot": 0.3, "cold": 1.2}),
    ("swirl", {"temperature": 0.3, "strength": -0.6}),
    ("swirl-isothermal", {"temperature": 0.3, "strength": -0.6}),
    ("heavy-swirl", {"temperature": 0.07, "strength": 0.3, "ratio": 0.9}),
    ("heavy-swirl", {"temperature": 0.07, "interpretation": "isothermal"}),
    ("tangential-noise", {"strength": 0.6, "anisotropy": 0.3}),
    ("four-vortices", {"noise": 0.6, "alpha": 0.8, "beta": 1.8, "gamma": 1.1, "delta": 0.2}),
    ("four-vortices", {"beta": 1.0, "delta": 1.0}),
    ("maier-stein", {"alpha": 2.0, "mu": 2.0}),
    ("mexican-hat", {"shear": -0.7, "temperature": 0.3}),
    ("limit-cycle", {"width": 0.35, "tilt": -0.2, "turning": -1.1}),
    ("underdamped-double-well", {"barrier": 0.6, "friction": 2.0, "temperature": 0.5}),
    ("linear-3d", {"turning": -0.4}),
    ("deep-linear", {"learning_rate": 0.05, "l2": 0.0}),
    ("helix", {"spread": 0.4, "turning": -2.0, "waves": 0.6, "ratio": 2.0}),
]
ALL = [*((name, {}) for name in EXACT), *OTHER]
IDS = [name + "".join(f" {value}" for value in changes.values()) for name, changes in ALL]


def points(case):
    """Where the density is not small: the middle of the box, at most 1.4 to each side."""
    middle, half = 0.5 * np.add(case.box.lower, case.box.upper), 0.5 * case.box.widths
    reach = np.minimum((0.9 if max(half) > 1.0 else 0.4) * half, 1.4)
    return middle[:, None] + reach[:, None] * np.random.default_rng(51).uniform(-1.0, 1.0, (case.dim, 60))


def slope(function, x, axis):
    step = np.zeros((len(x), 1))
    step[axis] = STEP
    return sum(w * (function(x + k * step) - function(x - k * step)) / STEP for k, w in WEIGHTS)


def residuals(case):
    """J − (u p − D∇p), with u from drift and interpretation, and ∇·J, in units of the largest |u p|."""
    x, exact = points(case), case.exact
    velocity = case.process.current_velocity(x, np.minimum(case.box.widths, 4.0))
    gradient = np.stack([slope(exact.density, x, a) for a in range(case.dim)])
    implied = velocity * exact.density(x) - np.einsum("ij...,j...->i...", case.process.diffusion(x), gradient)
    divergence = sum(slope(lambda y, a=a: exact.current(y)[a], x, a) for a in range(case.dim))
    scale = np.abs(velocity * exact.density(x)).max()
    return np.abs(implied - exact.current(x)).max() / scale, np.abs(divergence).max() / scale


@pytest.mark.parametrize(("name", "changes"), ALL, ids=IDS)
def test_current_is_that_of_the_density_and_free_of_divergence(name, changes):
    # Differences of the density are good to 1e-12, fourth-order ones of ∇·D and ∇·(σσᵀ) to 1e-8.
    missing, divergence = residuals(cases.get(name, **changes))
    assert missing < 3e-8
    assert divergence < 1e-10


def test_a_wrong_density_or_current_is_noticed():
    case = cases.get("swirl", temperature=0.3)
    exact = case.exact
    wrong_density = replace(exact, density=lambda x: exact.density(1.01 * x))
    wrong_current = replace(exact, current=lambda x: 1.01 * exact.current(x))
    gradient = replace(exact, current=lambda x: exact.current(x) + 0.01 * x * exact.density(x))
    assert residuals(replace(case, exact=wrong_density))[0] > 1e-3
    assert residuals(replace(case, exact=wrong_current))[0] > 1e-3
    assert residuals(replace(case, exact=gradient))[1] > 1e-3


def nodes(case, count):
    """Gauss–Legendre points and weights; equal ones round rings, and power-law tails as far as they matter."""
    lines = []
    for low, high, periodic in zip(case.box.lower, case.box.upper, case.box.periodic, strict=True):
        if periodic:
            lines.append((low + (high - low) * np.arange(count) / count, np.full(count, (high - low) / count)))
            continue
        s, w = np.polynomial.legendre.leggauss(count)
        if "variance" not in case.exact.scalars and case.maps is None:
            lines.append((0.5 * (low + high) + 0.5 * (high - low) * s, 0.5 * (high - low) * w))
        else:
            far = np.arcsinh(1e5 if case.dim < 3 else 300.0)
            lines.append((np.sinh(far * s), far * np.cosh(far * s) * w))
    x = np.stack(np.meshgrid(*(line for line, _ in lines), indexing="ij"))
    weights = lines[0][1]
    for _, w in lines[1:]:
        weights = np.multiply.outer(weights, w)
    return x, weights


@pytest.mark.parametrize(("name", "changes"), ALL, ids=IDS)
def test_norm_and_numbers_by_quadrature(name, changes):
    case = cases.get(name, **changes)
    x, w = nodes(case, {1: 400, 2: 240, 3: 80}[case.dim])
    p, J, scalars = case.exact.density(x), case.exact.current(x), case.exact.scalars
    loose = max(3.0 * case.level, 1e-7)  # what the walls cut off is the declared level,
    if case.dim == 3 and case.maps is not None:  # and 80 nodes along an axis do no better for power-law tails
        loose = 1e-4
    assert np.sum(p * w) == pytest.approx(1.0, abs=loose)
    if "entropy_production" in scalars:
        D = np.moveaxis(case.process.diffusion(x), (0, 1), (-2, -1))
        force = np.moveaxis(np.linalg.solve(D, np.moveaxis(J, 0, -1)[..., None])[..., 0], -1, 0)
        share = np.divide((J * force).sum(axis=0), p, out=np.zeros_like(p), where=p > 0.0)
        assert np.sum(share * w) == pytest.approx(scalars["entropy_production"], rel=loose, abs=1e-12)
    for key, value in scalars.items():
        if key.startswith("circulation"):
            i, j = map(int, key.removeprefix("circulation").removeprefix("_") or "01")
            assert 0.5 * np.sum((x[i] * J[j] - x[j] * J[i]) * w) == pytest.approx(value, rel=loose, abs=1e-8)
    if "variance" in scalars:
        assert np.sum(x[0] ** 2 * p * w) == pytest.approx(scalars["variance"], rel=max(loose, 1e-6))
    if "second_moment" in scalars:
        assert np.sum((x**2).sum(axis=0) * p * w) == pytest.approx(scalars["second_moment"], rel=1e-8)
    if "flux" in scalars:
        assert np.sum(J[-1] * w) == pytest.approx(2.0 * np.pi * scalars["flux"], rel=1e-7)
    still = np.abs(J).max() <= 1e-14 * np.abs(case.process.drift(x) * p).max()
    assert case.balanced == (still or name == "underdamped-double-well")


# theory.md's numbers, printed to ten digits: (case, changes, name of the number, value).
PRINTED = [
    ("ornstein-uhlenbeck", {}, "entropy_production", 1 / 6),
    ("ornstein-uhlenbeck", {}, "circulation", -1 / 6),
    ("swirl", {}, "entropy_production", 0.4184337444098556),
    ("swirl", {}, "circulation", 0.0),
    ("swirl-isothermal", {}, "entropy_production", 0.7257238788257903),
    ("swirl-isothermal", {}, "circulation", 0.4770778898585553 / 2),
    ("heavy-swirl", {}, "entropy_production", 0.020936308072382746),
    ("heavy-swirl", {}, "second_moment", 0.23529411764705882),
    ("tangential-noise", {}, "entropy_production", 0.049749622712418465),
    ("four-vortices", {}, "entropy_production", 0.6556795424187984),
    ("four-vortices", {}, "largest_stream_function", 0.029274915762159584),
    ("four-vortices", {"beta": 4.0}, "entropy_production", 9.488638926419004),
    ("four-vortices", {"beta": 1.8, "delta": 0.2}, "entropy_production", 1.0565840474269017),
    ("four-vortices", {"noise": 0.1}, "entropy_production", 0.008537506197304005),
    ("label-noise", {}, "variance", 0.2857142857142857 / 2),
    ("ring", {}, "flux", 0.029396336694944753),
    ("ring", {"interpretation": "isothermal"}, "flux", 0.023537509633906616),
    ("ring", {"interpretation": "stratonovich"}, "flux", 0.027330761973703536),
    ("ring", {}, "affinity", np.pi / 2),
]
# Total variation from |D|^(−1/2) exp(−L/T): theory.md's six digits and more, by another quadrature.
DISTANCES = [
    ("ornstein-uhlenbeck", {}, 0.082282),
    ("swirl", {}, 0.0303090),
    ("swirl-isothermal", {}, 0.0303090),
    ("heavy-swirl", {}, 0.0637903),
    ("tangential-noise", {}, 0.241128),
    ("four-vortices", {}, 0.158228),
    ("four-vortices", {"beta": 1.8, "delta": 0.2}, 0.24916),
    ("four-vortices", {"beta": 1.0, "delta": 1.0}, 0.221464),
    ("label-noise", {}, 0.1106806),
    ("label-noise-1d", {"temperature": 0.05}, 0.0252088),
    ("label-noise-1d", {}, 0.0423034),
    ("label-noise-1d", {"temperature": 0.2}, 0.0640108),
    ("double-well", {}, 0.0),
    ("maier-stein", {"alpha": 1.0}, 0.0),
]
# Learning rates up to which the diffusion has the chain's covariance to 5 %, as the records say.
TRUSTED = {
    "breast-cancer": 0.43,
    "diabetes": 0.13,
    "tanh-neuron": 0.17,
    "phase-retrieval": 0.0042,
    "iris": 0.42,
    "deep-linear": 0.079,
}


@pytest.mark.parametrize(("name", "changes", "key", "value"), PRINTED)
def test_printed_numbers(name, changes, key, value):
    assert cases.get(name, **changes).exact.scalars[key] == pytest.approx(value, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("name", "changes", "value"), DISTANCES)
def test_printed_distances_from_the_formula_with_the_determinant(name, changes, value):
    # Sums over 512² cells are good to 5e-6 in the plane.
    assert cases.get(name, **changes).exact.scalars["gibbs_distance"] == pytest.approx(value, abs=5e-6)


def test_no_distance_from_a_formula_that_cannot_be_normalised():
    assert "gibbs_distance" not in cases.get("four-vortices", beta=4.0).exact.scalars


@pytest.mark.parametrize(("name", "rate"), TRUSTED.items())
def test_the_diffusion_is_trustworthy_up_to_where_the_record_says(name, rate):
    case = cases.get(name, learning_rate=rate)
    guess = {"mean": case.sgd.model.minimum, "covariance": case.sgd.covariance()}
    diffusion, chain = fp.solvers.hermite_moments(case.process, **guess), case.sgd.chain_moments()
    off = np.linalg.norm(diffusion.covariance - chain.covariance) / np.linalg.norm(chain.covariance)
    assert 0.045 < off < 0.051
    assert f"η ≤ {rate:g} at B = {case.sgd.batch_size}" in case.trustworthy
    assert case.degenerate


def test_moments_by_quadrature_of_the_density():
    for name, changes in ALL:
        case = cases.get(name, **changes)
        if not case.moments:
            continue
        x, w = nodes(case, {1: 400, 2: 240, 3: 80}[case.dim])
        shares = case.exact.density(x) * w
        size = max(case.box.widths)
        for powers, moment in case.moments.items():
            found = np.sum(np.prod([c**k for c, k in zip(x, powers, strict=True)], axis=0) * shares)
            # what the walls cut off is weighted with the square of their distance
            assert found == pytest.approx(moment, rel=max(3.0 * case.level, 1e-7), abs=1e-9 * size ** sum(powers)), name


def test_the_list_says_what_the_cases_say():
    for entry in cases.contents():
        case = cases.get(entry.name)
        assert entry == (case.name, case.dim, case.balanced, case.known)


def test_printed_densities_and_currents():
    place = np.array([[1.0], [0.5]])
    expected = {"ornstein-uhlenbeck": (0.0108327165, -0.0149991460), "tangential-noise": (0.0108327165, -0.0149991460)}
    expected |= {"four-vortices": (-0.0319460633, 0.0)}
    for name, value in expected.items():
        np.testing.assert_allclose(cases.get(name).exact.current(place)[:, 0], value, atol=1e-10)
    right = np.array([[1.0], [0.0]])  # J_θ at r = 1
    for name, value in {"swirl": -0.0234199326, "swirl-isothermal": 0.0468398652, "heavy-swirl": 0.0024701566}.items():
        np.testing.assert_allclose(cases.get(name).exact.current(right)[:, 0], [0.0, value], atol=1e-10)
    ring = cases.get("ring").exact.density(np.array([[0.0, np.pi]]))
    np.testing.assert_allclose(ring, [0.0710626720, 0.2736880501], atol=1e-10)
    assert cases.get("heavy-swirl").exact.density(np.zeros((2, 1)))[0] == pytest.approx(1.671126902464901)
    assert cases.get("label-noise").exact.density(np.zeros((2, 1)))[0] == pytest.approx(1.7507043740108559)


def test_closed_moments():
    moments = cases.get("anisotropic-label-noise").moments
    expected = {(2, 0): 19 / 143, (0, 2): 18 / 143, (4, 0): 5911 / 53911, (2, 2): 4310 / 161733, (0, 4): 3524 / 53911}
    assert moments == pytest.approx(expected, rel=1e-12)
    alike = cases.get("anisotropic-label-noise", curvatures=(1.0, 1.0))
    assert alike.balanced
    assert alike.moments[2, 0] == pytest.approx(cases.get("label-noise").exact.scalars["variance"], rel=1e-12)


def test_the_line_of_two_linear_layers_is_that_of_the_model():
    """On w1 = w2 both gradients are the same, and so is their noise, which has rank one."""
    case = cases.get("deep-linear")
    sgd = cases.get("diabetes").sgd
    model = fp.sgd.deep_linear(sgd.model.X[:, 0], sgd.model.y, l2=0.05)
    w = np.linspace(case.box.lower[0], case.box.upper[0], 5)
    np.testing.assert_allclose(
        model.gradient(np.stack([w, w])), -np.tile(case.process.drift(w[None]), (2, 1)), atol=1e-14
    )
    noise = 0.1 / (2 * 4) * model.noise_covariance(np.stack([w, w]))
    np.testing.assert_allclose(noise, np.broadcast_to(case.process.diffusion(w[None]), (2, 2, 5)), rtol=1e-12)
    line = case.sgd.model
    np.testing.assert_allclose(line.gradient(w[None]), -case.process.drift(w[None]), atol=1e-14)
    both = model.sample_gradients(np.stack([w, w]))
    np.testing.assert_allclose(both, np.repeat(line.sample_gradients(w[None]), 2, axis=1), rtol=1e-12, atol=1e-14)


def test_the_balance_of_a_process_agrees():
    """What the record says of detailed balance is what the force says of the process."""
    for name in ("swirl", "brownian-gyrator", "label-noise", "mueller-brown", "mexican-hat", "maier-stein"):
        case = cases.get(name)
        verdict = fp.detailed_balance(case.process, case.box).verdict
        assert verdict == ("holds" if case.balanced else "broken"), name
    assert cases.get("maier-stein", alpha=1.0).balanced
    assert cases.get("maier-stein").exact is None


def test_peaks_depend_on_the_interpretation():
    x = np.linspace(-3.0, 3.0, 601)[None]
    peaks = {}
    for name in ("multiplicative-noise", "multiplicative-noise-stratonovich", "multiplicative-noise-isothermal"):
        p = cases.get(name).exact.density(x)
        peaks[name] = int(np.sum((p[1:-1] > p[:-2]) & (p[1:-1] > p[2:])))
    assert list(peaks.values()) == [1, 2, 2]


def test_rocking_an_asymmetric_potential_drives_a_current_and_a_symmetric_one_none():
    assert cases.get("tilted-ratchet").exact.scalars["rectified_flux"] < -1e-3
    even = cases.get("tilted-ratchet", asymmetry=0.0).exact.scalars
    assert abs(even["rectified_flux"]) < 1e-15
    assert even["flux"] > 1e-3


@pytest.mark.parametrize("name", ["ring", "blowtorch", "multiplicative-noise-stratonovich", "four-vortices", "swirl"])
def test_verify(name):
    result = cases.verify(cases.get(name))
    assert result.passed
    assert {(row.scheme, row.quantity) for row in result.rows} >= {(2, "p"), (2, "J"), (4, "p"), (4, "J")}
    for row in result.rows:
        assert row.passed
        assert len(row.errors) == len(row.spacing) == 3
        if row.scheme == 2 and row.errors[-1] > row.level:
            assert 1.9 < row.order < 2.2


def test_verify_notices_a_density_a_current_and_a_number_that_are_off_by_a_thousandth():
    case = cases.get("swirl")
    exact = case.exact
    wrong = {
        "p": replace(exact, density=lambda x: 1.001 * exact.density(x)),
        "J": replace(exact, current=lambda x: 1.001 * exact.current(x)),
        "entropy production": replace(exact, scalars={"entropy_production": 1.001 * 0.4184337444}),
    }
    for quantity, answer in wrong.items():
        result = cases.verify(replace(case, exact=answer), orders=(4,))
        assert result.passed is False
        assert [row.quantity for row in result.rows if not row.passed] == [quantity]


def test_verify_of_the_second_order_method_fails_what_is_declared_of_the_fourth():
    rows = cases.verify(cases.get("mexican-hat"), orders=(2,)).rows
    assert not any(replace(row, declared=3.5).passed for row in rows)


def made(dim):
    """A tilted, correlated density, a full tensor that depends on position, and a current."""
    import sympy

    x, y, z = sympy.symbols("x y z", real=True)
    f = -(x**2 + x * y / 2 + y**2) / 2 - x**4 / 20
    if dim == 2:
        D = [[1 + y**2 / 10, x / 10], [x / 10, 1 + x**2 / 5]]
        return cases.manufactured(f, D, x / 2 - y**2 / 4, symbols=(x, y), box=fp.Box([-5, -7], [5, 7]))
    D = sympy.diag(1, 1 + x**2 / 10, 2)
    flow = [y / 3, z / 2, x * y / 5]
    return cases.manufactured(f - z**2 / 2, D, flow, symbols=(x, y, z), box=fp.Box([-5, -6, -6], [5, 6, 6]))


@pytest.mark.parametrize("dim", [2, 3])
def test_a_case_from_formulas_is_exact(dim):
    case = made(dim)
    missing, divergence = residuals(case)
    assert missing < 1e-10
    assert divergence < 1e-10
    assert not case.balanced
    x, w = nodes(case, {2: 120, 3: 60}[dim])
    p, J = case.exact.density(x), case.exact.current(x)
    assert np.sum(p * w) == pytest.approx(1.0, abs=1e-9)
    D = np.moveaxis(case.process.diffusion(x), (0, 1), (-2, -1))
    force = np.moveaxis(np.linalg.solve(D, np.moveaxis(J, 0, -1)[..., None])[..., 0], -1, 0)
    production = np.sum((J * force).sum(axis=0) / p * w)
    assert production == pytest.approx(case.exact.scalars["entropy_production"], rel=1e-7)


def test_a_case_from_formulas_is_verified():
    result = cases.verify(made(2))
    assert result.passed, [(row.quantity, row.errors) for row in result.rows]


def test_formulas_of_a_known_case():
    import sympy

    x, y = sympy.symbols("x y", real=True)
    box = fp.Box([-6, -6], [6, 6])
    case = cases.manufactured(-(x**2 + y**2) / 2, sympy.diag(1 + y**2, 1), -x * y / 2, symbols=(x, y), box=box)
    known = cases.get("four-vortices")
    place = points(known)
    np.testing.assert_allclose(case.process.drift(place), known.process.drift(place), atol=1e-13)
    np.testing.assert_allclose(case.exact.current(place), known.exact.current(place), atol=1e-9)
    still = cases.manufactured(-(x**2) / 2 - y**2, 1, symbols=(x, y), box=box)
    assert still.balanced
    assert still.exact.scalars["entropy_production"] == 0.0


def test_formulas_that_do_not_fit():
    import sympy

    x, y, a = sympy.symbols("x y a", real=True)
    box = fp.Box([-6, -6], [6, 6])
    with pytest.raises(fp.InvalidInput, match="expected formulas in x, y only, got a"):
        cases.manufactured(-a * x**2 - y**2, 1, symbols=(x, y), box=box)
    with pytest.raises(fp.InvalidInput, match=r"diffusion: expected formulas of shape \(2, 2\)"):
        cases.manufactured(-(x**2) - y**2, sympy.eye(3), symbols=(x, y), box=box)
    with pytest.raises(fp.InvalidInput, match="stream_function: expected 1 in 2 dimension"):
        cases.manufactured(-(x**2) - y**2, 1, [x, y, x], symbols=(x, y), box=box)
    with pytest.raises(fp.InvalidInput, match="one per axis of the box"):
        cases.manufactured(-(x**2), 1, symbols=(x,), box=box)


def test_without_an_exact_answer_nothing_is_verified():
    result = cases.verify(cases.get("maier-stein"))
    assert result.passed is None
    assert result.rows == ()
    bare = replace(cases.get("ring"), finest=None)
    with pytest.raises(fp.InvalidInput, match="expected the finest grid for 'ring', which declares none"):
        cases.verify(bare)


def test_every_record_says_where_it_is_from_and_why():
    for name in cases.names():
        case = cases.get(name)
        assert "doi:10." in case.source, name
        assert case.reason.endswith("."), name
        assert set(case.settings) >= set(cases.parameters(name)) - {"batch_size"}, name
        assert not case.known or case.finest is not None, name


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("ring", {"sine": 1.0}, "sine² \\+ cosine² < 1"),
        ("ring", {"interpretation": "klimontovich"}, "interpretation: expected one of .*got 'klimontovich'"),
        ("blowtorch", {"contrast": 1.0}, "contrast: expected"),
        ("swirl", {"strength": 1.0}, "strength: expected"),
        ("swirl", {"interpretation": "stratonovich"}, "expected 'ito' or 'isothermal'"),
        ("heavy-swirl", {"strength": 0.8}, "c² < q"),
        ("heavy-swirl", {"temperature": 1.0}, "where the variance exists|at which the variance exists"),
        ("tangential-noise", {"strength": -0.1}, "c ≥ 0"),
        ("four-vortices", {"beta": -1.0}, "beta, delta ≥ 0"),
        ("ornstein-uhlenbeck", {"hessian": ((1.0, 2.0), (2.0, 1.0))}, "eigenvalues have positive real parts"),
        ("ornstein-uhlenbeck", {"hessian": (1.0, 2.0)}, "expected a list of finite numbers for hessian"),
        ("rank-one-noise", {"hessian": ((1.0, 0.0), (0.0, 1.0))}, "noise that reaches every direction"),
        ("double-well", {"temperature": 0.0}, "temperature: expected a positive number"),
        ("deep-linear", {"l2": 0.7}, "both weights die out"),
        ("deep-linear", {"learning_rate": 4.0}, "expected less noise"),
        ("helix", {"waves": 1.0}, "expected spread > 0"),
        ("label-noise-3d", {"temperature": 0.3}, "expected 0 < ε < 0.25"),
        ("anisotropic-label-noise", {"temperature": 0.5}, "fourth moments exist"),
        ("multiplicative-noise", {"interpretation": "other"}, "interpretation: expected one of"),
    ],
)
def test_bad_parameters(name, changes, message):
    with pytest.raises(fp.InvalidInput, match=message):
        cases.get(name, **changes)
