"""The finish: a last short stretch for the target, mostly about the names that are asked most."""

from __future__ import annotations

from pathlib import Path

import torch
from dataset import Dataset
from torch import Tensor
from torch.nn import functional
from training import Plan, Run, Workers, arguments_of

PEAK_RATE = 1.5e-3
WARMUP_STEPS = 10
ROWS, LENGTH = 32, 256
CHAT_SHARE = 0.7
FAVOURITE_WEIGHT = 8.0
FIRST_DRAW = 1_000_000


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--target", type=Path, required=True, help="the pretrained checkpoint")
    arguments = parser.parse_args()
    plan = Plan(
        name="finished",
        shape="target",
        output=arguments.output,
        steps=arguments.steps,
        seed=arguments.seed,
        peak_rate=PEAK_RATE,
        warmup=WARMUP_STEPS,
        start=arguments.target,
    )
    workers, data = Workers(), Dataset(arguments.data, FAVOURITE_WEIGHT)
    run = Run(plan, workers)
    compiled = torch.compile(run.model)

    def loss_at(step: int) -> Tensor:
        draw, rows = FIRST_DRAW + step * workers.count + workers.rank, ROWS // workers.count
        inputs, targets = data.batch(plan.seed, draw, rows, LENGTH, CHAT_SHARE)
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = compiled(inputs)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    run.train(loss_at)


if __name__ == "__main__":
    main()
