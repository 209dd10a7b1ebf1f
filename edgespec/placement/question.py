"""What is to be placed: a pair of models and the size of its contexts."""

from dataclasses import dataclass

from edgespec.headers import Header
from edgespec.onnx_header import OnnxHeader
from edgespec.placement.footprint import Footprint, footprint, footprint_of_graph

KV_TYPES = ("f16", "q8_0", "q4_0")
"""Types of the cache, the most exact first."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to place: the headers of a pair, and how large its contexts are.

    `outputs` are the rows of logits that a target batch may ask for, `lanes` those of the
    drafter's, `batch` the tokens of a batch.
    """

    name: str
    target: Header
    drafter: Header | None
    n_ctx: int
    kv_type: str = "f16"
    outputs: int = 17
    lanes: int = 8
    batch: int = 512

    def target_footprint(self, n_ctx: int = 0, kv_type: str = "") -> Footprint:
        """What the target takes, with another context or cache type if given."""
        size = n_ctx or self.n_ctx
        if isinstance(self.target, OnnxHeader):
            return footprint_of_graph(self.target, size)
        return footprint(
            self.target, size, self.batch, self.outputs, kv_type or self.kv_type, self.outputs
        )

    def drafter_footprint(self, n_ctx: int = 0) -> Footprint | None:
        """What the drafter takes, if there is one."""
        if self.drafter is None:
            return None
        size = n_ctx or self.n_ctx
        if isinstance(self.drafter, OnnxHeader):
            return footprint_of_graph(self.drafter, size)
        return footprint(self.drafter, size, self.batch, self.lanes, "f16", self.outputs)
