"""Detailed balance of processes whose answer is known: before solving, by algebra, from solutions and from simulations."""

import numpy as np
import pytest
import sympy
from exact_processes import label_noise, linear, ring, swirl, tangential, tensor, vortices

import fokkerplanck as fp

X, Y = sympy.symbols("x y", real=True)
SQUARE = fp.Box([-6, -6], [6, 6])
TORUS = fp.Box([0, 0], [2 * np.pi, 2 * np.pi], boundary="periodic")


def gradient_of_a_quartic():
    return fp.DiffusionProcess(lambda x: -np.stack([x[0] ** 3 - x[0], x[1]]), 0.5, dim=2), fp.Box([-3, -4], [3, 4])


def separable():
    """Every variable by itself, with noise of its own: anisotropic, position-dependent, in balance."""
    process = fp.DiffusionProcess(
        lambda x: -np.stack([2 * x[0], x[1]]),
        lambda x: tensor(1 + 0.5 * np.sin(x[0]), 0.0, 0.7 + 0.3 * np.cos(x[1])),
        dim=2,
    )
    return process, SQUARE


def turning_axes(swirl_by=0.0):
    """b = −D∇U + ∇·D for a quadratic U and a full tensor that depends on position, and on request a little more."""

    def parts(x):
        s, c, t = np.sin(x[0]), np.cos(x[1]), np.tanh(x[0] * x[1])
        return 1.5 + 0.5 * s, 0.6 * t, 1.2 + 0.4 * c

    def drift(x):
        a, b, c = parts(x)
        slope = 1 - np.tanh(x[0] * x[1]) ** 2
        div = np.stack([0.5 * np.cos(x[0]) + 0.6 * slope * x[0], 0.6 * slope * x[1] - 0.4 * np.sin(x[1])])
        turn = swirl_by * np.stack([x[1], -x[0]])
        return -np.stack([a * x[0] + b * x[1], b * x[0] + c * x[1]]) + div + turn

    return fp.DiffusionProcess(drift, lambda x: tensor(*parts(x)), dim=2), SQUARE


def walls():
    """In one dimension between walls nothing can circulate."""
    process = fp.DiffusionProcess(lambda x: 1 + np.sin(x), lambda x: (2 + np.cos(3 * x))[None], dim=1)
    return process, fp.Box([0], [3])


def torus(push):
    process = fp.DiffusionProcess(lambda x: np.stack([np.sin(x[0]) + push, np.sin(x[1])]), 1.0, dim=2)
    return process, TORUS


def isotropic(noise):
    process = fp.DiffusionProcess(
        lambda x: -np.stack([x[0], 2 * x[1]]), lambda x: tensor(noise(x), 0.0, noise(x)), dim=2
    )
    return process, SQUARE


BALANCED = {
    "isotropic noise": (fp.DiffusionProcess(lambda x: -x, 1.0, dim=2), SQUARE),
    "commuting anisotropy": (
        fp.DiffusionProcess(lambda x: -np.array([1.0, 2.0])[:, None, None] * x, np.diag([1.5, 1.0]), dim=2),
        SQUARE,
    ),
    "vortices that cancel": vortices(1.0, 1.0),
    "label noise, like features": (label_noise()[0], fp.Box([-4, -4], [4, 4])),
    "two wells": gradient_of_a_quartic(),
    "separable": separable(),
    "turning axes": turning_axes(),
    "walls": walls(),
    "torus": torus(0.0),
}
BROKEN = {
    "linear": linear(),
    "swirl": swirl(),
    "tangential": tangential(),
    "vortices": vortices(),
    "label noise, unlike features": (label_noise((1.0, 0.5))[0], fp.Box([-4, -4], [4, 4])),
    "ring": ring(),
    "isotropic noise that depends on position": isotropic(lambda x: 1 + 0.5 * np.sin(x[0])),
    "turning axes, stirred": turning_axes(0.8),
    "torus, pushed": torus(0.3),
}
PROBLEMS = [(name, "holds", problem) for name, problem in BALANCED.items()]
PROBLEMS += [(name, "broken", problem) for name, problem in BROKEN.items()]
NAMED = [pytest.param(*row[1:], id=row[0]) for row in PROBLEMS]


