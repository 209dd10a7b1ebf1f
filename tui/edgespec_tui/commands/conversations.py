"""Actions on whole conversations."""

from pathlib import Path
from typing import TYPE_CHECKING

from edgespec.errors import InvalidInput
from edgespec.store.exchange import from_json, to_json, to_markdown

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
    await screen.delete(screen.talk.id)


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


def preset(screen: "ChatScreen", name: str) -> None:
    """Use one of the user's presets."""
    chosen = screen.chat_app.use_preset(name)
    if "system" in chosen:
        screen.talk.set_system(chosen["system"])
    told = ", ".join(f"{key.replace('_', ' ')} {value!r}" for key, value in chosen.items())
    screen.say(f"{name}: {told}" if name else "the usual settings")


def export(screen: "ChatScreen", name: str) -> None:
    """Write the conversation into a file that does not exist yet."""
    if not name:
        raise InvalidInput("/export needs the name of a file")
    talk = screen.talk
    as_json = name.lower().endswith(".json")
    text = (
        to_json(talk.title, talk.system, talk.tree)
        if as_json
        else to_markdown(talk.title, talk.system, talk.path())
    )
    try:
        with Path(name).expanduser().open("x", encoding="utf-8") as file:
            file.write(text)
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"{name!r} cannot be written: {_reason(error)}") from error
    screen.say(f"the conversation is in {name}")


async def import_(screen: "ChatScreen", name: str) -> None:
    """Read a conversation from a file."""
    if not name:
        raise InvalidInput("/import needs the name of a file")
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"{name!r} cannot be read: {_reason(error)}") from error
    await screen.open(from_json(screen.store, text))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
