"""Real machines, as short descriptions from which their /sys and /proc, or tool outputs, are made.

The numbers were recorded on such machines or stand in their data sheets, as each says; looked up
in November 2026. What no test reads is left out.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path

from edgespec.topology import cpu_lists
from tests.systems import V2_MOUNT, put, system

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Cores:
    """Equal cores: `siblings` lists the processors of each; caches are (level, KiB, cores)."""

    siblings: tuple[str, ...]
    mhz: int = 0
    capacity: int = 0
    pmu: str = ""
    package: int = 0
    caches: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class LinuxMachine:
    """A Linux machine; `nodes` are (processors, MiB), `files` are put as they are."""

    cores: tuple[Cores, ...]
    memory: int
    """MiB."""
    nodes: tuple[tuple[str, int], ...] = ()
    distances: tuple[str, ...] = ()
    driver: str = ""
    governor: str = ""
    cpu_flags: str = "fpu"
    name: str = ""
    allowed: str = ""
    files: dict[str, str] = field(default_factory=dict)

    def build(self, root: Path) -> Path:
        """Write its files below `root`. Returns `root`."""
        system(root, "0::/\n", V2_MOUNT)
        folder = root / "sys/devices/system/cpu"
        every = sorted(cpu for kind in self.cores for s in kind.siblings for cpu in _cpus(s))
        put(folder / "online", cpu_lists.render(every) + "\n")
        for kind in self.cores:
            self._put_cores(folder, kind)
        self._put_pmus(root)
        self._put_memory(root)
        put(root / "proc/cpuinfo", f"model name\t: {self.name}\nflags\t\t: {self.cpu_flags}\n\n")
        allowed = self.allowed or cpu_lists.render(every)
        put(root / "proc/self/status", f"Name:\tpython\nCpus_allowed_list:\t{allowed}\n")
        for path, text in self.files.items():
            put(root / path, text)
        return root

    def _put_cores(self, folder: Path, kind: Cores) -> None:
        for siblings in kind.siblings:
            for cpu in _cpus(siblings):
                own = folder / f"cpu{cpu}"
                put(own / "topology/core_cpus_list", f"{siblings}\n")
                put(own / "topology/physical_package_id", f"{kind.package}\n")
                if kind.capacity:
                    put(own / "cpu_capacity", f"{kind.capacity}\n")
                if kind.mhz:
                    put(own / "cpufreq/cpuinfo_max_freq", f"{kind.mhz * 1000}\n")
                    put(own / "cpufreq/scaling_driver", f"{self.driver}\n")
                    put(own / "cpufreq/scaling_governor", f"{self.governor}\n")
        for index, (level, kib, cores) in enumerate(kind.caches):
            for at in range(0, len(kind.siblings), cores):
                shared = [c for s in kind.siblings[at : at + cores] for c in _cpus(s)]
                for cpu in shared:
                    cache = folder / f"cpu{cpu}/cache/index{index}"
                    put(cache / "level", f"{level}\n")
                    put(cache / "type", "Unified\n")
                    put(cache / "size", f"{kib}K\n")
                    put(cache / "shared_cpu_list", f"{cpu_lists.render(shared)}\n")

    def _put_pmus(self, root: Path) -> None:
        for pmu in {kind.pmu for kind in self.cores} - {""}:
            cpus = [c for k in self.cores if k.pmu == pmu for s in k.siblings for c in _cpus(s)]
            put(root / f"sys/devices/{pmu}/cpus", f"{cpu_lists.render(cpus)}\n")

    def _put_memory(self, root: Path) -> None:
        total, free = self.memory * 1024, self.memory * 1024 * 9 // 10
        put(
            root / "proc/meminfo",
            f"MemTotal: {total} kB\nMemFree: {free} kB\nMemAvailable: {free} kB\n"
            "SwapTotal: 2097148 kB\nSwapFree: 2097148 kB\n",
        )
        for index, (cpus, mib) in enumerate(self.nodes):
            folder = root / f"sys/devices/system/node/node{index}"
            put(folder / "cpulist", f"{cpus}\n")
            put(
                folder / "meminfo",
                f"Node {index} MemTotal: {mib * 1024} kB\nNode {index} MemFree: {mib * 1000} kB\n",
            )
            put(folder / "distance", self.distances[index] if self.distances else "10\n")
        if self.nodes:
            last = len(self.nodes) - 1
            put(root / "sys/devices/system/node/online", f"0-{last}\n" if last else "0\n")


def _cpus(text: str) -> tuple[int, ...]:
    return cpu_lists.parse(text)


def _pairs(count: int) -> tuple[str, ...]:
    """Cores whose two processors have neighbouring numbers."""
    return tuple(f"{2 * core}-{2 * core + 1}" for core in range(count))


def _singles(first: int, count: int) -> tuple[str, ...]:
    return tuple(str(cpu) for cpu in range(first, first + count))


_EPYC_NODES = tuple((f"{6 * n}-{6 * n + 5},{6 * n + 48}-{6 * n + 53}", 64_500) for n in range(8))
_NEAR, _FAR = (12,) * 4, (32,) * 4


def _epyc_distances(node: int) -> str:
    row = list(_NEAR + _FAR if node < 4 else _FAR + _NEAR)
    row[node] = 10
    return " ".join(map(str, row)) + "\n"


def _epyc_package(package: int) -> Cores:
    first = 24 * package
    return Cores(
        tuple(f"{core},{core + 48}" for core in range(first, first + 24)),
        mhz=3630,
        package=package,
        caches=((2, 512, 1), (3, 32_768, 6)),
    )


EPYC_NPS4 = LinuxMachine(
    (_epyc_package(0), _epyc_package(1)),
    516_000,
    _EPYC_NODES,
    tuple(_epyc_distances(node) for node in range(8)),
    driver="acpi-cpufreq",
    governor="performance",
    name="AMD EPYC 7413 24-Core Processor",
    files={"proc/sys/kernel/numa_balancing": "1\n"},
)
"""Two EPYC 7413 with four nodes per socket: a recorded `numactl --hardware`; 4 caches of 32 MiB
per package."""

DESKTOP = LinuxMachine(
    (
        Cores(_pairs(8), 5500, pmu="cpu_core", caches=((2, 2048, 1),)),
        Cores(_singles(16, 16), 4300, pmu="cpu_atom", caches=((2, 4096, 4),)),
    ),
    65_536,
    driver="intel_pstate",
    governor="powersave",
    name="13th Gen Intel(R) Core(TM) i9-13900K",
    files={
        f"sys/devices/system/cpu/cpu{cpu}/cache/index3/{name}": text
        for cpu in range(32)
        for name, text in {
            "level": "3\n",
            "type": "Unified\n",
            "size": "36864K\n",
            "shared_cpu_list": "0-31\n",
        }.items()
    },
)
"""A Core i9-13900K: 8 P cores with two threads, 16 E cores in clusters of four, by its data
sheet."""

LAPTOP = LinuxMachine(
    (
        Cores(_pairs(6), 4800, pmu="cpu_core", caches=((2, 2048, 1), (3, 24_576, 6))),
        Cores(_singles(12, 8), 3800, pmu="cpu_atom", caches=((2, 2048, 4), (3, 24_576, 8))),
        Cores(_singles(20, 2), 2500, pmu="cpu_atom", caches=((2, 2048, 2),)),
    ),
    32_000,
    driver="intel_pstate",
    governor="powersave",
    name="Intel(R) Core(TM) Ultra 7 155H",
    files={
        **{
            f"sys/devices/system/cpu/cpu{cpu}/cpufreq/energy_performance_preference": "power\n"
            for cpu in range(22)
        },
        "sys/class/power_supply/BAT0/type": "Battery\n",
        "sys/class/power_supply/BAT0/status": "Discharging\n",
        "sys/class/power_supply/ADP1/type": "Mains\n",
        "sys/class/power_supply/ADP1/online": "0\n",
    },
)
"""A Core Ultra 7 155H (6 P, 8 E, 2 LP-E) on its battery: affinity masks 0xFFF for P and the last
two processors for LP-E as libcpuid and intel-lpmd users recorded; the LP-E cores have no L3."""

LAPTOP_13 = LinuxMachine(
    (
        Cores(_pairs(2), 5000, pmu="cpu_core", caches=((2, 1280, 1),)),
        Cores(("4-5", "6-7", "8-9", "10-11"), 5200, pmu="cpu_core", caches=((2, 1280, 1),)),
        Cores(_singles(12, 8), 3900, pmu="cpu_atom", caches=((2, 2048, 4),)),
    ),
    31_728,
    (("0-19", 31_728),),
    driver="intel_pstate",
    governor="powersave",
    name="13th Gen Intel(R) Core(TM) i7-1370P",
)
"""A Core i7-1370P (6 P, 8 E), recorded in hwloc's test data."""

