"""What others would make of the same machine and text, in seconds."""

from edgespec.simulation.machine import Machine
from edgespec.simulation.text import Text


def plain(machine: Machine, text: Text) -> float:
    """One token a step."""
    return text.length * machine.verify(1)


def sequential(machine: Machine, text: Text, drafts: int) -> float:
    """Draft a fixed number, then verify them (Leviathan et al. 2023, algorithm 1)."""
    seconds, position = 0.0, 0
    while position < text.length:
        seconds += drafts * machine.draft + machine.verify(drafts + 1)
        position += text.accepted(position, drafts) + 1
    return seconds


def pearl(machine: Machine, text: Text, drafts: int) -> float:
    """Draft and verify at the same time, with pre- and post-verification (2408.11850, alg. 2).

    Without contention; after a rejection the first draft alone is checked while the others are
    made, otherwise a whole block while the next is made.
    """
    seconds, position, pending = 0.0, 0, 0
    while position < text.length:
        if pending == 0:
            seconds += max(drafts * machine.draft, machine.verify(1))
            pending = max(drafts - 1, 1) * text.accepted(position, 1)
            position += 1
            continue
        seconds += max(drafts * machine.draft, machine.verify(pending))
        accepted = text.accepted(position, pending)
        position += min(accepted + 1, pending)
        pending = drafts if accepted == pending else 0
    return seconds


def best_fixed(machine: Machine, text: Text) -> float:
    """The best of plain, sequential and PEARL at the draft length that hindsight would choose."""
    lengths = range(1, machine.max_batch)
    return min(
        plain(machine, text),
        *(sequential(machine, text, drafts) for drafts in lengths),
        *(pearl(machine, text, drafts) for drafts in lengths),
    )


def oracle(machine: Machine, text: Text) -> float:
    """No use of the drafter can be faster: it is free, and of its choices the right one is known.

    Dynamic programming from the end: a batch of k right drafts yields k + 1 tokens.
    """
    left = [0.0] * (text.length + machine.max_batch + 1)
    for position in range(text.length - 1, -1, -1):
        right = text.covered(position, machine.max_batch - 1)
        left[position] = min(
            machine.verify(drafts + 1) + left[position + drafts + 1] for drafts in range(right + 1)
        )
    return left[0]
