"""Actions on settings."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgespec.errors import EdgespecError, InvalidInput
from edgespec.preferences import told

if TYPE_CHECKING:
    from edgespec_tui.screens.chat import ChatScreen


def settings(screen: "ChatScreen", _: str) -> None:
    """Open the settings; what was changed is kept and takes effect."""
    from edgespec_tui.screens.settings import SettingsScreen

    app = screen.chat_app

    def changed(changes: dict[str, Any] | None) -> None:
        if changes:
            change(screen, changes)

    app.preferences.read_presets()
    app.push_screen(SettingsScreen(app.settings, sorted(app.available_themes)), changed)


def change(screen: "ChatScreen", changes: dict[str, Any]) -> None:
    """Change settings, for good; an answer does not go on with others."""
    screen.writer.stop()
    try:
        screen.chat_app.change(**changes)
    except EdgespecError as error:
        screen.complain(error)


def theme(screen: "ChatScreen", name: str) -> None:
    """Change the colours, for good."""
    names = list(themes(screen, ""))
    if not name:
        name = names[(names.index(screen.app.theme) + 1) % len(names)]
    if name not in names:
        raise InvalidInput(f"there is no theme {name!r}", f"there are {', '.join(names)}")
    screen.app.theme = name
    screen.chat_app.change(theme=name)
    screen.say(f"theme {name}")


def themes(screen: "ChatScreen", _begun: str) -> Iterable[str]:
    """What the themes are called."""
    return sorted(screen.chat_app.available_themes)


def key(screen: "ChatScreen", argument: str) -> None:
    """Give an action other keys, or its usual ones."""
    from edgespec_tui.keys import check, keymap, named

    app = screen.chat_app
    name, _, wanted = argument.partition(" ")
    keys = wanted.replace(" ", "")
    check(name, keys, {other: its for other, its in app.settings.keys.items() if other != name})
    app.change(keys={name: keys})
    screen.say(f"{name}: {named(keymap(app.settings.keys)[name])}")


def keys(_screen: "ChatScreen", _begun: str) -> Iterable[str]:
    """What has keys."""
    from edgespec_tui.keys import keymap

    return keymap({})


def preset(screen: "ChatScreen", text: str) -> None:
    """Use one of the user's presets, or write one and use it."""
    preferences = screen.chat_app.preferences
    chosen = preferences.use_preset(text)
    if "system" in chosen:
        screen.talk.set_system(chosen["system"])
    screen.say(told(preferences.used, chosen))


def presets(screen: "ChatScreen", _begun: str) -> Iterable[str]:
    """What the user's presets are called."""
    return screen.chat_app.settings.presets
