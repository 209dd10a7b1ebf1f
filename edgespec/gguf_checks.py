"""What must be true of a model's metadata, beyond GGUF's grammar, for it to load.

llama.cpp answers most mistakes with an error, but some with an assertion that ends the process
(or a division by zero), and a few with nonsense. Those are refused here.
"""

import re
from math import isfinite
from typing import TYPE_CHECKING

from edgespec.pooling import embeds, is_causal

if TYPE_CHECKING:
    from edgespec.gguf_header import GgufHeader

# Inclusive. ".name" is a key of the architecture. Upper limits are llama.cpp's where it has one,
# else far above any model.
_REQUIRED = {
    ".block_count": (1, 512),
    ".context_length": (1, 1 << 28),
    ".embedding_length": (1, 1 << 20),
}
_OPTIONAL = {
    ".attention.key_length": (1, 1 << 16),
    ".attention.value_length": (1, 1 << 16),
    ".expert_count": (0, 1024),
    ".full_attention_interval": (1, 512),
    ".shortconv.l_cache": (2, 1 << 10),
    ".ssm.conv_kernel": (2, 1 << 10),
    ".ssm.group_count": (0, 1 << 16),
    ".ssm.inner_size": (1, 1 << 24),
    ".ssm.state_size": (1, 1 << 16),
    ".ssm.time_step_rank": (1, 1 << 24),
    ".token_shift_count": (0, 1 << 10),
    ".wkv.head_size": (1, 1 << 16),
}
_PER_LAYER = {
    ".expert_used_count": (0, 1024),
    ".attention.head_count": (0, 1 << 16),
    ".attention.head_count_kv": (0, 1 << 16),
    ".feed_forward_length": (0, 1 << 24),
}
_FINITE = (
    ".attention.layer_norm_rms_epsilon",
    ".attention.layer_norm_epsilon",
    ".rope.freq_base",
    ".rope.scaling.factor",
)
_ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")
_TWICE_AS_WIDE = ("granitehybrid", "jamba")
"""Architectures whose recurrent layers must be twice as wide as the model."""
_NOT_WEIGHTS = ("F64", "I8", "I16", "I32", "I64", "Q8_1", "Q8_K")
_TABLES = ("d2t", "ffn_gate_tid2eid.weight")
"""Tensors that hold indices instead of weights."""
_NOT_MODELS = ("adapter", "imatrix", "mmproj")
_OTHER_MODEL = "give a model that generates text"
_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)


def check(header: "GgufHeader") -> None:
    """Raise ModelFileError, naming the key and its value, if the model would not load."""
    _check_kind(header)
    _check_sizes(header)
    _check_heads(header)
    _check_experts(header)
    _check_numbers(header)
    _check_tokenizer(header)
    _check_tensors(header)


def check_generates(header: "GgufHeader") -> None:
    """Raise ModelFileError if the model makes embeddings and nothing else."""
    if not is_causal(header):
        what = "it makes embeddings and cannot continue a text"
        raise header.error(what, "edgespec serve serves it")


def _check_kind(header: "GgufHeader") -> None:
    if not _NAME.fullmatch(header.architecture):
        raise header.error("it does not name its architecture")
    kind = header.text("general.type")
    if kind in _NOT_MODELS:
        raise header.error(f"it is a file of type {kind}", _OTHER_MODEL)
    if not is_causal(header) and not embeds(header):
        raise header.error("it embeds or fills in text and cannot continue it", _OTHER_MODEL)


def _check_sizes(header: "GgufHeader") -> None:
    for key, (low, high) in (_REQUIRED | _OPTIONAL).items():
        if header.get(key) is None:
            if key in _REQUIRED:
                raise header.error(f"{header.architecture}{key} is missing")
        elif not low <= header.integer(key) <= high:
            raise _out_of_range(header, key, header.integer(key), low, high)
    for key, (low, high) in _PER_LAYER.items():
        for value in header.per_layer(key):
            if not low <= value <= high:
                raise _out_of_range(header, key, value, low, high)
    inner, width = header.integer(".ssm.inner_size"), header.integer(".embedding_length")
    if header.architecture in _TWICE_AS_WIDE and inner != 2 * width:
        raise _out_of_range(header, ".ssm.inner_size", inner, 2 * width, 2 * width)
    extra, layers = header.integer(".nextn_predict_layers"), header.integer(".block_count")
    if not 0 <= extra < layers:
        raise _out_of_range(header, ".nextn_predict_layers", extra, 0, layers - 1)


