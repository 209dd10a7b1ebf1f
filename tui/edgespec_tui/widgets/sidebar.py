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

_DAY = 24 * 3600
_LISTED = 200


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
        yield Conversations(markup=False)

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
        self._current = current
        query = self.query_one(Input).value
        found = self._store.summaries(query, _LISTED)
        options = self.query_one(Conversations)
        now, highlighted = time.time(), options.highlighted
        options.set_options(
            Option(_prompt(summary, now, open_=summary.id == current), id=str(summary.id))
            for summary in found
        )
        if highlighted is not None and found:
            options.highlighted = min(highlighted, len(found) - 1)
        self.border_subtitle = f"{len(found)}" if query else ""

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
    """The list itself."""

    BINDINGS = [
        Binding("r", "rename", "Rename"),
        Binding("d,delete", "remove", "Delete"),
        Binding("u", "screen.do('undo')", "Undo delete", show=False),
    ]

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


def _prompt(summary: Summary, now: float, *, open_: bool) -> Content:
    title = printable(summary.title) or "Untitled"
    mark = "● " if open_ else "  "
    lines = [Content.assemble((mark, "$primary"), title)]
    detail = printable(summary.excerpt) if summary.excerpt else _age(now - summary.updated)
    lines.append(Content.styled(f"  {detail}", "$muted"))
    return Content("\n").join(lines)


def _age(seconds: float) -> str:
    if seconds < 60:
        return "now"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min ago"
    if seconds < _DAY:
        return f"{seconds / 3600:.0f} h ago"
    days = round(seconds / _DAY)
    return f"{days} day{'s' * (days != 1)} ago"
