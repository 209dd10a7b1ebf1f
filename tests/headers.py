"""Headers of models that are too large for a test's disk, by their published shapes."""

from pathlib import Path

from edgespec.ggml_types import GGML_TYPES, TensorType
from edgespec.gguf_header import GgufHeader, TensorInfo
from edgespec.gguf_values import StringArray, Value

_TYPES = {kind.name: kind for kind in GGML_TYPES.values()}


def header(
    name: str,
    *,
    layers: int,
    d: int,
    ff: int,
    heads: int,
    kv_heads: int,
    vocab: int,
    head_size: int = 0,
    experts: int = 0,
    experts_used: int = 0,
    quant: str = "Q4_0",
    tied: bool = False,
    context: int = 32_768,
) -> GgufHeader:
    """The header that a GGUF of this shape has; no file lies behind it."""
    kind, head_size = _TYPES[quant], head_size or d // heads
    metadata: dict[str, Value] = {
        "general.architecture": "llama",
        "llama.block_count": layers,
        "llama.embedding_length": d,
        "llama.context_length": context,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": kv_heads,
        "llama.attention.key_length": head_size,
        "llama.attention.value_length": head_size,
        "llama.expert_count": experts,
        "llama.expert_used_count": experts_used,
        "tokenizer.ggml.tokens": StringArray(b"", vocab),
    }
    tensors = [_tensor("token_embd", kind, d, vocab)]
    if not tied:
        tensors.append(_tensor("output", kind, d, vocab))
    for layer in range(layers):
        block = f"blk.{layer}"
        tensors += [
            _tensor(f"{block}.attn_q", kind, d, heads * head_size),
            _tensor(f"{block}.attn_k", kind, d, kv_heads * head_size),
            _tensor(f"{block}.attn_v", kind, d, kv_heads * head_size),
            _tensor(f"{block}.attn_output", kind, heads * head_size, d),
        ]
        many = (experts,) if experts else ()
        end = "_exps" if experts else ""
        tensors += [
            _tensor(f"{block}.ffn_gate{end}", kind, d, ff, *many),
            _tensor(f"{block}.ffn_up{end}", kind, d, ff, *many),
            _tensor(f"{block}.ffn_down{end}", kind, ff, d, *many),
        ]
    path = Path(f"{name}.gguf")
    return GgufHeader(path, metadata, tuple(tensors), (path,), sum(t.size for t in tensors))


def _tensor(name: str, kind: TensorType, *shape: int) -> TensorInfo:
    return TensorInfo(f"{name}.weight", shape, kind, 0)


LLAMA_8B = header("llama-8b", layers=32, d=4096, ff=14_336, heads=32, kv_heads=8, vocab=128_256)
LLAMA_70B = header("llama-70b", layers=80, d=8192, ff=28_672, heads=64, kv_heads=8, vocab=128_256)
LLAMA_1B = header(
    "llama-1b", layers=16, d=2048, ff=8192, heads=32, kv_heads=8, vocab=128_256, tied=True
)
QWEN_30B_A3B = header(
    "qwen-30b-a3b", layers=48, d=2048, ff=768, heads=32, kv_heads=4, vocab=151_936,
    head_size=128, experts=128, experts_used=8,
)  # fmt: skip
QWEN_HALF_B = header(
    "qwen-0.5b", layers=24, d=896, ff=4864, heads=14, kv_heads=2, vocab=151_936, tied=True
)
