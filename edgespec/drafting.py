"""The drafter's thread: looks past whatever nodes the scheduler names, ahead of the target."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, Thread
from time import perf_counter

from edgespec.costs import CostModel
from edgespec.errors import Aborted, BackendError
from edgespec.sampling.sampler import Sampler
from edgespec.scheduler import Scheduler
from edgespec.sources.drafter import ModelDrafter
from edgespec.tree import Candidate, Node

_SPANS = 64


@dataclass(slots=True)
class _Task:
    """One answer, as the drafter sees it."""

    scheduler: Scheduler
    prompt: Sequence[int]
    sampler: Sampler
    emitted: list[int] = field(default_factory=list)
    seen: int = 0
    begun: bool = False


class DraftThread:
    """Runs a drafter beside the target.

    Both threads meet in `monitor` alone: whoever holds it may read and change the scheduler. A
    drafter that fails is reported once by `take_failure` and not used again.
    """

    def __init__(
        self,
        drafter: ModelDrafter,
        costs: CostModel,
        monitor: Condition,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._drafter = drafter
        self._costs = costs
        self._monitor = monitor
        self._clock = clock
        self._task: _Task | None = None
        self._failure: Exception | None = None
        self._closed = False
        self._lost = False
        self._spans: deque[tuple[float, float]] = deque(maxlen=_SPANS)
        self.busy = False
        """True while a step of the drafter runs."""
        self.usable = True
        """False after a failure."""
        self._thread = Thread(target=self._run, name="edgespec-drafter", daemon=True)
        self._thread.start()

    def begin(self, scheduler: Scheduler, prompt: Sequence[int], sampler: Sampler) -> None:
        """Draft for a new answer; the prompt is decoded at once, while the target does the same."""
        with self._monitor:
            self._drafter.context.resume()
            self._task = _Task(scheduler, prompt, sampler.fork())
            self._monitor.notify_all()

    def advance(self, tokens: Sequence[int]) -> None:
        """The target emitted `tokens`. Called with the monitor held."""
        if self._task:
            self._task.emitted.extend(tokens)

    def end(self) -> None:
        """The answer is over, or shall be; a step in progress is stopped where possible."""
        with self._monitor:
            if self._task:
                self._task.scheduler.drafting = False
            self._task = None
            self._drafter.context.abort()
            self._monitor.notify_all()

    @contextmanager
    def resting(self) -> Iterator[ModelDrafter]:
        """The drafter, which begins nothing while it is looked at."""
        with self._monitor:
            self._monitor.wait_for(lambda: not self.busy)
            yield self._drafter

    def take_spans(self) -> tuple[tuple[float, float], ...]:
        """When the steps began and ended that were not taken yet; at most the last few."""
        with self._monitor:
            spans = tuple(self._spans)
            self._spans.clear()
        return spans

    def take_failure(self) -> Exception | None:
        """What made the drafter unusable, once."""
        failure, self._failure = self._failure, None
        return failure

    def close(self) -> None:
        """Stop the thread. Idempotent."""
        self.end()
        with self._monitor:
            self._closed = True
            self._monitor.notify_all()
        if not self._lost:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._drafter.on_loss(self._lose)
            self._work()
        except Exception as error:
            # A defect here must not leave the target waiting for a thread that is gone.
            with self._monitor:
                self.busy = False
                if self._task:
                    self._fail(self._task, error)
                self._monitor.notify_all()

    def _work(self) -> None:
        while (work := self._next()) is not None:
            task, fresh, nodes, tails = work
            begin = self._clock()
            results: Sequence[Sequence[Candidate] | None] = ()
            try:
                results = self._step(task, fresh, tails)
            except Aborted:
                self._give_up(task)
            except Exception as error:
                self._fail(task, error)
            self._report(task, nodes, results, begin, self._clock())

    def _next(self) -> tuple[_Task, Sequence[int], list[Node], list[list[int]]] | None:
        """Wait for something to do: a prompt to decode (no nodes) or nodes to look past."""
        with self._monitor:
            while not self._closed:
                task = self._task
                if task and self.usable:
                    nodes = task.scheduler.next_expansion() if task.begun else []
                    if nodes or not task.begun:
                        fresh = task.emitted[task.seen :]
                        task.seen = len(task.emitted)
                        self.busy = True
                        return task, fresh, nodes, [_tail(node) for node in nodes]
                self._monitor.wait()
            return None

    def _step(
        self, task: _Task, fresh: Sequence[int], tails: list[list[int]]
    ) -> Sequence[Sequence[Candidate] | None]:
        if not task.begun:
            self._drafter.start(task.prompt, task.sampler)
            self._drafter.prefill()
            self._drafter.advance(fresh)
            return ()
        self._drafter.advance(fresh)
        return self._drafter.expand(tails, task.scheduler.alternatives)

    def _report(
        self,
        task: _Task,
        nodes: Sequence[Node],
        results: Sequence[Sequence[Candidate] | None],
        begin: float,
        end: float,
    ) -> None:
        with self._monitor:
            self._spans.append((begin, end))
            self.busy = False
            task.begun = task.scheduler.prepared = True
            for node in nodes:
                node.expanding = False
            if task is self._task:
                for node, candidates in zip(nodes, results, strict=False):
                    if candidates is not None:
                        task.scheduler.expanded(node, candidates)
                if results:
                    self._costs.observe_draft(
                        len(task.prompt) + task.seen, end - begin, rows=len(nodes)
                    )
            self._monitor.notify_all()

    def _give_up(self, task: _Task) -> None:
        with self._monitor:
            task.scheduler.drafting = False
            if self._task is task:
                self._task = None

    def _lose(self, reason: str) -> None:
        """The step in progress, and this thread with it, will never end."""
        with self._monitor:
            self._lost, self.busy = True, False
            self.usable, self._failure = False, BackendError(reason)
            if self._task:
                self._give_up(self._task)
            self._monitor.notify_all()

    def _fail(self, task: _Task, error: Exception) -> None:
        self.usable = False
        self._failure = error
        self._give_up(task)


def _tail(node: Node) -> list[int]:
    return [step.token for step in node.path()]
