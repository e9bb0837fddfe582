"""Does together what is asked for at the same time: one statement and one commit for many callers.

Who comes alone is served at once. Who comes while a batch is under way waits for it and goes with the next;
that takes less time than a statement of its own beside it, because each costs a message to the database and
back, a commit, and a place in the line for the same rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

BATCH_LIMIT = 100


class Batches(Generic[Item, Answer]):
    """Collects items while ``work`` is under way, and gives each its own answer or error.

    An error of the kinds ``common`` is everybody's; after any other, each item is tried alone.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        common: tuple[type[Exception], ...],
    ) -> None:
        self._work = work
        self._common = common
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._working: asyncio.Task[None] | None = None

    async def do(self, item: Item) -> Answer:
        """Return the answer to one item; what was begun is finished also when the caller goes away."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_LIMIT], self._waiting[BATCH_LIMIT:]
            batch = [(item, answer) for item, answer in batch if not answer.done()]
            if not batch:
                continue
            try:
                answers = await self._work([item for item, _ in batch])
            except Exception as error:
                if len(batch) == 1 or isinstance(error, self._common):
                    for _, answer in batch:
                        _refuse(answer, error)
                else:
                    # One of them may be at fault; it must not take the others with it.
                    await asyncio.gather(*(self._alone(item, answer) for item, answer in batch))
                continue
            for (_, answer), value in zip(batch, answers, strict=True):
                _give(answer, value)

    async def _alone(self, item: Item, answer: asyncio.Future[Answer]) -> None:
        try:
            (value,) = await self._work([item])
        except Exception as error:
            _refuse(answer, error)
        else:
            _give(answer, value)


def _give(answer: asyncio.Future[Answer], value: Answer) -> None:
    if not answer.done():
        answer.set_result(value)


def _refuse(answer: asyncio.Future[Answer], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
