"""The thread pools of one context: which processors decode tokens, batches and prompts."""

import ctypes
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from edgespec.protocols import Cpus
from edgespec_backends.llamacpp.ggml import function

_MAX_CPUS = 512
_POINTER = ctypes.c_void_p


class _Params(ctypes.Structure):
    """ggml_threadpool_params of ggml.h."""

    _fields_ = [
        ("cpumask", ctypes.c_bool * _MAX_CPUS),
        ("n_threads", ctypes.c_int),
        ("prio", ctypes.c_int),
        ("poll", ctypes.c_uint32),
        ("strict_cpu", ctypes.c_bool),
        ("paused", ctypes.c_bool),
    ]


class ThreadPools:
    """Binds the threads of the context at `context` to processors.

    Used by the thread that decodes, alone. A pool's number of threads is always the context's: an
    OpenMP build indexes the pool's workers by the context's number without a check.
    """

    def __init__(self, context: int) -> None:
        self._context = context
        self._pools: dict[tuple[int, ...], int] = {}
        self._single: tuple[int, ...] = ()
        self._batch: tuple[int, ...] = ()
        self._prompt: tuple[int, ...] = ()
        self._attached: tuple[int, ...] = ()
        self._threads = 0

    def bind(self, single: Cpus, batch: Cpus, prompt: Cpus, threads: int = 0) -> None:
        """Decode single tokens on the processors `single`, batches on `batch`, prompts on `prompt`.

        There is a thread on each, or so many `threads` on whichever are free. Raises ValueError for
        none, or more than ggml has room for; what the system does not allow stays undone.
        """
        sets = tuple(single), tuple(batch), tuple(prompt)
        if not all(0 < len(cpus) <= _MAX_CPUS for cpus in sets):
            raise ValueError(f"threads on {', '.join(map(str, map(list, sets)))}")
        old, self._threads = self._pools, threads
        self._pools = {cpus: _pool(cpus, self._count(cpus)) for cpus in dict.fromkeys(sets)}
        self._single, self._batch, self._prompt = sets
        self._attach(self._batch)
        _free(old.values())
        self._settle(self._single if self._count(self._single) == 1 else self._batch)

    def before(self, n: int, *, prompt: bool) -> None:
        """Called before each decode of `n` tokens."""
        cpus = self._prompt if prompt else self._batch
        if n == 1:
            cpus = self._single
        elif cpus != self._attached:
            # The engine has room for two pools: that of single tokens, and one for all else.
            self._attach(cpus)
        if any(self._count(one) == 1 for one in self._pools):
            self._settle(cpus)

    def close(self) -> None:
        """Detach and free the pools. Idempotent."""
        if self._pools:
            function("llama_detach_threadpool", None, _POINTER)(self._context)
            _free(self._pools.values())
            self._pools = {}

    def _count(self, cpus: Sequence[int]) -> int:
        return self._threads or len(cpus)

    def _attach(self, several: tuple[int, ...]) -> None:
        set_threads = function("llama_set_n_threads", None, _POINTER, ctypes.c_int, ctypes.c_int)
        set_threads(self._context, self._count(self._single), self._count(several))
        attach = function("llama_attach_threadpool", None, _POINTER, _POINTER, _POINTER)
        attach(self._context, self._pools[self._single], self._pools[several])
        self._attached = several

    def _settle(self, cpus: Sequence[int]) -> None:
        # ggml binds the threads of a team, but not a thread that computes without one.
        if hasattr(os, "sched_setaffinity"):
            with suppress(OSError):
                os.sched_setaffinity(0, cpus)


def _pool(cpus: Sequence[int], threads: int) -> int:
    params = _Params()
    fill = function("ggml_threadpool_params_init", None, _POINTER, ctypes.c_int)
    fill(ctypes.byref(params), threads)
    # Where binding is forbidden, ggml would say so on stderr at every change of a team.
    for cpu in cpus if max(cpus) < _MAX_CPUS and _may_bind() else ():
        params.cpumask[cpu] = True
    made: Any = function("ggml_threadpool_new", _POINTER, _POINTER)(ctypes.byref(params))
    return int(made)


def _may_bind() -> bool:
    if not hasattr(os, "sched_setaffinity"):
        return True
    try:
        os.sched_setaffinity(0, os.sched_getaffinity(0))
    except OSError:
        return False
    return True


def _free(pools: Iterable[int]) -> None:
    for pool in pools:
        function("ggml_threadpool_free", None, _POINTER)(pool)
