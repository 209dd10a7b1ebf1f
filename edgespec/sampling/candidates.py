"""The vocabulary in one step, biased, penalised and masked, listed from its best token down."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespec.errors import BackendError, InvalidInput, NothingAllowed
from edgespec.protocols import Grammar, Logits
from edgespec.sampling.penalties import Penalties

_BLOCKS = 1024
_NOTHING_ALLOWED = "no token may come next: the grammar or the bias excludes them all"


@dataclass(frozen=True, slots=True)
class Listing:
    """All allowed tokens whose logit is at least `floor`: best first, of equals the lower id.

    Shapes (n,). With a floor of -inf no allowed token is missing.
    """

    ids: NDArray[np.int64]
    logits: NDArray[np.float64]
    floor: float


class Vocabulary:
    """One row of logits, shape (n_vocab,), after bias, penalties and grammar, read lazily.

    Only what a listing needs is penalised, sorted and shown to the grammar; every listing is what
    processing the whole row first would give. Tokens at -inf are never listed.

    Raises BackendError for a row that holds NaN, +inf or nothing but -inf, and InvalidInput for a
    bias or history token outside the vocabulary.
    """

    def __init__(self, logits: Logits, penalties: Penalties, grammar: Grammar | None) -> None:
        self._logits = logits
        self._grammar = grammar
        self._allowed = np.empty(0, np.bool_)
        self._peaks = _peaks(logits)
        self.best = finite(self._peaks.max())
        self._changed = penalties.ids
        if len(self._changed):
            if self._changed[0] < 0 or self._changed[-1] >= len(logits):
                raise InvalidInput(
                    f"a biased or penalised token is outside the vocabulary of {len(logits)}"
                )
            self._new = penalties.apply(logits[self._changed].astype(np.float64))

    def top(self, count: int, slack: float) -> Listing:
        """At least the `count` best tokens before the grammar, down to `slack` below the last."""
        return self.above(self._floor(count) - slack)

    def above(self, floor: float) -> Listing:
        """Every allowed token down to `floor`, and deeper if that is none.

        Raises BackendError if no token is allowed.
        """
        listing = self._listing(floor)
        count = 16
        while not len(listing.ids):
            if listing.floor == -np.inf:
                raise NothingAllowed(_NOTHING_ALLOWED)
            count *= 4
            listing = self._listing(self._floor(count))
        return listing

    def everything(self) -> Listing:
        """Every allowed token, by ascending id: nothing is sorted.

        Raises BackendError if no token is allowed.
        """
        ids, logits = self._processed(np.arange(len(self._logits)))
        listed = logits > -np.inf
        if self._grammar is not None:
            listed &= self._grammar.mask(ids.astype(np.int32))
        if not listed.any():
            raise NothingAllowed(_NOTHING_ALLOWED)
        return Listing(ids[listed], logits[listed], -np.inf)

    def mass_below(self, floor: float, best: float) -> tuple[float, float]:
        """Bounds on the sum of exp(logit - best) over the allowed tokens below `floor`."""
        logits = self._logits.astype(np.float64)
        if len(self._changed):
            logits[self._changed] = self._new
        logits[logits >= floor] = -np.inf
        mass = float(np.exp(logits - best).sum())
        return (mass if self._grammar is None else 0.0), mass

    def _floor(self, count: int) -> float:
        """A logit that at least `count` processed logits reach, and not many more."""
        count += len(self._changed)
        values = self._peaks if 2 * count < len(self._peaks) else self._logits
        if count >= len(values):
            return -np.inf
        rank = len(values) - count
        return float(np.partition(values, rank)[rank])

    def _listing(self, floor: float) -> Listing:
        edge = np.nextafter(np.float32(floor), np.float32(-np.inf))
        ids, logits = self._processed(np.flatnonzero(self._logits >= edge))
        if len(self._changed) or edge == -np.inf:
            listed = (logits >= edge) & (logits > -np.inf)
            ids, logits = ids[listed], logits[listed]
        order = np.argsort(-logits, kind="stable")
        ids, logits = ids[order], logits[order]
        if self._grammar is not None:
            # What was asked about for a shallower listing is the start of this one.
            fresh = ids[len(self._allowed) :].astype(np.int32)
            self._allowed = np.concatenate((self._allowed, self._grammar.mask(fresh)))
            allowed = self._allowed[: len(ids)]
            ids, logits = ids[allowed], logits[allowed]
        return Listing(ids, logits, float(edge))

    def _processed(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """`ids`, ascending, joined by the changed ones; and their logits."""
        if not len(self._changed):
            return ids, self._logits[ids].astype(np.float64)
        ids = np.union1d(ids, self._changed)
        logits = self._logits[ids].astype(np.float64)
        logits[np.searchsorted(ids, self._changed)] = self._new
        return ids, logits


def finite(best: np.floating) -> float:
    """The best logit of a row. Raises BackendError for NaN, which any maximum inherits, and inf."""
    if not np.isfinite(best):
        raise BackendError(f"the best logit is {best}: the model's output is unusable")
    return float(best)


def _peaks(logits: Logits) -> Logits:
    """Maxima of disjoint blocks, whose n-th best is at most the row's n-th best.

    The blocks are interleaved, for the speed of a reduction over the first axis.
    """
    rows = len(logits) // _BLOCKS
    if rows < 4:
        return logits
    blocks = logits[: rows * _BLOCKS].reshape(rows, _BLOCKS).max(axis=0)
    return np.concatenate((blocks, logits[rows * _BLOCKS :]))
