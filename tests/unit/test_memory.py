from pathlib import Path
from types import SimpleNamespace

import gguf
import psutil
import pytest

from edgespec import memory
from edgespec.gguf_header import GgufHeader, read_header
from tests.ggufs import jamba_gguf, lfm2_gguf, llama_gguf
from tests.systems import V1_GROUPS, V1_MOUNTS, V2_MOUNT, put, system

GIB = 2**30
F32, F16 = 4, 2


@pytest.fixture
def header(tmp_path: Path) -> GgufHeader:
    return read_header(llama_gguf(tmp_path / "tiny.gguf"))


def test_the_weights_are_the_tensors(header: GgufHeader) -> None:
    block = 64 * (64 + 32 + 32 + 64) + 3 * 64 * 128 + 2 * 64
    assert memory.estimate(header, 512, 64, 1).weights == F32 * (320 * 64 + 64 + 2 * block)


def test_the_cache_grows_with_the_context(header: GgufHeader) -> None:
    per_token = 2 * (2 * 16 + 2 * 16) * F16
    small, large = (memory.estimate(header, n, 64, 1).kv for n in (256, 4096))
    assert large == 16 * small
    assert 0 <= small - 256 * per_token < 256 * 200
    assert memory.estimate(header, 100, 64, 1).kv == small


def test_a_quantized_cache_is_smaller(header: GgufHeader) -> None:
    whole, eight, four = (
        memory.estimate(header, 4096, 64, 1, kv_type=kind).kv for kind in ("f16", "q8_0", "q4_0")
    )
    assert four < eight < whole


def test_logits_grow_with_the_outputs(header: GgufHeader) -> None:
    assert memory.estimate(header, 256, 64, 5).logits == 5 * 320 * F32


def test_scratch_grows_with_the_batch_but_not_past_the_context(header: GgufHeader) -> None:
    small, large, larger = (memory.estimate(header, 256, n, 1).compute for n in (8, 256, 512))
    assert small < large == larger


def test_the_total_is_the_sum(header: GgufHeader) -> None:
    need = memory.estimate(header, 512, 64, 4)
    parts = (need.weights, need.kv, need.compute, need.logits, need.vocabulary)
    assert need.total == sum(parts)
    assert min(parts) > 0


def test_a_repacked_head_is_a_second_copy_of_the_embeddings(tmp_path: Path) -> None:
    header = read_header(llama_gguf(tmp_path / "a.gguf", quant=gguf.GGMLQuantizationType.Q4_0))
    tensors = sum(tensor.size for tensor in header.tensors)
    assert memory.estimate(header, 256, 64, 1).weights == tensors + 320 * 64 // 32 * 18


def test_short_convolutions_keep_states(tmp_path: Path) -> None:
    header = read_header(lfm2_gguf(tmp_path / "hybrid.gguf"))
    without, with_four = (memory.estimate(header, 256, 64, 1, rollback=n).kv for n in (0, 4))
    assert with_four - without == 4 * 2 * (2 * 64) * F32


def test_mamba_keeps_states(tmp_path: Path) -> None:
    header = read_header(jamba_gguf(tmp_path / "hybrid.gguf"))
    without, with_one = (memory.estimate(header, 256, 64, 1, rollback=n).kv for n in (0, 1))
    assert with_one - without == 2 * (3 * 128 + 16 * 128) * F32


def test_only_some_layers_attend(tmp_path: Path) -> None:
    def every(interval: int) -> GgufHeader:
        return read_header(
            llama_gguf(
                tmp_path / f"{interval}.gguf",
                n_layer=8,
                extra=lambda w: w.add_uint32("llama.full_attention_interval", interval),
            )
        )

    all_layers, some = (memory.estimate(every(n), 256, 64, 1).kv for n in (1, 4))
    assert all_layers - some == 6 * 256 * (2 * 2 * 16) * F16


def test_latent_attention_has_no_values(tmp_path: Path) -> None:
    path = tmp_path / "file.gguf"
    header = read_header(llama_gguf(path))
    latent = read_header(llama_gguf(path, extra=lambda w: w.add_key_length_mla(16)))
    difference = memory.estimate(header, 256, 64, 1).kv - memory.estimate(latent, 256, 64, 1).kv
    assert difference == 2 * 256 * (2 * 16) * F16


@pytest.fixture
def plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(available=100 * GIB, total=128 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)


@pytest.mark.usefixtures("plenty")
def test_without_cgroups_the_machine_decides(tmp_path: Path) -> None:
    assert memory.available(tmp_path) == 100 * GIB


@pytest.mark.usefixtures("plenty")
def test_a_limit_of_version_2(tmp_path: Path) -> None:
    root = system(tmp_path, "0::/a/b\n", V2_MOUNT)
    group = root / "sys/fs/cgroup/a"
    put(group / "b/memory.max", "max")
    put(group / "b/memory.current", "0")
    put(group / "memory.max", str(8 * GIB))
    put(group / "memory.current", str(6 * GIB))
    put(group / "memory.stat", f"anon 5\nactive_file {GIB}\ninactive_file {2 * GIB}\nx y z\n")
    assert memory.available(root) == 5 * GIB
    assert memory.usable(root) == int(8 * GIB * 0.9)


@pytest.mark.usefixtures("plenty")
def test_a_limit_of_version_1(tmp_path: Path) -> None:
    root = system(tmp_path, V1_GROUPS, V1_MOUNTS)
    group = root / "sys/fs/cgroup/memory/jobs/mine"
    put(group / "memory.limit_in_bytes", str(4 * GIB))
    put(group / "memory.usage_in_bytes", str(3 * GIB))
    put(group / "memory.stat", f"active_file 7\ntotal_active_file {GIB}\ntotal_inactive_file 0\n")
    assert memory.available(root) == 2 * GIB


@pytest.mark.usefixtures("plenty")
def test_a_group_over_its_limit_has_nothing_left(tmp_path: Path) -> None:
    root = system(tmp_path, "0::/\n", V2_MOUNT)
    put(root / "sys/fs/cgroup/memory.high", "1000")
    put(root / "sys/fs/cgroup/memory.current", "2000")
    assert memory.available(root) == 0


def test_available_on_this_machine() -> None:
    assert 0 < memory.available() <= psutil.virtual_memory().total
