"""Offload devices of llama.cpp's registry.

A build with GGML's RPC backend (CMAKE_ARGS=-DGGML_RPC=on) has one to try: a server on this machine,
which registers as a GPU does. Other builds skip those tests. It proves placement, not speed.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from edgespec import catalog, devices
from edgespec.devices import CPU, DeviceKind
from edgespec.errors import BackendUnavailable
from edgespec.events import Request
from edgespec.loading import LoadOptions, load
from edgespec.placement.enumerate import Pins
from edgespec.protocols import ContextOptions, ModelOptions
from edgespec.sampling.params import SamplingParams
from edgespec_backends.llamacpp import open_model
from edgespec_backends.llamacpp.devices import overrides
from tests.backends.nano import DRAFTER, TARGET, Comparison, Pair, Prompts, random_sampling
from tests.backends.remote import available, serving
from tests.ggufs import llama_gguf

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def remote() -> Iterator[str]:
    """The name of a device behind a socket."""
    if not available():
        pytest.skip("this build of llama.cpp has no RPC backend")
    with serving() as device:
        yield device.name


def answer(pins: Pins) -> str:
    """What the pair says with its parts at the places of `pins`."""
    options = LoadOptions(n_ctx=256, threads=1, draft_length=3, pins=pins)
    with load(catalog.Pair("nano", TARGET, DRAFTER), options) as engine:
        prompt = engine.target.tokenizer.encode(
            "def main():\n", add_special=True, parse_special=False
        )
        request = Request(
            prompt=tuple(prompt), sampling=SamplingParams(temperature=0), max_tokens=24
        )
        return "".join(event.piece for event in engine.generate(request) if hasattr(event, "piece"))


def test_what_the_registry_tells() -> None:
    for device in devices.offload_devices():
        assert device.name
        assert 0 <= device.free <= device.total


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(BackendUnavailable, match="has no device 'CUDA9'"):
        open_model(Path(TARGET), ModelOptions(1, -1, "CUDA9"))


def test_without_the_engine_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edgespec_backends.llamacpp.devices", None)
    assert devices.offload_devices() == ()


def test_a_remote_device_is_told_from_others(remote: str) -> None:
    (device,) = [one for one in devices.offload_devices() if one.name == remote]
    assert device.kind is DeviceKind.REMOTE
    assert device.total > 0


def test_a_drafter_on_a_device_changes_nothing(remote: str) -> None:
    here = answer(Pins(device=CPU, drafter=CPU))
    assert answer(Pins(device=CPU, drafter=remote)) == here != ""


@pytest.mark.parametrize("layers", [1, 4, -1])
def test_layers_on_a_device(remote: str, layers: int) -> None:
    here = answer(Pins(device=CPU, drafter=CPU))
    assert answer(Pins(device=remote, layers=layers, drafter=CPU))[:16] == here[:16]


def test_experts_stay_on_the_processor(remote: str, tmp_path: Path) -> None:
    path = llama_gguf(tmp_path / "experts.gguf", experts=4)
    rows = []
    for options in (
        ModelOptions(1),
        ModelOptions(1, -1, remote),
        ModelOptions(1, -1, remote, experts_on_cpu=1),
        ModelOptions(1, -1, remote, experts_on_cpu=2),
    ):
        model = open_model(path, options)
        context = model.context(ContextOptions(n_ctx=256, max_outputs=1))
        context.decode([7, 8, 9], 0, outputs=1)
        rows.append(context.logits(0).copy())
        context.close()
        model.close()
    for row in rows[1:]:
        np.testing.assert_allclose(row, rows[0], atol=0.01)


def test_the_experts_of_the_first_layers_are_meant() -> None:
    patterns = [override.pattern for override in overrides(2)]
    assert patterns.pop() is None, "the list ends"
    names = [
        f"blk.{layer}.ffn_{part}_exps.weight"
        for layer in (0, 1, 2, 10)
        for part in ("gate", "down")
    ]
    kept = [name for name in names if any(re.search(one.decode(), name) for one in patterns)]
    assert kept == names[:4]
    assert not any(re.search(one.decode(), "blk.0.ffn_gate.weight") for one in patterns)


def test_both_on_one_device(remote: str) -> None:
    here = answer(Pins(device=CPU, drafter=CPU))
    assert answer(Pins(device=remote, layers=-1, drafter=remote))[:16] == here[:16]


DIES = """
import sys
from random import Random
from edgespec.catalog import Pair
from edgespec.devices import CPU
from edgespec.events import Finish, Notice, Request, Token
from edgespec.loading import LoadOptions, load
from edgespec.placement.enumerate import Pins
from edgespec.sampling.params import SamplingParams
from tests.backends.nano import DRAFTER, TARGET
from tests.backends.remote import serving

sampling = SamplingParams(0.8, seed=3, logit_bias={1: 0.0})
with serving() as device:
    pins = Pins(device=CPU, drafter=device.name)
    options = LoadOptions(n_ctx=256, threads=1, draft_length=3, pins=pins)
    with load(Pair("nano", TARGET, DRAFTER), options) as engine:
        text = "class Point:\\n    def __init__(self, x, y):\\n"
        prompt = engine.target.tokenizer.encode(text, add_special=True, parse_special=False)
        request = Request(tuple(prompt), sampling, max_tokens=100)
        events = engine.generate(request)
        tokens = [next(events) for _ in range(4)]
        device.server.kill()
        device.server.wait()
        events = list(events)
        again = list(engine.generate(request))
notices = [event for event in events if isinstance(event, Notice)]
tokens += [event for event in events if isinstance(event, Token)]
assert len(notices) == 1 and "crashed" in notices[0].text, notices
assert isinstance(events[-1], Finish)
assert events[-1].stats.tokens == len(tokens)
assert [event.id for event in again if isinstance(event, Token)] == [one.id for one in tokens]
assert not any(isinstance(event, Notice) for event in again)
"""


def test_a_drafter_whose_device_is_gone_is_left_behind_and_the_answer_goes_on(remote: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIES],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")


@pytest.mark.slow
def test_random_answers_are_the_same_with_the_drafter_on_a_device(remote: str) -> None:
    random, seen = Random(8), Comparison()
    target = open_model(TARGET, ModelOptions(1))
    drafter = open_model(DRAFTER, ModelOptions(1, -1, remote))
    plain, pair = Pair(target, None), Pair(target, drafter, overlap=True, trees=True)
    prompts = Prompts(target)
    for number in range(20):
        request = Request(prompts.short(random), random_sampling(random), 32)
        expected = plain.answer(request, 0)
        seen.add(f"case {number}", expected, pair.answer(request, random.randint(1, 8)))
    for closable in (plain.engine, pair.engine, drafter, target):
        closable.close()
    assert seen.unexcused == []
