"""What a model takes, layer by layer, and what a decoded token reads of it."""

from dataclasses import dataclass
from math import prod

from edgespec import memory
from edgespec.devices import CPU
from edgespec.gguf_header import GgufHeader, TensorInfo
from edgespec.onnx_header import OnnxHeader
from edgespec.placement.records import TargetPlace

_EXPERTS = "_exps."


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of one model with one context.

    `dense` and `experts` are the weights of each layer, `cache` its keys and values; `head` is
    the output matrix, `head_on_cpu` what the processor saves without it (which still needs the
    embeddings, where they are one). `estimate` is all of it on the processor. `expert_count` and
    `experts_used` are those of a layer, 0 without experts. `parameters` are used for every token,
    `position` are the bytes that one cached position adds to what a step reads. The engine of what
    is not `placeable` chooses its device by itself; it is taken to be the processor.
    """

    dense: tuple[int, ...]
    experts: tuple[int, ...]
    cache: tuple[int, ...]
    head: int
    head_on_cpu: int
    estimate: memory.MemoryEstimate
    expert_count: int
    experts_used: int
    parameters: float
    position: float
    placeable: bool = True

    @property
    def layers(self) -> int:
        """All that can be placed: the layers, and the output matrix."""
        return len(self.dense) + 1

    @property
    def has_experts(self) -> bool:
        """True if a token goes through some of many experts only."""
        return any(self.experts)

    def takes(self, place: TargetPlace) -> dict[str, dict[str, int]]:
        """Bytes at the processor and at the device of `place`, by what they are for."""
        need = self.estimate
        on_cpu = {
            "weights": need.weights,
            "cache": need.kv,
            "compute": need.compute,
            "logits": need.logits,
            "vocabulary": need.vocabulary,
        }
        if place.device == CPU or place.layers == 0:
            return {CPU: on_cpu}
        moved = self._moved(place)
        cache = sum(self.cache[self._first(place) :])
        # A head that is the embeddings, too, is copied: the processor keeps the embeddings.
        on_cpu["weights"] -= moved - self.head + self.head_on_cpu
        on_cpu["cache"] -= cache
        return {
            CPU: on_cpu,
            place.device: {"weights": moved, "cache": cache, "compute": need.compute},
        }

    def reads(self, place: TargetPlace, n: int, depth: int) -> dict[str, float]:
        """Bytes that a step of `n` tokens reads at each place, with `depth` positions cached.

        A batch reads the union of its tokens' experts; each of them chooses independently.
        """
        first = self._first(place)
        touched = self._touched(n)
        found = {CPU: 0.0, place.device: 0.0}
        for layer, (dense, experts) in enumerate(zip(self.dense, self.experts, strict=True)):
            where = place.device if layer >= first else CPU
            found[where] += dense
            found[CPU if layer < place.experts_on_cpu else where] += experts * touched
        found[place.device if place.layers else CPU] += self.head
        share = (len(self.dense) - first) / max(len(self.dense), 1)
        found[place.device] += share * depth * self.position
        found[CPU] += (1 - share) * depth * self.position
        return found

    def fitting(self, device: str, room: int, *, experts_on_cpu: int) -> int:
        """The most layers, the output matrix included, that take at most `room` bytes there."""
        for layers in range(self.layers, 0, -1):
            place = TargetPlace(device, layers, experts_on_cpu)
            if sum(self.takes(place)[device].values()) <= room:
                return layers
        return 0

    def _touched(self, n: int) -> float:
        if not self.expert_count:
            return 1.0
        return 1 - (1 - self.experts_used / self.expert_count) ** n

    def _first(self, place: TargetPlace) -> int:
        """The first layer at the device; llama.cpp counts the output matrix as the last."""
        return min(max(self.layers - place.layers, 0), len(self.dense))

    def _moved(self, place: TargetPlace) -> int:
        first = self._first(place)
        experts = sum(self.experts[max(first, place.experts_on_cpu) :])
        return sum(self.dense[first:]) + experts + self.head


def footprint(
    header: GgufHeader, n_ctx: int, n_batch: int, outputs: int, kv_type: str, rollback: int = 0
) -> Footprint:
    """The footprint of the model of `header`; see edgespec.memory.estimate for the numbers."""
    layers = header.integer(".block_count")
    dense, experts = [0] * layers, [0] * layers
    for tensor in header.tensors:
        layer = _layer(tensor, layers)
        if layer is not None:
            (experts if _EXPERTS in tensor.name else dense)[layer] += tensor.size
    need = memory.estimate(header, n_ctx, n_batch, outputs, kv_type, rollback)
    per_layer = memory.cache_per_layer(header, kv_type)
    embeddings, own_head = header.tensor("token_embd.weight"), header.tensor("output.weight")
    head = own_head or embeddings
    second = need.weights - sum(tensor.size for tensor in header.tensors)
    count = header.integer(".expert_count")
    used = max(header.per_layer(".expert_used_count"), default=0)
    part = used / count if count else 1.0
    return Footprint(
        tuple(dense),
        tuple(experts),
        _spread(need.kv, per_layer),
        head.size if head else 0,
        own_head.size if own_head else second,
        need,
        count,
        used,
        _parameters(header, part),
        sum(per_layer),
    )


def footprint_of_graph(header: OnnxHeader, n_ctx: int) -> Footprint:
    """The footprint of an ONNX model, all of it in one piece."""
    cache = n_ctx * header.position
    need = memory.MemoryEstimate(header.memory(0), cache, 0, 0, 0)
    weights, parameters = header.weights, header.parameters or header.weights
    return Footprint(
        (weights,), (0,), (cache,), 0, 0, need, 0, 0, parameters, header.position, placeable=False
    )


def _layer(tensor: TensorInfo, layers: int) -> int | None:
    prefix, _, rest = tensor.name.partition(".")
    number = rest.partition(".")[0]
    if prefix != "blk" or not number.isdigit() or int(number) >= layers:
        return None
    return int(number)


def _spread(total: int, per_layer: tuple[float, ...]) -> tuple[int, ...]:
    """The cache's bytes by layer, in proportion to what attends."""
    whole = sum(per_layer)
    if not whole:
        return (total // max(len(per_layer), 1),) * len(per_layer)
    return tuple(int(total * share / whole) for share in per_layer)


def _parameters(header: GgufHeader, part: float) -> float:
    """How many weights a token is multiplied with; `part` of the experts'."""
    return sum(
        prod(tensor.shape) * (part if _EXPERTS in tensor.name else 1)
        for tensor in header.tensors
        if len(tensor.shape) > 1
        and (tensor.name != "token_embd.weight" or not header.tensor("output.weight"))
    )
