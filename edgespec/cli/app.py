"""The group of commands, and the only place where failures become exit codes.

Starting costs little: a command's module, and what it needs, is imported when it is called.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click
from click.shell_completion import shell_complete

from edgespec import __version__
from edgespec.cli import diagnostics, output
from edgespec.cli.interrupts import endings, exit_code
from edgespec.errors import EdgespecError, ExitCode

_PROGRAM = "edgespec"
_COMPLETE = "_EDGESPEC_COMPLETE"
_COMMANDS = {
    "bench": "edgespec.cli.bench:bench",
    "batch": "edgespec.cli.batch:batch",
    "worker": "edgespec.cli.worker:worker",
    "chat": "edgespec.cli.chat:chat",
    "completion": "edgespec.cli.completion:completion",
    "doctor": "edgespec.cli.doctor:doctor",
    "models": "edgespec.cli.models:models",
    "pair": "edgespec.cli.pair:pair",
    "plan": "edgespec.cli.plan:plan",
    "pull": "edgespec.cli.pull:pull",
    "run": "edgespec.cli.run:run",
    "serve": "edgespec.cli.serve:serve",
    "simulate": "edgespec.cli.simulate:simulate",
}


class _LazyGroup(click.Group):
    """Imports a command when it is asked for. Without one, a terminal gets a chat."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name].split(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            args = ["chat"] if output.is_terminal(sys.stdin, sys.stdout) else ["--help"]
        return super().parse_args(ctx, args)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Run a quantized language model with lossless speculative decoding.

    In a terminal, `edgespec` alone starts a chat.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code. A failure is one line on stderr, never a traceback."""
    if instruction := os.environ.get(_COMPLETE):
        return shell_complete(cli, {}, _PROGRAM, _COMPLETE, instruction)
    try:
        with endings(), cli.make_context(_PROGRAM, list(arguments)) as context:
            cli.invoke(context)
        output.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        diagnostics.error(error.format_message().rstrip("."), _usage_hint(error))
        return error.exit_code
    except EdgespecError as error:
        diagnostics.error(error.what, error.hint)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as ended:
        diagnostics.end_line()
        return exit_code(ended)
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        return ExitCode.OK
    except Exception as error:
        return diagnostics.unexpected(error)
    finally:
        output.let_go()
    return ExitCode.OK


def _usage_hint(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"see {context.command_path} --help" if context else ""
