"""From a pair to an engine: the plan is used, and a device that fails is done without."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import pytest

from edgespec import loading, machines, memory
from edgespec.catalog import Pair
from edgespec.devices import CPU, Device, DeviceKind
from edgespec.errors import InvalidInput, ModelFileError, NotEnoughMemory
from edgespec.events import Notice, Request, Token
from edgespec.loading import LoadOptions, load, load_parts
from edgespec.placement import ask, place
from edgespec.placement.enumerate import Pins
from edgespec.protocols import Model, ModelOptions, OpenModel, Progress, backend
from edgespec.sampling.params import SamplingParams
from tests.backends.nano import DRAFTER, TARGET

pytestmark = pytest.mark.native
GIB = 1 << 30
PAIR = Pair("nano", TARGET, DRAFTER)
ALLOWED = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else [0]
CARD = Device("CUDA0", "a card that is not there", DeviceKind.GPU, 8 * GIB, 8 * GIB, 1e12)


class NoCard:
    """Opens models on the processor, and fails on the card as one that is full does."""

    def __init__(self) -> None:
        self.tried: list[tuple[str, str]] = []

    def __call__(self, name: str) -> OpenModel:
        def open_model(
            path: Path, options: ModelOptions, progress: Progress | None = None
        ) -> Model:
            self.tried.append((path.name, options.device))
            if options.device:
                raise ModelFileError(f"{path} does not load: out of memory")
            return backend(name)(path, options, progress)

        return open_model


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> NoCard:
    """A machine that says it has a card."""
    backends = NoCard()
    monkeypatch.setattr(loading, "backend", backends)
    monkeypatch.setattr(place, "offload_devices", lambda: (CARD,))
    monkeypatch.setattr(machines, "offload_devices", lambda: (CARD,))
    return backends


def test_a_card_that_fails_is_done_without(card: NoCard) -> None:
    seen: list[str] = []

    def report(what: str, fraction: float) -> bool:
        seen.append(what)
        return True

    with load(PAIR, LoadOptions(n_ctx=256, speculate=True), report) as engine:
        assert engine.n_ctx == 256
    assert card.tried[0] == (TARGET.name, "CUDA0")
    assert card.tried[-2:] == [(TARGET.name, ""), (DRAFTER.name, "")]
    assert "CUDA0 failed, trying the next plan" in seen


def test_who_stops_the_loading_gets_no_other_plan(card: NoCard) -> None:
    def stop(what: str, fraction: float) -> bool:
        return False

    with pytest.raises(ModelFileError, match="loading was stopped"):
        load(PAIR, LoadOptions(n_ctx=256), stop)
    assert [device for _, device in card.tried].count("") == 1


def test_what_was_pinned_is_not_replaced(card: NoCard) -> None:
    with pytest.raises((ModelFileError, NotEnoughMemory), match=r"out of memory|does not fit"):
        load(PAIR, LoadOptions(n_ctx=256, pins=Pins("CUDA0", -1, "CUDA0")))


def test_a_pinned_processor_leaves_the_card_alone(card: NoCard) -> None:
    with load(PAIR, LoadOptions(n_ctx=256, pins=Pins(CPU, None, CPU))):
        assert {device for _, device in card.tried} == {""}


def test_devices_that_are_not_there() -> None:
    with pytest.raises(InvalidInput, match="no device 'CUDA0'"):
        load(PAIR, LoadOptions(pins=Pins("CUDA0")))


@pytest.mark.parametrize("kv_type", ["q8_0", "q4_0"])
def test_a_coarser_cache(kv_type: str) -> None:
    with load(PAIR, LoadOptions(n_ctx=256, kv_type=kv_type, threads=1)) as engine:
        assert engine.n_ctx == 256


def test_a_cache_of_no_type() -> None:
    with pytest.raises(InvalidInput, match="no cache of type 'q3'; take f16, q8_0, q4_0"):
        load(PAIR, LoadOptions(kv_type="q3"))


def test_too_little_memory_is_said_before_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(name: str) -> Callable[[], None]:
        raise AssertionError("it was loaded")

    monkeypatch.setattr(loading, "backend", never)
    monkeypatch.setattr(memory, "available", lambda: 20 << 20)
    with pytest.raises(NotEnoughMemory, match=r"0\.02 GiB is available; what fits: --context \d+"):
        load(PAIR, LoadOptions(n_ctx=2048))


def test_a_drafter_that_does_not_fit_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with load(PAIR, LoadOptions(n_ctx=256, threads=1)) as engine:
        assert engine._drafter is not None
    need = ask.question(PAIR, 256).target_footprint().estimate.total
    monkeypatch.setattr(memory, "available", lambda: need + 1024)
    with load(PAIR, LoadOptions(n_ctx=256, threads=1)) as engine:
        assert engine._drafter is None


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel where threads may run")
def test_processors_are_pinned() -> None:
    """Both parts compute where they were told to, and say the same as anywhere else."""
    first, last = min(ALLOWED), max(ALLOWED)
    pins = Pins(cpus=str(first), drafter_cpus=str(last))
    prompt = (5, 6, 7, 8)
    request = Request(prompt, SamplingParams(temperature=0), max_tokens=24)
    answers = []
    for options in (LoadOptions(n_ctx=256, threads=1), LoadOptions(n_ctx=256, pins=pins)):
        with load(PAIR, options) as engine:
            answers.append([event.id for event in engine.generate(request) if hasattr(event, "id")])
            where = {
                thread.name.partition("_")[0]: os.sched_getaffinity(thread.native_id)
                for thread in threading.enumerate()
                if thread.native_id and thread.name.startswith("edgespec-")
            }
    assert where["edgespec-target"] == {first}
    assert where["edgespec-drafter"] == {last}
    assert answers[0] == answers[1] != []


def test_processors_that_are_not_there() -> None:
    for pins, flag in (
        (Pins(cpus="4000"), "--cpus"),
        (Pins(drafter_cpus="4000"), "--drafter-cpus"),
    ):
        with pytest.raises(InvalidInput, match=f"processor 4000 of {flag} does not exist"):
            load(PAIR, LoadOptions(n_ctx=256, pins=pins))


def test_a_real_pair_looks_again_when_its_steps_drift() -> None:
    """On a small context of its own: what is cached stays, and the next answer is the same."""
    parts = load_parts(PAIR, LoadOptions(n_ctx=256))
    request = Request((5, 6, 7, 8), SamplingParams(temperature=0), 24, speculate=False)
    with parts.engine([]) as engine:
        if parts.rebalancer is None:
            pytest.skip("one processor, or none that can be chosen")
        parts.rebalancer.clock = lambda: perf_counter() + 100  # A while after it was loaded.
        first = [event for event in engine.generate(request) if isinstance(event, Token)]
        held = engine.shared(request.prompt)
        usual = parts.policy.costs.table.verify[0][1]
        for _ in range(64):
            parts.policy.costs.observe_verify(1, 0, 50 * usual)
        engine.catch_up()
        assert engine.shared(request.prompt) == held
        notice, *events = engine.generate(request)
        assert isinstance(notice, Notice)
        assert "times as long as measured, so another look: the target " in notice.text
        again = [event for event in events if isinstance(event, Token)]
        assert [token.id for token in again] == [token.id for token in first]


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel where threads may run")
def test_a_pinned_drafter_leaves_the_target_everything() -> None:
    """Both were measured on one thread."""
    pins = Pins(drafter_cpus=str(max(ALLOWED)))
    for threads in (1, 2):
        with load(PAIR, LoadOptions(n_ctx=256, threads=threads, pins=pins)) as engine:
            list(engine.generate(Request((5, 6, 7, 8), max_tokens=8)))
            targets = [one for one in threading.enumerate() if "edgespec-target" in one.name]
            where = [os.sched_getaffinity(one.native_id or 0) for one in targets]
            assert where == [set(ALLOWED)]
