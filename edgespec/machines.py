"""A machine as the plan sees it: this one, or one that a file describes."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any

from edgespec import bandwidth, cpu_sets, cpus, memory, mempolicy, paths
from edgespec.devices import Device, DeviceKind, offload_devices
from edgespec.errors import InvalidInput
from edgespec.topology import detect
from edgespec.topology.records import Core, CoreKind, Node, Topology, first_cpus

_UNITS = {"K": 10, "M": 20, "G": 30, "T": 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])(iB|B)(/s)?")
_FREE = 0.9
"""The part of a described machine's memory that is left for a model."""
_CORE_SHARE = 0.4
"""The part of the bandwidth that one core of a described machine can use, at most."""
_MAX_CORES = 1024


class Basis(Enum):
    """Where a number comes from."""

    MEASURED = "measured"
    DESCRIBED = "described"


@dataclass(frozen=True, slots=True)
class Machine:
    """What a plan is made for.

    Bytes of `memory`, and what of them is `free` for a process; `bandwidth` is bytes per second
    that all cores read together, `core_bandwidth` what one reads alone. `core_speeds` are relative
    to the fastest, by the first processor of each core, where they were measured.
    """

    name: str
    topology: Topology
    memory: int
    free: int
    bandwidth: float
    core_bandwidth: float
    basis: Basis
    devices: tuple[Device, ...] = ()
    core_speeds: Mapping[int, float] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """Free bytes of all memories together; an integrated GPU's is the processor's."""
        own = (device for device in self.devices if device.kind is not DeviceKind.IGPU)
        return self.free + sum(device.free for device in own)


def here(*, measure_again: bool = False) -> Machine:
    """This machine. Its bandwidth is measured (in less than a second) unless it is known."""
    topology = detect.here()
    file = paths.cache_dir() / "bandwidth.json"
    name = cpus.model()
    total = memory.installed()
    usual = cpu_sets.default(topology)
    key = f"{name} {total} {usual.cpus}"
    with mempolicy.placed(usual.spread, usual.nodes):  # As weights are.
        speed = bandwidth.best(file, key, usual.cpus, again=measure_again)
    return Machine(
        name,
        topology,
        total,
        memory.available(),
        speed.together,
        speed.alone,
        Basis.MEASURED,
        offload_devices(),
        bandwidth.core_speeds(first_cpus(topology.usable)) if measure_again else {},
    )


def idle() -> Machine:
    """This machine as it is when nothing else runs: for what is to stay, not to run at once."""
    now = here()
    devices = tuple(replace(device, free=device.total) for device in now.devices)
    return replace(now, free=memory.usable(), devices=devices)


def load(file: Path) -> Machine:
    """The machine that the TOML `file` describes; see docs/hardware.md.

    Raises InvalidInput, naming the file and the key, for anything that cannot be meant.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InvalidInput(f"{file} is not TOML: {error}") from error
    return _Reader(str(file)).machine(table)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads tables, saying where in the file something is wrong."""

    file: str

    def machine(self, table: Mapping[str, Any]) -> Machine:
        self._known(table, ("name", "memory", "free", "bandwidth", "nodes", "cores", "devices"), "")
        total = self._bytes(table, "memory")
        speed = float(self._bytes(table, "bandwidth"))
        cores = self._cores(table)
        return Machine(
            self._text(table, "name", self.file),
            self._topology(cores, self._number(table, "nodes", 1), total),
            total,
            self._bytes(table, "free", int(total * _FREE)),
            speed,
            speed * max(_CORE_SHARE, 1 / len(cores)),
            Basis.DESCRIBED,
            tuple(self._device(entry) for entry in self._tables(table, "devices")),
        )

    def _cores(self, table: Mapping[str, Any]) -> list[Core]:
        cores: list[Core] = []
        for entry in self._tables(table, "cores"):
            self._known(entry, ("count", "threads", "kind", "speed"), "cores.")
            kinds = {kind.value: kind for kind in CoreKind}
            kind = self._text(entry, "kind", CoreKind.PERFORMANCE.value)
            if kind not in kinds:
                raise self._wrong("cores.kind", f"{kind!r} is not one of {', '.join(kinds)}")
            threads = self._number(entry, "threads", 1)
            speed = entry.get("speed", 1.0)
            if not isinstance(speed, int | float) or not 0 < speed <= 1:
                raise self._wrong("cores.speed", "it must be above 0 and at most 1")
            for _ in range(self._number(entry, "count", 1)):
                first = sum(len(core.cpus) for core in cores)
                processors = tuple(range(first, first + threads))
                cores.append(Core(processors, kinds[kind], speed=float(speed)))
        if not cores:
            raise self._wrong("cores", "there must be at least one")
        return cores

    def _topology(self, cores: list[Core], nodes: int, total: int) -> Topology:
        share = -(-len(cores) // nodes)
        placed = tuple(
            Core(core.cpus, core.kind, 0, index // share, core.speed)
            for index, core in enumerate(cores)
        )
        every = tuple(cpu for core in placed for cpu in core.cpus)
        listed = tuple(
            Node(
                index,
                tuple(cpu for core in placed if core.node == index for cpu in core.cpus),
                total // nodes,
                total // nodes,
            )
            for index in range(nodes)
        )
        return Topology(placed, listed, (), frozenset(every))

    def _device(self, entry: Mapping[str, Any]) -> Device:
        self._known(entry, ("name", "kind", "memory", "free", "bandwidth"), "devices.")
        kinds = {kind.value: kind for kind in DeviceKind}
        kind = self._text(entry, "kind", DeviceKind.GPU.value)
        if kind not in kinds:
            raise self._wrong("devices.kind", f"{kind!r} is not one of {', '.join(kinds)}")
        total = self._bytes(entry, "memory")
        name = self._text(entry, "name", "GPU")
        free = self._bytes(entry, "free", int(total * _FREE))
        speed = float(self._bytes(entry, "bandwidth"))
        return Device(name, name, kinds[kind], free, total, speed)

    def _tables(self, table: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self._wrong(key, f"write it as [[{key}]]")
        return value

    def _known(self, table: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
        for key in table.keys() - set(keys):
            near = get_close_matches(key, keys, 1)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(keys)}"
            raise InvalidInput(f"{self.file}: {where}{key} is not a known key", hint)

    def _text(self, table: Mapping[str, Any], key: str, default: str) -> str:
        value = table.get(key, default)
        if not isinstance(value, str) or not value:
            raise self._wrong(key, "it must be a text")
        return value

    def _number(self, table: Mapping[str, Any], key: str, default: int) -> int:
        value = table.get(key, default)
        if type(value) is not int or not 0 < value <= _MAX_CORES:
            raise self._wrong(key, f"it must be a whole number from 1 to {_MAX_CORES}")
        return value

    def _bytes(self, table: Mapping[str, Any], key: str, default: int = 0) -> int:
        value = table.get(key)
        if value is None and default:
            return default
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if match is None or (size := _size(match)) <= 0:
            raise self._wrong(key, 'it must be a size such as "64 GiB", or "80 GB/s"')
        return size

    def _wrong(self, key: str, what: str) -> InvalidInput:
        return InvalidInput(f"{self.file}: {key}: {what}", "see docs/hardware.md")


def _size(match: re.Match[str]) -> int:
    power = _UNITS[match[2]]
    unit = 1 << power if match[3] == "iB" else 1000 ** (power // 10)
    return int(float(match[1]) * unit)
