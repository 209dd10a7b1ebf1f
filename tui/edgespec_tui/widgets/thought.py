"""What a model thought before it answered: one line, until somebody wants to read it."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from edgespec.cli.output import printable


class Thought(Vertical):
    """Folded at first; a click or t unfolds it. Without a thought it takes no room."""

    def __init__(self, text: str = "", *, open_: bool = False) -> None:
        super().__init__()
        self._text = text
        self._open = open_
        self._title = Static(classes="title", markup=False)
        self._body = Static(classes="thought")
        self._body.display = False

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._body

    def on_mount(self) -> None:
        self.show(self._text, open_=self._open)

    def show(self, text: str, *, open_: bool) -> None:
        """Put `text` here; `open_` while the model still thinks."""
        self._text, self._open = text, open_
        self.display = bool(text) or open_
        words = len(text.split())
        fold = "▾" if self._body.display else "▸"
        what = "Thinking …" if open_ else "Thought"
        self._title.update(f"{fold} {what} {words} word{'s' * (words != 1)}")
        if self._body.display:
            self._body.update(Content(printable(text)))

    def toggle(self) -> None:
        """Fold or unfold it."""
        self._body.display = not self._body.display
        self.show(self._text, open_=self._open)

    def on_click(self) -> None:
        """A click is as good as the key."""
        self.toggle()
