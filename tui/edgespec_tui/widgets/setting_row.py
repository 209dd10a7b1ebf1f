"""One line of the settings, checked as it is typed."""

from collections.abc import Callable, Sequence
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, Static

from edgespec.cli.output import printable
from edgespec.errors import EdgespecError

Parse = Callable[[str], dict[str, Any]]
"""The changes of the settings that a text means. Raises EdgespecError."""


class SettingRow(Horizontal):
    """A name, what is typed beside it, and what that means or what is wrong with it.

    `usual` is shown where nothing is typed; `field` is the input's id.
    """

    class Typed(Message):
        """The text is another one."""

    def __init__(
        self,
        name: str,
        text: str,
        meaning: str,
        parse: Parse,
        *,
        usual: str = "",
        choices: Sequence[str] = (),
        field: str | None = None,
    ) -> None:
        super().__init__()
        self.text = text
        self.changes: dict[str, Any] = {}
        """What the text changes, if that is possible."""
        self._parse = parse
        self._before = text
        self._meaning = meaning
        self._note = meaning
        self.label = printable(name)
        suggester = SuggestFromList(choices) if choices else None
        self._input = Input(text, usual, suggester=suggester, compact=True, id=field)

    def compose(self) -> ComposeResult:
        yield Label(self.label, classes="key", markup=False)
        yield self._input
        yield Static(self._meaning, classes="note", markup=False)

    def check(self) -> None:
        """See what the text changes, or tell what is wrong with it."""
        self.changes = {}
        try:
            if self.text != self._before:
                self.changes = self._parse(self.text)
        except EdgespecError as error:
            self._explain(printable(str(error)))
        else:
            self._explain("")

    def _explain(self, problem: str) -> None:
        if self._note != (problem or self._meaning):
            self._note = problem or self._meaning
            note = self.query_one(".note", Static)
            note.update(self._note)
            note.set_class(bool(problem), "problem")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.text = event.value
        self.check()
        self.post_message(self.Typed())
