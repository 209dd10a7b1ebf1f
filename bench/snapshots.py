"""How much sooner a long conversation answers from a snapshot than by reading it again.

python bench/snapshots.py --model TWIN [--drafter FILE] [--tokens N] [--threads N]
"""

import argparse
import tempfile
import time
from pathlib import Path

from edgespec.catalog import resolve
from edgespec.engine import Engine
from edgespec.events import Request, Token
from edgespec.loading import LoadOptions, load
from edgespec.sampling.params import SamplingParams
from edgespec.snapshots import SnapshotStore

LIMIT = 4 << 30


def first_token(engine: Engine, prompt: tuple[int, ...]) -> float:
    """Seconds until the first token is there."""
    request = Request(prompt, SamplingParams(temperature=0.0), max_tokens=2)
    begin = time.perf_counter()
    for event in engine.generate(request):
        if isinstance(event, Token):
            return time.perf_counter() - begin
    raise AssertionError("an answer without a token")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", required=True)
    parser.add_argument("--drafter")
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    pair = resolve(options.model, options.drafter)
    settings = LoadOptions(n_ctx=options.tokens + 256, threads=options.threads)
    prompt = tuple(100 + n % 4000 for n in range(options.tokens))
    question = (*prompt, *range(200, 220))
    with tempfile.TemporaryDirectory() as folder:
        store = SnapshotStore(Path(folder), LIMIT)
        with load(pair, settings) as engine:
            read = first_token(engine, prompt)
            snapshot = engine.snapshot(LIMIT)
            assert snapshot
            begin = time.perf_counter()
            store.save("talk", engine.fingerprint, snapshot)
            saved = time.perf_counter() - begin
            size = len(snapshot.target) + len(snapshot.drafter)
        with load(pair, settings) as engine:
            begin = time.perf_counter()
            kept = store.load("talk", engine.fingerprint)
            assert kept
            assert engine.adopt(kept)
            adopted = time.perf_counter() - begin
            further = first_token(engine, question)
    print(f"{options.tokens} tokens read: {read:.2f} s to the first token")
    print(
        f"a snapshot of {size / 1e6:.0f} MB: {adopted:.2f} s to load, {further:.2f} s for 20 more"
    )
    print(f"so {read / (adopted + further):.1f} times sooner")
    print(f"saving took {saved:.2f} s beside the chat")


if __name__ == "__main__":
    main()
