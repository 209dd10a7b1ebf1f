"""The chat's loop: reads messages and commands, shows answers."""

import re
from collections.abc import Callable
from pathlib import Path

import click

from edgespec import paths
from edgespec.attachments import expand
from edgespec.chat import ChatFormat
from edgespec.cli import diagnostics
from edgespec.cli.interrupts import Interrupts, exit_code
from edgespec.cli.output import Output
from edgespec.cli.plain.chats import Chats
from edgespec.cli.plain.conversation import Conversation
from edgespec.cli.plain.lines import Keyboard, Typed, read_message
from edgespec.cli.session import Reply, answer
from edgespec.editor import edit
from edgespec.engine import Engine
from edgespec.errors import EdgespecError, ExitCode, InvalidInput
from edgespec.events import Finish, FinishReason, Request
from edgespec.store.store import Store

_COMMAND = re.compile(r"/[a-z]*")
_PARTING = ("exit", "quit")
"""What users of other programs type to leave."""
_KEYS = {
    "\\ at a line's end": "the message goes on in the next line",
    '"""': "begins and ends a message of several lines",
    "Ctrl+C": "stops the answer",
    "Ctrl+D": "leaves",
}


class Repl:
    """One conversation; `stats` tells the cost of every answer.

    `load` brings an engine for the name of a model, and the usual one for none.
    """

    def __init__(
        self,
        load: Callable[[str], Engine],
        conversation: Callable[[Engine], Conversation],
        store: Store,
        *,
        stats: bool,
    ) -> None:
        self._load = load
        self._engine = load("")
        self._conversation = conversation(self._engine)
        self._tell_stats = stats
        self._stats = "nothing was answered yet"
        self._left = False
        self._output = Output()
        self._keyboard = Keyboard(paths.data_dir() / "chat_history")
        self._commands: dict[str, tuple[Callable[[str], None], str, str]] = {
            "/help": (self._help, "", "shows this"),
            "/reset": (self._reset, "", "begins anew, but for the system message"),
            "/system": (self._system, "TEXT", "sets the system message; without TEXT, removes it"),
            "/regen": (self._regenerate, "", "answers the last message once more"),
            "/continue": (self._continue, "", "goes on with the last answer"),
            "/edit": (self._edit, "TEXT", "answers TEXT in place of the last message"),
            **Chats(store, self._conversation).commands,
            "/editor": (self._editor, "", "writes the message in $VISUAL or $EDITOR"),
            "/model": (self._model, "NAME", "goes on with another model, or with the usual one"),
            "/stats": (self._show_stats, "", "tells what the last answer cost"),
            "/save": (self._save, "FILE", "writes the conversation into a new file"),
            "/exit": (self._exit, "", "leaves"),
        }

    def run(self) -> None:
        """Answer until the user leaves; raises EdgespecError if no user sits there to react."""
        with self._keyboard:
            if self._keyboard.interactive:
                diagnostics.say("/help lists the commands, Ctrl+D leaves")
            while not self._left:
                try:
                    self._turn()
                except KeyboardInterrupt as interrupted:
                    ending = exit_code(interrupted) is not ExitCode.INTERRUPTED
                    if ending or not self._keyboard.interactive:
                        raise
                    diagnostics.say("\n/exit or Ctrl+D leaves")

    def write(self, piece: str) -> None:
        """Show a piece of an answer and keep it."""
        self._output.write(piece)
        self._conversation.write(piece)

    def end(self, *, begun: bool = False) -> None:
        """End the answer's line on a terminal."""
        self._output.end(begun=begun)

    def _turn(self) -> None:
        try:
            typed = read_message(self._keyboard.read_line, "User: ")
        except EOFError:
            self._left = True
            if self._keyboard.interactive:
                diagnostics.say("")
        else:
            if typed.text:
                self._handle(typed)

    def _handle(self, typed: Typed) -> None:
        word, _, argument = typed.text.partition(" ")
        try:
            if not typed.block and typed.text in _PARTING:
                self._left = True
            elif not typed.block and _COMMAND.fullmatch(word):
                self._command(word, argument.strip())
            else:
                self._answer(self._conversation.ask(self._said(typed.text)))
        except EdgespecError as error:
            if not self._keyboard.interactive:
                raise
            diagnostics.error(error.what, error.hint)

    def _said(self, text: str) -> str:
        """The message with the files that a person mentions in it, as in @notes.md."""
        return expand(text) if self._keyboard.interactive else text

    def _command(self, word: str, argument: str) -> None:
        if word not in self._commands:
            raise InvalidInput(f"there is no command {word}", "/help lists them")
        run, _, _ = self._commands[word]
        run(argument)

    def _answer(self, request: Request) -> None:
        if dropped := self._conversation.dropped:
            diagnostics.note(f"the context is full: the oldest {dropped} exchanges left it")
        facts: dict[str, object] = {"reason": "stopped"}
        try:
            with Interrupts() as interrupts:
                self._output.label("Assistant: ")
                reply = answer(self._engine, request, interrupts, self)
            facts = _facts(reply)
        except KeyboardInterrupt as insisted:
            # Whoever insists leaves the chat, because the engine may still be busy.
            raise click.Abort from insisted
        finally:
            self._output.end_everywhere()
            self._conversation.end(facts)
        if reply.finish:
            self._finished(reply.finish, request.sampling.seed)
        elif self._keyboard.interactive and not interrupts.ending:
            diagnostics.say("stopped; /regen answers once more")
        else:
            interrupts.check()

    def _finished(self, finish: Finish, seed: int) -> None:
        if finish.reason is FinishReason.CONTEXT:
            diagnostics.note("the context is full")
        self._stats = diagnostics.stats_line(finish.stats, seed)
        if self._tell_stats:
            diagnostics.say(self._stats)

    def _confirm(self, text: str) -> None:
        if self._keyboard.interactive:
            diagnostics.say(text)

    def _help(self, _argument: str) -> None:
        usage = {f"{word} {what}": text for word, (_, what, text) in self._commands.items()}
        diagnostics.say("\n".join(f"{key:<18} {text}" for key, text in (usage | _KEYS).items()))

    def _reset(self, _argument: str) -> None:
        self._commands["/new"][0]("")
        self._confirm("the conversation is forgotten")

    def _system(self, argument: str) -> None:
        self._conversation.talk.set_system(argument)
        self._confirm("the system message is " + ("set" if argument else "removed"))

    def _regenerate(self, _argument: str) -> None:
        self._answer(self._conversation.ask_again())

    def _continue(self, _argument: str) -> None:
        self._answer(self._conversation.go_on())

    def _edit(self, text: str) -> None:
        if not text:
            raise InvalidInput("/edit needs a text")
        self._answer(self._conversation.ask_anew(text))

    def _editor(self, _argument: str) -> None:
        if text := edit(""):
            self._confirm(text)
            self._answer(self._conversation.ask(self._said(text)))

    def _model(self, name: str) -> None:
        before, self._engine = self._engine, self._load(name)
        before.close()
        self._conversation.use(ChatFormat.of(self._engine.target), self._engine.n_ctx)
        self._confirm("the model is loaded; the conversation goes on with it")

    def close(self) -> None:
        """Let go of the model."""
        self._engine.close()

    def _show_stats(self, _argument: str) -> None:
        diagnostics.say(self._stats)

    def _save(self, argument: str) -> None:
        if not argument:
            raise InvalidInput("/save needs the name of a file")
        said = self._conversation.messages
        turns = [f"{message.role.capitalize()}: {message.content}\n" for message in said]
        try:
            with Path(argument).expanduser().open("x", encoding="utf-8") as file:
                file.write("\n".join(turns))
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InvalidInput(f"{argument!r} cannot be written: {reason}") from error
        self._confirm(f"the conversation is in {argument}")

    def _exit(self, _argument: str) -> None:
        self._left = True


def _facts(reply: Reply) -> dict[str, object]:
    """What to keep with an answer."""
    if reply.finish is None:
        return {"reason": "stopped"}
    stats = reply.finish.stats
    known = {"tokens": stats.tokens, "rate": stats.tokens_per_second, "ttft": stats.ttft}
    facts = {key: value for key, value in known.items() if value is not None}
    return {"reason": reply.finish.reason.value, **facts}
