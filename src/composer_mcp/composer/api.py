"""Composer's API, one method per call: headers, retries of what is safe to repeat, answers checked.

The token never leaves through a log line or an error: Composer wants it in the query string of reads, so no
address is ever logged and no exception of the HTTP library passes through.
Writing exactly once is built from these calls in ``writes``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import structlog
from pydantic import SecretStr, ValidationError

from composer_mcp.composer import answers, facts
from composer_mcp.composer.answers import Answer, BadAnswer
from composer_mcp.composer.breaker import Breaker, Resting
from composer_mcp.composer.meaning import (
    NOTHING_CHANGED,
    NOTHING_SAVED,
    Described,
    Saved,
    WriteFailed,
    described,
    is_passing,
    left_alone,
    parsed,
    reason_of,
    refusal,
    unavailable,
)
from composer_mcp.composer.patience import Patience, RetryBudget
from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.composition.document import Document, InvalidDocument
from composer_mcp.errors import (
    COMPOSER_CHANGED,
    COMPOSER_REJECTED_TOKEN,
    COMPOSITION_NOT_FOUND,
    PROJECT_NOT_FOUND,
    TEMPLATE_NOT_FOUND,
    ErrorCode,
)
from composer_mcp.observability import metrics, tracing
from composer_mcp.observability.masking import hide

Fence = Callable[[], Awaitable[None]]

# Both would write the addresses and headers of our requests, tokens included.
for _library in ("httpx", "httpcore"):
    logging.getLogger(_library).setLevel(logging.WARNING)

log = structlog.get_logger(__name__)


def trust(settings: ComposerSettings) -> ssl.SSLContext:
    """Return a TLS context that trusts the system's authorities and the configured one."""
    context = ssl.create_default_context()
    if settings.authority is not None:
        context.load_verify_locations(cafile=settings.authority)
    return context


