"""ONNX models in the Hub's layout: a graph with its weights, a configuration, a tokenizer."""

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from tests.backends.nano import DRAFTER
from tests.onnx_graphs import Decoder, Export, Weights

EXPORTS = {
    "grouped": Export(),
    "grouped-8-bit": Export(bits=8, trims=True),
    "grouped-4-bit": Export(bits=4, external=False),
    "grouped-half": Export(kind=TensorProto.FLOAT16),
    "spelt-out": Export(grouped=False),
    "spelt-out-half": Export(grouped=False, kind=TensorProto.FLOAT16, trims=True),
    "spelt-out-8-bit": Export(grouped=False, bits=8),
    "spelt-out-8-bit-half": Export(grouped=False, bits=8, kind=TensorProto.FLOAT16, trims=True),
}


class Dialect(Weights):
    """The same weights with another vocabulary: of the learnt tokens the `kept` first remain.

    Ids are shuffled and control tokens spelt otherwise. As later merges build on earlier ones, what
    remains is a whole BPE, and the rows of the embedding keep their meaning.
    """

    _NAMES = ("<s>", "<|user|>", "</s>")

    def __init__(self, kept: int, file: Path = DRAFTER) -> None:
        self._changes: dict[str, Any] = {}
        super().__init__(file)
        tokens: list[str] = super().get("tokenizer.ggml.tokens")
        merges: list[str] = super().get("tokenizer.ggml.merges")[:kept]
        places = {text: token for token, text in enumerate(tokens)}
        learnt = {places[merge.replace(" ", "")] for merge in merges}
        letters = {token for text, token in places.items() if len(text) == 1}
        controls = range(len(self._NAMES))
        ids = np.array(sorted({*controls, *letters, *learnt}))
        self._ids = np.random.default_rng(5).permutation(ids)
        texts = [*self._NAMES, *tokens[len(self._NAMES) :]]
        kinds = super().get("tokenizer.ggml.token_type")
        where = {int(token): place for place, token in enumerate(self._ids)}
        self._changes = {
            "tokenizer.ggml.tokens": [texts[token] for token in self._ids],
            "tokenizer.ggml.token_type": [kinds[token] for token in self._ids],
            "tokenizer.ggml.merges": merges,
            "tokenizer.ggml.bos_token_id": where[0],
            "tokenizer.ggml.eos_token_id": where[2],
        }

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        values = super().__getitem__(name)
        return values[self._ids] if name == "token_embd.weight" else values

    def get(self, key: str) -> Any:
        """The metadata value of `key`."""
        return self._changes[key] if key in self._changes else super().get(key)


def tokenizer_json(weights: Weights) -> dict[str, Any]:
    """What the GGUF's byte-level BPE looks like as a tokenizer.json."""
    tokens: list[str] = weights.get("tokenizer.ggml.tokens")
    kinds: list[int] = weights.get("tokenizer.ggml.token_type")
    added = [
        _control(token, text)
        for token, (text, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind == gguf.TokenType.CONTROL
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    bos = tokens[weights.get("tokenizer.ggml.bos_token_id")]
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    special = {"SpecialToken": {"id": bos, "type_id": 0}}
    return {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": level | {"use_regex": True},
        "decoder": level | {"use_regex": True},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special, sequence],
            "pair": [special, sequence, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {bos: {"id": bos, "ids": [tokens.index(bos)], "tokens": [bos]}},
        },
        "model": {
            "type": "BPE",
            "vocab": {text: token for token, text in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in weights.get("tokenizer.ggml.merges")],
        },
    }


def _control(token: int, text: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token, "content": text, "special": True, **flags}


def write_folder(
    folder: Path, weights: Weights, export: Export, tokenizer: dict[str, Any] | None = None
) -> Path:
    """A folder as the Hub has it: configuration, tokenizer and graph. Returns `folder`."""
    (folder / "onnx").mkdir(parents=True)
    config = {
        "model_type": "llama",
        "max_position_embeddings": weights.context,
        "num_hidden_layers": weights.layers,
        "num_key_value_heads": weights.kv_heads,
        "num_attention_heads": weights.heads,
        "hidden_size": weights.width,
        "intermediate_size": len(weights["blk.0.ffn_gate.weight"]),
        "head_dim": weights.head_size,
        "vocab_size": len(weights["token_embd.weight"]),
        "bos_token_id": weights.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": weights.get("tokenizer.ggml.eos_token_id"),
    }
    _write(folder / "config.json", config)
    _write(folder / "tokenizer.json", tokenizer or tokenizer_json(weights))
    settings = {"chat_template": weights.get("tokenizer.chat_template")}
    _write(folder / "tokenizer_config.json", settings)
    model = Decoder(weights, export).build()
    onnx.save_model(
        model,
        graph_of(folder),
        save_as_external_data=export.external,
        location="model.onnx_data",
        size_threshold=1024,
    )
    return folder


def graph_of(folder: Path) -> Path:
    """The graph in a folder of `write_folder`."""
    return folder / "onnx" / "model.onnx"


def _write(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_floats(path: Path) -> Path:
    """The nano drafter in f32, which is what graphs without `bits` compute with. Returns `path`."""
    reader, weights = gguf.GGUFReader(DRAFTER), Weights()
    writer = gguf.GGUFWriter(path, "llama")
    for name, field in reader.fields.items():
        # The writer says the one by itself, and the other no longer holds.
        if not name.startswith(("GGUF.", "general.architecture", "general.file_type")):
            kind, *inner = field.types
            writer.add_key_value(name, field.contents(), kind, inner[-1] if inner else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, weights[tensor.name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def main() -> None:
    """Write the nano drafter in every kind of export, each into a folder of its own, and in f32."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("output", type=Path)
    output: Path = parser.parse_args().output
    weights = Weights()
    for name, export in EXPORTS.items():
        print(graph_of(write_folder(output / name, weights, export)))
    print(write_floats(output / "floats.gguf"))


if __name__ == "__main__":
    main()
