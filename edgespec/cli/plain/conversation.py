"""The talk at hand as a model is asked: the request for the next answer, and what became of it."""

from collections.abc import Mapping
from dataclasses import replace
from time import monotonic
from typing import Any

from edgespec.chat import ChatFormat, Message, Role, fit
from edgespec.errors import InvalidInput
from edgespec.events import Request
from edgespec.store.records import StoredMessage
from edgespec.store.talk import Talk

_SAVE_EVERY = 1.0


class Conversation:
    """Asks about `talk`, of the model in `use`. `settings` is a request without a prompt.

    Every answer has a seed of its own, counted on from the first one's: an answer that is asked
    for again differs, and the same inputs with the same seed give the same conversation.
    """

    def __init__(self, settings: Request, talk: Talk) -> None:
        self.talk = talk
        self.dropped = 0
        """How many exchanges the last request left out, because the context was full."""
        self.begun: StoredMessage | None = None
        """The answer that the last request goes on with, if it does."""
        self._settings = settings
        self._model: tuple[ChatFormat, int] | None = None
        self._seed = settings.sampling.seed
        self._told = 0
        self._question: StoredMessage | None = None
        self._chosen: int | None = None
        self._saved = 0.0

    def use(self, form: ChatFormat, n_ctx: int) -> None:
        """Go on with a model that wants `form` and has room for `n_ctx` tokens."""
        self._model = form, n_ctx

    def change(self, settings: Request) -> None:
        """Go on with other settings; another seed is that of the next answer."""
        if settings.sampling.seed != self._settings.sampling.seed:
            self._seed = settings.sampling.seed
        self._settings = settings

    def choose(self, message: StoredMessage) -> None:
        """What is asked next is about `message`."""
        self._chosen = message.id

    @property
    def chosen(self) -> StoredMessage | None:
        """The message that was chosen, as long as it is shown and nothing else was asked."""
        return next((one for one in self.talk.path() if one.id == self._chosen), None)

    @property
    def question(self) -> StoredMessage:
        """What the user said last, or what was chosen. Raises InvalidInput if there is nothing."""
        chosen = self.chosen
        path = self.talk.tree.path_to(chosen.id) if chosen else self.talk.path()
        for stored in reversed(path):
            if stored.role is Role.USER:
                return stored
        raise InvalidInput("there is no message to answer again")

    @property
    def messages(self) -> list[Message]:
        """What was said and answered, after the system message."""
        path = self.talk.path()
        if path and path[-1].role is Role.USER:
            path.pop()
        system = [Message(Role.SYSTEM, self.talk.system)] if self.talk.system else []
        return [*system, *(stored.message for stored in path)]

    def ask(self, text: str) -> Request:
        """The request that answers `text`. Raises ModelFileError if the template fails."""
        return self._request(self.talk.ask(text))

    def ask_again(self) -> Request:
        """The request for another answer to `question`. Raises InvalidInput if there is none."""
        return self._request(self.question)

    def ask_anew(self, text: str) -> Request:
        """The request that answers `text` in place of `question`, which stays beside it."""
        return self._request(self.talk.say(text, self.question.parent))

    def go_on(self) -> Request:
        """The request that goes on with the last answer. Raises InvalidInput if there is none."""
        path = self.talk.path()
        if not path or path[-1].role is Role.USER:
            raise InvalidInput("there is no answer to go on with")
        return self._request(path[-2], path[-1])

    def write(self, piece: str) -> None:
        """Keep a piece of the answer to what was asked last, within a second also on the disk."""
        if not piece or self._question is None:
            return
        if self.talk.answer is None:
            self._begin(self._question)
        self.talk.write(piece)
        if (now := monotonic()) - self._saved >= _SAVE_EVERY:
            self.talk.save()
            self._saved = now

    def end(self, facts: Mapping[str, Any] | None = None) -> None:
        """The answer is complete, or will not be; if there is none, only the question is kept."""
        if self.talk.answer is not None:
            self.talk.end(facts or {})

    def _begin(self, question: StoredMessage) -> None:
        if self.begun:
            self.talk.resume(self.begun)
        else:
            self.talk.begin(question.id, {})
        if self.dropped:
            self.talk.leave_out(question.id, self._told)

    def _request(self, question: StoredMessage, begun: StoredMessage | None = None) -> Request:
        assert self._model, "a model is asked"
        form, n_ctx = self._model
        self._question, self.begun, self._chosen = question, begun, None
        told = self.talk.prompt(question.id)
        answer = min(self._settings.max_tokens or n_ctx // 4, n_ctx // 2)
        fitted = fit(told, form.tokens, n_ctx - answer)
        self.dropped = fitted.dropped
        self._told = sum(message.role is not Role.SYSTEM for message in fitted.messages)
        seed = self._seed
        self._seed = (seed + 1) % 2**64
        return replace(
            self._settings,
            prompt=(*fitted.tokens, *form.continuation(begun.text if begun else "")),
            sampling=replace(self._settings.sampling, seed=seed),
            stop=(*self._settings.stop, *form.stop),
        )
