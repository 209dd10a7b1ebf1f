"""The place for input: the composer, and what may complete what is typed there."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import TextArea

from edgespec.attachments import describe, expand, mentioned
from edgespec.cli.output import printable
from edgespec.errors import InvalidInput
from edgespec.store.records import StoredMessage
from edgespec_tui.action import Action
from edgespec_tui.actions import BY_WORD
from edgespec_tui.widgets.composer import Composer
from edgespec_tui.widgets.suggestions import Suggestions, suggest

if TYPE_CHECKING:
    from edgespec_tui.screens.chat import ChatScreen


class Entry(Vertical):
    """Tells messages from commands, and puts the files that a message mentions behind it."""

    @dataclass
    class Said(Message):
        """The user sends a message, beside the one that is `edited`, if any."""

        text: str
        edited: StoredMessage | None = None

    @dataclass
    class Commanded(Message):
        """The user gives a command; `action` is None if there is none of that name."""

        word: str
        action: Action | None
        argument: str

    def __init__(self) -> None:
        super().__init__()
        self._edited: StoredMessage | None = None
        self._set_aside = ""

    def compose(self) -> ComposeResult:
        yield Suggestions()
        yield Composer()

    @property
    def composer(self) -> Composer:
        """Where the user types."""
        return self.query_one(Composer)

    @property
    def text(self) -> str:
        """What is typed there."""
        return self.composer.content

    def use(self, keymap: Mapping[str, str]) -> None:
        """The keys for what is done here."""
        self.composer.use(keymap["send"], keymap["newline"])

    def put(self, text: str) -> None:
        """Replace what is typed there, and go there."""
        self.composer.set(text)
        self.composer.focus()

    def insert(self, text: str) -> None:
        """Add to what is typed there, and go there."""
        self.composer.add(text)
        self.composer.focus()

    def edit(self, message: StoredMessage) -> None:
        """Let the user write `message` anew; what is typed there waits until that is done."""
        if self._edited is None:
            self._set_aside = self.text
        self._edited = message
        self.put(message.text)

    def leave_edit(self, since: str = "") -> None:
        """Nothing is edited any more: what waited is there again, before what was typed `since`."""
        if self._edited:
            self._edited = None
            self.composer.set(self._set_aside + since)

    def take_back(self, said: "Entry.Said") -> None:
        """What cannot be sent now is typed again."""
        if said.edited:
            self.edit(said.edited)
        self.put(said.text)

    @on(TextArea.Changed)
    @on(TextArea.SelectionChanged)
    def _typed(self) -> None:
        composer = self.composer
        row, column = composer.cursor_location
        before = composer.document.get_line(row)[:column]
        found = suggest(composer.text, before, self._choices)
        composer.completing = self.query_one(Suggestions).offer(found)
        self._show_cost(composer.text)

    def _choices(self, action: Action, begun: str) -> Iterable[str]:
        return action.choices(cast("ChatScreen", self.screen), begun)

    @on(Composer.Choose)
    def _chosen(self, event: Composer.Choose) -> None:
        event.stop()
        offered = self.query_one(Suggestions)
        if not offered.display:  # What was typed since fits nothing any more.
            if event.key == "enter":
                self.composer.submit()
            return
        if event.key in ("up", "down"):
            offered.move(1 if event.key == "down" else -1)
            return
        chosen = offered.chosen
        offered.display = self.composer.completing = False
        if event.key == "enter" and chosen.action and not chosen.action.needs_argument:
            self.composer.set("")
            self.post_message(self.Commanded(chosen.action.word, chosen.action, ""))
        elif event.key != "escape":
            self.composer.complete(len(chosen.typed), chosen.text)

    def _show_cost(self, text: str) -> None:
        """Say what the files that are mentioned will cost."""
        parts = [describe(path) for path in mentioned(text)] if "@" in text else []
        self.composer.border_subtitle = Content(printable(" · ".join(parts)))

    @on(Composer.Submitted)
    def _submitted(self, event: Composer.Submitted) -> None:
        event.stop()
        word, *rest = event.text.split(maxsplit=1)
        if re.fullmatch("/[a-z]*", word):
            self.post_message(self.Commanded(word, BY_WORD.get(word[1:]), "".join(rest)))
            return
        try:
            text = expand(event.text)
        except InvalidInput as error:
            self.put(event.text)
            self.notify(str(error), severity="error", markup=False)
            return
        edited = self._edited
        self.leave_edit(since=self.text)
        self.post_message(self.Said(text, edited))
