import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

import edgespec
from tests.cli.process import PATIENCE
from tests.ggufs import bert_gguf
from tests.server.process import KEY, Serving, serving

TOOLS_TEMPLATE = (
    "{% if tools %}<|im_start|>system\nTools:\n{% for tool in tools %}{{ tool | tojson }}\n"
    "{% endfor %}Call one as <tool_call>{...}</tool_call>.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls %}<tool_call>{{ call.function | tojson }}</tool_call>"
    "{% endfor %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


@pytest.fixture(scope="session")
def kept_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which one server measures the machine for all others."""
    return tmp_path_factory.mktemp("server-home")


@pytest.fixture(scope="session")
def tooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The nano target with a template that shows tools."""
    target = Path(edgespec.__file__).parent / "nano" / "target-q8_0.gguf"
    made = tmp_path_factory.mktemp("tooled") / "tooled.gguf"
    script = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata"]
    template = ["--chat-template", TOOLS_TEMPLATE]
    subprocess.run([*script, *template, str(target), str(made)], check=True, capture_output=True)
    return made


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with random weights."""
    return bert_gguf(tmp_path_factory.mktemp("embedder") / "embedder.gguf")


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, kept_home: Path, tooled: Path, embedder: Path
) -> Iterator[Serving]:
    """A server that all tests may ask."""
    models = ("--also", str(tooled), "--also", str(embedder))
    options = ("--api-key", KEY, "--parallel", "4", *models)
    with serving(tmp_path_factory.mktemp("server"), kept_home, *options) as running:
        yield running


@pytest.fixture
def client(server: Serving) -> Iterator[openai.OpenAI]:
    """The client that most programs ask with."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, timeout=PATIENCE) as made:
        yield made
