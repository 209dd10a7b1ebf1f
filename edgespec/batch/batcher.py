"""Continuous batching: every step of the target works on all answers that have room."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

from edgespec.batch.drafts import Drafts
from edgespec.batch.layout import WIDE, Layout
from edgespec.batch.pace import Pace
from edgespec.batch.queue import Queue
from edgespec.batch.sequences import Sequences, Slot
from edgespec.batch.shelf import Shelf
from edgespec.batch.stream import Stream
from edgespec.batch.tasks import Failed, Load, Outcome, Task
from edgespec.errors import Aborted, EdgespecError
from edgespec.protocols import Model, OrderedContext, Row, Saving
from edgespec.recall import Recall
from edgespec.sampling.sampler import Sampler


@dataclass(slots=True)
class _Step:
    """One decode: its rows, and what their outputs are for."""

    rows: list[Row] = field(default_factory=list)
    outputs: int = 0
    firsts: list[tuple[Stream, int]] = field(default_factory=list)
    """Streams whose prompt ends in it, and where their logits will be."""
    rounds: list[tuple[Stream, int, list[int]]] = field(default_factory=list)
    """Streams that go on, where their logits begin, and their drafts."""
    prompts: bool = False


class Batcher:
    """Answers up to `width` tasks at a time. Used by the one thread that owns `context`.

    Tokens of all sequences stand in one batch without padding. Short prompts are decoded beside
    the answers that are under way, long ones in steps of their own in between (chunked prefills:
    Agrawal et al. 2024, arXiv:2403.02310), cut so that each rounds as it would alone. `n_ctx`
    limits each answer with its prompt; `held`, `prompt` and `recall` are for Sequences.
    """

    def __init__(
        self,
        model: Model,
        context: OrderedContext,
        pace: Pace,
        width: int,
        n_ctx: int,
        drafts: Drafts | None = None,
        clock: Callable[[], float] = perf_counter,
        held: Sequence[int] = (),
        prompt: int = 0,
        recall: Recall | None = None,
    ) -> None:
        self._model = model
        self._context = context
        self._pace = pace
        self._width = width
        self._n_ctx = n_ctx
        self._drafts = drafts
        self._clock = clock
        self._sequences = Sequences(context, width, held, prompt, recall)
        self._queue = Queue(self._sequences)
        self._shelf = Shelf(context, clock) if isinstance(context, Saving) else None
        self._live: list[Stream] = []
        self._outcomes: list[Outcome] = []
        self._load = Load()
        self._turn = False
        """Whether the last step was one of long prompts."""
        self._roomy = True
        """False while nobody who waits could be let in: until something changes."""

    @property
    def load(self) -> Load:
        """What goes on."""
        note = self._drafts.note if self._drafts else ""
        return replace(self._load, active=len(self._live), note=note)

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._live or len(self._queue))

    def add(self, task: Task) -> None:
        """Queue a task; one whose grammar does not parse fails."""
        grammar = task.request.sampling.grammar
        try:
            sampler = Sampler(
                task.request.sampling,
                task.request.prompt,
                grammar=self._model.grammar(grammar) if grammar is not None else None,
                choice=task.request.choice,
            )
        except EdgespecError as error:
            self._outcomes.append(Failed(task, str(error)))
            return
        layout = Layout(len(task.request.prompt), self._context.n_batch)
        tokenizer = self._model.tokenizer
        self._queue.add(Stream(task, tokenizer, sampler, layout, self._n_ctx, self._clock()))
        self._roomy = True

    def cancel(self, task: Task) -> None:
        """Give a task up, wherever it is; it has no outcome."""
        self._queue.discard(task)
        if self._shelf:
            self._shelf.drop(task)
        for stream in self._live:
            if stream.task is task:
                self._leave(stream)
                return

    def keep(self, tokens: Sequence[int]) -> list[int]:
        """Leave nothing in the context but sequence 0, with as much of `tokens` as there is.

        Returns what it holds. There must be nothing to do any more.
        """
        return self._sequences.keep(tokens)

    def step(self) -> list[Outcome]:
        """One decode, and the outcomes of the answers that ended with it.

        Raises Aborted if the decode was, which the next call tries again, and BackendError, after
        which it cannot be used any more.
        """
        self._admit()
        if self._live:
            step = self._plan()
            begin = self._clock()
            try:
                self._context.decode_rows(step.rows)
            except Aborted:
                self._take_back(step)
                raise
            self._harvest(step, begin)
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def _admit(self) -> None:
        while self._roomy and len(self._live) < self._width:
            stream = self._queue.take(self._live)
            if stream is None:
                self._roomy = len(self._queue) == 0
                return
            stream.slot = self._sequences.open(stream.history, stream.layout)
            self._bring_back(stream, stream.slot)
            if not stream.emitted:
                stream.cached = len(stream.slot.tokens)
            self._live.append(stream)

    def _plan(self) -> _Step:
        """The next decode; answers that find no room in it are put off."""
        while True:
            wide = [stream for stream in self._live if stream.wide_end > stream.decoded]
            narrow = [stream for stream in self._live if stream not in wide]
            # Answers that are under way and long prompts take turns.
            self._turn = bool(wide) and not (self._turn and narrow)
            step = self._wide(wide) if self._turn else self._narrow(narrow)
            if step is not None:
                return step
            self._put_off(min(self._live, key=lambda stream: stream.emitted))

    def _wide(self, streams: list[Stream]) -> _Step | None:
        """A step of long prompts' pieces; None if there is no room for one."""
        counts, left = [], self._context.n_batch
        for stream in streams:
            count = stream.wide_end - stream.decoded
            if count > left:
                break
            counts.append(count)
            left -= count
        if not self._has_room(sum(counts)):
            return None
        step = _Step(prompts=True)
        for stream, count in zip(streams, counts, strict=False):
            self._add_prompt(step, stream, count)
        return step

    def _narrow(self, streams: list[Stream]) -> _Step | None:
        """A step of what is under way, with drafts, and of short prompts; None without room."""
        going = [stream for stream in streams if stream.going]
        starting = [stream for stream in streams if not stream.going]
        size = min(max(WIDE - 1, len(going) + bool(starting)), self._context.n_batch)
        counts = _share([stream.pending for stream in starting], size - len(going))
        base = len(going) + sum(counts)
        if not self._has_room(base):
            return None
        step = _Step(prompts=bool(starting))
        for stream, count in zip(starting, counts, strict=True):
            self._add_prompt(step, stream, count)
        drafts: list[list[int]] = [[] for _ in going]
        limit = min(size - base, self._context.max_outputs - base)
        if self._drafts and going and limit > 0 and not step.prompts:
            drafts = self._drafts.propose(going, limit)
            if not self._sequences.make_room(base + sum(map(len, drafts))):
                drafts = [[] for _ in going]
        for stream, proposed in zip(going, drafts, strict=True):
            self._add_round(step, stream, proposed)
        return step

    def _has_room(self, count: int) -> bool:
        # A single answer always fits: no prompt, and no answer, is longer than the context.
        return self._sequences.make_room(count) or len(self._live) == 1

    def _add_prompt(self, step: _Step, stream: Stream, count: int) -> None:
        assert stream.slot is not None
        begin = len(stream.slot.tokens)
        ends = begin + count == len(stream.history)
        for position in range(begin, begin + count):
            output = position + 1 == len(stream.history)
            row = self._sequences.row(stream.slot, stream.history[position], output=output)
            step.rows.append(row)
        if ends:
            step.firsts.append((stream, step.outputs))
            step.outputs += 1

    def _add_round(self, step: _Step, stream: Stream, drafts: list[int]) -> None:
        assert stream.slot is not None
        step.rounds.append((stream, step.outputs, drafts))
        for token in (stream.history[-1], *drafts):
            step.rows.append(self._sequences.row(stream.slot, token, output=True))
        step.outputs += 1 + len(drafts)

    def _take_back(self, step: _Step) -> None:
        """Be as before a step that was broken off."""
        counts = Counter(row.sequence for row in step.rows)
        for stream in self._live:
            if stream.slot and (count := counts[stream.slot.sequence]):
                self._sequences.truncate(stream.slot, len(stream.slot.tokens) - count)

    def _harvest(self, step: _Step, begin: float) -> None:
        decoded = self._clock()
        emitted = 0
        self._roomy |= bool(step.firsts)
        for stream, row in step.firsts:
            stream.prefilled(decoded)
            emitted += len(self._emit(stream, row, ()))
            stream.begun(self._clock())
        for stream, row, drafts in step.rounds:
            tokens = self._emit(stream, row, drafts)
            emitted += len(tokens)
            if stream.slot is not None:
                stream.verified(drafts, tokens)
                if self._drafts:
                    self._drafts.verified(stream, tokens)
        now = self._clock()
        self._count(step, emitted, now - begin)
        for stream in [stream for stream in self._live if stream.reason is not None]:
            self._outcomes.append(stream.answer(now, self._pace.plain_step(len(stream.history))))
            self._leave(stream)

    def _emit(self, stream: Stream, row: int, drafts: Sequence[int]) -> list[int]:
        """The target's tokens behind the last one and behind each draft that is right."""
        emitted: list[int] = []
        for index, draft in enumerate([*drafts, None]):
            try:
                token = stream.emit(self._context.logits(row + index), draft)
            except EdgespecError as error:
                self._outcomes.append(Failed(stream.task, str(error)))
                self._leave(stream)
                return emitted
            emitted.append(token)
            if stream.reason is not None or token != draft:
                break
        if drafts:
            assert stream.slot is not None
            self._sequences.truncate(stream.slot, len(stream.history) - 1)
        return emitted

    def _count(self, step: _Step, emitted: int, seconds: float) -> None:
        drafted = sum(len(drafts) for _, _, drafts in step.rounds)
        if not step.prompts:
            depth = sum(len(stream.history) for stream, _, _ in step.rounds)
            answers = len(step.rounds)
            self._pace.finished(answers, drafted, emitted, depth // answers, seconds)
        load = self._load
        self._load = Load(
            tokens=load.tokens + emitted,
            drafted=load.drafted + drafted,
            accepted=load.accepted + max(emitted - len(step.rounds) - len(step.firsts), 0),
            steps=load.steps + 1,
        )

    def _leave(self, stream: Stream) -> None:
        assert stream.slot is not None
        self._roomy = True
        self._sequences.release(stream.slot)
        stream.slot = None
        self._live.remove(stream)
        if self._drafts:
            self._drafts.finished(stream)

    def _put_off(self, stream: Stream) -> None:
        """Give a stream's room to the others; it goes on later, where it was."""
        if self._shelf:
            self._shelf.put(stream, self._pace.again(stream.decoded))
        self._leave(stream)
        self._queue.put_back(stream)

    def _bring_back(self, stream: Stream, slot: Slot) -> None:
        """Load what an answer held when it lost its room, unless it is still there."""
        if self._shelf and (kept := self._shelf.tokens(stream)):
            state = self._shelf.take(stream)
            if state and kept > stream.decoded:
                self._sequences.load(slot, stream.history[:kept], state)


def _share(wanted: Sequence[int], total: int) -> list[int]:
    """Hand out `total` to those who want some, the first ones first."""
    given = []
    for want in wanted:
        given.append(min(want, total))
        total -= given[-1]
    return given