class ComposerApi:
    """A client for one project; use it as an async context manager."""

    def __init__(
        self,
        settings: ComposerSettings,
        token: SecretStr,
        project_key: SecretStr,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        for secret in (token, project_key):
            hide(secret.get_secret_value())
        self.settings = settings
        self.token = token
        self._project_key = project_key
        #: One of each for the whole process; the editor's is used by ``editor``.
        self.breaker = Breaker("api", settings)
        self.editor_breaker = Breaker("editor", settings)
        self.retries = RetryBudget(settings)
        self._http = httpx.AsyncClient(
            base_url=settings.api_url,
            headers={"Accept-Encoding": answers.ACCEPT_ENCODING},
            verify=trust(settings),
            transport=transport,
            timeout=httpx.Timeout(settings.request_timeout_seconds, connect=settings.connect_timeout_seconds),
            # A redirect could carry the token to another host, and so could a proxy of the environment.
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    # --- reading: repeated on failure ---------------------------------------------------------------

    async def who_am_i(self) -> str:
        """Return the e-mail address of the service account.

        Raises:
            composer_rejected_token: Composer does not know the token.
            composer_unavailable: no proper answer; a bad token is also answered with 500 at times.
        """
        answer = await self._get(facts.USER_ME, headers=self._bearer(), rejected=facts.TOKEN_REJECTED)
        email = answer.get("email") if isinstance(answer, dict) else None
        return str(email or "")

    async def project(self) -> str:
        """Return the name of the project.

        Raises:
            project_not_found: there is none of the configured uid, or the account may not see it.
            composer_unavailable, composer_rejected_token, composer_refused, composer_changed.
        """
        path = facts.PROJECT.format(project_uid=self.settings.project_uid)
        answer = await self._get(path, headers=self._bearer(), missing=PROJECT_NOT_FOUND)
        if not isinstance(answer, dict):
            raise COMPOSER_CHANGED.error(what="a question for the project", saved=NOTHING_CHANGED)
        return str(answer.get("name") or "")

    async def read(self, uid: str) -> Document:
        """Return a composition, or a version of one by the uid of its content.

        Raises:
            composition_not_found, composer_unavailable, composer_rejected_token, composer_changed.
        """
        answer = await self._fetch(facts.CONTENT, params=self._read_query(uid))
        try:
            return Document.from_bytes(answer.content)
        except InvalidDocument as problem:
            raise COMPOSER_CHANGED.error(what=f"a read ({problem})", saved=NOTHING_CHANGED) from None

    async def content(self, uid: str) -> Any:
        """Return the JSON of a stored content that need not be a composition.

        Raises:
            template_not_found, composer_unavailable, composer_rejected_token, composer_changed.
        """
        return await self._get(facts.CONTENT, params=self._read_query(uid), missing=TEMPLATE_NOT_FOUND)

    async def versions(self, uid: str) -> list[Described]:
        """Return all versions of a composition, newest first.

        Raises:
            composition_not_found, composer_unavailable, composer_rejected_token, composer_changed.
        """
        found = described(
            await self._get(facts.VERSIONS, params={"uid": uid}, headers=self._bearer()), "a list of versions"
        )
        return sorted(found, key=lambda entry: entry.saved_at, reverse=True)

    async def search(self, content_type: str = facts.PART_TYPE) -> tuple[list[Described], bool]:
        """Return the project's contents of a type (compositions) and whether these are certainly all.

        Raises:
            composer_unavailable, composer_rejected_token, composer_refused, composer_changed.
        """
        found = await self._search(content_type, facts.SEARCH_TOP)
        if len(found) < facts.SEARCH_TOP:
            return found, True
        more = await self._search(content_type, facts.SEARCH_TOP * 100)
        return more, facts.SEARCH_TOP < len(more) < facts.SEARCH_TOP * 100

    async def _search(self, content_type: str, top: int) -> list[Described]:
        wanted = facts.SEARCH_FILTER.format(content_type=content_type, project_uid=self.settings.project_uid)
        answer = await self._get(
            facts.SEARCH, params={"filter": wanted, "top": str(top)}, headers=self._bearer()
        )
        return described(answer, "a search")

    async def _get(self, path: str, **options: Any) -> Any:
        return parsed(await self._fetch(path, **options))

    async def _fetch(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        rejected: set[int] | None = None,
        missing: ErrorCode = COMPOSITION_NOT_FOUND,
    ) -> Answer:
        patience = Patience(self.settings, self.retries)
        while True:
            patience.begin()
            try:
                answer = await self._send("GET", path, params=params, headers=headers)
            except Resting as resting:
                raise left_alone(resting, NOTHING_CHANGED) from None
            except BadAnswer as problem:
                raise COMPOSER_CHANGED.error(what=f"a read ({problem})", saved=NOTHING_CHANGED) from None
            except (httpx.TransportError, TimeoutError) as failure:
                reason = reason_of(failure)
            else:
                if answer.status in (rejected or facts.REFUSED_TOKEN):
                    raise COMPOSER_REJECTED_TOKEN.error()
                if answer.status == 404:
                    raise missing.error()
                if answer.is_success:
                    return answer
                reason = f"status {answer.status}"
                if not is_passing(answer.status):
                    raise refusal(answer, "a read", NOTHING_CHANGED)
            log.warning("composer.retry", call=_name("GET", path), reason=reason, tries=patience.tries)
            if not await patience.pause():
                raise unavailable(reason, patience.tries, NOTHING_CHANGED)

    # --- writing: one try ---------------------------------------------------------------------------

    async def create(self, document: Document, fence: Fence) -> Saved:
        """Try once to store a new composition.

        ``fence`` is asked when the connection stands; what it raises ends the try before anything is sent.

        Raises:
            WriteFailed: it may or may not have been saved.
            composer_refused, composer_rejected_token, composer_unavailable: it was not saved.
            composer_changed: it says whether it was saved.
        """
        path = facts.CREATE.format(connector_uid=self.settings.connector_uid)
        return await self._write("POST", path, document, fence)

    async def replace(self, uid: str, document: Document, fence: Fence) -> Saved:
        """Try once to replace the content of a composition; ``fence`` as in :meth:`create`.

        Raises:
            WriteFailed: it may or may not have been saved.
            composition_not_found, composer_refused, composer_rejected_token, composer_unavailable: it was
                not saved.
            composer_changed: it says whether it was saved.
        """
        query = facts.write_query(uid, self.settings.project_uid)
        return await self._write("PUT", facts.CONTENT, document, fence, query)

    async def _write(
        self,
        method: str,
        path: str,
        document: Document,
        fence: Fence,
        query: Mapping[str, str] | None = None,
    ) -> Saved:
        async def ask(event: str, _: Any) -> None:
            # Connected, and not a byte sent: asked any earlier, the job could be lost while we connect.
            if event.endswith("send_request_headers.started"):
                await fence()

        try:
            answer = await self._send(
                method,
                path,
                params=query,
                extensions={"trace": ask},
                files={facts.PART_NAME: (facts.PART_FILENAME, _bytes(document), facts.PART_TYPE)},
                headers=facts.write_headers(
                    self.token.get_secret_value(),
                    self._project_key.get_secret_value(),
                    self.settings.api_env,
                ),
            )
        except Resting as resting:
            raise left_alone(resting, NOTHING_SAVED) from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as failure:
            raise WriteFailed(reason_of(failure), uncertain=False) from None
        except (httpx.TransportError, TimeoutError) as failure:
            raise WriteFailed(reason_of(failure), uncertain=True) from None
        except BadAnswer as problem:
            raise WriteFailed(str(problem), uncertain=True) from None
        if answer.status in facts.REFUSED_TOKEN:
            raise COMPOSER_REJECTED_TOKEN.error()
        if answer.status == 404 and query is not None:
            raise COMPOSITION_NOT_FOUND.error()
        if not answer.is_success:
            if is_passing(answer.status):
                raise WriteFailed(f"status {answer.status}", uncertain=answer.status != 429)
            raise refusal(answer, "a save", "It is not known whether anything was saved.")
        try:
            saved = Saved.model_validate_json(answer.content)
        except ValidationError:
            raise WriteFailed("an answer of unknown form", uncertain=True) from None
        if not saved.success:
            raise refusal(answer, "a save", NOTHING_SAVED)
        return saved

    async def _send(self, method: str, path: str, **options: Any) -> Answer:
        """Make one request and read its answer, within the limits of time and size.

        Raises:
            Resting: it was not made, because Composer fails too often at present.
            BadAnswer, httpx.TransportError, TimeoutError.
        """
        call = _name(method, path)
        outcome = "failed"
        with tracing.span(call, "client") as measured, self.breaker.attempt() as attempt:
            try:
                with metrics.COMPOSER_SECONDS.labels(call).time():
                    answer = await self._receive(method, path, options)
            except (httpx.TransportError, TimeoutError):
                attempt.failed()
                raise
            except BadAnswer:
                attempt.succeeded()
                raise
            else:
                outcome = str(answer.status)
                measured.status(answer.status)
                if is_passing(answer.status):
                    attempt.failed()
                else:
                    attempt.succeeded()
                return answer
            finally:
                metrics.COMPOSER_CALLS.labels(call, outcome).inc()

    async def _receive(self, method: str, path: str, options: dict[str, Any]) -> Answer:
        # The library's limits are for each read: an answer of one byte a second would never end.
        async with (
            asyncio.timeout(self.settings.request_timeout_seconds),
            self._http.stream(method, path, **options) as response,
        ):
            return await answers.receive(response, self.settings.answer_limit_bytes)

    def _read_query(self, uid: str) -> dict[str, str]:
        return facts.read_query(
            uid, self.token.get_secret_value(), self._project_key.get_secret_value(), self.settings.api_env
        )

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.get_secret_value()}"}


def _bytes(document: Document) -> bytes:
    raw = document.to_json()
    try:
        return json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, as editors in JavaScript leave them: only an escape can carry it.
        return json.dumps(raw, separators=(",", ":")).encode()


def _name(method: str, path: str) -> str:
    """Return what a call is called in log and metrics: without what differs from call to call."""
    return f"{method} {re.sub('/uid/.*', '/uid', path)}"
