"""The export: a checkpoint and the tokenizer as one GGUF file, matrices in Q8_0."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import model as models
import numpy as np
from markup import CHAT_TEMPLATE, CONTROL_TOKENS, END_OF_TEXT_ID, TURN_END_ID
from torch import Tensor

_BLOCK_NAMES = {
    "attention_norm": "attn_norm",
    "attention.q": "attn_q",
    "attention.k": "attn_k",
    "attention.v": "attn_v",
    "attention.output": "attn_output",
    "hidden_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}
_TOP_NAMES = {"embedding": "token_embd", "norm": "output_norm"}


def gguf_name(name: str) -> str:
    """`blocks.0.attention.q.weight` is `blk.0.attn_q.weight`."""
    parts = name.removesuffix(".weight").split(".", 2)
    if parts[0] == "blocks":
        return f"blk.{parts[1]}.{_BLOCK_NAMES[parts[2]]}.weight"
    return f"{_TOP_NAMES[parts[0]]}.weight"


def _add_description(writer: gguf.GGUFWriter, role: str) -> None:
    writer.add_name(f"edgespec nano {role}")
    writer.add_description("A toy model trained on the CPython standard library's sources")
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_shape(writer: gguf.GGUFWriter, shape: models.Shape) -> None:
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(1)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(shape.vocabulary)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer_file: Path) -> None:
    bpe: dict[str, Any] = json.loads(tokenizer_file.read_text(encoding="utf-8"))["model"]
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].__getitem__)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([control if token in CONTROL_TOKENS else normal for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in bpe["merges"]])
    writer.add_bos_token_id(END_OF_TEXT_ID)
    writer.add_eos_token_id(TURN_END_ID)
    writer.add_eot_token_id(TURN_END_ID)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _add_weight(writer: gguf.GGUFWriter, name: str, weight: Tensor) -> None:
    values = weight.detach().float().numpy().astype(np.float32)
    if values.ndim == 1:
        writer.add_tensor(gguf_name(name), values)
        return
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(gguf_name(name), gguf.quants.quantize(values, kind), raw_dtype=kind)


def export(checkpoint: Path, tokenizer_file: Path, role: str, output: Path) -> None:
    """Write the file whole or not at all."""
    model, _ = models.load(checkpoint)
    temporary = output.with_suffix(".tmp")
    writer = gguf.GGUFWriter(temporary, "llama")
    _add_description(writer, role)
    _add_shape(writer, model.shape)
    _add_tokenizer(writer, tokenizer_file)
    for name, weight in model.named_parameters():
        _add_weight(writer, name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    temporary.replace(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=sorted(models.SHAPES))
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    export(arguments.checkpoint, arguments.tokenizer, arguments.role, arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