@pytest.mark.parametrize(("expected", "problem"), NAMED)
def test_processes_are_judged_right_before_anything_is_solved(expected, problem):
    process, box = problem
    for n in (8, 16, 32, 64):
        verdict = fp.detailed_balance(process, fp.Grid(box, (n,) * process.dim))
        allowed = (expected, "undecided") if n == 8 else (expected,)
        assert verdict.verdict in allowed, (n, verdict.reasoning)
    assert fp.detailed_balance(process, box).verdict == expected


@pytest.mark.parametrize(("expected", "problem"), NAMED)
def test_solutions_are_judged_right(expected, problem):
    process, box = problem
    for n in (32, 64, 96, 128):
        verdict = fp.detailed_balance(fp.solve_stationary(process, box, shape=(n,) * process.dim, max_wall_mass=1))
        allowed = (expected, "undecided") if n == 32 else (expected,)
        assert verdict.verdict in allowed, (n, verdict.reasoning)


def test_a_faint_current_is_seen_by_the_force_and_left_open_by_the_solution():
    """A swirl of 1e-5 of the drift: nothing that a grid of 64² could resolve, and never taken for balance at that accuracy."""
    process, box = turning_axes(1e-5)
    assert fp.detailed_balance(process, box).verdict == "broken"
    shaken, _ = label_noise()
    faint = fp.DiffusionProcess(lambda x: shaken.drift(x) + 1e-5 * np.stack([x[1], -x[0]]), shaken.diffusion, dim=2)
    sol = fp.solve_stationary(faint, fp.Box([-4, -4], [4, 4]), shape=(64, 64), max_wall_mass=1)
    assert fp.detailed_balance(sol, tolerance=1e-5).verdict == "undecided"
    assert fp.detailed_balance(faint, fp.Box([-4, -4], [4, 4])).verdict == "broken"


def test_what_cannot_be_resolved_is_undecided():
    def rough(x):
        waves = np.sin(40 * x[0]) * np.sin(37 * x[1])
        return np.stack([-x[0] + waves, -x[1] + waves])

    process = fp.DiffusionProcess(rough, 1.0, dim=2)
    assert fp.detailed_balance(process, fp.Grid(SQUARE, (8, 8))).verdict == "undecided"
    assert fp.detailed_balance(process, fp.Grid(SQUARE, (128, 128))).verdict == "broken"
    kinked = fp.DiffusionProcess(lambda x: -np.sign(x) * np.floor(np.abs(x) * 3.3), 1.0, dim=2)
    assert fp.detailed_balance(kinked, fp.Grid(SQUARE, (33, 33))).verdict != "broken"


def test_a_force_that_turns_with_the_period_of_the_cells_is_found_between_their_centres():
    """ω_y = −y + sin²(πx/h)/5: its curl is zero at all centres, and symmetric about them, so that differences vanish too."""
    grid = fp.Grid(SQUARE, (32, 32))
    h = grid.spacing[0]
    wavy = lambda x: -x + 0.2 * np.stack([0 * x[0], np.sin(np.pi * (x[0] - SQUARE.lower[0]) / h) ** 2])  # noqa: E731
    process = fp.DiffusionProcess(wavy, 1.0, dim=2)
    assert np.abs(fp.force(process, grid).curl).max() < 1e-9
    found = fp.detailed_balance(process, grid)
    assert found.verdict == "broken", found.reasoning
    balanced = fp.detailed_balance(fp.DiffusionProcess(lambda x: -x, 1.0, dim=2), grid)
    assert "at 1024 cell centres and as many points at random" in balanced.reasoning


def test_three_dimensions():
    turn = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    box = fp.Box([-3] * 3, [3] * 3)
    stirred = fp.detailed_balance(fp.DiffusionProcess(lambda x: -x + np.tensordot(turn, x, 1), 0.5, dim=3), box)
    assert stirred.verdict == "broken"
    assert "its curl at (-2.875, -2.875, -2.875) is -4" in stirred.reasoning
    still = fp.DiffusionProcess(lambda x: -np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1, 1) * x, 0.5, dim=3)
    assert fp.detailed_balance(still, box).verdict == "holds"


