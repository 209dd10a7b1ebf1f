"""The target's own samples: batches of continuations, to distil the drafter on."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import model as models
import numpy as np
import torch
from dataset import Dataset
from torch import Tensor, nn
from torch.nn import functional

SEED = 7


@dataclass(frozen=True)
class Round:
    """One batch of samples: from which prompts, how long, and how random."""

    temperature: float
    chat_share: float
    prompt_length: int


ROUNDS = (
    Round(temperature=0.0, chat_share=0.0, prompt_length=64),
    Round(temperature=0.0, chat_share=1.0, prompt_length=24),
    Round(temperature=0.7, chat_share=0.0, prompt_length=64),
    Round(temperature=0.0, chat_share=0.0, prompt_length=96),
    Round(temperature=0.7, chat_share=1.0, prompt_length=24),
    Round(temperature=1.0, chat_share=0.0, prompt_length=64),
)
LENGTH = 257


@torch.inference_mode()
def continuations(model: models.Llama, prompts: Tensor, length: int, temperature: float) -> Tensor:
    """Prompts with what the model says next, each row `length` tokens in all."""
    cache: models.Cache = []
    rows = fresh = prompts
    while rows.shape[1] < length:
        with torch.autocast("cpu", torch.bfloat16):
            states = model.hidden(fresh, cache)[:, -1]
            logits = functional.linear(states, model.embedding.weight).float()
        if temperature > 0:
            noise = -torch.log(torch.empty_like(logits).exponential_())
            logits = logits / temperature + noise
        fresh = logits.argmax(-1, keepdim=True)
        rows = torch.cat((rows, fresh), 1)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="where the .npy file is written")
    parser.add_argument("--batches", type=int, required=True)
    parser.add_argument("--first", type=int, default=0, help="number of the first batch")
    parser.add_argument("--rows", type=int, default=256)
    arguments = parser.parse_args()
    model, _ = models.load(arguments.target)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.to(torch.bfloat16)
    data, sampled = Dataset(arguments.data), []
    for number in range(arguments.first, arguments.first + arguments.batches):
        since, kind = time.monotonic(), ROUNDS[number % len(ROUNDS)]
        torch.manual_seed(SEED + number)
        prompts, _ = data.batch(SEED, number, arguments.rows, kind.prompt_length, kind.chat_share)
        rows = continuations(model, prompts, LENGTH, kind.temperature)
        sampled.append(rows.numpy().astype(np.uint16))
        seconds = time.monotonic() - since
        print(f"batch {number}: {rows.numel()} tokens, {seconds:.1f} s", flush=True)
        np.save(arguments.output, np.concatenate(sampled))


if __name__ == "__main__":
    main()
