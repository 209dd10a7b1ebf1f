"""`edgespec serve` against llama-server, over HTTP: so many streams at a time, in turns.

Each stream asks for its next answer as soon as it has the last one. A turn is the same prompts with
the same seeds and sampling on every side, each time another side first. Both are started for as
many answers at a time as there are streams, llama-server once for each mode of speculation; its
best one counts. With `--before N`, each prompt stands behind N others: longer contexts.
With one stream edgespec's engine takes part without a server: the difference is what serving costs.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import perf_counter, sleep

import machine
import peer
import prompts
import report
import subject
from server import serving

Side = Callable[[Sequence[str], int], int]
"""Answers prompts, the first with the given seed, and returns how many tokens that took."""

HEADERS = ("side", "streams", "tok/s", "edgespec is")
KEY = "bench"
_PLAIN = ("plain", list[str]())


@dataclass(frozen=True, slots=True)
class Turn:
    """One side's answers to the prompts of one turn."""

    side: str
    streams: int
    tokens: int
    seconds: float


def over_http(port: int, streams: int, options: argparse.Namespace) -> Side:
    """A server that speaks OpenAI's API, asked by so many streams."""

    def ask(prompt: str, seed: int) -> int:
        body = {
            "model": options.target.stem,
            "prompt": prompt,
            "seed": seed,
            "temperature": options.temperature,
            "max_tokens": options.tokens,
            "top_k": 40,
            "top_p": 0.95,
            "min_p": 0.05,
        }
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
        connection = HTTPConnection("127.0.0.1", port, timeout=600)
        try:
            connection.request("POST", "/v1/completions", json.dumps(body), headers)
            reply = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return int(reply["usage"]["completion_tokens"])

    def side(asked: Sequence[str], seed: int) -> int:
        with ThreadPoolExecutor(streams) as clients:
            return sum(clients.map(ask, asked, range(seed, seed + len(asked))))

    return side


@contextmanager
def edgespec_server(options: argparse.Namespace, streams: int) -> Iterator[int]:
    """The port of a running `edgespec serve`."""
    command = [sys.executable, "-m", "edgespec", "serve", "--port", "0", "--api-key", KEY]
    command += ["--model", str(options.target), "--drafter", str(options.drafter)]
    command += ["--threads", str(options.threads), "--context", str(options.n_ctx)]
    command += ["--parallel", str(streams)]
    with NamedTemporaryFile("r") as log:
        process = subprocess.Popen(command, stderr=log.fileno())
        try:
            yield _port(process, Path(log.name))
        finally:
            process.terminate()
            process.wait()


def _port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    while process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/v1", log.read_text())
        if found and _healthy(int(found[1])):
            return int(found[1])
        sleep(0.1)
    raise SystemExit(f"edgespec did not start:\n{log.read_text()}")


def _healthy(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        # The socket is there before the model is; then this waits.
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def engine(options: argparse.Namespace) -> Iterator[Side]:
    """edgespec's engine in this process, as `edgespec run` uses it."""
    with subject.open_engine(
        options.target, options.drafter, options.n_ctx, options.threads
    ) as running:
        encode = running.target.tokenizer.encode

        def side(asked: Sequence[str], seed: int) -> int:
            return sum(
                subject.answer(
                    running,
                    encode(prompt, add_special=True, parse_special=True),
                    options.tokens,
                    temperature=options.temperature,
                    seed=seed + number,
                ).tokens
                for number, prompt in enumerate(asked)
            )

        yield side


def modes(options: argparse.Namespace) -> list[tuple[str, list[str]]]:
    """llama-server's ways of speculating that are tried."""
    drafter = ["--spec-type", "draft-simple", "--model-draft", str(options.drafter)]
    drafting = [(f"draft n={n}", [*drafter, "--spec-draft-n-max", str(n)]) for n in options.n_max]
    return [_PLAIN, *drafting, ("ngram-mod", ["--spec-type", "ngram-mod"])]


def compare(options: argparse.Namespace, streams: int, program: Path) -> list[Turn]:
    """All sides with so many streams, in turns."""
    with ExitStack() as stack:
        port = stack.enter_context(edgespec_server(options, streams))
        sides = {"edgespec serve": over_http(port, streams, options)}
        if streams == 1:
            sides["edgespec engine"] = stack.enter_context(engine(options))
        for name, flags in modes(options):
            n_ctx = options.n_ctx * streams
            mode = ["--parallel", str(streams), *flags]
            rival = serving(program, options.target, n_ctx, options.threads, mode)
            server = stack.enter_context(rival)
            sides[f"llama-server {name}"] = over_http(server.port, streams, options)
        return list(_turns(options, streams, sides))


def _turns(options: argparse.Namespace, streams: int, sides: dict[str, Side]) -> Iterator[Turn]:
    texts = prompts_behind(options.before)
    count = max(streams * options.answers, options.least)
    names = list(sides)
    for side in sides.values():
        side(texts[:1], 0)
    for turn in range(options.rounds):
        asked = [texts[(7 * (turn * count + n)) % len(texts)] for n in range(count)]
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            begin = perf_counter()
            tokens = sides[name](asked, turn * count)
            yield Turn(name, streams, tokens, perf_counter() - begin)


def prompts_behind(before: int) -> list[str]:
    """All held-out prompts, each behind so many others."""
    texts = [text for name in prompts.HELD_OUT for text in prompts.held_out(name)]
    around = [*texts, *texts]
    return ["\n\n".join(around[n : n + before + 1]) for n in range(len(texts))]


def rates(turns: Sequence[Turn]) -> dict[str, float]:
    """Tokens per second of each side over all its turns."""
    names = dict.fromkeys(turn.side for turn in turns)
    found = {name: [turn for turn in turns if turn.side == name] for name in names}
    return {
        name: sum(turn.tokens for turn in own) / sum(turn.seconds for turn in own)
        for name, own in found.items()
    }


def rows(turns: Sequence[Turn]) -> list[tuple[object, ...]]:
    """For the table: every side with so many streams, and how the server compares."""
    found: list[tuple[object, ...]] = []
    for streams in dict.fromkeys(turn.streams for turn in turns):
        speeds = rates([turn for turn in turns if turn.streams == streams])
        for name, rate in speeds.items():
            found.append((name, str(streams), rate, f"{speeds['edgespec serve'] / rate:.2f}"))
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    nano = Path(__file__).resolve().parent.parent / "edgespec" / "nano"
    parser.add_argument("target", type=Path)
    parser.add_argument("--drafter", type=Path, default=nano / "drafter-q8_0.gguf")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--n-ctx", type=int, default=1024)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--answers", type=int, default=2, help="per stream and turn")
    parser.add_argument("--least", type=int, default=4, help="answers of a turn, all streams'")
    parser.add_argument("--before", type=int, default=0, help="prompts before each prompt")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--n-max", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--json", type=Path)
    peer.add_option(parser)
    return parser.parse_args()


def main() -> None:
    options = _options()
    program = peer.ensure(options.peer_dir).server
    facts, turns = machine.describe(), list[Turn]()
    for streams in options.streams:
        found = compare(options, streams, program)
        turns += found
        print(f"{report.table(HEADERS, rows(found))}\n", flush=True)
        report.save(options.json, {"machine": facts, "turns": [asdict(turn) for turn in turns]})
    print(f"{options.target.name} with {options.drafter.name}, {options.threads} threads")
    print(machine.headline(facts))


if __name__ == "__main__":
    main()
