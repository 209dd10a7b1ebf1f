"""`edgespec chat`: a conversation, line by line."""

import click

from edgespec.cli.interrupts import Interrupts
from edgespec.cli.options import (
    ENVIRONMENT,
    ModelSettings,
    SamplingSettings,
    model_options,
    sampling_options,
    stats_option,
    system_option,
)


@click.command(context_settings=ENVIRONMENT)
@model_options
@system_option
@sampling_options
@click.option("--plain", is_flag=True, expose_value=False, help="Line by line, on any terminal.")
@stats_option
def chat(model: ModelSettings, system: str | None, sampling: SamplingSettings, stats: bool) -> None:
    """Talk with a model, line by line.

    /help lists the commands. Ctrl+C stops an answer, Ctrl+D leaves.
    """
    settings = sampling.request(speculate=not model.no_speculate)

    from edgespec.chat import ChatFormat
    from edgespec.cli.conversation import Conversation
    from edgespec.cli.repl import Repl
    from edgespec.cli.session import open_engine

    with Interrupts() as interrupts:
        engine = open_engine(model, interrupts)
    with engine:
        interrupts.check()
        form = ChatFormat.of(engine.target)
        conversation = Conversation(form, settings, engine.n_ctx, system)
        Repl(engine, conversation, stats=stats).run()
