"""From a pair of files to an engine: every check that can be made before the weights are read."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgespec import (
    attention,
    cpu_sets,
    cpus,
    headers,
    lost_pages,
    memory,
    mempolicy,
    priority,
    trial,
)
from edgespec.attention import AUTO, Attention, Timing
from edgespec.bridging.choice import bridge
from edgespec.catalog import Pair
from edgespec.controller import Controller, FixedPolicy, Policy
from edgespec.costs import CostModel
from edgespec.cpu_sets import CpuSet
from edgespec.devices import CPU
from edgespec.engine import Engine, target_thread
from edgespec.errors import BackendError, ModelFileError, NotEnoughMemory
from edgespec.measuring import Measuring
from edgespec.parts import Parts
from edgespec.placement import ask
from edgespec.placement.choose import attending
from edgespec.placement.enumerate import Pins
from edgespec.placement.place import place
from edgespec.placement.question import Question
from edgespec.placement.records import Placement
from edgespec.protocols import Context, ContextOptions, Model, ModelOptions, backend
from edgespec.sizing import Sizing
from edgespec.sources.drafter import ModelDrafter
from edgespec.sources.suffix import SuffixMatch
from edgespec.topology import detect

OnProgress = Callable[[str, float], bool]
"""Called with what is going on and its fraction done; returning False stops the loading."""

OnNote = Callable[[str], None]
"""Called with what the user should know of how the pair was put together."""

_MAX_DRAFTS = 16
_LANES = 8
_ALONE = "{} drafts for one answer at a time alone; it is not used here"


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to run a pair.

    `n_ctx` tokens of context (0 = the model's own, but at most 8192), `threads` for the target
    (0 = as many as are fastest, by measurement), `draft_length` tokens in every round (0 = as many
    as pay, by measurement); without `speculate` nothing is drafted. `pins` decide what the plan
    would, a `placement` takes its place as far as it can be had; `kv_type` is the type of the
    target's cache, `attention` one of attention.KINDS. `calibrate` measures the machine again,
    whatever is known of it. With several `sequences` both contexts hold so many answers at a time;
    drafters that cannot are left out, unless some answers will be `alone`. Recurrent targets have
    one sequence all the same. A `copied` target has memory of its own, near the processors of this
    process.
    """

    n_ctx: int = 0
    threads: int = 0
    draft_length: int = 0
    speculate: bool = True
    pins: Pins = field(default_factory=Pins)
    placement: Placement | None = None
    kv_type: str = "f16"
    attention: str = AUTO
    calibrate: bool = False
    sequences: int = 1
    copied: bool = False
    alone: bool = False


def load(
    pair: Pair,
    options: LoadOptions,
    on_progress: OnProgress | None = None,
    on_note: OnNote = lambda text: None,
) -> Engine:
    """Load target and drafter and put them to work together, before any batch on this machine.

    Raises the ModelUnavailable family for files that cannot be used, NotEnoughMemory before
    anything is read that would not fit, VocabularyMismatch for a drafter that has nothing in
    common with the target.
    """
    with priority.claimed():
        parts = load_parts(pair, options, on_progress, on_note)
    return parts.engine([SuffixMatch()] if options.speculate else [], priority.claimed)


def load_parts(
    pair: Pair,
    options: LoadOptions,
    on_progress: OnProgress | None = None,
    on_note: OnNote = lambda text: None,
) -> Parts:
    """As `load`, but without an engine yet."""
    if options.speculate and headers.rounds(pair.target):
        on_note(
            f"{pair.target.name} rounds activations to integers, so that its batches give other "
            "logits than its single steps: it runs without speculation, which could change the text"
        )
        pair, options = replace(pair, drafter=None), replace(options, speculate=False)
    with ExitStack() as stack:
        return _Loader(pair, options, on_progress, on_note, stack).load()


