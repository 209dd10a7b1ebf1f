"""Answers as chat and text completions write them: whole, or in chunks."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import accumulate
from typing import Any, Protocol

from edgespec.events import Logprobs, Token
from edgespec.server.asking import Asked
from edgespec.server.choice import Choice, Piece
from edgespec.server.tools import Call
from edgespec.server.wire import failure, kind_of

Spell = Callable[[int], bytes]
"""Tells the bytes of a token."""


class Writer(Protocol):
    """Writes one reply, whose choices it is told of as they come."""

    end: bytes
    """What goes behind the last event."""

    def whole(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """The reply to who did not ask for a stream."""

    def opening(self, count: int) -> list[dict[str, Any]]:
        """The events that a stream of `count` choices opens with."""

    def chunks(self, index: int, choice: Choice, piece: Piece) -> list[dict[str, Any]]:
        """The events for a piece, if it has anything to tell."""

    def closing(self, choices: Sequence[Choice]) -> list[dict[str, Any]]:
        """The events that a stream closes with."""


class ChoicesWriter:
    """Writes chat completions or, for a `completion`, those of a text; see Writer."""

    end = b"data: [DONE]\n\n"

    def __init__(self, asked: Asked, spell: Spell, *, completion: bool) -> None:
        self._asked = asked
        self._completion = completion
        self._spelling = Spelling(spell)
        kind = "text_completion" if completion else "chat.completion"
        self._head = {
            "id": f"{'cmpl' if completion else 'chatcmpl'}-{secrets.token_hex(12)}",
            "object": kind if completion or not asked.stream else f"{kind}.chunk",
            "created": int(time.time()),
            "model": asked.model,
            "system_fingerprint": None,
        }

    def whole(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """The reply to who did not ask for a stream."""
        written = [self._whole(index, choice) for index, choice in enumerate(choices)]
        own = own_members(self._asked, choices)
        return {**self._head, "choices": written, "usage": usage(choices), "edgespec": own}

    def opening(self, count: int) -> list[dict[str, Any]]:
        """The chunks that a stream of `count` choices opens with."""
        if self._completion:
            return []
        opened = {"delta": {"role": "assistant", "content": ""}}
        return [self._chunk(index, opened, None) for index in range(count)]

    def chunks(self, index: int, choice: Choice, piece: Piece) -> list[dict[str, Any]]:
        """The chunk for a piece, and what broke the answer off."""
        chunks = []
        logprobs = self._logprobs(piece.tokens)
        if piece.text or piece.calls or piece.finish or logprobs:
            body = self._body(choice, piece) | {"logprobs": logprobs}
            chunks.append(self._chunk(index, body, piece.finish))
        if piece.broken:
            chunks.append(failure(piece.broken.message, kind_of(piece.broken.status)))
        return chunks

    def closing(self, choices: Sequence[Choice]) -> list[dict[str, Any]]:
        """The chunk with the numbers of tokens, if it is wanted."""
        if not self._asked.include_usage:
            return []
        return [{**self._head, "choices": [], "usage": usage(choices)}]

    def _chunk(self, index: int, body: dict[str, Any], finish: str | None) -> dict[str, Any]:
        choice = {"index": index, **body, "finish_reason": finish}
        chunk = {**self._head, "choices": [choice]}
        return {**chunk, "usage": None} if self._asked.include_usage else chunk

    def _body(self, choice: Choice, piece: Piece) -> dict[str, Any]:
        if self._completion:
            return {"text": piece.text}
        delta: dict[str, Any] = {"content": piece.text} if piece.text else {}
        if piece.calls:
            before = len(choice.called) - len(piece.calls)
            delta["tool_calls"] = [
                {"index": before + number, **_call(call)} for number, call in enumerate(piece.calls)
            ]
        return {"delta": delta}

    def _whole(self, index: int, choice: Choice) -> dict[str, Any]:
        logprobs = self._logprobs(choice.tokens)
        if self._completion:
            body: dict[str, Any] = {"text": choice.text}
        else:
            message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None}
            if choice.called:
                message["content"] = choice.text.strip() or None
                message["tool_calls"] = [_call(call) for call in choice.called]
            body = {"message": message}
        return {"index": index, **body, "logprobs": logprobs, "finish_reason": choice.reason}

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any] | None:
        if self._asked.logprobs is None or not tokens:
            return None
        if not self._completion:
            return {"content": self._spelling.entries(tokens), "refusal": None}
        name = self._spelling.name
        found = [(name(token.id), token.logprobs) for token in tokens if token.logprobs]
        names = [spelt for spelt, _ in found]
        return {
            "tokens": names,
            "token_logprobs": [own.chosen for _, own in found],
            "top_logprobs": [{name(i): value for i, value in own.top} for _, own in found],
            "text_offset": [*accumulate(map(len, names), initial=0)][:-1],
        }


class Spelling:
    """Tokens as text, with their logprobs."""

    def __init__(self, spell: Spell) -> None:
        self._spell = spell

    def name(self, token: int) -> str:
        """The text of a token."""
        return self._spell(token).decode("utf-8", "replace")

    def entries(self, tokens: Sequence[Token]) -> list[dict[str, Any]]:
        """The logprobs of those tokens that have some."""
        return [self._entry(token.id, token.logprobs) for token in tokens if token.logprobs]

    def _entry(self, token: int, own: Logprobs) -> dict[str, Any]:
        top = [self._spelt(other, value) for other, value in own.top]
        return {**self._spelt(token, own.chosen), "top_logprobs": top}

    def _spelt(self, token: int, value: float) -> dict[str, Any]:
        return {"token": self.name(token), "bytes": list(self._spell(token)), "logprob": value}


def usage(choices: Sequence[Choice]) -> dict[str, Any]:
    """The numbers of tokens."""
    stats = [choice.stats for choice in choices if choice.stats]
    prompt, cached = (stats[0].prompt_tokens, stats[0].cached_tokens) if stats else (0, 0)
    completion = sum(one.tokens for one in stats)
    accepted = sum(token.source != "target" for choice in choices for token in choice.tokens)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"accepted_prediction_tokens": accepted},
    }


def own_members(asked: Asked, choices: Sequence[Choice]) -> dict[str, Any]:
    """What OpenAI's API has no place for: the seed, and what the answers cost."""
    stats = [asdict(choice.stats) for choice in choices if choice.stats]
    return {"seed": asked.row.settings.sampling.seed, "stats": stats}


def _call(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
