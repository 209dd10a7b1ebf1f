"""Actions that copy and quote."""

from typing import TYPE_CHECKING

from edgespec.clipboard import copy_beside
from edgespec.clippings import code_blocks, quotation
from edgespec.errors import InvalidInput
from edgespec.messages import Role
from edgespec.store.exchange import to_markdown
from edgespec.store.records import StoredMessage
from edgespec.thinking import divide

if TYPE_CHECKING:
    from edgespec_tui.screens.chat import ChatScreen


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
    screen.entry.insert(quotation(_message(screen).text))


def _copy(screen: "ChatScreen", text: str, what: str) -> None:
    screen.app.copy_to_clipboard(text)  # By OSC 52.
    copy_beside(text)
    screen.say(f"copied {what}")


def _message(screen: "ChatScreen") -> StoredMessage:
    if screen.focused_message:
        return screen.focused_message
    for message in reversed(screen.talk.path()):
        if message.role is Role.ASSISTANT:
            return message
    raise InvalidInput("nothing was answered yet")
