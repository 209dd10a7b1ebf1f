"""Who answers: the engine what is alone, a batcher what is not."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Condition, Thread

from edgespec import priority
from edgespec.batch.batcher import Batcher
from edgespec.batch.layout import Layout
from edgespec.batch.tasks import Answered, Outcome, Task
from edgespec.batch.workers import batcher_of, shared_context
from edgespec.engine import Engine
from edgespec.errors import Aborted, DeviceLost, InvalidInput, NothingAllowed
from edgespec.events import Finish, Notice, Round, Token
from edgespec.parts import Parts
from edgespec.protocols import OrderedContext
from edgespec.recall import Recall
from edgespec.server.job import Broken, Job, News
from edgespec.server.line import Line
from edgespec.server.metrics import Metrics
from edgespec.server.turns import Turns

_USUAL = 256.0
"""Tokens of an answer of which nothing is known."""
_STOPPED = Broken("the server is shutting down", 503)


class Dispatcher:
    """Takes jobs and sees that `width` at a time are answered, on a thread of its own.

    A single answer runs on the engine, whose drafter works beside the target. When a second one
    comes, the engine's context is lent to a batcher, which goes on where the engine was; when one
    is left, the engine goes on where the batcher was. What is emitted depends on neither. What
    neither has room for is kept in `recall`, so that conversations can take turns. Others
    that wait for `turns` get one between two steps. If a device is lost, `on_loss` is told why, and
    all is over here; `on_note` is told what else should be known.
    """

    def __init__(
        self,
        parts: Parts,
        engine: Engine,
        width: int,
        line: Line,
        metrics: Metrics,
        turns: Turns,
        on_loss: Callable[[str], None],
        on_note: Callable[[str], None],
        recall: Recall,
        *,
        speculate: bool,
    ) -> None:
        self._parts = parts
        self._engine = engine
        self._context = shared_context(parts) if width > 1 else None
        self._width = width
        self._line = line
        self._metrics = metrics
        self._turns = turns
        self._on_loss = on_loss
        self._on_note = on_note
        self._recall = recall
        self._speculate = speculate
        self._monitor = Condition()
        self._alone: Job | None = None
        """The job whose answer the engine is at; whoever holds the monitor may abort it."""
        self._prompt = 0
        """Length of the prompt that the engine answered last."""
        self._active: list[Job] = []
        self._end: Broken | None = None
        """Once all is over: what everybody is told."""
        self._lost = False
        self._thread = Thread(target=self._run, name="edgespec-dispatcher", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether it is over because a device is gone."""
        return self._lost

    def submit(self, job: Job) -> None:
        """Take a job on. Raises LineFull; once all is over, it is told so."""
        with self._monitor:
            if self._end:
                job.tell(self._end)
                return
            self._line.add(job)
            if self._alone and self._joinable():
                self._engine.abort()  # It goes on in company.
            self._monitor.notify_all()
        self._count()

    def cancel(self, job: Job) -> None:
        """Nobody waits for the job any more; it ends within one step and tells nothing."""
        with self._monitor:
            job.cancelled = True
            if job in self._active:
                if self._alone is job:
                    self._engine.abort()
            elif job in self._line:
                self._line.leave(job)
        self._count()

    def close(self) -> None:
        """Break off what is under way. Idempotent."""
        with self._monitor:
            self._end = self._end or _STOPPED
            self._parts.context.abort()
            self._engine.abort()
            self._monitor.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while (end := self._wait()) is None:
            try:
                self._work()
            except DeviceLost as error:
                self._lose(str(error))
            except Exception as error:
                # Whatever it was, it must not leave anybody waiting.
                self._break_off(Broken(f"the engine failed: {error}"))
        self._break_off(end)

    def _wait(self) -> Broken | None:
        """Wait for something to do. Once all is over: what everybody is told."""
        with self._monitor:
            self._monitor.wait_for(lambda: self._end or len(self._line))
            return self._end

    def _lose(self, why: str) -> None:
        """End here, as a device did."""
        with self._monitor:
            self._lost = True
            self._end = self._end or Broken(why, 503)
        self._on_loss(why)

    def _work(self) -> None:
        """Answer until there is nothing left to do; batches of other processes rest meanwhile."""
        with priority.claimed(), self._turns:
            self._admit()
            while self._active and not self._end:
                if self._context and len(self._active) > 1:
                    self._together(self._context)
                else:
                    self._by_itself(self._active[0])
                self._admit()

    def _admit(self) -> None:
        """Let in whoever has room."""
        with self._monitor:
            while self._joinable():
                job = self._line.take(background=self._background)
                assert job is not None
                self._active.append(job)
        self._count()

    def _joinable(self) -> bool:
        """Whether there is room for somebody who waits."""
        room = self._width if self._context else 1
        return len(self._active) < room and self._line.ready(background=self._background)

    @property
    def _background(self) -> bool:
        """Whether a background job may come in: some room is kept for those who cannot wait."""
        backgrounds = sum(job.background for job in self._active)
        return backgrounds < max(self._width * 3 // 4, 1)

    def _by_itself(self, job: Job) -> None:
        """Let the engine answer, to the end or until somebody joins or the job is cancelled."""
        wide = Layout(self._prompt, self._parts.context.n_batch).wide
        self._engine.recollect(job.rest.tokens, self._recall, wide)
        with self._claimed(job) as go_on:
            if go_on:
                self._generate(job)
        if job.cancelled:
            self._leave(job)

    def _generate(self, job: Job) -> None:
        try:
            with closing(self._engine.generate(job.rest, self._count_round)) as events:
                for event in events:
                    if isinstance(event, Notice):
                        self._on_note(event.text)
                    else:
                        self._tell(job, event)
                    # One that came before the engine had begun had no effect. What is decided
                    # is told all the same: it may be the end.
                    if not self._goes_on(job):
                        self._engine.abort()
        except (NothingAllowed, InvalidInput) as error:
            self._tell(job, Broken(str(error), 400))

    @contextmanager
    def _claimed(self, job: Job) -> Iterator[bool]:
        """Inside, the job can be aborted; False if it need not even begin."""
        with self._monitor:
            self._alone = job
            self._prompt = len(job.request.prompt)
        try:
            yield self._goes_on(job)
        finally:
            with self._monitor:
                self._alone = None

    def _goes_on(self, job: Job) -> bool:
        """Whether the job should be answered, and by itself."""
        with self._monitor:
            return not (job.cancelled or self._end or self._joinable())

    def _together(self, context: OrderedContext) -> None:
        """Let a batcher answer, until one job is left at most."""
        with self._engine.lent() as held:
            batcher = batcher_of(
                self._parts,
                context,
                self._width,
                self._turns.now,
                speculate=self._speculate,
                held=tuple(held),
                prompt=self._prompt,
                recall=self._recall,
            )
            held.clear()
            tasks: dict[Job, Task] = {}
            held += self._parts.thread.submit(self._batch, batcher, tasks).result()

    def _batch(self, batcher: Batcher, tasks: dict[Job, Task]) -> list[int]:
        """Work on the target's thread; returns what sequence 0 holds in the end, and nothing else.

        Of the only job that is left, as much as there is.
        """
        drafted = 0
        while not self._end:
            self._drop(batcher, tasks)
            self._admit()
            for job in self._active:
                if job not in tasks:
                    tasks[job] = self._task(job, len(tasks))
                    batcher.add(tasks[job])
            if len(self._active) < 2:
                break
            self._turns.give_way()
            try:
                outcomes = batcher.step()
            except Aborted:
                return []
            load = batcher.load
            self._metrics.stepped(load.drafted - drafted, len(self._active))
            drafted = load.drafted
            for outcome in outcomes:
                self._finish(tasks, outcome)
        return self._left_over(batcher, tasks)

    def _left_over(self, batcher: Batcher, tasks: dict[Job, Task]) -> list[int]:
        last: tuple[int, ...] = ()
        for job in self._active:
            last = job.rest.tokens
            batcher.cancel(tasks[job])
        return batcher.keep(last)

    def _drop(self, batcher: Batcher, tasks: dict[Job, Task]) -> None:
        """Forget those that were cancelled."""
        for job in [job for job in self._active if job.cancelled]:
            if job in tasks:
                batcher.cancel(tasks.pop(job))
            self._leave(job)

    def _task(self, job: Job, number: int) -> Task:
        expected = float(job.request.max_tokens or _USUAL)
        return Task(number, 0, job.rest, expected, listen=lambda token: self._tell(job, token))

    def _finish(self, tasks: dict[Job, Task], outcome: Outcome) -> None:
        job = next(job for job, task in tasks.items() if task is outcome.task)
        del tasks[job]
        if isinstance(outcome, Answered):
            self._tell(job, Finish(outcome.reason, outcome.rest, outcome.stats))
        else:
            self._tell(job, Broken(outcome.message, 400))

    def _count_round(self, round_: Round) -> None:
        self._metrics.stepped(round_.drafted, 1)
        self._turns.give_way()

    def _tell(self, job: Job, news: News) -> None:
        if isinstance(news, Token):
            job.emitted.append(news.id)
            drafted = news.source != "target"
            self._metrics.emitted(job, drafted=drafted)
            with self._monitor:
                self._line.served(job, 1)
        else:
            self._metrics.ended(job, news)
            self._leave(job)
        if not job.cancelled:
            job.tell(news)

    def _leave(self, job: Job) -> None:
        with self._monitor:
            if job in self._active:
                self._active.remove(job)
                self._line.leave(job)
        self._count()

    def _break_off(self, reason: Broken) -> None:
        with self._monitor:
            jobs = [*self._active, *self._line.empty()]
        for job in jobs:
            self._tell(job, reason)

    def _count(self) -> None:
        self._metrics.load(len(self._active), len(self._line))
