"""Output lines: a row's answer or what is wrong with it, in the format that the row came in."""

import json
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from time import time
from typing import Any

from edgespec.batch.rows import Row
from edgespec.batch.tasks import Answered
from edgespec.events import FinishReason, Stats

REASONS = {
    FinishReason.EOG: "stop",
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.CONTEXT: "length",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a row has no answer; `column` of its line if it is the line's fault."""

    message: str
    column: int | None = None


class NativeAnswers:
    """Lines of edgespec's own format."""

    def answer(self, line: int, row: Row, samples: Sequence[Answered]) -> bytes:
        """The line of a row that was answered."""
        found = [_sample(answered) for answered in samples]
        body = (
            found[0]
            if len(found) == 1
            else {**_aggregates(samples, row.settings.vote), "samples": found}
        )
        head = {"line": line, "id": row.id, "seed": row.settings.sampling.seed}
        return encode({**head, **body, "error": None})

    def failure(self, line: int, identity: str | int | None, failure: Failure) -> bytes:
        """The line of a row that was not."""
        error = {"message": failure.message, "line": line, "column": failure.column}
        return encode({"line": line, "id": identity, "error": error})


class OpenAIAnswers:
    """Lines as OpenAI's Batch API writes them. `batch` tells this batch from others."""

    def __init__(self, model: str, batch: str, clock: Callable[[], float] = time) -> None:
        self._model = model
        self._batch = batch
        self._clock = clock

    def answer(self, line: int, row: Row, samples: Sequence[Answered]) -> bytes:
        """The line of a request that was answered."""
        prompt = samples[0].stats.prompt_tokens
        completion = sum(answered.stats.tokens for answered in samples)
        choice = _completion if row.completion else _chat
        kept = _ranked(samples)[: row.settings.kept] if row.settings.kept else samples
        more = _aggregates(samples, row.settings.vote) if len(samples) > 1 else {}
        body = {
            "id": f"{'cmpl' if row.completion else 'chatcmpl'}-{self._batch}-{line}",
            "object": "text_completion" if row.completion else "chat.completion",
            "created": int(self._clock()),
            "model": self._model,
            "choices": [choice(index, answered) for index, answered in enumerate(kept)],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
                "prompt_tokens_details": {"cached_tokens": samples[0].stats.cached_tokens},
                "completion_tokens_details": {
                    "accepted_prediction_tokens": sum(a.stats.accepted for a in samples),
                    "rejected_prediction_tokens": sum(
                        a.stats.drafted - a.stats.accepted for a in samples
                    ),
                },
            },
            "edgespec": {
                "seed": row.settings.sampling.seed,
                "stats": [_stats(answered.stats) for answered in samples],
                **more,
            },
        }
        return self._line(line, row.id, 200, body)

    def failure(self, line: int, identity: str | int | None, failure: Failure) -> bytes:
        """The line of a request that was not."""
        fault = failure.column is not None
        error = {
            "message": failure.message,
            "type": "invalid_request_error" if fault else "server_error",
            "param": f"line {line}, column {failure.column}" if fault else None,
            "code": None,
        }
        return self._line(line, identity, 400 if fault else 500, {"error": error})

    def _line(self, line: int, identity: str | int | None, status: int, body: object) -> bytes:
        name = f"{self._batch}-{line}"
        response = {"status_code": status, "request_id": f"req_{name}", "body": body}
        head = {"id": f"batch_req_{name}", "custom_id": identity}
        return encode({**head, "response": response, "error": None})


Answers = NativeAnswers | OpenAIAnswers


def encode(value: Mapping[str, Any]) -> bytes:
    """One line of JSON in UTF-8. Half a surrogate pair, which UTF-8 has not, stays escaped."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _sample(answered: Answered) -> dict[str, object]:
    own = {} if answered.mean_logprob is None else {"mean_logprob": _score(answered)}
    return {
        "text": answered.text,
        "finish_reason": answered.reason.value,
        **own,
        "stats": _stats(answered.stats),
    }


def _aggregates(samples: Sequence[Answered], pattern: str | None) -> dict[str, object]:
    """What several answers come to: by their number, and by how likely the model found them."""
    best = _ranked(samples)[0]
    text, index = best.text, best.task.sample
    winner = {"text": text, "sample": index, "mean_logprob": _score(best)}
    return {"vote": _vote(samples, pattern), "best": winner}


def _ranked(samples: Sequence[Answered]) -> list[Answered]:
    """The samples, the likeliest first; of equals, the first ones."""
    return sorted(samples, key=_score, reverse=True)


def _score(answered: Answered) -> float:
    """Rounded to what the size of a decode, which moves the last bits, leaves alone."""
    assert answered.mean_logprob is not None
    return round(answered.mean_logprob, 4)


def _vote(samples: Sequence[Answered], pattern: str | None) -> dict[str, object]:
    """What most samples agree on, white space at its ends aside; of equals the first.

    That is their text, or the last thing in it that `pattern` finds: its first group if it has
    one. Source: self-consistency, Wang et al. 2022, arXiv:2203.11171.
    """
    ballots = [_ballot(answered.text, pattern) for answered in samples]
    counts = Counter(ballot for ballot in ballots if ballot is not None)
    text, votes = counts.most_common(1)[0] if counts else (None, 0)
    return {"text": text, "votes": votes}


def _ballot(text: str, pattern: str | None) -> str | None:
    if pattern is None:
        return text.strip()
    found = deque(re.finditer(pattern, text), maxlen=1)
    return (found[0][found[0].re.groups and 1] or "").strip() if found else None


def _chat(index: int, answered: Answered) -> dict[str, object]:
    return {
        "index": index,
        "message": {"role": "assistant", "content": answered.text, "refusal": None},
        "logprobs": None,
        "finish_reason": REASONS[answered.reason],
    }


def _completion(index: int, answered: Answered) -> dict[str, object]:
    return {
        "index": index,
        "text": answered.text,
        "logprobs": None,
        "finish_reason": REASONS[answered.reason],
    }


def _stats(stats: Stats) -> dict[str, object]:
    return asdict(stats) | {"acceptance_rate": stats.acceptance_rate}
