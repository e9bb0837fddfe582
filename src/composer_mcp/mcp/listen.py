"""Serves ``subscriptions/listen``: pushes what a client wants to hear of, until it has heard it all.

A stream carries its own tenant's tasks and compositions, whichever process changed them: what is pushed
comes from the stores, not from this process. Each stream keeps only the newest state of each thing that it
follows, so a slow reader costs no memory; one that does not read at all is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, cast
from uuid import UUID

import anyio
import anyio.lowlevel
import structlog
from mcp.server.subscriptions import SubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import (
    SUBSCRIPTION_ID_META_KEY,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    event_matches,
    event_to_notification,
)
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    Notification,
    NotificationParams,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)
from pydantic import ConfigDict

from composer_mcp.errors import TOO_MANY_STREAMS, ComposerError
from composer_mcp.jobs.engine import JobRecord
from composer_mcp.mcp.tasks import Tasks
from composer_mcp.mcp.tasks.wire import Context
from composer_mcp.observability import metrics
from composer_mcp.observability.access import is_stream

Letter = Notification[Any, Any]
#: Writes a letter when it is about to be sent: what it is made of is small, itself it may be megabytes.
Draft = Callable[[], Awaitable[Letter]]
#: Longer than any token is good for; a stream of a caller whose token never expires ends then, too.
LONGEST_SECONDS = 86_400.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one process."""

    streams: int = 1000
    streams_per_caller: int = 20
    tasks_per_stream: int = 100
    resources_per_stream: int = 100
    #: How long one message may wait for a reader.
    write_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Audience:
    """Who listens, and to what: ``name`` is for counting, ``seconds`` is how long the token is good.

    ``changes`` yields, whenever resources of the caller's tenant have changed, the URIs of those that differ.
    ``stopping`` is set when this process takes no new work, so that clients listen elsewhere.
    """

    name: str
    seconds: float
    stopping: asyncio.Event
    changes: Callable[[], AsyncIterator[Collection[str]]]


class TaskNotificationParams(NotificationParams):
    """A task, as ``tasks/get`` shows it."""

    model_config = ConfigDict(extra="allow")


class TaskNotification(Notification[TaskNotificationParams, Literal["notifications/tasks"]]):
    """``notifications/tasks``."""

    method: Literal["notifications/tasks"] = "notifications/tasks"
    params: TaskNotificationParams


class Mailbox:
    """What one stream has yet to say: of each thing only the newest, in the order in which things changed."""

    def __init__(self) -> None:
        self._letters: dict[str, Letter | Draft] = {}
        self._arrived = asyncio.Event()
        self._writers = 0
        self._failure: Exception | None = None

    def put(self, thing: str, letter: Letter | Draft) -> None:
        """Say this of a thing, in place of what was to be said of it before."""
        self._letters[thing] = letter
        self._arrived.set()

    def begin(self) -> None:
        """Expect one more writer."""
        self._writers += 1

    def end(self, failure: Exception | None = None) -> None:
        """One writer has nothing more to say, or has failed."""
        self._writers -= 1
        self._failure = self._failure or failure
        self._arrived.set()

    async def take(self) -> Letter | None:
        """Return the next thing to say, or ``None`` when nothing will come any more.

        Raises:
            Exception: what a writer or a draft failed with.
        """
        while not self._letters:
            if self._failure is not None:
                raise self._failure
            if not self._writers:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        letter = self._letters.pop(next(iter(self._letters)))
        return letter if isinstance(letter, Notification) else await letter()


async def _feed(feed: Callable[[], Awaitable[None]], mailbox: Mailbox) -> None:
    """Have a feed write into a mailbox, and say there how it ended."""
    mailbox.begin()
    try:
        await feed()
    except Exception as error:
        mailbox.end(error)
    else:
        mailbox.end()


