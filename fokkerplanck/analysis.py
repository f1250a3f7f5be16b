"""The main job: from a case to a verdict, a table, and files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from . import currents
from .area import AreaTest, area_test
from .balance import DetailedBalance, detailed_balance
from .cases import Case
from .compare import Comparison, compare
from .errors import InvalidInput, MismatchWarning, NotConverged
from .grid import Box
from .helmholtz import HelmholtzSplit, helmholtz
from .io import to_json, write_dataset, write_whole
from .results import Solution
from .sgd import SGD, Run, skew_correction
from .solvers.hermite import Moments
from .solvers.stationary import solve_stationary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPLAINED = 2  # dimensions: in three the solution of second order takes as long as everything before it
GROWTH, GROWTHS = 1.5, 3  # a box that cuts heavy tails is widened by half, up to three times


@dataclass(frozen=True)
class Analysis:
    """What is known about a case so far.

    Attributes
    ----------
    case : Case
    solution : Solution
    split : HelmholtzSplit
    balance : DetailedBalance or None
        None where the diffusion tensor is singular and entropy production is not defined.
    run : Run or None
        Simulated chains, for SGD cases after :meth:`simulated`.
    finite : Moments or None
        Exact stationary moments of the discrete chain, where they could be computed.
    comparison : Comparison or None
        With what the finite learning rate and the skewness of the noise explain of a difference, in one and two dimensions.
    area : AreaTest or None
        Of the chains, from two parameters on.
    rng : int or None
        The seed that the simulation was asked for with, which repeats it; ``run.seed`` was drawn from it.
    remarks : tuple of str
        What a reader has to know: a box that was widened, a prediction that is not available.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> found = fp.analyse(fp.cases.get("four-vortices"), rtol=1e-2)
    >>> found.balance.verdict, found.run is None
    ('broken', True)
    """

    case: Case
    solution: Solution
    split: HelmholtzSplit
    balance: DetailedBalance | None
    run: Run | None = None
    finite: Moments | None = None
    comparison: Comparison | None = None
    area: AreaTest | None = None
    rng: int | None = None
    remarks: tuple[str, ...] = ()

    def simulated(
        self, *, chains: int = 1000, steps: int = 20_000, rng: int | None = None, progress: bool | None = None
    ) -> Analysis:
        """This analysis with simulated SGD beside the solution.

        Raises
        ------
        InvalidInput
            If the case is no SGD, or the settings do not fit (see :func:`fokkerplanck.sgd.simulate`).
        NotConverged
            If chains diverge.
        """
        sgd = self.case.sgd
        if sgd is None:
            raise InvalidInput(
                f"expected a case of SGD on data to simulate, got {self.case.name!r}, which has no chain"
            )
        run = sgd.simulate(grid=self.solution.grid, chains=chains, steps=steps, rng=rng, progress=progress)
        finite, remarks = None, self.remarks
        try:
            finite = sgd.chain_moments()
        except (InvalidInput, NotConverged) as error:
            remarks += (f"No exact moments of the discrete chain: {error}",)
        with warnings.catch_warnings():
            if sgd.sampling == "epoch":  # said among the remarks
                warnings.simplefilter("ignore", MismatchWarning)
            comparison = compare(self.solution, run, finite=finite)
            area = area_test(run, predicted=self.solution, finite=finite, sgd=sgd) if sgd.model.dim > 1 else None
        if comparison.total_variation.low > 0.0 and sgd.sampling != "epoch" and sgd.model.dim <= EXPLAINED:
            try:
                better = _explanations(self.solution, sgd, progress)
                comparison = compare(self.solution, run, finite=finite, explanations=better)
            except (InvalidInput, NotConverged) as error:
                remarks += (f"What makes the difference is not taken apart: {error}",)
        return replace(self, run=run, finite=finite, comparison=comparison, area=area, rng=rng, remarks=remarks)

    def rows(self) -> list[tuple[str, str]]:
        """Label and value of every line of the table."""
        sol, split = self.solution, self.split
        rows = [
            ("problem", self.case.title),
            ("settings", ", ".join(f"{key} = {value}" for key, value in self.case.settings.items())),
            ("grid", " × ".join(map(str, sol.grid.shape)) + " cells"),
            ("density", f"L1 error {sol.error:.1e} (estimated)"),
            ("mean", _vector(sol.mean)),
            ("standard deviation", _vector(np.sqrt(np.diag(sol.covariance)))),
            ("current", f"∫|J| = {currents.total_current(sol.flux):.4g}, relative error {_percent(sol.current_error)}"),
            ("Helmholtz shares", ", ".join(f"{name} {_percent(share)}" for name, share in split.shares.items())),
        ]
        if split.extremum is not None:
            top = split.extremum
            rows.append(("stream function", f"largest value {top.value:.4g} per unit time, at {_vector(top.position)}"))
        for name, flux in split.harmonic_flux.items():
            rows.append((f"flux round {name}", f"{flux:.4g} per unit time"))
        if self.balance is not None:
            balance = self.balance
            rows.append(
                ("entropy production", f"{balance.entropy_production:.4g} ± {balance.entropy_production_error:.2g}")
            )
            rows.append(("detailed balance", f"{balance.verdict}: {balance.reasoning}"))
        if self.comparison is not None and self.run is not None:
            rows += self._simulation_rows(self.comparison, self.run)
        rows += [("remark", remark) for remark in self.remarks]
        return rows

    def _simulation_rows(self, comparison: Comparison, run: Run) -> list[tuple[str, str]]:
        rows = [
            (
                "simulated SGD",
                f"{len(run.start)} chains × {run.steps} steps, seed {run.seed if self.rng is None else self.rng}",
            ),
            ("total variation", f"{comparison.total_variation} at 95 %, noise alone {comparison.noise_floor:.4f}"),
            ("Hellinger distance", f"{comparison.hellinger} at 95 %"),
        ]
        if comparison.current_p_value is not None:
            rows.append(("current amplitude", f"{comparison.current_amplitude} of the solved current"))
            rows.append(("current distance", f"{comparison.current_distance} of it, on the faces"))
        area = comparison.circulation
        for k, (i, j) in enumerate(area.pairs):
            plane = f" ({run.names[i]}, {run.names[j]})" if len(area.pairs) > 1 else ""
            rows.append((f"circulation{plane}", f"measured {area.measured[k]:.5g} ± {area.error[k]:.2g}"))
            rows.append(("", f"diffusion limit {area.predicted[k]:.5g} (z = {area.z_predicted[k]:+.1f})"))
            if area.finite is not None and area.z_finite is not None:
                rows.append(("", f"at this learning rate {area.finite[k]:.5g} (z = {area.z_finite[k]:+.1f})"))
        if self.area is not None:
            rows.append(("area test", self.area.sentence))
            rows += [("", remark) for remark in self.area.remarks]
        rows.append(("agreement", comparison.sentence))
        return rows

    def summary(self) -> dict[str, Any]:
        """Every number of the table as plain values, for ``summary.json``."""
        sol = self.solution
        out: dict[str, Any] = {
            "case": self.case.name,
            "title": self.case.title,
            "settings": dict(self.case.settings),
            "variables": sol.names,
            "grid": {"shape": sol.grid.shape, "lower": sol.grid.box.lower, "upper": sol.grid.box.upper},
            "density": {"mean": sol.mean, "covariance": sol.covariance, "estimated_L1_error": sol.error},
            "current": {
                "total": currents.total_current(sol.flux),
                "estimated_relative_L1_error": sol.current_error,
                "circulation": sol.circulation,
                "helmholtz_shares": self.split.shares,
                "harmonic_flux": self.split.harmonic_flux,
            },
            "remarks": self.remarks,
            "diagnostics": sol.diagnostics,
        }
        if self.split.extremum is not None:
            out["current"]["stream_function_extremum"] = vars(self.split.extremum)
        if self.balance is not None:
            out["detailed_balance"] = vars(self.balance)
        if self.run is not None and self.comparison is not None:
            out["simulation"] = {
                "rng": self.rng,
                **_simulation_summary(self.run, self.comparison, self.area, self.finite),
            }
        return out

    def to_dataset(self) -> xr.Dataset:
        """Solution, Helmholtz parts and simulation in one labelled dataset; :func:`fokkerplanck.load` reads it too."""
        sol, split = self.solution, self.split
        dataset = sol.to_dataset()
        for name in ("gradient", "curl", "harmonic"):
            dataset[f"current_{name}"] = getattr(split, name)
        dataset["potential"] = split.potential
        if split.stream_function is not None:
            dataset["stream_function"] = split.stream_function
        if split.vector_potential is not None:
            dataset.update(split.vector_potential)
        if self.run is not None and self.comparison is not None:
            fields = {
                "simulated_density": (self.run.density, sol.density),
                "simulated_density_error": (self.run.density_error, sol.density),
                "simulated_current": (self.run.current, sol.current),
                "simulated_current_error": (self.run.current_error, sol.current),
            }
            for name, (values, like) in fields.items():
                label = name.replace("_", " ").replace("error", "standard error")
                dataset[name] = (like.dims, values.values, {"long_name": label, "units": like.attrs["units"]})
            difference = self.comparison.density_difference
            dataset["density_difference"] = difference.rename({n: f"{n}_bin" for n in sol.names})
        summary = {key: value for key, value in self.summary().items() if key != "diagnostics"}
        return dataset.assign_attrs(title=self.case.title, description=self.case.description, summary=to_json(summary))

    def figure(self) -> Figure:
        """The overview picture."""
        from . import plotting

        return plotting.overview(
            self.solution, self.split, self.balance, run=self.run, comparison=self.comparison, title=self.case.title
        )

    def report(self, path: str | Path, *, failure: str = "", command: str = "") -> None:
        """Write everything as one HTML page that needs nothing else, see :func:`fokkerplanck.write_report`."""
        from .report import write_report

        write_report(
            path,
            self.solution,
            problem=self.case,
            split=self.split,
            balance=self.balance,
            run=self.run,
            comparison=self.comparison,
            area=self.area,
            rng=self.rng,
            remarks=self.remarks,
            failure=failure,
            command=command,
        )

    def save(self, directory: str | Path) -> list[Path]:
        """Write ``result.nc``, ``summary.json`` and ``figure.png``, each whole or not at all.

        Returns
        -------
        list of Path
            The files, in the order written.
        """
        folder = make_directory(directory)
        result, summary, figure = folder / "result.nc", folder / "summary.json", folder / "figure.png"
        write_dataset(self.to_dataset(), result)
        write_whole(summary, lambda path: path.write_text(to_json(self.summary(), indent=2) + "\n", encoding="utf-8"))
        write_whole(figure, lambda path: self.figure().savefig(path, dpi=120))
        return [result, summary, figure]


def make_directory(directory: str | Path) -> Path:
    """The directory, made where it is missing.

    Raises
    ------
    InvalidInput
        If it cannot be made.
    """
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"expected a directory to write into, got {str(directory)!r}: {error.strerror}") from error
    return folder


def analyse(case: Case, *, rtol: float | None = None, progress: bool | None = None) -> Analysis:
    """Solve a case, split its current, and decide detailed balance.

    Parameters
    ----------
    case : Case
    rtol : float, optional
        See :func:`fokkerplanck.solve_stationary`.
    progress : bool, optional

    Returns
    -------
    Analysis
        Call its :meth:`~Analysis.simulated` for the comparison with simulated SGD, and :meth:`~Analysis.save` for the files.

    Raises
    ------
    NotConverged
        See :func:`fokkerplanck.solve_stationary`. The box of an SGD case that cuts the density is widened up to three times; a
        box that cuts it in the end is remarked upon.

    Examples
    --------
    >>> from fokkerplanck import cases
    >>> analyse(cases.get("four-vortices"), rtol=0.05).balance.verdict
    'broken'
    """
    box, remarks = case.box, []
    for attempt in range(GROWTHS + 1):
        solution = solve_stationary(case.process, box, rtol=rtol, maps=case.maps, max_wall_mass=1, progress=progress)
        cut = solution.cut_walls(solution.diagnostics["rtol"])
        if not cut or case.sgd is None or attempt == GROWTHS:
            break
        box = _widened(box)
        remarks = [f"The box was widened to {box.lower} … {box.upper}, because the first one cut the density."]
    if cut:
        remarks.append(
            "The box cuts the density: " + ", ".join(f"{m:.3g} of it at {wall}" for wall, m in cut.items()) + "."
        )
    if case.sgd is not None and case.sgd.sampling == "epoch":
        remarks.append(
            "Solved for independent batches: under epoch shuffling the batches of an epoch cancel, and no diffusion limit "
            "with this noise describes the chain. The comparison shows how far it is off."
        )
    singular = solution.force is None
    if singular:
        remarks.append("No entropy production: the diffusion tensor is singular in some cell.")
    balance = None if singular else detailed_balance(solution)
    return Analysis(case, solution, helmholtz(solution), balance, remarks=tuple(remarks))


def _widened(box: Box) -> Box:
    middle, half = 0.5 * np.add(box.lower, box.upper), 0.5 * GROWTH * box.widths
    return Box(middle - half, middle + half, boundary=box.boundary)


def _explanations(solution: Solution, sgd: SGD, progress: bool | None) -> dict[str, Any]:
    """Densities beyond the diffusion limit on the same grid, each with what the one before it has."""
    grid = solution.grid
    second = solve_stationary(sgd.process(order=2), grid.box, shape=grid.shape, max_wall_mass=1, progress=progress)
    return {"the finite learning rate": second, "the skewness of the noise": skew_correction(second, sgd).density}


def _simulation_summary(
    run: Run, comparison: Comparison, test: AreaTest | None, finite: Moments | None
) -> dict[str, Any]:
    area = comparison.circulation
    return {
        "chains": len(run.start),
        "steps": run.steps,
        "burn_in": run.burn_in,
        "seed": run.seed,
        "outside": run.outside,
        "mean": run.mean,
        "mean_error": run.mean_error,
        "covariance": run.covariance,
        "covariance_error": run.covariance_error,
        "total_variation": vars(comparison.total_variation),
        "total_variation_noise": comparison.noise_floor,
        "hellinger": vars(comparison.hellinger),
        "density_p_value": comparison.density_p_value,
        "explained": {name: vars(left) for name, left in comparison.explained.items()},
        "current_amplitude": vars(comparison.current_amplitude),
        "current_distance": vars(comparison.current_distance),
        "current_p_value": comparison.current_p_value,
        "circulation": {
            "pairs": area.pairs,
            "measured": area.measured,
            "error": area.error,
            "diffusion_limit": area.predicted,
            "discrete_chain": area.finite,
        },
        "p_value": comparison.p_value,
        "area_test": None if test is None else _area_summary(test),
        "discrete_chain": None if finite is None else _moments(finite),
        "sentence": comparison.sentence,
    }


def _area_summary(test: AreaTest) -> Mapping[str, Any]:
    bound = test.entropy_production
    return {
        "sentence": test.sentence,
        "p_value": test.p_value,
        "least_entropy_production": None if bound is None else vars(bound),
        "steps_needed": test.steps_needed,
        "remarks": test.remarks,
    }


def _moments(moments: Moments) -> Mapping[str, Any]:
    return {"mean": moments.mean, "covariance": moments.covariance, "circulation": moments.circulation}


def _vector(values: Any) -> str:
    return "(" + ", ".join(f"{v:.5g}" for v in values) + ")"


def _percent(share: float) -> str:
    if not np.isfinite(share) or share >= 1.0:
        return "100 % or more (no current resolved)" if share > 1.0 or not np.isfinite(share) else "100 %"
    return f"{100.0 * share:.2g} %"
