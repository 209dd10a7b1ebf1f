"""The built-in pair, a drafter of its vocabulary that knows nothing, and prompts for them."""

import json
import shutil
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from random import Random

import gguf
import numpy as np

import edgespec
from edgespec.acceptance import AcceptanceModel
from edgespec.bridging.choice import Bridge
from edgespec.engine import Engine
from edgespec.events import Request, StepEvent, Token
from edgespec.protocols import Context, ContextOptions, Model
from edgespec.sampling.params import SamplingParams
from edgespec.sources.drafter import ModelDrafter
from edgespec.sources.suffix import SuffixMatch
from tests.policies import Told

NANO = Path(edgespec.__file__).parent / "nano"
TARGET, DRAFTER = NANO / "target-q8_0.gguf", NANO / "drafter-q8_0.gguf"
HELD_OUT = sorted((Path(__file__).parents[1] / "data").glob("heldout_*.jsonl"))
SNIPPETS = (
    "def main():\n    ",
    "import os\nimport sys\n\n\n",
    "for i in range(10):\n    print(i)\nfor i in range(10):\n    ",
    "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = y\n\n    ",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2,",
    "Return the",
    "é€😀 ",
)
N_CTX = 1024
LANES = 4


def scrambled(source: Path, to: Path) -> Path:
    """A copy of a Q8_0 file whose weights are those of `source` in random order."""
    shutil.copyfile(source, to)
    random = np.random.default_rng(0)
    data = np.memmap(to, np.uint8, "r+")
    block = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType.Q8_0][1]
    for tensor in gguf.GGUFReader(source).tensors:
        if tensor.tensor_type == gguf.GGMLQuantizationType.Q8_0:
            begin, end = tensor.data_offset, tensor.data_offset + tensor.n_bytes
            random.shuffle(data[begin:end].reshape(-1, block))
    data.flush()
    return to


class Pair:
    """An engine of the target and one source. ONNX contexts have one lane.

    With `trees` every other round verifies several branches.
    """

    def __init__(
        self,
        target: Model,
        drafter: Model | None,
        *,
        overlap: bool = False,
        trees: bool = False,
        lanes: int = LANES,
        bridge: Bridge | None = None,
        flash: bool = True,
    ) -> None:
        options = ContextOptions(n_ctx=N_CTX, max_outputs=17)
        contexts: list[Context] = [target.context(replace(options, branches=16, flash=flash))]
        source = None
        if drafter:
            contexts.append(drafter.context(replace(options, max_sequences=lanes)))
            if bridge:
                contexts[1] = bridge.over(contexts[1])
            source = ModelDrafter(contexts[1], target.tokenizer.n_vocab, lanes)

        def close() -> None:
            for context in contexts:
                context.close()

        self.policy = Told([0], overlap=overlap, branching=trees)
        self.engine = Engine(
            target,
            contexts[0],
            self.policy,
            AcceptanceModel(),
            [] if drafter else [SuffixMatch()],
            source,
            close,
        )

    def answer(self, request: Request, length: int) -> list[Token]:
        """The tokens of the answer with `length` drafts per round (0: without speculation).

        Nothing is cached before: a prompt of which a part was read earlier is cut into other steps,
        and those of 64 tokens and more round otherwise.
        """
        with self.engine.lent() as held:
            held.clear()
        return [event for event in self.begin(request, length) if isinstance(event, Token)]

    def begin(self, request: Request, length: int) -> Generator[StepEvent]:
        """The events of the answer, so far unread."""
        self.policy.tell([length])
        return self.engine.generate(replace(request, speculate=length > 0))


class Prompts:
    """Token ids to begin with: a held-out text, a snippet, or several of them in a row."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._texts = [
            json.loads(line)["prompt"]
            for file in HELD_OUT
            for line in file.read_text(encoding="utf-8").splitlines()
        ]

    def short(self, random: Random) -> tuple[int, ...]:
        """Up to 100 tokens."""
        text = random.choice([*random.sample(self._texts, 4), random.choice(SNIPPETS)])
        return self._encode(text)[:100]

    def long(self, random: Random, size: int) -> tuple[int, ...]:
        """Exactly `size` tokens."""
        return self._encode("\n\n".join(random.sample(self._texts, 20)))[:size]

    def _encode(self, text: str) -> tuple[int, ...]:
        ids = self._model.tokenizer.encode(text, add_special=True, parse_special=False)
        return tuple(ids)


def random_sampling(random: Random) -> SamplingParams:
    """Greedy once in five times, else any temperature up to 1.2; sometimes with penalties."""
    temperature = random.choice([0.0, *(random.uniform(0.0, 1.2) for _ in range(4))])
    return SamplingParams(
        temperature,
        top_k=random.choice([0, 40]),
        min_p=random.choice([0.0, 0.05]),
        repeat_penalty=random.choice([1.0, 1.0, 1.1]),
        seed=random.getrandbits(64),
    )


@dataclass
class Comparison:
    """How answers with speculation compared with the ones without it."""

    answers: int = 0
    tokens: int = 0
    ties: int = 0
    excused: int = 0
    unexcused: list[str] = field(default_factory=list)

    def add(self, name: str, plain: Sequence[Token], other: Sequence[Token]) -> None:
        """Compare two answers up to the first difference, which only a flagged tie excuses."""
        self.answers += 1
        self.tokens += len(plain)
        self.ties += sum(token.tie for token in plain)
        for mine, theirs in zip_longest(plain, other):
            if mine and theirs and mine.id == theirs.id:
                continue
            if any(token and token.tie for token in (mine, theirs)):
                self.excused += 1
            else:
                self.unexcused.append(f"{name}: {mine} became {theirs}")
            return

    def __str__(self) -> str:
        return (
            f"{self.answers} answers, {self.tokens} tokens, {self.ties} flagged as ties; "
            f"{self.excused} answers diverged at a tie, {len(self.unexcused)} elsewhere"
        )
