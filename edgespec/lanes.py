"""Several continuations of one text in one context: where a drafter keeps its branches."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgespec.protocols import Context, Row, Saving


@dataclass(slots=True)
class _Lane:
    """One sequence. The first `agreed` tokens are known to be those of the current history."""

    sequence: int
    tokens: list[int] = field(default_factory=list)
    agreed: int = 0
    used: int = 0


class Lanes:
    """Decodes the last token of several paths at once, sharing what they have in common.

    A path is the history followed by a tail. Each sequence of the context is a lane; a path is
    continued in the lane that holds most of it, or in a copy of that lane if it leads elsewhere.
    The least recently used lane makes room.
    """

    def __init__(self, context: Context, count: int) -> None:
        self._context = context
        self._lanes = [_Lane(sequence) for sequence in range(count)]
        self._clock = 0

    def restart(self) -> None:
        """Another history begins; what it shares with the lanes is found again."""
        for lane in self._lanes:
            lane.agreed = 0

    def forget(self) -> None:
        """Empty every lane, after a decode that failed."""
        self._context.clear()
        for lane in self._lanes:
            lane.tokens.clear()
            lane.agreed = 0

    def save(self, limit: int) -> tuple[list[int], bytes]:
        """The tokens of the longest lane, and its state; nothing if that exceeds `limit` bytes."""
        lane = max(self._lanes, key=lambda lane: len(lane.tokens))
        context = self._context
        if not lane.tokens or not isinstance(context, Saving):
            return [], b""
        if context.state_size(lane.sequence) > limit:
            return [], b""
        return list(lane.tokens), context.save(lane.sequence)

    def adopt(self, tokens: Sequence[int], state: bytes) -> bool:
        """Hold `tokens` in one lane and nothing else; False, and nothing held, if refused."""
        self.forget()
        lane, context = self._lanes[0], self._context
        if not isinstance(context, Saving):
            return False
        if not context.load(state, len(tokens), sequence=lane.sequence):
            self.forget()
            return False
        lane.tokens = list(tokens)
        return True

    def prefill(self, history: Sequence[int]) -> None:
        """Hold all but the last token of `history` in some lane."""
        lane = max(self._lanes, key=lambda lane: self._shared(lane, history, ()))
        shared = min(self._shared(lane, history, ()), len(history) - 1)
        self._cut(lane, shared)
        while (start := len(lane.tokens)) < len(history) - 1:
            batch = list(history[start : min(start + self._context.n_batch, len(history) - 1)])
            self._context.decode(batch, start, outputs=0, sequence=lane.sequence)
            lane.tokens.extend(batch)

    def decode(self, history: Sequence[int], tails: Sequence[Sequence[int]]) -> list[int | None]:
        """Decode the last token of each path; its row of logits, None if there was no room."""
        self._clock += 1
        if max(self._shared(lane, history, ()) for lane in self._lanes) + 1 < len(history):
            self.prefill(history)
        held = {lane.sequence: len(lane.tokens) for lane in self._lanes}
        rows: list[Row] = []
        places: list[int | None] = []
        outputs = 0
        for tail in tails:
            full = outputs == self._context.max_outputs
            crowded = outputs > 0 and len(rows) + len(tail) + 1 > self._context.n_batch
            lane = None if full or crowded else self._place(history, tail, held)
            places.append(outputs if lane else None)
            if lane is None:
                continue
            outputs += 1
            path = [*history[len(lane.tokens) :], *tail[max(len(lane.tokens) - len(history), 0) :]]
            for token in path:
                position = len(lane.tokens)
                rows.append(Row(token, position, lane.sequence, output=False))
                lane.tokens.append(token)
            rows[-1] = Row(rows[-1].token, rows[-1].position, lane.sequence, output=True)
        if rows:
            self._context.decode_rows(rows)
        return places

    def _place(
        self, history: Sequence[int], tail: Sequence[int], held: dict[int, int]
    ) -> _Lane | None:
        """The lane to continue with the path, cut or copied so that it holds nothing else."""
        wanted = len(history) + len(tail) - 1
        shares = [(min(self._shared(lane, history, tail), wanted), lane) for lane in self._lanes]
        shared, source = max(shares, key=lambda share: share[0])
        if len(source.tokens) == shared:
            source.used = self._clock
            return source
        lane = min(self._lanes, key=lambda lane: lane.used)
        if lane.used == self._clock or shared > held[source.sequence]:
            return None
        if lane is not source:
            self._context.truncate(0, sequence=lane.sequence)
            self._context.copy(source.sequence, lane.sequence, shared)
            lane.tokens = source.tokens[:shared]
            lane.agreed = min(source.agreed, shared)
        else:
            self._cut(lane, shared)
        lane.used = self._clock
        held[lane.sequence] = shared
        return lane

    def _cut(self, lane: _Lane, length: int) -> None:
        if length < len(lane.tokens):
            self._context.truncate(length, sequence=lane.sequence)
            del lane.tokens[length:]
            lane.agreed = min(lane.agreed, length)

    def _shared(self, lane: _Lane, history: Sequence[int], tail: Sequence[int]) -> int:
        """How many tokens of the path the lane begins with."""
        tokens, count = lane.tokens, lane.agreed
        limit = min(len(tokens), len(history))
        while count < limit and tokens[count] == history[count]:
            count += 1
        lane.agreed = count
        if count < len(history):
            return count
        limit = min(len(tokens), len(history) + len(tail))
        while count < limit and tokens[count] == tail[count - len(history)]:
            count += 1
        return count
