"""The models that can be asked for, one of which is loaded at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

from edgespec.errors import EdgespecError


class Loaded(Protocol):
    """A model in memory."""

    name: str

    @property
    def lost(self) -> bool:
        """Whether something is gone that it needs; it can only be closed then, and loaded anew."""

    def close(self) -> None:
        """Free it."""


_Loaded = TypeVar("_Loaded", bound=Loaded)


class UnknownModel(EdgespecError):
    """No model on the shelf has the name that was asked for."""


class Shelf(Generic[_Loaded]):
    """Loads a model when it is asked for, once nobody uses the one before. Used by one loop.

    Who asks for the loaded model while others wait for another one waits behind them: nobody can
    keep a model loaded for ever.
    """

    def __init__(
        self, loads: Mapping[str, Callable[[], _Loaded]], loaded: _Loaded | None = None
    ) -> None:
        self._loads = loads
        self._loaded = loaded
        self._loading: asyncio.Future[_Loaded] | None = None
        self._users = 0
        self._turn = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def names(self) -> list[str]:
        """Of all models, the usual one first."""
        return list(self._loads)

    @property
    def loaded(self) -> _Loaded | None:
        """The model that is loaded."""
        return self._loaded

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[_Loaded]:
        """Inside, the model stays loaded. Raises UnknownModel, and what loading raises."""
        if name not in self._loads:
            raise UnknownModel(f"there is no model {name[:100]!r} here")
        async with self._turn:
            served = await self._switch(name)
            self._users += 1
            self._idle.clear()
        try:
            yield served
        finally:
            self._users -= 1
            if not self._users:
                self._idle.set()

    async def close(self) -> None:
        """Free what is loaded."""
        if self._loading:
            await asyncio.wait([self._loading])
            self._keep()
        if self._loaded:
            served, self._loaded = self._loaded, None
            await asyncio.to_thread(served.close)

    async def _switch(self, name: str) -> _Loaded:
        if self._loading:  # Whoever asked for that one went away meanwhile.
            await asyncio.wait([self._loading])
            self._keep()
        if self._loaded and self._loaded.name == name and not self._loaded.lost:
            return self._loaded
        await self._idle.wait()
        await self.close()
        self._loading = asyncio.ensure_future(asyncio.to_thread(self._loads[name]))
        served = await asyncio.shield(self._loading)
        self._keep()
        return served

    def _keep(self) -> None:
        loading, self._loading = self._loading, None
        if loading and not loading.exception():
            self._loaded = loading.result()
