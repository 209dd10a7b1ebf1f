"""The simplest executor: one answer after the other, for models that allow nothing else."""

from collections import deque
from contextlib import closing
from dataclasses import replace
from statistics import fmean

from edgespec.batch.manners import Manners
from edgespec.batch.tasks import Answered, Failed, Load, Outcome, Task
from edgespec.engine import Engine
from edgespec.errors import InvalidInput
from edgespec.events import Finish, Notice, Round


class SequentialExecutor:
    """Answers tasks by an engine, in the order in which they came; see Executor.

    It rests between rounds where `manners` ask for it; they are the engine's clock, too.
    """

    width = 1

    def __init__(self, engine: Engine, manners: Manners) -> None:
        self._engine = engine
        self._manners = manners
        self._tasks: deque[Task] = deque()
        self._stopped = False
        self._load = Load()

    @property
    def load(self) -> Load:
        """One task at most is active."""
        return replace(self._load, resting=self._manners.resting)

    @property
    def wants(self) -> bool:
        """One task is enough to go on."""
        return not self._tasks

    def submit(self, task: Task) -> None:
        """Queue a task."""
        self._tasks.append(task)

    def next(self) -> Outcome | None:
        """Answer the oldest task."""
        if self._stopped or not self._tasks:
            return None
        task = self._tasks.popleft()
        try:
            return self._answer(task)
        except InvalidInput as error:
            return Failed(task, str(error))

    def stop(self) -> None:
        """Stop the running answer; there will be no further one."""
        self._stopped = True
        self._engine.abort()

    def _answer(self, task: Task) -> Outcome | None:
        pieces: list[str] = []
        likely: list[float] = []
        self._rest()
        self._engine.catch_up()
        with closing(self._engine.generate(task.request, self._rest)) as events:
            for event in events:
                if self._stopped:
                    break
                if isinstance(event, Notice):
                    continue
                pieces.append(event.piece)
                if isinstance(event, Finish):
                    self._count(event)
                    score = fmean(likely) if likely else None
                    text = "".join(pieces)
                    return Answered(task, text, event.reason, event.stats, mean_logprob=score)
                if event.logprobs:
                    likely.append(event.logprobs.chosen)
        return None

    def _rest(self, _: Round | None = None) -> None:
        self._manners.rest(lambda: self._stopped)

    def _count(self, finish: Finish) -> None:
        load, stats = self._load, finish.stats
        self._load = Load(
            active=1,
            tokens=load.tokens + stats.tokens,
            drafted=load.drafted + stats.drafted,
            accepted=load.accepted + stats.accepted,
            steps=load.steps + stats.rounds + 1,
        )
