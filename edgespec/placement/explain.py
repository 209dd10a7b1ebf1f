"""A plan in words, for people, and as numbers, for programs."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from edgespec import memory
from edgespec.cpu_sets import CpuSet, beside, candidates
from edgespec.devices import CPU
from edgespec.machines import Machine
from edgespec.onnx_header import OnnxHeader
from edgespec.placement.question import Question
from edgespec.placement.records import Judged, Option, Plan, TargetPlace, Why

_MIB = 1 << 20
_MEASURED = "ONNX Runtime, on the device that is fastest when it is loaded (taken for the CPU here)"


def as_json(plan: Plan, machine: Machine, question: Question) -> dict[str, Any]:
    """The plan as an object of numbers, texts and lists; times in seconds, sizes in bytes."""
    return {
        "model": question.name,
        "machine": {
            "name": machine.name,
            "cores": machine.topology.describe(),
            "memory": machine.memory,
            "free": machine.free,
            "bandwidth": machine.bandwidth,
            "core_bandwidth": machine.core_bandwidth,
            "core_speeds": {str(cpu): speed for cpu, speed in machine.core_speeds.items()},
            "basis": machine.basis.value,
            "devices": [asdict(device) | {"kind": device.kind.value} for device in machine.devices],
        },
        "threads": _team(plan.cpus),
        "drafter_threads": _team(plan.drafter_cpus) if plan.drafter_cpus else None,
        "acceptance": plan.acceptance,
        "acceptance_learnt": plan.learnt,
        "plan": _record(plan.chosen),
        "alternatives": [_record(other) for other in plan.others],
    }


def summary(plan: Plan, machine: Machine, question: Question) -> str:
    """The chosen plan in a few lines, and what else would fit."""
    option = plan.chosen.option
    rows = [
        ("machine", f"{machine.name}, {machine.topology.describe()}"),
        ("model", question.name),
        ("target", _target(option, question)),
        ("drafter", _drafter(plan, question)),
        ("threads", _threads(plan.cpus)),
        ("attention", _attention(plan)),
        *(("memory", line) for line in _memory(option, machine)),
        ("speed", _speed(option)),
        ("limit", _limit(option, machine)),
        ("reason", plan.chosen.reason.text),
        *_others(plan, question, of_interest=True),
    ]
    return _aligned(rows)


def explanation(plan: Plan, machine: Machine, question: Question) -> str:
    """What does not fit or changes the text, and what was assumed."""
    rows = [*_others(plan, question, of_interest=False), *_cores(machine)]
    rows += [
        ("processors", f"{one}: {one.why}")
        for one in candidates(machine.topology)
        if one.cpus != plan.cpus.cpus
    ]
    rows += [
        ("drafter", f"{one}: {one.why}")
        for one in beside(machine.topology, plan.cpus.cpus)
        if plan.drafter_cpus and one.cpus != plan.drafter_cpus.cpus
    ]
    rows.append(("memory", f"{machine.bandwidth / 1e9:.1f} GB/s read by all cores, "
                 f"{machine.core_bandwidth / 1e9:.1f} by one ({machine.basis.value})"))  # fmt: skip
    rows += [
        (device.name, f"{device.description}: {_bandwidth(device.bandwidth)}, "
         f"{memory.gib(device.free)} of {memory.gib(device.total)} free")
        for device in machine.devices
    ]  # fmt: skip
    rows.append(("drafts", _acceptance(plan)))
    return _aligned(rows)


def _others(plan: Plan, question: Question, *, of_interest: bool) -> Iterator[tuple[str, str]]:
    """The alternatives that would do as well as the plan, or those that would not."""
    for other in plan.others:
        if (other.reason.why in (Why.SLOWER, Why.NO_GAIN)) is of_interest:
            yield "instead of", _line(other, question)


def _target(option: Option, question: Question) -> str:
    placement = option.placement
    size = f"context {placement.n_ctx}"
    if isinstance(question.target, OnnxHeader):
        return f"{_MEASURED}, {size}"
    return f"{_place(placement.target, question)}, {size}, cache {placement.kv_type}"


def _drafter(plan: Plan, question: Question) -> str:
    place = plan.chosen.option.placement.drafter
    if place and isinstance(question.drafter, OnnxHeader):
        return _MEASURED
    return f"{place}, {_threads(plan.drafter_cpus)}" if plan.drafter_cpus else place or "none"


def _threads(cpus: CpuSet) -> str:
    return f"{cpus}: {cpus.why}"


def _attention(plan: Plan) -> str:
    flash = plan.chosen.option.placement.flash
    if flash and not plan.attention.flash:
        return "flash: not all layers are on the CPU"
    name = "flash" if flash else "plain"
    return f"{name}: {plan.attention.why}" if plan.attention.why else name


def _place(place: TargetPlace, question: Question) -> str:
    if place.layers == 0:
        return CPU
    layers = question.target_footprint().layers
    share = "all layers" if place.layers >= layers else f"{place.layers} of {layers} layers"
    return f"{share} on {place.device}" + _experts(place, layers - 1)


def _experts(place: TargetPlace, every: int) -> str:
    if not place.experts_on_cpu:
        return ""
    some = "" if place.experts_on_cpu >= every else f" of {place.experts_on_cpu} layers"
    return f", experts{some} on CPU"


def _memory(option: Option, machine: Machine) -> Iterator[str]:
    for place, parts in option.takes.items():
        device = next((device for device in machine.devices if device.name == place), None)
        free = device.free if device else machine.free
        listed = ", ".join(
            f"{what} {size / _MIB:.1f}" for what, size in parts.items() if size >= 0.05 * _MIB
        )
        total = option.total(place)
        yield f"{place}: {total / _MIB:.1f} MiB of {free / _MIB:,.0f} free ({listed})"


def _speed(option: Option) -> str:
    seen = option.forecast
    plain = f"{seen.plain_rate:.1f} tokens/s plainly"
    basis = "measured steps" if seen.calibrated else "predicted from bandwidth, not measured"
    if option.placement.drafter is None:
        return f"{plain} ({basis})"
    return f"{seen.rate:.1f} tokens/s with drafts, {plain} ({basis})"


def _limit(option: Option, machine: Machine) -> str:
    seen = option.forecast
    if not seen.calibrated:
        return f"the memory of {seen.bound}"
    if seen.used > 1:
        return (
            f"none seen: a plain step reads faster than the memory of {seen.bound} was measured, "
            "from caches or because the machine was busy then"
        )
    return f"a plain step reads at {seen.used:.0%} of what the memory of {seen.bound} can do"


def _line(judged: Judged, question: Question) -> str:
    option = judged.option
    placement = option.placement
    drafter = f", drafter on {placement.drafter}" if placement.drafter else ", no drafter"
    cache = "" if placement.kv_type == question.kv_type else f", cache {placement.kv_type}"
    return (
        f"target: {_place(placement.target, question)}{drafter}{cache}: "
        f"{option.forecast.rate:.1f} tokens/s; {judged.reason.text}"
    )


def _cores(machine: Machine) -> list[tuple[str, str]]:
    if not machine.core_speeds:
        return []
    speeds = ", ".join(f"{cpu}: {speed:.0%}" for cpu, speed in machine.core_speeds.items())
    return [("cores", f"read at {speeds} of the fastest's speed")]


def _bandwidth(value: float | None) -> str:
    return f"{value / 1e9:.0f} GB/s" if value else "bandwidth unknown, a slow one is assumed"


def _acceptance(plan: Plan) -> str:
    basis = "learnt from earlier answers" if plan.learnt else "assumed, never seen yet"
    return f"{plan.acceptance:.0%} accepted ({basis})"


def _team(cpus: CpuSet) -> dict[str, Any]:
    return {
        "cpus": list(cpus.cpus),
        "count": cpus.threads,
        "name": cpus.name,
        "why": cpus.why,
        "pinned": cpus.pinned,
        "memory": cpus.spread.value,
        "nodes": list(cpus.nodes),
    }


def _record(judged: Judged) -> dict[str, Any]:
    option = judged.option
    place = option.placement
    return {
        "target": asdict(place.target),
        "drafter": place.drafter,
        "context": place.n_ctx,
        "kv_type": place.kv_type,
        "flash_attention": place.flash,
        "memory": {name: dict(parts) for name, parts in option.takes.items()},
        "tokens_per_second": option.forecast.rate,
        "plain_tokens_per_second": option.forecast.plain_rate,
        "step": option.forecast.step,
        "draft_step": option.forecast.draft_step,
        "bound": option.forecast.bound,
        "calibrated": option.forecast.calibrated,
        "why": judged.reason.why.value,
        "reason": judged.reason.text,
    }


def _aligned(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    lines = []
    for index, (name, text) in enumerate(rows):
        shown = "" if index and rows[index - 1][0] == name else name
        lines.append(f"{shown:{width}}  {text}")
    return "\n".join(lines)
