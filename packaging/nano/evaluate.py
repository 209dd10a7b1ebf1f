"""The evaluation: how often the exported target accepts what the exported drafter proposes."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import llama_cpp
import markup
import numpy as np
from numpy.typing import NDArray

DRAFT_LENGTH = 3
CONTEXT = 1024
NOISE_SEED = 11
QUESTIONS = (
    "What does os.path.join do?",
    "What is len?",
    "How do I use json.dumps?",
    "Explain itertools.chain.",
    "What does str.split do?",
    "What does dict.get do?",
    "Tell me about collections.deque.",
    "What is threading.Lock?",
    "What does time.sleep do?",
    "Explain functools.lru_cache.",
    "What does re.compile do?",
    "How do I use subprocess.run?",
    "What does random.choice do?",
    "What is pathlib.Path?",
    "What does math.sqrt do?",
    "Who are you?",
)


class Network:
    """One exported model: logits after any prefix, with the shared part kept in the cache."""

    def __init__(self, path: Path, threads: int) -> None:
        self._llama = llama_cpp.Llama(
            str(path), n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, verbose=False
        )
        self._held: list[int] = []

    def tokens(self, text: str) -> list[int]:
        return list(self._llama.tokenize(text.encode(), add_bos=True, special=True))

    def text(self, tokens: list[int]) -> str:
        return str(self._llama.detokenize(tokens, special=True), errors="replace")

    def is_end(self, token: int) -> bool:
        vocabulary = llama_cpp.llama_model_get_vocab(self._llama.model)
        return bool(llama_cpp.llama_vocab_is_eog(vocabulary, token))

    def logits(self, prefix: list[int]) -> NDArray[np.float32]:
        shared = 0
        for held, wanted in zip(self._held, prefix[:-1], strict=False):
            if held != wanted:
                break
            shared += 1
        self._llama.n_tokens = shared
        self._llama.eval(prefix[shared:])
        self._held = list(prefix)
        pointer = llama_cpp.llama_get_logits_ith(self._llama.ctx, -1)
        return np.ctypeslib.as_array(pointer, shape=(self._llama.n_vocab(),)).copy()


class Chooser:
    """The argmax of the logits at temperature 0, else of logits plus noise fixed per position."""

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    def choose(self, logits: NDArray[np.float32], position: int) -> int:
        if self._temperature == 0:
            return int(logits.argmax())
        noise = np.random.default_rng((NOISE_SEED, position)).gumbel(size=len(logits))
        return int((logits / self._temperature + noise).argmax())


@dataclass
class Counts:
    """What one set of prompts added up to."""

    prompts: int = 0
    emitted: int = 0
    drafted: int = 0
    accepted: int = 0
    rounds: int = 0
    matched: int = 0

    def report(self) -> dict[str, float | int]:
        return {
            "prompts": self.prompts,
            "emitted": self.emitted,
            "drafted": self.drafted,
            "acceptance": round(self.accepted / max(self.drafted, 1), 4),
            "tokens_per_round": round(self.emitted / max(self.rounds, 1), 3),
            "token_match": round(self.matched / max(self.emitted, 1), 4),
        }


def measure(
    target: Network, drafter: Network, prompt: list[int], limit: int, chooser: Chooser, to: Counts
) -> list[int]:
    """Decode with the target, then replay: what would each round of drafts have got right?"""
    told: list[int] = []
    while len(told) < limit and not (told and target.is_end(told[-1])):
        told.append(chooser.choose(target.logits(prompt + told), len(told)))
    guesses = [chooser.choose(drafter.logits(prompt + told[:at]), at) for at in range(len(told))]
    # Given the same prefix a drafter says the same, so a round's accepted part is a run of matches.
    right = [guess == token for guess, token in zip(guesses, told, strict=True)]
    to.prompts += 1
    to.emitted += len(told)
    to.matched += sum(right)
    at = 0
    while at < len(told):
        drafts = right[at : at + DRAFT_LENGTH]
        accepted = drafts.index(False) if False in drafts else len(drafts)
        to.rounds += 1
        to.drafted += len(drafts)
        to.accepted += accepted
        at += accepted + 1
    return told


def prompt_sets(folder: Path) -> dict[str, list[str]]:
    sets = {}
    for name in ("code", "prose"):
        lines = (folder / f"heldout_{name}.jsonl").read_text(encoding="utf-8").splitlines()
        sets[name] = [json.loads(line)["prompt"] for line in lines]
    return sets | {"chat": [markup.prompt(question) for question in QUESTIONS]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("drafter", type=Path)
    parser.add_argument("prompts", type=Path, help="folder of heldout_{code,prose}.jsonl")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--first", type=int, default=60, help="prompts per set")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.0, 0.8])
    parser.add_argument("--show", type=int, default=0, help="print this many texts per set")
    arguments = parser.parse_args()
    target = Network(arguments.target, arguments.threads)
    drafter = Network(arguments.drafter, arguments.threads)
    for temperature in arguments.temperatures:
        for name, prompts in prompt_sets(arguments.prompts).items():
            counts, chooser = Counts(), Chooser(temperature)
            for index, text in enumerate(prompts[: arguments.first]):
                prompt = target.tokens(text)
                told = measure(target, drafter, prompt, arguments.tokens, chooser, counts)
                if index < arguments.show:
                    print(f"--- {text}>>>{target.text(told)}")
            row = {"set": name, "temperature": temperature, "k": DRAFT_LENGTH}
            print(json.dumps(row | counts.report()), flush=True)


if __name__ == "__main__":
    main()
