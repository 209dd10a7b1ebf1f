"""One answer on its way: a thread that asks the engine, and the queue that the screen drains."""

from contextlib import closing
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from edgespec.cli.diagnostics import logged
from edgespec.errors import EdgespecError
from edgespec.events import Request, Round, StepEvent, Token
from edgespec.messages import Message, Role

if TYPE_CHECKING:
    from edgespec.chat import ChatFormat
    from edgespec.engine import Engine
    from edgespec.keeping import Keeper


@dataclass(frozen=True, slots=True)
class Prepared:
    """The prompt is made: how many messages it has, and how many exchanges found no room in it."""

    messages: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more will come; `failure` if that was not as it should be."""

    failure: EdgespecError | None = None


AnswerEvent = Prepared | StepEvent | Round | Ended


@dataclass(frozen=True, slots=True)
class Question:
    """What to answer, in the conversation `name`.

    `begun` is the answer's beginning, to be continued; `settings` a request without a prompt.
    """

    messages: tuple[Message, ...]
    settings: Request
    begun: str = ""
    name: str = ""

    def request(self, form: "ChatFormat", n_ctx: int) -> tuple[Request, Prepared]:
        """What to ask of an engine, and what became of the messages."""
        from edgespec.chat import fit  # Not at the top, see Loading.

        answer = min(self.settings.max_tokens or n_ctx // 4, n_ctx // 2)
        fitted = fit(self.messages, form.tokens, n_ctx - answer)
        prompt = (*fitted.tokens, *form.continuation(self.begun))
        stop = (*self.settings.stop, *form.stop)
        told = sum(message.role is not Role.SYSTEM for message in fitted.messages)
        return replace(self.settings, prompt=prompt, stop=stop), Prepared(told, fitted.dropped)


class Answering:
    """Produces one answer beside the screen.

    The screen is never called from here: it comes for the events when it has the time, so that a
    slow terminal cannot slow the model down. `keeper` has or gets what the engine's caches held.
    """

    def __init__(
        self,
        engine: "Engine",
        form: "ChatFormat",
        question: Question,
        keeper: "Keeper",
    ) -> None:
        self._engine = engine
        self._form = form
        self._question = question
        self._keeper = keeper
        self._events: SimpleQueue[AnswerEvent] = SimpleQueue()
        self._stopped = False
        self._over = False
        self._thread = Thread(target=self._run, name="edgespec-answer", daemon=True)
        self._thread.start()

    def drain(self) -> list[AnswerEvent]:
        """All events since the last call, without waiting."""
        events: list[AnswerEvent] = []
        try:
            while True:
                events.append(self._events.get_nowait())
        except Empty:
            pass
        if self._stopped and not self._over:
            # An abort that comes before the engine has begun is lost on it.
            self._engine.abort()
        return events

    def stop(self) -> None:
        """End the answer; what came until then still is in the queue, and an Ended."""
        self._stopped = True
        if not self._over:
            self._engine.abort()

    def leave(self, timeout: float) -> bool:
        """End the answer; True if that was done in time."""
        self.stop()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failure: EdgespecError | None = None
        try:
            self._answer()
        except EdgespecError as error:
            failure = error
        except Exception as error:
            failure = logged(error)
        self._over = True
        self._events.put(Ended(failure))

    def _answer(self) -> None:
        request, prepared = self._question.request(self._form, self._engine.n_ctx)
        self._events.put(prepared)
        if self._stopped:
            return
        self._keeper.fetch(self._engine, self._question.name, request.prompt)
        position = len(request.prompt)
        with closing(self._engine.generate(request, self._events.put)) as events:
            for event in events:
                self._events.put(event)
                position += isinstance(event, Token)
                if self._stopped:
                    break
        if not self._stopped:
            self._keeper.keep(self._engine, self._question.name, position)
