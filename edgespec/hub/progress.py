"""What a pull tells while it goes on."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What is happening to a file."""

    QUEUED = "queued"
    WAITING = "waiting"
    """Another process fetches it, or the network failed; `note` tells which."""
    CHECKING = "checking"
    """What an earlier pull left is read."""
    FETCHING = "fetching"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """One file at one moment: `done` of `total` bytes are on this machine.

    `model` is the model that it belongs to, `file` its path in the repository.
    """

    model: str
    file: str
    state: State
    done: int
    total: int
    note: str = ""
