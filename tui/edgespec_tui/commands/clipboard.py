"""Actions that copy and quote."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from edgespec.errors import InvalidInput
from edgespec.messages import Role
from edgespec.store.exchange import to_markdown
from edgespec.store.records import StoredMessage
from edgespec.thinking import divide

if TYPE_CHECKING:
    from edgespec_tui.screens.chat import ChatScreen

_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n(.*?)(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.M | re.S)


class BlockCursor:
    """Which block of code was copied last."""

    def __init__(self) -> None:
        self._message = 0
        self._at = 0

    def next(self, message: int, count: int) -> int:
        """The one to copy of `count`: the last, or the one before if that was copied."""
        again = message == self._message
        self._message, self._at = message, (self._at - 1) % count if again else count - 1
        return self._at


def copy(screen: "ChatScreen", _: str) -> None:
    """Copy a message, without what was thought before it."""
    _copy(screen, divide(_message(screen).text).answer, "the message")


def copy_code(screen: "ChatScreen", _: str) -> None:
    """Copy a block of code: the last one, then those before it."""
    message = _message(screen)
    blocks = code_blocks(message.text)
    if not blocks:
        raise InvalidInput("the message has no code")
    at = screen.blocks.next(message.id, len(blocks))
    _copy(screen, blocks[at], f"block {at + 1} of {len(blocks)}")


def copy_all(screen: "ChatScreen", _: str) -> None:
    """Copy the conversation."""
    _copy(
        screen, to_markdown(screen.talk.title, screen.talk.system, screen.talk.path()), "all of it"
    )


def quote(screen: "ChatScreen", _: str) -> None:
    """Put a message into the composer as a quotation."""
    lines = divide(_message(screen).text).answer.strip().splitlines()
    screen.entry.insert("\n".join(f"> {line}".rstrip() for line in lines) + "\n\n")


def code_blocks(text: str) -> list[str]:
    """The contents of the fenced blocks of a Markdown text."""
    return [found[2] for found in _FENCED.finditer(text)]


def _copy(screen: "ChatScreen", text: str, what: str) -> None:
    # OSC 52 reaches the user's own clipboard through SSH, but macOS's terminal does not know it.
    screen.app.copy_to_clipboard(text)
    if sys.platform == "darwin" and "SSH_CONNECTION" not in os.environ:
        with suppress(OSError):
            subprocess.run(["pbcopy"], input=text.encode(), check=False)
    screen.say(f"copied {what}")


def _message(screen: "ChatScreen") -> StoredMessage:
    if screen.focused_message:
        return screen.focused_message
    for message in reversed(screen.talk.path()):
        if message.role is Role.ASSISTANT:
            return message
    raise InvalidInput("nothing was answered yet")
