"""Answers as OpenAI's API writes them: whole, or in chunks."""

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edgespec.batch.answers import REASONS
from edgespec.events import Finish, Logprobs, Stats, Token
from edgespec.server.asking import Asked
from edgespec.server.job import Broken, News
from edgespec.server.tools import Call, Calls


@dataclass(slots=True)
class Piece:
    """What became certain of a choice at once."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    finish: str | None = None


class Choice:
    """One of the answers: its news, taken apart."""

    def __init__(self, asked: Asked) -> None:
        self._calls = Calls() if asked.tools.shown else None
        self.text = ""
        self.tokens: list[Token] = []
        self.called: list[Call] = []
        self.reason: str | None = None
        self.stats: Stats | None = None
        self.broken: Broken | None = None

    def take(self, news: Sequence[News]) -> Piece:
        """What is new."""
        piece = Piece()
        for one in news:
            if isinstance(one, Broken):
                self.broken = one
                continue
            text = one.piece
            if self._calls:
                text, calls = self._calls.push(one.piece)
                piece.calls += calls
                if isinstance(one, Finish):
                    text += self._calls.finish()
            piece.text += text
            if isinstance(one, Finish):
                self.stats = one.stats
                called = self.called or piece.calls
                piece.finish = "tool_calls" if called else REASONS[one.reason]
            else:
                piece.tokens.append(one)
        self.text += piece.text
        self.tokens += piece.tokens
        self.called += piece.calls
        self.reason = piece.finish
        return piece


class Writer:
    """Writes one reply. `spell` tells the bytes of a token."""

    def __init__(self, asked: Asked, spell: Callable[[int], bytes], *, completion: bool) -> None:
        self._asked = asked
        self._completion = completion
        self._spell = spell
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
        stats = [asdict(choice.stats) for choice in choices if choice.stats]
        seed = self._asked.row.settings.sampling.seed
        own = {"seed": seed, "stats": stats}
        return {**self._head, "choices": written, "usage": usage(choices), "edgespec": own}

    def opening(self, count: int) -> list[dict[str, Any]]:
        """The chunks that a stream of `count` choices opens with."""
        if self._completion:
            return []
        opened = {"delta": {"role": "assistant", "content": ""}}
        return [self._chunk(index, opened, None) for index in range(count)]

    def chunk(self, index: int, choice: Choice, piece: Piece) -> dict[str, Any] | None:
        """The chunk for a piece; None if it has nothing to tell."""
        logprobs = self._logprobs(piece.tokens)
        if not (piece.text or piece.calls or piece.finish or logprobs):
            return None
        if self._completion:
            return self._chunk(index, {"text": piece.text, "logprobs": logprobs}, piece.finish)
        delta: dict[str, Any] = {"content": piece.text} if piece.text else {}
        if piece.calls:
            before = len(choice.called) - len(piece.calls)
            delta["tool_calls"] = [
                {"index": before + number, **_call(call)} for number, call in enumerate(piece.calls)
            ]
        return self._chunk(index, {"delta": delta, "logprobs": logprobs}, piece.finish)

    def closing(self, choices: Sequence[Choice]) -> list[dict[str, Any]]:
        """The chunk with the numbers of tokens, if it is wanted."""
        if not self._asked.include_usage:
            return []
        return [{**self._head, "choices": [], "usage": usage(choices)}]

    def _chunk(self, index: int, body: dict[str, Any], finish: str | None) -> dict[str, Any]:
        choice = {"index": index, **body, "finish_reason": finish}
        chunk = {**self._head, "choices": [choice]}
        return {**chunk, "usage": None} if self._asked.include_usage else chunk

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
        found = [(token.id, token.logprobs) for token in tokens if token.logprobs]
        if not self._completion:
            return {"content": [self._entry(*entry) for entry in found], "refusal": None}
        names = [self._name(token) for token, _ in found]
        return {
            "tokens": names,
            "token_logprobs": [own.chosen for _, own in found],
            "top_logprobs": [{self._name(i): value for i, value in own.top} for _, own in found],
            "text_offset": [sum(map(len, names[:n])) for n in range(len(names))],
        }

    def _entry(self, token: int, own: Logprobs) -> dict[str, Any]:
        top = [self._spelt(other, value) for other, value in own.top]
        return {**self._spelt(token, own.chosen), "top_logprobs": top}

    def _spelt(self, token: int, value: float) -> dict[str, Any]:
        return {"token": self._name(token), "bytes": list(self._spell(token)), "logprob": value}

    def _name(self, token: int) -> str:
        return self._spell(token).decode("utf-8", "replace")


def usage(choices: Sequence[Choice]) -> dict[str, Any]:
    """The numbers of tokens."""
    stats = [choice.stats for choice in choices if choice.stats]
    prompt = stats[0].prompt_tokens if stats else 0
    completion = sum(one.tokens for one in stats)
    accepted = sum(token.source != "target" for choice in choices for token in choice.tokens)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "completion_tokens_details": {"accepted_prediction_tokens": accepted},
    }


def failure(message: str, kind: str, param: str | None = None) -> dict[str, Any]:
    """What is said instead of an answer."""
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}


def encode(value: Any) -> bytes:
    """JSON in UTF-8. Half a surrogate pair, which UTF-8 has not, stays escaped."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def event(value: Any) -> bytes:
    """JSON as a server-sent event."""
    return b"data: " + encode(value) + b"\n\n"


def _call(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
