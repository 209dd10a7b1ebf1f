"""Real ONNX decoders from the weights of a Llama GGUF, as exporters build them."""

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


class Attention:
    """What both kinds of attention need: tables of angles, and the names of the cache."""

    def __init__(self, graph: Graph, weights: Weights, kind: int) -> None:
        self._graph = graph
        self._weights = weights
        self._kind = kind
        half = np.arange(0, weights.head_size, 2) / weights.head_size
        angles = np.outer(np.arange(weights.context), weights.rope_base**-half)
        self._cos = graph.constant(np.cos(angles).astype(np.float32), "cos_cache")
        self._sin = graph.constant(np.sin(angles).astype(np.float32), "sin_cache")

    def _length(self) -> str:
        """How many positions there are, the new ones included."""
        graph = self._graph
        return graph("Gather", graph("Shape", "attention_mask"), graph.constant(np.array(1)))


class Grouped(Attention):
    """Attention by the contributed operator, which rotates, and appends to its cache."""

    def __init__(self, graph: Graph, weights: Weights, kind: int) -> None:
        super().__init__(graph, weights, kind)
        self._tables = [graph("Cast", name, to=kind) for name in (self._cos, self._sin)]
        total = graph("ReduceSum", "attention_mask", graph.ints(1), keepdims=0)
        self._last = graph("Cast", graph("Sub", total, graph.ints(1)), to=TensorProto.INT32)
        self._total = graph("Cast", self._length(), to=TensorProto.INT32)

    def __call__(self, layer: int, projections: Sequence[str]) -> str:
        """What layer `layer` mixes from its queries, keys and values."""
        graph, weights = self._graph, self._weights
        mixed, *_ = graph.several(
            3,
            "GroupQueryAttention",
            *(graph("Cast", name, to=self._kind) for name in projections),
            *_names(layer, "past_key_values"),
            self._last,
            self._total,
            *self._tables,
            names=[f"mixed_{layer}", *_names(layer, "present")],
            domain="com.microsoft",
            num_heads=weights.heads,
            kv_num_heads=weights.kv_heads,
            do_rotary=1,
            rotary_interleaved=1,
        )
        return graph("Cast", mixed, to=TensorProto.FLOAT)


class SpeltOut(Attention):
    """Attention from plain operators, with the cache concatenated to what is new."""

    def __init__(self, graph: Graph, weights: Weights, kind: int) -> None:
        super().__init__(graph, weights, kind)
        self._tables = [
            graph("Unsqueeze", graph("Gather", name, "position_ids"), graph.ints(1))
            for name in (self._cos, self._sin)
        ]
        zero, one = graph.constant(np.array(0)), graph.constant(np.array(1))
        places = graph("Range", zero, self._length(), one)
        later = graph("Greater", places, graph("Unsqueeze", "position_ids", graph.ints(2)))
        nothing, minus = (graph.constant(np.array(value, np.float32)) for value in (0, -1e9))
        self._mask = graph("Unsqueeze", graph("Where", later, minus, nothing), graph.ints(1))
        self._scale = graph.constant(np.array(weights.head_size**-0.5, np.float32))

    def __call__(self, layer: int, projections: Sequence[str]) -> str:
        """What layer `layer` mixes from its queries, keys and values."""
        graph, weights = self._graph, self._weights
        q, k, v = projections
        q = self._rotated(self._heads(q, weights.heads))
        keys = self._grown(layer, 0, self._rotated(self._heads(k, weights.kv_heads)))
        values = self._grown(layer, 1, self._heads(v, weights.kv_heads))
        scores = graph("MatMul", q, graph("Transpose", keys, perm=[0, 1, 3, 2]))
        scores = graph("Add", graph("Mul", scores, self._scale), self._mask)
        mixed = graph("MatMul", graph("Softmax", scores, axis=-1), values)
        mixed = graph("Transpose", mixed, perm=[0, 2, 1, 3])
        return graph("Reshape", mixed, graph.ints(0, 0, -1))

    def _heads(self, x: str, number: int) -> str:
        shape = self._graph.ints(0, -1, number, self._weights.head_size)
        return self._graph("Transpose", self._graph("Reshape", x, shape), perm=[0, 2, 1, 3])

    def _rotated(self, x: str) -> str:
        """RoPE over adjacent pairs, the convention of llama.cpp's `llama` architecture."""
        graph, (cos, sin) = self._graph, self._tables
        pairs = graph("Reshape", x, graph.ints(0, 0, 0, -1, 2))
        parts = graph.several(2, "Split", pairs, axis=-1, num_outputs=2)
        even, odd = (graph("Squeeze", part, graph.ints(-1)) for part in parts)
        first = graph("Sub", graph("Mul", even, cos), graph("Mul", odd, sin))
        second = graph("Add", graph("Mul", even, sin), graph("Mul", odd, cos))
        both = [graph("Unsqueeze", part, graph.ints(-1)) for part in (first, second)]
        shape = graph.ints(0, 0, 0, self._weights.head_size)
        return graph("Reshape", graph("Concat", *both, axis=-1), shape)

    def _grown(self, layer: int, part: int, new: str) -> str:
        past, present = (_names(layer, name)[part] for name in ("past_key_values", "present"))
        new = self._graph("Cast", new, to=self._kind)
        self._graph("Concat", past, new, axis=2, names=[present])
        return self._graph("Cast", present, to=TensorProto.FLOAT)


class Decoder:
    """One graph: `export` decides how it looks, `weights` what it computes."""

    def __init__(self, weights: Weights, export: Export) -> None:
        self._weights = weights
        self._export = export
        self._graph = Graph()

    def build(self) -> onnx.ModelProto:
        """The model."""
        graph, weights = self._graph, self._weights
        kind = Grouped if self._export.grouped else SpeltOut
        attend = kind(graph, weights, self._export.kind)
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
