"""What can be taken out of an answer: itself, its blocks of code, and it as a quotation."""

import re

from edgespec.thinking import divide

_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n(.*?)(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.M | re.S)


class BlockCursor:
    """Which block of code was copied last."""

    def __init__(self) -> None:
        self._message = 0
        self._at = 0

    def next(self, message: int, count: int) -> int:
        """The one to copy of `count`: the last, or the one before if that was copied."""
        again = message == self._message
        self._message, self._at = message, (self._at - 1) % count if again else count - 1
        return self._at


def code_blocks(text: str) -> list[str]:
    """The contents of the fenced blocks of a Markdown text."""
    return [found[2] for found in _FENCED.finditer(text)]


def quotation(text: str) -> str:
    """A message, without what was thought before it, to be replied to below."""
    lines = divide(text).answer.strip().splitlines()
    return "\n".join(f"> {line}".rstrip() for line in lines) + "\n\n"
