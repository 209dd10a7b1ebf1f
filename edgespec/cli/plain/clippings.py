"""Taking answers elsewhere: copying them, their code, the conversation; quoting them."""

import os
import sys

import click

from edgespec.cli import diagnostics
from edgespec.cli.output import is_terminal
from edgespec.cli.plain.answering import Answering
from edgespec.cli.plain.commands import Command
from edgespec.cli.plain.conversation import Conversation
from edgespec.cli.plain.messages import Messages
from edgespec.clipboard import copy_beside, osc52
from edgespec.clippings import BlockCursor, code_blocks, quotation
from edgespec.errors import InvalidInput
from edgespec.store.exchange import to_markdown
from edgespec.thinking import divide


class Clippings:
    """Where a terminal has no clipboard, what would be copied is shown."""

    def __init__(
        self, conversation: Conversation, messages: Messages, answering: Answering
    ) -> None:
        self._conversation = conversation
        self._messages = messages
        self._answering = answering
        self._blocks = BlockCursor()

    @property
    def commands(self) -> list[Command]:
        """What can be typed."""
        return [
            Command("copy", "", "copies the answer", self._copy_answer),
            Command(
                "code",
                "[N]",
                "copies block N of its code; without N the last one, then those before it",
                self._copy_code,
            ),
            Command("copyall", "", "copies the conversation, as Markdown", self._copy_all),
            Command("quote", "[TEXT]", "replies with TEXT, or what comes next, to it", self._quote),
        ]

    def _copy_answer(self, _argument: str) -> None:
        _copy(divide(self._messages.answer.text).answer, "the message")

    def _copy_code(self, argument: str) -> None:
        message = self._messages.answer
        blocks = code_blocks(message.text)
        if not blocks:
            raise InvalidInput("the message has no code")
        if argument and not (argument.isdecimal() and 1 <= int(argument) <= len(blocks)):
            raise InvalidInput(f"there is no block {argument!r}", f"there are {len(blocks)}")
        at = int(argument) - 1 if argument else self._blocks.next(message.id, len(blocks))
        _copy(blocks[at], f"block {at + 1} of {len(blocks)}")

    def _copy_all(self, _argument: str) -> None:
        talk = self._conversation.talk
        _copy(to_markdown(talk.title, talk.system, talk.path()), "all of it")

    def _quote(self, text: str) -> None:
        self._answering.quoted = quotation(self._messages.answer.text)
        if text:
            self._answering.say(text)
        else:
            diagnostics.say(f"{self._answering.quoted}what you say next goes below it")


def _copy(text: str, what: str) -> None:
    if is_terminal(sys.stdout) and os.environ.get("TERM") not in ("dumb", None):
        click.echo(osc52(text), nl=False)
        copy_beside(text)
        diagnostics.say(f"copied {what}")
    else:
        diagnostics.say(text)
