import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from edgespec import cpus
from tests.systems import V2_MOUNT, put, system


def machine(root: Path, *cores: str, name: str = "core_cpus_list") -> Path:
    """Logical processors 0, 1, ..., each with the list of those on its core."""
    for cpu, siblings in enumerate(cores):
        put(root / f"sys/devices/system/cpu/cpu{cpu}/topology/{name}", siblings + "\n")
    return root


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpus, "allowed", lambda: frozenset(range(4)))


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize("name", ["core_cpus_list", "thread_siblings_list"])
def test_two_threads_per_core(tmp_path: Path, name: str) -> None:
    root = machine(tmp_path, "0,2", "1,3", "0,2", "1,3", name=name)
    assert cpus.default_threads(root) == 2


@pytest.mark.usefixtures("four")
def test_one_thread_per_core(tmp_path: Path) -> None:
    assert cpus.default_threads(machine(tmp_path, "0", "1", "2", "3")) == 4


def test_only_cores_this_process_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpus, "allowed", lambda: frozenset((0, 2, 3)))
    root = machine(tmp_path, "0,2", "1,3", "0,2", "1,3")
    assert cpus.physical_cores(root) == 2


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(("quota", "threads"), [(350, 3), (100, 1), (50, 1), (800, 4)])
def test_not_more_than_the_quota(tmp_path: Path, quota: int, threads: int) -> None:
    root = machine(system(tmp_path, "0::/\n", V2_MOUNT), "0", "1", "2", "3")
    put(root / "sys/fs/cgroup/cpu.max", f"{quota}000 100000")
    assert cpus.default_threads(root) == threads


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(("cores", "threads"), [(2, 2), (8, 4), (None, 4)])
def test_where_the_topology_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int | None, threads: int
) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: cores)
    assert cpus.default_threads(tmp_path) == threads


def test_this_machine() -> None:
    assert 1 <= cpus.default_threads() <= cpus.physical_cores() <= len(cpus.allowed())


def test_the_model(tmp_path: Path) -> None:
    put(tmp_path / "proc/cpuinfo", "processor\t: 0\nmodel name\t: Fast: One\nmodel name\t: Other\n")
    assert cpus.model(tmp_path) == "Fast: One"
    assert cpus.model(tmp_path / "elsewhere")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be bound here")
def test_a_thread_is_unbound_whoever_made_it() -> None:
    everywhere = os.sched_getaffinity(0)

    def made_by_a_bound_thread() -> tuple[set[int], set[int]]:
        os.sched_setaffinity(0, {min(everywhere)})
        with ThreadPoolExecutor(1) as inner:
            before = inner.submit(os.sched_getaffinity, 0).result()
            inner.submit(cpus.unbind).result()
            return before, inner.submit(os.sched_getaffinity, 0).result()

    with ThreadPoolExecutor(1) as outer:
        assert outer.submit(made_by_a_bound_thread).result() == ({min(everywhere)}, everywhere)
    assert cpus.can_bind()


def test_where_nobody_may_bind_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)
    assert not cpus.can_bind()
    cpus.unbind()
