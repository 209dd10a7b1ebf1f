"""Real ONNX decoders in the Hub's layout, made from the weights and vocabulary of a Llama GGUF."""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.backends.nano import DRAFTER

Array = NDArray[Any]

CONTROL = gguf.TokenType.CONTROL
_TO_THE_END = 2**63 - 1
_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Export:
    """How a decoder is exported.

    `grouped` uses GroupQueryAttention, whose cache can live in one buffer; otherwise attention is
    spelt out and the cache grows by Concat. `kind` is the type of cache and logits. `bits` 8 or 4
    stores matrices as MatMulNBits does, in blocks of 32; 0 stores them in f32. `trims` adds the
    input num_logits_to_keep. `external` puts the weights beside the graph.
    """

    grouped: bool = True
    kind: int = TensorProto.FLOAT
    bits: int = 0
    trims: bool = False
    external: bool = True


EXPORTS = {
    "grouped": Export(),
    "grouped-8-bit": Export(bits=8, trims=True),
    "grouped-4-bit": Export(bits=4, external=False),
    "grouped-half": Export(kind=TensorProto.FLOAT16),
    "spelt-out": Export(grouped=False),
    "spelt-out-half": Export(grouped=False, kind=TensorProto.FLOAT16, trims=True),
}


class Weights:
    """The tensors of a Llama GGUF in f32, with the hyperparameters that the graph needs."""

    def __init__(self, file: Path = DRAFTER) -> None:
        reader = gguf.GGUFReader(file)
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        self._fields = reader.fields
        self.layers: int = self.get("llama.block_count")
        self.heads: int = self.get("llama.attention.head_count")
        self.kv_heads: int = self.get("llama.attention.head_count_kv")
        self.context: int = self.get("llama.context_length")
        self.epsilon: float = self.get("llama.attention.layer_norm_rms_epsilon")
        self.width: int = self.get("llama.embedding_length")
        self.head_size = self["blk.0.attn_k.weight"].shape[0] // self.kv_heads
        base = self._fields.get("llama.rope.freq_base")
        self.rope_base: float = base.contents() if base else 10000.0

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        tensor = self._tensors[name]
        flat = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        return np.asarray(flat, np.float32).reshape([int(n) for n in reversed(tensor.shape)])

    def get(self, key: str) -> Any:
        """The metadata value of `key`."""
        return self._fields[key].contents()


