"""Machines, measured and described."""

from pathlib import Path

import pytest

from edgespec import bandwidth, machines
from edgespec.bandwidth import Bandwidth
from edgespec.devices import DeviceKind
from edgespec.errors import InvalidInput
from edgespec.machines import Basis
from edgespec.topology.records import CoreKind

SERVER = """
name = "A server to be"
memory = "512 GiB"
bandwidth = "400 GB/s"
nodes = 2

[[cores]]
count = 32
threads = 2

[[devices]]
name = "CUDA0"
memory = "24 GiB"
free = "23 GiB"
bandwidth = "1008 GB/s"
"""
LAPTOP = """
memory = "32 GB"
free = "20 GB"
bandwidth = "90.5 GB/s"
cores = [{count = 6, threads = 2}, {kind = "E", count = 8, speed = 0.7}]
"""


def load(folder: Path, text: str) -> machines.Machine:
    file = folder / "machine.toml"
    file.write_text(text)
    return machines.load(file)


def test_a_described_server(tmp_path: Path) -> None:
    machine = load(tmp_path, SERVER)
    assert machine.name == "A server to be"
    assert (machine.memory, machine.free) == (512 << 30, int(0.9 * (512 << 30)))
    assert (machine.bandwidth, machine.core_bandwidth) == (4e11, 1.6e11)
    assert machine.topology.describe() == "32 cores, 64 processors, 1 package, 2 NUMA nodes"
    (device,) = machine.devices
    assert (device.name, device.kind, device.free) == ("CUDA0", DeviceKind.GPU, 23 << 30)
    assert device.bandwidth == 1.008e12
    assert machine.basis is Basis.DESCRIBED


def test_a_described_laptop(tmp_path: Path) -> None:
    machine = load(tmp_path, LAPTOP)
    assert machine.name.endswith("machine.toml")
    assert machine.free == 20_000_000_000
    assert len(machine.topology.of_kind(CoreKind.PERFORMANCE)) == 6
    assert machine.topology.of_kind(CoreKind.EFFICIENT)[0].speed == 0.7
    assert machine.devices == ()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (('memory = "32 GB"', ""), "memory: it must be a size"),
        (('"32 GB"', '"32"'), "memory: it must be a size"),
        (('"32 GB"', '"0 GB"'), "memory: it must be a size"),
        (('"32 GB"', "32"), "memory: it must be a size"),
        (('"90.5 GB/s"', '"fast"'), "bandwidth: it must be a size"),
        (("count = 6", "count = 0"), "count: it must be a whole number"),
        (("count = 6", "count = 99999"), "count: it must be a whole number"),
        (("count = 6", "count = true"), "count: it must be a whole number"),
        (("speed = 0.7", "speed = 7"), "cores.speed: it must be above 0"),
        (('"E"', '"X"'), "cores.kind: 'X' is not one of P, E, LP-E"),
        (("cores = [", "cores = [] #"), "cores: there must be at least one"),
        (("cores = [", "cores = 4 #"), r"cores: write it as \[\[cores\]\]"),
        (("threads = 2", "treads = 2"), "cores.treads is not a known key; did you mean threads"),
        (("free =", "fre ="), "fre is not a known key; did you mean free"),
        (("memory =", "memory"), "is not TOML"),
    ],
)
def test_descriptions_that_cannot_be_meant(
    tmp_path: Path, change: tuple[str, str], part: str
) -> None:
    with pytest.raises(InvalidInput, match=part):
        load(tmp_path, LAPTOP.replace(*change))


def test_a_device_of_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"devices\.kind: 'npu' is not one of gpu, igpu, remote"):
        load(tmp_path, SERVER.replace('"CUDA0"', '"CUDA0"\nkind = "npu"'))


def test_a_description_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no\.toml cannot be read: No such file"):
        machines.load(tmp_path / "no.toml")


def test_this_machine() -> None:
    machine = machines.here()
    assert machine.basis is Basis.MEASURED
    assert 0 < machine.core_bandwidth <= machine.bandwidth < 1e13
    assert 0 < machine.free <= machine.memory
    assert machine.name


def test_a_small_buffer_is_read() -> None:
    speed = bandwidth.measure((0,), 1 << 20)
    assert speed.together >= speed.alone > 1e8


def test_the_best_that_was_seen_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([Bandwidth(30, 20), Bandwidth(25, 22), Bandwidth(1, 1)])
    monkeypatch.setattr(bandwidth, "measure", lambda cpus: next(times))
    file = tmp_path / "cache" / "bandwidth.json"
    assert bandwidth.best(file, "a", (0,)) == Bandwidth(30, 20)
    assert bandwidth.best(file, "a", (0,), again=False) == Bandwidth(30, 20)
    assert bandwidth.best(file, "a", (0,)) == Bandwidth(30, 22)
    assert bandwidth.best(file, "b", (0,), again=False) == Bandwidth(1, 1)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 3}', '{"a": [1]}', '{"a": ["x", 2]}'])
def test_a_broken_file_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(bandwidth, "measure", lambda cpus: Bandwidth(3, 2))
    file = tmp_path / "bandwidth.json"
    file.write_text(text)
    assert bandwidth.best(file, "a", (0,), again=False) == Bandwidth(3, 2)
