"""Token bytes to text that is certain: no broken characters, no half of a stop string."""

import codecs
from collections.abc import Sequence


class TextStream:
    """Turns the bytes of successive tokens into text pieces, up to the first stop string."""

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stops = tuple(text for text in stop if text)
        self._held = ""
        self.stopped = False
        """True once a stop string was seen; what follows it is dropped."""

    def push(self, data: bytes) -> str:
        """The text that became certain with `data`."""
        return self._release(self._decode(data))

    def finish(self) -> str:
        """The rest: an incomplete character becomes U+FFFD, a half stop string is text."""
        piece = self._release(self._decode(b"", True)) + self._held
        self._held = ""
        return piece

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        # The one that is complete first counts: else the cut would depend on the tokens' edges.
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)[1]]
        kept = len(text) - self._possible_stop(text)
        self._held = text[kept:]
        return text[:kept]

    def _possible_stop(self, text: str) -> int:
        """Length of the longest suffix of `text` that could grow into a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        return next(
            (
                size
                for size in range(min(longest, len(text)), 0, -1)
                if any(stop.startswith(text[-size:]) for stop in self._stops)
            ),
            0,
        )