class Graph:
    """Nodes and constants under construction; each method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: Array, name: str = "") -> str:
        """A constant."""
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def ints(self, *values: int) -> str:
        """A constant of shape (n,)."""
        return self.constant(np.array(values, np.int64))

    def __call__(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self.several(1, op, *inputs, **attributes)[0]

    def several(self, count: int, op: str, *inputs: str, **attributes: Any) -> list[str]:
        """A node with `count` results; an attribute `names` names them."""
        number = len(self.nodes)
        names = attributes.pop("names", [f"{op}_{number}_{index}" for index in range(count)])
        self.nodes.append(helper.make_node(op, inputs, names, f"{op}_{number}", **attributes))
        return list(names)


class Decoder:
    """One graph: `export` decides how it looks, `weights` what it computes."""

    def __init__(self, weights: Weights, export: Export) -> None:
        self._weights = weights
        self._export = export
        self._graph = Graph()
        self._float = helper.tensor_dtype_to_np_dtype(export.kind)

    def build(self) -> onnx.ModelProto:
        """The model."""
        graph, weights = self._graph, self._weights
        attend = self._grouped() if self._export.grouped else self._spelt_out()
        table = graph.constant(weights["token_embd.weight"], "embed_tokens")
        x = graph("Gather", table, "input_ids")
        for layer in range(weights.layers):
            block = f"blk.{layer}"
            x = graph("Add", x, self._attention(layer, self._norm(x, f"{block}.attn_norm"), attend))
            x = graph("Add", x, self._feed_forward(block, self._norm(x, f"{block}.ffn_norm")))
        x = self._norm(x, "output_norm")
        if self._export.trims:
            last = graph("Unsqueeze", graph("Neg", "num_logits_to_keep"), graph.ints(0))
            x = graph("Slice", x, last, graph.ints(_TO_THE_END), graph.ints(1))
        head = self._matrix(x, weights["token_embd.weight"], "lm_head")
        graph("Cast", head, to=self._export.kind, names=["logits"])
        return self._model()

    def _norm(self, x: str, name: str) -> str:
        weight = self._graph.constant(self._weights[f"{name}.weight"], name)
        attributes = {"axis": -1, "epsilon": self._weights.epsilon, "stash_type": 1}
        return self._graph("SimplifiedLayerNormalization", x, weight, **attributes)

    def _matrix(self, x: str, weight: NDArray[np.float32], name: str) -> str:
        """x times the transposed weight, which has shape (outputs, inputs)."""
        graph, bits = self._graph, self._export.bits
        if not bits:
            return graph("MatMul", x, graph.constant(weight.T, name))
        rows, columns = weight.shape
        blocks = weight.reshape(rows, columns // _BLOCK, _BLOCK)
        most = 2 ** (bits - 1) - 1
        scale = np.abs(blocks).max(-1, keepdims=True) / most
        codes = np.rint(blocks / np.where(scale, scale, 1)) + most + 1
        packed = codes.astype(np.uint8)
        if bits == 4:
            packed = packed[..., ::2] | (packed[..., 1::2] << 4)
        quantized = graph.constant(packed, f"{name}_quant")
        scales = graph.constant(scale.astype(np.float32).reshape(rows, -1), f"{name}_scales")
        return graph(
            "MatMulNBits",
            x,
            quantized,
            scales,
            domain="com.microsoft",
            K=columns,
            N=rows,
            bits=bits,
            block_size=_BLOCK,
            accuracy_level=4,
        )

    def _attention(self, layer: int, x: str, attend: Callable[[int, Sequence[str]], str]) -> str:
        names = [f"blk.{layer}.attn_{part}.weight" for part in ("q", "k", "v", "output")]
        *projections, output = names
        mixed = attend(layer, [self._matrix(x, self._weights[name], name) for name in projections])
        return self._matrix(mixed, self._weights[output], output)

    def _feed_forward(self, block: str, x: str) -> str:
        graph = self._graph
        gate, up, down = (f"{block}.ffn_{part}.weight" for part in ("gate", "up", "down"))
        gated = self._matrix(x, self._weights[gate], gate)
        silu = graph("Mul", gated, graph("Sigmoid", gated))
        hidden = graph("Mul", silu, self._matrix(x, self._weights[up], up))
        return self._matrix(hidden, self._weights[down], down)

    def _angles(self) -> tuple[str, str]:
        """Constants (cos, sin) of shape (context, head_size / 2)."""
        half = np.arange(0, self._weights.head_size, 2) / self._weights.head_size
        angles = np.outer(np.arange(self._weights.context), self._weights.rope_base**-half)
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        return self._graph.constant(cos, "cos_cache"), self._graph.constant(sin, "sin_cache")

    def _grouped(self) -> Callable[[int, Sequence[str]], str]:
        """Attention by the contributed operator, which rotates, and appends to its cache."""
        graph, weights = self._graph, self._weights
        cos, sin = (graph("Cast", name, to=self._export.kind) for name in self._angles())
        total = graph("ReduceSum", "attention_mask", graph.ints(1), keepdims=0)
        last = graph("Cast", graph("Sub", total, graph.ints(1)), to=TensorProto.INT32)
        shape = graph("Gather", graph("Shape", "attention_mask"), graph.constant(np.array(1)))
        length = graph("Cast", shape, to=TensorProto.INT32)

        def attend(layer: int, projections: Sequence[str]) -> str:
            cast = [graph("Cast", name, to=self._export.kind) for name in projections]
            mixed, *_ = graph.several(
                3,
                "GroupQueryAttention",
                *cast,
                *_names(layer, "past_key_values"),
                last,
                length,
                cos,
                sin,
                names=[f"mixed_{layer}", *_names(layer, "present")],
                domain="com.microsoft",
                num_heads=weights.heads,
                kv_num_heads=weights.kv_heads,
                do_rotary=1,
                rotary_interleaved=1,
            )
            return graph("Cast", mixed, to=TensorProto.FLOAT)

        return attend

    def _spelt_out(self) -> Callable[[int, Sequence[str]], str]:
        """Attention from plain operators, with the cache concatenated to what is new."""
        graph, weights = self._graph, self._weights
        cos, sin = (
            graph("Unsqueeze", graph("Gather", name, "position_ids"), graph.ints(1))
            for name in self._angles()
        )
        count = graph("Gather", graph("Shape", "attention_mask"), graph.constant(np.array(1)))
        zero, one = graph.constant(np.array(0)), graph.constant(np.array(1))
        later = graph(
            "Greater",
            graph("Range", zero, count, one),
            graph("Unsqueeze", "position_ids", graph.ints(2)),
        )
        nothing, minus = (graph.constant(np.array(value, np.float32)) for value in (0, -1e9))
        mask = graph("Unsqueeze", graph("Where", later, minus, nothing), graph.ints(1))
        scale = graph.constant(np.array(weights.head_size**-0.5, np.float32))

        def heads(x: str, number: int) -> str:
            shape = graph.ints(0, -1, number, weights.head_size)
            return graph("Transpose", graph("Reshape", x, shape), perm=[0, 2, 1, 3])

        def rotate(x: str) -> str:
            pairs = graph("Reshape", x, graph.ints(0, 0, 0, -1, 2))
            even, odd = graph.several(2, "Split", pairs, axis=-1, num_outputs=2)
            even, odd = (graph("Squeeze", part, graph.ints(-1)) for part in (even, odd))
            first = graph("Sub", graph("Mul", even, cos), graph("Mul", odd, sin))
            second = graph("Add", graph("Mul", even, sin), graph("Mul", odd, cos))
            both = [graph("Unsqueeze", part, graph.ints(-1)) for part in (first, second)]
            whole = graph("Concat", *both, axis=-1)
            return graph("Reshape", whole, graph.ints(0, 0, 0, weights.head_size))

        def grown(layer: int, part: int, new: str) -> str:
            past = _names(layer, "past_key_values")[part]
            new = graph("Cast", new, to=self._export.kind)
            present = graph("Concat", past, new, axis=2, names=[_names(layer, "present")[part]])
            return graph("Cast", present, to=TensorProto.FLOAT)

        def attend(layer: int, projections: Sequence[str]) -> str:
            q, k, v = projections
            q = rotate(heads(q, weights.heads))
            keys = grown(layer, 0, rotate(heads(k, weights.kv_heads)))
            values = grown(layer, 1, heads(v, weights.kv_heads))
            scores = graph("MatMul", q, graph("Transpose", keys, perm=[0, 1, 3, 2]))
            scores = graph("Add", graph("Mul", scores, scale), mask)
            mixed = graph("MatMul", graph("Softmax", scores, axis=-1), values)
            mixed = graph("Transpose", mixed, perm=[0, 2, 1, 3])
            return graph("Reshape", mixed, graph.ints(0, 0, -1))

        return attend

    def _model(self) -> onnx.ModelProto:
        export, weights = self._export, self._weights
        info, integer = helper.make_tensor_value_info, TensorProto.INT64
        inputs = [
            info("input_ids", integer, ["batch_size", "sequence_length"]),
            info("attention_mask", integer, ["batch_size", "total_sequence_length"]),
        ]
        if not export.grouped:
            inputs.append(info("position_ids", integer, ["batch_size", "sequence_length"]))
        if export.trims:
            inputs.append(info("num_logits_to_keep", integer, []))
        outputs = [info("logits", export.kind, ["batch_size", "kept", "vocab_size"])]
        for layer in range(weights.layers):
            shape = ["batch_size", weights.kv_heads, "length", weights.head_size]
            for prefix, where in (("past_key_values", inputs), ("present", outputs)):
                shape[2] = f"{prefix}_length"
                where += [info(name, export.kind, shape) for name in _names(layer, prefix)]
        graph = self._graph
        whole = helper.make_graph(graph.nodes, "decoder", inputs, outputs, graph.constants)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(whole, opset_imports=opsets, ir_version=9)


def _names(layer: int, prefix: str) -> tuple[str, str]:
    return f"{prefix}.{layer}.key", f"{prefix}.{layer}.value"


def tokenizer_json(weights: Weights) -> dict[str, Any]:
    """What the GGUF's byte-level BPE looks like as a tokenizer.json."""
    tokens: list[str] = weights.get("tokenizer.ggml.tokens")
    kinds: list[int] = weights.get("tokenizer.ggml.token_type")
    added = [
        {
            "id": token,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token, (text, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind == CONTROL
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


def main() -> None:
    """Write the nano drafter in every kind of export, each into a folder of its own."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("output", type=Path)
    output: Path = parser.parse_args().output
    weights = Weights()
    for name, export in EXPORTS.items():
        print(graph_of(write_folder(output / name, weights, export)))


if __name__ == "__main__":
    main()
