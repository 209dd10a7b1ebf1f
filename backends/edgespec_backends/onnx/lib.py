"""The loaded ONNX Runtime: its only importer, and what its sessions and errors look like here."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnxruntime as ort

from edgespec.errors import ModelFileError

CPU = "CPUExecutionProvider"
RUNTIME: str = ort.__version__

_SILENT = 4
_PREFIX = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
_LEFT_OUT = (
    CPU,
    "AzureExecutionProvider",  # Asks a server.
    "XnnpackExecutionProvider",  # The CPU once more.
    "TensorrtExecutionProvider",  # Builds an engine for minutes, for every length of the cache.
    "NvTensorRTRTXExecutionProvider",
)
_PLUGINS = ("onnxruntime_ep_webgpu",)
_NO_FALLBACK = "session.disable_cpu_ep_fallback"
_SPINNING = "session.intra_op.allow_spinning"
_DEVICES = {"CUDAExecutionProvider": "cuda", "DmlExecutionProvider": "dml"}

# Errors are raised as well; its log would spoil a pipe and tear a full-screen terminal.
ort.set_default_logger_severity(_SILENT)
ort.disable_telemetry_events()


def system_info() -> str:
    """The version of ONNX Runtime and the providers that this installation has."""
    return f"ONNX Runtime {RUNTIME}: {', '.join([CPU, *accelerators()])}"


def accelerators() -> list[str]:
    """The providers other than the CPU's that this build has, or that a plugin adds to it."""
    built_in = [name for name in ort.get_available_providers() if name not in _LEFT_OUT]
    return [*built_in, *_plugins()]


@cache
def _plugins() -> Mapping[str, Sequence[Any]]:
    """The devices of each provider that comes as a package of its own."""
    found: dict[str, Sequence[Any]] = {}
    for package in _PLUGINS:
        if find_spec(package) is None:
            continue
        with suppress(Exception):  # One that does not load here is one that is not there.
            plugin = import_module(package)
            ort.register_execution_provider_library(package, plugin.get_library_path())
            for name in plugin.get_ep_names():
                devices = [device for device in ort.get_ep_devices() if device.ep_name == name]
                found |= {name: devices[:1]} if devices else {}
    return found


def open_session(path: Path, provider: str, threads: int, *, whole: bool = False) -> Any:
    """An InferenceSession that prefers `provider` and leaves what that cannot run to the CPU.

    With `whole` nothing may be left to the CPU. Workers never spin: they would take the cores from
    the target. Raises ModelFileError with the engine's reason.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    options.add_session_config_entry(_SPINNING, "0")
    if whole:
        options.add_session_config_entry(_NO_FALLBACK, "1")
    providers: list[str] | None = [provider] if provider == CPU or whole else [provider, CPU]
    if devices := _plugins().get(provider):
        options.add_provider_for_devices(devices, {})
        providers = None
    try:
        # Its own fallback would tell stdout, and begin again on the CPU unasked.
        session = ort.InferenceSession(path, options, providers=providers, enable_fallback=0)
    except Exception as error:  # Its exceptions have no base of their own.
        raise ModelFileError(f"{path} does not load: {reason(error)}") from error
    return session


def run_options() -> Any:
    """Options of a run; setting `terminate` from any thread ends it."""
    options = ort.RunOptions()
    options.log_severity_level = _SILENT
    # No graph capture; and the bindings look for this entry at every run, by an exception if unset.
    options.add_run_config_entry("gpu_graph_id", "-1")
    return options


def device_of(provider: str) -> str:
    """Where the caches of `provider` live, by ORT's name for it; mostly in the CPU's memory."""
    return _DEVICES.get(provider, "cpu")


def to_device(values: Any, device: str) -> Any:
    """An OrtValue of `values` on `device`; on the CPU it shares their memory."""
    return ort.OrtValue.ortvalue_from_numpy(values, device, 0)


def reason(error: Exception) -> str:
    """What the engine says, without its prefixes and source lines."""
    return _PREFIX.split(str(error).partition("\n")[0])[-1] or type(error).__name__


def sizes(shape: Sequence[int | str | None]) -> list[int]:
    """A declared shape, unknown sizes as 0."""
    return [size if isinstance(size, int) else 0 for size in shape]
