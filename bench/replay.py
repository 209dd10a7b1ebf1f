"""What policies make of real drafts, on a virtual clock, whatever this machine does meanwhile.

The target's answers are produced once, plainly. Then the real scheduler, the real drafter and
suffix matches go through each of them, while the time is only counted: by the step times given, in
steps of the target. The default ones are those of a 1.1B Q4_0 on two AVX-512 cores, as measured.
*Greedy* sides are what llama-server does with a drafter: always so many drafts, each the drafter's
likeliest token whatever the temperature, and no suffix matches.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import prompts
import report
import subject

from edgespec.acceptance import AcceptanceModel
from edgespec.catalog import Pair
from edgespec.controller import Controller, FixedPolicy, Policy
from edgespec.costs import CostModel
from edgespec.events import Request, Token
from edgespec.loading import LoadOptions, load
from edgespec.protocols import ContextOptions, Model, ModelOptions
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.sampler import Sampler
from edgespec.simulation.machine import Machine
from edgespec.simulation.run import Run
from edgespec.sources.drafter import ModelDrafter
from edgespec.sources.suffix import SuffixMatch
from edgespec.tree import Candidate, Node
from edgespec_backends.llamacpp import open_model

STEPS = (1, 1.7, 2.2, 1.5, 2.3, 2.5, 2.7, 2.8, 3.6, 4.0, 4.4, 4.6, 5.0, 5.3, 5.6, 5.5)
LANES = 12
N_CTX = 2048


@dataclass(frozen=True, slots=True)
class Side:
    """A policy; `greedy` as said above."""

    policy: Callable[[CostModel], Policy]
    greedy: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the target says to `prompt`; `length` tokens follow the first."""

    prompt: list[int]
    tokens: list[int]
    sampling: SamplingParams

    @property
    def length(self) -> int:
        return len(self.tokens) - 1

    def token(self, position: int) -> int:
        """None of a vocabulary beyond the end."""
        return self.tokens[position] if position < len(self.tokens) else -1


class Replay(Run):
    """One answer, with the drafter at work."""

    def __init__(
        self,
        machine: Machine,
        answer: Answer,
        policy: Policy,
        acceptance: AcceptanceModel,
        drafter: ModelDrafter,
        *,
        greedy: bool,
    ) -> None:
        super().__init__(machine, answer, policy, acceptance=acceptance)
        self._drafter, self._suffix = drafter, None if greedy else SuffixMatch()
        self._history = [*answer.prompt, answer.token(0)]
        sampling = replace(answer.sampling, temperature=0.0) if greedy else answer.sampling
        drafter.start(answer.prompt, Sampler(sampling, answer.prompt))
        drafter.prefill()
        drafter.advance([answer.token(0)])

    def look_past(self, nodes: Sequence[Node]) -> Sequence[Sequence[Candidate] | None]:
        tails = [[step.token for step in node.path()] for node in nodes]
        return self._drafter.expand(tails, self._scheduler.alternatives)

    def offer(self) -> None:
        if self._suffix is None:
            return
        chain = self._suffix.propose(self._history, self._limit)
        self._scheduler.offer(self._suffix.name, self._scheduler.root, chain)

    def said(self, tokens: Sequence[int]) -> None:
        self._history += tokens
        self._drafter.advance(tokens)


def answers(options: argparse.Namespace, name: str, temperature: float) -> list[Answer]:
    """What the target says to the prompts of a set."""
    found = []
    pair = Pair("target", options.target, None)
    with load(pair, LoadOptions(n_ctx=N_CTX, speculate=False)) as engine:
        for seed, prompt in enumerate(prompts.tokens(name, engine.target, options.prompts)):
            sampling = SamplingParams(temperature, seed=seed)
            request = Request(tuple(prompt), sampling, options.tokens, speculate=False)
            said = [event.id for event in engine.generate(request) if isinstance(event, Token)]
            found.append(Answer(prompt, said, sampling))
    return [answer for answer in found if answer.length > 0]


def gain(machine: Machine, side: Side, drafter: Model, asked: Sequence[Answer]) -> float:
    """Speed-up over plain decoding, the second time that all answers are gone through."""
    context = drafter.context(ContextOptions(n_ctx=N_CTX, max_outputs=LANES, max_sequences=LANES))
    model, acceptance = ModelDrafter(context, drafter.tokenizer.n_vocab, LANES), AcceptanceModel()
    policy = side.policy(CostModel(machine.table()))
    for _ in range(2):
        seconds = 0.0
        for answer in asked:
            run = Replay(machine, answer, policy, acceptance, model, greedy=side.greedy)
            run.execute()
            seconds += run.now
    context.close()
    return sum(answer.length for answer in asked) * machine.verify(1) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, nargs="?", default=subject.NANO / "target-q8_0.gguf")
    parser.add_argument("--drafter", type=Path, default=subject.NANO / "drafter-q8_0.gguf")
    parser.add_argument("--sets", nargs="+", choices=prompts.SETS, default=list(prompts.SETS))
    parser.add_argument("--temperatures", nargs="+", type=float, default=[0.0, 0.8, 1.0])
    parser.add_argument("--prompts", type=int, default=12, help="of each set")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--steps", nargs="+", type=float, default=STEPS, help="V(1) V(2) ...")
    parser.add_argument("--draft", type=float, default=0.01, help="a step of the drafter")
    parser.add_argument("--fixed", nargs="+", type=int, default=[1, 3, 7], help="draft lengths")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    machine = Machine(
        lambda n: options.steps[n - 1], options.draft, 0.3, 1.6, max_batch=len(options.steps)
    )
    sides = {"edgespec": Side(Controller)}
    for length in options.fixed:
        fixed = partial(FixedPolicy, drafts=length)
        sides[f"{length} drafts"] = Side(fixed)
        sides[f"{length} greedy"] = Side(fixed, greedy=True)
    drafter, rows = open_model(options.drafter, ModelOptions(threads=1)), []
    for name in options.sets:
        for temperature in options.temperatures:
            asked = answers(options, name, temperature)
            gains = [gain(machine, side, drafter, asked) for side in sides.values()]
            rows.append((name, f"{temperature:g}", *(f"{found:.3f}" for found in gains)))
            print(*rows[-1], flush=True)
    drafter.close()
    print(report.table(("prompts", "temperature", *sides), rows))
    report.save(options.json, {"steps": list(options.steps), "draft": options.draft, "rows": rows})


if __name__ == "__main__":
    main()
