"""What a server did, as Prometheus reads it."""

from bisect import bisect_left
from threading import Lock
from time import perf_counter

from edgespec.events import Finish
from edgespec.server.job import Broken, Job

_TTFT = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/models",
    "/health",
    "/metrics",
    "/openapi.json",
)
"""Those that are counted one by one."""
_WINDOW = 10.0
"""Seconds over which the rate of tokens is taken."""


class Metrics:
    """Counts. Told from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts = dict.fromkeys(
            ("prompt_tokens", "tokens", "drafted", "accepted", "steps", "rounds", "answers"), 0
        )
        self._requests: dict[tuple[str, int], int] = {}
        self._failed = self._active = self._waiting = 0
        self._ttft = [0] * (len(_TTFT) + 1)
        self._ttft_sum = 0.0
        self._recent: list[tuple[float, int]] = []

    def emitted(self, job: Job, *, drafted: bool) -> None:
        """A token of a job was emitted; `drafted` if a draft was right."""
        now = perf_counter()
        with self._lock:
            self._counts["tokens"] += 1
            self._counts["accepted"] += drafted
            if not job.first:
                job.first = now
                self._counts["prompt_tokens"] += len(job.request.prompt)
                self._ttft[bisect_left(_TTFT, now - job.arrived)] += 1
                self._ttft_sum += now - job.arrived
            if not self._recent or now - self._recent[-1][0] > 1:
                self._recent.append((now, self._counts["tokens"] - 1))
                self._recent = [entry for entry in self._recent if now - entry[0] <= _WINDOW]

    def stepped(self, drafted: int, width: int) -> None:
        """The target decoded once, for `width` answers and so many drafts."""
        with self._lock:
            self._counts["steps"] += 1
            self._counts["drafted"] += drafted
            self._counts["rounds"] += width

    def ended(self, job: Job, end: Finish | Broken) -> None:
        """A job is over."""
        with self._lock:
            self._counts["answers"] += 1
            self._failed += isinstance(end, Broken)

    def load(self, active: int, waiting: int) -> None:
        """So many jobs are being answered, so many wait."""
        with self._lock:
            self._active, self._waiting = active, waiting

    def replied(self, path: str, status: int) -> None:
        """A request for `path` was answered with `status`."""
        known = path if path in PATHS else "other"
        with self._lock:
            self._requests[known, status] = self._requests.get((known, status), 0) + 1

    def text(self) -> str:
        """All of it, in Prometheus's text format."""
        with self._lock:
            return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> list[str]:
        lines = []
        for name, value in self._counts.items():
            lines += _lone("counter", f"{name}_total", _HELP[name], value)
        lines += _lone("counter", "failed_total", "Answers that failed.", self._failed)
        lines += _lone("gauge", "active", "Answers that are being produced.", self._active)
        lines += _lone("gauge", "queue", "Requests that wait for their turn.", self._waiting)
        drafts = self._counts["drafted"] / max(self._counts["rounds"], 1)
        lines += _lone("gauge", "drafts_per_round", "K: mean drafts of an answer's round.", drafts)
        rate = "Accepted of verified drafts."
        lines += _lone("gauge", "acceptance_rate", rate, self._acceptance())
        per_second = "Tokens per second over the last ten seconds."
        lines += _lone("gauge", "tokens_per_second", per_second, self._rate())
        return [*lines, *self._histogram(), *self._replies()]

    def _acceptance(self) -> float:
        return self._counts["accepted"] / max(self._counts["drafted"], 1)

    def _rate(self) -> float:
        now = perf_counter()
        recent = [entry for entry in self._recent if now - entry[0] <= _WINDOW]
        if not recent:
            return 0.0
        begin, before = recent[0]
        return (self._counts["tokens"] - before) / max(now - begin, 1.0)

    def _histogram(self) -> list[str]:
        name = "edgespec_ttft_seconds"
        text = "Seconds from a request to its first token."
        lines = [f"# HELP {name} {text}", f"# TYPE {name} histogram"]
        total = 0
        for limit, count in zip((*map(str, _TTFT), "+Inf"), self._ttft, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{limit}"}} {total}')
        return [*lines, f"{name}_sum {self._ttft_sum}", f"{name}_count {total}"]

    def _replies(self) -> list[str]:
        name = "edgespec_requests_total"
        lines = [f"# HELP {name} Requests by path and status.", f"# TYPE {name} counter"]
        for (path, status), count in sorted(self._requests.items()):
            lines.append(f'{name}{{path="{path}",status="{status}"}} {count}')
        return lines


_HELP = {
    "prompt_tokens": "Tokens of prompts that were answered.",
    "tokens": "Tokens that were emitted.",
    "drafted": "Drafts that the target verified.",
    "accepted": "Drafts that were right.",
    "steps": "Steps of the target.",
    "rounds": "Steps of the target, each counted for every answer that it worked on.",
    "answers": "Answers that ended, failed ones included.",
}


def _lone(kind: str, name: str, text: str, value: float) -> list[str]:
    full = f"edgespec_{name}"
    return [f"# HELP {full} {text}", f"# TYPE {full} {kind}", f"{full} {value}"]
