"""Which execution provider runs a graph: the fastest of those that give the CPU's results."""

from collections.abc import Callable
from pathlib import Path

from edgespec.errors import ModelFileError
from edgespec_backends.onnx import probe
from edgespec_backends.onnx.lib import CPU, accelerators
from edgespec_backends.onnx.runner import Runner


def choose(path: Path, threads: int, on_note: Callable[[str], None]) -> Runner:
    """The graph on the provider whose steps are fastest, measured now.

    What is not the CPU must compute what the CPU does; where operators are left to the CPU, and
    why a provider is not used, is said through `on_note`. Raises ModelFileError if not even the
    CPU runs the graph.
    """
    cpu = Runner(path, CPU, threads)
    names = accelerators()
    if not names:
        return cpu
    runners = [(cpu.step(), cpu, "")]
    for name in names:
        try:
            runner, share = _accelerated(path, name, threads)
            if not probe.agree(runner.rows, cpu.rows):
                raise ModelFileError("its results are not the CPU's")
            runners.append((runner.step(), runner, share))
        except ModelFileError as error:
            on_note(f"{_short(name)} is not used for {path.name}: {error.what}")
    seconds, best, share = min(runners, key=lambda entry: entry[0])
    others = [f"{_short(runner.provider)} {time * 1e3:.2f}" for time, runner, _ in runners]
    on_note(
        f"{path.name} runs on {_short(best.provider)}{share}, {seconds * 1e3:.2f} ms a step "
        f"(measured, ms: {', '.join(others)})"
    )
    return best


def _accelerated(path: Path, name: str, threads: int) -> tuple[Runner, str]:
    """The graph on provider `name`, and what to say if parts of it run on the CPU."""
    try:
        return Runner(path, name, threads, whole=True), ""
    except ModelFileError:
        return Runner(path, name, threads), ", which leaves parts of it to the CPU"


def _short(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider")