class _Loader:
    """The steps of one loading; what was opened is closed by `stack` unless all goes well."""

    def __init__(
        self,
        pair: Pair,
        options: LoadOptions,
        on_progress: OnProgress | None,
        on_note: OnNote,
        stack: ExitStack,
    ) -> None:
        self._pair = pair
        self._options = options
        self._on_progress = on_progress
        self._on_note = on_note
        self._stack = stack
        self._stopped = False
        self._timing: Timing | None = None
        self._max_drafts = max(options.draft_length, _MAX_DRAFTS) if options.speculate else 0
        many = options.sequences > 1 and headers.shares_cache(pair.target)
        self._sequences = options.sequences if many else 1

    def load(self) -> Parts:
        """Load by the plan; by the next one as long as a device refuses."""
        options = self._options
        question = ask.question(self._pair, options.n_ctx, options.kv_type, outputs=self._outputs)
        how = self._attention(question)
        if (options.pins.cpus or options.pins.drafter_cpus) and not cpus.can_bind():
            self._on_note("this system binds no threads: only their number is as you said")
        known = ask.known(self._pair, options.threads, question.outputs, how, options.pins)
        given = options.placement
        placement = (
            attending(given, known.attention) if given else place(question, options.pins, known)
        )
        failed: list[Placement] = []
        while True:
            self._try()
            try:
                return self._load(question, placement, known.cpus)
            except (ModelFileError, NotEnoughMemory, BackendError) as error:
                if self._stopped or not placement.devices:
                    raise
                self._stack.close()
                failed.append(placement)
                refused = " and ".join(sorted(placement.devices))
                self._tell(f"{refused} failed, trying the next plan", 0.0)
                try:
                    placement = place(question, options.pins, known, failed)
                except NotEnoughMemory:
                    raise error from None

    def _attention(self, question: Question) -> Attention:
        """How the target attends, measured first if that is not known of this machine."""
        kind, header, size = self._options.attention, question.target, question.n_ctx
        if attention.open_to(kind, header, size, question.kv_type, self._sequences):
            self._tell("measuring this machine", 0.0)
            self._timing = attention.settle(again=self._options.calibrate)
        return attention.choose(kind, header, size, question.kv_type, self._timing, self._sequences)

    def _try(self) -> None:
        """Find out elsewhere what would end this process."""
        files = [file for file in (self._pair.target, self._pair.drafter) if file]
        native = [file for file in files if headers.engine(file) == "llamacpp"]
        trial.require_harmless(native, lambda: self._tell("trying the model", 0.0))
        lost_pages.watch()

    def _load(self, question: Question, placement: Placement, chosen: CpuSet) -> Parts:
        place, threads = placement.target, self._threads(question, placement)
        model = ModelOptions(
            threads,
            place.layers,
            "" if place.device == CPU else place.device,
            place.experts_on_cpu,
            self._options.copied,
            on_note=self._on_note,
        )
        with mempolicy.placed(chosen.spread, chosen.nodes):
            target = self._open(self._pair.target, "target", model)
            context = self._target_context(target, placement)
        drafter = self._drafter(target, placement)
        return self._measured(placement, threads, target, context, drafter)

    def _measured(
        self,
        placement: Placement,
        threads: int,
        target: Model,
        context: Context,
        drafter: ModelDrafter | None,
    ) -> Parts:
        thread = target_thread()
        self._stack.callback(thread.shutdown)
        measuring = Measuring(
            self._pair,
            placement,
            threads,
            pinned=bool(self._options.threads),
            report=self._report,
            pins=self._options.pins,
        )
        small = drafter.context if drafter else None
        again = self._options.calibrate
        settled = thread.submit(measuring.settle, context, small, again=again).result()
        self._stack.callback(settled.keep)
        policy = self._policy(CostModel(settled.known.costs))
        return Parts(
            target,
            context,
            policy,
            settled.known.acceptance,
            drafter,
            self._stack.pop_all().close,
            thread,
            f"{measuring.key(context)}-{context.n_ctx}",
            min(memory.rounded(placement.n_ctx), context.n_ctx),
            measuring.rebalancer(policy.costs, target, context, settled.balance),
        )

    @property
    def _outputs(self) -> int:
        """Rows of logits of one target decode: a token and its drafts, of every sequence."""
        sequences = self._sequences
        return self._max_drafts + 1 if sequences == 1 else max(2 * sequences, 32)

    @property
    def _sizing(self) -> Sizing:
        return Sizing(self._sequences, self._outputs)

    def _threads(self, question: Question, placement: Placement) -> int:
        if placement.target.layers >= question.target_footprint().layers:
            return 1  # All that is left for the processor is to look up embeddings.
        options = self._options
        return cpu_sets.default(detect.here(), options.threads, options.pins.cpus).threads

    def _open(self, path: Path, role: str, options: ModelOptions) -> Model:
        def progress(fraction: float) -> bool:
            self._stopped = not self._tell(f"loading the {role}", fraction)
            return not self._stopped

        model = backend(headers.engine(path))(path, options, progress)
        self._stack.callback(model.close)
        return model

    def _target_context(self, model: Model, placement: Placement) -> Context:
        sequences = self._sequences
        n_ctx = self._sizing.room(self._pair.target, placement, placement.target.device)
        options = ContextOptions(
            n_ctx=n_ctx,
            n_batch=self._sizing.batch(self._pair.target, n_ctx, flash=placement.flash),
            max_outputs=self._outputs,
            max_sequences=sequences,
            rollback=self._max_drafts + 1,
            kv_type=placement.kv_type,
            ordered=sequences > 1,
            branches=self._max_drafts if sequences == 1 else 0,
            flash=placement.flash,
        )
        return self._context(model, options)

    def _context(self, model: Model, options: ContextOptions) -> Context:
        context = model.context(options)
        self._stack.callback(context.close)
        return context

    def _drafter(self, target: Model, placement: Placement) -> ModelDrafter | None:
        if self._pair.drafter is None:
            return None
        if placement.drafter is None:
            self._on_note("there is no room for the drafter: the target runs without it")
            return None
        many, shares = self._sequences > 1, headers.shares_cache(self._pair.drafter)
        alone = self._options.alone or not many
        if not (shares or alone):
            self._on_note(_ALONE.format(self._pair.drafter.name))
            return None
        device = placement.drafter if placement.drafter not in (None, CPU) else ""
        options = ModelOptions(1, -bool(device), device or "", on_note=self._on_note)
        drafter = self._open(self._pair.drafter, "drafter", options)
        between = bridge(target.tokenizer, drafter.tokenizer)
        if between and not alone:
            self._on_note(_ALONE.format(self._pair.drafter.name))
            return None
        lanes = 1 if between or not shares else self._sequences if many else _LANES
        room = (
            self._sizing.room(self._pair.drafter, placement, placement.drafter) if lanes > 1 else 0
        )
        n_ctx = room or placement.n_ctx
        flash = self._drafter_flash(self._pair.drafter, n_ctx, placement)
        size = ContextOptions(
            n_ctx=n_ctx,
            n_batch=self._sizing.batch(self._pair.drafter, n_ctx, flash=flash),
            max_outputs=lanes,
            max_sequences=lanes,
            rollback=self._max_drafts + 1,
            flash=flash,
        )
        context = self._context(drafter, size)
        if between:
            context = between.over(context)
            self._on_note(between.note)
        return ModelDrafter(context, target.tokenizer.n_vocab, lanes)

    def _drafter_flash(self, file: Path, n_ctx: int, placement: Placement) -> bool:
        """Whether the drafter attends in the flash kernel, as far as this machine was timed."""
        if placement.drafter != CPU:
            return True
        header, many = headers.read(file), self._sequences
        return attention.choose(AUTO, header, n_ctx, "f16", self._timing, many).flash

    def _policy(self, costs: CostModel) -> Policy:
        length = self._options.draft_length
        return FixedPolicy(costs, length) if length else Controller(costs)

    def _report(self, fraction: float) -> None:
        self._tell("measuring this machine", fraction)

    def _tell(self, what: str, fraction: float) -> bool:
        """Tell whoever listens; False if they want no more."""
        return self._on_progress is None or self._on_progress(what, fraction)
