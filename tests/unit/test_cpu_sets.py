"""Sets of processors from recorded machines."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgespec import cpu_sets
from edgespec.cpu_sets import CpuSet, Spread
from edgespec.errors import InvalidInput
from edgespec.topology import detect, linux, windows
from tests import machines
from tests.machines import LinuxMachine
from tests.systems import put


def names(root: Path, machine: LinuxMachine) -> dict[str, CpuSet]:
    return {one.name: one for one in cpu_sets.candidates(linux.read(machine.build(root)))}


def test_a_hybrid_offers_its_kinds(tmp_path: Path) -> None:
    found = names(tmp_path, machines.LAPTOP)
    assert list(found) == ["P cores", "P and E cores", "P cores with SMT"]
    assert found["P cores"].cpus == (0, 2, 4, 6, 8, 10)
    assert found["P and E cores"].cpus == (0, 2, 4, 6, 8, 10, *range(12, 20))
    assert found["P cores with SMT"].cpus == tuple(range(12))


def test_a_server_offers_all_nodes_a_package_and_a_node(tmp_path: Path) -> None:
    found = names(tmp_path, machines.EPYC_NPS4)
    every, package, node = list(found.values())[:3]
    assert (every.spread, every.nodes) == (Spread.INTERLEAVE, tuple(range(8)))
    assert (package.spread, package.nodes) == (Spread.INTERLEAVE, (0, 1, 2, 3))
    assert (node.spread, node.nodes) == (Spread.BIND, (0,))
    assert (every.threads, package.threads, node.threads) == (47, 24, 6)
    assert node.cpus == tuple(range(6))


def test_a_small_machine_tries_each_core_alone(tmp_path: Path) -> None:
    found = names(tmp_path, machines.VM)
    assert {one.cpus for one in found.values()} == {(0, 1), (0,), (1,)}


def test_one_of_many_equal_cores_is_spared() -> None:
    assert cpu_sets.default(detect.plain(8)).cpus == tuple(range(7))
    assert cpu_sets.default(detect.plain(4)).cpus == tuple(range(4))
    assert [one.threads for one in cpu_sets.candidates(detect.plain(8))] == [7, 8]


def test_a_quota_bounds_all(tmp_path: Path) -> None:
    found = names(tmp_path, machines.CONTAINER)
    assert max(one.threads for one in found.values()) == 3
    assert next(iter(found)) == "cores"


def test_half_a_cpu_is_one_thread(tmp_path: Path) -> None:
    root = machines.CONTAINER.build(tmp_path)
    put(root / "sys/fs/cgroup/cpu.max", "50000 100000")
    assert cpu_sets.default(linux.read(root)).threads == 1


def test_a_core_that_something_slows_down_is_left_out(tmp_path: Path) -> None:
    topology = linux.read(machines.BOARD.build(tmp_path))
    speeds = {4: 1.0, 5: 0.98, 6: 0.5, 7: 0.99, **dict.fromkeys(range(4), 0.4)}
    (swift,) = [one for one in cpu_sets.candidates(topology, speeds) if one.name == "swift cores"]
    assert swift.cpus == (4, 5, 7)


def test_equal_speeds_add_nothing() -> None:
    topology = detect.plain(8)
    assert cpu_sets.candidates(topology, dict.fromkeys(range(8), 1.0)) == cpu_sets.candidates(
        topology
    )


def test_every_set_is_offered_once() -> None:
    found = cpu_sets.candidates(detect.plain(1))
    assert [one.cpus for one in found] == [(0,)]


@pytest.mark.parametrize(
    ("threads", "cpus"), [(2, (0, 2)), (4, (0, 2, 4, 6)), (6, (0, 2, 4, 6, 8, 9))]
)
def test_as_many_threads_as_were_asked_for(threads: int, cpus: tuple[int, ...]) -> None:
    topology = windows.parse(machines.windows_laptop())
    assert cpu_sets.default(topology, threads).cpus == cpus


def test_more_threads_than_cores_use_the_second_threads() -> None:
    topology = windows.parse(machines.windows_laptop())
    assert cpu_sets.default(topology, 14).cpus == (0, 1, 2, 3, 4, 6, *range(8, 16))


def test_in_words() -> None:
    assert str(CpuSet("P cores", (0, 1, 2, 5), "")) == "4 on 0-2,5 (P cores)"


def test_pinned_processors_are_taken_as_they_are(tmp_path: Path) -> None:
    topology = linux.read(machines.EPYC_NPS4.build(tmp_path))
    near = cpu_sets.default(topology, cpus="3,0-1")
    assert (near.cpus, near.why, near.pinned) == ((0, 1, 3), "pinned by you", True)
    assert (near.spread, near.nodes) == (Spread.BIND, (0,))
    far = cpu_sets.default(topology, threads=2, cpus="0,6")
    assert (far.spread, far.nodes) == (Spread.INTERLEAVE, (0, 1))
    alone = cpu_sets.default(detect.plain(2), cpus="1")
    assert (alone.spread, alone.nodes) == (Spread.DEFAULT, ())


@pytest.mark.parametrize(
    ("text", "threads", "what", "hint"),
    [
        ("0,9", 0, "processor 9 of --cpus does not exist", "what is there is 0-3"),
        ("1-3", 0, "processor 2-3 of --cpus is not allowed", "what is there is 0-1"),
        ("one", 0, "--cpus 'one' is no list of processors", "write it as in 0-3,8"),
        (",", 0, "--cpus ',' is no list of processors", "write it as in 0-3,8"),
        ("0-1", 3, "--threads 3 on the 2 processors of --cpus", "leave out --threads"),
    ],
)
def test_processors_that_cannot_be_pinned(text: str, threads: int, what: str, hint: str) -> None:
    topology = replace(detect.plain(4), allowed=frozenset({0, 1}))
    with pytest.raises(InvalidInput) as caught:
        cpu_sets.default(topology, threads, text)
    assert what in caught.value.what
    assert hint in caught.value.hint


def test_a_drafter_is_put_on_the_best_cores_that_are_free(tmp_path: Path) -> None:
    topology = linux.read(machines.LAPTOP.build(tmp_path))
    free, shared = cpu_sets.beside(topology, cpu_sets.default(topology).cpus)
    assert (free.cpus, free.threads) == (tuple(range(12, 20)), 1)
    assert (shared.cpus, shared.threads) == ((0, 2, 4, 6, 8, 10), 1)
    assert cpu_sets.beside(detect.plain(8), range(7))[0].cpus == (7,)


def test_a_drafter_without_a_free_core_goes_anywhere(tmp_path: Path) -> None:
    assert [one.cpus for one in cpu_sets.beside(detect.plain(2), (0, 1))] == [(0, 1)]
    assert [one.cpus for one in cpu_sets.beside(detect.plain(2), (1,))] == [(0,), (1,)]
    limited = linux.read(machines.CONTAINER.build(tmp_path))
    (only,) = cpu_sets.beside(limited, cpu_sets.default(limited).cpus)
    assert only.cpus == tuple(sorted(limited.allowed))
