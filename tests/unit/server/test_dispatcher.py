"""Who answers, over fakes: jobs end, whatever moment their clients choose to leave."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from threading import current_thread, main_thread

import pytest

from edgespec.acceptance import AcceptanceModel
from edgespec.errors import BackendError, DeviceLost
from edgespec.events import Finish, Request, Token
from edgespec.parts import Parts
from edgespec.protocols import ContextOptions
from edgespec.recall import Recall
from edgespec.sampling.params import SamplingParams
from edgespec.server.dispatcher import Dispatcher
from edgespec.server.job import Broken, Job, News
from edgespec.server.line import Line
from edgespec.server.metrics import Metrics
from edgespec.server.turns import Turns
from tests.fakes import PATIENCE, FakeContext, FakeModel, ToyLanguage
from tests.policies import Told

LANGUAGE = ToyLanguage()
SAMPLING = SamplingParams(0.9, seed=4, logit_bias={LANGUAGE.eog: -100.0})
N_CTX = 80


class Load(Metrics):
    """Tells what is answered and what waits; `leave` is cancelled between admission and answer.

    `told` is what was told of devices that are gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changes: Queue[tuple[int, int]] = Queue()
        self.leave: Job | None = None
        self.dispatcher: Dispatcher
        self.context: FakeContext
        self.told: list[str] = []

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
        load.context = context
        load.dispatcher = Dispatcher(
            parts,
            engine,
            4,
            Line(8),
            load,
            Turns(),
            load.told.append,
            load.told.append,
            Recall(1 << 20),
            speculate=False,
        )
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


def last_of(told: Queue[News]) -> News:
    """How an answer ended."""
    while isinstance(news := told.get(timeout=PATIENCE), Token):
        pass
    return news


def test_a_failure_ends_one_answer(load: Load) -> None:
    load.context.failures = {load.context.decodes: BackendError("no")}
    told: Queue[News] = Queue()
    load.dispatcher.submit(job(told))
    assert last_of(told) == Broken("the engine failed: no")
    load.dispatcher.submit(job(told))
    assert isinstance(last_of(told), Finish)
    assert not load.dispatcher.lost


@pytest.mark.parametrize("company", [1, 3])
def test_a_lost_device_is_the_end_for_all(load: Load, company: int) -> None:
    first = load.context.decodes + 3
    load.context.failures = dict.fromkeys(range(first, first + 100), DeviceLost("it is gone"))
    waiting = [Queue[News]() for _ in range(company)]
    for told in waiting:
        load.dispatcher.submit(job(told, 60))
    end = Broken("it is gone", 503)
    assert [last_of(told) for told in waiting] == [end] * company
    load.dispatcher.submit(job(late := Queue[News]()))
    assert late.get(timeout=PATIENCE) == end
    assert load.dispatcher.lost
    assert load.told == ["it is gone"]
