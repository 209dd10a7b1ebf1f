"""What is handed to an executor and what comes back: single answers, each of a row's sample."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edgespec.events import FinishReason, Request, Stats, Token


@dataclass(frozen=True, slots=True)
class Task:
    """One answer to produce: sample number `sample` of row `row`, of `expected` tokens or so.

    The row has `samples` in all. `listen` is told of each token at once, on the thread that
    decodes.
    """

    row: int
    sample: int
    request: Request
    expected: float
    samples: int = 1
    listen: Callable[[Token], None] | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A task's answer; `rest` is the end of its text, which no token made certain.

    `mean_logprob` is the mean of its tokens' Logprobs.chosen, None if the request asked for none.
    """

    task: Task
    text: str
    reason: FinishReason
    stats: Stats
    rest: str = ""
    mean_logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A task that could not be answered, for a reason that does not concern the others."""

    task: Task
    message: str


Outcome = Answered | Failed


@dataclass(frozen=True, slots=True)
class Load:
    """What an executor does now and did so far.

    `active` answers are being produced; `tokens` were emitted, of which `accepted` of `drafted`
    drafts in `steps` decodes of the target. `resting` says why nothing goes on, if so,
    `note` what the user should know, if anything.
    """

    active: int = 0
    tokens: int = 0
    drafted: int = 0
    accepted: int = 0
    steps: int = 0
    resting: str = ""
    note: str = ""


class Executor(Protocol):
    """Produces answers, in whatever order suits it. Used by one thread, but for `stop`."""

    @property
    def width(self) -> int:
        """Answers that it produces at a time."""

    @property
    def load(self) -> Load:
        """What goes on."""

    @property
    def wants(self) -> bool:
        """True if it would like to have a further task to choose from."""

    def submit(self, task: Task) -> None:
        """Take a task on."""

    def next(self) -> Outcome | None:
        """Some task's outcome; None if nothing happened for a second, or after `stop`.

        Raises BackendError if the engine failed.
        """

    def stop(self) -> None:
        """Give up all tasks as soon as possible; from any thread or signal handler."""
