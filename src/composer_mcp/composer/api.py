"""Composer's API, one method per call: headers, retries of what is safe to repeat, answers checked.

The token never leaves through a log line or an error: Composer wants it in the query string of reads, so no
address is ever logged and no exception of the HTTP library passes through.
Writing exactly once is built from these calls in ``writes``.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from composer_mcp.composer import facts
from composer_mcp.composer.patience import Patience
from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.composition.document import Document, InvalidDocument
from composer_mcp.errors import (
    COMPOSER_CHANGED,
    COMPOSER_REFUSED,
    COMPOSER_REJECTED_TOKEN,
    COMPOSER_UNAVAILABLE,
    COMPOSITION_NOT_FOUND,
    ComposerError,
)
from composer_mcp.observability import metrics

Fence = Callable[[], Awaitable[None]]

# Both would write the addresses and headers of our requests, tokens included.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

log = structlog.get_logger(__name__)

NOTHING_CHANGED = "Nothing was changed."


class WriteFailed(Exception):
    """One try of a write failed; ``uncertain`` says whether it may have been saved all the same."""

    def __init__(self, reason: str, *, uncertain: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.uncertain = uncertain


class Described(BaseModel):
    """What Composer says about a stored content; only what we use, and all of it optional but the uid."""

    model_config = ConfigDict(extra="ignore")

    content_uid: str
    content_size: int | None = None
    user_uid: str | None = None
    created_at: datetime | None = None
    last_modified: datetime | None = None


class Saved(BaseModel):
    """The answer to a save."""

    model_config = ConfigDict(extra="ignore")

    uid: str
    success: bool


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
        self.settings = settings
        self.token = token
        self._project_key = project_key
        self._http = httpx.AsyncClient(
            base_url=settings.api_url,
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

    async def read(self, uid: str) -> Document:
        """Return a composition.

        Raises:
            composition_not_found, composer_unavailable, composer_rejected_token, composer_changed.
        """
        query = facts.read_query(
            uid, self.token.get_secret_value(), self._project_key.get_secret_value(), self.settings.api_env
        )
        raw = await self._get(facts.CONTENT, params=query)
        try:
            return Document.from_json(raw)
        except InvalidDocument as problem:
            raise COMPOSER_CHANGED.error(what=f"a read ({problem})", saved=NOTHING_CHANGED) from None

    async def versions(self, uid: str) -> list[Described]:
        """Return all versions of a composition, newest first.

        Raises:
            composition_not_found, composer_unavailable, composer_rejected_token, composer_changed.
        """
        found = _described(
            await self._get(facts.VERSIONS, params={"uid": uid}, headers=self._bearer()), "a list of versions"
        )
        return sorted(found, key=_saved_at, reverse=True)

    async def search(self) -> tuple[list[Described], bool]:
        """Return the project's compositions and whether these are certainly all.

        Raises:
            composer_unavailable, composer_rejected_token, composer_refused, composer_changed.
        """
        found = await self._search(facts.SEARCH_TOP)
        if len(found) < facts.SEARCH_TOP:
            return found, True
        more = await self._search(facts.SEARCH_TOP * 100)
        return more, facts.SEARCH_TOP < len(more) < facts.SEARCH_TOP * 100

    async def _search(self, top: int) -> list[Described]:
        wanted = facts.SEARCH_FILTER.format(
            content_type=facts.PART_TYPE, project_uid=self.settings.project_uid
        )
        answer = await self._get(
            facts.SEARCH, params={"filter": wanted, "top": str(top)}, headers=self._bearer()
        )
        return _described(answer, "a search")

    async def _get(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        rejected: set[int] | None = None,
    ) -> Any:
        patience = Patience(self.settings)
        while True:
            patience.begin()
            try:
                response = await self._send("GET", path, params=params, headers=headers)
            except (httpx.TransportError, httpx.DecodingError) as failure:
                reason = _reason(failure)
            else:
                if response.status_code in (rejected or {401, 403}):
                    raise COMPOSER_REJECTED_TOKEN.error()
                if response.status_code == 404:
                    raise COMPOSITION_NOT_FOUND.error()
                if response.is_success:
                    return _json(response)
                reason = f"status {response.status_code}"
                if not _is_passing(response.status_code):
                    raise _refusal(response)
            log.warning("composer.retry", call=path, reason=reason, tries=patience.tries)
            if not await patience.pause():
                raise COMPOSER_UNAVAILABLE.error(reason=reason, tries=patience.tries, saved=NOTHING_CHANGED)

    # --- writing: one try ---------------------------------------------------------------------------

    async def create(self, document: Document, fence: Fence) -> str:
        """Try once to store a new composition; return its uid.

        ``fence`` is asked when the connection stands; what it raises ends the try before anything is sent.

        Raises:
            WriteFailed: it may or may not have been saved.
            composer_refused, composer_rejected_token: it was not saved.
        """
        path = facts.CREATE.format(connector_uid=self.settings.connector_uid)
        return (await self._write("POST", path, document, fence)).uid

    async def replace(self, uid: str, document: Document, fence: Fence) -> None:
        """Try once to replace the content of a composition; ``fence`` as in :meth:`create`.

        Raises:
            WriteFailed: it may or may not have been saved.
            composition_not_found, composer_refused, composer_rejected_token: it was not saved.
        """
        query = {"uid": uid, "manual_project_uid": self.settings.project_uid}
        await self._write("PUT", facts.CONTENT, document, fence, query)

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
            response = await self._send(
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
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as failure:
            raise WriteFailed(_reason(failure), uncertain=False) from None
        except (httpx.TransportError, httpx.DecodingError) as failure:
            raise WriteFailed(_reason(failure), uncertain=True) from None
        if response.status_code in (401, 403):
            raise COMPOSER_REJECTED_TOKEN.error()
        if response.status_code == 404 and query is not None:
            raise COMPOSITION_NOT_FOUND.error()
        if not response.is_success:
            if _is_passing(response.status_code):
                certain = response.status_code == 429
                raise WriteFailed(f"status {response.status_code}", uncertain=not certain)
            raise _refusal(response)
        try:
            saved = Saved.model_validate_json(response.content)
        except ValidationError:
            raise WriteFailed("an answer of unknown form", uncertain=True) from None
        if not saved.success:
            raise _refusal(response)
        return saved

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        call = f"{method} {re.sub('/uid/.*', '/uid', path)}"
        outcome = "failed"
        try:
            with metrics.COMPOSER_SECONDS.labels(call).time():
                response = await self._http.request(method, path, **options)
            outcome = str(response.status_code)
            return response
        finally:
            metrics.COMPOSER_CALLS.labels(call, outcome).inc()

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.get_secret_value()}"}


def _bytes(document: Document) -> bytes:
    raw = document.to_json()
    try:
        return json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, as editors in JavaScript leave them: only an escape can carry it.
        return json.dumps(raw, separators=(",", ":")).encode()


def _saved_at(entry: Described) -> datetime:
    moment = entry.last_modified or entry.created_at or datetime.min
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_passing(status: int) -> bool:
    return status >= 500 or status in (408, 425, 429)


def _reason(failure: Exception) -> str:
    # Only the kind of failure: texts of the HTTP library may quote the address.
    match failure:
        case httpx.ConnectTimeout():
            return "no connection in time"
        case httpx.ConnectError() if "CERTIFICATE" in str(failure).upper():
            return "its certificate is not trusted"
        case httpx.ConnectError():
            return "no connection"
        case httpx.TimeoutException():
            return "no answer in time"
        case _:
            return "the connection was lost"


def _refusal(response: httpx.Response) -> ComposerError:
    answer = "".join(c for c in response.text[:200] if c.isprintable())
    return COMPOSER_REFUSED.error(status=response.status_code, answer=answer or "an empty answer")


def _json(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        raise COMPOSER_CHANGED.error(what="a read (not JSON)", saved=NOTHING_CHANGED) from None


def _described(answer: Any, what: str) -> list[Described]:
    """Read a list of descriptions; its outer form is not confirmed: a bare list, or one inside an object."""
    if isinstance(answer, dict):
        lists = [value for value in answer.values() if isinstance(value, list)]
        answer = lists[0] if len(lists) == 1 else None
    if not isinstance(answer, list):
        raise COMPOSER_CHANGED.error(what=what, saved=NOTHING_CHANGED)
    try:
        return [Described.model_validate(entry) for entry in answer]
    except ValidationError:
        raise COMPOSER_CHANGED.error(what=what, saved=NOTHING_CHANGED) from None
