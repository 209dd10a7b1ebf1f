"""Tiny GGUF files with random weights, for tests that need a real file but no real model."""

import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Quant
from numpy.typing import NDArray

SPECIALS = ("<|end|>", "<|user|>", "<|assistant|>")
"""Control tokens, the last ids of every vocabulary here; the first of them ends an answer."""

LETTERS = "etaoinshrdlcumwfgypbvkjxqz_"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A byte-level BPE vocabulary: any text tokenizes."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...] = ()
    model: str = "gpt2"

    @classmethod
    def of_size(cls, size: int, variant: int = 0) -> "Vocabulary":
        """`size` tokens, at least 259; two variants give the same ids other meanings."""
        letters = LETTERS[variant:] + LETTERS[:variant]
        words = itertools.islice(_words(letters), size - 256 - len(SPECIALS))
        merges = tuple(words)
        base = _byte_characters()
        base = base[variant:] + base[:variant]
        learnt = [merge.replace(" ", "") for merge in merges]
        return cls((*base, *learnt, *SPECIALS), merges)

    def write(self, writer: gguf.GGUFWriter) -> None:
        """Put the tokenizer into `writer`."""
        end = len(self.tokens) - len(SPECIALS)
        kinds = [gguf.TokenType.NORMAL] * end + [gguf.TokenType.CONTROL] * len(SPECIALS)
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(list(self.tokens))
        writer.add_token_types(kinds)
        writer.add_token_merges(list(self.merges))
        writer.add_eos_token_id(end)
        writer.add_add_bos_token(False)


def _byte_characters() -> list[str]:
    """The character by which GPT-2's vocabulary writes each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    names = {byte: chr(byte) for byte in plain}
    names |= {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [names[byte] for byte in range(256)]


def _words(letters: str) -> Iterator[str]:
    """Endless merges "prefix letter", each making a new word, shorter words first."""
    prefixes = ["Ġ", *letters]
    while True:
        longer = []
        for prefix, letter in itertools.product(prefixes, letters):
            yield f"{prefix} {letter}"
            longer.append(prefix + letter)
        prefixes = longer


class Weights:
    """Random matrices, written into a GGUF in the type asked for."""

    def __init__(self, writer: gguf.GGUFWriter, seed: int, quant: Quant) -> None:
        self._writer = writer
        self._random = np.random.default_rng(seed)
        self._quant = quant

    def matrix(self, name: str, rows: int, columns: int) -> None:
        """A matrix that maps `columns` inputs to `rows` outputs and keeps their scale."""
        values = self._normal(rows, columns) / np.float32(np.sqrt(columns))
        data = gguf.quants.quantize(values, self._quant)
        self._writer.add_tensor(f"{name}.weight", data, raw_dtype=self._quant)

    def experts(self, name: str, count: int, rows: int, columns: int) -> None:
        """`count` such matrices as one tensor."""
        values = self._normal(count, rows, columns) / np.float32(np.sqrt(columns))
        data = gguf.quants.quantize(values, self._quant)
        self._writer.add_tensor(f"{name}.weight", data, raw_dtype=self._quant)

    def plain(self, name: str, *shape: int) -> None:
        """Small random values that stay in f32."""
        self._writer.add_tensor(name, self._normal(*shape) * np.float32(0.1))

    def ones(self, name: str, size: int) -> None:
        """A norm's weight."""
        self._writer.add_tensor(f"{name}.weight", np.ones(size, np.float32))

    def _normal(self, *shape: int) -> NDArray[np.float32]:
        return self._random.standard_normal(shape, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Patch:
    """Damage: `value`, as the struct format `kind`, at `offset` from the end of a name."""

    offset: int
    kind: str
    value: float

    def apply(self, path: Path, name: str) -> None:
        """Do it to the one place in the file at `path` where the key or tensor `name` stands."""
        data = bytearray(path.read_bytes())
        stored = struct.pack("<Q", len(name)) + name.encode()
        assert data.count(stored) == 1
        struct.pack_into(
            f"<{self.kind}", data, data.index(stored) + len(stored) + self.offset, self.value
        )
        path.write_bytes(data)


def _writer(
    path: Path, arch: str, vocabulary: Vocabulary, context: int, split: int = 0
) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, arch, split_max_tensors=split)
    writer.add_name(path.stem)
    writer.add_context_length(context)
    writer.add_vocab_size(len(vocabulary.tokens))
    vocabulary.write(writer)
    return writer


