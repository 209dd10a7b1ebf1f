"""The messages of a conversation, the newest at the bottom."""

from collections.abc import Sequence

from textual.containers import VerticalScroll

from edgespec.messages import Role
from edgespec.store.records import StoredMessage
from edgespec.store.tree import MessageTree
from edgespec_tui.widgets.answer import AnswerView
from edgespec_tui.widgets.message import MessageView
from edgespec_tui.widgets.said import SaidView

_LEAST = 3
"""Messages mounted, however long they are."""
_MORE = 16
"""Messages that come when the user scrolls up to them."""


class Transcript(VerticalScroll, can_focus=False):
    """Shows the path through a tree; of a long one, its end, until somebody scrolls up."""

    def __init__(self) -> None:
        super().__init__()
        self._earlier: list[StoredMessage] = []
        self._tree = MessageTree()
        self._growing: StoredMessage | None = None
        self._growing_up = False

    @property
    def views(self) -> list[MessageView]:
        """The messages that are mounted, the oldest first."""
        return [child for child in self.children if isinstance(child, MessageView)]

    async def show(
        self, tree: MessageTree, growing: StoredMessage | None, focus: int | None = None
    ) -> None:
        """Show another path, keeping what it shares with the one shown.

        `growing` is the message that is being written; `focus` is the one to focus.
        """
        self._tree, self._growing = tree, growing
        path = tree.path()
        start = len(path) - self._needed(path)
        wanted, self._earlier = path[start:], path[:start]
        with self.app.batch_update():
            kept = await self._keep(wanted)
            await self.mount_all(self._view(message) for message in wanted[kept:])
        self.anchor()
        self.call_after_refresh(self._fill)
        if focus is not None:
            self.focus_view(focus)

    async def _keep(self, wanted: Sequence[StoredMessage]) -> int:
        """Remove what is not wanted; how many of those wanted are shown already."""
        views = self.views
        first = next((n for n, v in enumerate(views) if v.message is wanted[0]), 0) if wanted else 0
        kept = 0
        for view, message in zip(views[first:], wanted, strict=False):
            if view.message is not message:
                break
            await view.show_place(self._tree.siblings(message.id))
            kept += 1
        await self.remove_children([*views[:first], *views[first + kept :]])
        return kept

    def _needed(self, path: Sequence[StoredMessage]) -> int:
        """How many messages from the end fill the screen, even if they turn out to be shorter."""
        width, enough = max(self.app.size.width - 4, 20), 3 * self.app.size.height // 2
        lines = 0
        for count, message in enumerate(reversed(path), 1):
            lines += 3 + message.text.count("\n") + len(message.text) // width
            if lines >= enough and count >= _LEAST:
                return count
        return len(path)

    def focus_view(self, message: int) -> None:
        """Focus a message that is shown."""
        for view in self.views:
            if view.message.id == message:
                view.focus()

    def on_resize(self) -> None:
        """There may be room for more."""
        self.call_after_refresh(self._fill)

    async def _fill(self) -> None:
        """Where there is nothing to scroll, nobody could ask for what was before."""
        if self._earlier and self.is_attached and self.max_scroll_y == 0:
            await self._mount_earlier()
            self.anchor()
            self.call_after_refresh(self._fill)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Whoever comes near the top wants to see what was before it."""
        super().watch_scroll_y(old_value, new_value)
        near = new_value < self.size.height and new_value < old_value
        if near and self._earlier and not self._growing_up:
            self._growing_up = True
            self.call_after_refresh(self.show_earlier)

    def page(self, by: int) -> None:
        """Scroll by a screenful."""
        self.scroll_relative(y=by * self.scrollable_content_region.height, animate=False)

    async def show_earlier(self) -> None:
        """Mount the messages before those that are shown, without moving what is seen."""
        if self.is_vertical_scroll_end:  # A layout has moved it, and not the user.
            self.anchor()
            self._growing_up = False
            return
        before = self.virtual_size.height
        await self._mount_earlier()

        def keep_place() -> None:
            grown = self.virtual_size.height - before
            self.scroll_to(y=self.scroll_y + grown, animate=False, immediate=True)
            self._growing_up = False

        self.call_after_refresh(keep_place)

    async def _mount_earlier(self) -> None:
        batch, self._earlier = self._earlier[-_MORE:], self._earlier[:-_MORE]
        await self.mount_all([self._view(message) for message in batch], before=0)

    def neighbour(self, view: MessageView | None, by: int) -> MessageView | None:
        """The message `by` places after `view`; None past the end."""
        views: Sequence[MessageView] = self.views
        if view is None or view not in views:
            return views[-1] if views else None
        at = views.index(view) + by
        return views[at] if 0 <= at < len(views) else None

    def _view(self, message: StoredMessage) -> MessageView:
        place = self._tree.siblings(message.id)
        if message.role is Role.USER:
            return SaidView(message, place)
        return AnswerView(message, place, growing=message is self._growing)
