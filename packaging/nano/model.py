"""The model: a small Llama (RMSNorm, interleaved RoPE, one shared KV head, SwiGLU, tied head)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Cache = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Shape:
    """The hyperparameters that an exported file must state."""

    width: int
    layers: int
    heads: int
    hidden: int
    vocabulary: int = 8192
    head_size: int = 64
    context: int = 2048
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-5


SHAPES = {
    "target": Shape(width=256, layers=8, heads=4, hidden=768),
    "drafter": Shape(width=128, layers=3, heads=2, hidden=384),
    "stranger": Shape(width=128, layers=3, heads=2, hidden=384, vocabulary=4096),
}


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE over adjacent pairs, the convention of llama.cpp's `llama` architecture."""
    even, odd = x.view(*x.shape[:-1], -1, 2).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Attention(nn.Module):
    """Causal self-attention whose query heads share one key and value head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        inner = shape.heads * shape.head_size
        self.q = nn.Linear(shape.width, inner, bias=False)
        self.k = nn.Linear(shape.width, shape.head_size, bias=False)
        self.v = nn.Linear(shape.width, shape.head_size, bias=False)
        self.output = nn.Linear(inner, shape.width, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        batch, length, _ = x.shape
        q = self.q(x).view(batch, length, self.shape.heads, -1).transpose(1, 2)
        q = rotate(q, cos, sin).to(q.dtype)
        k, v = self.k(x).unsqueeze(1), self.v(x).unsqueeze(1)
        k = rotate(k, cos, sin).to(v.dtype)
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        shared = (batch, self.shape.heads, k.shape[2], self.shape.head_size)
        mixed = functional.scaled_dot_product_attention(
            q, k.expand(shared), v.expand(shared), is_causal=length > 1
        )
        return self.output(mixed.transpose(1, 2).reshape(batch, length, -1)), (k, v)


class Block(nn.Module):
    """One transformer layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, shape.norm_epsilon)
        self.attention = Attention(shape)
        self.hidden_norm = nn.RMSNorm(shape.width, shape.norm_epsilon)
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        mixed, kept = self.attention(self.attention_norm(x), cos, sin, past)
        x = x + mixed
        h = self.hidden_norm(x)
        return x + self.down(functional.silu(self.gate(h)) * self.up(h)), kept


class Llama(nn.Module):
    """The language model; its output projection is the embedding itself."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.norm_epsilon)
        steps = torch.arange(0, shape.head_size, 2) / shape.head_size
        angles = torch.outer(torch.arange(shape.context), shape.rope_base**-steps)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self._initialize()

    def _initialize(self) -> None:
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.02)
            if name.endswith(("down.weight", "output.weight")):
                nn.init.normal_(weight, std=0.02 / (2 * self.shape.layers) ** 0.5)

    def hidden(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """The normalized states of `tokens`, which follow the cached ones; fills `cache`."""
        start = cache[0][0].shape[2] if cache else 0
        positions = slice(start, start + tokens.shape[1])
        cos, sin = self.get_buffer("cos")[positions], self.get_buffer("sin")[positions]
        x, grown = self.embedding(tokens), []
        pasts = cache or repeat(None, len(self.blocks))
        for block, past in zip(self.blocks, pasts, strict=True):
            x, kept = block(x, cos, sin, past)
            grown.append(kept)
        if cache is not None:
            cache[:] = grown
        states: Tensor = self.norm(x)
        return states

    def forward(self, tokens: Tensor) -> Tensor:
        return functional.linear(self.hidden(tokens), self.embedding.weight)


def save(path: Path, model: Llama, **extra: Any) -> None:
    """Write a checkpoint whole or not at all."""
    temporary = path.with_suffix(".tmp")
    state = {"shape": asdict(model.shape), "model": model.state_dict(), **extra}
    torch.save(state, temporary)
    temporary.replace(path)


def load(path: Path) -> tuple[Llama, dict[str, Any]]:
    """A checkpoint's model, and whatever else was saved with it."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    model = Llama(Shape(**state.pop("shape")))
    model.load_state_dict(state.pop("model"))
    return model, state