def _check_heads(header: "GgufHeader") -> None:
    heads = header.per_layer(".attention.head_count")
    kv_heads = heads
    if header.get(".attention.head_count_kv") is not None:
        kv_heads = header.per_layer(".attention.head_count_kv")
    for layer, (q, kv) in enumerate(zip(heads, kv_heads, strict=True)):
        if kv and (q == 0 or q % kv):
            raise header.error(f"layer {layer} has {q} attention heads for {kv} KV heads")
    # Latent attention (kv_lora_rank) rotates a part of its own, whose size llama.cpp checks.
    if heads[0] and header.get(".attention.kv_lora_rank") is None:
        size = header.integer(".attention.key_length") or (
            header.integer(".embedding_length") // heads[0]
        )
        rotated = header.integer(".rope.dimension_count", size)
        if size == 0 or not 0 <= rotated <= size or rotated % 2:
            raise header.error(f"it rotates {rotated} of a head's {size} dimensions")


def _check_experts(header: "GgufHeader") -> None:
    experts = header.integer(".expert_count")
    used = max(header.per_layer(".expert_used_count"))
    groups = header.integer(".expert_group_count")
    used_groups = header.integer(".expert_group_used_count")
    if used > experts or (used == 0) != (experts == 0):
        raise header.error(f"it uses {used} of {experts} experts")
    if groups and (groups >= experts or experts % groups):
        raise header.error(f"it puts {experts} experts into {groups} groups")
    if groups > 1 and not 0 < used_groups < groups:
        raise header.error(f"it uses {used_groups} of {groups} groups of experts")


def _check_numbers(header: "GgufHeader") -> None:
    for key in _FINITE:
        value = header.get(key)
        if isinstance(value, float) and not (isfinite(value) and value >= 0):
            raise header.error(f"{header.architecture}{key} is {value}")
    scaling = header.text(".rope.scaling.type")
    if scaling and scaling not in _ROPE_SCALINGS:
        raise header.error(f"{header.architecture}.rope.scaling.type is {scaling[:32]!r}")


def _check_tokenizer(header: "GgufHeader") -> None:
    tokens = header.strings("tokenizer.ggml.tokens")
    if not tokens or not header.text("tokenizer.ggml.model"):
        raise header.error("it has no tokenizer")
    # llama.cpp gives empty tokens these names.
    distinct = {raw or b"[EMPTY_%d]" % token for token, raw in enumerate(tokens.raw())}
    if len(distinct) != len(tokens):
        raise header.error("two tokens of its vocabulary are the same")
    if header.text("tokenizer.ggml.model") == "llama":
        # SentencePiece falls back to these for characters that the vocabulary lacks.
        for byte in range(256):
            if not distinct & {b"<0x%02X>" % byte, bytes([byte])}:
                raise header.error(f"its vocabulary cannot spell the byte 0x{byte:02X}")
    for mark in ("bos", "eos"):
        token = header.integer(f"tokenizer.ggml.{mark}_token_id")
        adds = header.get(f"tokenizer.ggml.add_{mark}_token") is True
        if adds and not 0 <= token < len(tokens):
            raise header.error(f"its {mark} token, {token}, is not in its vocabulary")


def _check_tensors(header: "GgufHeader") -> None:
    embeddings = header.tensor("token_embd.weight")
    if embeddings is None:
        raise header.error("the tensor token_embd.weight is missing")
    shape = (header.integer(".embedding_length"), len(header.strings("tokenizer.ggml.tokens")))
    if embeddings.shape != shape:
        raise header.error(f"token_embd.weight has the shape {embeddings.shape}, not {shape}")
    for tensor in header.tensors:
        kind, vector = tensor.type.name, len(tensor.shape) < 2
        if tensor.name.endswith(_TABLES):
            continue
        if kind in _NOT_WEIGHTS or (vector and kind != "F32"):
            raise header.error(f"it cannot compute with {tensor.name!r} as {kind}")


def _out_of_range(header: "GgufHeader", key: str, value: int, low: int, high: int) -> Exception:
    return header.error(f"{header.architecture}{key} is {value}, not from {low} to {high}")
