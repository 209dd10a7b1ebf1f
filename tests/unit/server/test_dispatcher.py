"""Who answers, over fakes: jobs end, whatever moment their clients choose to leave."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from threading import current_thread, main_thread

import pytest

from edgespec.acceptance import AcceptanceModel
from edgespec.events import Finish, Request, Token
from edgespec.parts import Parts
from edgespec.protocols import ContextOptions
from edgespec.sampling.params import SamplingParams
from edgespec.server.dispatcher import Dispatcher
from edgespec.server.job import Job, News
from edgespec.server.line import Line
from edgespec.server.metrics import Metrics
from edgespec.server.turns import Turns
from tests.fakes import PATIENCE, FakeModel, ToyLanguage
from tests.policies import Told

LANGUAGE = ToyLanguage()
SAMPLING = SamplingParams(0.9, seed=4, logit_bias={LANGUAGE.eog: -100.0})
N_CTX = 80


class Load(Metrics):
    """Tells what is answered and what waits; `leave` is cancelled between admission and answer."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: Queue[tuple[int, int]] = Queue()
        self.leave: Job | None = None
        self.dispatcher: Dispatcher

    def load(self, active: int, waiting: int) -> None:
        super().load(active, waiting)
        if active and (job := self.leave) and current_thread() is not main_thread():
            self.leave = None
            self.dispatcher.cancel(job)
        self.changes.put((active, waiting))

    def settle(self) -> None:
        """Wait until nobody is answered and nobody waits."""
        while self.changes.get(timeout=PATIENCE) != (0, 0):
            pass


@pytest.fixture
def load() -> Iterator[Load]:
    target = FakeModel(LANGUAGE)
    context = target.context(ContextOptions(N_CTX, n_batch=32, max_outputs=17, max_sequences=4))
    acceptance = AcceptanceModel()
    thread = ThreadPoolExecutor(1)
    parts = Parts(
        target, context, Told([0]), acceptance, None, lambda: None, thread, "", context.n_ctx
    )
    load = Load()
    with parts.engine([]) as engine:
        load.dispatcher = Dispatcher(parts, engine, 4, Line(8), load, Turns(), speculate=False)
        yield load
        load.dispatcher.close()


def job(told: Queue[News], max_tokens: int = 5) -> Job:
    return Job(Request((0, 1, 2, 3), SAMPLING, max_tokens=max_tokens), "client", told.put)


def test_who_leaves_while_being_let_in_is_let_go(load: Load) -> None:
    told: Queue[News] = Queue()
    load.leave = job(told)
    load.dispatcher.submit(load.leave)
    load.settle()
    assert told.empty()
    load.dispatcher.submit(job(told))
    *tokens, last = [told.get(timeout=PATIENCE) for _ in range(6)]
    assert all(isinstance(one, Token) for one in tokens)
    assert isinstance(last, Finish)
