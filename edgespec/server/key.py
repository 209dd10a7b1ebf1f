"""The API key that a server asks for, made once and kept for its owner alone."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from edgespec import own_files
from edgespec.errors import EdgespecError

_FILE = "api_key"


def kept_key(folder: Path) -> tuple[str, Path]:
    """The key in `folder`, made now if there is none, and its file. Raises EdgespecError."""
    file = folder / _FILE
    try:
        own_files.make_folder(folder)
        with suppress(FileExistsError):
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as made:
                made.write(f"es-{secrets.token_urlsafe(24)}\n")
        own_files.make_private(file)
        key = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        what = f"the API key in {file} cannot be used: {reason}"
        raise EdgespecError(what, "give one with --api-key") from error
    if not key:
        raise EdgespecError(f"the API key in {file} is empty", "delete the file to get another one")
    return key, file
