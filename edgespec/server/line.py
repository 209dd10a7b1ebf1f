"""Jobs that wait for their turn, and whose turn it is."""

from collections import Counter

from edgespec.errors import EdgespecError
from edgespec.server.job import Job


class LineFull(EdgespecError):
    """More jobs wait than there is patience for."""


class Line:
    """Fair to clients: next is who got the fewest tokens, in the order of arrival among equals.

    Tokens are counted while a client has something to do; who comes back starts from the least
    count among those, so that nobody saves up turns by being away (a virtual token counter:
    Sheng et al. 2024, arXiv:2401.00588). Background jobs come after all others.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: list[Job] = []
        self._served: dict[str, float] = {}
        self._busy: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, job: Job) -> bool:
        return job in self._waiting

    def add(self, job: Job) -> None:
        """Wait. Raises LineFull."""
        if len(self._waiting) >= self._most:
            raise LineFull(f"{len(self._waiting)} requests wait already", "try again later")
        if not self._busy[job.client]:
            least = min((self._served[client] for client in +self._busy), default=0.0)
            self._served[job.client] = max(self._served.get(job.client, 0.0), least)
        self._busy[job.client] += 1
        self._waiting.append(job)

    def ready(self, *, background: bool) -> bool:
        """Whether `take` would find a job."""
        return any(background or not job.background for job in self._waiting)

    def take(self, *, background: bool) -> Job | None:
        """The next job, None if there is none; `background` jobs only if they are asked for."""
        ready = [job for job in self._waiting if background or not job.background]
        if not ready:
            return None
        job = min(ready, key=lambda job: (job.background, self._served[job.client], job.arrived))
        self._waiting.remove(job)
        # What it will cost is not known yet; without any cost, one client could take all turns.
        self._served[job.client] += len(job.request.prompt)
        return job

    def served(self, job: Job, tokens: int) -> None:
        """The client of a job that was taken got so many tokens."""
        self._served[job.client] += tokens

    def leave(self, job: Job) -> None:
        """A job is over, whether it was taken or still waits."""
        if job in self._waiting:
            self._waiting.remove(job)
        self._busy[job.client] -= 1
        if not self._busy[job.client]:
            del self._busy[job.client]
            if not self._busy:
                self._served.clear()

    def empty(self) -> list[Job]:
        """Everybody leaves."""
        jobs, self._waiting = self._waiting, []
        for job in jobs:
            self.leave(job)
        return jobs
