"""The placement to load with, found without any measuring where there is no choice to make."""

from collections.abc import Sequence

from edgespec import machines, memory
from edgespec.devices import CPU, offload_devices
from edgespec.placement.choose import Known, attending, choose
from edgespec.placement.enumerate import Pins
from edgespec.placement.question import Question
from edgespec.placement.records import Placement, TargetPlace
from edgespec.placement.refuse import refusal


def place(
    question: Question, pins: Pins, known: Known | None = None, failed: Sequence[Placement] = ()
) -> Placement:
    """Where to put the pair of `question`; `failed` placements were tried and did not work.

    Raises NotEnoughMemory if nothing fits, InvalidInput for pins that name what is not there.
    """
    if pins.any or offload_devices():
        plan = choose(machines.here(), question, pins, known, failed=failed)
        return plan.chosen.option.placement
    placement = _on_cpu(question)
    return attending(placement, known.attention) if known else placement


def _on_cpu(question: Question) -> Placement:
    free = memory.available()
    need = question.target_footprint().estimate.total
    if need > free:
        raise refusal(question, free, "")
    drafter = question.drafter_footprint()
    fits = drafter is not None and need + drafter.estimate.total <= free
    return Placement(TargetPlace(), CPU if fits else None, question.n_ctx, question.kv_type)
