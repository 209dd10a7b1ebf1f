"""Actions on what is shown, and on how."""

from typing import TYPE_CHECKING

from edgespec.errors import InvalidInput

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


async def origins(screen: "ChatScreen", _: str) -> None:
    """Show or hide where the tokens came from."""
    from edgespec_tui.widgets.answer import AnswerView

    screen.toggle_class("-origins")
    for view in screen.query(AnswerView):
        await view.show_origins(screen.has_class("-origins"))


def palette(screen: "ChatScreen", _: str) -> None:
    """Open the command palette."""
    screen.app.action_command_palette()


def show_help(screen: "ChatScreen", _: str) -> None:
    """Open the help on the focused part."""
    screen.chat_app.action_explain()


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
