"""Large allocations ask for huge pages, and only those that are meant."""

import mmap
import re
import sys
from pathlib import Path

import pytest

from edgespec_backends.llamacpp.huge_pages import NewMemory

_SIZE = 16 << 20
_NO_RESERVE = 0x4000

pytestmark = pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="no transparent huge pages"
)


def advised() -> set[int]:
    """Where the mappings begin that asked for huge pages."""
    text = Path("/proc/self/smaps").read_text(encoding="ascii", errors="replace")
    parts = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", text)
    return {int(part.split("-")[0], 16) for part in parts if re.search(r"VmFlags:.*\bhg\b", part)}


def test_what_was_allocated_meanwhile_asks_and_what_was_there_before_does_not() -> None:
    # Of different kinds, or the kernel would join them into one mapping.
    old = mmap.mmap(-1, _SIZE, flags=mmap.MAP_PRIVATE | _NO_RESERVE)
    before = advised()
    memory = NewMemory()
    new = mmap.mmap(-1, _SIZE, flags=mmap.MAP_PRIVATE)
    memory.ask_for_huge_pages()
    assert len(advised() - before) == 1
    old.close()
    new.close()


def test_small_and_shared_memory_is_left_alone() -> None:
    before = advised()
    memory = NewMemory()
    small = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | _NO_RESERVE)
    shared = mmap.mmap(-1, _SIZE, flags=mmap.MAP_SHARED)
    memory.ask_for_huge_pages()
    assert advised() == before
    small.close()
    shared.close()


def test_other_systems_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    NewMemory().ask_for_huge_pages()
