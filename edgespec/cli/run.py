"""`edgespec run`: one prompt, one answer."""

import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from edgespec.cli import diagnostics
from edgespec.cli.interrupts import Interrupts, exit_code
from edgespec.cli.options import (
    ENVIRONMENT,
    ModelSettings,
    SamplingSettings,
    model_options,
    read_file,
    read_json,
    sampling_options,
    stats_option,
    system_option,
)
from edgespec.cli.output import Output, is_terminal
from edgespec.events import Finish, FinishReason, Request, Stats

if TYPE_CHECKING:
    from edgespec.cli.session import Reply
    from edgespec.engine import Engine

_MAX_STDIN = 64 * 2**20


@click.command(context_settings=ENVIRONMENT)
@click.argument("prompt", required=False)
@model_options
@system_option
@sampling_options
@click.option(
    "--grammar",
    type=click.Path(),
    callback=read_file,
    metavar="FILE",
    help="GBNF that the answer follows.",
)
@click.option(
    "--json-schema",
    type=click.Path(),
    callback=read_json,
    metavar="FILE|JSON",
    help="JSON schema that the answer follows.",
)
@click.option("--raw", is_flag=True, help="Continue the prompt as it is, without a chat template.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when done.")
@stats_option
def run(
    prompt: str | None,
    model: ModelSettings,
    system: str | None,
    sampling: SamplingSettings,
    grammar: str | None,
    json_schema: str | None,
    raw: bool,
    as_json: bool,
    stats: bool,
) -> None:
    """Answer PROMPT on stdout.

    What is piped in goes before the prompt; PROMPT "-" reads stdin, too.
    """
    if grammar is not None and json_schema is not None:
        raise click.UsageError("--grammar and --json-schema exclude each other")
    if raw and system is not None:
        raise click.UsageError("--raw and --system exclude each other")
    text = _with_stdin(prompt, raw=raw)
    request = sampling.request(speculate=not model.no_speculate)
    output = Output()

    from edgespec.cli.session import answer, open_engine

    with Interrupts() as interrupts, open_engine(model, interrupts) as engine:
        interrupts.check()
        if json_schema is not None:
            grammar = engine.target.json_schema_grammar(json_schema)
        request = replace(
            request,
            prompt=tuple(_tokens(engine, text, system, raw=raw)),
            sampling=replace(request.sampling, grammar=grammar),
        )
        reply = answer(engine, request, interrupts, None if as_json else output)
    if as_json:
        output.write(_json(reply, request.sampling.seed) + "\n")
    if reply.finish is None:
        raise click.exceptions.Exit(exit_code(interrupts.raised))
    _tell(reply.finish, request, engine.n_ctx, stats=stats)


def _with_stdin(prompt: str | None, *, raw: bool) -> str:
    piped = sys.stdin is not None and not is_terminal(sys.stdin)
    given = None if prompt == "-" else prompt
    if prompt is None and not piped:
        raise click.UsageError('there is no prompt; try edgespec run "Hello" or edgespec chat')
    before = _read_stdin(raw=raw) if piped or prompt == "-" else ""
    text = "\n\n".join(part for part in (before, given) if part)
    if not text:
        raise click.UsageError("the prompt is empty")
    return text


def _read_stdin(*, raw: bool) -> str:
    if sys.stdin is None:
        return ""
    data = sys.stdin.buffer.read(_MAX_STDIN + 1)
    if len(data) > _MAX_STDIN:
        raise click.UsageError(f"stdin has more than {_MAX_STDIN} bytes")
    text = data.decode("utf-8", "replace")
    return text if raw else text.rstrip("\r\n")


def _tokens(engine: "Engine", text: str, system: str | None, *, raw: bool) -> list[int]:
    from edgespec.chat import TEMPLATE_KEY, ChatFormat, Message, Role, completion_tokens

    if raw or TEMPLATE_KEY not in engine.target.metadata:
        if not raw:
            diagnostics.note("the model has no chat template: it continues the prompt")
            text = "\n\n".join(part for part in (system, text) if part)
        return completion_tokens(engine.target.tokenizer, text, parse_special=raw)
    messages = [Message(Role.SYSTEM, system)] if system else []
    return ChatFormat.of(engine.target).tokens([*messages, Message(Role.USER, text)])


def _json(reply: "Reply", seed: int) -> str:
    return json.dumps(
        {
            "text": reply.text,
            "finish_reason": reply.finish.reason if reply.finish else "interrupted",
            "seed": seed,
            "stats": _numbers(reply.finish.stats) if reply.finish else None,
        },
        ensure_ascii=False,
    )


def _numbers(stats: Stats) -> dict[str, float | None]:
    return asdict(stats) | {
        "tokens_per_second": stats.tokens_per_second,
        "acceptance_rate": stats.acceptance_rate,
        "mean_accepted_length": stats.mean_accepted_length,
        "speedup": stats.speedup,
    }


def _tell(finish: Finish, request: Request, n_ctx: int, *, stats: bool) -> None:
    """Say on stderr how the answer ended."""
    if finish.reason is FinishReason.CONTEXT:
        diagnostics.note(f"the context of {n_ctx} tokens is full; --context makes it larger")
    if stats:
        diagnostics.say(diagnostics.stats_line(finish.stats, request.sampling.seed))
