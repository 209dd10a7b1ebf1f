"""Tools that a model may call: how they are asked for, and the calls in what it says.

A model that calls tools as `<tool_call>{"name": ..., "arguments": {...}}</tool_call>` can be
offered some; what it says is text up to the first such tag.
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgespec.batch.fields import Fields
from edgespec.batch.strict_json import Fault

OPEN, CLOSE = "<tool_call>", "</tool_call>"

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ROOT = re.compile(r"^root ::=", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tools:
    """`shown` are offered to the model; with `forced` it has to call one of these."""

    shown: tuple[Mapping[str, Any], ...] = ()
    forced: tuple[Mapping[str, Any], ...] = ()

    def grammar(self, of_schema: Callable[[str], str]) -> str:
        """GBNF of a call of one of the forced tools. Raises what `of_schema` does."""
        calls = [_call_schema(tool["function"]) for tool in self.forced]
        gbnf = of_schema(json.dumps({"anyOf": calls}))
        return _ROOT.sub("call ::=", gbnf) + f'\nroot ::= "{OPEN}\\n" call "\\n{CLOSE}"\n'


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the name of a tool, and its arguments as JSON."""

    name: str
    arguments: str
    id: str


class Calls:
    """Takes an answer's text apart while it comes."""

    def __init__(self) -> None:
        self.found: list[Call] = []
        self._held = ""
        self._behind_call = False
        """True until something else than white space follows a call."""

    def push(self, piece: str) -> tuple[str, list[Call]]:
        """What became certain with `piece`: text that is no call, and calls."""
        self._held += piece
        text, known = "", len(self.found)
        while OPEN in self._held:
            before, _, behind = self._held.partition(OPEN)
            text += self._text(before)
            inside, close, rest = behind.partition(CLOSE)
            if not close:
                self._held = OPEN + inside
                return text, self.found[known:]
            self._held = rest
            if call := _read_call(inside):
                self.found.append(call)
                self._behind_call = True
            else:
                text += self._text(OPEN + inside + close)
        kept = next((n for n in range(len(OPEN) - 1, 0, -1) if self._held.endswith(OPEN[:n])), 0)
        end = len(self._held) - kept
        text += self._text(self._held[:end])
        self._held = self._held[end:]
        return text, self.found[known:]

    def _text(self, text: str) -> str:
        """`text`, without what only keeps it apart from a call."""
        if self._behind_call:
            text = text.lstrip()
            self._behind_call = not text
        return text

    def finish(self) -> str:
        """What turned out to be no call."""
        held, self._held = self._held, ""
        return held


def read_tools(fields: Fields, *, flat: bool = False) -> Tools:
    """The tools under "tools", and the choice among them. Raises Fault.

    The members of a `flat` tool are those of its function.
    """
    listed = fields.value("tools", list)
    choice = fields.value("tool_choice", str, dict)
    read = _flat_tool if flat else _tool
    tools = tuple(read(tool) for tool in fields.objects("tools") or ()) if listed else ()
    if choice in (None, "auto"):
        return Tools(tools)
    if choice == "none":
        return Tools()
    wanted = _wanted(choice, fields, flat)
    forced = tuple(tool for tool in tools if wanted in (None, tool["function"]["name"]))
    if not forced:
        raise Fault("tool_choice asks for a tool that is not there", fields.at("tool_choice"))
    return Tools(tools, forced)


def _wanted(choice: str | dict[str, Any], fields: Fields, flat: bool) -> str | None:
    """The name of the tool that has to be called, None for any."""
    if choice == "required":
        return None
    function = choice.get("function") if isinstance(choice, dict) and not flat else choice
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        named = '"name": ...' if flat else '"function": {"name": ...}'
        known = f'none, auto, required or {{"type": "function", {named}}}'
        raise Fault(f"tool_choice must be {known}", fields.at("tool_choice"))
    return name


def _tool(tool: Fields) -> Mapping[str, Any]:
    _require_function(tool)
    tool.require("function")
    function = tool.object("function")
    assert function is not None
    _check(function)
    tool.finish()
    return tool.items()


def _flat_tool(tool: Fields) -> Mapping[str, Any]:
    _require_function(tool)
    _check(tool)
    function = {name: value for name, value in tool.items().items() if name != "type"}
    return {"type": "function", "function": function}


def _require_function(tool: Fields) -> None:
    if tool.text("type") != "function":
        raise Fault("only tools of type function can be called", tool.at("type"))


def _check(function: Fields) -> None:
    function.require("name")
    if not _NAME.fullmatch(function.text("name") or ""):
        raise Fault("a tool's name has letters, digits, _ and -", function.at("name"))
    function.text("description")
    function.value("parameters", dict)
    function.flag("strict")
    function.finish()


def _call_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    arguments = function.get("parameters") or {"type": "object"}
    return {
        "type": "object",
        "properties": {"name": {"const": function["name"]}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _read_call(text: str) -> Call | None:
    try:
        call = json.loads(text)
    except ValueError:
        return None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    arguments = json.dumps(call.get("arguments", {}), ensure_ascii=False)
    return Call(call["name"], arguments, f"call_{secrets.token_hex(12)}")
