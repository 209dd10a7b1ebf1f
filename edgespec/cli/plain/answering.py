"""Answers line by line: asked for, shown while they come, kept, and counted."""

import sys
from collections.abc import Callable
from time import monotonic

import click

from edgespec.attachments import describe, expand, mentioned
from edgespec.cli import diagnostics
from edgespec.cli.interrupts import Interrupts
from edgespec.cli.output import Output, is_terminal
from edgespec.cli.plain.commands import Command
from edgespec.cli.plain.conversation import Conversation
from edgespec.cli.plain.folding import Folding
from edgespec.cli.plain.loaded import Loaded
from edgespec.cli.session import Reply, answer
from edgespec.editor import edit
from edgespec.engine import Engine
from edgespec.events import Finish, FinishReason, Notice, Request, Round, StepEvent
from edgespec.live import Live, begun_runs
from edgespec.store.session import Session


class Answering:
    """What a person says has files and quotations in it, and thoughts are folded for them.

    `stats` tells the cost of every answer.
    """

    def __init__(
        self,
        loaded: Loaded,
        conversation: Conversation,
        session: Session,
        *,
        personal: bool,
        stats: bool,
    ) -> None:
        self.live: Live | None = None
        """The numbers of the last answer."""
        self.stats = "nothing was answered yet"
        self.quoted = ""
        """What the next message replies to."""
        self._loaded = loaded
        self._conversation = conversation
        self._session = session
        self._personal = personal
        self._tell_stats = stats
        self._output = Output()
        self._folds = personal and is_terminal(sys.stdout)
        self._folding = Folding()

    @property
    def commands(self) -> list[Command]:
        """What can be typed."""
        return [
            Command("regen", "", "answers the last message once more", self._regenerate),
            Command("continue", "", "goes on with the last answer", self._continue),
            Command(
                "edit",
                "[TEXT]",
                "answers TEXT in place of the last message; without TEXT, opens that in an editor",
                self._edit,
            ),
            Command("editor", "", "writes the message in $VISUAL or $EDITOR", self._editor),
        ]

    def say(self, text: str) -> None:
        """Answer what the user says."""
        quoted, self.quoted = self.quoted, ""
        # What a model wrote attaches no files.
        self._answer(lambda: self._conversation.ask(quoted + self._whole(text)))

    def write(self, piece: str) -> None:
        """Show a piece of an answer and keep it."""
        self._output.write(self._folding.push(piece) if self._folds else piece)
        self._conversation.write(piece)

    def end(self, *, begun: bool = False) -> None:
        """End the answer's line on a terminal."""
        if self._folds:
            self._output.write(self._folding.finish())
        self._output.end(begun=begun)

    def _regenerate(self, _argument: str) -> None:
        self._answer(self._conversation.ask_again)

    def _continue(self, _argument: str) -> None:
        self._answer(self._conversation.go_on)

    def _edit(self, text: str) -> None:
        text = text or self._edited(self._conversation.question.text)
        if text:
            self._answer(lambda: self._conversation.ask_anew(self._whole(text)))

    def _editor(self, _argument: str) -> None:
        if text := self._edited(""):
            self.say(text)

    def _edited(self, text: str) -> str:
        new = edit(text)
        if self._personal and new:
            diagnostics.say(new)
        return new

    def _whole(self, text: str) -> str:
        """The message with the files that a person mentions in it, as in @notes.md."""
        if not self._personal:
            return text
        for path in mentioned(text):
            diagnostics.say(describe(path))
        return expand(text)

    def _answer(self, ask: Callable[[], Request]) -> None:
        engine = self._loaded.engine
        self._conversation.use(self._loaded.form, engine.n_ctx)
        request = ask()
        if dropped := self._conversation.dropped:
            diagnostics.note(f"the context is full: the oldest {dropped} exchanges left it")
        self._session.remember(self._conversation.talk.id, "")
        reply, live = self._produce(engine, request)
        if reply.finish:
            self._finished(reply.finish, request.sampling.seed)
            self._loaded.keeper.keep(engine, str(self._conversation.talk.id), live.position)

    def _produce(self, engine: Engine, request: Request) -> tuple[Reply, Live]:
        """Show an answer and keep it; Ctrl+C ends it."""
        begun = self._conversation.begun
        text = begun.text if begun else ""
        self._folding = Folding(text)
        self.live = live = Live(monotonic(), runs=begun_runs(text, begun.facts if begun else {}))

        def count(event: StepEvent | Round) -> None:
            if not isinstance(event, Notice):
                live.add(event, monotonic())

        try:
            with Interrupts() as interrupts:
                self._output.label("Assistant: ")
                name = str(self._conversation.talk.id)
                self._loaded.keeper.fetch(engine, name, request.prompt)
                reply = answer(engine, request, interrupts, self, count)
        except KeyboardInterrupt as insisted:
            # Whoever insists leaves the chat, because the engine may still be busy.
            raise click.Abort from insisted
        finally:
            self._output.end_everywhere()
            self._conversation.end({"model": self._loaded.name, **live.facts()})
        if not reply.finish:
            if not self._personal or interrupts.ending:
                interrupts.check()
            diagnostics.say("stopped; /regen answers once more")
        return reply, live

    def _finished(self, finish: Finish, seed: int) -> None:
        if finish.reason is FinishReason.CONTEXT:
            diagnostics.note("the context is full")
        self.stats = diagnostics.stats_line(finish.stats, seed)
        if self._tell_stats:
            diagnostics.say(self.stats)
