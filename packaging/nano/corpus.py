"""The corpus: which texts of the running Python installation are learnt, and which are held out."""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

HELD_OUT_PER_10000 = 300
_SKIPPED_PARTS = frozenset(
    {"site-packages", "__pycache__", "test", "tests", "idle_test", "_bundled", "data"}
)
_SKIPPED_FILES = frozenset({"pydoc_data/topics.py", "lib2to3/pgen2/literals.py"})
_SKIPPED_PREFIXES = ("config-", "_sysconfigdata")
_MAX_FILE_BYTES = 400_000


@dataclass(frozen=True)
class Source:
    """One standard library file: its path relative to the library, and its text."""

    path: str
    text: str

    @property
    def held_out(self) -> bool:
        return is_held_out(self.path)


def stdlib_root() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


def is_held_out(path: str) -> bool:
    digest = hashlib.sha256(path.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 10_000 < HELD_OUT_PER_10000


def _is_wanted(path: str, size: int) -> bool:
    *folders, name = path.split("/")
    if path in _SKIPPED_FILES or size > _MAX_FILE_BYTES or name.startswith(_SKIPPED_PREFIXES):
        return False
    # The code pages are character tables, not language.
    if folders == ["encodings"] and (any(map(str.isdigit, name)) or name.startswith("mac_")):
        return False
    return not any(part in _SKIPPED_PARTS or part.startswith("config-") for part in folders)


@lru_cache(maxsize=1)
def sources() -> tuple[Source, ...]:
    """Every wanted source file, ordered by path."""
    root = stdlib_root()
    found = []
    for file in root.rglob("*.py"):
        path = file.relative_to(root).as_posix()
        if _is_wanted(path, file.stat().st_size):
            found.append((path, file))
    return tuple(
        Source(path, file.read_text(encoding="utf-8", errors="replace"))
        for path, file in sorted(found)
    )


def topics() -> list[Source]:
    """The language reference that `help()` shows, one text per topic."""
    path = stdlib_root() / "pydoc_data" / "topics.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            table: dict[str, str] = ast.literal_eval(node.value)
            return [Source(f"pydoc_data/topics/{key}", table[key]) for key in sorted(table)]
    raise ValueError(f"no topics in {path}")


def training_texts() -> list[str]:
    return [text.text for text in (*sources(), *topics()) if not text.held_out]


def held_out_sources() -> list[Source]:
    return [source for source in sources() if source.held_out]


def sha256() -> str:
    """One hash over the paths and texts of everything collected, held out or not."""
    digest = hashlib.sha256()
    for text in (*sources(), *topics()):
        digest.update(f"{text.path}\0{text.text}\0".encode(errors="surrogatepass"))
    return digest.hexdigest()


if __name__ == "__main__":
    learnt = training_texts()
    print(f"sha256 {sha256()}")
    print(f"training: {len(learnt)} texts, {sum(map(len, learnt)):,} characters")
    print("held out:", *(text.path for text in held_out_sources()))