BOARD = LinuxMachine(
    (
        Cores(_singles(0, 4), 1800, capacity=397, caches=((2, 128, 1),)),
        Cores(_singles(4, 4), 2400, capacity=1024, caches=((2, 512, 1),)),
    ),
    16_000,
    driver="cpufreq-dt",
    governor="schedutil",
)
"""An RK3588: A55 with 530 and A76 with 1024 units of work per MHz in its device tree, times the
frequencies: 530 * 1800 / (1024 * 2400) of 1024 is 397."""

GB10 = LinuxMachine(
    (
        Cores(_singles(0, 5), 2808, capacity=718, package=36, caches=((2, 512, 1),)),
        Cores(_singles(5, 5), 3900, capacity=997, package=36, caches=((2, 2048, 1),)),
        Cores(_singles(10, 5), 2808, capacity=731, package=36, caches=((2, 512, 1),)),
        Cores(_singles(15, 4), 3900, capacity=1017, package=36, caches=((2, 2048, 1),)),
        Cores(("19",), 3900, capacity=1024, package=36, caches=((2, 2048, 1),)),
    ),
    122_566,
    (("0-19", 122_566),),
)
"""A DGX Spark (GB10): Cortex-A725 and X925 in two mixed clusters, recorded in hwloc's test data."""

