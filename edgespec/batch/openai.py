"""Rows of OpenAI's Batch API: requests with a custom_id, a url and a body.

Source: the Batch API's reference and guide, as of 2026.
"""

import json
from dataclasses import replace

from edgespec.batch.fields import Fields
from edgespec.batch.members import logit_bias, messages
from edgespec.batch.rows import MAX_SAMPLES, Row, Settings
from edgespec.batch.strict_json import Fault, Path, parse_object

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"

MOST_TOKENS = 2**31 - 1
_SAMPLING = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "min_p")
_NO_EFFECT = (
    "metadata",
    "model",
    "parallel_tool_calls",
    "prediction",
    "prompt_cache_key",
    "reasoning_effort",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
    "verbosity",
)
"""Members that do not change what a local model answers; `model` is the one that is loaded."""
_REFUSED = {
    "stream": False,
    "logprobs": False,
    "echo": False,
    "tools": [],
    "functions": [],
}
"""Members that cannot be honoured, unless they have this value, which asks for nothing."""


def parse_openai(line: str, settings: Settings) -> Row:
    """The row of a request. Raises Fault for whatever is wrong with it."""
    fields = Fields(parse_object(line))
    fields.require("custom_id")
    identity = fields.text("custom_id")
    url = fields.text("url") or CHAT
    if url not in (CHAT, COMPLETION):
        raise Fault(f"url must be {CHAT} or {COMPLETION}", fields.at("url"))
    if (method := fields.text("method")) not in (None, "POST"):
        raise Fault(f"method is {str(method)[:20]!r}; it must be POST", fields.at("method"))
    fields.require("body")
    body = fields.object("body")
    assert body is not None
    fields.finish()
    return request_row(identity, body, settings, completion=url == COMPLETION)


def request_row(identity: str | None, body: Fields, settings: Settings, *, completion: bool) -> Row:
    """The row of a request's body. Raises Fault for whatever is wrong with it."""
    _refuse(body)
    settings = _settings(body, settings)
    places: dict[str, Path] = {"schema": body.at("response_format"), "grammar": body.at("grammar")}
    if completion:
        prompt = body.text("prompt")
        settings = _best_of(body, settings)
        body.finish()
        body.require("prompt")
        if not prompt:
            raise Fault("the prompt is empty", body.at("prompt"))
        places["prompt"] = body.at("prompt")
        settings = settings.continuing()
        return Row(identity, settings, prompt, places=places, completion=True)
    turns = messages(body)
    body.finish()
    body.require("messages")
    if settings.raw:
        raise Fault("messages need a chat template, --raw leaves it out", body.at("messages"))
    places["prompt"] = body.at("messages")
    return Row(identity, settings, None, turns or (), places)


def _refuse(body: Fields) -> None:
    body.ignore(_NO_EFFECT)
    for name, harmless in _REFUSED.items():
        value = body.value(name, bool, list, int)
        if value is not None and value != harmless:
            raise Fault(f"{name} is not possible here", body.at(name))


def sampled(body: Fields, settings: Settings) -> Settings:
    """With a request's own way of choosing tokens. Raises Fault."""
    for name in _SAMPLING:
        if (value := body.number(name)) is not None:
            settings = settings.with_sampling(name, float(value), body.at(name))
    for name in ("top_k", "seed"):
        if (whole := body.integer(name, 0, 2**63)) is not None:
            settings = settings.with_sampling(name, whole, body.at(name))
    return logit_bias(body, settings)


def _settings(body: Fields, settings: Settings) -> Settings:
    settings = formed(body.object("response_format"), sampled(body, settings))
    newer = body.integer("max_completion_tokens", 1, MOST_TOKENS)
    older = body.integer("max_tokens", 1, MOST_TOKENS)
    return settings.replaced(
        max_tokens=newer if newer is not None else older,
        stop=body.strings("stop"),
        samples=body.integer("n", 1, MAX_SAMPLES),
    )


def _best_of(body: Fields, settings: Settings) -> Settings:
    """Of so many samples the `n` best are the answer."""
    drawn = body.integer("best_of", 1, MAX_SAMPLES)
    if drawn is None:
        return settings
    if drawn < settings.samples:
        what = f"best_of is {drawn}; it must be at least n, {settings.samples}"
        raise Fault(what, body.at("best_of"))
    return replace(settings, samples=drawn, kept=settings.samples)


def formed(wanted: Fields | None, settings: Settings, *, flat: bool = False) -> Settings:
    """With the form of answers that is wanted, if any; `flat` if it holds its schema itself."""
    if wanted is None:
        return settings
    kind = wanted.text("type")
    if kind == "text":
        return settings
    if kind == "json_object":
        return settings.shaped(None, json.dumps({"type": "object"}))
    if kind != "json_schema":
        raise Fault("type must be text, json_object or json_schema", wanted.at("type"))
    if not flat:
        wanted.require("json_schema")
    described = wanted if flat else wanted.object("json_schema")
    assert described is not None
    described.require("schema")
    return settings.shaped(None, json.dumps(described.value("schema", dict)))
