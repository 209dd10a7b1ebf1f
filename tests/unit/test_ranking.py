from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gguf
import pytest

from edgespec import catalog
from edgespec.acceptance import AcceptanceModel
from edgespec.costs import CostTable
from edgespec.gguf_header import GgufHeader, read_header
from edgespec.measurements import Measurements
from edgespec.onnx_header import read_onnx_header
from edgespec.ranking import Candidate, Fit, active_bytes, fit, judge, rank
from tests.ggufs import Vocabulary, llama_gguf
from tests.onnx_graphs import Export, Weights
from tests.onnx_models import Dialect, graph_of, write_folder

Make = Callable[..., GgufHeader]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(name: str, **options: object) -> GgufHeader:
        return read_header(llama_gguf(tmp_path / f"{name}.gguf", **options))  # type: ignore[arg-type]

    return made


@pytest.fixture
def target(make: Make) -> GgufHeader:
    return make("target", n_layer=8, d=256, ff=1024)


@pytest.fixture
def drafter(make: Make) -> GgufHeader:
    return make("drafter", n_layer=1, d=64, ff=128)


def experts(writer: gguf.GGUFWriter) -> None:
    writer.add_expert_count(8)
    writer.add_expert_used_count(2)


def test_vocabularies(make: Make, target: GgufHeader) -> None:
    assert fit(target, make("same")) is Fit.IDENTICAL
    assert fit(target, make("more", vocabulary=longer(target, 128))) is Fit.EXTENDED
    assert fit(target, make("too-many", vocabulary=longer(target, 129))) is Fit.BYTES
    assert fit(target, make("other", variant=1)) is Fit.BYTES
    assert fit(target, make("strange", vocabulary=unspeakable())) is Fit.NONE


def longer(header: GgufHeader, by: int) -> Vocabulary:
    tokens = tuple(header.strings("tokenizer.ggml.tokens"))
    return Vocabulary(tokens + tuple(f"<|{n}|>" for n in range(by)))


def unspeakable() -> Vocabulary:
    known = Vocabulary.of_size(320)
    return Vocabulary(known.tokens, known.merges, "bert")


def test_the_better_drafter_comes_first_and_the_unusable_last(
    make: Make, target: GgufHeader, drafter: GgufHeader
) -> None:
    half = make("half", n_layer=4, d=256, ff=1024)
    other = make("other", n_layer=1, vocabulary=unspeakable())
    ranked = rank(
        target, [Candidate("other", other), Candidate("half", half), Candidate("drafter", drafter)]
    )
    assert [one.name for one in ranked] == ["drafter", "half", "other"]
    best, slow, strange = ranked
    assert best.speedup > 1.2 > 1.05 > slow.speedup
    assert best.step < 0.05 < 0.4 < slow.step
    assert best.warnings == ()
    assert slow.warnings[0].startswith("a step of it takes ")
    assert "hardly gain anything" in slow.warnings[-1]
    assert strange.speedup == 1.0
    assert strange.warnings[0] == "another vocabulary"
    assert slow.acceptance > best.acceptance


def test_a_bridge_costs_some_of_the_acceptance(
    make: Make, target: GgufHeader, drafter: GgufHeader
) -> None:
    other = make("other", n_layer=1, d=64, ff=128, variant=1)
    ranked = rank(target, [Candidate("other", other), Candidate("drafter", drafter)])
    assert [one.name for one in ranked] == ["drafter", "other"]
    direct, bridged = ranked
    assert (direct.fit, bridged.fit) == (Fit.IDENTICAL, Fit.BYTES)
    assert bridged.acceptance < direct.acceptance
    assert 1.0 < bridged.speedup < direct.speedup
    assert bridged.warnings == ("another vocabulary, drafts go over a bridge",)


def test_onnx_models_are_judged_like_others(tmp_path: Path) -> None:
    nano = catalog.load().entries["nano"]
    assert nano.drafter
    target, drafter = read_header(nano.target), read_header(nano.drafter)
    same = read_onnx_header(graph_of(write_folder(tmp_path / "same", Weights(), Export())))
    other = read_onnx_header(graph_of(write_folder(tmp_path / "other", Dialect(2000), Export())))
    assert same.parameters == pytest.approx(drafter.parameters, rel=0.01)
    by_gguf, by_graph, by_other = (
        judge(target, Candidate("drafter", header)) for header in (drafter, same, other)
    )
    assert (by_graph.fit, by_other.fit) == (Fit.IDENTICAL, Fit.BYTES)
    assert by_graph.acceptance == pytest.approx(by_gguf.acceptance, abs=0.01)
    assert by_graph.step > by_gguf.step  # Its weights are floats.
    (graph_of(tmp_path / "same").parents[1] / "tokenizer.json").write_text("[]")
    assert fit(target, same) is Fit.NONE


def test_measurements_replace_the_guess(target: GgufHeader, drafter: GgufHeader) -> None:
    acceptance = AcceptanceModel()
    acceptance.source("drafter", 2).recent = 0.93
    costs = CostTable({0: {1: 1.0, 4: 1.2, 16: 1.6}}, {0: 0.5})
    known = Measurements(costs, acceptance, 0.0)
    one = judge(target, Candidate("drafter", drafter, measured=known))
    assert (one.acceptance, one.step, one.measured) == (0.93, 0.5, True)
    guess = judge(target, Candidate("drafter", drafter))
    assert not guess.measured
    assert guess.acceptance != one.acceptance


def test_of_experts_only_the_chosen_are_read(tmp_path: Path, drafter: GgufHeader) -> None:
    dense = read_header(llama_gguf(tmp_path / "dense.gguf", d=64, ff=64))
    header = read_header(llama_gguf(tmp_path / "experts.gguf", d=64, ff=64, extra=experts))
    assert active_bytes(header) == active_bytes(dense)  # None of its tensors is an expert's.
    renamed = tuple(
        replace(tensor, name=tensor.name.replace("ffn_up", "ffn_up_exps"))
        for tensor in header.tensors
    )
    moe = replace(header, tensors=renamed)
    routed = sum(tensor.size for tensor in renamed if "_exps" in tensor.name)
    assert active_bytes(moe) == pytest.approx(active_bytes(dense) - 0.75 * routed)
    assert active_bytes(moe, 2) == pytest.approx(active_bytes(dense) - 0.5625 * routed)
    warnings = judge(moe, Candidate("drafter", header)).warnings
    assert warnings[0].startswith("of the target only 0.")


def test_the_nano_pair_fits() -> None:
    nano = catalog.load().entries["nano"]
    assert nano.drafter
    assert fit(read_header(nano.target), read_header(nano.drafter)) is Fit.IDENTICAL
