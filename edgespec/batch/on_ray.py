"""Workers on the nodes of a Ray cluster, one per node, or per GPU where there are any."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from edgespec.batch.pool import WorkerLost
from edgespec.batch.replica import Facts, Replica, Report, Setup
from edgespec.batch.tasks import Task
from edgespec.errors import BackendUnavailable, EdgespecError

_MOMENT = 0.2
_PATIENCE = 10.0


class RayWorker:
    """A worker in an actor; see Worker. Ray ends it together with this process."""

    def __init__(self, actor: Any, name: str, check: Callable[[], None]) -> None:
        self.name = name
        self._actor = actor
        self._check = check
        self._loading = actor.facts.remote()

    def facts(self) -> Facts:
        """What it is, as soon as it has loaded; calls `check` meanwhile."""
        import ray

        while not ray.wait([self._loading], timeout=_MOMENT)[0]:
            self._check()
        facts = self._received(self._loading)
        assert isinstance(facts, Facts)
        return facts

    def work(self, tasks: Sequence[Task]) -> Report:
        """Hand over tasks; what was finished next."""
        report = self._received(self._actor.work.remote(tasks))
        assert isinstance(report, Report)
        return report

    def close(self, *, at_once: bool) -> None:
        """End the actor."""
        import ray

        if not at_once:
            ray.wait([self._actor.close.remote()], timeout=10)
        ray.kill(self._actor)

    def _received(self, reference: Any) -> object:
        import ray

        try:
            return ray.get(reference)
        except EdgespecError:
            raise
        except ray.exceptions.RayError as error:
            raise WorkerLost(f"{self.name} is lost ({_reason(error)})") from None


@contextmanager
def cluster(address: str, setup: Setup, check: Callable[[], None]) -> Iterator[list[RayWorker]]:
    """A worker on every node of the cluster at `address`, or per GPU of those that have any.

    Raises BackendUnavailable if Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise BackendUnavailable(
            "Ray is not installed", 'pip install "edgespec[cluster]"'
        ) from error
    _reach(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BackendUnavailable(f"no Ray cluster at {address!r}: {reason}") from error
    # What Ray has to say of lost nodes goes to stdout, which is for answers; the pool tells it.
    vars(import_module("ray._private.worker"))["print_to_stdstream"] = lambda *_, **__: None
    try:
        yield [RayWorker(actor, name, check) for actor, name in _actors(setup)]
    finally:
        ray.shutdown()


def _actors(setup: Setup) -> Iterator[tuple[Any, str]]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    replica = ray.remote(Replica)
    for node in ray.nodes():
        has = node["Resources"]
        gpus = int(has.get("GPU", 0))
        if not node["Alive"] or not has.get("CPU"):
            continue
        place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        share = replica.options(
            num_cpus=has["CPU"] / max(gpus, 1),
            num_gpus=min(gpus, 1),
            scheduling_strategy=place,
        )
        for number in range(max(gpus, 1)):
            where = f"the worker on {node['NodeManagerAddress']}"
            yield share.remote(setup), f"{where}, GPU {number}" if gpus else where


def _reach(address: str) -> None:
    """Raise BackendUnavailable at once where Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()) or "/" in host:
        return  # "auto", or a proxy's address.
    try:
        socket.create_connection((host, int(port)), _PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise BackendUnavailable(
            f"no Ray cluster at {address!r}: {getattr(error, 'strerror', None) or error}",
            "ray start --head begins one",
        ) from error


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
