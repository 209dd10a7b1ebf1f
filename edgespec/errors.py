"""Every failure edgespec reports: what was wrong and where, what to do next, and the exit code."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The process exit codes, as documented in docs/cli.md."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    UNAVAILABLE = 3
    ROWS_FAILED = 5
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class EdgespecError(Exception):
    """Base of all reported failures.

    `what` says what was wrong and where; `hint`, if any, what to do next. Their joined text is
    one line, ready for stderr.
    """

    exit_code = ExitCode.FAILURE

    def __init__(self, what: str, hint: str = "") -> None:
        self.what = " ".join(what.split())
        self.hint = " ".join(hint.split())
        super().__init__(f"{self.what}; {self.hint}" if hint else self.what)


class InvalidInput(EdgespecError):
    """A parameter, prompt, grammar or configuration value that cannot be used."""

    exit_code = ExitCode.USAGE


class ContextOverflow(InvalidInput):
    """The prompt does not fit the target's context."""


class ModelUnavailable(EdgespecError):
    """The model is unknown, missing or unreadable."""

    exit_code = ExitCode.UNAVAILABLE


class ModelFileError(ModelUnavailable):
    """The file is there but is not a usable GGUF."""


class VocabularyMismatch(ModelUnavailable):
    """The drafter does not speak the target's vocabulary."""


class NotEnoughMemory(ModelUnavailable):
    """Loading would not fit the memory at hand."""


class BackendUnavailable(ModelUnavailable):
    """The engine that the model needs is not installed or does not load."""


class DownloadFailed(EdgespecError):
    """A file did not arrive; what did arrive of it is kept."""


class Cancelled(EdgespecError):
    """Somebody asked for it to be stopped."""

    exit_code = ExitCode.INTERRUPTED


class BackendError(EdgespecError):
    """The engine failed while running."""


class DeviceLost(BackendError):
    """A device is gone, and what was loaded there with it; all has to be loaded anew.

    Whoever had it can only be closed.
    """


class NothingAllowed(BackendError):
    """No token may come next, by the grammar and the bias of a request."""


class Aborted(Exception):
    """A decode was stopped through the abort flag; the caches must be rolled back."""
