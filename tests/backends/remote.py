"""A device in another process on this machine, by GGML's RPC backend, where the build has it."""

import ctypes
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edgespec import devices
from edgespec_backends.llamacpp.ggml import function

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


@dataclass(frozen=True)
class Remote:
    """The device, as the registry names it, and the process behind it."""

    name: str
    server: subprocess.Popen[bytes]


def available() -> bool:
    """True if this build of llama.cpp has the RPC backend."""
    try:
        function("ggml_backend_rpc_add_server", ctypes.c_void_p, ctypes.c_char_p)
    except AttributeError:
        return False
    return True


@contextmanager
def serving() -> Iterator[Remote]:
    """A server that this process knows as a device, until it is left."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{probe.getsockname()[1]}"
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, endpoint],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(endpoint)
        before = {device.name for device in devices.offload_devices()}
        add = function("ggml_backend_rpc_add_server", ctypes.c_void_p, ctypes.c_char_p)
        function("ggml_backend_register", None, ctypes.c_void_p)(add(endpoint.encode()))
        (name,) = {device.name for device in devices.offload_devices()} - before
        yield Remote(name, server)
    finally:
        _forget()
        server.kill()
        server.wait()


def _forget() -> None:
    """Take all remote devices out of the registry: who asks one that is gone ends this process."""
    backend = function("ggml_backend_rpc_reg", ctypes.c_void_p)()
    for name in ("ggml_backend_unload", "ggml_backend_register"):
        function(name, None, ctypes.c_void_p)(backend)


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
