"""An answer of the model, complete or still growing."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widgets import Static

from edgespec.cli.output import printable
from edgespec.live import describe
from edgespec.store.records import StoredMessage
from edgespec.thinking import Parts, divide
from edgespec_tui.widgets.message import MessageView
from edgespec_tui.widgets.origins import Origins, Run
from edgespec_tui.widgets.prose import Prose
from edgespec_tui.widgets.thought import Thought


class AnswerView(MessageView):
    """What the model thought, folded, what it answered, and what that cost.

    Parts with nothing in them are not mounted: conversations are long, and each widget costs time.
    """

    def __init__(
        self, message: StoredMessage, place: tuple[int, int], *, growing: bool = False
    ) -> None:
        model = message.facts.get("model", "Assistant")
        super().__init__(message, place, printable(str(model)))
        self._growing = growing
        self._raw = message.text
        self._thought: Thought | None = None
        self._prose = Prose(divide(message.text).answer, growing=growing)
        self._origins: Origins | None = None
        self.runs: Sequence[Run] = message.facts.get("runs", ())
        """Where the text came from."""

    def compose(self) -> ComposeResult:
        yield from super().compose()
        parts = divide(self._raw)
        if parts.thought or (parts.open and self._growing):
            self._thought = Thought(parts.thought, open_=parts.open and self._growing)
            yield self._thought
        yield self._prose
        if not self._growing:
            yield from self._foot()

    async def on_mount(self) -> None:
        if self.screen.has_class("-origins"):
            await self.show_origins(True)

    async def feed(self, piece: str) -> None:
        """Show more of it."""
        before, self._raw = divide(self._raw), self._raw + piece
        if self._origins and self._origins.display:
            self._origins.show(self._raw, self.runs)
        if "think>" not in self._raw:
            await self._prose.feed(piece)
            return
        parts = divide(self._raw)
        await self._think(parts)
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
        if self._thought:
            self._thought.show(divide(message.text).thought, open_=False)
        self.message, self._growing = message, False
        await self.mount_all(self._foot())

    async def show_origins(self, shown: bool) -> None:
        """Show where each token came from, in place of the Markdown."""
        if shown and not self._origins:
            self._origins = Origins()
            await self.mount(self._origins, after=self._prose)
        if self._origins:
            self._origins.display, self._prose.display = shown, not shown
            if shown:
                self._origins.show(self._raw, self.runs)

    def toggle_thought(self) -> None:
        """Fold or unfold what the model thought."""
        if self._thought:
            self._thought.toggle()

    async def _think(self, parts: Parts) -> None:
        if self._thought:
            self._thought.show(parts.thought, open_=parts.open)
        elif parts.thought or parts.open:
            self._thought = Thought(parts.thought, open_=parts.open)
            await self.mount(self._thought, before=self._prose)

    def _foot(self) -> ComposeResult:
        if text := describe(self.message.facts):
            yield Static(text, classes="foot", markup=False)
