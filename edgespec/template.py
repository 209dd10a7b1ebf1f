"""A model file's chat template: Jinja from a stranger, rendered in a sandbox with limits."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from time import monotonic
from types import FrameType
from typing import Any

from jinja2 import Template, TemplateError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace

from edgespec.errors import ModelFileError

MAX_CHARACTERS = 64 * 2**20
MAX_SECONDS = 10.0

_FILE_NAME = "<template>"
_ADVICE = "run it with --raw, or use another file of the model"


class ChatTemplate:
    """Turns messages into the text that a chat model was trained to continue.

    The template sees what Hugging Face's `apply_chat_template` gives it. It cannot reach Python's
    internals, change its arguments, write more than MAX_CHARACTERS or run longer than
    MAX_SECONDS.
    """

    def __init__(self, source: str, bos: str = "", eos: str = "") -> None:
        self._source = source
        self._variables = {
            "bos_token": bos,
            "eos_token": eos,
            "add_generation_prompt": True,
            "tools": None,
            "documents": None,
        }

    @property
    def calls_tools(self) -> bool:
        """Whether it shows tools to the model and has it call them as `<tool_call>{...}`."""
        return "tools" in self._names and "<tool_call>" in self._source

    def render(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> str:
        """The text up to where the assistant's next answer begins. Raises ModelFileError."""
        try:
            return self._render(messages, tools)
        except Exception as error:
            # Templates without a system role refuse one; others would too, with what else is wrong.
            if len(messages) > 1 and messages[0]["role"] == "system":
                return self.render(_with_system_folded(messages), tools)
            raise _failure(error) from error

    def _render(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> str:
        variables = {**self._variables, "messages": [dict(message) for message in messages]}
        if tools:
            variables["tools"] = [dict(tool) for tool in tools]
        chunks, size = [], 0
        with _deadline(MAX_SECONDS):
            for chunk in self._template.generate(variables):
                size += len(chunk)
                if size > MAX_CHARACTERS:
                    raise SecurityError(f"it writes more than {MAX_CHARACTERS} characters")
                chunks.append(chunk)
        return "".join(chunks)

    @cached_property
    def _names(self) -> set[str]:
        try:
            return meta.find_undeclared_variables(_ENVIRONMENT.parse(self._source))
        except TemplateError as error:
            raise _failure(error) from error

    @cached_property
    def _template(self) -> Template:
        return _ENVIRONMENT.from_string(self._source)


class _Generation(Extension):
    """`{% generation %}` marks the assistant's text for training; here it is transparent."""

    tags = {"generation"}  # noqa: RUF012 (Jinja's own declaration is no ClassVar)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which a single operator cannot make a huge value either."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" or not numbers:
            raise SecurityError(f"{type(left).__name__} {operator} {type(right).__name__}")
        return super().call_binop(context, operator, left, right)


def _environment() -> _Sandbox:
    environment = _Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=[LoopControlExtension, _Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals = {
        "dict": dict,
        "namespace": Namespace,
        "raise_exception": _raise_exception,
        "range": safe_range,
        "strftime_now": _strftime_now,
    }
    return environment


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    # Jinja's own escapes <, > and & for HTML.
    return json.dumps(value, ensure_ascii=False, indent=indent, **options)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


_ENVIRONMENT = _environment()


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise SecurityError inside a template that runs longer.

    A trace function is the only way to stop Python code that writes nothing, in any thread and
    on any system.
    """
    end = monotonic() + seconds

    def check(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any] | None:
        # Only the template's own lines: an exception in other code, such as a finalizer, could be
        # swallowed there, and Python stops tracing after the first one.
        if frame.f_code.co_filename != _FILE_NAME:
            return None
        if event == "line" and monotonic() > end:
            raise SecurityError(f"it runs longer than {seconds:g} s")
        return check

    before = sys.gettrace()
    sys.settrace(check)
    try:
        yield
    finally:
        sys.settrace(before)


def _with_system_folded(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    system, first, *rest = messages
    content = f"{system['content']}\n\n{first['content']}"
    return [{**first, "content": content}, *rest]


def _failure(error: Exception) -> ModelFileError:
    reason = str(error) or type(error).__name__
    return ModelFileError(f"the model's chat template failed: {reason}", _ADVICE)
