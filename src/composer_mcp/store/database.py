"""Connections to PostgreSQL: encrypted and verified, to whichever host accepts writes, never unbounded."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import asyncpg

from composer_mcp.settings import ConfigurationError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from composer_mcp.settings import DatabaseSettings

#: What the driver raises when the server is away, starting, stopping or not (yet) the primary, when it has no
#: room on its disk or in its memory, and when it undid what collided with something else. All that passes,
#: and is tried again.
UNREACHABLE = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    # A pool's connection to which the server has said goodbye, and which has not ended yet.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,
    asyncpg.exceptions.TargetServerAttributeNotMatched,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.PostgresIOError,
    asyncpg.exceptions.TransactionRollbackError,
)

#: What the server says of a value: it says so again, however often it is asked.
_REFUSALS = (
    asyncpg.DataError,
    asyncpg.CheckViolationError,
    asyncpg.NotNullViolationError,
    asyncpg.exceptions.ProgramLimitExceededError,
)


def refuses_value(error: Exception) -> bool:
    """Whether an error is about the values of a statement, and so comes again with them.

    To be asked before whether the database is away: what the driver itself cannot encode, some of it raises
    as a kind of ``asyncpg.InterfaceError``, which a lost connection is too.
    """
    if isinstance(error, (OSError, asyncpg.exceptions.ClientConfigurationError)):
        return False
    return isinstance(error, (*_REFUSALS, ValueError, TypeError, ArithmeticError, RecursionError))


def connection_options(
    settings: DatabaseSettings, password: SecretStr, *, application: str, user: str | None = None
) -> dict[str, Any]:
    """Return the arguments of ``asyncpg.connect`` for one role.

    Raises:
        ConfigurationError: the certificate authority cannot be read.
    """
    hosts, ports = [], []
    for entry in settings.hosts:
        host, _, port = entry.rpartition(":") if ":" in entry else (entry, "", "5432")
        hosts.append(host)
        ports.append(int(port))
    context: ssl.SSLContext | bool = False
    if settings.authority is not None:
        try:
            context = ssl.create_default_context(cafile=str(settings.authority))
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"database.authority {settings.authority} cannot be read as a certificate: {error}."
            ) from error
    return {
        "host": hosts,
        "port": ports,
        "user": user or settings.user,
        "password": password.get_secret_value(),
        "database": settings.name,
        "ssl": context,
        "target_session_attrs": "read-write",
        "timeout": settings.connect_seconds,
        "command_timeout": settings.statement_seconds,
        "server_settings": {
            "application_name": application,
            # A host that vanished without a word is noticed within half a minute, not after two hours.
            "tcp_keepalives_idle": "10",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
        },
    }


def pool(options: dict[str, Any], *, size: int, relaxed: bool = False) -> asyncpg.Pool:
    """Prepare a pool; it connects when first used, so a process can start while the database is away.

    ``relaxed`` lets commits return before they are on disk: for what the queue repeats anyway.

    Connections are given back as they are, without the usual four statements that undo what a borrower may
    have set: nobody here sets anything on a connection, and they would be half of all statements.
    """
    if relaxed:
        options = options | {"server_settings": options["server_settings"] | {"synchronous_commit": "off"}}
    return asyncpg.create_pool(
        min_size=0, max_size=size, max_inactive_connection_lifetime=60, reset=_leave_as_it_is, **options
    )


async def _leave_as_it_is(_connection: object) -> None:
    """Undo nothing."""
