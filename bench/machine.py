"""What a measurement was made on: without it, a number means nothing."""

import os
import platform
from importlib.metadata import version

from edgespec import cpus

Facts = dict[str, str | int | float]


def describe() -> Facts:
    """The machine, the engine and how busy it was when asked."""
    return {
        "cpu": cpus.model(),
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "llama_cpp_python": version("llama-cpp-python"),
        "load_average": load_average(),
    }


def load_average() -> float:
    """Of the last minute, -1 where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else -1.0


def cores() -> int:
    """How many threads edgespec would use here."""
    return cpus.default_threads()


def headline(facts: Facts) -> str:
    """One line for above a table."""
    return (
        f"{facts['cpu']}, {facts['cores']} cores, llama-cpp-python {facts['llama_cpp_python']}, "
        f"load average {facts['load_average']} at the start, {load_average()} at the end"
    )
