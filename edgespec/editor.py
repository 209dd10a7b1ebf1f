"""The user's own editor."""

import os
import shlex
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from edgespec.errors import EdgespecError

_USUAL = "vi"


def edit(text: str) -> str:
    """Let the user change `text` in $VISUAL or $EDITOR; what it is then.

    Raises EdgespecError if there is no such editor, or it fails.
    """
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or _USUAL
    with TemporaryDirectory(prefix="edgespec-") as folder:
        file = Path(folder) / "message.md"
        file.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(command), str(file)], check=True)
            return file.read_text(encoding="utf-8", errors="replace").rstrip("\n")
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise EdgespecError(f"{command!r} does not work: {reason}", "set $EDITOR") from error
