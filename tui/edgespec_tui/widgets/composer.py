"""Where the user types: several lines, sent by Enter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.widgets import TextArea

from edgespec.cli.output import printable

SEND, NEWLINE = "enter", "ctrl+j,shift+enter,alt+enter"
"""The usual keys, as bindings are written."""

_LARGE = 10_000
"""Characters of a pasted text from which on a mark stands for it."""


class Composer(TextArea):
    """Several lines of text. A large pasted text stands there as a mark until it is sent.

    While `completing`, the keys that choose among completions are passed on as Choose.
    """

    HELP = """
    ## Your message

    **Enter** sends it; **Ctrl+J**, **Shift+Enter** or **Alt+Enter** begin a new line. **Up** in the
    first line brings back what you sent before, **PgUp** and **PgDn** scroll the conversation.
    Pasting never sends. A message that begins with **/** is a command.
    """

    BINDINGS = [
        Binding("pageup", "screen.page(-1)", "Scroll up", show=False),
        Binding("pagedown", "screen.page(1)", "Scroll down", show=False),
    ]

    @dataclass
    class Submitted(Message):
        """The user sends `text`."""

        text: str

    @dataclass
    class Choose(Message):
        """The user pressed up, down, tab, enter or escape while completions are shown."""

        key: str

    def __init__(self) -> None:
        super().__init__(
            soft_wrap=True,
            show_line_numbers=False,
            tab_behavior="focus",
            compact=True,
            highlight_cursor_line=False,
            placeholder="Message, or / for commands",
        )
        self.completing = False
        self.use(SEND, NEWLINE)
        self._look_up: Callable[[], Sequence[str]] = tuple
        self._history: Sequence[str] | None = None
        self._at = -1
        self._draft = ""
        self._pasted: dict[str, str] = {}

    @property
    def content(self) -> str:
        """The text with what its marks stand for."""
        text = self.text
        for mark, pasted in self._pasted.items():
            text = text.replace(mark, pasted)
        return text

    def use(self, send: str, newline: str) -> None:
        """The keys that send, and that begin a new line."""
        # No bindings: those are looked up before the letters typed ahead of them have arrived.
        self._send, self._newline = send.split(","), newline.split(",")

    def recall_from(self, look_up: Callable[[], Sequence[str]]) -> None:
        """Where to find what was sent before, the newest first, once somebody wants it."""
        self._look_up = look_up

    def set(self, text: str) -> None:
        """Replace the text."""
        self._pasted.clear()
        self.load_text("")
        self.add(text)

    def add(self, text: str) -> None:
        """Put `text` where the cursor is; control characters in it become visible ones."""
        result = self.insert(self._mark(text) if len(text) >= _LARGE else printable(text))
        self.move_cursor(result.end_location)

    def submit(self) -> None:
        """Send the text, unless there is none."""
        if text := self.content.strip():
            self.set("")
            self._at, self._history = -1, None
            self.post_message(self.Submitted(text))

    def complete(self, length: int, text: str) -> None:
        """Put `text` in place of the `length` characters before the cursor."""
        row, column = self.cursor_location
        result = self.replace(text, (row, column - length), (row, column))
        self.move_cursor(result.end_location)

    async def _on_key(self, event: events.Key) -> None:
        first, last = self.cursor_location[0] == 0, self.cursor_at_last_line
        if self.completing and event.key in ("up", "down", "tab", "enter", "escape"):
            self.post_message(self.Choose(event.key))
        elif event.key in self._send:
            self.submit()
        elif event.key in self._newline:
            self._replace_via_keyboard("\n", *self.selection)
        elif event.key == "up" and first and self._at + 1 < len(self._sent):
            self._recall(self._at + 1)
        elif event.key == "down" and last and self._at >= 0:
            self._recall(self._at - 1)
        else:
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        # Textual calls the handlers of all base classes as well.
        event.stop()
        event.prevent_default()
        self.add(event.text.replace("\r\n", "\n").replace("\r", "\n"))

    @property
    def _sent(self) -> Sequence[str]:
        if self._history is None:
            self._history = self._look_up()
        return self._history

    def _recall(self, at: int) -> None:
        if self._at < 0:
            self._draft = self.content
        self._at = at
        self.set(self._draft if at < 0 else self._sent[at])

    def _mark(self, text: str) -> str:
        mark = f"[pasted text {len(self._pasted) + 1}: {len(text):,} characters]"
        self._pasted[mark] = text
        return mark