CONTAINER = LinuxMachine(
    (Cores(_pairs(8), 3500, caches=((2, 1024, 1), (3, 32_768, 8))),),
    64_000,
    allowed="0-11",
    files={
        "sys/fs/cgroup/cpu.max": "300000 100000\n",
        "sys/fs/cgroup/cpu.stat": "usage_usec 1\nnr_periods 1000\nnr_throttled 400\n",
        "sys/fs/cgroup/memory.max": f"{8 * GIB}\n",
        "sys/fs/cgroup/memory.current": f"{1 * GIB}\n",
    },
)
"""A container with a quota of three CPUs, 8 GiB and 12 of 16 processors."""

VM = LinuxMachine(
    (Cores(("0", "1"), capacity=1024, caches=((2, 1024, 1), (3, 32_768, 2))),),
    16_218,
    (("0-1", 16_218),),
    name="AMD EPYC",
    cpu_flags="fpu vme avx512f hypervisor lahf_lm",
)
"""A virtual machine with two processors, recorded: it has no cpufreq, and all capacities agree."""

M1_PRO = """\
hw.ncpu: 10
hw.activecpu: 10
hw.memsize: 17179869184
hw.nperflevels: 2
hw.perflevel0.physicalcpu: 8
hw.perflevel0.physicalcpu_max: 8
hw.perflevel0.logicalcpu: 8
hw.perflevel0.logicalcpu_max: 8
hw.perflevel0.l1icachesize: 196608
hw.perflevel0.l1dcachesize: 131072
hw.perflevel0.l2cachesize: 12582912
hw.perflevel0.cpusperl2: 4
hw.perflevel0.name: Performance
hw.perflevel1.physicalcpu: 2
hw.perflevel1.physicalcpu_max: 2
hw.perflevel1.logicalcpu: 2
hw.perflevel1.logicalcpu_max: 2
hw.perflevel1.l1icachesize: 131072
hw.perflevel1.l1dcachesize: 65536
hw.perflevel1.l2cachesize: 4194304
hw.perflevel1.cpusperl2: 2
hw.perflevel1.name: Efficiency
hw.physicalcpu: 10
hw.logicalcpu: 10
machdep.cpu.core_count: 10
machdep.cpu.brand_string: Apple M1 Pro
"""
"""An M1 Pro's `sysctl hw machdep.cpu`, as recorded, without what nobody reads."""

