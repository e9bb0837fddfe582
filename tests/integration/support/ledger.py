"""Callers who go on calling whatever happens, and the book of how each of their jobs ended.

The book is kept by the database itself, in the transaction that ends a job: an end that is written twice, or
that takes another one's place, stands there twice.
"""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from composer_mcp.errors import ComposerError
from composer_mcp.jobs.engine import JobState
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.jobs.requests import AnyRequest, CreateComposition, GetComposition

from .installation import Platform

BOOK = """
create table ending (job_id uuid not null, state text not null);
grant insert on ending to composer;
create function note_ending() returns trigger language plpgsql as $$
begin
    insert into ending (job_id, state) values (new.id, new.state);
    return new;
end
$$;
create trigger note_ending after update on job for each row
    when (new.state in ('succeeded', 'failed', 'cancelled')
          and (old.state is distinct from new.state or old.finished_at is distinct from new.finished_at
               or old.result::text is distinct from new.result::text))
    execute function note_ending();
"""
CALLERS = 12
TENANTS = 3


class Ledger:
    """What was accepted, how it ended, and how long nothing ended at all."""

    def __init__(self, platform: Platform, engine: PostgresJobEngine) -> None:
        platform.sql(BOOK)
        self._engine = engine
        self.accepted: dict[str, uuid.UUID] = {}
        self.ended: dict[uuid.UUID, JobState] = {}
        self.refused: Counter[str] = Counter()
        self._ends: list[float] = []
        self._news = anyio.Event()
        self._leaving = False

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """Call until the context is left, then wait until everything accepted has ended."""
        async with anyio.create_task_group() as group:
            for number in range(CALLERS):
                group.start_soon(self._caller, number)
            try:
                yield
            finally:
                self._leaving = True

    async def _caller(self, number: int) -> None:
        made = 0
        while not self._leaving:
            made += 1
            await self._call(f"tenant-{number % TENANTS}", f"caller-{number}-{made}", _request(number + made))

    async def _call(self, tenant: str, key: str, request: AnyRequest) -> None:
        # Whoever is not told that a job was accepted repeats the call with its key, as a client does.
        while key not in self.accepted:
            try:
                self.accepted[key] = (await self._engine.submit(tenant, key, request, "chaos")).job_id
            except ComposerError as error:
                assert error.code.retryable, error
                self.refused[error.code.code] += 1
                await anyio.sleep(0.2)
        record = await self._engine.wait(self.accepted[key], _quiet)
        self.ended[record.id] = record.state
        self._ends.append(time.monotonic())
        self._news.set()
        self._news = anyio.Event()

    async def next_end(self, after: float, seconds: float = 60) -> float:
        """Wait until a job has ended that ended after a moment; return the seconds since that moment."""
        with anyio.fail_after(seconds):
            while not self._ends or self._ends[-1] <= after:
                await self._news.wait()
        return next(end for end in self._ends if end > after) - after

    def check(self, platform: Platform, *, least: int = 20) -> None:
        """Every accepted job has ended exactly once, well, and nothing is left in the queue."""
        jobs = set(self.accepted.values())
        assert len(jobs) == len(self.accepted) >= least
        assert set(self.ended) == jobs
        assert set(self.ended.values()) == {JobState.SUCCEEDED}, Counter(self.ended.values())
        book = platform.sql("select count(*), count(distinct job_id) from ending where state = 'succeeded'")
        assert book == f"{len(jobs)}|{len(jobs)}"
        assert platform.sql("select count(*) from ending where state <> 'succeeded'") == "0"
        assert platform.sql("select count(*) from job") == str(len(jobs))
        assert platform.sql("select count(*) from pgqueuer") == "0"


def _request(number: int) -> AnyRequest:
    work = f"sit-{random.randrange(5, 120):04d}"
    if number % 3:
        return GetComposition(uid=work)
    lesson = {"title": work, "elements": [{"type": "text", "text": "A cell."}]}
    return CreateComposition.model_validate({"lesson": lesson})


async def _quiet(fraction: float, message: str) -> None:
    """Nobody listens."""
