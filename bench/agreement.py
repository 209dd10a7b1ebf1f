"""How far two models agree that ought to be the same function."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from edgespec.protocols import Context, ContextOptions, ModelOptions, backend


def compare(first: Path, second: Path, tokens: int, threads: int = 1) -> str:
    """Feed both the greedy continuation of the first; tell where the second would differ."""
    with ExitStack() as stack:
        contexts = [_context(path, tokens + 1, threads, stack) for path in (first, second)]
        token, differing, gap, spread = 0, 0, 0.0, 0.0
        for position in range(tokens):
            for context in contexts:
                context.decode([token], position, outputs=1)
            a, b = (np.array(context.logits(0)) for context in contexts)
            gap = max(gap, float(np.abs(a - b).max()))
            spread = max(spread, float(a.std()))
            differing += int(a.argmax() != b.argmax())
            token = int(a.argmax())
    return (
        f"{tokens - differing} of {tokens} greedy tokens equal, "
        f"largest logit difference {gap:.2g} (their standard deviation is {spread:.2g})"
    )


def _context(path: Path, n_ctx: int, threads: int, stack: ExitStack) -> Context:
    model = backend("llamacpp")(path, ModelOptions(threads))
    stack.callback(model.close)
    context = model.context(ContextOptions(n_ctx=n_ctx, n_batch=32))
    stack.callback(context.close)
    return context
