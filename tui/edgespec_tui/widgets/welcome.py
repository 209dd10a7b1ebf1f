"""What an empty conversation shows: where one is and what can be done."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from edgespec.cli.output import printable

_KEYS = (
    ("Enter", "sends"),
    ("Ctrl+J", "begins a new line"),
    ("/", "lists the commands"),
    ("Ctrl+P", "finds anything"),
    ("Ctrl+B", "earlier chats"),
    ("F1", "help"),
)
_TOY = (
    "nano is a toy, so that all this works without a download: it knows Python's standard library "
    "and nothing else. F3 lists the models that suit this machine and gets the one you choose; "
    "/pull hf:owner/repository gets any other."
)


class Welcome(Vertical):
    """Shown until something is said."""

    def compose(self) -> ComposeResult:
        yield Static()

    def show(self, model: str, description: str, *, toy: bool) -> None:
        """Introduce the model."""
        # libllama writes "?B" for sizes that it has no name for.
        known = "" if "?" in description else f", {printable(description)}"
        lines = [Content.styled("edgespec", "bold $primary"), Content(printable(model) + known)]
        lines.append(Content(""))
        lines += [Content.assemble((f"{key:>8}", "$accent"), f"  {text}") for key, text in _KEYS]
        if toy:
            lines += [Content(""), Content.styled(_TOY, "$muted")]
        self.query_one(Static).update(Content("\n").join(lines))
