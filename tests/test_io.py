"""Files and datasets: what is read is what was written, others can open it, and nothing half written replaces anything."""

import json

import h5netcdf
import numpy as np
import pytest
import xarray as xr

import fokkerplanck as fp
from fokkerplanck.io import to_json, write_whole


@pytest.fixture(scope="module")
def sol():
    case = fp.cases.get("ornstein-uhlenbeck")
    return fp.solve_stationary(case.process, case.box, shape=(32, 48))


def test_round_trip(sol, tmp_path):
    sol.save(tmp_path / "ou.nc")
    back = fp.load(tmp_path / "ou.nc")
    assert back.grid == sol.grid
    np.testing.assert_array_equal(back.phi, sol.phi)
    for a in range(2):
        np.testing.assert_array_equal(back.flux.components[a], sol.flux.components[a])
    assert (back.error, back.current_error, back.names) == (sol.error, sol.current_error, sol.names)
    assert fp.detailed_balance(back) == fp.detailed_balance(sol)
    np.testing.assert_array_equal(fp.helmholtz(back).psi, fp.helmholtz(sol).psi)
    assert list(tmp_path.iterdir()) == [tmp_path / "ou.nc"]


def test_the_file_is_plain_netcdf_with_labels_and_provenance(sol, tmp_path):
    sol.save(tmp_path / "ou.nc")
    with h5netcdf.File(tmp_path / "ou.nc", "r") as file:
        assert file["density"].dimensions == ("x", "y")
        np.testing.assert_array_equal(file["x"][:], sol.grid.centers(0))
        np.testing.assert_allclose(file["density"][:], np.exp(-sol.phi))
        assert file["density"].attrs["units"] == "1/(x y)"
        assert file["density"].attrs["estimated_L1_error"] == sol.error
        assert {"created", "version_fokkerplanck", "version_numpy"} <= set(file.attrs)
        assert json.loads(file.attrs["solution"])["diagnostics"]["levels"]


def test_periodic_and_degenerate_solutions_survive(tmp_path):
    ring = fp.solve_stationary(
        fp.DiffusionProcess(np.sin, 1.0, dim=1, names=["angle"]),
        fp.Box([0], [2 * np.pi], boundary="periodic"),
        shape=(32,),
    )
    ring.save(tmp_path / "ring.nc")
    assert fp.load(tmp_path / "ring.nc").grid.periodic == (True,)
    kinetic = fp.DiffusionProcess(lambda x: np.stack([x[1], -x[0] - x[1]]), np.diag([0.0, 1.0]), dim=2)
    sol = fp.solve_stationary(kinetic, fp.Box([-6, -6], [6, 6]), shape=(32, 32))
    sol.save(tmp_path / "kinetic.nc")
    assert fp.load(tmp_path / "kinetic.nc").force is None


def one_line():
    return fp.DiffusionProcess(lambda x: -x, 0.5, dim=1, names=["length (mm)"]), fp.Box([-4], [4]), (32,), None


def on_a_cylinder():
    """Periodic and stretched, with a current that goes round."""
    process = fp.DiffusionProcess(lambda x: np.stack([1.0 + np.sin(x[0]), -x[1]]), 0.5, dim=2)
    box = fp.Box([0, -5], [2 * np.pi, 5], boundary=["periodic", "reflecting"])
    return process, box, (16, 24), (None, fp.Sinh(scale=1.0))


def in_space():
    process = fp.DiffusionProcess(lambda x: np.stack([x[1] - x[0], -x[0] - x[1], -x[2]]), 0.5, dim=3)
    return process, fp.Box([-4] * 3, [4] * 3), (16, 16, 16), (None, None, np.linspace(-4.0, 4.0, 17))


def without_a_force():
    process = fp.DiffusionProcess(lambda x: np.stack([x[1], -x[0] - x[1]]), np.diag([0.0, 1.0]), dim=2)
    return process, fp.Box([-6, -6], [6, 6]), (32, 32), None


def same(a, b):
    assert (a.grid, a.names, a.error, a.current_error) == (b.grid, b.names, b.error, b.current_error)
    assert to_json(a.diagnostics) == to_json(b.diagnostics)
    pairs = [(a.phi, b.phi), *zip(a.flux.components, b.flux.components, strict=True)]
    pairs += [] if a.force is None else [(a.force, b.force)]
    assert (a.force is None) == (b.force is None)
    for one, other in pairs:
        assert one.dtype == other.dtype
        assert one.tobytes() == np.ascontiguousarray(other).tobytes()
    assert len(a.coarser) == len(b.coarser)
    for one, other in zip(a.coarser, b.coarser, strict=True):
        same(one, other)
    assert (a.check is None) == (b.check is None)
    if a.check is not None:
        same(a.check, b.check)


