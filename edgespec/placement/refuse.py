"""The refusal: what is missing, and what would fit instead."""

from collections.abc import Callable

from edgespec import memory
from edgespec.errors import NotEnoughMemory
from edgespec.onnx_header import OnnxHeader
from edgespec.placement.question import KV_TYPES, Question

_STEP = 256
_COARSEST = 1.5
"""Bits per weight below which there are no useful files."""


def refusal(question: Question, free: int, excess: str) -> NotEnoughMemory:
    """The error that says why nothing fits, and what would.

    `free` are the bytes of the processor's memory; `excess` is what a placement that was asked
    for lacks. A drafter is never what is in the way: a plan does without it.
    """
    need = _need(question, question.n_ctx, question.kv_type)
    size = f"{question.name} with a context of {question.n_ctx} tokens"
    if need <= free:
        return NotEnoughMemory(
            f"{size} does not fit as it was asked for: {excess}",
            "leave out --device, --gpu-layers, --cpu-experts and --drafter-device",
        )
    hints = _smaller(question, free) or _coarser(question, free)
    return NotEnoughMemory(
        f"{size} needs about {memory.gib(need)} of memory, {memory.gib(free)} is available",
        "what fits: " + ", or ".join(hints) if hints else "nothing of this model fits",
    )


def _need(question: Question, n_ctx: int, kv_type: str) -> int:
    return question.target_footprint(n_ctx, kv_type).estimate.total


def _smaller(question: Question, free: int) -> list[str]:
    """Flags that make it fit on the processor, those that lose least first."""
    found = []
    for kv_type in KV_TYPES[KV_TYPES.index(question.kv_type) + 1 :]:
        if _need(question, question.n_ctx, kv_type) <= free:
            found.append(f"--kv-type {kv_type}")
            break
    longest = min(question.n_ctx, question.target.context_length)
    sizes = range(_STEP, longest + 1, _STEP)
    if n_ctx := _last(sizes, lambda size: _need(question, size, question.kv_type) <= free):
        found.append(f"--context {n_ctx}")
    return found


def _coarser(question: Question, free: int) -> list[str]:
    """The bits per weight that a quantization of this model may have."""
    if isinstance(question.target, OnnxHeader):
        return []
    need = question.target_footprint(_STEP).estimate
    weights = free - (need.total - need.weights)
    parameters = sum(
        tensor.size * tensor.type.values / tensor.type.size for tensor in question.target.tensors
    )
    bits = 8 * weights / max(parameters, 1)
    known = bits >= _COARSEST
    return [f"a quantization of at most {bits:.1f} bits per weight"] if known else []


def _last(sizes: range, fits: Callable[[int], bool]) -> int:
    """The largest of ascending `sizes` that fits, by bisection; 0 if none does."""
    low, high = 0, len(sizes)
    while low < high:
        middle = (low + high) // 2
        if fits(sizes[middle]):
            low = middle + 1
        else:
            high = middle
    return sizes[low - 1] if low else 0
