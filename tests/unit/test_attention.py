"""Which attention is taken: by what was measured, where that is not settled by the model."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgespec import attention, memory, paths
from edgespec.attention import Attention, Timing, batch, choose, open_to
from edgespec.devices import CPU
from edgespec.errors import InvalidInput
from edgespec.placement.choose import attending
from edgespec.placement.records import Placement, TargetPlace
from tests.headers import LLAMA_8B as BIG

SLOW, EVEN = Timing(0.013, 0.0035), Timing(0.0041, 0.004)


def test_the_timing_decides() -> None:
    assert not choose("auto", BIG, 8192, "f16", SLOW).flash
    assert choose("auto", BIG, 8192, "f16", EVEN).flash
    assert "3.7 times as long" in choose("auto", BIG, 8192, "f16", SLOW).why


def test_what_nobody_measured_yet_is_as_usual() -> None:
    assert choose("auto", BIG, 8192, "f16", None).flash


@pytest.mark.parametrize(
    ("n_ctx", "kv_type", "size"), [(256, "f16", None), (8192, "q8_0", None), (8192, "f16", 9 << 20)]
)
def test_where_nothing_is_to_be_gained(n_ctx: int, kv_type: str, size: int | None) -> None:
    model = replace(BIG, size=size) if size else BIG
    assert not open_to("auto", model, n_ctx, kv_type)
    found = choose("auto", model, n_ctx, kv_type, SLOW)
    assert found.flash
    assert found.why


@pytest.mark.parametrize(
    ("sequences", "n_ctx", "flash"),
    [(2, 1024, False), (4, 2048, False), (4, 1024, True), (5, 65536, True), (16, 65536, True)],
)
def test_answers_that_share_a_cache(sequences: int, n_ctx: int, flash: bool) -> None:
    found = choose("auto", BIG, n_ctx, "f16", SLOW, sequences)
    assert found.flash is flash
    assert open_to("auto", BIG, n_ctx, "f16", sequences) is not flash
    assert choose("auto", BIG, n_ctx, "f16", EVEN, sequences).flash
    assert not choose("plain", BIG, n_ctx, "f16", EVEN, sequences).flash


def test_a_flag_decides_against_the_timing() -> None:
    assert choose("flash", BIG, 8192, "f16", SLOW) == Attention(True, "pinned by you", True)
    assert choose("plain", BIG, 256, "f16", EVEN) == Attention(False, "pinned by you", True)
    assert not open_to("plain", BIG, 8192, "f16")


@pytest.mark.parametrize(
    ("kind", "kv_type", "message"),
    [
        ("fast", "f16", "no attention 'fast'; take auto, flash, plain"),
        ("plain", "q8_0", "cannot read a cache of type q8_0"),
    ],
)
def test_what_cannot_be(kind: str, kv_type: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        choose(kind, BIG, 8192, kv_type, SLOW)


def test_a_target_that_is_partly_elsewhere_keeps_the_kernel() -> None:
    here, there = (Placement(TargetPlace(*at), CPU, 8192) for at in ((), ("CUDA0", 8)))
    measured, asked = Attention(False), Attention(False, pinned=True)
    assert [attending(place, measured).flash for place in (here, there)] == [False, True]
    assert [attending(place, asked).flash for place in (here, there)] == [False, False]


@pytest.mark.parametrize("n_ctx", [512, 2048, 8192, 32768])
def test_a_plain_batch_needs_no_more_memory(n_ctx: int) -> None:
    size = batch(BIG, n_ctx, 512, 17)
    assert 32 <= size <= 512
    plain = memory.compute(BIG, n_ctx, size, 17, flash=False)
    assert size == 32 or plain <= memory.compute(BIG, n_ctx, 512, 17)
    cache = memory.estimate(BIG, n_ctx, 512, 17).kv
    assert plain <= memory.compute(BIG, n_ctx, 512, 17) + 0.05 * cache


def test_the_timing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [EVEN, SLOW]
    monkeypatch.setattr(attention, "_measure_nano", seen.pop)
    assert attention.settle() == SLOW
    assert attention.settle() == SLOW
    assert attention.kept() == SLOW
    assert attention.settle(again=True) == EVEN


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"flash": 0, "plain": 1}', '{"flash": "x"}'])
def test_what_is_kept_and_broken_is_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_measure_nano", lambda: SLOW)
    attention.settle()
    (file,) = Path(paths.cache_dir() / "attention").iterdir()
    file.write_text(text, "utf-8")
    assert attention.kept() is None