class Listener:
    """The handler of ``subscriptions/listen``; one call is one stream.

    ``bus`` carries what this process says to everybody; ``changing`` says which of the lists of ``tools`` and
    ``prompts`` it tells of. What nobody will ever tell of is not granted.
    """

    def __init__(
        self,
        tasks: Tasks,
        audience: Callable[[Context], Audience],
        bus: SubscriptionBus,
        limits: Limits | None = None,
        *,
        changing: Collection[str] = (),
    ) -> None:
        self._tasks = tasks
        self._audience = audience
        self._bus = bus
        self._limits = limits or Limits()
        self._changing = changing
        self._streams: Counter[str] = Counter()

    @property
    def streams(self) -> int:
        """How many streams are open in this process."""
        return self._streams.total()

    async def __call__(
        self, context: Context, params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve one stream, until all tasks have ended, the token expires, or the process is to stop.

        Raises:
            MCPError: -32602 for too many things at once, -32021 for tasks without the extension,
                -32603 when there are too many streams, a store is away, or nobody reads.
        """
        if context.request_id is None:
            raise MCPError(INVALID_REQUEST, "subscriptions/listen needs a request id")
        audience = self._audience(context)
        meta = {SUBSCRIPTION_ID_META_KEY: context.request_id}
        with self._place(audience):
            jobs, honored = await self._honor(context, params.notifications)
            try:
                await self._serve(context, audience, jobs, honored, meta)
            except ComposerError as error:
                _refuse(error)
        return SubscriptionsListenResult(_meta=meta)

    @contextlib.contextmanager
    def _place(self, audience: Audience) -> Iterator[None]:
        limits = self._limits
        if self._streams[audience.name] >= limits.streams_per_caller:
            _refuse(TOO_MANY_STREAMS.error(limit=limits.streams_per_caller, whose="of this caller"))
        if self.streams >= limits.streams:
            _refuse(TOO_MANY_STREAMS.error(limit=limits.streams, whose="of all callers"))
        self._streams[audience.name] += 1
        metrics.SUBSCRIPTIONS.inc()
        is_stream()
        try:
            yield
        finally:
            metrics.SUBSCRIPTIONS.dec()
            self._streams[audience.name] -= 1
            # Callers come and go; whoever has no stream is not remembered.
            self._streams += Counter()

    async def _honor(
        self, context: Context, wanted: SubscriptionFilter
    ) -> tuple[list[UUID], SubscriptionFilter]:
        """Return the tasks to follow, and what the client is told that it will hear of."""
        task_ids = (wanted.model_extra or {}).get("taskIds") or []
        uris = wanted.resource_subscriptions or []
        if not isinstance(task_ids, list) or not all(isinstance(item, str) for item in task_ids):
            raise MCPError(INVALID_PARAMS, "notifications.taskIds must be a list of texts")
        for name, items, limit in (
            ("taskIds", task_ids, self._limits.tasks_per_stream),
            ("resourceSubscriptions", uris, self._limits.resources_per_stream),
        ):
            if len(items) > limit:
                raise MCPError(INVALID_PARAMS, f"notifications.{name} has more than {limit} entries")
        jobs = await self._tasks.known(context, task_ids) if task_ids else []
        # Only what was asked for and is granted is named; false and empty are left out.
        honored = {
            "toolsListChanged": wanted.tools_list_changed and "tools" in self._changing,
            "promptsListChanged": wanted.prompts_list_changed and "prompts" in self._changing,
            "resourcesListChanged": wanted.resources_list_changed,
            "resourceSubscriptions": uris,
            "taskIds": [str(job) for job in jobs],
        }
        granted = {name: value for name, value in honored.items() if value}
        return jobs, SubscriptionFilter.model_validate(granted)

    async def _serve(
        self,
        context: Context,
        audience: Audience,
        jobs: list[UUID],
        honored: SubscriptionFilter,
        meta: dict[str, Any],
    ) -> None:
        uris = frozenset(honored.resource_subscriptions or ())
        resources = bool(honored.resources_list_changed or uris)
        mailbox = Mailbox()

        def deliver(event: ServerEvent) -> None:
            if event_matches(honored, uris, event):
                mailbox.put(repr(event), event_to_notification(event, meta))

        async def follow_tasks() -> None:
            async for record in self._tasks.updates(context, jobs):
                mailbox.put(str(record.id), functools.partial(show_task, record))

        async def show_task(record: JobRecord) -> Letter:
            task = await self._tasks.shown(context, record)
            params = TaskNotificationParams.model_validate({"_meta": meta, **task})
            return TaskNotification(params=params)

        async def follow_resources() -> None:
            async for changed in audience.changes():
                deliver(ResourcesListChanged())
                for uri in changed:
                    deliver(ResourceUpdated(uri))

        async def follow_process(stream: anyio.CancelScope) -> None:
            await audience.stopping.wait()
            stream.cancel()

        acknowledgement = SubscriptionsAcknowledgedNotification(
            params=SubscriptionsAcknowledgedNotificationParams(notifications=honored, _meta=meta)
        )
        failure: Exception | None = None
        unsubscribe = self._bus.subscribe(deliver)
        async with anyio.create_task_group() as feeds, contextlib.AsyncExitStack() as kept:
            kept.callback(feeds.cancel_scope.cancel)
            kept.callback(unsubscribe)
            stream = kept.enter_context(anyio.move_on_after(min(audience.seconds, LONGEST_SECONDS)))
            feeds.start_soon(follow_process, stream)
            if jobs:
                feeds.start_soon(_feed, follow_tasks, mailbox)
            if resources:
                feeds.start_soon(_feed, follow_resources, mailbox)
            if honored.tools_list_changed or honored.prompts_list_changed:
                # The bus says when these change, and it never ends.
                mailbox.begin()
            # Everything is followed before that is acknowledged, so that nothing is missed from then on; the
            # acknowledgement comes first all the same, because only this task writes.
            await anyio.lowlevel.checkpoint()
            try:
                await self._say(context, acknowledgement)
                while (letter := await mailbox.take()) is not None:
                    await self._say(context, letter)
            except Exception as error:
                # Kept for later: raised here it would leave the group of feeds as a group of errors.
                failure = error
        if failure is not None:
            raise failure

    async def _say(self, context: Context, letter: Letter) -> None:
        try:
            with anyio.fail_after(self._limits.write_seconds):
                # The SDK's type names its own notifications; it sends any.
                await context.session.send_notification(
                    cast("Any", letter), related_request_id=context.request_id
                )
        except TimeoutError as error:
            log.info("listen.reader_gone", seconds=self._limits.write_seconds)
            raise MCPError(INTERNAL_ERROR, "Nothing was read for too long. Listen again.") from error


def _refuse(error: ComposerError) -> NoReturn:
    raise MCPError(INTERNAL_ERROR, f"{error.sentence} {error.remedy}", error.as_dict()) from error
