"""A first try of a model's file in a process of its own, so that a crash there is a message here.

The header is checked before libllama sees a file, but libllama checks the rest with assertions
that end the process. A file is tried once, by a few tokens on the weights as they lie in it, which
reads no more than the loading that follows; which ones came through is remembered.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from edgespec import measurements, own_files, paths
from edgespec.embedding import Embedding
from edgespec.errors import ModelFileError
from edgespec.gguf_header import read_header
from edgespec.pooling import embeds
from edgespec.protocols import ContextOptions, ModelOptions, Row, backend

_CRASHES = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV")
_GLANCE = 0.05
_TEXT = "What is this?"
_TOKENS = 256
_SHIPPED = Path(__file__).parent


def require_harmless(files: Sequence[Path], keep_waiting: Callable[[], bool]) -> None:
    """Raise ModelFileError if loading one of `files` ends a process that loads nothing else.

    Whatever else is wrong with them is left to the loading itself. `keep_waiting` is asked now
    and then; if it returns False, or raises, nothing is found out.
    """
    for file in files:
        mark = paths.cache_dir() / "tried" / _key(file)
        if _SHIPPED in file.parents or mark.exists():
            continue
        code = _try(file, keep_waiting)
        if code is not None and -code in _numbers():
            name = signal.Signals(-code).name
            raise ModelFileError(
                f"{file} makes the engine crash ({name})", "get it again, or from somebody else"
            )
        if code == 0:
            with suppress(OSError):
                own_files.replace(mark, f"{file}\n")


def _key(file: Path) -> str:
    return measurements.pair_key([file], 0, 0)


def _numbers() -> set[int]:
    return {getattr(signal, name) for name in _CRASHES if hasattr(signal, name)}


def _try(file: Path, keep_waiting: Callable[[], bool]) -> int | None:
    """How the process ended, None if it was not let end."""
    found = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen(
        # -P: what lies in the current folder is not part of edgespec.
        [sys.executable, "-P", "-m", __spec__.name, str(file.absolute())],
        env={**os.environ, "PYTHONPATH": found, "GGML_NO_BACKTRACE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while keep_waiting():
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_GLANCE)
        return None
    finally:
        process.kill()
        process.wait()


def _main(file: Path) -> None:
    """Load `file` and decode a few tokens, on the processor and for nobody."""
    model = backend("llamacpp")(file, ModelOptions(threads=1, repack=False))
    tokens = model.tokenizer.encode(_TEXT, add_special=True, parse_special=True)
    header = read_header(file, generates=False)
    if embeds(header):
        assert isinstance(model, Embedding)
        room = min(_TOKENS, header.context_length)
        rows = [Row(token, position, 0, True) for position, token in enumerate(tokens[:room])]
        model.embeddings(room, room).decode(rows)
    else:
        model.context(ContextOptions(n_ctx=_TOKENS)).decode(tokens[:_TOKENS], 0, outputs=1)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
