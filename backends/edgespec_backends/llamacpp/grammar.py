"""A GBNF grammar's state, through libllama's grammar sampler."""

import ctypes
import re
from itertools import accumulate
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgespec.errors import InvalidInput
from edgespec_backends.llamacpp.lib import captured_stderr, llama, recent_errors

_DEEPEST = 500
_LITERALS = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#.*')
_REPETITION = re.compile(r"\{\s*(\d+)\s*,\s*(\d+)\s*\}")
_PARSER_ERROR = b"parse: error parsing grammar: "
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class LlamaGrammar:
    """Which tokens the grammar allows next. `sampler` is owned and freed here."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler

    @classmethod
    def compile(cls, vocab: Any, gbnf: str) -> Self:
        """A grammar at its start rule `root`. Raises InvalidInput if it does not parse."""
        _refuse_what_the_parser_would_not_survive(gbnf)
        recent_errors()
        with captured_stderr(_PARSER_ERROR) as printed:
            sampler = llama.llama_sampler_init_grammar(vocab, gbnf.encode(), b"root")
        if not sampler:
            reason = printed.first_line or recent_errors() or "no rule called root"
            raise InvalidInput(f"the grammar does not parse: {reason}", "see the GBNF guide")
        return cls(sampler)

    def mask(self, ids: NDArray[np.int32]) -> NDArray[np.bool_]:
        """For each id, whether it may come next. Shape as `ids`."""
        candidates = np.zeros(len(ids), _CANDIDATE)
        candidates["id"] = ids
        array = llama.llama_token_data_array(
            data=candidates.ctypes.data_as(llama.llama_token_data_p),
            size=len(ids),
            selected=-1,
            sorted=False,
        )
        llama.llama_sampler_apply(self._sampler, ctypes.byref(array))
        return np.asarray(candidates["logit"] > -np.inf)

    def accept(self, token: int) -> None:
        """Advance by one emitted token. Raises ValueError for one that may not come next."""
        if not self.mask(np.array([token], np.int32))[0]:  # libllama would end the process.
            raise ValueError(f"the grammar does not allow token {token} here")
        llama.llama_sampler_accept(self._sampler, token)

    def clone(self) -> "LlamaGrammar":
        """An independent copy of the state."""
        return LlamaGrammar(llama.llama_sampler_clone(self._sampler))

    def __del__(self) -> None:
        if sampler := getattr(self, "_sampler", None):
            llama.llama_sampler_free(sampler)


def _refuse_what_the_parser_would_not_survive(gbnf: str) -> None:
    if "\0" in gbnf:
        raise InvalidInput("the grammar contains a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in gbnf):
        raise InvalidInput("the grammar contains half a surrogate pair")
    rules = _LITERALS.sub("", gbnf)
    brackets = re.findall("[()]", rules)
    deepest = max(accumulate(1 if bracket == "(" else -1 for bracket in brackets), default=0)
    if deepest > _DEEPEST:
        raise InvalidInput(
            f"the grammar has groups inside each other, {deepest} deep",
            f"at most {_DEEPEST} are possible; limit lengths and counts more tightly",
        )
    for low, high in _REPETITION.findall(rules):
        if int(low) > int(high):
            raise InvalidInput(f"the grammar repeats from {low} up to {high} times")
