"""`edgespec batch`: all prompts of a file, answered into a file."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgespec.cli import diagnostics
from edgespec.cli.batch_checks import (
    STREAM,
    pattern,
    regular,
    require_own_devices,
    require_usable,
)
from edgespec.cli.batch_view import Stdout, totals, view
from edgespec.cli.interrupts import Interrupts, exit_code
from edgespec.cli.options import (
    ENVIRONMENT,
    CrewSettings,
    ModelSettings,
    SamplingSettings,
    crew_options,
    model_options,
    read_file,
    read_json,
    sampling_options,
    stats_option,
    system_option,
)
from edgespec.errors import ExitCode

if TYPE_CHECKING:
    from edgespec.batch.answers import Answers
    from edgespec.batch.formats import Format
    from edgespec.batch.journal import Scan
    from edgespec.batch.ledger import Ledger
    from edgespec.batch.rows import Settings
    from edgespec.batch.source import Source

_SAMPLING = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repeat_penalty",
    "grammar",
    "seed",
)
"""The sampling parameters that have an option."""


@dataclass(frozen=True, slots=True)
class _Files:
    """Where rows come from and go to; `output` None is stdout."""

    source: str
    output: Path | None
    form: str | None
    order: str
    strict: bool
    as_json: bool


@click.command(context_settings=ENVIRONMENT)
@click.argument("source", metavar="INPUT")
@click.option(
    "-o",
    "--output",
    default=STREAM,
    metavar="FILE",
    show_default="stdout",
    help="Where the answers go; an interrupted batch goes on from there.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "openai", "text", "csv", "parquet"]),
    show_default="by its name and first row",
    help="What INPUT is: rows of JSON, OpenAI batch requests, a prompt a line, or a table.",
)
@click.option(
    "--order",
    type=click.Choice(["input", "completed"]),
    default="input",
    show_default=True,
    help="Write answers in the input's order, or as they are completed.",
)
@click.option("--strict", is_flag=True, help="Refuse an input with rows that cannot be used.")
@crew_options
@click.option("--samples", type=click.IntRange(1, 256), default=1, help="Answers per row.")
@click.option(
    "--vote",
    callback=pattern,
    metavar="REGEX",
    show_default="all of it",
    help="What of an answer votes, where there are several: the last match, or its first group.",
)
@model_options
@system_option
@sampling_options
@click.option(
    "--grammar",
    type=click.Path(),
    callback=read_file,
    metavar="FILE",
    help="GBNF that answers follow.",
)
@click.option(
    "--json-schema",
    type=click.Path(),
    callback=read_json,
    metavar="FILE|JSON",
    help="JSON schema that answers follow.",
)
@click.option("--raw", is_flag=True, help="Continue prompts as they are, without a chat template.")
@click.option("--json", "as_json", is_flag=True, help="Print progress as lines of JSON.")
@stats_option
def batch(
    source: str,
    output: str,
    form: str | None,
    order: str,
    strict: bool,
    samples: int,
    vote: str | None,
    crew: CrewSettings,
    model: ModelSettings,
    system: str | None,
    sampling: SamplingSettings,
    grammar: str | None,
    json_schema: str | None,
    raw: bool,
    as_json: bool,
    stats: bool,
) -> None:
    """Answer every row of INPUT ("-" for stdin).

    Killed at any moment, the same command goes on where it stopped.
    """
    if grammar is not None and json_schema is not None:
        raise click.UsageError("--grammar and --json-schema exclude each other")
    if crew.workers is not None and crew.ray is not None:
        raise click.UsageError("--workers and --ray exclude each other")
    if (crew.workers or 1) > 1 or crew.ray is not None:
        if model.cpus or model.drafter_cpus:
            raise click.UsageError("--cpus and --drafter-cpus are for a single worker")
        require_own_devices()
    if raw and system is not None:
        raise click.UsageError("--raw and --system exclude each other")
    if as_json and output == STREAM:
        raise click.UsageError("--json needs the answers in a file; say which with -o")
    from edgespec.batch.rows import Settings

    request = sampling.request(speculate=not model.no_speculate)
    settings = Settings(
        sampling=request.sampling,
        max_tokens=request.max_tokens,
        stop=request.stop,
        system=system,
        raw=raw,
        samples=samples,
        vote=vote,
    ).shaped(grammar, json_schema)
    path = regular(output)
    files = _Files(source, path, form, order, strict, as_json)
    _Command(files, model, crew, settings, seeded=sampling.seed is not None).run(stats=stats)


class _Command:
    """One call: from files to a batch that runs, and what is said about it."""

    def __init__(
        self,
        files: _Files,
        model: ModelSettings,
        crew: CrewSettings,
        settings: "Settings",
        *,
        seeded: bool,
    ) -> None:
        self._files = files
        self._model = model
        self._crew = crew
        self._settings = settings
        self._seeded = seeded

    def run(self, *, stats: bool) -> None:
        """All of it."""
        with ExitStack() as stack, Interrupts() as interrupts:
            source, form = self._open()
            stack.callback(source.close)
            if form.note:
                diagnostics.note(form.note)
            if self._files.strict:
                require_usable(source, form, self._settings)
            ledger = self._ledger(source, form, stack)
            interrupts.check()
            found = ledger.found
            if ledger.complete:
                diagnostics.note(f"all {found.rows} rows were answered before")
            elif found.rows == len(source):
                ledger.finish()
            else:
                found = self._answer(source, form, ledger, interrupts, stack, stats=stats)
        if found.failed:
            rows = "row has" if found.failed == 1 else "rows have"
            diagnostics.note(f"{found.failed} {rows} no answer; their lines say why")
            raise click.exceptions.Exit(ExitCode.ROWS_FAILED)

    def _open(self) -> "tuple[Source, Format]":
        from edgespec.batch.formats import FormatName, open_rows

        form = self._files.form
        return open_rows(self._files.source, FormatName(form) if form else None)

    def _ledger(self, source: "Source", form: "Format", stack: ExitStack) -> "Ledger":
        """What is finished so far. Without --seed, the one that was drawn in the beginning."""
        from edgespec.batch import ledger
        from edgespec.batch.output import Order

        path, order = self._files.output, Order(self._files.order)
        if path is None:
            return ledger.open_stream(Stdout(), len(source), order, stack)
        free = () if self._seeded else ("seed",)
        found = ledger.open_file(path, source, self._facts(form), order, stack, free)
        seed = int(found.header["settings"]["seed"])
        sampling = replace(self._settings.sampling, seed=seed)
        self._settings = replace(self._settings, sampling=sampling)
        return found

    def _facts(self, form: "Format") -> dict[str, Any]:
        """All that answers depend on, but for the rows, under the names of the options."""
        from edgespec import measurements
        from edgespec.matchmaking import best_pair

        settings = self._settings
        target = best_pair(self._model.model, speculate=False).target
        sampling = asdict(settings.sampling)
        return {
            "model": f"{target.name} ({measurements.identity(target)})",
            "format": form.name.value,
            "order": self._files.order,
            "context": self._model.context,
            "kv_type": self._model.kv_type,
            "attention": self._model.attention,
            "system": settings.system,
            "raw": settings.raw,
            "samples": settings.samples,
            "vote": settings.vote,
            "max_tokens": settings.max_tokens,
            "stop": list(settings.stop),
            "json_schema": settings.json_schema,
            **{name: sampling[name] for name in _SAMPLING},
        }

    def _answer(
        self,
        source: "Source",
        form: "Format",
        ledger: "Ledger",
        interrupts: Interrupts,
        stack: ExitStack,
        *,
        stats: bool,
    ) -> "Scan":
        from edgespec.batch.prepare import Preparer
        from edgespec.batch.run import Batch
        from edgespec.cli.crew import open_crew

        left = len(source) - ledger.found.rows
        crew = stack.enter_context(open_crew(self._model, self._crew, left, interrupts))
        interrupts.check()
        preparer = Preparer(crew.model, crew.n_ctx, speculate=not self._model.no_speculate)
        answers = self._answers(form, source, crew.description)
        batch = Batch(source, form, self._settings, preparer, answers, crew.executor, ledger)
        interrupts.stop = batch.stop
        to_stdout = self._files.output is None
        with view(as_json=self._files.as_json, to_stdout=to_stdout) as show:
            for progress in batch.run():
                show(progress)
        if note := crew.executor.load.note:
            diagnostics.note(note)
        if interrupts.pressed:
            again = "" if to_stdout else "; the same command goes on from there"
            done = batch.progress.done
            diagnostics.note(f"{done} of {len(source)} rows are done{again}")
            raise click.exceptions.Exit(exit_code(interrupts.raised))
        if stats:
            diagnostics.say(totals(batch.progress))
        return ledger.found

    def _answers(self, form: "Format", source: "Source", model: str) -> "Answers":
        from edgespec.batch.answers import NativeAnswers, OpenAIAnswers
        from edgespec.batch.formats import FormatName

        if form.name is not FormatName.OPENAI:
            return NativeAnswers()
        name = f"{source.digest[:12]}-{self._settings.sampling.seed}"
        return OpenAIAnswers(model, name)
