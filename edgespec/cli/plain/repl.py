"""The chat's loop: reads messages and commands, and leaves them to the rooms that know."""

import re
from collections.abc import Callable

from edgespec import paths
from edgespec.cli import diagnostics
from edgespec.cli.interrupts import exit_code
from edgespec.cli.plain.answering import Answering
from edgespec.cli.plain.chats import Chats
from edgespec.cli.plain.clippings import Clippings
from edgespec.cli.plain.commands import Command, Commands
from edgespec.cli.plain.conversation import Conversation
from edgespec.cli.plain.figures import Figures
from edgespec.cli.plain.lines import Keyboard, Typed, read_message
from edgespec.cli.plain.loaded import Loaded
from edgespec.cli.plain.messages import Messages
from edgespec.cli.plain.models import Models
from edgespec.cli.plain.pulls import Pulls
from edgespec.cli.plain.tuning import Tuning
from edgespec.config import Settings
from edgespec.engine import Engine
from edgespec.errors import EdgespecError, ExitCode
from edgespec.preferences import Preferences
from edgespec.store.session import Session
from edgespec.store.store import Store
from edgespec.store.talk import Talk

_COMMAND = re.compile(r"/[a-z]*")
_PARTING = ("exit", "quit")
"""What users of other programs type to leave."""
_KEYS = {
    "@path": "attaches a text file to a message",
    "\\ at a line's end": "the message goes on in the next line",
    '"""': "begins and ends a message of several lines",
    "Tab": "completes commands, what they take, and @path",
    "Ctrl+C": "stops the answer",
    "Ctrl+D": "leaves",
}


class Repl:
    """One person, or what is piped in, and one conversation at a time."""

    def __init__(
        self,
        load: Callable[[Settings], Engine],
        preferences: Preferences,
        store: Store,
        *,
        personal: bool,
        stats: bool,
    ) -> None:
        self._personal = personal
        self._left = False
        self._loaded = loaded = Loaded(load, preferences.settings, kept=personal)
        talk = Talk(store, system=preferences.settings.system)
        conversation = Conversation(preferences.request(), talk)
        self._session = Session(store)
        self._answering = Answering(
            loaded, conversation, self._session, personal=personal, stats=stats
        )
        self._chats = Chats(store, conversation, preferences, personal=personal)
        self._pulls = Pulls(personal=personal)
        messages = Messages(conversation)
        tuning = Tuning(preferences, conversation, loaded)
        self._commands = Commands(
            [
                Command("help", "", "shows this", self._help),
                *self._answering.commands,
                *messages.commands,
                *Clippings(conversation, messages, self._answering).commands,
                *self._chats.commands,
                *Models(loaded, tuning, self._pulls, store).commands,
                *self._pulls.commands,
                *tuning.commands,
                *Figures(loaded, messages, self._answering).commands,
                Command("exit", "", "leaves", self._leave),
                Command("quit", "", "leaves, too", self._leave),
            ]
        )
        self._keyboard = Keyboard(paths.data_dir() / "chat_history", self._commands.complete)

    def run(self) -> None:
        """Answer until the user leaves; raises EdgespecError if no user sits there to react."""
        with self._keyboard:
            self._guarded(lambda: self._loaded.engine)
            if self._personal:
                self._guarded(self._welcome)
            while not self._left:
                try:
                    self._guarded(self._turn)
                except KeyboardInterrupt as interrupted:
                    ending = exit_code(interrupted) is not ExitCode.INTERRUPTED
                    if ending or not self._personal:
                        raise
                    diagnostics.say("\n/exit or Ctrl+D leaves")

    def close(self) -> None:
        """Let go of the model, and end as it should be."""
        self._pulls.close()
        self._loaded.close()
        self._session.goodbye()

    def _guarded(self, step: Callable[[], object]) -> None:
        """Take a step; a person is told why it is not possible, and goes on."""
        try:
            step()
        except EdgespecError as error:
            if not self._personal:
                raise
            diagnostics.error(error.what, error.hint)

    def _welcome(self) -> None:
        diagnostics.say("/help lists the commands, Ctrl+D leaves")
        if crashed := self._session.crashed:
            diagnostics.say("the last session ended unexpectedly; this is where it was")
            if crashed.conversation is not None:
                self._chats.open(crashed.conversation)
            if crashed.draft:
                diagnostics.say(f"not sent: {crashed.draft}")

    def _turn(self) -> None:
        self._pulls.look()
        try:
            typed = read_message(self._keyboard.read_line, "User: ")
        except EOFError:
            self._left = True
            if self._personal:
                diagnostics.say("")
        else:
            if typed.text:
                self._handle(typed)

    def _handle(self, typed: Typed) -> None:
        word, _, argument = typed.text.partition(" ")
        if not typed.block and typed.text in _PARTING:
            self._left = True
        elif not typed.block and _COMMAND.fullmatch(word):
            self._commands.run(word[1:], argument.strip())
        else:
            self._answering.say(typed.text)

    def _help(self, _argument: str) -> None:
        known = self._commands.help | _KEYS
        diagnostics.say("\n".join(f"{key:<24} {text}" for key, text in known.items()))

    def _leave(self, _argument: str) -> None:
        self._left = True
