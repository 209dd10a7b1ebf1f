"""Conversations as prompts: from messages to tokens, and what is left out when they grow long."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from edgespec.messages import Message as Message
from edgespec.messages import Role as Role
from edgespec.protocols import Model, Tokenizer
from edgespec.template import ChatTemplate

TEMPLATE_KEY = "tokenizer.chat_template"

TRANSCRIPT = (
    "{% for message in messages %}"
    "{% if message.role != 'system' %}{{ message.role | capitalize }}: {% endif %}"
    "{{ message.content }}\n\n"
    "{% endfor %}Assistant:"
)
"""What a model without a template of its own is shown: a dialogue, as it knows from texts."""

_BREAK = "\ufdd0"
"""A noncharacter, which no text may contain: where a prompt is cut before it is tokenized."""


class ChatFormat:
    """How one model reads a conversation. `stop` ends answers that the model would not end.

    What a message says stays text: where it spells out a control token, as in `<|im_end|>`, the
    prompt is tokenized in two parts, cut inside that spelling. All other prompts are tokenized
    whole, exactly as the model was trained.
    """

    def __init__(
        self, tokenizer: Tokenizer, template: ChatTemplate, stop: tuple[str, ...] = ()
    ) -> None:
        self.stop = stop
        self._tokenizer = tokenizer
        self._template = template

    @classmethod
    def of(cls, model: Model) -> Self:
        """The format in the model's file, or a plain transcript if it has none."""
        tokenizer = model.tokenizer
        if source := model.metadata.get(TEMPLATE_KEY):
            bos, eos = _spelling(tokenizer, tokenizer.bos), _spelling(tokenizer, tokenizer.eos)
            return cls(tokenizer, ChatTemplate(source, bos, eos))
        return cls(tokenizer, ChatTemplate(TRANSCRIPT), ("\nUser:",))

    @property
    def calls_tools(self) -> bool:
        """Whether the model can be shown tools, and calls them in a form that is known here."""
        return self._template.calls_tools

    def tokens(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """The prompt for the assistant's next answer. Raises ModelFileError."""
        prompt = self._template.render(
            [self._shown(message) for message in messages], self._broken_within(list(tools))
        )
        first, *rest = prompt.split(_BREAK)
        tokens = self._tokenizer.encode(first, add_special=True, parse_special=True)
        for part in rest:
            tokens += self._tokenizer.encode(part, add_special=False, parse_special=True)
        # Many templates write the BOS that the tokenizer adds as well.
        doubled = self._tokenizer.bos is not None and tokens[:2] == [self._tokenizer.bos] * 2
        return tokens[1:] if doubled else tokens

    def continuation(self, text: str) -> list[int]:
        """The tokens of an answer's beginning, to go behind `tokens`."""
        return self._tokenizer.encode(text, add_special=False, parse_special=False) if text else []

    def _shown(self, message: Message) -> dict[str, Any]:
        """A message as templates know it."""
        shown = {"role": message.role.value, "content": self._broken(message.content)}
        if message.calls:
            shown["tool_calls"] = self._broken_within(list(message.calls))
        if message.call_id:
            shown["tool_call_id"] = self._broken(message.call_id)
        return shown

    def _broken_within(self, value: Any) -> Any:
        """`value` with all texts in it broken."""
        if isinstance(value, str):
            return self._broken(value)
        if isinstance(value, Mapping):
            return {self._broken(key): self._broken_within(item) for key, item in value.items()}
        return [self._broken_within(item) for item in value] if isinstance(value, list) else value

    def _broken(self, text: str) -> str:
        """`text` with a cut after the first character of every control token it spells out."""
        text = text.replace(_BREAK, "")
        while names := self._control_tokens(text):
            for name in names:
                text = text.replace(name, name[0] + _BREAK + name[1:])
        return text

    def _control_tokens(self, text: str) -> set[str]:
        found: set[str] = set()
        for part in text.split(_BREAK):
            for token in self._tokenizer.encode(part, add_special=False, parse_special=True):
                if not self._tokenizer.piece(token):
                    found.add(_spelling(self._tokenizer, token))
        # The token for unknown characters is found where nobody spelt it out.
        return {name for name in found if len(name) > 1 and name in text}


def completion_tokens(tokenizer: Tokenizer, text: str, *, parse_special: bool) -> list[int]:
    """The prompt that continues `text` without any template."""
    return tokenizer.encode(text, add_special=True, parse_special=parse_special)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A conversation that fits: its prompt, its messages and how many exchanges were left out."""

    tokens: tuple[int, ...]
    messages: tuple[Message, ...]
    dropped: int


def fit(
    messages: Sequence[Message],
    tokens_of: Callable[[Sequence[Message]], list[int]],
    room: int,
) -> Fitted:
    """Leave out the oldest exchanges if the prompt has more than `room` tokens.

    The system message and the last message always stay, so the result can still be too long.
    Leaving out changes the prompt's beginning, after which no cached token is of use; therefore
    it goes on until a quarter of the room is free and the next turns need not do it again.
    """
    head = [message for message in messages[:1] if message.role is Role.SYSTEM]
    kept = list(messages[len(head) :])
    tokens = tokens_of([*head, *kept])
    dropped = 0
    if len(tokens) > room:
        while len(tokens) > room * 3 // 4 and (exchange := _first_exchange(kept)):
            kept = kept[exchange:]
            tokens = tokens_of([*head, *kept])
            dropped += 1
    return Fitted(tuple(tokens), (*head, *kept), dropped)


def _first_exchange(messages: Sequence[Message]) -> int:
    """How many messages come before the second one of the user; 0 if there is none."""
    later = range(1, len(messages))
    return next((n for n in later if messages[n].role is Role.USER), 0)


def _spelling(tokenizer: Tokenizer, token: int | None) -> str:
    piece = b"" if token is None else tokenizer.piece(token, special=True)
    return piece.decode("utf-8", "replace")
