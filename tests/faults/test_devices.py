"""A device that disappears while it works. No GPU here: a real context that fails stands in."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest

from edgespec.cli.interrupts import Interrupts
from edgespec.cli.session import answer
from edgespec.errors import BackendError
from edgespec.events import Request
from edgespec.protocols import ModelOptions
from edgespec.sampling.params import SamplingParams
from edgespec_backends.llamacpp import open_model
from tests.backends.nano import DRAFTER, TARGET, Pair
from tests.backends.test_disturbances import engine
from tests.faults.matrix import Cell

pytestmark = pytest.mark.native

Record = Callable[[Cell], None]
REQUEST = Request((1, 2, 3, 4, 5), SamplingParams(temperature=0.0), 24)
GONE = "the device is gone"


def failing_at(count: int) -> Callable[..., None]:
    """A decode that fails from the `count`-th call on."""
    left = iter(range(count))

    def decode(_self: Any, real: Callable[..., None], *arguments: Any, **options: Any) -> None:
        if next(left, None) is None:
            raise BackendError(GONE)
        real(*arguments, **options)

    return decode


def break_decode(context: Any, name: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fail = getattr(context, name), failing_at(count)
    monkeypatch.setattr(context, name, lambda *args, **more: fail(context, real, *args, **more))


def text_of(pair: Pair) -> Sequence[str]:
    return [answer(pair.engine, REQUEST, Interrupts(), None).text]


@pytest.mark.parametrize("count", [0, 3])
def test_of_the_target(count: int, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    target = open_model(TARGET, ModelOptions(threads=1))
    pair = Pair(target, None)
    expected = text_of(pair)
    with monkeypatch.context() as broken:
        break_decode(pair.engine._cache.context, "decode", count, broken)
        with pytest.raises(BackendError, match=GONE) as caught:
            text_of(pair)
    assert text_of(pair) == expected
    pair.engine.close()
    target.close()
    stage = "of the target, in its prefill" if count == 0 else "of the target, in mid answer"
    said = f"edgespec: error: {caught.value}"
    then = "the same engine answers the same once it is back"
    record(Cell("device disappears", stage, caught.value.exit_code, said, then))


def test_of_the_drafter(record: Record) -> None:
    one = ModelOptions(threads=1)
    target, drafter = open_model(TARGET, one), open_model(DRAFTER, one)
    plain = Pair(target, None)
    expected = text_of(plain)
    with engine(target, drafter, Random(1), fails_at=1) as running:
        reply = answer(running, REQUEST, Interrupts(), None)
    assert [reply.text] == expected
    for closable in (plain.engine, target, drafter):
        closable.close()
    record(Cell("device disappears", "of the drafter", 0, "", "the answer is the same"))
