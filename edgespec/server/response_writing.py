"""Answers as /v1/responses writes them: a response, or the events in which it comes about."""

import secrets
import time
from collections.abc import Sequence
from typing import Any

from edgespec.events import Token
from edgespec.server.asking import Asked
from edgespec.server.choice import Choice, Piece
from edgespec.server.job import Broken
from edgespec.server.tools import Call
from edgespec.server.writing import Spell, Spelling, own_members, usage

_Event = dict[str, Any]


class ResponseWriter:
    """Writes the only choice that there is; see edgespec.server.writing.Writer."""

    end = b""

    def __init__(self, asked: Asked, spell: Spell) -> None:
        self._asked = asked
        self._spelling = Spelling(spell)
        self._id = f"resp_{secrets.token_hex(24)}"
        self._created = int(time.time())
        self._events = 0
        self._output: list[dict[str, Any]] = []
        """Items, each as far as it has come."""
        self._message = -1
        """Which of them is the message, as soon as there is one."""
        self._untold: list[Token] = []
        """Tokens whose text has not come yet."""

    def whole(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """The response."""
        (choice,) = choices
        text = "" if choice.called and not choice.text.strip() else choice.text
        self.chunks(0, choice, Piece(text, choice.called, choice.tokens, choice.reason))
        return self._ended(choice)

    def opening(self, count: int) -> list[_Event]:
        """The events that a stream opens with."""
        begun = self._response("in_progress")
        names = "response.created", "response.in_progress"
        return [self._event(name, response=begun) for name in names]

    def chunks(self, index: int, choice: Choice, piece: Piece) -> list[_Event]:
        """The events for a piece."""
        self._untold += piece.tokens
        events = self._more(piece.text) if piece.text else []
        for call in piece.calls:
            events += self._called(call)
        if piece.finish:
            if not self._output:
                events += self._opened()
            events += self._said(piece.finish)
        return events

    def closing(self, choices: Sequence[Choice]) -> list[_Event]:
        """The event that says how it ended, and has all of it."""
        (choice,) = choices
        ended = self._ended(choice)
        return [self._event(f"response.{ended['status']}", response=ended)]

    def _more(self, text: str) -> list[_Event]:
        """More text of the message."""
        events = self._opened() if self._message < 0 else []
        part = self._part
        part["text"] += text
        logprobs = self._spelling.entries(self._untold)
        self._untold = []
        part["logprobs"] += logprobs
        delta = {"delta": text, "logprobs": logprobs}
        return [*events, self._event("response.output_text.delta", **self._place, **delta)]

    @property
    def _part(self) -> dict[str, Any]:
        part: dict[str, Any] = self._output[self._message]["content"][0]
        return part

    @property
    def _place(self) -> dict[str, Any]:
        """Where the message's text is."""
        item = self._output[self._message]
        return {"item_id": item["id"], "output_index": self._message, "content_index": 0}

    def _opened(self) -> list[_Event]:
        """The message begins."""
        self._message = len(self._output)
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        head = {"id": f"msg_{secrets.token_hex(24)}", "type": "message", "role": "assistant"}
        added = self._added({**head, "status": "in_progress", "content": []})
        self._output[self._message]["content"] = [part]
        return [added, self._event("response.content_part.added", **self._place, part={**part})]

    def _said(self, finish: str) -> list[_Event]:
        """The message, if there is one, has come to its end."""
        if self._message < 0:
            return []
        item, part = self._output[self._message], self._part
        item["status"] = "incomplete" if finish == "length" else "completed"
        text = {"text": part["text"], "logprobs": part["logprobs"]}
        return [
            self._event("response.output_text.done", **self._place, **text),
            self._event("response.content_part.done", **self._place, part=part),
            self._event("response.output_item.done", output_index=self._message, item=item),
        ]

    def _called(self, call: Call) -> list[_Event]:
        """A whole call of a tool, which consists of all tokens that had no text."""
        self._untold = []
        index = len(self._output)
        head = {"id": f"fc_{secrets.token_hex(24)}", "type": "function_call", "call_id": call.id}
        begun = {**head, "name": call.name, "arguments": "", "status": "in_progress"}
        added = self._added(begun)
        item = self._output[index] = {**begun, "arguments": call.arguments, "status": "completed"}
        place = {"item_id": item["id"], "output_index": index}
        arguments = "response.function_call_arguments"
        return [
            added,
            self._event(f"{arguments}.delta", **place, delta=call.arguments),
            self._event(f"{arguments}.done", **place, arguments=call.arguments, name=call.name),
            self._event("response.output_item.done", output_index=index, item=item),
        ]

    def _added(self, item: dict[str, Any]) -> _Event:
        self._output.append(item)
        index = len(self._output) - 1
        return self._event("response.output_item.added", output_index=index, item={**item})

    def _ended(self, choice: Choice) -> dict[str, Any]:
        """The response as it is in the end."""
        if choice.broken:
            return self._response("failed", choice.broken)
        complete = choice.reason != "length"
        response = self._response("completed" if complete else "incomplete")
        own = own_members(self._asked, [choice])
        return response | {"usage": _usage(choice), "edgespec": own}

    def _response(self, status: str, broken: Broken | None = None) -> dict[str, Any]:
        sampling = self._asked.row.settings.sampling
        why = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": _error(broken) if broken else None,
            "incomplete_details": why,
            "model": self._asked.model,
            "output": [*self._output],
            "previous_response_id": None,
            "store": False,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "truncation": "disabled",
            "usage": None,
            **self._asked.told,
        }

    def _event(self, kind: str, **more: Any) -> _Event:
        self._events += 1
        return {"type": kind, "sequence_number": self._events - 1, **more}


def _error(broken: Broken) -> dict[str, str]:
    code = "server_error" if broken.status >= 500 else "invalid_prompt"
    return {"code": code, "message": broken.message}


def _usage(choice: Choice) -> dict[str, Any]:
    counted = usage([choice])
    cached = counted["prompt_tokens_details"]["cached_tokens"]
    return {
        "input_tokens": counted["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": counted["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counted["total_tokens"],
    }
