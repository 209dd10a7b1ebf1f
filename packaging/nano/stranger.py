"""The stranger: a drafter with a vocabulary of its own, for the tests of the bridges.

Its merges are learnt from the dialogues, the pair's from the corpus; so it cuts code otherwise.
"""

from __future__ import annotations

from pathlib import Path

import chat
import dataset
import tokenizer
import torch
from torch import Tensor
from torch.nn import functional
from training import Plan, Run, Workers, arguments_of

PEAK_RATE = 4e-3
_ROWS, _LENGTH, _CHAT_SHARE = 32, 256, 0.15
_VOCABULARY_SIZE = 4096


def tokenize(tokenizer_file: Path, data: Path) -> None:
    """Learn the vocabulary, and write the pair's data set in it."""
    dialogues = chat.dialogues(dataset.DIALOGUE_SEED)
    learnt = tokenizer.train((dialogue.text for dialogue in dialogues), _VOCABULARY_SIZE)
    learnt.save(str(tokenizer_file))
    dataset.build(tokenizer_file, data)


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--tokenizer", type=Path, help="write it, and --data, and end")
    arguments = parser.parse_args()
    if arguments.tokenizer:
        tokenize(arguments.tokenizer, arguments.data)
        return
    name, workers = "stranger", Workers()
    plan = Plan(name, name, arguments.output, arguments.steps, arguments.seed, PEAK_RATE)
    run, data = Run(plan, workers), dataset.Dataset(arguments.data)
    compiled = torch.compile(run.model)

    def loss_at(step: int) -> Tensor:
        draw, rows = step * workers.count + workers.rank, _ROWS // workers.count
        inputs, targets = data.batch(plan.seed, draw, rows, _LENGTH, _CHAT_SHARE)
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = compiled(inputs)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    run.train(loss_at)


if __name__ == "__main__":
    main()
