"""How long one choice takes over a vocabulary of 150,000 tokens: `python bench/sampling.py`.

The logits are synthetic: a normal bulk and a heavy tail of likely tokens, a new row each time.
"""

from time import perf_counter

import numpy as np

from edgespec.protocols import Logits
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.sampler import Sampler

VOCABULARY = 150_000
ROWS = 20
CHOICES = 200
PARAMS = {
    "default": SamplingParams(),
    "greedy": SamplingParams(temperature=0),
    "greedy, penalties": SamplingParams(temperature=0, repeat_penalty=1.1),
    "top-k 40 alone": SamplingParams(top_p=1, min_p=0),
    "default, penalties": SamplingParams(repeat_penalty=1.1, frequency_penalty=0.1),
    "default, typical-p": SamplingParams(typical_p=0.9),
    "top-k 2000 alone": SamplingParams(top_k=2000, top_p=1, min_p=0),
    "min-p alone": SamplingParams(top_k=0, top_p=1),
    "top-p alone": SamplingParams(top_k=0, min_p=0),
    "typical-p alone": SamplingParams(top_k=0, top_p=1, min_p=0, typical_p=0.9),
    "temperature alone": SamplingParams(top_k=0, top_p=1, min_p=0),
}


def logits(seed: int) -> Logits:
    """One row, shape (VOCABULARY,)."""
    random = np.random.default_rng(seed)
    row = random.normal(0, 2.5, VOCABULARY)
    likely = random.integers(0, VOCABULARY, 200)
    row[likely] += 6 + random.exponential(2.5, len(likely))
    return row.astype(np.float32)


def times(sampler: Sampler, rows: list[Logits]) -> list[float]:
    """Seconds of each of CHOICES choices."""
    taken = []
    for position in range(CHOICES):
        start = perf_counter()
        sampler.choose(rows[position % ROWS], position)
        taken.append(perf_counter() - start)
    return taken


def main() -> None:
    """Print a table."""
    rows = [logits(seed) for seed in range(ROWS)]
    print(f"{'choose(), microseconds':<24} {'median':>8} {'p95':>8}")
    for name, params in PARAMS.items():
        taken = times(Sampler(params, range(1000)), rows)
        print(f"{name:<24} {np.median(taken) * 1e6:8.0f} {np.quantile(taken, 0.95) * 1e6:8.0f}")


if __name__ == "__main__":
    main()
