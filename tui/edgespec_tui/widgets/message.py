"""One message of the conversation, whoever said it."""

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from edgespec.store.records import StoredMessage
from edgespec_tui.bindings import message_bindings


class Place(Static):
    """Which of a message's alternatives it is, as in ‹ 2/3 ›; a click on an arrow shows another."""

    def on_click(self, event: events.Click) -> None:
        """A click is as good as the key."""
        way = "previous" if event.x < self.size.width / 2 else "next"
        self.screen.call_later(self.screen.run_action, f"do('{way}')")


class MessageView(Vertical, can_focus=True):
    """A message with who said it; `place` is (2, 3) for the second of three alternatives."""

    HELP = """
    ## A message

    **Up** and **Down** go from message to message, **Esc** back to where you type.
    **Left** and **Right** show the alternatives of an edited or regenerated message.
    """
    BINDINGS = [
        *message_bindings(),
        Binding("up,k", "screen.focus_message(-1)", "Message before", show=False),
        Binding("down,j", "screen.focus_message(1)", "Message after", show=False),
    ]

    def __init__(self, message: StoredMessage, place: tuple[int, int], speaker: str) -> None:
        super().__init__()
        self.message = message
        self._place = place
        self._speaker = speaker

    def compose(self) -> ComposeResult:
        yield self._head()

    async def show_place(self, place: tuple[int, int]) -> None:
        """Tell which alternative this is."""
        if place != self._place:
            self._place = place
            await self.query(".head").remove()
            await self.mount(self._head(), before=0)

    def _head(self) -> Widget:
        at, count = self._place
        speaker = Static(self._speaker, classes="head speaker", markup=False)
        if count == 1:
            return speaker
        place = Place(f"‹ {at}/{count} ›", classes="place", markup=False)
        return Horizontal(speaker, place, classes="head")
