"""Plans for recorded machines: the decision and its reason."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgespec import cpu_sets
from edgespec.costs import CostTable
from edgespec.cpu_sets import Spread
from edgespec.devices import CPU, Device, DeviceKind
from edgespec.errors import InvalidInput, NotEnoughMemory
from edgespec.machines import Basis, Machine
from edgespec.placement.choose import Known, choose
from edgespec.placement.enumerate import Pins
from edgespec.placement.question import Question
from edgespec.placement.records import Option, Placement, Plan, TargetPlace, Why
from edgespec.topology import linux, macos, windows
from edgespec.topology.records import Topology
from tests import headers, machines
from tests.machines import GIB, LinuxMachine

GB = 1e9
RTX_4070 = Device("CUDA0", "RTX 4070", DeviceKind.GPU, 11 * GIB, 12 * GIB, 504 * GB)
RTX_3050 = Device("CUDA0", "RTX 3050", DeviceKind.GPU, 5 * GIB, 6 * GIB, 168 * GB)
ARC = Device("Vulkan0", "Intel Arc Graphics", DeviceKind.IGPU, 14 * GIB, 16 * GIB)
M1_GPU = Device("MTL0", "Apple M1 Pro", DeviceKind.IGPU, 10 * GIB, 11 * GIB, 200 * GB)
SPARK = Device("RPC0", "another machine", DeviceKind.REMOTE, 60 * GIB, 64 * GIB, 270 * GB)


def machine(
    topology: Topology, free: float, bandwidth: float, *devices: Device, core: float = 20.0
) -> Machine:
    """One with `free` GiB and GB/s read by all cores or by one."""
    size = int(free * GIB)
    return Machine(
        "machine", topology, size, size, bandwidth * GB, core * GB, Basis.DESCRIBED, devices
    )


def on_linux(
    root: Path, kind: LinuxMachine, free: float, bandwidth: float, *devices: Device
) -> Machine:
    return machine(linux.read(kind.build(root)), free, bandwidth, *devices)


EIGHT = Question("8b", headers.LLAMA_8B, headers.LLAMA_1B, 8192)
SEVENTY = Question("70b", headers.LLAMA_70B, headers.LLAMA_1B, 8192)
EXPERTS = Question("30b-a3b", headers.QWEN_30B_A3B, headers.QWEN_HALF_B, 8192)


def whys(plan: Plan) -> set[Why]:
    return {other.reason.why for other in plan.others}


def test_a_server_without_devices_interleaves_over_all_nodes(tmp_path: Path) -> None:
    plan = choose(on_linux(tmp_path, machines.EPYC_NPS4, 450, 350), SEVENTY)
    chosen = plan.chosen.option
    assert chosen.placement.target == TargetPlace()
    assert chosen.placement.drafter == CPU
    assert plan.chosen.reason.why is Why.FASTEST
    assert (plan.cpus.spread, plan.cpus.threads) == (Spread.INTERLEAVE, 47)
    assert chosen.forecast.bound == CPU
    assert 4 < chosen.forecast.plain_rate < 350 / 38


def test_a_desktop_whose_card_holds_it_all(tmp_path: Path) -> None:
    plan = choose(on_linux(tmp_path, machines.DESKTOP, 58, 80, RTX_4070), EIGHT)
    place = plan.chosen.option.placement
    assert place.target == TargetPlace("CUDA0", 33)
    assert plan.chosen.reason.why is Why.FASTEST
    assert plan.chosen.option.forecast.bound == "CUDA0"
    assert plan.cpus.cpus == tuple(range(0, 16, 2))
    assert Why.SLOWER in whys(plan)


def test_a_card_is_split_between_the_drafter_and_some_layers(tmp_path: Path) -> None:
    plan = choose(on_linux(tmp_path, machines.DESKTOP, 58, 80, RTX_4070), SEVENTY)
    chosen = plan.chosen.option
    assert chosen.placement.drafter == "CUDA0"
    assert chosen.placement.target.device == "CUDA0"
    assert 10 < chosen.placement.target.layers < 40
    assert {"target weights", "drafter weights"} <= chosen.takes["CUDA0"].keys()
    assert 9 * GIB < chosen.total("CUDA0") < RTX_4070.free
    alone = [
        other
        for other in plan.others
        if other.option.placement.target.layers == 0 and other.option.placement.drafter == "CUDA0"
    ]
    assert [other.reason.why for other in alone] == [Why.SLOWER]


def test_experts_stay_with_the_processor(tmp_path: Path) -> None:
    plan = choose(on_linux(tmp_path, machines.DESKTOP, 58, 80, RTX_3050), EXPERTS)
    chosen = plan.chosen.option
    assert chosen.placement.target == TargetPlace("CUDA0", 49, experts_on_cpu=48)
    assert plan.chosen.reason.why is Why.FASTEST
    assert chosen.total("CUDA0") < RTX_3050.free < chosen.total(CPU)


def test_a_laptop_computes_on_its_p_cores(tmp_path: Path) -> None:
    plan = choose(on_linux(tmp_path, machines.LAPTOP, 24, 70, ARC), EIGHT)
    assert plan.cpus.cpus == (0, 2, 4, 6, 8, 10)
    used = plan.chosen.option
    shared = sum(used.total(place) for place in used.takes)
    assert shared < 24 * GIB


def test_memory_that_is_shared_is_counted_once(tmp_path: Path) -> None:
    roomy = on_linux(tmp_path, machines.LAPTOP, 24, 70, ARC)
    plan = choose(roomy, EIGHT, Pins("Vulkan0", -1))
    assert plan.chosen.reason.why is Why.PINNED
    tight = replace(roomy, free=5 * GIB)
    with pytest.raises(NotEnoughMemory, match=r"5\.00 GiB is available"):
        choose(tight, EIGHT, Pins("Vulkan0", -1))


def test_a_board_uses_its_big_cores(tmp_path: Path) -> None:
    plan = choose(on_linux(tmp_path, machines.BOARD, 14, 20), replace(EIGHT, n_ctx=4096))
    assert plan.cpus.cpus == (4, 5, 6, 7)
    assert plan.chosen.option.forecast.plain_rate < 20 / 4.3


def test_a_mac_plans_with_its_one_memory() -> None:
    plan = choose(machine(macos.parse(machines.M1_PRO), 12, 150, M1_GPU), EIGHT)
    assert plan.cpus.threads == 8
    chosen = plan.chosen.option
    assert chosen.placement.target.device == "MTL0"
    assert sum(chosen.total(place) for place in chosen.takes) < 12 * GIB


def test_a_windows_laptop_computes_on_its_p_cores() -> None:
    topology = windows.parse(machines.windows_laptop())
    plan = choose(machine(topology, 12, 60), replace(EIGHT, drafter=None))
    assert plan.cpus.cpus == (0, 2, 4, 6)
    assert plan.chosen.option.placement.drafter is None
    assert plan.chosen.reason.why is Why.ONLY_ONE


def test_a_container_keeps_its_quota_and_its_memory(tmp_path: Path) -> None:
    box = on_linux(tmp_path, machines.CONTAINER, 7, 40)
    plan = choose(box, EIGHT)
    assert plan.cpus.threads == 3
    without = choose(replace(box, free=6 * GIB), EIGHT)
    assert without.chosen.option.placement.drafter is None
    assert Why.TOO_LARGE in whys(without)
    with pytest.raises(NotEnoughMemory, match=r"--kv-type q8_0, or --context \d+"):
        choose(replace(box, free=5 * GIB), EIGHT)
    with pytest.raises(NotEnoughMemory, match=r"70b .* at most \d\.\d bits per weight"):
        choose(replace(box, free=20 * GIB), SEVENTY)
    with pytest.raises(NotEnoughMemory, match="nothing of this model fits"):
        choose(box, SEVENTY)


def test_a_virtual_machine_has_its_two_cores(tmp_path: Path) -> None:
    plan = choose(on_linux(tmp_path, machines.VM, 14, 40), EIGHT)
    assert plan.cpus.cpus == (0, 1)
    assert plan.chosen.option.forecast.plain_rate < 40 / 4.3


def test_another_machine_is_slow_to_reach_but_large(tmp_path: Path) -> None:
    box = on_linux(tmp_path, machines.VM, 14, 40, SPARK)
    place = choose(box, SEVENTY).chosen.option.placement
    assert place.target == TargetPlace("RPC0", 81)


# The question's other sides.


def options(plan: Plan) -> list[Option]:
    return [plan.chosen.option, *(other.option for other in plan.others)]


def test_flags_pin_parts(tmp_path: Path) -> None:
    box = on_linux(tmp_path, machines.DESKTOP, 58, 80, RTX_4070)
    plan = choose(box, EIGHT, Pins(drafter=CPU, layers=7))
    assert plan.chosen.option.placement == Placement(TargetPlace("CUDA0", 7), CPU, 8192)
    assert plan.chosen.reason.why is Why.PINNED
    assert choose(box, EIGHT, Pins(device=CPU)).chosen.option.placement.target == TargetPlace()
    assert choose(box, EIGHT, threads=3).cpus.cpus == (0, 2, 4)
    assert choose(box, EIGHT, threads=10).cpus.threads == 10


@pytest.mark.parametrize(
    ("pins", "part"),
    [
        (Pins("CUDA7"), "no device 'CUDA7'; this machine has CPU, CUDA0"),
        (Pins(drafter="TPU"), "no device 'TPU'"),
        (Pins(CPU, 4), "cannot be moved to the CPU"),
        (Pins(experts=-1), "this model has no experts; leave --cpu-experts out"),
        (Pins(drafter="CUDA0", drafter_cpus="0"), "processors for a drafter on CUDA0"),
        (Pins(cpus="0,7"), "processor 7 of --cpus does not exist; what is there is 0-1"),
        (Pins(drafter_cpus="2"), "processor 2 of --drafter-cpus does not exist"),
    ],
)
def test_pins_that_name_nothing(tmp_path: Path, pins: Pins, part: str) -> None:
    box = on_linux(tmp_path, machines.VM, 14, 40, RTX_3050)
    with pytest.raises(InvalidInput, match=part):
        choose(box, EIGHT, pins)


@pytest.mark.parametrize(
    ("experts", "kept", "devices"),
    [(-1, 48, {CPU, "CUDA0"}), (20, 20, {"CUDA0"}), (0, 0, {"CUDA0"})],
)
def test_experts_are_pinned(tmp_path: Path, experts: int, kept: int, devices: set[str]) -> None:
    box = on_linux(tmp_path, machines.DESKTOP, 58, 80, RTX_4070)
    plan = choose(box, EXPERTS, Pins(experts=experts))
    every = [plan.chosen, *plan.others]
    assert plan.chosen.reason.why is Why.PINNED
    places = [judged.option.placement.target for judged in every]
    assert {place.device for place in places} == devices
    assert {place.experts_on_cpu for place in places if place.layers} == {kept}


def test_the_more_experts_stay_the_less_goes_to_the_card(tmp_path: Path) -> None:
    box = on_linux(tmp_path, machines.DESKTOP, 58, 80, replace(RTX_4070, free=40 * GIB))
    sizes = []
    for experts in (0, 20, 48):
        pins = Pins("CUDA0", -1, CPU, experts)
        option = choose(box, EXPERTS, pins).chosen.option
        sizes.append(option.takes["CUDA0"]["target weights"])
        whole = option.takes["CUDA0"]["target weights"] + option.takes[CPU]["target weights"]
        assert whole == pytest.approx(EXPERTS.target_footprint().estimate.weights, rel=0.05)
    assert sizes[0] > 1.5 * sizes[1] > 1.5 * sizes[2]
    with pytest.raises(InvalidInput, match="all experts are with the CPU anyway"):
        choose(box, EXPERTS, Pins(CPU, experts=3))


def test_processors_are_pinned(tmp_path: Path) -> None:
    box = on_linux(tmp_path, machines.DESKTOP, 58, 80)
    plan = choose(box, EIGHT, Pins(cpus="0-2,8", drafter_cpus="9-10"))
    assert (plan.cpus.cpus, plan.cpus.why) == ((0, 1, 2, 8), "pinned by you")
    assert plan.drafter_cpus
    assert (plan.drafter_cpus.cpus, plan.drafter_cpus.threads) == ((9, 10), 2)
    assert plan.drafter_cpus.pinned
    assert plan.chosen.reason.why is not Why.PINNED, "where the parts go is the plan's"


def test_a_drafter_beside_the_target(tmp_path: Path) -> None:
    plan = choose(on_linux(tmp_path, machines.LAPTOP, 24, 70), EIGHT)
    assert plan.drafter_cpus
    assert plan.drafter_cpus.threads == 1
    assert not set(plan.drafter_cpus.cpus) & set(plan.cpus.cpus)
    on_card = choose(on_linux(tmp_path / "2", machines.DESKTOP, 58, 80, RTX_4070), SEVENTY)
    assert on_card.drafter_cpus is None


def test_pins_that_do_not_fit(tmp_path: Path) -> None:
    box = on_linux(tmp_path, machines.DESKTOP, 58, 80, RTX_4070)
    with pytest.raises(NotEnoughMemory, match=r"CUDA0 has .* needed; leave out --device"):
        choose(box, SEVENTY, Pins(layers=-1))


def test_layers_need_a_device(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no device for 4 layers"):
        choose(on_linux(tmp_path, machines.VM, 14, 40), EIGHT, Pins(layers=4))


def test_what_failed_is_not_tried_again(tmp_path: Path) -> None:
    box = on_linux(tmp_path, machines.DESKTOP, 58, 80, RTX_4070)
    failed: list[Placement] = []
    for _ in range(20):
        plan = choose(box, EIGHT, failed=failed)
        assert plan.chosen.option.placement not in failed
        failed.append(plan.chosen.option.placement)
        if plan.chosen.option.placement.target == TargetPlace():
            break
    assert plan.chosen.option.placement.target == TargetPlace()


def test_a_smaller_cache_is_offered_and_never_taken(tmp_path: Path) -> None:
    plan = choose(on_linux(tmp_path, machines.VM, 14, 40), EIGHT)
    caches = {
        other.option.placement.kv_type: other.option.total(CPU)
        for other in plan.others
        if other.reason.why is Why.OTHER_TEXT
    }
    assert plan.chosen.option.placement.kv_type == "f16"
    assert caches["q4_0"] < caches["q8_0"] < plan.chosen.option.total(CPU)


def test_measured_steps_replace_the_bandwidth(tmp_path: Path) -> None:
    box = on_linux(tmp_path, machines.VM, 14, 40)
    costs = CostTable({0: {n: 0.1 + 0.001 * n for n in (1, 2, 4, 8, 16)}}, {0: 0.001})
    plan = choose(box, EIGHT, known=Known(cpu_sets.default(box.topology), costs, 0.95))
    forecast = plan.chosen.option.forecast
    assert forecast.calibrated
    assert forecast.step == pytest.approx(0.101)
    assert (plan.acceptance, plan.learnt) == (0.95, True)
    assert forecast.rate > 3 * forecast.plain_rate
    assert 0 < forecast.used < 2


def test_no_more_than_the_card_has_is_put_there(tmp_path: Path) -> None:
    for free in (1, 2, 4, 8):
        card = replace(RTX_4070, free=free * GIB)
        plan = choose(on_linux(tmp_path / str(free), machines.DESKTOP, 58, 80, card), EIGHT)
        fitting = [one for one in options(plan) if one.forecast and one.takes.get("CUDA0")]
        large = [o.option for o in plan.others if o.reason.why is Why.TOO_LARGE]
        assert all(one.total("CUDA0") < card.free for one in fitting if one not in large)
