"""edgespec's own files: readable by their owner alone, and replaced in one step or not at all."""

import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

_FOLDER, _FILE = 0o700, 0o600


def make_folder(path: Path) -> None:
    """Make the folder at `path`, which nobody else may enter, and what leads to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=_FOLDER, exist_ok=True)


def make_private(path: Path) -> None:
    """Let the file at `path`, made if it is not there, be for its owner alone.

    One that an older edgespec made for all is closed to them.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(path, flags, _FILE)
    try:
        if os.name == "posix" and os.fstat(handle).st_mode & ~_FILE & 0o777:
            with suppress(OSError):  # It may be somebody else's, who let us write it.
                os.fchmod(handle, _FILE)
    finally:
        os.close(handle)


def replace(path: Path, text: str) -> None:
    """Let `path` hold `text`; others see the old file or the new one, whole. Raises OSError."""
    make_folder(path.parent)
    temporary = ""
    try:
        with NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            temporary = file.name
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
