"""What the command line hands to the chat on the whole screen."""

import pytest
from click.testing import CliRunner

from edgespec.cli.chat import chat
from edgespec.config import Settings
from edgespec_tui import launch


def test_every_option_reaches_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Settings, tuple[str, ...]]] = []
    monkeypatch.setattr("edgespec.cli.chat._capable", lambda: True)
    monkeypatch.setattr(launch, "run", lambda settings, stop: seen.append((settings, stop)))
    options = (
        "--model a.gguf --drafter b.gguf --context 512 --threads 3 --draft-length 4 --no-speculate "
        "--device CUDA0 --gpu-layers 7 --drafter-device CUDA1 --kv-type q8_0 --system short "
        "--cpu-experts 5 --cpus 0-1 --drafter-cpus 2 "
        "--temperature 0.3 --top-k 9 --seed 8 --max-tokens 33 --stop END"
    )
    done = CliRunner().invoke(chat, options.split())
    assert (done.exit_code, done.output) == (0, "")
    [(settings, stop)] = seen
    assert stop == ("END",)
    expected = {
        "model": "a.gguf",
        "drafter": "b.gguf",
        "context": 512,
        "threads": 3,
        "draft_length": 4,
        "speculate": False,
        "device": "CUDA0",
        "gpu_layers": 7,
        "drafter_device": "CUDA1",
        "cpu_experts": 5,
        "cpus": "0-1",
        "drafter_cpus": "2",
        "kv_type": "q8_0",
        "system": "short",
        "temperature": 0.3,
        "top_k": 9,
        "seed": 8,
        "max_tokens": 33,
    }
    assert {name: getattr(settings, name) for name in expected} == expected
