"""Help: what the focused part is for, and every action with its key and command."""

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Markdown, Static

from edgespec_tui.action import Action
from edgespec_tui.actions import ACTIONS
from edgespec_tui.keys import ON_MESSAGE, named

_NOTE = "Single keys work on a message: Shift+Tab goes there. Commands are typed as messages."


class HelpScreen(ModalScreen[None]):
    """Closed by the key that opened it, or Esc."""

    BINDINGS = [Binding("escape,q", "dismiss", "Close"), Binding("f1", "dismiss", id="help")]

    def __init__(self, about: str, keymap: Mapping[str, str]) -> None:
        super().__init__()
        self._about = about
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "Help"
            dialog.border_subtitle = "Esc closes"
            if self._about:
                yield Markdown(self._about)
            yield Static(_NOTE, markup=False, classes="note")
            for action in ACTIONS:
                with Horizontal(classes="action"):
                    yield Static(_ways(action, self._keymap), classes="ways")
                    yield Static(action.help, markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()


def about(node: DOMNode | None) -> str:
    """The help text of a widget, or of what it is part of."""
    while node is not None:
        if text := getattr(node, "HELP", None):
            return "\n".join(line.strip() for line in text.splitlines())
        node = node.parent
    return ""


def _ways(action: Action, keymap: Mapping[str, str]) -> Content:
    """The keys and the command that do it."""
    names = (action.id, action.id + ON_MESSAGE)
    keys = "  ".join(named(keymap[name]) for name in names if name in keymap)
    command = action.usage if action.word else ""
    return Content.assemble(
        (keys, "$accent"), "  " if keys and command else "", (command, "$primary")
    )
