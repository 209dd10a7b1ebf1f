"""Actions on answers and questions: stop, regenerate, continue, edit, look at alternatives."""

from typing import TYPE_CHECKING

from edgespec.errors import InvalidInput
from edgespec.messages import Role
from edgespec.store.records import StoredMessage

if TYPE_CHECKING:
    from edgespec_tui.screens.chat import ChatScreen


def stop(screen: "ChatScreen", _: str) -> None:
    """Stop the answer."""
    screen.writer.stop()


async def regenerate(screen: "ChatScreen", _: str) -> None:
    """Answer a question once more."""
    _require_idle(screen)
    message = _at_hand(screen)
    question = message if message.role is Role.USER else screen.talk.tree[_parent(message)]
    await screen.answer(question)


async def resume(screen: "ChatScreen", _: str) -> None:
    """Go on with the last answer."""
    _require_idle(screen)
    answer = _last(screen, Role.ASSISTANT)
    if answer.id != screen.talk.tree.leaf:
        raise InvalidInput("the conversation went on after that answer")
    await screen.answer(screen.talk.tree[_parent(answer)], begun=answer)


def edit(screen: "ChatScreen", _: str) -> None:
    """Put a message of the user into the composer, to be sent beside the old one."""
    _require_idle(screen)
    message = screen.focused_message
    if message is None or message.role is not Role.USER:
        message = _last(screen, Role.USER)
    screen.entry.edit(message)
    screen.say("Enter sends it beside the old one; Esc leaves it")


async def previous(screen: "ChatScreen", _: str) -> None:
    """Show the alternative before."""
    await _step(screen, -1)


async def following(screen: "ChatScreen", _: str) -> None:
    """Show the alternative after."""
    await _step(screen, 1)


async def _step(screen: "ChatScreen", by: int) -> None:
    _require_idle(screen)
    message = screen.focused_message or _branching(screen)
    other = screen.talk.step(message.id, by) if message else None
    if other is not None:
        await screen.show_path(focus=other if screen.focused_message else None)


def _branching(screen: "ChatScreen") -> StoredMessage | None:
    """The last message that has alternatives."""
    tree = screen.talk.tree
    shown = reversed(screen.talk.path())
    return next((message for message in shown if tree.siblings(message.id)[1] > 1), None)


def _at_hand(screen: "ChatScreen") -> StoredMessage:
    path = screen.talk.path()
    message = screen.focused_message or (path[-1] if path else None)
    if message is None:
        raise InvalidInput("nothing was said yet")
    return message


def _last(screen: "ChatScreen", role: Role) -> StoredMessage:
    for message in reversed(screen.talk.path()):
        if message.role is role:
            return message
    raise InvalidInput("nothing was said yet")


def _parent(message: StoredMessage) -> int:
    assert message.parent is not None, "an answer has a question"
    return message.parent


def _require_idle(screen: "ChatScreen") -> None:
    if screen.writer.busy:
        raise InvalidInput("an answer is being written", "Esc stops it")
