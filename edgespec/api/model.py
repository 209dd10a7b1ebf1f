"""A loaded model with its drafter: what everything else is asked of."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from threading import Lock
from types import TracebackType
from typing import Self, Unpack

from edgespec.api.chat import Chat
from edgespec.api.completion import Completion, Event, awhole, whole
from edgespec.api.rows import Answers, RowAnswer, Rows
from edgespec.api.settings import Options, Prompt, request_of, settings_of
from edgespec.api.waiting import each
from edgespec.batch.manners import Manners
from edgespec.batch.prepare import Preparer
from edgespec.batch.rows import Row, Settings
from edgespec.batch.workers import sharing
from edgespec.chat import ChatFormat
from edgespec.cpu_sets import CpuSet
from edgespec.engine import Engine
from edgespec.errors import BackendError
from edgespec.events import Notice, Request
from edgespec.loading import LoadOptions, OnNote, OnProgress, load_parts
from edgespec.matchmaking import best_pair
from edgespec.messages import Message
from edgespec.parts import Parts
from edgespec.placement.enumerate import Pins
from edgespec.placement.records import Plan
from edgespec.sources.suffix import SuffixMatch
from edgespec.topology import cpu_lists


def load(
    model: str | None = None,
    drafter: str | None = None,
    *,
    context: int = 0,
    threads: int = 0,
    draft_length: int = 0,
    speculate: bool = True,
    parallel: int = 1,
    device: str | None = None,
    gpu_layers: int | None = None,
    drafter_device: str | None = None,
    cpu_experts: int | None = None,
    cpus: str = "",
    drafter_cpus: str = "",
    kv_type: str = "f16",
    attention: str = "auto",
    plan: Plan | None = None,
    on_progress: OnProgress | None = None,
    on_note: OnNote = lambda text: None,
) -> "Model":
    """Load a model and its drafter; all is as the options of `edgespec run` have it.

    `model` and `drafter` are names of the catalogue or files; without them it is the nano pair, or
    the model's own drafter. `context` is in tokens, 0 the model's own (at most 8192). `threads`
    and `draft_length` 0 are what measurement says. `parallel` is how many rows `Model.batch` can
    answer at a time. `device`, `gpu_layers`, `drafter_device`, `cpu_experts`, `cpus`,
    `drafter_cpus`, `kv_type` and `attention` pin parts of the plan; a `plan` that was made for the
    pair stands in for all but `attention`, and for `context`.
    `on_progress` is called with what is going on and its fraction done, and stops the loading by
    returning False; `on_note` with what the user should know of the pair, also later.

    Raises ModelUnavailable for a model that is unknown, missing or broken, NotEnoughMemory before
    anything is read that would not fit, VocabularyMismatch for a drafter that has nothing in
    common with the target, InvalidInput for an option that cannot be used.
    """
    pair = best_pair(model, drafter, speculate=speculate)
    pins = Pins(device, gpu_layers, drafter_device, cpu_experts, cpus, drafter_cpus)
    if plan:
        pins = replace(pins, cpus=_pinned(plan.cpus), drafter_cpus=_pinned(plan.drafter_cpus))
    placement = plan.chosen.option.placement if plan else None
    options = LoadOptions(
        n_ctx=placement.n_ctx if placement else context,
        threads=threads,
        draft_length=draft_length,
        speculate=speculate,
        pins=pins,
        placement=placement,
        kv_type=placement.kv_type if placement else kv_type,
        attention=attention,
        sequences=max(parallel, 1),
        alone=True,
    )
    parts = load_parts(pair, options, on_progress, on_note)
    return Model(pair.name, parts, max(parallel, 1), speculate=speculate, on_note=on_note)


def _pinned(cpus: CpuSet | None) -> str:
    return cpu_lists.render(cpus.cpus) if cpus and cpus.pinned else ""


class Model:
    """A target and its drafter at work, made by `load`. A context manager.

    It answers one request at a time: a stream must be finished or closed before the next begins
    (else BackendError), while `batch` answers `parallel` rows at a time. It may be used from any
    thread.
    """

    def __init__(
        self,
        name: str,
        parts: Parts,
        parallel: int,
        *,
        speculate: bool,
        on_note: Callable[[str], None],
    ) -> None:
        self.name = name
        self.n_ctx = parts.n_ctx
        """Tokens that a prompt and its answer can have together."""
        self._parts = parts
        self._parallel = parallel
        self._speculate = speculate
        self._on_note = on_note
        self._engine = parts.engine([SuffixMatch()] if speculate else [])
        self._preparer = Preparer(parts.target, parts.n_ctx, speculate=speculate)
        self._lock = Lock()
        self._closed = False

    @property
    def description(self) -> str:
        """Architecture, size and quantization of the target, for people."""
        return self._parts.target.description

    @property
    def engine(self) -> Engine:
        """What answers, for whoever has a Request of token ids."""
        return self._engine

    def stream(self, prompt: Prompt, **options: Unpack[Options]) -> Generator[Event]:
        """The events of an answer: a Token for each token, then one Finish.

        Closing the generator stops the answer within one step; what the cache holds stays of use.

        Raises InvalidInput for an option, prompt, grammar or schema that cannot be used and for a
        prompt that does not fit the context, BackendError if another answer is still running, the
        model is closed or the engine fails.
        """
        return self._begin(prompt, settings_of(**options))

    def complete(self, prompt: Prompt, **options: Unpack[Options]) -> Completion:
        """The whole answer. Raises as `stream` does."""
        settings = settings_of(**options)
        return whole(self._begin(prompt, settings), settings.sampling.seed)

    def astream(self, prompt: Prompt, **options: Unpack[Options]) -> AsyncGenerator[Event]:
        """As `stream`, for asyncio; the event loop is never blocked by the model."""
        return each(self.stream(prompt, **options), self._engine.abort)

    async def acomplete(self, prompt: Prompt, **options: Unpack[Options]) -> Completion:
        """As `complete`, for asyncio; cancelling it stops the answer."""
        settings = settings_of(**options)
        events = each(self._begin(prompt, settings), self._engine.abort)
        return await awhole(events, settings.sampling.seed)

    def chat(self, **options: Unpack[Options]) -> Chat:
        """A conversation that begins. Raises InvalidInput for an option that cannot be used."""
        settings = settings_of(**options)
        return Chat(settings, self.n_ctx, self._begin, self._tokens, self._engine.abort)

    def batch(self, rows: Rows, **options: Unpack[Options]) -> Generator[RowAnswer]:
        """The answer of every row, as they are completed, `parallel` at a time.

        A row is a prompt, or a mapping with the keys of docs/batch.md, whose values come before
        `options`. Each row has a seed of its own, counted on from the first one's. A row that
        cannot be answered has an `error`. Closing the generator gives the rest up. Raises
        InvalidInput for options that cannot be used, BackendError as `stream` does.
        """
        return self._batch(rows, settings_of(**options))

    def close(self) -> None:
        """Stop what runs and free everything. Idempotent."""
        with self._lock:
            self._closed = True
            self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _batch(self, rows: Rows, settings: Settings) -> Generator[RowAnswer]:
        with sharing(
            self._parts, self._engine, self._parallel, Manners(), speculate=self._speculate
        ) as executor:
            yield from Answers(rows, settings, self._requests, executor)

    def _begin(self, prompt: Prompt, settings: Settings) -> Generator[Event]:
        # Not a generator itself: what is wrong with a request is told when it is made.
        with self._open():
            request = request_of(prompt, settings, self._preparer)
            return self._told(self._engine.generate(request))

    def _tokens(self, messages: Sequence[Message]) -> list[int]:
        with self._open():
            return ChatFormat.of(self._parts.target).tokens(messages)

    def _requests(self, row: Row) -> list[Request]:
        with self._open():
            return self._preparer.requests(row)

    @contextmanager
    def _open(self) -> Iterator[None]:
        """Nothing is freed inside, where the tokenizer is at work."""
        with self._lock:
            if self._closed:
                raise BackendError("the model is closed")
            yield

    def _told(self, events: Generator[Event | Notice]) -> Generator[Event]:
        with closing(events):
            for event in events:
                if isinstance(event, Notice):
                    self._on_note(event.text)
                else:
                    yield event
