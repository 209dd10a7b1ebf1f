"""How large a context is, as far as memory and the kind of attention allow."""

from dataclasses import dataclass
from pathlib import Path

from edgespec import attention, headers, memory
from edgespec.devices import CPU
from edgespec.gguf_header import read_header
from edgespec.placement.records import Placement

_BATCH = 512
_USUAL_ANSWER = 2048
"""Positions that an answer with its prompt mostly does with, where many share a cache."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """Sizes for `sequences` answers at a time, and `outputs` rows of logits of a target batch."""

    sequences: int
    outputs: int

    def batch(self, file: Path, n_ctx: int, *, flash: bool) -> int:
        """Tokens of a batch."""
        if flash or headers.is_onnx(file):
            return _BATCH
        return attention.batch(read_header(file), n_ctx, _BATCH, self.outputs)

    def room(self, file: Path, placement: Placement, device: str | None) -> int:
        """Positions of a cache for all sequences, as far as the processor's memory allows."""
        least = placement.n_ctx
        wanted = self.sequences * min(least, _USUAL_ANSWER)
        if wanted <= least or device != CPU:
            return least
        header = read_header(file)
        sizes = [
            memory.estimate(header, n_ctx, _BATCH, self.outputs, placement.kv_type).total
            for n_ctx in (least, wanted)
        ]
        # The weights are read by now. Half of what is left stays free: others want some, too.
        share = memory.available() / 2 / max(sizes[1] - sizes[0], 1)
        return least + int((wanted - least) * max(min(share, 1.0), 0.0))
