"""`edgespec completion`: what makes a shell complete edgespec's commands and options."""

import click
from click.shell_completion import get_completion_class

from edgespec.cli.output import Output


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands in SHELL.

    For bash, add to ~/.bashrc:  eval "$(edgespec completion bash)"
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(context.find_root().command, {}, "edgespec", "_EDGESPEC_COMPLETE").source()
    Output().write(script.strip() + "\n")
