"""``composer-mcp check``: reaches every dependency and says what is wrong and how to mend it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import stat
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import jwt

from composer_mcp.alone.directory import InUse, StateDirectory
from composer_mcp.alone.issuer import LocalIssuer
from composer_mcp.errors import ComposerError
from composer_mcp.security.keys import IssuerKeys
from composer_mcp.settings import ConfigurationError
from composer_mcp.store import database, migrate
from composer_mcp.store.artifacts import ArtifactStore
from composer_mcp.store.sqlite import Sqlite

if TYPE_CHECKING:
    from composer_mcp.settings import Credentials, IssuerSettings, Settings

LIMIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


class Failed(Exception):
    """A check failed; carries what is wrong and how to mend it."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy


Check = Callable[[], Awaitable[str]]


async def run(
    settings: Settings,
    credentials: Credentials,
    around: Callable[[str], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> list[Finding]:
    """Run all checks, one after another, each with a limit and within ``around``, which gets its name."""
    checks: dict[str, Check] = {}
    if settings.alone:
        checks["state directory"] = lambda: _state_directory(settings)
        checks["credentials"] = lambda: _credentials(credentials)
    else:
        checks["database"] = lambda: _database(settings, credentials)
    checks["object store"] = lambda: _object_store(settings, credentials)
    for issuer in settings.issuers:
        checks[f"issuer {issuer.issuer}"] = functools.partial(_issuer, issuer)
    checks["composer api"] = lambda: _composer_api(settings, credentials)
    checks["composer app"] = lambda: _composer_app(settings)
    checks["chromium"] = lambda: _chromium(settings)
    if settings.alone:
        # On a platform the worker's own start says so; here nothing starts it before the first job.
        checks["browser"] = lambda: _browser(settings)
    findings = []
    for name, check in checks.items():
        with around(name):
            findings.append(await _one(name, check))
    return findings


async def _one(name: str, check: Check) -> Finding:
    began = time.monotonic()
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            ok, detail, remedy = True, await check(), ""
    except Failed as failure:
        ok, detail, remedy = False, failure.detail, failure.remedy
    except ConfigurationError as error:
        ok, detail, remedy = False, str(error), ""
    except ComposerError as error:
        ok, detail, remedy = False, f"{error.code.code}: {error.sentence}", error.remedy
    except TimeoutError:
        ok, detail, remedy = (
            False,
            f"no answer within {LIMIT_SECONDS:.0f} s",
            "Check the address and the firewall.",
        )
    return Finding(name, ok, detail, remedy, round(time.monotonic() - began, 3))


async def _state_directory(settings: Settings) -> str:
    state = StateDirectory(settings.state)
    state.prepare()
    LocalIssuer(state.issuer)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(state.lock(patience_seconds=0))
        except InUse as used:
            return f"{state.path}, in use by {used.holder}"
        async with Sqlite.open(state.database):
            return f"{state.path}: can be written"


async def _credentials(credentials: Credentials) -> str:
    """See that nobody else reads them; a state directory keeps others out, another folder may not."""
    paths = [credentials.path(name) for name in ("composer-token", "composer-project-key")]
    ways = [paths[0].parent, *paths[0].parent.parents]
    if not any(stat.S_IMODE(way.stat().st_mode) & 0o011 == 0 for way in ways):
        readable = [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o044]
        if readable:
            names = " ".join(str(path) for path in readable)
            raise Failed(f"other users of this machine can read {names}", f"chmod 600 {names}")
    return f"{paths[0].parent}: only you can read them"


async def _database(settings: Settings, credentials: Credentials) -> str:
    where = ", ".join(settings.postgresql.hosts)
    options = database.connection_options(
        settings.postgresql, credentials.read("database-password"), application="composer-mcp check"
    )
    try:
        connection = await asyncpg.connect(**options)
    except asyncpg.InvalidPasswordError as error:
        raise Failed(
            f"{where} refuses the role {settings.postgresql.user}: {error}",
            "The secret database-password and the role's password differ; run the play that sets both.",
        ) from error
    except asyncpg.InvalidCatalogNameError as error:
        raise Failed(f"{where}: {error}", "Create the database, or mend database.name.") from error
    except (*database.UNREACHABLE, asyncpg.PostgresError) as error:
        raise Failed(
            f"{where} cannot be reached: {type(error).__name__}: {error}",
            "Check database.hosts, that the server runs, the firewall, and that database.authority signed "
            "its certificate for the name in database.hosts.",
        ) from error
    try:
        version = await migrate.schema_version(connection)
        lacking = await migrate.lacking(connection)
        if lacking is not None:
            raise Failed(lacking, "Run composer-mcp migrate.")
        if not await connection.fetchval(
            "select has_table_privilege('job', 'select, insert, update, delete')"
        ):
            raise Failed(
                f"the role {settings.postgresql.user} may not use the table job",
                "Run composer-mcp migrate as the owner; it grants what is missing.",
            )
        server = await connection.fetchval("show server_version")
    finally:
        await connection.close(timeout=5)
    return f"PostgreSQL {server}, schema version {version}"


async def _object_store(settings: Settings, credentials: Credentials) -> str:
    store = ArtifactStore.open(settings.object_store, credentials)
    content = b"composer-mcp check"
    try:
        key = await store.put(content, "application/octet-stream")
        answer = await store.get(key)
    except ComposerError as error:
        raise Failed(
            f"{settings.object_store.url} at {settings.object_store.endpoint or 'this machine'}: "
            f"{_cause(error.__cause__)}",
            "Check object_store.endpoint, the bucket, the secrets object-store-access-key and -secret-key, "
            "and that object_store.authority signed the server's certificate.",
        ) from error
    if answer != content:
        raise Failed("what was stored came back different", "The store is broken; do not use it.")
    return f"{settings.object_store.url}: stored and read back"


def _cause(error: BaseException | None) -> str:
    """Take from the object store's many lines the first, and the innermost reason."""
    text = str(error)
    reasons = re.findall(r'message: "([^"]+)"|(invalid peer certificate: \w+|UnknownIssuer)', text)
    innermost = "".join(reasons[-1]) if reasons else ""
    summary = text.partition("\n")[0]
    return f"{summary} ({innermost})" if innermost and innermost not in summary else summary


async def _issuer(issuer: IssuerSettings) -> str:
    keys = IssuerKeys(issuer)
    try:
        found = await keys.fetch()
    except (httpx.HTTPError, OSError, ValueError, jwt.PyJWTError) as error:
        raise Failed(
            f"{issuer.jwks_url}: {type(error).__name__}: {error}",
            "Check issuers.jwks_url, that the issuer runs, and that issuers.authority signed its "
            "certificate.",
        ) from error
    finally:
        await keys.close()
    if not found:
        raise Failed(f"{issuer.jwks_url} publishes no usable key", "Create the signing key at the issuer.")
    return f"{len(found)} key(s)"


async def _composer_api(settings: Settings, credentials: Credentials) -> str:
    from composer_mcp.composer.api import ComposerApi

    token, project_key = credentials.read("composer-token"), credentials.read("composer-project-key")
    try:
        async with ComposerApi(settings.composer, token, project_key) as api:
            await api.who_am_i()
    except ComposerError as error:
        raise Failed(
            f"{settings.composer.api_url}: {error.code.code}: {error.sentence}",
            "Check composer.api_url, name resolution and the way out of this host, and the secrets "
            "composer-token and composer-project-key.",
        ) from error
    return f"{settings.composer.api_url}: the service account is accepted"


async def _composer_app(settings: Settings) -> str:
    from composer_mcp.composer.api import trust

    try:
        async with httpx.AsyncClient(verify=trust(settings.composer), timeout=10) as client:
            answer = await client.get(settings.composer.app_url)
    except httpx.HTTPError as error:
        raise Failed(
            f"{settings.composer.app_url}: {type(error).__name__}: {error}",
            "Check composer.app_url, name resolution and the way out of this host.",
        ) from error
    if answer.status_code >= 400:
        raise Failed(f"{settings.composer.app_url} answers {answer.status_code}", "Check composer.app_url.")
    return f"{settings.composer.app_url} answers {answer.status_code}"


async def _chromium(settings: Settings) -> str:
    executable = settings.browser.executable
    try:
        process = await asyncio.create_subprocess_exec(
            str(executable),
            "--version",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise Failed(
            f"{executable} cannot be run: {error.strerror}",
            "Install chromium (on Debian: apt install chromium), or mend browser.executable.",
        ) from error
    out, err = await process.communicate()
    if process.returncode:
        raise Failed(
            f"{executable} --version failed: {err.decode(errors='replace').strip()[:200]}", "Reinstall it."
        )
    return out.decode(errors="replace").strip()


async def _browser(settings: Settings) -> str:
    from composer_mcp.browser.pool import BrowserPool

    began = time.monotonic()
    try:
        async with BrowserPool(settings.browser) as browsers, browsers.lease():
            return f"starts and opens a page in {time.monotonic() - began:.1f} s"
    except ComposerError as error:
        remedy = "Run the executable by hand to see what it lacks."
        if os.geteuid() == 0:
            remedy = "Chromium's sandbox does not work for root: run this as an ordinary user."
        raise Failed(error.sentence, remedy) from error
