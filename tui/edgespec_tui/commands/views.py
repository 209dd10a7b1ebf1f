"""Actions on what is shown, and on how."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgespec.errors import EdgespecError, InvalidInput

if TYPE_CHECKING:
    from edgespec_tui.screens.chat import ChatScreen


def chats(screen: "ChatScreen", _: str) -> None:
    """Show or hide the list of conversations."""
    from edgespec_tui.widgets.sidebar import Sidebar

    sidebar = screen.query_one(Sidebar)
    if sidebar.display:
        sidebar.hide()
        screen.action_focus_composer()
    else:
        sidebar.show(screen.talk.id)


def thought(screen: "ChatScreen", _: str) -> None:
    """Fold or unfold a thought."""
    from edgespec_tui.widgets.answer import AnswerView

    views = screen.query(AnswerView)
    if isinstance(screen.focused, AnswerView):
        screen.focused.toggle_thought()
    elif views:
        views.last().toggle_thought()


def hardware(screen: "ChatScreen", _: str) -> None:
    """Show or hide what the hardware does."""
    from edgespec_tui.widgets.hardware import Hardware

    panel = screen.query_one(Hardware)
    panel.display = not panel.display
    screen.call_after_refresh(panel.show, screen.writer.live)


def origins(screen: "ChatScreen", _: str) -> None:
    """Show or hide where the tokens came from."""
    from edgespec_tui.widgets.answer import AnswerView

    screen.toggle_class("-origins")
    for view in screen.query(AnswerView):
        view.show_origins(screen.has_class("-origins"))


def palette(screen: "ChatScreen", _: str) -> None:
    """Open the command palette."""
    screen.app.action_command_palette()


def show_help(screen: "ChatScreen", _: str) -> None:
    """Open the help on the focused part."""
    screen.chat_app.action_explain()


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


def settings(screen: "ChatScreen", _: str) -> None:
    """Open the settings; what was changed is kept and takes effect."""
    from edgespec_tui.screens.settings import SettingsScreen

    app = screen.chat_app

    def changed(changes: dict[str, Any] | None) -> None:
        if changes:
            _change(screen, changes)

    app.push_screen(SettingsScreen(app.settings, sorted(app.available_themes)), changed)


def key(screen: "ChatScreen", argument: str) -> None:
    """Give an action other keys, or its usual ones."""
    from edgespec_tui.keys import keymap, named

    name, _, wanted = argument.partition(" ")
    screen.chat_app.change_key(name, wanted.replace(" ", ""))
    screen.say(f"{name}: {named(keymap(screen.chat_app.settings.keys)[name])}")


def keys(_screen: "ChatScreen", _begun: str) -> Iterable[str]:
    """What has keys."""
    from edgespec_tui.keys import keymap

    return keymap({})


def models(screen: "ChatScreen", name: str) -> None:
    """Load another model, or open the list of them."""
    from edgespec.inventory import is_to_be_pulled
    from edgespec_tui.screens.models import ModelsScreen

    app = screen.chat_app

    def chosen(name: str | None) -> None:
        if name and is_to_be_pulled(name):
            pull(screen, name)
        elif name:
            _change(screen, {"model": name, "drafter": ""})

    if name:
        chosen(name)
    else:
        current = app.loaded.pair.name if app.loaded else ""
        app.push_screen(ModelsScreen(current, screen.store.speed), chosen)


def pull(screen: "ChatScreen", name: str) -> None:
    """Get a model from the Hub in the background; without a name, stop what is being pulled."""
    screen.chat_app.pull(name)


def open_whole(screen: "ChatScreen", _: str) -> None:
    """Show a message in the user's editor."""
    from edgespec.editor import edit

    path = screen.talk.path()
    message = screen.focused_message or (path[-1] if path else None)
    if message is None:
        raise InvalidInput("nothing was said yet")
    with screen.app.suspend():
        edit(message.text)
    screen.app.refresh()


def editor(screen: "ChatScreen", _: str) -> None:
    """Let the user write the message in an editor."""
    from edgespec.editor import edit

    with screen.app.suspend():
        text = edit(screen.entry.text)
    screen.entry.put(text)
    screen.app.refresh()


async def leave(screen: "ChatScreen", _: str) -> None:
    """Leave."""
    await screen.app.action_quit()


def _change(screen: "ChatScreen", changes: dict[str, Any]) -> None:
    """Change settings, for good; an answer does not go on with others."""
    screen.writer.stop()
    try:
        screen.chat_app.change(**changes)
    except EdgespecError as error:
        screen.complain(error)
