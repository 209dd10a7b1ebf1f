"""The drafter's side of a batch: a sequence of its context for each answer that it drafts for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgespec.batch.stream import Stream
from edgespec.protocols import Context, Row
from edgespec.sources.drafter import candidate, in_vocabulary
from edgespec.tree import Candidate


@dataclass(slots=True)
class _Seat:
    """What one sequence holds. The first `agreed` tokens are known to be those of the answer."""

    sequence: int
    tokens: list[int] = field(default_factory=list)
    agreed: int = 0


class BatchDrafter:
    """Drafts for many answers in one step of a small model, each at its own position.

    Every draft is drawn by the answer's own sampler, with the noise that the target will use (see
    ModelDrafter). It works between two steps of the target, on the target's thread: a small model's
    step is short, and beside the target's it would slow that down. `n_vocab` is the target's; the
    context has room for `seats` sequences.
    """

    def __init__(self, context: Context, n_vocab: int, seats: int) -> None:
        self._context = context
        self._n_vocab = n_vocab
        self._free = list(range(seats))
        self._seats: dict[Stream, _Seat] = {}

    def behind(self, stream: Stream) -> int:
        """Tokens to decode before the first draft: those of the text that it does not hold."""
        seat = self._seats.get(stream)
        return len(stream.history) - (seat.agreed if seat else 0)

    def takes(self, stream: Stream, tail: Sequence[int] = ()) -> bool:
        """Whether there is room for the text and `tail`, and it is spelt in tokens that it has."""
        seat = self._seats.get(stream)
        fresh = stream.history[seat.agreed :] if seat else stream.history
        if self._context.n_vocab < self._n_vocab and max(fresh) >= self._context.n_vocab:
            return False
        held = sum(len(other.tokens) for other in self._seats.values() if other is not seat)
        room = self._context.n_ctx - held
        return bool(seat or self._free) and len(stream.history) + len(tail) <= room

    def draft(self, asked: Sequence[tuple[Stream, Sequence[int]]]) -> list[Candidate | None]:
        """What may follow each answer and its drafts so far; None where there is no room for it.

        Raises BackendError.
        """
        before: list[Row] = []
        last: list[Row] = []
        places: list[int | None] = []
        for stream, tail in asked:
            if self.takes(stream, tail):
                places.append(len(last))
                *fresh, end = self._continue(stream, tail)
                before += fresh
                last.append(end)
            else:
                places.append(None)
        self._decode(before, last)
        return [
            None if place is None else self._draw(stream, tail, place)
            for (stream, tail), place in zip(asked, places, strict=True)
        ]

    def release(self, stream: Stream) -> None:
        """The answer is finished, or waits."""
        if seat := self._seats.pop(stream, None):
            self._context.truncate(0, sequence=seat.sequence)
            self._free.append(seat.sequence)

    def _continue(self, stream: Stream, tail: Sequence[int]) -> list[Row]:
        """The rows that the answer's seat lacks, from where it and the text part."""
        if stream not in self._seats:
            self._seats[stream] = _Seat(self._free.pop())
        seat, history = self._seats[stream], stream.history
        self._agree(seat, history, tail)
        missing = [*history[len(seat.tokens) :], *tail[max(len(seat.tokens) - len(history), 0) :]]
        begin = len(seat.tokens)
        seat.tokens += missing
        end = len(seat.tokens) - 1
        return [
            Row(token, position, seat.sequence, output=position == end)
            for position, token in enumerate(missing, begin)
        ]

    def _agree(self, seat: _Seat, history: Sequence[int], tail: Sequence[int]) -> None:
        """Take back what a seat holds beyond the text, or of drafts that were wrong."""
        count, tokens = seat.agreed, seat.tokens
        limit = min(len(tokens), len(history) + len(tail) - 1)
        while count < limit:
            expected = history[count] if count < len(history) else tail[count - len(history)]
            if tokens[count] != expected:
                break
            count += 1
        if count < len(tokens):
            self._context.truncate(count, sequence=seat.sequence)
            del tokens[count:]
        seat.agreed = min(count, len(history))

    def _decode(self, before: list[Row], last: list[Row]) -> None:
        """Decode what is missing, and at the end of it what has logits to look at."""
        size = self._context.n_batch
        while len(before) + len(last) > size:
            self._context.decode_rows(before[:size])
            del before[:size]
        if last:
            self._context.decode_rows([*before, *last])

    def _draw(self, stream: Stream, tail: Sequence[int], row: int) -> Candidate:
        sampler = stream.sampler
        if sampler.stateful:
            sampler = sampler.fork()
            for token in tail:
                sampler.accept(token)
        logits = in_vocabulary(self._context.logits(row), self._n_vocab)
        position = len(stream.history) + len(tail)
        return candidate(sampler.guess(logits, position, 1)[0])
