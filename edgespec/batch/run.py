"""One batch on its way: rows are read, prepared, answered and recorded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from zlib import crc32

from edgespec.batch.answers import Answers, Failure
from edgespec.batch.formats import Format
from edgespec.batch.journal import Record
from edgespec.batch.ledger import Ledger
from edgespec.batch.lengths import LengthModel
from edgespec.batch.prepare import Preparer
from edgespec.batch.progress import Progress, ProgressMeter
from edgespec.batch.rows import Row, Settings
from edgespec.batch.source import Source
from edgespec.batch.strict_json import Fault, decode_line
from edgespec.batch.tasks import Answered, Executor, Outcome, Task


@dataclass(slots=True)
class _Open:
    """A row that is being answered."""

    row: Row
    crc: int
    samples: list[Answered | None] = field(default_factory=list)


class Batch:
    """Answers all rows of `source` that `ledger` does not hold yet.

    A row that cannot be used, or whose answer fails, gets a line that says why; the others go on.
    """

    def __init__(
        self,
        source: Source,
        form: Format,
        settings: Settings,
        preparer: Preparer,
        answers: Answers,
        executor: Executor,
        ledger: Ledger,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._source = source
        self._format = form
        self._settings = settings
        self._preparer = preparer
        self._answers = answers
        self._executor = executor
        self._ledger = ledger
        self._rows_lengths = LengthModel()
        self._sample_lengths = LengthModel()
        self._open: dict[int, _Open] = {}
        self._tokens_done = 0
        self._stopped = False
        found = ledger.found
        self._meter = ProgressMeter(len(source), found.rows, found.failed, clock)

    @property
    def progress(self) -> Progress:
        """This moment."""
        load = self._executor.load
        return self._meter.now(self._rows_lengths, load, max(load.tokens - self._tokens_done, 0))

    def run(self) -> Iterator[Progress]:
        """Work; a moment whenever something happened, at least once a second.

        Ends early after `stop`. Raises EdgespecError if the engine fails or nothing can be written;
        what is finished stays finished.
        """
        for row in range(len(self._source)):
            if not self._ledger.holds(row):
                self._meter.expect(self._source.weight(row))
        tasks = self._tasks()
        try:
            while not self._stopped:
                while self._executor.wants and (task := next(tasks, None)):
                    self._executor.submit(task)
                if not self._open:
                    break
                if outcome := self._executor.next():
                    self._take(outcome)
                yield self.progress
            if not self._stopped:
                self._ledger.finish()
        finally:
            self._ledger.sync()

    def stop(self) -> None:
        """Give up what is not finished; from any thread or signal handler."""
        self._stopped = True
        self._executor.stop()

    def _tasks(self) -> Iterator[Task]:
        """What is left to do, row by row; rows that cannot be used are recorded at once."""
        for number in range(len(self._source)):
            if self._stopped:
                return
            if self._ledger.holds(number):
                continue
            data = b""
            try:
                data = self._source.read(number)
                yield from self._tasks_of(number, data)
            except Fault as fault:
                failure = Failure(fault.message, fault.column or 1)
                self._fail(number, crc32(data), self._format.identity(data), failure)

    def _tasks_of(self, number: int, data: bytes) -> list[Task]:
        row = self._format.read(data, self._settings.for_row(number))
        try:
            requests = self._preparer.requests(row)
        except Fault as fault:
            raise self._format.located(fault, decode_line(data)) from None
        weight = self._source.weight(number)
        expected = self._sample_lengths.expected(weight, row.settings.max_tokens)
        self._open[number] = _Open(row, crc32(data), [None] * len(requests))
        count = len(requests)
        return [Task(number, n, request, expected, count) for n, request in enumerate(requests)]

    def _take(self, outcome: Outcome) -> None:
        number = outcome.task.row
        waiting = self._open.get(number)
        if waiting is None:  # Another sample of the row has failed before.
            return
        if not isinstance(outcome, Answered):
            del self._open[number]
            self._fail(number, waiting.crc, waiting.row.id, Failure(outcome.message))
            return
        waiting.samples[outcome.task.sample] = outcome
        self._sample_lengths.learn(self._source.weight(number), outcome.stats.tokens)
        samples = [sample for sample in waiting.samples if sample]
        if len(samples) == len(waiting.samples):
            del self._open[number]
            line = self._source.line(number)
            payload = self._answers.answer(line, waiting.row, samples)
            tokens = sum(sample.stats.tokens for sample in samples)
            self._record(Record(number, waiting.crc, tokens, False, payload))

    def _fail(self, number: int, crc: int, identity: str | int | None, failure: Failure) -> None:
        payload = self._answers.failure(self._source.line(number), identity, failure)
        self._record(Record(number, crc, 0, True, payload))

    def _record(self, record: Record) -> None:
        weight = self._source.weight(record.row)
        if not record.failed:
            self._rows_lengths.learn(weight, record.tokens)
            self._tokens_done += record.tokens
        self._meter.finished(weight, record.tokens, failed=record.failed)
        self._ledger.add(record)
