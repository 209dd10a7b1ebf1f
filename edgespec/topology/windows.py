"""Reads the topology from Windows' GetLogicalProcessorInformationEx."""

import ctypes
import struct
from collections.abc import Iterator

from edgespec.topology.records import Cache, Core, CoreKind, Node, Topology

# LOGICAL_PROCESSOR_RELATIONSHIP of winnt.h.
_CORE, _NODE, _CACHE, _PACKAGE = 0, 1, 2, 3
_ALL = 0xFFFF
_INSTRUCTION = 1
_GROUP = struct.Struct("<QHHHH")
"""GROUP_AFFINITY: mask, group, three reserved words."""
_PER_GROUP = 64


def read() -> Topology:
    """The topology of this Windows machine. Raises OSError if it cannot be asked."""
    return parse(_ask())


def parse(buffer: bytes) -> Topology:
    """The topology in a buffer of SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX structures.

    Raises ValueError if it ends inside one. A processor's number is 64 times its group's plus its
    place in it. Windows does not tell a node's memory here.
    """
    packages: list[tuple[int, ...]] = []
    nodes: list[tuple[int, tuple[int, ...]]] = []
    caches: list[Cache] = []
    found: list[tuple[tuple[int, ...], int]] = []
    for relation, body in _entries(buffer):
        if relation == _CORE:
            efficiency, groups = body[1], struct.unpack_from("<H", body, 22)[0]
            found.append((_cpus(body, 24, groups), efficiency))
        elif relation == _PACKAGE:
            groups = struct.unpack_from("<H", body, 22)[0]
            packages.append(_cpus(body, 24, groups))
        elif relation == _NODE:
            number = struct.unpack_from("<I", body, 0)[0]
            # Before Windows 11 the count was a reserved zero.
            groups = struct.unpack_from("<H", body, 22)[0] or 1
            nodes.append((number, _cpus(body, 24, groups)))
        elif relation == _CACHE and (cache := _cache(body)):
            caches.append(cache)
    return _assemble(found, packages, nodes, caches)


def _assemble(
    found: list[tuple[tuple[int, ...], int]],
    packages: list[tuple[int, ...]],
    nodes: list[tuple[int, tuple[int, ...]]],
    caches: list[Cache],
) -> Topology:
    package_of = {cpu: index for index, cpus in enumerate(packages) for cpu in cpus}
    node_of = {cpu: index for index, cpus in nodes for cpu in cpus}
    classes = sorted({efficiency for _, efficiency in found}, reverse=True)
    cores = tuple(
        Core(
            cpus,
            _kind(classes.index(efficiency)),
            package_of.get(cpus[0], 0),
            node_of.get(cpus[0], 0),
        )
        for cpus, efficiency in sorted(found)
    )
    everything = tuple(cpu for core in cores for cpu in core.cpus)
    listed = tuple(Node(index, cpus, 0, 0) for index, cpus in sorted(nodes))
    return Topology(
        cores,
        listed or (Node(0, everything, 0, 0),),
        tuple(sorted(caches, key=lambda cache: (cache.level, cache.cpus))),
        frozenset(everything),
    )


def _kind(rank: int) -> CoreKind:
    """A higher efficiency class means a faster core; rank 0 is the highest."""
    return tuple(CoreKind)[min(rank, len(CoreKind) - 1)]


def _entries(buffer: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(buffer):
        if at + 8 > len(buffer):
            raise ValueError("the buffer ends inside a structure")
        relation, size = struct.unpack_from("<II", buffer, at)
        if size < 32 or at + size > len(buffer):
            raise ValueError("the buffer ends inside a structure")
        yield relation, buffer[at + 8 : at + size]
        at += size


def _cpus(body: bytes, offset: int, groups: int) -> tuple[int, ...]:
    found = []
    for index in range(groups):
        mask, group, *_ = _GROUP.unpack_from(body, offset + index * _GROUP.size)
        bits = (bit for bit in range(_PER_GROUP) if mask >> bit & 1)
        found += [_PER_GROUP * group + bit for bit in bits]
    return tuple(sorted(found))


def _cache(body: bytes) -> Cache | None:
    level, _, _, size, kind = struct.unpack_from("<BBHII", body, 0)
    if kind == _INSTRUCTION:
        return None
    groups = struct.unpack_from("<H", body, 30)[0] or 1
    return Cache(level, size, _cpus(body, 32, groups))


def _ask() -> bytes:
    kernel = ctypes.CDLL("kernel32", use_last_error=True)
    size = ctypes.c_uint32(0)
    kernel.GetLogicalProcessorInformationEx(_ALL, None, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(max(size.value, 1))
    if not kernel.GetLogicalProcessorInformationEx(_ALL, buffer, ctypes.byref(size)):
        raise OSError("GetLogicalProcessorInformationEx failed")
    return buffer.raw[: size.value]