def _save(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _feed_forward(weights: Weights, block: str, d: int, ff: int) -> None:
    weights.ones(f"{block}.ffn_norm", d)
    weights.matrix(f"{block}.ffn_gate", ff, d)
    weights.matrix(f"{block}.ffn_up", ff, d)
    weights.matrix(f"{block}.ffn_down", d, ff)


def _mixture(weights: Weights, block: str, d: int, ff: int, experts: int) -> None:
    weights.ones(f"{block}.ffn_norm", d)
    weights.matrix(f"{block}.ffn_gate_inp", experts, d)
    weights.experts(f"{block}.ffn_gate_exps", experts, ff, d)
    weights.experts(f"{block}.ffn_up_exps", experts, ff, d)
    weights.experts(f"{block}.ffn_down_exps", experts, d, ff)


def _attention(weights: Weights, block: str, d: int, kv_width: int) -> None:
    weights.matrix(f"{block}.attn_q", d, d)
    weights.matrix(f"{block}.attn_k", kv_width, d)
    weights.matrix(f"{block}.attn_v", kv_width, d)
    weights.matrix(f"{block}.attn_output", d, d)


def llama_gguf(
    path: Path,
    *,
    n_layer: int = 2,
    d: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    ff: int = 128,
    vocab: int = 320,
    variant: int = 0,
    vocabulary: Vocabulary | None = None,
    context: int = 512,
    seed: int = 0,
    quant: Quant = Quant.F32,
    split: int = 0,
    experts: int = 0,
    extra: Callable[[gguf.GGUFWriter], object] | None = None,
) -> Path:
    """A Llama with a tied head. Returns `path`.

    `variant` chooses among vocabularies of `vocab` tokens, or `vocabulary` is one; `split` is the
    number of tensors per file if there shall be several; a token uses two of a layer's `experts`,
    if there are any; `extra` adds keys.
    """
    vocabulary = vocabulary or Vocabulary.of_size(vocab, variant)
    writer = _writer(path, "llama", vocabulary, context, split)
    writer.add_block_count(n_layer)
    writer.add_embedding_length(d)
    writer.add_feed_forward_length(ff)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(d // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    weights = Weights(writer, seed, quant)
    weights.matrix("token_embd", len(vocabulary.tokens), d)
    weights.ones("output_norm", d)
    for layer in range(n_layer):
        block = f"blk.{layer}"
        weights.ones(f"{block}.attn_norm", d)
        _attention(weights, block, d, d // heads * kv_heads)
        if experts:
            _mixture(weights, block, d, ff, experts)
        else:
            _feed_forward(weights, block, d, ff)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
    if extra:
        extra(writer)
    _save(writer)
    return path


def lfm2_gguf(path: Path, *, vocab: int = 320, context: int = 512, seed: int = 0) -> Path:
    """A hybrid whose recurrent layers (short convolutions) can roll back. Returns `path`."""
    d, ff, heads, kernel = 64, 128, 4, 3
    kv_heads = (0, 2, 0, 2)
    writer = _writer(path, "lfm2", Vocabulary.of_size(vocab), context)
    writer.add_block_count(len(kv_heads))
    writer.add_embedding_length(d)
    writer.add_feed_forward_length(ff)
    writer.add_head_count(heads)
    writer.add_head_count_kv(list(kv_heads))
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_shortconv_l_cache(kernel)
    weights = Weights(writer, seed, Quant.F32)
    weights.matrix("token_embd", vocab, d)
    weights.ones("token_embd_norm", d)
    for layer, kv in enumerate(kv_heads):
        block = f"blk.{layer}"
        weights.ones(f"{block}.attn_norm", d)
        if kv:
            _attention(weights, block, d, d // heads * kv)
            weights.ones(f"{block}.attn_q_norm", d // heads)
            weights.ones(f"{block}.attn_k_norm", d // heads)
        else:
            weights.plain(f"{block}.shortconv.conv.weight", d, kernel)
            weights.matrix(f"{block}.shortconv.in_proj", 3 * d, d)
            weights.matrix(f"{block}.shortconv.out_proj", d, d)
        _feed_forward(weights, block, d, ff)
    _save(writer)
    return path


def jamba_gguf(path: Path, *, vocab: int = 320, context: int = 512, seed: int = 0) -> Path:
    """A hybrid whose recurrent layers (Mamba) cannot roll back. Returns `path`."""
    d, ff, heads = 64, 128, 4
    kv_heads = (0, 2, 0, 2)
    writer = _writer(path, "jamba", Vocabulary.of_size(vocab), context)
    writer.add_block_count(len(kv_heads))
    writer.add_embedding_length(d)
    writer.add_feed_forward_length(ff)
    writer.add_head_count(heads)
    writer.add_head_count_kv(list(kv_heads))
    writer.add_layer_norm_rms_eps(1e-5)
    weights = Weights(writer, seed, Quant.F32)
    weights.matrix("token_embd", vocab, d)
    weights.ones("output_norm", d)
    for layer, kv in enumerate(kv_heads):
        block = f"blk.{layer}"
        weights.ones(f"{block}.attn_norm", d)
        if kv:
            _attention(weights, block, d, d // heads * kv)
        else:
            _mamba(writer, weights, block, d)
        _feed_forward(weights, block, d, ff)
    _save(writer)
    return path


def _mamba(writer: gguf.GGUFWriter, weights: Weights, block: str, d: int) -> None:
    inner, kernel, state, rank = 2 * d, 4, 16, 8
    if "jamba.ssm.inner_size" not in writer.kv_data[0]:
        writer.add_ssm_conv_kernel(kernel)
        writer.add_ssm_inner_size(inner)
        writer.add_ssm_state_size(state)
        writer.add_ssm_time_step_rank(rank)
    weights.matrix(f"{block}.ssm_in", 2 * inner, d)
    weights.plain(f"{block}.ssm_conv1d.weight", inner, kernel)
    weights.plain(f"{block}.ssm_conv1d.bias", inner)
    weights.matrix(f"{block}.ssm_x", rank + 2 * state, inner)
    weights.ones(f"{block}.ssm_dt_norm", rank)
    weights.matrix(f"{block}.ssm_dt", inner, rank)
    weights.plain(f"{block}.ssm_dt.bias", inner)
    weights.ones(f"{block}.ssm_b_norm", state)
    weights.ones(f"{block}.ssm_c_norm", state)
    decay = np.tile(-np.arange(1, state + 1, dtype=np.float32), (inner, 1))
    writer.add_tensor(f"{block}.ssm_a", decay)
    weights.plain(f"{block}.ssm_d", inner)
    weights.matrix(f"{block}.ssm_out", d, inner)


def bert_gguf(
    path: Path,
    *,
    pooling: gguf.PoolingType = gguf.PoolingType.MEAN,
    vocab: int = 320,
    context: int = 64,
    seed: int = 0,
) -> Path:
    """An encoder, which makes embeddings and generates nothing. Returns `path`."""
    n_layer, d, heads, ff = 2, 64, 4, 128
    writer = _writer(path, "bert", Vocabulary.of_size(vocab), context)
    writer.add_block_count(n_layer)
    writer.add_embedding_length(d)
    writer.add_feed_forward_length(ff)
    writer.add_head_count(heads)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(pooling)
    writer.add_token_type_count(2)
    weights = Weights(writer, seed, Quant.F32)
    weights.matrix("token_embd", vocab, d)
    weights.matrix("token_types", 2, d)
    weights.matrix("position_embd", context, d)
    _norm(weights, "token_embd_norm", d)
    for layer in range(n_layer):
        block = f"blk.{layer}"
        _attention(weights, block, d, d)
        _norm(weights, f"{block}.attn_output_norm", d)
        weights.matrix(f"{block}.ffn_up", ff, d)
        weights.matrix(f"{block}.ffn_down", d, ff)
        _norm(weights, f"{block}.layer_output_norm", d)
    _save(writer)
    return path


def _norm(weights: Weights, name: str, size: int) -> None:
    """One that subtracts the mean, too."""
    weights.ones(name, size)
    weights.plain(f"{name}.bias", size)
