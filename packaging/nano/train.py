"""Pretraining: the target, on the corpus and the dialogues."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from dataset import Dataset
from torch import Tensor
from torch.nn import functional
from training import Plan, Run, Workers, arguments_of

PEAK_RATE = 3e-3


@dataclass(frozen=True)
class Phase:
    """What a stretch of the run draws: up to which share of the steps, and which windows."""

    until: float
    rows: int
    length: int
    chat_share: float


PHASES = (
    Phase(until=0.60, rows=32, length=256, chat_share=0.25),
    Phase(until=0.78, rows=32, length=256, chat_share=0.50),
    Phase(until=1.00, rows=8, length=1024, chat_share=0.50),
)


def main() -> None:
    arguments = arguments_of(__doc__).parse_args()
    plan = Plan("target", "target", arguments.output, arguments.steps, arguments.seed, PEAK_RATE)
    workers, data = Workers(), Dataset(arguments.data)
    run = Run(plan, workers)
    compiled = torch.compile(run.model)

    def loss_at(step: int) -> Tensor:
        phase = next(phase for phase in PHASES if step < phase.until * plan.steps)
        draw, rows = step * workers.count + workers.rank, phase.rows // workers.count
        inputs, targets = data.batch(plan.seed, draw, rows, phase.length, phase.chat_share)
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = compiled(inputs)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    run.train(loss_at)


if __name__ == "__main__":
    main()
