"""What a client gets is what the command line says, whatever else goes on."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cli.process import edgespec
from tests.server.process import Serving

pytestmark = pytest.mark.native

QUESTIONS = ("What does os.path.join do?", "What is a dict?", "def fib(n):", "How is a file read?")


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_an_answer_is_what_run_says(server: Serving, kept_home: Path, temperature: float) -> None:
    options = ("--seed", "5", "-n", "48", "-t", str(temperature), "--threads", "1")
    expected = _run(kept_home, *options, QUESTIONS[0])
    reply = server.chat(QUESTIONS[0], seed=5, max_tokens=48, temperature=temperature)
    assert reply["choices"][0]["message"]["content"] == expected["text"]
    assert reply["usage"]["completion_tokens"] == expected["stats"]["tokens"]


def test_a_completion_is_what_run_raw_says(server: Serving, kept_home: Path) -> None:
    options = ("--raw", "--seed", "6", "-n", "32", "--threads", "1")
    expected = _run(kept_home, *options, "def fib(n):")
    body = {"model": "nano", "prompt": "def fib(n):", "seed": 6, "max_tokens": 32}
    status, reply = server.ask("/v1/completions", body)
    assert (status, reply["choices"][0]["text"]) == (200, expected["text"])


def test_company_changes_no_answer(server: Serving) -> None:
    """Answers of many lengths come and go, so that engine and batcher take turns."""

    def ask(number: int) -> tuple[str, int]:
        question = QUESTIONS[number % len(QUESTIONS)]
        reply = server.chat(question, seed=number, max_tokens=8 + 17 * (number % 7))
        ties = reply["edgespec"]["stats"][0]["ties"]
        return reply["choices"][0]["message"]["content"], ties

    alone = [ask(number) for number in range(24)]
    with ThreadPoolExecutor(7) as clients:
        together = list(clients.map(ask, range(24)))
    differ = [n for n in range(24) if alone[n][0] != together[n][0]]
    assert not [n for n in differ if not alone[n][1]], "they differ without a tie"
    assert len(differ) <= 1


def _run(home: Path, *arguments: str) -> dict[str, Any]:
    said = edgespec("run", "--json", *arguments, EDGESPEC_HOME=str(home))
    reply = json.loads(said.stdout)
    assert isinstance(reply, dict)
    return reply
