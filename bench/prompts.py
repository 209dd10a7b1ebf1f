"""The held-out prompts: beginnings cut from files that neither model of the pair has seen."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data"
SETS = ("code", "prose")


def held_out(name: str, count: int | None = None) -> list[str]:
    """`count` prompts of a set, spread evenly over it; all of them for None."""
    lines = (FOLDER / f"heldout_{name}.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = [str(json.loads(line)["prompt"]) for line in lines]
    if count is None or count >= len(prompts):
        return prompts
    return [prompts[index * len(prompts) // count] for index in range(count)]
