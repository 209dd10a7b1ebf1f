"""The thread pools of one context: which processors decode single tokens, and which batches."""

import ctypes
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

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
    """Binds the threads of the context at `context` to processors, with one thread on each.

    Used by the thread that decodes, alone. A pool's number of threads is always the context's: an
    OpenMP build indexes the pool's workers by the context's number without a check.
    """

    def __init__(self, context: int) -> None:
        self._context = context
        self._pools: list[int] = []
        self._single: tuple[int, ...] = ()
        self._alone = False

    def bind(self, single: Sequence[int], batch: Sequence[int]) -> None:
        """Decode single tokens on the processors `single`, batches on `batch`.

        Raises ValueError for none, or more than ggml has room for; what the system does not allow
        stays undone.
        """
        if not 0 < len(single) <= _MAX_CPUS or not 0 < len(batch) <= _MAX_CPUS:
            raise ValueError(f"threads on {list(single)} and {list(batch)}")
        old = self._pools
        pools = [_pool(single)] if tuple(single) == tuple(batch) else [_pool(single), _pool(batch)]
        set_threads = function("llama_set_n_threads", None, _POINTER, ctypes.c_int, ctypes.c_int)
        set_threads(self._context, len(single), len(batch))
        attach = function("llama_attach_threadpool", None, _POINTER, _POINTER, _POINTER)
        attach(self._context, pools[0], pools[-1])
        self._pools = pools
        self._single = tuple(single)
        self._alone = len(single) == 1 or len(batch) == 1
        _free(old)
        self._settle(single if len(single) == 1 else batch)

    def before(self, n: int) -> None:
        """Called before each decode of `n` tokens: one thread alone is bound by nobody else."""
        if self._alone and n == 1:
            self._settle(self._single)

    def close(self) -> None:
        """Detach and free the pools. Idempotent."""
        if self._pools:
            function("llama_detach_threadpool", None, _POINTER)(self._context)
            _free(self._pools)
            self._pools = []

    def _settle(self, cpus: Sequence[int]) -> None:
        # ggml binds the threads of a team, but not a thread that computes without one.
        if hasattr(os, "sched_setaffinity"):
            with suppress(OSError):
                os.sched_setaffinity(0, cpus)


def _pool(cpus: Sequence[int]) -> int:
    params = _Params()
    fill = function("ggml_threadpool_params_init", None, _POINTER, ctypes.c_int)
    fill(ctypes.byref(params), len(cpus))
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


def _free(pools: Sequence[int]) -> None:
    for pool in pools:
        function("ggml_threadpool_free", None, _POINTER)(pool)
