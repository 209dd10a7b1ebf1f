"""The line at the top: which conversation, and which model."""

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from edgespec.cli.output import printable


class Heading(Horizontal):
    """The conversation's title on the left, the model on the right."""

    def compose(self) -> ComposeResult:
        yield Static("New chat", id="title", markup=False)
        yield Static(id="model", markup=False)

    def show(self, title: str, model: str) -> None:
        """Change both."""
        self.query_one("#title", Static).update(printable(title) or "New chat")
        self.query_one("#model", Static).update(printable(model))
