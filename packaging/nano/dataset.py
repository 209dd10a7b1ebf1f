"""The training windows: token streams of text and dialogues, drawn by (seed, step) alone."""

from __future__ import annotations

import argparse
from pathlib import Path

import chat
import corpus
import numpy as np
import torch
from markup import END_OF_TEXT_ID
from numpy.typing import NDArray
from tokenizer import load
from torch import Tensor

Tokens = NDArray[np.uint16]
DIALOGUE_SEED = 1
_CONTINUE_CHANCE = 0.15


def build(tokenizer_file: Path, output: Path) -> None:
    """Tokenize the corpus and the dialogues into one file."""
    tokenizer = load(tokenizer_file)
    text: list[int] = []
    for encoding in tokenizer.encode_batch(corpus.training_texts()):
        text += [END_OF_TEXT_ID, *encoding.ids]
    dialogues = chat.dialogues(DIALOGUE_SEED)
    encoded = [e.ids for e in tokenizer.encode_batch([d.text for d in dialogues])]
    np.savez(
        output,
        text=np.array(text, np.uint16),
        chat=np.concatenate([np.array(ids, np.uint16) for ids in encoded]),
        ends=np.cumsum([len(ids) for ids in encoded]),
        weights=np.array([d.weight for d in dialogues]),
        favourites=np.array([d.favourite for d in dialogues]),
    )


class Dataset:
    """Draws batches; the first token of every window is the beginning-of-text token."""

    def __init__(self, file: Path, favourite_weight: float = 1.0) -> None:
        arrays = np.load(file)
        self._text: Tokens = arrays["text"]
        self._dialogues: list[Tokens] = np.split(arrays["chat"], arrays["ends"][:-1])
        weights = arrays["weights"] * np.where(arrays["favourites"], favourite_weight, 1.0)
        self._chances = np.cumsum(weights / weights.sum())

    def batch(
        self, seed: int, step: int, rows: int, length: int, chat_share: float
    ) -> tuple[Tensor, Tensor]:
        """Inputs and next-token targets, each rows x length."""
        random = np.random.default_rng((seed, step))
        windows = np.stack(
            [
                self._chat_row(random, length + 1)
                if random.random() < chat_share
                else self._text_row(random, length + 1)
                for _ in range(rows)
            ]
        )
        tokens = torch.from_numpy(windows.astype(np.int64))
        return tokens[:, :-1], tokens[:, 1:]

    def _text_row(self, random: np.random.Generator, length: int) -> Tokens:
        start = int(random.integers(len(self._text) - length))
        row = self._text[start : start + length].copy()
        row[0] = END_OF_TEXT_ID
        return row

    def _chat_row(self, random: np.random.Generator, length: int) -> Tokens:
        pieces: list[Tokens] = []
        missing = length
        opening = np.array([END_OF_TEXT_ID], np.uint16)
        while missing > 0:
            # A dialogue that does not open a new text is one more turn of the last one.
            if not pieces or random.random() > _CONTINUE_CHANCE:
                pieces.append(opening)
            index = int(np.searchsorted(self._chances, random.random(), side="right"))
            pieces.append(self._dialogues[min(index, len(self._dialogues) - 1)])
            missing = length - sum(map(len, pieces))
        return np.concatenate(pieces)[:length]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("output", type=Path, help="where the .npz file is written")
    arguments = parser.parse_args()
    build(arguments.tokenizer, arguments.output)
    arrays = np.load(arguments.output)
    print(f"text tokens {len(arrays['text']):,}, chat tokens {len(arrays['chat']):,}")


if __name__ == "__main__":
    main()
