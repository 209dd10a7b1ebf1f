"""Actions on models."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from edgespec import attachments
from edgespec_tui.commands.settings import change

if TYPE_CHECKING:
    from edgespec_tui.screens.chat import ChatScreen


def models(screen: "ChatScreen", name: str) -> None:
    """Load another model, or open the list of them."""
    from edgespec.inventory import is_to_be_pulled
    from edgespec_tui.screens.models import ModelsScreen

    app = screen.chat_app

    def chosen(name: str | None) -> None:
        if name and is_to_be_pulled(name):
            pull(screen, name)
        elif name:
            change(screen, {"model": name, "drafter": ""})

    if name:
        chosen(name)
    else:
        current = app.loaded.pair.name if app.loaded else ""
        app.push_screen(ModelsScreen(current, screen.store.speed), chosen)


def names(_screen: "ChatScreen", begun: str) -> Iterable[str]:
    """What the models are called, and the files and folders that what was begun can become."""
    from edgespec.inventory import items  # Not at the top, see Loading.

    files = attachments.files(begun) if begun else ()
    return [
        *(item.name for item in items()),
        *(file for file in files if file.endswith(("/", ".gguf", ".onnx"))),
    ]


def pull(screen: "ChatScreen", name: str) -> None:
    """Get a model from the Hub in the background; without a name, stop what is being pulled."""
    screen.chat_app.pull(name)


def absent(_screen: "ChatScreen", _begun: str) -> Iterable[str]:
    """What the models are called that are not here, or not all of them."""
    from edgespec.inventory import items

    return [item.name for item in items() if not item.present]
