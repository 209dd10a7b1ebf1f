"""Models come and go, one at a time."""

import asyncio
from dataclasses import dataclass

from edgespec.server.shelf import Shelf


@dataclass
class Book:
    """A model that is a name, and may be lost."""

    name: str
    lost: bool = False
    closed: bool = False

    def close(self) -> None:
        """Nobody uses it any more."""
        self.closed = True


def shelf() -> Shelf[Book]:
    return Shelf({"one": lambda: Book("one")})


async def used(on: Shelf[Book]) -> Book:
    """What is there for who asks; nobody gets what is lost or closed."""
    async with on.use("one") as book:
        assert not book.lost
        assert not book.closed
        return book


def test_what_is_lost_is_loaded_anew() -> None:
    async def story(on: Shelf[Book]) -> None:
        first = await used(on)
        assert await used(on) is first
        first.lost = True
        second = await used(on)
        assert second is not first
        assert first.closed
        assert await used(on) is second

    asyncio.run(story(shelf()))


def test_whoever_uses_what_is_lost_is_waited_for() -> None:
    async def story(on: Shelf[Book]) -> None:
        async with on.use("one") as first:
            first.lost = True
            next_one = asyncio.ensure_future(used(on))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not next_one.done()
            assert not first.closed
        assert await next_one is not first
        assert first.closed

    asyncio.run(story(shelf()))
