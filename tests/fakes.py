"""A fake engine behind edgespec.protocols: a toy language, and contexts that check every call.

Nothing is computed: logits are rows of a random table, chosen by a hash of the last tokens, so a
text has structure, repeats itself and is the same on every machine. Whatever libllama would answer
with an assertion, or silently get wrong, is an AssertionError here.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event, get_ident

import numpy as np
from numpy.typing import NDArray

from edgespec.errors import Aborted, InvalidInput
from edgespec.protocols import ContextOptions, Cpus, Held, Logits, Rollback, Row, Tokenizer

BUCKETS = 1009
PATIENCE = 30.0
"""Seconds after which a wait that another thread should have ended is a failed test."""

_WORDS = (
    *(bytes([letter]) for letter in b"abcdefgh \n.("),
    *(b"\xc3", b"\xa9", b"\xe2", b"\x82", b"\xac", b"\xe2\x82", b"\xf0\x9f", b"\x98\x80"),
    *("é€".encode(), b"ab", b"bc", b"abc", b"def", b"end", b"he", b"the ", b"\xff", b"cab", b"aa"),
)
"""Pieces of the first tokens: letters, broken characters, and words that overlap."""


class ToyLanguage:
    """Logits as a function of the last `order` tokens; a twin's are those plus noise."""

    def __init__(
        self,
        n_vocab: int = 32,
        *,
        order: int = 2,
        seed: int = 0,
        scale: float = 2.0,
        eog_shift: float = -1.0,
    ) -> None:
        self.n_vocab = n_vocab
        self.eog = n_vocab - 1
        self._order = order
        table = np.random.default_rng(seed).standard_normal((BUCKETS, n_vocab)) * scale
        table[:, self.eog] += eog_shift
        self._table = table.astype(np.float32)

    def twin(self, noise: float, seed: int = 1) -> "ToyLanguage":
        """The same language with normal noise of size `noise` on every logit."""
        other = ToyLanguage.__new__(ToyLanguage)
        other.__dict__.update(self.__dict__)
        table = np.random.default_rng(seed).standard_normal(self._table.shape) * noise
        other._table = self._table + table.astype(np.float32)
        return other

    def logits(self, tokens: Sequence[int]) -> Logits:
        """What follows `tokens`."""
        bucket = 17
        for token in tokens[-self._order :]:
            bucket = (bucket * 31 + token + 1) % BUCKETS
        return np.asarray(self._table[bucket])


