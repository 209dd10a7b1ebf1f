"""Offload devices of llama.cpp's registry.

A build with GGML's RPC backend (CMAKE_ARGS=-DGGML_RPC=on) has one to try: a server on this machine,
which registers as a GPU does. Other builds skip those tests. It proves placement, not speed.
"""

import ctypes
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgespec import devices
from edgespec.catalog import Pair
from edgespec.devices import CPU, DeviceKind
from edgespec.errors import BackendUnavailable
from edgespec.events import Request
from edgespec.loading import LoadOptions, load
from edgespec.placement.enumerate import Pins
from edgespec.protocols import ContextOptions, ModelOptions
from edgespec.sampling.params import SamplingParams
from edgespec_backends.llamacpp import open_model
from edgespec_backends.llamacpp.ggml import function
from tests.backends.nano import DRAFTER, TARGET
from tests.ggufs import llama_gguf

pytestmark = pytest.mark.native
SERVE = """
import ctypes, sys
from edgespec_backends.llamacpp.ggml import function
pointer = ctypes.c_void_p
cpu = (pointer * 1)(function("ggml_backend_dev_by_type", pointer, ctypes.c_int)(0))
types = ctypes.c_char_p, pointer, ctypes.c_size_t, ctypes.c_size_t, pointer
start = function("ggml_backend_rpc_start_server", None, *types)
start(sys.argv[1].encode(), None, 1, 1, ctypes.byref(cpu))
"""
PATIENCE = 30.0


@pytest.fixture(scope="module")
def remote() -> Iterator[str]:
    """The name of a device behind a socket."""
    try:
        add = function("ggml_backend_rpc_add_server", ctypes.c_void_p, ctypes.c_char_p)
    except AttributeError:
        pytest.skip("this build of llama.cpp has no RPC backend")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{probe.getsockname()[1]}"
    path = {"PYTHONPATH": ":".join(sys.path)}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, endpoint],
        env={**os.environ, **path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(endpoint)
        before = {device.name for device in devices.offload_devices()}
        registry = add(endpoint.encode())
        function("ggml_backend_register", None, ctypes.c_void_p)(registry)
        (name,) = {device.name for device in devices.offload_devices()} - before
        yield name
    finally:
        server.kill()
        server.wait()


def _wait_for(endpoint: str) -> None:
    host, port = endpoint.split(":")
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.1)
        else:
            return


def answer(pins: Pins) -> str:
    """What the pair says with its parts at the places of `pins`."""
    options = LoadOptions(n_ctx=256, threads=1, draft_length=3, pins=pins)
    with load(Pair("nano", TARGET, DRAFTER), options) as engine:
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
        ModelOptions(1, -1, remote, experts_on_cpu=True),
    ):
        model = open_model(path, options)
        context = model.context(ContextOptions(n_ctx=256, max_outputs=1))
        context.decode([7, 8, 9], 0, outputs=1)
        rows.append(context.logits(0).copy())
        context.close()
        model.close()
    np.testing.assert_allclose(rows[1], rows[0], atol=0.01)
    np.testing.assert_allclose(rows[2], rows[0], atol=0.01)


def test_both_on_one_device(remote: str) -> None:
    here = answer(Pins(device=CPU, drafter=CPU))
    assert answer(Pins(device=remote, layers=-1, drafter=remote))[:16] == here[:16]
