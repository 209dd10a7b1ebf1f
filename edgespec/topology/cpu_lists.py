"""Lists of logical processors, as Linux and people write them: "0-7,16"."""

from collections.abc import Iterable

_MOST = 1 << 16


def parse(text: str) -> tuple[int, ...]:
    """The processors in `text`, ascending. Raises ValueError unless it is such a list."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high < _MOST:
            raise ValueError(f"{part!r} is not a range of processors")
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def render(cpus: Iterable[int]) -> str:
    """The shortest text that `parse` reads as `cpus`; empty for none."""
    ranges: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in ranges)
