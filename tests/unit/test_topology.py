"""Topology from recorded machines."""

from pathlib import Path

import pytest

from edgespec.topology import cpu_lists, detect, linux, macos, windows
from edgespec.topology.records import CoreKind, Topology, all_cpus, first_cpus
from tests import machines
from tests.machines import KIB, MIB, LinuxMachine
from tests.systems import put

P, E, LP = CoreKind.PERFORMANCE, CoreKind.EFFICIENT, CoreKind.LOW_POWER


def count(topology: Topology) -> dict[CoreKind, int]:
    return {kind: len(topology.of_kind(kind)) for kind in topology.kinds}


@pytest.mark.parametrize(
    ("machine", "kinds", "processors"),
    [
        (machines.EPYC_NPS4, {P: 48}, 96),
        (machines.DESKTOP, {P: 8, E: 16}, 32),
        (machines.LAPTOP, {P: 6, E: 8, LP: 2}, 22),
        (machines.LAPTOP_13, {P: 6, E: 8}, 20),
        (machines.BOARD, {P: 4, E: 4}, 8),
        (machines.GB10, {P: 10, E: 10}, 20),
        (machines.CONTAINER, {P: 6}, 12),
        (machines.VM, {P: 2}, 2),
    ],
)
def test_the_cores_of_linux_machines(
    tmp_path: Path, machine: LinuxMachine, kinds: dict[CoreKind, int], processors: int
) -> None:
    topology = linux.read(machine.build(tmp_path))
    assert count(topology) == kinds
    assert len(all_cpus(topology.usable)) == processors == len(topology.allowed)


def test_a_server_with_eight_nodes(tmp_path: Path) -> None:
    topology = linux.read(machines.EPYC_NPS4.build(tmp_path))
    assert topology.packages == 2
    assert [node.index for node in topology.nodes] == list(range(8))
    assert topology.nodes[5].distances == (32, 32, 32, 32, 12, 10, 12, 12)
    assert topology.nodes[0].memory == 64_500 * MIB
    second = [core for core in topology.cores if core.node == 1]
    assert all_cpus(second) == (*range(6, 12), *range(54, 60))
    assert {core.package for core in topology.cores if core.node > 3} == {1}
    assert sum(cache.level == 3 for cache in topology.caches) == 8
    assert topology.describe() == "48 cores, 96 processors, 2 packages, 8 NUMA nodes"


def test_siblings_and_speeds_of_a_hybrid(tmp_path: Path) -> None:
    topology = linux.read(machines.LAPTOP.build(tmp_path))
    assert first_cpus(topology.of_kind(P)) == (0, 2, 4, 6, 8, 10)
    assert all_cpus(topology.of_kind(LP)) == (20, 21)
    assert {core.kind: round(core.speed, 2) for core in topology.cores} == {P: 1, E: 0.79, LP: 0.52}
    assert topology.describe().startswith("6 P + 8 E + 2 LP-E cores, 22 processors")


def test_big_and_little_cores_may_be_mixed(tmp_path: Path) -> None:
    topology = linux.read(machines.GB10.build(tmp_path))
    assert first_cpus(topology.of_kind(P)) == (*range(5, 10), *range(15, 20))


def test_a_container_sees_its_share(tmp_path: Path) -> None:
    topology = linux.read(machines.CONTAINER.build(tmp_path))
    assert topology.quota == 3
    assert len(topology.cores) == 8
    assert all_cpus(topology.usable) == tuple(range(12))


def test_half_a_core_may_be_allowed(tmp_path: Path) -> None:
    root = machines.CONTAINER.build(tmp_path)
    put(root / "proc/self/status", "Cpus_allowed_list:\t1-2\n")
    assert [core.cpus for core in linux.read(root).usable] == [(1,), (2,)]


def test_offline_processors_are_not_there(tmp_path: Path) -> None:
    root = machines.CONTAINER.build(tmp_path)
    put(root / "sys/devices/system/cpu/online", "0,2-15\n")
    assert linux.read(root).cores[0].cpus == (0,)


def test_a_system_that_tells_nothing(tmp_path: Path) -> None:
    topology = linux.read(tmp_path)
    assert [core.cpus for core in topology.cores] == [(0,)]
    assert topology.allowed == {0}


@pytest.mark.parametrize("text", ["nonsense", "3-1", "-1", "99999999"])
def test_broken_files_are_as_if_they_were_not_there(tmp_path: Path, text: str) -> None:
    root = machines.VM.build(tmp_path)
    for name in ("topology/core_cpus_list", "cpu_capacity", "cache/index0/shared_cpu_list"):
        put(root / "sys/devices/system/cpu/cpu0" / name, text)
    put(root / "proc/self/status", f"Cpus_allowed_list:\t{text}\n")
    assert [core.cpus for core in linux.read(root).usable] == [(0,), (1,)]


def test_an_apple_silicon_mac() -> None:
    topology = macos.parse(machines.M1_PRO)
    assert count(topology) == {P: 8, E: 2}
    assert topology.nodes[0].memory == 16 * 2**30
    assert [cache.cpus for cache in topology.caches if cache.level == 2] == [
        (0, 1, 2, 3), (4, 5, 6, 7), (8, 9),
    ]  # fmt: skip


def test_a_mac_of_one_kind() -> None:
    topology = macos.parse(machines.INTEL_MAC)
    assert count(topology) == {P: 8}
    assert topology.cores[1].cpus == (2, 3)


def test_a_windows_hybrid() -> None:
    topology = windows.parse(machines.windows_laptop())
    assert count(topology) == {P: 4, E: 8}
    assert topology.cores[3].cpus == (6, 7)
    assert topology.packages == len(topology.nodes) == 1
    sizes = {cache.size for cache in topology.caches}
    assert sizes == {1280 * KIB, 2 * MIB, 18 * MIB}


def test_windows_groups_number_processors_on() -> None:
    topology = windows.parse(machines.windows_server())
    assert topology.cores[40].cpus == (64,)
    assert (topology.cores[40].package, topology.cores[40].node) == (1, 1)
    assert topology.packages == 2


@pytest.mark.parametrize("size", [3, 12, 40])
def test_a_torn_windows_buffer(size: int) -> None:
    with pytest.raises(ValueError, match="ends inside"):
        windows.parse(machines.windows_laptop()[:size])


def test_this_machine() -> None:
    topology = detect.here()
    assert topology.usable
    assert set(all_cpus(topology.usable)) == topology.allowed


def test_a_machine_of_which_nothing_is_known() -> None:
    topology = detect.plain(3)
    assert first_cpus(topology.usable) == (0, 1, 2)


@pytest.mark.parametrize(
    ("text", "cpus"), [("0-3,8", (0, 1, 2, 3, 8)), ("", ()), ("5\n", (5,)), ("1,1,0", (0, 1))]
)
def test_lists_of_processors(text: str, cpus: tuple[int, ...]) -> None:
    assert cpu_lists.parse(text) == cpus
    assert cpu_lists.parse(cpu_lists.render(cpus)) == cpus


def test_a_list_is_written_as_short_as_it_can_be() -> None:
    assert cpu_lists.render([9, 0, 1, 2, 4]) == "0-2,4,9"
