"""Batches over files in a temporary folder, answered by a stand-in for the engine."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from time import monotonic

from edgespec.batch.answers import Answers, NativeAnswers
from edgespec.batch.formats import FORMATS, Format, FormatName
from edgespec.batch.ledger import Ledger, open_file
from edgespec.batch.output import Order
from edgespec.batch.prepare import Preparer
from edgespec.batch.progress import Progress
from edgespec.batch.rows import Row, Settings
from edgespec.batch.run import Batch
from edgespec.batch.source import Source, open_source
from edgespec.batch.tasks import Answered, Executor, Failed, Load, Outcome, Task
from edgespec.events import FinishReason, Request, Stats
from tests.fakes import FakeModel, ToyLanguage

NATIVE = FORMATS[FormatName.JSONL]
STATS = Stats(
    prompt_tokens=3,
    cached_tokens=0,
    tokens=2,
    rounds=1,
    drafted=0,
    accepted=0,
    ties=0,
    prefill=0.1,
    ttft=0.2,
    decode=0.3,
    plain_step=None,
)


class FakeExecutor:
    """Answers with the prompt's tokens and the seed, a few tasks at a time, in any order."""

    def __init__(self, width: int = 5, seed: int = 0) -> None:
        self.width = width
        self._random = Random(seed)
        self._tasks: list[Task] = []
        self._done = 0
        self.answered: list[Task] = []
        self.failing: set[tuple[int, int]] = set()
        self.on_next: Callable[[], None] = lambda: None
        self.stopped = False
        self.says: Callable[[Request], str] = said
        self.likes: Callable[[Request], float] = lambda _: -1.0

    @property
    def load(self) -> Load:
        """Two tokens an answer."""
        return Load(active=len(self._tasks), tokens=2 * self._done)

    @property
    def wants(self) -> bool:
        """Until the width is reached."""
        return len(self._tasks) < self.width

    def submit(self, task: Task) -> None:
        """Take it on."""
        self._tasks.append(task)

    def next(self) -> Outcome | None:
        """Any of the tasks."""
        self.on_next()
        if self.stopped:
            return None
        task = self._tasks.pop(self._random.randrange(len(self._tasks)))
        self._done += 1
        self.answered.append(task)
        if (task.row, task.sample) in self.failing:
            return Failed(task, "the dog ate it")
        text, likely = self.says(task.request), self.likes(task.request)
        return Answered(task, text, FinishReason.EOG, STATS, mean_logprob=likely)

    def stop(self) -> None:
        """No more answers."""
        self.stopped = True


class EveryText(Preparer):
    """Prepares any row for no model in particular, so that no tokenizer takes time."""

    def __init__(self) -> None:
        pass

    def requests(self, row: Row) -> list[Request]:
        """One request per sample."""
        sampling = row.settings.sampling
        return [Request((1,), sampling, choice=n) for n in range(row.settings.samples)]


def said(request: Request) -> str:
    """What the fake executor answers."""
    return f"{list(request.prompt)} {request.sampling.seed} {request.choice}"


class Bench:
    """One input and one output; `run` is what a user's command does."""

    def __init__(self, folder: Path, lines: Sequence[bytes | str], form: Format = NATIVE) -> None:
        self.input = folder / "in.jsonl"
        self.output = folder / "out.jsonl"
        self.journal = folder / "out.jsonl.journal"
        self.form = form
        self.settings = Settings()
        self.order = Order.INPUT
        self.answers: Answers = NativeAnswers()
        self.clock: Callable[[], float] = monotonic
        self.preparer: Preparer = Preparer(FakeModel(ToyLanguage()), 256, speculate=False)
        self.write(lines)

    def write(self, lines: Sequence[bytes | str]) -> None:
        """Make the input hold `lines`."""
        data = [line.encode() if isinstance(line, str) else line for line in lines]
        self.input.write_bytes(b"".join(line + b"\n" for line in data))

    def open(self, stack: ExitStack) -> tuple[Source, Ledger]:
        """What is there already."""
        source = open_source(str(self.input))
        stack.callback(source.close)
        facts = {"seed": 7, "temperature": self.settings.sampling.temperature}
        return source, open_file(self.output, source, facts, self.order, stack)

    def run(
        self,
        executor: Executor | None = None,
        on_progress: Callable[[Progress, Batch], None] = lambda progress, batch: None,
    ) -> Progress:
        """Answer what is left."""
        with ExitStack() as stack:
            source, ledger = self.open(stack)
            batch = Batch(
                source,
                self.form,
                self.settings,
                self.preparer,
                self.answers,
                executor or FakeExecutor(),
                ledger,
                self.clock,
            )
            for progress in batch.run():
                on_progress(progress, batch)
            return batch.progress

    def lines(self) -> list[bytes]:
        """What is in the output, which must end with a whole line."""
        data = self.output.read_bytes()
        assert data == b"" or data.endswith(b"\n")
        return data.splitlines()
