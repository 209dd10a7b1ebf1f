"""Actions on whole conversations."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from edgespec import attachments
from edgespec.errors import InvalidInput
from edgespec.store.exchange import read, write

if TYPE_CHECKING:
    from edgespec_tui.screens.chat import ChatScreen


async def new(screen: "ChatScreen", _: str) -> None:
    """Begin another conversation."""
    await screen.open(None)


def rename(screen: "ChatScreen", title: str) -> None:
    """Give the conversation another title."""
    if not title:
        raise InvalidInput("/rename needs a title")
    screen.talk.rename(title)
    screen.refresh_titles()


async def delete(screen: "ChatScreen", _: str) -> None:
    """Delete the conversation that is shown."""
    if screen.talk.id is None:
        raise InvalidInput("nothing was said yet")
    await remove(screen, screen.talk.id)


async def remove(screen: "ChatScreen", conversation: int) -> None:
    """Delete a conversation; another one is begun if it is the one shown."""
    running = screen.writer.talk
    if running and running.id == conversation:
        raise InvalidInput("an answer is being written there", "Esc stops it")
    screen.store.delete(conversation)
    if conversation == screen.talk.id:
        await screen.open(None)
    screen.refresh_titles()
    screen.say("deleted; /undo brings it back")


async def undo(screen: "ChatScreen", _: str) -> None:
    """Bring back the conversation that was deleted last."""
    deleted = screen.store.last_deleted()
    if deleted is None:
        raise InvalidInput("nothing was deleted")
    screen.store.restore(deleted)
    await screen.open(deleted)


def system(screen: "ChatScreen", text: str) -> None:
    """Set or remove the system message."""
    screen.talk.set_system(text)
    screen.say("the system message is " + ("set" if text else "removed"))


def files(_screen: "ChatScreen", begun: str) -> Iterable[str]:
    """The files and folders that a name can become."""
    return attachments.files(begun)


def export(screen: "ChatScreen", name: str) -> None:
    """Write the conversation into a file that does not exist yet."""
    if not name:
        raise InvalidInput("/export needs the name of a file")
    write(screen.talk, name)
    screen.say(f"the conversation is in {name}")


async def import_(screen: "ChatScreen", name: str) -> None:
    """Read a conversation from a file."""
    if not name:
        raise InvalidInput("/import needs the name of a file")
    await screen.open(read(screen.store, name))
