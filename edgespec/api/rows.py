"""Many prompts at a time: rows in, answers out as they are completed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgespec.api.completion import Completion
from edgespec.batch.native import parse_row
from edgespec.batch.rows import Row, Settings
from edgespec.batch.strict_json import Fault
from edgespec.batch.tasks import Answered, Executor, Failed, Outcome, Task
from edgespec.events import Request

Rows = Iterable[str | Mapping[str, Any]]
"""Prompts, or mappings with the keys of docs/batch.md."""

_USUAL = 256.0
"""Tokens of an answer of which nothing is known."""


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What became of row number `row`, from 0: `samples`, as many as it asked for, or an `error`.

    `id` is the row's own, None if it has none.
    """

    row: int
    id: str | int | None
    samples: tuple[Completion, ...]
    error: str | None = None

    @property
    def text(self) -> str:
        """The first sample's text. Raises ValueError if the row has no answer."""
        if not self.samples:
            raise ValueError(f"row {self.row} has no answer: {self.error}")
        return self.samples[0].text


class Answers:
    """Answers `rows` by `executor`. Rows are read as they are needed.

    `prepare` makes a row's requests and raises Fault.
    """

    def __init__(
        self,
        rows: Rows,
        settings: Settings,
        prepare: Callable[[Row], list[Request]],
        executor: Executor,
    ) -> None:
        self._rows = enumerate(rows)
        self._settings = settings
        self._prepare = prepare
        self._executor = executor
        self._open: dict[int, tuple[Row, list[Completion | None]]] = {}
        self._failed: list[RowAnswer] = []

    def __iter__(self) -> Iterator[RowAnswer]:
        more = True
        while True:
            while more and self._executor.wants:
                more = self._submit_next()
            yield from self._failed
            self._failed.clear()
            if not (more or self._open):
                return
            if (outcome := self._executor.next()) and (answer := self._take(outcome)):
                yield answer

    def _submit_next(self) -> bool:
        """Hand over one row's tasks; False if there is no further row."""
        number, data = next(self._rows, (-1, None))
        if data is None:
            return False
        identity = None
        try:
            row = _row(data, self._settings.for_row(number))
            identity = row.id
            requests = self._prepare(row)
        except Fault as fault:
            self._failed.append(RowAnswer(number, identity, (), fault.message))
            return True
        self._open[number] = (row, [None] * len(requests))
        for sample, request in enumerate(requests):
            expected = float(request.max_tokens or _USUAL)
            self._executor.submit(Task(number, sample, request, expected))
        return True

    def _take(self, outcome: Outcome) -> RowAnswer | None:
        """The row's answer if that was the last of its samples."""
        number = outcome.task.row
        if number not in self._open:  # Another sample of it has failed before.
            return None
        row, samples = self._open[number]
        if isinstance(outcome, Failed):
            del self._open[number]
            return RowAnswer(number, row.id, (), outcome.message)
        samples[outcome.task.sample] = _completion(outcome)
        found = tuple(sample for sample in samples if sample)
        if len(found) < len(samples):
            return None
        del self._open[number]
        return RowAnswer(number, row.id, found)


def _row(data: str | Mapping[str, Any], settings: Settings) -> Row:
    if not isinstance(data, str):
        return parse_row(data, settings)
    if not data:
        raise Fault("the prompt is empty")
    return Row(None, settings, data, places={"prompt": ()})


def _completion(answered: Answered) -> Completion:
    seed = answered.task.request.sampling.seed
    return Completion(answered.text, answered.reason, answered.stats, seed)