class FakeTokenizer:
    """Ids of the toy language: text pieces that overlap and break characters, then one EOG."""

    def __init__(self, n_vocab: int) -> None:
        words = [*_WORDS, *(f"[{n}]".encode() for n in range(n_vocab))]
        self._pieces = [*words[: n_vocab - 1], b"<eog>"]
        self.n_vocab = n_vocab
        self.bos: int | None = None
        self.eos: int | None = n_vocab - 1

    def encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """The longest piece that fits, again and again."""
        data, ids = text.encode(), []
        while data:
            fitting = [t for t in range(self.n_vocab - 1) if data.startswith(self._pieces[t])]
            assert fitting, f"the toy vocabulary cannot spell {data!r}"
            ids.append(max(fitting, key=lambda token: len(self._pieces[token])))
            data = data[len(self._pieces[ids[-1]]) :]
        return ids

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token."""
        assert 0 <= token < self.n_vocab, f"piece of unknown token {token}"
        return b"" if token == self.eos and not special else self._pieces[token]

    def is_eog(self, token: int) -> bool:
        """True for the last id."""
        return token == self.eos

    def vocabulary(self) -> list[bytes]:
        """All pieces."""
        return list(self._pieces)


class FakeGrammar:
    """Forbids a changing third of the vocabulary. Accepting a forbidden token is an error.

    In libllama it would end the process.
    """

    def __init__(self, n_vocab: int, state: int) -> None:
        self._n_vocab = n_vocab
        self._state = state

    def mask(self, ids: NDArray[np.int32]) -> NDArray[np.bool_]:
        """For each id, whether it may come next."""
        return np.asarray((ids * 7 + self._state) % 3 != 0)

    def accept(self, token: int) -> None:
        """Advance by one emitted token."""
        assert 0 <= token < self._n_vocab, f"the grammar was given token {token}"
        assert self.mask(np.array([token], np.int32))[0], f"token {token} is forbidden here"
        self._state = (self._state * 5 + token + 1) % 997

    def clone(self) -> "FakeGrammar":
        """An independent copy of the state."""
        return FakeGrammar(self._n_vocab, self._state)


class FakeContext:
    """A cache that holds token ids, used by one thread alone except for `abort` and `resume`.

    Tests script it through its attributes:
    `failures`: the error to raise in the n-th decode (from 0), after part of the batch is held;
    `on_decode`: called with n before anything else happens in it;
    `delay`: called for the seconds that a decode takes; `abort` ends the wait;
    `blocked`: decodes that last until `abort`;
    `losses`: decodes that never end because the device is lost;
    `refuses`: names of "truncate", "restore" and "keep" if they shall always answer False.
    `bound` are the processors for single tokens, batches and prompts, if `bind` was called;
    `decodes`, `decoded` and `batches` count calls, tokens and (tokens, outputs) of each call,
    `trees` those of them that were trees.
    """

    def __init__(
        self,
        language: ToyLanguage,
        options: ContextOptions | None = None,
        rollback: Rollback = Rollback.ANY,
    ) -> None:
        options = options or ContextOptions()
        self.n_ctx = options.n_ctx or 256
        self.n_batch = options.n_batch
        self.max_outputs = options.max_outputs
        self.rollback = rollback
        limits = {Rollback.ANY: self.n_ctx, Rollback.BOUNDED: options.rollback}
        self.rollback_limit = limits.get(rollback, 0)
        self.n_vocab = language.n_vocab
        self.branches = options.branches if rollback is Rollback.ANY else 0
        self.trees = 0
        self.failures: dict[int, Exception] = {}
        self.on_decode: Callable[[int], None] = lambda number: None
        self.delay: Callable[[], float] = lambda: 0.0
        self.blocked: set[int] = set()
        self.losses: set[int] = set()
        self._report: Callable[[str], None] = lambda reason: None
        self.refuses: set[str] = set()
        self.batches: list[tuple[int, int]] = []
        self.bound: tuple[tuple[int, ...], ...] | None = None
        self.threads = 0
        self.closed = False
        self._language = language
        self._held: list[list[int]] = [[] for _ in range(options.max_sequences)]
        self._rows: Logits = np.empty((0, self.n_vocab), np.float32)
        self._abort = Event()
        self._owner: int | None = None
        self._random = random.Random(0)
        self._batch_start = 0
        self._rolled_back = False
        self._corrupt = False
        self._tree: tuple[list[int], list[int]] | None = None

    @property
    def decodes(self) -> int:
        """How many decodes were begun."""
        return len(self.batches)

    @property
    def decoded(self) -> int:
        """How many tokens they were given."""
        return sum(size for size, _ in self.batches)

    def held(self, sequence: int = 0) -> tuple[int, ...]:
        """The tokens in the cache; for tests, from any thread."""
        return tuple(self._held[sequence])

    def decode(
        self, tokens: Sequence[int], position: int, *, outputs: int, sequence: int = 0
    ) -> None:
        """Hold `tokens` and look up the logits of the last `outputs`."""
        self._enter()
        self._tree = None
        number = self.decodes
        self.batches.append((len(tokens), outputs))
        self.on_decode(number)
        self._rows.fill(np.nan)  # Views are valid until the next decode, and no longer.
        if self._abort.is_set():
            raise Aborted
        held = self._held[sequence]
        self._check(tokens, position, outputs, held)
        self._take_time(number, tokens, held)
        if number in self.failures:
            self._break(tokens, held)
            raise self.failures[number]
        self._batch_start, self._rolled_back = position, False
        held.extend(tokens)
        ends = range(len(held) - outputs + 1, len(held) + 1)
        rows = [self._language.logits(held[:end]) for end in ends]
        if rows:
            self._rows = np.stack(rows)

    def decode_tree(self, tokens: Sequence[int], parents: Sequence[int], position: int) -> None:
        """Hold the first branch of a tree and look up the logits of all of it."""
        siblings = [parent for row, parent in enumerate(parents) if parent in parents[:row]]
        assert parents[0] == -1, "a tree begins with one token"
        assert all(0 <= parent <= row for row, parent in enumerate(parents[1:])), "no such parent"
        assert len(siblings) <= self.branches, f"{len(siblings)} branches beside the first"
        before = list(self._held[0])
        self._check(tokens, position, len(tokens), before)
        first = [0]
        for row, parent in enumerate(parents):
            if parent == first[-1]:
                first.append(row)
        self.decode([tokens[row] for row in first], position, outputs=len(first))
        self.batches[-1] = len(tokens), len(tokens)
        texts = [[*before, tokens[0]]]
        for token, parent in zip(tokens[1:], parents[1:], strict=True):
            texts.append([*texts[parent], token])
        self._rows = np.stack([self._language.logits(text) for text in texts])
        self._tree, self.trees = (list(tokens), list(parents)), self.trees + 1

    def keep(self, path: Sequence[int]) -> bool:
        """Hold this path of the tree; only what need not be moved if "keep" is refused."""
        assert self._tree, "there is no tree to keep a path of"
        tokens, parents = self._tree
        assert [parents[row] for row in path] == [-1, *path[:-1]], f"{path} is no path"
        in_place = sum(row == index for index, row in enumerate(path))
        self.truncate(self._batch_start + in_place)
        if "keep" in self.refuses and in_place < len(path):
            return False
        self._held[0].extend(tokens[row] for row in path[in_place:])
        return True

    def decode_rows(self, rows: Sequence[Row]) -> None:
        """Hold the tokens of all `rows` and look up the logits of those that ask."""
        self._enter()
        number = self.decodes
        self.batches.append((len(rows), sum(row.output for row in rows)))
        self.on_decode(number)
        self._rows.fill(np.nan)
        if self._abort.is_set():
            raise Aborted
        assert 0 < len(rows) <= self.n_batch, f"a batch of {len(rows)} rows"
        assert sum(row.output for row in rows) <= self.max_outputs, "too many outputs"
        self._take_time(number, [rows[0].token], self._held[rows[0].sequence])
        found = []
        for row in rows:
            held = self._held[row.sequence]
            self._check([row.token], row.position, row.output, held)
            if number in self.failures:
                raise self.failures[number]
            held.append(row.token)
            if row.output:
                found.append(self._language.logits(held))
        if found:
            self._rows = np.stack(found)

    def copy(self, source: int, destination: int, length: int) -> None:
        """Share the first tokens of one sequence with an empty one."""
        self._enter()
        assert not self._held[destination], "a copy into a sequence that holds tokens"
        assert length <= len(self._held[source]), "a copy of more than is held"
        self._held[destination] = self._held[source][:length]

    def discard(self, length: int, *, sequence: int) -> None:
        """Keep the first tokens of a sequence."""
        self.truncate(length, sequence=sequence)

    def compact(self, sequences: Sequence[Held]) -> None:
        """Forget all other sequences; parents must come first, and hold what is shared."""
        self._enter()
        named: list[int] = []
        for held in sequences:
            if held.shared:
                assert held.parent in named, "a parent must come before who shares with it"
                parent = self._held[held.parent][: held.shared]
                assert parent == self._held[held.sequence][: held.shared], "shared tokens differ"
            named.append(held.sequence)
        for sequence, tokens in enumerate(self._held):
            if sequence not in named:
                tokens.clear()

    def logits(self, row: int) -> Logits:
        """A view of row `row`."""
        self._enter()
        assert 0 <= row < len(self._rows), f"row {row} of {len(self._rows)} kept"
        return np.asarray(self._rows[row])

    def truncate(self, length: int, *, sequence: int = 0) -> bool:
        """Keep the first `length` tokens, as far as this kind of cache can."""
        self._enter()
        self._tree = None
        held = self._held[sequence]
        assert 0 <= length <= len(held), f"truncation to {length} of {len(held)} held"
        if length == len(held) and not self._corrupt:
            return True
        if "truncate" in self.refuses or not self._can_truncate(length, held):
            return False
        self._rolled_back = True
        del held[length:]
        return True

    def length(self, sequence: int = 0) -> int:
        """Number of tokens held."""
        self._enter()
        return len(self._held[sequence])

    def clear(self) -> None:
        """Forget everything."""
        self._enter()
        for held in self._held:
            held.clear()
        self._batch_start, self._rolled_back, self._corrupt = 0, False, False

    def checkpoint(self) -> bytes:
        """The state of sequence 0."""
        self._enter()
        assert not self._corrupt, "a checkpoint of a corrupt state"
        return np.array(self._held[0], np.int32).tobytes()

    def restore(self, state: bytes, length: int) -> bool:
        """Go back to `state`; the attention part must still hold its tokens."""
        self._enter()
        tokens = np.frombuffer(state, np.int32).tolist()
        assert len(tokens) == length, f"a state of {len(tokens)} tokens restored as {length}"
        assert self._held[0][:length] == tokens, "a state of tokens that are not held any more"
        if "restore" in self.refuses:
            return False
        self._held[0] = tokens
        self._batch_start, self._rolled_back, self._corrupt = length, False, False
        return True

    def on_loss(self, report: Callable[[str], None]) -> None:
        """Report what `losses` says."""
        self._report = report

    def bind(self, single: Cpus, batch: Cpus, prompt: Cpus, *, threads: int = 0) -> None:
        """Remember the processors."""
        self.bound = tuple(single), tuple(batch), tuple(prompt)
        self.threads = threads

    def abort(self) -> None:
        """Stop the decode in progress or the next one."""
        self._abort.set()

    def resume(self) -> None:
        """Clear the abort flag."""
        self._abort.clear()

    def close(self) -> None:
        """Any use from now on is an error."""
        self.closed = True

    def _enter(self) -> None:
        assert not self.closed, "a closed context was used"
        self._owner = self._owner or get_ident()
        assert self._owner == get_ident(), "a context was used by two threads"

    def _check(self, tokens: Sequence[int], position: int, outputs: int, held: list[int]) -> None:
        assert not self._corrupt, "decoding on a corrupt state"
        assert position == len(held), f"position {position}, but {len(held)} tokens are held"
        assert 0 < len(tokens) <= self.n_batch, f"a batch of {len(tokens)} tokens"
        assert 0 <= outputs <= min(len(tokens), self.max_outputs), f"{outputs} outputs"
        assert position + len(tokens) <= self.n_ctx, "the context is full"
        assert all(0 <= token < self.n_vocab for token in tokens), f"unknown token in {tokens}"

    def _take_time(self, number: int, tokens: Sequence[int], held: list[int]) -> None:
        if number in self.losses:
            self._report("the device is lost")
            Event().wait()
        if number in self.blocked:
            assert self._abort.wait(PATIENCE), "nobody aborted the blocked decode"
        elif (seconds := self.delay()) > 0:
            self._abort.wait(seconds)
        if self._abort.is_set() and self.rollback is Rollback.ANY:
            self._break(tokens, held)
            raise Aborted

    def _break(self, tokens: Sequence[int], held: list[int]) -> None:
        """What a failed decode leaves behind: any prefix, and a recurrent state that is void."""
        held.extend(tokens[: self._random.randint(0, len(tokens))])
        self._corrupt = self.rollback is not Rollback.ANY

    def _can_truncate(self, length: int, held: list[int]) -> bool:
        if self.rollback is not Rollback.BOUNDED:
            return self.rollback is Rollback.ANY
        if self._rolled_back or len(held) - length > self.rollback_limit:
            return False
        assert not self._corrupt, "a rollback of a corrupt state would go unnoticed"
        assert length > self._batch_start, "a rollback of the whole batch would read a stale state"
        return True


class FakeModel:
    """A toy language as loaded weights; a grammar is the number that its first state shall be."""

    def __init__(self, language: ToyLanguage, rollback: Rollback = Rollback.ANY) -> None:
        self.path = Path("toy.gguf")
        self.language = language
        self.tokenizer: Tokenizer = FakeTokenizer(language.n_vocab)
        self.n_ctx_train = 256
        self.metadata: Mapping[str, str] = {"general.architecture": "toy"}
        self.description = "toy"
        self.contexts: list[FakeContext] = []
        self.closed = False
        self._rollback = rollback

    def context(self, options: ContextOptions) -> FakeContext:
        """A new context, also found in `contexts`."""
        self.contexts.append(FakeContext(self.language, options, self._rollback))
        return self.contexts[-1]

    def grammar(self, gbnf: str) -> FakeGrammar:
        """The grammar that begins in state `gbnf`."""
        if not gbnf.isdecimal():
            raise InvalidInput(f"the grammar does not parse: {gbnf!r}")
        return FakeGrammar(self.language.n_vocab, int(gbnf))

    def json_schema_grammar(self, schema: str) -> str:
        """Any schema is grammar 1."""
        return "1"

    def close(self) -> None:
        """Contexts must be closed before."""
        assert all(context.closed for context in self.contexts), "a context outlives its model"
        self.closed = True
