"""What slows recorded machines down."""

from pathlib import Path

import pytest

from edgespec import slowness
from edgespec.slowness import Cause, Finding
from edgespec.topology import detect, linux
from tests import machines
from tests.machines import LinuxMachine
from tests.systems import put


def found(root: Path, load: float = 0.0) -> dict[Cause, Finding]:
    findings = slowness.find(linux.read(root), root, lambda: load)
    assert len({finding.cause for finding in findings}) == len(findings)
    return {finding.cause: finding for finding in findings}


@pytest.mark.parametrize(
    ("machine", "causes"),
    [
        (machines.EPYC_NPS4, {Cause.NUMA_BALANCING}),
        (machines.DESKTOP, set()),
        (machines.LAPTOP, {Cause.GOVERNOR, Cause.BATTERY}),
        (machines.BOARD, set()),
        (
            machines.CONTAINER,
            {Cause.QUOTA, Cause.THROTTLED, Cause.AFFINITY, Cause.MEMORY_LIMIT},
        ),
        (machines.VM, {Cause.VIRTUAL}),
    ],
)
def test_each_machine_has_its_own_troubles(
    tmp_path: Path, machine: LinuxMachine, causes: set[Cause]
) -> None:
    assert found(machine.build(tmp_path)).keys() == causes


def test_they_are_told_with_numbers(tmp_path: Path) -> None:
    findings = found(machines.CONTAINER.build(tmp_path))
    assert "3 processors' worth of time, of 12" in findings[Cause.QUOTA].what
    assert "40%" in findings[Cause.THROTTLED].what
    assert "12 of 16 processors, on 6 of 8 cores" in findings[Cause.AFFINITY].what
    assert "8192 MiB of memory, of 64000 MiB" in findings[Cause.MEMORY_LIMIT].what


@pytest.mark.parametrize(
    ("governor", "slow"), [("powersave", True), ("schedutil", False), ("performance", False)]
)
def test_a_governor_that_never_clocks_up(tmp_path: Path, governor: str, slow: bool) -> None:
    root = machines.BOARD.build(tmp_path)
    put(root / "sys/devices/system/cpu/cpu7/cpufreq/scaling_governor", governor)
    assert (Cause.GOVERNOR in found(root)) is slow


def test_a_machine_that_swaps(tmp_path: Path) -> None:
    root = machines.VM.build(tmp_path)
    put(root / "proc/meminfo", "MemTotal: 1 kB\nSwapTotal: 2097148 kB\nSwapFree: 1048572 kB\n")
    assert "1024 MiB are swapped out" in found(root)[Cause.SWAP].what


def test_other_programs_run(tmp_path: Path) -> None:
    root = machines.VM.build(tmp_path)
    assert "1.5 processors" in found(root, load=1.5)[Cause.LOAD].what
    assert Cause.LOAD not in found(root, load=0.9)


def test_a_process_that_is_kept_at_some_nodes(tmp_path: Path) -> None:
    root = machines.EPYC_NPS4.build(tmp_path)
    put(root / "proc/self/status", "Cpus_allowed_list:\t0-11\n")
    assert "2 of 8 memory nodes" in found(root)[Cause.ONE_NODE].what


def test_a_mouse_with_a_battery_is_no_laptop(tmp_path: Path) -> None:
    root = machines.DESKTOP.build(tmp_path)
    put(root / "sys/class/power_supply/mouse/type", "Battery")
    put(root / "sys/class/power_supply/mouse/scope", "Device")
    put(root / "sys/class/power_supply/AC/type", "Mains")
    put(root / "sys/class/power_supply/AC/online", "0")
    assert Cause.BATTERY not in found(root)


def test_a_finding_is_one_line() -> None:
    assert str(Finding(Cause.BATTERY, "it is empty", "fill it")) == "it is empty; fill it"
    assert str(Finding(Cause.BATTERY, "it is empty", "")) == "it is empty"


@pytest.mark.parametrize(
    ("cores", "together", "alone", "few"),
    [(16, 80e9, 25e9, "3 of 16 cores"), (16, 300e9, 25e9, ""), (2, 40e9, 30e9, "")],
)
def test_a_memory_that_few_cores_exhaust(
    cores: int, together: float, alone: float, few: str
) -> None:
    findings = slowness.saturated(detect.plain(cores), together, alone)
    assert [finding.what[: len(few)] for finding in findings] == [few] * bool(few)
