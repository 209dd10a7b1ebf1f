"""Markdown in segments of bounded length, so that a long answer never costs more to go on."""

import re
from dataclasses import dataclass

_SOFT, _HARD = 30, 120
"""Lines after which a segment ends at the next empty line, or wherever it is."""
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


@dataclass(slots=True)
class Segmenter:
    """Where a growing text is: how many lines its last segment has, and in which fence."""

    _lines: int = 0
    _fence: str = ""
    _mark: str = ""

    @property
    def in_fence(self) -> bool:
        """Whether what comes next is code."""
        return bool(self._mark)

    def push(self, lines: list[str]) -> list[str]:
        """Cut whole lines, with their ends, into what goes to the last segment and to new ones.

        A fence that is cut is closed, and opened again in the next segment.
        """
        parts = [""]
        for line in lines:
            if self._full(line):
                if self._mark:
                    parts[-1] += f"{self._mark}\n"
                parts.append(f"{self._fence}\n" if self._mark else "")
                self._lines = 0
            parts[-1] += line
            self._lines += 1
            self._follow(line)
        return parts

    def _full(self, line: str) -> bool:
        loose = not self._mark and not line.strip()
        return self._lines >= (_SOFT if loose else _HARD)

    def _follow(self, line: str) -> None:
        found = _FENCE.match(line.rstrip("\r\n"))
        if not found:
            return
        mark, info = found.groups()
        if not self._mark and "`" not in info:
            self._mark, self._fence = mark, mark + info
        elif self._mark and mark.startswith(self._mark) and not info.strip():
            self._mark = self._fence = ""


def segments(text: str) -> list[str]:
    """The segments of a whole text."""
    return Segmenter().push(text.splitlines(keepends=True))
