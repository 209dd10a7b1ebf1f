"""Devices of other machines, through GGML's RPC backend: serving them, and connecting to some."""

import ctypes
import socket
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from edgespec.devices import Device, DeviceKind
from edgespec.errors import BackendUnavailable, InvalidInput
from edgespec_backends.llamacpp import child
from edgespec_backends.llamacpp.devices import TOGETHER, offload_devices, pointers, remote
from edgespec_backends.llamacpp.ggml import function

_POINTER = ctypes.c_void_p
_CPU = 0
_PATIENCE = 15.0
"""Seconds for a worker to say what it has; it keeps those waiting who are not the first."""

endpoints: list[str] = []
"""The workers that this process is connected to, through children."""


def connect(wanted: Sequence[str]) -> None:
    """Let the devices of the workers at `wanted`, each "host:port", be used from now on.

    They are used one by one or, where there are several, as one that is called by all their names.
    Raises InvalidInput for what is no address, BackendUnavailable if there is no worker.
    """
    _require()
    for endpoint in wanted:
        address(endpoint)
        _reach(endpoint)
    found = _ask(wanted)
    if len(found) > 1:
        found.append(_together(found))
    endpoints[:] = wanted
    remote[:] = found


def register(wanted: Sequence[str]) -> None:
    """Put the devices of the workers into this process's registry.

    It ends the process if one of them goes away, as does everything that is done with them.
    """
    add = function("ggml_backend_rpc_add_server", _POINTER, ctypes.c_char_p)
    for endpoint in wanted:
        function("ggml_backend_register", None, _POINTER)(add(endpoint.encode()))


def serve(endpoint: str, threads: int, ready: Callable[[], None]) -> None:
    """Offer this machine's GPUs, or its processor if it has none, to one client after the other.

    Returns only if that fails. Raises InvalidInput if nobody can listen at `endpoint`.
    """
    _require()
    host, port = address(endpoint)
    try:
        # The engine would tell the reason nobody.
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise InvalidInput(f"nobody can listen at {endpoint}: {error.strerror}") from error
    by_type = function("ggml_backend_dev_by_type", _POINTER, ctypes.c_int)
    offered = [*pointers()] or [by_type(_CPU)]
    start = function(
        "ggml_backend_rpc_start_server",
        None,
        *(ctypes.c_char_p, _POINTER, ctypes.c_size_t, ctypes.c_size_t, _POINTER),
    )
    ready()
    array = (_POINTER * len(offered))(*offered)
    start(endpoint.encode(), None, threads, len(offered), ctypes.byref(array))


def address(endpoint: str) -> tuple[str, int]:
    """Host and port of "host:port". Raises InvalidInput."""
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise InvalidInput(f"{endpoint!r} is no address", "write host:port, as in 127.0.0.1:50052")
    return host, int(port)


def _require() -> None:
    try:
        function("ggml_backend_rpc_add_server", _POINTER, ctypes.c_char_p)
    except AttributeError:
        raise BackendUnavailable(
            "this build of llama.cpp cannot use other machines",
            "CMAKE_ARGS=-DGGML_RPC=on pip install --force-reinstall --no-cache-dir "
            "--no-binary llama-cpp-python llama-cpp-python builds one that can",
        ) from None


def _reach(endpoint: str) -> None:
    try:
        socket.create_connection(address(endpoint), _PATIENCE).close()
    except OSError as error:
        raise BackendUnavailable(
            f"there is no worker at {endpoint}: {error.strerror or error}",
            f"start one there with edgespec worker --listen {endpoint}",
        ) from error


def _ask(wanted: Sequence[str]) -> list[Device]:
    """What the workers have; asked by a child, because the engine aborts if they do not answer."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(theirs, list(wanted)), daemon=True)
    with child.uninterrupted():
        process.start()
    theirs.close()
    try:
        if ours.poll(_PATIENCE):
            found: list[Device] = ours.recv()
            return found
        why = "it serves one program at a time, and may be busy"
    except EOFError:
        why = "it may be of another version of llama.cpp"
    finally:
        process.kill()
        process.join()
    raise BackendUnavailable(f"a worker at {', '.join(wanted)} does not answer", why)


def _tell(pipe: "Connection[Any, Any]", wanted: list[str]) -> None:
    child.quiet()
    register(wanted)
    pipe.send([one for one in offload_devices() if one.kind is DeviceKind.REMOTE])


def _together(found: Sequence[Device]) -> Device:
    return Device(
        TOGETHER.join(device.name for device in found),
        ", ".join(device.description for device in found),
        DeviceKind.REMOTE,
        sum(device.free for device in found),
        sum(device.total for device in found),
    )