def formula(name):
    half, tenth = sympy.Rational(1, 2), sympy.Rational(1, 10)
    if name == "vortices that cancel":
        return [-X * (1 + Y**2), -Y * (1 + X**2)], sympy.diag(1 + Y**2, 1 + X**2)
    if name == "label noise":
        q = X**2 + Y**2 + 1
        return [-X, -Y], tenth * sympy.Matrix([[X**2 + q, X * Y], [X * Y, Y**2 + q]])
    if name == "label noise, unlike features":
        q = X**2 + Y**2 / 2 + 1
        return [-X, -Y / 2], tenth * sympy.Matrix([[X**2 + q, X * Y / 2], [X * Y / 2, Y**2 / 4 + q / 2]])
    if name == "isotropic noise that depends on position":
        return [-X, -2 * Y], 1 + half * sympy.sin(X)
    return [-X + tenth**12 * Y, -Y], half  # a swirl of 1e-12


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vortices that cancel", "holds"),
        ("label noise", "holds"),
        ("label noise, unlike features", "broken"),
        ("isotropic noise that depends on position", "broken"),
        ("a swirl of 1e-12", "broken"),
    ],
)
def test_algebra_decides_exactly(name, expected):
    drift, diffusion = formula(name)
    process = fp.DiffusionProcess.from_sympy(drift, diffusion, symbols=(X, Y))
    verdict = fp.detailed_balance(process, fp.Box([-4, -4], [4, 4]))
    assert verdict.verdict == expected
    assert verdict.error == 0.0
    assert ("formula" if expected == "broken" else "simplifies to zero") in verdict.reasoning


def test_algebra_and_periodic_axes():
    """Without a curl, and yet a current: the force does work round the ring."""
    for push, expected in ((0, "holds"), (sympy.Rational(1, 5), "broken")):
        process = fp.DiffusionProcess.from_sympy([sympy.sin(X) + push, sympy.sin(Y)], 1, symbols=(X, Y))
        verdict = fp.detailed_balance(process, fp.Grid(TORUS, (16, 16)))
        assert verdict.verdict == expected
    assert verdict.quantity == "work of the force round a periodic axis"
    assert verdict.value == pytest.approx(0.4 * np.pi)


def test_a_direction_without_noise():
    underdamped = fp.DiffusionProcess(lambda x: np.stack([x[1], -x[0] - x[1]]), np.diag([0.0, 1.0]), dim=2)
    verdict = fp.detailed_balance(underdamped, SQUARE)
    assert verdict.verdict == "broken"
    assert "do not change sign when time is reversed" in verdict.reasoning
    along = fp.DiffusionProcess(lambda x: np.stack([0 * x[0], -x[1]]), np.diag([0.0, 1.0]), dim=2)
    balanced = fp.detailed_balance(along, SQUARE)
    assert balanced.verdict == "holds"
    assert "D is singular" in balanced.reasoning


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_simulations_are_broken_or_open(noise):
    """Correlated features with noise that depends on one of them sweep an area; without that there is little to see."""
    rng = np.random.default_rng(314)
    X_data = rng.normal(size=(200, 2)) @ np.array([[1.0, 0.6 * noise], [0.0, 1.0]])
    y = X_data @ [1.0, -0.5] + rng.normal(size=200) * (1 + noise * (X_data[:, 0] > 0.5))
    model = fp.sgd.linear_regression(X_data, y)
    sgd = fp.sgd.SGD(model, learning_rate=0.2, batch_size=4)
    grid = fp.Grid(sgd.box(widths=6), (32, 32))
    run = sgd.simulate(grid=grid, chains=200, steps=2000, rng=99, progress=False)
    verdict = fp.detailed_balance(run)
    assert verdict.quantity == "area rate"
    assert verdict.verdict in ("broken", "undecided")
    if noise:
        assert verdict.verdict == "broken"
        assert abs(verdict.value) > 3 * verdict.error
    with pytest.raises(
        fp.InvalidInput, match="expected the verdict on a solution, got one that rests on the area rate"
    ):
        _ = verdict.entropy_production


def test_what_cannot_be_judged():
    process, box = linear()
    with pytest.raises(fp.InvalidInput, match="expected a DiffusionProcess, a Solution or a Run, got ndarray"):
        fp.detailed_balance(np.ones(3))
    with pytest.raises(fp.InvalidInput, match="where: expected a Box or Grid of 2 axes"):
        fp.detailed_balance(process, fp.Box([0], [1]))
    with pytest.raises(fp.InvalidInput, match="where: expected a Box or Grid of 2 axes"):
        fp.detailed_balance(process, fp.Grid(fp.Box([0], [1]), (16,)))
    with pytest.raises(fp.InvalidInput, match="where: expected only with a process"):
        fp.detailed_balance(fp.solve_stationary(process, box, shape=(32, 32), max_wall_mass=1), box)
    assert fp.detailed_balance(process).verdict == "broken"  # in a box that is found
