import pytest

from edgespec.events import Request
from edgespec.server.job import Job
from edgespec.server.line import Line, LineFull


def job(client: str, *, background: bool = False, prompt: int = 1) -> Job:
    return Job(Request((0,) * prompt), client, lambda news: None, background)


def drain(line: Line, tokens: int = 10) -> list[str]:
    """Who is next, if every answer has so many tokens."""
    order = []
    while found := line.take(background=True):
        order.append(found.client)
        line.served(found, tokens)
        line.leave(found)
    return order


def test_a_client_with_many_requests_does_not_keep_others_waiting() -> None:
    line = Line(100)
    for client in ["greedy"] * 5 + ["modest"] * 2:
        line.add(job(client))
    assert drain(line)[:4] == ["greedy", "modest", "greedy", "modest"]


def test_tokens_count_and_not_requests() -> None:
    line = Line(100)
    first = [job("long", prompt=500), job("short")]
    for one in (*first, *(job(client) for client in ["long", "short", "short", "long"])):
        line.add(one)
    assert drain(line) == ["long", "short", "short", "short", "long", "long"]


def test_who_was_away_has_saved_up_nothing() -> None:
    line = Line(100)
    for _ in range(4):
        line.add(job("steady"))
    for _ in range(2):
        taken = line.take(background=True)
        assert taken
        line.served(taken, 1000)
    for _ in range(3):
        line.add(job("late"))
    assert drain(line, 1000)[:4] in (["steady", "late"] * 2, ["late", "steady"] * 2)


def test_background_jobs_come_last_and_only_if_they_may() -> None:
    line = Line(100)
    line.add(job("a", background=True))
    assert line.take(background=False) is None
    assert not line.ready(background=False)
    line.add(job("b"))
    assert drain(line) == ["b", "a"]


def test_patience_has_an_end_and_who_leaves_makes_room() -> None:
    line = Line(1)
    first = job("a")
    line.add(first)
    with pytest.raises(LineFull):
        line.add(job("b"))
    line.leave(first)
    line.add(job("b"))
    assert drain(line) == ["b"]
