"""Rows of edgespec's own format: JSON objects with a prompt or messages, and text lines."""

import json
from collections.abc import Mapping
from typing import Any

from edgespec.batch.fields import Fields
from edgespec.batch.members import logit_bias, messages
from edgespec.batch.rows import MAX_SAMPLES, Row, Settings
from edgespec.batch.strict_json import Fault, Path, parse_object

_MOST_TOKENS = 2**31 - 1
_SAMPLING = (
    "temperature",
    "top_p",
    "min_p",
    "typical_p",
    "repeat_penalty",
    "frequency_penalty",
    "presence_penalty",
)
_WHOLE = ("top_k", "penalty_window", "seed")
MEMBERS = {
    "id",
    "prompt",
    "messages",
    "system",
    "max_tokens",
    "stop",
    "n",
    "grammar",
    "json_schema",
    "logit_bias",
    *_SAMPLING,
    *_WHOLE,
}
"""All that a row may say."""


def parse_text(line: str, settings: Settings) -> Row:
    """The row of a line of plain text, which is its prompt."""
    return Row(None, settings, line, places={"prompt": ()})


def parse_native(line: str, settings: Settings) -> Row:
    """The row of a JSON object. Raises Fault for whatever is wrong with it."""
    return parse_row(parse_object(line), settings)


def parse_row(data: Mapping[str, Any], settings: Settings) -> Row:
    """The row that an object means. Raises Fault, with the path of what is wrong with it."""
    fields = Fields(data)
    identity = fields.scalar("id")
    settings = _settings(fields, settings)
    prompt, turns = fields.text("prompt"), messages(fields)
    fields.finish()
    if prompt is None and turns is None:
        raise Fault("the row has no prompt and no messages", fields.path)
    if prompt is not None and turns is not None:
        raise Fault("a prompt and messages exclude each other", fields.at("messages"))
    if prompt == "":
        raise Fault("the prompt is empty", fields.at("prompt"))
    if turns is not None and settings.raw:
        raise Fault("messages need a chat template, --raw leaves it out", fields.at("messages"))
    if turns is not None and "system" in fields:
        raise Fault("with messages, system is one of them", fields.at("system"))
    places: dict[str, Path] = {
        "prompt": fields.at("prompt" if turns is None else "messages"),
        "grammar": fields.at("grammar"),
        "schema": fields.at("json_schema"),
    }
    return Row(identity, settings, prompt, turns or (), places)


def _settings(fields: Fields, settings: Settings) -> Settings:
    for name in _SAMPLING:
        if (value := fields.number(name)) is not None:
            settings = settings.with_sampling(name, float(value), fields.at(name))
    for name in _WHOLE:
        if (value := fields.integer(name, 0, 2**64 - 1)) is not None:
            settings = settings.with_sampling(name, value, fields.at(name))
    settings = logit_bias(fields, settings)
    grammar = fields.text("grammar")
    schema = fields.value("json_schema", dict, str)
    if grammar is not None and schema is not None:
        raise Fault("grammar and json_schema exclude each other", fields.at("json_schema"))
    if grammar is not None:
        settings = settings.shaped(grammar, None)
    if schema is not None:
        settings = settings.shaped(None, schema if isinstance(schema, str) else json.dumps(schema))
    return settings.replaced(
        max_tokens=fields.integer("max_tokens", 1, _MOST_TOKENS),
        stop=fields.strings("stop"),
        system=fields.text("system"),
        samples=fields.integer("n", 1, MAX_SAMPLES),
    )
