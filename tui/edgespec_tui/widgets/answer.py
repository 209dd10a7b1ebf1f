"""An answer of the model, complete or still growing."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widgets import Static

from edgespec.cli.output import printable
from edgespec.live import describe
from edgespec.store.records import StoredMessage
from edgespec.thinking import divide
from edgespec_tui.widgets.message import MessageView
from edgespec_tui.widgets.origins import Origins, Run
from edgespec_tui.widgets.prose import Prose
from edgespec_tui.widgets.thought import Thought


class AnswerView(MessageView):
    """What the model thought, folded, what it answered, and what that cost."""

    def __init__(
        self, message: StoredMessage, place: tuple[int, int], *, growing: bool = False
    ) -> None:
        model = message.facts.get("model", "Assistant")
        super().__init__(message, place, printable(str(model)))
        self._growing = growing
        self._raw = message.text
        parts = divide(message.text)
        self._thought = Thought(parts.thought, open_=parts.open and growing)
        self._prose = Prose(parts.answer, growing=growing)
        self._origins = Origins()
        self._origins.display = False
        self._foot = Static(classes="foot", markup=False)
        self.runs: Sequence[Run] = message.facts.get("runs", ())
        """Where the text came from."""

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield self._thought
        yield self._prose
        yield self._origins
        yield self._foot

    def on_mount(self) -> None:
        self._show_facts()
        if self.screen.has_class("-origins"):
            self.show_origins(True)

    async def feed(self, piece: str) -> None:
        """Show more of it."""
        before, self._raw = divide(self._raw), self._raw + piece
        if self._origins.display:
            self._origins.show(self._raw, self.runs)
        if "think>" not in self._raw:
            await self._prose.feed(piece)
            return
        parts = divide(self._raw)
        self._thought.show(parts.thought, open_=parts.open)
        if parts.answer.startswith(before.answer):
            await self._prose.feed(parts.answer[len(before.answer) :])
        else:
            # What seemed to be the answer was a thought.
            old, self._prose = self._prose, Prose(parts.answer, growing=True)
            self._prose.display = old.display
            await self.mount(self._prose, after=old)
            await old.remove()

    async def finish(self, message: StoredMessage) -> None:
        """It is complete, and `message` is what is kept of it."""
        await self._prose.finish()
        self._thought.show(divide(message.text).thought, open_=False)
        self.message, self._growing = message, False
        self._show_facts()

    def show_origins(self, shown: bool) -> None:
        """Show where each token came from, in place of the Markdown."""
        self._origins.display, self._prose.display = shown, not shown
        if shown:
            self._origins.show(self._raw, self.runs)

    def toggle_thought(self) -> None:
        """Fold or unfold what the model thought."""
        self._thought.toggle()

    def _show_facts(self) -> None:
        text = "" if self._growing else describe(self.message.facts)
        self._foot.update(text)
        self._foot.display = bool(text)
