"""The frozen records that flow from the engine to every front end."""

from dataclasses import dataclass, field
from enum import StrEnum

from edgespec.sampling.params import SamplingParams


class Source(StrEnum):
    """Where an emitted token was first proposed."""

    TARGET = "target"
    DRAFTER = "drafter"
    SUFFIX = "suffix"


class FinishReason(StrEnum):
    """Why an answer ended."""

    EOG = "eog"
    STOP = "stop"
    LENGTH = "length"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to produce: the whole token sequence so far and how to go on.

    `max_tokens` limits the answer; None means up to the end of the context. `stop` strings end
    the answer and are not part of it. `choice` tells apart several answers to one request.
    `begun` are tokens that the answer is known to begin with: it goes on behind them, as if it had
    just emitted them. With `logprobs` each token tells its own and that many others'.
    """

    prompt: tuple[int, ...]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    speculate: bool = True
    choice: int = 0
    begun: tuple[int, ...] = ()
    logprobs: int | None = None

    @property
    def tokens(self) -> tuple[int, ...]:
        """All that is known of the sequence."""
        return (*self.prompt, *self.begun)


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Natural logarithms of probabilities: of the chosen token, and of the likeliest ones.

    They are the model's own, at temperature 1, before bias, penalties, grammar and cuts.
    """

    chosen: float
    top: tuple[tuple[int, float], ...] = ()
    """Token ids with theirs, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Token:
    """One emitted token.

    `piece` is the text that became certain with it: it may be empty while a multi-byte character
    or a possible stop string is incomplete. `position` is the token's absolute index in the
    sequence, `round` the draft-verify-accept cycle it came from, `tie` whether the choice was so
    close that rounding alone could have changed it. `logprobs` are there if the request asked.
    """

    id: int
    piece: str
    source: Source
    position: int
    round: int
    tie: bool
    logprobs: Logprobs | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know that does not stop the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Stats:
    """What one answer cost and what speculation gained. Times in seconds.

    `plain_step` is the measured time of one plain step of the target (None if the answer was not
    to be speculated: there is nothing to compare); `rounds` counts target decodes after prefill.
    """

    prompt_tokens: int
    cached_tokens: int
    tokens: int
    rounds: int
    drafted: int
    accepted: int
    ties: int
    prefill: float
    ttft: float
    decode: float
    plain_step: float | None

    @property
    def tokens_per_second(self) -> float | None:
        """Decode rate, without prefill and the first token; None if there is nothing to divide."""
        return (self.tokens - 1) / self.decode if self.tokens > 1 and self.decode > 0 else None

    @property
    def acceptance_rate(self) -> float | None:
        """accepted / drafted, None if nothing was drafted."""
        return self.accepted / self.drafted if self.drafted else None

    @property
    def mean_accepted_length(self) -> float | None:
        """Emitted tokens per round, the target's own included; None without a round."""
        return (self.tokens - 1) / self.rounds if self.rounds else None

    @property
    def speedup(self) -> float | None:
        """Decode rate over the measured plain rate, None if no plain step was timed."""
        rate = self.tokens_per_second
        return rate * self.plain_step if rate and self.plain_step else None


@dataclass(frozen=True, slots=True)
class Finish:
    """The last event of an answer; `piece` is text held back until it was certain."""

    reason: FinishReason
    piece: str
    stats: Stats


@dataclass(frozen=True, slots=True)
class Round:
    """What target and drafter did in one round: no event, but for whoever asks to be told.

    Where drafts were a tree, `depth` is the length of its longest branch. Times are (begin, end) in
    seconds on the clock of `time.perf_counter`: `verify` of the target's decode, `drafting` of each
    of the drafter's steps that ended since the round before.
    """

    index: int
    drafted: int
    accepted: int
    depth: int
    verify: tuple[float, float]
    drafting: tuple[tuple[float, float], ...] = ()


StepEvent = Token | Notice | Finish
