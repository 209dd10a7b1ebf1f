"""The command palette: everything that can be done, and every conversation, by typing a part."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from edgespec.cli.output import printable
from edgespec_tui.action import Action
from edgespec_tui.actions import ACTIONS
from edgespec_tui.keys import keymap, named

if TYPE_CHECKING:
    from edgespec_tui.screens.chat import ChatScreen

_CONVERSATIONS = 5


class ActionProvider(Provider):
    """The table of actions."""

    async def discover(self) -> Hits:
        """All of them, in the table's order."""
        for action in ACTIONS:
            yield DiscoveryHit(self._title(action), self._command(action), help=action.help)

    async def search(self, query: str) -> Hits:
        """Those whose title or help has the letters of `query`."""
        matcher = self.matcher(query)
        for action in ACTIONS:
            title = self._title(action)
            score = max(matcher.match(title), matcher.match(action.help) / 2)
            if score > 0:
                command = self._command(action)
                yield Hit(score, matcher.highlight(title), command, title, action.help)

    def _title(self, action: Action) -> str:
        """What it is called, and its key."""
        keys = keymap(cast("ChatScreen", self.screen).chat_app.settings.keys)
        return f"{action.title} ({named(keys[action.id])})" if action.key else action.title

    def _command(self, action: Action) -> Callable[[], object]:
        screen = cast("ChatScreen", self.screen)
        if action.needs_argument:
            return partial(screen.entry.put, f"/{action.word} ")
        return partial(screen.do, action)


class ConversationProvider(Provider):
    """What was said before."""

    async def search(self, query: str) -> Hits:
        """The conversations in which the words of `query` occur."""
        screen = cast("ChatScreen", self.screen)
        for place, summary in enumerate(screen.store.summaries(query, _CONVERSATIONS)):
            title = printable(f"Chat: {summary.title}")
            command = partial(screen.open, summary.id)
            excerpt = printable(summary.excerpt) or None
            yield Hit(0.4 - place / 100, title.replace("[", r"\["), command, title, excerpt)
