"""From rows to requests: everything about a row that only the model can tell."""

from dataclasses import replace
from functools import lru_cache

from edgespec.batch.rows import Row, Settings
from edgespec.batch.strict_json import Fault
from edgespec.chat import TEMPLATE_KEY, ChatFormat, Message, Role, completion_tokens
from edgespec.errors import EdgespecError, InvalidInput
from edgespec.events import Request
from edgespec.protocols import Model

_REMEMBERED = 64


class Preparer:
    """Turns rows into requests for `model`, whose answers have at most `n_ctx` tokens with prompt.

    A prompt becomes the tokens that `edgespec run` would make of it.
    """

    def __init__(self, model: Model, n_ctx: int, *, speculate: bool) -> None:
        self._model = model
        self._n_ctx = n_ctx
        self._speculate = speculate
        self._format: ChatFormat | None = None
        self._has_template = TEMPLATE_KEY in model.metadata
        self._gbnf = lru_cache(_REMEMBERED)(model.json_schema_grammar)
        self._check_grammar = lru_cache(_REMEMBERED)(model.grammar)

    def requests(self, row: Row) -> list[Request]:
        """One request per sample. Raises Fault if the model cannot do what the row asks for."""
        settings = row.settings
        prompt, stop = self._prompt(row)
        if len(prompt) > self._n_ctx:
            raise Fault(
                f"the prompt has {len(prompt)} tokens, the context holds {self._n_ctx}; "
                "shorten it or raise --context",
                row.places["prompt"],
            )
        sampling = replace(settings.sampling, grammar=self._grammar(row))
        unknown = [i for i in sampling.logit_bias if i >= self._model.tokenizer.n_vocab]
        if unknown:
            raise Fault(f"logit_bias: there is no token {unknown[0]}", row.places["prompt"][:-1])
        request = Request(
            prompt=tuple(prompt),
            sampling=sampling,
            max_tokens=settings.max_tokens,
            stop=stop,
            speculate=self._speculate,
            logprobs=0 if settings.samples > 1 else None,  # By which the best sample is found.
        )
        return [replace(request, choice=choice) for choice in range(settings.samples)]

    def _prompt(self, row: Row) -> tuple[list[int], tuple[str, ...]]:
        settings = row.settings
        try:
            if row.prompt is None:
                format_ = self._chat_format()
                self._require_tools(row, format_)
                tokens = format_.tokens(row.messages, row.tools)
                return tokens, (*settings.stop, *format_.stop)
            tokens = self._tokens(row.prompt, settings)
        except EdgespecError as error:
            raise Fault(str(error), row.places["prompt"]) from None
        if not tokens:
            raise Fault("the prompt is empty", row.places["prompt"])
        return tokens, settings.stop

    def _require_tools(self, row: Row, format_: ChatFormat) -> None:
        turns = any(message.calls or message.role is Role.TOOL for message in row.messages)
        if (row.tools or turns) and not format_.calls_tools:
            place = row.places.get("tools", row.places["prompt"])
            raise Fault("the model's chat template has no tools in a form that is known", place)

    def _tokens(self, prompt: str, settings: Settings) -> list[int]:
        if settings.raw or not self._has_template:
            system = None if settings.raw else settings.system
            text = "\n\n".join(part for part in (system, prompt) if part)
            return completion_tokens(self._model.tokenizer, text, parse_special=settings.raw)
        messages = [Message(Role.SYSTEM, settings.system)] if settings.system else []
        return self._chat_format().tokens([*messages, Message(Role.USER, prompt)])

    def _chat_format(self) -> ChatFormat:
        if self._format is None:
            self._format = ChatFormat.of(self._model)
        return self._format

    def _grammar(self, row: Row) -> str | None:
        settings = row.settings
        place = row.places.get("grammar" if settings.json_schema is None else "schema", ())
        try:
            grammar = settings.sampling.grammar
            if settings.json_schema is not None:
                grammar = self._gbnf(settings.json_schema)
            if grammar is not None:
                self._check_grammar(grammar)
        except InvalidInput as error:
            raise Fault(str(error), place) from None
        return grammar
