"""Which processors workers stay on, on machines that are not here."""

from dataclasses import replace

import pytest

from edgespec.batch.nodes import by_plan, shared_out
from edgespec.errors import InvalidInput
from edgespec.topology.detect import plain
from edgespec.topology.records import Core, Node, Topology

GIB = 1 << 30


def machine(nodes: int, cores: int = 4, free: int = 64 * GIB) -> Topology:
    """`nodes` memory nodes with `cores` cores of two processors each, numbered as Linux does."""
    count = nodes * cores
    found = [Core((cpu, cpu + count), node=cpu // cores) for cpu in range(count)]
    places = [
        Node(
            node,
            tuple(cpu for core in found if core.node == node for cpu in core.cpus),
            2 * free,
            free,
        )
        for node in range(nodes)
    ]
    return Topology(tuple(found), tuple(places), (), frozenset(range(2 * count)))


def test_one_node_is_one_process() -> None:
    assert by_plan(machine(1), GIB, 1000) == []
    assert by_plan(plain(8), GIB, 1000) == []


def test_each_node_with_room_gets_a_worker() -> None:
    assert by_plan(machine(2, 2), GIB, 1000) == [(0, 1, 4, 5), (2, 3, 6, 7)]


def test_a_node_that_may_not_be_used_gets_none() -> None:
    allowed = replace(machine(2, 2), allowed=frozenset({0, 1}))
    assert by_plan(allowed, GIB, 1000) == []


def test_what_does_not_pay() -> None:
    assert by_plan(machine(2, free=GIB), 2 * GIB, 1000) == []
    assert by_plan(machine(2), GIB, 3) == []
    assert by_plan(replace(machine(2), quota=4.0), GIB, 1000) == []


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_processors_are_shared_out_evenly(workers: int) -> None:
    parts = shared_out(machine(2), workers)
    assert sorted(cpu for part in parts for cpu in part) == list(range(16))
    assert len(parts) == workers
    assert max(map(len, parts)) - min(map(len, parts)) <= 2


def test_as_many_workers_as_nodes_have_one_each() -> None:
    assert shared_out(machine(2, 2), 2) == by_plan(machine(2, 2), GIB, 1000)


def test_more_workers_than_cores() -> None:
    with pytest.raises(InvalidInput, match="9 workers on 8 cores"):
        shared_out(machine(2), 9)
