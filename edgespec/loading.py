"""From a pair of files to an engine: every check that can be made before the weights are read."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edgespec import memory
from edgespec.catalog import Pair
from edgespec.controller import FixedController
from edgespec.cpus import default_threads
from edgespec.engine import Engine
from edgespec.gguf_header import GgufHeader, read_header
from edgespec.pairing import require_same_vocabulary
from edgespec.protocols import Context, ContextOptions, Model, ModelOptions, backend
from edgespec.sources.drafter import ModelDrafter
from edgespec.sources.source import DraftSource
from edgespec.sources.suffix import SuffixMatch

OnProgress = Callable[[str, float], bool]
"""Called with what is loading and its fraction done; returning False stops the loading."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to run a pair.

    `n_ctx` tokens of context (0 = the model's own, but at most 8192), `threads` for the target
    (0 = one per physical core), `draft_length` tokens per round.
    """

    n_ctx: int = 0
    threads: int = 0
    draft_length: int = 3
    suffix_match: bool = True


_DEFAULT_CONTEXT = 8192
_BATCH = 512


def load(pair: Pair, options: LoadOptions, on_progress: OnProgress | None = None) -> Engine:
    """Load target and drafter and put them to work together.

    Raises the ModelUnavailable family for files that cannot be used, NotEnoughMemory before
    anything is read that would not fit, VocabularyMismatch for a drafter of another family.
    """
    target_header = read_header(pair.target)
    drafter_header = read_header(pair.drafter) if pair.drafter else None
    n_ctx = options.n_ctx or min(target_header.context_length, _DEFAULT_CONTEXT)
    _require_memory(pair, target_header, drafter_header, n_ctx, options)
    with ExitStack() as stack:
        target = _open(pair.target, options, "target", on_progress, stack)
        context = _context(target, n_ctx, options.draft_length + 1, stack)
        sources: list[DraftSource] = [SuffixMatch()] if options.suffix_match else []
        if pair.drafter:
            drafter = _open(pair.drafter, options, "drafter", on_progress, stack)
            require_same_vocabulary(target.tokenizer, drafter.tokenizer)
            drafter_context = _context(drafter, n_ctx, 1, stack)
            sources.append(ModelDrafter(drafter_context, target.tokenizer.n_vocab))
        controller = FixedController(options.draft_length)
        return Engine(target, context, sources, controller, stack.pop_all().close)


def _require_memory(
    pair: Pair,
    target: GgufHeader,
    drafter: GgufHeader | None,
    n_ctx: int,
    options: LoadOptions,
) -> None:
    total = memory.estimate(target, n_ctx, _BATCH, options.draft_length + 1).total
    if drafter:
        total += memory.estimate(drafter, n_ctx, _BATCH, 1).total
    memory.require(total, f"{pair.name} with a context of {n_ctx} tokens")


def _open(
    path: Path,
    options: LoadOptions,
    role: str,
    on_progress: OnProgress | None,
    stack: ExitStack,
) -> Model:
    threads = (options.threads or default_threads()) if role == "target" else 1
    report = (lambda fraction: on_progress(role, fraction)) if on_progress else None
    model = backend("llamacpp")(path, ModelOptions(threads), report)
    stack.callback(model.close)
    return model


def _context(model: Model, n_ctx: int, outputs: int, stack: ExitStack) -> Context:
    options = ContextOptions(n_ctx=n_ctx, n_batch=_BATCH, max_outputs=outputs, rollback=outputs)
    context = model.context(options)
    stack.callback(context.close)
    return context
