"""How to answer: the keywords that every way of asking takes, and the request they become."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypedDict, Unpack

from edgespec.batch.prepare import Preparer
from edgespec.batch.rows import Row, Settings
from edgespec.batch.strict_json import Fault
from edgespec.errors import InvalidInput
from edgespec.events import Request
from edgespec.messages import Message
from edgespec.sampling.params import SamplingParams

Prompt = str | Sequence[Message]
"""A question, or a conversation that ends with one."""


class Options(TypedDict, total=False):
    """What is left out is as in `edgespec run`.

    Those from `temperature` to `seed` are the fields of SamplingParams; without `seed` one is
    drawn. `max_tokens` limits the answer, `stop` ends it. `grammar` is GBNF, `json_schema` an
    object or JSON text; they exclude each other. `system` goes before a prompt that is text, `raw`
    continues it without the model's chat template.
    """

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    repeat_penalty: float
    frequency_penalty: float
    presence_penalty: float
    penalty_window: int
    logit_bias: Mapping[int, float]
    seed: int
    max_tokens: int | None
    stop: str | Sequence[str]
    grammar: str | None
    json_schema: Mapping[str, Any] | str | None
    system: str | None
    raw: bool


_SAMPLING = {field.name for field in fields(SamplingParams)}


def settings_of(**options: Unpack[Options]) -> Settings:
    """The settings that `options` mean. Raises InvalidInput for one that cannot be used."""
    if unknown := options.keys() - Options.__annotations__.keys():
        raise InvalidInput(f"there is no option {min(unknown)!r}")
    if options.get("grammar") is not None and options.get("json_schema") is not None:
        raise InvalidInput("grammar and json_schema exclude each other")
    sampling: dict[str, Any] = {name: options[name] for name in _SAMPLING & options.keys()}  # type: ignore[literal-required]
    sampling.setdefault("seed", secrets.randbits(32))
    stop, schema = options.get("stop", ()), options.get("json_schema")
    return Settings(
        sampling=SamplingParams(**sampling),
        max_tokens=options.get("max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        json_schema=schema if schema is None or isinstance(schema, str) else json.dumps(schema),
        system=options.get("system"),
        raw=options.get("raw", False),
    )


def request_of(prompt: Prompt, settings: Settings, preparer: Preparer) -> Request:
    """The request for an answer to `prompt`. Raises InvalidInput if the model cannot give it."""
    text = prompt if isinstance(prompt, str) else None
    messages = () if isinstance(prompt, str) else tuple(prompt)
    if not (text or messages):
        raise InvalidInput("the prompt is empty")
    if messages and (settings.raw or settings.system is not None):
        raise InvalidInput("raw and system are for a prompt that is text")
    try:
        return preparer.requests(Row(None, settings, text, messages, {"prompt": ()}))[0]
    except Fault as fault:
        raise InvalidInput(fault.message) from None
