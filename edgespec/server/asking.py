"""What a body asks for: the row that a model can answer, and how the answer shall be told."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgespec.batch.fields import Fields
from edgespec.batch.openai import request_row
from edgespec.batch.rows import Row, Settings
from edgespec.batch.strict_json import Fault, Path
from edgespec.sampling.params import SamplingParams
from edgespec.server import limits
from edgespec.server.tools import Tools, read_tools

_OWN = (
    "stream",
    "stream_options",
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "grammar",
    "typical_p",
    "repeat_penalty",
    "penalty_window",
    "best_of",
)
"""Members that the Batch API's rows do not have, or not in this way."""
MOST_LOGPROBS = 20
"""Of a chat; a completion has at most five."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a client.

    `include_usage` of a `stream` asks for a last chunk with the numbers of tokens, `logprobs` for
    each token's and that many others'. `client` is whom turns are counted for, if the body says.
    `told` are members of the body that the reply repeats.
    """

    model: str
    row: Row
    tools: Tools
    stream: bool = False
    include_usage: bool = False
    logprobs: int | None = None
    client: str = ""
    background: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)


def read_asked(data: dict[str, Any], *, completion: bool) -> Asked:
    """The request that a body means. Raises Fault for whatever is wrong with it."""
    own = Fields({name: data[name] for name in _OWN if name in data})
    rest = Fields({name: value for name, value in data.items() if name not in _OWN})
    rest.require("model")
    model = rest.text("model") or ""
    client = rest.text("safety_identifier") or rest.text("user") or ""
    background = rest.text("service_tier") == "flex"
    if completion:
        rest = _one_prompt(rest)
    settings = shaped(own, Settings(sampling=SamplingParams(seed=secrets.randbits(32))))
    row = request_row(None, rest, settings, completion=completion)
    if row.settings.json_schema is not None and "grammar" in own:
        raise Fault("grammar and response_format exclude each other", own.at("grammar"))
    tools = Tools() if completion else read_tools(own)
    stream = own.flag("stream") or False
    include_usage = _usage(own)
    logprobs = _logprobs(own, completion=completion)
    if (own.integer("best_of", 1, limits.MAX_CHOICES) or 1) > 1:
        raise Fault("best_of is not possible here", own.at("best_of"))
    own.finish()
    row = replace(row, tools=tools.shown, places={**row.places, "tools": ("tools",)})
    limit(row)
    return Asked(model, row, tools, stream, include_usage, logprobs, client, background)


def shaped(own: Fields, settings: Settings) -> Settings:
    """With what is edgespec's own way of shaping answers."""
    for name in ("typical_p", "repeat_penalty"):
        if (value := own.number(name)) is not None:
            settings = settings.with_sampling(name, float(value), own.at(name))
    if (window := own.integer("penalty_window", 0, 2**31)) is not None:
        settings = settings.with_sampling("penalty_window", window, own.at("penalty_window"))
    grammar = own.text("grammar")
    return settings if grammar is None else settings.shaped(grammar, None)


def _one_prompt(rest: Fields) -> Fields:
    prompt = rest.value("prompt", str, list)
    if isinstance(prompt, list):
        if len(prompt) != 1 or not isinstance(prompt[0], str):
            raise Fault("prompt must be a string, or a list of a single one", rest.at("prompt"))
        return Fields({**rest.items(), "prompt": prompt[0]})
    return rest


def _usage(own: Fields) -> bool:
    options = own.object("stream_options")
    if options is None:
        return False
    options.flag("include_obfuscation")
    include = options.flag("include_usage") or False
    options.finish()
    return include


def _logprobs(own: Fields, *, completion: bool) -> int | None:
    if completion:
        return own.integer("logprobs", 0, 5)
    wanted, count = own.flag("logprobs"), own.integer("top_logprobs", 0, MOST_LOGPROBS)
    if count is not None and not wanted:
        raise Fault("top_logprobs needs logprobs to be true", own.at("top_logprobs"))
    return (count or 0) if wanted else None


def limit(row: Row) -> None:
    """Raise Fault for what would keep the server busy for nothing."""
    settings = row.settings
    size = len(row.prompt or "") + sum(len(message.content) for message in row.messages)
    if size > limits.MAX_PROMPT:
        raise Fault(f"the prompt has {size} characters", row.places["prompt"])
    if len(settings.stop) > limits.MAX_STOPS or any(
        not 0 < len(stop) <= limits.MAX_STOP for stop in settings.stop
    ):
        most = f"at most {limits.MAX_STOPS} texts of 1 to {limits.MAX_STOP} characters"
        raise Fault(f"stop must be {most}", ("stop",))
    if settings.samples > limits.MAX_CHOICES:
        raise Fault(f"n is {settings.samples}; at most {limits.MAX_CHOICES} are possible", ("n",))
    shapes: dict[Path, str] = {
        ("grammar",): settings.sampling.grammar or "",
        row.places.get("schema", ()): settings.json_schema or "",
        ("tools",): json.dumps(row.tools),
    }
    for place, text in shapes.items():
        if len(text) > limits.MAX_GRAMMAR:
            raise Fault(f"{place[0]} has more than {limits.MAX_GRAMMAR} characters", place)
