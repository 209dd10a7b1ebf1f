"""A message of the user, as it was typed."""

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from edgespec.cli.output import printable
from edgespec.store.records import StoredMessage
from edgespec_tui.widgets.message import MessageView

_LINES, _CHARACTERS = 40, 8000
"""How much of a long message is shown."""


class SaidView(MessageView):
    """Shows the beginning of a text, as far as anybody wants to scroll past it."""

    def __init__(self, message: StoredMessage, place: tuple[int, int]) -> None:
        super().__init__(message, place, "You")

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield Static(Content(shortened(self.message.text)), classes="said")


def shortened(text: str) -> str:
    """The beginning of `text`, and how much more there is."""
    shown = "\n".join(text[:_CHARACTERS].splitlines()[:_LINES])
    rest = len(text) - len(shown)
    more = f"\n… {rest:,} more characters; o opens it whole" if rest > 2 else ""
    return printable(shown) + more
