import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from edgespec.server.turns import Turns
from tests.cli.process import PATIENCE


def test_turns_come_in_the_order_of_asking_and_one_at_a_time() -> None:
    turns, order = Turns(), list[int]()

    def compute(number: int) -> None:
        with turns:
            order.append(number)

    with ThreadPoolExecutor(4) as threads:
        with turns:
            later = []
            for number in range(4):
                later.append(threads.submit(compute, number))
                _until_waiting(turns, number + 1)
            assert not order
        for one in later:
            one.result(PATIENCE)
    assert order == [0, 1, 2, 3]


def test_who_gives_way_goes_on_after_one_turn_and_its_clock_stands_still() -> None:
    turns, order, computed = Turns(), list[str](), Event()

    def compute() -> None:
        for _ in range(2):
            with turns:
                order.append("other")
                time.sleep(0.1)
                computed.set()

    with turns, ThreadPoolExecutor(1) as thread:
        turns.give_way()  # Nobody waits.
        later = thread.submit(compute)
        for _ in range(2):
            _until_waiting(turns, 1)
            begin, own = time.perf_counter(), turns.now()
            turns.give_way()
            order.append("own")
            assert computed.is_set()
            assert time.perf_counter() - begin > 0.09
            assert turns.now() - own < time.perf_counter() - begin - 0.09
        later.result(PATIENCE)
    assert order == ["other", "own", "other", "own"]


def _until_waiting(turns: Turns, count: int) -> None:
    end = time.monotonic() + PATIENCE
    while turns.waiting < count:
        assert time.monotonic() < end
        time.sleep(0.001)
