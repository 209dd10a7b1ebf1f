"""A part of an answer's Markdown."""

from functools import cache

from markdown_it import MarkdownIt
from textual.content import Content
from textual.widgets import Markdown
from textual.widgets.markdown import MarkdownFence


class _Code(MarkdownFence):
    """Code; where nobody said in which language, none is guessed, since that takes too long."""

    @classmethod
    def highlight(cls, code: str, language: str, ansi: bool = False, dark: bool = False) -> Content:
        """`code` in colours."""
        return super().highlight(code, language or "text", ansi, dark)


class Segment(Markdown):
    """Markdown whose links are not opened."""

    BLOCKS = {**Markdown.BLOCKS, "fence": _Code, "code_block": _Code}

    def __init__(self, text: str) -> None:
        super().__init__(text, open_links=False, parser_factory=_parser)


@cache
def _parser() -> MarkdownIt:
    """One for all segments: to make it takes as long as to read a page.

    Addresses in plain text are not made links, which could not be opened.
    """
    parser = MarkdownIt("gfm-like", {"linkify": False})
    parser.parse("*a*")  # It collects its rules on first use, which threads must not do at once.
    return parser
