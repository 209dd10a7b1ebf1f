"""A linear conversation: what was said, and the request for the next answer."""

from dataclasses import replace

from edgespec.chat import ChatFormat, Message, Role, fit
from edgespec.errors import InvalidInput
from edgespec.events import Request


class Conversation:
    """Messages so far. `settings` is a request without a prompt, for the first answer.

    Every answer has a seed of its own, counted on from the first one's: an answer that is asked
    for again differs, and the same inputs with the same seed give the same conversation.
    """

    def __init__(
        self, form: ChatFormat, settings: Request, n_ctx: int, system: str | None = None
    ) -> None:
        self.messages: list[Message] = []
        self.dropped = 0
        """How many exchanges the last request left out, because the context was full."""
        self._form = form
        self._settings = replace(settings, stop=(*settings.stop, *form.stop))
        answer = min(settings.max_tokens or n_ctx // 4, n_ctx // 2)
        self._room = n_ctx - answer
        self._seed = settings.sampling.seed
        self._question: Message | None = None
        self._asked: tuple[Message, ...] = ()
        self.set_system(system)

    def set_system(self, text: str | None) -> None:
        """Replace the system message; without text, remove it."""
        said = [message for message in self.messages if message.role is not Role.SYSTEM]
        self.messages = [Message(Role.SYSTEM, text), *said] if text else said

    def ask(self, text: str) -> Request:
        """The request that answers `text`. Raises ModelFileError if the template fails."""
        self._question = Message(Role.USER, text)
        return self._request(self.messages, self._question)

    def ask_again(self) -> Request:
        """The request for another answer to the last question. Raises InvalidInput if none."""
        if self._question is None:
            raise InvalidInput("there is no message to answer again")
        answered = len(self.messages) > 1 and self.messages[-2] is self._question
        return self._request(self.messages[:-2] if answered else self.messages, self._question)

    def record(self, answer: str) -> None:
        """Keep the exchange. A question without an answer is kept for `ask_again` only."""
        if answer:
            self.messages = [*self._asked, Message(Role.ASSISTANT, answer)]

    def reset(self) -> None:
        """Forget everything but the system message."""
        self.messages = [message for message in self.messages if message.role is Role.SYSTEM]
        self._question = None

    def _request(self, before: list[Message], question: Message) -> Request:
        fitted = fit([*before, question], self._form.tokens, self._room)
        self._asked = fitted.messages
        self.dropped = fitted.dropped
        seed = self._seed
        self._seed = (seed + 1) % 2**64
        sampling = replace(self._settings.sampling, seed=seed)
        return replace(self._settings, prompt=fitted.tokens, sampling=sampling)
