"""The tokenizer: a byte-level BPE of 8192 tokens, split as GPT-2 splits, shared by the pair."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import corpus
from markup import CONTROL_TOKENS
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY_SIZE = 8192


def train(texts: Iterable[str], size: int = VOCABULARY_SIZE) -> Tokenizer:
    """Learn the merges from `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def load(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="where tokenizer.json is written")
    output: Path = parser.parse_args().output
    output.parent.mkdir(parents=True, exist_ok=True)
    train(corpus.training_texts()).save(str(output))


if __name__ == "__main__":
    main()
