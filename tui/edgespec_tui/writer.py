"""The writer: carries an answer from the engine to the store, and to the view that shows it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from edgespec.errors import EdgespecError
from edgespec.events import Finish, Notice, Round, Token
from edgespec.live import Live, begun_runs
from edgespec.store.talk import Talk
from edgespec_tui.answering import AnswerEvent, Answering, Ended, Prepared, Question
from edgespec_tui.loading import Loaded
from edgespec_tui.pace import Pace
from edgespec_tui.widgets.answer import AnswerView

_SAVE_EVERY = 0.5


@dataclass(slots=True)
class _Job:
    """An answer at work: where it comes from, where it is kept and where it is shown."""

    answering: Answering
    talk: Talk
    view: AnswerView
    live: Live
    kept: int | None = None
    """How many messages found room in the prompt, if others did not."""


class Writer:
    """At most one answer at a time; `tick` does what there is to do, without ever waiting.

    `tell` is given what the user should know.
    """

    def __init__(self, pace: Pace, tell: Callable[[str], None]) -> None:
        self.live: Live | None = None
        """The numbers of the answer that is being written, or was last."""
        self.conversation: int | None = None
        """That of the answer."""
        self._pace = pace
        self._tell = tell
        self._job: _Job | None = None
        self._saved = 0.0
        self._fresh = False

    @property
    def fresh(self) -> bool:
        """True once after every time that something came."""
        fresh, self._fresh = self._fresh, False
        return fresh

    @property
    def talk(self) -> Talk | None:
        """The conversation that an answer is written for."""
        return self._job.talk if self._job else None

    @property
    def busy(self) -> bool:
        """True while an answer is being written."""
        return self._job is not None

    def begin(self, loaded: Loaded, question: Question, talk: Talk, view: AnswerView) -> None:
        """Begin to write the talk's answer, which `view` shows."""
        self.live = Live(time.monotonic(), runs=begun_runs(question.begun, view.message.facts))
        answering = Answering(loaded.engine, loaded.form, question, loaded.keeper)
        view.runs = self.live.runs
        self.conversation = talk.id
        self._job = _Job(answering, talk, view, self.live)

    def attach(self, view: AnswerView) -> None:
        """The answer is shown by `view` from now on, which has all of it that was saved."""
        if self._job:
            self._job.view = view
            view.runs = self._job.live.runs

    def stop(self) -> None:
        """End the answer; what came is kept."""
        if self._job:
            self._job.answering.stop()
            self._pace.hurry()

    async def tick(self) -> bool:
        """Take what has come; True if that was the end. Raises EdgespecError if it failed."""
        job = self._job
        if job is None or not self._pace.due(time.monotonic()):
            return False
        events = job.answering.drain()
        text = self._take(job, events)
        if text and job.view.is_attached:
            await job.view.feed(text)
        for event in events:
            if isinstance(event, Ended):
                await self._end(job, event.failure)
                return True
        return False

    def close(self, timeout: float) -> bool:
        """Stop, and keep what came; True if the engine let go in time."""
        job = self._job
        if job is None:
            return True
        let_go = job.answering.leave(timeout)
        self._take(job, job.answering.drain())
        job.talk.end(job.live.facts())
        self._job = None
        return let_go

    def _take(self, job: _Job, events: list[AnswerEvent]) -> str:
        """Keep what came; the new text."""
        now = time.monotonic()
        pieces = []
        for event in events:
            if isinstance(event, Token | Finish):
                job.live.add(event, now)
                pieces.append(event.piece)
            elif isinstance(event, Round):
                job.live.add(event, now)
            elif isinstance(event, Notice):
                self._tell(event.text)
            elif isinstance(event, Prepared) and event.dropped:
                job.kept = event.messages
                self._tell(f"the context is full: the oldest {event.dropped} exchanges left it")
        self._fresh = self._fresh or bool(events)
        text = "".join(pieces)
        job.talk.write(text)
        if now - self._saved > _SAVE_EVERY:
            self._saved = now
            job.talk.save()
        return text

    async def _end(self, job: _Job, failure: EdgespecError | None) -> None:
        self._job = None
        answer = job.talk.end(job.live.facts())
        # A question that is too long gets no answer, and shall not cost what was said before.
        if job.kept is not None and answer.parent is not None and answer.text:
            job.talk.leave_out(answer.parent, job.kept)
        if job.view.is_attached:
            await job.view.finish(answer)
        if failure:
            raise failure