@pytest.mark.parametrize("case", [one_line, on_a_cylinder, in_space, without_a_force])
def test_datasets_are_restored_bit_by_bit(case, tmp_path):
    """From memory, from NetCDF and from Zarr; negative control: a single changed bit shows."""
    process, box, shape, maps = case()
    sol = fp.solve_stationary(process, box, shape=shape, maps=maps, progress=False)
    whole = sol.to_dataset()
    same(sol, fp.Solution.from_dataset(whole))
    sol.save(tmp_path / "sol.nc")
    same(sol, fp.load(tmp_path / "sol.nc"))
    with xr.open_dataset(tmp_path / "sol.nc", engine="h5netcdf") as file:
        same(sol, fp.Solution.from_dataset(file))
    changed = whole.copy(deep=True)
    changed["flux_0"].values[(1,) * len(shape)] = np.nextafter(changed["flux_0"].values[(1,) * len(shape)], 1.0)
    with pytest.raises(AssertionError):
        same(sol, fp.Solution.from_dataset(changed))
    pytest.importorskip("zarr")
    whole.to_zarr(tmp_path / "sol.zarr", consolidated=False)
    with xr.open_zarr(tmp_path / "sol.zarr", consolidated=False) as store:
        same(sol, fp.Solution.from_dataset(store))
    with pytest.raises(fp.InvalidInput, match=r"got the directory .*open_zarr"):
        fp.load(tmp_path / "sol.zarr")


def test_a_part_of_a_dataset_is_no_solution(sol):
    with pytest.raises(fp.InvalidInput, match=r"log_density of shape \(32, 48\), got \(31, 48\)"):
        fp.Solution.from_dataset(sol.to_dataset().isel(x=slice(1, None)))
    with pytest.raises(fp.InvalidInput, match=r"Solution\.to_dataset, got one without .*flux_1"):
        fp.Solution.from_dataset(sol.to_dataset().drop_vars("flux_1"))


def test_an_edited_dataset_that_is_no_density_any_more_is_refused(sol):
    def edited(name, change):
        dataset = sol.to_dataset().copy(deep=True)
        dataset[name].values[16, 24] += change
        return dataset

    for name, change, text in (
        ("log_density", np.nan, "integral is 1 in log_density, got nan"),
        ("log_density", 30.0, "integral is 1 in log_density, got"),
        ("flux_0", np.inf, "finite currents in flux"),
    ):
        with pytest.raises(fp.InvalidInput, match=text):
            fp.Solution.from_dataset(edited(name, change))
    for words in ("[]", 5, "{bad"):
        with pytest.raises(fp.InvalidInput, match=r"a dataset of Solution\.to_dataset, got one without"):
            fp.Solution.from_dataset(sol.to_dataset().assign_attrs(solution=words))
    kept = sol.to_dataset().map(lambda values: values.astype(np.float32) if values.dtype == float else values)
    single = fp.Solution.from_dataset(kept.assign_attrs(sol.to_dataset().attrs))
    np.testing.assert_allclose(single.mean, sol.mean, atol=1e-5)


def test_a_directory_is_no_file_to_write(sol, tmp_path):
    with pytest.raises(fp.InvalidInput, match="the path of a file, got the directory"):
        sol.save(tmp_path)


def test_half_a_file_never_replaces_a_good_one(tmp_path):
    target = tmp_path / "result.txt"
    target.write_text("good")

    def fails(path):
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(target, fails)
    assert target.read_text() == "good"
    assert list(tmp_path.iterdir()) == [target]


def test_unusable_files_are_named(tmp_path, sol):
    with pytest.raises(fp.InvalidInput, match=r"got no file at .*nothing\.nc"):
        fp.load(tmp_path / "nothing.nc")
    (tmp_path / "text.nc").write_text("no NetCDF")
    with pytest.raises(fp.InvalidInput, match="expected a NetCDF-4 file"):
        fp.load(tmp_path / "text.nc")
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(fp.InvalidInput, match=r"expected a file written by Solution\.save"):
        fp.load(tmp_path / "other.nc")
    xr.Dataset(attrs={"solution": "{"}).to_netcdf(tmp_path / "broken.nc", engine="h5netcdf")
    with pytest.raises(fp.InvalidInput, match=r"expected a file written by Solution\.save"):
        fp.load(tmp_path / "broken.nc")
    with pytest.raises(fp.InvalidInput, match="expected an existing directory"):
        sol.save(tmp_path / "missing" / "ou.nc")
