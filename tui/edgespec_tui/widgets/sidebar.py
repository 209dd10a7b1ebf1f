"""The list of conversations, with a search over all that was said."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from edgespec.cli.output import printable
from edgespec.store.records import Summary
from edgespec.store.store import Store

_MINUTE, _DAY = 60, 24 * 3600
_LISTED, _FOUND = 1000, 200
"""Conversations listed, and found by a search, at most."""
_PAGE = 40
"""Conversations that are added at once."""


class Sidebar(Vertical):
    """Lists the conversations that have what is typed above them."""

    HELP = """
    ## Conversations

    Type to search in all that was said; **Enter** opens the first one found. **Down** goes to the
    list, where **Enter** opens a conversation, **r** renames it and **d** deletes it; **u** brings
    back the one that was deleted last. **Esc** goes back to your message.
    """
    BINDINGS = [
        Binding("escape", "screen.focus_composer", "Back", show=False),
        Binding("down", "choose_first", "To the list", show=False),
    ]

    @dataclass
    class Opened(Message):
        """The user wants to see a conversation."""

        conversation: int

    @dataclass
    class Deleted(Message):
        """The user wants to get rid of a conversation."""

        conversation: int

    @dataclass
    class Renamed(Message):
        """The user wants to call a conversation something else."""

        conversation: int

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._current: int | None = None

    def compose(self) -> ComposeResult:
        yield Input(placeholder="Search", compact=True)
        yield Conversations()

    def show(self, current: int | None) -> None:
        """Appear, ready for a search; `current` is the conversation that is open."""
        self.display = True
        self.screen.add_class("-chats")
        self.reload(current)
        self.query_one(Input).focus()

    def hide(self) -> None:
        """Give the room to the conversation."""
        self.display = False
        self.screen.remove_class("-chats")

    def reload(self, current: int | None) -> None:
        """Read the list again; `current` is the conversation that is open."""
        query = self.query_one(Input).value
        found = self._store.summaries(query, _FOUND if query else _LISTED)
        self.query_one(Conversations).show(found, current)
        self.border_subtitle = f"{len(found)}" if query else ""
        self._current = current

    @on(Input.Changed)
    def _search(self) -> None:
        self.reload(self._current)

    @on(Input.Submitted)
    def _open_first(self) -> None:
        options = self.query_one(Conversations)
        if options.option_count:
            self.post_message(self.Opened(int(options.get_option_at_index(0).id or 0)))

    def action_choose_first(self) -> None:
        """Go to the list."""
        options = self.query_one(Conversations)
        if options.option_count:
            options.highlighted = 0
            options.focus()

    @on(OptionList.OptionSelected)
    def _open(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id:
            self.post_message(self.Opened(int(event.option_id)))


class Conversations(OptionList):
    """The list itself. Of a long one, what is further down comes when somebody goes there."""

    BINDINGS = [
        Binding("r", "rename", "Rename"),
        Binding("d,delete", "remove", "Delete"),
        Binding("u", "screen.do('undo')", "Undo delete", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._summaries: list[Summary] = []
        self._open: int | None = None
        self._drawn = 0.0

    def show(self, summaries: list[Summary], open_: int | None) -> None:
        """List `summaries`; a mark is at the conversation `open_`."""
        before, self._open = self._open, open_
        if summaries == self._summaries and time.time() - self._drawn < _MINUTE:
            self._mark(before)
            self._mark(open_)
            return
        highlighted, count = self.highlighted, max(self.option_count, _PAGE)
        self._summaries, self._drawn = summaries, time.time()
        self.set_options(map(self._option, summaries[:count]))
        if highlighted is not None and summaries:
            self.highlighted = min(highlighted, self.option_count - 1)

    def watch_highlighted(self, highlighted: int | None) -> None:
        """Whoever comes near the end wants to see what follows."""
        super().watch_highlighted(highlighted)
        if highlighted is not None and highlighted >= self.option_count - 2:
            self._go_on()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The same."""
        super().watch_scroll_y(old_value, new_value)
        if new_value >= self.max_scroll_y > 0:
            self._go_on()

    def action_rename(self) -> None:
        """Give the highlighted conversation another title."""
        self._ask(Sidebar.Renamed)

    def action_remove(self) -> None:
        """Delete the highlighted conversation."""
        self._ask(Sidebar.Deleted)

    def _ask(self, kind: Callable[[int], Message]) -> None:
        if self.highlighted is not None:
            option = self.get_option_at_index(self.highlighted)
            self.post_message(kind(int(option.id or 0)))

    def _go_on(self) -> None:
        shown = self.option_count
        self.add_options(map(self._option, self._summaries[shown : shown + _PAGE]))

    def _mark(self, conversation: int | None) -> None:
        """Draw anew whether a conversation is the open one."""
        for index, summary in enumerate(self._summaries[: self.option_count]):
            if summary.id == conversation:
                self.replace_option_prompt_at_index(index, self._prompt(summary))

    def _option(self, summary: Summary) -> Option:
        return Option(self._prompt(summary), id=str(summary.id))

    def _prompt(self, summary: Summary) -> Content:
        title = printable(summary.title) or "Untitled"
        mark = "● " if summary.id == self._open else "  "
        lines = [Content.assemble((mark, "$primary"), title)]
        age = _age(time.time() - summary.updated)
        lines.append(Content.styled(f"  {printable(summary.excerpt) or age}", "$muted"))
        return Content("\n").join(lines)


def _age(seconds: float) -> str:
    if seconds < _MINUTE:
        return "now"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min ago"
    if seconds < _DAY:
        return f"{seconds / 3600:.0f} h ago"
    days = round(seconds / _DAY)
    return f"{days} day{'s' * (days != 1)} ago"
