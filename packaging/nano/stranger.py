"""The stranger: a drafter with a vocabulary of its own, for the tests of the bridges.

Its merges are learnt from half of the corpus, the pair's from all of it. It begins as the exported
drafter, each row of whose embedding becomes that of what the drafter's tokens spell, and learns the
corpus and what the exported target says, both cut by its own tokenizer.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import corpus
import dataset
import gguf
import model as models
import numpy as np
import tokenizer
import torch
from export import gguf_name
from markup import END_OF_TEXT_ID
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from training import Plan, Run, Workers

PEAK_RATE = 2e-3
_ROWS, _LENGTH, _CHAT_SHARE, _SAMPLED_SHARE = 32, 256, 0.1, 0.5
_VOCABULARY_SIZE = 4096
_PROMPTS, _CHARACTERS, _SEED = 800, 240, 3


def write_prompts(output: Path) -> None:
    """Places of the corpus that the target is to continue, half of them greedily."""
    random, texts = np.random.default_rng(_SEED), corpus.training_texts()
    with output.open("w", encoding="utf-8") as file:
        for number in range(_PROMPTS):
            text = texts[random.integers(len(texts))]
            start = int(random.integers(max(len(text) - _CHARACTERS, 1)))
            prompt = text[start : start + _CHARACTERS]
            row = {"prompt": prompt, "temperature": 0.8 * (number % 2), "seed": number}
            file.write(json.dumps(row) + "\n")


def write_data(prompts: Path, answers: Path, output: Path) -> None:
    """The vocabulary, and in it the pair's data set and what the target said."""
    tokenizer_file = output / "stranger.json"
    learnt = tokenizer.train(corpus.training_texts()[::2], _VOCABULARY_SIZE)
    learnt.save(str(tokenizer_file))
    dataset.build(tokenizer_file, output / "stranger.npz")
    said: list[int] = []
    for prompt, answer in zip(_rows(prompts), _rows(answers), strict=False):
        if text := answer.get("text"):
            said += [END_OF_TEXT_ID, *learnt.encode(prompt["prompt"] + text).ids]
    np.save(output / "stranger-samples.npy", np.array(said, np.uint16))


def begin(drafter: Path, drafter_tokenizer: Path, output: Path) -> None:
    """The drafter with another vocabulary: an unknown token is the mean of those that spell it."""
    weights = {tensor.name: tensor for tensor in gguf.GGUFReader(drafter).tensors}
    model = models.Llama(models.SHAPES["stranger"])
    theirs, mine = tokenizer.load(drafter_tokenizer), tokenizer.load(output / "stranger.json")
    for name, parameter in model.named_parameters():
        tensor = weights[gguf_name(name)]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if name == "embedding.weight":
            spelt = [_spelling(theirs, mine, token) for token in range(_VOCABULARY_SIZE)]
            values = np.stack([values[ids].mean(axis=0) for ids in spelt])
        parameter.data.copy_(torch.from_numpy(values.reshape(parameter.shape)))
    models.save(output / "stranger-start.pt", model)


def _spelling(theirs: Tokenizer, mine: Tokenizer, token: int) -> list[int]:
    text = mine.id_to_token(token)
    known = theirs.token_to_id(text)
    if known is not None:
        return [known]
    ids: list[int] = [entry.id for entry in theirs.model.tokenize(text)]
    return ids


def _rows(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


class Batches:
    """Windows of the data set and of the samples."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._data = dataset.Dataset(folder / "stranger.npz")
        self._samples = np.load(folder / "stranger-samples.npy").astype(np.int64)
        self._seed = seed

    def draw(self, number: int, rows: int) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng((self._seed, number, 1))
        sampled = round(rows * _SAMPLED_SHARE)
        starts = random.integers(len(self._samples) - _LENGTH - 1, size=sampled)
        windows = torch.from_numpy(np.stack([self._samples[s : s + _LENGTH + 1] for s in starts]))
        inputs, targets = self._data.batch(self._seed, number, rows - sampled, _LENGTH, _CHAT_SHARE)
        return torch.cat((inputs, windows[:, :-1])), torch.cat((targets, windows[:, 1:]))


def train(output: Path, steps: int, seed: int) -> None:
    """Begin or go on."""
    workers = Workers()
    start = output / "stranger-start.pt"
    plan = Plan("stranger", "stranger", output, steps, seed, PEAK_RATE, warmup=20, start=start)
    run = Run(plan, workers)
    batches, compiled = Batches(output, seed), torch.compile(run.model)

    def loss_at(step: int) -> Tensor:
        inputs, targets = batches.draw(step * workers.count + workers.rank, _ROWS // workers.count)
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = compiled(inputs)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    run.train(loss_at)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, *files in (
        ("prompts", "output"),
        ("data", "prompts", "answers", "output"),
        ("begin", "drafter", "drafter_tokenizer", "output"),
    ):
        command = commands.add_parser(name)
        for file in files:
            command.add_argument(file, type=Path)
    command = commands.add_parser("train")
    command.add_argument("output", type=Path)
    command.add_argument("--steps", type=int, required=True)
    command.add_argument("--seed", type=int, default=0)
    chosen = vars(parser.parse_args())
    steps = {"prompts": write_prompts, "data": write_data, "begin": begin, "train": train}
    steps[chosen.pop("command")](**chosen)


if __name__ == "__main__":
    main()
