"""One row of a batch: what it asks for, whatever format it was written in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgespec.batch.strict_json import Fault, Path
from edgespec.chat import Message
from edgespec.errors import InvalidInput
from edgespec.sampling.params import SamplingParams

MAX_SAMPLES = 256
_SEEDS = 2**64


@dataclass(frozen=True, slots=True)
class Settings:
    """How to answer: the command line's, or those with a row's own in their place.

    `json_schema` is JSON text; `samples` answers are drawn, which differ in nothing but chance, and
    `kept` of them, the likeliest, are the answer (None: all of them).
    `raw` continues the prompt without a chat template. `vote` is a regular expression for the part
    of an answer that votes, None for all of it.
    """

    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: str | None = None
    system: str | None = None
    raw: bool = False
    samples: int = 1
    kept: int | None = None
    vote: str | None = None

    def for_row(self, number: int) -> "Settings":
        """The settings of row `number`: each row has a seed of its own, the first one this."""
        seed = (self.sampling.seed + number) % _SEEDS
        return replace(self, sampling=replace(self.sampling, seed=seed))

    def replaced(
        self,
        *,
        max_tokens: int | None,
        stop: tuple[str, ...] | None,
        samples: int | None,
        system: str | None = None,
    ) -> "Settings":
        """With a row's own values in the place of these, where it has any."""
        return replace(
            self,
            max_tokens=self.max_tokens if max_tokens is None else max_tokens,
            stop=self.stop if stop is None else stop,
            samples=self.samples if samples is None else samples,
            system=self.system if system is None else system,
        )

    def shaped(self, grammar: str | None, json_schema: str | None) -> "Settings":
        """With another form of the answer: that of a grammar, of a JSON schema, or free."""
        sampling = replace(self.sampling, grammar=grammar)
        return replace(self, sampling=sampling, json_schema=json_schema)

    def continuing(self) -> "Settings":
        """For a prompt that is continued as it is."""
        return replace(self, raw=True, system=None)

    def with_sampling(self, name: str, value: Any, path: Path) -> "Settings":
        """With one sampling parameter changed. Raises Fault at `path` for a value out of range."""
        try:
            return replace(self, sampling=replace(self.sampling, **{name: value}))
        except InvalidInput as error:
            raise Fault(str(error), path) from None


@dataclass(frozen=True, slots=True)
class Row:
    """One request. Either `prompt` or `messages` is there.

    `id` is what the file calls it (any JSON scalar), None if it does not. `tools` are those that
    the model may call, as OpenAI's API describes them. `places` says where the
    row's line has what can only be found wrong later, by a model: "prompt", "grammar", "schema".
    """

    id: str | int | None
    settings: Settings
    prompt: str | None = None
    messages: tuple[Message, ...] = ()
    places: dict[str, Path] = field(default_factory=dict)
    completion: bool = False
    """True for a request to OpenAI's /v1/completions."""
    tools: tuple[Mapping[str, Any], ...] = ()
