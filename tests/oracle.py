"""What an answer of the toy language must be: token by token, no cache, no draft, no thread."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from edgespec.events import FinishReason, Request
from edgespec.sampling.sampler import Sampler
from tests.fakes import FakeModel


@dataclass(frozen=True, slots=True)
class Expected:
    """The tokens, the text and the reason to end of one answer."""

    tokens: tuple[int, ...]
    text: str
    reason: FinishReason


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """What comes before the stop string that is complete first; of two, before the longer."""
    found = [(at + len(s), at) for s in stop if s and (at := text.find(s)) >= 0]
    return text[: min(found)[1]] if found else text


def expected(model: FakeModel, request: Request, n_ctx: int) -> Expected:
    """The answer to `request` in a context of `n_ctx` tokens."""
    grammar = request.sampling.grammar
    sampler = Sampler(
        request.sampling,
        request.prompt,
        grammar=model.grammar(grammar) if grammar is not None else None,
    )
    history, data = list(request.prompt), b""
    while True:
        token = sampler.choose(model.language.logits(history), len(history)).token
        sampler.accept(token)
        history.append(token)
        data += model.tokenizer.piece(token)
        tokens = tuple(history[len(request.prompt) :])
        if reason := _reason(model, request, tokens, data, n_ctx):
            text = cut_at_stop(data.decode("utf-8", "replace"), request.stop)
            return Expected(tokens, text, reason)


def _reason(
    model: FakeModel, request: Request, tokens: Sequence[int], data: bytes, n_ctx: int
) -> FinishReason | None:
    if model.tokenizer.is_eog(tokens[-1]):
        return FinishReason.EOG
    certain = codecs.getincrementaldecoder("utf-8")("replace").decode(data)
    if cut_at_stop(certain, request.stop) != certain:
        return FinishReason.STOP
    if len(tokens) == request.max_tokens:
        return FinishReason.LENGTH
    if len(request.prompt) + len(tokens) > n_ctx:
        return FinishReason.CONTEXT
    return None
