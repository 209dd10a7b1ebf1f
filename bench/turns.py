"""Conversations that take turns on a server: how soon the next answer begins, against llama-server.

Two long texts are asked for one token each, again and again, each time a little longer, as an
editor's completions and a chat would be. The first time a text must be read; from then on only what
is new, if what was read has been kept.
"""

import argparse
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter

import machine
import peer
import report
import serve
from server import serving

Ask = Callable[[str], float]
"""The seconds until the answer to a prompt, of one token, is there."""

HEADERS = ("side", "first, s", "again, s")
_TEXTS = 2
_ROOM = "8192"
"""MiB that llama-server keeps earlier texts in by itself, which other benchmarks turn off."""
_MORE = "\n\nx = 1\n"


@dataclass(frozen=True, slots=True)
class Wait:
    """How long one answer took; the `round` is 0 where the text was new."""

    side: str
    round: int
    seconds: float


def over_http(port: int, model: str) -> Ask:
    """A server that speaks OpenAI's API."""

    def ask(prompt: str) -> float:
        body = {"model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0}
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {serve.KEY}"}
        connection = HTTPConnection("127.0.0.1", port, timeout=600)
        begin = perf_counter()
        try:
            connection.request("POST", "/v1/completions", json.dumps(body), headers)
            reply = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert reply["usage"]["completion_tokens"] == 1, reply
        return perf_counter() - begin

    return ask


def compare(options: argparse.Namespace) -> list[Wait]:
    """Both sides, one after the other in each round."""
    texts = serve.prompts_behind(options.before)[:: 7 * options.before][:_TEXTS]
    with ExitStack() as stack:
        port = stack.enter_context(serve.edgespec_server(options, options.parallel))
        mode = ["--parallel", str(options.parallel), "--cache-ram", _ROOM]
        n_ctx = options.n_ctx * options.parallel
        program = peer.ensure(options.peer_dir).server
        rival = stack.enter_context(serving(program, options.target, n_ctx, options.threads, mode))
        name = options.target.stem
        sides = {
            "edgespec serve": over_http(port, name),
            "llama-server": over_http(rival.port, name),
        }
        return [
            Wait(side, number, ask(text + number * _MORE))
            for number in range(options.rounds + 1)
            for side, ask in sides.items()
            for text in texts
        ]


def rows(waits: list[Wait]) -> list[tuple[object, ...]]:
    """The medians of each side."""
    return [
        (
            side,
            median(one.seconds for one in waits if one.side == side and one.round == 0),
            median(one.seconds for one in waits if one.side == side and one.round > 0),
        )
        for side in dict.fromkeys(one.side for one in waits)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    nano = Path(__file__).resolve().parent.parent / "edgespec" / "nano"
    parser.add_argument("target", type=Path)
    parser.add_argument("--drafter", type=Path, default=nano / "drafter-q8_0.gguf")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--n-ctx", type=int, default=2048)
    parser.add_argument("--parallel", type=int, default=1, help="answers at a time, of both sides")
    parser.add_argument("--before", type=int, default=9, help="prompts that make up a text")
    parser.add_argument("--rounds", type=int, default=4, help="after the first one")
    parser.add_argument("--json", type=Path)
    peer.add_option(parser)
    options = parser.parse_args()
    facts, waits = machine.describe(), compare(options)
    report.save(options.json, {"machine": facts, "waits": [asdict(wait) for wait in waits]})
    print(report.table(HEADERS, rows(waits)))
    print(f"\n{options.target.name}, {options.threads} threads, {options.parallel} at a time")
    print(machine.headline(facts))


if __name__ == "__main__":
    main()
