"""The prompts: beginnings cut from files that neither nano model has seen, and questions.

What the questions ask for, the nano pair was trained on; for other pairs they are just questions.
"""

import json
from pathlib import Path

from edgespec.chat import ChatFormat
from edgespec.messages import Message, Role
from edgespec.protocols import Model

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data"
HELD_OUT = ("code", "prose")
SETS = (*HELD_OUT, "chat")


def held_out(name: str, count: int | None = None) -> list[str]:
    """`count` prompts of a held-out set, spread evenly over it; all of them for None."""
    return _read(f"heldout_{name}.jsonl", count)


def tokens(name: str, model: Model, count: int | None = None) -> list[list[int]]:
    """`count` prompts of any set as `model` reads them, the questions in its chat template."""
    if name == "chat":
        chat = ChatFormat.of(model)
        asked = [[Message(Role.USER, text)] for text in _read("questions.jsonl", count)]
        return [list(chat.tokens(messages)) for messages in asked]
    encode = model.tokenizer.encode
    texts = held_out(name, count)
    return [encode(text, add_special=True, parse_special=False) for text in texts]


def long(model: Model, length: int, start: int) -> list[int]:
    """`length` tokens of code that begins with prompt number `start`, so that no two are alike."""
    texts = held_out("code")
    found: list[int] = []
    for turn in range(start, start + 100 * len(texts)):
        if len(found) >= length:
            break
        text = texts[turn % len(texts)]
        found += model.tokenizer.encode(text, add_special=not found, parse_special=False)
    return found[:length]


def _read(file: str, count: int | None) -> list[str]:
    lines = (FOLDER / file).read_text(encoding="utf-8").splitlines()
    prompts = [str(json.loads(line)["prompt"]) for line in lines]
    if count is None or count >= len(prompts):
        return prompts
    return [prompts[index * len(prompts) // count] for index in range(count)]
