"""Whether a model fits: what it will take, and what this process may still take."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

from edgespec import cgroups
from edgespec.ggml_types import GGML_TYPES
from edgespec.gguf_header import GgufHeader

_F32 = 4
_TYPES = {kind.name: kind for kind in GGML_TYPES.values()}
_CONTEXT_STEP = 256
"""llama.cpp rounds contexts up to this."""
_POSITION = 140
"""Bytes of bookkeeping per position of a cache, measured."""
_ENTRY = 145
"""Bytes that a token or a merge takes in the tokenizer's tables, measured."""
_OVERHEAD = 3 << 19
"""Bytes for the graph and the scheduler, measured on small models."""

_EXACT_OPERAND, _QUANTIZED_OPERAND = 2, 1.14
"""Bytes per value into which activations are converted for matrices of either kind."""

_SYSTEM = 0.1
"""Part of the memory that is left to everything else."""

REPACKED = {"IQ4_NL", "MXFP4", "Q2_K", "Q4_0", "Q4_K"}
"""Types that llama.cpp keeps in another order than the file's where the CPU gains from it."""
if platform.machine().lower() in ("aarch64", "arm64"):
    REPACKED |= {"Q5_K", "Q6_K", "Q8_0"}


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes that a model with one context takes.

    `weights`, `kv` (cache and recurrent states) and `logits` follow from the file; `compute`
    (scratch buffers) and `vocabulary` (the tokenizer's tables) are approximations.
    """

    weights: int
    kv: int
    compute: int
    logits: int
    vocabulary: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.compute + self.logits + self.vocabulary


def estimate(
    header: GgufHeader,
    n_ctx: int,
    n_batch: int,
    max_outputs: int,
    kv_type: str = "f16",
    rollback: int = 0,
) -> MemoryEstimate:
    """What the model of `header` takes on the CPU, decoding with flash attention.

    `n_ctx` tokens of cache of `kv_type` in all, filled in batches of `n_batch` of which
    `max_outputs` ask for logits; recurrent layers keep `rollback` older states. Every layer is
    taken to keep the whole context, even where a window slides. Weights that llama.cpp repacks
    are counted once, although the file's pages stay until the memory is needed.
    """
    n_ctx = rounded(n_ctx)
    n_tokens = len(header.strings("tokenizer.ggml.tokens"))
    n_merges = len(header.strings("tokenizer.ggml.merges"))
    return MemoryEstimate(
        weights=sum(tensor.size for tensor in header.tensors) + _second_embeddings(header),
        kv=_cache(header, n_ctx, kv_type) + _states(header) * (1 + rollback),
        compute=compute(header, n_ctx, min(n_batch, n_ctx), max_outputs),
        logits=max_outputs * n_tokens * _F32,
        vocabulary=(n_tokens + n_merges) * _ENTRY,
    )


def rounded(n_ctx: int) -> int:
    """The size that llama.cpp gives a context of `n_ctx` tokens."""
    return -(-n_ctx // _CONTEXT_STEP) * _CONTEXT_STEP


def _second_embeddings(header: GgufHeader) -> int:
    """Bytes of a repacked copy of the embeddings, made where they serve as the head as well."""
    embeddings = header.tensor("token_embd.weight")
    if embeddings is None or header.tensor("output.weight"):
        return 0
    return embeddings.size if embeddings.type.name in REPACKED else 0


def _cache(header: GgufHeader, n_ctx: int, kv_type: str) -> int:
    per_position = sum(cache_per_layer(header, kv_type))
    return int(n_ctx * (per_position + _POSITION))


def cache_per_layer(header: GgufHeader, kv_type: str) -> tuple[float, ...]:
    """Bytes of keys and values of one position in each layer, 0 where no layer attends."""
    kind = _TYPES[kv_type.upper()]
    heads = header.per_layer(".attention.head_count")
    head_size = header.integer(".embedding_length") // max(heads[0], 1)
    key = header.integer(".attention.key_length", head_size)
    value = header.integer(".attention.value_length", head_size)
    if header.get(".attention.key_length_mla") is not None:
        value = 0  # Latent attention finds its values in the keys.
    return tuple(n * (key + value) * kind.size / kind.values for n in _kv_heads(header))


def _kv_heads(header: GgufHeader) -> tuple[int, ...]:
    """KV heads per layer, 0 for a layer without attention."""
    same = ".attention.head_count_kv"
    heads = header.per_layer(same if header.get(same) is not None else ".attention.head_count")
    every = header.integer(".full_attention_interval", 1)
    return tuple(n if (layer + 1) % every == 0 else 0 for layer, n in enumerate(heads))


def _states(header: GgufHeader) -> int:
    """Bytes of one recurrent state of all layers: Mamba, short convolutions or RWKV."""
    width = header.integer(".embedding_length")
    inner, state = header.integer(".ssm.inner_size"), header.integer(".ssm.state_size")
    groups, kernel = header.integer(".ssm.group_count"), header.integer(".ssm.conv_kernel", 1)
    elements = state * inner + (kernel - 1) * (inner + 2 * groups * state)
    elements += (header.integer(".shortconv.l_cache", 1) - 1) * width
    elements += (header.integer(".token_shift_count") + header.integer(".wkv.head_size")) * width
    kv_heads = _kv_heads(header)
    # Where all layers attend, as in Falcon-H1, all are recurrent, too.
    layers = kv_heads.count(0) or len(kv_heads)
    return layers * elements * _F32


def compute(
    header: GgufHeader, n_ctx: int, n_batch: int, max_outputs: int, *, flash: bool = True
) -> int:
    """Bytes of scratch: the busiest moment is in a feed-forward layer, or at the head.

    Without `flash` attention it may be where all heads' scores are laid out.
    """
    width = header.integer(".embedding_length")
    experts = max(header.per_layer(".expert_used_count"))
    matrices = [
        tensor
        for tensor in header.tensors
        if tensor.name.startswith("blk.") and len(tensor.shape) > 1
    ]
    widths = (tensor.shape[1] * (experts if len(tensor.shape) == 3 else 1) for tensor in matrices)
    widest = max(widths, default=width)
    mask = n_ctx * n_batch * (2 if flash else _F32)
    scores = 0 if flash else n_ctx * n_batch * max(header.per_layer(".attention.head_count")) * _F32
    layer = n_batch * (4 * width + 3 * widest) * _F32
    head = max_outputs * (len(header.strings("tokenizer.ggml.tokens")) + 4 * width) * _F32
    exact = any(tensor.type.values == 1 for tensor in matrices)
    operands = int(n_batch * widest * (_EXACT_OPERAND if exact else _QUANTIZED_OPERAND))
    return max(mask + layer, mask + scores, head) + operands + _OVERHEAD


def installed() -> int:
    """Bytes of memory of this machine, whatever is in use."""
    try:
        return int(psutil.virtual_memory().total)
    except OSError:  # There is no /proc, or no file can be opened.
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def usable(root: Path = Path("/")) -> int:
    """Bytes that models may take here when nothing else runs. `root` is "/" but for tests."""
    limits = (
        cgroups.number(folder / name)
        for folder in cgroups.folders("memory", root)
        for name in ("memory.max", "memory.limit_in_bytes")
    )
    total = min([installed(), *(limit for limit in limits if limit is not None)])
    return int(total * (1 - _SYSTEM))


def available(root: Path = Path("/")) -> int:
    """Bytes this process can still take without swapping, by the machine and by its cgroups.

    `root` is the file system's, other than "/" in tests.
    """
    free = _free()
    for folder in cgroups.folders("memory", root):
        used = cgroups.number(folder / "memory.current", folder / "memory.usage_in_bytes")
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            limit = cgroups.number(folder / name)
            if limit is not None and used is not None:
                free = min(free, limit - used + _file_pages(folder))
    return max(free, 0)


def _free() -> int:
    try:
        return int(psutil.virtual_memory().available)
    except OSError:  # Nobody knows; an engine that gets none says so itself.
        return installed()


def _file_pages(folder: Path) -> int:
    """Bytes counted as used by a cgroup that are a mere copy of files."""
    counts = cgroups.table(folder / "memory.stat")
    # Version 1 counts a group without and, as total_*, with its descendants.
    total = "total_" if "total_active_file" in counts else ""
    return counts.get(f"{total}active_file", 0) + counts.get(f"{total}inactive_file", 0)


def gib(size: int) -> str:
    """The size for people."""
    return f"{size / 2**30:.2f} GiB"
