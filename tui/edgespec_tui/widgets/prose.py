"""An answer's text: Markdown that can grow while it is shown."""

import asyncio
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from edgespec.cli.output import printable
from edgespec_tui.segments import Segmenter

if TYPE_CHECKING:
    from textual.widgets import Markdown

_MOST, _MOST_GROWING = 24, 3
"""Segments that are shown at once; fewer while they are laid out again and again."""

_LONG = 1000
"""Characters from which on a line is laid out in parts."""

_SETTLE = 0.03


class Prose(Vertical):
    """Shows `text`, and what `feed` adds to it.

    Whole lines become Markdown, in segments; the line that is not complete stays plain text until
    it is. Of a very long text the segments in the middle are left out.
    """

    def __init__(self, text: str = "", *, growing: bool = False) -> None:
        super().__init__()
        self._growing = growing
        self._tail_height = 0
        self._segmenter = Segmenter()
        lines, self._pending = _split(printable(text)) if growing else (text, "")
        parts = self._segmenter.push(printable(lines).splitlines(keepends=True))
        self._hidden = sum(part.count("\n") for part in parts[_MOST:]) if not growing else 0
        self._parts = parts[-_MOST_GROWING:] if growing else parts[:_MOST]
        self._tail = Static(self._pending, classes="tail", markup=False)
        self._tail.display = bool(self._pending)

    def compose(self) -> ComposeResult:
        for part in self._parts:
            yield _segment(part)
        self._parts = []
        if self._growing:
            yield self._tail
        if self._hidden:
            yield Static(f"… {self._hidden} more lines; o opens it whole", classes="hidden")

    async def feed(self, text: str) -> None:
        """Add `text`."""
        with self.app.batch_update():
            await self._feed(text)
            # Blocks compose their parts later, and each time all would be laid out again.
            await asyncio.sleep(_SETTLE)

    async def _feed(self, text: str) -> None:
        lines, self._pending = _split(self._pending + printable(text))
        if len(self._pending) > _LONG and not self._segmenter.in_fence:
            lines, self._pending = _broken(lines + self._pending)
        if lines:
            here, *further = self._segmenter.push(lines.splitlines(keepends=True))
            if here:
                await self._segments()[-1].append(here)
            for part in further:
                await self.mount(_segment(part), before=self._tail)
            await self._prune()
        self._show_tail()

    async def finish(self) -> None:
        """Nothing more comes: the last line is complete, too."""
        if self._pending:
            await self.feed("\n")
        self._close_up()

    def on_mount(self) -> None:
        if not self._growing:
            self._close_up()

    def _close_up(self) -> None:
        """The last block needs no space below it.

        A rule in the stylesheet would be looked at for every block whenever one is added.
        """
        for segment in self._segments()[-1:]:
            for block in segment.children[-1:]:
                block.styles.margin = 0

    def _segments(self) -> "list[Markdown]":
        from textual.widgets import Markdown

        return list(self.query(Markdown))

    def _show_tail(self) -> None:
        # Laying out the whole screen for every few letters is what would cost the most.
        content = Content(self._pending)
        height = len(content.wrap(max(self.size.width, 1))) if self._pending else 0
        self._tail.update(content, layout=height != self._tail_height)
        self._tail_height = height
        self._tail.display = bool(self._pending)

    async def _prune(self) -> None:
        """While a long answer comes, its end matters."""
        shown = self._segments()
        for segment in shown[:-_MOST_GROWING]:
            self._hidden += segment.source.count("\n")
            await segment.remove()
        if len(shown) > _MOST_GROWING:
            await self.query(".hidden").remove()
            note = f"… {self._hidden} lines before; o opens it whole"
            await self.mount(Static(note, classes="hidden"), before=0)


def warm_up() -> None:
    """Load what the first answer needs to be shown, so that it need not wait for that."""
    from textual.highlight import highlight

    _segment("")
    highlight("pass", language="python")


def _broken(text: str) -> tuple[str, str]:
    """A paragraph that goes on and on, with a line's end near its own, where a space was.

    Markdown takes that for a space.
    """
    cut = text.rfind(" ", len(text) - _LONG // 2) + 1 or len(text)
    return text[:cut] + "\n", text[cut:]


def _segment(text: str) -> "Markdown":
    # Not at the top: its parser would delay the first picture.
    from edgespec_tui.widgets.segment import Segment

    return Segment(text)


def _split(text: str) -> tuple[str, str]:
    """The complete lines, and the rest."""
    cut = text.rfind("\n") + 1
    return text[:cut], text[cut:]
