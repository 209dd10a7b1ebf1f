"""From a pair of files to an engine: every check that can be made before the weights are read."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edgespec import measurements, memory, paths
from edgespec.acceptance import AcceptanceModel
from edgespec.calibration import Calibrator
from edgespec.catalog import Pair
from edgespec.controller import Controller, FixedPolicy, Policy
from edgespec.costs import CostModel
from edgespec.cpus import default_threads
from edgespec.engine import Engine, target_thread
from edgespec.gguf_header import GgufHeader, read_header
from edgespec.measurements import Measurements, MeasurementStore
from edgespec.pairing import require_same_vocabulary
from edgespec.protocols import Context, ContextOptions, Model, ModelOptions, backend
from edgespec.sources.drafter import ModelDrafter
from edgespec.sources.suffix import SuffixMatch

OnProgress = Callable[[str, float], bool]
"""Called with what is going on and its fraction done; returning False stops the loading."""

_DEFAULT_CONTEXT = 8192
_BATCH = 512
_MAX_DRAFTS = 16
_LANES = 8


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to run a pair.

    `n_ctx` tokens of context (0 = the model's own, but at most 8192), `threads` for the target
    (0 = one per physical core), `draft_length` tokens in every round (0 = as many as pay, by
    measurement); without `speculate` nothing is drafted or calibrated. `calibrate` measures the
    machine again, whatever is known of it.
    """

    n_ctx: int = 0
    threads: int = 0
    draft_length: int = 0
    speculate: bool = True
    calibrate: bool = False


def load(pair: Pair, options: LoadOptions, on_progress: OnProgress | None = None) -> Engine:
    """Load target and drafter and put them to work together.

    Raises the ModelUnavailable family for files that cannot be used, NotEnoughMemory before
    anything is read that would not fit, VocabularyMismatch for a drafter of another family.
    """
    with ExitStack() as stack:
        return _Loader(pair, options, on_progress, stack).load()


class _Loader:
    """The steps of one loading; what was opened is closed by `stack` unless all goes well."""

    def __init__(
        self, pair: Pair, options: LoadOptions, on_progress: OnProgress | None, stack: ExitStack
    ) -> None:
        self._pair = pair
        self._options = options
        self._on_progress = on_progress
        self._stack = stack
        self._threads = options.threads or default_threads()
        self._max_drafts = max(options.draft_length, _MAX_DRAFTS) if options.speculate else 0

    def load(self) -> Engine:
        target_header = read_header(self._pair.target)
        drafter_header = read_header(self._pair.drafter) if self._pair.drafter else None
        n_ctx = self._options.n_ctx or min(target_header.context_length, _DEFAULT_CONTEXT)
        self._require_memory(target_header, drafter_header, n_ctx)
        target = self._open(self._pair.target, "target", self._threads)
        context = self._context(target, n_ctx, self._max_drafts + 1)
        drafter = self._drafter(target, n_ctx)
        thread = target_thread()
        self._stack.callback(thread.shutdown)
        policy, acceptance = thread.submit(self._policy, context, drafter).result()
        return Engine(
            target,
            context,
            policy,
            acceptance,
            [SuffixMatch()] if self._options.speculate else [],
            drafter,
            self._stack.pop_all().close,
            thread,
            f"{self._key(context)}-{context.n_ctx}",
        )

    def _require_memory(self, target: GgufHeader, drafter: GgufHeader | None, n_ctx: int) -> None:
        outputs = self._max_drafts + 1
        total = memory.estimate(target, n_ctx, _BATCH, outputs, rollback=outputs).total
        if drafter:
            total += memory.estimate(drafter, n_ctx, _BATCH, _LANES, rollback=outputs).total
        memory.require(total, f"{self._pair.name} with a context of {n_ctx} tokens")

    def _open(self, path: Path, role: str, threads: int) -> Model:
        report = self._on_progress
        progress = (lambda fraction: report(f"loading the {role}", fraction)) if report else None
        model = backend("llamacpp")(path, ModelOptions(threads), progress)
        self._stack.callback(model.close)
        return model

    def _context(self, model: Model, n_ctx: int, outputs: int, lanes: int = 1) -> Context:
        options = ContextOptions(
            n_ctx=n_ctx,
            n_batch=_BATCH,
            max_outputs=outputs,
            max_sequences=lanes,
            rollback=self._max_drafts + 1,
        )
        context = model.context(options)
        self._stack.callback(context.close)
        return context

    def _drafter(self, target: Model, n_ctx: int) -> ModelDrafter | None:
        if self._pair.drafter is None:
            return None
        drafter = self._open(self._pair.drafter, "drafter", 1)
        require_same_vocabulary(target.tokenizer, drafter.tokenizer)
        context = self._context(drafter, n_ctx, _LANES, _LANES)
        return ModelDrafter(context, target.tokenizer.n_vocab, _LANES)

    def _policy(
        self, target: Context, drafter: ModelDrafter | None
    ) -> tuple[Policy, AcceptanceModel]:
        """The policy on today's costs, and what is known of this pair's acceptance."""
        calibrator = Calibrator(target, drafter.context if drafter else None, self._report)
        store = MeasurementStore(paths.cache_dir() / "measurements")
        key = self._key(target)
        known = store.load(key)
        usable = known is not None and not known.old and not self._options.calibrate
        if known is None or not usable or not calibrator.agrees(known.costs):
            acceptance = known.acceptance if known else AcceptanceModel()
            known = Measurements(calibrator.measure(), acceptance, time.time())
            store.save(key, known)
        costs = CostModel(known.costs)
        self._stack.callback(store.save, key, known)
        length = self._options.draft_length
        policy = FixedPolicy(costs, length) if length else Controller(costs)
        return policy, known.acceptance

    def _report(self, fraction: float) -> None:
        if self._on_progress:
            self._on_progress("measuring this machine", fraction)

    def _key(self, target: Context) -> str:
        files = [self._pair.target, *([self._pair.drafter] if self._pair.drafter else [])]
        return measurements.pair_key(files, self._threads, target.max_outputs)
