"""Distillation: the drafter learns what the target would say, on real text and on its samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import model as models
import numpy as np
import torch
from dataset import Dataset, Tokens
from torch import Tensor, nn
from torch.nn import functional
from training import Plan, Run, Workers, arguments_of

PEAK_RATE = 4e-3
# Greedy drafts need the target's first choice, sampled ones its whole distribution.
FIRST_CHOICE_WEIGHT = 0.3
CHAT_SHARE = 0.3


@dataclass(frozen=True)
class Phase:
    """What a stretch of the run draws, and how many of its rows are the target's samples."""

    until: float
    rows: int
    length: int
    sampled_share: float


PHASES = (
    Phase(until=0.29, rows=32, length=256, sampled_share=0.25),
    Phase(until=0.38, rows=32, length=256, sampled_share=0.60),
    Phase(until=1.00, rows=32, length=256, sampled_share=0.75),
)


class Batches:
    """Inputs, some from the data set and some from the target's samples."""

    def __init__(self, data: Dataset, samples: Tokens, workers: Workers, seed: int) -> None:
        self._data, self._samples, self._workers, self._seed = data, samples, workers, seed

    def draw(self, step: int, phase: Phase) -> Tensor:
        number = step * self._workers.count + self._workers.rank
        rows = phase.rows // self._workers.count
        sampled = round(rows * phase.sampled_share)
        real, _ = self._data.batch(self._seed, number, rows - sampled, phase.length, CHAT_SHARE)
        return torch.cat((real, self._sampled(number, sampled, phase.length)))

    def _sampled(self, number: int, rows: int, length: int) -> Tensor:
        random = np.random.default_rng((self._seed, number, 1))
        per_row = length // (self._samples.shape[1] - 1)
        chosen = self._samples[random.integers(len(self._samples), size=rows * per_row), :-1]
        return torch.from_numpy(chosen.astype(np.int64)).view(rows, length)


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy to the teacher's distribution, sharpened towards its first choice."""
    student, teacher = student.flatten(0, 1).float(), teacher.flatten(0, 1).float()
    soft = functional.cross_entropy(student, teacher.softmax(-1))
    hard = functional.cross_entropy(student, teacher.argmax(-1))
    return (1 - FIRST_CHOICE_WEIGHT) * soft + FIRST_CHOICE_WEIGHT * hard


class Objective(nn.Module):
    """The student's loss; the teacher only answers."""

    def __init__(self, student: models.Llama, teacher: models.Llama) -> None:
        super().__init__()
        self._student, self._teacher = student, teacher.requires_grad_(False)

    def forward(self, tokens: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            teacher = self._teacher(tokens)
            return divergence(self._student(tokens), teacher)


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--samples", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()
    plan = Plan("drafter", "drafter", arguments.output, arguments.steps, arguments.seed, PEAK_RATE)
    workers, data = Workers(), Dataset(arguments.data)
    samples = np.concatenate([np.load(file) for file in arguments.samples])
    batches = Batches(data, samples, workers, plan.seed)
    run = Run(plan, workers)
    teacher, _ = models.load(arguments.target)
    objective = torch.compile(Objective(run.model, teacher))

    def loss_at(step: int) -> Tensor:
        phase = next(phase for phase in PHASES if step < phase.until * plan.steps)
        loss: Tensor = objective(batches.draw(step, phase))
        return loss

    run.train(loss_at)


if __name__ == "__main__":
    main()
