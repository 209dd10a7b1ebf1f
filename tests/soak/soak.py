"""Hours of mixed use, compressed into cycles that each do the same work.

Chats in one engine, batches in another, conversations and snapshots on disk, answers that are
stopped. After the first cycles, nothing may grow, and what was learnt may not drift. The server has
a soak of its own, serve.py.
"""

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from edgespec.batch.answers import NativeAnswers
from edgespec.batch.formats import FORMATS, FormatName
from edgespec.batch.ledger import open_file
from edgespec.batch.manners import Manners
from edgespec.batch.output import Order
from edgespec.batch.prepare import Preparer
from edgespec.batch.rows import Settings
from edgespec.batch.run import Batch
from edgespec.batch.source import open_source
from edgespec.batch.workers import working
from edgespec.catalog import resolve
from edgespec.chat import ChatFormat
from edgespec.cli.plain.conversation import Conversation
from edgespec.events import Request
from edgespec.loading import LoadOptions, load_parts
from edgespec.sampling.params import SamplingParams
from edgespec.snapshots import SnapshotStore
from edgespec.sources.suffix import SuffixMatch
from edgespec.store.store import Store
from edgespec.store.talk import Talk

SETTLED = 0.6
"""Part of the cycles after which nothing may grow any more."""
MEMORY = 16 << 20
"""Bytes: allocators keep some, and what is rarely done comes late: once 12 MiB, in cycle 18."""
DRIFT = 4.0
"""Factor by which a step's cost may have changed since; a busy machine does that."""
LEARNT = 0.25
"""By how much the expected acceptance may have changed since."""
QUESTIONS = ("What does len do?", "def main():", "import os", "Hello!")


@dataclass(frozen=True, slots=True)
class Look:
    """What a cycle left: bytes of memory that no file is behind, open files, threads, bytes on
    disk, seconds of a step, and the expected acceptance of the drafter."""

    memory: int
    files: int
    threads: int
    disk: int
    step: float
    acceptance: float


class Soak:
    """The things that live as long as the run; `folder` is where they keep their files."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        pair = resolve(None, None)
        self._folder = folder
        self._parts = load_parts(pair, LoadOptions(n_ctx=1024, threads=1))
        self._engine = stack.enter_context(self._parts.engine([SuffixMatch()]))
        self._store = stack.enter_context(Store(folder / "conversations.db"))
        self._snapshots = SnapshotStore(folder / "snapshots", 32 << 20)

    def cycle(self) -> Look:
        """Do everything once."""
        self._chat()
        self._batch()
        return self._look()

    def _chat(self) -> None:
        """A conversation of some turns, one of them stopped; kept, taken up, and deleted."""
        sampling = SamplingParams(temperature=0.8, seed=7)
        settings = Request((), sampling, max_tokens=24)
        talk = Talk(self._store)
        conversation = Conversation(settings, talk)
        conversation.use(ChatFormat.of(self._engine.target), self._engine.n_ctx)
        for turn, question in enumerate(QUESTIONS):
            self._answer(conversation, conversation.ask(question), turn == 2)
        if snapshot := self._engine.snapshot(16 << 20):
            self._snapshots.save("talk", self._engine.fingerprint, snapshot)
            kept = self._snapshots.load("talk", self._engine.fingerprint)
            assert kept is not None
            self._engine.adopt(kept)
        assert talk.id is not None
        assert len(Talk(self._store, talk.id).path()) == 2 * len(QUESTIONS)
        self._store.execute("DELETE FROM conversation WHERE id = ?", (talk.id,))

    def _answer(self, conversation: Conversation, request: Request, stopped: bool) -> None:
        with closing(self._engine.generate(request)) as events:
            for number, event in enumerate(events):
                conversation.write(getattr(event, "piece", "") or " " * (number == 0))
                if stopped and number == 4:
                    break
        conversation.end({"reason": "soak"})

    def _batch(self) -> None:
        """Some rows at a time through journal and output."""
        rows, output = self._folder / "rows.jsonl", self._folder / "answers.jsonl"
        rows.write_text("".join(f'{{"prompt": "{one}", "max_tokens": 16}}\n' for one in QUESTIONS))
        for file in self._folder.glob("answers.jsonl*"):
            file.unlink()
        with ExitStack() as stack:
            source = open_source(str(rows))
            stack.callback(source.close)
            settings = Settings(sampling=SamplingParams(seed=1))
            ledger = open_file(output, source, {"seed": 1}, Order.INPUT, stack)
            parts = load_parts(resolve(None, None), LoadOptions(512, threads=1, sequences=2))
            executor = stack.enter_context(working(parts, 2, Manners(), speculate=True))
            preparer = Preparer(parts.target, parts.n_ctx, speculate=True)
            form = FORMATS[FormatName.JSONL]
            batch = Batch(source, form, settings, preparer, NativeAnswers(), executor, ledger)
            for _ in batch.run():
                pass
        assert len(output.read_text().splitlines()) == len(QUESTIONS)

    def _look(self) -> Look:
        self._store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        process = psutil.Process()
        disk = sum(file.stat().st_size for file in self._folder.rglob("*") if file.is_file())
        return Look(
            anonymous(process),
            process.num_fds(),
            process.num_threads(),
            disk,
            self._engine.costs.verify(1, 0),
            self._parts.acceptance.rate("drafter") or 0.0,
        )


def anonymous(process: psutil.Process) -> int:
    """Bytes of memory without mapped files: weights come in and go as the system likes."""
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


def complaints(settled: Look, last: Look) -> list[str]:
    """What grew or drifted."""
    found = {
        "memory grew": last.memory > settled.memory + MEMORY,
        "files stay open": last.files > settled.files,
        "threads stay": last.threads > settled.threads,
        "files on disk grew": last.disk > 1.1 * settled.disk,
        "costs drift": not 1 / DRIFT < last.step / settled.step < DRIFT,
        "acceptance drifts": abs(last.acceptance - settled.acceptance) > LEARNT,
    }
    return [what for what, is_so in found.items() if is_so]
