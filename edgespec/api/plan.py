"""Where a pair would run: a plan to look at, and to load by."""

from edgespec import machines
from edgespec.matchmaking import best_pair
from edgespec.placement import ask
from edgespec.placement.choose import choose
from edgespec.placement.enumerate import Pins
from edgespec.placement.records import Plan


def plan(
    model: str | None = None,
    drafter: str | None = None,
    *,
    context: int = 0,
    threads: int = 0,
    speculate: bool = True,
    device: str | None = None,
    gpu_layers: int | None = None,
    drafter_device: str | None = None,
    cpu_experts: int | None = None,
    cpus: str = "",
    drafter_cpus: str = "",
    kv_type: str = "f16",
) -> Plan:
    """Where the pair would go, how fast that is and why, as `edgespec plan` tells it.

    The arguments are those of `load`, to which the plan can be given. Nothing is loaded; the
    memory's bandwidth is measured, which takes less than a second. Raises as `load` does.
    """
    pair = best_pair(model, drafter, speculate=speculate)
    question = ask.question(pair, context, kv_type)
    pins = Pins(device, gpu_layers, drafter_device, cpu_experts, cpus, drafter_cpus)
    known = ask.known(pair, threads, question.outputs, ask.attends(question), pins)
    return choose(machines.here(measure_again=True), question, pins, known, threads)
