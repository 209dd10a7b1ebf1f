"""From a request to news of its answers: jobs that are handed over, followed and given up."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from edgespec.batch.strict_json import Fault
from edgespec.errors import InvalidInput
from edgespec.events import Request, Token
from edgespec.server.asking import Asked
from edgespec.server.job import Job, News
from edgespec.server.line import LineFull
from edgespec.server.served import Served


async def prepare(served: Served, asked: Asked) -> list[Request]:
    """The requests that answer what is asked, one for each choice. Raises Fault."""
    return await asyncio.to_thread(_prepare, served, asked)


class Answering:
    """All choices of one request on their way. Raises LineFull before anything is computed."""

    def __init__(
        self, served: Served, asked: Asked, requests: Sequence[Request], client: str
    ) -> None:
        self._dispatcher = served.dispatcher
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[tuple[int, News]] = asyncio.Queue()
        self._jobs: list[Job] = []
        self._left = len(requests)
        try:
            for number, request in enumerate(requests):
                job = Job(request, client, partial(self._tell, number), asked.background)
                self._dispatcher.submit(job)
                self._jobs.append(job)
        except LineFull:
            self.close()
            raise

    async def news(self) -> dict[int, list[News]]:
        """What is new, by the numbers of the choices; nothing once all have ended."""
        found: dict[int, list[News]] = {}
        while self._left and not (found and self._arrived.empty()):
            # Where a client, or this loop, is slower than the model, tokens come in bunches.
            number, one = await self._arrived.get()
            found.setdefault(number, []).append(one)
            self._left -= not isinstance(one, Token)
        return found

    def close(self) -> None:
        """Give up what has not ended. Idempotent."""
        for job in self._jobs:
            self._dispatcher.cancel(job)

    def _tell(self, number: int, news: News) -> None:
        self._loop.call_soon_threadsafe(self._arrived.put_nowait, (number, news))


def _prepare(served: Served, asked: Asked) -> list[Request]:
    row = asked.row
    if asked.tools.forced:
        if row.settings.json_schema is not None or row.settings.sampling.grammar is not None:
            raise Fault("tool_choice and response_format exclude each other", ("tool_choice",))
        try:
            grammar = asked.tools.grammar(served.grammar)
        except InvalidInput as error:
            raise Fault(str(error), ("tools",)) from None
        places = {**row.places, "grammar": ("tools",)}
        row = replace(row, settings=row.settings.shaped(grammar, None), places=places)
    return [replace(one, logprobs=asked.logprobs) for one in served.requests(row)]
