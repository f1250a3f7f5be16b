"""Studies and simulations on other processes: nothing is lost with a worker, and nothing changes."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import xarray as xr
from test_shares import X, Y, assert_same

import fokkerplanck as fp
from fokkerplanck.sgd import SGD, linear_regression
from fokkerplanck.studies import connect
from fokkerplanck.studies.forks import METHOD, forks
from fokkerplanck.studies.workers import DASK


@pytest.fixture(scope="module")
def client():
    names = {"OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "PYTHONHASHSEED", "MALLOC_TRIM_THRESHOLD_"}
    before = {name: os.environ.get(name) for name in names}
    with connect(workers=2) as client:
        yield client
    assert {name: os.environ.get(name) for name in names} == before


def test_workers_are_copies_of_one_process_that_goes_with_them_and_draw_numbers_of_their_own(client):
    from multiprocessing import forkserver

    drawn = client.run(lambda: (os.getppid(), np.random.random(), os.environ.get("PYTHONPATH", "")))  # noqa: NPY002
    parents, numbers, paths = zip(*drawn.values(), strict=True)
    assert len(set(numbers)) == 2
    assert set(paths) == {os.environ.get("PYTHONPATH", "")}
    if METHOD == "forkserver":
        assert len({os.getpid(), *parents}) == 2
    before = forkserver.connect_to_new_process if METHOD == "forkserver" else None
    with forks({"NUMBA_NUM_THREADS": "1"}):  # another, while that of the client is there
        assert METHOD != "forkserver" or forkserver.connect_to_new_process != before
        children = psutil.Process().children()
    assert METHOD != "forkserver" or forkserver.connect_to_new_process == before
    assert len(psutil.Process().children()) == len(children) - (METHOD == "forkserver")


def test_where_processes_are_not_copied_they_are_started(monkeypatch):
    monkeypatch.setattr("fokkerplanck.studies.forks.METHOD", "spawn")
    monkeypatch.setitem(DASK, "distributed.worker.multiprocessing-method", "spawn")
    with connect(workers=1) as client:
        assert set(client.run(os.getppid).values()) == {os.getpid()}
        found = fp.study(pid, {"step": [1, 2]}, lambda step: {"square": step**2}, scheduler=client)
    np.testing.assert_array_equal(found.square, [1, 4])


def pid(step):
    return step


def slow(folder, step):
    """Says which process works on it, and the first time that it is step 3, waits to be killed."""
    mark = Path(folder) / f"{step}-{os.getpid()}"
    mark.touch()
    if step == 3 and len(list(Path(folder).glob("3-*"))) == 1:
        time.sleep(60.0)
    return {"square": float(step) ** 2, "pid": os.getpid(), "threads": os.environ["NUMBA_NUM_THREADS"]}


def killed(folder):
    """The worker that has taken step 3."""
    for _ in range(600):
        found = list(Path(folder).glob("3-*"))
        if found:
            number = int(found[0].name.split("-")[1])
            os.kill(number, signal.SIGKILL)
            return number
        time.sleep(0.05)
    raise AssertionError("nobody took step 3")


def test_a_worker_that_is_killed_loses_no_point_and_the_study_completes(client, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    folder = tmp_path / "marks"
    folder.mkdir()
    with ThreadPoolExecutor(1) as aside:
        victim = aside.submit(killed, folder)
        found = fp.study(
            pid, {"step": list(range(12))}, partial(slow, str(folder)), store=tmp_path / "s.zarr", scheduler=client
        )
    assert (found.status == 1).all()
    np.testing.assert_array_equal(found.square, np.arange(12.0) ** 2)
    assert len(list(folder.glob("3-*"))) == 2
    assert found.pid.sel(step=3) != victim.result()
    assert os.getpid() not in found.pid
    assert (found.threads == "1").all()


def test_an_address_will_do_and_so_will_what_encloses_data(client):
    offsets = np.array([1.0, 2.0])

    def build(k):
        if k == 1:
            raise fp.NotConverged("not here")
        return offsets[0] + k

    def measure(total, rng):
        return {"total": total, "field": xr.DataArray(offsets, dims="i"), "rng": float(rng)}

    arguments = {"build": build, "parameters": {"k": [0, 1, 2]}, "measure": measure, "seed": 11}
    with pytest.warns(fp.FailedPointsWarning, match="NotConverged: not here"):
        there = fp.study(**arguments, scheduler=client.scheduler.address)
    with pytest.warns(fp.FailedPointsWarning, match="NotConverged: not here"):
        here = fp.study(**arguments, workers=0)
    changing = ["created", "seconds"]
    xr.testing.assert_equal(there.drop_vars("seconds"), here.drop_vars("seconds"))
    assert {k: v for k, v in there.attrs.items() if k not in changing} == {
        k: v for k, v in here.attrs.items() if k not in changing
    }


def test_chains_on_workers_are_bitwise_those_of_one_process(client):
    sgd = SGD(linear_regression(X, Y), learning_rate=0.1, batch_size=5, sampling="epoch")
    arguments = {"grid": fp.Grid(sgd.box(), (24, 20)), "chains": 131, "steps": 300, "rng": 17, "groups": 16}
    assert_same(sgd.simulate(**arguments), sgd.simulate(**arguments, executor=client.get_executor(pure=False)))


def test_what_cannot_be_sent_and_addresses_without_an_answer(client, monkeypatch):
    stream = (k for k in range(3))
    with pytest.raises(fp.InvalidInput, match="can be sent to another process, got TypeError: cannot pickle"):
        fp.study(lambda k: stream, {"k": [1]}, lambda problem: {}, scheduler=client, identity="stream")
    monkeypatch.setattr("fokkerplanck.studies.workers.ANSWER", 0.5)
    with pytest.raises(fp.InvalidInput, match=r"a running Dask scheduler, tcp://host:8786, got 'tcp://127\.0\.0\.1:9'"):
        fp.study(pid, {"step": [1]}, lambda problem: {}, scheduler="tcp://127.0.0.1:9")
    with pytest.raises(fp.InvalidInput, match="workers: expected at least one, got 0"), connect(workers=0):
        pass


def test_the_status_page_is_seen_from_this_machine_only_and_takes_no_port_that_others_ask_for(client):
    """Dask's default is port 8787 on all addresses, and a warning in every study but the first."""
    server = client.cluster.scheduler.http_server
    addresses = [socket.getsockname()[:2] for socket in server._sockets.values()]
    assert addresses == [("127.0.0.1", server.port)]
    assert server.port != 8787
