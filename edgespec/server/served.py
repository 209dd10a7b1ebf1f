"""A model that is loaded and answers: what a request needs of it."""

from collections.abc import Callable
from threading import Lock

from edgespec.batch.prepare import Preparer
from edgespec.batch.rows import Row
from edgespec.errors import BackendError
from edgespec.events import Request
from edgespec.parts import Parts
from edgespec.recall import Recall
from edgespec.server.dispatcher import Dispatcher
from edgespec.server.line import Line
from edgespec.server.metrics import Metrics
from edgespec.server.turns import Turns
from edgespec.sources.suffix import SuffixMatch


class Served:
    """Owns `parts`. `width` answers at a time, `waiting` more may wait.

    `on_loss` is told if that is over because a device is gone, `on_note` what else should be known.
    """

    def __init__(
        self,
        name: str,
        parts: Parts,
        width: int,
        waiting: int,
        metrics: Metrics,
        turns: Turns,
        on_loss: Callable[[str], None],
        on_note: Callable[[str], None],
        recall: Recall,
        *,
        speculate: bool,
    ) -> None:
        self.name = name
        self.n_ctx = parts.n_ctx
        self._target = parts.target
        self._engine = parts.engine([SuffixMatch()] if speculate else [], clock=turns.now)
        self._preparer = Preparer(parts.target, parts.n_ctx, speculate=speculate)
        self.dispatcher = Dispatcher(
            parts,
            self._engine,
            width,
            Line(waiting),
            metrics,
            turns,
            on_loss,
            on_note,
            recall,
            speculate=speculate,
        )
        self._lock = Lock()
        self._closed = False

    @property
    def lost(self) -> bool:
        """Whether a device is gone that it needs; it can only be closed then, and loaded anew."""
        return self.dispatcher.lost

    def requests(self, row: Row) -> list[Request]:
        """What to ask for a row, a request for each sample. Raises Fault."""
        with self._lock:
            self._require_open()
            return self._preparer.requests(row)

    def grammar(self, schema: str) -> str:
        """GBNF of a JSON schema. Raises InvalidInput."""
        with self._lock:
            self._require_open()
            return self._target.json_schema_grammar(schema)

    def piece(self, token: int) -> bytes:
        """The bytes of a token, those of its name where it has none. Not after `close`."""
        return self._target.tokenizer.piece(token, special=True)

    def close(self) -> None:
        """Break off what is under way and free everything. Idempotent."""
        self.dispatcher.close()
        with self._lock:
            self._closed = True
            self._engine.close()

    def _require_open(self) -> None:
        if self._closed:
            raise BackendError("the model is closed")
