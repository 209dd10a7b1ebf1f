"""The training loop: optimizers, rate, log, checkpoints, worker processes."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import model as models
import torch
import torch.distributed as dist
from torch import Tensor, nn

CHECKPOINT_EVERY = 100
LOG_EVERY = 20
DECAY_FROM = 0.60


@dataclass(frozen=True)
class Plan:
    """Which model is trained, for how long, and where its files go."""

    name: str
    shape: str
    output: Path
    steps: int
    seed: int
    peak_rate: float
    warmup: int = 60
    start: Path | None = None  # the weights a run without a checkpoint of its own begins with

    @property
    def checkpoint(self) -> Path:
        return self.output / f"{self.name}.pt"

    def rate(self, step: int) -> float:
        """Warm-up, a plateau, then a fall to (almost) zero."""
        left = (self.steps - step) / ((1 - DECAY_FROM) * self.steps)
        return self.peak_rate * min((step + 1) / self.warmup, 1.0, max(left, 0.01))


class Optimizers:
    """Muon for the matrices, AdamW for the embedding and the norms, driven as one."""

    def __init__(self, model: models.Llama) -> None:
        matrices = [p for n, p in model.named_parameters() if "blocks" in n and p.dim() == 2]
        others = [p for n, p in model.named_parameters() if "blocks" not in n or p.dim() != 2]
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
        ]

    def step(self, rate: float) -> None:
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self._parts]

    def restore(self, state: list[dict[str, Any]]) -> None:
        for part, saved in zip(self._parts, state, strict=True):
            part.load_state_dict(saved)


class Log:
    """One JSON line per report, appended so that a resumed run continues the file."""

    def __init__(self, file: Path, run: str) -> None:
        self._file, self._run = file, run
        self._since = time.monotonic()

    def write(self, step: int, loss: float, rate: float) -> None:
        now = time.monotonic()
        seconds, self._since = round(now - self._since, 1), now
        row = {"run": self._run, "step": step, "loss": round(loss, 4), "rate": round(rate, 7)}
        line = json.dumps(row | {"seconds": seconds})
        with self._file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)


class StopRequest:
    """Becomes true at SIGTERM or SIGINT, so that the run ends with a checkpoint."""

    def __init__(self) -> None:
        self.made = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, *_: object) -> None:
        self.made = True


class Workers:
    """The processes of one run (one, or as many as torchrun started); each takes a share of rows.

    One thread per process: on a busy machine, threads that meet after every operation wait for
    each other far longer than processes that meet once per step.
    """

    def __init__(self) -> None:
        self.rank, self.count = 0, 1
        if "WORLD_SIZE" in os.environ:
            dist.init_process_group("gloo")
            self.rank, self.count = dist.get_rank(), dist.get_world_size()

    def average(self, model: nn.Module, *values: float) -> list[float]:
        """Average the gradients over the processes, and the given values with them."""
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor(values)])
        if self.count > 1:
            dist.all_reduce(flat)
            flat /= self.count
            sizes = [*(g.numel() for g in gradients), len(values)]
            for gradient, mean in zip(gradients, torch.split(flat, sizes)[:-1], strict=True):
                gradient.copy_(mean.view_as(gradient))
        means: list[float] = flat[len(flat) - len(values) :].tolist()
        return means


class Run:
    """One training run: what it continues from, and what it has learnt since."""

    def __init__(self, plan: Plan, workers: Workers) -> None:
        self._plan, self._workers, self._step = plan, workers, 0
        torch.manual_seed(plan.seed)
        self.model, saved = models.Llama(models.SHAPES[plan.shape]), None
        if plan.start:
            self.model, _ = models.load(plan.start)
        if plan.checkpoint.exists():
            self.model, state = models.load(plan.checkpoint)
            self._step, saved = state["step"], state["optimizers"]
        self._optimizers = Optimizers(self.model)
        if saved:
            self._optimizers.restore(saved)

    def train(self, loss_at: Callable[[int], Tensor]) -> None:
        """Minimize the loss that the caller computes for each step."""
        log, stop = Log(self._plan.output / "training-log.jsonl", self._plan.name), StopRequest()
        losses: list[float] = []
        stopping = 0.0
        while self._step < self._plan.steps and not stopping:
            loss, stopping = self._advance(loss_at(self._step), stop)
            losses.append(loss)
            if self._workers.rank == 0 and self._step % LOG_EVERY == 0:
                log.write(self._step, sum(losses) / len(losses), self._plan.rate(self._step))
                losses.clear()
            if self._step % CHECKPOINT_EVERY == 0:
                self._save()
        self._save()

    def _advance(self, loss: Tensor, stop: StopRequest) -> list[float]:
        """One step; the mean loss, and whether any process was asked to stop."""
        torch.autograd.backward(loss)
        means = self._workers.average(self.model, loss.item(), float(stop.made))
        if not math.isfinite(means[0]):
            raise FloatingPointError(f"loss is {means[0]} at step {self._step}")
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizers.step(self._plan.rate(self._step))
        self._step += 1
        return means

    def _save(self) -> None:
        if self._workers.rank == 0:
            state = self._optimizers.state()
            models.save(self._plan.checkpoint, self.model, step=self._step, optimizers=state)


def arguments_of(description: str | None) -> argparse.ArgumentParser:
    """The options that every training script has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder of checkpoint and log")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    return parser
