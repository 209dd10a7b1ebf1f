"""The tokenizer check: llama.cpp must split every text as the tokenizer that trained the pair."""

from __future__ import annotations

import argparse
from pathlib import Path

import corpus
import llama_cpp
import tokenizer as tokenizers

EXCERPTS_PER_FILE = 16
EXCERPT = 600
AWKWARD = (
    "   leading and trailing   ",
    "tabs\t\tand\n\n\n  lines  \n",
    "Grüße, 世界! 🙂 don't we'll 123456 a1b2",
    "<|im_start|>user\nWhat is len?<|im_end|>\n<|im_start|>assistant\n",
    "\r\n x",
    " \n \n x",
)


def texts() -> list[str]:
    """Excerpts spread evenly over the held-out files, and some awkward ones."""
    found = list(AWKWARD)
    for source in corpus.held_out_sources():
        stride = max(len(source.text) // EXCERPTS_PER_FILE, 1)
        starts = range(0, len(source.text), stride)
        found += [source.text[start : start + EXCERPT] for start in starts]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("model", type=Path)
    arguments = parser.parse_args()
    ours = tokenizers.load(arguments.tokenizer)
    theirs = llama_cpp.Llama(str(arguments.model), vocab_only=True, verbose=False)
    samples = texts()
    for text in samples:
        if ours.encode(text).ids != theirs.tokenize(text.encode(), add_bos=False, special=True):
            raise SystemExit(f"differs: {text!r}")
    print(f"{len(samples)} texts are split alike")


if __name__ == "__main__":
    main()
