"""Broken GGUF headers: files that are valid but for a few changes, thrown at the header's reader.

python -m tests.mutations [COUNT]

goes through COUNT of them, 500,000 by default, and ends at the first one that does anything but be
read or be refused, takes more than a second, or makes the process take more memory than the bound.
"""

import random
import resource
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import process_time

from edgespec import memory
from edgespec.errors import ModelFileError, ModelUnavailable
from edgespec.gguf_header import read_header
from edgespec.ranking import active_bytes
from tests.ggufs import llama_gguf

MEMORY = 16 << 20
"""Bytes that reading may take; the file has 0.1 MiB, and it is read by the MiB."""
SLOWEST = 1.0
"""Seconds of processor time for one file."""
_REPORT = 50_000


def valid(folder: Path) -> bytes:
    """The file that is changed."""
    path = folder / "valid.gguf"
    return llama_gguf(path, n_layer=1, d=32, heads=2, kv_heads=1, ff=32, vocab=260).read_bytes()


def mutated(data: bytes, dice: random.Random) -> bytes:
    """`data` with a few changes in its header, and sometimes cut off."""
    changed = bytearray(data)
    header = data.index(b"ffn_down") + 64
    for _ in range(dice.choice((1, 1, 2, 8))):
        at = dice.randrange(header)
        match dice.randrange(4):
            case 0:
                changed[at] ^= 1 << dice.randrange(8)
            case 1:
                value = dice.choice((0, 1, 255, 1 << 31, (1 << 63) - 1, (1 << 64) - 1))
                changed[at : at + 8] = value.to_bytes(8, "little")
            case 2:
                del changed[at : at + dice.randrange(64)]
            case 3:
                changed[at:at] = dice.randbytes(dice.randrange(64))
    return bytes(changed[: dice.randrange(len(changed))] if dice.random() < 0.1 else changed)


def read(path: Path, data: bytes) -> bool:
    """Whether it was accepted, and what a pull computes from it could be; else it was refused.

    Any error but the two that refuse a file is a fault.
    """
    path.write_bytes(data)
    with suppress(ModelUnavailable, ModelFileError):
        header = read_header(path)
        assert memory.estimate(header, 8192, 512, 17, rollback=17).total > 0
        assert 0 < active_bytes(header) < len(data)
        return True
    return False


def _limit_memory() -> None:
    """Let the process have no more than MEMORY beyond what it has: more is a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    dice, accepted, slowest = random.Random(0), 0, 0.0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        path = Path(name) / "file.gguf"
        data = valid(Path(name))
        read(path, data)
        _limit_memory()
        for n in range(1, count + 1):
            case = mutated(data, dice)
            begin = process_time()
            accepted += read(path, case)
            slowest = max(slowest, process_time() - begin)
            assert slowest < SLOWEST, f"case {n} took {slowest:.1f} s"
            if n % _REPORT == 0 or n == count:
                print(f"{n:,} read, {accepted:,} accepted, slowest {slowest * 1000:.0f} ms")


if __name__ == "__main__":
    main()