INTEL_MAC = """\
hw.memsize: 34359738368
hw.physicalcpu: 8
hw.logicalcpu: 16
hw.l1dcachesize: 32768
hw.l2cachesize: 262144
machdep.cpu.brand_string: Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz
"""

_CORE, _NODE, _CACHE, _PACKAGE, _GROUPS = 0, 1, 2, 3, 4


def windows_laptop() -> bytes:
    """The buffer that Windows gives on a Core i7-1260P: 4 P cores of class 1, 8 E cores of 0."""
    entries = [_win_core(0b11 << 2 * core, 1, threads=2) for core in range(4)]
    entries += [_win_core(1 << (8 + core), 0, threads=1) for core in range(8)]
    entries += [_win_cache(2, 1280 * KIB, 0b11 << 2 * core) for core in range(4)]
    entries += [_win_cache(2, 2 * MIB, 0b1111 << at) for at in (8, 12)]
    entries += [_win_cache(1, 32 * KIB, 0b11 << 2 * core, kind=1) for core in range(4)]
    entries += [_win_cache(3, 18 * MIB, 0xFFFF)]
    entries += [_win_package(0xFFFF), _win_node(0, 0xFFFF)]
    entries += [_entry(_GROUPS, struct.pack("<HH20x", 1, 1) + struct.pack("<BB38xQ", 64, 16, 1))]
    return b"".join(entries)


def windows_server() -> bytes:
    """Two packages of 40 cores with two threads each: more processors than a group holds."""
    entries = []
    for package in (0, 1):
        mask = (1 << 40) - 1
        entries += [_win_core(1 << core, 0, threads=1, group=package) for core in range(40)]
        entries += [_win_package(mask, group=package), _win_node(package, mask, group=package)]
    return b"".join(entries)


def _entry(relation: int, body: bytes) -> bytes:
    return struct.pack("<II", relation, 8 + len(body)) + body


def _affinity(mask: int, group: int) -> bytes:
    return struct.pack("<QHHHH", mask, group, 0, 0, 0)


def _win_core(mask: int, efficiency: int, threads: int, group: int = 0) -> bytes:
    smt = threads > 1
    body = struct.pack("<BB20xH", smt, efficiency, 1) + _affinity(mask, group)
    return _entry(_CORE, body)


def _win_package(mask: int, group: int = 0) -> bytes:
    return _entry(_PACKAGE, struct.pack("<BB20xH", 0, 0, 1) + _affinity(mask, group))


def _win_node(number: int, mask: int, group: int = 0) -> bytes:
    # The count of groups is the reserved zero that Windows 10 leaves there.
    return _entry(_NODE, struct.pack("<I18xH", number, 0) + _affinity(mask, group))


def _win_cache(level: int, size: int, mask: int, kind: int = 0) -> bytes:
    body = struct.pack("<BBHII18xH", level, 8, 64, size, kind, 0) + _affinity(mask, 0)
    return _entry(_CACHE, body)
