"""Pictures of the chat, kept as text.

After a change that is wanted, `UPDATE_PICTURES=1 pytest tests/tui` draws them anew; look at what
changed before you keep them.
"""

import os
from pathlib import Path

from tests.tui.driving import Driver

_PICTURES = Path(__file__).parent / "pictures"


def compare(chat: Driver, name: str) -> None:
    """Compare what the terminal shows with what it showed before at this size."""
    width, height = chat.app.size
    keep(chat.picture() + "\n", f"{name}-{width}x{height}")


def keep(picture: str, name: str) -> None:
    """Compare with what was drawn before, or draw it anew."""
    file = _PICTURES / f"{name}.txt"
    if "UPDATE_PICTURES" in os.environ:
        file.parent.mkdir(exist_ok=True)
        file.write_text(picture, encoding="utf-8")
    assert picture == file.read_text(encoding="utf-8")
